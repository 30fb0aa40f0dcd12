//! An independent decoder reads what we write: tshark finds nothing wrong with it, and finds the
//! same prefixes in it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, where the lint only knows test functions"
)]

use bgp_core::family::{Family, FamilySet};
use bgp_core::prefix::{IpNet, Nlri};
use bgp_core::types::{Asn, ClusterId, RouterId};
use bgp_core::wire::{
    Aggregator, AsPath, Community, Context, EncodeContext, LargeCommunity, MAX_LEN, Message,
    NextHop, PathAttributes, SegmentKind, UnknownAttribute, announce, decode, encode_message,
    end_of_rib, frame, withdraw,
};
use bgp_lab::capability::{self, Need};
use bytes::BytesMut;
use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Command;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Messages of sessions with one width of AS numbers, each with a name.
struct Capture {
    four_octet_as: bool,
    messages: Vec<(String, Vec<u8>)>,
}

/// Golden messages that tshark must complain about: values that nobody has assigned, a capability
/// that is malformed on purpose, and what tshark 4.0 does not know (RFC 9072, RFC 9687).
const COMPLAINTS: [&str; 4] = [
    "notification-send-hold",
    "notification-unassigned",
    "open-extended",
    "open-unknown-capabilities",
];

/// What tshark says about one message.
struct Verdict {
    kind: u8,
    complaint: String,
    /// Addresses of prefixes, announced and withdrawn, of both families.
    prefixes: BTreeSet<String>,
}

#[test]
fn tshark_reads_what_we_write() -> Result<()> {
    let tshark = Need::Program("/usr/bin/tshark", "tshark");
    if !capability::need("tshark::tshark_reads_what_we_write", &[tshark]) {
        return Ok(());
    }
    for four_octet_as in [true, false] {
        let mut capture = Capture {
            four_octet_as,
            messages: Vec::new(),
        };
        capture.goldens()?;
        capture.packed();
        capture.markers();
        assert!(capture.messages.len() > 10);
        capture.check()?;
    }
    Ok(())
}

impl Capture {
    fn writing(&self) -> EncodeContext {
        EncodeContext {
            four_octet_as: self.four_octet_as,
            add_path: FamilySet::EMPTY,
            max_len: MAX_LEN,
        }
    }

    fn reading(&self, internal: bool) -> Context {
        Context {
            internal,
            four_octet_as: self.four_octet_as,
            families: FamilySet::from_iter(Family::ALL),
            add_path: FamilySet::EMPTY,
            extended_next_hop: FamilySet::from_iter(Family::ALL),
            max_len: MAX_LEN,
        }
    }

