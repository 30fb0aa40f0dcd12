//! NOTIFICATION codes in both directions, and the errors that lead to one.
//!
//! The codes are written once, in [`CODES`]; reading looks them up there, writing too.

use super::context::{HEADER_LEN, MAX_LEN};
use super::types::{
    AttributeFault, Cease, FsmError, HeaderError, Notification, NotificationError, OpenError,
    RefreshError, UpdateError,
};
use std::fmt;

/// Error code, subcode, name, and what they mean here.
type Row = (u8, u8, &'static str, NotificationError);

/// Every code and subcode that an RFC assigns.
const CODES: [Row; 36] = {
    use NotificationError as N;
    [
        (
            1,
            1,
            "Connection Not Synchronized",
            N::MessageHeader(HeaderError::ConnectionNotSynchronized),
        ),
        (
            1,
            2,
            "Bad Message Length",
            N::MessageHeader(HeaderError::BadMessageLength),
        ),
        (
            1,
            3,
            "Bad Message Type",
            N::MessageHeader(HeaderError::BadMessageType),
        ),
        (
            2,
            1,
            "Unsupported Version Number",
            N::OpenMessage(OpenError::UnsupportedVersionNumber),
        ),
        (2, 2, "Bad Peer AS", N::OpenMessage(OpenError::BadPeerAs)),
        (
            2,
            3,
            "Bad BGP Identifier",
            N::OpenMessage(OpenError::BadBgpIdentifier),
        ),
        (
            2,
            4,
            "Unsupported Optional Parameter",
            N::OpenMessage(OpenError::UnsupportedOptionalParameter),
        ),
        (
            2,
            6,
            "Unacceptable Hold Time",
            N::OpenMessage(OpenError::UnacceptableHoldTime),
        ),
        (
            2,
            7,
            "Unsupported Capability",
            N::OpenMessage(OpenError::UnsupportedCapability),
        ),
        (
            2,
            11,
            "Role Mismatch",
            N::OpenMessage(OpenError::RoleMismatch),
        ),
        (
            3,
            1,
            "Malformed Attribute List",
            N::UpdateMessage(UpdateError::MalformedAttributeList),
        ),
        (
            3,
            2,
            "Unrecognized Well-known Attribute",
            N::UpdateMessage(UpdateError::UnrecognizedWellKnownAttribute),
        ),
        (
            3,
            3,
            "Missing Well-known Attribute",
            N::UpdateMessage(UpdateError::MissingWellKnownAttribute),
        ),
        (
            3,
            4,
            "Attribute Flags Error",
            N::UpdateMessage(UpdateError::AttributeFlags),
        ),
        (
            3,
            5,
            "Attribute Length Error",
            N::UpdateMessage(UpdateError::AttributeLength),
        ),
        (
            3,
            6,
            "Invalid ORIGIN Attribute",
            N::UpdateMessage(UpdateError::InvalidOrigin),
        ),
        (
            3,
            8,
            "Invalid NEXT_HOP Attribute",
            N::UpdateMessage(UpdateError::InvalidNextHop),
        ),
        (
            3,
            9,
            "Optional Attribute Error",
            N::UpdateMessage(UpdateError::OptionalAttribute),
        ),
        (
            3,
            10,
            "Invalid Network Field",
            N::UpdateMessage(UpdateError::InvalidNetworkField),
        ),
        (
            3,
            11,
            "Malformed AS_PATH",
            N::UpdateMessage(UpdateError::MalformedAsPath),
        ),
        (4, 0, "Hold Timer Expired", N::HoldTimerExpired),
        (
            5,
            1,
            "Unexpected Message in OpenSent State",
            N::FiniteStateMachine(FsmError::UnexpectedInOpenSent),
        ),
        (
            5,
            2,
            "Unexpected Message in OpenConfirm State",
            N::FiniteStateMachine(FsmError::UnexpectedInOpenConfirm),
        ),
        (
            5,
            3,
            "Unexpected Message in Established State",
            N::FiniteStateMachine(FsmError::UnexpectedInEstablished),
        ),
        (
            6,
            1,
            "Maximum Number of Prefixes Reached",
            N::Cease(Cease::MaximumPrefixes),
        ),
        (
            6,
            2,
            "Administrative Shutdown",
            N::Cease(Cease::AdministrativeShutdown),
        ),
        (
            6,
            3,
            "Peer De-configured",
            N::Cease(Cease::PeerDeconfigured),
        ),
        (
            6,
            4,
            "Administrative Reset",
            N::Cease(Cease::AdministrativeReset),
        ),
        (
            6,
            5,
            "Connection Rejected",
            N::Cease(Cease::ConnectionRejected),
        ),
        (
            6,
            6,
            "Other Configuration Change",
            N::Cease(Cease::OtherConfigurationChange),
        ),
        (
            6,
            7,
            "Connection Collision Resolution",
            N::Cease(Cease::ConnectionCollisionResolution),
        ),
        (6, 8, "Out of Resources", N::Cease(Cease::OutOfResources)),
        (6, 9, "Hard Reset", N::Cease(Cease::HardReset)),
        (6, 10, "BFD Down", N::Cease(Cease::BfdDown)),
        (
            7,
            1,
            "Invalid Message Length",
            N::RouteRefresh(RefreshError::InvalidMessageLength),
        ),
        (8, 0, "Send Hold Timer Expired", N::SendHoldTimerExpired),
    ]
};

/// Most octets of a faulty message that go back as Data: what fits a message of any session. More
/// is cut off.
const MAX_DATA: usize = MAX_LEN - HEADER_LEN - 2;

/// Longest shutdown communication (RFC 9003 §2).
pub const MAX_SHUTDOWN_COMMUNICATION: usize = 255;

impl NotificationError {
    /// What `code` and `subcode` on the wire mean; unassigned values are kept.
    pub fn from_codes(code: u8, subcode: u8) -> Self {
        let row = CODES.iter().find(|row| row.0 == code && row.1 == subcode);
        match (row, code) {
            (Some(row), _) => row.3,
            (None, 1) => Self::MessageHeader(HeaderError::Unknown(subcode)),
            (None, 2) => Self::OpenMessage(OpenError::Unknown(subcode)),
            (None, 3) => Self::UpdateMessage(UpdateError::Unknown(subcode)),
            (None, 5) => Self::FiniteStateMachine(FsmError::Unknown(subcode)),
            (None, 6) => Self::Cease(Cease::Unknown(subcode)),
            (None, 7) => Self::RouteRefresh(RefreshError::Unknown(subcode)),
            (None, code) => Self::Unknown { code, subcode },
        }
    }

    /// Error code and subcode on the wire.
    pub fn codes(self) -> (u8, u8) {
        match self {
            Self::MessageHeader(HeaderError::Unknown(subcode)) => (1, subcode),
            Self::OpenMessage(OpenError::Unknown(subcode)) => (2, subcode),
            Self::UpdateMessage(UpdateError::Unknown(subcode)) => (3, subcode),
            Self::FiniteStateMachine(FsmError::Unknown(subcode)) => (5, subcode),
            Self::Cease(Cease::Unknown(subcode)) => (6, subcode),
            Self::RouteRefresh(RefreshError::Unknown(subcode)) => (7, subcode),
            Self::Unknown { code, subcode } => (code, subcode),
            Self::MessageHeader(_)
            | Self::OpenMessage(_)
            | Self::UpdateMessage(_)
            | Self::HoldTimerExpired
            | Self::FiniteStateMachine(_)
            | Self::Cease(_)
            | Self::RouteRefresh(_)
            | Self::SendHoldTimerExpired => CODES
                .iter()
                .find(|row| row.3 == self)
                .map_or((0, 0), |row| (row.0, row.1)),
        }
    }

    fn name(self) -> &'static str {
        CODES
            .iter()
            .find(|row| row.3 == self)
            .map_or("unassigned error", |row| row.2)
    }
}

