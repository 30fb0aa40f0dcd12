//! IPIP in user space, for kernels without the `ipip` module (RFC 2003).
//!
//! A TUN device takes the place and the name of `tunl0`. What the kernel routes into it is read
//! here; the kernel is asked by which gateway it was routed, since a TUN device is not told; and
//! the packet leaves inside another one to that gateway, on a raw socket of protocol 4. What
//! arrives on that socket loses its outer header and enters the node through the device, just as
//! from the real one. Hops are counted on both sides by the kernel's own forwarding.
//!
//! One thread per node; it ends with the [`Tunnel`].

use super::kernel::Kernel;
use super::tun;
use crate::netns::Namespace;
use crate::process::ask;
use crate::{During, Error, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use socket2::{Domain, Protocol, Socket, Type};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// The device.
pub const DEVICE: &str = "tunl0";
/// What fits into a packet of 1,500 octets beside the outer header.
const MTU: usize = 1480;
/// IPv4 in IP (RFC 2003).
const IPIP: i32 = 4;
/// A packet longer than this does not exist in IPv4.
const MAX_PACKET: usize = 65_535;
/// So many packets of one side are carried before the other side is looked at.
const TURN: usize = 64;

/// Whose tunnel it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// The kernel's.
    Kernel,
    /// The one of this file.
    UserSpace,
}

/// A node's end of all its tunnels.
pub struct Tunnel {
    stop: Option<(Arc<EventFd>, JoinHandle<()>)>,
}

impl Tunnel {
    /// Sets up `tunl0` on the node with address `local`: the kernel's where it has one.
    ///
    /// # Errors
    /// When the kernel has neither IPIP nor TUN devices, or refuses.
    pub fn start(node: &Namespace, local: Ipv4Addr) -> Result<Self> {
        if Self::carrier(node) == Carrier::Kernel {
            node.ip(&format!("link set {DEVICE} up mtu {MTU}"))?;
            return Ok(Self { stop: None });
        }
        node.ip(&format!(
            "tuntap add dev {DEVICE} mode tun\nlink set {DEVICE} up mtu {MTU}"
        ))
        .map_err(|error| {
            Error::Check(format!(
                "{error}\nwithout the kernel's ipip module the tunnel needs /dev/net/tun: \
                 `modprobe ipip`, open that file for this user, or use --encapsulation none or vxlan"
            ))
        })?;
        let ends = node.run(|| Ends::open(node, local))?;
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .during(|| "making an event descriptor".to_owned())?;
        let stop = Arc::new(stop);
        let told = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name(format!("tunl0 {local}"))
            .spawn(move || {
                // It ends when it is told to, or with its devices: then there is nothing to carry.
                let _ = ends.carry(&told);
            })
            .during(|| "starting a thread".to_owned())?;
        Ok(Self {
            stop: Some((stop, thread)),
        })
    }

    /// Whose `tunl0` a node has: the kernel makes one in every namespace once the module is there.
    pub fn carrier(node: &Namespace) -> Carrier {
        let mut show = Command::new("ip");
        show.args(["link", "show", "dev", DEVICE]);
        match ask(node, show) {
            Ok(_) => Carrier::Kernel,
            Err(_) => Carrier::UserSpace,
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.stop.take() {
            // A thread that has ended hears nothing, and its panic is not ours.
            let _ = stop.write(1);
            let _ = thread.join();
        }
    }
}

/// What the thread carries packets between.
struct Ends {
    device: File,
    socket: Socket,
    kernel: Kernel,
}

impl Ends {
    fn open(node: &Namespace, local: Ipv4Addr) -> Result<Self> {
        let open = || {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(IPIP)))?;
            socket.bind(&SocketAddr::new(local.into(), 0).into())?;
            socket.set_nonblocking(true)?;
            Ok::<_, io::Error>(socket)
        };
        Ok(Self {
            device: tun::attach(DEVICE)?,
            socket: open().during(|| "opening a raw socket for IPIP".to_owned())?,
            kernel: Kernel::open(node)?,
        })
    }

    fn carry(mut self, stop: &EventFd) -> io::Result<()> {
        const STOP: u64 = 0;
        const WORK: u64 = 1;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(stop, EpollEvent::new(EpollFlags::EPOLLIN, STOP))?;
        epoll.add(&self.device, EpollEvent::new(EpollFlags::EPOLLIN, WORK))?;
        epoll.add(&self.socket, EpollEvent::new(EpollFlags::EPOLLIN, WORK))?;
        let mut packet = vec![0; MAX_PACKET];
        let mut events = [EpollEvent::empty(); 3];
        loop {
            let ready = match epoll.wait(&mut events, EpollTimeout::NONE) {
                Err(nix::Error::EINTR) => continue,
                other => other?,
            };
            let mut ready = events.iter().take(ready);
            if ready.any(|event| event.data() == STOP) {
                return Ok(());
            }
            for _ in 0..TURN {
                let sent = self.send_one(&mut packet)?;
                let received = self.receive_one(&mut packet)?;
                if !sent && !received {
                    break;
                }
            }
        }
    }

    /// Carries one packet out of the device; `false` when there is none.
    fn send_one(&mut self, packet: &mut [u8]) -> io::Result<bool> {
        let length = match self.device.read(packet) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        let packet = packet.get(..length).unwrap_or_default();
        let route = inner_destination(packet).map(|to| self.kernel.lookup(to.into()));
        if let Some(Ok(Some(route))) = route
            && let Some(gateway @ IpAddr::V4(_)) = route.gateway
        {
            // A full queue loses the packet, as on any link.
            let _ = self
                .socket
                .send_to(packet, &SocketAddr::new(gateway, 0).into());
        }
        Ok(true)
    }

    /// Carries one packet into the device; `false` when there is none.
    fn receive_one(&mut self, packet: &mut [u8]) -> io::Result<bool> {
        let length = match (&self.socket).read(packet) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            // An ICMP error for something that was sent.
            Err(_) => return Ok(true),
        };
        if let Some(inner) = packet.get(..length).and_then(inner_packet) {
            // What the device does not take is lost, as on any link.
            let _ = self.device.write(inner);
        }
        Ok(true)
    }
}

/// What stands behind the outer header (RFC 791 §3.1: its length in words of four octets is in the
/// lower half of the first octet).
fn inner_packet(outer: &[u8]) -> Option<&[u8]> {
    let words = usize::from(outer.first()? & 0x0f);
    outer.get(words * 4..)
}

/// To where an IPv4 packet goes; `None` for anything else.
fn inner_destination(packet: &[u8]) -> Option<Ipv4Addr> {
    if packet.first()? >> 4 != 4 {
        return None;
    }
    let octets: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    Some(octets.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_stripped() {
        let mut packet = vec![0x46, 0, 0, 28];
        packet.extend([0; 12]);
        packet.extend([10, 244, 1, 10]);
        packet.extend([0; 4]); // one option
        packet.extend([0x45, 7]);
        assert_eq!(
            inner_destination(&packet),
            Some(Ipv4Addr::new(10, 244, 1, 10))
        );
        assert_eq!(inner_packet(&packet), Some(&[0x45, 7][..]));
        assert_eq!(inner_packet(&packet[..10]), None, "cut off in the header");
        assert_eq!(inner_destination(&[0x60; 40]), None, "IPv6");
    }
}
