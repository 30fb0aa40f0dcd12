//! The form of every refusal of an operator's word: what was found, what is allowed, what to do.
//!
//! The rooms that judge configuration ([`policy`](crate::policy), [`config`](crate::config)) fill
//! it in; whoever shows it adds the place (file, line and column in `bgp-daemon`).

use std::fmt;

/// Why something that an operator wrote cannot be taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Complaint {
    /// What was found, as the end of a sentence: "hold-time is 2 s".
    pub found: String,
    /// What would have been taken instead.
    pub allowed: String,
    /// What to do about it.
    pub advice: String,
}

impl Complaint {
    /// A complaint of three sentences' worth.
    pub fn new(
        found: impl Into<String>,
        allowed: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            found: found.into(),
            allowed: allowed.into(),
            advice: advice.into(),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}; allowed: {}; {}",
            self.found, self.allowed, self.advice
        )
    }
}
