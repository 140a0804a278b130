//! Every kind of change in small clusters.

use super::engine::{EntryPoint, RunResult, Score, Setup, run};
use super::report::OURS;
use super::scheme::{
    Beamer, Fairlead, Glb, Jet, Maglev, MaglevWithConnections, Memory, PlainEcmp, Scheme, SchemeSettings,
};
use super::trace::Subject;
use super::world::Timing;

const SETS: usize = 1 << 12;
const FLOWS: u32 = 2000;

fn setup(subject: Subject, ingress: EntryPoint, seed: u64) -> Setup {
    Setup { subject, nodes: 6, flows: FLOWS, seed, timing: Timing { delay: 3, detection: 3 }, ingress }
}

fn broken(outcome: &RunResult, matches: impl Fn(&Score) -> bool) -> u64 {
    outcome.scores.iter().filter(|score| matches(score)).map(|score| score.broken).sum()
}

fn all(seed: u64) -> Vec<Box<dyn Scheme>> {
    SchemeSettings { sets: SETS, memory: Memory::Agent, ask_kernels: false, delay: 3, seed }.all()
}

fn alone(setup: &Setup, scheme: impl Scheme + 'static) -> Score {
    let result = run(setup, vec![Box::new(scheme) as Box<dyn Scheme>], |_| ());
    result.scores.into_iter().next().unwrap()
}

fn fairlead(setup: &Setup, memory: Memory) -> RunResult {
    run(setup, vec![Box::new(Fairlead::new(SETS, memory, false)) as Box<dyn Scheme>], |_| ())
}

fn single() -> impl Iterator<Item = Subject> {
    let is_single = |subject: &Subject| {
        !matches!(subject, Subject::Quiet | Subject::Scale | Subject::Upheaval | Subject::UpheavalWithReboots)
    };
    Subject::ALL.into_iter().filter(is_single)
}

#[test]
fn a_single_change_breaks_nothing_where_others_break() {
    for subject in single() {
        let schemes: Vec<Box<dyn Scheme>> = vec![
            Box::new(PlainEcmp),
            Box::new(Maglev::default()),
            Box::new(Fairlead::new(SETS, Memory::Agent, false)),
        ];
        let outcome = run(&setup(subject, EntryPoint::Router, 1), schemes, |_| ());
        assert_eq!(broken(&outcome, |score| score.scheme == OURS), 0, "{subject:?}");
        assert!(broken(&outcome, |score| score.scheme != OURS) > 0, "{subject:?} is no change");
        assert_eq!(outcome.at_risk, u64::from(FLOWS), "{subject:?}");
    }
}

#[test]
fn a_single_change_breaks_nothing_from_any_director() {
    for (subject, seed) in single().zip(2..) {
        let outcome = fairlead(&setup(subject, EntryPoint::Anywhere, seed), Memory::Agent);
        assert_eq!(broken(&outcome, |_| true), 0, "{subject:?}");
    }
}

/// Fairlead with flow tables for a tenth of the flows.
fn cramped(setup: &Setup, ask_kernels: bool) -> RunResult {
    run(setup, vec![Box::new(Fairlead::new(16, Memory::Agent, ask_kernels)) as Box<dyn Scheme>], |_| ())
}

#[test]
fn without_room_for_entries_nothing_breaks_where_nothing_has_moved() {
    for subject in [Subject::Flap, Subject::Session] {
        for ask_kernels in [false, true] {
            let outcome = cramped(&setup(subject, EntryPoint::Anywhere, 3), ask_kernels);
            assert_eq!(broken(&outcome, |_| true), 0, "{subject:?}");
        }
    }
}

#[test]
fn without_room_for_entries_nothing_breaks_where_kernels_are_asked() {
    for (subject, seed) in single().zip(1..) {
        let outcome = cramped(&setup(subject, EntryPoint::Router, seed), true);
        assert_eq!(broken(&outcome, |_| true), 0, "{subject:?}");
    }
}

#[test]
fn upheaval_stays_within_its_bound_and_former_leaders_are_why() {
    let setup = Setup { nodes: 12, flows: 5000, ..setup(Subject::Upheaval, EntryPoint::Router, 1) };
    let with = broken(&fairlead(&setup, Memory::Agent), |_| true);
    let without = broken(&fairlead(&setup, Memory::Nothing), |_| true);
    assert!(with <= 2 && without > 10, "{with} broken with former leaders, {without} without");
}

#[test]
fn a_seed_determines_everything_and_no_connection_ends_twice() {
    let outcome = |seed| {
        let setup = Setup { flows: 500, ..setup(Subject::Reboot, EntryPoint::Router, seed) };
        run(&setup, all(seed), |_| ())
    };
    let first = outcome(7);
    assert_eq!(first, outcome(7));
    assert_ne!(first, outcome(8));
    for score in &first.scores {
        assert!(score.died > 0 && score.broken + score.died <= 500, "{score:?}");
    }
}

#[test]
fn without_a_change_no_scheme_breaks_anything() {
    let outcome = run(&setup(Subject::Quiet, EntryPoint::Router, 1), all(1), |_| ());
    assert_eq!(outcome.at_risk, u64::from(FLOWS));
    for score in outcome.scores {
        assert_eq!((score.broken, score.died, score.lost), (0, 0, 0), "{}", score.scheme);
    }
}

#[test]
fn a_daisy_chain_keeps_flows_through_one_change_and_loses_them_by_two() {
    let beamer = |subject| {
        // All directors change at the same time: a late one sends new flows to servers that do not know them.
        let timing = Timing { delay: 0, detection: 3 };
        alone(&Setup { timing, ..setup(subject, EntryPoint::Router, 1) }, Beamer::new(0, 1))
    };
    for subject in [
        Subject::Join,
        Subject::Drain,
        Subject::Undrain,
        Subject::Heavier,
        Subject::Lighter,
        Subject::Session,
    ] {
        assert_eq!(beamer(subject).broken, 0, "{subject:?}");
    }
    // A bucket that the first drain gives to the second node has no link to the first node after the second.
    assert!(beamer(Subject::TwoDrains).broken > 0);
    assert_eq!(beamer(Subject::Drain).tracked, 0);
}

#[test]
fn just_enough_tracking_keeps_what_full_tracking_keeps_with_fewer_entries() {
    let setup = setup(Subject::Join, EntryPoint::Router, 1);
    let (jet, full) = (alone(&setup, Jet::new(SETS)), alone(&setup, Jet::tracking_all(SETS)));
    // One standby beside six members: a seventh of the flows are at risk.
    assert!(jet.tracked > 0 && jet.tracked * 3 < full.tracked, "{} of {}", jet.tracked, full.tracked);
    assert_eq!(jet.broken, full.broken);
}

#[test]
fn the_entries_of_a_scheme_are_counted() {
    let tracked = |scheme: Box<dyn Scheme>| {
        run(&setup(Subject::Quiet, EntryPoint::Router, 1), vec![scheme], |_| ()).scores[0].tracked
    };
    assert_eq!(tracked(Box::new(PlainEcmp)) + tracked(Box::<Glb>::default()), 0);
    assert_eq!(tracked(Box::new(MaglevWithConnections::new(SETS))), u64::from(FLOWS));
}
