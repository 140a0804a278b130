use super::*;

const OURS: u32 = 100;
const THEIRS: u32 = 7;
const NATIVE: AttachMode = AttachMode::Native;
const GENERIC: AttachMode = AttachMode::Generic;

fn interface(index: u32, name: &str, program: Option<(u32, AttachMode)>) -> XdpInterface {
    let program = program.map(|(id, mode)| XdpProgram { id, mode });
    XdpInterface { index, name: name.into(), requires_generic: false, program }
}

fn link(index: u32, program: u32) -> Option<LinkState> {
    Some(LinkState { index, program })
}

/// The event, the held link, the interfaces, and the decision: the interface, whether the link is released,
/// and the step.
type Row = (&'static str, Option<LinkState>, Vec<XdpInterface>, (Option<u32>, bool, Step));

fn rows() -> Vec<Row> {
    let bare = |index| interface(index, "eth0", None);
    let ours = |index, name| interface(index, name, Some((OURS, NATIVE)));
    let theirs = |index| interface(index, "eth0", Some((THEIRS, NATIVE)));
    vec![
        ("there is no interface", None, vec![], (None, false, Step::Wait)),
        ("the interface appears", None, vec![bare(2)], (Some(2), false, Step::Attach)),
        ("the interface has another program", None, vec![theirs(2)], (Some(2), false, Step::Wait)),
        ("nothing has changed", link(2, OURS), vec![ours(2, "eth0")], (Some(2), false, Step::Keep)),
        ("the interface is deleted", link(2, OURS), vec![], (None, true, Step::Wait)),
        ("the interface is recreated", link(2, OURS), vec![bare(5)], (Some(5), true, Step::Attach)),
        ("recreated with another program", link(2, OURS), vec![theirs(5)], (Some(5), true, Step::Wait)),
        ("recreated with its old index", link(2, OURS), vec![bare(2)], (Some(2), true, Step::Attach)),
        ("the interface is renamed", link(2, OURS), vec![ours(2, "ens3")], (Some(2), false, Step::Keep)),
        (
            "renamed, and another takes the name",
            link(2, OURS),
            vec![ours(2, "ens3"), bare(5)],
            (Some(5), true, Step::Attach),
        ),
        ("the link is detached", link(2, OURS), vec![bare(2)], (Some(2), true, Step::Attach)),
        ("detached, and another attached", link(2, OURS), vec![theirs(2)], (Some(2), true, Step::Wait)),
        ("the link's program is replaced", link(2, THEIRS), vec![theirs(2)], (Some(2), false, Step::Restore)),
        (
            "replaced after the interface was read",
            link(2, THEIRS),
            vec![ours(2, "eth0")],
            (Some(2), false, Step::Restore),
        ),
        (
            "other interfaces do not matter",
            link(2, OURS),
            vec![interface(3, "eth1", None), ours(2, "eth0")],
            (Some(2), false, Step::Keep),
        ),
    ]
}

#[test]
fn every_difference_between_desired_and_actual_leads_to_its_step() {
    for (event, link, interfaces, expected) in rows() {
        let desired = DesiredUplink { name: "eth0", program: OURS, mode: DesiredMode::Auto };
        let Decision { interface, release, step } = decide(desired, link, &interfaces);
        assert_eq!((interface.map(|it| it.index), release, step), expected, "{event}");
    }
}

#[test]
fn a_program_in_another_mode_than_the_desired_one_is_reattached() {
    let step = |mode, requires_generic, actual| {
        let interface = XdpInterface { requires_generic, ..interface(2, "eth0", Some((OURS, actual))) };
        let interfaces = [interface];
        let decided = decide(DesiredUplink { name: "eth0", program: OURS, mode }, link(2, OURS), &interfaces);
        (decided.release, decided.step)
    };
    let (keep, change) = ((false, Step::Keep), (true, Step::Attach));
    for (mode, requires_generic, actual, expected) in [
        (DesiredMode::Auto, false, NATIVE, keep),
        // The driver may lack native mode.
        (DesiredMode::Auto, false, GENERIC, keep),
        (DesiredMode::Auto, true, GENERIC, keep),
        (DesiredMode::Auto, true, NATIVE, change),
        (DesiredMode::Native, true, NATIVE, keep),
        (DesiredMode::Native, false, GENERIC, change),
        (DesiredMode::Generic, false, GENERIC, keep),
        (DesiredMode::Generic, false, NATIVE, change),
    ] {
        assert_eq!(
            step(mode, requires_generic, actual),
            expected,
            "{mode:?}, veth {requires_generic}, {actual:?}"
        );
    }
}

#[test]
fn links_of_a_previous_agent_are_located_by_name_then_by_program() {
    let pinned = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), THEIRS)).collect::<Vec<_>>();
    let on = |index, name: &str| interface(index, name, Some((THEIRS, NATIVE)));
    let both = [on(2, "eth0"), on(3, "eth1")];
    assert_eq!(locate(&pinned(&["eth0", "eth1"]), &both), [Some(2), Some(3)]);
    // Renamed while no agent was running.
    assert_eq!(locate(&pinned(&["eth0", "eth1"]), &[on(2, "ens3"), on(3, "eth1")]), [Some(2), Some(3)]);
    // Recreated: no interface has the program.
    assert_eq!(locate(&pinned(&["eth0"]), &[interface(9, "eth0", None)]), [None]);
    // The program of another process is not one of Fairlead's links.
    assert_eq!(locate(&pinned(&["eth0"]), &[interface(2, "eth0", Some((OURS, NATIVE)))]), [None]);
}
