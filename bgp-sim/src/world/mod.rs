//! Many speakers, one thread, one virtual clock.
//!
//! A [`World`] plays a [`Scenario`]: it keeps the [`Queue`] of what is going to happen, carries
//! bytes between the speakers over the [`Network`], wakes each when it asked to be woken, and does
//! what the timetable says. Nothing here is random but by the seed, and nothing takes real time.
//!
//! | file | what it does |
//! |---|---|
//! | `mod.rs` | the clock: takes the next happening and tells who it concerns |
//! | `machine.rs` | one host: its speaker, its sockets, when it wakes |
//! | `circuits.rs` | dialling, answering, delivering, closing |
//! | `kernel.rs` | whoever installs a host's routes |
//! | `operations.rs` | what the timetable says, done |
//! | `watch.rs` | what must hold after every step, and whether it is quiet |
//!
//! # How a speaker is driven
//!
//! After everything that a speaker is told, [`World::follow_up`] takes its outputs, lets it write
//! as far as windows allow, and plans its next wake-up: at the time asked for, or up to
//! [`MAX_LATENESS`] later, as real timers are.
//!
//! # Invariants
//!
//! - A speaker is told of a connection only while it knows it: the machine's `ports` and the
//!   network's plugs agree.
//! - A faulty run is an `Err` with one sentence; [`World::run`] adds when it was.

mod circuits;
mod kernel;
mod machine;
mod operations;
mod watch;

use crate::network::{CircuitId, Network, Port};
use crate::queue::Queue;
use crate::scenario::Scenario;
use crate::topology::{Kind, Topology};
use crate::trace::{Detail, Trace};
use crate::verify;
use bgp_core::rib::Reachability;
use bgp_core::rng::Rng;
use bgp_core::speaker::{Output, Speaker};
use bgp_core::time::{Duration, Instant};
use bytes::Bytes;
use machine::Machine;
use std::collections::BTreeMap;
use std::net::IpAddr;

pub use machine::MAX_LATENESS;
pub use watch::MAX_UNQUIET;

/// What goes wrong in a run, in one sentence.
pub type Fault = String;

/// A run that went wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The seed that brings it back.
    pub seed: u64,
    /// When it was noticed.
    pub at: Instant,
    /// What was noticed.
    pub what: Fault,
}

/// What a run was like.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// How many happenings there were.
    pub happenings: u64,
    /// Octets that speakers sent.
    pub octets: u64,
    /// Sessions that came up, counted at both ends.
    pub established: u64,
    /// Sessions that went down, counted at both ends.
    pub downs: u64,
    /// Routes that were compared with the model.
    pub compared: u64,
    /// When all was quiet.
    pub quiet: Instant,
    /// The trace's digest, where one was wanted.
    pub digest: u64,
}

/// What is going to happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Happening {
    /// The line of the timetable with this number.
    Operation(usize),
    /// A machine wants to be woken; void when it has asked anew since.
    Wake { host: usize, number: u64 },
    /// A call reaches the machine that is called.
    Call(CircuitId),
    /// The answer reaches the caller.
    Answer(CircuitId),
    /// The caller learns that nobody answers.
    NoAnswer(CircuitId),
    /// The first segment written at this port arrives.
    Deliver(Port),
    /// The writer at this port learns that there is room again.
    Room(Port),
    /// The reader at this port reads again.
    Unstall(Port),
}

/// Between two hosts, or between one and everyone, nothing passes until then.
#[derive(Clone, Copy, Debug)]
struct Cut {
    host: usize,
    other: Option<usize>,
    until: Instant,
}

/// Many speakers and the network between them.
pub struct World {
    scenario: Scenario,
    now: Instant,
    queue: Queue<Happening>,
    network: Network,
    machines: Vec<Machine>,
    cuts: Vec<Cut>,
    /// What the reflectors have been told of next hops.
    next_hops: BTreeMap<IpAddr, Reachability>,
    rng: Rng,
    trace: Trace,
    /// All is mended and up: from now on nothing may happen but keepalives.
    calm: bool,
    /// When a speaker last said anything but KEEPALIVE.
    last_news: Instant,
    summary: Summary,
}

