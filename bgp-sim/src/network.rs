//! A virtual TCP network: byte streams between hosts, in order, with latency and bounded windows.
//!
//! A [`Circuit`] is one connection. Each of its two [`Flow`]s carries octets one way: cut anew at
//! random (TCP keeps no message boundaries), each piece with a latency of its own but never before
//! the piece ahead of it, and no more at a time than the window, so that a reader who stalls
//! stops the writer. What ends a stream travels in it: a FIN behind the last octet, a RST that
//! also discards what has not been read.
//!
//! Nothing here knows hosts' states or speakers; [`crate::world`] asks what is due and says what
//! became of it.
//!
//! # Invariants
//!
//! - A flow has at most one delivery planned ([`Flow::planned`]), for its first segment.
//! - `Flow::waiting` is the number of octets in `segments`.

use bgp_core::rng::Rng;
use bgp_core::time::{Duration, Instant};
use bgp_core::types::ConnectionId;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

/// Most octets in one segment.
pub const MAX_SEGMENT: usize = 16 * 1024;

/// The number of a circuit; never reused in a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CircuitId(pub u64);

/// One side of one circuit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Port {
    /// The circuit.
    pub circuit: CircuitId,
    /// 0 for who called, 1 for who was called.
    pub side: usize,
}

impl Port {
    /// The other side.
    #[must_use]
    pub fn other(self) -> Self {
        Self {
            side: 1 - self.side,
            ..self
        }
    }
}

/// How one side of a circuit stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It has not heard that the circuit is up (or been asked, on the called side).
    Pending,
    /// A speaker reads and writes here.
    Open,
    /// Nobody is here any more: what arrives is answered with a RST.
    Gone,
}

/// One end of a circuit.
#[derive(Clone, Debug)]
pub struct Plug {
    /// The host.
    pub host: usize,
    /// Its address here.
    pub address: IpAddr,
    /// What the host's speaker calls it.
    pub connection: Option<ConnectionId>,
    /// How it stands.
    pub standing: Standing,
}

/// What travels in a flow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Segment {
    /// Octets; never none.
    Octets(Vec<u8>),
    /// No octets follow.
    Fin,
    /// Broken: what has not been read is lost.
    Rst,
}

/// One direction of a circuit.
#[derive(Debug, Default)]
pub struct Flow {
    segments: VecDeque<(Instant, Segment)>,
    waiting: usize,
    last_due: Instant,
    /// Whether a delivery of the first segment is planned.
    pub planned: bool,
    /// The reader takes nothing.
    pub stalled: bool,
    /// The writer has more than the window takes.
    pub blocked: bool,
    /// A FIN or RST is under way or has arrived; no octets follow it.
    pub ended: bool,
    /// A RST is under way or has arrived; nothing follows it.
    reset: bool,
}

impl Flow {
    /// Whether anything is under way, be it a FIN or a RST alone.
    pub fn is_carrying(&self) -> bool {
        !self.segments.is_empty()
    }

    /// Whether a RST is under way or has arrived.
    pub fn is_reset(&self) -> bool {
        self.reset
    }
}

/// One connection.
#[derive(Debug)]
pub struct Circuit {
    /// Who called, and who was called.
    pub plugs: [Plug; 2],
    /// `flows[side]` carries what `plugs[side]` writes.
    pub flows: [Flow; 2],
    /// Most octets that wait in a flow before its writer is stopped.
    pub window: usize,
    /// Latency of every segment, before jitter.
    pub latency: Duration,
}

/// All circuits of a run.
#[derive(Debug)]
pub struct Network {
    circuits: BTreeMap<CircuitId, Circuit>,
    next: u64,
    rng: Rng,
    /// Octets that wait in all flows together.
    waiting: usize,
}

impl Network {
    /// A network without circuits.
    pub fn new(rng: Rng) -> Self {
        Self {
            circuits: BTreeMap::new(),
            next: 0,
            rng,
            waiting: 0,
        }
    }

    /// A new circuit, pending on both sides.
    pub fn connect(&mut self, plugs: [Plug; 2]) -> CircuitId {
        let id = CircuitId(self.next);
        self.next += 1;
        // From a rack to a continent; windows from a few messages to ample.
        let latency = Duration::from_micros(100 << self.rng.below(9));
        let window = 4096 << self.rng.below(7);
        let circuit = Circuit {
            plugs,
            flows: [Flow::default(), Flow::default()],
            window,
            latency,
        };
        self.circuits.insert(id, circuit);
        id
    }

