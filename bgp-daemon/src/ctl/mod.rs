//! `bgpctl`: asks a running daemon over its admin socket, and gives it orders.
//!
//! ```text
//! Arguments ──▶ command ──▶ Client (HTTP over the socket) ──▶ view types ──▶ show (tables)
//!                                                               └──────────▶ JSON, as it came
//! ```
//!
//! What comes back is what [`crate::admin::view`] says; nothing here knows the engine. Long lists
//! are fetched and printed page by page, so that a table of a million routes needs no memory on
//! either side. Exit codes: 0 done, 1 not done (with what and why on standard error), 2 wrong
//! usage.

mod client;
mod node;
mod show;
mod show_node;

use crate::admin::node_view::Reloaded;
use crate::admin::view::{Done, Explanation, Order, Page, Peer, Status};
use clap::{Args, Parser, Subcommand};
use client::Client;
pub use client::ClientError;
use node::NodeCommand;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Prefixes and peers asked for at a time.
const PAGE: usize = 500;

/// Ask a running bgp-rr or bgp-node, and give it orders.
#[derive(Debug, Parser)]
#[command(name = "bgpctl", version, max_term_width = 100)]
struct Arguments {
    /// The admin socket [default: where bgp-rr and bgp-node put theirs]
    #[arg(long, value_name = "PATH", global = true)]
    socket: Option<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Who the router is, and how it is doing
    Status,
    /// All peers, one in a line
    Peers,
    /// All about one peer
    Peer {
        /// Its name or address
        peer: String,
    },
    /// Routes: the best ones, or what a peer has sent or is sent
    Routes(Routes),
    /// All paths to a prefix, which one won, and at which step each of the others lost
    Route {
        /// A prefix, or an address for the longest prefix that covers it
        prefix: String,
        /// Say also whether this peer is told, in which words, or why not
        #[arg(long, value_name = "PEER")]
        peer: Option<String>,
    },
    #[command(flatten)]
    Order(OrderCommand),
    /// Read the configuration file anew; what cannot be changed while the daemon runs is refused,
    /// and then nothing is changed
    Reload,
    #[command(flatten)]
    Node(NodeCommand),
}

/// What changes something.
#[derive(Debug, Subcommand)]
enum OrderCommand {
    /// End the session with a peer and begin a new one
    Reset(PeerOrder),
    /// End the session with a peer and let none come up
    Disable(PeerOrder),
    /// Let the session with a peer come up again
    Enable {
        /// Its name or address
        peer: String,
    },
    /// Ask a peer to send its routes again (RFC 2918)
    Refresh {
        /// Its name or address
        peer: String,
    },
    /// End the daemon; peers with graceful restart keep our routes unless it is drained
    Shutdown {
        /// Tell the peers that we go, with a message to their operators, so that they turn to
        /// other paths at once
        #[arg(long, value_name = "MESSAGE", num_args = 0..=1, default_missing_value = "")]
        drain: Option<String>,
    },
}

#[derive(Debug, Args)]
struct Routes {
    /// Only this prefix and those that lie within it
    prefix: Option<String>,
    /// What this peer has sent us, usable or not
    #[arg(long, value_name = "PEER", conflicts_with = "advertised")]
    received: Option<String>,
    /// What this peer is sent, in the words it gets
    #[arg(long, value_name = "PEER")]
    advertised: Option<String>,
    /// At most so many routes
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
}

#[derive(Debug, Args)]
struct PeerOrder {
    /// Its name or address
    peer: String,
    /// Sent to the peer's operator (RFC 9003)
    #[arg(long, default_value = "")]
    message: String,
}

