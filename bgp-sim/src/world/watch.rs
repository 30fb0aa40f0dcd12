//! What must hold after every step, and whether all is quiet.
//!
//! Some things never happen between speakers that follow the RFCs, whatever the network does: a
//! malformed message, a faulty attribute, a refused OPEN. Others happen only when something was
//! broken: in a run without faults, and after quiet, no session goes down.

use super::{Fault, World};
use crate::network::{Circuit, Standing};
use bgp_core::rib::PeerSummary;
use bgp_core::session::{DownReason, Note};
use bgp_core::speaker::{Event, Wait};
use bgp_core::time::Duration;
use bgp_core::wire::{Cease, HEADER_LEN, NotificationError};
use bytes::Bytes;

/// Every speaker is asked for its invariants this often; a small one after every step.
const CHECK_EVERY: u64 = 512;
/// A world with at most this many hosts is small.
const SMALL: usize = 8;
/// How long it may take, after everything has been mended, until all is up and said: hold times,
/// pauses after failed attempts and the deferral after a restart, with room to spare.
pub const MAX_UNQUIET: Duration = Duration::from_secs(1_800);
/// Without news for this long, nothing waits for the end of a settle window or for a late timer.
const SETTLED: Duration = Duration::from_millis(200);
/// How often it is asked whether all is quiet.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long to wait, beside that, for routes that are kept or End-of-RIB that is held back.
const LONG_PATIENCE: Duration = Duration::from_secs(1);

impl World {
    pub(super) fn watch_event(&mut self, host: usize, event: &Event) -> Result<(), Fault> {
        match event {
            Event::StateChanged { peer, from, to } => {
                self.note(host, format_args!("peer {} {from:?}→{to:?}", peer.name));
            }
            Event::Established { .. }
            | Event::Down { .. }
            | Event::Note { .. }
            | Event::Refused { .. }
            | Event::AttributeFault { .. }
            | Event::TooManyPrefixes { .. }
            | Event::LongLivedStale { .. }
            | Event::EndOfRib { .. } => self.note(host, format_args!("{event:?}")),
        }
        match event {
            Event::Established { peer, .. } => {
                self.summary.established += 1;
                if !self.machines[host].up.insert(peer.address) {
                    return Err(self.fault(host, event, "is up twice"));
                }
            }
            Event::Down { peer, reason, .. } => {
                self.summary.downs += 1;
                if !self.machines[host].up.remove(&peer.address) {
                    return Err(self.fault(host, event, "was not up"));
                }
                self.watch_reason(host, event, reason)?;
                if self.calm || !(self.scenario.faults || is_collision(reason)) {
                    return Err(self.fault(host, event, "though nothing was broken"));
                }
            }
            Event::Note {
                note: Note::AttemptEnded { reason, .. },
                ..
            } => self.watch_reason(host, event, reason)?,
            Event::Refused { .. } if !self.scenario.faults => {
                return Err(self.fault(host, event, "in a run without faults"));
            }
            Event::AttributeFault { .. }
            | Event::TooManyPrefixes { .. }
            | Event::Note {
                note: Note::OfferReduced | Note::RefreshIgnored(_),
                ..
            } => return Err(self.fault(host, event, "has no cause")),
            Event::Refused { .. }
            | Event::LongLivedStale { .. }
            | Event::StateChanged { .. }
            | Event::Note {
                note: Note::ConnectionRefused(_) | Note::ControlDropped,
                ..
            }
            | Event::EndOfRib { .. } => {}
        }
        Ok(())
    }

    fn watch_reason(&self, host: usize, event: &Event, why: &DownReason) -> Result<(), Fault> {
        match is_possible(why) {
            true => Ok(()),
            false => Err(self.fault(host, event, "has no cause")),
        }
    }

    fn fault(&self, host: usize, event: &Event, what: &str) -> Fault {
        format!("{}: {event:?} {what}", self.name(host))
    }

    /// What holds for bytes that leave.
    pub(super) fn watch_transmit(&mut self, host: usize, messages: &[Bytes]) -> Result<(), Fault> {
        if !messages.iter().all(is_keepalive) {
            self.last_news = self.now;
        }
        if !self.calm {
            return Ok(());
        }
        match messages.iter().find(|message| !is_keepalive(message)) {
            Some(message) => Err(format!(
                "{} sends after quiet: {:02x?}",
                self.name(host),
                message.as_ref()
            )),
            None => Ok(()),
        }
    }

    /// What holds after every step of a speaker.
    pub(super) fn watch_step(&mut self, host: usize) -> Result<(), Fault> {
        self.machines[host].steps += 1;
        let due = self.machines[host].steps.is_multiple_of(CHECK_EVERY);
        if due || self.machines.len() <= SMALL {
            return self.check(host);
        }
        Ok(())
    }

    fn check(&self, host: usize) -> Result<(), Fault> {
        let Some(speaker) = self.speaker(host) else {
            return Ok(());
        };
        let checked = speaker.check();
        checked.map_err(|what| format!("{}: {what}", self.name(host)))
    }

