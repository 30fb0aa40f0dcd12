//! `role`: the words for what a peer is, which depend on who we are.
//!
//! | word | on a reflector | on a node | in the engine |
//! |---|---|---|---|
//! | `client` | a node that we reflect for | – | client |
//! | `non-client`, `internal` | another reflector | any internal peer | non-client |
//! | `reflector` | – | a reflector of ours | non-client |
//! | `node` | – | another node of a mesh | non-client |
//! | `external` | in another AS | in another AS | external |

use super::Kind;
use super::value::{FromToml, Refusal, Value, word};
use bgp_core::complaint::Complaint;
use bgp_core::types::PeerRole;

/// What was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Client,
    NonClient,
    Internal,
    External,
    Reflector,
    Node,
}

impl FromToml for Role {
    fn from_toml(value: &Value<'_>, _source: &str) -> Result<Self, Vec<Refusal>> {
        let words = [
            ("client", Self::Client),
            ("non-client", Self::NonClient),
            ("external", Self::External),
            ("internal", Self::Internal),
            ("reflector", Self::Reflector),
            ("node", Self::Node),
        ];
        word(value, "role", &words)
    }
}

impl Role {
    /// What it is to the engine.
    pub(super) fn of_engine(self) -> PeerRole {
        match self {
            Self::Client => PeerRole::Client,
            Self::NonClient | Self::Internal | Self::Reflector | Self::Node => PeerRole::NonClient,
            Self::External => PeerRole::External,
        }
    }

    /// Whether a peer of this role that falls silent is not in the way of the traffic, so that
    /// its routes stay (docs/adr/0008).
    pub(super) fn is_beside_the_traffic(self) -> bool {
        match self {
            Self::Reflector => true,
            Self::Client | Self::NonClient | Self::Internal | Self::External | Self::Node => false,
        }
    }

    /// Whether a peer of this role is the only one to tell us that a prefix has two owners, so that
    /// we take both paths from it.
    pub(super) fn tells_of_second_owners(self) -> bool {
        match self {
            Self::Reflector => true,
            Self::Client | Self::NonClient | Self::Internal | Self::External | Self::Node => false,
        }
    }

    /// Why a router of this kind has no such peer, if it has none.
    pub(super) fn fault(self, kind: Kind) -> Option<Complaint> {
        match (self, kind) {
            (Self::Reflector, Kind::Reflector) => Some(Complaint::new(
                "role \"reflector\" at a reflector",
                "client, non-client, external",
                "write role = \"non-client\" for another reflector",
            )),
            (Self::Node, Kind::Reflector) => Some(Complaint::new(
                "role \"node\" at a reflector",
                "client, non-client, external",
                "write role = \"client\" for a node that has its routes from us",
            )),
            (Self::Client, Kind::Node) => Some(Complaint::new(
                "role \"client\" at a node",
                "reflector, node, external",
                "a node reflects nothing: write role = \"reflector\" for a reflector, role = \
                 \"node\" for another node",
            )),
            (Self::NonClient, Kind::Node) => Some(Complaint::new(
                "role \"non-client\" at a node",
                "reflector, node, external",
                "write role = \"reflector\" for a reflector, role = \"node\" for another node",
            )),
            (Self::Client | Self::NonClient, Kind::Reflector)
            | (Self::Reflector | Self::Node, Kind::Node)
            | (Self::Internal | Self::External, Kind::Reflector | Kind::Node) => None,
        }
    }
}
