//! Attaching to a TUN device, which takes an ioctl: one of the two rooms of the crate with unsafe
//! code.
//!
//! The device itself is made and set up by `ip`; here a descriptor is joined to it, from which the
//! packets that the kernel routes to the device are read, and to which those that come out of it
//! are written, one whole packet at a time and without any header before it.

use crate::{During, Result};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

/// The longest name of a device, with its final zero (`IFNAMSIZ`).
const NAME_SIZE: usize = 16;
/// Whole IP packets, as opposed to Ethernet frames.
const IFF_TUN: libc::c_short = 1;
/// No packet information before each of them.
const IFF_NO_PI: libc::c_short = 0x1000;

/// `struct ifreq` as `TUNSETIFF` reads it.
#[repr(C)]
struct Request {
    name: [u8; NAME_SIZE],
    flags: libc::c_short,
    // The kernel copies the whole union, whose largest member has 24 octets.
    rest: [u8; 22],
}

/// Joins a new descriptor to the TUN device `name` of the calling thread's namespace.
///
/// # Errors
/// When the machine has no `/dev/net/tun`, or refuses.
#[expect(unsafe_code, reason = "an ioctl; the proof stands at the block")]
pub(super) fn attach(name: &str) -> Result<File> {
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
        .during(|| "opening /dev/net/tun".to_owned())?;
    let mut request = Request {
        name: [0; NAME_SIZE],
        flags: IFF_TUN | IFF_NO_PI,
        rest: [0; 22],
    };
    // One octet stays zero and ends the name.
    for (to, from) in request
        .name
        .iter_mut()
        .zip(name.bytes())
        .take(NAME_SIZE - 1)
    {
        *to = from;
    }
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, 40 octets on every 64-bit Linux, at
    // the address it is given; `request` has that size and layout, is initialised, and outlives
    // the call. The descriptor is open.
    let answer = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    nix::errno::Errno::result(answer).during(|| format!("attaching to {name}"))?;
    Ok(file)
}

const _: () = assert!(size_of::<Request>() == 40);
