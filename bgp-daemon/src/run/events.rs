//! The engine's events as log lines. Every line about a session has `peer` and `address`.
//!
//! A thousand peers that leave together are one piece of news, not a thousand: of each kind of line
//! only some are written in a second, the rest is counted, and the count is a line.

use super::throttle::{Throttle, WINDOW};
use bgp_core::session::{DownReason, Note};
use bgp_core::speaker::{Event, PeerName, Refused};
use bgp_io::{Events, Heard};
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Instant;
use tokio::time::timeout_at;
use tracing::Level;

/// Lines about refused connections in a second: anybody who can reach us can cause them.
const MAX_REFUSALS: u32 = 10;

/// Lines of any other kind in a second.
const MAX_LINES: u32 = 20;

/// Logs until the engine ends.
pub(super) async fn log(mut events: Events) {
    let mut lines = Lines::new();
    loop {
        let heard = match lines.due() {
            None => events.next().await,
            Some(due) => match timeout_at(due.into(), events.next()).await {
                Ok(heard) => heard,
                Err(_) => {
                    lines.count(due);
                    continue;
                }
            },
        };
        let now = Instant::now();
        lines.count(now);
        match heard {
            Some(Heard::Event(event)) => lines.write(event, now),
            Some(Heard::Missed(count)) => {
                tracing::warn!(count, "events were not logged: too many");
            }
            None => {
                lines.count(now + WINDOW);
                break;
            }
        }
    }
}

/// What lines are counted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Established,
    Down,
    LongLivedStale,
    Note,
    AttributeFault,
    TooManyPrefixes,
    Refused,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Established,
        Self::Down,
        Self::LongLivedStale,
        Self::Note,
        Self::AttributeFault,
        Self::TooManyPrefixes,
        Self::Refused,
    ];

    /// The kind of the line about `event`. Nobody sees a line for debugging who has not asked for
    /// all of them: those are not counted.
    fn of(event: &Event) -> Option<Self> {
        match event {
            Event::Established { .. } => Some(Self::Established),
            Event::Down { .. } => Some(Self::Down),
            Event::LongLivedStale { .. } => Some(Self::LongLivedStale),
            Event::Note { note, .. } => (level_of(note) != Level::DEBUG).then_some(Self::Note),
            Event::AttributeFault { .. } => Some(Self::AttributeFault),
            Event::TooManyPrefixes { .. } => Some(Self::TooManyPrefixes),
            Event::Refused { .. } => Some(Self::Refused),
            Event::StateChanged { .. } | Event::EndOfRib { .. } => None,
        }
    }

    fn most(self) -> u32 {
        match self {
            Self::Refused => MAX_REFUSALS,
            Self::Established
            | Self::Down
            | Self::LongLivedStale
            | Self::Note
            | Self::AttributeFault
            | Self::TooManyPrefixes => MAX_LINES,
        }
    }

    /// What the count of lines that were not written is about.
    fn further(self) -> &'static str {
        match self {
            Self::Established => "further sessions established; `bgpctl peers` lists them",
            Self::Down => "further sessions down; `bgpctl peers` lists them",
            Self::LongLivedStale => {
                "further peers not back within their restart time; `bgpctl peers` lists them"
            }
            Self::Note => "further remarks about sessions; `bgpctl peers` lists them",
            Self::AttributeFault => "further faults in UPDATEs (RFC 7606)",
            Self::TooManyPrefixes => "further peers with too many prefixes",
            Self::Refused => "further connections were refused",
        }
    }
}

/// The log, with what it did not take.
struct Lines([(Kind, Throttle); Kind::ALL.len()]);

impl Lines {
    fn new() -> Self {
        Self(Kind::ALL.map(|kind| (kind, Throttle::new(kind.most()))))
    }

    /// When there is something to count.
    fn due(&self) -> Option<Instant> {
        let due = self.0.iter().filter_map(|(_, throttle)| throttle.due());
        due.min()
    }

    /// Tells how many lines were not written in seconds that are over.
    fn count(&mut self, now: Instant) {
        for (kind, throttle) in &mut self.0 {
            if let Some(count) = throttle.overdue(now) {
                tracing::warn!(count, "{}", kind.further());
            }
        }
    }

    fn write(&mut self, event: Event, now: Instant) {
        let kind = Kind::of(&event);
        let mut throttles = self.0.iter_mut();
        let throttle = throttles.find(|(of, _)| Some(*of) == kind);
        if throttle.is_none_or(|(_, throttle)| throttle.admit(now)) {
            line(event);
        }
    }
}

