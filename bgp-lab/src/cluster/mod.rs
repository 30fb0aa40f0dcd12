//! A whole cluster on one machine: two racks, a router between them, reflectors, nodes, and
//! workloads behind the nodes, wired as Calico wires them.
//!
//! ```text
//!              rr-a      node-1  node-3 …   workloads w1a, w1b, w3a …
//!                \         |       |
//!     rack 1     ===================   10.99.1.0/24
//!                         tor              (eBGP with every node)
//!     rack 2     ===================   10.99.2.0/24
//!                /         |       |
//!              rr-b      node-2  node-4 …
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | [`plan`] | names, addresses and prefixes, from numbers |
//! | `way` | the shape that each kernel's route to a block must have |
//! | [`wiring`] | namespaces, devices, the routes of Calico's agent |
//! | [`tunnel`], `tun` | IPIP in user space where the kernel has none |
//! | [`kernel`] | what a kernel really has |
//! | [`probe`] | pings: the matrix and the timed streams |
//! | [`speaker`] | the nodes' speakers behind one trait |
//! | [`router`] | the top-of-rack router |
//! | [`show`] | tables for people |
//! | [`chaos`] | scripted failures and what they cost |
//! | [`state`] | how another process finds a running cluster |
//!
//! # Invariants
//!
//! - What the kernels have and what pings say is measured by the laboratory itself, never asked of
//!   the speakers.
//! - A node has the routes of its workloads from the start, as Calico's agent puts them there; all
//!   else between nodes is the work of the speaker.
//! - Nothing outlives the [`Cluster`]: no name, no process, no file.

pub mod chaos;
pub mod kernel;
pub mod plan;
pub mod probe;
pub mod router;
pub mod show;
pub mod speaker;
pub mod state;
mod tun;
pub mod tunnel;
mod way;
pub mod wiring;

use crate::capability::{self, Need};
use crate::netns::Namespace;
use crate::reflector::{self, Range, Reflector, Terms as ReflectorTerms};
use crate::{During, Error, Result, check, wait};
use bgp_core::family::Family;
use bgp_core::types::PeerRole;
use kernel::{Kernel, KernelRoute};
use plan::{Encapsulation, NodeNumber, Site, WorkloadNumber};
use probe::Path as PingPath;
use router::Router;
use speaker::{NodeSpeaker, Peer, PeerKind, Terms};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tunnel::{Carrier, Tunnel};
pub use way::Way;
use wiring::{Fabric, WorkloadLink};

/// How long sessions and routes may take at the start.
pub const START_LIMIT: Duration = Duration::from_secs(40);

/// What kind of cluster.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many nodes, 2 to [`plan::MAX_NODES`].
    pub nodes: u8,
    /// How packets between nodes are wrapped.
    pub encapsulation: Encapsulation,
    /// The nodes' speakers; node 1 has the first, and where the list ends it starts again.
    pub speakers: Vec<speaker::Make>,
    /// The reflectors; `None`: there are none.
    pub reflectors: Option<reflector::Make>,
    /// Whether every node speaks with every other.
    pub mesh: bool,
    /// What speaks with the nodes on the router. Without, it knows the two subnets alone, and a
    /// packet that a node cannot route is lost there instead of finding its way all the same.
    pub router: Option<router::Make>,
    /// Which families.
    pub families: Vec<Family>,
}

impl Settings {
    /// What the machine must have.
    pub fn needs(&self) -> Vec<Need> {
        let mut needs = vec![Need::Namespaces];
        for make in &self.speakers {
            needs.extend(make.needs());
        }
        needs.extend(self.reflectors.iter().flat_map(|make| make.needs()));
        if self.encapsulation.uses_ipip() {
            needs.push(Need::Tunnels);
        }
        needs
    }

    fn make_of(&self, node: NodeNumber) -> Result<speaker::Make> {
        let index = usize::from(node.0 - 1) % self.speakers.len().max(1);
        let make = self.speakers.get(index).copied();
        make.ok_or_else(|| Error::Check("no speaker was named".to_owned()))
    }

