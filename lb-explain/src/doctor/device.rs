//! Checks of the devices below an uplink.

use super::{Check, QueueFacts, UplinkFacts};

/// The largest MTU of drivers that keep a packet for XDP in one page: 4096 bytes less 256 of headroom, 320 of
/// `skb_shared_info`, an Ethernet header and a VLAN tag, with the alignment that drivers add.
const ONE_PAGE: u16 = 3498;
/// The driver whose program needs transmit queues of its own, one per processor.
const VIRTIO: &str = "virtio_net";

/// Returns the checks of an uplink's devices.
pub(super) fn checks(uplink: &UplinkFacts) -> Vec<Check> {
    let mut checks: Vec<Check> =
        [path(uplink), stripped_tag(uplink), veth_members(uplink), large_mtu(uplink)]
            .into_iter()
            .flatten()
            .collect();
    checks.extend(uplink.queues.iter().filter_map(|it| queues(it, uplink.processors)));
    checks
}

fn path(uplink: &UplinkFacts) -> Option<Check> {
    let (path, choice) = uplink.path.as_ref()?;
    Some(Check::ok("uplink", format!("{path}: {choice}")))
}

/// A program in the driver sees no tag that the device has removed, takes the packet for one without, and
/// sends it without one.
fn stripped_tag(uplink: &UplinkFacts) -> Option<Check> {
    if uplink.vlans_above.is_empty() || uplink.tag_strippers.is_empty() {
        return None;
    }
    let (name, vlans, ports) = (&uplink.name, uplink.vlans_above.join(", "), uplink.tag_strippers.join(", "));
    let fact = format!(
        "{vlans} is on {name}, and {ports} removes VLAN tags from received frames: the program sees packets for VIPs \
         from the VLAN without a tag, and sends them without one"
    );
    let lines: Vec<_> =
        uplink.tag_strippers.iter().map(|port| format!("ethtool -K {port} rxvlan off")).collect();
    Some(Check::warning("rx VLAN offload", fact, lines.join("; ")))
}

fn veth_members(uplink: &UplinkFacts) -> Option<Check> {
    if uplink.veth_members.is_empty() {
        return None;
    }
    let (name, members) = (&uplink.name, uplink.veth_members.join(", "));
    let fact = format!(
        "{name} is a bond of veths ({members}): packets that the program sends in native mode are lost unless the \
         peers have XDP or GRO; use --xdp-mode generic"
    );
    let lines: Vec<_> =
        uplink.veth_members.iter().map(|it| format!("ethtool -K PEER-OF-{it} gro on")).collect();
    Some(Check::warning("veth", fact, lines.join("; ")))
}

fn large_mtu(uplink: &UplinkFacts) -> Option<Check> {
    let UplinkFacts { name, mtu, is_native, is_generic, .. } = uplink;
    if *mtu <= ONE_PAGE || *is_native || *is_generic {
        return None;
    }
    let fact = format!(
        "{name} has MTU {mtu}: drivers without multi-buffer XDP refuse native mode above {ONE_PAGE}; in generic mode, \
         packets cost several times as much"
    );
    Some(Check::warning("MTU", fact, format!("ip link set dev {name} mtu {ONE_PAGE}")))
}

/// Returns the check of a device with fewer free queues than processors.
fn queues(queues: &QueueFacts, processors: u32) -> Option<Check> {
    let QueueFacts { device, driver, used, available } = queues;
    if driver != VIRTIO || *available == 0 || used.saturating_add(processors) <= *available {
        return None;
    }
    let fact = format!(
        "{device} has {available} queues, of which packets use {used}: the driver has none left for what the program \
         sends on {processors} processors, and locks, or refuses native mode"
    );
    let left = available.saturating_sub(processors);
    let run = match left {
        0 => format!(
            "# on the host: give {device} queues={}, twice the processors",
            processors.saturating_mul(2)
        ),
        left => format!("ethtool -L {device} combined {left}"),
    };
    Some(Check::warning("queues", fact, run))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckState;

    fn bond() -> UplinkFacts {
        UplinkFacts {
            name: "bond0".into(),
            mtu: 1500,
            path: Some(("bond0 (802.3ad of eth0, eth1)".into(), "native mode on the members".into())),
            vlans_above: vec!["bond0.100".into()],
            processors: 2,
            ..UplinkFacts::default()
        }
    }

    /// Change of the uplink, name and state of the check, and its line.
    type Row = (fn(&mut UplinkFacts), &'static str, CheckState, Option<&'static str>);

    #[test]
    fn each_trap_of_a_device_is_named_with_the_line_to_run() {
        let virtio =
            |used, available| QueueFacts { device: "eth0".into(), driver: VIRTIO.into(), used, available };
        let rows: [Row; 7] = [
            (|_| {}, "uplink", CheckState::Ok, None),
            (
                |it| it.tag_strippers = vec!["eth0".into(), "eth1".into()],
                "rx VLAN offload",
                CheckState::Warning,
                Some("ethtool -K eth0 rxvlan off; ethtool -K eth1 rxvlan off"),
            ),
            (
                |it| it.veth_members = vec!["v0".into()],
                "veth",
                CheckState::Warning,
                Some("ethtool -K PEER-OF-v0 gro on"),
            ),
            (|it| it.mtu = 9000, "MTU", CheckState::Warning, Some("ip link set dev bond0 mtu 3498")),
            (|it| it.queues.clear(), "uplink", CheckState::Ok, None),
            (|it| it.processors = 4, "queues", CheckState::Warning, Some("ethtool -L eth0 combined 4")),
            (
                |it| it.processors = 8,
                "queues",
                CheckState::Warning,
                Some("# on the host: give eth0 queues=16, twice the processors"),
            ),
        ];
        for (at, (change, name, state, run)) in rows.into_iter().enumerate() {
            let mut uplink = UplinkFacts { queues: vec![virtio(6, 8)], ..bond() };
            change(&mut uplink);
            let last = checks(&uplink).pop().unwrap();
            assert_eq!((last.name.as_str(), last.state, last.run.as_deref()), (name, state, run), "row {at}");
        }
    }

    #[test]
    fn nothing_is_said_of_what_is_well() {
        let mtu = |is_native, is_generic| {
            large_mtu(&UplinkFacts { mtu: 9000, is_native, is_generic, ..UplinkFacts::default() }).is_some()
        };
        assert!(mtu(false, false));
        assert!(!mtu(true, false), "it runs");
        assert!(!mtu(false, true), "generic mode takes any size");
        let strips = |vlans_above: &[&str]| {
            let vlans_above = vlans_above.iter().map(ToString::to_string).collect();
            let tag_strippers = vec!["eth0".into()];
            stripped_tag(&UplinkFacts { vlans_above, tag_strippers, ..UplinkFacts::default() }).is_some()
        };
        assert!(strips(&["eth0.100"]) && !strips(&[]));
        let other = QueueFacts { driver: "mlx5_core".into(), used: 8, available: 8, ..QueueFacts::default() };
        assert_eq!(queues(&other, 8), None, "it makes queues for XDP");
        let unknown = QueueFacts { driver: VIRTIO.into(), ..QueueFacts::default() };
        assert_eq!(queues(&unknown, 8), None);
        assert_eq!(checks(&UplinkFacts { mtu: 1500, ..UplinkFacts::default() }), []);
    }
}
