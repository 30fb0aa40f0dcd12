//! Many routes into a kernel, to another gateway, and out again.
//!
//! Three contestants, in turns, each in a namespace of its own with a veth pair:
//!
//! - `raw`: netlink and nothing else. All messages are made before the clock starts, 64 go with
//!   each send, one answer is read for each. Nothing can be faster through one socket.
//! - `fib`: the reconciler and its edge, told what is wanted by another thread.
//! - `bird`: static routes that are enabled and disabled, and BIRD's kernel protocol.
//!
//! At the end each kernel is looked at: the routes must be what was asked for.

use crate::report::{Figure, Report, say};
use bgp_core::prefix::{IpNet, Ipv4Net};
use bgp_fib::edge::Sockets;
use bgp_fib::kernel::{
    Answer, Dump, Hop, How, LinkIndex, NextHopKind, NextHopObject, Notice, Request, Route,
    RouteKey, Target, Ticket,
};
use bgp_fib::netlink::{
    Batch, Commands, Dumper, Inbox, MAX_BATCH, Messages, Received, Socket, reply,
};
use bgp_fib::wanted::{Place, Wanted, WantedHop};
use bgp_fib::{Fib, Settings};
use bgp_lab::netns::Namespace;
use bgp_lab::process::{Process, ask};
use bgp_lab::{Error, Result};
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const PROTOCOL: u8 = 201;
const METRIC: u32 = 32;

/// BIRD's own (`rtm_protocol`).
const BIRD_PROTOCOL: u8 = 12;

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);

/// Nothing takes longer than this.
const PATIENCE: Duration = Duration::from_secs(120);

const ADD: &str = "routes added per second, thousands";
const REPLACE: &str = "routes replaced per second, thousands";
const DELETE: &str = "routes deleted per second, thousands";
const MOVE: &str = "all routes moved by a nexthop group, us";

/// Runs all contestants `runs` times and prints the medians.
pub(crate) fn run(routes: u32, runs: usize, alone: bool) -> Result<()> {
    let mut report = Report::default();
    for run in 1..=runs {
        say(&format!("run {run} of {runs}: {routes} routes"));
        report.add("raw", raw(routes)?);
        report.add("fib", reconciled(routes)?);
        if !alone {
            report.add("bird", bird(routes)?);
        }
    }
    report.print("fib", &["raw", "bird"]);
    Ok(())
}

/// A namespace with a device `up0` on 10.0.0.1/24.
fn stage() -> Result<Namespace> {
    let namespace = Namespace::new("fib")?;
    namespace.sysctl("net/ipv4/nexthop_compat_mode", "0")?;
    namespace.ip("link add up0 type veth peer name far0\n\
         link set far0 up\nlink set up0 up\naddr add 10.0.0.1/24 dev up0")?;
    Ok(namespace)
}

fn prefixes(count: u32) -> impl Iterator<Item = IpNet> {
    (0..count).filter_map(|number| {
        let address = Ipv4Addr::from_bits((16 << 24) + (number << 6));
        Ipv4Net::new(address, 26).ok().map(IpNet::V4)
    })
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Check(error.to_string())
}

fn rate(routes: u32, span: Duration) -> f64 {
    f64::from(routes) / span.as_secs_f64() / 1e3
}

/// How many routes of `protocol` there are, and that all go through `gateway`.
fn count(dumper: &mut Dumper, protocol: u8, gateway: Ipv4Addr) -> Result<u32> {
    dumper.begin(Dump::Routes);
    let dumped = loop {
        if let Some(dumped) = dumper.read() {
            break dumped;
        }
    };
    let mut found = 0;
    for notice in dumped.entries {
        let Notice::Route { route, .. } = notice else {
            continue;
        };
        if route.protocol != protocol {
            continue;
        }
        found += 1;
        let hops: &[Hop] = match &route.target {
            Target::Unicast(hops) | Target::Object(_, hops) => hops,
            Target::Blackhole | Target::Unreachable | Target::Prohibit | Target::Other(_) => &[],
        };
        let right = matches!(hops, [hop] if hop.gateway == Some(gateway.into()));
        if !right {
            return Err(Error::Check(format!("not through {gateway}: {route:?}")));
        }
    }
    Ok(found)
}

fn check(found: u32, expected: u32) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Check(format!("{found} routes, expected {expected}")))
}

/// The number of `up0` in the calling thread's namespace.
fn device(dumper: &mut Dumper) -> Result<LinkIndex> {
    dumper.begin(Dump::Links);
    let dumped = loop {
        if let Some(dumped) = dumper.read() {
            break dumped;
        }
    };
    let found = dumped.entries.into_iter().find_map(|notice| {
        let Notice::Link(link) = notice else {
            return None;
        };
        (&*link.name == "up0").then_some(link.index)
    });
    found.ok_or_else(|| Error::Check("no device up0".into()))
}

fn route(prefix: IpNet, target: Target) -> Route {
    Route {
        key: RouteKey {
            table: 254,
            prefix,
            metric: METRIC,
        },
        protocol: PROTOCOL,
        target,
        source: None,
    }
}

