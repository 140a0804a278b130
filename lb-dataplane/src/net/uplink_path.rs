//! The devices below an uplink, and where the program gets its packets: a decision on values.
//!
//! ```text
//! eth0                      the driver runs the program
//! bond0     ── eth0, eth1   its members run it
//! eth0.100  ── eth0         the VLAN device, in generic mode: frames without the tag
//! bond0.100 ── bond0 ── …   the same
//! ```
//!
//! A VRF is a master: it changes neither where frames arrive nor how they leave.

use std::fmt;

use super::link::{BondMode, BondSettings, Device, DeviceKind};

/// Devices that are looked at below an uplink: a VLAN device, another in it (802.1ad), a bond.
const MAX_LAYERS: usize = 4;

/// An uplink with the devices below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UplinkPath {
    /// From the uplink downwards.
    layers: Vec<Layer>,
    /// The VRF that the uplink belongs to.
    vrf: Option<String>,
}

/// A device of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Layer {
    name: String,
    kind: DeviceKind,
    /// The members of a bond: their names, and whether they are veths.
    members: Vec<(String, bool)>,
}

/// Why the program runs where it does by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UplinkChoice {
    /// In the driver, if that can run it.
    Driver,
    /// In the drivers of the bond's members.
    Members,
    /// In generic mode: the program's packets may be lost at the peer of a veth.
    Veth,
    /// In generic mode: the kernel has no way of sending for XDP in this mode of the bond.
    BondMode(BondMode),
    /// In generic mode: the kernel cannot choose a member by VLAN ID and source MAC address for XDP.
    BondHash,
    /// In generic mode: a VLAN device has no driver that runs programs.
    VlanDevice,
}

impl UplinkChoice {
    /// Returns whether the program runs in generic mode.
    pub const fn is_generic(&self) -> bool {
        !matches!(self, Self::Driver | Self::Members)
    }
}

impl fmt::Display for UplinkChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver => f.write_str("native mode if the driver has it"),
            Self::Members => f.write_str("native mode on the members if their drivers have it"),
            Self::Veth => {
                f.write_str("generic mode: what a native program sends may be lost at a veth's peer")
            }
            Self::BondMode(mode) => {
                write!(f, "generic mode: a bond in mode {} cannot send for XDP", mode.as_str())
            }
            Self::BondHash => {
                f.write_str("generic mode: a bond with xmit_hash_policy vlan+srcmac cannot send for XDP")
            }
            Self::VlanDevice => f.write_str("generic mode: no driver runs a program on a VLAN device"),
        }
    }
}

/// Returns where the program runs on a device by itself. The members of a bond are not looked at.
pub const fn choice(kind: DeviceKind) -> UplinkChoice {
    match kind {
        DeviceKind::Veth => UplinkChoice::Veth,
        DeviceKind::Vlan(_) => UplinkChoice::VlanDevice,
        DeviceKind::Bond(BondSettings { mode, hashes_vlan_and_source }) => match mode {
            BondMode::Broadcast | BondMode::TransmitLoad | BondMode::AdaptiveLoad => {
                UplinkChoice::BondMode(mode)
            }
            BondMode::Xor | BondMode::Lacp if hashes_vlan_and_source => UplinkChoice::BondHash,
            BondMode::RoundRobin | BondMode::ActiveBackup | BondMode::Xor | BondMode::Lacp => {
                UplinkChoice::Members
            }
        },
        DeviceKind::Vrf(_) | DeviceKind::Other => UplinkChoice::Driver,
    }
}

impl UplinkPath {
    /// Finds the path of an uplink among all devices; `None` if there is no such device.
    pub fn find(name: &str, devices: &[Device]) -> Option<Self> {
        let mut device = devices.iter().find(|it| it.name == name)?;
        let master = devices.iter().find(|it| Some(it.index) == device.master);
        let vrf = master.filter(|it| matches!(it.kind, DeviceKind::Vrf(_))).map(|it| it.name.clone());
        let mut layers = vec![Layer::of(device, devices)];
        while let (DeviceKind::Vlan(_), Some(lower)) = (device.kind, device.lower) {
            match devices.iter().find(|it| it.index == lower) {
                Some(lower) if layers.len() < MAX_LAYERS => device = lower,
                _ => break,
            }
            layers.push(Layer::of(device, devices));
        }
        Some(Self { layers, vrf })
    }

    /// Returns where the program runs by itself.
    pub fn choice(&self) -> UplinkChoice {
        self.layers.first().map_or(UplinkChoice::Driver, |top| choice(top.kind))
    }

    /// Returns the VLAN devices on the uplink, if a driver runs the program on it: with rx VLAN offload, the
    /// program sees their frames without a tag.
    pub fn vlans_above(&self, devices: &[Device]) -> Vec<String> {
        let Some(top) = self.layers.first().filter(|_| !self.choice().is_generic()) else {
            return Vec::new();
        };
        let index = devices.iter().find(|it| it.name == top.name).map(|it| it.index);
        let is_above =
            |it: &&Device| matches!(it.kind, DeviceKind::Vlan(_)) && index.is_some() && it.lower == index;
        devices.iter().filter(is_above).map(|it| it.name.clone()).collect()
    }

    /// Returns the devices that receive frames: the members of a bond, or the lowest device.
    pub fn ports(&self) -> Vec<&str> {
        match self.layers.last() {
            Some(lowest) if !lowest.members.is_empty() => {
                lowest.members.iter().map(|it| it.0.as_str()).collect()
            }
            lowest => lowest.map(|it| it.name.as_str()).into_iter().collect(),
        }
    }

    /// Returns the members of its bond that are veths.
    pub fn veth_members(&self) -> Vec<&str> {
        let members = self.layers.iter().flat_map(|layer| &layer.members);
        members.filter(|it| it.1).map(|it| it.0.as_str()).collect()
    }

    /// Returns whether it is one device, of which nothing need be said.
    pub fn is_plain(&self) -> bool {
        self.vrf.is_none() && self.layers.len() == 1 && self.choice() == UplinkChoice::Driver
    }
}

/// `eth0.100 = VLAN 100 on bond0 (802.3ad of eth0, eth1), in VRF red`
impl fmt::Display for UplinkPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, layer) in self.layers.iter().enumerate() {
            let link = if at == 0 { "" } else { " on " };
            write!(f, "{link}{}", layer.name)?;
            match layer.kind {
                DeviceKind::Vlan(tag) => write!(f, " (VLAN {tag})")?,
                DeviceKind::Veth => f.write_str(" (veth)")?,
                DeviceKind::Bond(BondSettings { mode, .. }) => {
                    let names: Vec<&str> = layer.members.iter().map(|it| it.0.as_str()).collect();
                    let names = if names.is_empty() { "no member".to_owned() } else { names.join(", ") };
                    write!(f, " ({} of {names})", mode.as_str())?;
                }
                DeviceKind::Vrf(_) | DeviceKind::Other => {}
            }
        }
        self.vrf.as_ref().map_or(Ok(()), |vrf| write!(f, ", in VRF {vrf}"))
    }
}

impl Layer {
    fn of(device: &Device, devices: &[Device]) -> Self {
        let is_bond = matches!(device.kind, DeviceKind::Bond(_));
        let is_member = |it: &&Device| is_bond && it.master == Some(device.index);
        let member = |it: &Device| (it.name.clone(), it.kind == DeviceKind::Veth);
        let members = devices.iter().filter(is_member).map(member).collect();
        Self { name: device.name.clone(), kind: device.kind, members }
    }
}

#[cfg(test)]
mod tests;
