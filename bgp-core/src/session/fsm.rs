//! The finite state machine of one connection: a pure table (RFC 4271 §8.2.2, RFC 9687).
//!
//! [`step`] takes a state and an event and gives the next state and what to do, as data. It
//! remembers nothing, refuses nothing and cannot fail; every pair of state and event has an
//! answer, and `tests/session/fsm.rs` lists them all.
//!
//! Of the optional session attributes of RFC 4271 §8, AllowAutomaticStart,
//! PassiveTcpEstablishment and CollisionDetectEstablishedState are used. DelayOpen,
//! DampPeerOscillations, SendNOTIFICATIONwithoutOPEN and TrackTcpState are not, so events 6, 7,
//! 12, 13, 14, 15 and 20 never come; they are answered all the same.
//!
//! # Where we differ from the text of RFC 4271 §8.2.2
//!
//! - A NOTIFICATION is never answered, not even in OpenSent, where the text would send an FSM
//!   error: §6.4 and §4.5 want the connection closed, and two speakers would otherwise trade
//!   errors.
//! - A header error in Established sends its own code (§6.1), not an FSM error.
//! - Events 14, 16, 17 and 23 about *another* connection of the peer do not reach this machine;
//!   the referee holds one machine for each connection and gives the loser event 23.
//! - An OPEN in OpenConfirm is a second OPEN on the same connection: an FSM error (RFC 6608 §4).
//! - The ConnectRetryTimer is stopped, not restarted, on the way from Active to Idle: in Idle its
//!   expiry would mean nothing.
//! - ConnectRetryCounter is not an action: the referee counts failures by their reason and spaces
//!   the next automatic start by them (see `timers`).

use crate::wire::FsmError;
use std::fmt;

/// The states of RFC 4271 §8.2.2, in the order of their progress.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// No connection, none wanted now.
    Idle,
    /// Waiting for our own attempt to connect.
    Connect,
    /// Waiting for the peer to connect, or for the next attempt of ours.
    Active,
    /// Our OPEN is sent, theirs is awaited.
    OpenSent,
    /// Their OPEN was good; their KEEPALIVE is awaited.
    OpenConfirm,
    /// Routes are exchanged.
    Established,
}

impl State {
    /// Every state, in order.
    pub const ALL: [Self; 6] = [
        Self::Idle,
        Self::Connect,
        Self::Active,
        Self::OpenSent,
        Self::OpenConfirm,
        Self::Established,
    ];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The events of RFC 4271 §8.1 and RFC 9687 §4.2, by name and number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Event {
    /// The operator starts the peer.
    ManualStart = 1,
    /// The operator stops the peer.
    ManualStop = 2,
    /// The engine starts the peer, at first or after a pause.
    AutomaticStart = 3,
    /// As event 1, but never connect.
    ManualStartWithPassiveTcpEstablishment = 4,
    /// As event 3, but never connect.
    AutomaticStartWithPassiveTcpEstablishment = 5,
    /// Never comes: DampPeerOscillations is not used.
    AutomaticStartWithDampPeerOscillations = 6,
    /// Never comes: DampPeerOscillations is not used.
    AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment = 7,
    /// The engine stops the session (too many prefixes, changed configuration).
    AutomaticStop = 8,
    /// Time for another attempt to connect.
    ConnectRetryTimerExpires = 9,
    /// The peer was silent for the hold time.
    HoldTimerExpires = 10,
    /// Time for a KEEPALIVE.
    KeepaliveTimerExpires = 11,
    /// Never comes: DelayOpen is not used.
    DelayOpenTimerExpires = 12,
    /// Never comes: the referee's pause between automatic starts ends in event 3 or 5.
    IdleHoldTimerExpires = 13,
    /// Never comes: the edge reports complete connections only.
    TcpConnectionValid = 14,
    /// Never comes: the speaker refuses strangers before there is a machine.
    TcpCrInvalid = 15,
    /// Our attempt to connect succeeded.
    TcpCrAcked = 16,
    /// The peer's connection was accepted.
    TcpConnectionConfirmed = 17,
    /// The connection, or our attempt at one, is gone.
    TcpConnectionFails = 18,
    /// A valid OPEN; outside OpenSent, any OPEN.
    BgpOpen = 19,
    /// Never comes: DelayOpen is not used.
    BgpOpenWithDelayOpenTimerRunning = 20,
    /// A message header that is wrong.
    BgpHeaderErr = 21,
    /// An OPEN that is wrong or refused.
    BgpOpenMsgErr = 22,
    /// The referee chose the peer's other connection.
    OpenCollisionDump = 23,
    /// A NOTIFICATION about the version number.
    NotifMsgVerErr = 24,
    /// Any other NOTIFICATION, readable or not.
    NotifMsg = 25,
    /// A KEEPALIVE.
    KeepAliveMsg = 26,
    /// An UPDATE; also a ROUTE-REFRESH, for which RFC 2918 defines no event and which may stand
    /// exactly where an UPDATE may.
    UpdateMsg = 27,
    /// An UPDATE or ROUTE-REFRESH that costs the session.
    UpdateMsgErr = 28,
    /// The transport took nothing for the send hold time (RFC 9687).
    SendHoldTimerExpires = 29,
}

impl Event {
    /// Every event, in the order of their numbers.
    pub const ALL: [Self; 29] = [
        Self::ManualStart,
        Self::ManualStop,
        Self::AutomaticStart,
        Self::ManualStartWithPassiveTcpEstablishment,
        Self::AutomaticStartWithPassiveTcpEstablishment,
        Self::AutomaticStartWithDampPeerOscillations,
        Self::AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment,
        Self::AutomaticStop,
        Self::ConnectRetryTimerExpires,
        Self::HoldTimerExpires,
        Self::KeepaliveTimerExpires,
        Self::DelayOpenTimerExpires,
        Self::IdleHoldTimerExpires,
        Self::TcpConnectionValid,
        Self::TcpCrInvalid,
        Self::TcpCrAcked,
        Self::TcpConnectionConfirmed,
        Self::TcpConnectionFails,
        Self::BgpOpen,
        Self::BgpOpenWithDelayOpenTimerRunning,
        Self::BgpHeaderErr,
        Self::BgpOpenMsgErr,
        Self::OpenCollisionDump,
        Self::NotifMsgVerErr,
        Self::NotifMsg,
        Self::KeepAliveMsg,
        Self::UpdateMsg,
        Self::UpdateMsgErr,
        Self::SendHoldTimerExpires,
    ];

