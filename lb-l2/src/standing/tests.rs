use super::*;

const PREEMPT: Duration = Duration::from_secs(60);
const DETECTION: Duration = Duration::from_millis(150);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn node(standing: Standing) -> Option<LiveNode> {
    Some(LiveNode { standing, is_draining: false, holds_this: false })
}

fn holder(standing: Standing) -> Option<LiveNode> {
    Some(LiveNode { holds_this: true, ..node(standing).unwrap() })
}

fn draining(standing: Standing) -> Option<LiveNode> {
    Some(LiveNode { is_draining: true, ..node(standing).unwrap() })
}

/// An engine with what it last looked at.
struct Node {
    engine: StandingEngine,
    can_announce: bool,
    is_draining: bool,
    is_harmless: bool,
    others: Vec<Option<LiveNode>>,
}

impl Node {
    fn new(preempt_after: Option<Duration>, adopted: Standing, others: &[Option<LiveNode>]) -> Self {
        Self {
            engine: StandingEngine::new(preempt_after, DETECTION, adopted, ms(0)),
            can_announce: true,
            is_draining: false,
            is_harmless: false,
            others: others.to_vec(),
        }
    }

    fn look(&mut self, now: u64) -> Standing {
        let Self { can_announce, is_draining, .. } = *self;
        let input = StandingInput { can_announce, is_draining, others: &self.others };
        self.engine.handle_input(input, |_| self.is_harmless, ms(now));
        self.engine.standing()
    }

    /// Looks whenever the engine asks for it; returns the changes with their times.
    fn run(&mut self, from: u64, to: u64) -> Vec<(u64, Standing)> {
        let (mut changes, mut last, mut now) = (Vec::new(), self.engine.standing(), from);
        while now < to {
            let next = self.look(now);
            if next != last {
                changes.push((now, next));
                last = next;
            }
            let due = self.engine.next_deadline().map_or(to, |due| due.as_millis() as u64);
            // After a change it is looked at again soon.
            now = due.max(now + 5);
        }
        changes
    }
}

#[test]
fn a_node_that_starts_waits_for_answers_and_is_returned_if_others_announce() {
    use Standing::{Absent, Ready, Returned, Stable};
    for (others, at, expected) in [
        (vec![], 0, Stable),
        (vec![node(Stable)], 0, Returned),
        (vec![node(Returned)], 0, Returned),
        (vec![node(Ready)], 0, Returned),
        (vec![node(Absent)], 0, Stable),
        (vec![node(Absent), None], 150, Stable),
        (vec![node(Absent), node(Stable)], 0, Returned),
        (vec![None, node(Stable)], 150, Returned),
        (vec![None, None], 150, Stable),
    ] {
        let mut fresh = Node::new(Some(PREEMPT), Absent, &others);
        assert_eq!(fresh.run(0, 1000).first(), Some(&(at, expected)), "{others:?}");
    }
}

#[test]
fn the_time_for_answers_begins_when_the_node_can_announce() {
    let mut fresh = Node::new(Some(PREEMPT), Standing::Absent, &[None]);
    fresh.can_announce = false;
    assert_eq!(fresh.look(1000), Standing::Absent);
    fresh.can_announce = true;
    assert_eq!(fresh.look(2000), Standing::Absent);
    assert_eq!(fresh.look(2149), Standing::Absent);
    assert_eq!(fresh.look(2150), Standing::Stable);
}

#[test]
fn an_adopted_standing_is_kept() {
    for standing in [Standing::Stable, Standing::Returned, Standing::Ready] {
        let mut adopted =
            Node::new(Some(PREEMPT), standing, &[node(Standing::Stable), node(Standing::Returned)]);
        assert_eq!(adopted.look(0), standing);
        assert_eq!(adopted.look(1000), standing);
    }
}

