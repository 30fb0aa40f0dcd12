//! What the timetable says, done.

use super::{Cut, Fault, Happening, World};
use crate::network::Port;
use crate::scenario::{Operation, OwnRoute, Stopping};
use crate::topology::REFLECTORS;
use bgp_core::prefix::IpNet;
use bgp_core::rib::Reachability;
use bgp_core::session::Stop;
use bgp_core::speaker::{CommandError, Speaker};
use bgp_core::time::{Duration, Instant};
use std::net::IpAddr;

impl World {
    pub(super) fn operate(&mut self, number: usize) -> Result<(), Fault> {
        let Some((_, operation)) = self.scenario.timetable.get(number).cloned() else {
            return Ok(());
        };
        // An operator's command waits for a process that hangs.
        if let Some(host) = self.commanded(&operation) {
            let frozen_until = self.machines[host].frozen_until;
            if frozen_until > self.now {
                self.queue.plan(frozen_until, Happening::Operation(number));
                return Ok(());
            }
        }
        self.trace
            .line(self.now, "timetable", format_args!("{operation:?}"));
        match operation {
            Operation::Originate {
                host,
                prefix,
                route,
            } => self.originate(host, prefix, *route),
            Operation::Withdraw { host, prefix } => self.withdraw(host, prefix),
            Operation::NextHop {
                address,
                reachability,
            } => self.set_next_hop(address, reachability),
            Operation::Stop { host, how } => self.stop(host, how),
            Operation::Start { host } => self.start(host),
            Operation::Freeze { host, until } => {
                let machine = &mut self.machines[host];
                machine.frozen_until = machine.frozen_until.max(until);
                Ok(())
            }
            Operation::Cut { session, until } => {
                let [one, two] = self.ends_of(session);
                self.cut(one, Some(two), until);
                Ok(())
            }
            Operation::Isolate { host, until } => {
                self.cut(host, None, until);
                Ok(())
            }
            Operation::Stall {
                session,
                side,
                until,
            } => {
                self.stall(session, side, until);
                Ok(())
            }
            Operation::Break { session } => {
                self.break_session(session);
                Ok(())
            }
            Operation::Reset { session, side } => self.reset_session(session, side),
            Operation::Enable {
                session,
                side,
                enabled,
            } => self.enable(session, side, enabled),
            Operation::Refresh {
                session,
                side,
                family,
            } => self.command(session, side, |speaker, now, peer| {
                speaker.request_refresh(now, peer, family)
            }),
        }
    }

    /// Ends what the timetable left broken: everyone who is not dead for good runs, and every
    /// session may come up.
    pub(super) fn mend(&mut self) -> Result<(), Fault> {
        self.trace.line(self.now, "timetable", format_args!("mend"));
        for host in 0..self.machines.len() {
            if !self.scenario.dead.contains(&host) {
                self.start(host)?;
            }
            for session in self.machines[host].disabled.clone() {
                if let Some(side) = self.scenario.topology.sessions[session].side_of(host) {
                    self.enable(session, side, true)?;
                }
            }
        }
        Ok(())
    }

    /// The host whose process has to act on an operation.
    fn commanded(&self, operation: &Operation) -> Option<usize> {
        match operation {
            Operation::Originate { host, .. } | Operation::Withdraw { host, .. } => Some(*host),
            Operation::Reset { session, side }
            | Operation::Enable { session, side, .. }
            | Operation::Refresh { session, side, .. } => Some(self.ends_of(*session)[*side]),
            Operation::NextHop { .. } => {
                (0..REFLECTORS).max_by_key(|host| self.machines[*host].frozen_until)
            }
            Operation::Stop { .. }
            | Operation::Start { .. }
            | Operation::Freeze { .. }
            | Operation::Cut { .. }
            | Operation::Isolate { .. }
            | Operation::Stall { .. }
            | Operation::Break { .. } => None,
        }
    }

    // Routes.

    fn originate(&mut self, host: usize, prefix: IpNet, route: OwnRoute) -> Result<(), Fault> {
        self.machines[host].own.insert(prefix, route.clone());
        let now = self.now;
        self.tell(host, |speaker| {
            speaker.originate(now, prefix, route.next_hop, &route.attributes);
        })
    }

    fn withdraw(&mut self, host: usize, prefix: IpNet) -> Result<(), Fault> {
        self.machines[host].own.remove(&prefix);
        let now = self.now;
        self.tell(host, |speaker| speaker.withdraw(now, prefix))
    }

    fn set_next_hop(&mut self, address: IpAddr, reachability: Reachability) -> Result<(), Fault> {
        self.next_hops.insert(address, reachability);
        let now = self.now;
        for host in 0..REFLECTORS {
            self.tell(host, |speaker| {
                speaker.set_next_hop(now, address, reachability);
            })?;
        }
        Ok(())
    }

    // Processes.

