//! What a client is told when there is no answer.

use super::view::Problem;
use super::{MAX_BODY, PATIENCE};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bgp_core::complaint::Complaint;
use bgp_core::speaker::CommandError;

/// A status and a [`Problem`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    status: StatusCode,
    problem: Problem,
}

impl Failure {
    fn new(status: StatusCode, error: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            status,
            problem: Problem {
                error: error.into(),
                advice: advice.into(),
            },
        }
    }

    /// The request makes no sense.
    pub(super) fn bad_request(error: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, advice)
    }

    /// There is nothing of that name.
    pub(super) fn not_found(error: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error, advice)
    }

    /// An order was refused.
    pub(super) fn refused(problem: Problem) -> Self {
        Self {
            status: StatusCode::CONFLICT,
            problem,
        }
    }

    pub(super) fn no_node() -> Self {
        let error = "this daemon is a reflector: it owns no blocks and touches no kernel";
        Self::not_found(error, "ask a bgp-node, with --socket")
    }

    pub(super) fn engine_ended() -> Self {
        let advice = "the daemon is about to end; see its log";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the engine has ended",
            advice,
        )
    }

    pub(super) fn engine_busy() -> Self {
        let error = format!("the engine did not answer within {} s", PATIENCE.as_secs());
        let advice = "try again; if it stays so, the log and the load of the machine may tell why";
        Self::new(StatusCode::GATEWAY_TIMEOUT, error, advice)
    }
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        let (status, advice) = match &error {
            CommandError::UnknownPeer(_) => {
                (StatusCode::NOT_FOUND, "`bgpctl peers` lists them all")
            }
            CommandError::Dynamic(_) => (
                StatusCode::CONFLICT,
                "reset or disable it, or change its group in the configuration",
            ),
            CommandError::Invalid(_) => (
                StatusCode::BAD_REQUEST,
                "docs/configuration.md says what is allowed",
            ),
            CommandError::NotEstablished(_) => (
                StatusCode::CONFLICT,
                "`bgpctl peer NAME` says why it is down",
            ),
            CommandError::NotNegotiated { .. } => (
                StatusCode::CONFLICT,
                "`bgpctl peer NAME` says what was negotiated",
            ),
        };
        Self::new(status, error.to_string(), advice)
    }
}

impl From<Complaint> for Failure {
    fn from(complaint: Complaint) -> Self {
        let Complaint {
            found,
            allowed,
            advice,
        } = complaint;
        Self::bad_request(format!("{found}; allowed: {allowed}"), advice)
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(
            rejection.body_text(),
            "see docs/bgpctl.md for the parameters",
        )
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        let status = rejection.status();
        let advice = format!("send a JSON object of at most {MAX_BODY} octets, or {{}}");
        Self::new(status, rejection.body_text(), advice)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(self.problem)).into_response()
    }
}

pub(super) async fn no_such_page() -> Failure {
    Failure::not_found(
        "there is nothing here",
        "see docs/bgpctl.md for what there is",
    )
}

pub(super) async fn wrong_method() -> Failure {
    let advice = "questions are asked with GET, orders given with POST";
    Failure::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "not with this method",
        advice,
    )
}
