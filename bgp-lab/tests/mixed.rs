//! BIRD and our speaker in one cluster: in a mesh, behind our reflectors, behind BIRD as
//! reflector. Every kernel has the same routes, whoever put them there, and every ping is answered.

use bgp_core::family::Family;
use bgp_lab::cluster::plan::Encapsulation;
use bgp_lab::cluster::speaker::Make;
use bgp_lab::cluster::{Cluster, START_LIMIT, Settings, folder, router, show};
use bgp_lab::{Result, capability, check, reflector};

fn check_mixed(test: &str, reflectors: Option<reflector::Make>) -> Result<()> {
    for encapsulation in [Encapsulation::None, Encapsulation::CrossSubnet] {
        let settings = Settings {
            nodes: 4,
            encapsulation,
            // Both in each rack.
            speakers: vec![Make::Ours, Make::Ours, Make::Bird, Make::Bird],
            reflectors,
            mesh: reflectors.is_none(),
            router: Some(router::Make::available()),
            families: Family::ALL.to_vec(),
        };
        let part = format!("{test}, {encapsulation}");
        if !capability::need(&part, &settings.needs()) {
            continue;
        }
        let mut cluster = Cluster::start(settings, folder()?, &mut |_| {})?;
        cluster.wait_established(START_LIMIT)?;
        cluster.wait_routes(START_LIMIT)?;
        for family in Family::ALL {
            let matrix = show::matrix(&cluster, family)?;
            check(matrix.lost.is_empty(), || {
                format!("{part}\n{}", matrix.text)
            })?;
        }
    }
    Ok(())
}

#[test]
fn in_one_mesh() -> Result<()> {
    check_mixed("mixed::in_one_mesh", None)
}

#[test]
fn behind_our_reflectors() -> Result<()> {
    check_mixed("mixed::behind_our_reflectors", Some(reflector::Make::BgpRr))
}

#[test]
fn behind_bird_as_reflector() -> Result<()> {
    check_mixed(
        "mixed::behind_bird_as_reflector",
        Some(reflector::Make::Bird),
    )
}
