//! Which routes may pass: named lists of rules, first match decides.
//!
//! A policy is a value that compares and hashes by what it says, because it is a part of the
//! update-group key: two peers whose policies say the same share their messages. It is pure and
//! knows neither peers nor tables.
//!
//! Without a policy everything passes on internal sessions and nothing on external ones
//! (RFC 8212); the caller decides that, not this room.

use crate::prefix::IpNet;

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

impl PrefixRange {
    /// Whether `prefix` lies in the range.
    pub fn contains(&self, prefix: &IpNet) -> bool {
        self.prefix.contains(prefix) && (self.min_len..=self.max_len).contains(&prefix.prefix_len())
    }
}