    /// The golden messages of the codec, as we write them; those with faults or path identifiers
    /// (which tshark has to guess) are left out.
    fn goldens(&mut self) -> Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bgp-core/tests/wire/golden");
        let mut paths: Vec<_> = fs::read_dir(folder)?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|kind| kind == "hex"))
            .collect();
        paths.sort();
        for path in paths {
            let text = fs::read_to_string(&path)?;
            let how = text.lines().find_map(|line| line.strip_prefix("# how: "));
            let how = how.unwrap_or_default();
            let is_ours = how.contains("two-octet") != self.four_octet_as;
            if !is_ours || how.contains("add-path") || how.contains("faulty") {
                continue;
            }
            let octets: Vec<u8> = text
                .lines()
                .filter_map(|line| line.split('#').next())
                .flat_map(str::split_whitespace)
                .filter_map(|digits| u8::from_str_radix(digits, 16).ok())
                .collect();
            let Ok(Some(whole)) = frame(&octets, MAX_LEN) else {
                return Err(format!("{}: not a whole message", path.display()).into());
            };
            let message = decode(&whole, &self.reading(!how.contains("external")))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            self.write(&name, &message);
        }
        Ok(())
    }

    fn write(&mut self, name: &str, message: &Message) {
        let mut out = BytesMut::new();
        encode_message(message, &self.writing(), &mut out).unwrap();
        self.messages.push((name.into(), out.to_vec()));
    }

    /// Full messages of many routes.
    fn packed(&mut self) {
        let v4 = NextHop::V4(Ipv4Addr::new(192, 0, 2, 1));
        let v6 = NextHop::V6 {
            global: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
            link_local: None,
        };
        let rows = [
            (Family::Ipv4Unicast, v4),
            (Family::Ipv4Unicast, v6),
            (Family::Ipv6Unicast, v6),
        ];
        for (family, next_hop) in rows {
            let routes = routes(family);
            let mut out = Vec::new();
            let writing = self.writing();
            announce(
                family,
                &next_hop,
                &attributes(),
                &routes,
                &writing,
                &mut out,
            )
            .unwrap();
            withdraw(family, &routes, &writing, &mut out);
            for (number, octets) in out.into_iter().enumerate() {
                let name = format!("{family} through {next_hop:?}, message {number}");
                self.messages.push((name, octets.to_vec()));
            }
        }
    }

    fn markers(&mut self) {
        for family in Family::ALL {
            let name = format!("End-of-RIB of {family}");
            self.messages.push((name, end_of_rib(family).to_vec()));
        }
    }

    fn check(&self) -> Result<()> {
        let verdicts = self.ask()?;
        assert_eq!(verdicts.len(), self.messages.len());
        let mut wrong = Vec::new();
        for ((name, octets), verdict) in self.messages.iter().zip(verdicts) {
            let expected = self.prefixes(octets);
            let is_exempt = COMPLAINTS.contains(&name.as_str());
            if !is_exempt && !verdict.complaint.is_empty() {
                wrong.push(format!("{name}: {}", verdict.complaint));
            } else if verdict.kind != octets[18] || verdict.prefixes != expected {
                let (kind, prefixes) = (verdict.kind, verdict.prefixes);
                wrong.push(format!(
                    "{name}: type {kind}, {prefixes:?}, not {expected:?}"
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    }

    /// What we find in the message ourselves.
    fn prefixes(&self, octets: &[u8]) -> BTreeSet<String> {
        let Ok(Some(whole)) = frame(octets, MAX_LEN) else {
            panic!("not a whole message");
        };
        let Ok(Message::Update(update)) = decode(&whole, &self.reading(true)) else {
            return BTreeSet::new();
        };
        let reached = update.reach.into_iter().flat_map(|reach| reach.nlri);
        let gone = update.unreach.into_iter().flat_map(|gone| gone.nlri);
        reached
            .chain(gone)
            .map(|route| route.prefix.network().to_string())
            .collect()
    }

    /// Lets tshark read all messages, each on a TCP connection of its own.
    fn ask(&self) -> Result<Vec<Verdict>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("messages.pcap");
        fs::write(&path, self.pcap())?;
        let width = if self.four_octet_as {
            "4 octet"
        } else {
            "2 octet"
        };
        let mut tshark = Command::new("tshark");
        tshark
            .arg("-r")
            .arg(&path)
            .args(["-o", &format!("bgp.asn_len:{width}")])
            .args(["-T", "fields", "-E", "separator=|", "-E", "aggregator=,"]);
        let fields = [
            "bgp.type",
            "_ws.malformed",
            "_ws.expert.message",
            "bgp.nlri_prefix",
            "bgp.withdrawn_prefix",
            "bgp.mp_reach_nlri_ipv4_prefix",
            "bgp.mp_unreach_nlri_ipv4_prefix",
            "bgp.mp_reach_nlri_ipv6_prefix",
            "bgp.mp_unreach_nlri_ipv6_prefix",
        ];
        for field in fields {
            tshark.args(["-e", field]);
        }
        let output = tshark.output()?;
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout)?;
        Ok(text.lines().map(verdict).collect())
    }

    /// A capture of raw IPv4 packets.
    fn pcap(&self) -> Vec<u8> {
        const RAW_IPV4: u32 = 228;
        let mut octets = Vec::new();
        for word in [0xa1b2_c3d4, 0x0002_0004, 0, 0, 0x0004_0000, RAW_IPV4] {
            octets.extend(u32::to_be_bytes(word));
        }
        for (port, (_, message)) in (20_000..).zip(&self.messages) {
            let packet = packet(port, message);
            let length = u32::try_from(packet.len()).unwrap();
            for word in [0, 0, length, length] {
                octets.extend(u32::to_be_bytes(word));
            }
            octets.extend(packet);
        }
        octets
    }
}

/// An IPv4 and a TCP header in front of a message; checksums are zero, which nobody looks at.
fn packet(port: u16, message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(40 + message.len()).unwrap();
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(port.to_be_bytes());
    packet.extend([0, 179, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18]);
    packet.extend([0xff, 0xff, 0, 0, 0, 0]);
    packet.extend(message);
    packet
}

fn verdict(line: &str) -> Verdict {
    let mut fields = line.split('|');
    let kind = fields.next().unwrap_or_default().parse().unwrap_or(0);
    let complaint: Vec<&str> = fields
        .by_ref()
        .take(2)
        .filter(|text| !text.is_empty())
        .collect();
    let prefixes = fields
        .flat_map(|list| list.split(','))
        .filter(|address| !address.is_empty())
        .map(str::to_owned)
        .collect();
    Verdict {
        kind,
        complaint: complaint.join("; "),
        prefixes,
    }
}

fn routes(family: Family) -> Vec<Nlri> {
    let prefix = |index: u32| match family {
        Family::Ipv4Unicast => IpNet::new(Ipv4Addr::from(index << 12).into(), 20),
        Family::Ipv6Unicast => IpNet::new(Ipv6Addr::from(u128::from(index) << 80).into(), 48),
    };
    (0x1_0000..0x1_0000 + 2_000)
        .map(|index| Nlri::plain(prefix(index).unwrap()))
        .collect()
}

/// One of everything.
fn attributes() -> PathAttributes {
    let address = Ipv4Addr::new(192, 0, 2, 9);
    let sequence = [64_500, 4_200_000_000].map(Asn).to_vec();
    let set = [64_501, 64_502].map(Asn).to_vec();
    PathAttributes {
        as_path: AsPath::from_segments([
            (SegmentKind::Sequence, sequence),
            (SegmentKind::Set, set),
        ]),
        med: Some(5),
        local_pref: Some(100),
        atomic_aggregate: true,
        aggregator: Some(Aggregator {
            asn: Asn(4_200_000_000),
            address,
        }),
        communities: (0..100).map(Community).collect(),
        originator_id: Some(RouterId(address)),
        cluster_list: vec![ClusterId(address); 3],
        extended_communities: vec![[0, 2, 0xfd, 0xe9, 0, 0, 0, 1]],
        large_communities: vec![LargeCommunity {
            global: 64_500,
            local1: 1,
            local2: 2,
        }],
        otc: Some(Asn(64_500)),
        unknown: vec![UnknownAttribute {
            code: 200,
            value: vec![1; 300].into(),
        }],
        ..PathAttributes::default()
    }
}
