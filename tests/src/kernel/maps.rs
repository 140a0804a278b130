//! The kernel's maps, filled from the model's tables and read back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;

use anyhow::{Context, Result};
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, PerCpuArray};
use aya::{Ebpf, Pod};
use lb_common::map_table::name;
use lb_common::maps::{BfdSession, FragmentFlow, FragmentKey, Liveness, Source, Traffic, Vip};
use lb_common::ring::{LEADERS_A_WORD, SlotLeader};
use lb_common::vips::{self, BUCKET_WORDS, Bucket, BucketKey};
use lb_common::wire::bfd;

use crate::model::{FlowWords, HostTables, RouterHeard, State, Totals};

/// Writes `tables` into the maps of a loaded object.
///
/// # Errors
/// When a map is missing, too small, or rejects an entry.
pub fn fill(ebpf: &mut Ebpf, tables: &HostTables) -> Result<()> {
    put_vips(ebpf, name::VIPS4, &tables.vips4)?;
    put_vips(ebpf, name::VIPS6, &tables.vips6)?;
    insert(ebpf, name::NODE_ADDRESSES, &tables.node_addresses)?;
    insert(ebpf, name::NODE_MACS, &tables.node_macs)?;
    insert(ebpf, name::ARP, &tables.arp)?;
    insert(ebpf, name::NDP, &tables.ndp)?;
    insert(ebpf, name::LINKS, &tables.links)?;
    insert(ebpf, name::BFD, &tables.bfd)?;
    insert(ebpf, name::BFD_ADDRESSES, &tables.bfd_addresses)?;
    let mut sources: LpmTrie<_, Source, u32> =
        ebpf.map_mut(name::SOURCES).context("no sources")?.try_into()?;
    for (length, prefix) in &tables.sources {
        sources.insert(&Key::new(*length, *prefix), 1, 0).context("write to lb_sources")?;
    }
    write(ebpf, name::RINGS, &tables.slots)?;
    write(ebpf, name::LEADERS, &leaders(tables))?;
    write(ebpf, name::NODES, &tables.nodes)?;
    write(ebpf, name::CONFIG, &[tables.config])?;
    write(ebpf, name::LIVENESS, &tables.liveness_cells())?;
    write(ebpf, name::AGENT, &tables.agent_cells())?;
    let mut flows: Array<_, FlowWords> = ebpf.map_mut(name::FLOWS).context("no flows")?.try_into()?;
    for (set, words) in tables.touched_flows() {
        flows.set(set, words, 0).context("write to lb_flows")?;
    }
    Ok(())
}

/// Empties these sets of flows and the fragment table, and writes the liveness cells and the BFD sessions of
/// `tables`.
pub(super) fn reset(ebpf: &mut Ebpf, tables: &HostTables, sets: &BTreeSet<u32>) -> Result<()> {
    write(ebpf, name::LIVENESS, &tables.liveness_cells()[..tables.sizes.nodes as usize])?;
    insert(ebpf, name::BFD, &tables.bfd)?;
    write(ebpf, name::AGENT, &tables.agent_cells())?;
    write(ebpf, name::ANSWERED, &vec![0u64; tables.sizes.nodes as usize])?;
    let mut flows: Array<_, FlowWords> = ebpf.map_mut(name::FLOWS).context("no flows")?.try_into()?;
    for set in sets {
        flows.set(*set, FlowWords::default(), 0).context("write to lb_flows")?;
    }
    let mut fragments: HashMap<_, FragmentKey, FragmentFlow> =
        ebpf.map_mut(name::FRAGMENTS).context("no fragments")?.try_into()?;
    let keys = fragments.keys().collect::<Result<Vec<_>, _>>()?;
    for key in keys {
        fragments.remove(&key).context("remove from lb_fragments")?;
    }
    Ok(())
}

pub(super) fn state(ebpf: &Ebpf, sets: impl Iterator<Item = u32>, nodes: u32) -> Result<State> {
    let liveness: Array<_, Liveness> = ebpf.map(name::LIVENESS).context("no liveness")?.try_into()?;
    let liveness = (0..nodes).map(|node| liveness.get(&node, 0)).collect::<Result<_, _>>()?;
    let fragments: HashMap<_, FragmentKey, FragmentFlow> =
        ebpf.map(name::FRAGMENTS).context("no fragments")?.try_into()?;
    let fragments = fragments.iter().collect::<Result<_, _>>()?;
    let sessions: HashMap<_, u32, BfdSession> = ebpf.map(name::BFD).context("no sessions")?.try_into()?;
    let mut routers_heard = BTreeMap::new();
    for entry in sessions.iter() {
        let (discriminator, session) = entry?;
        if session.heard != 0 {
            let theirs = bfd::bytes(&session.theirs);
            // One session has been answered before.
            let is_answered = ![0, u64::MAX].contains(&session.answered);
            routers_heard.insert(discriminator, RouterHeard { theirs, is_answered });
        }
    }
    let times: Array<_, u64> = ebpf.map(name::ANSWERED).context("no answers")?.try_into()?;
    let mut answered = BTreeSet::new();
    for node in 0..nodes {
        if times.get(&node, 0)? != 0 {
            answered.insert(node);
        }
    }
    let mut state = State { liveness, fragments, answered, routers_heard, ..State::default() };
    let flows: Array<_, FlowWords> = ebpf.map(name::FLOWS).context("no flows")?.try_into()?;
    for set in sets {
        state.add_flows(set, flows.get(&set, 0)?);
    }
    Ok(state)
}

