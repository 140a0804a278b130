//! Maps of one layout, carried into another one and back, in a BPF file system of their own.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs, io, thread};

use anyhow::{Context, Result, ensure};
use aya::EbpfError;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, PerCpuValues};
use aya::util::nr_cpus;
use fairlead_tests::bpffs::Bpffs;
use lb_common::layout::{Field, Shape};
use lb_common::map_table::{LAYOUT, MAPS, MapKind, MapOption, MapSpec, name};
use lb_dataplane::attach::{MapSizes, load};
use lb_dataplane::migration::{Carried, MigrationError, Target, carry_over, write_records};
use lb_dataplane::pins::Pins;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

const SIZES: MapSizes = MapSizes { ring_slots: 1024, flow_sets: 64 };
/// What a fresh agent would choose; maps that are carried over keep their own sizes.
const OTHER_SIZES: MapSizes = MapSizes { ring_slots: 2048, flow_sets: 128 };
const NEW_MAP: &str = "lb_next";
/// A field that the other layout inserts.
const NEW_FIELD: Field = Field { name: "inserted", offset: 0, shape: &Shape::Integer(8) };
/// The BPF file system of [`the_victim`].
const BPFFS: &str = "FAIRLEAD_TEST_BPFFS";

/// The maps of this build's layout with entries, and a link that makes them the ones in use.
struct Layouts {
    own: Pins,
    next: Pins,
    bpffs: Bpffs,
}

impl Layouts {
    fn filled() -> Result<Self> {
        let bpffs = Bpffs::mount()?;
        let (own, next) = (Pins::below(bpffs.path()), Pins::of_layout(bpffs.path(), LAYOUT + 1));
        fs::create_dir_all(own.directory())?;
        load(Some(&own), SIZES)?;
        write_records(&own, MAPS)?;
        fill(&own)?;
        use_maps(&own)?;
        Ok(Self { own, next, bpffs })
    }
}

/// Marks a layout as the one in use, as the pin of a link does.
fn use_maps(pins: &Pins) -> Result<()> {
    Ok(MapData::from_pin(pins.map(name::CONFIG))?.pin(pins.link("eth0"))?)
}

fn to_next(next: &Pins) -> Result<Option<Carried>, MigrationError> {
    let maps = next_maps();
    let create = |pins: &Pins, sizes| {
        let error = |error: anyhow::Error| EbpfError::FileError {
            path: pins.directory(),
            error: io::Error::other(format!("{error:#}")),
        };
        create_missing(&maps, pins, sizes).map_err(error)
    };
    carry_over(&Target { pins: next, maps: &maps, sizes: OTHER_SIZES, create: &create })
}

fn to_own(own: &Pins) -> Result<Option<Carried>, MigrationError> {
    let create = |pins: &Pins, sizes| load(Some(pins), sizes).map(drop);
    carry_over(&Target { pins: own, maps: MAPS, sizes: OTHER_SIZES, create: &create })
}

/// The other layout: nodes, announcers and traffic have one more field, the entries of `lb_bfd` another
/// meaning, and there is one more map.
fn next_maps() -> Vec<MapSpec> {
    let changed = |map: &MapSpec| match map.name {
        name::ARP | name::NDP => with_field(map, 1),
        name::NODES => with_field(map, 4),
        name::VIP_STATS => with_field(map, 2),
        name::BFD => MapSpec { since: LAYOUT + 1, ..*map },
        _ => *map,
    };
    let new = MapSpec {
        name: NEW_MAP,
        kind: MapKind::Array,
        key: "u32",
        value: "u64",
        sizes: [4, 8],
        entries: 1,
        option: MapOption::Plain,
        since: LAYOUT + 1,
        shapes: [&Shape::Integer(4), &Shape::Integer(8)],
    };
    MAPS.iter().map(changed).chain([new]).collect()
}

