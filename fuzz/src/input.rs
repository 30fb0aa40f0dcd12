//! Choices taken from the octets of an input.

/// The rest of an input. Past its end there are zeros.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// All of `octets`.
    pub fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    /// Whether everything has been used.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next octet.
    pub fn octet(&mut self) -> u8 {
        let (octet, rest) = self.rest.split_first().unwrap_or((&0, &[]));
        self.rest = rest;
        *octet
    }

    /// A number of two octets.
    pub fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.octet(), self.octet()])
    }

    /// The next octets, as many as the one before them says.
    pub fn piece(&mut self) -> &'a [u8] {
        let length = usize::from(self.octet()).min(self.rest.len());
        let (piece, rest) = self.rest.split_at(length);
        self.rest = rest;
        piece
    }

    /// Everything that is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }
}
