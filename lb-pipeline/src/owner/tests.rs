extern crate std;

mod cluster;

use super::*;
use lb_common::flows::FlowState::{Closed, HalfOpen, Moved, Open, Udp, Unconfirmed};

const OWN: NodeIndex = 7;
const HOME: u32 = MARK_LED;

/// What a node could find out, given what it would find.
struct PacketLookups<'a, A, K> {
    question: &'a Question,
    can_ask: A,
    recent_death: bool,
    kernel: K,
}

impl<A: Fn(NodeIndex) -> bool, K: Fn() -> KernelAnswer> Lookups for PacketLookups<'_, A, K> {
    fn can_ask(&self, node: NodeIndex) -> bool {
        (self.can_ask)(node)
    }

    fn find(&self, part: SlotRange) -> NodeIndex {
        let Question { slot, own, kind, .. } = *self.question;
        find(slot, own, kind, part, &self.can_ask)
    }

    fn has_recent_death(&self) -> bool {
        self.recent_death
    }

    fn kernel(&self) -> KernelAnswer {
        (self.kernel)()
    }
}

fn decide(question: &Question, can_ask: impl Fn(NodeIndex) -> bool) -> Decision {
    asking(question, can_ask, KernelAnswer::Unknown)
}

fn asking(question: &Question, can_ask: impl Fn(NodeIndex) -> bool, kernel: KernelAnswer) -> Decision {
    super::decide(question, &PacketLookups { question, can_ask, recent_death: false, kernel: || kernel })
}

fn after_a_death(question: &Question, can_ask: impl Fn(NodeIndex) -> bool) -> Decision {
    super::decide(
        question,
        &PacketLookups { question, can_ask, recent_death: true, kernel: || KernelAnswer::Unknown },
    )
}

fn slot(order: [NodeIndex; 4], led: &[NodeIndex]) -> Slot {
    let [leader, a, b, c] = order;
    let mut former = [NO_NODE; FORMER];
    former[..led.len()].copy_from_slice(led);
    Slot { leader, successors: [a, b, c], former }
}

/// This node leads the slot, 4 and 5 did before, and no node has been asked yet.
fn question(kind: PacketKind, known: Option<(NodeIndex, FlowState)>) -> Question {
    Question {
        slot: slot([OWN, 1, 2, 3], &[4, 5]),
        own: OWN,
        kind,
        holder: known.map_or(NO_NODE, |(node, _)| node),
        state: known.map_or(0, |(_, state)| state as u32),
        settled: true,
        asked: 0,
        marks: HOME,
        new_leader: true,
    }
}

fn step(action: CandidateAction, node: NodeIndex) -> Decision {
    Decision { action, node, state: Unconfirmed }
}

fn own(state: FlowState) -> Decision {
    Decision { action: CandidateAction::Own, node: OWN, state }
}

fn delegate(node: NodeIndex, state: FlowState) -> Decision {
    Decision { action: CandidateAction::Delegate, node, state }
}

#[test]
fn a_syn_begins_a_flow_where_it_comes_first() {
    assert_eq!(decide(&question(PacketKind::Opening, None), |_| true), own(HalfOpen));
    assert_eq!(decide(&question(PacketKind::Opening, Some((OWN, Closed))), |_| true), own(HalfOpen));
    assert_eq!(decide(&question(PacketKind::Opening, Some((3, Closed))), |_| true), own(HalfOpen));
}

#[test]
fn a_syn_changes_nothing_of_a_flow_that_lives() {
    assert_eq!(decide(&question(PacketKind::Opening, Some((OWN, Open))), |_| true), own(Open));
    assert_eq!(
        decide(&question(PacketKind::Opening, Some((3, Moved))), |_| true),
        step(CandidateAction::Ask, 3)
    );
    // The one that is asked has it, or passes it on, or owns it as the last of all.
    let asked = Question { asked: 1, ..question(PacketKind::Opening, None) };
    let asked = Question { slot: slot([1, OWN, 2, 3], &[OWN, 4]), ..asked };
    assert_eq!(decide(&Question { holder: OWN, state: Open as u32, ..asked }, |_| true), own(Moved));
    assert_eq!(decide(&asked, |node| node == 4), step(CandidateAction::Ask, 4));
    assert_eq!(decide(&asked, |_| false), step(CandidateAction::Return, OWN));
    let nobodys =
        Question { asked: 2, marks: HOME | MARK_UNKNOWN, ..question(PacketKind::Opening, Some((3, Moved))) };
    assert_eq!(decide(&nobodys, |_| true), own(HalfOpen));
}