/// Inserts [`NEW_FIELD`] as field number `at`.
fn with_field(map: &MapSpec, at: usize) -> MapSpec {
    let ([key, value], [key_size, value_size]) = (map.shapes, map.sizes);
    let Shape::Structure(fields) = value else { unreachable!("{}: no structure", map.name) };
    let mut fields = fields.to_vec();
    let offset = fields.get(at).map_or(value_size, |field| field.offset);
    for field in &mut fields[at..] {
        field.offset += 8;
    }
    fields.insert(at, Field { offset, ..NEW_FIELD });
    let shape: &'static Shape = Box::leak(Box::new(Shape::Structure(fields.leak())));
    MapSpec { shapes: [key, shape], sizes: [key_size, value_size + 8], ..*map }
}

fn create_missing(maps: &[MapSpec], pins: &Pins, sizes: MapSizes) -> Result<()> {
    for map in maps.iter().filter(|map| !pins.map(map.name).exists()) {
        let kind = match map.kind {
            MapKind::Array => "array",
            MapKind::PerCpuArray => "percpu_array",
            MapKind::HashMap => "hash",
            MapKind::LruHashMap => "lru_hash",
            MapKind::LpmTrie => "lpm_trie",
        };
        let entries = match map.name {
            name::RINGS => sizes.ring_slots as usize,
            name::LEADERS => sizes.ring_slots as usize / 4,
            name::FLOWS => sizes.flow_sets as usize,
            _ => map.entries,
        };
        let prefix = if map.kind == MapKind::LpmTrie { 4 } else { 0 };
        let numbers = [map.sizes[0] + prefix, map.sizes[1], entries, map.option as usize];
        let [key, value, entries, flags] = numbers.map(|number| number.to_string());
        let status = Command::new("bpftool")
            .args(["map", "create"])
            .arg(pins.map(map.name))
            .args(["type", kind, "key", &key, "value", &value, "entries", &entries])
            .args(["name", map.name, "flags", &flags])
            .status()?;
        ensure!(status.success(), "bpftool cannot create {}", map.name);
    }
    Ok(())
}

fn open<T: TryFrom<Map, Error = aya::maps::MapError>>(pins: &Pins, map: &str) -> Result<T> {
    let data = MapData::from_pin(pins.map(map)).with_context(|| map.to_owned())?;
    Ok(T::try_from(Map::from_map_data(data)?)?)
}

/// Bytes that no other entry has.
fn bytes<const N: usize>(seed: u8) -> [u8; N] {
    std::array::from_fn(|at| seed.wrapping_mul(37).wrapping_add(at as u8) | 1)
}

/// Writes entries to a map of each kind, among them the largest index of each array.
fn fill(pins: &Pins) -> Result<()> {
    let mut arp: HashMap<_, [u8; 4], [u8; 32]> = open(pins, name::ARP)?;
    let mut nodes: Array<_, [u8; 64]> = open(pins, name::NODES)?;
    let mut rings: Array<_, [u8; 32]> = open(pins, name::RINGS)?;
    let mut flows: Array<_, [u8; 64]> = open(pins, name::FLOWS)?;
    let mut liveness: Array<_, [u8; 8]> = open(pins, name::LIVENESS)?;
    let mut stats: PerCpuArray<_, [u8; 16]> = open(pins, name::VIP_STATS)?;
    let mut verdicts: PerCpuArray<_, [u8; 8]> = open(pins, name::VERDICTS)?;
    let mut bfd: HashMap<_, [u8; 4], [u8; BFD_SESSION]> = open(pins, name::BFD)?;
    let mut sources: LpmTrie<_, [u8; 20], [u8; 4]> = open(pins, name::SOURCES)?;
    let cpus = nr_cpus().map_err(|(_, error)| error)?;
    let on_cpus = |n: u8| (0..cpus).map(move |cpu| n.wrapping_add(cpu as u8 * 16));
    for n in 1..=5u8 {
        arp.insert([n; 4], bytes(n), 0)?;
        nodes.set(last(nodes.len(), n), bytes(n), 0)?;
        rings.set(last(rings.len(), n), bytes(n), 0)?;
        flows.set(last(flows.len(), n), bytes(n), 0)?;
        liveness.set(last(liveness.len(), n), bytes(n), 0)?;
        let values = on_cpus(n).map(bytes).collect::<Vec<_>>();
        stats.set(last(stats.len(), n), PerCpuValues::try_from(values)?, 0)?;
        let values = on_cpus(n).map(bytes).collect::<Vec<_>>();
        verdicts.set(last(verdicts.len(), n), PerCpuValues::try_from(values)?, 0)?;
        bfd.insert([n; 4], bytes(n), 0)?;
        sources.insert(&Key::new(32 + 24, [n; 20]), bytes(n), 0)?;
    }
    Ok(())
}

