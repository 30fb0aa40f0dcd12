//! Reading an UPDATE (RFC 4271 §4.3, RFC 4760) and judging what is wrong with it (RFC 7606).
//!
//! The order is the one of RFC 7606: the three lengths first (a message whose parts cannot be
//! told apart resets the session), then the attributes, MP_REACH_NLRI and MP_UNREACH_NLRI as soon
//! as they are met, so that the routes concerned are known whatever else is wrong, and the
//! verdict at the end: the worst handling that any fault demands.

use super::attribute::{
    Class, Draft, EXTENDED, OPTIONAL, PARTIAL, TABLE, TRANSITIVE, code, is_host,
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

    let mut reading = Reading::new(context);
    let withdrawn = reading.classic(withdrawn)?;
    if !withdrawn.is_empty() {
        reading.update.unreach.push(Unreach {
            family: Family::Ipv4Unicast,
            nlri: withdrawn,
        });
    }
    let has_attributes = !attributes.is_empty();
    reading.attributes(attributes)?;
    let announced = reading.classic(announced)?;
    let empty = reading.update.unreach.is_empty() && !has_attributes && announced.is_empty();
    if empty && context.families.contains(Family::Ipv4Unicast) {
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
    update: Update,
    draft: Draft,
    seen: [u64; 4],
    worst: Option<Handling>,
    mp_reach: Option<Reach>,
}

impl<'a> Reading<'a> {
    fn new(context: &'a Context) -> Self {
        Self {
            context,
            update: Update::default(),
            draft: Draft::default(),
            seen: [0; 4],
            worst: None,
            mp_reach: None,
        }
    }

    /// Classic NLRI, of the Withdrawn Routes or at the end of the message (RFC 7606 §3 j).
    fn classic(&self, bytes: &[u8]) -> Result<Vec<Nlri>, DecodeError> {
        let add_path = self.context.add_path.contains(Family::Ipv4Unicast);
        nlri::read_all(bytes, Family::Ipv4Unicast, add_path)
            .ok_or_else(|| DecodeError::Update(UpdateError::InvalidNetworkField, Vec::new()))
    }

    fn attributes(&mut self, block: &[u8]) -> Result<(), DecodeError> {
        let mut rest = block;
        while !rest.is_empty() {
            let Some(raw) = next_attribute(rest) else {
                // RFC 7606 §4: the attributes after this one cannot be found, the NLRI can.
                let what = "an attribute overruns the attributes' length";
                self.fault(
                    rest.get(1).copied().unwrap_or(0),
                    Handling::TreatAsWithdraw,
                    what,
                    rest,
                );
                return Ok(());
            };
            rest = rest.get(raw.whole.len()..).unwrap_or_default();
            self.attribute(raw)?;
        }
        Ok(())
    }

    fn attribute(&mut self, raw: Raw<'_>) -> Result<(), DecodeError> {
        let again = self.mark(raw.code);
        match raw.code {
            code::MP_REACH_NLRI | code::MP_UNREACH_NLRI if again => {
                // RFC 7606 §3 g.
                Err(DecodeError::Update(
                    UpdateError::MalformedAttributeList,
                    Vec::new(),
                ))
            }
            _ if again => {
                self.fault(
                    raw.code,
                    Handling::AttributeDiscard,
                    "attribute appears twice",
                    raw.whole,
                );
                Ok(())
            }
            code::MP_REACH_NLRI => self.reach(raw),
            code::MP_UNREACH_NLRI => self.unreach(raw),
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
        if !flags_fit(raw.flags, row.class) {
            self.fault(
                raw.code,
                row.wrong_flags,
                "Optional or Transitive bit is wrong",
                raw.whole,
            );
            return Ok(());
        }
        match (row.read)(&mut self.draft, raw.value, self.context) {
            Ok(()) if raw.flags & PARTIAL != 0 => self.draft.attributes.partial.insert(raw.code),
            Ok(()) => {}
            Err((handling, what)) => self.fault(raw.code, handling, what, raw.whole),
        }
        Ok(())
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
        self.check_mp_flags(raw);
        let error = || DecodeError::Update(UpdateError::OptionalAttribute, raw.whole.to_vec());
        let mut reader = Reader::new(raw.value);
        let (afi, safi) = (
            reader.u16().ok_or_else(error)?,
            reader.u8().ok_or_else(error)?,
        );
        let next_hop = reader.counted_u8().ok_or_else(error)?;
        // One octet that once counted SNPAs; ignored (RFC 4760 §3).
        reader.u8().ok_or_else(error)?;
        let Some(family) = self.negotiated(AfiSafi { afi, safi }) else {
            return Ok(());
        };
        let add_path = self.context.add_path.contains(family);
        let nlri = nlri::read_all(reader.rest(), family, add_path).ok_or_else(error)?;
        let next_hop = self.mp_next_hop(family, next_hop).ok_or_else(error)?;
        if !is_usable(&next_hop) {
            let what = "the next hop is no host address";
            self.fault(raw.code, Handling::TreatAsWithdraw, what, raw.whole);
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
                let link_local = Some(v6(exactly(link_local)?));
                Some(NextHop::V6 {
                    global: v6(exactly(global)?),
                    link_local,
                })
            }
            _ => None,
        }
    }

    /// MP_UNREACH_NLRI (RFC 4760 §4).
    fn unreach(&mut self, raw: Raw<'_>) -> Result<(), DecodeError> {
        self.check_mp_flags(raw);
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

    fn check_mp_flags(&mut self, raw: Raw<'_>) {
        if !flags_fit(raw.flags, Class::OptionalNonTransitive) {
            let what = "Optional or Transitive bit is wrong";
            self.fault(raw.code, Handling::TreatAsWithdraw, what, raw.whole);
        }
    }

    fn fault(&mut self, code: u8, handling: Handling, what: &'static str, whole: &[u8]) {
        self.worst = self.worst.max(Some(handling));
        if self.update.faults.len() < MAX_FAULTS {
            let bytes = whole.iter().take(MAX_FAULT_BYTES).copied().collect();
            self.update.faults.push(AttributeFault {
                code,
                handling,
                what,
                bytes,
            });
        }
    }

    /// Puts the parts together and gives the verdict.
    fn finish(mut self, announced: Vec<Nlri>) -> Result<Update, DecodeError> {
        let reaches = self.mp_reach.is_some() || !announced.is_empty();
        if reaches {
            self.check_mandatory(!announced.is_empty());
        }
        // A marker has no other attribute beside its empty MP_UNREACH_NLRI.
        if reaches || !self.update.unreach.is_empty() {
            self.update.end_of_rib = None;
        }
        let classic = self.draft.next_hop.map(|next_hop| Reach {
            family: Family::Ipv4Unicast,
            next_hop,
            nlri: Vec::new(),
        });
        let mut lost: Vec<Unreach> = Vec::new();
        let withdraw = self.worst >= Some(Handling::TreatAsWithdraw);
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
        if !announced.is_empty() && self.context.families.contains(Family::Ipv4Unicast) {
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
    fn check_mandatory(&mut self, classic: bool) {
        let mut wanted = vec![
            (code::ORIGIN, "ORIGIN is missing"),
            (code::AS_PATH, "AS_PATH is missing"),
        ];
        if classic {
            wanted.push((code::NEXT_HOP, "NEXT_HOP is missing"));
        }
        for (code, what) in wanted {
            if !self.has(code) {
                self.fault(code, Handling::TreatAsWithdraw, what, &[]);
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
/// let pass, as everybody does.
fn flags_fit(flags: u8, class: Class) -> bool {
    flags & (OPTIONAL | TRANSITIVE) == class.flags()
}

/// Whether a next hop can be a host.
fn is_usable(next_hop: &NextHop) -> bool {
    match next_hop {
        NextHop::V4(address) => is_host(*address),
        NextHop::V6 { global, .. } => {
            !(global.is_unspecified() || global.is_loopback() || global.is_multicast())
        }
    }
}
