//! Reflectors killed and stopped.

use super::{Finding, Scene};
use crate::{Error, Result};
use std::thread;
use std::time::Duration;

/// How long the first is away before the second follows.
const ONE_AWAY: Duration = Duration::from_secs(5);
/// How long both are away after a crash.
const BOTH_KILLED: Duration = Duration::from_secs(20);
/// How long both are away after a stop.
const BOTH_STOPPED: Duration = Duration::from_secs(5);

impl Scene<'_> {
    pub(super) fn kill_reflector(&mut self, index: usize) -> Result<()> {
        let reflector = self.cluster.reflectors.get_mut(index);
        reflector
            .ok_or_else(|| Error::Check("this cluster has no reflectors".to_owned()))?
            .daemon
            .kill();
        Ok(())
    }

    /// Starts those that do not run.
    pub(super) fn start_reflectors(&mut self) -> Result<()> {
        for reflector in &mut self.cluster.reflectors {
            if reflector.daemon.id().is_none() {
                reflector.daemon.start()?;
            }
        }
        Ok(())
    }
}

pub(super) fn killed(scene: &mut Scene<'_>) -> Result<Finding> {
    let mark = scene.mark()?;
    scene.kill_reflector(0)?;
    thread::sleep(ONE_AWAY);
    scene.kill_reflector(1)?;
    thread::sleep(BOTH_KILLED);
    scene.start_reflectors()?;
    scene.cluster.wait_established(super::SETTLE_LIMIT)?;
    Ok(Finding::since(scene, &mark)?.without_loss())
}

pub(super) fn stopped(scene: &mut Scene<'_>) -> Result<Finding> {
    let mark = scene.mark()?;
    for reflector in &mut scene.cluster.reflectors {
        reflector.daemon.terminate()?;
    }
    thread::sleep(BOTH_STOPPED);
    scene.start_reflectors()?;
    scene.cluster.wait_established(super::SETTLE_LIMIT)?;
    Ok(Finding::since(scene, &mark)?.without_loss())
}