fn via(gateway: Ipv4Addr, link: LinkIndex) -> Hop {
    Hop {
        gateway: Some(gateway.into()),
        link: Some(link),
        onlink: false,
        weight: 1,
    }
}

/// Datagrams of 64 messages, each with one answer.
fn datagrams(requests: impl Iterator<Item = Request>) -> Vec<(u32, Vec<u8>)> {
    let mut requests = requests.peekable();
    let mut made = Vec::new();
    let mut batch = Batch::default();
    let mut first = 1;
    while requests.peek().is_some() {
        batch.begin(first);
        for request in requests.by_ref().take(MAX_BATCH) {
            batch.push(Ticket(0), &request);
        }
        first = batch.next_sequence();
        made.push((first - 1, batch.finish().to_vec()));
    }
    made
}

/// Sends them all, and reads their answers.
fn send(socket: &Socket, inbox: &mut Inbox, datagrams: &[(u32, Vec<u8>)]) -> Result<Duration> {
    let began = Instant::now();
    for (last, octets) in datagrams {
        socket.send(octets).map_err(broken)?;
        socket.receive(inbox).map_err(broken)?;
        let mut answers = inbox.datagrams().flat_map(|datagram| match datagram {
            Received::Whole(octets) => Messages::new(octets).flatten(),
            Received::Cut => Messages::new(&[]).flatten(),
        });
        let good = answers.all(|message| {
            let good = bgp_fib::netlink::Reply::Answer(Ok(()));
            message.sequence == *last && reply(&message) == Some(good)
        });
        if !good {
            return Err(Error::Check("the kernel refused a route".into()));
        }
    }
    Ok(began.elapsed())
}

fn raw(routes: u32) -> Result<Vec<Figure>> {
    stage()?.run(|| {
        let mut dumper = Dumper::open().map_err(broken)?;
        let up0 = device(&mut dumper)?;
        let socket = Socket::requests().map_err(broken)?;
        let mut inbox = Inbox::new(1);
        let put = |gateway, how| {
            let routes = prefixes(routes).map(move |prefix| {
                let target = Target::Unicast(vec![via(gateway, up0)]);
                Request::PutRoute(route(prefix, target), how)
            });
            datagrams(routes)
        };
        let (add, replace) = (put(FIRST, How::Create), put(SECOND, How::Replace));
        let delete = prefixes(routes)
            .map(|prefix| Request::DeleteRoute(route(prefix, Target::Blackhole).key, PROTOCOL));
        let delete = datagrams(delete);
        let added = send(&socket, &mut inbox, &add)?;
        check(count(&mut dumper, PROTOCOL, FIRST)?, routes)?;
        let replaced = send(&socket, &mut inbox, &replace)?;
        check(count(&mut dumper, PROTOCOL, SECOND)?, routes)?;
        let deleted = send(&socket, &mut inbox, &delete)?;
        check(count(&mut dumper, PROTOCOL, SECOND)?, 0)?;
        let moved = group_move(routes, up0)?;
        Ok(vec![
            (ADD, rate(routes, added)),
            (REPLACE, rate(routes, replaced)),
            (DELETE, rate(routes, deleted)),
            (MOVE, moved.as_secs_f64() * 1e6),
        ])
    })
}

/// All routes through a group of one; the group's member is exchanged.
fn group_move(routes: u32, up0: LinkIndex) -> Result<Duration> {
    let mut commands = Commands::open().map_err(broken)?;
    let mut tell = |requests: Vec<Request>| {
        let numbered: Vec<(Ticket, Request)> = (0..).map(Ticket).zip(requests).collect();
        let mut answers: Vec<Answer> = Vec::new();
        let began = Instant::now();
        commands.carry_out(&numbered, &mut answers);
        let took = began.elapsed();
        match answers.into_iter().find_map(|(_, result)| result.err()) {
            None => Ok(took),
            Some(error) => Err(Error::Check(format!("{error:?}"))),
        }
    };
    let object = |id, kind| {
        Request::PutNextHop(NextHopObject {
            id,
            protocol: PROTOCOL,
            kind,
        })
    };
    tell(vec![
        object(1, NextHopKind::Hop(via(FIRST, up0))),
        object(2, NextHopKind::Hop(via(SECOND, up0))),
        object(3, NextHopKind::Group(vec![(1, 1)])),
    ])?;
    let through_group = prefixes(routes)
        .map(|prefix| Request::PutRoute(route(prefix, Target::Object(3, Vec::new())), How::Create));
    tell(through_group.collect())?;
    tell(vec![object(3, NextHopKind::Group(vec![(2, 1)]))])
}

/// A reconciler that is told what to want by the thread that measures.
struct Keeper {
    runtime: tokio::runtime::Runtime,
    handle: bgp_fib::Handle,
}

