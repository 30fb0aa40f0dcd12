//! The table of path attributes: one row each with its type code, flags, how it is read, and what
//! a fault costs (RFC 7606 §7 and the RFC of the attribute).

use super::context::Context;
use super::reader::{Reader, exactly};
use super::types::{
    Aggregator, AsPath, Community, LargeCommunity, NextHop, Origin, PartialSet, PathAttributes,
    UpdateError,
};
use crate::types::{Asn, ClusterId, RouterId};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

pub(super) const OPTIONAL: u8 = 0x80;
pub(super) const TRANSITIVE: u8 = 0x40;
pub(super) const PARTIAL: u8 = 0x20;
pub(super) const EXTENDED: u8 = 0x10;

/// Type codes that other files of this room name.
pub(super) mod code {
    pub(in crate::wire) const ORIGIN: u8 = 1;
    pub(in crate::wire) const AS_PATH: u8 = 2;
    pub(in crate::wire) const NEXT_HOP: u8 = 3;
    pub(in crate::wire) const MED: u8 = 4;
    pub(in crate::wire) const LOCAL_PREF: u8 = 5;
    pub(in crate::wire) const ATOMIC_AGGREGATE: u8 = 6;
    pub(in crate::wire) const AGGREGATOR: u8 = 7;
    pub(in crate::wire) const COMMUNITIES: u8 = 8;
    pub(in crate::wire) const ORIGINATOR_ID: u8 = 9;
    pub(in crate::wire) const CLUSTER_LIST: u8 = 10;
    pub(in crate::wire) const MP_REACH_NLRI: u8 = 14;
    pub(in crate::wire) const MP_UNREACH_NLRI: u8 = 15;
    pub(in crate::wire) const EXTENDED_COMMUNITIES: u8 = 16;
    pub(in crate::wire) const AS4_PATH: u8 = 17;
    pub(in crate::wire) const AS4_AGGREGATOR: u8 = 18;
    pub(in crate::wire) const LARGE_COMMUNITY: u8 = 32;
    pub(in crate::wire) const OTC: u8 = 35;
}

/// What an attribute's Optional and Transitive bits must be (RFC 4271 §4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// Optional clear, Transitive set; Partial must be clear.
    WellKnown,
    /// Both set.
    OptionalTransitive,
    /// Optional set, Transitive clear; Partial must be clear.
    OptionalNonTransitive,
}

impl Class {
    /// The flags that this class is sent with.
    pub(super) fn flags(self) -> u8 {
        match self {
            Self::WellKnown => TRANSITIVE,
            Self::OptionalTransitive => OPTIONAL | TRANSITIVE,
            Self::OptionalNonTransitive => OPTIONAL,
        }
    }
}

/// A fault in an attribute, in a few words, and what it costs.
pub(super) enum Fault {
    /// The attribute is dropped.
    Discard(&'static str),
    /// The routes are withdrawn. Where the UPDATE has none that could be, the session is reset
    /// with this error (RFC 7606 §5.2).
    Withdraw(UpdateError, &'static str),
}

/// What has been read of an UPDATE's attributes so far.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) attributes: PathAttributes,
    pub(super) next_hop: Option<NextHop>,
    pub(super) as4_path: Option<AsPath>,
    pub(super) as4_aggregator: Option<Aggregator>,
}

type Read = fn(&mut Draft, &[u8], &Context) -> Result<(), Fault>;

/// On which sessions an attribute means something; elsewhere it is dropped unread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sender {
    /// On all.
    Anyone,
    /// On internal ones (RFC 7606 §7.5, §7.9, §7.10).
    Internal,
    /// On those with a two-octet speaker (RFC 6793 §3).
    TwoOctet,
}

impl Sender {
    /// Why what this session's peer sends does not count, if so.
    pub(super) fn refusal(self, context: &Context) -> Option<&'static str> {
        match self {
            Self::Anyone => None,
            Self::Internal => (!context.internal).then_some("not for external sessions"),
            Self::TwoOctet => context
                .four_octet_as
                .then_some("not for four-octet speakers"),
        }
    }
}

