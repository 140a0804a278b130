use super::*;

fn device(index: u32, name: &str, kind: DeviceKind) -> Device {
    Device { index, name: name.into(), mac: Some([2, 0, 0, 0, 0, 1]), kind, ..Device::default() }
}

fn bond(mode: BondMode) -> DeviceKind {
    DeviceKind::Bond(BondSettings { mode, ..BondSettings::default() })
}

/// A machine with `eth0` and `eth1`, a bond of `eth2` and `eth3`, one of two veths, and VLANs on all of them.
fn machine() -> Vec<Device> {
    let on = |lower, it: Device| Device { lower: Some(lower), ..it };
    let in_master = |master, it: Device| Device { master: Some(master), ..it };
    vec![
        device(1, "eth0", DeviceKind::Other),
        in_master(9, device(2, "eth1", DeviceKind::Other)),
        in_master(5, device(3, "eth2", DeviceKind::Other)),
        in_master(5, device(4, "eth3", DeviceKind::Other)),
        device(5, "bond0", bond(BondMode::Lacp)),
        on(1, device(6, "eth0.100", DeviceKind::Vlan(100))),
        on(5, device(7, "bond0.100", DeviceKind::Vlan(100))),
        on(6, device(8, "eth0.100.7", DeviceKind::Vlan(7))),
        device(9, "red", DeviceKind::Vrf(10)),
        in_master(9, on(5, device(10, "bond0.200", DeviceKind::Vlan(200)))),
        in_master(13, on(90, device(11, "v0", DeviceKind::Veth))),
        in_master(13, on(91, device(12, "v1", DeviceKind::Veth))),
        device(13, "bond1", bond(BondMode::ActiveBackup)),
        on(13, device(14, "bond1.100", DeviceKind::Vlan(100))),
        on(92, device(15, "v2", DeviceKind::Veth)),
    ]
}

#[test]
fn each_kind_of_uplink_is_recognized_with_what_is_below_it() {
    use UplinkChoice::{Driver, Members, Veth, VlanDevice};
    let devices = machine();
    for (name, text, choice, above, ports) in [
        ("eth0", "eth0", Driver, &["eth0.100"][..], &["eth0"][..]),
        ("eth1", "eth1, in VRF red", Driver, &[], &["eth1"]),
        ("bond0", "bond0 (802.3ad of eth2, eth3)", Members, &["bond0.100", "bond0.200"], &["eth2", "eth3"]),
        // What is on a VLAN device is no concern: it runs the program in generic mode.
        ("eth0.100", "eth0.100 (VLAN 100) on eth0", VlanDevice, &[], &["eth0"]),
        ("eth0.100.7", "eth0.100.7 (VLAN 7) on eth0.100 (VLAN 100) on eth0", VlanDevice, &[], &["eth0"]),
        (
            "bond0.200",
            "bond0.200 (VLAN 200) on bond0 (802.3ad of eth2, eth3), in VRF red",
            VlanDevice,
            &[],
            &["eth2", "eth3"],
        ),
        (
            "bond1.100",
            "bond1.100 (VLAN 100) on bond1 (active-backup of v0, v1)",
            VlanDevice,
            &[],
            &["v0", "v1"],
        ),
        ("v2", "v2 (veth)", Veth, &[], &["v2"]),
    ] {
        let path = UplinkPath::find(name, &devices).unwrap();
        assert_eq!((path.to_string().as_str(), path.choice()), (text, choice), "{name}");
        assert_eq!(path.vlans_above(&devices), above, "{name}");
        assert_eq!(path.ports().as_slice(), ports, "{name}");
        assert_eq!(path.is_plain(), name == "eth0", "{name}");
    }
    assert_eq!(UplinkPath::find("eth9", &devices), None);
    assert_eq!(UplinkPath::find("bond1", &devices).unwrap().veth_members(), ["v0", "v1"]);
}

#[test]
fn a_bond_runs_the_program_on_its_members_in_the_modes_that_can_send_for_xdp() {
    for (mode, hashes_vlan_and_source, expected) in [
        (BondMode::RoundRobin, false, UplinkChoice::Members),
        (BondMode::ActiveBackup, false, UplinkChoice::Members),
        // Its hash is not used.
        (BondMode::ActiveBackup, true, UplinkChoice::Members),
        (BondMode::Xor, false, UplinkChoice::Members),
        (BondMode::Xor, true, UplinkChoice::BondHash),
        (BondMode::Lacp, false, UplinkChoice::Members),
        (BondMode::Lacp, true, UplinkChoice::BondHash),
        (BondMode::Broadcast, false, UplinkChoice::BondMode(BondMode::Broadcast)),
        (BondMode::TransmitLoad, false, UplinkChoice::BondMode(BondMode::TransmitLoad)),
        (BondMode::AdaptiveLoad, false, UplinkChoice::BondMode(BondMode::AdaptiveLoad)),
    ] {
        let kind = DeviceKind::Bond(BondSettings { mode, hashes_vlan_and_source });
        assert_eq!(choice(kind), expected, "{mode:?}");
        assert_eq!(choice(kind).is_generic(), expected != UplinkChoice::Members);
    }
}

#[test]
fn a_loop_of_devices_ends() {
    let on =
        |index, name: &str, lower| Device { lower: Some(lower), ..device(index, name, DeviceKind::Vlan(1)) };
    let path = UplinkPath::find("a", &[on(1, "a", 2), on(2, "b", 1)]).unwrap();
    assert_eq!(path.layers.len(), MAX_LAYERS);
}