const BFD_SESSION: usize = size_of::<lb_common::maps::BfdSession>();

/// The `n`-th index from the end of an array.
fn last(length: u32, n: u8) -> u32 {
    length - u32::from(n)
}

/// Entries of a map, by key; of a per-CPU map, the values of all CPUs.
type Entries = BTreeMap<Vec<u8>, Vec<Vec<u8>>>;

/// Returns all entries that are not zero of the maps that [`fill`] writes, except `lb_bfd`. The parameters
/// are the sizes of the values that the next layout changes.
fn contents<const NODE: usize, const ANNOUNCER: usize, const TRAFFIC: usize>(
    pins: &Pins,
) -> Result<BTreeMap<&'static str, Entries>> {
    let mut all = BTreeMap::new();
    all.insert(name::ARP, hash::<4, ANNOUNCER>(pins, name::ARP)?);
    all.insert(name::NODES, array::<NODE>(pins, name::NODES)?);
    all.insert(name::RINGS, array::<32>(pins, name::RINGS)?);
    all.insert(name::FLOWS, array::<64>(pins, name::FLOWS)?);
    all.insert(name::LIVENESS, array::<8>(pins, name::LIVENESS)?);
    all.insert(name::VIP_STATS, per_cpu::<TRAFFIC>(pins, name::VIP_STATS)?);
    all.insert(name::VERDICTS, per_cpu::<8>(pins, name::VERDICTS)?);
    let sources: LpmTrie<_, [u8; 20], [u8; 4]> = open(pins, name::SOURCES)?;
    let entry = |(key, value): (Key<[u8; 20]>, [u8; 4])| {
        ([key.prefix_len().to_ne_bytes().as_slice(), &key.data()].concat(), vec![value.to_vec()])
    };
    all.insert(name::SOURCES, sources.iter().map(|it| it.map(entry)).collect::<Result<_, _>>()?);
    Ok(all)
}

fn hash<const K: usize, const V: usize>(pins: &Pins, map: &str) -> Result<Entries> {
    let map: HashMap<_, [u8; K], [u8; V]> = open(pins, map)?;
    let entries = map.iter().map(|it| it.map(|(key, value)| (key.to_vec(), vec![value.to_vec()])));
    Ok(entries.collect::<Result<_, _>>()?)
}

fn array<const V: usize>(pins: &Pins, map: &str) -> Result<Entries> {
    let map: Array<_, [u8; V]> = open(pins, map)?;
    let mut entries = Entries::new();
    for index in 0..map.len() {
        let value = map.get(&index, 0)?;
        if value != [0; V] {
            entries.insert(index.to_ne_bytes().to_vec(), vec![value.to_vec()]);
        }
    }
    Ok(entries)
}

fn per_cpu<const V: usize>(pins: &Pins, map: &str) -> Result<Entries> {
    let map: PerCpuArray<_, [u8; V]> = open(pins, map)?;
    let mut entries = Entries::new();
    for index in 0..map.len() {
        let values = map.get(&index, 0)?;
        if values.iter().any(|value| *value != [0; V]) {
            let values = values.iter().map(|value| value.to_vec()).collect();
            entries.insert(index.to_ne_bytes().to_vec(), values);
        }
    }
    Ok(entries)
}

fn own_contents(pins: &Pins) -> Result<BTreeMap<&'static str, Entries>> {
    contents::<64, 32, 16>(pins)
}

