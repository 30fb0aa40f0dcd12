//! Prefix ranges as an operator writes them.
//!
//! ```text
//! range = prefix *( bound )        ; no bound: this prefix and no other
//! bound = ( "ge" / "le" ) length   ; each at most once, in either order
//! ```
//!
//! `P ge N` holds lengths from N to the longest of the family, `P le N` lengths from P's own to
//! N. Grammar by nom, meaning by plain code; every fault knows its offset in the text.

use super::PrefixRange;
use crate::complaint::Complaint;
use crate::family::Family;
use crate::prefix::{IpNet, family_of};
use nom::bytes::complete::take_while1;
use nom::character::complete::multispace0;
use nom::combinator::opt;
use nom::multi::many0;
use nom::sequence::preceded;
use nom::{IResult, Offset, Parser};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Why a text is no prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PrefixFault {
    /// Nothing was written.
    Empty,
    /// An address without a length.
    NoLength(IpAddr),
    /// A length that the family does not have.
    LengthTooLong {
        /// The family of the address.
        family: Family,
        /// What was written after the slash.
        length: u32,
    },
    /// Bits behind the length are not zero.
    HostBits(IpNet),
    /// Anything else.
    NoPrefix(String),
}

/// Why a text is no prefix range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RangeFault {
    /// The prefix at its beginning is none.
    Prefix(PrefixFault),
    /// A word that is neither `ge` nor `le`.
    UnknownWord(String),
    /// `ge` or `le` for the second time.
    Repeated(&'static str),
    /// `ge` or `le` without a number, or with something else.
    NoNumber {
        /// `ge` or `le`.
        bound: &'static str,
        /// What stood there; empty at the end of the text.
        found: String,
    },
    /// A length outside of what the prefix and its family allow.
    OutOfRange {
        /// `ge` or `le`.
        bound: &'static str,
        /// The length written.
        length: u32,
        /// The prefix before it.
        prefix: IpNet,
    },
    /// `ge` is more than `le`: nothing would match.
    Crossed {
        /// After `ge`.
        min_len: u8,
        /// After `le`.
        max_len: u8,
    },
}

/// A [`RangeFault`] and where it lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RangeError {
    /// Offset in octets of the word at fault.
    pub offset: usize,
    /// Octets of that word; zero at the end of the text.
    pub len: usize,
    /// What is wrong with it.
    pub fault: RangeFault,
}

/// Reads one prefix, which must have no host bits.
///
/// # Errors
///
/// What is wrong, in the order: form, length, host bits.
pub fn parse_prefix(text: &str) -> Result<IpNet, PrefixFault> {
    if text.is_empty() {
        return Err(PrefixFault::Empty);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Err(PrefixFault::NoLength(address));
    }
    let Ok(prefix) = text.parse::<IpNet>() else {
        return Err(no_prefix(text));
    };
    if prefix.trunc() == prefix {
        Ok(prefix)
    } else {
        Err(PrefixFault::HostBits(prefix))
    }
}

fn no_prefix(text: &str) -> PrefixFault {
    let parts = text.split_once('/').and_then(|(address, length)| {
        Some((address.parse::<IpAddr>().ok()?, length.parse::<u32>().ok()?))
    });
    let Some((address, length)) = parts else {
        return PrefixFault::NoPrefix(text.to_owned());
    };
    let family = family_of(&IpNet::from(address));
    if length > u32::from(family.max_prefix_len()) {
        PrefixFault::LengthTooLong { family, length }
    } else {
        PrefixFault::NoPrefix(text.to_owned())
    }
}

impl PrefixFault {
    /// What to tell the operator.
    pub fn complaint(&self) -> Complaint {
        const FORM: &str = "ADDRESS/LENGTH without host bits";
        match self {
            Self::Empty => Complaint::new("an empty prefix", FORM, "write one, or leave it out"),
            Self::NoLength(address) => Complaint::new(
                format!("{address} has no length"),
                FORM,
                format!("for this address alone write {}", IpNet::from(*address)),
            ),
            Self::LengthTooLong { family, length } => Complaint::new(
                format!("the length is {length}"),
                format!("0 to {} for {family}", family.max_prefix_len()),
                "shorten the length",
            ),
            Self::HostBits(prefix) => Complaint::new(
                format!("{prefix} has host bits"),
                FORM,
                format!("write {}", prefix.trunc()),
            ),
            Self::NoPrefix(text) => Complaint::new(
                format!("{text:?} is no prefix"),
                FORM,
                "write it like 10.0.0.0/8 or 2001:db8::/32",
            ),
        }
    }
}