/// Returns the contents of `lb_leaders`.
fn leaders(tables: &HostTables) -> Vec<u64> {
    let mut words = vec![0; tables.slots.len().div_ceil(LEADERS_A_WORD)];
    for (number, slot) in (0..).zip(&tables.slots) {
        let word = &mut words[number as usize / LEADERS_A_WORD];
        *word = SlotLeader::of(*slot, tables.config.self_node).put(*word, number);
    }
    words
}

/// Inserts VIPs into the buckets of an empty map, and into the overflow map if their bucket is full.
fn put_vips<K: BucketKey>(
    ebpf: &mut Ebpf,
    name: &str,
    vips: &std::collections::HashMap<K, Vip>,
) -> Result<()> {
    let mut buckets: BTreeMap<u32, Bucket<AtomicU64>> = BTreeMap::new();
    for (key, vip) in vips {
        let bucket = buckets.entry(key.bucket()).or_default();
        if !vips::put(bucket, *key, *vip) {
            vips::note_spilled::<_, K>(bucket, true);
            insert(ebpf, name::VIPS_MORE, [(&key.spilled(), &vip.to_word())])?;
        }
    }
    let mut map: Array<_, [u64; BUCKET_WORDS]> = ebpf.map_mut(name).context("no such map")?.try_into()?;
    for (number, bucket) in buckets {
        map.set(number, bucket.map(AtomicU64::into_inner), 0).with_context(|| format!("write to {name}"))?;
    }
    Ok(())
}

fn insert<'a, K: Pod, V: Pod>(
    ebpf: &mut Ebpf,
    name: &str,
    entries: impl IntoIterator<Item = (&'a K, &'a V)>,
) -> Result<()> {
    let mut map: HashMap<_, K, V> = ebpf.map_mut(name).context("no such map")?.try_into()?;
    for (key, value) in entries {
        map.insert(key, value, 0).with_context(|| format!("write to {name}"))?;
    }
    Ok(())
}

fn write<V: Pod>(ebpf: &mut Ebpf, name: &str, values: &[V]) -> Result<()> {
    let mut map: Array<_, V> = ebpf.map_mut(name).context("no such map")?.try_into()?;
    for (index, value) in (0..).zip(values) {
        map.set(index, value, 0).with_context(|| format!("write to {name}"))?;
    }
    Ok(())
}

/// Returns all counters of `lb_verdicts`, summed over the CPUs.
pub(super) fn refusals(ebpf: &Ebpf) -> Result<Vec<u64>> {
    sums(ebpf, name::VERDICTS)
}

fn sums(ebpf: &Ebpf, name: &str) -> Result<Vec<u64>> {
    let map: PerCpuArray<_, u64> = ebpf.map(name).context("no such map")?.try_into()?;
    map.iter().map(|values| Ok(values?.iter().sum())).collect()
}

pub(super) fn totals(ebpf: &Ebpf) -> Result<Totals> {
    let counted = |name: &str| -> Result<BTreeMap<u32, u64>> {
        Ok((0..).zip(sums(ebpf, name)?).filter(|(_, packets)| *packets > 0).collect())
    };
    Ok(Totals {
        refusals: counted(name::VERDICTS)?,
        vips: traffic(ebpf, name::VIP_STATS)?,
        nodes: traffic(ebpf, name::NODE_STATS)?,
        source_refused: counted(name::SOURCE_REFUSED)?,
        l2_answered: counted(name::L2_STATS)?,
        new_flows: counted(name::VIP_FLOWS)?,
        flow_events: counted(name::FLOW_EVENTS)?,
    })
}

fn traffic(ebpf: &Ebpf, name: &str) -> Result<BTreeMap<u32, Traffic>> {
    let map: PerCpuArray<_, Traffic> = ebpf.map(name).context("no such map")?.try_into()?;
    let mut counted = BTreeMap::new();
    for (index, values) in (0..).zip(map.iter()) {
        let sum = values?.iter().fold(Traffic::default(), |sum, cpu| Traffic {
            packets: sum.packets + cpu.packets,
            bytes: sum.bytes + cpu.bytes,
        });
        if sum != Traffic::default() {
            counted.insert(index, sum);
        }
    }
    Ok(counted)
}