    pub(super) fn start(&mut self, host: usize) -> Result<(), Fault> {
        let machine = &mut self.machines[host];
        if machine.speaker.is_some() {
            return Ok(());
        }
        let mut config = self.scenario.topology.config(host);
        // Peers keep routes only of who left silently; to say so otherwise does no harm.
        config.router.restarting =
            machine.stopped == Some(Stopping::Silent) && !config.router.restart_time.is_zero();
        machine.dark = false;
        machine.frozen_until = Instant::ZERO;
        let now = self.now;
        let mut speaker = Speaker::new(config, now, self.rng.next_u64())
            .map_err(|error| format!("{}: {error}", self.name(host)))?;
        if host < REFLECTORS {
            for (address, reachability) in &self.next_hops {
                speaker.set_next_hop(now, *address, *reachability);
            }
        }
        for (prefix, route) in &self.machines[host].own {
            speaker.originate(now, *prefix, route.next_hop, &route.attributes);
        }
        self.machines[host].speaker = Some(speaker);
        self.note(host, format_args!("starts"));
        self.follow_up(host)
    }

    fn stop(&mut self, host: usize, how: Stopping) -> Result<(), Fault> {
        if self.machines[host].speaker.is_none() {
            return Ok(());
        }
        let stop = match how {
            Stopping::Silent => Some(Stop::Silent),
            Stopping::Cease => Some(Stop::AdministrativeShutdown("maintenance".to_owned())),
            Stopping::PowerLoss | Stopping::Crash => None,
        };
        let now = self.now;
        if let Some(stop) = stop {
            self.tell(host, |speaker| speaker.stop(now, &stop))?;
            if let Some(connection) = self.machines[host].ports.keys().next() {
                return Err(format!(
                    "{}: stopped, {connection} is open",
                    self.name(host)
                ));
            }
        }
        self.hang_up(host, how == Stopping::PowerLoss);
        let machine = &mut self.machines[host];
        machine.forget_process();
        machine.dark = how == Stopping::PowerLoss;
        machine.stopped = Some(how);
        self.note(host, format_args!("stops: {how:?}"));
        Ok(())
    }

    // Sessions.

    fn ends_of(&self, session: usize) -> [usize; 2] {
        let [one, two] = &self.scenario.topology.sessions[session].ends;
        [one.host, two.host]
    }

    fn addresses_of(&self, session: usize) -> [IpAddr; 2] {
        let [one, two] = &self.scenario.topology.sessions[session].ends;
        [one.address, two.address]
    }

    /// Gives a speaker a command about its peer at the other end. That the peer is unknown (a
    /// dynamic one that is away) or not up is no fault.
    fn command(
        &mut self,
        session: usize,
        side: usize,
        act: impl FnOnce(&mut Speaker, Instant, &str) -> Result<(), CommandError>,
    ) -> Result<(), Fault> {
        let host = self.ends_of(session)[side];
        let peer = self.addresses_of(session)[1 - side].to_string();
        let now = self.now;
        let mut outcome = Ok(());
        self.tell(host, |speaker| outcome = act(speaker, now, &peer))?;
        if let Err(error) = outcome {
            self.note(host, format_args!("command refused: {error}"));
        }
        Ok(())
    }

    fn reset_session(&mut self, session: usize, side: usize) -> Result<(), Fault> {
        let reset = Stop::AdministrativeReset("simulated".to_owned());
        self.command(session, side, |speaker, now, peer| {
            speaker.reset_peer(now, peer, reset)
        })
    }

    fn enable(&mut self, session: usize, side: usize, enabled: bool) -> Result<(), Fault> {
        let host = self.ends_of(session)[side];
        if enabled {
            self.machines[host].disabled.remove(&session);
            return self.command(session, side, Speaker::enable_peer);
        }
        self.machines[host].disabled.insert(session);
        let stop = Stop::AdministrativeShutdown("simulated".to_owned());
        self.command(session, side, |speaker, now, peer| {
            speaker.disable_peer(now, peer, stop)
        })
    }

    // The network.

    fn cut(&mut self, host: usize, other: Option<usize>, until: Instant) {
        self.cuts.retain(|cut| cut.until > self.now);
        // Retransmission does not find the way the moment it is there again.
        let until = until + Duration::from_micros(self.rng.below(500_000));
        self.cuts.push(Cut { host, other, until });
    }

    fn stall(&mut self, session: usize, side: usize, until: Instant) {
        let addresses = self.addresses_of(session);
        for circuit in self.circuits_between(addresses) {
            let reads_here = |port: &Port| {
                let plug = self.network.plug(*port);
                plug.is_some_and(|plug| plug.address == addresses[side])
            };
            let ports = [0, 1].map(|side| Port { circuit, side });
            if let Some(reader) = ports.into_iter().find(reads_here) {
                if let Some(flow) = self.network.flow_mut(reader.other()) {
                    flow.stalled = true;
                }
                self.queue.plan(until, Happening::Unstall(reader));
            }
        }
    }

    fn break_session(&mut self, session: usize) {
        for circuit in self.circuits_between(self.addresses_of(session)) {
            for port in [0, 1].map(|side| Port { circuit, side }) {
                self.network.reset(self.now, port);
                self.plan_delivery(port);
            }
        }
    }
}
