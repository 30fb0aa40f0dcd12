//! Blocks that were added or removed while the daemon ran, kept over its restarts.
//!
//! The configuration says which blocks a node owns; `bgpctl block add` and `bgpctl block remove`
//! change that, and what they changed stands in one small file (`blocks.json` in the folder that
//! `--state` names):
//!
//! ```json
//! { "version": 1, "added": ["10.244.17.64/26"], "removed": [] }
//! ```
//!
//! # Invariants
//!
//! - The file is replaced as a whole: written beside its place, brought to the disk, moved, and the
//!   move brought to the disk. After a crash there is the old one or the new one.
//! - An order is answered when its file is on the disk.
//! - A file that cannot be read or makes no sense is never replaced. It keeps the daemon from
//!   starting: to run without the blocks that it names would cut their workloads off.

use bgp_blocks::NodeSettings;
use bgp_core::prefix::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where the state of a node is kept when nobody says otherwise. Not `/run`: it shall outlive a
/// reboot.
pub const DEFAULT_STATE: &str = "/var/lib/bgp-node";
/// Largest file, in octets. A larger one is refused unread.
pub const MAX_STATE: u64 = 1 << 20;
/// The only version of the file so far.
const VERSION: u32 = 1;

/// What the file says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    version: u32,
    added: BTreeSet<IpNet>,
    removed: BTreeSet<IpNet>,
}

/// The blocks of the configuration, and what has been changed about them.
#[derive(Clone, Debug)]
pub(super) struct BlockStore {
    file: PathBuf,
    saved: Saved,
}

/// Why a store does not work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be read.
    #[error(
        "cannot read {file}: {error}; mend that, or remove the file to have the blocks of the configuration alone"
    )]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It makes no sense.
    #[error(
        "{file}: {error}; correct it, or remove it to have the blocks of the configuration alone"
    )]
    Nonsense {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        error: String,
    },
    /// It could not be written.
    #[error("cannot write {file}: {error}; name another folder with --state")]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl BlockStore {
    /// Reads the file in `folder`; a missing one says that nothing has been changed.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let file = folder.join("blocks.json");
        let saved = match read(&file)? {
            Some(text) => parse(&file, &text)?,
            None => Saved {
                version: VERSION,
                added: BTreeSet::new(),
                removed: BTreeSet::new(),
            },
        };
        Ok(Self { file, saved })
    }

    /// Makes `settings`, as the configuration has them, those of the node: with what has been
    /// changed since, as far as it fits. What does not is said, one line each, and stays in the
    /// file.
    pub(super) fn overlay(&self, settings: &mut NodeSettings) -> Vec<String> {
        let removed = &self.saved.removed;
        settings.blocks.retain(|block| !removed.contains(block));
        let mut refused = Vec::new();
        for block in &self.saved.added {
            if settings.blocks.contains(block) {
                continue;
            }
            settings.blocks.push(*block);
            if let Some(fault) = settings.check().first() {
                settings.blocks.pop();
                let file = self.file.display();
                refused.push(format!("{file}: {fault}: not used"));
            }
        }
        refused
    }

    /// Whether `block` was added while the daemon ran.
    pub(super) fn is_added(&self, block: IpNet) -> bool {
        self.saved.added.contains(&block)
    }

    /// Whether `block`, of the configuration, was removed while the daemon ran.
    pub(super) fn is_removed(&self, block: IpNet) -> bool {
        self.saved.removed.contains(&block)
    }

    /// Remembers that `block` is ours, whatever the configuration says.
    pub(super) fn add(&mut self, block: IpNet, configured: &[IpNet]) -> Result<(), StoreError> {
        let mut saved = self.saved.clone();
        saved.removed.remove(&block);
        if !configured.contains(&block) {
            saved.added.insert(block);
        }
        self.save(saved)
    }

    /// Remembers that `block` is not ours, whatever the configuration says.
    pub(super) fn remove(&mut self, block: IpNet, configured: &[IpNet]) -> Result<(), StoreError> {
        let mut saved = self.saved.clone();
        saved.added.remove(&block);
        if configured.contains(&block) {
            saved.removed.insert(block);
        }
        self.save(saved)
    }

    /// Takes a new configuration in: what it says anew goes before what was changed earlier.
    pub(super) fn reconcile(&mut self, old: &[IpNet], new: &[IpNet]) -> Result<(), StoreError> {
        let mut saved = self.saved.clone();
        saved.added.retain(|block| !new.contains(block));
        saved
            .removed
            .retain(|block| new.contains(block) && old.contains(block));
        self.save(saved)
    }

    /// Writes what differs from what is there.
    fn save(&mut self, saved: Saved) -> Result<(), StoreError> {
        if saved == self.saved {
            return Ok(());
        }
        write(&self.file, &saved).map_err(|error| StoreError::Unwritable {
            file: self.file.clone(),
            error,
        })?;
        self.saved = saved;
        Ok(())
    }
}

fn read(file: &Path) -> Result<Option<String>, StoreError> {
    let unreadable = |error| StoreError::Unreadable {
        file: file.to_owned(),
        error,
    };
    match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
        Ok(found) if found.len() > MAX_STATE => {
            return Err(StoreError::Nonsense {
                file: file.to_owned(),
                error: format!("is larger than {MAX_STATE} octets"),
            });
        }
        Ok(_) => {}
    }
    fs::read_to_string(file).map(Some).map_err(unreadable)
}

