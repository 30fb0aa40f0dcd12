//! Who has told all it knows: when leftovers may go, and when nobody is left to tell.
//!
//! # The sweep
//!
//! What a predecessor left in the kernel is kept until those who would know better have told
//! their tables. That is judged from [`Heard`]:
//!
//! - Somebody is up (unless nobody is configured at all).
//! - Nobody owes an End-of-RIB, or there has been no news for [`OWED`]. Peers that are restarting
//!   themselves owe none.
//! - Those that say no End-of-RIB have been quiet for [`QUIET`].
//! - Nobody who is configured is absent; or there has been no news for [`ABSENCE`]: one dead peer
//!   cannot stretch it.
//! - Or the stale time is over, whoever is there or not.
//!
//! The same is judged again when a reflector is lost while others are there: what only the lost one
//! knows is old as soon as they have told all they know, and is forgotten.
//!
//! Then the routes that are on their way here are taken first, so that nothing is removed that the
//! last UPDATE has asked for.
//!
//! # Headless
//!
//! When the last reflector is lost, what reflectors told stays in the kernel: see
//! [`bgp_blocks::Node::handle_headless`].

use super::{Conductor, Lost};
use bgp_core::family::FamilySet;
use bgp_core::speaker::{Event, Heard, Speaker, Wait};
use bgp_core::time::Instant;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long peers that do not say when they have told all must have been quiet.
pub(super) const QUIET: Duration = Duration::from_secs(2);
/// How long after the last news an absent peer is waited for.
pub(super) const ABSENCE: Duration = Duration::from_secs(3);
/// How long after the last news an End-of-RIB that a peer owes is waited for. Whoever tells a long
/// table makes no news meanwhile, so this is far longer than that takes.
pub(super) const OWED: Duration = Duration::from_secs(60);
/// Pause before it is looked again whether they have come.
const AGAIN: Duration = Duration::from_millis(50);

/// Whether everything that we waited for has been told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It has.
    Complete,
    /// Look again then, or when something has happened.
    Wait(Option<Instant>),
}

/// Judges by the rules above.
pub(super) fn verdict(heard: &Heard, now: Instant) -> Verdict {
    if heard.established == 0 && heard.absent > 0 {
        return Verdict::Wait(None);
    }
    let mut from = heard.last_news;
    if heard.owing > 0 {
        from = from.max(heard.last_news + OWED);
    }
    if heard.unmarked > 0 {
        from = from.max(heard.last_news + QUIET);
    }
    if heard.absent > 0 {
        from = from.max(heard.last_news + ABSENCE);
    }
    if from <= now {
        Verdict::Complete
    } else {
        Verdict::Wait(Some(from))
    }
}

/// What is known about who has told what.
#[derive(Debug)]
pub(super) struct Hearing {
    /// Names of peers that tell us about others, configured or not any more.
    reflectors: BTreeSet<String>,
    /// Those of them whose session is up.
    up: BTreeSet<String>,
    /// The last of them has gone since.
    headless: bool,
    /// Leftovers have been swept, and nothing has made that necessary again.
    complete: bool,
    /// When they go at the latest, whoever is there.
    latest: Instant,
    /// Something has happened since the last judgement.
    news: bool,
    /// Events were missed.
    must_ask_again: bool,
    look_at: Option<Instant>,
}

impl Hearing {
    /// Nobody is up yet. Leftovers go at `latest` in any case.
    pub(super) fn new(reflectors: BTreeSet<String>, latest: Instant) -> Self {
        Self {
            reflectors,
            up: BTreeSet::new(),
            headless: false,
            complete: false,
            latest,
            news: true,
            must_ask_again: false,
            look_at: None,
        }
    }

    /// Whether leftovers are still kept.
    pub(super) fn is_settling(&self) -> bool {
        !self.complete
    }

    /// A peer has been added, or has become another one.
    pub(super) fn expect(&mut self, name: &str, is_reflector: bool) {
        if is_reflector {
            self.reflectors.insert(name.to_owned());
        } else {
            self.forget(name);
        }
        self.news = true;
    }

    /// A peer has been removed.
    pub(super) fn forget(&mut self, name: &str) {
        self.reflectors.remove(name);
        self.up.remove(name);
        self.news = true;
    }

    /// Events were missed: who is up has to be asked anew.
    pub(super) fn miss(&mut self) {
        self.news = true;
        self.must_ask_again = true;
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let latest = (!self.complete).then_some(self.latest);
        [self.look_at, latest].into_iter().flatten().min()
    }

    /// Whether the last reflector has just gone.
    fn loses_its_head(&mut self) -> bool {
        let had_one = !self.headless;
        self.headless = self.up.is_empty() && !self.reflectors.is_empty();
        self.headless && had_one
    }
}

impl Conductor {
    /// Takes in who came and went.
    pub(super) fn hear(&mut self, event: &Event) {
        match event {
            Event::Established { peer, .. } if self.hearing.reflectors.contains(&*peer.name) => {
                self.hearing.up.insert(peer.name.to_string());
                self.hearing.headless = false;
            }
            Event::Down { peer, .. } if self.hearing.up.remove(&*peer.name) => {
                self.note_loss();
            }
            Event::Established { .. }
            | Event::Down { .. }
            | Event::EndOfRib { .. }
            | Event::LongLivedStale { .. }
            | Event::StateChanged { .. }
            | Event::Note { .. }
            | Event::AttributeFault { .. }
            | Event::TooManyPrefixes { .. }
            | Event::Refused { .. } => {}
        }
        self.hearing.news = true;
    }

