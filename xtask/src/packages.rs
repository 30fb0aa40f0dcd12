//! The Debian packages that tests with real peers need.
//!
//! Some of them start a service when installed; `policy-rc.d` forbids that while we install, and
//! is removed again.

use crate::run::{Outcome, command, run, say};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A program and the package that brings it.
const NEEDED: [(&str, &str); 8] = [
    ("/usr/sbin/bird", "bird2"),
    ("/usr/lib/frr/bgpd", "frr"),
    ("/usr/bin/gobgpd", "gobgpd"),
    ("/usr/sbin/exabgp", "exabgp"),
    ("/usr/sbin/bgpd", "openbgpd"),
    ("/usr/bin/tshark", "tshark"),
    ("/usr/bin/text2pcap", "wireshark-common"),
    ("/usr/sbin/ip", "iproute2"),
];

const POLICY: &str = "/usr/sbin/policy-rc.d";

/// The packages that are not installed.
pub(crate) fn missing() -> Vec<&'static str> {
    let is_there = |path: &str| {
        let name = Path::new(path).file_name().unwrap_or_default();
        let elsewhere = ["/usr/bin", "/usr/sbin", "/sbin", "/bin"];
        Path::new(path).exists()
            || elsewhere
                .iter()
                .any(|dir| Path::new(dir).join(name).exists())
    };
    NEEDED
        .iter()
        .filter(|(path, _)| !is_there(path))
        .map(|(_, package)| *package)
        .collect()
}

/// Installs what is missing. Needs root and `apt-get`.
pub(crate) fn install() -> Outcome {
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    say(&format!(
        "installing the Debian packages {}",
        packages.join(" ")
    ));
    let had_policy = Path::new(POLICY).exists();
    if !had_policy {
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").map_err(|e| format!("{POLICY}: {e}"))?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))
            .map_err(|e| format!("{POLICY}: {e}"))?;
    }
    let outcome = apt(&packages);
    if !had_policy {
        fs::remove_file(POLICY).map_err(|e| format!("{POLICY}: {e}"))?;
    }
    outcome
}

fn apt(packages: &[&str]) -> Outcome {
    let mut update = command("apt-get", &["update", "-q"]);
    update.env("DEBIAN_FRONTEND", "noninteractive");
    run(update)?;
    let mut install = command(
        "apt-get",
        &["install", "-y", "-q", "--no-install-recommends"],
    );
    install
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive");
    run(install)
}
