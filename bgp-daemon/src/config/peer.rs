//! `[[group]]` and `[[peer]]`: whom we talk to, and inheritance between the two.
//!
//! A group with `accept` takes dynamic neighbours; every group can be named by peers, which then
//! have its settings but for those that they set themselves.

use super::Kind;
use super::diagnostic::suggestion;
use super::policy::Policies;
use super::role::Role;
use super::section::{Places, Reader, Section};
use super::value::LongLived;
use bgp_blocks::{NodeSettings, POOLS_POLICY};
use bgp_core::complaint::Complaint;
use bgp_core::config::{DEFAULT_ACCEPT_LIMIT, DEFAULT_PORT, DynamicGroup, Peer, PeerSettings};
use bgp_core::family::FamilySet;
use bgp_core::policy::Policy;
use bgp_core::prefix::{IpNet, family_of};
use bgp_core::types::{Asn, PeerRole};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What a group or a peer says about its sessions, and what it leaves open.
#[derive(Clone, Default)]
pub(super) struct RawSettings {
    remote_as: Option<Asn>,
    pub(super) role: Option<Role>,
    families: Option<FamilySet>,
    hold_time: Option<Duration>,
    connect_retry: Option<Duration>,
    passive: Option<bool>,
    shutdown: Option<bool>,
    add_path_receive: Option<bool>,
    add_path_send: Option<bool>,
    extended_messages: Option<bool>,
    next_hop_self: Option<bool>,
    import: Option<String>,
    export: Option<String>,
    keep_when_silent: Option<bool>,
    long_lived_stale_time: Option<Duration>,
    long_lived_restart_time: Option<Duration>,
    max_prefixes: Option<u32>,
}

/// One `[[group]]`.
pub(super) struct RawGroup {
    name: Option<String>,
    accept: Option<Vec<IpNet>>,
    limit: Option<usize>,
    settings: RawSettings,
    element: String,
    places: Places,
    used: Cell<bool>,
}

/// One `[[peer]]`.
pub(super) struct RawPeer {
    name: Option<String>,
    address: Option<IpAddr>,
    port: Option<u16>,
    local_address: Option<IpAddr>,
    group: Option<String>,
    settings: RawSettings,
    element: String,
    places: Places,
}

/// Reads all `[[group]]` tables.
pub(super) fn read_groups(root: &mut Section<'_, '_>, reader: &mut Reader<'_>) -> Vec<RawGroup> {
    let sections = root.tables("group", "[[group]]", reader);
    sections
        .into_iter()
        .map(|mut section| {
            let name: Option<String> =
                section.require("name", "write name = \"nodes\", or what it is", reader);
            if let Some(name) = &name {
                section.rename(format!("group {name:?}"));
            }
            RawGroup {
                name,
                accept: section.take("accept", reader),
                limit: section.take("accept-limit", reader),
                settings: RawSettings::read(&mut section, reader),
                element: section.element().to_owned(),
                places: section.finish(reader),
                used: Cell::new(false),
            }
        })
        .collect()
}

/// Reads all `[[peer]]` tables.
pub(super) fn read_peers(root: &mut Section<'_, '_>, reader: &mut Reader<'_>) -> Vec<RawPeer> {
    let sections = root.tables("peer", "[[peer]]", reader);
    sections
        .into_iter()
        .map(|mut section| {
            let name: Option<String> = section.take("name", reader);
            let advice = "write address = \"10.0.0.1\", or where it is; for many peers of one \
                          range use a group with accept";
            let address: Option<IpAddr> = section.require("address", advice, reader);
            let known_as = name.clone().or(address.map(|address| address.to_string()));
            if let Some(known_as) = known_as {
                section.rename(format!("peer {known_as:?}"));
            }
            RawPeer {
                name,
                address,
                port: section.take("port", reader),
                local_address: section.take("local-address", reader),
                group: section.take("group", reader),
                settings: RawSettings::read(&mut section, reader),
                element: section.element().to_owned(),
                places: section.finish(reader),
            }
        })
        .collect()
}

impl RawGroup {
    /// A group that accepts nobody and that peers name.
    pub(super) fn used(name: &str, settings: RawSettings, element: String, places: Places) -> Self {
        Self {
            name: Some(name.to_owned()),
            accept: None,
            limit: None,
            settings,
            element,
            places,
            used: Cell::new(true),
        }
    }
}

impl RawPeer {
    /// A peer that has everything but its name and address from a group.
    pub(super) fn of_group(
        group: &str,
        name: String,
        address: IpAddr,
        element: String,
        places: Places,
    ) -> Self {
        Self {
            name: Some(name),
            address: Some(address),
            port: None,
            local_address: None,
            group: Some(group.to_owned()),
            settings: RawSettings::default(),
            element,
            places,
        }
    }
}

