//! What the engine does with its connections: let in, dial, read, write.

use super::{
    DIAL_TIMEOUT, Dial, Engine, MAX_ADMISSIONS_PER_TURN, MAX_DIALS_PER_TURN,
    MAX_OCTETS_READ_PER_TURN, MAX_OCTETS_WRITTEN_PER_TURN, MAX_READS_PER_TURN, MAX_WRITES_PER_TURN,
};
use crate::connection::{Connection, Outbox, Phase, Read, Writing, Written};
use crate::entrance::Arrival;
use crate::socket;
use bgp_core::time::Instant;
use bgp_core::types::ConnectionId;
use std::fmt::Display;
use std::task::Poll;

/// The speaker is given at most this much of a connection's octets at a time.
pub(super) const READ_SIZE: usize = 16 * 1024;

/// The speaker is asked for about this many octets at a time: the most that a KEEPALIVE or a
/// NOTIFICATION waits for in a connection's outbox.
const BATCH: usize = 64 * 1024;

/// A connection that has taken this much in one go lets the others go first.
const MAX_OCTETS_PER_VISIT: usize = 256 * 1024;

/// A closing connection whose peer still sends is closed after this much: it is not listening.
const MAX_DRAIN: usize = 256 * 1024;

impl Engine {
    /// Accepts, and lets in who may come in.
    pub(super) fn come_in(&mut self, now: Instant) {
        let round = self.entrance.accept(now);
        self.stats.unserved += round.displaced;
        if let Some(error) = round.exhausted {
            self.stats.accept_pauses += 1;
            tracing::debug!(%error, "accepting pauses");
        }
        if let Some(id) = self.entrance.overdue(now) {
            self.stats.evicted += 1;
            self.lost(now, id, &"no session in time while others wait");
        }
        for _ in 0..MAX_ADMISSIONS_PER_TURN {
            let Some(arrival) = self.entrance.admit(&mut self.stats.unserved) else {
                return;
            };
            self.let_in(now, arrival);
        }
    }

    fn let_in(&mut self, now: Instant, arrival: Arrival) {
        let Arrival { stream, remote } = arrival;
        let Ok(local) = stream.local_addr() else {
            self.stats.unserved += 1;
            return;
        };
        let local = socket::canonical(local);
        match self.speaker.handle_accepted(now, local, remote) {
            Ok(id) => {
                tracing::debug!(connection = %id, peer = %remote, %local, "accepted");
                self.stats.accepted += 1;
                self.entrance.opening(now, remote.ip(), id);
                let connection = Connection::new(stream, remote, id, Phase::Open, &self.ready);
                self.connections.insert(id, connection);
                self.reads.push_back(id);
            }
            Err(why) => {
                tracing::debug!(peer = %remote, ?why, "turned away");
                self.stats.refused += 1;
            }
        }
        self.outputs(now);
    }

    /// Begins attempts to connect.
    pub(super) fn dial(&mut self, now: Instant) {
        for _ in 0..MAX_DIALS_PER_TURN {
            let Some(dial) = self.dials.pop_front() else {
                return;
            };
            let Dial {
                connection: id,
                remote,
                local,
            } = dial;
            self.stats.dialled += 1;
            match socket::dial(remote, local) {
                Ok(stream) => {
                    let connection =
                        Connection::new(stream, remote, id, Phase::Dialing, &self.ready);
                    self.connections.insert(id, connection);
                    self.dialing.push_back((now + DIAL_TIMEOUT, id));
                    self.want_write(id);
                }
                Err(error) => {
                    tracing::debug!(connection = %id, peer = %remote, %error, "cannot dial");
                    self.dial_failed(now, id, &error);
                }
            }
        }
    }

    pub(super) fn dial_failed(&mut self, now: Instant, id: ConnectionId, why: &dyn Display) {
        self.stats.dial_failures += 1;
        self.forget(id, &format!("dial failed: {why}"));
        self.speaker.handle_connect_failed(now, id);
        self.outputs(now);
    }

    /// The connection ended or broke: the speaker is told.
    fn lost(&mut self, now: Instant, id: ConnectionId, why: &dyn Display) {
        self.entrance.ended(id);
        self.forget(id, &format!("lost: {why}"));
        self.speaker.handle_closed(now, id);
        self.outputs(now);
    }

    /// Reads from the connections on the list, one buffer each, round robin.
    pub(super) fn read(&mut self, now: Instant) {
        let mut octets = 0;
        for _ in 0..MAX_READS_PER_TURN {
            if octets >= MAX_OCTETS_READ_PER_TURN {
                return;
            }
            let Some(id) = self.reads.pop_front() else {
                return;
            };
            if let Some(catch_up) = &mut self.catch_up {
                catch_up.reads_left = catch_up.reads_left.saturating_sub(1);
            }
            octets += self.read_one(now, id);
        }
    }

