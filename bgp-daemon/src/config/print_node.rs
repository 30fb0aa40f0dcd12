//! The sections of a node in the text form of a [`DaemonConfig`].

use super::node_value::format_mac;
use super::print::{key, list, quoted};
use super::value::format_duration;
use super::{DaemonConfig, NodeConfig};
use bgp_blocks::{End, NodeSettings, Pool};
use bgp_core::config::{PeerSettings, Router};
use std::fmt;

pub(super) fn node(
    f: &mut fmt::Formatter<'_>,
    node: &NodeConfig,
    config: &DaemonConfig,
) -> fmt::Result {
    let settings = &node.settings;
    let router = &config.speaker.router;
    writeln!(f, "[node]")?;
    key(f, "name", quoted(&settings.name))?;
    key(f, "address", list(&settings.addresses))?;
    key(f, "as", router.asn)?;
    key(f, "router-id", quoted(router.router_id))?;
    key(f, "listen", list(&config.listen))?;
    key(f, "services", list(&settings.services))?;
    key(f, "announce-services", settings.announce_services)?;
    key(f, "workload-devices", list(&settings.workload_devices))?;
    key(f, "settle", quoted(format_duration(router.settle)))?;
    let restart_time = format_duration(router.restart_time);
    key(f, "restart-time", quoted(restart_time))?;
    key(f, "host-name", quoted(&router.host_name))?;
    settings.pools.iter().try_for_each(|one| pool(f, one))?;
    for block in &settings.blocks {
        writeln!(f, "\n[[block]]")?;
        key(f, "prefix", quoted(block))?;
    }
    settings.ends.iter().try_for_each(|one| end(f, one))?;
    fib(f, &node.fib, settings, router)
}

/// What a peer is to a node: the engine knows internal peers alone, of which those that are not
/// in the way of the traffic are reflectors.
pub(super) fn role(settings: &PeerSettings) -> String {
    match (settings.role.is_internal(), settings.keep_when_silent) {
        (true, true) => "reflector".to_owned(),
        (true, false) => "node".to_owned(),
        (false, _) => settings.role.to_string(),
    }
}

fn pool(f: &mut fmt::Formatter<'_>, pool: &Pool) -> fmt::Result {
    writeln!(f, "\n[[pool]]")?;
    key(f, "prefix", quoted(pool.prefix))?;
    key(f, "block-size", pool.block_size)?;
    key(f, "encapsulation", quoted(pool.encapsulation))?;
    match &pool.device {
        Some(device) => key(f, "device", quoted(device))?,
        None => writeln!(f, "# device: not set, there is no tunnel")?,
    }
    key(f, "install", pool.install)
}

fn end(f: &mut fmt::Formatter<'_>, end: &End) -> fmt::Result {
    writeln!(f, "\n[[tunnel-end]]")?;
    key(f, "host", quoted(end.host))?;
    key(f, "address", quoted(end.address))?;
    key(f, "mac", quoted(format_mac(end.mac)))
}

fn fib(
    f: &mut fmt::Formatter<'_>,
    fib: &bgp_fib::Settings,
    settings: &NodeSettings,
    router: &Router,
) -> fmt::Result {
    writeln!(f, "\n[fib]")?;
    key(f, "protocol", fib.protocol)?;
    key(f, "metric", fib.metric)?;
    let adopt: Vec<String> = fib.adopt.iter().map(u8::to_string).collect();
    key(f, "adopt", format_args!("[{}]", adopt.join(", ")))?;
    key(f, "table", fib.table)?;
    key(f, "resync", quoted(format_duration(fib.resync)))?;
    key(f, "next-hop-objects", fib.next_hop_objects)?;
    key(f, "multipath", router.multipath)?;
    key(
        f,
        "stale-time",
        quoted(format_duration(settings.stale_time)),
    )?;
    key(f, "other-routes", quoted(settings.other_routes))
}