/// One attribute. Wrong flags always withdraw (RFC 7606 §3 c).
pub(super) struct Row {
    pub(super) code: u8,
    pub(super) class: Class,
    pub(super) sender: Sender,
    pub(super) read: Read,
}

const fn row(code: u8, class: Class, sender: Sender, read: Read) -> Row {
    Row {
        code,
        class,
        sender,
        read,
    }
}

/// Every recognised attribute but MP_REACH_NLRI and MP_UNREACH_NLRI, which carry routes and are
/// read first (`update.rs`).
pub(super) const TABLE: [Row; 15] = {
    use Class::{OptionalNonTransitive, OptionalTransitive, WellKnown};
    use Sender::{Anyone, Internal, TwoOctet};
    [
        row(code::ORIGIN, WellKnown, Anyone, origin),
        row(code::AS_PATH, WellKnown, Anyone, as_path),
        row(code::NEXT_HOP, WellKnown, Anyone, next_hop),
        row(code::MED, OptionalNonTransitive, Anyone, med),
        row(code::LOCAL_PREF, WellKnown, Internal, local_pref),
        row(code::ATOMIC_AGGREGATE, WellKnown, Anyone, atomic_aggregate),
        row(code::AGGREGATOR, OptionalTransitive, Anyone, aggregator),
        row(code::COMMUNITIES, OptionalTransitive, Anyone, communities),
        row(
            code::ORIGINATOR_ID,
            OptionalNonTransitive,
            Internal,
            originator_id,
        ),
        row(
            code::CLUSTER_LIST,
            OptionalNonTransitive,
            Internal,
            cluster_list,
        ),
        row(
            code::EXTENDED_COMMUNITIES,
            OptionalTransitive,
            Anyone,
            extended_communities,
        ),
        row(code::AS4_PATH, OptionalTransitive, TwoOctet, as4_path),
        row(
            code::AS4_AGGREGATOR,
            OptionalTransitive,
            TwoOctet,
            as4_aggregator,
        ),
        row(
            code::LARGE_COMMUNITY,
            OptionalTransitive,
            Anyone,
            large_communities,
        ),
        row(code::OTC, OptionalTransitive, Anyone, otc),
    ]
};

/// RFC 7606 §7.1.
fn origin(draft: &mut Draft, value: &[u8], _: &Context) -> Result<(), Fault> {
    let [value] = exactly(value).ok_or(Fault::Withdraw(
        UpdateError::AttributeLength,
        "ORIGIN is not one octet",
    ))?;
    draft.attributes.origin = match value {
        0 => Origin::Igp,
        1 => Origin::Egp,
        2 => Origin::Incomplete,
        _ => {
            return Err(Fault::Withdraw(
                UpdateError::InvalidOrigin,
                "ORIGIN has an undefined value",
            ));
        }
    };
    Ok(())
}

/// RFC 7606 §7.2, RFC 7607. Confederation segments stay inside their confederation, and none of
/// our external peers is in ours (RFC 5065 §5).
fn as_path(draft: &mut Draft, value: &[u8], context: &Context) -> Result<(), Fault> {
    let path = AsPath::read(value, context.four_octet_as);
    let path = path.ok_or(Fault::Withdraw(
        UpdateError::MalformedAsPath,
        "AS_PATH is malformed",
    ))?;
    if path.contains(Asn(0)) {
        return Err(Fault::Withdraw(
            UpdateError::MalformedAsPath,
            "AS_PATH contains AS 0",
        ));
    }
    if !context.internal && path.has_confederations() {
        let what = "AS_PATH from an external peer has confederation segments";
        return Err(Fault::Withdraw(UpdateError::MalformedAsPath, what));
    }
    draft.attributes.as_path = path;
    Ok(())
}

/// RFC 7606 §7.3; what is no host address is refused here, too (RFC 4271 §6.3).
fn next_hop(draft: &mut Draft, value: &[u8], _: &Context) -> Result<(), Fault> {
    let octets: [u8; 4] = exactly(value).ok_or(Fault::Withdraw(
        UpdateError::AttributeLength,
        "NEXT_HOP is not four octets",
    ))?;
    let address = Ipv4Addr::from(octets);
    if !is_host(address) {
        return Err(Fault::Withdraw(
            UpdateError::InvalidNextHop,
            "NEXT_HOP is no host address",
        ));
    }
    draft.next_hop = Some(NextHop::V4(address));
    Ok(())
}

