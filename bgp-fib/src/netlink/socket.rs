//! Netlink sockets: the only room of this crate with unsafe code.
//!
//! `libc` declares the system calls; neither the standard library nor socket2 can open a netlink
//! socket. Each block says why what it hands to the kernel is valid. Three kinds of pointers go
//! there, and all are taken from references that live across the call: to an option's value, to
//! an address, and to the slots of an [`Inbox`].
//!
//! A socket belongs to the network namespace in which the calling thread was when it was opened,
//! wherever it is used.
#![expect(unsafe_code, reason = "system calls; a proof stands at each block")]

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Octets that a monitor should hold until they are read: some 30,000 notifications, as each
/// takes about 1 KiB and Linux gives twice of what is asked for.
pub const MONITOR_BUFFER: u32 = 16 * 1024 * 1024;

/// Octets that the other sockets hold: far more than the answers of a batch.
const COMMAND_BUFFER: u32 = 8 * 1024 * 1024;

/// What the monitor hears of (`enum rtnetlink_groups`): devices, neighbours, addresses, routes
/// and nexthop objects.
const GROUPS: [libc::c_int; 7] = [1, 3, 5, 7, 9, 11, 32];

/// `RTNLGRP_NEXTHOP`; kernels before 5.3 do not have it, nor nexthop objects.
const GROUP_NEXT_HOP: libc::c_int = 32;

/// Octets for one datagram: as much as the kernel puts into one.
const SLOT: usize = 32 * 1024;

/// Datagrams that are read with one system call, at most.
const MAX_SLOTS: usize = 32;

/// A netlink socket for routing (`NETLINK_ROUTE`), non-blocking.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
    port: u32,
}

impl Socket {
    /// A socket for requests and dumps.
    ///
    /// # Errors
    ///
    /// The system has no descriptor left, or does not speak netlink as Linux 4.20 does.
    pub fn requests() -> io::Result<Self> {
        let socket = Self::open()?;
        socket.enlarge(COMMAND_BUFFER)?;
        // Kernels without an option get along without it: the texts are missing, answers carry
        // their request, dumps are not filtered.
        for option in [
            libc::NETLINK_EXT_ACK,
            libc::NETLINK_CAP_ACK,
            libc::NETLINK_GET_STRICT_CHK,
        ] {
            let _ = socket.set(libc::SOL_NETLINK, option, 1);
        }
        Ok(socket)
    }

    /// A socket that hears of every change, and holds `buffer` octets of what it hears.
    ///
    /// # Errors
    ///
    /// As [`Socket::requests`].
    pub fn monitor(buffer: u32) -> io::Result<Self> {
        let socket = Self::open()?;
        socket.enlarge(buffer)?;
        for group in GROUPS {
            match socket.set(libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, group) {
                Err(error) if group != GROUP_NEXT_HOP => return Err(error),
                _ => {}
            }
        }
        Ok(socket)
    }

    fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: takes numbers only.
        let descriptor = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
        check(descriptor)?;
        // SAFETY: the kernel has just given it to us, and nobody else has it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        let mut socket = Self {
            descriptor,
            port: 0,
        };
        socket.port = socket.bind()?;
        Ok(socket)
    }

    /// Lets the kernel choose our port.
    fn bind(&self) -> io::Result<u32> {
        let mut address = any_address();
        let mut length = ADDRESS_LENGTH;
        let pointer = (&raw mut address).cast::<libc::sockaddr>();
        // SAFETY: `pointer` leads to `length` octets, a whole `sockaddr_nl`.
        check(unsafe { libc::bind(self.as_raw_fd(), pointer, length) })?;
        // SAFETY: the same; the kernel writes no more than `length` octets, and any octets are a
        // valid `sockaddr_nl`.
        check(unsafe { libc::getsockname(self.as_raw_fd(), pointer, &raw mut length) })?;
        Ok(address.nl_pid)
    }

    /// Lets the runtime tell when there is something to read.
    ///
    /// # Errors
    ///
    /// The runtime does not take it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, or in one without I/O.
    pub(crate) fn register(self) -> io::Result<AsyncFd<Self>> {
        // SAFETY: a `Socket` owns its descriptor, never changes it, and closes it only when it is
        // dropped itself; nobody else can close it.
        let registered = unsafe { AsyncFd::register_with_interest(self, Interest::READABLE) };
        Ok(registered?)
    }

    /// Our port, which the kernel's notifications of our doings bear.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// Gives the socket a receive buffer of this size, even beyond the system's limit, or, where that is not
    /// allowed, the largest that is.
    fn enlarge(&self, octets: u32) -> io::Result<()> {
        let octets = libc::c_int::try_from(octets).unwrap_or(libc::c_int::MAX);
        let forced = self.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, octets);
        if let Err(error) = forced {
            tracing::debug!(
                %error,
                "netlink receive buffer is limited to net.core.rmem_max; bursts may be lost and \
                 will be healed by reading everything again"
            );
            self.set(libc::SOL_SOCKET, libc::SO_RCVBUF, octets)?;
        }
        Ok(())
    }

    fn set(&self, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
        let pointer = (&raw const value).cast::<libc::c_void>();
        let length = length_of::<libc::c_int>();
        // SAFETY: `pointer` leads to `length` octets, all of `value`, and is only read.
        check(unsafe { libc::setsockopt(self.as_raw_fd(), level, option, pointer, length) })
    }

    /// Sends one datagram to the kernel, which carries out the requests in it before this
    /// returns.
    ///
    /// # Errors
    ///
    /// The kernel has no memory (`ENOBUFS`, `ENOMEM`), or it is too long (`EMSGSIZE`); then
    /// nothing of it was carried out.
    pub fn send(&self, octets: &[u8]) -> io::Result<()> {
        let to = any_address();
        let pointer = octets.as_ptr().cast::<libc::c_void>();
        let address = (&raw const to).cast::<libc::sockaddr>();
        // SAFETY: `pointer` leads to the octets of a slice, `address` to a whole `sockaddr_nl`;
        // both are only read.
        let sent = unsafe {
            libc::sendto(
                self.as_raw_fd(),
                pointer,
                octets.len(),
                0,
                address,
                ADDRESS_LENGTH,
            )
        };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Reads datagrams into `inbox`, as many as lie there and have room.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when there is none; `ENOBUFS` when some were lost (reading
    /// goes on after that).
    pub fn receive(&self, inbox: &mut Inbox) -> io::Result<()> {
        inbox.filled = 0;
        let slots = inbox.slots;
        let mut from = [any_address(); MAX_SLOTS];
        let mut parts = [const {
            libc::iovec {
                iov_base: ptr::null_mut(),
                iov_len: 0,
            }
        }; MAX_SLOTS];
        // SAFETY: all its fields are numbers and pointers, which may be zero.
        let mut headers: [libc::mmsghdr; MAX_SLOTS] =
            unsafe { MaybeUninit::zeroed().assume_init() };
        for (((header, part), from), slot) in headers
            .iter_mut()
            .zip(&mut parts)
            .zip(&mut from)
            .zip(inbox.octets.chunks_exact_mut(SLOT))
        {
            part.iov_base = slot.as_mut_ptr().cast();
            part.iov_len = slot.len();
            header.msg_hdr.msg_name = (&raw mut *from).cast();
            header.msg_hdr.msg_namelen = ADDRESS_LENGTH;
            header.msg_hdr.msg_iov = &raw mut *part;
            header.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: the first `slots` headers (at most MAX_SLOTS, as many as `octets` has chunks)
        // name one part each, which is a chunk of `octets` that nothing else refers to, and one
        // address each; all outlive the call. Any octets are valid in a chunk and in an address.
        let count = unsafe {
            libc::recvmmsg(
                self.as_raw_fd(),
                headers.as_mut_ptr(),
                slots,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        check(count)?;
        inbox.filled = usize::try_from(count).unwrap_or(0);
        for ((length, header), from) in inbox.lengths.iter_mut().zip(&headers).zip(&from) {
            let cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            *length = if from.nl_pid != 0 {
                // Not from the kernel: nobody else has anything to say here.
                Ok(0)
            } else if cut {
                Err(())
            } else {
                Ok(usize::try_from(header.msg_len).unwrap_or(0))
            };
        }
        Ok(())
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

/// Where datagrams are read into; used again and again.
#[derive(Debug)]
pub struct Inbox {
    octets: Box<[u8]>,
    slots: libc::c_uint,
    /// Octets in each slot, or that it was cut off.
    lengths: [Result<usize, ()>; MAX_SLOTS],
    filled: usize,
}

/// A datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received<'a> {
    /// All of it.
    Whole(&'a [u8]),
    /// It was too long, and something of it is lost. Kernels that we know make none that long.
    Cut,
}

impl Inbox {
    /// For so many datagrams at once, 1 to 32; each takes 32 KiB of address space, and of memory
    /// what is really received.
    pub fn new(slots: u8) -> Self {
        let slots = usize::from(slots).clamp(1, MAX_SLOTS);
        Self {
            octets: vec![0; slots * SLOT].into_boxed_slice(),
            slots: libc::c_uint::try_from(slots).unwrap_or(1),
            lengths: [Ok(0); MAX_SLOTS],
            filled: 0,
        }
    }

    /// Whether the last read left no slot empty, so that there may be more to read.
    pub fn is_full(&self) -> bool {
        self.octets.len() == self.filled * SLOT
    }

    /// What the last read brought.
    pub fn datagrams(&self) -> impl Iterator<Item = Received<'_>> {
        let slots = self.octets.chunks_exact(SLOT).zip(&self.lengths);
        slots.take(self.filled).map(|(slot, length)| {
            let whole = length.ok().and_then(|length| slot.get(..length));
            whole.map_or(Received::Cut, Received::Whole)
        })
    }
}

const ADDRESS_LENGTH: libc::socklen_t = length_of::<libc::sockaddr_nl>();

#[expect(
    clippy::cast_possible_truncation,
    reason = "the types of system calls are a few octets long"
)]
const fn length_of<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

/// The kernel's address; for us, one that the kernel chooses.
fn any_address() -> libc::sockaddr_nl {
    // SAFETY: all its fields are numbers.
    let mut address: libc::sockaddr_nl = unsafe { MaybeUninit::zeroed().assume_init() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