    /// The number that RFC 4271 §8.1 or RFC 9687 §4.2 gives it.
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// What a step of the machine wants done, in the order given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Try to connect to the peer.
    InitiateTcp,
    /// Close the connection, or give up the attempt; what is queued for it still goes out.
    DropTcp,
    /// Send our OPEN.
    SendOpen,
    /// Send a KEEPALIVE.
    SendKeepalive,
    /// Send a NOTIFICATION.
    SendNotification(Notice),
    /// (Re)start the ConnectRetryTimer at its initial value.
    StartConnectRetryTimer,
    /// Stop the ConnectRetryTimer and set it to zero.
    StopConnectRetryTimer,
    /// Start the HoldTimer at the large value, for want of a negotiated one.
    StartLargeHoldTimer,
    /// (Re)start the HoldTimer at the negotiated value; with a hold time of zero, stop it once
    /// the session is up.
    StartHoldTimer,
    /// (Re)start the KeepaliveTimer; with a hold time of zero, stop it.
    StartKeepaliveTimer,
    /// The session is up.
    EnterEstablished,
    /// Hand on what the message says.
    DeliverMessage,
    /// Delete the routes learned here: the session is down.
    DeleteRoutes,
}

/// What a NOTIFICATION of the machine is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// Code 6; the subcode says why the session was stopped.
    Cease,
    /// Code 4.
    HoldTimerExpired,
    /// Code 1, 2, 3 or 7: what the check of the message found.
    MessageError,
    /// Code 5 with the subcode of the state (RFC 6608).
    FsmError(FsmError),
}

/// One step: the answer of `state` to `event`.
///
/// `out` gets the actions, in order; what it holds already stays.
pub fn step(state: State, event: Event, out: &mut Vec<Action>) -> State {
    match state {
        State::Idle => idle(event, out),
        State::Connect => connect(event, out),
        State::Active => active(event, out),
        State::OpenSent => open_sent(event, out),
        State::OpenConfirm => open_confirm(event, out),
        State::Established => established(event, out),
    }
}

fn idle(event: Event, out: &mut Vec<Action>) -> State {
    use Event as E;
    match event {
        E::ManualStart | E::AutomaticStart => {
            out.extend([Action::StartConnectRetryTimer, Action::InitiateTcp]);
            State::Connect
        }
        E::ManualStartWithPassiveTcpEstablishment
        | E::AutomaticStartWithPassiveTcpEstablishment => {
            out.push(Action::StartConnectRetryTimer);
            State::Active
        }
        E::ManualStop
        | E::AutomaticStop
        | E::AutomaticStartWithDampPeerOscillations
        | E::AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment
        | E::ConnectRetryTimerExpires
        | E::HoldTimerExpires
        | E::KeepaliveTimerExpires
        | E::DelayOpenTimerExpires
        | E::IdleHoldTimerExpires
        | E::TcpConnectionValid
        | E::TcpCrInvalid
        | E::TcpCrAcked
        | E::TcpConnectionConfirmed
        | E::TcpConnectionFails
        | E::BgpOpen
        | E::BgpOpenWithDelayOpenTimerRunning
        | E::BgpHeaderErr
        | E::BgpOpenMsgErr
        | E::OpenCollisionDump
        | E::NotifMsgVerErr
        | E::NotifMsg
        | E::KeepAliveMsg
        | E::UpdateMsg
        | E::UpdateMsgErr
        | E::SendHoldTimerExpires => State::Idle,
    }
}

