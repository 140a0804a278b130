//! The flow table is a cache: whatever fills it or empties it, no connection breaks whose node lives. With two and with
//! eight nodes in `soak_cache.rs`.

use anyhow::Result;
use fairlead_tests::storm::{Membership, Storm, endure, endure_blind_syns};
use fairlead_tests::traffic::flood::Kind;

const NODES: u8 = 3;

fn stable_and_while_a_node_joins(storm: Storm) -> Result<()> {
    endure(NODES, storm, Membership::Stable)?;
    endure(NODES, storm, Membership::NodeJoins)
}

#[test]
fn datagrams_of_many_flows_break_no_connection() -> Result<()> {
    stable_and_while_a_node_joins(Storm::Flood(Kind::Datagram, 2_400_000))
}

#[test]
fn acks_of_strangers_break_no_connection() -> Result<()> {
    stable_and_while_a_node_joins(Storm::Flood(Kind::Ack, 2_000_000))
}

#[test]
fn syns_of_strangers_break_no_connection() -> Result<()> {
    stable_and_while_a_node_joins(Storm::Flood(Kind::Syn, 2_000_000))
}

#[test]
fn more_open_flows_than_the_table_holds_break_no_connection() -> Result<()> {
    stable_and_while_a_node_joins(Storm::FullTable)
}

#[test]
fn an_emptied_table_breaks_no_connection() -> Result<()> {
    stable_and_while_a_node_joins(Storm::EmptiedTable)
}

#[test]
fn blind_syns_break_no_connection_that_has_moved() -> Result<()> {
    endure_blind_syns()
}
