//! BGP messages by hand: octets that no codec would write, and a reading of what comes back that
//! shares nothing with the codec under test.
//!
//! Writing: each function gives the octets of one part, and the parts may be put together wrongly
//! on purpose. Reading: [`ParsedUpdate`] keeps the attributes as they were on the wire (flags,
//! code, value, order), because that is what the RFCs speak about.

use bgp_core::prefix::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Message types (RFC 4271 §4.1, RFC 2918).
pub mod kind {
    /// OPEN
    pub const OPEN: u8 = 1;
    /// UPDATE
    pub const UPDATE: u8 = 2;
    /// NOTIFICATION
    pub const NOTIFICATION: u8 = 3;
    /// KEEPALIVE
    pub const KEEPALIVE: u8 = 4;
    /// ROUTE-REFRESH
    pub const ROUTE_REFRESH: u8 = 5;
}

/// Path attribute type codes.
pub mod code {
    /// ORIGIN
    pub const ORIGIN: u8 = 1;
    /// AS_PATH
    pub const AS_PATH: u8 = 2;
    /// NEXT_HOP
    pub const NEXT_HOP: u8 = 3;
    /// MULTI_EXIT_DISC
    pub const MED: u8 = 4;
    /// LOCAL_PREF
    pub const LOCAL_PREF: u8 = 5;
    /// ATOMIC_AGGREGATE
    pub const ATOMIC_AGGREGATE: u8 = 6;
    /// AGGREGATOR
    pub const AGGREGATOR: u8 = 7;
    /// COMMUNITIES
    pub const COMMUNITIES: u8 = 8;
    /// ORIGINATOR_ID
    pub const ORIGINATOR_ID: u8 = 9;
    /// CLUSTER_LIST
    pub const CLUSTER_LIST: u8 = 10;
    /// MP_REACH_NLRI
    pub const MP_REACH: u8 = 14;
    /// MP_UNREACH_NLRI
    pub const MP_UNREACH: u8 = 15;
    /// EXTENDED COMMUNITIES
    pub const EXTENDED_COMMUNITIES: u8 = 16;
    /// AS4_PATH
    pub const AS4_PATH: u8 = 17;
    /// AS4_AGGREGATOR
    pub const AS4_AGGREGATOR: u8 = 18;
    /// LARGE_COMMUNITY
    pub const LARGE_COMMUNITIES: u8 = 32;
    /// OTC
    pub const OTC: u8 = 35;
}

/// Attribute flags (RFC 4271 §4.3).
pub mod flag {
    /// Well-known: transitive alone.
    pub const WELL_KNOWN: u8 = 0x40;
    /// Optional transitive.
    pub const TRANSITIVE: u8 = 0xc0;
    /// Optional non-transitive.
    pub const OPTIONAL: u8 = 0x80;
    /// Partial.
    pub const PARTIAL: u8 = 0x20;
    /// Two octets of length.
    pub const EXTENDED: u8 = 0x10;
}

/// Capability codes.
pub mod capability {
    /// Multiprotocol
    pub const MULTIPROTOCOL: u8 = 1;
    /// Route refresh
    pub const ROUTE_REFRESH: u8 = 2;
    /// Extended next hop encoding
    pub const EXTENDED_NEXT_HOP: u8 = 5;
    /// Extended message
    pub const EXTENDED_MESSAGE: u8 = 6;
    /// BGP role
    pub const ROLE: u8 = 9;
    /// Graceful restart
    pub const GRACEFUL_RESTART: u8 = 64;
    /// Four-octet AS number
    pub const FOUR_OCTET_AS: u8 = 65;
    /// ADD-PATH
    pub const ADD_PATH: u8 = 69;
    /// Enhanced route refresh
    pub const ENHANCED_REFRESH: u8 = 70;
    /// FQDN
    pub const FQDN: u8 = 73;
    /// Software version
    pub const SOFTWARE_VERSION: u8 = 75;
}

/// Octets of a header.
pub const HEADER_LEN: usize = 19;

/// A whole message: marker, length, type and body.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(HEADER_LEN + body.len()).unwrap_or(u16::MAX);
    let mut octets = vec![0xff; 16];
    octets.extend(length.to_be_bytes());
    octets.push(kind);
    octets.extend(body);
    octets
}

