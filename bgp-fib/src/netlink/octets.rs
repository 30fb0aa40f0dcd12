//! Writing and reading the kernel's way of putting values into octets: numbers in the machine's
//! order, attributes (length, kind, value) that begin at multiples of four.

use super::number::{AF_INET, AF_INET6, NLA_TYPE_MASK};
use std::net::IpAddr;

/// Octets of an attribute before its value.
const ATTRIBUTE_HEADER: usize = 4;

/// Appends to a buffer.
pub(crate) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    too_long: bool,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            too_long: false,
        }
    }

    /// Whether something did not fit the field for its length; what was written is unusable.
    pub(crate) fn is_too_long(&self) -> bool {
        self.too_long
    }

    pub(crate) fn octets(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.octets(&value.to_ne_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.octets(&value.to_ne_bytes());
    }

    pub(crate) fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.octets(&address.octets()),
            IpAddr::V6(address) => self.octets(&address.octets()),
        }
    }

    /// Something that begins with its own length of two octets, which `body` does not write.
    pub(crate) fn counted(&mut self, body: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        self.u16(0);
        body(self);
        let length = u16::try_from(self.out.len() - start);
        self.too_long |= length.is_err();
        let length = length.unwrap_or(u16::MAX);
        if let Some(field) = self.out.get_mut(start..start + 2) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        let padding = self.out.len().wrapping_neg() % 4;
        self.out.resize(self.out.len() + padding, 0);
    }

    pub(crate) fn attribute(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        self.counted(|writer| {
            writer.u16(kind);
            body(writer);
        });
    }

    pub(crate) fn attribute_u32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, |writer| writer.u32(value));
    }

    pub(crate) fn attribute_address(&mut self, kind: u16, address: IpAddr) {
        self.attribute(kind, |writer| writer.address(address));
    }
}

/// Reads from a slice; everything is `None` once the slice is too short.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }

    /// What is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_ne_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    /// Something that begins with its own length of two octets, of which it is given what comes
    /// after them; then goes to the next multiple of four.
    pub(crate) fn counted(&mut self) -> Option<Self> {
        let mut peek = *self;
        let length = usize::from(peek.u16()?);
        let mut inside = Self(self.take(length)?);
        inside.take(2)?;
        // The last one's padding may be missing.
        let padding = (length.wrapping_neg() % 4).min(self.0.len());
        self.take(padding)?;
        Some(inside)
    }

    /// The attributes from here on.
    pub(crate) fn attributes(self) -> Attributes<'a> {
        Attributes { rest: Some(self) }
    }
}

/// Attributes one after the other, kind and value; `None` for one that does not fit, which is the
/// last.
pub(crate) struct Attributes<'a> {
    rest: Option<Reader<'a>>,
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Option<(u16, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = self.rest.take()?;
        if rest.0.len() < ATTRIBUTE_HEADER && rest.0.iter().all(|octet| *octet == 0) {
            return None;
        }
        let Some(mut inside) = rest.counted() else {
            return Some(None);
        };
        let Some(kind) = inside.u16() else {
            return Some(None);
        };
        self.rest = Some(rest);
        Some(Some((kind & NLA_TYPE_MASK, inside.rest())))
    }
}

/// The value of an attribute that is one number.
pub(crate) fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_ne_bytes)
}

/// The value of an attribute that is one address of `family`.
pub(crate) fn address(family: u8, value: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => <[u8; 4]>::try_from(value).ok().map(IpAddr::from),
        AF_INET6 => <[u8; 16]>::try_from(value).ok().map(IpAddr::from),
        _ => None,
    }
}

/// The kernel's number for the family of an address.
pub(crate) fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    }
}

/// A text, without the zero at its end.
pub(crate) fn text(value: &[u8]) -> Option<&str> {
    let end = value.iter().position(|octet| *octet == 0);
    str::from_utf8(value.get(..end.unwrap_or(value.len()))?).ok()
}
