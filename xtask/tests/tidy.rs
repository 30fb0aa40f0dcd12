//! Rules of the house that no compiler checks: dependency arrows, sizes, and documents that tell
//! the truth.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// No source file is longer than this; a room that needs more is two rooms.
const MAX_FILE_LINES: usize = 700;

/// Rooms of bgp-core, each with those that it may use. `types`, `time`, `rng`, `family` and
/// `prefix` are the nouns that everyone may use.
const ROOMS: [(&str, &[&str]); 6] = [
    ("wire", &[]),
    ("policy", &["wire"]),
    ("config", &["wire", "policy"]),
    ("session", &["wire", "policy", "config"]),
    ("rib", &["wire", "policy", "config"]),
    ("speaker", &["wire", "policy", "config", "session", "rib"]),
];

/// Crates of the workspace, each with those of ours that it may depend on outside tests.
const CRATES: [(&str, &[&str]); 11] = [
    ("bgp-core", &[]),
    ("bgp-io", &["bgp-core"]),
    ("bgp-fib", &["bgp-core"]),
    ("bgp-blocks", &["bgp-core", "bgp-fib"]),
    (
        "bgp-daemon",
        &["bgp-core", "bgp-io", "bgp-fib", "bgp-blocks"],
    ),
    ("bgp-rr", &["bgp-daemon"]),
    ("bgp-node", &["bgp-daemon"]),
    ("bgp-sim", &["bgp-core"]),
    ("bgp-lab", &["bgp-core"]),
    ("benches", &["bgp-core", "bgp-fib", "bgp-lab"]),
    ("xtask", &[]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn all_sources() -> Vec<PathBuf> {
    let crates = CRATES.iter().map(|(name, _)| *name).chain(["fuzz"]);
    crates
        .flat_map(|name| sources(&root().join(name)))
        .collect()
}

#[test]
fn rooms_of_the_core_use_only_those_below_them() {
    let core = root().join("bgp-core/src");
    let rooms: BTreeSet<&str> = ROOMS.iter().map(|(room, _)| *room).collect();
    let mut wrong = Vec::new();
    for (room, may_use) in ROOMS {
        for file in sources(&core.join(room)) {
            let text = fs::read_to_string(&file).unwrap();
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                for used in code.split("crate::").skip(1) {
                    let name: String = used
                        .chars()
                        .take_while(|c| c.is_alphanumeric() || *c == '_')
                        .collect();
                    let forbidden = rooms.contains(name.as_str())
                        && name != room
                        && !may_use.contains(&name.as_str());
                    if forbidden {
                        wrong.push(format!(
                            "{}:{}: {room} uses {name}",
                            file.display(),
                            number + 1
                        ));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn crates_depend_only_on_those_below_them() {
    let mut wrong = Vec::new();
    for (name, may_use) in CRATES {
        let text = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let dependencies = text
            .split("\n[")
            .find(|section| section.starts_with("dependencies]"))
            .unwrap_or_default();
        for line in dependencies.lines() {
            let used = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let ours = CRATES.iter().any(|(other, _)| *other == used);
            if ours && !may_use.contains(&used) {
                wrong.push(format!("{name} depends on {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_core_depends_on_no_runtime() {
    let text = fs::read_to_string(root().join("bgp-core/Cargo.toml")).unwrap();
    for forbidden in [
        "tokio",
        "socket2",
        "libc",
        "nix",
        "tracing-subscriber",
        "rand",
    ] {
        assert!(!text.contains(forbidden), "bgp-core depends on {forbidden}");
    }
}

#[test]
fn no_file_outgrows_its_room() {
    let long: Vec<String> = all_sources()
        .into_iter()
        .filter_map(|file| {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            (lines > MAX_FILE_LINES).then(|| format!("{}: {lines} lines", file.display()))
        })
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn every_room_opens_with_an_essay() {
    let short: Vec<String> = all_sources()
        .into_iter()
        .filter(|file| {
            file.file_name()
                .is_some_and(|name| name == "mod.rs" || name == "lib.rs")
        })
        .filter(|file| !file.components().any(|part| part.as_os_str() == "tests"))
        .filter_map(|file| {
            let text = fs::read_to_string(&file).unwrap();
            let essay = text
                .lines()
                .take_while(|line| line.starts_with("//!"))
                .count();
            (essay < 5).then(|| format!("{}: {essay} lines of essay", file.display()))
        })
        .collect();
    assert!(short.is_empty(), "{}", short.join("\n"));
}

#[test]
fn nothing_is_left_for_later_without_saying_where() {
    // Put together so that this file does not find itself.
    let words = [
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("FIX", "ME"),
    ];
    let ignored = concat!("#[ign", "ore");
    let mut wrong = Vec::new();
    for file in all_sources() {
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) || line.contains(ignored) {
                wrong.push(format!(
                    "{}:{}: {}",
                    file.display(),
                    number + 1,
                    line.trim()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Words in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn paths_named_in_the_architecture_exist() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let paths: Vec<&str> = quoted(&text)
        .filter(|word| !word.contains([' ', '(', '<', '*', ':']))
        .filter(|word| word.contains('/') || word.ends_with(".md") || word.ends_with(".rs"))
        .filter(|word| !word.starts_with('/'))
        .collect();
    assert!(
        paths.len() > 20,
        "the architecture names {} paths only",
        paths.len()
    );
    let missing: Vec<&&str> = paths
        .iter()
        .filter(|path| !root().join(path).exists())
        .collect();
    assert!(
        missing.is_empty(),
        "ARCHITECTURE.md names what is not there: {missing:?}"
    );
}

#[test]
fn tests_named_in_the_rfc_notes_exist() {
    let text = fs::read_to_string(root().join("docs/rfc-notes.md")).unwrap();
    let everything: String = all_sources()
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let named: Vec<&str> = quoted(&text)
        .filter_map(|word| word.strip_prefix("test:"))
        .collect();
    assert!(!named.is_empty(), "docs/rfc-notes.md names no test");
    let missing: Vec<&&str> = named
        .iter()
        .filter(|name| !everything.contains(&format!("fn {name}(")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/rfc-notes.md names tests that are not there: {missing:?}"
    );
}

#[test]
fn types_named_in_the_glossary_exist() {
    let text = fs::read_to_string(root().join("docs/glossary.md")).unwrap();
    let everything: String = all_sources()
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let missing: Vec<&str> = quoted(&text)
        .filter(|word| {
            word.starts_with(char::is_uppercase) && word.chars().all(char::is_alphanumeric)
        })
        .filter(|word| {
            !["struct", "enum", "type", "trait"]
                .iter()
                .any(|kind| everything.contains(&format!("{kind} {word}")))
        })
        .collect();
    assert!(
        missing.is_empty(),
        "docs/glossary.md names types that are not there: {missing:?}"
    );
}
