extern crate std;

use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const NONE: [NodeIndex; 3] = [NO_NODE; 3];
const OWN: NodeIndex = 7;

fn decide(question: &Question, can_ask: impl Fn(NodeIndex) -> bool) -> Decision {
    super::decide(question, can_ask, || false)
}

fn slot(order: [NodeIndex; 4], former: [NodeIndex; 4]) -> Slot {
    let [leader, a, b, c] = order;
    Slot { leader, successors: [a, b, c], former }
}

fn question(kind: Kind, holder: NodeIndex) -> Question {
    Question {
        slot: slot([OWN, 1, 2, 3], [4, 5, NO_NODE, NO_NODE]),
        own: OWN,
        kind,
        holder,
        asked: 0,
        young: true,
    }
}

#[test]
fn a_new_flow_belongs_to_the_candidate_whatever_the_table_says() {
    assert_eq!(decide(&question(Kind::Opening, 3), |_| true), Decision::Own);
}

#[test]
fn what_is_owned_stays_and_what_is_delegated_follows() {
    assert_eq!(decide(&question(Kind::Tcp, OWN), |_| true), Decision::Own);
    assert_eq!(decide(&question(Kind::Tcp, 3), |_| true), Decision::Delegate(3));
    assert_eq!(decide(&question(Kind::Udp, 3), |_| true), Decision::Delegate(3));
}

#[test]
fn former_leaders_are_asked_before_successors() {
    assert_eq!(decide(&question(Kind::Tcp, NO_NODE), |_| true), Decision::Delegate(4));
    assert_eq!(decide(&question(Kind::Tcp, NO_NODE), |n| n != 4), Decision::Delegate(5));
    assert_eq!(decide(&question(Kind::Tcp, NO_NODE), |n| n < 4), Decision::Delegate(1));
}

#[test]
fn a_delegate_that_cannot_be_asked_is_replaced_by_the_next_who_can() {
    assert_eq!(decide(&question(Kind::Tcp, 5), |n| n != 5), Decision::Delegate(4));
}

#[test]
fn nobody_left_to_ask() {
    assert_eq!(decide(&question(Kind::Tcp, NO_NODE), |_| false), Decision::Unknown);
    assert_eq!(decide(&question(Kind::Closing, NO_NODE), |_| false), Decision::Unknown);
    assert_eq!(decide(&question(Kind::Udp, NO_NODE), |_| false), Decision::Own);
    assert_eq!(super::decide(&question(Kind::Tcp, NO_NODE), |_| false, || true), Decision::Orphan);
    assert_eq!(super::decide(&question(Kind::Udp, NO_NODE), |_| false, || true), Decision::Own);
}

#[test]
fn while_a_node_is_silent_nothing_new_is_noted() {
    let ask = |holder| super::decide(&question(Kind::Tcp, holder), |n| n != 4, || true);
    assert_eq!(ask(NO_NODE), Decision::Ask(5));
    assert_eq!(ask(4), Decision::Orphan, "who is noted may be back at once, and nobody else need know of it");
    let udp = super::decide(&question(Kind::Udp, 4), |n| n != 4, || true);
    assert_eq!(udp, Decision::Ask(5), "UDP does not wait for one node");
    assert_eq!(ask(3), Decision::Delegate(3), "what was noted before holds");
}

#[test]
fn the_sixth_asks_nobody() {
    let last = Question { asked: MAX_ASKED - 1, ..question(Kind::Tcp, 3) };
    assert_eq!(decide(&last, |_| true), Decision::Unknown);
    let before = Question { asked: MAX_ASKED - 2, ..question(Kind::Tcp, 3) };
    assert_eq!(decide(&before, |_| true), Decision::Delegate(3));
}

#[test]
fn udp_asks_former_leaders_and_one_successor_while_young() {
    assert_eq!(decide(&question(Kind::Udp, NO_NODE), |_| true), Decision::Delegate(4));
    assert_eq!(decide(&question(Kind::Udp, NO_NODE), |n| n == 1), Decision::Delegate(1));
    assert_eq!(decide(&question(Kind::Udp, NO_NODE), |n| n == 2), Decision::Own);
    let settled = Question { young: false, ..question(Kind::Udp, NO_NODE) };
    assert_eq!(decide(&settled, |_| true), Decision::Own);
}

