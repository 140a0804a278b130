//! The flow table is a cache: whatever fills it or empties it, no connection breaks whose node lives. All storms at their
//! whole length, and with two and eight nodes, are in `soak_cache.rs`.

use anyhow::Result;
use fairlead_tests::stress::{Membership, Stress, StressDurations, endure, endure_blind_syns};
use fairlead_tests::traffic::flood::FloodKind;

const NODES: u8 = 3;

fn short(storm: Stress, membership: Membership) -> Result<()> {
    endure(NODES, storm, membership, StressDurations::SHORT)
}

#[test]
fn datagrams_of_many_flows_break_no_connection() -> Result<()> {
    short(Stress::Flood(FloodKind::Datagram, 2_400_000), Membership::NodeJoins)
}

#[test]
fn acks_of_strangers_break_no_connection() -> Result<()> {
    short(Stress::Flood(FloodKind::Ack, 2_000_000), Membership::NodeJoins)
}

#[test]
fn an_emptied_table_breaks_no_connection() -> Result<()> {
    short(Stress::EmptiedTable, Membership::Stable)
}

#[test]
fn an_emptied_table_breaks_no_connection_that_has_moved_where_kernels_are_asked() -> Result<()> {
    short(Stress::EmptiedTable, Membership::NodeJoins)
}

#[test]
fn blind_syns_break_no_connection_that_has_moved() -> Result<()> {
    endure_blind_syns()
}