fn connect(event: Event, out: &mut Vec<Action>) -> State {
    use Event as E;
    match event {
        E::ConnectRetryTimerExpires => {
            // The attempt took too long: another one takes its place.
            out.extend([
                Action::DropTcp,
                Action::StartConnectRetryTimer,
                Action::InitiateTcp,
            ]);
            State::Connect
        }
        E::TcpCrAcked | E::TcpConnectionConfirmed => opening(out),
        E::ManualStart
        | E::AutomaticStart
        | E::ManualStartWithPassiveTcpEstablishment
        | E::AutomaticStartWithPassiveTcpEstablishment
        | E::AutomaticStartWithDampPeerOscillations
        | E::AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment
        | E::TcpConnectionValid
        | E::TcpCrInvalid
        | E::SendHoldTimerExpires => State::Connect,
        E::ManualStop
        | E::TcpConnectionFails
        | E::BgpHeaderErr
        | E::BgpOpenMsgErr
        | E::NotifMsgVerErr
        | E::AutomaticStop
        | E::HoldTimerExpires
        | E::KeepaliveTimerExpires
        | E::DelayOpenTimerExpires
        | E::IdleHoldTimerExpires
        | E::BgpOpen
        | E::BgpOpenWithDelayOpenTimerRunning
        | E::OpenCollisionDump
        | E::NotifMsg
        | E::KeepAliveMsg
        | E::UpdateMsg
        | E::UpdateMsgErr => give_up(out),
    }
}

fn active(event: Event, out: &mut Vec<Action>) -> State {
    use Event as E;
    match event {
        E::ConnectRetryTimerExpires => {
            out.extend([Action::StartConnectRetryTimer, Action::InitiateTcp]);
            State::Connect
        }
        E::TcpCrAcked | E::TcpConnectionConfirmed => opening(out),
        E::ManualStart
        | E::AutomaticStart
        | E::ManualStartWithPassiveTcpEstablishment
        | E::AutomaticStartWithPassiveTcpEstablishment
        | E::AutomaticStartWithDampPeerOscillations
        | E::AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment
        | E::TcpConnectionValid
        | E::TcpCrInvalid
        | E::SendHoldTimerExpires => State::Active,
        E::ManualStop
        | E::TcpConnectionFails
        | E::BgpHeaderErr
        | E::BgpOpenMsgErr
        | E::NotifMsgVerErr
        | E::AutomaticStop
        | E::HoldTimerExpires
        | E::KeepaliveTimerExpires
        | E::DelayOpenTimerExpires
        | E::IdleHoldTimerExpires
        | E::BgpOpen
        | E::BgpOpenWithDelayOpenTimerRunning
        | E::OpenCollisionDump
        | E::NotifMsg
        | E::KeepAliveMsg
        | E::UpdateMsg
        | E::UpdateMsgErr => give_up(out),
    }
}

fn open_sent(event: Event, out: &mut Vec<Action>) -> State {
    use Event as E;
    match event {
        E::BgpOpen => {
            out.extend([
                Action::StopConnectRetryTimer,
                Action::SendKeepalive,
                Action::StartKeepaliveTimer,
                Action::StartHoldTimer,
            ]);
            State::OpenConfirm
        }
        E::TcpConnectionFails => {
            out.extend([Action::DropTcp, Action::StartConnectRetryTimer]);
            State::Active
        }
        E::ManualStop | E::AutomaticStop | E::OpenCollisionDump => refuse(Notice::Cease, out),
        E::HoldTimerExpires => refuse(Notice::HoldTimerExpired, out),
        E::BgpHeaderErr | E::BgpOpenMsgErr => refuse(Notice::MessageError, out),
        E::NotifMsgVerErr | E::NotifMsg => give_up(out),
        E::ManualStart
        | E::AutomaticStart
        | E::ManualStartWithPassiveTcpEstablishment
        | E::AutomaticStartWithPassiveTcpEstablishment
        | E::AutomaticStartWithDampPeerOscillations
        | E::AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment
        | E::TcpConnectionValid
        | E::TcpCrInvalid
        | E::TcpCrAcked
        | E::TcpConnectionConfirmed
        | E::SendHoldTimerExpires => State::OpenSent,
        E::ConnectRetryTimerExpires
        | E::KeepaliveTimerExpires
        | E::DelayOpenTimerExpires
        | E::IdleHoldTimerExpires
        | E::BgpOpenWithDelayOpenTimerRunning
        | E::KeepAliveMsg
        | E::UpdateMsg
        | E::UpdateMsgErr => refuse(Notice::FsmError(FsmError::UnexpectedInOpenSent), out),
    }
}

