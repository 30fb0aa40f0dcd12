//! What each file under `tests/config` gives: its complete configuration, or everything that is
//! wrong with it. `UPDATE_GOLDEN=1` writes the answers anew; the diff is for a person to read.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its case must stop"
)]

use bgp_core::types::RouterId;
use bgp_daemon::config::{DaemonConfig, Kind, Severity};
use bgp_daemon::host::Host;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

fn host() -> Host {
    Host {
        router_id: RouterId(Ipv4Addr::new(192, 0, 2, 7)),
        router_id_source: "address of eth0".to_owned(),
        name: "rr-1".to_owned(),
    }
}

/// What `--check` prints for a text: warnings and the configuration, or errors.
fn answer(source: &str, file: &str, kind: Kind) -> String {
    match DaemonConfig::parse(source, file, kind, &host()) {
        Ok(loaded) => format!("{}{}", loaded.warnings, loaded.config),
        Err(report) => {
            assert_ne!(report.count(Severity::Error), 0, "refused without a reason");
            report.to_string()
        }
    }
}

/// Where the cases of each kind are.
fn folders() -> [(Kind, PathBuf); 2] {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    [
        (Kind::Reflector, tests.join("config")),
        (Kind::Node, tests.join("node-config")),
    ]
}

fn cases() -> Vec<(Kind, PathBuf)> {
    let mut cases = Vec::new();
    for (kind, folder) in folders() {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut files: Vec<PathBuf> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "toml"))
            .collect();
        files.sort();
        assert!(!files.is_empty());
        cases.extend(files.into_iter().map(|file| (kind, file)));
    }
    cases
}

#[test]
fn each_file_gives_its_answer() {
    let bless = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for (kind, case) in cases() {
        let source = std::fs::read_to_string(&case).unwrap();
        let file = case.file_name().unwrap().to_string_lossy().into_owned();
        let actual = answer(&source, &file, kind);
        let golden = case.with_extension("txt");
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if bless {
            std::fs::write(&golden, &actual).unwrap();
        } else if actual != expected {
            wrong.push(format!("{file}:\n{actual}\n--- expected\n{expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_golden_without_its_file() {
    for (_, folder) in folders() {
        let files = std::fs::read_dir(folder).unwrap();
        let stem = |path: PathBuf| path.file_stem().unwrap().to_owned();
        let (texts, answers): (Vec<_>, Vec<_>) = files
            .map(|entry| entry.unwrap().path())
            .partition(|path| path.extension().is_some_and(|e| e == "toml"));
        let texts: BTreeSet<_> = texts.into_iter().map(stem).collect();
        let answers: BTreeSet<_> = answers.into_iter().map(stem).collect();
        assert_eq!(texts, answers);
    }
}

/// `--check` prints the complete configuration: reading it again changes nothing, and leaves
/// nothing to the host.
#[test]
fn what_is_printed_gives_the_same_configuration() {
    let elsewhere = Host {
        router_id: RouterId(Ipv4Addr::LOCALHOST),
        router_id_source: String::new(),
        name: "elsewhere".to_owned(),
    };
    let mut count = 0;
    for (kind, case) in cases() {
        let source = std::fs::read_to_string(&case).unwrap();
        let Ok(loaded) = DaemonConfig::parse(&source, "first", kind, &host()) else {
            continue;
        };
        let printed = loaded.config.to_string();
        let again = DaemonConfig::parse(&printed, "second", kind, &elsewhere)
            .unwrap_or_else(|report| panic!("{}: {report}\n{printed}", case.display()));
        assert_eq!(again.config, loaded.config, "{}", case.display());
        assert_eq!(again.config.to_string(), printed);
        count += 1;
    }
    assert!(count >= 4, "only {count} files are valid");
}

#[test]
fn the_built_in_configuration_is_valid_and_printed_too() {
    let listen = vec!["[::]:1179".parse().unwrap()];
    let config = DaemonConfig::built_in(&host(), listen);
    assert_eq!(config.speaker.check(), []);
    let again = DaemonConfig::parse(&config.to_string(), "built-in", Kind::Reflector, &host());
    let again = again.unwrap();
    assert_eq!(again.config, config);
    assert!(again.warnings.diagnostics.is_empty());
}

#[test]
fn every_example_in_the_documentation_is_valid_and_without_warnings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            let name = path.file_name().unwrap().to_string_lossy();
            let kind = if name.starts_with("bgp-node") {
                Kind::Node
            } else {
                Kind::Reflector
            };
            // One file serves every node; this is one of them.
            let host = Host {
                name: "node-11".to_owned(),
                ..host()
            };
            let loaded = DaemonConfig::load(&path, kind, &host).unwrap_or_else(|e| panic!("{e}"));
            assert!(
                loaded.warnings.diagnostics.is_empty(),
                "{}",
                loaded.warnings
            );
            count += 1;
        }
    }
    assert!(count > 0);
}

/// Nothing that a person may type brings the reader down, and every error has a place.
#[test]
fn any_damage_to_a_good_file_is_an_error_or_still_good() {
    for (kind, folder) in folders() {
        let source = std::fs::read_to_string(folder.join("full.toml")).unwrap();
        for at in (0..source.len()).filter(|at| source.is_char_boundary(*at)) {
            answer(&source[..at], "cut", kind);
            for damage in ["\"", "[", "]", "=", "\n", "0", "x", "\u{e4}"] {
                let mut damaged = source.clone();
                damaged.insert_str(at, damage);
                answer(&damaged, "damaged", kind);
            }
        }
    }
}
