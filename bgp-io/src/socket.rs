//! Sockets with the options that BGP wants: the only file that knows socket options.
//!
//! Everything is set before `listen` or `connect`, because the window scale of a connection is
//! fixed by the receive buffer at its handshake. Connections that are accepted inherit what was
//! set on their listener; a test holds Linux to that.

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;

/// Bytes that the kernel keeps for a connection until they are acknowledged. A fixed size turns
/// off the kernel's own tuning, which lets each of thousands of slow readers pin 4 MiB. At 1 ms
/// to the peer this is 256 MB/s, at 100 ms still 2.5 MB/s. The kernel caps it at `wmem_max`.
pub(crate) const SEND_BUFFER: usize = 256 * 1024;

/// Bytes that the kernel keeps for us until we read them; then the peer's window closes. For the
/// same reasons as [`SEND_BUFFER`].
pub(crate) const RECEIVE_BUFFER: usize = 256 * 1024;

/// A connection takes more from us only while less than this is unsent in the kernel: the
/// backlog stays with the engine, where newer news replaces older, and a KEEPALIVE waits behind
/// no more than this.
const UNSENT_LOW_WATER: u32 = 128 * 1024;

/// Connections that have shaken hands and wait to be accepted. `net.core.somaxconn` caps it; the
/// kernel drops the SYNs of those that do not fit, and they come again a second later.
const BACKLOG: i32 = 4096;

/// Class selector 6, internetwork control (RFC 4594 §3.1): routing goes before the traffic that
/// it routes.
const TRAFFIC_CLASS: u32 = 0xc0;

/// A socket that listens, with a listener's options set. It takes nothing in until an engine is
/// started with it.
#[derive(Debug)]
pub struct Listener {
    socket: std::net::TcpListener,
    address: SocketAddr,
}

/// Why an address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

impl Listener {
    /// Listens on `address`; port 0 lets the system choose one. `0.0.0.0` and `[::]` may be
    /// listened on side by side. Needs no runtime, so it can be done before privileges are given
    /// up.
    ///
    /// # Errors
    ///
    /// The address is taken, is not ours, or its port needs privileges.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let address = canonical(address);
        let listen = || {
            let socket = open(address)?;
            // A predecessor's connections in TIME_WAIT must not keep us from starting.
            socket.set_reuse_address(true)?;
            if address.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            let socket = std::net::TcpListener::from(socket);
            let address = socket.local_addr()?;
            Ok(Self { socket, address })
        };
        listen().map_err(|source| ListenError { address, source })
    }

    /// Where it listens, with the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Hands the socket to the runtime.
    pub(crate) fn into_tokio(self) -> io::Result<tokio::net::TcpListener> {
        tokio::net::TcpListener::from_std(self.socket)
    }
}

/// Begins to connect to `remote`; the stream turns writable when that has worked or failed
/// ([`outcome`] tells which).
///
/// # Errors
///
/// No descriptor is left, `local` is not ours, or the system knows at once that there is no way.
pub(crate) fn dial(remote: SocketAddr, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = open(remote)?;
    if let Some(local) = local {
        socket.bind(&SocketAddr::new(local, 0).into())?;
    }
    match socket.connect(&remote.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    TcpStream::from_std(socket.into())
}

/// How a [`dial`] ended: our address, or what went wrong.
pub(crate) fn outcome(stream: &TcpStream, remote: SocketAddr) -> io::Result<SocketAddr> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    let local = stream.local_addr()?;
    if local == remote {
        // The system chose the port that we dialled, so TCP's simultaneous open met itself.
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(canonical(local))
}

/// Whether the other end has already gone, as far as can be told without reading.
pub(crate) fn has_gone(stream: &TcpStream) -> bool {
    let mut octet = [std::mem::MaybeUninit::uninit()];
    match SockRef::from(stream).peek(&mut octet) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// Says that we have said everything (FIN); reading goes on.
pub(crate) fn finish_writing(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).shutdown(Shutdown::Write)
}

/// Lets the coming close throw away what has not been sent, and say RST.
pub(crate) fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

/// Whether an error of `accept` says that descriptors or memory have run out. Everything else is
/// the fault of one connection.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

/// The address with an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) turned into the IPv4 address
/// that peers are configured by.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::new(IpAddr::V4(v4), address.port()),
        // Not rebuilt: a link-local address would lose its scope.
        IpAddr::V6(_) => address,
    }
}

/// A socket that never blocks, with the options that listeners and connections share.
fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    // The engine gathers messages itself; Nagle's algorithm would add a round trip to each.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_LOW_WATER)?;
    match address {
        SocketAddr::V4(_) => socket.set_tos_v4(TRAFFIC_CLASS)?,
        SocketAddr::V6(_) => socket.set_tclass_v6(TRAFFIC_CLASS)?,
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_options(stream: &TcpStream) {
        let socket = SockRef::from(stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), UNSENT_LOW_WATER);
        // The kernel doubles what is asked for, for its own overhead, up to its own limit.
        assert!(socket.send_buffer_size().unwrap() <= 2 * SEND_BUFFER);
        assert!(socket.recv_buffer_size().unwrap() <= 2 * RECEIVE_BUFFER);
        let class = match stream.local_addr().unwrap() {
            SocketAddr::V4(_) => socket.tos_v4().unwrap(),
            SocketAddr::V6(_) => socket.tclass_v6().unwrap(),
        };
        assert_eq!(class, TRAFFIC_CLASS);
    }

    async fn both_ends(listen: &str) {
        let listener = Listener::bind(listen.parse().unwrap()).unwrap();
        let remote = listener.local_addr();
        let listener = listener.into_tokio().unwrap();
        let dialled = dial(remote, Some(remote.ip())).unwrap();
        let (accepted, from) = listener.accept().await.unwrap();
        dialled.writable().await.unwrap();
        assert_eq!(outcome(&dialled, remote).unwrap(), from);
        check_options(&dialled);
        check_options(&accepted);
        assert!(!has_gone(&accepted));
        drop(dialled);
        accepted.readable().await.unwrap();
        assert!(has_gone(&accepted));
    }

    #[tokio::test]
    async fn options_hold_at_both_ends_ipv4() {
        both_ends("127.0.0.1:0").await;
    }

    #[tokio::test]
    async fn options_hold_at_both_ends_ipv6() {
        both_ends("[::1]:0").await;
    }

    #[tokio::test]
    async fn both_wildcards_may_be_listened_on() {
        let v4 = Listener::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let mut v6: SocketAddr = "[::]:0".parse().unwrap();
        v6.set_port(v4.local_addr().port());
        Listener::bind(v6).unwrap();
    }

    #[tokio::test]
    async fn a_taken_address_is_named() {
        let first = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = Listener::bind(first.local_addr()).unwrap_err();
        assert_eq!(error.address, first.local_addr());
        assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&first.local_addr().to_string()));
    }

    #[tokio::test]
    async fn a_refused_connection_is_told() {
        let gone = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let remote = gone.local_addr();
        drop(gone);
        let stream = dial(remote, None).unwrap();
        stream.writable().await.unwrap();
        let error = outcome(&stream, remote).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn mapped_addresses_become_ipv4() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:179".parse().unwrap();
        assert_eq!(canonical(mapped), "192.0.2.1:179".parse().unwrap());
        let scoped: SocketAddr = "[fe80::1%3]:179".parse().unwrap();
        assert_eq!(canonical(scoped), scoped);
    }
}
