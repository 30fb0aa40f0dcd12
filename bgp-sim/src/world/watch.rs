//! What must hold after every step, and whether all is quiet.
//!
//! Some things never happen between speakers that follow the RFCs, whatever the network does: a
//! malformed message, a faulty attribute, a refused OPEN. Others happen only when something was
//! broken: in a run without faults, and after quiet, no session goes down.

use super::{Fault, World};
use bgp_core::session::DownReason;
use bgp_core::speaker::{Event, Wait};
use bgp_core::time::Duration;
use bgp_core::wire::NotificationError;
use bytes::Bytes;

/// Every speaker is asked for its invariants this often; a small one after every step.
const CHECK_EVERY: u64 = 512;
/// A world with at most this many hosts is small.
const SMALL: usize = 8;
/// How long it may take, after everything has been mended, until all is up and said: hold times,
/// pauses after failed attempts and the deferral after a restart, with room to spare.
pub const MAX_UNQUIET: Duration = Duration::from_secs(1_800);
/// How often it is asked whether all is quiet.
const PATIENCE: Duration = Duration::from_millis(50);
/// Octets of a KEEPALIVE, and where its type stands.
const KEEPALIVE_LEN: usize = 19;

impl World {
    pub(super) fn watch_event(&mut self, host: usize, event: &Event) -> Result<(), Fault> {
        if self.trace.is_on() {
            self.note(host, format_args!("{event:?}"));
        }
        match event {
            Event::Established { peer, .. } => {
                self.summary.established += 1;
                if !self.machines[host].up.insert(peer.address) {
                    return Err(self.fault(host, event, "is up twice"));
                }
            }
            Event::Down {
                peer,
                reason,
                was_established,
            } => {
                self.summary.downs += u64::from(*was_established);
                let was_up = self.machines[host].up.remove(&peer.address);
                if was_up != *was_established {
                    return Err(self.fault(host, event, "does not fit to what was told before"));
                }
                self.watch_reason(host, event, (reason, was_up))?;
            }
            Event::ConnectionClosed { reason, .. } => {
                self.watch_reason(host, event, (reason, false))?;
            }
            Event::Refused { .. } if !self.scenario.faults => {
                return Err(self.fault(host, event, "in a run without faults"));
            }
            Event::AttributeFault { .. }
            | Event::TooManyPrefixes { .. }
            | Event::RouteTooLong { .. } => {
                return Err(self.fault(host, event, "has no cause"));
            }
            Event::Refused { .. } | Event::EndOfRib { .. } => {}
        }
        Ok(())
    }

    fn watch_reason(
        &self,
        host: usize,
        event: &Event,
        (reason, was_up): (&DownReason, bool),
    ) -> Result<(), Fault> {
        if !is_possible(reason) {
            return Err(self.fault(host, event, "has no cause"));
        }
        if was_up && (self.calm || !self.scenario.faults) {
            return Err(self.fault(host, event, "though nothing was broken"));
        }
        Ok(())
    }

    fn fault(&self, host: usize, event: &Event, what: &str) -> Fault {
        format!("{}: {event:?} {what}", self.name(host))
    }

    /// What holds for bytes that leave.
    pub(super) fn watch_transmit(&self, host: usize, messages: &[Bytes]) -> Result<(), Fault> {
        let keepalive = |message: &Bytes| message.len() == KEEPALIVE_LEN;
        match messages.iter().find(|message| !keepalive(message)) {
            Some(message) if self.calm => Err(format!(
                "{} sends after quiet: {:02x?}",
                self.name(host),
                message.as_ref()
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// What holds after every step of a speaker.
    pub(super) fn watch_step(&mut self, host: usize) -> Result<(), Fault> {
        self.machines[host].steps += 1;
        if self.trace.is_on() {
            self.note_states(host);
        }
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

    fn note_states(&mut self, host: usize) {
        let Some(speaker) = &self.machines[host].speaker else {
            return;
        };
        let views = speaker.peers(self.now);
        for view in views {
            let states = &mut self.machines[host].states;
            let before = states.insert(view.address, view.state);
            if let Some(before) = before.filter(|before| *before != view.state) {
                let (name, state) = (view.name, view.state);
                self.note(host, format_args!("peer {name} {before:?}→{state:?}"));
            }
        }
    }

    /// Lets time pass until all is up and nothing is left to say.
    pub(super) fn await_quiet(&mut self) -> Result<(), Fault> {
        let limit = self.now + MAX_UNQUIET;
        loop {
            self.advance(self.now + PATIENCE)?;
            let Some(unquiet) = self.unquiet() else {
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
        for (host, machine) in self.machines.iter().enumerate() {
            let wait = machine.speaker.as_ref().and_then(|s| s.poll_timeout());
            match wait {
                Some((_, wait @ (Wait::Work | Wait::Settle | Wait::EndOfRib))) => {
                    return Some(format!("{} waits for {wait:?}", self.name(host)));
                }
                Some((_, Wait::Session(..))) | None => {}
            }
        }
        let blocked = |(_, circuit): (_, &crate::network::Circuit)| {
            circuit.flows.iter().any(|flow| flow.blocked)
        };
        if self.network.waiting() > 0 || self.network.iter().any(blocked) {
            return Some("octets are under way".to_owned());
        }
        None
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