#[test]
fn a_node_that_cannot_announce_is_absent_and_comes_back_as_returned() {
    for standing in [Standing::Stable, Standing::Returned, Standing::Ready] {
        let mut it = Node::new(Some(PREEMPT), standing, &[node(Standing::Stable)]);
        it.can_announce = false;
        assert_eq!(it.look(0), Standing::Absent);
        it.can_announce = true;
        assert_eq!(it.look(5), Standing::Returned);
    }
}

#[test]
fn a_node_that_a_stable_one_holds_is_returned_and_its_time_starts_again() {
    use Standing::{Absent, Ready, Returned, Stable};
    for from in [Stable, Ready, Returned] {
        for (holding, expected) in [(Stable, Returned), (Returned, from), (Ready, from), (Absent, from)] {
            let mut it = Node::new(Some(PREEMPT), from, &[holder(holding), node(Returned)]);
            assert_eq!(it.look(1000), expected, "{from:?} held by {holding:?}");
        }
    }
    let mut it = Node::new(Some(PREEMPT), Returned, &[holder(Stable)]);
    it.look(50_000);
    it.others = vec![node(Stable)];
    assert_eq!(it.run(50_100, 200_000), [(110_000, Ready), (110_155, Stable)]);
}

#[test]
fn a_node_that_has_waited_is_ready_and_stable_when_no_returned_node_is_left() {
    use Standing::{Ready, Returned, Stable};
    let mut it =
        Node::new(Some(PREEMPT), Returned, &[node(Stable), node(Returned), draining(Returned), None]);
    assert_eq!(it.run(0, 70_000), [(60_000, Ready)]);
    it.others[1] = node(Ready);
    assert_eq!(it.run(70_000, 80_000), [(70_150, Stable)]);
}

#[test]
fn a_node_that_returns_over_and_over_is_not_waited_for() {
    let mut it = Node::new(Some(PREEMPT), Standing::Returned, &[node(Standing::Returned)]);
    let expected = [(60_000, Standing::Ready), (120_000, Standing::Stable)];
    assert_eq!(it.run(0, 300_000), expected);
}

#[test]
fn without_preemption_a_node_is_stable_once_it_has_been_harmless_for_a_minute() {
    use Standing::{Ready, Returned, Stable};
    let mut it = Node::new(None, Returned, &[node(Stable)]);
    assert_eq!(it.run(0, 600_000), []);
    it.is_harmless = true;
    it.run(600_000, 630_000);
    it.is_harmless = false;
    it.look(630_000);
    it.is_harmless = true;
    assert_eq!(it.run(640_000, 800_000), [(700_000, Ready), (700_005, Stable)]);
}

#[test]
fn a_drain_ends_as_returned_if_others_announce() {
    use Standing::{Absent, Ready, Returned, Stable};
    for (other, expected) in [(Stable, Returned), (Returned, Returned), (Ready, Returned), (Absent, Stable)] {
        for is_harmless in [false, true] {
            let mut it = Node::new(Some(PREEMPT), Stable, &[node(other)]);
            it.is_draining = true;
            it.look(0);
            it.is_harmless = is_harmless;
            // As soon as no address moves by it, so that none moves at the end of the drain.
            let meanwhile = if is_harmless { expected } else { Stable };
            assert_eq!(it.look(100), meanwhile, "{other:?}");
            (it.is_draining, it.is_harmless) = (false, false);
            assert_eq!(it.look(200_000), expected, "{other:?}");
            assert_eq!(it.engine.since() >= ms(100), expected == Returned);
        }
    }
}

#[test]
fn the_time_of_a_returned_node_begins_after_its_drain() {
    use Standing::{Ready, Returned, Stable};
    let mut it = Node::new(Some(PREEMPT), Returned, &[node(Stable)]);
    it.is_draining = true;
    assert_eq!(it.run(0, 500_000), []);
    it.is_draining = false;
    assert_eq!(it.run(500_000, 700_000), [(560_000, Ready), (560_155, Stable)]);
    let mut ready = Node::new(Some(PREEMPT), Ready, &[node(Stable)]);
    ready.is_draining = true;
    assert_eq!(ready.look(0), Returned);
}