    fn read_one(&mut self, now: Instant, id: ConnectionId) -> usize {
        let Some(connection) = self.connections.get_mut(&id) else {
            return 0;
        };
        let read = connection.read(&mut self.buffer);
        if let Read::Some(octets) = read {
            self.stats.octets_read += octets as u64;
            self.reads.push_back(id);
        }
        match (connection.phase, read) {
            (_, Read::Pending) => 0,
            (Phase::Closing { .. }, read) => self.drain(id, &read),
            (Phase::Open | Phase::Dialing, Read::Some(octets)) => {
                tracing::trace!(connection = %id, octets, "read");
                let bytes = self.buffer.split_at(octets).0;
                self.speaker.handle_received(now, id, bytes);
                self.outputs(now);
                octets
            }
            (Phase::Open | Phase::Dialing, Read::End) => {
                self.lost(now, id, &"the peer closed it");
                0
            }
            (Phase::Open | Phase::Dialing, Read::Broken(error)) => {
                self.lost(now, id, &error);
                0
            }
        }
    }

    /// Something was read from a connection that the speaker has forgotten.
    fn drain(&mut self, id: ConnectionId, read: &Read) -> usize {
        let Some(connection) = self.connections.get_mut(&id) else {
            return 0;
        };
        let Phase::Closing {
            finished,
            ended,
            drained,
        } = &mut connection.phase
        else {
            return 0;
        };
        let octets = match read {
            Read::Some(octets) => *octets,
            Read::Pending => 0,
            Read::End => {
                *ended = true;
                0
            }
            Read::Broken(error) => {
                let why = format!("closed: {error}");
                self.forget(id, &why);
                return 0;
            }
        };
        *drained += octets;
        if (*finished && *ended) || *drained > MAX_DRAIN {
            self.forget(id, "closed");
        }
        octets
    }

    /// Writes to the connections on the list, round robin.
    pub(super) fn write(&mut self, now: Instant) {
        let mut octets = 0;
        for _ in 0..MAX_WRITES_PER_TURN {
            if octets >= MAX_OCTETS_WRITTEN_PER_TURN {
                return;
            }
            let Some(id) = self.writes.pop_front() else {
                return;
            };
            let Some(connection) = self.connections.get_mut(&id) else {
                continue;
            };
            connection.writing = Writing::Idle;
            match connection.phase {
                Phase::Dialing => self.dialled(now, id),
                Phase::Open => octets += self.transmit(now, id),
                Phase::Closing { .. } => octets += self.say_last_words(id),
            }
        }
    }

    fn dialled(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        match connection.poll_outcome() {
            Poll::Pending => connection.writing = Writing::Blocked,
            Poll::Ready(Ok(local)) => {
                tracing::debug!(connection = %id, peer = %connection.remote, %local, "connected");
                connection.phase = Phase::Open;
                self.reads.push_back(id);
                self.speaker.handle_connected(now, id, local);
                self.outputs(now);
            }
            Poll::Ready(Err(error)) => self.dial_failed(now, id, &error),
        }
    }

    /// Writes what the speaker has to say, until it has no more, the socket takes no more, or the
    /// connection has had its share.
    fn transmit(&mut self, now: Instant, id: ConnectionId) -> usize {
        let mut total = 0;
        let mut more = true;
        while total < MAX_OCTETS_PER_VISIT {
            let Some(connection) = self.connections.get_mut(&id) else {
                return total;
            };
            let mut outbox = std::mem::take(&mut connection.outbox);
            self.stats.octets_held -= outbox.octets();
            if outbox.is_empty() {
                outbox = std::mem::take(&mut self.batch);
                more = outbox.fill(|all| self.speaker.poll_transmit(now, id, BATCH, all));
            }
            let (octets, written) = connection.write(&mut outbox);
            total += octets;
            self.stats.octets_written += octets as u64;
            tracing::trace!(connection = %id, octets, ?written, "written");
            match written {
                Written::All => {
                    self.batch = outbox;
                    if octets > 0 {
                        self.speaker.handle_written(now, id);
                    }
                    if octets == 0 || !more {
                        break;
                    }
                }
                Written::Blocked => {
                    self.stats.blocked += 1;
                    connection.writing = Writing::Blocked;
                    connection.outbox = outbox.split_rest();
                    self.stats.octets_held += connection.outbox.octets();
                    self.batch = outbox;
                    if octets > 0 {
                        self.speaker.handle_written(now, id);
                    }
                    self.speaker.handle_blocked(now, id);
                    break;
                }
                Written::Broken(error) => {
                    self.lost(now, id, &error);
                    return total;
                }
            }
        }
        if more {
            self.want_write(id);
        }
        self.outputs(now);
        total
    }

    pub(super) fn say_last_words(&mut self, id: ConnectionId) -> usize {
        let Some(connection) = self.connections.get_mut(&id) else {
            return 0;
        };
        if let Phase::Closing { finished: true, .. } = connection.phase {
            return 0;
        }
        let mut outbox: Outbox = std::mem::take(&mut connection.outbox);
        let (octets, written) = connection.write(&mut outbox);
        connection.outbox = outbox;
        self.stats.octets_held -= octets;
        self.stats.octets_written += octets as u64;
        match written {
            Written::Blocked => connection.writing = Writing::Blocked,
            Written::Broken(error) => self.forget(id, &format!("closed: {error}")),
            Written::All => {
                let finished = connection.finish_writing().is_ok();
                if let Phase::Closing {
                    finished: said,
                    ended,
                    ..
                } = &mut connection.phase
                {
                    *said = finished;
                    if *ended || !finished {
                        self.forget(id, "closed");
                    }
                }
            }
        }
        octets
    }
}
