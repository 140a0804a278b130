//! VIPs and rings in the kernel's maps: what finds its bucket full is there all the same, everything is read
//! back as it was written, and what stands beside the slots follows them.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, HashMap, Map, MapData};
use fairlead_tests::bpffs::Bpffs;
use lb_common::map_table::name;
use lb_common::maps::{Vip, Vip4Key, Vip6Key};
use lb_common::ring::{LEADERS_A_WORD, NO_NODE, Slot, SlotLeader};
use lb_common::vips::{BucketKey, PackedVip};
use lb_dataplane::attach::{MapSizes, load_object};
use lb_dataplane::maps::Maps;
use lb_dataplane::object::OBJECT;
use lb_dataplane::pins::Pins;
use lb_plan::contents::{Contents, Op, VipKey, diff};

const SIZES: MapSizes = MapSizes { ring_slots: 4_096, flow_sets: 1 << 10 };

/// Keys of both families, each family's in one bucket: more than it has room for.
fn crowded() -> Vec<VipKey> {
    let four = (0..).map(|n: u32| Vip4Key::port((0x0a50_0000 + n).to_be_bytes(), [0, 80], 6));
    let bucket = Vip4Key::port([10, 80, 0, 0], [0, 80], 6).bucket();
    let four = four.filter(move |key| key.bucket() == bucket).take(7).map(VipKey::from);
    let address = |n: u32| (0x2001_0db8_u128 << 96 | u128::from(n)).to_be_bytes();
    let six = (0..).map(move |n| Vip6Key::port(address(n), [0, 80], 6));
    let bucket = Vip6Key::port(address(0), [0, 80], 6).bucket();
    let six = six.filter(move |key| key.bucket() == bucket).take(5).map(VipKey::from);
    four.chain(six).collect()
}

fn vips(keys: &[VipKey], flags: u32) -> Contents {
    let vip = |number: usize| Vip { ring: 0, mask: 3, number: number as u32, flags };
    let vips = keys.iter().enumerate().map(|(number, key)| (*key, vip(number))).collect();
    Contents { vips, rings: BTreeMap::new(), ..Contents::default() }
}

/// VIPs in the map beside the buckets.
fn spilled(pins: &Pins) -> Result<usize> {
    let map = Map::from_map_data(MapData::from_pin(pins.map(name::VIPS_MORE))?)?;
    let map: HashMap<_, Vip6Key, PackedVip> = map.try_into()?;
    Ok(map.keys().count())
}

#[test]
fn vips_that_find_their_bucket_full_are_there_all_the_same() -> Result<()> {
    let bpffs = Bpffs::mount()?;
    let pins = Pins::below(bpffs.path());
    fs::create_dir_all(pins.directory())?;
    let _object = load_object(OBJECT, Some(&pins), SIZES).context("load the object")?;
    let mut maps = Maps::open(&pins)?;
    let keys = crowded();
    // All; with other values; without those that came first, which stand in the buckets; again; without those
    // that came last; none.
    let steps = [
        (vips(&keys, 0), 6),
        (vips(&keys, 1), 6),
        (vips(&[&keys[4..7], &keys[9..]].concat(), 1), 6),
        (vips(&keys, 2), 6),
        (vips(&keys[..4], 2), 0),
        (Contents::default(), 0),
    ];
    let mut installed = Contents::default();
    for (wanted, beside) in steps {
        for op in diff(&installed, &wanted) {
            maps.apply(&op)?;
        }
        let read = Maps::open(&pins)?.read_back()?.vips;
        ensure!(read == wanted.vips, "{read:?} in place of {:?}", wanted.vips);
        if beside == 0 || installed.vips.is_empty() {
            ensure!(spilled(&pins)? == beside, "{} VIPs beside the buckets, not {beside}", spilled(&pins)?);
        }
        installed = wanted;
    }
    Ok(())
}

#[test]
fn leaders_follow_their_slots_and_this_node() -> Result<()> {
    let bpffs = Bpffs::mount()?;
    let pins = Pins::below(bpffs.path());
    fs::create_dir_all(pins.directory())?;
    let object = load_object(OBJECT, Some(&pins), SIZES).context("load the object")?;
    let mut maps = Maps::open(&pins)?;
    ensure!((maps.ring_capacity(), maps.flow_sets()) == (4_096, 1 << 10));
    let mut slots = vec![Slot::EMPTY; 8];
    for (number, slot) in (0u16..).zip(&mut slots) {
        slot.leader = if number == 5 { NO_NODE } else { number };
        slot.former[0] = number % 3;
    }
    maps.apply(&Op::WriteSlots { first: 9, slots: slots.clone() })?;
    let leaders: Array<_, u64> = object.map(name::LEADERS).context("no leaders")?.try_into()?;
    let agree = |own: u16| -> Result<bool> {
        for (number, slot) in (9u32..).zip(&slots) {
            let word = leaders.get(&(number / LEADERS_A_WORD as u32), 0)?;
            if SlotLeader::get(word, number) != SlotLeader::of(*slot, own) {
                return Ok(false);
            }
        }
        Ok(true)
    };
    ensure!(agree(NO_NODE)?, "before this node is known");
    let mut config = fairlead_tests::packets::fixture::Fixture::Standard.tables().config;
    for own in [1, 2, NO_NODE] {
        config.self_node = own;
        maps.apply(&Op::WriteConfig(Box::new(config)))?;
        ensure!(agree(own)?, "as node {own}");
    }
    Ok(())
}
