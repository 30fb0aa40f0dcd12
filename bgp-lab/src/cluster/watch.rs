//! What changes in a kernel's routes, with the moments at which the kernel told of it.
//!
//! A dump says what is there; how long something was away is said by two notifications only. One
//! thread per [`Watch`] reads them as they come.

use super::kernel::{KernelRoute, Messages, RT_TABLE_MAIN, RTM_NEWROUTE, read_route};
use crate::netns::Namespace;
use crate::{During, Error, Result};
use bgp_core::prefix::IpNet;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const RTM_DELROUTE: u16 = 25;
/// The groups of IPv4 and IPv6 routes (`RTMGRP_IPV4_ROUTE`, `RTMGRP_IPV6_ROUTE`).
const GROUPS: u32 = 0x40 | 0x400;
/// How often the thread looks whether it may end.
const TURN_MILLISECONDS: i64 = 20;
/// The kernel holds so many octets of notifications for us.
const BUFFER: usize = 4 * 1024 * 1024;
/// A notification is never longer.
const MAX_MESSAGE: usize = 64 * 1024;

/// A change of one route in the main table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteNews {
    /// When it was told.
    pub at: Instant,
    /// Added or replaced; deleted otherwise.
    pub added: bool,
    /// The route.
    pub route: KernelRoute,
}

/// Notes every change of routes in one namespace.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<RouteNews>>>,
}

impl Watch {
    /// Begins to listen: what changes after this has returned is noted.
    ///
    /// # Errors
    /// When the kernel refuses the socket.
    pub fn start(namespace: &Namespace) -> Result<Self> {
        let socket = namespace.run(|| open().during(|| "listening for routes".to_owned()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("route news".to_owned())
            .spawn(move || listen(&socket, &told))
            .during(|| "starting a thread".to_owned())?;
        Ok(Self { stop, thread })
    }

    /// Ends, and gives what has changed, oldest first.
    ///
    /// # Errors
    /// When the kernel had to drop notifications.
    pub fn finish(self) -> Result<Vec<RouteNews>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn open() -> nix::Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    // Without the right to more it stays at the kernel's default.
    let _ = setsockopt(&socket, sockopt::RcvBufForce, &BUFFER);
    setsockopt(
        &socket,
        sockopt::ReceiveTimeout,
        &TimeVal::milliseconds(TURN_MILLISECONDS),
    )?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
    Ok(socket)
}

fn listen(socket: &OwnedFd, stop: &AtomicBool) -> Result<Vec<RouteNews>> {
    let mut news = Vec::new();
    let mut buffer = vec![0; MAX_MESSAGE];
    loop {
        let length = match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) => length,
            Err(nix::Error::EAGAIN) if stop.load(Ordering::Relaxed) => return Ok(news),
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => continue,
            Err(errno) => {
                return Err(Error::System {
                    what: "listening for routes".to_owned(),
                    source: errno.into(),
                });
            }
        };
        let at = Instant::now();
        for (kind, payload) in Messages(buffer.get(..length).unwrap_or_default()) {
            let added = kind == RTM_NEWROUTE;
            if !added && kind != RTM_DELROUTE {
                continue;
            }
            let route = read_route(payload, Some(RT_TABLE_MAIN));
            news.extend(route.map(|route| RouteNews { at, added, route }));
        }
    }
}

/// How long after the first end of `went` there was `back`; `None` when one of both did not come
/// about.
pub fn away(news: &[RouteNews], went: &KernelRoute, back: &KernelRoute) -> Option<Duration> {
    let gone = news
        .iter()
        .position(|one| !one.added && one.route == *went)?;
    let (first, rest) = news.get(gone..)?.split_first()?;
    let again = rest.iter().find(|one| one.added && one.route == *back)?;
    Some(again.at.duration_since(first.at))
}

/// When the last route to `prefix` went; `None` when one is still there, or none has gone.
pub fn gone(news: &[RouteNews], prefix: &IpNet) -> Option<Instant> {
    let last = news.iter().rfind(|one| one.route.prefix == *prefix)?;
    (!last.added).then_some(last.at)
}

#[cfg(test)]
mod tests {
    use super::super::kernel::Kind;
    use super::*;

    #[test]
    fn a_route_is_away_from_its_end_to_its_return() {
        let route = |metric| KernelRoute {
            prefix: "10.244.1.0/26".parse().unwrap(),
            kind: Kind::Blackhole,
            gateway: None,
            device: None,
            protocol: 201,
            metric,
            onlink: false,
            link_down: false,
        };
        let start = Instant::now();
        let step = Duration::from_millis(10);
        let news: Vec<RouteNews> = [(true, 1), (false, 1), (true, 2), (true, 1)]
            .into_iter()
            .zip(0..)
            .map(|((added, metric), steps)| RouteNews {
                at: start + step * steps,
                added,
                route: route(metric),
            })
            .collect();
        assert_eq!(away(&news, &route(1), &route(1)), Some(step * 2));
        assert_eq!(away(&news, &route(1), &route(2)), Some(step));
        assert_eq!(away(&news, &route(2), &route(1)), None, "it never went");
        assert_eq!(away(&news, &route(1), &route(3)), None, "it never came");
        let prefix = route(1).prefix;
        assert_eq!(gone(&news, &prefix), None, "it is there again");
        assert_eq!(gone(&news[..2], &prefix), Some(start + step));
    }
}