impl RangeFault {
    /// What to tell the operator.
    pub fn complaint(&self) -> Complaint {
        const FORM: &str = "PREFIX, then \"ge LENGTH\" and \"le LENGTH\" at most once each";
        match self {
            Self::Prefix(fault) => fault.complaint(),
            Self::UnknownWord(word) => Complaint::new(
                format!("{word:?} after the prefix"),
                FORM,
                "for this prefix and no other write nothing after it",
            ),
            Self::Repeated(bound) => {
                Complaint::new(format!("a second {bound:?}"), FORM, "leave one of them out")
            }
            Self::NoNumber { bound, found } => Complaint::new(
                if found.is_empty() {
                    format!("nothing after {bound:?}")
                } else {
                    format!("{found:?} after {bound:?}")
                },
                FORM,
                format!("write a length, as in \"{bound} 24\""),
            ),
            Self::OutOfRange {
                bound,
                length,
                prefix,
            } => Complaint::new(
                format!("{bound} {length} for {prefix}"),
                format!(
                    "{} to {}, the lengths that more specifics of {prefix} can have",
                    prefix.prefix_len(),
                    prefix.max_prefix_len()
                ),
                "a length outside of these matches nothing",
            ),
            Self::Crossed { min_len, max_len } => Complaint::new(
                format!("ge {min_len} with le {max_len} matches nothing"),
                "ge at most as long as le",
                format!("did you mean \"ge {max_len} le {min_len}\"?"),
            ),
        }
    }
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.complaint().fmt(f)
    }
}

impl std::error::Error for RangeError {}

impl fmt::Display for PrefixRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.prefix.prefix_len();
        self.prefix.fmt(f)?;
        if (self.min_len, self.max_len) == (own, own) {
            return Ok(());
        }
        if self.min_len != own {
            write!(f, " ge {}", self.min_len)?;
        }
        if self.max_len != self.prefix.max_prefix_len() || self.min_len == own {
            write!(f, " le {}", self.max_len)?;
        }
        Ok(())
    }
}

impl FromStr for PrefixRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let (prefix_word, bounds) = words(text);
        let at = |word: &str, fault| RangeError {
            offset: text.offset(word),
            len: word.len(),
            fault,
        };
        let prefix = parse_prefix(prefix_word)
            .map_err(|fault| at(prefix_word, RangeFault::Prefix(fault)))?;
        let (mut min, mut max) = (None, None);
        for (word, number) in bounds {
            let (bound, slot) = match word {
                "ge" => ("ge", &mut min),
                "le" => ("le", &mut max),
                _ => return Err(at(word, RangeFault::UnknownWord(word.to_owned()))),
            };
            if slot.is_some() {
                return Err(at(word, RangeFault::Repeated(bound)));
            }
            *slot = Some(length(bound, number, &prefix).map_err(|fault| at(number, fault))?);
        }
        if let (Some(min_len), Some(max_len)) = (min, max)
            && min_len > max_len
        {
            return Err(RangeError {
                offset: 0,
                len: text.len(),
                fault: RangeFault::Crossed { min_len, max_len },
            });
        }
        let own = prefix.prefix_len();
        let longest = if min.is_some() {
            prefix.max_prefix_len()
        } else {
            own
        };
        Ok(Self {
            prefix,
            min_len: min.unwrap_or(own),
            max_len: max.unwrap_or(longest),
        })
    }
}

fn length(bound: &'static str, number: &str, prefix: &IpNet) -> Result<u8, RangeFault> {
    let length: u32 = number.parse().map_err(|_| RangeFault::NoNumber {
        bound,
        found: number.to_owned(),
    })?;
    u8::try_from(length)
        .ok()
        .filter(|length| (prefix.prefix_len()..=prefix.max_prefix_len()).contains(length))
        .ok_or(RangeFault::OutOfRange {
            bound,
            length,
            prefix: *prefix,
        })
}