#[test]
fn a_syn_that_may_have_been_a_strangers_does_not_hide_who_led_before() {
    let acked = question(PacketKind::Tcp, Some((OWN, HalfOpen)));
    assert_eq!(decide(&acked, |_| true), step(CandidateAction::Ask, 4));
    assert_eq!(asking(&acked, |_| true, KernelAnswer::Present), own(Open));
    assert_eq!(decide(&acked, |node| node < 4), own(Open), "no former leader can be asked");
    let at_successor = Question { slot: slot([1, OWN, 2, 3], &[4]), marks: 0, ..acked };
    assert_eq!(decide(&at_successor, |_| true), step(CandidateAction::Ask, 1));
    let unlisted = Question { slot: slot([1, 2, 3, 6], &[4]), marks: 0, ..acked };
    assert_eq!(decide(&unlisted, |_| true), own(Moved), "the others could not return the packet here");
    let nobodys = Question { asked: 2, marks: HOME | MARK_UNKNOWN | MARK_OPENING, ..acked };
    assert_eq!(decide(&nobodys, |_| true), own(Open));
    assert_eq!(Trail::default().going_on(HalfOpen as u32, 0).marks, MARK_OPENING);
}

#[test]
fn a_node_that_leaves_is_asked_only_for_flows_that_do_not_begin_here() {
    use LivenessState::{Accepting, Dead, Draining, Leaving};
    for kind in [PacketKind::Opening, PacketKind::Tcp, PacketKind::Closing, PacketKind::Udp] {
        for state in
            [None, Some(HalfOpen), Some(Unconfirmed), Some(Open), Some(Moved), Some(Closed), Some(Udp)]
        {
            let number = state.map_or(0, |state| state as u32);
            let of = |liveness| can_ask(liveness, kind, number);
            let begins = state == if kind == PacketKind::Udp { None } else { Some(HalfOpen) };
            assert!(of(Accepting) && of(Draining) && !of(Dead), "{kind:?}, {state:?}");
            assert_eq!(of(Leaving), !begins, "{kind:?}, {state:?}");
        }
    }
}

#[test]
fn while_a_node_is_silent_no_syn_takes_over_what_it_may_have() {
    let held = step(CandidateAction::Hold, OWN);
    let syn = |known| after_a_death(&question(PacketKind::Opening, known), |n| n != 4);
    assert_eq!(syn(Some((4, Moved))), held);
    assert_eq!((syn(Some((4, Closed))), syn(None)), (own(HalfOpen), own(HalfOpen)));
    let acked = question(PacketKind::Tcp, Some((OWN, HalfOpen)));
    assert_eq!(after_a_death(&acked, |n| n < 4), held, "who led may be back at once");
    assert_eq!(after_a_death(&acked, |n| n == 5), step(CandidateAction::Ask, 5));
    let unled = Question { slot: slot([OWN, 1, 2, 3], &[]), ..acked };
    assert_eq!(after_a_death(&unled, |_| false), own(Open), "there are no former leaders");
    let stands_in = Question { slot: slot([1, OWN, 2, 3], &[OWN]), ..acked };
    assert_eq!(
        after_a_death(&stands_in, |_| false),
        own(Moved),
        "only this node in place of the dead leader"
    );
}

#[test]
fn after_a_syn_at_home_only_what_is_certain_is_an_older_flow() {
    let asked = |state| Question {
        slot: slot([1, OWN, 2, 3], &[OWN]),
        asked: 1,
        marks: HOME | MARK_OPENING,
        ..question(PacketKind::Tcp, Some((OWN, state)))
    };
    for (state, known, unknown) in
        [(Open, false, true), (Moved, false, true), (Closed, false, false), (HalfOpen, false, false)]
    {
        let is_taken = |kernel| asking(&asked(state), |_| false, kernel).action == CandidateAction::Own;
        assert_eq!(is_taken(KernelAnswer::Absent), known, "{state:?}");
        assert_eq!(is_taken(KernelAnswer::Unknown), unknown, "{state:?}");
        assert!(is_taken(KernelAnswer::Present));
    }
}

