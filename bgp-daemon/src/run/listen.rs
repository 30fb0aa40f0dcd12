//! Where we listen: binding with advice, and the choice of a port without a configuration.

use crate::host::everywhere;
use bgp_core::config::{Config, DEFAULT_PORT};
use bgp_io::{ListenError, Listener};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The port without a configuration and without the right to the well-known one.
const OTHER_PORT: u16 = 1179;
/// Descriptors that we need beside those of peers: listeners, the admin socket and its clients,
/// the runtime.
const OWN_DESCRIPTORS: u64 = 128;

/// Sockets that listen.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) listeners: Vec<Listener>,
    /// Why the well-known port was not taken, where another was chosen.
    pub(super) why_not_179: Option<&'static str>,
    /// What was asked for and is not there, each with its reason.
    pub(super) left_out: Vec<String>,
}

impl Listening {
    /// The addresses.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(Listener::local_addr).collect()
    }
}

/// Listens on all of `addresses`. An unspecified IPv6 address is left out where the host has no
/// IPv6.
pub(super) fn bind(addresses: &[SocketAddr]) -> Result<Listening, String> {
    bind_all(addresses).map_err(|error| format!("{error}{}", advice(&error)))
}

/// Listens on every address at the well-known port, or where that cannot be had at another.
pub(super) fn choose() -> Result<Listening, String> {
    let refused = match bind_all(&everywhere(DEFAULT_PORT)) {
        Ok(listening) => return Ok(listening),
        Err(refused) => refused,
    };
    let why_not_179 = if refused.source.kind() == io::ErrorKind::AddrInUse {
        "is in use"
    } else {
        "needs CAP_NET_BIND_SERVICE"
    };
    let listening = bind(&everywhere(OTHER_PORT))?;
    Ok(Listening {
        why_not_179: Some(why_not_179),
        ..listening
    })
}

fn bind_all(addresses: &[SocketAddr]) -> Result<Listening, ListenError> {
    let mut listening = Listening {
        listeners: Vec::new(),
        why_not_179: None,
        left_out: Vec::new(),
    };
    for address in addresses {
        match Listener::bind(*address) {
            Ok(listener) => listening.listeners.push(listener),
            Err(error) if is_any_ipv6_without_ipv6(&error) => {
                let reason = format!("not listening on {address}: this host has no IPv6");
                listening.left_out.push(reason);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(listening)
}

fn is_any_ipv6_without_ipv6(error: &ListenError) -> bool {
    let unsupported = Some(nix::libc::EAFNOSUPPORT);
    error.address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        && error.source.raw_os_error() == unsupported
}

fn advice(error: &ListenError) -> &'static str {
    let kind = error.source.kind();
    if kind == io::ErrorKind::PermissionDenied {
        "; a port below 1024 needs root or CAP_NET_BIND_SERVICE (setcap \
         cap_net_bind_service=+ep on the program, or AmbientCapabilities in its unit)"
    } else if kind == io::ErrorKind::AddrInUse {
        "; another BGP speaker may be running here: `ss -ltnp` names it, or choose another \
         address or port with listen"
    } else if kind == io::ErrorKind::AddrNotAvailable {
        "; no interface of this host has that address"
    } else {
        ""
    }
}

/// Lets us have as many descriptors as the system allows, and warns where that is too few for
/// the peers that may come.
pub(super) fn raise_descriptor_limit(config: &Config) {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    let dynamic: usize = config.dynamic.iter().map(|group| group.limit).sum();
    // Two for each peer: its old and its new connection, when it comes back.
    let peers = 2 * (config.peers.len() + dynamic) as u64;
    if limit < peers + OWN_DESCRIPTORS {
        tracing::warn!(
            limit,
            "too few file descriptors for all peers that may connect: raise the limit (LimitNOFILE \
             in a systemd unit, or ulimit -n) to {}",
            peers + OWN_DESCRIPTORS
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_refused_with_advice() {
        let first = bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let error = bind(&first.addresses()).unwrap_err();
        assert!(
            error.contains("another BGP speaker may be running here"),
            "{error}"
        );
        let error = bind(&["192.0.2.1:1".parse().unwrap()]).unwrap_err();
        assert!(error.contains("192.0.2.1:1"), "{error}");
    }
}
