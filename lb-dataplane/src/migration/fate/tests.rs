use lb_common::layout::{Field, Shape};
use lb_common::map_table::{LAYOUT, MAPS, MapOption};

use super::*;

const WORD: Shape = Shape::Integer(4);
const BYTE: Shape = Shape::Integer(1);

const fn field(name: &'static str, offset: usize, shape: &'static Shape) -> Field {
    Field { name, offset, shape }
}

const OLD: Shape = Shape::Structure(&[
    field("address", 0, &Shape::Array(&BYTE, 4)),
    field("gone", 4, &WORD),
    field("links", 8, &Shape::Array(&Shape::Structure(&[field("mac", 0, &WORD), field("mtu", 4, &WORD)]), 2)),
    field("narrow", 24, &BYTE),
    field("wide", 25, &WORD),
]);
const NEW: Shape = Shape::Structure(&[
    field("new", 0, &WORD),
    field("address", 4, &Shape::Array(&BYTE, 8)),
    field(
        "links",
        12,
        &Shape::Array(&Shape::Structure(&[field("mtu", 0, &WORD), field("mac", 4, &WORD)]), 1),
    ),
    field("narrow", 20, &WORD),
    field("wide", 24, &BYTE),
]);

fn spec(name: &'static str, value: &'static Shape) -> MapSpec {
    MapSpec {
        name,
        kind: MapKind::HashMap,
        key: "u32",
        value: "",
        sizes: [4, value.size()],
        entries: 8,
        option: MapOption::Plain,
        since: 1,
        shapes: [&WORD, value],
    }
}

fn old(map: &MapSpec) -> OldMap {
    OldMap {
        kind: kernel_kind(map.kind),
        sizes: [kernel_key_size(map), map.sizes[1]],
        entries: map.entries,
        flags: map.option as u32,
        record: Ok(Record::of(map)),
    }
}

fn fate_of(new: &MapSpec, old: OldMap) -> Fate {
    decide((6, 7), &[*new], &[(new.name, old)].into(), &BTreeMap::new())[new.name].clone()
}