/// Returns the contents of the next layout without its new fields, which must be zero.
fn next_contents(pins: &Pins) -> Result<BTreeMap<&'static str, Entries>> {
    let mut all = contents::<72, 40, 24>(pins)?;
    let maps = next_maps();
    for map in maps.iter().filter(|map| [name::ARP, name::NODES, name::VIP_STATS].contains(&map.name)) {
        let Shape::Structure(fields) = map.shapes[1] else { continue };
        let new = fields.iter().find(|field| field.name == NEW_FIELD.name).context("no new field")?;
        for value in all.get_mut(map.name).into_iter().flat_map(BTreeMap::values_mut).flatten() {
            let inserted = value.drain(new.offset..new.offset + 8).collect::<Vec<_>>();
            ensure!(inserted == [0; 8], "{}: the new field holds {inserted:?}", map.name);
        }
    }
    Ok(all)
}

fn id(pins: &Pins, map: &str) -> Result<u32> {
    Ok(MapData::from_pin(pins.map(map))?.info()?.id())
}

fn check_next(layouts: &Layouts, carried: &Carried) -> Result<()> {
    let Layouts { own, next, .. } = layouts;
    ensure!(next_contents(next)? == own_contents(own)?, "entries differ in the next layout");
    for map in [name::FLOWS, name::LIVENESS, name::VERDICTS, name::CONFIG] {
        ensure!(id(own, map)? == id(next, map)?, "{map} is not shared");
        ensure!(carried.shared.contains(&map), "{map}: {carried:?}");
    }
    for map in [name::NODES, name::RINGS, name::VIP_STATS, name::ARP] {
        ensure!(id(own, map)? != id(next, map)?, "{map} is shared");
        ensure!(carried.copied.contains(&map), "{map}: {carried:?}");
    }
    let left: Vec<_> = carried.left.iter().map(|(map, _)| *map).collect();
    ensure!(left == [name::BFD, name::BFD_ADDRESSES, NEW_MAP], "{carried:?}");
    ensure!(hash::<4, BFD_SESSION>(next, name::BFD)?.is_empty(), "entries with another meaning were carried");
    let slots: Array<_, [u8; 32]> = open(next, name::RINGS)?;
    ensure!(slots.len() == SIZES.ring_slots, "{} slots: carried maps keep their sizes", slots.len());
    Ok(())
}

#[test]
fn entries_survive_the_way_to_another_layout_and_back() -> Result<()> {
    let layouts = Layouts::filled()?;
    let Layouts { own, next, .. } = &layouts;
    let before = own_contents(own)?;
    ensure!(before.values().all(|entries| entries.len() == 5), "the test fills all maps: {before:?}");
    let carried = to_next(next)?.context("nothing was carried")?;
    check_next(&layouts, &carried)?;
    // The agent of the next layout goes on with its maps.
    use_maps(next)?;
    fs::remove_file(own.link("eth0"))?;
    let mut flows: Array<_, [u8; 64]> = open(next, name::FLOWS)?;
    flows.set(0, bytes(9), 0)?;
    let mut arp: HashMap<_, [u8; 4], [u8; 40]> = open(next, name::ARP)?;
    arp.remove(&[1; 4])?;
    let after = next_contents(next)?;
    ensure!(to_next(next)?.is_none(), "a layout in use is not replaced");
    let back = to_own(own)?.context("nothing was carried back")?;
    ensure!(own_contents(own)? == after, "entries differ after the way back");
    ensure!(back.from == LAYOUT + 1 && id(own, name::FLOWS)? == id(next, name::FLOWS)?, "{back:?}");
    ensure!(back.left.iter().map(|(map, _)| *map).eq([name::BFD, name::BFD_ADDRESSES]), "{back:?}");
    Ok(())
}

#[test]
fn of_several_layouts_the_highest_with_a_link_is_carried() -> Result<()> {
    let layouts = Layouts::filled()?;
    let Layouts { own, bpffs, .. } = &layouts;
    let unused = Pins::of_layout(bpffs.path(), LAYOUT + 5);
    fs::create_dir(unused.directory())?;
    let next = Pins::of_layout(bpffs.path(), LAYOUT + 1);
    ensure!(to_next(&next)?.context("nothing was carried")?.from == LAYOUT, "from a layout without links");
    use_maps(&next)?;
    ensure!(to_own(own)?.is_none(), "a layout in use is not replaced");
    Ok(())
}