/// A KEEPALIVE.
pub fn keepalive() -> Vec<u8> {
    message(kind::KEEPALIVE, &[])
}

/// A NOTIFICATION.
pub fn notification(code: u8, subcode: u8, data: &[u8]) -> Vec<u8> {
    let mut body = vec![code, subcode];
    body.extend(data);
    message(kind::NOTIFICATION, &body)
}

/// A ROUTE-REFRESH.
pub fn route_refresh(afi: u16, subtype: u8, safi: u8) -> Vec<u8> {
    let [high, low] = afi.to_be_bytes();
    message(kind::ROUTE_REFRESH, &[high, low, subtype, safi])
}

/// An OPEN in parts that may disagree with each other.
#[derive(Clone, Debug)]
pub struct Open {
    /// BGP version.
    pub version: u8,
    /// My Autonomous System, and the four-octet AS capability unless [`Open::two_octet`].
    pub asn: u32,
    /// Leave out the four-octet AS capability.
    pub two_octet: bool,
    /// Hold time in seconds.
    pub hold_time: u16,
    /// BGP Identifier.
    pub router_id: Ipv4Addr,
    /// Capability codes and values, before the four-octet AS.
    pub capabilities: Vec<(u8, Vec<u8>)>,
}

impl Open {
    /// An OPEN of today: version 4, hold time 180, IPv4 and IPv6 unicast, route refresh.
    pub fn new(asn: u32, router_id: Ipv4Addr) -> Self {
        Self {
            version: 4,
            asn,
            two_octet: false,
            hold_time: 180,
            router_id,
            capabilities: vec![
                (capability::MULTIPROTOCOL, vec![0, 1, 0, 1]),
                (capability::MULTIPROTOCOL, vec![0, 2, 0, 1]),
                (capability::ROUTE_REFRESH, Vec::new()),
            ],
        }
    }

    /// With one capability more.
    #[must_use]
    pub fn with(mut self, code: u8, value: &[u8]) -> Self {
        self.capabilities.push((code, value.to_vec()));
        self
    }

    /// The fixed fields, and one optional parameter with all capabilities.
    pub fn encode(&self) -> Vec<u8> {
        let mut capabilities = Vec::new();
        for (code, value) in &self.capabilities {
            capabilities.extend(tlv(*code, value));
        }
        if !self.two_octet {
            capabilities.extend(tlv(capability::FOUR_OCTET_AS, &self.asn.to_be_bytes()));
        }
        let parameters = if capabilities.is_empty() {
            Vec::new()
        } else {
            tlv(2, &capabilities)
        };
        self.encode_with(&parameters)
    }

    /// The fixed fields, and optional parameters as given.
    pub fn encode_with(&self, parameters: &[u8]) -> Vec<u8> {
        let mut body = vec![self.version];
        body.extend(u16::try_from(self.asn).unwrap_or(23_456).to_be_bytes());
        body.extend(self.hold_time.to_be_bytes());
        body.extend(self.router_id.octets());
        body.push(u8::try_from(parameters.len()).unwrap_or(u8::MAX));
        body.extend(parameters);
        message(kind::OPEN, &body)
    }

    /// The fixed fields, and the capabilities in the extended form (RFC 9072): both lengths 255,
    /// then two octets of length for the whole and for each parameter.
    pub fn encode_with_extended(&self, capabilities: &[u8]) -> Vec<u8> {
        let length = |octets: &[u8]| {
            u16::try_from(octets.len())
                .unwrap_or(u16::MAX)
                .to_be_bytes()
        };
        let mut parameter = vec![2];
        parameter.extend(length(capabilities));
        parameter.extend(capabilities);
        let mut parameters = vec![255];
        parameters.extend(length(&parameter));
        parameters.extend(parameter);
        let mut octets = self.encode_with(&parameters);
        octets[HEADER_LEN + 9] = 255;
        octets
    }
}

/// Code, one octet of length, value: an optional parameter or a capability.
pub fn tlv(code: u8, value: &[u8]) -> Vec<u8> {
    let mut octets = vec![code, u8::try_from(value.len()).unwrap_or(u8::MAX)];
    octets.extend(value);
    octets
}

