//! Random and mutated packets: the host and the kernel agree on each, and strangers are left alone.

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
/// As many meet Services with source ranges.
const RESTRICTED: u32 = 100_000;
/// Packets between two looks at counters and flows, which cost more than a packet. Flows are forgotten then:
/// who has to go from a full set depends on the kernel's clock, and so few fill none.
const BATCH: u32 = 1_000;
/// What passes and may have been changed: it came in GUE or marked, and is no longer.
const OPENED: [u32; 2] = [Outcome::Decapsulated as u32, Outcome::Unowned as u32];
const SEED: u64 = 0xfa1e_1ead;

/// `FAIRLEAD_SEED` gives another sequence.
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

fn agree(fixture: Fixture, packets: u32) -> Result<()> {
    let seed = seed();
    println!("seed {seed}");
    let mut pair = Twin::new(fixture)?;
    let mut mutator = Mutator::new(seed, &table::written());
    let splits = pair.kernel.splits();
    pair = Twin::new(fixture)?;
    let mut strangers = 0;
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
            strangers += 1;
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
    println!("{packets} packets agree, {strangers} of them strangers and untouched");
    for (number, packets) in pair.tables.totals().refusals {
        println!("{packets:>8}  {}", counter_name(number));
    }
    Ok(())
}