/// The fates of all maps after a change of some old ones.
fn fates(change: impl Fn(&'static str, &mut OldMap)) -> BTreeMap<&'static str, Fate> {
    let changed = MAPS.iter().map(|map| {
        let mut it = old(map);
        change(map.name, &mut it);
        (map.name, it)
    });
    decide((LAYOUT, LAYOUT), MAPS, &changed.collect(), &BTreeMap::new())
}

fn left_behind(fates: &BTreeMap<&'static str, Fate>) -> Vec<&'static str> {
    let is_left = |(name, fate): (&&'static str, &Fate)| matches!(fate, Fate::Left(_)).then_some(*name);
    fates.iter().filter_map(is_left).collect()
}

#[test]
fn fields_move_by_name_and_elements_by_number() {
    let moves = moves(&Record::of(&spec("lb_x", &OLD)).value, &Record::of(&spec("lb_x", &NEW)).value);
    let expected = [
        (0, 4, 4),   // the first half of `address`
        (12, 12, 4), // `links.0.mtu`
        (8, 16, 4),  // `links.0.mac`
        (24, 20, 1), // `narrow`, widened; `wide` does not fit
    ];
    assert_eq!(moves, expected.map(|(from, to, length)| Move { from, to, length }));
}

#[test]
fn a_map_with_the_same_definition_is_shared() {
    let map = spec("lb_x", &OLD);
    assert_eq!(fate_of(&map, old(&map)), Fate::Shared);
    assert!(fates(|_, _| {}).values().all(|fate| *fate == Fate::Shared), "all maps, between equal layouts");
}

#[test]
fn other_fields_flags_or_sizes_of_a_hash_table_are_converted() {
    let map = spec("lb_x", &NEW);
    assert!(matches!(fate_of(&map, old(&spec("lb_x", &OLD))), Fate::Copied(_)));
    assert!(matches!(fate_of(&map, OldMap { flags: 1, ..old(&map) }), Fate::Copied(_)));
    assert!(matches!(fate_of(&map, OldMap { entries: 4, ..old(&map) }), Fate::Copied(_)));
}

#[test]
fn what_cannot_be_converted_is_left_behind_by_name() {
    let map = spec("lb_x", &NEW);
    let record = |since| Record { since, ..Record::of(&map) };
    let array = MapSpec { kind: MapKind::Array, ..map };
    let cases = [
        (map, OldMap { kind: 9, ..old(&map) }, Left::Kind),
        (map, OldMap { sizes: [8, 28], ..old(&map) }, Left::Key),
        (map, old(&MapSpec { shapes: [&BYTE, &NEW], ..map }), Left::Key),
        (map, old(&spec("lb_x", &WORD)), Left::Value),
        (map, OldMap { record: Err(Left::NoRecord), ..old(&map) }, Left::NoRecord),
        (array, OldMap { entries: 4, ..old(&array) }, Left::Entries),
        (MapSpec { since: 7, ..map }, old(&map), Left::Meaning),
        (map, OldMap { record: Ok(record(8)), ..old(&map) }, Left::Meaning),
    ];
    for (new, old, reason) in cases {
        assert_eq!(fate_of(&new, old), Fate::Left(reason));
    }
    assert_eq!(decide((6, 7), &[map], &BTreeMap::new(), &BTreeMap::new())["lb_x"], Fate::Left(Left::New));
    let failed = [("lb_x", "full".to_owned())].into();
    let fates = decide((6, 7), &[map], &[("lb_x", old(&map))].into(), &failed);
    assert_eq!(fates["lb_x"], Fate::Left(Left::Failed("full".into())));
}

#[test]
fn a_meaning_that_both_layouts_know_is_no_obstacle_on_the_way_back() {
    let map = MapSpec { since: 6, ..spec("lb_x", &NEW) };
    let fates = decide((7, 6), &[map], &[("lb_x", old(&map))].into(), &BTreeMap::new());
    assert_eq!(fates["lb_x"], Fate::Shared);
}

#[test]
fn numbers_of_a_map_that_is_left_behind_are_too() {
    let lost = |lost: &'static str| {
        left_behind(&fates(|name, map| {
            if name == lost {
                map.kind = 0
            }
        }))
    };
    assert_eq!(lost(name::VERDICTS), [name::VERDICTS]);
    assert_eq!(lost(name::FLOWS), [name::FLOWS]);
    let with_rings = lost(name::RINGS);
    assert!(with_rings.contains(&name::VIPS4) && with_rings.contains(&name::VIP_STATS), "{with_rings:?}");
    assert!(!with_rings.contains(&name::NODES) && !with_rings.contains(&name::FLOWS), "{with_rings:?}");
    let with_nodes = lost(name::NODES);
    for name in [name::NODE_ADDRESSES, name::FLOWS, name::LIVENESS, name::RINGS, name::VIPS6, name::ARP] {
        assert!(with_nodes.contains(&name), "{name}: {with_nodes:?}");
    }
    assert!(!with_nodes.contains(&name::VERDICTS) && !with_nodes.contains(&name::CONFIG), "{with_nodes:?}");
}

#[test]
fn maps_of_the_plan_that_refer_to_a_copied_one_are_copied() {
    let fates = fates(|name, map| {
        if name == name::NODES {
            map.flags = 1
        }
    });
    assert_eq!(left_behind(&fates), [""; 0]);
    for name in [name::NODES, name::NODE_ADDRESSES, name::RINGS, name::VIPS4, name::VIPS_MORE, name::ARP] {
        assert!(matches!(fates[name], Fate::Copied(_)), "{name}");
    }
    for name in [name::FLOWS, name::LIVENESS, name::VIP_STATS, name::CONFIG, name::BFD] {
        assert_eq!(fates[name], Fate::Shared, "{name}");
    }
}

#[test]
fn every_map_has_had_its_meaning_for_some_time() {
    for map in MAPS {
        assert!(map.since <= LAYOUT, "{}: since layout {}", map.name, map.since);
    }
}