fn line(event: Event) {
    match event {
        Event::Established {
            peer: PeerName { name, address, .. },
            remote_as,
            router_id,
            families,
        } => {
            let families: Vec<_> = families.iter().map(|family| family.to_string()).collect();
            let families = families.join(",");
            tracing::info!(
                peer = %name, %address, %remote_as, %router_id, families, "established"
            );
        }
        Event::Down {
            peer,
            reason,
            keeps,
        } => {
            let ordered = matches!(reason, DownReason::Stopped(_));
            let level = if ordered { Level::INFO } else { Level::WARN };
            let kept = if keeps.is_empty() {
                ""
            } else {
                "; its routes stay for its restart time (RFC 4724)"
            };
            say(level, &peer, &format_args!("down: {reason}{kept}"));
        }
        Event::LongLivedStale {
            peer,
            families,
            span,
        } => {
            let families: Vec<_> = families.iter().map(|family| family.to_string()).collect();
            let text = format_args!(
                "not back within its restart time: its routes of {} stay for another {} s at \
                 most, as the least preferred ones (RFC 9494)",
                families.join(" and "),
                span.as_secs()
            );
            say(Level::WARN, &peer, &text);
        }
        Event::StateChanged { peer, from, to } => {
            say(Level::DEBUG, &peer, &format_args!("{from} to {to}"));
        }
        Event::Note { peer, note } => say(level_of(&note), &peer, &note),
        Event::AttributeFault { peer, fault } => {
            let text = format_args!("fault in an UPDATE (RFC 7606): {fault}");
            say(Level::WARN, &peer, &text);
        }
        Event::TooManyPrefixes { peer, limit } => {
            let text = format_args!("more than {limit} prefixes: the session is being ended");
            say(Level::ERROR, &peer, &text);
        }
        Event::EndOfRib { peer, family } => {
            let text = format_args!("has told all its routes of {family} (End-of-RIB)");
            say(Level::DEBUG, &peer, &text);
        }
        Event::Refused { remote, why } => refused(remote, why),
    }
}

fn say(level: Level, PeerName { name, address, .. }: &PeerName, text: &dyn Display) {
    match level {
        Level::ERROR => tracing::error!(peer = %name, %address, "{text}"),
        Level::WARN => tracing::warn!(peer = %name, %address, "{text}"),
        Level::INFO => tracing::info!(peer = %name, %address, "{text}"),
        Level::DEBUG | Level::TRACE => tracing::debug!(peer = %name, %address, "{text}"),
    }
}

/// A peer that is not there is tried every few seconds: that is no news.
fn level_of(note: &Note) -> Level {
    match note {
        Note::AttemptEnded { reason, .. } => {
            let is_absent = matches!(
                reason,
                DownReason::ConnectFailed
                    | DownReason::ConnectTimedOut
                    | DownReason::ConnectionClosed
                    | DownReason::Collision
                    | DownReason::Superseded
                    | DownReason::Stopped(_)
            );
            if is_absent { Level::DEBUG } else { Level::WARN }
        }
        Note::ConnectionRefused(_) => Level::DEBUG,
        Note::OfferReduced => Level::INFO,
        Note::RefreshIgnored(_) | Note::ControlDropped => Level::WARN,
    }
}

fn refused(remote: SocketAddr, why: Refused) {
    match why {
        Refused::UnknownPeer => tracing::warn!(
            address = %remote.ip(),
            "connection refused: no peer has this address and no group accepts it"
        ),
        Refused::GroupFull { limit } => tracing::warn!(
            address = %remote.ip(),
            limit,
            "connection refused: the group has as many peers as its accept-limit allows"
        ),
        Refused::Shutdown => tracing::info!(
            address = %remote.ip(),
            "connection refused: the peer is disabled"
        ),
        Refused::Stopping => tracing::debug!(
            address = %remote.ip(),
            "connection refused: we are ending"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused() -> Event {
        Event::Refused {
            remote: SocketAddr::from(([192, 0, 2, 1], 1)),
            why: Refused::UnknownPeer,
        }
    }

    #[test]
    fn one_kind_of_line_does_not_keep_another_away() {
        let mut lines = Lines::new();
        let begin = Instant::now();
        for _ in 0..100 {
            lines.write(refused(), begin);
        }
        assert_eq!(lines.due(), Some(begin + WINDOW));
        let others = lines.0.iter().filter(|(kind, _)| *kind != Kind::Refused);
        assert!(
            others
                .into_iter()
                .all(|(_, throttle)| throttle.due().is_none())
        );
        lines.count(begin + WINDOW);
        assert_eq!(lines.due(), None);
    }
}