impl World {
    /// The scenario's cluster, with every speaker about to start.
    ///
    /// # Errors
    ///
    /// A configuration that the engine refuses.
    pub fn new(scenario: Scenario, detail: Detail) -> Result<Self, Fault> {
        // A stream of its own: a change in how scenarios are drawn does not shift the network.
        let mut rng = Rng::new(scenario.seed ^ 0x5151_5151_5151_5151);
        let network = Network::new(rng.fork());
        let hosts = scenario.topology.hosts.len();
        let mut world = Self {
            now: Instant::ZERO,
            queue: Queue::default(),
            network,
            machines: (0..hosts).map(|_| Machine::default()).collect(),
            cuts: Vec::new(),
            next_hops: BTreeMap::new(),
            rng,
            trace: Trace::new(detail),
            calm: false,
            last_news: Instant::ZERO,
            summary: Summary::default(),
            scenario,
        };
        for (number, (at, _)) in world.scenario.timetable.iter().enumerate() {
            world.queue.plan(*at, Happening::Operation(number));
        }
        for host in 0..hosts {
            world.start(host)?;
        }
        Ok(world)
    }

    /// Plays the scenario to its end: faults, then quiet, then the comparison with the model, then
    /// a while in which nothing may change.
    ///
    /// # Errors
    ///
    /// The first thing that is not as it must be.
    pub fn run(&mut self) -> Result<Summary, Failure> {
        let outcome = self.play();
        self.summary.digest = self.trace.digest();
        self.summary.happenings = self.queue.planned();
        match outcome {
            Ok(()) => Ok(self.summary),
            Err(what) => Err(Failure {
                seed: self.scenario.seed,
                at: self.now,
                what,
            }),
        }
    }

    fn play(&mut self) -> Result<(), Fault> {
        self.advance(self.scenario.quiet_at)?;
        self.mend()?;
        self.await_quiet()?;
        self.summary.compared = verify::compare(self)?;
        self.play_epilogue()?;
        self.await_quiet()?;
        self.summary.quiet = self.now;
        self.summary.compared += verify::compare(self)?;
        // Quiet must last: one run in four is watched a little longer.
        if self.scenario.seed.is_multiple_of(4) {
            self.calm = true;
            self.advance(self.now + LINGER)?;
            verify::compare(self)?;
        }
        Ok(())
    }

    fn play_epilogue(&mut self) -> Result<(), Fault> {
        let mut end = self.now;
        for (after, operation) in std::mem::take(&mut self.scenario.epilogue) {
            let (number, at) = (self.scenario.timetable.len(), self.now + after);
            self.scenario.timetable.push((at, operation));
            self.queue.plan(at, Happening::Operation(number));
            end = end.max(at);
        }
        self.advance(end)
    }

