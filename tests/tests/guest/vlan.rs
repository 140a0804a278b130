//! Uplinks with a VLAN tag.

use anyhow::Result;
use fairlead_tests::lab::{Lab, LabNode};

use super::bond;
use super::machine::Machine;

/// The MAC address of a VLAN device that has its own.
const OWN_MAC: [&str; 2] = ["02:00:00:00:0a:01", "02:00:00:00:0a:02"];

/// Whether the switch's end hands the tag over beside the packet, as a device with rx VLAN offload does: a
/// program in the driver sees none then.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    InPacket,
    Beside,
}

/// Ends VLAN 100 at a port of the switch.
fn end_vlan(lab: &Lab, node: &LabNode<'_>, port: &str, tag: Tag) -> Result<()> {
    let switch = lab.host(&node.spec().segment().switch())?;
    if tag == Tag::InPacket {
        switch.command("ethtool").args(["-K", port, "txvlan", "off"]).text()?;
    }
    switch.ip(&[
        format!("link set {port} nomaster"),
        format!("link add link {port} name {port}.100 type vlan id 100"),
        format!("link set {port}.100 master br0 up"),
    ])
}

/// Makes a VLAN device on a device of the node, with the node's addresses.
fn add_vlan(node: &LabNode<'_>, lower: &str) -> Result<()> {
    let vlan = format!("{lower}.100");
    node.ip(&[format!("link add link {lower} name {vlan} type vlan id 100")])?;
    node.configure_uplink(&vlan)
}

fn on_eth0(lab: &Lab, node: &LabNode<'_>, tag: Tag) -> Result<()> {
    end_vlan(lab, node, node.name(), tag)?;
    // Its routes go when it goes down.
    node.ip(&["link set eth0 down", "addr flush dev eth0", "link set eth0 up"].map(str::to_owned))?;
    add_vlan(node, "eth0")
}

const DEVICE: Machine = Machine {
    kind: "VLAN device",
    wire: |lab, node| on_eth0(lab, node, Tag::InPacket),
    mode: "auto",
    interface: None,
    attached: ("eth0.100", "generic"),
    announced: "eth0.100",
    event: None,
};

#[test]
fn a_vlan_device_forwards_in_generic_mode() -> Result<()> {
    DEVICE.check()
}

#[test]
fn a_vlan_device_forwards_with_rx_vlan_offload() -> Result<()> {
    let wire = |lab: &Lab, node: &LabNode<'_>| on_eth0(lab, node, Tag::Beside);
    Machine { kind: "VLAN device, rx VLAN offload", wire, ..DEVICE }.check()
}

#[test]
fn a_vlan_device_with_a_mac_of_its_own_announces_that_one() -> Result<()> {
    let wire = |lab: &Lab, node: &LabNode<'_>| {
        on_eth0(lab, node, Tag::InPacket)?;
        let mac = OWN_MAC[usize::from(node.name() == "n2")];
        node.ip(&[format!("link set eth0.100 address {mac}")])
    };
    Machine { kind: "VLAN device with its own MAC", wire, ..DEVICE }.check()
}

#[test]
fn a_vlan_on_a_bond_forwards() -> Result<()> {
    let wire = |lab: &Lab, node: &LabNode<'_>| {
        bond::active_backup(lab, node)?;
        for member in ["p0", "p1"] {
            // Both ports end in the VLAN of the same bridge.
            end_vlan(lab, node, &format!("{}-{member}", node.name()), Tag::InPacket)?;
        }
        add_vlan(node, "bond0")
    };
    Machine {
        kind: "VLAN device on a bond",
        wire,
        attached: ("bond0.100", "generic"),
        announced: "bond0.100",
        event: Some(bond::pull_and_return),
        ..DEVICE
    }
    .check()
}
