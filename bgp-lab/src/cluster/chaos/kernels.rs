//! Others who edit the routes of a node.

use super::{Finding, Scene};
use crate::cluster::Way;
use crate::cluster::kernel::{KernelRoute, Kind};
use crate::cluster::plan::{NodeNumber, Site, pool};
use crate::cluster::watch::{self, Watch};
use crate::{Error, Result, check};
use bgp_core::family::Family;
use bgp_core::prefix::IpNet;
use std::fmt::Write;
use std::thread;
use std::time::{Duration, Instant};

/// Whose kernel is edited.
const VICTIM: NodeNumber = NodeNumber(1);
/// Whose block's route is replaced by a foreign one.
const OTHER: NodeNumber = NodeNumber(4);
/// How long a speaker is given to do the wrong thing: longer than BIRD's scan.
const WATCH: Duration = Duration::from_secs(4);
/// How long healing is waited for.
const LIMIT: Duration = Duration::from_secs(30);
/// How fast it must be.
const BOUND: Duration = Duration::from_millis(100);

/// Blocks of the pool in a kernel, as the speaker put them there.
fn blocks(scene: &mut Scene<'_>) -> Result<Vec<KernelRoute>> {
    let pool = pool(Family::Ipv4Unicast);
    let mut routes = scene.cluster.node(VICTIM)?.routes(Family::Ipv4Unicast)?;
    routes.retain(|route| pool.contains(&route.prefix) && route.prefix.prefix_len() < 32);
    Ok(routes)
}

impl Scene<'_> {
    /// Waits until the victim's kernel has all of `routes`, at most [`LIMIT`].
    fn wait_healed(&mut self, routes: &[KernelRoute]) -> Result<()> {
        self.timed(Instant::now(), LIMIT, |cluster| {
            let there = cluster.node(VICTIM)?.routes(Family::Ipv4Unicast)?;
            Ok(routes.iter().all(|route| there.contains(route)))
        })?;
        Ok(())
    }

    /// What the victim's speaker has said about `prefix` after its first `before` lines.
    fn said_since(&mut self, prefix: &IpNet, before: usize) -> Result<Vec<String>> {
        let speaker = &self.cluster.node(VICTIM)?.speaker;
        let words = speaker.words_about(&prefix.to_string());
        Ok(words.into_iter().skip(before).collect())
    }
}

pub(super) fn deleted(scene: &mut Scene<'_>) -> Result<Finding> {
    let ours = blocks(scene)?;
    check(ours.len() >= 3, || format!("{ours:?}"))?;
    let mut lines = String::new();
    for route in &ours {
        let kind = match route.kind {
            Kind::Blackhole => "blackhole ",
            Kind::Unicast | Kind::Other(_) => "",
        };
        let _ = writeln!(
            lines,
            "route del {kind}{} metric {}",
            route.prefix, route.metric
        );
    }
    let mark = scene.mark()?;
    let namespace = scene.cluster.node(VICTIM)?.namespace.clone();
    let editor = namespace.ready_ip()?;
    let watch = Watch::start(&namespace)?;
    editor.run(&lines)?;
    scene.wait_healed(&ours)?;
    let news = watch.finish()?;
    let times: Option<Vec<Duration>> = ours
        .iter()
        .map(|route| watch::away(&news, route, route))
        .collect();
    let took = times.and_then(|times| times.into_iter().max());
    Ok(Finding::since(scene, &mark)?.within("healed", took, BOUND))
}

pub(super) fn foreign_static(scene: &mut Scene<'_>) -> Result<Finding> {
    let prefix: IpNet = NodeNumber(200).block(Family::Ipv4Unicast, 0);
    let gateway = Site::reflector(VICTIM.site().rack).address(Family::Ipv4Unicast);
    let mark = scene.mark()?;
    let before = scene.said_since(&prefix, 0)?.len();
    let namespace = scene.cluster.node(VICTIM)?.namespace.clone();
    namespace.ip(&format!("route add {prefix} via {gateway} proto static"))?;
    thread::sleep(WATCH);
    let nobody_else = scene.cluster.everywhere(&prefix, VICTIM, false)?;
    let kept = scene.cluster.way(VICTIM, &prefix)?.is_some();
    let said = scene.said_since(&prefix, before)?;
    // The speaker may have taken it away, which is told below.
    let _ = namespace.ip(&format!("route del {prefix} proto static"));
    scene.timed(Instant::now(), LIMIT, |cluster| {
        cluster.everywhere(&prefix, VICTIM, false)
    })?;
    Ok(Finding::since(scene, &mark)?
        .without_loss()
        .measured(first(&said))
        .demand(nobody_else, || "it was announced".to_owned())
        .demand(kept, || "it was removed".to_owned())
        .demand(!said.is_empty(), || "it was not reported".to_owned()))
}

pub(super) fn foreign_key(scene: &mut Scene<'_>) -> Result<Finding> {
    let block = OTHER.block(Family::Ipv4Unicast, 0);
    let ours = blocks(scene)?;
    let ours = ours.iter().find(|route| route.prefix == block);
    let ours = ours
        .ok_or_else(|| Error::Check(format!("no route to {block}")))?
        .clone();
    let gateway = Site::reflector(VICTIM.site().rack).address(Family::Ipv4Unicast);
    let metric = ours.metric;
    let mark = scene.mark()?;
    let before = scene.said_since(&block, 0)?.len();
    let namespace = scene.cluster.node(VICTIM)?.namespace.clone();
    namespace.ip(&format!(
        "route replace {block} via {gateway} proto static metric {metric}"
    ))?;
    thread::sleep(WATCH);
    let way = scene.cluster.way(VICTIM, &block)?;
    let kept = way == Some(Way::Plain(format!("{gateway} eth0")));
    let said = scene.said_since(&block, before)?;
    let routes = scene.cluster.node(VICTIM)?.routes(Family::Ipv4Unicast)?;
    let foreign = routes.iter().find(|route| {
        route.prefix == block && route.gateway == Some(gateway) && route.metric == metric
    });
    let watch = Watch::start(&namespace)?;
    // Gone already where the speaker has replaced it, which is told below.
    let _ = namespace.ip(&format!(
        "route del {block} via {gateway} proto static metric {metric}"
    ));
    scene.wait_healed(std::slice::from_ref(&ours))?;
    let news = watch.finish()?;
    let took = foreign.and_then(|foreign| watch::away(&news, foreign, &ours));
    Ok(Finding::since(scene, &mark)?
        .measured(first(&said))
        .demand(kept, || format!("it was overwritten: {way:?}"))
        .demand(!said.is_empty(), || "it was not reported".to_owned())
        .within("healed", took, BOUND))
}

fn first(said: &[String]) -> String {
    said.first().cloned().unwrap_or_default()
}
