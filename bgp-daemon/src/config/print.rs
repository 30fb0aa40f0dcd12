//! A [`DaemonConfig`] as the text that would give it: complete, with every default written out.

use super::value::format_duration;
use super::{DaemonConfig, print_node};
use bgp_core::config::{DynamicGroup, Peer, PeerSettings, Router};
use bgp_core::policy::Policy;
use std::collections::BTreeSet;
use std::fmt::{self, Display};

impl Display for DaemonConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => print_node::node(f, node, self)?,
            None => router(f, &self.speaker.router, &self.listen)?,
        }
        let role = match &self.node {
            Some(_) => print_node::role,
            None => |settings: &PeerSettings| settings.role.to_string(),
        };
        for one in &self.policies {
            policy(f, one)?;
        }
        for group in &self.speaker.dynamic {
            dynamic(f, group, role)?;
        }
        let dynamic = self.speaker.dynamic.iter().map(|group| group.name.as_str());
        let named = self.speaker.peers.iter();
        let mut named: BTreeSet<&str> = named.map(|peer| peer.settings.group.as_str()).collect();
        named.remove("");
        dynamic.for_each(|name| {
            named.remove(name);
        });
        for name in named {
            writeln!(
                f,
                "\n[[group]]\n# Accepts nobody; its settings stand at its peers."
            )?;
            key(f, "name", quoted(name))?;
        }
        self.speaker
            .peers
            .iter()
            .try_for_each(|one| peer(f, one, role))
    }
}

/// How the role of a peer is called.
type Role = fn(&PeerSettings) -> String;

fn router(f: &mut fmt::Formatter<'_>, router: &Router, listen: &[impl Display]) -> fmt::Result {
    writeln!(f, "[router]")?;
    key(f, "as", router.asn)?;
    key(f, "router-id", quoted(router.router_id))?;
    key(f, "cluster-id", quoted(router.cluster_id))?;
    key(f, "listen", list(listen))?;
    key(f, "client-to-client", router.client_to_client)?;
    key(f, "settle", quoted(format_duration(router.settle)))?;
    key(
        f,
        "restart-time",
        quoted(format_duration(router.restart_time)),
    )?;
    key(
        f,
        "restart-deferral",
        quoted(format_duration(router.restart_deferral)),
    )?;
    key(f, "host-name", quoted(&router.host_name))
}

fn policy(f: &mut fmt::Formatter<'_>, policy: &Policy) -> fmt::Result {
    writeln!(f, "\n[[policy]]")?;
    key(f, "name", quoted(&policy.name))?;
    key(f, "default", quoted(policy.default))?;
    for rule in &policy.rules {
        writeln!(f, "[[policy.rule]]")?;
        if rule.prefixes.is_empty() {
            writeln!(f, "# prefixes: not set, matches every prefix")?;
        } else {
            key(f, "prefixes", list(&rule.prefixes))?;
        }
        key(f, "action", quoted(rule.action))?;
    }
    Ok(())
}

fn dynamic(f: &mut fmt::Formatter<'_>, group: &DynamicGroup, role: Role) -> fmt::Result {
    writeln!(f, "\n[[group]]")?;
    key(f, "name", quoted(&group.name))?;
    key(f, "accept", list(&group.accept))?;
    key(f, "accept-limit", group.limit)?;
    settings(f, &group.settings, role)
}

fn peer(f: &mut fmt::Formatter<'_>, peer: &Peer, role: Role) -> fmt::Result {
    writeln!(f, "\n[[peer]]")?;
    key(f, "name", quoted(&peer.name))?;
    key(f, "address", quoted(peer.address))?;
    key(f, "port", peer.port)?;
    match peer.local_address {
        Some(address) => key(f, "local-address", quoted(address))?,
        None => writeln!(f, "# local-address: not set, the host chooses")?,
    }
    if !peer.settings.group.is_empty() {
        key(f, "group", quoted(&peer.settings.group))?;
    }
    settings(f, &peer.settings, role)
}

fn settings(f: &mut fmt::Formatter<'_>, settings: &PeerSettings, role: Role) -> fmt::Result {
    key(f, "remote-as", settings.remote_as)?;
    key(f, "role", quoted(role(settings)))?;
    let families: Vec<_> = settings.families.iter().collect();
    key(f, "families", list(&families))?;
    key(f, "hold-time", quoted(format_duration(settings.hold_time)))?;
    key(
        f,
        "connect-retry",
        quoted(format_duration(settings.connect_retry)),
    )?;
    key(f, "passive", settings.passive)?;
    key(f, "shutdown", settings.shutdown)?;
    key(f, "add-path-receive", settings.add_path_receive)?;
    key(f, "add-path-send", settings.add_path_send)?;
    key(f, "extended-messages", settings.extended_messages)?;
    key(f, "next-hop-self", settings.next_hop_self)?;
    let everything = settings.role.is_internal();
    policy_name(f, "import", settings.import.as_deref(), everything)?;
    policy_name(f, "export", settings.export.as_deref(), everything)?;
    key(f, "keep-when-silent", settings.keep_when_silent)?;
    key(
        f,
        "long-lived-stale-time",
        quoted(format_duration(settings.long_lived_stale_time)),
    )?;
    key(
        f,
        "long-lived-restart-time",
        quoted(format_duration(settings.long_lived_restart_time)),
    )?;
    match settings.max_prefixes {
        Some(limit) => key(f, "max-prefixes", limit),
        None => writeln!(f, "# max-prefixes: not set, no limit"),
    }
}

fn policy_name(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    policy: Option<&Policy>,
    everything: bool,
) -> fmt::Result {
    match policy {
        Some(policy) => key(f, name, quoted(&policy.name)),
        None if everything => writeln!(f, "# {name}: not set, everything passes (internal)"),
        None => writeln!(f, "# {name}: not set, nothing passes (external, RFC 8212)"),
    }
}

pub(super) fn key(f: &mut fmt::Formatter<'_>, name: &str, value: impl Display) -> fmt::Result {
    writeln!(f, "{name} = {value}")
}

/// A TOML string.
pub(super) fn quoted(value: impl Display) -> String {
    toml::Value::String(value.to_string()).to_string()
}

/// A TOML list of strings.
pub(super) fn list(values: &[impl Display]) -> String {
    let values: Vec<String> = values.iter().map(quoted).collect();
    format!("[{}]", values.join(", "))
}