    /// Whether such a cluster can be, and can be here.
    ///
    /// # Errors
    /// With what is impossible, or what the machine lacks.
    pub fn check(&self) -> Result<()> {
        check((2..=plan::MAX_NODES).contains(&self.nodes), || {
            format!(
                "{} nodes: 2 to {} are possible",
                self.nodes,
                plan::MAX_NODES
            )
        })?;
        check(self.mesh || self.reflectors.is_some(), || {
            "without reflectors the nodes need a mesh".to_owned()
        })?;
        check(
            self.router.is_some() || self.encapsulation != Encapsulation::None,
            || "without tunnels the router must know the blocks".to_owned(),
        )?;
        for make in &self.speakers {
            if let Some(why) = make.objection(self.encapsulation) {
                return Err(Error::Check(why.to_owned()));
            }
        }
        match capability::missing(&self.needs()) {
            Some(missing) => Err(Error::Check(missing)),
            None => Ok(()),
        }
    }
}

/// A node.
pub struct Node {
    /// Its number.
    pub number: NodeNumber,
    /// Where it runs.
    pub namespace: Arc<Namespace>,
    /// Its speaker.
    pub speaker: Box<dyn NodeSpeaker>,
    kernel: Kernel,
    devices: BTreeMap<u32, String>,
    _tunnel: Option<Tunnel>,
}

impl Node {
    /// Its kernel's routes of one family in the main table.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn routes(&mut self, family: Family) -> Result<Vec<KernelRoute>> {
        self.kernel.routes(family)
    }

    /// The name of a device; devices are looked up again when one is new.
    pub fn device_name(&mut self, index: u32) -> String {
        if !self.devices.contains_key(&index) {
            self.devices = devices(&self.namespace).unwrap_or_default();
        }
        let name = self.devices.get(&index).cloned();
        name.unwrap_or_else(|| format!("#{index}"))
    }
}

/// A workload.
pub struct Workload {
    /// Its number.
    pub number: WorkloadNumber,
    /// Where it runs.
    pub namespace: Arc<Namespace>,
    /// Its present link.
    pub link: WorkloadLink,
    /// The node behind which it is.
    pub at: NodeNumber,
}

/// A reflector of the cluster.
pub struct Reflecting {
    /// Its name.
    pub name: String,
    /// Where it runs.
    pub namespace: Arc<Namespace>,
    /// The daemon.
    pub daemon: Box<dyn Reflector>,
}

/// A running cluster.
pub struct Cluster {
    /// What it was made of.
    pub settings: Settings,
    /// Its nodes, by number.
    pub nodes: Vec<Node>,
    /// Its workloads, by number.
    pub workloads: Vec<Workload>,
    /// Its reflectors.
    pub reflectors: Vec<Reflecting>,
    /// The router's daemon.
    pub router: Option<Router>,
    /// The racks.
    pub fabric: Fabric,
    /// Whose IPIP is used, if any is.
    pub carrier: Option<Carrier>,
    // After the processes, so that their files outlive them.
    dir: TempDir,
}

