//! A namespace with two links, and ways to talk to its kernel.
//!
//! ```text
//!   host                                   far
//!   up0  10.0.0.1/24  fd00:0::1/64 ─────── up0
//!   up1  10.0.1.1/24  fd00:1::1/64 ─────── up1
//! ```

use bgp_core::prefix::IpNet;
use bgp_fib::kernel::{
    Answer, Dump, Hop, How, KernelError, Link, LinkIndex, Notice, Request, Route, RouteKey, Target,
    Ticket,
};
use bgp_fib::netlink::{
    Commands, Dumper, Inbox, MONITOR_BUFFER, Messages, Received, Socket, notice,
};
use bgp_lab::capability::{Need, need};
use bgp_lab::netns::Namespace;
use bgp_lab::process::ask;
use std::io;
use std::process::Command;
use std::time::Duration;

/// The protocol number of our routes.
pub(crate) const OURS: u8 = 201;

/// The metric of our routes.
pub(crate) const METRIC: u32 = 32;

/// The namespaces of a test.
pub(crate) struct Stage {
    pub(crate) host: Namespace,
    pub(crate) far: Namespace,
}

impl Stage {
    /// `None` when the machine lacks what it takes; the test says so.
    pub(crate) fn new(test: &str) -> Option<Self> {
        if !need(test, &[Need::Namespaces]) {
            return None;
        }
        let host = Namespace::new("host").unwrap();
        let far = Namespace::new("far").unwrap();
        let stage = Self { host, far };
        for link in 0..2 {
            stage.add_link(link);
        }
        Some(stage)
    }

    /// Makes the pair of devices `upLINK`, up and with addresses on both ends.
    pub(crate) fn add_link(&self, link: u8) {
        let far = format!("/proc/{}/fd/{}", std::process::id(), self.far.descriptor());
        self.host
            .ip(&format!(
                "link add up{link} type veth peer name up{link} netns {far}"
            ))
            .unwrap();
        for (namespace, end) in [(&self.host, 1), (&self.far, 2)] {
            namespace
                .ip(&format!(
                    "link set up{link} up\n\
                     addr add 10.0.{link}.{end}/24 dev up{link}\n\
                     addr add fd00:{link}::{end}/64 dev up{link} nodad"
                ))
                .unwrap();
        }
    }

    /// The number of a device of the host.
    pub(crate) fn index(&self, name: &str) -> LinkIndex {
        let shown = self.show(&["-o", "link", "show", "dev", name]);
        let number = shown.split(':').next().unwrap();
        LinkIndex(number.trim().parse().unwrap())
    }

    /// What `ip ARGUMENTS` prints on the host.
    pub(crate) fn show(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("ip");
        command.args(arguments);
        ask(&self.host, command).unwrap()
    }

    /// Raw sockets in the host.
    pub(crate) fn wire(&self) -> Wire {
        self.wire_with_buffer(MONITOR_BUFFER)
    }

    /// Raw sockets in the host, of which the monitor holds so many octets.
    pub(crate) fn wire_with_buffer(&self, buffer: u32) -> Wire {
        self.host.run(|| Ok(Wire::open(buffer))).unwrap().unwrap()
    }
}

/// Netlink without a reconciler.
pub(crate) struct Wire {
    pub(crate) commands: Commands,
    dumper: Dumper,
    pub(crate) monitor: Socket,
    inbox: Inbox,
}

impl Wire {
    fn open(buffer: u32) -> io::Result<Self> {
        Ok(Self {
            monitor: Socket::monitor(buffer)?,
            commands: Commands::open()?,
            dumper: Dumper::open()?,
            inbox: Inbox::new(32),
        })
    }

    /// What came of each request.
    pub(crate) fn tell(&mut self, requests: Vec<Request>) -> Vec<Result<(), KernelError>> {
        let numbered: Vec<(Ticket, Request)> = (0..).map(Ticket).zip(requests).collect();
        let mut answers: Vec<Answer> = Vec::new();
        assert!(self.commands.carry_out(&numbered, &mut answers));
        answers.sort_by_key(|(ticket, _)| *ticket);
        assert_eq!(answers.len(), numbered.len());
        answers.into_iter().map(|(_, result)| result).collect()
    }

    /// A request that must go well.
    pub(crate) fn put(&mut self, request: Request) {
        let shown = format!("{request:?}");
        let answers = self.tell(vec![request]);
        assert_eq!(answers, [Ok(())], "{shown}");
    }

    /// Why a request that must not go well did not.
    pub(crate) fn refused(&mut self, request: Request) -> (i32, String) {
        let shown = format!("{request:?}");
        let error = self.tell(vec![request]).remove(0).err();
        let error = error.unwrap_or_else(|| panic!("not refused: {shown}"));
        (error.errno, error.text.to_string())
    }

    /// Everything of a kind.
    pub(crate) fn dump(&mut self, dump: Dump) -> Vec<Notice> {
        self.dumper.begin(dump);
        loop {
            if let Some(dumped) = self.dumper.read() {
                assert!(dumped.complete, "{dump:?}");
                return dumped.entries;
            }
            assert!(self.dumper.is_running());
        }
    }

    /// All routes of protocol `protocol`.
    pub(crate) fn routes(&mut self, protocol: u8) -> Vec<Route> {
        let mut routes: Vec<Route> = self
            .dump(Dump::Routes)
            .into_iter()
            .filter_map(route_of)
            .filter(|route| route.protocol == protocol)
            .collect();
        routes.sort_by_key(|route| route.key);
        routes
    }

    /// What the kernel has said by itself since the last time.
    pub(crate) fn heard(&mut self) -> Vec<Notice> {
        let mut heard = Vec::new();
        loop {
            match self.monitor.receive(&mut self.inbox) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return heard,
                result => result.unwrap(),
            }
            for datagram in self.inbox.datagrams() {
                let Received::Whole(octets) = datagram else {
                    panic!("a datagram was cut");
                };
                heard.extend(Messages::new(octets).filter_map(|message| notice(&message.unwrap())));
            }
        }
    }
}

/// The route that is there.
pub(crate) fn route_of(notice: Notice) -> Option<Route> {
    let Notice::Route { route, .. } = notice else {
        return None;
    };
    Some(route)
}

/// The link that is there.
pub(crate) fn link_of(notice: &Notice) -> Option<&Link> {
    let Notice::Link(link) = notice else {
        return None;
    };
    Some(link)
}

/// A key of ours in the main table.
pub(crate) fn key(prefix: &str) -> RouteKey {
    RouteKey {
        table: 254,
        prefix: prefix.parse::<IpNet>().unwrap(),
        metric: METRIC,
    }
}

/// A route of ours.
pub(crate) fn route(prefix: &str, target: Target) -> Route {
    Route {
        key: key(prefix),
        protocol: OURS,
        target,
        source: None,
    }
}

/// A hop through `gateway` on `link`.
pub(crate) fn via(gateway: &str, link: LinkIndex) -> Hop {
    Hop {
        gateway: Some(gateway.parse().unwrap()),
        link: Some(link),
        onlink: false,
        weight: 1,
    }
}

/// Puts a route where nothing is.
pub(crate) fn create(route: &Route) -> Request {
    Request::PutRoute(route.clone(), How::Create)
}

/// Puts a route whatever is there.
pub(crate) fn replace(route: &Route) -> Request {
    Request::PutRoute(route.clone(), How::Replace)
}

/// Waits for something that the kernel does in its own time.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !done() {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "waiting for {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
