//! One host of a world: its speaker, its sockets, and when it wakes.

use super::Fault;
use super::kernel::Kernel;
use crate::network::Port;
use crate::scenario::{OwnRoute, Stopping};
use bgp_core::prefix::IpNet;
use bgp_core::speaker::Speaker;
use bgp_core::time::{Duration, Instant};
use bgp_core::types::ConnectionId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// How late a timer may fire, at most.
pub const MAX_LATENESS: Duration = Duration::from_millis(20);

/// A speaker that wants to be woken this often at one moment is taken for one that spins.
const MAX_WAKES_AT_ONCE: u32 = 20_000;

/// One host.
#[derive(Default)]
pub(super) struct Machine {
    /// Its speaker, while the process runs.
    pub(super) speaker: Option<Speaker>,
    /// Whether the machine is without power: nobody answers, not even with a RST.
    pub(super) dark: bool,
    /// How the process ended last.
    pub(super) stopped: Option<Stopping>,
    /// The process does nothing before.
    pub(super) frozen_until: Instant,
    /// Which port each connection of the speaker is.
    pub(super) ports: BTreeMap<ConnectionId, Port>,
    /// What it announces, whether it runs or not.
    pub(super) own: BTreeMap<IpNet, OwnRoute>,
    /// Sessions that an operator has shut down here.
    pub(super) disabled: BTreeSet<usize>,
    /// Peers whose session is up, by address.
    pub(super) up: BTreeSet<IpAddr>,
    /// Who installs its routes.
    pub(super) kernel: Kernel,
    /// How often the speaker was told something.
    pub(super) steps: u64,
    /// Ports of outgoing connections given so far.
    pub(super) sockets: u16,
    wake: Option<Wake>,
    wakes: u64,
    at_once: (Instant, u32),
}

/// A wake-up that is planned.
#[derive(Clone, Copy)]
struct Wake {
    /// What the speaker asked for.
    asked: Instant,
    /// When it gets it.
    planned: Instant,
    number: u64,
}

impl Machine {
    /// Whether the wake-up of this number still holds.
    pub(super) fn is_awaited(&self, number: u64) -> bool {
        self.speaker.is_some() && self.wake.is_some_and(|wake| wake.number == number)
    }

    /// The wake-up has come.
    pub(super) fn woken(&mut self, now: Instant) -> Result<(), Fault> {
        let asked = self.wake.take().map(|wake| wake.asked);
        self.at_once = match self.at_once {
            (at, times) if at == now => (at, times + 1),
            _ => (now, 0),
        };
        if self.at_once.1 > MAX_WAKES_AT_ONCE {
            return Err(format!(
                "a speaker spins: it asks again and again for {asked:?}"
            ));
        }
        Ok(())
    }

    /// What the speaker asks for now: when to wake it and the number of that wake-up, when that is
    /// news.
    pub(super) fn ask_wake(&mut self, now: Instant, late: Duration) -> Option<(Instant, u64)> {
        let Some((asked, _)) = self.speaker.as_ref().and_then(Speaker::poll_timeout) else {
            self.wake = None;
            return None;
        };
        let asked = asked.max(now);
        if let Some(wake) = self.wake {
            let due_anyway = wake.asked <= now && asked <= now;
            if wake.asked == asked || (due_anyway && wake.planned >= now) {
                return None;
            }
        }
        self.wakes += 1;
        let planned = asked + late;
        let number = self.wakes;
        self.wake = Some(Wake {
            asked,
            planned,
            number,
        });
        Some((planned, number))
    }

    /// The process is gone; its routes stay its own.
    pub(super) fn forget_process(&mut self) {
        self.speaker = None;
        self.ports.clear();
        self.disabled.clear();
        self.up.clear();
        self.kernel = Kernel::default();
        self.wake = None;
    }
}
