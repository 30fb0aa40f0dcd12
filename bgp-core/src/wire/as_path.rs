//! AS_PATH: segments of AS numbers (RFC 4271 §4.3, RFC 5065).

use super::reader::Reader;
use super::sink::Sink;
use super::types::{AsPath, SegmentKind};
use crate::types::Asn;
use std::fmt;

/// The most AS numbers that one segment can hold.
const MAX_SEGMENT: usize = 255;

impl SegmentKind {
    fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Set),
            2 => Some(Self::Sequence),
            3 => Some(Self::ConfedSequence),
            4 => Some(Self::ConfedSet),
            _ => None,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Set => 1,
            Self::Sequence => 2,
            Self::ConfedSequence => 3,
            Self::ConfedSet => 4,
        }
    }

    fn is_confederation(self) -> bool {
        match self {
            Self::Set | Self::Sequence => false,
            Self::ConfedSequence | Self::ConfedSet => true,
        }
    }
}

/// One segment of an [`AsPath`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// What kind.
    pub kind: SegmentKind,
    numbers: &'a [u8],
}

impl<'a> Segment<'a> {
    /// The AS numbers in it.
    pub fn numbers(self) -> impl DoubleEndedIterator<Item = Asn> + ExactSizeIterator + 'a {
        let (numbers, _) = self.numbers.as_chunks::<4>();
        numbers
            .iter()
            .map(|octets| Asn(u32::from_be_bytes(*octets)))
    }
}

impl AsPath {
    /// A path of one AS_SEQUENCE (of several, when there are more than 255 numbers).
    pub fn sequence(numbers: impl IntoIterator<Item = Asn>) -> Self {
        let numbers: Vec<Asn> = numbers.into_iter().collect();
        Self::from_segments(
            numbers
                .chunks(MAX_SEGMENT)
                .map(|part| (SegmentKind::Sequence, part.to_vec())),
        )
    }

    /// A path of the given segments. Empty ones are left out, long ones are cut in pieces of 255.
    pub fn from_segments(segments: impl IntoIterator<Item = (SegmentKind, Vec<Asn>)>) -> Self {
        let mut bytes = Vec::new();
        for (kind, numbers) in segments {
            for part in numbers.chunks(MAX_SEGMENT) {
                bytes.extend([kind.code(), u8::try_from(part.len()).unwrap_or(u8::MAX)]);
                part.iter()
                    .for_each(|asn| bytes.extend(asn.0.to_be_bytes()));
            }
        }
        Self(bytes.into())
    }

    /// Reads the value of an AS_PATH; `None` when it is malformed (RFC 7606 §7.2): an undefined
    /// segment kind, an empty segment, or one that overruns.
    pub(super) fn read(value: &[u8], four_octet: bool) -> Option<Self> {
        let width = if four_octet { 4 } else { 2 };
        let mut reader = Reader::new(value);
        let mut widened = Vec::new();
        while !reader.is_empty() {
            let kind = reader.u8()?;
            SegmentKind::from_code(kind)?;
            let count = reader.u8().filter(|count| *count > 0)?;
            let numbers = reader.take(usize::from(count) * width)?;
            if !four_octet {
                widened.extend([kind, count]);
                numbers.as_chunks::<2>().0.iter().for_each(|[high, low]| {
                    widened.extend([0, 0, *high, *low]);
                });
            }
        }
        Some(Self(if four_octet {
            value.into()
        } else {
            widened.into()
        }))
    }