impl Cluster {
    /// Builds and starts everything, with its files in `dir`; `say` hears each step.
    ///
    /// # Errors
    /// When something cannot be built or started.
    pub fn start(settings: Settings, dir: TempDir, say: &mut dyn FnMut(&str)) -> Result<Self> {
        settings.check()?;
        say("two racks and a router between them");
        let mut cluster = Self {
            fabric: Fabric::new()?,
            nodes: Vec::new(),
            workloads: Vec::new(),
            reflectors: Vec::new(),
            router: None,
            carrier: None,
            settings,
            dir,
        };
        cluster.add_reflectors(say)?;
        cluster.add_nodes(say)?;
        cluster.add_workloads(say)?;
        if let Some(make) = cluster.settings.router {
            let dir = cluster.folder("tor")?;
            let families = &cluster.settings.families;
            let router = make.start(cluster.fabric.router(), families, &dir)?;
            say(&format!("the router runs {}", router.word()));
            cluster.router = Some(router);
        }
        for node in &mut cluster.nodes {
            node.speaker.start()?;
        }
        say("all speakers run");
        Ok(cluster)
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn folder(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir.path().join(name);
        fs::create_dir(&dir).during(|| format!("making {}", dir.display()))?;
        Ok(dir)
    }

    fn numbers(&self) -> Vec<NodeNumber> {
        (1..=self.settings.nodes).map(NodeNumber).collect()
    }

    fn add_reflectors(&mut self, say: &mut dyn FnMut(&str)) -> Result<()> {
        let Some(make) = self.settings.reflectors else {
            return Ok(());
        };
        for (rack, name) in plan::RACKS.into_iter().zip(["rr-a", "rr-b"]) {
            let site = Site::reflector(rack);
            let namespace = Arc::new(self.fabric.host(name, site)?);
            let dir = self.folder(name)?;
            let setup = reflector_setup(site, &self.settings.families);
            let mut daemon = make.install(setup, Arc::clone(&namespace), &dir)?;
            daemon.start()?;
            self.reflectors.push(Reflecting {
                name: name.to_owned(),
                namespace,
                daemon,
            });
        }
        say("two reflectors, one cluster");
        Ok(())
    }

    fn add_nodes(&mut self, say: &mut dyn FnMut(&str)) -> Result<()> {
        for number in self.numbers() {
            let site = number.site();
            let namespace = Arc::new(self.fabric.host(&number.name(), site)?);
            wiring::forward(&namespace)?;
            let tunnel = self.add_tunnel(&namespace, number)?;
            let dir = self.folder(&number.name())?;
            let make = self.settings.make_of(number)?;
            let speaker = make.install(self.terms(number), Arc::clone(&namespace), dir);
            self.nodes.push(Node {
                number,
                kernel: Kernel::open(&namespace)?,
                devices: devices(&namespace)?,
                namespace,
                speaker,
                _tunnel: tunnel,
            });
        }
        say(&format!("{} nodes in two subnets", self.settings.nodes));
        if self.carrier == Some(Carrier::UserSpace) {
            say("this kernel has no ipip module: tunl0 is a TUN device with IPIP in user space");
        }
        Ok(())
    }

    fn add_tunnel(&mut self, node: &Namespace, number: NodeNumber) -> Result<Option<Tunnel>> {
        match self.settings.encapsulation {
            Encapsulation::None => Ok(None),
            Encapsulation::Ipip | Encapsulation::CrossSubnet => {
                self.carrier = Some(Tunnel::carrier(node));
                Tunnel::start(node, number.site().router_id()).map(Some)
            }
            Encapsulation::Vxlan => {
                wiring::add_vxlan(node, number.site())?;
                Ok(None)
            }
        }
    }

    fn terms(&self, node: NodeNumber) -> Terms {
        let families = &self.settings.families;
        let mut peers = Vec::new();
        if self.settings.reflectors.is_some() {
            for (rack, name) in plan::RACKS.into_iter().zip(["rr-a", "rr-b"]) {
                peers.push(Peer {
                    name: name.to_owned(),
                    site: Site::reflector(rack),
                    kind: PeerKind::Reflector,
                });
            }
        }
        if self.settings.mesh {
            let others = self.numbers().into_iter().filter(|other| *other != node);
            peers.extend(others.map(|other| Peer {
                name: other.name(),
                site: other.site(),
                kind: PeerKind::Node,
            }));
        }
        if self.settings.router.is_some() {
            peers.push(Peer {
                name: "tor".to_owned(),
                site: Site::router(node.site().rack),
                kind: PeerKind::Router,
            });
        }
        Terms {
            node,
            families: families.clone(),
            encapsulation: self.settings.encapsulation,
            nodes: self.numbers(),
            peers,
            blocks: families
                .iter()
                .map(|family| node.block(*family, 0))
                .collect(),
        }
    }

    fn add_workloads(&mut self, say: &mut dyn FnMut(&str)) -> Result<()> {
        for node in &self.nodes {
            for index in 0..plan::WORKLOADS {
                let number = WorkloadNumber {
                    node: node.number,
                    index,
                };
                let namespace = Arc::new(Namespace::new(&number.name())?);
                let link = WorkloadLink {
                    workload: number,
                    link: 0,
                };
                link.connect(&node.namespace, &namespace)?;
                namespace.ip(&link.default_routes())?;
                node.namespace.ip(&link.host_routes("add"))?;
                self.workloads.push(Workload {
                    number,
                    namespace,
                    link,
                    at: node.number,
                });
            }
        }
        say(&format!(
            "{} workloads behind proxy ARP on cali devices",
            self.workloads.len()
        ));
        Ok(())
    }

    /// A node by its number.
    ///
    /// # Errors
    /// When there is none.
    pub fn node(&mut self, number: NodeNumber) -> Result<&mut Node> {
        self.nodes
            .iter_mut()
            .find(|node| node.number == number)
            .ok_or_else(|| Error::Check(format!("there is no {}", number.name())))
    }

    /// Waits until every session is Established.
    ///
    /// # Errors
    /// [`Error::Timeout`] with the node that still lacks some.
    pub fn wait_established(&self, limit: Duration) -> Result<()> {
        let families = self.settings.families.len();
        for node in &self.nodes {
            let wanted = node.speaker.terms().peers.len() * families;
            let what = format!("the sessions of {}", node.number.name());
            wait::until(&what, limit, || match node.speaker.established() {
                Ok(found) if found >= wanted => Ok(()),
                Ok(found) => Err(format!("{found} of {wanted}; {}", node.speaker.tail())),
                Err(error) => Err(format!("{error}; {}", node.speaker.tail())),
            })?;
        }
        Ok(())
    }

    /// Every pair of workloads, and the router to every workload if it knows them.
    pub fn matrix_paths(&self, family: Family) -> Vec<(&Namespace, PingPath)> {
        let mut paths = Vec::new();
        for to in &self.workloads {
            let address = to.number.address(family);
            for from in &self.workloads {
                if from.number != to.number {
                    paths.push(self.path(from, address, &to.number.name(), family));
                }
            }
            if self.router.is_none() {
                continue;
            }
            let tor = PingPath {
                name: format!("tor to {}", to.number.name()),
                from: Site::router(plan::RACKS[0]).address(family),
                to: address,
            };
            paths.push((self.fabric.router(), tor));
        }
        paths
    }

    /// A path from a workload.
    fn path<'a>(
        &self,
        from: &'a Workload,
        to: std::net::IpAddr,
        name: &str,
        family: Family,
    ) -> (&'a Namespace, PingPath) {
        let path = PingPath {
            name: format!("{} to {name}", from.number.name()),
            from: from.number.address(family),
            to,
        };
        (&from.namespace, path)
    }
}