impl fmt::Display for NotificationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, subcode) = self.codes();
        write!(f, "{} ({code}/{subcode})", self.name())
    }
}

impl Notification {
    /// A NOTIFICATION without data.
    pub fn bare(error: NotificationError) -> Self {
        Self {
            error,
            data: Vec::new(),
        }
    }

    /// The shutdown communication (RFC 9003 §2) of an administrative Cease, made fit for a log
    /// line; `None` when there is none or it is malformed.
    pub fn shutdown_communication(&self) -> Option<String> {
        let administrative = [Cease::AdministrativeShutdown, Cease::AdministrativeReset]
            .map(NotificationError::Cease)
            .contains(&self.error);
        if !administrative {
            return None;
        }
        let (length, text) = self.data.split_first()?;
        let text = text.get(..usize::from(*length))?;
        let text = String::from_utf8_lossy(text);
        let clean: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        (!clean.trim().is_empty()).then_some(clean)
    }
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        if let Some(text) = self.shutdown_communication() {
            return write!(f, ": \"{text}\"");
        }
        if !self.data.is_empty() {
            f.write_str(", data")?;
            for octet in self.data.iter().take(16) {
                write!(f, " {octet:02x}")?;
            }
        }
        Ok(())
    }
}

/// Why a message cannot be read at all: the session ends with a NOTIFICATION.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// The Marker is not all ones (RFC 4271 §6.1).
    Marker,
    /// The Length field is out of range for the type or the session (RFC 4271 §6.1).
    Length(u16),
    /// A type that no RFC assigns (RFC 4271 §6.1).
    Type(u8),
    /// A fault in an OPEN (RFC 4271 §6.2) with the Data that goes back.
    Open(OpenError, Vec<u8>),
    /// A fault in an UPDATE that RFC 7606 gives no milder handling, with the Data that goes back.
    Update(UpdateError, Vec<u8>),
    /// A marker of an enhanced route refresh with a wrong length (RFC 7313 §5): the whole message.
    RefreshLength(Vec<u8>),
}

impl From<&DecodeError> for Notification {
    fn from(error: &DecodeError) -> Self {
        let (error, mut data) = match error {
            DecodeError::Marker => (
                NotificationError::MessageHeader(HeaderError::ConnectionNotSynchronized),
                Vec::new(),
            ),
            DecodeError::Length(length) => (
                NotificationError::MessageHeader(HeaderError::BadMessageLength),
                length.to_be_bytes().to_vec(),
            ),
            DecodeError::Type(kind) => (
                NotificationError::MessageHeader(HeaderError::BadMessageType),
                vec![*kind],
            ),
            DecodeError::Open(error, data) => {
                (NotificationError::OpenMessage(*error), data.clone())
            }
            DecodeError::Update(error, data) => {
                (NotificationError::UpdateMessage(*error), data.clone())
            }
            DecodeError::RefreshLength(message) => (
                NotificationError::RouteRefresh(RefreshError::InvalidMessageLength),
                message.clone(),
            ),
        };
        data.truncate(MAX_DATA);
        Self { error, data }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Notification::from(self).fmt(f)
    }
}

impl std::error::Error for DecodeError {}

impl fmt::Display for AttributeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "attribute {}: {}, {:?}, octets",
            self.code, self.what, self.handling
        )?;
        for octet in &self.bytes {
            write!(f, " {octet:02x}")?;
        }
        Ok(())
    }
}
