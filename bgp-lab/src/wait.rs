//! Polling with a deadline: the only way in which this crate lets time pass.
//!
//! A probe answers `Ok` when what is waited for is there, and otherwise says in words what is
//! still missing; the words of the last probe stand in the error.

use crate::{Error, Result};
use std::thread;
use std::time::{Duration, Instant};

/// The first pause between two probes; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// The longest pause between two probes.
const MAX_PAUSE: Duration = Duration::from_millis(100);

/// The pause of [`timed`].
const SHORT_PAUSE: Duration = Duration::from_millis(1);

/// Probes every millisecond until `probe` answers `Ok`, and says how long after `since` that was;
/// `None` when it was not within `limit` of `since`.
///
/// # Errors
/// What `probe` fails with.
pub fn timed(
    since: Instant,
    limit: Duration,
    mut probe: impl FnMut() -> Result<bool>,
) -> Result<Option<Duration>> {
    loop {
        if probe()? {
            return Ok(Some(since.elapsed()));
        }
        if since.elapsed() >= limit {
            return Ok(None);
        }
        thread::sleep(SHORT_PAUSE);
    }
}

/// Probes until `probe` answers `Ok`.
///
/// # Errors
/// [`Error::Timeout`] with the last reason when `limit` has passed.
pub fn until<T, E: std::fmt::Display>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> Result<T, E>,
) -> Result<T> {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let missing = match probe() {
            Ok(found) => return Ok(found),
            Err(missing) => missing,
        };
        if started.elapsed() >= limit {
            return Err(Error::Timeout {
                what: what.to_owned(),
                waited: started.elapsed(),
                missing: missing.to_string(),
            });
        }
        thread::sleep(pause);
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_what_the_probe_found() {
        let mut tries = 0;
        let found = until("three", Duration::from_secs(10), || {
            tries += 1;
            if tries == 3 {
                Ok(tries)
            } else {
                Err("not yet")
            }
        });
        assert_eq!(found.unwrap(), 3);
    }

    #[test]
    fn says_what_was_missing() {
        let failed: Result<()> = until("rain", Duration::ZERO, || Err("no clouds"));
        let text = failed.unwrap_err().to_string();
        assert!(
            text.contains("rain") && text.contains("no clouds"),
            "{text}"
        );
    }
}
