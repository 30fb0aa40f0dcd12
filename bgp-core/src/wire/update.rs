//! Reading an UPDATE (RFC 4271 §4.3, RFC 4760) and judging what is wrong with it (RFC 7606).
//!
//! The order is the one of RFC 7606: the three lengths first (a message whose parts cannot be
//! told apart resets the session), then the attributes, MP_REACH_NLRI and MP_UNREACH_NLRI as soon
//! as they are met, so that the routes concerned are known whatever else is wrong, and the
//! verdict at the end: the worst handling that any fault demands.

use super::attribute::{
    Class, Draft, EXTENDED, Fault, OPTIONAL, PARTIAL, Row, TABLE, TRANSITIVE, code, is_host,
};
use super::context::Context;
use super::nlri;
use super::notification::DecodeError;
use super::reader::{Reader, exactly};
use super::types::{
    AttributeFault, Handling, MAX_FAULT_BYTES, MAX_FAULTS, NextHop, Reach, UnknownAttribute,
    Unreach, Update, UpdateError,
};
use crate::family::{AfiSafi, Family};
use crate::prefix::Nlri;
use crate::types::Asn;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Reads the body of an UPDATE.
pub(super) fn read(body: &[u8], context: &Context) -> Result<Update, DecodeError> {
    let malformed = || DecodeError::Update(UpdateError::MalformedAttributeList, Vec::new());
    let mut reader = Reader::new(body);
    let withdrawn = reader.counted_u16().ok_or_else(malformed)?;
    let attributes = reader.counted_u16().ok_or_else(malformed)?;
    let announced = reader.rest();

    let mut reading = Reading::new(context, attributes);
    let gone = reading.classic(withdrawn)?;
    if reading.carries_classic() && !gone.is_empty() {
        reading.update.unreach.push(Unreach {
            family: Family::Ipv4Unicast,
            nlri: gone,
        });
    }
    reading.has_classic = !announced.is_empty();
    reading.attributes()?;
    let announced = reading.classic(announced)?;
    if !withdrawn.is_empty() || reading.has_classic || reading.has_others {
        // A marker has nothing beside its empty MP_UNREACH_NLRI.
        reading.update.end_of_rib = None;
    } else if attributes.is_empty() && reading.carries_classic() {
        reading.update.end_of_rib = Some(Family::Ipv4Unicast);
    }
    reading.finish(announced)
}

/// One attribute as it stands in the message.
#[derive(Clone, Copy)]
struct Raw<'a> {
    flags: u8,
    code: u8,
    value: &'a [u8],
    /// Header and value.
    whole: &'a [u8],
}

/// What has been read so far.
struct Reading<'a> {
    context: &'a Context,
    /// All attributes as received.
    block: &'a [u8],
    update: Update,
    draft: Draft,
    seen: [u64; 4],
    /// There is NLRI at the end of the message.
    has_classic: bool,
    /// There is an MP_REACH_NLRI with NLRI, of whatever family.
    has_mp: bool,
    /// There is an attribute, whole or not, other than MP_UNREACH_NLRI.
    has_others: bool,
    /// The first fault that withdraws: what a NOTIFICATION would say about it.
    withdraw: Option<(UpdateError, Vec<u8>)>,
    mp_reach: Option<Reach>,
}

impl<'a> Reading<'a> {
    fn new(context: &'a Context, block: &'a [u8]) -> Self {
        Self {
            context,
            block,
            update: Update::default(),
            draft: Draft::default(),
            seen: [0; 4],
            has_classic: false,
            has_mp: false,
            has_others: false,
            withdraw: None,
            mp_reach: None,
        }
    }

    /// Whether what stands in the classic fields counts.
    fn carries_classic(&self) -> bool {
        self.context.families.contains(Family::Ipv4Unicast)
    }

    /// Classic NLRI, of the Withdrawn Routes or at the end of the message (RFC 7606 §3 j).
    fn classic(&self, bytes: &[u8]) -> Result<Vec<Nlri>, DecodeError> {
        let add_path = self.context.add_path.contains(Family::Ipv4Unicast);
        nlri::read_all(bytes, Family::Ipv4Unicast, add_path)
            .ok_or_else(|| DecodeError::Update(UpdateError::InvalidNetworkField, Vec::new()))
    }

