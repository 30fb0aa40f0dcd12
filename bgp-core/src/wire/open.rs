//! OPEN and its capabilities (RFC 4271 §4.2, RFC 5492, RFC 9072).

use super::notification::DecodeError;
use super::reader::{Reader, exactly};
use super::types::{
    AddPath, BgpRole, Capability, ExtendedNextHop, GracefulFamily, GracefulRestart,
    LongLivedFamily, Open, OpenError,
};
use crate::family::AfiSafi;
use crate::types::{Asn, RouterId};
use bytes::BufMut;

const VERSION: u8 = 4;
/// Type of the parameter that holds capabilities.
const CAPABILITIES: u8 = 2;
/// In place of the first parameter's type: the lengths that follow have two octets (RFC 9072).
const EXTENDED: u8 = 255;

fn error(error: OpenError, data: &[u8]) -> DecodeError {
    DecodeError::Open(error, data.to_vec())
}

/// Reads the body of an OPEN.
pub(super) fn read(body: &[u8]) -> Result<Open, DecodeError> {
    let unspecific = || error(OpenError::Unknown(0), &[]);
    let mut reader = Reader::new(body);
    if reader.u8().ok_or_else(unspecific)? != VERSION {
        return Err(error(
            OpenError::UnsupportedVersionNumber,
            &u16::from(VERSION).to_be_bytes(),
        ));
    }
    let my_as = reader.u16().ok_or_else(unspecific)?;
    let hold_time = reader.u16().ok_or_else(unspecific)?;
    let router_id: [u8; 4] = reader.array().ok_or_else(unspecific)?;
    if my_as == 0 {
        return Err(error(OpenError::BadPeerAs, &[]));
    }
    if hold_time == 1 || hold_time == 2 {
        return Err(error(
            OpenError::UnacceptableHoldTime,
            &hold_time.to_be_bytes(),
        ));
    }
    if router_id == [0; 4] {
        return Err(error(OpenError::BadBgpIdentifier, &router_id));
    }
    let parameters = parameters(&mut reader).ok_or_else(unspecific)?;
    let mut capabilities = Vec::new();
    for (kind, value) in parameters {
        if kind != CAPABILITIES {
            return Err(error(OpenError::UnsupportedOptionalParameter, &[kind]));
        }
        let mut reader = Reader::new(value);
        while !reader.is_empty() {
            let code = reader.u8().ok_or_else(unspecific)?;
            let value = reader.counted_u8().ok_or_else(unspecific)?;
            capabilities.push(read_capability(code, value));
        }
    }
    Ok(Open {
        my_as,
        hold_time,
        router_id: RouterId(router_id.into()),
        capabilities,
    })
}

/// The optional parameters, in the plain or the extended form.
fn parameters<'a>(reader: &mut Reader<'a>) -> Option<Vec<(u8, &'a [u8])>> {
    let length = reader.u8()?;
    let extended = reader.rest().first() == Some(&EXTENDED) && length > 0;
    let whole = if extended {
        reader.u8()?;
        reader.counted_u16()?
    } else {
        reader.take(usize::from(length))?
    };
    if !reader.is_empty() {
        return None;
    }
    let mut reader = Reader::new(whole);
    let mut parameters = Vec::new();
    while !reader.is_empty() {
        let kind = reader.u8()?;
        let value = if extended {
            reader.counted_u16()?
        } else {
            reader.counted_u8()?
        };
        parameters.push((kind, value));
    }
    Some(parameters)
}

/// A capability; one whose value does not parse is kept as unknown and ignored (RFC 5492 §3 leaves
/// no way to refuse just one).
fn read_capability(code: u8, value: &[u8]) -> Capability {
    known_capability(code, value).unwrap_or_else(|| Capability::Unknown {
        code,
        value: value.to_vec(),
    })
}