impl RawSettings {
    /// Reads those keys.
    pub(super) fn read(section: &mut Section<'_, '_>, reader: &mut Reader<'_>) -> Self {
        Self {
            remote_as: section.take("remote-as", reader),
            role: section.take("role", reader),
            families: section.take("families", reader),
            hold_time: section.take("hold-time", reader),
            connect_retry: section.take("connect-retry", reader),
            passive: section.take("passive", reader),
            shutdown: section.take("shutdown", reader),
            add_path_receive: section.take("add-path-receive", reader),
            add_path_send: section.take("add-path-send", reader),
            extended_messages: section.take("extended-messages", reader),
            next_hop_self: section.take("next-hop-self", reader),
            import: section.take("import", reader),
            export: section.take("export", reader),
            keep_when_silent: section.take("keep-when-silent", reader),
            long_lived_stale_time: section
                .take("long-lived-stale-time", reader)
                .map(|LongLived(span)| span),
            long_lived_restart_time: section
                .take("long-lived-restart-time", reader)
                .map(|LongLived(span)| span),
            max_prefixes: section.take("max-prefixes", reader),
        }
    }

    /// What `self` says, and what `group` says where it says nothing.
    fn or(self, group: &Self) -> Self {
        Self {
            remote_as: self.remote_as.or(group.remote_as),
            role: self.role.or(group.role),
            families: self.families.or(group.families),
            hold_time: self.hold_time.or(group.hold_time),
            connect_retry: self.connect_retry.or(group.connect_retry),
            passive: self.passive.or(group.passive),
            shutdown: self.shutdown.or(group.shutdown),
            add_path_receive: self.add_path_receive.or(group.add_path_receive),
            add_path_send: self.add_path_send.or(group.add_path_send),
            extended_messages: self.extended_messages.or(group.extended_messages),
            next_hop_self: self.next_hop_self.or(group.next_hop_self),
            import: self.import.or(group.import.clone()),
            export: self.export.or(group.export.clone()),
            keep_when_silent: self.keep_when_silent.or(group.keep_when_silent),
            long_lived_stale_time: self.long_lived_stale_time.or(group.long_lived_stale_time),
            long_lived_restart_time: self
                .long_lived_restart_time
                .or(group.long_lived_restart_time),
            max_prefixes: self.max_prefixes.or(group.max_prefixes),
        }
    }
}

/// What defaults depend on.
#[derive(Clone, Copy)]
pub(super) enum Own<'r> {
    /// We are a reflector.
    Reflector,
    /// We are a node with these addresses.
    Node(&'r NodeSettings),
}

impl Own<'_> {
    fn kind(self) -> Kind {
        match self {
            Self::Reflector => Kind::Reflector,
            Self::Node(_) => Kind::Node,
        }
    }

    /// A node exchanges the families in which it has an address: it could announce and forward
    /// nothing else.
    fn families(self, default: FamilySet) -> FamilySet {
        match self {
            Self::Reflector => default,
            Self::Node(node) => node.addresses.iter().map(family_of).collect(),
        }
    }

    /// A node is known to its peers by its own address, so it connects from there.
    fn local_address(self, peer: IpAddr) -> Option<IpAddr> {
        match self {
            Self::Reflector => None,
            Self::Node(node) => node.address(family_of(&IpNet::from(peer))),
        }
    }

    /// What a node's reflectors told outlives them, in the engine as in the kernel; what another
    /// node told does not.
    fn long_lived_stale_time(self, role: Option<Role>, default: Duration) -> Duration {
        match self {
            Self::Node(node) if role.is_some_and(Role::is_beside_the_traffic) => {
                Duration::from_secs(node.stale_time.as_secs())
            }
            Self::Node(_) => Duration::ZERO,
            Self::Reflector => default,
        }
    }

    /// A node takes from internal peers, and tells them, what lies in its pools and services.
    fn policy(self, role: PeerRole) -> Option<&'static str> {
        match self {
            Self::Node(_) if role.is_internal() => Some(POOLS_POLICY),
            Self::Reflector | Self::Node(_) => None,
        }
    }
}

/// All of both, as they were read.
pub(super) struct Raw {
    pub(super) groups: Vec<RawGroup>,
    pub(super) peers: Vec<RawPeer>,
}

/// Turns what was read into what it means.
pub(super) struct Resolver<'r, 's> {
    local_as: Asn,
    own: Own<'r>,
    policies: &'r Policies,
    groups: &'r [RawGroup],
    by_name: BTreeMap<&'r str, &'r RawGroup>,
    /// Equal settings are shared, so that a thousand peers of a group cost one copy.
    shared: BTreeMap<String, Vec<Arc<PeerSettings>>>,
    reader: &'r mut Reader<'s>,
}

