//! Names of devices, with a star at the end for all that begin so.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// `cali*` is every device whose name begins with `cali`; `eth0` is that one; `*` is every one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pattern {
    stem: Arc<str>,
    open: bool,
}

/// Why a text is not a pattern.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "'{0}' is not a device pattern: 1 to 15 characters without '/' or spaces, a '*' only at the end"
)]
pub struct PatternError(String);

/// The longest name of a device: IFNAMSIZ less its final zero.
pub const MAX_NAME: usize = 15;

impl Pattern {
    /// Whether `name` is meant.
    pub fn matches(&self, name: &str) -> bool {
        if self.open {
            name.starts_with(&*self.stem)
        } else {
            name == &*self.stem
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (stem, open) = match text.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (text, false),
        };
        let wrong = |c: char| c == '/' || c == '*' || c.is_whitespace() || c.is_control();
        if (stem.is_empty() && !open) || stem.len() > MAX_NAME || stem.contains(wrong) {
            return Err(PatternError(text.to_owned()));
        }
        Ok(Self {
            stem: stem.into(),
            open,
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.stem, if self.open { "*" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_end() {
        let pattern: Pattern = "cali*".parse().unwrap();
        assert!(pattern.matches("cali0123456789a"));
        assert!(pattern.matches("cali"));
        assert!(!pattern.matches("xcali1"));
        let exact: Pattern = "eth0".parse().unwrap();
        assert!(exact.matches("eth0"));
        assert!(!exact.matches("eth01"));
        assert!("*".parse::<Pattern>().unwrap().matches("anything"));
        assert_eq!(pattern.to_string(), "cali*");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "a*b", "a b", "a/b", "1234567890123456", "**"] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
    }
}