    /// Lines written since the last call.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.trace.take()
    }

    /// Who is there.
    pub fn topology(&self) -> &Topology {
        &self.scenario.topology
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The speaker of a host that runs.
    pub fn speaker(&self, host: usize) -> Option<&Speaker> {
        self.machines.get(host)?.speaker.as_ref()
    }

    /// What a host announces.
    pub fn own_routes(
        &self,
        host: usize,
    ) -> impl Iterator<Item = (&bgp_core::prefix::IpNet, &crate::scenario::OwnRoute)> {
        self.machines[host].own.iter()
    }

    /// What the host has been told of next hops.
    pub fn next_hops_of(&self, host: usize) -> Option<&BTreeMap<IpAddr, Reachability>> {
        (self.topology().hosts[host].kind == Kind::Reflector).then_some(&self.next_hops)
    }

    /// Lets everything happen that is due until then.
    fn advance(&mut self, until: Instant) -> Result<(), Fault> {
        while let Some((at, happening)) = self.queue.next(until) {
            self.now = self.now.max(at);
            self.happen(happening)?;
        }
        self.now = self.now.max(until);
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Fault> {
        match happening {
            Happening::Operation(number) => self.operate(number),
            Happening::Wake { host, number } => self.wake(host, number),
            Happening::Call(circuit) => self.called(circuit),
            Happening::Answer(circuit) => self.answered(circuit),
            Happening::NoAnswer(circuit) => self.not_answered(circuit),
            Happening::Deliver(port) => self.deliver(port),
            Happening::Room(port) => self.room(port),
            Happening::Unstall(port) => {
                if let Some(flow) = self.network.flow_mut(port.other()) {
                    flow.stalled = false;
                }
                self.plan_delivery(port.other());
                Ok(())
            }
        }
    }

    fn wake(&mut self, host: usize, number: u64) -> Result<(), Fault> {
        let machine = &mut self.machines[host];
        if !machine.is_awaited(number) {
            return Ok(());
        }
        if machine.frozen_until > self.now {
            // What arrived meanwhile is read before timers are looked at.
            let thaw = machine.frozen_until + Duration::from_micros(1);
            self.queue.plan(thaw, Happening::Wake { host, number });
            return Ok(());
        }
        machine.woken(self.now)?;
        let now = self.now;
        self.tell(host, |speaker| speaker.handle_timeout(now))
    }

    /// Tells a speaker that runs something, and follows up.
    fn tell(&mut self, host: usize, what: impl FnOnce(&mut Speaker)) -> Result<(), Fault> {
        let Some(speaker) = &mut self.machines[host].speaker else {
            return Ok(());
        };
        what(speaker);
        self.follow_up(host)
    }

    /// Does what a speaker wants after it was told something, and plans its next wake-up.
    fn follow_up(&mut self, host: usize) -> Result<(), Fault> {
        for _ in 0..MAX_ROUNDS {
            let mut writers = Vec::new();
            let mut taken = 0;
            while let Some(output) = self.output_of(host) {
                taken += 1;
                if taken > MAX_OUTPUTS {
                    return Err(format!("{}: endless outputs", self.name(host)));
                }
                match output {
                    Output::Connect {
                        connection,
                        remote,
                        local,
                    } => self.dial(host, connection, (remote, local)),
                    Output::Transmit(connection) => writers.push(connection),
                    Output::Close { connection, last } => self.close(host, connection, &last),
                    Output::Event(event) => self.watch_event(host, &event)?,
                }
            }
            if taken == 0 {
                self.listen(host)?;
                self.plan_wake(host);
                return self.watch_step(host);
            }
            for connection in writers {
                if let Some(port) = self.machines[host].ports.get(&connection).copied() {
                    self.pump(host, port)?;
                }
            }
        }
        Err(format!("{}: transmitting never ends", self.name(host)))
    }

    fn output_of(&mut self, host: usize) -> Option<Output> {
        self.machines[host].speaker.as_mut()?.poll_output()
    }

    fn plan_wake(&mut self, host: usize) {
        let late = match self.rng.below(8) {
            0 => Duration::from_micros(self.rng.below(MAX_LATENESS.as_micros() as u64)),
            _ => Duration::ZERO,
        };
        if let Some((at, number)) = self.machines[host].ask_wake(self.now, late) {
            self.queue.plan(at, Happening::Wake { host, number });
        }
    }

    fn name(&self, host: usize) -> &str {
        &self.scenario.topology.hosts[host].name
    }

    fn note(&mut self, host: usize, what: std::fmt::Arguments<'_>) {
        let name = &self.scenario.topology.hosts[host].name;
        self.trace.line(self.now, name, what);
    }

    fn note_octets(&mut self, messages: &[Bytes]) {
        for message in messages {
            self.summary.octets += message.len() as u64;
            self.trace.octets(message);
        }
    }
}

/// How long quiet is watched after the tables have been compared: longer than the longest
/// keepalive interval.
const LINGER: Duration = Duration::from_secs(40);

/// At most this many outputs may follow from one thing that a speaker was told; more are a fault.
const MAX_OUTPUTS: usize = 100_000;

/// At most this many rounds of outputs and writing may follow from one thing that a speaker was
/// told; more are a fault.
const MAX_ROUNDS: usize = 10_000;