fn known_capability(code: u8, value: &[u8]) -> Option<Capability> {
    Some(match code {
        1 => {
            let [a, b, _, safi] = exactly(value)?;
            Capability::Multiprotocol(AfiSafi {
                afi: u16::from_be_bytes([a, b]),
                safi,
            })
        }
        2 if value.is_empty() => Capability::RouteRefresh,
        5 => Capability::ExtendedNextHop(list(value, |[a, b, _, safi, c, d]: [u8; 6]| {
            ExtendedNextHop {
                nlri: AfiSafi {
                    afi: u16::from_be_bytes([a, b]),
                    safi,
                },
                next_hop_afi: u16::from_be_bytes([c, d]),
            }
        })?),
        6 if value.is_empty() => Capability::ExtendedMessage,
        9 => {
            let [role] = exactly(value)?;
            Capability::Role(BgpRole::from_code(role))
        }
        64 => Capability::GracefulRestart(graceful_restart(value)?),
        65 => Capability::FourOctetAs(Asn(u32::from_be_bytes(exactly(value)?))),
        69 => Capability::AddPath(list(value, |[a, b, safi, mode]: [u8; 4]| AddPath {
            family: AfiSafi {
                afi: u16::from_be_bytes([a, b]),
                safi,
            },
            // Any other value is as good as no entry (RFC 7911 §4).
            receive: mode == 1 || mode == 3,
            send: mode == 2 || mode == 3,
        })?),
        70 if value.is_empty() => Capability::EnhancedRouteRefresh,
        71 => Capability::LongLivedGracefulRestart(list(value, |bytes: [u8; 7]| {
            let [a, b, safi, flags, c, d, e] = bytes;
            LongLivedFamily {
                family: AfiSafi {
                    afi: u16::from_be_bytes([a, b]),
                    safi,
                },
                forwarding: flags & 0x80 != 0,
                stale_time: u32::from_be_bytes([0, c, d, e]),
            }
        })?),
        73 => {
            let mut reader = Reader::new(value);
            let host = reader.counted_u8()?.to_vec();
            let domain = reader.counted_u8()?.to_vec();
            if !reader.is_empty() {
                return None;
            }
            Capability::Fqdn { host, domain }
        }
        75 => {
            let mut reader = Reader::new(value);
            let text = reader.counted_u8()?.to_vec();
            if !reader.is_empty() {
                return None;
            }
            Capability::SoftwareVersion(text)
        }
        _ => return None,
    })
}

fn list<const N: usize, T>(value: &[u8], read: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
    let (entries, rest) = value.as_chunks::<N>();
    rest.is_empty()
        .then(|| entries.iter().map(|entry| read(*entry)).collect())
}

fn graceful_restart(value: &[u8]) -> Option<GracefulRestart> {
    let (head, families) = value.split_first_chunk::<2>()?;
    let head = u16::from_be_bytes(*head);
    Some(GracefulRestart {
        restarting: head & 0x8000 != 0,
        notification: head & 0x4000 != 0,
        restart_time: head & 0x0fff,
        families: list(families, |[a, b, safi, flags]: [u8; 4]| GracefulFamily {
            family: AfiSafi {
                afi: u16::from_be_bytes([a, b]),
                safi,
            },
            forwarding: flags & 0x80 != 0,
        })?,
    })
}

impl BgpRole {
    fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Provider,
            1 => Self::RouteServer,
            2 => Self::RouteServerClient,
            3 => Self::Customer,
            4 => Self::Peer,
            other => Self::Unknown(other),
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Provider => 0,
            Self::RouteServer => 1,
            Self::RouteServerClient => 2,
            Self::Customer => 3,
            Self::Peer => 4,
            Self::Unknown(other) => other,
        }
    }
}