impl<'r, 's> Resolver<'r, 's> {
    /// A resolver for a router in `local_as`.
    pub(super) fn new(
        local_as: Asn,
        own: Own<'r>,
        policies: &'r Policies,
        groups: &'r [RawGroup],
        reader: &'r mut Reader<'s>,
    ) -> Self {
        let mut by_name = BTreeMap::new();
        for group in groups {
            if let Some(name) = &group.name {
                by_name.entry(name.as_str()).or_insert(group);
            }
        }
        Self {
            local_as,
            own,
            policies,
            groups,
            by_name,
            shared: BTreeMap::new(),
            reader,
        }
    }

    /// The dynamic neighbours of a group; `None` where it accepts none, or where too little was
    /// right to judge the rest.
    pub(super) fn dynamic(&mut self, raw: &RawGroup) -> Option<(DynamicGroup, Places)> {
        self.check_group_name(raw);
        if !raw.places.values.contains_key("accept") {
            if raw.limit.is_some() {
                let complaint = Complaint::new(
                    "accept-limit without accept",
                    "",
                    "add accept = [\"PREFIX\"] to take dynamic neighbours, or remove it",
                );
                let span = raw.places.of("accept-limit");
                self.reader.error(&raw.element, span, complaint);
            }
            return None;
        }
        raw.used.set(true);
        let settings = self.settings(
            raw.settings.clone(),
            &raw.element,
            &raw.places,
            raw.name.as_deref(),
        );
        let group = DynamicGroup {
            name: raw.name.clone()?,
            accept: raw.accept.clone()?,
            limit: raw.limit.unwrap_or(DEFAULT_ACCEPT_LIMIT),
            settings: settings?,
        };
        Some((group, raw.places.clone()))
    }

    /// Groups without `accept` are not part of the engine's configuration, whose rules then do
    /// not see their names.
    fn check_group_name(&mut self, raw: &RawGroup) {
        let Some(name) = raw.name.as_deref() else {
            return;
        };
        let first = self.by_name.get(name).copied();
        let Some(first) = first.filter(|first| !std::ptr::eq(*first, raw)) else {
            return;
        };
        let both_dynamic = [first, raw].iter().all(|group| group.accept.is_some());
        if !both_dynamic {
            let complaint = Complaint::new(
                format!("a second group named {name:?}"),
                "one group of a name",
                "rename one of them",
            );
            let related = Some((first.places.of("name"), "is the other one".to_owned()));
            let span = raw.places.of("name");
            let severity = super::Severity::Error;
            self.reader
                .push(severity, &raw.element, span, complaint, related);
        }
    }

    /// A peer; `None` where too little was right to judge the rest.
    pub(super) fn peer(&mut self, raw: RawPeer) -> Option<(Peer, Places)> {
        let mut places = raw.places;
        let mut settings = raw.settings;
        let mut is_group_known = true;
        if let Some(name) = &raw.group {
            let group = self.by_name.get(name.as_str()).copied();
            is_group_known = group.is_some();
            match group {
                Some(group) => {
                    group.used.set(true);
                    settings = settings.or(&group.settings);
                    places.inherit(&group.places);
                }
                None => self.unknown_group(name, &raw.element, &places),
            }
        }
        if !is_group_known || places.refused.contains("group") {
            return None;
        }
        let settings = self.settings(settings, &raw.element, &places, raw.group.as_deref());
        let address = raw.address?;
        let peer = Peer {
            name: raw.name.unwrap_or_else(|| address.to_string()),
            address,
            port: raw.port.unwrap_or(DEFAULT_PORT),
            local_address: raw
                .local_address
                .or_else(|| self.own.local_address(address)),
            settings: settings?,
        };
        Some((peer, places))
    }

    fn unknown_group(&mut self, name: &str, element: &str, places: &Places) {
        let known = self.by_name.keys().copied();
        let complaint = Complaint::new(
            format!("no group is named {name:?}"),
            known.clone().collect::<Vec<_>>().join(", "),
            suggestion(
                name,
                known,
                "define it with [[group]], or leave the key out",
            ),
        );
        self.reader.error(element, places.of("group"), complaint);
    }