    /// A circuit that is still there.
    pub fn get(&self, id: CircuitId) -> Option<&Circuit> {
        self.circuits.get(&id)
    }

    /// All circuits, in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = (CircuitId, &Circuit)> {
        self.circuits.iter().map(|(id, circuit)| (*id, circuit))
    }

    /// When a message sent now arrives, on average.
    pub fn arrival(&mut self, now: Instant, id: CircuitId) -> Instant {
        let latency = self.get(id).map_or(Duration::ZERO, |c| c.latency);
        now + latency + jitter(&mut self.rng, latency)
    }

    /// Octets that wait in all flows together.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many octets `port` may write before its window is full.
    pub fn room(&self, port: Port) -> usize {
        self.get(port.circuit).map_or(0, |circuit| {
            circuit
                .window
                .saturating_sub(circuit.flows[port.side].waiting)
        })
    }

    /// Writes octets at `port`, cut into segments anew.
    pub fn write(&mut self, now: Instant, port: Port, mut octets: &[u8]) {
        while !octets.is_empty() {
            let size = self.segment_size().min(octets.len());
            let (segment, rest) = octets.split_at(size);
            self.push(now, port, Segment::Octets(segment.to_vec()));
            octets = rest;
        }
    }

    /// Ends what `port` writes, behind all that it has written.
    pub fn finish(&mut self, now: Instant, port: Port) {
        self.push(now, port, Segment::Fin);
        if let Some(flow) = self.flow_mut(port) {
            flow.ended = true;
        }
    }

    /// Breaks what `port` writes: what is under way or was not read is thrown away.
    pub fn reset(&mut self, now: Instant, port: Port) {
        if self.flow_mut(port).is_some_and(|flow| !flow.reset) {
            self.discard(port);
            self.refuse(now, port);
        }
    }

    /// Answers octets that nobody reads any more: a RST behind what is under way.
    pub fn refuse(&mut self, now: Instant, port: Port) {
        let Some(flow) = self.flow_mut(port).filter(|flow| !flow.reset) else {
            return;
        };
        flow.reset = true;
        flow.ended = false;
        self.push(now, port, Segment::Rst);
        if let Some(flow) = self.flow_mut(port) {
            flow.ended = true;
        }
    }

    /// What `port` writes from now on arrives after `moment`.
    pub fn hold_back(&mut self, port: Port, moment: Instant) {
        if let Some(flow) = self.flow_mut(port) {
            flow.last_due = flow.last_due.max(moment);
        }
    }

    /// The flow that `port` writes.
    pub fn flow_mut(&mut self, port: Port) -> Option<&mut Flow> {
        let circuit = self.circuits.get_mut(&port.circuit)?;
        circuit.flows.get_mut(port.side)
    }

    /// The end at `port`.
    pub fn plug(&self, port: Port) -> Option<&Plug> {
        self.circuits.get(&port.circuit)?.plugs.get(port.side)
    }

    /// The end at `port`.
    pub fn plug_mut(&mut self, port: Port) -> Option<&mut Plug> {
        let circuit = self.circuits.get_mut(&port.circuit)?;
        circuit.plugs.get_mut(port.side)
    }

    /// Nobody is at `port` any more.
    pub fn unplug(&mut self, port: Port) {
        if let Some(plug) = self.plug_mut(port) {
            plug.standing = Standing::Gone;
            plug.connection = None;
        }
        self.forget_if_gone(port.circuit);
    }

    /// When the first segment from `port` is due; `None` when nothing is under way.
    pub fn due(&self, port: Port) -> Option<Instant> {
        let flow = &self.get(port.circuit)?.flows[port.side];
        flow.segments.front().map(|(due, _)| *due)
    }

    /// Takes the first segment from `port` off the wire.
    pub fn deliver(&mut self, port: Port) -> Option<Segment> {
        let flow = &mut self.circuits.get_mut(&port.circuit)?.flows[port.side];
        let (_, segment) = flow.segments.pop_front()?;
        if let Segment::Octets(octets) = &segment {
            flow.waiting -= octets.len();
            self.waiting -= octets.len();
        }
        Some(segment)
    }

    /// Forgets the circuit when nobody is left at either side.
    fn forget_if_gone(&mut self, id: CircuitId) {
        let gone = |circuit: &Circuit| circuit.plugs.iter().all(|p| p.standing == Standing::Gone);
        if self.get(id).is_some_and(gone) {
            for side in [0, 1] {
                self.discard(Port { circuit: id, side });
            }
            self.circuits.remove(&id);
        }
    }

    fn discard(&mut self, port: Port) {
        if let Some(flow) = self.flow_mut(port) {
            flow.segments.clear();
            let lost = std::mem::take(&mut flow.waiting);
            self.waiting -= lost;
        }
    }

    fn push(&mut self, now: Instant, port: Port, segment: Segment) {
        let due = self.arrival(now, port.circuit);
        let Some(circuit) = self.circuits.get_mut(&port.circuit) else {
            return;
        };
        let flow = &mut circuit.flows[port.side];
        if flow.ended {
            return;
        }
        if let Segment::Octets(octets) = &segment {
            flow.waiting += octets.len();
            self.waiting += octets.len();
        }
        flow.last_due = flow.last_due.max(due);
        flow.segments.push_back((flow.last_due, segment));
    }

    /// Mostly large, sometimes tiny.
    fn segment_size(&mut self) -> usize {
        let most = match self.rng.below(16) {
            0 => 4,
            1..=4 => 256,
            _ => MAX_SEGMENT as u64,
        };
        1 + self.rng.below(most) as usize
    }
}