    /// Lets time pass until all is up and nothing is left to say.
    pub(super) fn await_quiet(&mut self) -> Result<(), Fault> {
        let limit = self.now + MAX_UNQUIET;
        loop {
            self.advance(self.now + PATIENCE)?;
            self.listen_to_all()?;
            let mut unquiet = self.unquiet();
            if unquiet.is_none() {
                unquiet = self.behind();
                if unquiet.is_some() {
                    // What is kept is kept for minutes: no need to ask every moment.
                    self.advance(self.now + LONG_PATIENCE)?;
                }
            }
            let Some(unquiet) = unquiet else {
                break;
            };
            if self.now > limit {
                return Err(format!("still not quiet: {unquiet}"));
            }
        }
        (0..self.machines.len()).try_for_each(|host| self.check(host))
    }

    /// What is not quiet yet.
    fn unquiet(&self) -> Option<String> {
        for session in &self.scenario.topology.sessions {
            let [one, two] = &session.ends;
            if self.speaker(one.host).is_none() || self.speaker(two.host).is_none() {
                continue;
            }
            for (own, other) in [(one, two), (two, one)] {
                if !self.machines[own.host].up.contains(&other.address) {
                    let (own, other) = (self.name(own.host), self.name(other.host));
                    return Some(format!("{own} has no session with {other}"));
                }
            }
        }
        if let Some(stale) = self.stale_session() {
            return Some(stale);
        }
        if self.now < self.last_news + SETTLED {
            return Some("there was news a moment ago".to_owned());
        }
        // A RST that a cut holds back carries no octets, and yet ends a session.
        let busy = |(_, circuit): (_, &Circuit)| {
            [0, 1].into_iter().any(|side: usize| {
                let flow = &circuit.flows[side];
                let is_read = circuit.plugs[1 - side].standing == Standing::Open;
                flow.blocked || (is_read && flow.is_reset() && flow.is_carrying())
            })
        };
        if self.network.waiting() > 0 || self.network.iter().any(busy) {
            return Some("something is under way".to_owned());
        }
        None
    }

    /// Work that is left: a peer to which not everything has been said, End-of-RIB included, or
    /// whose earlier routes are still kept (RFC 4724 §4.2) or being cleared away.
    fn behind(&self) -> Option<String> {
        (0..self.machines.len()).find_map(|host| {
            let name = self.name(host);
            let speaker = self.speaker(host)?;
            let works = matches!(speaker.poll_timeout(), Some((_, Wait::Work | Wait::Settle)));
            if works || speaker.counts().departed > 0 || speaker.has_route_news() {
                return Some(format!("{name} has work left"));
            }
            let views = speaker.peers(self.now);
            views.iter().find_map(|view| match &view.routes {
                _ if view.keeps.is_some() => Some(format!("{name} keeps routes of {}", view.name)),
                Some(routes) if !has_told_all(routes) => {
                    Some(format!("{name} has not told {} everything", view.name))
                }
                Some(_) | None => None,
            })
        })
    }

    /// A session with a host that does not run: its hold timer has still to notice.
    fn stale_session(&self) -> Option<String> {
        for session in &self.scenario.topology.sessions {
            let [one, two] = &session.ends;
            for (own, other) in [(one, two), (two, one)] {
                let up = self.machines[own.host].up.contains(&other.address);
                if up && self.speaker(other.host).is_none() {
                    let (own, other) = (self.name(own.host), self.name(other.host));
                    return Some(format!("{own} believes that {other} is up"));
                }
            }
        }
        None
    }
}

/// Whether a session that was up on one side only ended because the other side chose the other
/// connection. It chooses when it reads the second OPEN; this side may have read a KEEPALIVE on
/// the first connection by then (RFC 4271 §6.8).
fn is_collision(reason: &DownReason) -> bool {
    let DownReason::NotificationReceived(notification) = reason else {
        return false;
    };
    notification.error == NotificationError::Cease(Cease::ConnectionCollisionResolution)
}

fn has_told_all(routes: &PeerSummary) -> bool {
    let mut tables = routes.tables.iter().filter_map(|(_, table)| table.as_ref());
    tables.all(|table| table.behind == 0 && table.end_of_rib)
}

/// Whether a session between two speakers that follow the RFCs can end so.
fn is_possible(reason: &DownReason) -> bool {
    match reason {
        DownReason::Stopped(_)
        | DownReason::Collision
        | DownReason::Superseded
        | DownReason::PeerRestarted
        | DownReason::ConnectionClosed
        | DownReason::ConnectFailed
        | DownReason::ConnectTimedOut
        | DownReason::HoldTimerExpired(_)
        | DownReason::SendHoldTimerExpired(_) => true,
        DownReason::Reset(notification) | DownReason::NotificationReceived(notification) => {
            match notification.error {
                NotificationError::Cease(_)
                | NotificationError::HoldTimerExpired
                | NotificationError::SendHoldTimerExpired => true,
                NotificationError::MessageHeader(_)
                | NotificationError::OpenMessage(_)
                | NotificationError::UpdateMessage(_)
                | NotificationError::FiniteStateMachine(_)
                | NotificationError::RouteRefresh(_)
                | NotificationError::Unknown { .. } => false,
            }
        }
        DownReason::OpenRefused(_)
        | DownReason::MessageError(_)
        | DownReason::UnexpectedMessage { .. }
        | DownReason::NotificationUnreadable => false,
    }
}

fn is_keepalive(message: &Bytes) -> bool {
    message.len() == HEADER_LEN
}
