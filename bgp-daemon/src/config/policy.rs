//! `[[policy]]` and `[[policy.rule]]`: what may pass.

use super::diagnostic::{Span, suggestion};
use super::section::{Reader, Section};
use bgp_core::complaint::Complaint;
use bgp_core::policy::{Action, Policy, PrefixRange, Rule};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The policies that peers can name.
pub(super) struct Policies {
    built_in: Vec<Arc<Policy>>,
    defined: Vec<Defined>,
}

struct Defined {
    policy: Arc<Policy>,
    name_span: Span,
    used: Cell<bool>,
}

impl Policies {
    /// Reads all tables. `pools` is what a node has built in besides.
    pub(super) fn read(
        root: &mut Section<'_, '_>,
        pools: Option<Policy>,
        reader: &mut Reader<'_>,
    ) -> Self {
        let mut policies = Self {
            built_in: [Policy::accept_all(), Policy::reject_all()]
                .into_iter()
                .chain(pools)
                .map(Arc::new)
                .collect(),
            defined: Vec::new(),
        };
        for section in root.tables("policy", "[[policy]]", reader) {
            policies.read_one(section, reader);
        }
        policies
    }

    fn read_one(&mut self, mut section: Section<'_, '_>, reader: &mut Reader<'_>) {
        let advice = "write name = \"…\", and the same name at import or export of peers";
        let name: Option<String> = section.require("name", advice, reader);
        let name_span = section.places().of("name");
        if let Some(name) = &name {
            section.rename(format!("policy {name:?}"));
            self.check_name(name, name_span.clone(), reader);
        }
        let default = section.take("default", reader).unwrap_or(Action::Reject);
        let element = format!("{} rule", section.element());
        let rules = section.tables("rule", "[[policy.rule]]", reader);
        let rules = rules
            .into_iter()
            .map(|rule| read_rule(rule, &element, reader))
            .collect();
        section.finish(reader);
        let policy = Policy {
            name: name.unwrap_or_default(),
            rules,
            default,
        };
        self.defined.push(Defined {
            policy: Arc::new(policy),
            name_span,
            used: Cell::new(false),
        });
    }

    fn check_name(&self, name: &str, span: Span, reader: &mut Reader<'_>) {
        let built_in_names: Vec<&str> = self.built_in.iter().map(|p| p.name.as_str()).collect();
        let built_in = built_in_names.contains(&name);
        let taken = self.defined.iter().find(|other| other.policy.name == name);
        let element = format!("policy {name:?}");
        if built_in {
            let complaint = Complaint::new(
                "the name of a built-in policy",
                format!("any name but {}", built_in_names.join(", ")),
                "rename it; built-in policies need not be written down",
            );
            reader.error(&element, span, complaint);
        } else if let Some(other) = taken {
            let complaint = Complaint::new(
                "a second policy of this name",
                "one policy of a name",
                "rename one of them",
            );
            let related = Some((other.name_span.clone(), "is the other one".to_owned()));
            let severity = super::Severity::Error;
            reader.push(severity, &element, span, complaint, related);
        } else if name.is_empty() {
            let complaint = Complaint::new("an empty name", "any other name", "give it one");
            reader.error(&element, span, complaint);
        }
    }

    /// The policy called `name`, which stands at `span`.
    pub(super) fn find(
        &self,
        name: &str,
        element: &str,
        span: Span,
        reader: &mut Reader<'_>,
    ) -> Option<Arc<Policy>> {
        if let Some(policy) = self.built_in.iter().find(|policy| policy.name == name) {
            return Some(Arc::clone(policy));
        }
        if let Some(defined) = self.defined.iter().find(|d| d.policy.name == name) {
            defined.used.set(true);
            return Some(Arc::clone(&defined.policy));
        }
        let known = self.names();
        let complaint = Complaint::new(
            format!("no policy is named {name:?}"),
            known.join(", "),
            suggestion(
                name,
                known.iter().copied(),
                "define it with [[policy]], or choose one of these",
            ),
        );
        reader.error(element, span, complaint);
        None
    }

    fn names(&self) -> Vec<&str> {
        let built_in = self.built_in.iter();
        let defined = self.defined.iter().map(|defined| &defined.policy);
        let names = built_in.chain(defined).map(|policy| policy.name.as_str());
        let mut seen = BTreeSet::new();
        names
            .filter(|name| !name.is_empty() && seen.insert(*name))
            .collect()
    }

    /// Says which of them nobody names.
    pub(super) fn warn_unused(&self, reader: &mut Reader<'_>) {
        for defined in self.defined.iter().filter(|d| !d.used.get()) {
            let complaint = Complaint::new(
                "no peer names it",
                "",
                "write its name at import or export of a peer or group, or remove it",
            );
            let element = format!("policy {:?}", defined.policy.name);
            reader.warning(&element, defined.name_span.clone(), complaint);
        }
    }

    /// The policies of the file.
    pub(super) fn into_vec(self) -> Vec<Arc<Policy>> {
        self.defined.into_iter().map(|d| d.policy).collect()
    }
}

fn read_rule(mut section: Section<'_, '_>, element: &str, reader: &mut Reader<'_>) -> Rule {
    section.rename(element.to_owned());
    let prefixes = section.take::<Vec<PrefixRange>>("prefixes", reader);
    if prefixes.as_ref().is_some_and(Vec::is_empty) {
        let complaint = Complaint::new(
            "an empty list of prefixes",
            "at least one prefix, or no key at all",
            "leave the key out to match every prefix",
        );
        let span = section.places().of("prefixes");
        reader.error(element, span, complaint);
    }
    let advice = "write action = \"accept\" or action = \"reject\"";
    let action = section.require("action", advice, reader);
    section.finish(reader);
    Rule {
        prefixes: prefixes.unwrap_or_default(),
        action: action.unwrap_or(Action::Reject),
    }
}
