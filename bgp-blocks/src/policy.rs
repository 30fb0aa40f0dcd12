//! Which prefixes may come in and go out: pools and services, and nothing else.

use crate::settings::NodeSettings;
use bgp_core::family::Family;
use bgp_core::policy::{Action, Policy, PrefixRange, Rule};
use bgp_core::prefix::{IpNet, family_of};

/// The name of the policy that [`NodeSettings::policy`] gives.
pub const POOLS_POLICY: &str = "pools";

impl NodeSettings {
    /// What a node takes from and tells its peers where nothing else is said: prefixes that lie in
    /// a pool or in a service prefix, or are equal to one. A default route that somebody announces
    /// by mistake goes nowhere.
    pub fn policy(&self) -> Policy {
        let pools = self.pools.iter().map(|pool| pool.prefix);
        let prefixes: Vec<PrefixRange> = pools
            .chain(self.services.iter().copied())
            .map(with_all_inside)
            .collect();
        // A rule without prefixes would match every prefix.
        let rules = if prefixes.is_empty() {
            Vec::new()
        } else {
            vec![Rule {
                prefixes,
                action: Action::Accept,
            }]
        };
        Policy {
            name: POOLS_POLICY.to_owned(),
            rules,
            default: Action::Reject,
        }
    }
}

fn with_all_inside(prefix: IpNet) -> PrefixRange {
    let family: Family = family_of(&prefix);
    PrefixRange {
        prefix,
        min_len: prefix.prefix_len(),
        max_len: family.max_prefix_len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Pool;
    use bgp_core::types::RouterId;

    #[test]
    fn pools_and_services_pass_and_nothing_else() {
        let id = RouterId([10, 0, 0, 1].into());
        let mut settings = NodeSettings::new("a", id);
        let refused = Action::Reject;
        let any = "10.244.0.0/26".parse().unwrap();
        assert_eq!(settings.policy().evaluate(&any), refused);
        settings.pools = vec![Pool::new("10.244.0.0/16".parse().unwrap())];
        settings.services = vec!["10.96.0.0/12".parse().unwrap()];
        let policy = settings.policy();
        let verdicts = [
            ("10.244.0.0/16", true),
            ("10.244.3.64/26", true),
            ("10.244.3.64/32", true),
            ("10.96.0.10/32", true),
            ("10.244.0.0/15", false),
            ("0.0.0.0/0", false),
            ("192.0.2.0/24", false),
            ("fd00::/64", false),
        ];
        for (prefix, passes) in verdicts {
            let verdict = policy.evaluate(&prefix.parse().unwrap());
            assert_eq!(verdict == Action::Accept, passes, "{prefix}");
        }
    }
}
