//! A reconciler, a kernel with three devices, and a clock.

use bgp_core::prefix::IpNet;
use bgp_core::time::{Duration, Instant};
use bgp_fib::fake::{FakeKernel, pump};
use bgp_fib::kernel::{Hop, How, LinkIndex, Route, RouteKey, Target};
use bgp_fib::wanted::{Place, Wanted, WantedHop};
use bgp_fib::{Fib, FibEvent, RouteState, Settings};

pub(crate) struct Scene {
    pub(crate) fib: Fib,
    pub(crate) kernel: FakeKernel,
    pub(crate) now: Instant,
    pub(crate) events: Vec<FibEvent>,
    pub(crate) eth0: LinkIndex,
    pub(crate) tunl0: LinkIndex,
}

/// Our protocol and metric in these tests.
pub(crate) const OURS: u8 = 201;
pub(crate) const METRIC: u32 = 32;

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub(crate) fn place(text: &str) -> Place {
    Place {
        table: 254,
        prefix: net(text),
    }
}

pub(crate) fn key(text: &str) -> RouteKey {
    RouteKey {
        table: 254,
        prefix: net(text),
        metric: METRIC,
    }
}

pub(crate) fn hop(gateway: &str, device: Option<&str>) -> WantedHop {
    WantedHop {
        gateway: gateway.parse().unwrap(),
        device: device.map(Into::into),
        onlink: device.is_some_and(|device| device.starts_with("tunl")),
        weight: 1,
    }
}

pub(crate) fn ways(hops: Vec<WantedHop>) -> Wanted {
    Wanted::Via { hops, source: None }
}

pub(crate) fn via(gateway: &str, device: &str) -> Wanted {
    ways(vec![hop(gateway, Some(device))])
}

pub(crate) fn through(gateway: &str, link: LinkIndex) -> Target {
    Target::Unicast(vec![Hop {
        gateway: Some(gateway.parse().unwrap()),
        link: Some(link),
        onlink: false,
        weight: 1,
    }])
}

pub(crate) fn route(prefix: &str, metric: u32, protocol: u8, target: Target) -> Route {
    Route {
        key: RouteKey {
            metric,
            ..key(prefix)
        },
        protocol,
        target,
        source: None,
    }
}

impl Scene {
    /// eth0 with 10.0.0.1/24 and fd00::1/64, tunl0 without address; nothing looked at yet.
    pub(crate) fn cold(settings: Settings) -> Self {
        let mut kernel = FakeKernel::new();
        let eth0 = kernel.add_link("eth0");
        let tunl0 = kernel.add_link("tunl0");
        kernel.add_address(eth0, net("10.0.0.1/24"));
        kernel.add_address(eth0, net("fd00::1/64"));
        let now = Instant::from_micros(1_000_000);
        Self {
            fib: Fib::new(settings, now, 7),
            kernel,
            now,
            events: Vec::new(),
            eth0,
            tunl0,
        }
    }

    /// The same after the first look.
    pub(crate) fn new() -> Self {
        let mut scene = Self::cold(Settings::default());
        scene.pump();
        scene.events.clear();
        scene
    }

    pub(crate) fn pump(&mut self) {
        let events = pump(&mut self.fib, &mut self.kernel, self.now);
        self.events.extend(events);
    }

    /// Lets time pass as the timers ask for it.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        self.pump();
        while let Some(at) = self.fib.poll_timeout().filter(|at| *at <= end) {
            let stuck = at <= self.now;
            self.now = self.now.max(at);
            self.fib.handle_timeout(self.now);
            self.pump();
            if stuck && self.fib.poll_timeout().is_some_and(|at| at <= self.now) {
                self.now = self.now + Duration::from_millis(1);
            }
        }
        self.now = end;
        self.fib.handle_timeout(end);
        self.pump();
    }

    pub(crate) fn set(&mut self, prefix: &str, wanted: Wanted) {
        self.fib.set(place(prefix), wanted);
        self.pump();
    }

    pub(crate) fn state(&self, prefix: &str) -> Option<RouteState> {
        Some(self.fib.status(place(prefix))?.state)
    }

    /// What the kernel has at our key of `prefix`, first.
    pub(crate) fn there(&self, prefix: &str) -> Option<Route> {
        self.kernel.at(&key(prefix)).next().cloned()
    }

    /// Somebody else puts a route.
    pub(crate) fn other(&mut self, prefix: &str, metric: u32, protocol: u8, target: Target) {
        let route = route(prefix, metric, protocol, target);
        self.kernel.put_route(route, How::Replace).unwrap();
    }

    pub(crate) fn heard(&self, which: impl Fn(&FibEvent) -> bool) -> usize {
        self.events.iter().filter(|event| which(event)).count()
    }

    /// How many requests `what` costs.
    pub(crate) fn requests(&mut self, what: impl FnOnce(&mut Self)) -> u64 {
        let before = self.kernel.requests();
        what(self);
        self.kernel.requests() - before
    }
}