#[test]
fn what_cannot_be_carried_is_left_behind_by_name() -> Result<()> {
    let layouts = Layouts::filled()?;
    let Layouts { own, next, .. } = &layouts;
    // A pin that is no map of that name, a damaged record, and none.
    fs::remove_file(own.map(name::VERDICTS))?;
    fs::create_dir(own.map(name::VERDICTS))?;
    let record = |map: &str| own.directory().join(format!("{map}-fields"));
    fs::remove_file(record(name::FLOWS))?;
    std::os::unix::fs::symlink("since=soon", record(name::FLOWS))?;
    fs::remove_file(record(name::LINKS))?;
    let carried = to_next(next)?.context("nothing was carried")?;
    let left = carried.left.iter().map(|(map, reason)| format!("{map}: {reason}")).collect::<Vec<_>>();
    println!("{left:#?}");
    let expected =
        [(name::FLOWS, "damaged"), (name::LINKS, "recorded no fields"), (name::VERDICTS, "no such")];
    for (map, words) in expected {
        ensure!(left.iter().any(|it| it.starts_with(map) && it.contains(words)), "{map}: {left:#?}");
    }
    ensure!(next_contents_of(next, name::NODES)? == 5, "the others are carried");
    Ok(())
}

fn next_contents_of(next: &Pins, map: &str) -> Result<usize> {
    Ok(array::<72>(next, map)?.len())
}

#[test]
fn a_directory_that_cannot_be_removed_is_named_and_nothing_changes() -> Result<()> {
    let layouts = Layouts::filled()?;
    let Layouts { own, next, .. } = &layouts;
    let before = own_contents(own)?;
    let staging = PathBuf::from(format!("{}_new", next.directory().display()));
    fs::create_dir_all(staging.join("theirs/inner"))?;
    let error = to_next(next).err().context("garbage was removed")?.to_string();
    println!("{error}");
    ensure!(error.contains(&staging.display().to_string()), "{error}");
    ensure!(!next.directory().exists() && own_contents(own)? == before, "something has changed");
    Ok(())
}

/// A process that carries maps over again and again until it is killed; run by the test below.
#[test]
#[ignore = "a child of another test"]
fn the_victim() -> Result<()> {
    let bpffs = env::var_os(BPFFS).context("no file system")?;
    let next = Pins::of_layout(Path::new(&bpffs), LAYOUT + 1);
    loop {
        to_next(&next)?.context("nothing was carried")?;
    }
}

#[test]
fn an_agent_killed_at_any_step_leaves_nothing_that_the_next_one_adopts() -> Result<()> {
    let layouts = Layouts::filled()?;
    let before = own_contents(&layouts.own)?;
    let (mut whole, mut absent) = (0, 0);
    for round in 0..24u64 {
        let mut victim = Command::new(env::current_exe()?)
            .args(["--ignored", "--exact", "layouts::the_victim"])
            .env(BPFFS, layouts.bpffs.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        thread::sleep(Duration::from_millis(20 + round * 37 % 450));
        // With its bpftool, which would go on alone.
        let group = Pid::from_raw(victim.id().cast_signed());
        killpg(group, Signal::SIGKILL)?;
        victim.wait()?;
        while killpg(group, None).is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
        if layouts.next.directory().exists() {
            ensure!(next_contents(&layouts.next)? == before, "round {round}: a half-made layout");
            whole += 1;
        } else {
            absent += 1;
        }
        let carried = to_next(&layouts.next)?.context("nothing was carried")?;
        check_next(&layouts, &carried).with_context(|| format!("round {round}"))?;
        let directories = fs::read_dir(layouts.bpffs.path().join("fairlead"))?.count();
        ensure!(directories == 2, "round {round}: {directories} directories");
        if round % 2 == 0 {
            for entry in fs::read_dir(layouts.next.directory())? {
                fs::remove_file(entry?.path())?;
            }
            fs::remove_dir(layouts.next.directory())?;
        }
    }
    println!("{whole} times a complete layout, {absent} times none");
    Ok(())
}
