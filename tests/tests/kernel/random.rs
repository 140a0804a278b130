//! Random and mutated packets: host and kernel agree on each, and foreign packets pass unmodified.

use std::env;

use anyhow::{Result, bail};
use fairlead_tests::model::{Action, counter_name};
use fairlead_tests::packets::fixture::Fixture;
use fairlead_tests::packets::mutate::Mutator;
use fairlead_tests::packets::oracle::is_foreign;
use fairlead_tests::packets::table;
use fairlead_tests::twin::Twin;
use lb_common::verdict::Outcome;

const PACKETS: u32 = 500_000;
/// Packets to Services with source ranges.
const RESTRICTED: u32 = 100_000;
/// Packets to a node that has returned.
const RETURNED: u32 = 50_000;
/// Packets between two comparisons of counters and flows, which cost more than a packet. A comparison clears
/// the flows: eviction from a full set depends on the kernel's clock, and so few packets fill no set.
const BATCH: u32 = 1_000;
/// Outcomes that pass a modified packet: decapsulated, or restored from a relay EtherType.
const OPENED: [u32; 2] = [Outcome::Decapsulated as u32, Outcome::Unowned as u32];
const SEED: u64 = 0xfa1e_1ead;

/// Returns the seed; `FAIRLEAD_SEED` overrides it.
fn seed() -> u64 {
    env::var("FAIRLEAD_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED)
}

#[test]
fn host_and_kernel_agree_on_random_packets() -> Result<()> {
    agree(Fixture::Standard, PACKETS)
}

#[test]
fn host_and_kernel_agree_on_random_packets_to_services_with_source_ranges() -> Result<()> {
    agree(Fixture::Sources, RESTRICTED)
}

#[test]
fn host_and_kernel_agree_on_random_packets_to_a_returned_node() -> Result<()> {
    agree(Fixture::Returned, RETURNED)
}

fn agree(fixture: Fixture, packets: u32) -> Result<()> {
    let seed = seed();
    println!("seed {seed}");
    let mut pair = Twin::new(fixture)?;
    let mut mutator = Mutator::new(seed, &table::written());
    let splits = pair.kernel.splits();
    pair = Twin::new(fixture)?;
    let mut foreign = 0;
    for number in 0..packets {
        let packet = mutator.packet();
        if !splits && !packet.is_whole() {
            continue;
        }
        let (host, differs) = pair.run(&packet)?;
        let counted = counter_name(host.counter);
        if let Some(differs) = differs {
            bail!("seed {seed}, packet {number}: {packet:02x?}\n{differs}\ncounted as {counted}");
        }
        let untouched = host.bytes == packet.bytes;
        if host.action == Action::Pass && !OPENED.contains(&host.counter) {
            assert!(
                untouched,
                "seed {seed}, packet {number}: {packet:02x?} was changed and passed as {counted}"
            );
        }
        if is_foreign(&pair.tables, &packet) {
            foreign += 1;
            assert!(
                host.action == Action::Pass && untouched,
                "seed {seed}, packet {number}: the stranger {packet:02x?} was touched: {counted}"
            );
        }
        if number % BATCH == BATCH - 1 {
            let (host, kernel) = (pair.tables.totals(), pair.kernel.totals()?);
            assert_eq!(host, kernel, "seed {seed}, counters after packet {number}");
            if let (state, Some(differs)) = pair.state()? {
                bail!("seed {seed}, {} sets after packet {number}: {differs}", state.flows.len());
            }
            pair.reset()?;
        }
    }
    println!("{packets} packets agree, {foreign} of them foreign and untouched");
    for (number, packets) in pair.tables.totals().refusals {
        println!("{packets:>8}  {}", counter_name(number));
    }
    Ok(())
}
