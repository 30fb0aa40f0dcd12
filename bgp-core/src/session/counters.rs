//! What a session remembers for its operator: counters, and how it ended last.

use super::event::DownReason;
use crate::time::Instant;
use crate::wire::MessageKind;

/// What a session has counted since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Messages received, by kind.
    pub received: MessageCounts,
    /// Control messages queued for sending, by kind. UPDATEs are counted by who sends them.
    pub sent: MessageCounts,
    /// How often the session came up.
    pub established: u64,
    /// Attempts to connect.
    pub attempts: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Messages that were dropped because the control queue was full or they did not fit.
    pub control_dropped: u64,
}

/// Messages by kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MessageCounts {
    /// OPEN.
    pub open: u64,
    /// UPDATE.
    pub update: u64,
    /// NOTIFICATION.
    pub notification: u64,
    /// KEEPALIVE.
    pub keepalive: u64,
    /// ROUTE-REFRESH.
    pub route_refresh: u64,
}

impl MessageCounts {
    pub(super) fn count(&mut self, kind: MessageKind) {
        let count = match kind {
            MessageKind::Open => &mut self.open,
            MessageKind::Update => &mut self.update,
            MessageKind::Notification => &mut self.notification,
            MessageKind::Keepalive => &mut self.keepalive,
            MessageKind::RouteRefresh => &mut self.route_refresh,
        };
        *count += 1;
    }
}

/// Why the last connection or attempt ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastError {
    /// When.
    pub at: Instant,
    /// Why.
    pub reason: DownReason,
    /// Whether the session had been up.
    pub was_up: bool,
}