/// A path attribute; its length takes two octets when it must, or when `flags` say so.
pub fn attribute(flags: u8, code: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    let mut octets;
    match u8::try_from(length) {
        Ok(short) if flags & flag::EXTENDED == 0 => octets = vec![flags, code, short],
        Ok(_) | Err(_) => {
            let [high, low] = length.to_be_bytes();
            octets = vec![flags | flag::EXTENDED, code, high, low];
        }
    }
    octets.extend(value);
    octets
}

/// An UPDATE from its three parts.
pub fn update(withdrawn: &[u8], attributes: &[u8], nlri: &[u8]) -> Vec<u8> {
    let length = |part: &[u8]| u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes();
    let mut body = length(withdrawn).to_vec();
    body.extend(withdrawn);
    body.extend(length(attributes));
    body.extend(attributes);
    body.extend(nlri);
    message(kind::UPDATE, &body)
}

/// ORIGIN.
pub fn origin(value: u8) -> Vec<u8> {
    attribute(flag::WELL_KNOWN, code::ORIGIN, &[value])
}

/// AS_PATH of one AS_SEQUENCE in four octets each; empty without numbers.
pub fn as_path(asns: &[u32]) -> Vec<u8> {
    attribute(flag::WELL_KNOWN, code::AS_PATH, &segment(2, asns))
}

/// One AS_PATH segment in four octets each; nothing without numbers.
pub fn segment(kind: u8, asns: &[u32]) -> Vec<u8> {
    if asns.is_empty() {
        return Vec::new();
    }
    let mut octets = vec![kind, u8::try_from(asns.len()).unwrap_or(u8::MAX)];
    octets.extend(asns.iter().flat_map(|asn| asn.to_be_bytes()));
    octets
}

/// NEXT_HOP.
pub fn next_hop(address: Ipv4Addr) -> Vec<u8> {
    attribute(flag::WELL_KNOWN, code::NEXT_HOP, &address.octets())
}

/// MULTI_EXIT_DISC.
pub fn med(value: u32) -> Vec<u8> {
    attribute(flag::OPTIONAL, code::MED, &value.to_be_bytes())
}

/// LOCAL_PREF.
pub fn local_pref(value: u32) -> Vec<u8> {
    attribute(flag::WELL_KNOWN, code::LOCAL_PREF, &value.to_be_bytes())
}

/// COMMUNITIES.
pub fn communities(values: &[u32]) -> Vec<u8> {
    let octets: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_be_bytes())
        .collect();
    attribute(flag::TRANSITIVE, code::COMMUNITIES, &octets)
}

/// ORIGINATOR_ID.
pub fn originator_id(id: Ipv4Addr) -> Vec<u8> {
    attribute(flag::OPTIONAL, code::ORIGINATOR_ID, &id.octets())
}

/// CLUSTER_LIST.
pub fn cluster_list(ids: &[Ipv4Addr]) -> Vec<u8> {
    let octets: Vec<u8> = ids.iter().flat_map(Ipv4Addr::octets).collect();
    attribute(flag::OPTIONAL, code::CLUSTER_LIST, &octets)
}

/// MP_REACH_NLRI of a unicast family, with any octets as next hop and NLRI.
pub fn mp_reach(afi: u16, next_hop: &[u8], nlri: &[u8]) -> Vec<u8> {
    let mut value = afi.to_be_bytes().to_vec();
    value.push(1);
    value.push(u8::try_from(next_hop.len()).unwrap_or(u8::MAX));
    value.extend(next_hop);
    value.push(0);
    value.extend(nlri);
    attribute(flag::OPTIONAL, code::MP_REACH, &value)
}

/// MP_UNREACH_NLRI of a unicast family.
pub fn mp_unreach(afi: u16, nlri: &[u8]) -> Vec<u8> {
    let mut value = afi.to_be_bytes().to_vec();
    value.push(1);
    value.extend(nlri);
    attribute(flag::OPTIONAL, code::MP_UNREACH, &value)
}

/// NLRI, or withdrawn routes: length in bits and as many octets as it takes.
pub fn nlri<'a>(prefixes: impl IntoIterator<Item = &'a IpNet>) -> Vec<u8> {
    let mut octets = Vec::new();
    for prefix in prefixes {
        let length = prefix.prefix_len();
        octets.push(length);
        let bytes = usize::from(length).div_ceil(8);
        match prefix.network() {
            IpAddr::V4(address) => octets.extend(address.octets().iter().take(bytes)),
            IpAddr::V6(address) => octets.extend(address.octets().iter().take(bytes)),
        }
    }
    octets
}

