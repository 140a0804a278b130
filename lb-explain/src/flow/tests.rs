use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use lb_common::flows::{FlowEntry, FlowKey, FlowState, WAYS};
use lb_common::forwarding::ForwardingMode;
use lb_common::hash::{FlowKeys, HashKey};
use lb_common::maps::{Config, Link, Liveness, Node, Vip};
use lb_common::ring::{FORMER, NO_NODE, Slot};
use lb_model::Protocol;
use lb_plan::contents::{Contents, VipKey};

use super::*;

const VIP: &str = "192.0.2.1:80";
const SLOTS: u32 = 8;
const LIMIT: u32 = 3;

/// n1 is this node; n2 leads all slots, n1 succeeds it, and n3 has led them before.
fn contents() -> Contents {
    let vip: SocketAddr = VIP.parse().unwrap();
    let mut former = [NO_NODE; FORMER];
    former[0] = 2;
    let slot = Slot { leader: 1, successors: [0, NO_NODE, NO_NODE], former };
    let config = Config {
        flow_keys: FlowKeys::of(&HashKey { k0: 1, k1: 2 }),
        self_node: 0,
        liveness_limit: LIMIT,
        flow_mask: 511,
        ..Config::ZERO
    };
    let node = |id| Node { mode: ForwardingMode::L2 as u8, mtu: 1500, ifindex: 2, id, ..Node::NONE };
    let mut contents = Contents {
        config: Some(config),
        links: BTreeMap::from([(2, Link { mac: [2, 0, 0, 0, 0, 1], number: 0 })]),
        nodes: BTreeMap::from([(0, node(10)), (1, node(11)), (2, node(12))]),
        rings: BTreeMap::from([(0, vec![slot; SLOTS as usize].into())]),
        ..Contents::default()
    };
    for (port, protocol) in [(vip.port(), 6), (0, 0)] {
        let key = VipKey { address: vip.ip(), port, protocol };
        contents.vips.insert(key, Vip { ring: 0, mask: SLOTS - 1, number: 1, flags: 0 });
    }
    let config = contents.config.as_mut().unwrap();
    if let IpAddr::V4(address) = vip.ip() {
        config.vips.add4(address.octets());
    }
    config.uplinks[0] = 2;
    config.uplink_links[0] = Link { mac: [2, 0, 0, 0, 0, 1], number: 0 };
    contents
}

fn names() -> NodeNames {
    BTreeMap::from([(0, "n1".into()), (1, "n2".into()), (2, "n3".into())])
}

fn question(port: Option<u16>) -> FlowQuestion {
    let vip = VIP.parse().unwrap();
    FlowQuestion { client: [198, 51, 100, 1].into(), client_port: port, vip, protocol: Protocol::Tcp }
}

/// Asks with these ways in every set; nodes in `dead` have not answered for long.
fn ask(ways: [u64; WAYS], dead: &[u16], question: &FlowQuestion) -> Result<FlowView, FlowError> {
    let clock = 100;
    let last_seen = |node: u16| if dead.contains(&node) { 1 } else { clock };
    let live = LiveMaps {
        liveness: &|node| Liveness { last_seen: last_seen(node), state: 0 },
        clock,
        flow_age: 7,
        flow_set: &|_| ways,
    };
    flow(&contents(), &live, &names(), question)
}

fn verdicts(view: &FlowView) -> Vec<(&str, Option<&str>)> {
    view.verdicts.iter().map(|it| (it.verdict.as_str(), it.node.as_deref())).collect()
}

#[test]
fn a_flow_goes_to_the_leader_of_its_slot() {
    let view = ask([0; WAYS], &[], &question(Some(40_000))).unwrap();
    let slot = view.slot.as_ref().unwrap();
    assert_eq!(slot.leader.as_ref().unwrap().name, "n2");
    assert_eq!((slot.successors[0].name.as_str(), slot.former[0].name.as_str()), ("n1", "n3"));
    assert_eq!(verdicts(&view), [("forwarded_l2", Some("n2")); 2]);
    assert_eq!(view.distribution, BTreeMap::from([("n2".to_owned(), SLOTS as usize)]));
}

#[test]
fn a_flow_of_a_dead_leader_goes_to_the_successor() {
    let view = ask([0; WAYS], &[1], &question(Some(40_000))).unwrap();
    assert_eq!(view.slot.as_ref().unwrap().candidate.as_ref().unwrap().name, "n1");
    // A segment of an unknown flow is a question to the former leader.
    assert_eq!(verdicts(&view)[0], ("local", Some("n1")));
    assert_eq!(verdicts(&view)[1].1, Some("n3"));
    assert_eq!(view.distribution, BTreeMap::from([("n1".to_owned(), SLOTS as usize)]));
}

#[test]
fn the_flow_table_says_who_owns_an_open_flow() {
    let config = contents().config.unwrap();
    let question = question(Some(40_000));
    let tag = FlowKey::of(flow_hash(&config, &question, false)).tag;
    let entry = FlowEntry { node: 2, state: FlowState::Moved, age: 5 };
    let word = u64::from(tag) << 32 | u64::from(entry.to_bits());
    let view = ask([word, 0, 0, 0, 0, 0, 0, 0], &[1], &question).unwrap();
    let expected = EntryView { node: "n3".into(), state: "moved".into(), age_units: 2 };
    assert_eq!(view.entry, Some(expected));
    assert_eq!(verdicts(&view)[1].1, Some("n3"), "{view:#?}");
}

#[test]
fn without_a_port_the_flows_of_a_client_spread() {
    let view = ask([0; WAYS], &[], &question(None)).unwrap();
    assert!(view.slot.is_none() && view.verdicts.is_empty() && !view.distribution.is_empty());
}

#[test]
fn all_flows_of_a_client_with_session_affinity_share_a_slot() {
    let live = LiveMaps {
        liveness: &|_| Liveness { last_seen: 100, state: 0 },
        clock: 100,
        flow_age: 7,
        flow_set: &|_| [0; WAYS],
    };
    let mut affine = contents();
    affine.vips.values_mut().for_each(|vip| vip.flags |= VIP_AFFINITY);
    let slot = |port| {
        let view = flow(&affine, &live, &names(), &question(port)).unwrap();
        assert!(view.affinity && view.verdicts.len() == 2);
        view.slot.unwrap().number
    };
    assert!([Some(1), Some(2), Some(3), None].into_iter().all(|port| slot(port) == slot(Some(4))));
}

#[test]
fn an_address_that_is_no_vip_is_refused() {
    let vip = "192.0.2.1:81".parse().unwrap();
    assert_eq!(ask([0; WAYS], &[], &FlowQuestion { vip, ..question(None) }), Err(FlowError::NotAVip));
    let client = "2001:db8::1".parse().unwrap();
    assert_eq!(ask([0; WAYS], &[], &FlowQuestion { client, ..question(None) }), Err(FlowError::Families));
}
