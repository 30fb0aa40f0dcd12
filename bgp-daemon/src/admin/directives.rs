//! What the admin room orders of the supervisor, which owns the running configuration.
//!
//! Orders are carried out one after the other; each is answered when it is done or refused.

use super::node_view::Reloaded;
use super::view::Problem;
use bgp_core::prefix::IpNet;
use tokio::sync::{mpsc, oneshot};

/// Orders that wait: one per admin connection, and one for a signal. What comes when so many
/// wait, waits in its own connection.
pub const MAX_ORDERS: usize = super::socket::MAX_CONNECTIONS + 1;

/// How an order ended.
pub type Outcome<T> = Result<T, Problem>;

/// An order, and where its outcome goes.
#[derive(Debug)]
pub enum Directive {
    /// Read the configuration file anew and do what it changes.
    Reload(oneshot::Sender<Outcome<Reloaded>>),
    /// This block is ours from now on, over restarts.
    AddBlock(IpNet, oneshot::Sender<Outcome<String>>),
    /// This block is not ours any more, over restarts.
    RemoveBlock(IpNet, oneshot::Sender<Outcome<String>>),
}

/// The way to the supervisor.
#[derive(Clone, Debug)]
pub struct Superior {
    orders: mpsc::Sender<Directive>,
}

impl Superior {
    /// The two ends of a way: one for who orders, one for the supervisor.
    pub fn new() -> (Self, mpsc::Receiver<Directive>) {
        let (orders, receiver) = mpsc::channel(MAX_ORDERS);
        (Self { orders }, receiver)
    }

    /// Orders a reload whose outcome the log alone tells. Where too many orders wait already, it is
    /// not ordered: one of them may be a reload, and there will be another signal.
    pub fn reload_soon(&self) -> bool {
        let (reply, _) = oneshot::channel();
        self.orders.try_send(Directive::Reload(reply)).is_ok()
    }

    /// Orders, and waits for the outcome.
    ///
    /// # Errors
    ///
    /// Why it was refused; also when the process is ending.
    pub async fn order<T>(
        &self,
        directive: impl FnOnce(oneshot::Sender<Outcome<T>>) -> Directive,
    ) -> Outcome<T> {
        let (reply, outcome) = oneshot::channel();
        let ended = || Problem {
            error: "the daemon is ending".to_owned(),
            advice: "see its log".to_owned(),
        };
        let sent = self.orders.send(directive(reply)).await;
        sent.map_err(|_| ended())?;
        outcome.await.unwrap_or_else(|_| Err(ended()))
    }
}
