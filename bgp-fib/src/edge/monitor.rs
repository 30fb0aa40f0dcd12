//! What the kernel says by itself.

use super::Stats;
use crate::kernel::Notice;
use crate::netlink::{Inbox, Message, Messages, Received, Socket, notice};
use std::io;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// At most so many times a turn are notifications read, 32 at a time; the rest in the next turn.
const MAX_READS_PER_TURN: usize = 8;

/// The socket that hears of every change.
pub(super) struct Monitor {
    socket: AsyncFd<Socket>,
    inbox: Inbox,
    /// The port of the socket for requests.
    ours: u32,
    /// Whether our own doings must be heard of: see the room's text.
    echoes_matter: bool,
}

/// What happened on the monitor.
pub(super) enum Heard {
    Notice(Notice),
    /// Something was lost.
    Overrun,
}

impl Monitor {
    pub(super) fn new(socket: Socket, ours: u32) -> io::Result<Self> {
        Ok(Self {
            socket: socket.register()?,
            inbox: Inbox::new(32),
            ours,
            echoes_matter: false,
        })
    }

    /// Waits until there may be something to read.
    pub(super) async fn readable(&self) {
        // Fails only while the runtime ends, and this task with it.
        if self.socket.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Reads what is there, within the turn's bound, and gives it to `tell`; whether there is
    /// nothing left.
    pub(super) fn read(&mut self, stats: &mut Stats, mut tell: impl FnMut(Heard)) -> bool {
        for _ in 0..MAX_READS_PER_TURN {
            let inbox = &mut self.inbox;
            let received = self
                .socket
                .try_io(Interest::READABLE, |socket| socket.receive(inbox));
            match received {
                Ok(()) => self.sort(stats, &mut tell),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.echoes_matter = false;
                    return true;
                }
                // ENOBUFS; and whatever else it may be, what we know may be wrong now.
                Err(error) => {
                    tracing::debug!(%error, "notifications of the kernel were lost");
                    stats.overruns += 1;
                    tell(Heard::Overrun);
                }
            }
        }
        false
    }

    fn sort(&mut self, stats: &mut Stats, tell: &mut impl FnMut(Heard)) {
        for datagram in self.inbox.datagrams() {
            let Received::Whole(octets) = datagram else {
                stats.overruns += 1;
                tell(Heard::Overrun);
                continue;
            };
            for message in Messages::new(octets) {
                let Ok(message) = message else {
                    stats.overruns += 1;
                    tell(Heard::Overrun);
                    continue;
                };
                let echo = is_echo(&message, self.ours);
                if echo && !self.echoes_matter {
                    stats.echoes += 1;
                    continue;
                }
                if let Some(notice) = notice(&message) {
                    self.echoes_matter |= !echo;
                    stats.notices += 1;
                    tell(Heard::Notice(notice));
                }
            }
        }
    }
}

/// Whether a request of ours is the cause. What the kernel does in its wake to other things, such
/// as the routes of a nexthop object that was deleted, is not told in the answer.
fn is_echo(message: &Message<'_>, ours: u32) -> bool {
    message.port == ours && message.is_about_route()
}