/// Runs `bgpctl` with these arguments, of which the first is the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match answer(arguments, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(ClientError::Usage(error)) => {
            // Help goes to standard output, complaints to standard error; if neither can be
            // written there is nobody to tell.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
        // Whoever reads has read enough (`bgpctl routes | head`).
        Err(ClientError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "bgpctl: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does what these arguments say, of which the first is the program's name, and writes what comes
/// of it to `to`.
///
/// # Errors
///
/// Why nothing, or not all, came of it.
pub fn answer(
    arguments: impl IntoIterator<Item = OsString>,
    to: &mut dyn Write,
) -> Result<(), ClientError> {
    let arguments = Arguments::try_parse_from(arguments)?;
    let mut output = Output {
        json: arguments.json,
        to,
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(execute(&arguments, &mut output))
}

async fn execute(arguments: &Arguments, out: &mut Output<'_>) -> Result<(), ClientError> {
    let programs = arguments.command.programs();
    let mut client = Client::connect(arguments.socket.as_deref(), programs).await?;
    match &arguments.command {
        Command::Status => {
            let status: Status = client.get("/v1/status", &[]).await?;
            out.one(&status, show::status)
        }
        Command::Peers => {
            let mut list = out.list(show::peers);
            pages(&mut client, "/v1/peers", &[], None, &mut list).await?;
            list.end()
        }
        Command::Peer { peer } => {
            let peer: Peer = client.get(&peer_path(peer, ""), &[]).await?;
            out.one(&peer, show::peer)
        }
        Command::Routes(routes) => {
            let show = match routes.advertised {
                Some(_) => show::advertised,
                None => show::routes,
            };
            let mut list = out.list(show);
            let query = routes.query();
            pages(&mut client, "/v1/routes", &query, routes.limit, &mut list).await?;
            list.end()
        }
        Command::Route { prefix, peer } => {
            let mut query = vec![("prefix", prefix.as_str())];
            query.extend(peer.as_deref().map(|peer| ("peer", peer)));
            let explanation: Explanation = client.get("/v1/routes/explain", &query).await?;
            out.one(&explanation, show::explanation)
        }
        Command::Order(command) => {
            let (path, order) = order_of(command);
            let done: Done = client.post(&path, &order).await?;
            out.one(&done, show::done)
        }
        Command::Reload => {
            let reloaded: Reloaded = client.post("/v1/reload", &Order::default()).await?;
            out.one(&reloaded, show_node::reloaded)
        }
        Command::Node(command) => node::execute(command, &mut client, out).await,
    }
}

impl Command {
    /// The daemons that can answer it, in the order in which they are looked for.
    fn programs(&self) -> &'static [&'static str] {
        match self {
            Self::Node(_) => &["bgp-node"],
            Self::Status
            | Self::Peers
            | Self::Peer { .. }
            | Self::Routes(_)
            | Self::Route { .. }
            | Self::Order(_)
            | Self::Reload => &["bgp-rr", "bgp-node"],
        }
    }
}

/// Where an order goes, and what goes with it.
fn order_of(command: &OrderCommand) -> (String, Order) {
    let saying = |message: &str| Order {
        drain: false,
        message: message.to_owned(),
    };
    match command {
        OrderCommand::Reset(order) => (peer_path(&order.peer, "/reset"), saying(&order.message)),
        OrderCommand::Disable(order) => {
            (peer_path(&order.peer, "/disable"), saying(&order.message))
        }
        OrderCommand::Enable { peer } => (peer_path(peer, "/enable"), Order::default()),
        OrderCommand::Refresh { peer } => (peer_path(peer, "/refresh"), Order::default()),
        OrderCommand::Shutdown { drain } => {
            let order = Order {
                drain: drain.is_some(),
                message: drain.clone().unwrap_or_default(),
            };
            ("/v1/shutdown".to_owned(), order)
        }
    }
}

fn peer_path(peer: &str, order: &str) -> String {
    format!("/v1/peers/{}{order}", client::percent_encode(peer))
}

impl Routes {
    fn query(&self) -> Vec<(&'static str, &str)> {
        let named = [
            ("prefix", &self.prefix),
            ("received", &self.received),
            ("advertised", &self.advertised),
        ];
        named
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.as_deref()?)))
            .collect()
    }
}

