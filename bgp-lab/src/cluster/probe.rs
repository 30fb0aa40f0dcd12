//! Pings: a matrix of everybody with everybody, and steady streams whose losses are timed.
//!
//! All is ICMP echo (RFC 792, RFC 4443 §4) sent here and answered by the kernel of the other side, so that
//! nothing but the network can lose a packet. One thread serves all sockets.
//!
//! A stream's losses are told by the times at which packets were *sent*: a packet is lost when its
//! answer has not come until the figures are asked for. So a busy machine, on which an answer is
//! read late, makes no gap.

use crate::netns::Namespace;
use crate::{During, Error, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Pause between two packets of a stream.
pub const INTERVAL: Duration = Duration::from_millis(10);
/// An answer that takes longer than this is as good as none.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Pause between two rounds of the matrix; each asks those again that have not answered.
const ROUND: Duration = Duration::from_millis(200);
/// Header, stream number, sequence number.
const LENGTH: usize = 8 + 4 + 8;
/// The stream number of a burst: that of no stream.
const BURST: u32 = u32::MAX;
/// Larger than any answer to ours.
const MAX_PACKET: usize = 2048;

/// From whom to whom.
#[derive(Clone, Debug)]
pub struct Path {
    /// Words for messages.
    pub name: String,
    /// The sender's address.
    pub from: IpAddr,
    /// The receiver's address.
    pub to: IpAddr,
}

/// A raw socket in the sender's namespace.
struct Pinger {
    socket: Socket,
    number: u32,
    to: SocketAddr,
}

impl Pinger {
    fn open(namespace: &Namespace, path: &Path, number: u32) -> Result<Self> {
        let (domain, protocol) = match path.from {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let from = path.from;
        let socket = namespace.run(move || {
            let open = || {
                let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
                socket.bind(&SocketAddr::new(from, 0).into())?;
                socket.set_nonblocking(true)?;
                Ok::<_, io::Error>(socket)
            };
            open().during(|| format!("opening a socket for pings from {from}"))
        })?;
        Ok(Self {
            socket,
            number,
            to: SocketAddr::new(path.to, 0),
        })
    }

    fn send(&self, sequence: u64) {
        let message = request(self.to.ip(), self.number, sequence);
        // What cannot be sent is lost: that is what is measured.
        let _ = self.socket.send_to(&message, &self.to.into());
    }

    /// The sequence numbers of the answers that have come.
    fn receive(&self, mut answered: impl FnMut(u64)) {
        let mut packet = [0; MAX_PACKET];
        loop {
            match (&self.socket).read(&mut packet) {
                Ok(length) => {
                    let packet = packet.get(..length).unwrap_or_default();
                    if let Some((number, sequence)) = answer(packet, self.to.is_ipv4())
                        && number == self.number
                    {
                        answered(sequence);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An ICMP error for a packet of ours is told once; the next read goes on.
                Err(_) => {}
            }
        }
    }
}

/// An echo request.
fn request(to: IpAddr, number: u32, sequence: u64) -> [u8; LENGTH] {
    let kind = if to.is_ipv4() { 8 } else { 128 };
    let mut message = [0; LENGTH];
    let octets = [kind, 0, 0, 0]
        .into_iter()
        .chain(identifier(number).to_be_bytes())
        .chain([0, 0])
        .chain(number.to_be_bytes())
        .chain(sequence.to_be_bytes());
    for (to, from) in message.iter_mut().zip(octets) {
        *to = from;
    }
    if to.is_ipv4() {
        // In IPv6 the kernel puts it in.
        let [high, low] = checksum(&message).to_be_bytes();
        for (to, from) in message.iter_mut().skip(2).zip([high, low]) {
            *to = from;
        }
    }
    message
}

/// The identifier of the header: only for people who look at packets.
fn identifier(number: u32) -> u16 {
    u16::try_from(number & 0xffff).unwrap_or_default()
}

/// The Internet checksum (RFC 1071).
fn checksum(message: &[u8]) -> u16 {
    let mut sum: u32 = message
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => u32::from(u16::from_be_bytes([high, low])),
            [high] => u32::from(u16::from_be_bytes([high, 0])),
            _ => 0,
        })
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

/// Stream and sequence number of an echo reply; `None` for anything else.
fn answer(packet: &[u8], ipv4: bool) -> Option<(u32, u64)> {
    // A raw IPv4 socket shows the IP header, a raw IPv6 socket does not.
    let (start, kind) = if ipv4 {
        (usize::from(packet.first()? & 0x0f) * 4, 0)
    } else {
        (0, 129)
    };
    let message = packet.get(start..start + LENGTH)?;
    if *message.first()? != kind {
        return None;
    }
    let number = u32::from_be_bytes(message.get(8..12)?.try_into().ok()?);
    let sequence = u64::from_be_bytes(message.get(12..20)?.try_into().ok()?);
    Some((number, sequence))
}

/// Pings every path until all have answered or `limit` has passed, and says which have.
///
/// # Errors
/// When a socket cannot be opened.
pub fn matrix(paths: &[(&Namespace, Path)], limit: Duration) -> Result<Vec<bool>> {
    let pingers = open(paths)?;
    let mut answered = vec![false; pingers.len()];
    let started = Instant::now();
    loop {
        for (pinger, answered) in pingers.iter().zip(&answered) {
            if !answered {
                pinger.send(0);
            }
        }
        let round = Instant::now();
        while round.elapsed() < ROUND && answered.contains(&false) {
            for (pinger, answered) in pingers.iter().zip(&mut answered) {
                pinger.receive(|_| *answered = true);
            }
            thread::sleep(Duration::from_millis(2));
        }
        if !answered.contains(&false) || started.elapsed() >= limit {
            return Ok(answered);
        }
    }
}

fn open(paths: &[(&Namespace, Path)]) -> Result<Vec<Pinger>> {
    (0..)
        .zip(paths)
        .map(|(number, (namespace, path))| Pinger::open(namespace, path, number))
        .collect()
}

/// Sends `count` packets, `pause` apart, and says how many were answered within [`PATIENCE`].
///
/// # Errors
/// When the socket cannot be opened.
pub fn burst(from: &Namespace, path: &Path, count: u64, pause: Duration) -> Result<u64> {
    let pinger = Pinger::open(from, path, BURST)?;
    let mut answered = 0;
    for sequence in 0..count {
        pinger.send(sequence);
        thread::sleep(pause);
        pinger.receive(|_| answered += 1);
    }
    thread::sleep(PATIENCE);
    pinger.receive(|_| answered += 1);
    Ok(answered)
}

/// One packet of a stream.
#[derive(Clone, Copy, Debug)]
struct Shot {
    sent: Instant,
    answered: bool,
}

/// Streams of pings that run until the value is dropped.
pub struct Streams {
    paths: Vec<Path>,
    shots: Arc<Mutex<Vec<Vec<Shot>>>>,
    stop: Arc<AtomicBool>,
    pause: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Streams {
    /// Starts a stream on every path.
    ///
    /// # Errors
    /// When a socket cannot be opened.
    pub fn start(paths: &[(&Namespace, Path)]) -> Result<Self> {
        let pingers = open(paths)?;
        let shots = Arc::new(Mutex::new(vec![Vec::new(); pingers.len()]));
        let stop = Arc::new(AtomicBool::new(false));
        let pause = Arc::new(AtomicBool::new(false));
        let told = [&stop, &pause].map(Arc::clone);
        let log = Arc::clone(&shots);
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).during(|| "epoll".to_owned())?;
        for (number, pinger) in (0..).zip(&pingers) {
            epoll
                .add(&pinger.socket, EpollEvent::new(EpollFlags::EPOLLIN, number))
                .during(|| "epoll".to_owned())?;
        }
        let thread = thread::Builder::new()
            .name("pings".to_owned())
            .spawn(move || run(&pingers, &epoll, &log, &told))
            .during(|| "starting a thread".to_owned())?;
        Ok(Self {
            paths: paths.iter().map(|(_, path)| path.clone()).collect(),
            shots,
            stop,
            pause,
            thread: Some(thread),
        })
    }

    /// Stops sending, or goes on.
    pub fn pause(&self, paused: bool) {
        self.pause.store(paused, Ordering::Relaxed);
    }

    /// What happened to packets of the streams that `only` picks, sent from `from` to `until`. Ask
    /// [`PATIENCE`] after `until`, when all answers have had their time.
    pub fn figures(&self, from: Instant, until: Instant, only: impl Fn(&Path) -> bool) -> Figures {
        let shots = self.shots.lock().unwrap_or_else(PoisonError::into_inner);
        let mut figures = Figures::default();
        let streams = self.paths.iter().zip(shots.iter());
        for (path, shots) in streams.filter(|(path, _)| only(path)) {
            figures.add(path, shots, from, until);
        }
        figures
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic would have been seen by the reader of its figures.
            let _ = thread.join();
        }
    }
}

/// The thread of all streams.
fn run(
    pingers: &[Pinger],
    epoll: &Epoll,
    log: &Mutex<Vec<Vec<Shot>>>,
    [stop, pause]: &[Arc<AtomicBool>; 2],
) {
    let mut next = Instant::now();
    let mut events = vec![EpollEvent::empty(); pingers.len().max(1)];
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        if now >= next {
            next = (next + INTERVAL).max(now);
            if pause.load(Ordering::Relaxed) {
                thread::sleep(INTERVAL);
                continue;
            }
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            for (pinger, shots) in pingers.iter().zip(log.iter_mut()) {
                let sequence = u64::try_from(shots.len()).unwrap_or(u64::MAX);
                shots.push(Shot {
                    sent: Instant::now(),
                    answered: false,
                });
                pinger.send(sequence);
            }
        }
        let pause = next.saturating_duration_since(Instant::now());
        let pause = u16::try_from(pause.as_millis()).unwrap_or(u16::MAX);
        // An interrupted wait is a short one.
        let ready = epoll
            .wait(&mut events, EpollTimeout::from(pause))
            .unwrap_or(0);
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events.iter().take(ready) {
            let Ok(number) = usize::try_from(event.data()) else {
                continue;
            };
            if let (Some(pinger), Some(shots)) = (pingers.get(number), log.get_mut(number)) {
                pinger.receive(|sequence| record(shots, sequence));
            }
        }
    }
}

fn record(shots: &mut [Shot], sequence: u64) {
    let shot = usize::try_from(sequence)
        .ok()
        .and_then(|place| shots.get_mut(place));
    if let Some(shot) = shot
        && shot.sent.elapsed() < PATIENCE
    {
        shot.answered = true;
    }
}

/// What happened to the packets of all streams in some span of time.
#[derive(Clone, Default, Debug)]
pub struct Figures {
    /// How many were sent.
    pub sent: usize,
    /// How many were not answered.
    pub lost: usize,
    /// The longest time from a lost packet to the next answered one of the same stream.
    pub longest_gap: Duration,
    /// The stream of that gap.
    pub worst: Option<String>,
    /// When the last lost packet of any stream was sent.
    pub last_lost: Option<Instant>,
}

impl Figures {
    fn add(&mut self, path: &Path, shots: &[Shot], from: Instant, until: Instant) {
        let first = shots.partition_point(|shot| shot.sent < from);
        let mut gap_since: Option<Instant> = None;
        for shot in shots.iter().skip(first) {
            let inside = shot.sent < until;
            if shot.answered || !inside {
                if let Some(since) = gap_since.take() {
                    let gap = shot.sent.duration_since(since);
                    if gap > self.longest_gap {
                        self.longest_gap = gap;
                        self.worst = Some(path.name.clone());
                    }
                }
            } else {
                gap_since = gap_since.or(Some(shot.sent));
                self.lost += 1;
                self.last_lost = self.last_lost.max(Some(shot.sent));
            }
            if !inside {
                break;
            }
            self.sent += 1;
        }
    }
}

/// Waits until no stream has lost a packet for `quiet`, at most `limit`.
///
/// # Errors
/// [`Error::Timeout`] with the stream that still loses.
pub fn wait_quiet(streams: &Streams, quiet: Duration, limit: Duration) -> Result<()> {
    let started = Instant::now();
    loop {
        thread::sleep(ROUND);
        let Some(until) = Instant::now().checked_sub(ROUND) else {
            continue;
        };
        let figures = streams.figures(until.checked_sub(quiet).unwrap_or(until), until, |_| true);
        if figures.lost == 0 && figures.sent > 0 && started.elapsed() > quiet {
            return Ok(());
        }
        if started.elapsed() > limit {
            return Err(Error::Timeout {
                what: "all pings to be answered".to_owned(),
                waited: started.elapsed(),
                missing: format!("{} lost, worst {:?}", figures.lost, figures.worst),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_known_by_its_numbers() {
        let mut packet = vec![0x45];
        packet.extend([0; 19]);
        let mut message = request(IpAddr::from([10, 0, 0, 1]), 7, 9);
        assert_eq!(
            checksum(&message),
            0,
            "a message with its checksum sums up to nothing"
        );
        packet.extend(message);
        assert_eq!(answer(&packet, true), None, "our own request");
        packet[20] = 0;
        assert_eq!(answer(&packet, true), Some((7, 9)));
        message[0] = 129;
        assert_eq!(answer(&message, false), Some((7, 9)));
        assert_eq!(answer(&message[..12], false), None, "cut off");
    }

    #[test]
    fn a_gap_lasts_to_the_next_answer() {
        let start = Instant::now();
        let shots: Vec<Shot> = (0..20)
            .map(|step| Shot {
                sent: start + INTERVAL * step,
                answered: !(5..8).contains(&step) && step != 12,
            })
            .collect();
        let path = Path {
            name: "a to b".to_owned(),
            from: IpAddr::from([10, 0, 0, 1]),
            to: IpAddr::from([10, 0, 0, 2]),
        };
        let mut figures = Figures::default();
        figures.add(&path, &shots, start + INTERVAL, start + INTERVAL * 19);
        assert_eq!((figures.sent, figures.lost), (18, 4));
        assert_eq!(figures.longest_gap, INTERVAL * 3);
        assert_eq!(figures.last_lost, Some(start + INTERVAL * 12));
    }
}