#[test]
fn no_successor_is_asked_about_a_connection_that_opens() {
    let asked = |marks| Question {
        slot: slot([1, 2, 3, 6], &[OWN, 4]),
        asked: 2,
        marks: HOME | marks,
        ..question(PacketKind::Tcp, None)
    };
    let only = |marks, node| decide(&asked(marks), |it| it == node);
    assert_eq!(only(0, 2), step(CandidateAction::Ask, 2));
    assert_eq!(only(MARK_OPENING, 2), step(CandidateAction::Return, OWN));
    assert_eq!(only(MARK_OPENING, 4), step(CandidateAction::Ask, 4), "a former leader");
    assert_eq!(only(MARK_OPENING, 1), step(CandidateAction::Ask, 1), "the leader, which is not home");
}

#[test]
fn a_flow_is_confirmed_by_the_kernel_where_it_knows() {
    let acked =
        Question { slot: slot([OWN, 1, 2, 3], &[]), ..question(PacketKind::Tcp, Some((OWN, HalfOpen))) };
    assert_eq!(
        asking(&acked, |_| true, KernelAnswer::Absent),
        own(Unconfirmed),
        "it has not seen this packet yet"
    );
    assert_eq!(asking(&acked, |_| true, KernelAnswer::Present), own(Open));
    assert_eq!(decide(&acked, |_| true), own(Open));
    let next = question(PacketKind::Tcp, Some((OWN, Unconfirmed)));
    assert_eq!(asking(&next, |_| true, KernelAnswer::Present), own(Open));
    assert_eq!(asking(&next, |_| true, KernelAnswer::Absent), own(Unconfirmed));
    assert_eq!(decide(&next, |_| true), own(Unconfirmed));
    assert_eq!(decide(&Question { kind: PacketKind::Opening, ..next }, |_| true), own(HalfOpen));
}

#[test]
fn what_the_kernel_has_is_not_asked_for_elsewhere() {
    assert_eq!(asking(&question(PacketKind::Tcp, None), |_| true, KernelAnswer::Present), own(Open));
    let elsewhere =
        Question { slot: slot([1, 2, 3, 4], &[OWN]), asked: 1, ..question(PacketKind::Tcp, None) };
    assert_eq!(asking(&elsewhere, |_| true, KernelAnswer::Present), own(Moved));
}

#[test]
fn what_is_owned_stays_and_what_is_delegated_follows() {
    assert_eq!(decide(&question(PacketKind::Tcp, Some((OWN, Open))), |_| true), own(Open));
    assert_eq!(decide(&question(PacketKind::Tcp, Some((OWN, Moved))), |_| true), own(Open), "it leads again");
    assert_eq!(decide(&question(PacketKind::Closing, Some((OWN, Open))), |_| true), own(Closed));
    assert_eq!(decide(&question(PacketKind::Tcp, Some((OWN, Closed))), |_| true), own(Closed));
    assert_eq!(decide(&question(PacketKind::Tcp, Some((3, Moved))), |_| true), delegate(3, Moved));
    assert_eq!(decide(&question(PacketKind::Udp, Some((3, Udp))), |_| true), delegate(3, Udp));
}

#[test]
fn a_delegation_is_confirmed_when_nothing_has_come_back_for_a_while() {
    let asked = question(PacketKind::Tcp, Some((4, Unconfirmed)));
    assert_eq!(decide(&asked, |_| true), delegate(4, Moved));
    assert_eq!(decide(&Question { settled: false, ..asked }, |_| true), delegate(4, Unconfirmed));
}

#[test]
fn former_leaders_are_asked_before_successors() {
    let unknown = question(PacketKind::Tcp, None);
    assert_eq!(decide(&unknown, |_| true), delegate(4, Unconfirmed));
    assert_eq!(decide(&unknown, |n| n != 4), delegate(5, Unconfirmed));
    assert_eq!(decide(&unknown, |n| n < 4), delegate(1, Unconfirmed));
    // Only home notes whom it asks.
    assert_eq!(decide(&Question { asked: 1, ..unknown }, |_| true), step(CandidateAction::Ask, 4));
}

