//! The top-of-rack router: FRR where it is installed and we are root, our own `bgp-node` otherwise.
//!
//! It takes every node that connects from the racks as an external peer, announces nothing, and
//! installs the blocks it hears of, as the routers of a data centre do. Both help peers that
//! restart (RFC 4724).

use super::plan::{ASN, HOLD_TIME, RACKS, Site, TOR_ASN, block_length, pool, underlay};
use crate::capability;
use crate::daemons::{Brand, channel};
use crate::netns::Namespace;
use crate::process::Process;
use crate::reflector::binary;
use crate::{During, Error, Result, wait};
use bgp_core::config::DEFAULT_PORT;
use bgp_core::family::Family;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const ZEBRA: &str = "/usr/lib/frr/zebra";
const BGPD: &str = "/usr/lib/frr/bgpd";
const START_LIMIT: Duration = Duration::from_secs(20);

/// Which daemon it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Make {
    /// FRR.
    Frr,
    /// `bgp-node`.
    Ours,
}

/// A running router.
pub struct Router {
    make: Make,
    dir: PathBuf,
    processes: Vec<Process>,
}

impl Make {
    /// FRR where it is installed and we are root, ours otherwise.
    pub fn available() -> Self {
        if capability::missing(Brand::Frr.needs()).is_none() {
            Self::Frr
        } else {
            Self::Ours
        }
    }

    /// Starts it in `namespace`, with its files in `dir`, which must exist.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(self, namespace: &Namespace, families: &[Family], dir: &Path) -> Result<Router> {
        let processes = match self {
            Self::Frr => start_frr(namespace, families, dir)?,
            Self::Ours => start_ours(namespace, families, dir)?,
        };
        Ok(Router {
            make: self,
            dir: dir.to_path_buf(),
            processes,
        })
    }
}

impl Router {
    /// The name of the daemon.
    pub fn word(&self) -> &'static str {
        match self.make {
            Make::Frr => "FRR",
            Make::Ours => "bgp-node",
        }
    }

    /// Its processes. FRR changes its user and thereby loses the parent-death signal: who ends
    /// this program without dropping the cluster must end them too.
    pub fn process_ids(&self) -> Vec<u32> {
        self.processes.iter().map(Process::id).collect()
    }

    /// A command for a person who explores it.
    pub fn explore(&self) -> String {
        match self.make {
            Make::Frr => {
                let dir = self.dir.display();
                format!("vtysh --vty_socket {dir} -c 'show bgp all'")
            }
            Make::Ours => "bgpctl routes".to_owned(),
        }
    }
}

fn start_frr(namespace: &Namespace, families: &[Family], dir: &Path) -> Result<Vec<Process>> {
    let user = nix::unistd::User::from_name("frr")
        .during(|| "looking up user frr".to_owned())?
        .ok_or_else(|| Error::Check("there is no user frr".to_owned()))?;
    let own = |path: &Path| {
        nix::unistd::chown(path, Some(user.uid), Some(user.gid))
            .during(|| format!("giving {} to frr", path.display()))
    };
    own(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))
        .during(|| format!("opening {}", dir.display()))?;
    let text = frr_configuration(families).map_err(|error| Error::Check(error.to_string()))?;
    for (file, text) in [("zebra.conf", "hostname tor\n"), ("bgpd.conf", &text)] {
        let path = dir.join(file);
        fs::write(&path, text).during(|| format!("writing {}", path.display()))?;
        own(&path)?;
    }
    let mut processes = Vec::new();
    for (name, program) in [("zebra", ZEBRA), ("bgpd", BGPD)] {
        let mut command = Command::new(program);
        command
            .arg("-f")
            .arg(dir.join(format!("{name}.conf")))
            .arg("-i")
            .arg(dir.join(format!("{name}.pid")))
            .arg("-z")
            .arg(dir.join("zapi"))
            .arg("--vty_socket")
            .arg(dir)
            .args(["-A", "127.0.0.1", "-P", "0"]);
        let process = Process::start(namespace, name, dir, command)?;
        let socket = dir.join(format!("{name}.vty"));
        wait::until(&format!("{name}'s socket"), START_LIMIT, || {
            UnixStream::connect(&socket)
                .map(drop)
                .map_err(|error| format!("{error}; {}", process.tail()))
        })?;
        processes.push(process);
    }
    Ok(processes)
}

