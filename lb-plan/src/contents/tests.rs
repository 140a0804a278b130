use lb_common::forwarding::ForwardingMode;
use lb_common::maps::Config;
use lb_common::ring::NO_NODE;

use super::*;

fn slot(leader: NodeIndex) -> Slot {
    Slot { leader, ..Slot::EMPTY }
}

fn key(port: u16) -> VipKey {
    VipKey { address: [192, 0, 2, 1].into(), port, protocol: 6 }
}

fn vip(ring: u32, slots: u32, number: u32) -> Vip {
    Vip { ring, mask: slots - 1, number, flags: 0 }
}

fn node(ifindex: u32) -> Node {
    Node { mode: ForwardingMode::L2 as u8, ifindex, ..Node::NONE }
}

fn ranges(nets: &[&str]) -> SourceSet {
    nets.iter().map(|net| SourceRange::from(net.parse::<ipnet::IpNet>().unwrap())).collect()
}

/// One VIP with a ring of four slots on node 0, and all entries that it needs.
fn small() -> Contents {
    Contents {
        config: None,
        links: BTreeMap::from([(2, Link { mac: [2; 6], number: 0 })]),
        nodes: BTreeMap::from([(0, node(2))]),
        node_addresses: BTreeMap::from([([1; 16], 0)]),
        node_macs: BTreeMap::from([([1; 8], 0)]),
        vips: BTreeMap::from([(key(80), vip(8, 4, 5))]),
        rings: BTreeMap::from([(8, vec![slot(0); 4].into())]),
        announcers: BTreeMap::from([
            ([192, 0, 2, 1].into(), Announcer::new(&[0], 1, 5)),
            (std::net::Ipv6Addr::LOCALHOST.into(), Announcer::new(&[0], 1, 6)),
        ]),
        sources: BTreeMap::from([(5, ranges(&["10.0.0.0/8"]))]),
    }
}

/// One letter for each kind of operation.
fn letters(ops: &[Op]) -> String {
    let letter = |op: &Op| match op {
        Op::WriteConfig(_) => 'C',
        Op::WriteLink(..) => 'L',
        Op::RemoveLink(_) => 'l',
        Op::WriteNode(..) => 'N',
        Op::RemoveNode(_) => 'n',
        Op::WriteNodeAddress(..) => 'P',
        Op::RemoveNodeAddress(_) => 'p',
        Op::WriteNodeMac(..) => 'M',
        Op::RemoveNodeMac(_) => 'm',
        Op::WriteSlots { .. } => 'S',
        Op::ClearVipStats(_) => 'Z',
        Op::WriteVip(..) => 'V',
        Op::RemoveVip(_) => 'v',
        Op::WriteAnnouncer(..) => 'A',
        Op::RemoveAnnouncer(_) => 'a',
        Op::WriteSource(..) => 'F',
        Op::RemoveSource(..) => 'f',
    };
    ops.iter().map(letter).collect()
}

fn applied(mut contents: Contents, ops: &[Op]) -> Contents {
    ops.iter().for_each(|op| contents.apply(op));
    contents
}

#[test]
fn entries_are_written_before_and_removed_after_their_references() {
    let (none, some) = (Contents::default(), small());
    let there = diff(&none, &some);
    assert_eq!(letters(&there), "LNPMSFZVAA");
    assert_eq!(applied(none.clone(), &there), some);
    let back = diff(&some, &none);
    assert_eq!(letters(&back), "aavfmpnl");
    assert_eq!(applied(some, &back), none);
}

#[test]
fn a_new_node_answers_probes_only_when_it_serves_every_vip() {
    let config = |id| Some(Config { id, ..Config::ZERO });
    let new = Contents { config: config(1), ..small() };
    assert_eq!(letters(&diff(&Contents::default(), &new)), "LNPMSFZVAAC");
    let other = Contents { config: config(2), vips: BTreeMap::from([(key(81), vip(8, 4, 6))]), ..small() };
    assert_eq!(letters(&diff(&new, &other)), "CZVv");
}

#[test]
fn equal_contents_need_no_operation() {
    assert_eq!(diff(&small(), &small()), []);
}

#[test]
fn only_runs_of_changed_slots_are_written() {
    let mut desired = small();
    desired.nodes.insert(1, node(2));
    desired.rings.insert(8, vec![slot(1), slot(1), slot(0), slot(1)].into());
    let ops = diff(&small(), &desired);
    let runs = [
        Op::WriteNode(1, node(2)),
        Op::WriteSlots { first: 8, slots: vec![slot(1), slot(1)] },
        Op::WriteSlots { first: 11, slots: vec![slot(1)] },
    ];
    assert_eq!(ops, runs);
    assert_eq!(applied(small(), &ops), desired);
}

