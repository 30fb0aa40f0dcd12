//! One client of the swarm: a socket, a state and a bit per route.

use super::reading::{Bits, Readings};
use super::{Member, Tally};
use crate::octets::{self, Open, kind};
use crate::{During, Error, Result};
use bgp_core::prefix::IpNet;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How much is read from one client before the next one is served.
const READ_LEN: usize = 65_536;

/// What a look at a client brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Nothing new in its table.
    Quiet,
    /// It gained or lost a route or its session.
    Changed,
    /// Its attempt to connect failed; another is due.
    ConnectFailed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Idle,
    Connecting,
    OpenSent,
    OpenConfirm,
    Established,
}

#[derive(Debug)]
pub(super) struct Client {
    address: Ipv4Addr,
    prefixes: Vec<IpNet>,
    own: Vec<u32>,
    held: Bits,
    announced: bool,
    state: State,
    socket: Option<Socket>,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    tally: Tally,
}

impl Client {
    pub(super) fn new(member: Member, readings: &Readings, prefixes: usize) -> Self {
        let own = member
            .prefixes
            .iter()
            .filter_map(|prefix| readings.id(prefix))
            .collect();
        Self {
            address: member.address,
            prefixes: member.prefixes,
            own,
            held: Bits::new(prefixes),
            announced: true,
            state: State::Idle,
            socket: None,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            tally: Tally::default(),
        }
    }

    pub(super) fn address(&self) -> Ipv4Addr {
        self.address
    }

    pub(super) fn is_established(&self) -> bool {
        self.state == State::Established
    }

    /// Whether it is on its way to Established.
    pub(super) fn is_connecting(&self) -> bool {
        match self.state {
            State::Idle | State::Established => false,
            State::Connecting | State::OpenSent | State::OpenConfirm => true,
        }
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally
    }

    /// The ids of what it announces now.
    pub(super) fn own(&self) -> &[u32] {
        if self.announced { &self.own } else { &[] }
    }

    pub(super) fn held(&self) -> &Bits {
        &self.held
    }

    pub(super) fn holds(&self, id: u32) -> bool {
        self.held.get(id)
    }

    pub(super) fn socket(&self) -> Option<&Socket> {
        self.socket.as_ref()
    }

    /// Begins to connect.
    pub(super) fn connect(&mut self, to: SocketAddr) -> Result<()> {
        let what = || format!("connecting from {}", self.address);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).during(what)?;
        socket.set_nonblocking(true).during(what)?;
        socket.set_tcp_nodelay(true).during(what)?;
        socket
            .bind(&SocketAddr::from((self.address, 0)).into())
            .during(what)?;
        match socket.connect(&to.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(error) => return Err(error).during(what),
        }
        self.socket = Some(socket);
        self.state = State::Connecting;
        self.incoming.clear();
        self.outgoing.clear();
        self.held.clear();
        Ok(())
    }

    /// Ends the connection with a reset.
    pub(super) fn kill(&mut self) {
        if let Some(socket) = self.socket.take() {
            // Without the option it is an ordinary close, which ends the session as well.
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
        self.state = State::Idle;
        self.held.clear();
    }

    pub(super) fn send_keepalive(&mut self) {
        if self.is_established() {
            self.send(&octets::keepalive());
        }
    }

    pub(super) fn set_announced(&mut self, announced: bool) {
        self.announced = announced;
        if !self.is_established() {
            return;
        }
        let message = if announced {
            self.announcement()
        } else {
            octets::update(&octets::nlri(&self.prefixes), &[], &[])
        };
        self.send(&message);
    }

    /// Serves the socket after an event.
    pub(super) fn pump(
        &mut self,
        asn: u32,
        hold_time: u16,
        readings: &mut Readings,
    ) -> Result<Step> {
        if self.state == State::Connecting {
            let Some(socket) = &self.socket else {
                return Ok(Step::Quiet);
            };
            let error = socket
                .take_error()
                .during(|| "asking for a socket error".to_owned())?;
            if error.is_some() {
                return Ok(Step::ConnectFailed);
            }
            if socket.peer_addr().is_err() {
                return Ok(Step::Quiet); // still connecting
            }
            self.state = State::OpenSent;
            let mut open = Open::new(asn, self.address);
            open.hold_time = hold_time;
            self.send(&open.encode());
        }
        self.flush();
        let open = self.receive();
        let mut step = Step::Quiet;
        while let Some(message) = octets::take_message(&mut self.incoming).map_err(Error::Check)? {
            if self.take(&message, readings) {
                step = Step::Changed;
            }
        }
        if !open && self.socket.is_some() {
            readings.fault(format!(
                "{}: connection lost in {:?}",
                self.address, self.state
            ));
            self.tally.drops += 1;
            self.kill();
            step = Step::Changed;
        }
        Ok(step)
    }

    /// Acts on one message; answers whether the table or the session changed.
    fn take(&mut self, message: &octets::Message, readings: &mut Readings) -> bool {
        match message.kind {
            kind::OPEN => {
                self.state = State::OpenConfirm;
                self.send(&octets::keepalive());
                false
            }
            kind::KEEPALIVE if self.state == State::OpenConfirm => {
                self.state = State::Established;
                if self.announced {
                    let announcement = self.announcement();
                    self.send(&announcement);
                }
                self.send(&octets::update(&[], &[], &[]));
                true
            }
            kind::UPDATE => self.take_update(&message.body, readings),
            kind::NOTIFICATION => {
                readings.fault(format!("{}: NOTIFICATION {:?}", self.address, message.body));
                self.tally.notifications += 1;
                false
            }
            _ => false,
        }
    }

    fn take_update(&mut self, body: &[u8], readings: &mut Readings) -> bool {
        self.tally.updates += 1;
        let reading = readings.read(body);
        let mut changed = false;
        for (ids, there) in [(&reading.unreach, false), (&reading.reach, true)] {
            for id in ids {
                if self.own.contains(id) {
                    self.tally.own_prefixes += 1;
                }
                changed |= self.held.set(*id, there);
            }
        }
        changed
    }

    fn announcement(&self) -> Vec<u8> {
        let attributes = [
            octets::origin(0),
            octets::as_path(&[]),
            octets::next_hop(self.address),
            octets::local_pref(100),
        ]
        .concat();
        octets::update(&[], &attributes, &octets::nlri(&self.prefixes))
    }

    fn send(&mut self, octets: &[u8]) {
        self.outgoing.extend(octets);
        self.flush();
    }

    /// Writes what the socket takes; the rest waits for the next event.
    fn flush(&mut self) {
        let Some(socket) = &mut self.socket else {
            return;
        };
        while !self.outgoing.is_empty() {
            match socket.write(&self.outgoing) {
                Ok(length) => drop(self.outgoing.drain(..length)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Full, or broken: reading tells which.
                Err(_) => return,
            }
        }
    }

    /// Reads until the socket is empty; answers whether the connection is still open.
    fn receive(&mut self) -> bool {
        let Some(socket) = &mut self.socket else {
            return false;
        };
        let mut chunk = [0; READ_LEN];
        loop {
            match socket.read(&mut chunk) {
                Ok(0) => return false,
                Ok(length) => {
                    self.tally.octets += u64::try_from(length).unwrap_or(u64::MAX);
                    self.incoming.extend(chunk.iter().take(length));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }
}
