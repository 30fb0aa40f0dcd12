//! One sender with a large table, some receivers.

use crate::report::Figure;
use crate::{host, stage};
use bgp_core::family::{Family, FamilySet};
use bgp_core::prefix::{IpNet, Ipv4Net, Nlri};
use bgp_core::types::{Asn, RouterId};
use bgp_core::wire::{
    self, AsPath, Capability, Community, Context, EncodeContext, Message, NextHop, Open,
    PathAttributes,
};
use bgp_lab::reflector::Make;
use bgp_lab::{Error, Result};
use bytes::{Bytes, BytesMut};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const ENCODING: EncodeContext = EncodeContext {
    four_octet_as: true,
    add_path: FamilySet::EMPTY,
    max_len: wire::MAX_LEN,
};

/// No receiver waits longer than this for the next octets.
const PATIENCE: Duration = Duration::from_secs(120);

/// Sends a table of `prefixes`, `per_set` to an attribute set, to `receivers`.
pub(crate) fn run(make: Make, prefixes: u32, per_set: u32, receivers: u8) -> Result<Vec<Figure>> {
    let stage = stage::set(make, &[Family::Ipv4Unicast])?;
    let id = stage.reflector.id();
    let messages = table(prefixes, per_set)?;
    let octets: usize = messages.iter().map(Bytes::len).sum();
    let figures = stage.home.run(|| {
        let mut sender = connect(Ipv4Addr::new(10, 100, 0, 1))?;
        let mut listening = Vec::new();
        for index in 0..receivers {
            let stream = connect(Ipv4Addr::new(10, 100, 1, index + 1))?;
            listening.push(thread::spawn(move || receive(stream, prefixes)));
        }
        let idle = host::usage(id)?;
        let began = Instant::now();
        for batch in messages.chunks(64) {
            sender.write_all(&batch.concat()).map_err(broken)?;
        }
        let sent = began.elapsed();
        let mut last = began;
        let mut updates = 0;
        for receiver in listening {
            let (at, count) = receiver
                .join()
                .map_err(|_| Error::Check("a receiver panicked".into()))??;
            last = last.max(at);
            updates += count;
        }
        let full = host::usage(id)?;
        let whole = last.duration_since(began).as_secs_f64();
        Ok(vec![
            ("table taken by the socket, s", sent.as_secs_f64()),
            ("last receiver complete, s", whole),
            (
                "prefixes per second, thousands",
                f64::from(prefixes) / whole / 1e3,
            ),
            ("processor time, s", full.cpu - idle.cpu),
            (
                "memory per prefix, octets",
                (full.memory - idle.memory) * 1024.0 * 1024.0 / f64::from(prefixes),
            ),
            (
                "UPDATEs to each receiver",
                f64::from(updates) / f64::from(receivers),
            ),
            ("octets of the table, MiB", octets as f64 / 1024.0 / 1024.0),
        ])
    });
    figures.map_err(|error| Error::Check(format!("{error}\n{}", stage.reflector.tail())))
}

/// The sender's UPDATEs: `per_set` /26 prefixes to each attribute set.
fn table(prefixes: u32, per_set: u32) -> Result<Vec<Bytes>> {
    let mut messages = Vec::new();
    let next_hop = NextHop::V4(Ipv4Addr::new(10, 100, 0, 1));
    let mut next = 0;
    while next < prefixes {
        let end = (next + per_set.max(1)).min(prefixes);
        let attributes = PathAttributes {
            as_path: AsPath::sequence([Asn(65_001), Asn(65_100 + next % 50_000)]),
            local_pref: Some(100),
            communities: vec![Community(0xfc00_0000 + next / per_set.max(1))],
            ..PathAttributes::default()
        };
        let nlri: Vec<Nlri> = (next..end)
            .map(|index| Nlri::plain(prefix(index)))
            .collect();
        let family = Family::Ipv4Unicast;
        wire::announce(
            family,
            &next_hop,
            &attributes,
            &nlri,
            &ENCODING,
            &mut messages,
        )
        .map_err(|error| Error::Check(error.to_string()))?;
        next = end;
    }
    Ok(messages)
}

fn prefix(index: u32) -> IpNet {
    Ipv4Net::new_assert(Ipv4Addr::from(0x1400_0000 + index * 64), 26).into()
}

/// An established session from `address`.
fn connect(address: Ipv4Addr) -> Result<TcpStream> {
    let mut stream = dial(address)?;
    stream.set_nodelay(true).map_err(broken)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(broken)?;
    let open = Open {
        my_as: u16::try_from(stage::ASN).unwrap_or(Asn::TRANS.two_octet()),
        hold_time: 240,
        router_id: RouterId(address),
        capabilities: vec![
            Capability::Multiprotocol(Family::Ipv4Unicast.afi_safi()),
            Capability::FourOctetAs(Asn(stage::ASN)),
        ],
    };
    for message in [Message::Open(open), Message::Keepalive] {
        let mut octets = BytesMut::new();
        wire::encode_message(&message, &ENCODING, &mut octets)
            .map_err(|error| Error::Check(error.to_string()))?;
        stream.write_all(&octets).map_err(broken)?;
    }
    // Their OPEN and their KEEPALIVE.
    for _ in 0..2 {
        read_message(&mut stream)?;
    }
    Ok(stream)
}

/// A connection from a given address; the standard library cannot bind before it connects.
fn dial(from: Ipv4Addr) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).map_err(broken)?;
    socket
        .bind(&SocketAddr::new(from.into(), 0).into())
        .map_err(broken)?;
    socket.connect(&stage::address().into()).map_err(broken)?;
    Ok(socket.into())
}

fn read_message(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut header = [0; wire::HEADER_LEN];
    stream.read_exact(&mut header).map_err(broken)?;
    let length = usize::from(u16::from_be_bytes([header[16], header[17]]));
    let mut whole = header.to_vec();
    whole.resize(length.max(wire::HEADER_LEN), 0);
    stream
        .read_exact(&mut whole[wire::HEADER_LEN..])
        .map_err(broken)?;
    Ok(whole)
}

/// Reads until `prefixes` have been announced; says when the last came, and how many UPDATEs
/// there were.
fn receive(mut stream: TcpStream, prefixes: u32) -> Result<(Instant, u32)> {
    let context = Context {
        internal: true,
        four_octet_as: true,
        families: FamilySet::from_iter([Family::Ipv4Unicast]),
        add_path: FamilySet::EMPTY,
        extended_next_hop: FamilySet::EMPTY,
        max_len: wire::MAX_LEN,
    };
    let (mut seen, mut updates) = (0_usize, 0);
    let mut buffer = BytesMut::new();
    let mut chunk = vec![0; 1 << 18];
    loop {
        let read = stream.read(&mut chunk).map_err(broken)?;
        if read == 0 {
            return Err(Error::Check(format!(
                "closed after {seen} of {prefixes} prefixes"
            )));
        }
        buffer.extend_from_slice(&chunk[..read]);
        let fault = |error: wire::DecodeError| Error::Check(error.to_string());
        while let Some(frame) = wire::frame(&buffer, wire::MAX_LEN).map_err(fault)? {
            let len = frame.len;
            if let Message::Update(update) = wire::decode(&frame, &context).map_err(fault)? {
                updates += 1;
                seen += update
                    .reach
                    .iter()
                    .map(|reach| reach.nlri.len())
                    .sum::<usize>();
            }
            let _ = buffer.split_to(len);
        }
        if seen >= prefixes as usize {
            return Ok((Instant::now(), updates));
        }
    }
}

fn broken(error: std::io::Error) -> Error {
    Error::Check(format!("a session broke: {error}"))
}
