//! The preview of map operations. It shows keys and no values: the configuration holds secret keys.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use lb_common::map_table::name;
use lb_plan::contents::{Op, VipKey};
use serde::Serialize;

/// The numbers of changed entries of a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MapChanges {
    /// Entries that are added or changed.
    pub written: usize,
    /// Entries that are removed.
    pub removed: usize,
    /// Counters that are reset.
    pub reset: usize,
}

/// A map operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OperationPreview {
    /// The map's name.
    pub map: &'static str,
    /// What happens.
    pub kind: OperationKind,
    /// The entry, in readable form.
    pub entry: String,
    /// The number of entries.
    pub entries: usize,
}

/// The kind of a map operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// Entries are added or changed.
    Write,
    /// An entry is removed.
    Remove,
    /// Counters are reset.
    Reset,
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Write => "write",
            Self::Remove => "remove",
            Self::Reset => "reset",
        })
    }
}

impl From<&Op> for OperationPreview {
    fn from(op: &Op) -> Self {
        let (map, entry) = place(op);
        let (kind, entries) = match op {
            Op::WriteSlots { slots, .. } => (OperationKind::Write, slots.len()),
            Op::WriteConfig(_)
            | Op::WriteLink(..)
            | Op::WriteNode(..)
            | Op::WriteNodeAddress(..)
            | Op::WriteNodeMac(..)
            | Op::WriteVip(..)
            | Op::WriteAnnouncer(..)
            | Op::WriteSource(..) => (OperationKind::Write, 1),
            Op::ClearVipStats(_) => (OperationKind::Reset, 1),
            Op::RemoveLink(_)
            | Op::RemoveNode(_)
            | Op::RemoveNodeAddress(_)
            | Op::RemoveNodeMac(_)
            | Op::RemoveVip(_)
            | Op::RemoveAnnouncer(_)
            | Op::RemoveSource(..) => (OperationKind::Remove, 1),
        };
        Self { map, kind, entry, entries }
    }
}

/// Counts the operations on each map.
pub(super) fn by_map(operations: &[Op]) -> BTreeMap<&'static str, MapChanges> {
    let mut maps: BTreeMap<_, MapChanges> = BTreeMap::new();
    for operation in operations.iter().map(OperationPreview::from) {
        let changes = maps.entry(operation.map).or_default();
        let count = match operation.kind {
            OperationKind::Write => &mut changes.written,
            OperationKind::Remove => &mut changes.removed,
            OperationKind::Reset => &mut changes.reset,
        };
        *count += operation.entries;
    }
    maps
}

/// Returns the map of an operation, and the entry.
fn place(op: &Op) -> (&'static str, String) {
    match op {
        Op::WriteConfig(_) => (name::CONFIG, "the configuration".to_owned()),
        Op::WriteLink(ifindex, _) | Op::RemoveLink(ifindex) => (name::LINKS, format!("interface {ifindex}")),
        Op::WriteNode(index, _) | Op::RemoveNode(index) => (name::NODES, format!("node {index}")),
        Op::WriteNodeAddress(address, _) | Op::RemoveNodeAddress(address) => {
            (name::NODE_ADDRESSES, unmapped(address).to_string())
        }
        Op::WriteNodeMac(mac, _) | Op::RemoveNodeMac(mac) => (name::NODE_MACS, mac_text(mac)),
        Op::WriteSlots { first, slots } => (name::RINGS, format!("{} slots from {first}", slots.len())),
        Op::ClearVipStats(number) => (name::VIP_STATS, format!("VIP number {number}")),
        Op::WriteVip(key, _) | Op::RemoveVip(key) => (vip_map(key), vip_text(key)),
        Op::WriteAnnouncer(address, _) | Op::RemoveAnnouncer(address) => {
            (if address.is_ipv4() { name::ARP } else { name::NDP }, address.to_string())
        }
        Op::WriteSource(vip, range) | Op::RemoveSource(vip, range) => {
            (name::SOURCES, format!("a range of VIP number {vip}: {}", unmapped(&range.address)))
        }
    }
}

fn vip_map(key: &VipKey) -> &'static str {
    if key.address.is_ipv4() { name::VIPS4 } else { name::VIPS6 }
}

/// Returns a VIP as `203.0.113.10 tcp 80`.
fn vip_text(key: &VipKey) -> String {
    if key.is_address() {
        return key.address.to_string();
    }
    let protocol = match key.protocol {
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        132 => "sctp".to_owned(),
        other => format!("protocol {other}"),
    };
    format!("{} {protocol} {}", key.address, key.port)
}

fn unmapped(address: &[u8; 16]) -> IpAddr {
    IpAddr::from(Ipv6Addr::from(*address)).to_canonical()
}

fn mac_text(mac: &[u8; 8]) -> String {
    let octets: Vec<_> = mac.iter().take(6).map(|octet| format!("{octet:02x}")).collect();
    octets.join(":")
}
