//! The kernel's error numbers, as Linux numbers them on every machine we run on, and what each
//! means for the request that met it.

use crate::kernel::KernelError;
use std::fmt;

/// Operation not permitted: no CAP_NET_ADMIN.
pub const EPERM: i32 = 1;
/// No such thing: a nexthop or neighbour entry to delete.
pub const ENOENT: i32 = 2;
/// No such route to delete.
pub const ESRCH: i32 = 3;
/// Try again.
pub const EAGAIN: i32 = 11;
/// Out of memory.
pub const ENOMEM: i32 = 12;
/// Permission denied.
pub const EACCES: i32 = 13;
/// Something has this key already.
pub const EEXIST: i32 = 17;
/// No such device.
pub const ENODEV: i32 = 19;
/// Refused; the text says why.
pub const EINVAL: i32 = 22;
/// The kernel has no such feature.
pub const EOPNOTSUPP: i32 = 95;
/// The source address is not ours.
pub const EADDRNOTAVAIL: i32 = 99;
/// The device is down.
pub const ENETDOWN: i32 = 100;
/// The gateway is on no network of ours.
pub const ENETUNREACH: i32 = 101;
/// No room in a buffer.
pub const ENOBUFS: i32 = 105;
/// There is no way to the gateway.
pub const EHOSTUNREACH: i32 = 113;

/// What a refusal means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Meaning {
    /// Another has the key.
    Exists,
    /// There is nothing to delete.
    Absent,
    /// A device is missing or down.
    Link,
    /// Addresses or routes that it builds on are missing.
    Network,
    /// A nexthop object is missing.
    Object,
    /// The kernel is out of something, or lets us do nothing: this is not about one route.
    Everything,
    /// The kernel cannot do this at all.
    Unsupported,
    /// Anything else.
    Other,
}

impl Meaning {
    /// What `error` means.
    pub fn of(error: &KernelError) -> Self {
        match error.errno {
            EEXIST => Self::Exists,
            ESRCH | ENOENT => Self::Absent,
            ENODEV | ENETDOWN => Self::Link,
            EINVAL if error.text.contains("Nexthop id") => Self::Object,
            // "Nexthop has invalid gateway", "Invalid prefsrc address": true until an address,
            // a link or a route changes.
            EINVAL if error.text.contains("gateway") || error.text.contains("prefsrc") => {
                Self::Network
            }
            ENETUNREACH | EHOSTUNREACH | EADDRNOTAVAIL => Self::Network,
            ENOMEM | ENOBUFS | EAGAIN | EPERM | EACCES => Self::Everything,
            EOPNOTSUPP => Self::Unsupported,
            _ => Self::Other,
        }
    }
}

/// The usual words for an error number; empty for one that is not named here.
pub fn words(errno: i32) -> &'static str {
    match errno {
        EPERM | EACCES => "not permitted: CAP_NET_ADMIN is needed",
        ENOENT => "no such entry",
        ESRCH => "no such route",
        EAGAIN => "try again",
        ENOMEM => "out of memory",
        EEXIST => "another route has this key",
        ENODEV => "no such device",
        EINVAL => "invalid",
        EOPNOTSUPP => "not supported by this kernel",
        EADDRNOTAVAIL => "not an address of this host",
        ENETDOWN => "the device is down",
        ENETUNREACH => "the gateway is on no network of this host",
        ENOBUFS => "no buffer space",
        EHOSTUNREACH => "no way to the gateway",
        _ => "",
    }
}

impl fmt::Display for KernelError {
    /// The kernel's own words where it has some, else ours for the number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.text.is_empty(), words(self.errno)) {
            (false, _) => write!(f, "{} (error {})", self.text, self.errno),
            (true, "") => write!(f, "error {}", self.errno),
            (true, words) => write!(f, "{words} (error {})", self.errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(errno: i32, text: &str) -> Meaning {
        Meaning::of(&KernelError {
            errno,
            text: text.into(),
        })
    }

    #[test]
    fn the_text_decides_where_the_number_is_vague() {
        assert_eq!(
            meaning(EINVAL, "Nexthop has invalid gateway"),
            Meaning::Network
        );
        assert_eq!(meaning(EINVAL, "Invalid prefsrc address"), Meaning::Network);
        assert_eq!(
            meaning(EINVAL, "Nexthop id does not exist"),
            Meaning::Object
        );
        let words = "Invalid prefix for given prefix length";
        assert_eq!(meaning(EINVAL, words), Meaning::Other);
        assert_eq!(meaning(EEXIST, ""), Meaning::Exists);
        assert_eq!(meaning(ENOBUFS, ""), Meaning::Everything);
        assert_eq!(meaning(77, ""), Meaning::Other);
    }
}