/// Whether an address can be that of a host: not 0/8, multicast or class E.
/// Loopback addresses mean something between neighbours on one host: the RIB judges them.
pub(super) fn is_host(address: Ipv4Addr) -> bool {
    let first = address.octets()[0];
    first != 0 && first < 224
}

/// RFC 7606 §7.4.
fn med(draft: &mut Draft, value: &[u8], _: &Context) -> Result<(), Fault> {
    let octets = exactly(value).ok_or(Fault::Withdraw(
        UpdateError::AttributeLength,
        "MULTI_EXIT_DISC is not four octets",
    ))?;
    draft.attributes.med = Some(u32::from_be_bytes(octets));
    Ok(())
}

/// RFC 7606 §7.5.
fn local_pref(draft: &mut Draft, value: &[u8], _: &Context) -> Result<(), Fault> {
    let octets = exactly(value).ok_or(Fault::Withdraw(
        UpdateError::AttributeLength,
        "LOCAL_PREF is not four octets",
    ))?;
    draft.attributes.local_pref = Some(u32::from_be_bytes(octets));
    Ok(())
}

/// RFC 7606 §7.6.
fn atomic_aggregate(draft: &mut Draft, value: &[u8], _: &Context) -> Result<(), Fault> {
    if !value.is_empty() {
        return Err(Fault::Discard("ATOMIC_AGGREGATE is not empty"));
    }
    draft.attributes.atomic_aggregate = true;
    Ok(())
}

/// RFC 7606 §7.7, RFC 7607.
fn aggregator(draft: &mut Draft, value: &[u8], context: &Context) -> Result<(), Fault> {
    let read = if context.four_octet_as {
        aggregator4(value)
    } else {
        aggregator2(value)
    };
    let aggregator = read.ok_or(Fault::Discard("AGGREGATOR has a wrong length"))?;
    if aggregator.asn == Asn(0) {
        return Err(Fault::Discard("AGGREGATOR is AS 0"));
    }
    draft.attributes.aggregator = Some(aggregator);
    Ok(())
}

fn aggregator2(value: &[u8]) -> Option<Aggregator> {
    let [a, b, c, d, e, f] = exactly(value)?;
    let asn = Asn(u32::from(u16::from_be_bytes([a, b])));
    Some(Aggregator {
        asn,
        address: Ipv4Addr::new(c, d, e, f),
    })
}

fn aggregator4(value: &[u8]) -> Option<Aggregator> {
    let [a, b, c, d, e, f, g, h] = exactly(value)?;
    let asn = Asn(u32::from_be_bytes([a, b, c, d]));
    Some(Aggregator {
        asn,
        address: Ipv4Addr::new(e, f, g, h),
    })
}

/// RFC 7606 §7.8: a multiple of four, and not empty.
fn communities(draft: &mut Draft, value: &[u8], _: &Context) -> Result<(), Fault> {
    let list = chunks::<4>(value).ok_or(Fault::Withdraw(
        UpdateError::AttributeLength,
        "COMMUNITIES has a wrong length",
    ))?;
    draft.attributes.communities = list
        .iter()
        .map(|octets| Community(u32::from_be_bytes(*octets)))
        .collect();
    Ok(())
}

/// RFC 7606 §7.9.
fn originator_id(draft: &mut Draft, value: &[u8], _: &Context) -> Result<(), Fault> {
    let octets: [u8; 4] = exactly(value).ok_or(Fault::Withdraw(
        UpdateError::AttributeLength,
        "ORIGINATOR_ID is not four octets",
    ))?;
    draft.attributes.originator_id = Some(RouterId(octets.into()));
    Ok(())
}

