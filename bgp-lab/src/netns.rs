//! Network namespaces without names, and a LAN between them.
//!
//! A [`Namespace`] is a file descriptor. It has no entry under `/run/netns`, so two tests can
//! never meet, and the kernel removes it with its links, addresses and routes when the last
//! descriptor and the last process in it are gone, whatever happened to the test.
//!
//! Links, addresses and routes are made by `ip -batch`, in the form in which an operator would
//! type them.
//!
//! # Invariants
//!
//! - `lo` is up. Duplicate address detection is off, so that an IPv6 address can be used at once.
//! - Threads that enter a namespace end there; the caller's thread never changes its own.

use crate::{During, Error, Result};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// A network namespace that lives as long as this value or a process in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    handle: File,
}

impl Namespace {
    /// A new, empty namespace. The name is for messages only.
    ///
    /// # Errors
    /// When the kernel refuses: without `CAP_SYS_ADMIN`, or when a limit is reached.
    pub fn new(name: &str) -> Result<Self> {
        let handle = in_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).during(|| "making a network namespace".to_owned())?;
            File::open("/proc/thread-self/ns/net")
                .during(|| "opening /proc/thread-self/ns/net".to_owned())
        })?;
        let namespace = Self {
            name: name.to_owned(),
            handle,
        };
        for scope in ["all", "default"] {
            namespace.sysctl(&format!("net/ipv6/conf/{scope}/accept_dad"), "0")?;
            namespace.sysctl(&format!("net/ipv6/conf/{scope}/dad_transmits"), "0")?;
        }
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// The name given at the start.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` inside, in a thread of its own. Sockets that it opens stay in the namespace
    /// wherever they are used afterwards.
    ///
    /// # Errors
    /// When the namespace cannot be entered, and what `work` fails with.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        in_thread(|| {
            self.enter()?;
            work()
        })
    }

    /// Moves the calling thread into the namespace, for good: for threads that this crate owns.
    pub(crate) fn enter(&self) -> Result<()> {
        setns(self.handle.as_fd(), CloneFlags::CLONE_NEWNET)
            .during(|| format!("entering {}", self.name))
    }

    /// The descriptor by which a child enters before it runs its program.
    pub fn descriptor(&self) -> RawFd {
        self.handle.as_raw_fd()
    }

    /// Feeds lines to `ip -batch`, which stops at the first that fails.
    ///
    /// # Errors
    /// [`Error::Command`] with what `ip` said.
    pub fn ip(&self, lines: &str) -> Result<()> {
        self.ready_ip()?.run(lines)
    }

    /// An `ip -batch` that has been started and waits for its lines: for what must happen at a
    /// given moment, without the time that a program takes to start.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn ready_ip(&self) -> Result<ReadyIp> {
        let child = self.run(|| {
            Command::new("ip")
                .args(["-batch", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .during(|| "starting ip".to_owned())
        })?;
        Ok(ReadyIp {
            place: self.name.clone(),
            child,
        })
    }

    /// Sets `/proc/sys/KEY` as this namespace sees it.
    ///
    /// # Errors
    /// When there is no such key, or it may not be written.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        self.run(|| {
            fs::write(format!("/proc/sys/{key}"), value)
                .during(|| format!("setting {key} to {value} in {}", self.name))
        })
    }

    /// Makes every address of `prefix` local here, as if each were configured: how thousands of
    /// clients get a source address without a device.
    ///
    /// # Errors
    /// When the kernel refuses the route.
    pub fn own_prefix(&self, prefix: &str) -> Result<()> {
        self.ip(&format!("route add local {prefix} dev lo"))
    }
}

/// An `ip -batch` that waits for its lines.
#[derive(Debug)]
pub struct ReadyIp {
    place: String,
    child: Child,
}

impl ReadyIp {
    /// Hands it its lines, and waits until it has done them or stopped at one that fails.
    ///
    /// # Errors
    /// [`Error::Command`] with what `ip` said.
    pub fn run(mut self, lines: &str) -> Result<()> {
        if let Some(mut input) = self.child.stdin.take() {
            input
                .write_all(lines.as_bytes())
                .during(|| "writing to ip".to_owned())?;
        }
        let output = self
            .child
            .wait_with_output()
            .during(|| "waiting for ip".to_owned())?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Command {
            command: format!("ip -batch in {}: {lines}", self.place),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// A LAN: a bridge in one namespace, with others attached. All have addresses of one IPv4 and one
/// IPv6 subnet, `10.99.0.0/16` and `fd99::/64`.
#[derive(Debug)]
pub struct Lan<'a> {
    hub: &'a Namespace,
    ports: AtomicU32,
}

impl<'a> Lan<'a> {
    /// The LAN's bridge in `hub`, which gets the addresses of host `number`.
    ///
    /// # Errors
    /// When the kernel has no bridges, or refuses the addresses.
    pub fn new(hub: &'a Namespace, number: u16) -> Result<Self> {
        hub.ip(&format!(
            "link add lan type bridge\n\
             link set lan up\n\
             addr add {}/16 dev lan\n\
             addr add {}/64 dev lan nodad",
            Self::v4(number),
            Self::v6(number),
        ))?;
        Ok(Self {
            hub,
            ports: AtomicU32::new(0),
        })
    }

    /// Attaches `member`, which gets the addresses of host `number` on its device `lan`.
    ///
    /// # Errors
    /// When the kernel refuses the pair of devices or the addresses.
    pub fn attach(&self, member: &Namespace, number: u16) -> Result<()> {
        let port = self.ports.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let descriptor = member.descriptor();
        self.hub.ip(&format!(
            "link add port{port} type veth peer name lan netns /proc/{process}/fd/{descriptor}\n\
             link set port{port} master lan up"
        ))?;
        member.ip(&format!(
            "link set lan up\n\
             addr add {}/16 dev lan\n\
             addr add {}/64 dev lan nodad",
            Self::v4(number),
            Self::v6(number),
        ))
    }

    /// The IPv4 address of host `number`.
    pub fn v4(number: u16) -> Ipv4Addr {
        let [high, low] = number.to_be_bytes();
        Ipv4Addr::new(10, 99, high, low)
    }

    /// The IPv6 address of host `number`.
    pub fn v6(number: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, number)
    }
}

/// Runs `work` in a thread that ends with it, so that a change of namespace touches nobody else.
fn in_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
