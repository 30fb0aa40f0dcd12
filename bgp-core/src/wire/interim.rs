//! Stands in until the codec lands.

use super::AsPath;
use crate::types::Asn;

impl AsPath {
    /// An AS_PATH from its four-octet wire form.
    pub fn new(bytes: Box<[u8]>) -> Self {
        Self(bytes)
    }

    fn segments(&self) -> Vec<(u8, Vec<Asn>)> {
        let (mut rest, mut segments) = (&self.0[..], Vec::new());
        while let [kind, count, tail @ ..] = rest {
            let (numbers, after) = tail.split_at((usize::from(*count) * 4).min(tail.len()));
            let (numbers, _) = numbers.as_chunks::<4>();
            let numbers = numbers.iter().map(|n| Asn(u32::from_be_bytes(*n)));
            segments.push((*kind, numbers.collect()));
            rest = after;
        }
        segments
    }

    /// The length that the decision process compares.
    pub fn length(&self) -> usize {
        let length = |(kind, numbers): (u8, Vec<Asn>)| match kind {
            1 => 1,
            2 => numbers.len(),
            _ => 0,
        };
        self.segments().into_iter().map(length).sum()
    }

    /// The AS that the path begins with, if it begins with a sequence.
    pub fn first_as(&self) -> Option<Asn> {
        let first = self.segments().into_iter().next()?;
        (first.0 == 2).then(|| first.1.first().copied())?
    }

    /// Whether `asn` is in the path.
    pub fn contains(&self, asn: Asn) -> bool {
        self.segments()
            .iter()
            .any(|(_, numbers)| numbers.contains(&asn))
    }

    /// The path with `asn` in front.
    #[must_use]
    pub fn prepend(&self, asn: Asn) -> Self {
        let mut bytes = self.0.to_vec();
        match bytes.get(..2) {
            Some([2, count]) if *count < 255 => {
                bytes[1] += 1;
                bytes.splice(2..2, asn.0.to_be_bytes());
            }
            _ => {
                bytes.splice(0..0, [2, 1].into_iter().chain(asn.0.to_be_bytes()));
            }
        }
        Self(bytes.into())
    }
}