impl Keeper {
    fn start(sockets: Sockets) -> Result<Self> {
        let origin = Instant::now();
        let clock = move || {
            let micros = u64::try_from(origin.elapsed().as_micros());
            bgp_core::time::Instant::from_micros(micros.unwrap_or(u64::MAX))
        };
        let settings = Settings {
            protocol: PROTOCOL,
            metric: METRIC,
            ..Settings::default()
        };
        let fib = Fib::new(settings, clock(), 1);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(broken)?;
        let guard = runtime.enter();
        let (handle, _) = bgp_fib::spawn(fib, clock, sockets).map_err(broken)?;
        drop(guard);
        let keeper = Self { runtime, handle };
        keeper.settle()?;
        Ok(keeper)
    }

    fn settle(&self) -> Result<()> {
        let began = Instant::now();
        while !self
            .runtime
            .block_on(self.handle.ask(|fib, _| fib.is_idle()))
            .map_err(broken)?
        {
            if began.elapsed() > PATIENCE {
                return Err(Error::Check("the reconciler does not settle".into()));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Makes `change` for each of the prefixes, and waits until it is done.
    fn measure(
        &self,
        routes: u32,
        change: impl Fn(&mut Fib, Place) + Copy + Send + 'static,
    ) -> Result<Duration> {
        let places: Vec<Place> = prefixes(routes)
            .map(|prefix| Place { table: 254, prefix })
            .collect();
        let parts: Vec<Vec<Place>> = places.chunks(1_024).map(<[Place]>::to_vec).collect();
        let began = Instant::now();
        for part in parts {
            let told = self.handle.ask(move |fib, _| {
                for place in part {
                    change(fib, place);
                }
            });
            self.runtime.block_on(told).map_err(broken)?;
        }
        self.settle()?;
        Ok(began.elapsed())
    }
}

fn wanted(gateway: Ipv4Addr) -> Wanted {
    Wanted::Via {
        hops: vec![WantedHop {
            gateway: gateway.into(),
            device: None,
            onlink: false,
            weight: 1,
        }],
        source: None,
    }
}

fn reconciled(routes: u32) -> Result<Vec<Figure>> {
    let namespace = stage()?;
    let open = || {
        let sockets = Sockets::open().map_err(broken)?;
        Ok((sockets, Dumper::open().map_err(broken)?))
    };
    let (sockets, mut dumper) = namespace.run(open)?;
    let keeper = Keeper::start(sockets)?;
    let added = keeper.measure(routes, |fib, place| fib.set(place, wanted(FIRST)))?;
    check(count(&mut dumper, PROTOCOL, FIRST)?, routes)?;
    let replaced = keeper.measure(routes, |fib, place| fib.set(place, wanted(SECOND)))?;
    check(count(&mut dumper, PROTOCOL, SECOND)?, routes)?;
    let deleted = keeper.measure(routes, Fib::remove)?;
    check(count(&mut dumper, PROTOCOL, SECOND)?, 0)?;
    say(&format!("{:?}", keeper.handle.stats()));
    Ok(vec![
        (ADD, rate(routes, added)),
        (REPLACE, rate(routes, replaced)),
        (DELETE, rate(routes, deleted)),
    ])
}

fn bird(routes: u32) -> Result<Vec<Figure>> {
    let namespace = stage()?;
    let dir = tempfile::tempdir().map_err(broken)?;
    let mut text = String::from(
        "router id 10.0.0.1;\n\
         protocol device {}\n\
         protocol kernel { ipv4 { export all; }; scan time 3600; }\n\
         protocol static many { disabled; ipv4;\n",
    );
    for prefix in prefixes(routes) {
        writeln!(text, "route {prefix} via {FIRST};").map_err(broken)?;
    }
    text.push_str("}\n");
    let path = dir.path().join("bird.conf");
    std::fs::write(&path, text).map_err(broken)?;
    let control = dir.path().join("bird.ctl");
    let mut command = Command::new("/usr/sbin/bird");
    command
        .args(["-f", "-c"])
        .arg(&path)
        .arg("-s")
        .arg(&control);
    command.arg("-P").arg(dir.path().join("bird.pid"));
    let _process = Process::start(&namespace, "bird", dir.path(), command)?;
    let client = |words: &[&str]| {
        let mut command = Command::new("/usr/sbin/birdc");
        command.arg("-s").arg(&control).args(words);
        ask(&namespace, command)
    };
    let began = Instant::now();
    while client(&["show", "status"]).is_err() {
        if began.elapsed() > PATIENCE {
            return Err(Error::Check("BIRD does not start".into()));
        }
        thread::sleep(Duration::from_millis(100));
    }
    // Its first look at the kernel, before which it puts nothing, comes after a second.
    thread::sleep(Duration::from_secs(3));
    let mut dumper = namespace.run(|| Dumper::open().map_err(broken))?;
    let mut until = |expected| {
        let began = Instant::now();
        while count(&mut dumper, BIRD_PROTOCOL, FIRST)? != expected {
            if began.elapsed() > PATIENCE {
                return Err(Error::Check("BIRD does not get done".into()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    };
    let began = Instant::now();
    client(&["enable", "many"])?;
    until(routes)?;
    let added = began.elapsed();
    let began = Instant::now();
    client(&["disable", "many"])?;
    until(0)?;
    let deleted = began.elapsed();
    Ok(vec![
        (ADD, rate(routes, added)),
        (DELETE, rate(routes, deleted)),
    ])
}