#[test]
fn a_delegate_that_cannot_be_asked_is_replaced_by_the_next_who_can() {
    assert_eq!(decide(&question(PacketKind::Tcp, Some((5, Moved))), |n| n != 5), delegate(4, Unconfirmed));
}

#[test]
fn an_unknown_flow_returns_home_and_ends_there() {
    for kind in [PacketKind::Tcp, PacketKind::Closing] {
        let unknown = question(kind, None);
        assert_eq!(decide(&unknown, |_| false), step(CandidateAction::Unknown, OWN), "alone, it is home");
        assert_eq!(decide(&Question { asked: 1, ..unknown }, |_| false), step(CandidateAction::Return, OWN));
        let nobodys =
            Question { asked: 3, marks: HOME | MARK_UNKNOWN, ..question(kind, Some((4, Unconfirmed))) };
        assert_eq!(decide(&nobodys, |_| true), step(CandidateAction::Unknown, OWN));
        assert_eq!(after_a_death(&nobodys, |_| true), step(CandidateAction::Hold, OWN));
        assert_eq!(asking(&nobodys, |_| true, KernelAnswer::Present).action, CandidateAction::Own);
    }
    assert_eq!(decide(&question(PacketKind::Udp, None), |_| false), own(Unconfirmed));
    assert_eq!(after_a_death(&question(PacketKind::Udp, None), |_| false), own(Unconfirmed));
}

#[test]
fn a_long_history_is_searched_window_by_window() {
    let led: std::vec::Vec<NodeIndex> = (10..22).collect();
    let unknown = Question { slot: slot([OWN, 10, 2, 3], &led), ..question(PacketKind::Tcp, None) };
    assert_eq!(decide(&unknown, |_| true), delegate(10, Unconfirmed));
    let nobodys = |window: u32| Question {
        asked: MAX_ASKED - 1,
        marks: HOME | MARK_UNKNOWN | window << MARK_WINDOW_SHIFT,
        ..unknown
    };
    assert_eq!(decide(&nobodys(0), |_| true), step(CandidateAction::Search, 15));
    assert_eq!(decide(&nobodys(1), |_| true), step(CandidateAction::Search, 20));
    assert_eq!(decide(&nobodys(2), |_| true), step(CandidateAction::Unknown, OWN));
    // The next packet goes there, and those that are asked go on from there.
    let arrived =
        |holder| Trail::default().arrived(unknown.slot, OWN, holder, 0).marks >> MARK_WINDOW_SHIFT & 3;
    assert_eq!([10, 14, 15, 20, 2].map(arrived), [0, 0, 1, 2, 2]);
    let second = Question { asked: 1, marks: HOME | 1 << MARK_WINDOW_SHIFT, own: 15, ..unknown };
    assert_eq!(decide(&second, |n| n != OWN), step(CandidateAction::Ask, 16));
}

#[test]
fn home_is_the_first_that_leads() {
    let arrived =
        |trail: Trail, leader, asked| trail.arrived(slot([leader, 1, 2, 3], &[]), OWN, NO_NODE, asked);
    let first = arrived(Trail { marks: MARK_UNKNOWN, home: 3 }, 1, 0);
    assert_eq!(first, Trail { marks: 0, home: 0 }, "nothing of another packet is left");
    let here = arrived(first, OWN, 1);
    assert_eq!(here, Trail { marks: MARK_LED | MARK_HERE, home: 1 });
    assert_eq!(here.going_on(0, 1), Trail { marks: MARK_LED, home: 1 });
    // With no node left to ask it decides, as if it had been asked first.
    let unknown = Question { asked: 1, marks: here.marks, ..question(PacketKind::Tcp, None) };
    assert_eq!(decide(&unknown, |_| false), step(CandidateAction::Unknown, OWN));
    assert_eq!(arrived(Trail { marks: MARK_LED, home: 0 }, OWN, 1), Trail { marks: MARK_LED, home: 0 });
    let opening = Trail { marks: MARK_OPENING, home: 0 };
    assert_eq!(arrived(opening, OWN, 1), opening, "the node that took the SYN stays home");
    let last = Trail { marks: MARK_LED | MARK_LAST, home: 0 };
    assert_eq!(arrived(last, OWN, 5).marks, last.marks | MARK_UNKNOWN);
    assert_eq!(arrived(last, 1, 5), last);
}