    fn note_loss(&mut self) {
        self.hearing.complete = false;
        self.hearing.latest = self.clock.now() + self.node.settings().stale_time;
        if self.hearing.loses_its_head() {
            tracing::warn!(
                "no reflector is left: what they told about other nodes stays in the kernel for \
                 at most {} s",
                self.node.settings().stale_time.as_secs()
            );
            self.node.handle_headless(self.clock.now());
        }
    }

    /// Asks which reflectors are up.
    async fn hear_again(&mut self) -> Result<(), Lost> {
        let names = self.hearing.reflectors.clone();
        let is_up = move |speaker: &mut Speaker, now| -> BTreeSet<String> {
            let up = names.into_iter();
            up.filter(|name| is_up(speaker, now, name)).collect()
        };
        self.hearing.up = self.engine.ask(is_up).await?;
        self.hearing.must_ask_again = false;
        self.note_loss();
        Ok(())
    }

    /// Lets leftovers go when everything has been told.
    pub(super) async fn judge_hearing(&mut self) -> Result<(), Lost> {
        let now = self.clock.now();
        let is_due = self.hearing.poll_timeout().is_some_and(|at| at <= now);
        let is_idle = self.hearing.complete && !self.hearing.must_ask_again;
        if is_idle {
            self.hearing.look_at = None;
            return Ok(());
        }
        if !self.hearing.news && !is_due {
            return Ok(());
        }
        if self.hearing.must_ask_again {
            self.hear_again().await?;
        }
        self.hearing.news = false;
        if now >= self.hearing.latest {
            tracing::warn!("nobody has told what is left of the network for too long: it goes");
            self.hearing.look_at = self.sweep().await?;
            return Ok(());
        }
        if self.hearing.headless {
            self.hearing.look_at = None;
            return Ok(());
        }
        let heard = self.engine.ask(|speaker, _| speaker.heard()).await?;
        self.hearing.look_at = match verdict(&heard, now) {
            Verdict::Wait(until) => until,
            Verdict::Complete => self.sweep().await?,
        };
        Ok(())
    }

    /// Takes the news that are on their way, then removes what nobody asked for. Gives the time
    /// to try again, if something is still to be worked out: where a next hop is, or what that
    /// changes.
    async fn sweep(&mut self) -> Result<Option<Instant>, Lost> {
        let is_told = self.engine.ask(|speaker, _| is_told(speaker)).await?;
        while let Some(batch) = self.routes.try_next() {
            self.take_events();
            self.take_routes(batch).await?;
        }
        if !is_told || !self.unresolved.is_empty() {
            return Ok(Some(self.clock.now() + AGAIN));
        }
        let forget = |speaker: &mut Speaker, now| speaker.forget_absent_reflectors(now);
        self.engine.ask(forget).await?;
        let now = self.clock.now();
        self.node.handle_heard(now);
        self.carry_out().await?;
        self.kernel.ask(|fib, _| fib.sweep(FamilySet::ALL)).await?;
        self.hearing.complete = true;
        tracing::info!("all peers that are up have told their routes: what nobody named goes");
        Ok(None)
    }
}

/// Whether the session with the peer named so is established.
pub(super) fn is_up(speaker: &Speaker, now: Instant, name: &str) -> bool {
    let peer = speaker.peer(now, name);
    peer.is_some_and(|peer| peer.negotiated.is_some())
}

/// Whether the engine has no news that have not been sent here, and no work that may make some.
fn is_told(speaker: &mut Speaker) -> bool {
    let works = matches!(speaker.poll_timeout(), Some((_, Wait::Work | Wait::Settle)));
    !works && !speaker.has_route_news()
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_micros(5_000_000);

    fn heard(established: usize, owing: usize, unmarked: usize, absent: usize) -> Heard {
        Heard {
            established,
            owing,
            unmarked,
            absent,
            last_news: START,
        }
    }

    #[test]
    fn complete_when_all_have_said_so() {
        assert_eq!(verdict(&heard(2, 0, 0, 0), START), Verdict::Complete);
        let owed = START + OWED;
        assert_eq!(
            verdict(&heard(2, 1, 0, 0), START),
            Verdict::Wait(Some(owed))
        );
        assert_eq!(verdict(&heard(2, 1, 0, 0), owed), Verdict::Complete);
    }

    #[test]
    fn nobody_to_wait_for_is_complete_and_everybody_absent_is_not() {
        assert_eq!(verdict(&heard(0, 0, 0, 0), START), Verdict::Complete);
        let later = START + ABSENCE * 100;
        assert_eq!(verdict(&heard(0, 0, 0, 2), later), Verdict::Wait(None));
    }

    #[test]
    fn a_dead_peer_holds_it_for_seconds_only() {
        let one_dead = heard(1, 0, 0, 1);
        let until = START + ABSENCE;
        assert_eq!(verdict(&one_dead, START), Verdict::Wait(Some(until)));
        assert_eq!(verdict(&one_dead, until), Verdict::Complete);
    }

    #[test]
    fn those_that_do_not_say_it_must_be_quiet() {
        let silent = heard(1, 0, 1, 0);
        let until = START + QUIET;
        assert_eq!(verdict(&silent, START), Verdict::Wait(Some(until)));
        assert_eq!(verdict(&silent, until), Verdict::Complete);
    }
}
