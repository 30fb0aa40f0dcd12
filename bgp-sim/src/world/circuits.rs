//! Dialling, answering, delivering and closing: TCP as the speakers see it.

use super::{Fault, Happening, World};
use crate::network::{CircuitId, Plug, Port, Segment, Standing};
use bgp_core::time::{Duration, Instant};
use bgp_core::types::ConnectionId;
use bgp_core::wire::MAX_EXTENDED_LEN;
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};

/// The port that everyone listens on.
const BGP_PORT: u16 = 179;
/// This often, at most, a speaker may say that it has more to send before a window is full. It may
/// find that there is nothing for this peer in what it has looked through, so not every call gives
/// octets.
const MAX_TRANSMITS: usize = 10_000;
/// A machine that is back after this long answers what was sent to it with a RST.
const RETRANSMIT: Duration = Duration::from_secs(1);
/// By how much one call of `poll_transmit` may exceed its budget: one message, and the few that a
/// session may queue.
const MAX_EXCESS: usize = 2 * MAX_EXTENDED_LEN;

impl World {
    // Beginning.

    pub(super) fn dial(
        &mut self,
        host: usize,
        connection: ConnectionId,
        (remote, local): (SocketAddr, Option<IpAddr>),
    ) {
        let own = local.unwrap_or_else(|| self.topology().hosts[host].address_like(remote.ip()));
        let called = self.topology().host_at(remote.ip());
        let plug = |host, address, connection| Plug {
            host,
            address,
            connection,
            standing: Standing::Pending,
        };
        let circuit = self.network.connect([
            plug(host, own, Some(connection)),
            plug(called.unwrap_or(host), remote.ip(), None),
        ]);
        let port = Port { circuit, side: 0 };
        self.machines[host].ports.insert(connection, port);
        let at = self.network.arrival(self.now, circuit);
        let happening = match called {
            Some(_) => Happening::Call(circuit),
            None => Happening::NoAnswer(circuit),
        };
        self.queue.plan(at, happening);
    }

    pub(super) fn called(&mut self, circuit: CircuitId) -> Result<(), Fault> {
        let Some([caller, callee]) = self.network.get(circuit).map(|c| c.plugs.clone()) else {
            return Ok(());
        };
        let port = Port { circuit, side: 1 };
        if caller.standing == Standing::Gone {
            self.network.unplug(port);
            return Ok(());
        }
        let machine = &self.machines[callee.host];
        if machine.dark || self.cut_until(caller.host, callee.host).is_some() {
            let patience = Duration::from_millis(2_000 + self.rng.below(18_000));
            self.queue
                .plan(self.now + patience, Happening::NoAnswer(circuit));
            return Ok(());
        }
        if machine.frozen_until > self.now {
            self.queue
                .plan(machine.frozen_until, Happening::Call(circuit));
            return Ok(());
        }
        let answer = self.network.arrival(self.now, circuit);
        let socket = self.socket(caller.host);
        let (local, remote) = (
            SocketAddr::new(callee.address, BGP_PORT),
            SocketAddr::new(caller.address, socket),
        );
        let now = self.now;
        let Some(speaker) = &mut self.machines[callee.host].speaker else {
            self.queue.plan(answer, Happening::NoAnswer(circuit));
            return Ok(());
        };
        let accepted = speaker.handle_accepted(now, local, remote);
        self.network.hold_back(port, answer);
        self.queue.plan(answer, Happening::Answer(circuit));
        match accepted {
            Ok(connection) => {
                if let Some(plug) = self.network.plug_mut(port) {
                    plug.connection = Some(connection);
                    plug.standing = Standing::Open;
                }
                self.machines[callee.host].ports.insert(connection, port);
            }
            // The connection comes up and is closed at once.
            Err(_) => {
                self.network.finish(now, port);
                self.network.unplug(port);
            }
        }
        self.follow_up(callee.host)
    }

