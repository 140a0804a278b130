//! The baselines: the maps of the reference and of the floor, filled for the same cluster.

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray};
use aya::{Ebpf, Pod};
use fairlead_tests::kernel::INGRESS;
use fairlead_tests::packets::build::Frame;
use fairlead_tests::packets::fixture::{Mac, ROUTER_MAC};
use lb_common::ring::{NodeIndex, Slot};
use lb_dataplane::mapping::MappedWords;

use super::case::{Case, Program};
use super::cluster::{self, NODES, PORT, SELF_MAC, SLOTS};
use crate::simulation::scheme::maglev;

/// The XDP actions of packets that are forwarded and passed.
pub const XDP_TX: u32 = 3;
/// See [`XDP_TX`].
pub const XDP_PASS: u32 = 2;

/// Entries of a ring of the reference.
const RING: usize = maglev::ENTRIES;

/// Sizes of the maps that depend on the case: name and entries.
pub fn sizes(case: &Case) -> [(&'static str, u32); 2] {
    let rings = u32::from(case.size.rings);
    [("ref_rings", rings * RING as u32), ("floor_leaders", rings * SLOTS / 4)]
}

/// Writes the maps of the program of a case.
///
/// # Errors
/// When a map is missing or rejects an entry.
pub fn fill(ebpf: &mut Ebpf, case: &Case) -> Result<()> {
    match case.kind.program {
        Program::Reference => fill_reference(ebpf, case),
        Program::Floor => fill_floor(ebpf, case),
        Program::Nothing | Program::Harness | Program::Judged | Program::Traced(_) | Program::Bounce => {
            Ok(())
        }
    }
}

fn fill_reference(ebpf: &mut Ebpf, case: &Case) -> Result<()> {
    let [a, b, c, d, e, f] = ROUTER_MAC;
    set(ebpf, "ref_control", [(0, [a, b, c, d, e, f, 0, 0])])?;
    set(ebpf, "ref_servers", (1..=NODES).map(|node| (node.into(), server(case, node))))?;
    let backends: Vec<(NodeIndex, u32)> = (1..=NODES).map(|node| (node, 1)).collect();
    let ring = maglev::fill(&backends);
    let words = mapped(ebpf, "ref_rings", usize::from(case.size.rings) * RING)?;
    for at in 0..words.len() {
        // Each VIP's ring has another start.
        let entry = ring.get((at + at / RING * 4099) % RING).context("a ring without entries")?;
        ensure!(words.write(at, u64::from(*entry)), "ref_rings is too short");
    }
    let mut vips: HashMap<_, [u8; 20], [u32; 2]> =
        ebpf.map_mut("ref_vips").context("no ref_vips")?.try_into()?;
    for number in 0..case.size.vips {
        let value = [number.into(), (number % case.size.rings).into()];
        vips.insert(vip_key(case, number), value, 0).context("write to ref_vips")?;
    }
    Ok(())
}

fn vip_key(case: &Case, number: u16) -> [u8; 20] {
    let mut key = [0; 20];
    if case.kind.frame.is_v4() {
        key[..4].copy_from_slice(&cluster::vip4(number));
    } else {
        key[..16].copy_from_slice(&cluster::vip6(number));
    }
    key[16..18].copy_from_slice(&PORT.to_be_bytes());
    key[18] = case.kind.protocol;
    key
}

/// Returns a server in the reference's map: its address in wire order, and its family.
fn server(case: &Case, node: NodeIndex) -> [u32; 5] {
    let words = |bytes: [u8; 16]| {
        [0, 4, 8, 12].map(|at| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]))
    };
    if case.kind.frame.is_v4() {
        [u32::from_ne_bytes(cluster::node4(node)), 0, 0, 0, 4]
    } else {
        let [a, b, c, d] = words(cluster::node6(node));
        [a, b, c, d, 6]
    }
}

fn fill_floor(ebpf: &mut Ebpf, case: &Case) -> Result<()> {
    let tables = cluster::tables(case);
    set(ebpf, "floor_config", [(0, tables.config)])?;
    let mut node_macs = [0u64; 4];
    for node in 1..=NODES {
        let last = usize::from(cluster::next_hop(node)[5]);
        node_macs[last / 64] |= 1 << (last % 64);
    }
    // The router's MAC is not among them; the program finds that by a lookup.
    let last = usize::from(ROUTER_MAC[5]);
    ensure!(node_macs[last / 64] >> (last % 64) & 1 == 0, "the router's MAC looks like a node's");
    let [m0, m1, m2, m3] = node_macs;
    set(ebpf, "floor_state", [(0, [cluster::CLOCK.into(), m0, m1, m2, m3])])?;
    set(ebpf, "floor_vips", (0..case.size.vips).map(|number| floor_vip(case, number)))?;
    let words = mapped(ebpf, "floor_leaders", tables.slots.len() / 4)?;
    for (index, slots) in tables.slots.as_chunks::<4>().0.iter().enumerate() {
        let [a, b, c, d] = slots.map(floor_leader);
        let word = a | b << 16 | c << 32 | d << 48;
        ensure!(words.write(index, word), "floor_leaders is too short");
    }
    set(ebpf, "floor_nodes", (1..=NODES).map(|node| (node.into(), floor_node(node))))?;
    set(ebpf, "floor_liveness", (1..=NODES).map(|node| (node.into(), cluster::CLOCK)))
}

/// Returns index and value of a VIP in the floor's array.
fn floor_vip(case: &Case, number: u16) -> (u32, [u32; 4]) {
    let [p0, p1] = PORT.to_be_bytes();
    let port = u32::from_ne_bytes([p0, p1, case.kind.protocol, 0]);
    let address = u32::from_ne_bytes(cluster::vip4(number));
    (number.into(), [address, port, cluster::first_slot(case, number), SLOTS - 1])
}

