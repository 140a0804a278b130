//! Neighbor Solicitations for VIPs, with a parser of its own.

use etherparse::{Icmpv6Slice, IpNumber, Ipv6HeaderSlice};

use crate::kernel::INGRESS;
use crate::model::HostTables;

/// Options that are read.
const MAX_OPTIONS: usize = 4;
/// Bytes of the longest message that is read.
const LONGEST: usize = 128;

/// Returns whether an IPv6 packet in a frame to this MAC is a valid solicitation for an announced VIP (RFC
/// 4861 section 7.1.1).
pub(super) fn is_for_vip(tables: &HostTables, to: [u8; 6], bytes: &[u8]) -> Option<bool> {
    let header = Ipv6HeaderSlice::from_slice(bytes).ok()?;
    let length = usize::from(header.payload_length());
    let is_solicitation = header.next_header() == IpNumber::IPV6_ICMP && header.hop_limit() == 255;
    if !is_solicitation || length > LONGEST || !is_to_this_link(tables, to) {
        return Some(false);
    }
    let message = bytes.get(40..40 + length)?;
    let sliced = Icmpv6Slice::from_slice(message).ok()?;
    let (source, destination) = (header.source(), header.destination());
    if (sliced.type_u8(), sliced.code_u8()) != (135, 0) || !sliced.is_checksum_valid(source, destination) {
        return Some(false);
    }
    let target: [u8; 16] = *message.get(8..)?.first_chunk()?;
    let has_mac = options(message.get(24..)?)?;
    let is_to_group = destination[..13] == [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff]
        && destination[13..] == target[13..];
    let is_fine = if header.source_addr().is_unspecified() {
        is_to_group && !has_mac
    } else {
        (is_to_group || destination == target) && !header.source_addr().is_multicast()
    };
    Some(is_fine && tables.ndp.contains_key(&target))
}

/// Returns whether a frame to this MAC is for a group, or for the interface.
fn is_to_this_link(tables: &HostTables, to: [u8; 6]) -> bool {
    to[0] & 1 == 1 || tables.links.get(&INGRESS).is_none_or(|link| link.mac == to)
}

/// Returns whether options contain the sender's MAC; `None` if one is invalid or there are too many.
fn options(mut rest: &[u8]) -> Option<bool> {
    let (mut has_mac, mut count) = (false, 0);
    while let [kind, units, ..] = *rest {
        let length = usize::from(units) * 8;
        count += 1;
        if length == 0 || count > MAX_OPTIONS {
            return None;
        }
        rest = rest.get(length..)?;
        has_mac |= (kind, units) == (1, 1);
    }
    rest.is_empty().then_some(has_mac)
}