    pub(super) fn answered(&mut self, circuit: CircuitId) -> Result<(), Fault> {
        let Some([caller, callee]) = self.network.get(circuit).map(|c| c.plugs.clone()) else {
            return Ok(());
        };
        let Some(connection) = caller
            .connection
            .filter(|_| caller.standing == Standing::Pending)
        else {
            return Ok(());
        };
        let frozen_until = self.machines[caller.host].frozen_until;
        if let Some(healed) = self.cut_until(caller.host, callee.host) {
            self.queue.plan(healed, Happening::Answer(circuit));
            return Ok(());
        }
        if frozen_until > self.now {
            self.queue.plan(frozen_until, Happening::Answer(circuit));
            return Ok(());
        }
        let port = Port { circuit, side: 0 };
        if let Some(plug) = self.network.plug_mut(port) {
            plug.standing = Standing::Open;
        }
        let local = SocketAddr::new(caller.address, self.machines[caller.host].sockets);
        let now = self.now;
        self.tell(caller.host, |speaker| {
            speaker.handle_connected(now, connection, local);
        })?;
        self.plan_delivery(port.other());
        Ok(())
    }

    pub(super) fn not_answered(&mut self, circuit: CircuitId) -> Result<(), Fault> {
        let port = Port { circuit, side: 0 };
        let caller = self.network.plug(port).cloned();
        self.network.unplug(port.other());
        let Some((host, connection)) = caller.and_then(|plug| Some((plug.host, plug.connection?)))
        else {
            return Ok(());
        };
        self.network.unplug(port);
        self.machines[host].ports.remove(&connection);
        let now = self.now;
        self.tell(host, |speaker| {
            speaker.handle_connect_failed(now, connection);
        })
    }

    fn socket(&mut self, host: usize) -> u16 {
        let machine = &mut self.machines[host];
        machine.sockets = machine.sockets.wrapping_add(1).max(32_768);
        machine.sockets
    }

    // Bytes.

    /// Lets a speaker write at `port` as much as the window takes.
    pub(super) fn pump(&mut self, host: usize, port: Port) -> Result<(), Fault> {
        let Some(Plug {
            connection: Some(connection),
            standing: Standing::Open,
            ..
        }) = self.network.plug(port).cloned()
        else {
            return Ok(());
        };
        for _ in 0..MAX_TRANSMITS {
            let room = self.network.room(port);
            let now = self.now;
            let Some(speaker) = &mut self.machines[host].speaker else {
                return Ok(());
            };
            if room == 0 {
                if let Some(flow) = self.network.flow_mut(port).filter(|flow| !flow.blocked) {
                    flow.blocked = true;
                    speaker.handle_blocked(now, connection);
                }
                return Ok(());
            }
            let mut messages = Vec::new();
            let more = speaker.poll_transmit(now, connection, room, &mut messages);
            let written: usize = messages.iter().map(Bytes::len).sum();
            if written > 0 {
                speaker.handle_written(now, connection);
            }
            self.watch_transmit(host, &messages)?;
            if written > room + MAX_EXCESS {
                let name = self.name(host);
                return Err(format!("{name}: {written} octets for a budget of {room}"));
            }
            self.note_octets(&messages);
            for message in &messages {
                self.network.write(now, port, message);
            }
            self.plan_delivery(port);
            if !more {
                return Ok(());
            }
        }
        Err(format!("{}: always more to send", self.name(host)))
    }

    pub(super) fn room(&mut self, port: Port) -> Result<(), Fault> {
        let Some(plug) = self.network.plug(port) else {
            return Ok(());
        };
        let host = plug.host;
        let frozen_until = self.machines[host].frozen_until;
        if frozen_until > self.now {
            self.queue.plan(frozen_until, Happening::Room(port));
            return Ok(());
        }
        if let Some(flow) = self.network.flow_mut(port) {
            flow.blocked = false;
        }
        self.pump(host, port)?;
        self.follow_up(host)
    }

    pub(super) fn plan_delivery(&mut self, port: Port) {
        let Some(due) = self.network.due(port) else {
            return;
        };
        if let Some(flow) = self.network.flow_mut(port).filter(|flow| !flow.planned) {
            flow.planned = true;
            self.queue.plan(due.max(self.now), Happening::Deliver(port));
        }
    }

    /// The first segment that was written at `port` arrives at the other side.
    pub(super) fn deliver(&mut self, port: Port) -> Result<(), Fault> {
        let Some(circuit) = self.network.get(port.circuit) else {
            return Ok(());
        };
        let writer = circuit.plugs[port.side].host;
        let reader = circuit.plugs[1 - port.side].clone();
        // A broken circuit is noticed by those who do not read, too.
        let stalled = circuit.flows[port.side].stalled && !circuit.flows[port.side].is_reset();
        if let Some(later) = self.not_before(writer, reader.host) {
            self.queue.plan(later, Happening::Deliver(port));
            return Ok(());
        }
        if let Some(flow) = self.network.flow_mut(port) {
            flow.planned = false;
        }
        match (reader.standing, reader.connection) {
            // Its reader does not know the circuit yet, or does not read: planned anew then.
            (Standing::Pending, _) => Ok(()),
            (Standing::Open, _) if stalled => Ok(()),
            (Standing::Open, Some(connection)) => self.read(port, reader.host, connection),
            (Standing::Open, None) | (Standing::Gone, _) => {
                self.refuse(port);
                Ok(())
            }
        }
    }

