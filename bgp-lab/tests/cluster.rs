//! Whole clusters: every encapsulation carries every ping, with reflectors and in a mesh; what
//! cannot work is refused; and nothing stays behind.

use bgp_core::family::Family;
use bgp_lab::cluster::plan::Encapsulation;
use bgp_lab::cluster::speaker::Make;
use bgp_lab::cluster::state::State;
use bgp_lab::cluster::{Cluster, START_LIMIT, Settings, folder, router, show};
use bgp_lab::{Error, Result, capability, check, reflector};

fn settings(encapsulation: Encapsulation, speaker: Make) -> Settings {
    Settings {
        nodes: 4,
        encapsulation,
        speakers: vec![speaker],
        reflectors: Some(reflector::Make::from_environment()),
        mesh: false,
        router: Some(router::Make::available()),
        families: Family::ALL.to_vec(),
    }
}

/// Starts the cluster and demands the right routes in every kernel and an answer to every ping.
fn check_cluster(test: &str, settings: Settings) -> Result<()> {
    if !capability::need(test, &settings.needs()) {
        return Ok(());
    }
    let mut steps = Vec::new();
    let mut cluster = Cluster::start(settings, folder()?, &mut |step| {
        steps.push(step.to_owned());
    })?;
    cluster.wait_established(START_LIMIT)?;
    cluster.wait_routes(START_LIMIT)?;
    for family in Family::ALL {
        let matrix = show::matrix(&cluster, family)?;
        check(matrix.lost.is_empty(), || {
            format!("{steps:#?}\n{}\n{}", matrix.text, routes(&cluster))
        })?;
    }
    Ok(())
}

fn routes(cluster: &Cluster) -> String {
    show::routes(cluster).unwrap_or_else(|error| error.to_string())
}

#[test]
fn ours_in_every_encapsulation() -> Result<()> {
    for encapsulation in Encapsulation::ALL {
        let test = format!("cluster::ours_in_every_encapsulation, {encapsulation}");
        check_cluster(&test, settings(encapsulation, Make::Ours))?;
    }
    Ok(())
}

#[test]
fn ours_in_a_mesh() -> Result<()> {
    let mut settings = settings(Encapsulation::CrossSubnet, Make::Ours);
    settings.reflectors = None;
    settings.mesh = true;
    check_cluster("cluster::ours_in_a_mesh", settings)
}

#[test]
fn ours_with_our_own_router() -> Result<()> {
    let mut settings = settings(Encapsulation::None, Make::Ours);
    settings.router = Some(router::Make::Ours);
    check_cluster("cluster::ours_with_our_own_router", settings)
}

#[test]
fn bird_without_tunnels() -> Result<()> {
    let settings = settings(Encapsulation::None, Make::Bird);
    check_cluster("cluster::bird_without_tunnels", settings)
}

#[test]
fn bird_with_ipip() -> Result<()> {
    let settings = settings(Encapsulation::Ipip, Make::Bird);
    check_cluster("cluster::bird_with_ipip", settings)
}

#[test]
fn bird_with_ipip_across_subnets() -> Result<()> {
    let settings = settings(Encapsulation::CrossSubnet, Make::Bird);
    check_cluster("cluster::bird_with_ipip_across_subnets", settings)
}

#[test]
fn bird_in_a_mesh() -> Result<()> {
    let mut settings = settings(Encapsulation::CrossSubnet, Make::Bird);
    settings.reflectors = None;
    settings.mesh = true;
    check_cluster("cluster::bird_in_a_mesh", settings)
}

/// What cannot work is refused before anything is built.
#[test]
fn impossible_clusters_are_refused() -> Result<()> {
    let mut lonely = settings(Encapsulation::CrossSubnet, Make::Bird);
    lonely.nodes = 1;
    let mut silent = settings(Encapsulation::CrossSubnet, Make::Bird);
    silent.reflectors = None;
    let mut lost = settings(Encapsulation::None, Make::Bird);
    lost.router = None;
    let wrapped = settings(Encapsulation::Vxlan, Make::Bird);
    for (settings, word) in [
        (lonely, "nodes"),
        (silent, "mesh"),
        (lost, "router"),
        (wrapped, "Felix"),
    ] {
        let started = Cluster::start(settings, folder()?, &mut |_| {});
        let text = match started {
            Ok(_) => "it started".to_owned(),
            Err(error) => error.to_string(),
        };
        check(text.contains(word), || format!("{word}: {text}"))?;
    }
    Ok(())
}

/// Another process finds the cluster by a file that goes with it, and the folder goes too.
#[test]
fn a_cluster_is_found_and_leaves_nothing() -> Result<()> {
    let settings = settings(Encapsulation::None, Make::Bird);
    if !capability::need("cluster::a_cluster_is_found", &settings.needs()) {
        return Ok(());
    }
    let cluster = Cluster::start(settings, folder()?, &mut |_| {})?;
    let dir = cluster.dir().to_owned();
    let state = State::of(&cluster);
    let written = state.write()?;
    let path = written.path().to_owned();
    let found = State::find(Some(std::process::id()))?;
    check(found == state, || format!("{found:?}"))?;
    let node = found.places.get("node-1");
    let node = node.ok_or_else(|| Error::Check(format!("{found:?}")))?;
    let link = format!("/proc/{}/fd/{}", found.pid, node.descriptor);
    let link = std::fs::read_link(&link).map_err(|error| Error::Check(error.to_string()))?;
    check(link.to_string_lossy().starts_with("net:"), || {
        format!("{link:?}")
    })?;
    drop(written);
    drop(cluster);
    check(!path.exists() && !dir.exists(), || {
        format!("{path:?} or {dir:?} is still there")
    })
}
