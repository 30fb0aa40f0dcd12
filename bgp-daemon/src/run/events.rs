//! The engine's events as log lines. Every line about a session has `peer` and `address`.

use bgp_core::session::{DownReason, Note};
use bgp_core::speaker::{Event, PeerName, Refused};
use bgp_io::{Events, Heard};
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tracing::Level;

/// Lines about refused connections in each [`WINDOW`]. Further ones are counted: anybody who can
/// reach us can cause them.
const MAX_REFUSALS: u32 = 10;
/// See [`MAX_REFUSALS`].
const WINDOW: Duration = Duration::from_secs(1);

/// Logs until the engine ends.
pub(super) async fn log(mut events: Events) {
    let mut refusals = Throttle::default();
    while let Some(heard) = events.next().await {
        match heard {
            Heard::Event(Event::Refused { remote, why }) => refusals.refused(remote, why),
            Heard::Event(event) => line(event),
            Heard::Missed(count) => tracing::warn!(count, "events were not logged: too many"),
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

/// Lets [`MAX_REFUSALS`] lines through in each [`WINDOW`] and counts the rest.
#[derive(Debug, Default)]
struct Throttle {
    window: Option<Instant>,
    told: u32,
    untold: u64,
}

impl Throttle {
    fn refused(&mut self, remote: SocketAddr, why: Refused) {
        if let Some(untold) = self.admit(Instant::now()) {
            if untold > 0 {
                tracing::warn!(count = untold, "further connections were refused");
            }
            refused(remote, why);
        }
    }

    /// Whether a line may be written now; if so, how many were not since the last one that was.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let is_over = |begun: Instant| now.duration_since(begun) >= WINDOW;
        if self.window.is_none_or(is_over) {
            self.window = Some(now);
            self.told = 0;
        }
        if self.told >= MAX_REFUSALS {
            self.untold += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_counted_and_the_count_is_told() {
        let mut throttle = Throttle::default();
        let begin = Instant::now();
        let told = (0..1_000)
            .filter(|_| throttle.admit(begin).is_some())
            .count();
        assert_eq!(told, MAX_REFUSALS as usize);
        assert_eq!(
            throttle.admit(begin + WINDOW),
            Some(1_000 - u64::from(MAX_REFUSALS))
        );
        assert_eq!(throttle.admit(begin + WINDOW), Some(0));
    }
}