fn frr_configuration(families: &[Family]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    writeln!(
        text,
        "hostname tor\nrouter bgp {TOR_ASN}\n bgp router-id {}\n no bgp default ipv4-unicast\n \
         no bgp ebgp-requires-policy\n bgp listen limit 500",
        Site::router(RACKS[0]).router_id()
    )?;
    for family in families {
        let group = channel(*family);
        let range = underlay(*family);
        writeln!(
            text,
            " neighbor {group} peer-group\n neighbor {group} remote-as {ASN}\n \
             neighbor {group} timers 3 {HOLD_TIME}\n neighbor {group} advertisement-interval 0\n \
             bgp listen range {range} peer-group {group}\n address-family {group} unicast\n  \
             neighbor {group} activate\n  neighbor {group} prefix-list pool-{group} in\n  \
             neighbor {group} prefix-list nothing-{group} out\n exit-address-family"
        )?;
    }
    writeln!(text, "exit")?;
    for family in families {
        let (pool, bits) = (pool(*family), family.max_prefix_len());
        let (words, name) = match family {
            Family::Ipv4Unicast => ("ip", "ipv4"),
            Family::Ipv6Unicast => ("ipv6", "ipv6"),
        };
        writeln!(
            text,
            "{words} prefix-list pool-{name} permit {pool} le {bits}\n\
             {words} prefix-list nothing-{name} deny any"
        )?;
    }
    Ok(text)
}

fn start_ours(namespace: &Namespace, families: &[Family], dir: &Path) -> Result<Vec<Process>> {
    let text = our_configuration(families).map_err(|error| Error::Check(error.to_string()))?;
    let path = dir.join("bgp-node.toml");
    fs::write(&path, text).during(|| format!("writing {}", path.display()))?;
    let socket = dir.join("admin.sock");
    let mut command = Command::new(binary("bgp-node", "BGP_NODE_BIN")?);
    command
        .args(["--config", "bgp-node.toml", "--state", "state"])
        .arg("--admin-socket")
        .arg(&socket);
    let mut process = Process::start(namespace, "bgp-node", dir, command)?;
    wait::until("the router's socket", START_LIMIT, || {
        process.check_alive().map_err(|error| error.to_string())?;
        UnixStream::connect(&socket)
            .map(drop)
            .map_err(|error| format!("{error}; {}", process.tail()))
    })?;
    Ok(vec![process])
}

/// A node that owns no block, in another AS, to which all the others connect.
fn our_configuration(families: &[Family]) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let home = Site::router(RACKS[0]);
    let own = families.iter().map(|family| home.with_subnet(*family));
    let own: Vec<String> = own.map(|address| format!("\"{address}\"")).collect();
    let mut listen = Vec::new();
    for site in RACKS.map(Site::router) {
        let sockets = families
            .iter()
            .map(|family| SocketAddr::new(site.address(*family), DEFAULT_PORT));
        listen.extend(sockets.map(|socket| format!("\"{socket}\"")));
    }
    writeln!(
        text,
        "[node]\nname = \"tor\"\nas = {TOR_ASN}\nrouter-id = \"{}\"\naddress = [{}]\n\
         listen = [{}]",
        home.router_id(),
        own.join(", "),
        listen.join(", ")
    )?;
    for family in families {
        writeln!(
            text,
            "\n[[pool]]\nprefix = \"{}\"\nblock-size = {}\nencapsulation = \"none\"\n\n\
             [[group]]\nname = \"nodes-{family}\"\naccept = [\"{}\"]\naccept-limit = 200\n\
             remote-as = {ASN}\nrole = \"external\"\nfamilies = [\"{family}\"]\n\
             hold-time = {HOLD_TIME}\nimport = \"accept-all\"\nexport = \"reject-all\"",
            pool(*family),
            block_length(*family),
            underlay(*family),
        )?;
    }
    Ok(text)
}