/// Mostly a little, sometimes ten times the latency.
fn jitter(rng: &mut Rng, latency: Duration) -> Duration {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    let most = match rng.below(32) {
        0 => micros.saturating_mul(10),
        _ => micros / 4,
    };
    Duration::from_micros(rng.below(most + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> (Network, Port) {
        let mut network = Network::new(Rng::new(7));
        let plug = |host| Plug {
            host,
            address: IpAddr::from([10, 0, 0, host as u8]),
            connection: None,
            standing: Standing::Open,
        };
        let circuit = network.connect([plug(1), plug(2)]);
        (network, Port { circuit, side: 0 })
    }

    fn drain(network: &mut Network, port: Port) -> (Vec<u8>, Vec<Segment>) {
        let mut octets = Vec::new();
        let mut rest = Vec::new();
        let mut last = Instant::ZERO;
        while let Some(due) = network.due(port) {
            assert!(due >= last);
            last = due;
            match network.deliver(port) {
                Some(Segment::Octets(piece)) => octets.extend(piece),
                Some(other) => rest.push(other),
                None => break,
            }
        }
        (octets, rest)
    }

    #[test]
    fn octets_arrive_in_order_and_cut_anew() {
        let (mut network, port) = network();
        let sent: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        for piece in sent.chunks(10_000) {
            network.write(Instant::ZERO, port, piece);
        }
        assert_eq!(network.room(port), 0);
        assert_eq!(network.waiting(), sent.len());
        network.finish(Instant::ZERO, port);
        network.write(Instant::ZERO, port, b"after the end");
        assert_eq!(drain(&mut network, port), (sent, vec![Segment::Fin]));
        assert_eq!(network.waiting(), 0);
        assert!(network.room(port) >= 4096);
    }

    #[test]
    fn a_reset_overtakes_what_was_not_read() {
        let (mut network, port) = network();
        network.write(Instant::ZERO, port, b"lost");
        network.finish(Instant::ZERO, port);
        network.reset(Instant::ZERO, port);
        network.reset(Instant::ZERO, port);
        assert_eq!(network.waiting(), 0);
        assert_eq!(drain(&mut network, port), (vec![], vec![Segment::Rst]));
    }

    #[test]
    fn a_circuit_without_ends_is_forgotten() {
        let (mut network, port) = network();
        network.write(Instant::ZERO, port, b"lost");
        network.unplug(port);
        assert!(network.get(port.circuit).is_some());
        network.unplug(port.other());
        assert!(network.get(port.circuit).is_none());
        assert_eq!(network.waiting(), 0);
    }
}
