//! Tests that the flow table is a cache: filling or emptying it breaks no connection of a live node.
//! Full-length stress tests, also with two and eight nodes, are in `soak/cache.rs`.

use anyhow::Result;
use fairlead_tests::stress::{Membership, Stress, StressDurations, run, run_blind_syns};
use fairlead_tests::traffic::flood::FloodKind;

const NODES: u8 = 3;

fn short(stress: Stress, membership: Membership) -> Result<()> {
    run(NODES, stress, membership, StressDurations::SHORT)
}

#[test]
fn a_datagram_flood_breaks_no_connection() -> Result<()> {
    short(Stress::Flood(FloodKind::Datagram, 2_400_000), Membership::NodeJoins)
}

#[test]
fn a_foreign_ack_flood_breaks_no_connection() -> Result<()> {
    short(Stress::Flood(FloodKind::Ack, 2_000_000), Membership::NodeJoins)
}

#[test]
fn an_emptied_table_breaks_no_connection() -> Result<()> {
    short(Stress::EmptiedTable, Membership::Stable)
}

#[test]
fn an_emptied_table_breaks_no_moved_connection_with_kernel_lookups() -> Result<()> {
    short(Stress::EmptiedTable, Membership::NodeJoins)
}

#[test]
fn blind_syns_break_no_moved_connection() -> Result<()> {
    run_blind_syns()
}
