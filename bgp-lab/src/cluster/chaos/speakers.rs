//! Speakers killed, stopped, restarted beside a dead reflector, and given a broken file.

use super::{Finding, Scene};
use crate::Result;
use crate::cluster::plan::NodeNumber;
use bgp_core::family::Family;
use std::thread;
use std::time::{Duration, Instant};

/// Whose speaker it is.
const VICTIM: NodeNumber = NodeNumber(3);
/// Who has news meanwhile.
const OTHER: NodeNumber = NodeNumber(2);
/// How long a speaker is away.
const AWAY: Duration = Duration::from_secs(3);
/// How long it is waited for.
const LIMIT: Duration = Duration::from_secs(30);

/// How a speaker ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Killed,
    Stopped,
}

impl Scene<'_> {
    pub(super) fn end_speaker(&mut self, node: NodeNumber, end: End) -> Result<()> {
        let speaker = &mut self.cluster.node(node)?.speaker;
        match end {
            End::Killed => speaker.kill(),
            End::Stopped => speaker.terminate()?,
        }
        Ok(())
    }

    /// Ends a speaker, gives it and another node a block meanwhile, starts it, and says how long
    /// it took until both blocks were everywhere: only then it works.
    fn restart(&mut self, end: End, away: Duration) -> Result<Option<Duration>> {
        let family = Family::Ipv4Unicast;
        let (own, news) = (VICTIM.block(family, 1), OTHER.block(family, 1));
        self.end_speaker(VICTIM, end)?;
        let ended = Instant::now();
        self.cluster.change_block(VICTIM, own, true)?;
        self.cluster.change_block(OTHER, news, true)?;
        thread::sleep(away.saturating_sub(ended.elapsed()));
        let started = Instant::now();
        self.cluster.node(VICTIM)?.speaker.start()?;
        let took = self.timed(started, LIMIT, |cluster| {
            Ok(cluster.way(VICTIM, &news)?.is_some() && cluster.everywhere(&own, VICTIM, true)?)
        })?;
        self.cluster.change_block(VICTIM, own, false)?;
        self.cluster.change_block(OTHER, news, false)?;
        Ok(took)
    }

    /// Waits until blocks that were given for a while are gone.
    fn forget_extra_blocks(&mut self) -> Result<()> {
        for owner in [VICTIM, OTHER] {
            let block = owner.block(Family::Ipv4Unicast, 1);
            let nobody = NodeNumber(0);
            self.timed(Instant::now(), LIMIT, |cluster| {
                cluster.everywhere(&block, nobody, false)
            })?;
        }
        Ok(())
    }
}

pub(super) fn killed(scene: &mut Scene<'_>) -> Result<Finding> {
    let mark = scene.mark()?;
    let took = scene.restart(End::Killed, AWAY)?;
    let finding = Finding::since(scene, &mark)?;
    scene.forget_extra_blocks()?;
    Ok(finding
        .without_loss()
        .within("works", took, Duration::from_secs(1)))
}

pub(super) fn restarted(scene: &mut Scene<'_>) -> Result<Finding> {
    let mark = scene.mark()?;
    let took = scene.restart(End::Stopped, Duration::ZERO)?;
    let finding = Finding::since(scene, &mark)?;
    scene.forget_extra_blocks()?;
    Ok(finding.without_loss().within("works", took, LIMIT))
}

pub(super) fn restarted_beside_a_dead_reflector(scene: &mut Scene<'_>) -> Result<Finding> {
    scene.kill_reflector(1)?;
    let mark = scene.mark()?;
    let took = scene.restart(End::Killed, Duration::ZERO)?;
    let finding = Finding::since(scene, &mark)?;
    scene.start_reflectors()?;
    scene.cluster.wait_established(super::SETTLE_LIMIT)?;
    scene.forget_extra_blocks()?;
    Ok(finding
        .without_loss()
        .within("works", took, Duration::from_secs(3)))
}

pub(super) fn stale_route(scene: &mut Scene<'_>) -> Result<Finding> {
    let block = OTHER.block(Family::Ipv4Unicast, 1);
    let mark = scene.mark()?;
    let (established, gone) = scene.leave_stale_route(&block)?;
    let after = gone
        .zip(established)
        .map(|(gone, up)| gone.saturating_sub(up));
    Ok(Finding::since(scene, &mark)?
        .without_loss()
        .measured(format!(
            "first session after {}",
            established.map_or_else(|| "never".to_owned(), super::seconds)
        ))
        .within("then gone", after, Duration::from_secs(2)))
}

pub(super) fn stale_route_beside_a_dead_reflector(scene: &mut Scene<'_>) -> Result<Finding> {
    let block = OTHER.block(Family::Ipv4Unicast, 1);
    scene.kill_reflector(1)?;
    let mark = scene.mark()?;
    let (_, gone) = scene.leave_stale_route(&block)?;
    let finding = Finding::since(scene, &mark)?;
    scene.start_reflectors()?;
    scene.cluster.wait_established(super::SETTLE_LIMIT)?;
    Ok(finding
        .without_loss()
        .within("gone", gone, Duration::from_secs(5)))
}

impl Scene<'_> {
    /// Lets `block` come and, while the victim's speaker is away, go. Answers when after its start
    /// its first session was up, and when the stale route was gone.
    fn leave_stale_route(
        &mut self,
        block: &bgp_core::prefix::IpNet,
    ) -> Result<(Option<Duration>, Option<Duration>)> {
        self.cluster.change_block(OTHER, *block, true)?;
        self.timed(Instant::now(), LIMIT, |cluster| {
            cluster.everywhere(block, OTHER, true)
        })?;
        self.end_speaker(VICTIM, End::Killed)?;
        self.cluster.change_block(OTHER, *block, false)?;
        thread::sleep(Duration::from_secs(1));
        let started = Instant::now();
        self.cluster.node(VICTIM)?.speaker.start()?;
        let mut established = None;
        let gone = self.timed(started, LIMIT, |cluster| {
            if established.is_none() && cluster.node(VICTIM)?.speaker.established()? > 0 {
                established = Some(started.elapsed());
            }
            Ok(cluster.way(VICTIM, block)?.is_none())
        })?;
        Ok((established, gone))
    }
}

pub(super) fn broken_reload(scene: &mut Scene<'_>) -> Result<Finding> {
    let mark = scene.mark()?;
    let answer = scene.cluster.node(VICTIM)?.speaker.reload_broken();
    let (said, fault) = match answer {
        Ok(said) => (said, None),
        Err(error) => (String::new(), Some(error.to_string())),
    };
    let missing = scene.cluster.missing_routes()?;
    let has_line = said.contains("line ") || said.contains(".toml:") || said.contains(".conf:");
    Ok(Finding::since(scene, &mark)?
        .without_loss()
        .measured(said.lines().next().unwrap_or_default().to_owned())
        .demand(fault.is_none(), || fault.unwrap_or_default())
        .demand(has_line, || format!("it did not say where: {said}"))
        .demand(missing.is_empty(), || missing.join("; ")))
}