#[test]
fn a_director_sends_to_the_first_that_takes_new_flows() {
    let s = slot([1, 2, 3, NO_NODE], [NO_NODE; 4]);
    let by = |states: [Vitality; 3]| direct(s, OWN, |n| states[usize::from(n) - 1]);
    use Vitality::{Accepting, Dead, Draining};
    assert_eq!(by([Accepting, Accepting, Accepting]), Direction::To(1));
    assert_eq!(by([Dead, Accepting, Accepting]), Direction::To(2));
    assert_eq!(by([Draining, Dead, Accepting]), Direction::To(3));
    assert_eq!(by([Dead, Draining, Dead]), Direction::To(2));
    assert_eq!(by([Dead, Dead, Dead]), Direction::Nobody);
    assert_eq!(direct(slot([OWN, 1, 2, 3], [NO_NODE; 4]), OWN, |_| Accepting), Direction::Here);
    assert_eq!(
        direct(Slot { leader: NO_NODE, successors: NONE, former: [1; 4] }, OWN, |_| Accepting),
        Direction::Nobody
    );
}

#[test]
fn tcp_flags_say_the_kind() {
    assert_eq!(Kind::of_tcp_flags(0x02), Kind::Opening);
    assert_eq!(Kind::of_tcp_flags(0x12), Kind::Tcp, "SYN and ACK comes from a server");
    assert_eq!(Kind::of_tcp_flags(0x10), Kind::Tcp);
    assert_eq!(Kind::of_tcp_flags(0x11), Kind::Closing);
    assert_eq!(Kind::of_tcp_flags(0x04), Kind::Closing);
    assert_eq!(Kind::of_tcp_flags(0x06), Kind::Opening, "ECN or not, RST with SYN is no answer to anything");
}

/// Twelve nodes, each with its own arbitrary slot, table and idea of who is alive.
const NODES: usize = 12;

#[derive(Clone, Debug)]
struct Cluster {
    slots: Vec<[NodeIndex; 8]>,
    entries: Vec<Option<NodeIndex>>,
    alive: Vec<Vec<bool>>,
    kind: Kind,
}

fn any_node() -> impl Strategy<Value = NodeIndex> {
    prop_oneof![6 => 0..NODES as NodeIndex, 1 => Just(NO_NODE)]
}

fn any_cluster() -> impl Strategy<Value = Cluster> {
    (
        vec(proptest::array::uniform8(any_node()), NODES),
        vec(proptest::option::of(0..NODES as NodeIndex), NODES),
        vec(vec(proptest::bool::weighted(0.8), NODES), NODES),
        prop_oneof![Just(Kind::Opening), Just(Kind::Tcp), Just(Kind::Closing), Just(Kind::Udp)],
    )
        .prop_map(|(slots, entries, alive, kind)| Cluster { slots, entries, alive, kind })
}

proptest! {
    #[test]
    fn no_node_is_asked_twice_and_none_after_the_sixth(cluster in any_cluster(), first in 0..NODES) {
        let mut asked = [NO_NODE; MAX_ASKED + 1];
        let mut count = 0;
        let mut at = first;
        loop {
            prop_assert!(!asked[..count].contains(&(at as NodeIndex)), "asked twice: {asked:?}");
            prop_assert!(count < MAX_ASKED);
            let [l, a, b, c, f @ ..] = cluster.slots[at];
            let question = Question {
                slot: slot([l, a, b, c], f),
                own: at as NodeIndex,
                kind: cluster.kind,
                holder: cluster.entries[at].unwrap_or(NO_NODE),
                asked: count,
                young: true,
                    };
            asked[count] = at as NodeIndex;
            count += 1;
            let before = asked;
            let can_ask = |n: NodeIndex| cluster.alive[at][usize::from(n)] && !before[..count].contains(&n);
            match decide(&question, can_ask) {
                Decision::Delegate(next) | Decision::Ask(next) => at = usize::from(next),
                _ => break,
            }
        }
    }
}

proptest! {
    #[test]
    fn a_node_is_found_wherever_it_stands(order: [NodeIndex; 4], former: [NodeIndex; 4], node in 0u16..4, narrow: bool) {
        // Few numbers meet often, and neighbours of zero are where arithmetic on four at once goes wrong.
        let [order, former] = [order, former].map(|word| if narrow { word.map(|index| index % 5) } else { word });
        let stands = order.contains(&node) || former.contains(&node);
        prop_assert_eq!(stands_in(slot(order, former), node), stands);
        prop_assert!(order.into_iter().chain(former).all(|index| stands_in(slot(order, former), index)));
    }
}
