//! A reconciler that keeps the routes of a stage's host, with its edge in a runtime of its own.

use crate::stage::{METRIC, OURS, Stage, Wire};
use bgp_core::prefix::IpNet;
use bgp_core::time::Instant;
use bgp_fib::edge::{Events, Handle, Sockets, Stats};
use bgp_fib::fib::{Audit, Counts, RouteStatus};
use bgp_fib::kernel::Route;
use bgp_fib::netlink::MONITOR_BUFFER;
use bgp_fib::wanted::{Place, Wanted, WantedHop};
use bgp_fib::{Fib, FibEvent, Settings};
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

/// See the room's text.
pub(crate) struct Keeper {
    // Dropped first, so that the task ends before its runtime.
    handle: Handle,
    events: Events,
    runtime: Runtime,
}

/// What most tests are made with: no timer saves them.
pub(crate) fn settings() -> Settings {
    Settings {
        protocol: OURS,
        metric: METRIC,
        resync: Duration::from_secs(3_600),
        ..Settings::default()
    }
}

impl Keeper {
    /// Starts one, and waits until it knows the kernel.
    pub(crate) fn start(stage: &Stage, settings: Settings) -> Self {
        Self::with_buffer(stage, settings, MONITOR_BUFFER)
    }

    /// Starts one whose monitor holds so many octets.
    pub(crate) fn with_buffer(stage: &Stage, settings: Settings, buffer: u32) -> Self {
        let origin = std::time::Instant::now();
        let clock = move || {
            let micros = origin.elapsed().as_micros();
            Instant::from_micros(u64::try_from(micros).unwrap())
        };
        let fib = Fib::new(settings, clock(), 1);
        let sockets = stage
            .host
            .run(|| Ok(Sockets::with_buffer(buffer)))
            .unwrap()
            .unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let guard = runtime.enter();
        let (handle, events) = bgp_fib::spawn(fib, clock, sockets).unwrap();
        drop(guard);
        let mut keeper = Self {
            handle,
            events,
            runtime,
        };
        keeper.event("the first look", |event| {
            matches!(event, FibEvent::Synced { first: true, .. })
        });
        keeper
    }

    /// Asks the reconciler.
    pub(crate) fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Fib, Instant) -> R + Send + 'static,
    ) -> R {
        self.runtime.block_on(self.handle.ask(question)).unwrap()
    }

    /// Wants routes.
    pub(crate) fn set(&self, routes: Vec<(Place, Wanted)>) {
        self.ask(|fib, _| {
            for (place, wanted) in routes {
                fib.set(place, wanted);
            }
        });
    }

    /// Wants one route in the main table.
    pub(crate) fn want(&self, prefix: &str, wanted: Wanted) {
        self.set(vec![(place(prefix), wanted)]);
    }

    /// Waits for an event; those before it are lost.
    pub(crate) fn event(&mut self, what: &str, wanted: impl Fn(&FibEvent) -> bool) -> FibEvent {
        let mut seen = Vec::new();
        let events = &mut self.events;
        let waiting = async {
            while let Some(event) = events.next().await {
                if wanted(&event) {
                    return event;
                }
                seen.push(event);
            }
            panic!("the edge has ended while waiting for {what}");
        };
        let waiting = async { tokio::time::timeout(LIMIT, waiting).await };
        let event = self.runtime.block_on(waiting);
        event.unwrap_or_else(|_| panic!("waiting for {what}, seen {seen:#?}"))
    }

    /// Waits until something is so.
    pub(crate) fn until(&self, what: &str, done: impl Fn(&Fib) -> bool + Copy + Send + 'static) {
        let began = std::time::Instant::now();
        let mut pause = Duration::from_millis(1);
        while !self.ask(move |fib, _| done(fib)) {
            if began.elapsed() > LIMIT {
                let shown = self
                    .ask(|fib, _| format!("{:#?}\n{:#?}", fib.counts(), fib.statuses(None, 20)));
                panic!("waiting for {what}: {shown}");
            }
            std::thread::sleep(pause);
            // Questions about very many routes are not cheap.
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    /// Waits until all that is wanted is there and nothing is left to do.
    pub(crate) fn settle(&self) {
        self.until("everything in place", |fib| fib.in_sync() && fib.is_idle());
    }

    /// How a route of the main table stands.
    pub(crate) fn status(&self, prefix: &str) -> RouteStatus {
        let place = place(prefix);
        self.ask(move |fib, _| fib.status(place)).unwrap()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.ask(|fib, _| fib.counts())
    }

    pub(crate) fn stats(&self) -> Stats {
        self.handle.stats()
    }

    /// Compares everything with the kernel, now.
    pub(crate) fn audit(&self) -> Audit {
        let number = |fib: &Fib| fib.last_audit().map_or(0, |audit| audit.number);
        let before = self.ask(move |fib, _| {
            fib.ask_resync();
            number(fib)
        });
        let began = std::time::Instant::now();
        loop {
            let audit = self.ask(|fib, _| fib.last_audit().cloned());
            if let Some(audit) = audit.filter(|audit| audit.number > before && audit.complete) {
                return audit;
            }
            assert!(began.elapsed() < LIMIT, "waiting for an audit");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything as wanted, by our own word and by the kernel's: `expected` routes of ours.
    pub(crate) fn check(&self, wire: &mut Wire, expected: usize) -> Vec<Route> {
        self.settle();
        let audit = self.audit();
        assert_eq!(audit.differing, 0, "{audit:#?}");
        let routes = wire.routes(OURS);
        assert_eq!(routes.len(), expected);
        routes
    }

    /// Ends it, and waits for that.
    pub(crate) fn stop(self) {
        let Self {
            handle,
            events,
            runtime,
        } = self;
        drop(events);
        runtime.block_on(handle.shutdown());
    }
}

/// A prefix of the main table.
pub(crate) fn place(prefix: &str) -> Place {
    Place {
        table: 254,
        prefix: prefix.parse::<IpNet>().unwrap(),
    }
}

/// Through one router on whatever device leads there.
pub(crate) fn through(gateway: &str) -> Wanted {
    Wanted::Via {
        hops: vec![hop(gateway)],
        source: None,
    }
}

/// A hop to a router on whatever device leads there.
pub(crate) fn hop(gateway: &str) -> WantedHop {
    WantedHop {
        gateway: gateway.parse().unwrap(),
        device: None,
        onlink: false,
        weight: 1,
    }
}

/// Through a named device, whatever its addresses say.
pub(crate) fn onlink(gateway: &str, device: &str) -> Wanted {
    let hop = WantedHop {
        device: Some(device.into()),
        onlink: true,
        ..hop(gateway)
    };
    Wanted::Via {
        hops: vec![hop],
        source: None,
    }
}

/// `count` different /26 from 16.0.0.0 on.
pub(crate) fn blocks(count: u32) -> impl Iterator<Item = Place> {
    (0..count).map(|number| {
        let [high, a, b, c] = (number << 6).to_be_bytes();
        place(&format!("{}.{a}.{b}.{c}/26", 16 + high))
    })
}