/// Returns the floor's entry of a slot.
fn floor_leader(slot: Slot) -> u64 {
    u64::from(slot.leader) | u64::from(slot.has_led(cluster::SELF)) << 15
}

fn floor_node(node: NodeIndex) -> [u8; 16] {
    let mut value = [0; 16];
    value[..6].copy_from_slice(&cluster::next_hop(node));
    value[6..12].copy_from_slice(&SELF_MAC);
    value[12..].copy_from_slice(&INGRESS.to_ne_bytes());
    value
}

fn set<V: Pod>(ebpf: &mut Ebpf, name: &str, values: impl IntoIterator<Item = (u32, V)>) -> Result<()> {
    let mut map: Array<_, V> =
        ebpf.map_mut(name).with_context(|| format!("the object has no {name}"))?.try_into()?;
    for (index, value) in values {
        map.set(index, value, 0).with_context(|| format!("write to {name}"))?;
    }
    Ok(())
}

fn mapped(ebpf: &Ebpf, name: &str, words: usize) -> Result<MappedWords> {
    let Some(Map::Array(map)) = ebpf.map(name) else { anyhow::bail!("the object has no array {name}") };
    MappedWords::new(map.fd(), words).with_context(|| format!("map {name} into memory"))
}

/// Returns the packets in a map of counters, and its non-zero entries.
fn counted(ebpf: &Ebpf, name: &str) -> Result<(u64, Vec<u32>)> {
    let map: PerCpuArray<&MapData, [u64; 2]> = ebpf.map(name).context("no counters")?.try_into()?;
    let (mut sum, mut entries) = (0, Vec::new());
    for (index, values) in (0..).zip(map.iter()) {
        let packets: u64 = values?.iter().map(|[packets, _]| packets).sum();
        sum += packets;
        if packets > 0 {
            entries.push(index);
        }
    }
    Ok((sum, entries))
}

/// Checks that the reference or the floor has forwarded or passed this many packets.
///
/// # Errors
/// When the number differs.
pub fn check_counts(ebpf: &Ebpf, case: &Case, runs: u64) -> Result<()> {
    let (vips, nodes) = match case.kind.program {
        Program::Reference => ("ref_vip_sums", "ref_server_sums"),
        Program::Floor => ("floor_vip_sums", "floor_node_sums"),
        Program::Nothing | Program::Harness | Program::Judged | Program::Traced(_) | Program::Bounce => {
            return Ok(());
        }
    };
    let due = if forwards(case) { runs } else { 0 };
    for name in [vips, nodes] {
        let (packets, _) = counted(ebpf, name)?;
        ensure!(packets == due, "{}: {name} has {packets} of {due} packets", case.kind.name);
    }
    if case.kind.program == Program::Reference && forwards(case) {
        check_misses(ebpf, case, runs)?;
    }
    Ok(())
}

/// Checks that the reference found each flow in its LRU, except for packets that begin a flow.
fn check_misses(ebpf: &Ebpf, case: &Case, runs: u64) -> Result<()> {
    let map: PerCpuArray<&MapData, [u64; 2]> = ebpf.map("ref_all").context("no ref_all")?.try_into()?;
    let misses: u64 = map.get(&0, 0)?.iter().map(|[_, misses]| misses).sum();
    // A source sends to every VIP, so there are more five-tuples than sources.
    let most = if case.kind.name.contains("SYN") { runs } else { 1 << case.turn_bits() };
    ensure!(misses <= most, "{}: {misses} packets missed the LRU, more than {most}", case.kind.name);
    Ok(())
}

/// Returns whether packets of a case are forwarded.
pub const fn forwards(case: &Case) -> bool {
    !matches!(case.kind.outcome, lb_common::verdict::Outcome::NotOurs)
}

/// Returns the frame that the reference must have sent first, by the server that it counted.
///
/// # Errors
/// When it counted no server, or more than one.
pub fn encapsulated(ebpf: &Ebpf, case: &Case, frame: &[u8]) -> Result<Vec<u8>> {
    let (_, servers) = counted(ebpf, "ref_server_sums")?;
    let [node] = *servers.as_slice() else { anyhow::bail!("one packet was sent to {servers:?}") };
    let node = node as NodeIndex;
    let inner = frame.get(14..).context("a frame without a packet")?;
    let at = |at: u32| -> Result<[u8; 2]> { Ok([byte(frame, at)?, byte(frame, at + 1)?]) };
    let (source, port) = (at(case.kind.flow_at)?, at(case.kind.port_at)?);
    let outer = if case.kind.frame.is_v4() {
        // The first two bytes of the client's address and its port, in memory order.
        let client = u32::from_ne_bytes([10, 9, source[0], source[1]]);
        let ports = u32::from_ne_bytes([port[0], port[1], 0, 0]);
        let [s0, s1, ..] = (client ^ (ports << 16)).to_be_bytes();
        Frame::v4([172, 16, s0, s1], cluster::node4(node)).raw(4, inner)
    } else {
        let mut from = [0; 16];
        from[0] = 1;
        let client = u32::from_ne_bytes([0, 0, source[0], source[1]]);
        let [p0, p1] = PORT.to_be_bytes();
        let ports = u32::from_ne_bytes([port[0], port[1], p0, p1]);
        from[12..].copy_from_slice(&(client ^ ports).to_ne_bytes());
        Frame::v6(from, cluster::node6(node)).raw(41, inner)
    };
    let macs: [Mac; 2] = [ROUTER_MAC, SELF_MAC];
    Ok(outer.macs(macs[0], macs[1]).bytes())
}

fn byte(frame: &[u8], at: u32) -> Result<u8> {
    frame.get(at as usize).copied().context("a field beyond the end of the frame")
}