    fn attributes(&mut self) -> Result<(), DecodeError> {
        let mut rest = self.block;
        while !rest.is_empty() {
            let Some(raw) = next_attribute(rest) else {
                let code = rest.get(1).copied().unwrap_or(0);
                if matches!(code, code::MP_REACH_NLRI | code::MP_UNREACH_NLRI) {
                    // RFC 7606 §3 j: the routes in it cannot be found, so none can be withdrawn.
                    let error = UpdateError::OptionalAttribute;
                    return Err(DecodeError::Update(error, rest.to_vec()));
                }
                // RFC 7606 §4: the attributes after this one cannot be found, the NLRI can.
                let what = "an attribute overruns the attributes' length";
                let fault = Fault::Withdraw(UpdateError::MalformedAttributeList, what);
                self.fault(code, fault, rest);
                self.has_others = true;
                return Ok(());
            };
            rest = rest.get(raw.whole.len()..).unwrap_or_default();
            self.attribute(raw)?;
        }
        Ok(())
    }

    fn attribute(&mut self, raw: Raw<'_>) -> Result<(), DecodeError> {
        let again = self.mark(raw.code);
        self.has_others |= raw.code != code::MP_UNREACH_NLRI;
        match raw.code {
            code::MP_REACH_NLRI | code::MP_UNREACH_NLRI if again => {
                // RFC 7606 §3 g.
                Err(DecodeError::Update(
                    UpdateError::MalformedAttributeList,
                    Vec::new(),
                ))
            }
            code::MP_REACH_NLRI => self.reach(raw),
            code::MP_UNREACH_NLRI => self.unreach(raw),
            _ if again => {
                let fault = Fault::Discard("attribute appears twice");
                self.fault(raw.code, fault, raw.whole);
                Ok(())
            }
            _ => self.plain(raw),
        }
    }

    /// Remembers that an attribute was met; true when it had been before.
    fn mark(&mut self, code: u8) -> bool {
        let (word, bit) = (usize::from(code / 64), 1_u64 << (code % 64));
        let Some(word) = self.seen.get_mut(word) else {
            return false;
        };
        let again = *word & bit != 0;
        *word |= bit;
        again
    }

    fn has(&self, code: u8) -> bool {
        let word = self.seen.get(usize::from(code / 64)).copied().unwrap_or(0);
        word & (1_u64 << (code % 64)) != 0
    }

    fn plain(&mut self, raw: Raw<'_>) -> Result<(), DecodeError> {
        let Some(row) = TABLE.iter().find(|row| row.code == raw.code) else {
            return self.unknown(raw);
        };
        match self.judged(row, raw) {
            Ok(()) if raw.flags & PARTIAL != 0 => self.draft.attributes.partial.insert(raw.code),
            Ok(()) => {}
            // Without classic NLRI nobody needs a NEXT_HOP (RFC 4760 §3).
            Err(Fault::Withdraw(_, what)) if raw.code == code::NEXT_HOP && self.is_mp_only() => {
                self.fault(raw.code, Fault::Discard(what), raw.whole);
            }
            Err(fault) => self.fault(raw.code, fault, raw.whole),
        }
        Ok(())
    }

    fn judged(&mut self, row: &Row, raw: Raw<'_>) -> Result<(), Fault> {
        if let Some(what) = row.sender.refusal(self.context) {
            return Err(Fault::Discard(what));
        }
        check_flags(raw.flags, row.class)?;
        (row.read)(&mut self.draft, raw.value, self.context)
    }

    fn is_mp_only(&self) -> bool {
        let mut rest = self.block;
        let all = std::iter::from_fn(|| {
            let raw = next_attribute(rest)?;
            rest = rest.get(raw.whole.len()..)?;
            Some(raw.code)
        });
        !self.has_classic && all.into_iter().any(|code| code == code::MP_REACH_NLRI)
    }

    /// RFC 4271 §5 and §6.3.
    fn unknown(&mut self, raw: Raw<'_>) -> Result<(), DecodeError> {
        if raw.flags & OPTIONAL == 0 {
            let error = UpdateError::UnrecognizedWellKnownAttribute;
            return Err(DecodeError::Update(error, raw.whole.to_vec()));
        }
        if raw.flags & TRANSITIVE != 0 {
            let unknown = UnknownAttribute {
                code: raw.code,
                value: raw.value.into(),
            };
            self.draft.attributes.unknown.push(unknown);
        }
        Ok(())
    }

