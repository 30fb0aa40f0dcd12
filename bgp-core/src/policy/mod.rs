//! Which routes may pass: named lists of rules, first match decides.
//!
//! A policy is a value that compares and hashes by what it says, because it is a part of the
//! update-group key: two peers whose policies say the same share their messages. It is pure and
//! knows neither peers nor tables.
//!
//! Without a policy everything passes on internal sessions and nothing on external ones
//! (RFC 8212); the caller decides that, not this room.
//!
//! # Text
//!
//! A [`PrefixRange`] has a written form (`10.0.0.0/8 le 26`), read and written by `text.rs`; it
//! says where in the text a fault lies, so that a configuration file can be shown with a caret.

mod text;

use crate::prefix::IpNet;
pub use text::{PrefixFault, RangeError, RangeFault, parse_prefix};

/// A named list of rules.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Policy {
    /// The name that peers refer to.
    pub name: String,
    /// Tried in order; the first that matches decides.
    pub rules: Vec<Rule>,
    /// What happens to a route that no rule matches.
    pub default: Action,
}

/// One rule: some prefixes and what to do with them.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rule {
    /// Matches when any of these does; an empty list matches every prefix.
    pub prefixes: Vec<PrefixRange>,
    /// What happens to a route that matches.
    pub action: Action,
}

/// A prefix and the lengths that its more specifics may have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PrefixRange {
    /// The covering prefix.
    pub prefix: IpNet,
    /// Shortest length that matches.
    pub min_len: u8,
    /// Longest length that matches.
    pub max_len: u8,
}

/// What a rule does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// The route passes.
    Accept,
    /// The route is refused.
    Reject,
}

impl Policy {
    /// The name of the built-in policy that lets everything pass.
    pub const ACCEPT_ALL: &'static str = "accept-all";
    /// The name of the built-in policy that lets nothing pass.
    pub const REJECT_ALL: &'static str = "reject-all";

    /// The built-in policy that lets everything pass.
    pub fn accept_all() -> Self {
        Self {
            name: Self::ACCEPT_ALL.to_owned(),
            rules: Vec::new(),
            default: Action::Accept,
        }
    }

    /// The built-in policy that lets nothing pass.
    pub fn reject_all() -> Self {
        Self {
            name: Self::REJECT_ALL.to_owned(),
            rules: Vec::new(),
            default: Action::Reject,
        }
    }

    /// What happens to a route to `prefix`.
    pub fn evaluate(&self, prefix: &IpNet) -> Action {
        self.rules
            .iter()
            .find(|rule| rule.matches(prefix))
            .map_or(self.default, |rule| rule.action)
    }
}

impl Rule {
    fn matches(&self, prefix: &IpNet) -> bool {
        self.prefixes.is_empty() || self.prefixes.iter().any(|range| range.contains(prefix))
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
        })
    }
}

impl PrefixRange {
    /// The range that holds `prefix` alone.
    pub fn exact(prefix: IpNet) -> Self {
        Self {
            prefix: prefix.trunc(),
            min_len: prefix.prefix_len(),
            max_len: prefix.prefix_len(),
        }
    }

    /// Whether `prefix` lies in the range.
    pub fn contains(&self, prefix: &IpNet) -> bool {
        self.prefix.contains(prefix) && (self.min_len..=self.max_len).contains(&prefix.prefix_len())
    }
}