fn parse(file: &Path, text: &str) -> Result<Saved, StoreError> {
    let nonsense = |error: String| StoreError::Nonsense {
        file: file.to_owned(),
        error,
    };
    let saved: Saved = serde_json::from_str(text).map_err(|error| nonsense(error.to_string()))?;
    if saved.version != VERSION {
        let error = format!(
            "is of version {}, and this program writes {VERSION}",
            saved.version
        );
        return Err(nonsense(error));
    }
    Ok(saved)
}

fn write(file: &Path, saved: &Saved) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let fresh = file.with_extension("json.new");
    let mut text = serde_json::to_vec_pretty(saved)?;
    text.push(b'\n');
    let mut to = File::create(&fresh)?;
    to.write_all(&text)?;
    to.sync_all()?;
    fs::rename(&fresh, file)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    use bgp_blocks::Pool;
    use bgp_core::types::RouterId;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    /// The blocks of a node with a pool of 10.0.0.0/16 that is configured with these.
    fn blocks(store: &BlockStore, configured: &[IpNet]) -> Vec<IpNet> {
        let mut settings = settings(configured);
        assert_eq!(store.overlay(&mut settings), [""; 0]);
        settings.blocks.sort();
        settings.blocks
    }

    fn settings(configured: &[IpNet]) -> NodeSettings {
        let id = RouterId([192, 0, 2, 1].into());
        NodeSettings {
            addresses: vec![net("192.0.2.1/24")],
            pools: vec![Pool::new(net("10.0.0.0/16"))],
            blocks: configured.to_vec(),
            ..NodeSettings::new("a", id)
        }
    }

    #[test]
    fn a_block_that_no_longer_fits_is_reported_and_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (net("10.0.0.0/26"), net("10.0.0.64/26"));
        let mut store = BlockStore::open(folder.path()).unwrap();
        for block in [b, net("10.1.0.0/26"), net("10.0.1.0/24")] {
            store.add(block, &[a]).unwrap();
        }
        let mut settings = settings(&[a]);
        let refused = store.overlay(&mut settings);
        assert_eq!(settings.blocks, [a, b]);
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert!(
            refused
                .iter()
                .any(|line| line.contains("10.1.0.0/26 lies in no pool"))
        );
        // It is not forgotten: the pool may come back.
        assert!(
            BlockStore::open(folder.path())
                .unwrap()
                .is_added(net("10.1.0.0/26"))
        );
    }

    #[test]
    fn what_is_changed_outlives_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("node/state");
        let (a, b, c) = (
            net("10.0.0.0/26"),
            net("10.0.0.64/26"),
            net("10.0.0.128/26"),
        );
        let mut store = BlockStore::open(&state).unwrap();
        assert_eq!(blocks(&store, &[a, b]), [a, b]);
        store.add(c, &[a, b]).unwrap();
        store.remove(a, &[a, b]).unwrap();
        let mut store = BlockStore::open(&state).unwrap();
        assert_eq!(blocks(&store, &[a, b]), [b, c]);
        assert!(store.is_added(c) && store.is_removed(a));
        // Undone, nothing is left to remember.
        store.add(a, &[a, b]).unwrap();
        store.remove(c, &[a, b]).unwrap();
        let store = BlockStore::open(&state).unwrap();
        assert_eq!(blocks(&store, &[a, b]), [a, b]);
        assert!(!store.is_added(c) && !store.is_removed(a));
    }

    #[test]
    fn what_a_new_configuration_says_anew_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (net("10.0.0.0/26"), net("10.0.0.64/26"));
        let mut store = BlockStore::open(folder.path()).unwrap();
        store.remove(a, &[a]).unwrap();
        store.add(b, &[a]).unwrap();
        // The same configuration again changes nothing.
        store.reconcile(&[a], &[a]).unwrap();
        assert_eq!(blocks(&store, &[a]), [b]);
        // It left the file and came back: somebody wants it.
        store.reconcile(&[a], &[b]).unwrap();
        store.reconcile(&[b], &[a, b]).unwrap();
        assert_eq!(blocks(&store, &[a, b]), [a, b]);
        // `b` belongs to the configuration now, and goes with it.
        store.reconcile(&[a, b], &[a]).unwrap();
        assert_eq!(blocks(&store, &[a]), [a]);
    }

    #[test]
    fn a_file_that_makes_no_sense_is_named_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("blocks.json");
        for text in [
            "",
            "{",
            "{\"version\":2,\"added\":[],\"removed\":[]}",
            "{\"version\":1,\"added\":[\"10.0.0.0\"],\"removed\":[]}",
            "{\"version\":1,\"added\":[],\"removed\":[],\"colour\":1}",
        ] {
            fs::write(&file, text).unwrap();
            let error = BlockStore::open(folder.path()).unwrap_err().to_string();
            assert!(error.contains(file.to_str().unwrap()), "{error}");
            assert!(error.contains("remove it"), "{error}");
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        fs::write(&file, vec![b' '; MAX_STATE as usize + 1]).unwrap();
        let error = BlockStore::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("larger than"), "{error}");
    }

    #[test]
    fn a_failed_write_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let mut store = BlockStore::open(&state).unwrap();
        // A file where the folder should be.
        fs::write(&state, "").unwrap();
        let block = net("10.0.0.0/26");
        let error = store.add(block, &[]).unwrap_err().to_string();
        assert!(error.contains("--state"), "{error}");
        assert_eq!(blocks(&store, &[]), []);
    }
}
