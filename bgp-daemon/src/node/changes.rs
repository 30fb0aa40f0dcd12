//! What an operator changes: blocks and peers.
//!
//! A change is carried out as a whole or not at all: blocks are tried on a copy of the rules, and
//! what concerns peers was checked when the configuration was read.
//!
//! # Make before break
//!
//! Where peers are added and others removed, those that go stay until the new ones are up, nobody
//! owes an End-of-RIB, and the kernel has everything that is wanted. So a node moves from a mesh
//! to reflectors without a moment in which it knows less. If that does not come to pass, they
//! stay, and every [`REMINDER`] a warning says so.

use super::hearing::is_up;
use super::{Conductor, Lost};
use crate::config::Change;
use crate::run::change_peers;
use bgp_core::complaint::Complaint;
use bgp_core::config::Peer;
use bgp_core::session::Stop;
use bgp_core::speaker::Speaker;
use bgp_core::time::Instant;
use std::time::Duration;

/// How often a warning says that peers stay because those that replace them are not ready.
const REMINDER: Duration = Duration::from_secs(60);

/// Peers that go when others have taken their place.
#[derive(Debug)]
pub(super) struct Leaving {
    /// Those that go.
    old: Vec<String>,
    /// Those that take their place.
    new: Vec<String>,
    since: Instant,
    reminded: Instant,
}

impl Conductor {
    /// Carries a change out, or says all that is wrong with it.
    pub(super) async fn change(
        &mut self,
        change: Change,
    ) -> Result<Result<(), Vec<Complaint>>, Lost> {
        let now = self.clock.now();
        let mut node = self.node.clone();
        let Change {
            add_blocks,
            remove_blocks,
            add_peers,
            remove_peers,
            mut update_peers,
        } = change;
        let removed = remove_blocks.iter();
        let removed = removed.filter_map(|block| node.remove_block(now, *block).err());
        let mut faults: Vec<Complaint> = removed.map(|fault| fault.complaint()).collect();
        let added = add_blocks.iter();
        let added = added.filter_map(|block| node.add_block(now, *block).err());
        faults.extend(added.map(|fault| fault.complaint()));
        if !faults.is_empty() {
            return Ok(Err(faults));
        }
        // A peer that was to leave and is wanted again is still there.
        let is_back = |peer: &Peer| {
            let leaving = self.leaving.as_ref();
            leaving.is_some_and(|leaving| leaving.old.contains(&peer.name))
        };
        let (back, add_peers): (Vec<Peer>, Vec<Peer>) = add_peers.into_iter().partition(is_back);
        let stays: Vec<String> = back.iter().map(|peer| peer.name.clone()).collect();
        update_peers.extend(back);
        let names: Vec<String> = add_peers.iter().map(|peer| peer.name.clone()).collect();
        for peer in add_peers.iter().chain(&update_peers) {
            self.hearing
                .expect(&peer.name, peer.settings.keep_when_silent);
            node.set_name(peer.address, peer.name.clone());
        }
        let peers = Change {
            add_peers,
            update_peers,
            ..Change::default()
        };
        let told = self
            .engine
            .ask(move |speaker, now| change_peers(speaker, now, peers));
        if let Err(complaints) = told.await? {
            return Ok(Err(complaints));
        }
        self.node = node;
        if let Some(leaving) = &mut self.leaving {
            leaving.old.retain(|name| !stays.contains(name));
            // Nor is somebody waited for who goes now.
            leaving.new.retain(|name| !remove_peers.contains(name));
            if leaving.old.is_empty() {
                self.leaving = None;
            }
        }
        self.leave(names, remove_peers, now).await?;
        Ok(Ok(()))
    }

    async fn leave(
        &mut self,
        new: Vec<String>,
        old: Vec<String>,
        now: Instant,
    ) -> Result<(), Lost> {
        if old.is_empty() {
            return Ok(());
        }
        let leaving = self.leaving.get_or_insert(Leaving {
            old: Vec::new(),
            new: Vec::new(),
            since: now,
            reminded: now,
        });
        leaving.old.extend(old);
        leaving.new.extend(new);
        self.let_peers_leave().await
    }

    /// Removes the peers that are to leave, if nothing is lost with them.
    pub(super) async fn let_peers_leave(&mut self) -> Result<(), Lost> {
        let Some(leaving) = &self.leaving else {
            return Ok(());
        };
        let now = self.clock.now();
        if !leaving.new.is_empty() {
            let new = leaving.new.clone();
            let are_heard = self
                .engine
                .ask(move |s, now| are_heard(s, now, &new))
                .await?;
            let is_ready = are_heard && self.kernel.ask(|fib, _| fib.in_sync()).await?;
            if !is_ready {
                self.remind(now);
                return Ok(());
            }
        }
        if let Some(leaving) = self.leaving.take() {
            leaving
                .old
                .iter()
                .for_each(|name| self.hearing.forget(name));
            let remove = move |speaker: &mut Speaker, now| {
                for name in &leaving.old {
                    // It may have been removed by another order meanwhile.
                    let _ = speaker.remove_peer(now, name, Stop::PeerDeconfigured);
                }
            };
            self.engine.ask(remove).await?;
        }
        Ok(())
    }

    fn remind(&mut self, now: Instant) {
        let Some(leaving) = &mut self.leaving else {
            return;
        };
        if now.since(leaving.reminded) >= REMINDER {
            leaving.reminded = now;
            tracing::warn!(
                "sessions with {} stay, although the configuration has removed them {} s ago: \
                 those with {} have not told all routes yet, or the kernel has not got them",
                leaving.old.join(", "),
                now.since(leaving.since).as_secs(),
                leaving.new.join(", ")
            );
        }
    }
}

/// Whether all of `names` are up and nobody owes an End-of-RIB.
fn are_heard(speaker: &mut Speaker, now: Instant, names: &[String]) -> bool {
    let all_up = names.iter().all(|name| is_up(speaker, now, name));
    all_up && speaker.heard().owing == 0
}