    /// MP_REACH_NLRI (RFC 4760 §3). What cannot be read here resets the session (RFC 7606 §7.11).
    fn reach(&mut self, raw: Raw<'_>) -> Result<(), DecodeError> {
        check_mp_flags(raw)?;
        let error = || DecodeError::Update(UpdateError::OptionalAttribute, raw.whole.to_vec());
        let mut reader = Reader::new(raw.value);
        let (afi, safi) = (
            reader.u16().ok_or_else(error)?,
            reader.u8().ok_or_else(error)?,
        );
        let next_hop = reader.counted_u8().ok_or_else(error)?;
        // One octet that once counted SNPAs; ignored (RFC 4760 §3).
        reader.u8().ok_or_else(error)?;
        self.has_mp = !reader.is_empty();
        let Some(family) = self.negotiated(AfiSafi { afi, safi }) else {
            return Ok(());
        };
        let add_path = self.context.add_path.contains(family);
        let nlri = nlri::read_all(reader.rest(), family, add_path).ok_or_else(error)?;
        let next_hop = self.mp_next_hop(family, next_hop).ok_or_else(error)?;
        if !is_usable(&next_hop) {
            let what = "the next hop is no host address";
            let fault = Fault::Withdraw(UpdateError::OptionalAttribute, what);
            self.fault(raw.code, fault, raw.whole);
        }
        self.mp_reach = Some(Reach {
            family,
            next_hop,
            nlri,
        });
        Ok(())
    }

    /// RFC 2545 §3, RFC 8950 §3.
    fn mp_next_hop(&self, family: Family, octets: &[u8]) -> Option<NextHop> {
        let v6 = |octets: [u8; 16]| Ipv6Addr::from(octets);
        let allows_v6 =
            family == Family::Ipv6Unicast || self.context.extended_next_hop.contains(family);
        match octets.len() {
            4 if family == Family::Ipv4Unicast => {
                Some(NextHop::V4(Ipv4Addr::from(exactly::<4>(octets)?)))
            }
            16 if allows_v6 => Some(NextHop::V6 {
                global: v6(exactly(octets)?),
                link_local: None,
            }),
            32 if allows_v6 => {
                let (global, link_local) = octets.split_at_checked(16)?;
                let (global, link_local) = (v6(exactly(global)?), v6(exactly(link_local)?));
                // Some who have no global address send zeros in its place.
                let alone = global.is_unspecified() && link_local.is_unicast_link_local();
                Some(NextHop::V6 {
                    global: if alone { link_local } else { global },
                    link_local: Some(link_local),
                })
            }
            _ => None,
        }
    }

    /// MP_UNREACH_NLRI (RFC 4760 §4).
    fn unreach(&mut self, raw: Raw<'_>) -> Result<(), DecodeError> {
        check_mp_flags(raw)?;
        let error = || DecodeError::Update(UpdateError::OptionalAttribute, raw.whole.to_vec());
        let mut reader = Reader::new(raw.value);
        let (afi, safi) = (
            reader.u16().ok_or_else(error)?,
            reader.u8().ok_or_else(error)?,
        );
        let Some(family) = self.negotiated(AfiSafi { afi, safi }) else {
            return Ok(());
        };
        let add_path = self.context.add_path.contains(family);
        let nlri = nlri::read_all(reader.rest(), family, add_path).ok_or_else(error)?;
        if nlri.is_empty() {
            self.update.end_of_rib = Some(family);
        } else {
            self.update.unreach.push(Unreach { family, nlri });
        }
        Ok(())
    }

    fn negotiated(&self, numbers: AfiSafi) -> Option<Family> {
        numbers
            .family()
            .filter(|family| self.context.families.contains(*family))
    }

    fn fault(&mut self, code: u8, fault: Fault, whole: &[u8]) {
        let (handling, what) = match fault {
            Fault::Discard(what) => (Handling::AttributeDiscard, what),
            Fault::Withdraw(error, what) => {
                if self.withdraw.is_none() {
                    self.withdraw = Some((error, error_data(error, code, whole)));
                }
                (Handling::TreatAsWithdraw, what)
            }
        };
        let faults = &mut self.update.faults;
        if faults.len() == MAX_FAULTS && faults.iter().all(|kept| kept.handling < handling) {
            // What cost the routes is told, whatever was merely dropped before it.
            faults.pop();
        }
        if faults.len() < MAX_FAULTS {
            let bytes = whole.iter().take(MAX_FAULT_BYTES).copied().collect();
            faults.push(AttributeFault {
                code,
                handling,
                what,
                bytes,
            });
        }
    }

    /// Puts the parts together and gives the verdict.
    fn finish(mut self, announced: Vec<Nlri>) -> Result<Update, DecodeError> {
        let reaches = self.has_mp || self.has_classic;
        if reaches {
            self.check_mandatory();
        } else if self.has_others
            && let Some((error, data)) = self.withdraw
        {
            // RFC 7606 §5.2: nobody can tell that all NLRI have been found.
            return Err(DecodeError::Update(error, data));
        }
        let classic = self.draft.next_hop.map(|next_hop| Reach {
            family: Family::Ipv4Unicast,
            next_hop,
            nlri: Vec::new(),
        });
        let mut lost: Vec<Unreach> = Vec::new();
        let withdraw = self.withdraw.is_some();
        if let Some(reach) = self.mp_reach.take().filter(|reach| !reach.nlri.is_empty()) {
            if withdraw {
                lost.push(Unreach {
                    family: reach.family,
                    nlri: reach.nlri,
                });
            } else {
                self.update.reach.push(reach);
            }
        }
        if !announced.is_empty() && self.carries_classic() {
            match classic {
                Some(reach) if !withdraw => {
                    self.update.reach.push(Reach {
                        nlri: announced,
                        ..reach
                    });
                }
                _ => lost.push(Unreach {
                    family: Family::Ipv4Unicast,
                    nlri: announced,
                }),
            }
        }
        self.update.unreach.extend(lost);
        self.merge_as4();
        self.draft
            .attributes
            .unknown
            .sort_by_key(|unknown| unknown.code);
        self.update.attributes = self.draft.attributes;
        Ok(self.update)
    }