#[test]
fn while_a_node_is_silent_nothing_new_is_noted() {
    let ask = |known| after_a_death(&question(PacketKind::Tcp, known), |n| n != 4);
    assert_eq!(ask(None), step(CandidateAction::Ask, 5));
    let held = step(CandidateAction::Hold, OWN);
    assert_eq!(
        ask(Some((4, Moved))),
        held,
        "the recorded holder may come back, and no other node need know of it"
    );
    let udp = after_a_death(&question(PacketKind::Udp, Some((4, Udp))), |n| n != 4);
    assert_eq!((udp.action, udp.node), (CandidateAction::Ask, 5), "UDP does not wait for one node");
    assert_eq!(ask(Some((3, Moved))), delegate(3, Moved), "what was noted before holds");
}

#[test]
fn the_sixth_asks_no_other() {
    let last = Question { asked: MAX_ASKED - 1, ..question(PacketKind::Tcp, Some((3, Moved))) };
    assert_eq!(decide(&last, |_| true), step(CandidateAction::Return, OWN));
    let before = Question { asked: MAX_ASKED - 2, ..question(PacketKind::Tcp, Some((3, Moved))) };
    assert_eq!(decide(&before, |_| true), delegate(3, Moved));
}

#[test]
fn udp_asks_former_leaders_and_one_successor_while_young() {
    let unknown = question(PacketKind::Udp, None);
    assert_eq!(decide(&unknown, |_| true), delegate(4, Unconfirmed));
    assert_eq!(decide(&unknown, |n| n == 1), delegate(1, Unconfirmed));
    assert_eq!(decide(&unknown, |n| n == 2), own(Unconfirmed));
    assert_eq!(decide(&Question { new_leader: false, ..unknown }, |_| true), own(Unconfirmed));
    assert_eq!(
        decide(&question(PacketKind::Udp, Some((OWN, Unconfirmed))), |_| true),
        own(Udp),
        "the second datagram"
    );
}

#[test]
fn a_director_sends_to_the_first_that_takes_new_flows() {
    let s = slot([1, 2, 3, NO_NODE], &[]);
    let by = |states: [LivenessState; 3]| direct(s, OWN, |n| states[usize::from(n) - 1]);
    use LivenessState::{Accepting, Dead, Draining};
    assert_eq!(by([Accepting, Accepting, Accepting]), Direction::To(1));
    assert_eq!(by([Dead, Accepting, Accepting]), Direction::To(2));
    assert_eq!(by([Draining, Dead, Accepting]), Direction::To(3));
    assert_eq!(by([Dead, Draining, Dead]), Direction::To(2));
    assert_eq!(by([Dead, Dead, Dead]), Direction::NoNode);
    assert_eq!(direct(slot([OWN, 1, 2, 3], &[]), OWN, |_| Accepting), Direction::Here);
    assert_eq!(direct(slot([NO_NODE; 4], &[1; 4]), OWN, |_| Accepting), Direction::NoNode);
}

#[test]
fn tcp_flags_say_the_kind() {
    assert_eq!(PacketKind::of_tcp_flags(0x02), PacketKind::Opening);
    assert_eq!(PacketKind::of_tcp_flags(0x12), PacketKind::Tcp, "SYN and ACK comes from a server");
    assert_eq!(PacketKind::of_tcp_flags(0x10), PacketKind::Tcp);
    assert_eq!(PacketKind::of_tcp_flags(0x11), PacketKind::Closing);
    assert_eq!(PacketKind::of_tcp_flags(0x04), PacketKind::Closing);
    assert_eq!(
        PacketKind::of_tcp_flags(0x06),
        PacketKind::Opening,
        "ECN or not, RST with SYN is no answer to anything"
    );
}
