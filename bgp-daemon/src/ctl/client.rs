//! HTTP over the admin socket.

use crate::admin::socket::{is_ours_alone, places};
use crate::admin::view::Problem;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// Longest answer, in octets. A longer one is refused: it is not from a daemon of ours.
const MAX_ANSWER: usize = 64 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The arguments make no sense, or ask for help.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// Nobody answers at the admin socket.
    #[error("cannot reach the daemon; is it running? tried {}", Tried(.0))]
    Unreachable(Vec<(PathBuf, io::Error)>),
    /// The daemon refused.
    #[error("{}{}", .0.error, advice(.0))]
    Refused(Problem),
    /// An audit found differences.
    #[error("the kernel is not as wanted: {0} routes differ")]
    Unequal(usize),
    /// An audit could not read the kernel.
    #[error("the kernel's tables could not be read as a whole; try again")]
    Incomplete,
    /// The connection broke.
    #[error("the daemon did not answer: {0}")]
    Broken(#[from] hyper::Error),
    /// It took too long.
    #[error("the daemon did not answer within {} s", PATIENCE.as_secs())]
    TimedOut,
    /// The answer could not be read.
    #[error("the daemon's answer cannot be read: {0}; is it of another version?")]
    Answer(serde_json::Error),
    /// The answer was of no form that we know.
    #[error("the daemon's answer cannot be read: {0}; is it of another version?")]
    AnswerForm(String),
    /// Standard output took no more.
    #[error("cannot write: {0}")]
    Output(io::Error),
    /// The system gave us no means to work with.
    #[error(transparent)]
    System(#[from] io::Error),
}

struct Tried<'a>(&'a [(PathBuf, io::Error)]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (path, error)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{} ({})", path.display(), why(error))?;
        }
        f.write_str("; name another with --socket")
    }
}

fn why(error: &io::Error) -> String {
    let kind = error.kind();
    if kind == io::ErrorKind::NotFound {
        "no such file".to_owned()
    } else if kind == io::ErrorKind::ConnectionRefused {
        "nobody answers there".to_owned()
    } else if kind == io::ErrorKind::PermissionDenied {
        "permission denied: only its owner and group may, try as root".to_owned()
    } else {
        error.to_string()
    }
}

fn advice(problem: &Problem) -> String {
    if problem.advice.is_empty() {
        String::new()
    } else {
        format!("; {}", problem.advice)
    }
}

/// A connection to a daemon.
pub(super) struct Client {
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// Connects to the socket at `path`, or to the first of the usual places of these programs
    /// where one answers.
    pub(super) async fn connect(
        path: Option<&Path>,
        programs: &[&str],
    ) -> Result<Self, ClientError> {
        let usual = || programs.iter().flat_map(|program| places(program));
        let candidates = path.map_or_else(|| usual().collect(), |path| vec![path.to_owned()]);
        let mut tried = Vec::new();
        for candidate in candidates {
            match connect_to(&candidate, path.is_some()).await {
                Ok(stream) => {
                    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
                    tokio::spawn(connection);
                    return Ok(Self { sender });
                }
                Err(error) => tried.push((candidate, error)),
            }
        }
        Err(ClientError::Unreachable(tried))
    }

    /// Asks.
    pub(super) async fn get<T: DeserializeOwned>(
        &mut self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, ClientError> {
        let mut target = path.to_owned();
        for (index, (key, value)) in query.iter().enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            target.push_str(key);
            target.push('=');
            target.push_str(&percent_encode(value));
        }
        self.exchange(Method::GET, &target, Bytes::new()).await
    }

    /// Orders.
    pub(super) async fn post<T: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(ClientError::Answer)?;
        self.exchange(Method::POST, path, body.into()).await
    }

    async fn exchange<T: DeserializeOwned>(
        &mut self,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| ClientError::AnswerForm(error.to_string()))?;
        let exchange = async {
            let response = self.sender.send_request(request).await?;
            let is_success = response.status().is_success();
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER)
                .collect()
                .await;
            let body = body.map_err(|error| ClientError::AnswerForm(error.to_string()))?;
            let body = body.to_bytes();
            if is_success {
                return serde_json::from_slice(&body).map_err(ClientError::Answer);
            }
            match serde_json::from_slice(&body) {
                Ok(problem) => Err(ClientError::Refused(problem)),
                Err(_) => Err(ClientError::AnswerForm(status.to_string())),
            }
        };
        let answer = tokio::time::timeout(PATIENCE, exchange).await;
        answer.unwrap_or(Err(ClientError::TimedOut))
    }
}

async fn connect_to(path: &Path, named: bool) -> io::Result<UnixStream> {
    // Anybody may have made the folder under /tmp before the daemon did.
    if let Some(folder) = path.parent().filter(|folder| folder.starts_with("/tmp"))
        && !named
    {
        is_ours_alone(folder)?;
    }
    UnixStream::connect(path).await
}

/// `text` as part of an URL, RFC 3986 §2.1. A colon may stay as it is.
pub(super) fn percent_encode(text: &str) -> String {
    let mut encoded = String::new();
    for octet in text.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => {
                encoded.push(char::from(octet));
            }
            _ => encoded.push_str(&format!("%{octet:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_url_must_not_hold_is_encoded() {
        assert_eq!(percent_encode("nodes:10.0.0.1"), "nodes:10.0.0.1");
        assert_eq!(percent_encode("10.0.0.0/8"), "10.0.0.0%2F8");
        assert_eq!(percent_encode("a b?ü"), "a%20b%3F%C3%BC");
    }

    #[tokio::test]
    async fn a_missing_socket_is_named_with_advice() {
        let path = Path::new("/nonexistent/bgp.sock");
        let Err(error) = Client::connect(Some(path), &[]).await else {
            panic!("connected to nothing");
        };
        assert_eq!(
            error.to_string(),
            "cannot reach the daemon; is it running? tried /nonexistent/bgp.sock \
             (no such file); name another with --socket"
        );
    }
}