/// Writes the body of an OPEN. Capabilities that do not fit into 255 octets go in the extended
/// form (RFC 9072), one parameter for all.
pub(super) fn write(open: &Open, out: &mut impl BufMut) {
    out.put_u8(VERSION);
    out.put_u16(open.my_as);
    out.put_u16(open.hold_time);
    out.put_slice(&open.router_id.0.octets());
    let capabilities = encode_capabilities(&open.capabilities);
    match u8::try_from(capabilities.len()) {
        Ok(0) => out.put_u8(0),
        Ok(length) if length <= 253 => {
            out.put_slice(&[length + 2, CAPABILITIES, length]);
            out.put_slice(&capabilities);
        }
        _ => {
            let length = u16::try_from(capabilities.len()).unwrap_or(u16::MAX);
            out.put_slice(&[EXTENDED, EXTENDED]);
            out.put_u16(length.saturating_add(3));
            out.put_u8(CAPABILITIES);
            out.put_u16(length);
            out.put_slice(&capabilities);
        }
    }
}

/// Capabilities as they stand in an OPEN, and in the data of an Unsupported Capability
/// NOTIFICATION (RFC 5492 §5).
pub fn encode_capabilities(capabilities: &[Capability]) -> Vec<u8> {
    let mut out = Vec::new();
    for capability in capabilities {
        let (code, mut value) = capability_value(capability);
        // A capability's length has one octet; what is longer is cut, the reader ignores it then.
        value.truncate(usize::from(u8::MAX));
        out.extend([code, u8::try_from(value.len()).unwrap_or(u8::MAX)]);
        out.extend(value);
    }
    out
}

fn capability_value(capability: &Capability) -> (u8, Vec<u8>) {
    let mut value = Vec::new();
    let code = match capability {
        Capability::Multiprotocol(family) => {
            value.put_u16(family.afi);
            value.put_slice(&[0, family.safi]);
            1
        }
        Capability::RouteRefresh => 2,
        Capability::ExtendedNextHop(entries) => {
            for entry in entries {
                value.put_u16(entry.nlri.afi);
                value.put_slice(&[0, entry.nlri.safi]);
                value.put_u16(entry.next_hop_afi);
            }
            5
        }
        Capability::ExtendedMessage => 6,
        Capability::Role(role) => {
            value.put_u8(role.code());
            9
        }
        Capability::GracefulRestart(graceful) => {
            put_graceful_restart(graceful, &mut value);
            64
        }
        Capability::FourOctetAs(asn) => {
            value.put_u32(asn.0);
            65
        }
        Capability::AddPath(entries) => {
            for entry in entries {
                put_family(entry.family, &mut value);
                value.put_u8(u8::from(entry.receive) | u8::from(entry.send) << 1);
            }
            69
        }
        Capability::EnhancedRouteRefresh => 70,
        Capability::LongLivedGracefulRestart(entries) => {
            for entry in entries {
                put_family(entry.family, &mut value);
                value.put_u8(u8::from(entry.forwarding) << 7);
                value.put_slice(entry.stale_time.to_be_bytes().get(1..).unwrap_or_default());
            }
            71
        }
        Capability::Fqdn { host, domain } => {
            put_counted(host, &mut value);
            put_counted(domain, &mut value);
            73
        }
        Capability::SoftwareVersion(text) => {
            put_counted(text, &mut value);
            75
        }
        Capability::Unknown { code, value: raw } => {
            value.put_slice(raw);
            *code
        }
    };
    (code, value)
}

fn put_graceful_restart(graceful: &GracefulRestart, value: &mut Vec<u8>) {
    let flags = u16::from(graceful.restarting) << 15 | u16::from(graceful.notification) << 14;
    value.put_u16(flags | graceful.restart_time & 0x0fff);
    for entry in &graceful.families {
        put_family(entry.family, value);
        value.put_u8(u8::from(entry.forwarding) << 7);
    }
}

fn put_family(family: AfiSafi, value: &mut Vec<u8>) {
    value.put_u16(family.afi);
    value.put_u8(family.safi);
}

fn put_counted(text: &[u8], value: &mut Vec<u8>) {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    value.put_u8(length);
    value.put_slice(text.get(..usize::from(length)).unwrap_or_default());
}