/// A folder for a cluster's files.
///
/// # Errors
/// When it cannot be made.
pub fn folder() -> Result<TempDir> {
    let dir = TempDir::with_prefix("bgp-lab-").during(|| "making a folder".to_owned())?;
    // FRR leaves the superuser behind, and must still reach its files.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711))
        .during(|| "opening the folder".to_owned())?;
    Ok(dir)
}

fn reflector_setup(site: Site, families: &[Family]) -> reflector::Setup {
    reflector::Setup {
        asn: plan::ASN,
        router_id: site.router_id(),
        cluster_id: plan::CLUSTER,
        listen: families
            .iter()
            .map(|family| site.address(*family))
            .collect(),
        hold_time: plan::HOLD_TIME,
        peers: Vec::new(),
        ranges: families
            .iter()
            .map(|family| Range {
                name: format!("nodes-{}", crate::daemons::channel(*family)),
                accept: plan::underlay(*family),
                limit: 1000,
                terms: ReflectorTerms {
                    asn: plan::ASN,
                    role: PeerRole::Client,
                    families: vec![*family],
                },
            })
            .collect(),
    }
}

fn devices(namespace: &Namespace) -> Result<BTreeMap<u32, String>> {
    namespace.run(|| {
        let list = nix::net::if_::if_nameindex().during(|| "listing devices".to_owned())?;
        Ok(list
            .iter()
            .map(|device| {
                let name = device.name().to_string_lossy().into_owned();
                (device.index(), name)
            })
            .collect())
    })
}