    /// RFC 7606 §3 d: a missing mandatory attribute withdraws.
    fn check_mandatory(&mut self) {
        let wanted = [
            (code::ORIGIN, "ORIGIN is missing", true),
            (code::AS_PATH, "AS_PATH is missing", true),
            (code::NEXT_HOP, "NEXT_HOP is missing", self.has_classic),
            (
                code::LOCAL_PREF,
                "LOCAL_PREF is missing",
                self.context.internal,
            ),
        ];
        for (code, what, is_wanted) in wanted {
            if is_wanted && !self.has(code) {
                let fault = Fault::Withdraw(UpdateError::MissingWellKnownAttribute, what);
                self.fault(code, fault, &[]);
            }
        }
    }

    /// RFC 6793 §4.2.3: what an old speaker could not say in AS_PATH and AGGREGATOR.
    fn merge_as4(&mut self) {
        let attributes = &mut self.draft.attributes;
        let mut ignored = false;
        if let Some(aggregator) = self.draft.as4_aggregator {
            match &mut attributes.aggregator {
                Some(own) if own.asn == Asn::TRANS => *own = aggregator,
                // A new aggregator in front of old attributes: both AS4 attributes are stale.
                Some(_) => ignored = true,
                None => {}
            }
        }
        if let Some(as4) = self.draft.as4_path.take().filter(|_| !ignored) {
            attributes.as_path = attributes.as_path.merge(&as4);
        }
    }
}

/// Cuts the first attribute off `block`; `None` when it overruns.
fn next_attribute(block: &[u8]) -> Option<Raw<'_>> {
    let mut reader = Reader::new(block);
    let flags = reader.u8()?;
    let code = reader.u8()?;
    let value = if flags & EXTENDED != 0 {
        reader.counted_u16()?
    } else {
        reader.counted_u8()?
    };
    let whole = block.get(..block.len() - reader.rest().len())?;
    Some(Raw {
        flags,
        code,
        value,
        whole,
    })
}

/// RFC 4271 §4.3: the Optional and Transitive bits decide; a Partial bit where it has no place is
/// let pass, as RFC 7606 §3 c has it.
fn check_flags(flags: u8, class: Class) -> Result<(), Fault> {
    if flags & (OPTIONAL | TRANSITIVE) == class.flags() {
        return Ok(());
    }
    let what = "Optional or Transitive bit is wrong";
    Err(Fault::Withdraw(UpdateError::AttributeFlags, what))
}

/// RFC 7606 §5.3: wrong flags make an MP attribute incorrect, and that resets (§3 j).
fn check_mp_flags(raw: Raw<'_>) -> Result<(), DecodeError> {
    check_flags(raw.flags, Class::OptionalNonTransitive)
        .map_err(|_| DecodeError::Update(UpdateError::AttributeFlags, raw.whole.to_vec()))
}

/// The Data of a NOTIFICATION about an attribute (RFC 4271 §6.3): nothing where the list is
/// malformed, the type code of one that is missing, or the attribute.
fn error_data(error: UpdateError, code: u8, whole: &[u8]) -> Vec<u8> {
    match error {
        UpdateError::MalformedAttributeList
        | UpdateError::MalformedAsPath
        | UpdateError::InvalidNetworkField
        | UpdateError::Unknown(_) => Vec::new(),
        UpdateError::MissingWellKnownAttribute => vec![code],
        UpdateError::UnrecognizedWellKnownAttribute
        | UpdateError::AttributeFlags
        | UpdateError::AttributeLength
        | UpdateError::InvalidOrigin
        | UpdateError::InvalidNextHop
        | UpdateError::OptionalAttribute => whole.to_vec(),
    }
}

/// Whether a next hop can be a host.
fn is_usable(next_hop: &NextHop) -> bool {
    match next_hop {
        NextHop::V4(address) => is_host(*address),
        NextHop::V6 { global, .. } => !(global.is_unspecified() || global.is_multicast()),
    }
}