/// RFC 7606 §7.10.
fn cluster_list(draft: &mut Draft, value: &[u8], _: &Context) -> Result<(), Fault> {
    let list = chunks::<4>(value).ok_or(Fault::Withdraw(
        UpdateError::AttributeLength,
        "CLUSTER_LIST has a wrong length",
    ))?;
    draft.attributes.cluster_list = list
        .iter()
        .map(|octets| ClusterId((*octets).into()))
        .collect();
    Ok(())
}

/// RFC 7606 §7.14.
fn extended_communities(draft: &mut Draft, value: &[u8], _: &Context) -> Result<(), Fault> {
    let list = chunks::<8>(value).ok_or(Fault::Withdraw(
        UpdateError::AttributeLength,
        "EXTENDED COMMUNITIES has a wrong length",
    ))?;
    draft.attributes.extended_communities = list.to_vec();
    Ok(())
}

/// RFC 6793 §6: a malformed one is dropped, an empty one included; so are confederation segments.
fn as4_path(draft: &mut Draft, value: &[u8], _: &Context) -> Result<(), Fault> {
    let path = AsPath::read(value, true).filter(|path| !path.is_empty());
    let path = path.ok_or(Fault::Discard("AS4_PATH is malformed"))?;
    if path.contains(Asn(0)) {
        return Err(Fault::Discard("AS4_PATH contains AS 0"));
    }
    draft.as4_path = Some(path.without_confederations());
    Ok(())
}

/// RFC 6793 §6.
fn as4_aggregator(draft: &mut Draft, value: &[u8], _: &Context) -> Result<(), Fault> {
    let read = aggregator4(value).filter(|aggregator| aggregator.asn != Asn(0));
    draft.as4_aggregator = Some(read.ok_or(Fault::Discard("AS4_AGGREGATOR is malformed"))?);
    Ok(())
}

/// RFC 8092 §6; what is there twice counts once (§5).
fn large_communities(draft: &mut Draft, value: &[u8], _: &Context) -> Result<(), Fault> {
    let list = chunks::<12>(value).ok_or(Fault::Withdraw(
        UpdateError::AttributeLength,
        "LARGE_COMMUNITY has a wrong length",
    ))?;
    let read = |octets: &[u8; 12]| {
        let mut reader = Reader::new(octets);
        Some(LargeCommunity {
            global: reader.u32()?,
            local1: reader.u32()?,
            local2: reader.u32()?,
        })
    };
    let mut seen = BTreeSet::new();
    draft.attributes.large_communities = list
        .iter()
        .filter_map(read)
        .filter(|community| seen.insert(*community))
        .collect();
    Ok(())
}

/// RFC 9234 §5.
fn otc(draft: &mut Draft, value: &[u8], _: &Context) -> Result<(), Fault> {
    let octets = exactly(value).ok_or(Fault::Withdraw(
        UpdateError::AttributeLength,
        "OTC is not four octets",
    ))?;
    draft.attributes.otc = Some(Asn(u32::from_be_bytes(octets)));
    Ok(())
}

/// `value` as one or more pieces of `N` octets.
fn chunks<const N: usize>(value: &[u8]) -> Option<&[[u8; N]]> {
    let (pieces, rest) = value.as_chunks::<N>();
    (rest.is_empty() && !pieces.is_empty()).then_some(pieces)
}

/// The recognised attributes that may carry the Partial bit, in the order of their bits in a
/// [`PartialSet`].
const CAN_BE_PARTIAL: [u8; 5] = [
    code::AGGREGATOR,
    code::COMMUNITIES,
    code::EXTENDED_COMMUNITIES,
    code::LARGE_COMMUNITY,
    code::OTC,
];

impl PartialSet {
    /// Remembers that the attribute `code` carried the Partial bit.
    pub fn insert(&mut self, code: u8) {
        if let Some(bit) = CAN_BE_PARTIAL.iter().position(|other| *other == code) {
            self.0 |= 1 << bit;
        }
    }

    /// Whether the attribute `code` carried the Partial bit.
    pub fn contains(self, code: u8) -> bool {
        let bit = CAN_BE_PARTIAL.iter().position(|other| *other == code);
        bit.is_some_and(|bit| self.0 & (1 << bit) != 0)
    }
}