/// Fetches a list part by part, up to `limit` items.
async fn pages<T: DeserializeOwned + Serialize>(
    client: &mut Client,
    path: &str,
    query: &[(&str, &str)],
    limit: Option<usize>,
    list: &mut List<'_, T>,
) -> Result<(), ClientError> {
    let mut left = limit.unwrap_or(usize::MAX);
    let mut cursor: Option<String> = None;
    while left > 0 {
        let size = left.min(PAGE).to_string();
        let mut query = query.to_vec();
        query.push(("limit", &size));
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page: Page<T> = client.get(path, &query).await?;
        left = left.saturating_sub(page.items.len());
        list.add(page.items)?;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(())
}

/// Where answers go, in one of two forms.
struct Output<'a> {
    json: bool,
    to: &'a mut dyn Write,
}

impl Output<'_> {
    fn one<T: Serialize>(
        &mut self,
        value: &T,
        show: impl FnOnce(&T) -> String,
    ) -> Result<(), ClientError> {
        let text = if self.json {
            let json = serde_json::to_string_pretty(value).map_err(ClientError::Answer)?;
            format!("{json}\n")
        } else {
            show(value)
        };
        self.write(&text)
    }

    fn list<T>(&mut self, show: fn(&[T], bool) -> String) -> List<'_, T> {
        List {
            json: self.json,
            to: self.to,
            show,
            only: None,
            count: 0,
        }
    }

    fn write(&mut self, text: &str) -> Result<(), ClientError> {
        self.to
            .write_all(text.as_bytes())
            .map_err(ClientError::Output)
    }
}

/// A list that is printed as it comes in.
struct List<'a, T> {
    json: bool,
    to: &'a mut dyn Write,
    /// Makes text of a part; true for the first, which has the header.
    show: fn(&[T], bool) -> String,
    /// Which items are printed; all of them where it is not set.
    only: Option<fn(&T) -> bool>,
    count: usize,
}

impl<T: Serialize> List<'_, T> {
    /// Prints only these from now on.
    fn only(&mut self, which: fn(&T) -> bool) {
        self.only = Some(which);
    }

    fn add(&mut self, mut items: Vec<T>) -> Result<(), ClientError> {
        if let Some(only) = self.only {
            items.retain(only);
        }
        if self.json {
            for item in &items {
                let json = serde_json::to_string(item).map_err(ClientError::Answer)?;
                let before = if self.count == 0 { "[" } else { "," };
                self.write(&format!("{before}\n  {json}"))?;
                self.count += 1;
            }
            return Ok(());
        }
        if !items.is_empty() {
            self.write(&(self.show)(&items, self.count == 0))?;
            self.count += items.len();
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), ClientError> {
        match (self.json, self.count) {
            (true, 0) => self.write("[]\n"),
            (true, _) => self.write("\n]\n"),
            (false, 0) => self.write(&(self.show)(&[], true)),
            (false, _) => Ok(()),
        }
    }

    fn write(&mut self, text: &str) -> Result<(), ClientError> {
        self.to
            .write_all(text.as_bytes())
            .map_err(ClientError::Output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn orders_go_where_they_belong() {
        let order = |words: &[&str]| {
            let words = std::iter::once("bgpctl").chain(words.iter().copied());
            let arguments = Arguments::try_parse_from(words).unwrap();
            let Command::Order(command) = arguments.command else {
                panic!("{:?} is no order", arguments.command);
            };
            order_of(&command)
        };
        let (path, body) = order(&["reset", "nodes:2001:db8::1", "--message", "new key"]);
        assert_eq!(path, "/v1/peers/nodes:2001:db8::1/reset");
        assert_eq!((body.drain, body.message.as_str()), (false, "new key"));
        let (path, body) = order(&["shutdown"]);
        assert_eq!((path.as_str(), body), ("/v1/shutdown", Order::default()));
        let (_, body) = order(&["shutdown", "--drain"]);
        assert!(body.drain && body.message.is_empty());
        let (_, body) = order(&["shutdown", "--drain", "moving rack"]);
        assert_eq!((body.drain, body.message.as_str()), (true, "moving rack"));
    }

    #[test]
    fn received_and_advertised_exclude_each_other() {
        let words = ["bgpctl", "routes", "--received", "a", "--advertised", "b"];
        assert!(Arguments::try_parse_from(words).is_err());
    }
}
