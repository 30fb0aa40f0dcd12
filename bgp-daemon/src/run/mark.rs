//! Whether peers may be keeping routes of a predecessor (RFC 4724 §4.1).
//!
//! A process cannot know by itself whether it follows one that peers still remember. So while any
//! peer would keep our routes, a file beside the admin socket is touched every second; whoever
//! starts next and finds it fresh sets the R bit and holds End-of-RIB back. That covers a crash
//! as well as SIGTERM. A drained shutdown removes it, because peers then keep nothing; so does
//! the reboot that empties `/run`, and the restart time.
//!
//! Being wrong is harmless in one direction: End-of-RIB is late. In the other, a restart would
//! make every peer drop its routes, so in doubt the mark counts.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A mark that is younger is fresh enough.
const REFRESH: Duration = Duration::from_secs(1);

/// The file.
#[derive(Debug)]
pub(super) struct RestartMark {
    path: PathBuf,
    /// When it was last written.
    written: Option<Instant>,
    /// A failure has been told; the next ones are the same.
    told: bool,
}

impl RestartMark {
    /// The mark that belongs to the admin socket at `socket`.
    pub(super) fn beside(socket: &Path) -> Self {
        Self {
            path: socket.with_extension("restart"),
            written: None,
            told: false,
        }
    }

    /// Whether a predecessor left its mark no longer than `restart_time` ago. It counts once.
    pub(super) fn take(&mut self, restart_time: Duration) -> bool {
        let modified = fs::symlink_metadata(&self.path).and_then(|found| found.modified());
        let Ok(modified) = modified else {
            return false;
        };
        self.clear();
        // A mark from the future (the clock was set back) is fresh.
        modified.elapsed().unwrap_or_default() <= restart_time
    }

    /// Peers would keep our routes if we were gone now.
    pub(super) fn set(&mut self) {
        if self.written.is_some_and(|at| at.elapsed() < REFRESH) {
            return;
        }
        self.written = Some(Instant::now());
        let write = || {
            // The folder may be one that everybody can write to: never through a link.
            let mut file = File::options()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .custom_flags(nix::libc::O_NOFOLLOW)
                .open(&self.path)?;
            writeln!(file, "peers keep routes of process {}", std::process::id())
        };
        if let Err(error) = write()
            && !self.told
        {
            self.told = true;
            let path = self.path.display();
            tracing::warn!("{path}: {error}; after a restart peers may drop our routes too early");
        }
    }

    /// Peers keep nothing of ours.
    pub(super) fn clear(&mut self) {
        self.written = None;
        // What is not there need not be removed, and what cannot be removed grows old.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_fresh_mark_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut mark = RestartMark::beside(&folder.path().join("bgp-rr.sock"));
        assert!(!mark.take(HOUR));
        mark.set();
        assert!(folder.path().join("bgp-rr.restart").exists());
        assert!(mark.take(HOUR));
        assert!(!mark.take(HOUR));
    }

    #[test]
    fn an_old_mark_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let mut mark = RestartMark::beside(&folder.path().join("bgp-rr.sock"));
        mark.set();
        let old = std::time::SystemTime::now() - 2 * HOUR;
        File::options()
            .write(true)
            .open(&mark.path)
            .and_then(|file| file.set_modified(old))
            .unwrap();
        assert!(!mark.take(HOUR));
    }

    #[test]
    fn it_is_not_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other");
        fs::write(&other, "precious").unwrap();
        let mut mark = RestartMark::beside(&folder.path().join("bgp-rr.sock"));
        std::os::unix::fs::symlink(&other, &mark.path).unwrap();
        mark.set();
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
    }

    #[test]
    fn a_drained_shutdown_leaves_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut mark = RestartMark::beside(&folder.path().join("bgp-rr.sock"));
        mark.set();
        mark.clear();
        assert!(!mark.take(HOUR));
    }
}
