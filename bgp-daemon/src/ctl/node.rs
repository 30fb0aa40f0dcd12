//! The commands that only a node understands.

use super::client::Client;
use super::{ClientError, Output, pages, show_node};
use crate::admin::node_view::{
    Audit, BlockLine, BlockOrder, Conflict, KernelRoute, NextHopLine, NodeSummary,
};
use crate::admin::view::{Done, Order, Page};
use clap::{Args, Subcommand};

/// What is asked or ordered of a node.
#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// The node as a whole: blocks, peers, and whether its kernel is as wanted
    Node,
    /// The blocks of the node
    Block {
        #[command(subcommand)]
        command: BlockCommand,
    },
    /// The routes that the node wants in its kernel, and what has become of them
    #[command(args_conflicts_with_subcommands = true)]
    Fib {
        #[command(subcommand)]
        command: Option<FibCommand>,
        #[command(flatten)]
        routes: FibRoutes,
    },
    /// Blocks that two nodes claim, and kernel routes in whose place another's route is
    Conflicts {
        /// Only this prefix and those that lie within it
        prefix: Option<String>,
    },
    /// The addresses that routes lead through, and how the kernel gets there
    NextHops,
}

#[derive(Debug, Subcommand)]
pub(super) enum BlockCommand {
    /// All blocks of the node
    List,
    /// This block is ours from now on, over restarts
    Add {
        /// The block, of its pool's block size
        prefix: String,
    },
    /// This block is not ours any more, over restarts
    Remove {
        /// The block
        prefix: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct FibRoutes {
    /// Only this prefix and those that lie within it
    prefix: Option<String>,
    /// Only routes that are not in the kernel as wanted
    #[arg(long)]
    troubled: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum FibCommand {
    /// Read the kernel's tables anew and compare: exit code 0 where they are as wanted, 1 where not
    Audit,
    /// Remove all routes of ours from the kernel, until the daemon is started again
    Flush,
}

/// Asks or orders.
pub(super) async fn execute(
    command: &NodeCommand,
    client: &mut Client,
    out: &mut Output<'_>,
) -> Result<(), ClientError> {
    match command {
        NodeCommand::Node => {
            let summary: NodeSummary = client.get("/v1/node", &[]).await?;
            out.one(&summary, show_node::summary)
        }
        NodeCommand::Block { command } => block(command, client, out).await,
        NodeCommand::Fib { command, routes } => match command {
            None => fib(routes, client, out).await,
            Some(FibCommand::Audit) => audit(client, out).await,
            Some(FibCommand::Flush) => {
                let done: Done = client.post("/v1/kernel/flush", &Order::default()).await?;
                out.one(&done, super::show::done)
            }
        },
        NodeCommand::Conflicts { prefix } => {
            let mut list = out.list(show_node::conflicts);
            let query = within(prefix.as_deref());
            pages::<Conflict>(client, "/v1/conflicts", &query, None, &mut list).await?;
            list.end()
        }
        NodeCommand::NextHops => {
            let mut list = out.list(show_node::next_hops);
            pages::<NextHopLine>(client, "/v1/next-hops", &[], None, &mut list).await?;
            list.end()
        }
    }
}

fn within(prefix: Option<&str>) -> Vec<(&'static str, &str)> {
    prefix
        .map(|prefix| ("prefix", prefix))
        .into_iter()
        .collect()
}

async fn block(
    command: &BlockCommand,
    client: &mut Client,
    out: &mut Output<'_>,
) -> Result<(), ClientError> {
    let (path, prefix) = match command {
        BlockCommand::List => {
            let mut list = out.list(show_node::blocks);
            let page: Page<BlockLine> = client.get("/v1/blocks", &[]).await?;
            list.add(page.items)?;
            return list.end();
        }
        BlockCommand::Add { prefix } => ("/v1/blocks/add", prefix),
        BlockCommand::Remove { prefix } => ("/v1/blocks/remove", prefix),
    };
    let order = BlockOrder {
        prefix: prefix.clone(),
    };
    let done: Done = client.post(path, &order).await?;
    out.one(&done, super::show::done)
}

async fn fib(
    routes: &FibRoutes,
    client: &mut Client,
    out: &mut Output<'_>,
) -> Result<(), ClientError> {
    let mut list = out.list(if routes.troubled {
        show_node::troubled_routes
    } else {
        show_node::kernel_routes
    });
    let query = within(routes.prefix.as_deref());
    if routes.troubled {
        list.only(|route: &KernelRoute| route.state != "installed");
    }
    pages::<KernelRoute>(client, "/v1/kernel", &query, None, &mut list).await?;
    list.end()
}

async fn audit(client: &mut Client, out: &mut Output<'_>) -> Result<(), ClientError> {
    let audit: Audit = client.post("/v1/kernel/audit", &Order::default()).await?;
    out.one(&audit, show_node::audit)?;
    match (audit.equal, audit.complete) {
        (true, _) => Ok(()),
        (false, true) => Err(ClientError::Unequal(audit.differences.len() + audit.more)),
        (false, false) => Err(ClientError::Incomplete),
    }
}
