//! `[router]`: who we are and where we listen.

use super::section::{Places, Reader, Section};
use crate::host::{Host, everywhere};
use bgp_core::complaint::Complaint;
use bgp_core::config::{DEFAULT_PORT, Router};
use bgp_core::types::{Asn, ClusterId, RouterId};
use std::net::{Ipv4Addr, SocketAddr};

/// What the section says.
pub(super) struct RawRouter {
    pub(super) router: Router,
    pub(super) listen: Vec<SocketAddr>,
    pub(super) places: Places,
}

/// Reads the section; `None` where we do not know our AS, without which nothing else can be
/// judged.
pub(super) fn read(
    root: &mut Section<'_, '_>,
    host: &Host,
    reader: &mut Reader<'_>,
) -> Option<RawRouter> {
    let Some(value) = root.value("router") else {
        if root.has("node") {
            return None;
        }
        let complaint = Complaint::new(
            "no [router]",
            "a table [router] with at least as",
            "write [router] and below it as = 64512, or the AS that you have",
        );
        reader.error("", 0..0, complaint);
        return None;
    };
    let mut section = Section::open("[router]", value, reader)?;
    section.rename("router".to_owned());
    let asn: Option<Asn> =
        section.require("as", "write as = 64512, or the AS that you have", reader);
    let router_id = section.take::<Ipv4Addr>("router-id", reader);
    let mut router = Router::new(
        asn.unwrap_or_default(),
        router_id.map_or(host.router_id, RouterId),
    );
    if let Some(cluster_id) = section.take::<Ipv4Addr>("cluster-id", reader) {
        router.cluster_id = ClusterId(cluster_id);
    }
    let listen = read_listen(&mut section, reader);
    let set = |slot: &mut _, value: Option<_>| value.into_iter().for_each(|value| *slot = value);
    set(&mut router.settle, section.take("settle", reader));
    set(
        &mut router.restart_time,
        section.take("restart-time", reader),
    );
    set(
        &mut router.restart_deferral,
        section.take("restart-deferral", reader),
    );
    router.client_to_client = section.take("client-to-client", reader).unwrap_or(true);
    let host_name = section.take("host-name", reader);
    router.host_name = host_name.unwrap_or_else(|| host.name.clone());
    let places = section.finish(reader);
    asn.map(|_| RawRouter {
        router,
        listen,
        places,
    })
}

fn read_listen(section: &mut Section<'_, '_>, reader: &mut Reader<'_>) -> Vec<SocketAddr> {
    let listen = section.take::<Vec<SocketAddr>>("listen", reader);
    let Some(listen) = listen else {
        return everywhere(DEFAULT_PORT);
    };
    each_once(section, &listen, reader);
    listen
}

/// Says which addresses of `listen` stand there twice.
pub(super) fn each_once(section: &Section<'_, '_>, listen: &[SocketAddr], reader: &mut Reader<'_>) {
    for (index, address) in listen.iter().enumerate() {
        if listen.iter().take(index).any(|earlier| earlier == address) {
            let complaint = Complaint::new(
                format!("{address} twice"),
                "each address once",
                "remove one of the two",
            );
            let span = section.places().of_item("listen", Some(index));
            let element = format!("{} listen", section.element());
            reader.error(&element, span, complaint);
        }
    }
}