/// A message as it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its type.
    pub kind: u8,
    /// What follows the header.
    pub body: Vec<u8>,
}

/// Takes one whole message off the front of `buffer`: `None` when there is less than one.
///
/// # Errors
/// When the header is not one.
pub fn take_message(buffer: &mut Vec<u8>) -> Result<Option<Message>, String> {
    let Some(header) = buffer.get(..HEADER_LEN) else {
        return Ok(None);
    };
    if header.iter().take(16).any(|octet| *octet != 0xff) {
        return Err(format!("marker is not all ones: {header:02x?}"));
    }
    let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
    let kind = header[18];
    if length < HEADER_LEN {
        return Err(format!("length {length} in a header"));
    }
    if buffer.len() < length {
        return Ok(None);
    }
    let body = buffer.drain(..length).skip(HEADER_LEN).collect();
    Ok(Some(Message { kind, body }))
}

/// A path attribute as it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribute {
    /// Its flags.
    pub flags: u8,
    /// Its type code.
    pub code: u8,
    /// Its value.
    pub value: Vec<u8>,
}

/// An UPDATE as it arrived.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ParsedUpdate {
    /// The attributes in their order, MP_REACH_NLRI and MP_UNREACH_NLRI left out.
    pub attributes: Vec<Attribute>,
    /// What can be reached, with its next hop as on the wire.
    pub reach: Vec<(IpNet, Vec<u8>)>,
    /// What is gone.
    pub unreach: Vec<IpNet>,
    /// The AFI of an End-of-RIB marker.
    pub end_of_rib: Option<u16>,
}

impl ParsedUpdate {
    /// Reads the body of an UPDATE without path identifiers.
    ///
    /// # Errors
    /// When it is not well-formed; nobody should send us such a thing.
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        let mut rest = body;
        let withdrawn = take_sized(&mut rest)?;
        let mut attributes = take_sized(&mut rest)?;
        let mut parsed = Self {
            unreach: read_nlri(1, withdrawn)?,
            ..Self::default()
        };
        if body.len() == 4 {
            parsed.end_of_rib = Some(1);
        }
        let mut classic_next_hop = Vec::new();
        while !attributes.is_empty() {
            let attribute = take_attribute(&mut attributes)?;
            match attribute.code {
                code::MP_REACH => parsed.read_mp_reach(&attribute.value)?,
                code::MP_UNREACH => {
                    let (afi, _, nlri) = family(&attribute.value)?;
                    if nlri.is_empty() {
                        parsed.end_of_rib = Some(afi);
                    }
                    parsed.unreach.extend(read_nlri(afi, nlri)?);
                }
                code::NEXT_HOP => {
                    classic_next_hop.clone_from(&attribute.value);
                    parsed.attributes.push(attribute);
                }
                _ => parsed.attributes.push(attribute),
            }
        }
        for prefix in read_nlri(1, rest)? {
            parsed.reach.push((prefix, classic_next_hop.clone()));
        }
        Ok(parsed)
    }

    /// The attribute with `code`.
    pub fn attribute(&self, code: u8) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.code == code)
    }

    fn read_mp_reach(&mut self, value: &[u8]) -> Result<(), String> {
        let (afi, _, rest) = family(value)?;
        let (length, rest) = rest.split_first().ok_or("MP_REACH_NLRI too short")?;
        let length = usize::from(*length);
        let next_hop = rest
            .get(..length)
            .ok_or("MP_REACH_NLRI: next hop too short")?;
        let nlri = rest
            .get(length + 1..)
            .ok_or("MP_REACH_NLRI: no reserved octet")?;
        for prefix in read_nlri(afi, nlri)? {
            self.reach.push((prefix, next_hop.to_vec()));
        }
        Ok(())
    }
}

/// AFI, SAFI and the rest.
fn family(value: &[u8]) -> Result<(u16, u8, &[u8]), String> {
    match value {
        [high, low, safi, rest @ ..] => Ok((u16::from_be_bytes([*high, *low]), *safi, rest)),
        _ => Err("MP attribute too short".to_owned()),
    }
}