    /// When the reader can get anything from the writer, if not now.
    fn not_before(&self, writer: usize, reader: usize) -> Option<Instant> {
        let machine = &self.machines[reader];
        if let Some(healed) = self.cut_until(writer, reader) {
            return Some(healed);
        }
        if machine.dark {
            return Some(self.now + RETRANSMIT);
        }
        (machine.frozen_until > self.now).then_some(machine.frozen_until)
    }

    fn read(&mut self, port: Port, host: usize, connection: ConnectionId) -> Result<(), Fault> {
        let now = self.now;
        match self.network.deliver(port) {
            Some(Segment::Octets(octets)) => {
                if let Some(flow) = self.network.flow_mut(port).filter(|flow| flow.blocked) {
                    flow.blocked = false;
                    let at = self.network.arrival(now, port.circuit);
                    self.queue.plan(at, Happening::Room(port));
                }
                self.tell(host, |speaker| {
                    speaker.handle_received(now, connection, &octets);
                })?;
            }
            Some(Segment::Fin | Segment::Rst) => {
                self.machines[host].ports.remove(&connection);
                self.network.finish(now, port.other());
                self.plan_delivery(port.other());
                self.network.unplug(port.other());
                self.tell(host, |speaker| speaker.handle_closed(now, connection))?;
            }
            None => {}
        }
        self.plan_delivery(port);
        Ok(())
    }

    /// Nobody is there to read: octets are answered with a RST.
    fn refuse(&mut self, port: Port) {
        while let Some(segment) = self.network.deliver(port) {
            if matches!(segment, Segment::Octets(_)) {
                self.network.refuse(self.now, port.other());
            }
        }
        self.plan_delivery(port.other());
    }

    // Ending.

    pub(super) fn close(&mut self, host: usize, connection: ConnectionId, last: &[Bytes]) {
        // A connection that the other side has closed is closed already.
        let Some(port) = self.machines[host].ports.remove(&connection) else {
            return;
        };
        self.note_octets(last);
        for message in last {
            self.network.write(self.now, port, message);
        }
        self.network.finish(self.now, port);
        self.plan_delivery(port);
        // What nobody will read keeps nobody waiting.
        self.network.unplug(port);
        self.plan_delivery(port.other());
    }

    /// Breaks every circuit of a host, or takes it away without a word.
    pub(super) fn hang_up(&mut self, host: usize, silent: bool) {
        let of_host = self.network.iter().flat_map(|(circuit, c)| {
            let sides = [0, 1].into_iter();
            let here = sides.filter(|side| {
                c.plugs[*side].host == host && c.plugs[*side].standing != Standing::Gone
            });
            here.map(move |side| Port { circuit, side })
                .collect::<Vec<_>>()
        });
        for port in of_host.collect::<Vec<_>>() {
            if !silent {
                self.network.reset(self.now, port);
                self.plan_delivery(port);
            }
            self.network.unplug(port);
        }
    }

    /// The open circuits between two addresses.
    pub(super) fn circuits_between(&self, ends: [IpAddr; 2]) -> Vec<CircuitId> {
        let joins = |plugs: &[Plug; 2]| {
            let addresses = [plugs[0].address, plugs[1].address];
            addresses == ends || addresses == [ends[1], ends[0]]
        };
        let circuits = self.network.iter();
        circuits
            .filter(|(_, circuit)| joins(&circuit.plugs))
            .map(|(id, _)| id)
            .collect()
    }

    /// When packets pass between two hosts again, if they do not now.
    pub(super) fn cut_until(&self, one: usize, two: usize) -> Option<Instant> {
        let concerns = |host: usize, other: Option<usize>| match other {
            None => host == one || host == two,
            Some(other) => (host, other) == (one, two) || (host, other) == (two, one),
        };
        let cuts = self.cuts.iter();
        cuts.filter(|cut| cut.until > self.now && concerns(cut.host, cut.other))
            .map(|cut| cut.until)
            .max()
    }
}
