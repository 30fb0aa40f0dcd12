//! What a process has used, as the kernel accounts for it.

use bgp_lab::{Error, Result};
use std::fs;

/// Processor time and memory of a process so far.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    /// Seconds of processor time, user and system.
    pub(crate) cpu: f64,
    /// Resident memory in MiB.
    pub(crate) memory: f64,
}

/// Clock ticks of `/proc/PID/stat` in a second: 100 on every Linux that Debian builds.
const TICKS: f64 = 100.0;

/// What process `id` has used so far.
pub(crate) fn usage(id: Option<u32>) -> Result<Usage> {
    let id = id.ok_or_else(|| Error::Check("the reflector does not run".into()))?;
    let read = |file: &str| {
        let path = format!("/proc/{id}/{file}");
        fs::read_to_string(&path).map_err(|error| Error::Check(format!("{path}: {error}")))
    };
    let (stat, status) = (read("stat")?, read("status")?);
    // The command may contain spaces; what follows its closing parenthesis does not.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |index: usize| -> f64 {
        fields
            .get(index)
            .and_then(|field| field.parse().ok())
            .unwrap_or(0.0)
    };
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse::<f64>().ok())
        .unwrap_or(0.0);
    Ok(Usage {
        cpu: (ticks(11) + ticks(12)) / TICKS,
        memory: resident / 1024.0,
    })
}