/// Takes a part that is preceded by two octets of length.
fn take_sized<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], String> {
    let [high, low, after @ ..] = rest else {
        return Err("UPDATE ends in a length".to_owned());
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let (part, after) = after
        .split_at_checked(length)
        .ok_or("UPDATE ends in a part")?;
    *rest = after;
    Ok(part)
}

fn take_attribute(rest: &mut &[u8]) -> Result<Attribute, String> {
    let (flags, code, length, after) = match rest {
        [flags, code, high, low, after @ ..] if flags & flag::EXTENDED != 0 => (
            *flags,
            *code,
            usize::from(u16::from_be_bytes([*high, *low])),
            after,
        ),
        [flags, code, length, after @ ..] if flags & flag::EXTENDED == 0 => {
            (*flags, *code, usize::from(*length), after)
        }
        _ => return Err("an attribute ends in its header".to_owned()),
    };
    let (value, after) = after
        .split_at_checked(length)
        .ok_or_else(|| format!("attribute {code} is longer than the attributes"))?;
    *rest = after;
    Ok(Attribute {
        flags,
        code,
        value: value.to_vec(),
    })
}

/// Reads NLRI without path identifiers.
///
/// # Errors
/// When a prefix is too long for its family, or the octets end within one.
pub fn read_nlri(afi: u16, mut octets: &[u8]) -> Result<Vec<IpNet>, String> {
    let mut prefixes = Vec::new();
    while let Some((length, rest)) = octets.split_first() {
        let bytes = usize::from(*length).div_ceil(8);
        let (bits, after) = rest
            .split_at_checked(bytes)
            .ok_or("NLRI ends in a prefix")?;
        prefixes.push(prefix(afi, *length, bits).ok_or_else(|| format!("NLRI of {length} bits"))?);
        octets = after;
    }
    Ok(prefixes)
}

fn prefix(afi: u16, length: u8, bits: &[u8]) -> Option<IpNet> {
    let mut octets = [0; 16];
    octets.get_mut(..bits.len())?.copy_from_slice(bits);
    Some(match afi {
        1 => {
            let [a, b, c, d, ..] = octets;
            Ipv4Net::new(Ipv4Addr::new(a, b, c, d), length).ok()?.into()
        }
        _ => Ipv6Net::new(Ipv6Addr::from(octets), length).ok()?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_read_as_it_was_written() {
        let prefix: IpNet = "10.1.0.0/26".parse().unwrap();
        let gone: IpNet = "10.2.0.0/16".parse().unwrap();
        let six: IpNet = "fd00::/64".parse().unwrap();
        let attributes = [
            mp_reach(2, &[7; 16], &nlri([&six])),
            origin(0),
            next_hop(Ipv4Addr::new(10, 0, 0, 2)),
            cluster_list(&[Ipv4Addr::LOCALHOST; 80]),
        ]
        .concat();
        let mut octets = update(&nlri([&gone]), &attributes, &nlri([&prefix]));
        octets.extend(keepalive());
        let message = take_message(&mut octets).unwrap().unwrap();
        assert_eq!(message.kind, kind::UPDATE);
        let parsed = ParsedUpdate::parse(&message.body).unwrap();
        assert_eq!(parsed.unreach, [gone]);
        assert_eq!(
            parsed.reach,
            [(six, vec![7; 16]), (prefix, vec![10, 0, 0, 2])]
        );
        let list = parsed.attribute(code::CLUSTER_LIST).unwrap();
        assert_eq!((list.flags, list.value.len()), (0x90, 320));
        assert_eq!(
            take_message(&mut octets).unwrap().unwrap().kind,
            kind::KEEPALIVE
        );
        assert_eq!(take_message(&mut octets), Ok(None));
    }

    #[test]
    fn end_of_rib_of_both_families() {
        let parse = |octets: Vec<u8>| ParsedUpdate::parse(&octets[HEADER_LEN..]).unwrap();
        assert_eq!(parse(update(&[], &[], &[])).end_of_rib, Some(1));
        let six = update(&[], &mp_unreach(2, &[]), &[]);
        assert_eq!(parse(six).end_of_rib, Some(2));
    }
}