    /// The segments, in order.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        let mut reader = Reader::new(&self.0);
        std::iter::from_fn(move || {
            let kind = SegmentKind::from_code(reader.u8()?)?;
            let count = reader.u8()?;
            let numbers = reader.take(usize::from(count) * 4)?;
            Some(Segment { kind, numbers })
        })
    }

    /// Every AS number, in order.
    pub fn numbers(&self) -> impl Iterator<Item = Asn> {
        self.segments().flat_map(Segment::numbers)
    }

    /// The length that the decision process compares: a set counts as one (RFC 4271 §9.1.2.2 a),
    /// confederation segments as nothing (RFC 5065 §5.3).
    pub fn length(&self) -> usize {
        self.segments()
            .map(|segment| match segment.kind {
                SegmentKind::Sequence => segment.numbers().len(),
                SegmentKind::Set => 1,
                SegmentKind::ConfedSequence | SegmentKind::ConfedSet => 0,
            })
            .sum()
    }

    /// Whether the path has no segment: the route begins in this AS.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The AS from which the route was received (RFC 4271 §9.1.2.2 c): the first number of a
    /// leading AS_SEQUENCE, confederation segments passed over.
    pub fn first_as(&self) -> Option<Asn> {
        let first = self
            .segments()
            .find(|segment| !segment.kind.is_confederation())?;
        match first.kind {
            SegmentKind::Sequence => first.numbers().next(),
            SegmentKind::Set | SegmentKind::ConfedSequence | SegmentKind::ConfedSet => None,
        }
    }

    /// The AS in which the route began: the last number, when the path ends in an AS_SEQUENCE.
    pub fn origin_as(&self) -> Option<Asn> {
        let last = self.segments().last()?;
        match last.kind {
            SegmentKind::Sequence => last.numbers().next_back(),
            SegmentKind::Set | SegmentKind::ConfedSequence | SegmentKind::ConfedSet => None,
        }
    }

    /// Whether `asn` is anywhere in the path.
    pub fn contains(&self, asn: Asn) -> bool {
        self.numbers().any(|other| other == asn)
    }

    /// The path with `asn` put in front (RFC 4271 §5.1.2 b).
    #[must_use]
    pub fn prepend(&self, asn: Asn) -> Self {
        let mut bytes = Vec::with_capacity(self.0.len() + 6);
        let sequence = SegmentKind::Sequence.code();
        match self.0.split_first_chunk::<2>() {
            Some(([kind, count], rest)) if *kind == sequence && *count < u8::MAX => {
                bytes.extend([sequence, count + 1]);
                bytes.extend(asn.0.to_be_bytes());
                bytes.extend(rest);
            }
            _ => {
                bytes.extend([sequence, 1]);
                bytes.extend(asn.0.to_be_bytes());
                bytes.extend(&self.0);
            }
        }
        Self(bytes.into())
    }

    /// Whether a segment is of a confederation (RFC 5065).
    pub(super) fn has_confederations(&self) -> bool {
        self.segments()
            .any(|segment| segment.kind.is_confederation())
    }

    /// The path without its confederation segments.
    #[must_use]
    pub(super) fn without_confederations(&self) -> Self {
        let kept = self
            .segments()
            .filter(|segment| !segment.kind.is_confederation());
        Self::from_segments(kept.map(|segment| (segment.kind, segment.numbers().collect())))
    }

    /// The path that an old speaker's AS_PATH and AS4_PATH mean together (RFC 6793 §4.2.3).
    /// Confederation segments stay where they lead the path or follow one taken whole.
    #[must_use]
    pub(super) fn merge(&self, as4: &Self) -> Self {
        let (own, new) = (self.length(), as4.length());
        if own < new {
            return self.clone();
        }
        // What AS_PATH has more in front was put there by old speakers behind the last new one.
        let mut missing = own - new;
        let mut segments = Vec::new();
        for segment in self.segments() {
            let numbers: Vec<Asn> = segment.numbers().collect();
            let (counts, keep) = match segment.kind {
                SegmentKind::Sequence => (numbers.len(), numbers.len().min(missing)),
                SegmentKind::Set => (1, if missing > 0 { numbers.len() } else { 0 }),
                SegmentKind::ConfedSequence | SegmentKind::ConfedSet => (0, numbers.len()),
            };
            if missing == 0 && counts > 0 {
                break;
            }
            missing -= counts.min(missing);
            let whole = keep == numbers.len();
            segments.push((segment.kind, numbers.into_iter().take(keep).collect()));
            if !whole {
                break;
            }
        }
        segments.extend(as4.segments().map(|s| (s.kind, s.numbers().collect())));
        Self::from_segments(join(segments))
    }

    /// Whether every number fits into two octets.
    pub(super) fn is_two_octet(&self) -> bool {
        self.numbers().all(|asn| asn.0 <= u32::from(u16::MAX))
    }

    /// Octets of the value, with AS numbers of four or of two octets.
    pub(super) fn encoded_len(&self, four_octet: bool) -> usize {
        if four_octet {
            return self.0.len();
        }
        self.segments()
            .map(|segment| 2 + 2 * segment.numbers().len())
            .sum()
    }

    /// Writes the value.
    pub(super) fn write(&self, four_octet: bool, out: &mut impl Sink) {
        if four_octet {
            return out.put(&self.0);
        }
        for segment in self.segments() {
            out.put_u8(segment.kind.code());
            out.put_u8(u8::try_from(segment.numbers().len()).unwrap_or(u8::MAX));
            segment
                .numbers()
                .for_each(|asn| out.put_u16(asn.two_octet()));
        }
    }
}

/// Neighbouring sequences become one.
fn join(segments: Vec<(SegmentKind, Vec<Asn>)>) -> Vec<(SegmentKind, Vec<Asn>)> {
    let mut joined: Vec<(SegmentKind, Vec<Asn>)> = Vec::new();
    for (kind, numbers) in segments {
        match joined.last_mut() {
            Some((SegmentKind::Sequence, last)) if kind == SegmentKind::Sequence => {
                last.extend(numbers);
            }
            _ => joined.push((kind, numbers)),
        }
    }
    joined
}

impl fmt::Display for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.segments().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            let (open, between, close) = match segment.kind {
                SegmentKind::Sequence => ("", " ", ""),
                SegmentKind::Set => ("{", ",", "}"),
                SegmentKind::ConfedSequence => ("(", " ", ")"),
                SegmentKind::ConfedSet => ("[", ",", "]"),
            };
            f.write_str(open)?;
            for (index, asn) in segment.numbers().enumerate() {
                if index > 0 {
                    f.write_str(between)?;
                }
                write!(f, "{asn}")?;
            }
            f.write_str(close)?;
        }
        Ok(())
    }
}

impl fmt::Debug for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}
