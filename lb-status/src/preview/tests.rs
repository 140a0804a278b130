//! Tests of the preview.

use std::net::Ipv4Addr;

use lb_common::maps::Config;
use lb_dataplane::attach::{AttachMode, DesiredMode};
use lb_dataplane::net::link::{Device, DeviceProgram};
use lb_dataplane::traces::OwnPrograms;
use lb_plan::contents::{Op, VipKey};

use super::*;

fn device(program: Option<DeviceProgram>) -> Device {
    Device { index: 2, name: "eth0".into(), program, ..Device::default() }
}

fn action(program: Option<DeviceProgram>, mode: DesiredMode) -> (UplinkAction, Option<AttachMode>) {
    let adoptable = OwnPrograms::from_iter([7]);
    let preview = UplinkPreview::new("eth0", Some(&device(program)), mode, &adoptable);
    assert_eq!(preview.refusal().is_some(), preview.action == UplinkAction::Refuse);
    (preview.action, preview.mode)
}

#[test]
fn a_program_of_others_is_refused_and_an_own_one_adopted() {
    let program = |id, is_generic| Some(DeviceProgram { id, is_generic });
    let (generic, native) = (Some(AttachMode::Generic), Some(AttachMode::Native));
    for (present, desired, expected) in [
        (None, DesiredMode::Auto, (UplinkAction::Attach, None)),
        (None, DesiredMode::Native, (UplinkAction::Attach, native)),
        (program(7, true), DesiredMode::Auto, (UplinkAction::Adopt, generic)),
        (program(7, true), DesiredMode::Native, (UplinkAction::Reattach, native)),
        (program(8, true), DesiredMode::Generic, (UplinkAction::Refuse, generic)),
    ] {
        assert_eq!(action(present, desired), expected, "{present:?} {desired:?}");
    }
    let missing = UplinkPreview::new("eth9", None, DesiredMode::Auto, &OwnPrograms::default());
    assert_eq!(missing.action, UplinkAction::Wait);
}

#[test]
fn operations_are_counted_by_map_and_kind() {
    let vip = |port| VipKey { address: Ipv4Addr::new(192, 0, 2, 1).into(), port, protocol: 6 };
    let ops = [
        Op::WriteSlots { first: 8, slots: vec![lb_common::ring::Slot::EMPTY; 4] },
        Op::ClearVipStats(1),
        Op::RemoveVip(vip(80)),
        Op::RemoveVip(vip(81)),
    ];
    let plan = AgentPreview::default().with_plan(Plan::default(), &ops, &Facts::default());
    let expected = [
        ("lb_rings", MapChanges { written: 4, ..MapChanges::default() }),
        ("lb_vip_stats", MapChanges { reset: 1, ..MapChanges::default() }),
        ("lb_vips4", MapChanges { removed: 2, ..MapChanges::default() }),
    ];
    assert_eq!(plan.maps, expected.into());
    assert_eq!(plan.operations[0].entry, "4 slots from 8");
    assert_eq!(plan.operations[3].entry, "192.0.2.1 tcp 81");
}

#[test]
fn the_configuration_is_shown_without_its_keys() {
    let preview = OperationPreview::from(&Op::WriteConfig(Box::new(Config::ZERO)));
    assert_eq!((preview.map, preview.entry.as_str()), ("lb_config", "the configuration"));
}