fn open_confirm(event: Event, out: &mut Vec<Action>) -> State {
    use Event as E;
    match event {
        E::KeepAliveMsg => {
            out.extend([Action::StartHoldTimer, Action::EnterEstablished]);
            State::Established
        }
        E::KeepaliveTimerExpires => {
            out.extend([Action::SendKeepalive, Action::StartKeepaliveTimer]);
            State::OpenConfirm
        }
        E::ManualStop | E::AutomaticStop | E::OpenCollisionDump => refuse(Notice::Cease, out),
        E::HoldTimerExpires => refuse(Notice::HoldTimerExpired, out),
        E::BgpHeaderErr | E::BgpOpenMsgErr => refuse(Notice::MessageError, out),
        E::TcpConnectionFails | E::NotifMsgVerErr | E::NotifMsg => give_up(out),
        E::ManualStart
        | E::AutomaticStart
        | E::ManualStartWithPassiveTcpEstablishment
        | E::AutomaticStartWithPassiveTcpEstablishment
        | E::AutomaticStartWithDampPeerOscillations
        | E::AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment
        | E::TcpConnectionValid
        | E::TcpCrInvalid
        | E::TcpCrAcked
        | E::TcpConnectionConfirmed
        | E::SendHoldTimerExpires => State::OpenConfirm,
        E::BgpOpen
        | E::ConnectRetryTimerExpires
        | E::DelayOpenTimerExpires
        | E::IdleHoldTimerExpires
        | E::BgpOpenWithDelayOpenTimerRunning
        | E::UpdateMsg
        | E::UpdateMsgErr => refuse(Notice::FsmError(FsmError::UnexpectedInOpenConfirm), out),
    }
}

fn established(event: Event, out: &mut Vec<Action>) -> State {
    use Event as E;
    match event {
        E::KeepAliveMsg => {
            out.push(Action::StartHoldTimer);
            State::Established
        }
        E::UpdateMsg => {
            out.extend([Action::StartHoldTimer, Action::DeliverMessage]);
            State::Established
        }
        E::KeepaliveTimerExpires => {
            out.extend([Action::SendKeepalive, Action::StartKeepaliveTimer]);
            State::Established
        }
        E::ManualStop | E::AutomaticStop | E::OpenCollisionDump => end(Some(Notice::Cease), out),
        E::HoldTimerExpires => end(Some(Notice::HoldTimerExpired), out),
        E::BgpHeaderErr | E::UpdateMsgErr => end(Some(Notice::MessageError), out),
        // RFC 9687 §4.3 lets us try a NOTIFICATION; the transport takes nothing, so we do not.
        E::TcpConnectionFails | E::NotifMsgVerErr | E::NotifMsg | E::SendHoldTimerExpires => {
            end(None, out)
        }
        E::ManualStart
        | E::AutomaticStart
        | E::ManualStartWithPassiveTcpEstablishment
        | E::AutomaticStartWithPassiveTcpEstablishment
        | E::AutomaticStartWithDampPeerOscillations
        | E::AutomaticStartWithDampPeerOscillationsAndPassiveTcpEstablishment
        | E::TcpConnectionValid
        | E::TcpCrInvalid
        | E::TcpCrAcked
        | E::TcpConnectionConfirmed => State::Established,
        E::BgpOpen
        | E::ConnectRetryTimerExpires
        | E::DelayOpenTimerExpires
        | E::IdleHoldTimerExpires
        | E::BgpOpenWithDelayOpenTimerRunning
        | E::BgpOpenMsgErr => {
            let unexpected = Notice::FsmError(FsmError::UnexpectedInEstablished);
            end(Some(unexpected), out)
        }
    }
}

/// A connection is there: say OPEN and wait for theirs.
fn opening(out: &mut Vec<Action>) -> State {
    out.extend([
        Action::StopConnectRetryTimer,
        Action::SendOpen,
        Action::StartLargeHoldTimer,
    ]);
    State::OpenSent
}

/// Back to Idle without a word.
fn give_up(out: &mut Vec<Action>) -> State {
    out.extend([Action::StopConnectRetryTimer, Action::DropTcp]);
    State::Idle
}

/// Back to Idle with a NOTIFICATION, before there were routes.
fn refuse(notice: Notice, out: &mut Vec<Action>) -> State {
    out.push(Action::SendNotification(notice));
    give_up(out)
}

/// Back to Idle from Established.
fn end(notice: Option<Notice>, out: &mut Vec<Action>) -> State {
    out.extend(notice.map(Action::SendNotification));
    out.extend([
        Action::StopConnectRetryTimer,
        Action::DeleteRoutes,
        Action::DropTcp,
    ]);
    State::Idle
}
