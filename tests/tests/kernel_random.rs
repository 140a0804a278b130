//! Random and mutated packets: the host and the kernel agree on each, and strangers are left alone.

use std::env;

use anyhow::Result;
use fairlead_tests::kernel::{INGRESS, Kernel};
use fairlead_tests::model::{self, Action, counter_name};
use fairlead_tests::packets::fixture::Fixture;
use fairlead_tests::packets::mutate::Mutator;
use fairlead_tests::packets::oracle::is_stranger;
use fairlead_tests::packets::table;
use lb_common::verdict::Outcome;

const PACKETS: u32 = 500_000;
/// Packets between two looks at the counters, which cost more than a packet.
const BATCH: u32 = 1_000;
const SEED: u64 = 0xfa1e_1ead;

/// `FAIRLEAD_SEED` gives another sequence.
fn seed() -> u64 {
    env::var("FAIRLEAD_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED)
}

#[test]
fn host_and_kernel_agree_on_random_packets() -> Result<()> {
    let seed = seed();
    println!("seed {seed}");
    let tables = Fixture::Standard.tables();
    let mut kernel = Kernel::load(&tables)?;
    let mut mutator = Mutator::new(seed, &table::written());
    let splits = Kernel::load(&tables)?.splits();
    let mut strangers = 0;
    for number in 0..PACKETS {
        let packet = mutator.packet();
        if !splits && !packet.is_whole() {
            continue;
        }
        let (host, _) = model::run(&tables, &packet, INGRESS);
        let (action, bytes) = kernel.run(&packet)?;
        let counted = counter_name(host.counter);
        assert!(
            (host.action, &host.bytes) == (action, &bytes),
            "seed {seed}, packet {number}: {packet:02x?}\nhost {host:02x?} ({counted})\nkernel {action:?} {bytes:02x?}"
        );
        let untouched = host.bytes == packet.bytes;
        if host.action == Action::Pass && host.counter != Outcome::Decapsulated as u32 {
            assert!(
                untouched,
                "seed {seed}, packet {number}: {packet:02x?} was changed and passed as {counted}"
            );
        }
        if is_stranger(&tables, &packet) {
            strangers += 1;
            assert!(
                host.action == Action::Pass && untouched,
                "seed {seed}, packet {number}: the stranger {packet:02x?} was touched: {counted}"
            );
        }
        if number % BATCH == BATCH - 1 {
            assert_eq!(tables.totals(), kernel.totals()?, "seed {seed}, counters after packet {number}");
        }
    }
    println!("{PACKETS} packets agree, {strangers} of them strangers and untouched");
    for (number, packets) in tables.totals().refusals {
        println!("{packets:>8}  {}", counter_name(number));
    }
    Ok(())
}
