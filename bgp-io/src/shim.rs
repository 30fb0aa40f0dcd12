//! Temporary.
#![allow(missing_docs, unused, reason = "temporary")]
use bgp_core::time::Instant;
use bgp_core::types::*;
use bytes::Bytes;
use std::net::*;
use std::sync::Arc;
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    Silent,
}
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    Connect {
        connection: ConnectionId,
        remote: SocketAddr,
        local: Option<IpAddr>,
    },
    Transmit(ConnectionId),
    Close {
        connection: ConnectionId,
        last: Vec<Bytes>,
    },
    Event(Event),
}
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerName {
    pub id: PeerId,
    pub name: Arc<str>,
    pub address: IpAddr,
}
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    Established { peer: PeerName, remote_as: Asn },
    Refused { remote: SocketAddr, why: Refused },
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Refused {
    UnknownPeer,
}
pub struct Speaker;
impl Speaker {
    pub fn handle_accepted(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<ConnectionId, Refused> {
        Err(Refused::UnknownPeer)
    }
    pub fn handle_connected(&mut self, now: Instant, c: ConnectionId, local: SocketAddr) {}
    pub fn handle_connect_failed(&mut self, now: Instant, c: ConnectionId) {}
    pub fn handle_received(&mut self, now: Instant, c: ConnectionId, bytes: &[u8]) {}
    pub fn handle_closed(&mut self, now: Instant, c: ConnectionId) {}
    pub fn handle_written(&mut self, now: Instant, c: ConnectionId) {}
    pub fn handle_blocked(&mut self, now: Instant, c: ConnectionId) {}
    pub fn handle_timeout(&mut self, now: Instant) {}
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        c: ConnectionId,
        b: usize,
        out: &mut Vec<Bytes>,
    ) -> bool {
        false
    }
    pub fn poll_timeout(&self) -> Option<(Instant, ())> {
        None
    }
    pub fn stop(&mut self, now: Instant, how: &Stop) {}
}
