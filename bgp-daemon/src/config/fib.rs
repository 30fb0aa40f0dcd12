//! `[fib]`: how a node's routes stand in the kernel.

use super::node_value::{Number, StaleTime};
use super::section::{Places, Reader, Section};
use bgp_blocks::{NodeSettings, OtherRoutes};
use bgp_core::complaint::Complaint;
use bgp_core::config::Router;
use bgp_fib::Settings;

/// The route protocol number of BIRD's routes, which Calico's Felix knows and cleans up.
const BIRD: u8 = 12;
/// Equal ways to one prefix: as many as Calico's BIRD takes.
pub const DEFAULT_MULTIPATH: u8 = 16;

/// Reads the section into what it says, and into what it says about `settings` and `router`.
pub(super) fn read(
    root: &mut Section<'_, '_>,
    settings: &mut NodeSettings,
    router: &mut Router,
    reader: &mut Reader<'_>,
) -> (Settings, Places) {
    let mut fib = Settings::default();
    router.install = true;
    router.track_next_hops = true;
    router.multipath = DEFAULT_MULTIPATH;
    let section = root.value("fib");
    let section = section.and_then(|value| Section::open("[fib]", value, reader));
    let Some(mut section) = section else {
        return (fib, Places::default());
    };
    section.rename("fib".to_owned());
    if section.take("calico", reader).unwrap_or(false) {
        (fib.protocol, fib.metric) = (BIRD, 0);
    }
    let set = |slot: &mut _, value: Option<u8>| value.into_iter().for_each(|value| *slot = value);
    set(&mut fib.protocol, protocol(&mut section, reader));
    let adopt: Option<Vec<Number<5, 255>>> = section.take("adopt", reader);
    fib.adopt = adopt
        .unwrap_or_default()
        .into_iter()
        .map(|Number(one)| u8::try_from(one).unwrap_or(u8::MAX))
        .collect();
    let number = section.take::<Number<0, 4_294_967_295>>("metric", reader);
    fib.metric = number.map_or(fib.metric, |Number(metric)| {
        u32::try_from(metric).unwrap_or(u32::MAX)
    });
    let table = section.take::<Number<1, 4_294_967_295>>("table", reader);
    fib.table = table.map_or(fib.table, |Number(table)| {
        u32::try_from(table).unwrap_or(u32::MAX)
    });
    settings.table = fib.table;
    fib.resync = section.take("resync", reader).unwrap_or(fib.resync);
    let objects = section.take("next-hop-objects", reader);
    fib.next_hop_objects = objects.unwrap_or(fib.next_hop_objects);
    let ways = section.take::<Number<1, 16>>("multipath", reader);
    let ways = ways.and_then(|Number(ways)| u8::try_from(ways).ok());
    set(&mut router.multipath, ways);
    let stale = section.take("stale-time", reader);
    settings.stale_time = stale.map_or(settings.stale_time, |StaleTime(time)| time);
    let others: Option<OtherRoutes> = section.take("other-routes", reader);
    settings.other_routes = others.unwrap_or(settings.other_routes);
    check(&fib, &section, reader);
    (fib, section.finish(reader))
}

fn protocol(section: &mut Section<'_, '_>, reader: &mut Reader<'_>) -> Option<u8> {
    let number = section.take::<Number<5, 255>>("protocol", reader)?;
    u8::try_from(number.0).ok()
}

fn check(fib: &Settings, section: &Section<'_, '_>, reader: &mut Reader<'_>) {
    if fib.resync.is_zero() {
        let complaint = Complaint::new(
            "no pause at all",
            "at least 1s",
            "60s suits most; notifications tell of changes at once in any case",
        );
        reader.error("fib resync", section.places().of("resync"), complaint);
    }
}
