use super::*;

const OURS: u32 = 100;
const THEIRS: u32 = 7;
const NATIVE: Mode = Mode::Native;
const GENERIC: Mode = Mode::Generic;

fn interface(index: u32, name: &str, program: Option<(u32, Mode)>) -> Interface {
    let program = program.map(|(id, mode)| Program { id, mode });
    Interface { index, name: name.into(), is_veth: false, program }
}

fn held(index: u32, program: u32) -> Option<Held> {
    Some(Held { index, program })
}

/// What happened, the link that is held, the interfaces, and what follows: the interface, whether the link is
/// released, and the step.
type Row = (&'static str, Option<Held>, Vec<Interface>, (Option<u32>, bool, Step));

fn rows() -> Vec<Row> {
    let bare = |index| interface(index, "eth0", None);
    let ours = |index, name| interface(index, name, Some((OURS, NATIVE)));
    let theirs = |index| interface(index, "eth0", Some((THEIRS, NATIVE)));
    vec![
        ("nothing is there", None, vec![], (None, false, Step::Wait)),
        ("the interface appears", None, vec![bare(2)], (Some(2), false, Step::Attach)),
        ("it has another program", None, vec![theirs(2)], (Some(2), false, Step::Wait)),
        ("all is well", held(2, OURS), vec![ours(2, "eth0")], (Some(2), false, Step::Keep)),
        ("the interface is deleted", held(2, OURS), vec![], (None, true, Step::Wait)),
        ("it is made again", held(2, OURS), vec![bare(5)], (Some(5), true, Step::Attach)),
        ("made again with a program", held(2, OURS), vec![theirs(5)], (Some(5), true, Step::Wait)),
        ("made again with its old index", held(2, OURS), vec![bare(2)], (Some(2), true, Step::Attach)),
        ("it is renamed", held(2, OURS), vec![ours(2, "ens3")], (Some(2), false, Step::Keep)),
        (
            "renamed, and another takes the name",
            held(2, OURS),
            vec![ours(2, "ens3"), bare(5)],
            (Some(5), true, Step::Attach),
        ),
        ("the link is detached", held(2, OURS), vec![bare(2)], (Some(2), true, Step::Attach)),
        ("detached, and another attached", held(2, OURS), vec![theirs(2)], (Some(2), true, Step::Wait)),
        ("the link's program is replaced", held(2, THEIRS), vec![theirs(2)], (Some(2), false, Step::Restore)),
        (
            "replaced since the interface was looked at",
            held(2, THEIRS),
            vec![ours(2, "eth0")],
            (Some(2), false, Step::Restore),
        ),
        (
            "others do not matter",
            held(2, OURS),
            vec![interface(3, "eth1", None), ours(2, "eth0")],
            (Some(2), false, Step::Keep),
        ),
    ]
}

#[test]
fn every_difference_between_desired_and_actual_leads_to_its_step() {
    for (what, held, interfaces, expected) in rows() {
        let desired = Desired { name: "eth0", program: OURS, mode: ModeChoice::Auto };
        let Decision { interface, release, step } = decide(desired, held, &interfaces);
        assert_eq!((interface.map(|it| it.index), release, step), expected, "{what}");
    }
}

#[test]
fn a_mode_that_is_not_the_desired_one_is_changed() {
    let step = |mode, is_veth, actual| {
        let interface = Interface { is_veth, ..interface(2, "eth0", Some((OURS, actual))) };
        let interfaces = [interface];
        let decided = decide(Desired { name: "eth0", program: OURS, mode }, held(2, OURS), &interfaces);
        (decided.release, decided.step)
    };
    let (keep, change) = ((false, Step::Keep), (true, Step::Attach));
    for (mode, is_veth, actual, expected) in [
        (ModeChoice::Auto, false, NATIVE, keep),
        // The driver may have no native mode.
        (ModeChoice::Auto, false, GENERIC, keep),
        (ModeChoice::Auto, true, GENERIC, keep),
        (ModeChoice::Auto, true, NATIVE, change),
        (ModeChoice::Native, true, NATIVE, keep),
        (ModeChoice::Native, false, GENERIC, change),
        (ModeChoice::Generic, false, GENERIC, keep),
        (ModeChoice::Generic, false, NATIVE, change),
    ] {
        assert_eq!(step(mode, is_veth, actual), expected, "{mode:?}, veth {is_veth}, {actual:?}");
    }
}

#[test]
fn links_of_an_agent_before_are_found_by_name_then_by_program() {
    let pinned = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), THEIRS)).collect::<Vec<_>>();
    let on = |index, name: &str| interface(index, name, Some((THEIRS, NATIVE)));
    let both = [on(2, "eth0"), on(3, "eth1")];
    assert_eq!(locate(&pinned(&["eth0", "eth1"]), &both), [Some(2), Some(3)]);
    // Renamed while no agent ran.
    assert_eq!(locate(&pinned(&["eth0", "eth1"]), &[on(2, "ens3"), on(3, "eth1")]), [Some(2), Some(3)]);
    // Made again: nothing has the program.
    assert_eq!(locate(&pinned(&["eth0"]), &[interface(9, "eth0", None)]), [None]);
    // Somebody else's program is no link of ours.
    assert_eq!(locate(&pinned(&["eth0"]), &[interface(2, "eth0", Some((OURS, NATIVE)))]), [None]);
}
