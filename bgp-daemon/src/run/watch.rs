//! From the moment when everything runs to the end of the process.

use super::events;
use super::mark::RestartMark;
use crate::admin::directives::Superior;
use crate::admin::node::{NodeControl, Part, Request};
use crate::node::Conducting;
use bgp_core::session::Stop;
use bgp_io::{Events, Handle};
use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// How often it is looked whether peers would keep our routes: a daemon that dies right after its first
/// session must have left its mark.
const MARK_INTERVAL: Duration = Duration::from_millis(200);
/// How long a drained node waits for the kernel to let go of its routes.
const LAST_ROUTES: Duration = Duration::from_secs(5);
/// How often it looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Everything that runs.
pub(super) struct Running {
    pub(super) engine: Handle,
    pub(super) events: Events,
    /// The conductor, on a node.
    pub(super) node: Option<(NodeControl, Conducting)>,
    pub(super) signals: Signals,
    /// Where orders to end come from.
    pub(super) stopped: mpsc::Receiver<Stop>,
    pub(super) superior: Superior,
    pub(super) mark: RestartMark,
}

impl Running {
    /// Stays until somebody wants an end, then ends all sessions in the way that was asked for.
    pub(super) async fn watch(self) -> Result<(), String> {
        let Self {
            engine,
            events,
            node,
            mut signals,
            mut stopped,
            superior,
            mut mark,
        } = self;
        let mut logged = tokio::spawn(events::log(events));
        let Signals { end, hang_up } = &mut signals;
        let mut keep = tokio::time::interval(MARK_INTERVAL);
        let how = loop {
            tokio::select! {
                name = end.next() => {
                    tracing::info!("{name}: ending");
                    break Stop::Silent;
                }
                Some(how) = stopped.recv() => break how,
                _ = hang_up.recv() => {
                    if !superior.reload_soon() {
                        tracing::warn!("SIGHUP: too many orders wait already; send it again");
                    }
                }
                _ = keep.tick() => {
                    mark_if_kept(&engine, &mut mark).await;
                }
                _ = &mut logged => return Err("the engine ended by itself; see the log".to_owned()),
            }
        };
        tokio::select! {
            () = finish(engine, node, how, &mut mark) => {
                tracing::info!("ended");
                Ok(())
            }
            name = signals.end.next() => Err(format!("{name} again: ended at once")),
        }
    }
}

/// Ends the conductor before the engine, because the end of all sessions is no reason to take
/// routes out of the kernel.
async fn finish(
    engine: Handle,
    node: Option<(NodeControl, Conducting)>,
    how: Stop,
    mark: &mut RestartMark,
) {
    let drain = match how {
        Stop::Silent => {
            let kept_by = mark_if_kept(&engine, mark).await;
            tracing::info!(kept_by, "closing all sessions without a word");
            false
        }
        Stop::AdministrativeShutdown(_)
        | Stop::AdministrativeReset(_)
        | Stop::PeerDeconfigured
        | Stop::OtherConfigurationChange => {
            mark.clear();
            tracing::info!("draining: all peers are told that we go");
            true
        }
    };
    if let Some((control, conducting)) = node {
        if drain {
            empty_kernel(&control).await;
        }
        conducting.end().await;
    }
    engine.shutdown(how).await;
}

/// Takes all routes of ours out of the kernel.
async fn empty_kernel(node: &NodeControl) {
    let any = Part {
        within: None,
        after: None,
        limit: 1,
    };
    let empty = async {
        node.ask(Request::Flush).await?;
        while let found = node.ask(|reply| Request::KernelRoutes(any, reply)).await?
            && !found.items.is_empty()
        {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok::<(), crate::admin::node::Ended>(())
    };
    match tokio::time::timeout(LAST_ROUTES, empty).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("{error}: its kernel routes stay"),
        Err(_) => tracing::warn!(
            "the kernel still has routes of ours; `ip route show proto N` names them, with the \
             number that [fib] protocol says"
        ),
    }
}

/// Marks that peers would keep our routes if we were gone now, and says how many.
async fn mark_if_kept(handle: &Handle, mark: &mut RestartMark) -> usize {
    let kept_by = handle.ask(|speaker, _| speaker.kept_by()).await;
    let kept_by = kept_by.unwrap_or_default();
    if kept_by > 0 {
        mark.set();
    }
    kept_by
}

/// The signals that we know.
pub(super) struct Signals {
    end: EndSignals,
    hang_up: Signal,
}

/// Those that ask for an end.
struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            end: EndSignals {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            },
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

impl EndSignals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