    fn settings(
        &mut self,
        raw: RawSettings,
        element: &str,
        places: &Places,
        group: Option<&str>,
    ) -> Option<Arc<PeerSettings>> {
        let (remote_as, written) = self.who(&raw, element, places).unzip();
        let role = written.map(Role::of_engine);
        let unset = role.and_then(|role| self.own.policy(role));
        let named = |name: &Option<String>| name.as_deref().or(unset).map(str::to_owned);
        let import = self.policy(named(&raw.import).as_deref(), "import", element, places);
        let export = self.policy(named(&raw.export).as_deref(), "export", element, places);
        let (remote_as, role) = remote_as.zip(role)?;
        if role == PeerRole::External {
            self.warn_default_deny("import", "come in", element, places);
            self.warn_default_deny("export", "go out", element, places);
        }
        let default = PeerSettings::new(remote_as, role);
        let settings = PeerSettings {
            group: group.unwrap_or_default().to_owned(),
            families: raw
                .families
                .unwrap_or_else(|| self.own.families(default.families)),
            hold_time: raw.hold_time.unwrap_or(default.hold_time),
            connect_retry: raw.connect_retry.unwrap_or(default.connect_retry),
            passive: raw.passive.unwrap_or(default.passive),
            shutdown: raw.shutdown.unwrap_or(default.shutdown),
            add_path_receive: raw
                .add_path_receive
                .unwrap_or(written.is_some_and(Role::tells_of_second_owners)),
            add_path_send: raw.add_path_send.unwrap_or(default.add_path_send),
            extended_messages: raw.extended_messages.unwrap_or(default.extended_messages),
            next_hop_self: raw.next_hop_self.unwrap_or(default.next_hop_self),
            import,
            export,
            keep_when_silent: raw
                .keep_when_silent
                .unwrap_or(written.is_some_and(Role::is_beside_the_traffic)),
            long_lived_stale_time: raw.long_lived_stale_time.unwrap_or_else(|| {
                self.own
                    .long_lived_stale_time(written, default.long_lived_stale_time)
            }),
            long_lived_restart_time: raw
                .long_lived_restart_time
                .unwrap_or(default.long_lived_restart_time),
            max_prefixes: raw.max_prefixes,
            ..default
        };
        Some(self.share(settings))
    }

    fn share(&mut self, settings: PeerSettings) -> Arc<PeerSettings> {
        let of_group = self.shared.entry(settings.group.clone()).or_default();
        if let Some(same) = of_group.iter().find(|known| ***known == settings) {
            return Arc::clone(same);
        }
        let settings = Arc::new(settings);
        of_group.push(Arc::clone(&settings));
        settings
    }

    /// Their AS and role, each of which may follow from the other.
    fn who(&mut self, raw: &RawSettings, element: &str, places: &Places) -> Option<(Asn, Role)> {
        if places.refused.contains("remote-as") || places.refused.contains("role") {
            return None;
        }
        let ours = self.local_as;
        let kind = self.own.kind();
        if let Some(complaint) = raw.role.and_then(|role| role.fault(kind)) {
            let element = format!("{element} role");
            self.reader.error(&element, places.of("role"), complaint);
            return None;
        }
        let missing = match (raw.remote_as, raw.role) {
            (Some(remote_as), Some(role)) => return Some((remote_as, role)),
            (Some(remote_as), None) if remote_as != ours => {
                return Some((remote_as, Role::External));
            }
            (None, Some(role)) if role.of_engine().is_internal() => return Some((ours, role)),
            (Some(_) | None, None) if kind == Kind::Node => return Some((ours, Role::Reflector)),
            (Some(_), None) => Complaint::new(
                "role is missing for a peer in our own AS",
                "client, non-client",
                "a client is reflected to everyone; a non-client (another reflector) to clients",
            ),
            (None, Some(_)) => Complaint::new(
                "remote-as is missing for an external peer",
                "an AS number other than ours",
                "write remote-as = 65001, or what their AS is",
            ),
            (None, None) => Complaint::new(
                "neither role nor remote-as",
                "role for a peer in our own AS, remote-as for one in another",
                "write role = \"client\", or remote-as = 65001, or what their AS is",
            ),
        };
        self.reader.error(element, places.header.clone(), missing);
        None
    }

    fn policy(
        &mut self,
        name: Option<&str>,
        key: &str,
        element: &str,
        places: &Places,
    ) -> Option<Arc<Policy>> {
        let element = format!("{element} {key}");
        let span = places.of(key);
        name.and_then(|name| self.policies.find(name, &element, span, self.reader))
    }

    fn warn_default_deny(&mut self, key: &str, verb: &str, element: &str, places: &Places) {
        if places.values.contains_key(key) {
            return;
        }
        let complaint = Complaint::new(
            format!("external and without {key}: no route will {verb} (RFC 8212)"),
            "",
            format!(
                "write {key} = \"accept-all\", or the name of a policy; {key} = \"reject-all\" for none"
            ),
        );
        self.reader
            .warning(element, places.header.clone(), complaint);
    }

    /// Says which policies and groups nobody uses.
    pub(super) fn warn_unused(&mut self) {
        self.policies.warn_unused(self.reader);
        for group in self.groups.iter().filter(|group| !group.used.get()) {
            let complaint = Complaint::new(
                "it accepts nobody and no peer names it",
                "",
                "add accept = [\"PREFIX\"], or group = \"NAME\" at a peer, or remove it",
            );
            let header = group.places.header.clone();
            self.reader.warning(&group.element, header, complaint);
        }
    }
}