#[test]
fn a_vip_moves_when_its_new_region_is_complete() {
    let mut desired = small();
    desired.vips.insert(key(80), vip(16, 8, 5));
    desired.rings = BTreeMap::from([(16, vec![slot(0); 8].into())]);
    let ops = diff(&small(), &desired);
    assert_eq!(
        ops,
        [Op::WriteSlots { first: 16, slots: vec![slot(0); 8] }, Op::WriteVip(key(80), vip(16, 8, 5))]
    );
    assert_eq!(applied(small(), &ops), desired);
}

#[test]
fn slots_outside_installed_regions_do_not_count() {
    let mut installed = small();
    installed.vips.clear();
    let ops = diff(&installed, &small());
    assert_eq!(letters(&ops), "SZV");
}

#[test]
fn a_number_is_cleared_only_for_a_new_vip() {
    let mut desired = small();
    desired.vips.insert(key(80), Vip { flags: 1, ..vip(8, 4, 5) });
    assert_eq!(letters(&diff(&small(), &desired)), "V");
    desired.vips.insert(key(80), vip(8, 4, 6));
    assert_eq!(diff(&small(), &desired), [Op::ClearVipStats(6), Op::WriteVip(key(80), vip(8, 4, 6))]);
}

#[test]
fn a_region_in_use_is_not_forgotten() {
    let mut contents = small();
    contents.vips.insert(key(81), vip(8, 4, 6));
    contents.apply(&Op::RemoveVip(key(80)));
    assert_eq!(contents.rings.len(), 1);
    contents.apply(&Op::RemoveVip(key(81)));
    assert_eq!(contents.rings.len(), 0);
}

#[test]
fn only_valid_numbers_are_a_region() {
    assert_eq!(Region::of(&vip(8, 4, 0)), Some(Region { first: 8, slots: 4 }));
    assert_eq!(Region::of(&Vip { mask: 2, ..vip(8, 4, 0) }), None);
    assert_eq!(Region::of(&Vip { mask: u32::MAX, ..vip(8, 4, 0) }), None);
    assert_eq!(Region::of(&Vip { ring: u32::MAX, ..vip(8, 4, 0) }), None);
    assert_eq!(slot(3).successors, [NO_NODE; 3]);
}

#[test]
fn equal_rings_are_shared_until_one_is_written() {
    let ring = |leader| Slots::from(vec![slot(leader); 4]);
    let mut installed = Contents { rings: BTreeMap::from([(0, ring(1)), (4, ring(2))]), ..small() };
    let desired = Contents { rings: BTreeMap::from([(0, ring(1)), (4, ring(3))]), ..small() };
    assert!(!installed.rings[&0].is_same(&desired.rings[&0]));
    installed.share_rings(&desired);
    assert!(installed.rings[&0].is_same(&desired.rings[&0]));
    assert_eq!(installed.rings[&4], ring(2));

    installed.apply(&Op::WriteSlots { first: 3, slots: vec![slot(7)] });
    assert_eq!(installed.rings[&0][..], [slot(1), slot(1), slot(1), slot(7)]);
    assert_eq!(desired.rings[&0], ring(1));
}

#[test]
fn a_vip_admits_new_ranges_before_it_removes_old_ones() {
    let mut desired = small();
    desired.sources.insert(5, ranges(&["10.0.0.0/9", "192.0.2.0/24"]));
    let range = |net: &str| SourceRange::from(net.parse::<ipnet::IpNet>().unwrap());
    let ops = diff(&small(), &desired);
    let expected = [
        Op::WriteSource(5, range("10.0.0.0/9")),
        Op::WriteSource(5, range("192.0.2.0/24")),
        Op::RemoveSource(5, range("10.0.0.0/8")),
    ];
    assert_eq!(ops, expected);
    assert_eq!(applied(small(), &ops), desired);
}

#[test]
fn a_vip_is_flagged_after_its_ranges_and_unflagged_before() {
    let mut open = small();
    open.sources.clear();
    let mut restricted = small();
    restricted.vips.insert(key(80), Vip { flags: 16, ..vip(8, 4, 5) });
    assert_eq!(letters(&diff(&open, &restricted)), "FV");
    assert_eq!(letters(&diff(&restricted, &open)), "Vf");
    assert_eq!(applied(restricted.clone(), &diff(&restricted, &open)), open);
}

#[test]
fn equal_source_ranges_are_shared_until_one_is_written() {
    let (mut installed, desired) = (small(), small());
    assert!(!installed.sources[&5].is_same(&desired.sources[&5]));
    installed.share_sources(&desired);
    assert!(installed.sources[&5].is_same(&desired.sources[&5]));
    installed.apply(&Op::WriteSource(5, SourceRange { address: [0; 16], bits: 32 }));
    assert_eq!((installed.sources[&5].len(), desired.sources[&5].len()), (2, 1));
}
