//! TOML values that only a node's configuration has.

use super::diagnostic::suggestion;
use super::value::{FromToml, Refusal, Value, describe, duration, refuse, text, word};
use bgp_blocks::{Encapsulation, MAX_STALE_TIME, OtherRoutes, Pattern};
use bgp_core::prefix::IpNet;
use bgp_fib::kernel::{LinkName, Mac};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use toml::de::DeValue;

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number<const MIN: u64, const MAX: u64>(pub(super) u64);

impl<const MIN: u64, const MAX: u64> FromToml for Number<MIN, MAX> {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        let allowed = format!("a whole number, {MIN} to {MAX}");
        let number = super::value::integer(value, &allowed, MAX)?;
        if number < MIN {
            let found = describe(value.get_ref());
            return refuse(value, found, allowed, "choose a number in this range");
        }
        Ok(Self(number))
    }
}

/// Our own addresses: one, or a list.
pub(super) struct Addresses(pub(super) Vec<IpNet>);

impl FromToml for Addresses {
    fn from_toml(value: &Value<'_>, source: &str) -> Result<Self, Vec<Refusal>> {
        let addresses = match value.get_ref() {
            DeValue::Array(_) => Vec::<Interface>::from_toml(value, source)?,
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Table(_) => vec![Interface::from_toml(value, source)?],
        };
        Ok(Self(addresses.into_iter().map(|one| one.0).collect()))
    }
}

/// An address with the length of its network.
struct Interface(IpNet);

impl FromToml for Interface {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        const ALLOWED: &str = "ADDRESS/LENGTH, an address of this host with its network's length";
        let text = text(value, ALLOWED, "10.0.1.11/24")?;
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self(network));
        }
        let (found, advice) = match text.parse::<IpAddr>() {
            Ok(_) => (
                format!("{text} has no length"),
                format!(
                    "write {text:?} with its network's length, as `ip address` shows it: which \
                     nodes are on the same network decides where cross-subnet pools have no tunnel"
                ),
            ),
            Err(_) => (
                format!("{text:?} is no address with a length"),
                "write it like \"10.0.1.11/24\" or \"2001:db8:1::11/64\"".to_owned(),
            ),
        };
        refuse(value, found, ALLOWED, advice)
    }
}

/// An address of another node; with the length of its network where a node may read its own
/// address from there.
#[derive(Clone, Copy)]
pub(super) struct MeshAddress {
    pub(super) address: IpAddr,
    pub(super) network: Option<IpNet>,
}

impl FromToml for MeshAddress {
    fn from_toml(value: &Value<'_>, source: &str) -> Result<Self, Vec<Refusal>> {
        if let DeValue::String(text) = value.get_ref()
            && let Ok(network) = text.parse::<IpNet>()
        {
            return Ok(Self {
                address: network.addr(),
                network: Some(network),
            });
        }
        let address = IpAddr::from_toml(value, source)?;
        Ok(Self {
            address,
            network: None,
        })
    }
}

/// Where a node listens.
pub(super) enum ListenOn {
    /// On its own addresses.
    Node,
    /// On these.
    These(Vec<SocketAddr>),
}

impl FromToml for ListenOn {
    fn from_toml(value: &Value<'_>, source: &str) -> Result<Self, Vec<Refusal>> {
        if let DeValue::Array(_) = value.get_ref() {
            return Vec::from_toml(value, source).map(Self::These);
        }
        const ALLOWED: &str = "\"node\", or a list of ADDRESS:PORT";
        if text(value, ALLOWED, "node")? == "node" {
            return Ok(Self::Node);
        }
        let advice = "write listen = \"node\" for the node's own addresses, or a list like \
                      [\"0.0.0.0:179\"]";
        refuse(value, describe(value.get_ref()), ALLOWED, advice)
    }
}

/// A node's BGP Identifier.
pub(super) enum NodeId {
    /// Made of its name.
    Hash,
    /// This one.
    Id(Ipv4Addr),
}

impl FromToml for NodeId {
    fn from_toml(value: &Value<'_>, source: &str) -> Result<Self, Vec<Refusal>> {
        match value.get_ref() {
            DeValue::String(text) if text == "hash" => Ok(Self::Hash),
            DeValue::String(text) => text.parse().map(Self::Id).or_else(|_| {
                let found = describe(value.get_ref());
                let allowed = "\"hash\", or four octets in the form of an IPv4 address";
                let none = "write it like \"10.0.0.1\", or \"hash\" to have it made of the name";
                refuse(value, found, allowed, suggestion(text, ["hash"], none))
            }),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => Ipv4Addr::from_toml(value, source).map(Self::Id),
        }
    }
}

/// How long routes stay that nobody can tell us about.
pub(super) struct StaleTime(pub(super) Duration);

impl FromToml for StaleTime {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        let hours = MAX_STALE_TIME.as_secs() / 3_600;
        let allowed = format!("whole seconds, or a number with its unit; at most {hours}h");
        match duration(value) {
            Some(time) if time <= MAX_STALE_TIME => Ok(Self(time)),
            Some(_) | None => {
                let advice = "write it like \"24h\"";
                refuse(value, describe(value.get_ref()), allowed, advice)
            }
        }
    }
}

/// The name of a network device.
pub(super) struct Device(pub(super) LinkName);

impl FromToml for Device {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        const ALLOWED: &str = "the name of a network device: 1 to 15 characters";
        let name = text(value, ALLOWED, "tunl0")?;
        let fits = (1..=15).contains(&name.len());
        if fits && name.bytes().all(|o| o.is_ascii_graphic() && o != b'/') {
            return Ok(Self(name.into()));
        }
        let advice = "`ip link` lists the devices of this host";
        refuse(value, describe(value.get_ref()), ALLOWED, advice)
    }
}

impl FromToml for Pattern {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        const ALLOWED: &str = "a name of network devices; a * at its end stands for any characters";
        let name = text(value, ALLOWED, "cali*")?;
        name.parse().or_else(|error: bgp_blocks::PatternError| {
            refuse(value, error.to_string(), ALLOWED, "write it like \"cali*\"")
        })
    }
}

impl FromToml for Mac {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        const ALLOWED: &str = "a hardware address, six octets in hexadecimal";
        let text = text(value, ALLOWED, "66:6a:07:6c:13:01")?;
        let octets: Option<Vec<u8>> = text
            .split(':')
            .map(|octet| {
                u8::from_str_radix(octet, 16)
                    .ok()
                    .filter(|_| octet.len() == 2)
            })
            .collect();
        match octets.and_then(|octets| octets.try_into().ok()) {
            Some(octets) => Ok(Self(octets)),
            None => refuse(
                value,
                describe(value.get_ref()),
                ALLOWED,
                "write it as `ip link` shows it, like \"66:6a:07:6c:13:01\"",
            ),
        }
    }
}

impl FromToml for Encapsulation {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        let words = Self::ALL.map(|one| (one.name(), one));
        word(value, "encapsulation", &words)
    }
}

impl FromToml for OtherRoutes {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        let words = Self::ALL.map(|one| (one.name(), one));
        word(value, "other routes", &words)
    }
}

/// The text that [`FromToml`] reads as `mac`.
pub(super) fn format_mac(Mac(octets): Mac) -> String {
    let octets = octets.map(|octet| format!("{octet:02x}"));
    octets.join(":")
}
