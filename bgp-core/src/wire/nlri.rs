//! NLRI: a length in bits, then as many octets as it needs (RFC 4271 §4.3), with a path
//! identifier in front where add-path was negotiated (RFC 7911 §3).

use super::reader::Reader;
use super::sink::Sink;
use crate::family::Family;
use crate::prefix::{IpNet, Ipv4Net, Ipv6Net, Nlri};

/// Reads all NLRI of a field; `None` when one overruns or is longer than its family allows
/// (RFC 7606 §5.3). Host bits are cleared.
pub(super) fn read_all(bytes: &[u8], family: Family, add_path: bool) -> Option<Vec<Nlri>> {
    let mut reader = Reader::new(bytes);
    // The shortest NLRI that is likely takes four octets or more; growth covers the rest.
    let mut nlri = Vec::with_capacity(bytes.len() / 4);
    while !reader.is_empty() {
        let path_id = if add_path { reader.u32()? } else { 0 };
        let prefix = read_prefix(&mut reader, family)?;
        nlri.push(Nlri { prefix, path_id });
    }
    Some(nlri)
}

fn read_prefix(reader: &mut Reader<'_>, family: Family) -> Option<IpNet> {
    let length = reader
        .u8()
        .filter(|length| *length <= family.max_prefix_len())?;
    let octets = reader.take(usize::from(length).div_ceil(8))?;
    Some(match family {
        Family::Ipv4Unicast => IpNet::V4(
            Ipv4Net::new(padded::<4>(octets).into(), length)
                .ok()?
                .trunc(),
        ),
        Family::Ipv6Unicast => IpNet::V6(
            Ipv6Net::new(padded::<16>(octets).into(), length)
                .ok()?
                .trunc(),
        ),
    })
}

fn padded<const N: usize>(octets: &[u8]) -> [u8; N] {
    let mut address = [0; N];
    address
        .iter_mut()
        .zip(octets)
        .for_each(|(to, from)| *to = *from);
    address
}

/// Octets that `nlri` takes.
pub(super) fn encoded_len(nlri: &Nlri, add_path: bool) -> usize {
    let address = usize::from(nlri.prefix.prefix_len()).div_ceil(8);
    1 + address + if add_path { 4 } else { 0 }
}

/// Writes one NLRI.
pub(super) fn write(nlri: &Nlri, add_path: bool, out: &mut impl Sink) {
    if add_path {
        out.put_u32(nlri.path_id);
    }
    let length = nlri.prefix.prefix_len();
    let octets = usize::from(length).div_ceil(8);
    out.put_u8(length);
    match nlri.prefix {
        IpNet::V4(net) => out.put(net.network().octets().get(..octets).unwrap_or_default()),
        IpNet::V6(net) => out.put(net.network().octets().get(..octets).unwrap_or_default()),
    }
}