/// The words of a range: the prefix and each bound with its number, all of them parts of `text`.
/// What is not there is empty and stands where it was missed.
fn words(text: &str) -> (&str, Vec<(&str, &str)>) {
    fn word(input: &str) -> IResult<&str, &str> {
        preceded(multispace0, take_while1(|c: char| !c.is_whitespace())).parse(input)
    }
    fn bound(input: &str) -> IResult<&str, (&str, &str)> {
        let (rest, bound) = word(input)?;
        let (rest, number) = opt(word).parse(rest)?;
        Ok((rest, (bound, number.unwrap_or(rest.trim_start()))))
    }
    let end = &text[text.len()..];
    (word, many0(bound))
        .parse(text)
        .map_or((end, Vec::new()), |(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(text: &str) -> (u8, u8) {
        let range: PrefixRange = text.parse().unwrap();
        (range.min_len, range.max_len)
    }

    #[test]
    fn bounds_mean_what_they_say() {
        assert_eq!(range("10.0.0.0/8"), (8, 8));
        assert_eq!(range("10.0.0.0/8 le 26"), (8, 26));
        assert_eq!(range("10.0.0.0/8 ge 24"), (24, 32));
        assert_eq!(range("10.0.0.0/8 ge 24 le 26"), (24, 26));
        assert_eq!(range(" 10.0.0.0/8  le 26\tge 24 "), (24, 26));
        assert_eq!(range("2001:db8::/32 ge 48"), (48, 128));
        assert_eq!(range("0.0.0.0/0 le 32"), (0, 32));
    }

    #[test]
    fn every_fault_has_its_place_and_its_name() {
        let cases = [
            ("", 0, 0, "an empty prefix"),
            ("10.0.0.1", 0, 8, "10.0.0.1 has no length"),
            ("10.0.0.0/33", 0, 11, "the length is 33"),
            ("10.0.0.1/8 le 9", 0, 10, "10.0.0.1/8 has host bits"),
            ("ten", 0, 3, "\"ten\" is no prefix"),
            ("10.0.0.0/8 lt 9", 11, 2, "\"lt\" after the prefix"),
            ("10.0.0.0/8 le 9 le 9", 16, 2, "a second \"le\""),
            ("10.0.0.0/8 le", 13, 0, "nothing after \"le\""),
            ("10.0.0.0/8 le x", 14, 1, "\"x\" after \"le\""),
            ("10.0.0.0/8 le 7", 14, 1, "le 7 for 10.0.0.0/8"),
            ("10.0.0.0/8 ge 33", 14, 2, "ge 33 for 10.0.0.0/8"),
            (
                "10.0.0.0/8 ge 9 le 8",
                0,
                20,
                "ge 9 with le 8 matches nothing",
            ),
        ];
        for (text, offset, len, found) in cases {
            let error = text.parse::<PrefixRange>().unwrap_err();
            assert_eq!((error.offset, error.len), (offset, len), "{text:?}");
            assert_eq!(error.fault.complaint().found, found, "{text:?}");
        }
    }

    #[test]
    fn host_bits_are_answered_with_the_right_prefix() {
        let error = "2001:db8::1/32".parse::<PrefixRange>().unwrap_err();
        assert_eq!(error.fault.complaint().advice, "write 2001:db8::/32");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            address: [u8; 16], v6: bool, len in 0u8..=128, min in 0u8..=128, max in 0u8..=128,
        ) {
            let address = if v6 {
                IpAddr::from(address)
            } else {
                IpAddr::from([address[0], address[1], address[2], address[3]])
            };
            let longest = if v6 { 128 } else { 32 };
            let len = len.min(longest);
            let min_len = min.clamp(len, longest);
            let prefix = IpNet::new(address, len).unwrap().trunc();
            let range = PrefixRange { prefix, min_len, max_len: max.clamp(min_len, longest) };
            prop_assert_eq!(range.to_string().parse::<PrefixRange>(), Ok(range));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            if let Err(error) = text.parse::<PrefixRange>() {
                prop_assert!(error.offset + error.len <= text.len());
            }
        }
    }
}
