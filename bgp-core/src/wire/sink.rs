//! Where octets are written, or only counted, by the same code.

use bytes::{BufMut, BytesMut};

/// Takes octets.
pub(super) trait Sink {
    fn put(&mut self, octets: &[u8]);

    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }
}

impl Sink for BytesMut {
    fn put(&mut self, octets: &[u8]) {
        self.put_slice(octets);
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, octets: &[u8]) {
        self.extend_from_slice(octets);
    }
}

/// Counts octets and keeps none.
#[derive(Default)]
pub(super) struct Count(pub(super) usize);

impl Sink for Count {
    fn put(&mut self, octets: &[u8]) {
        self.0 += octets.len();
    }
}
