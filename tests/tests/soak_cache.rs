//! The flow table is a cache: all storms at their whole length, with two, three and eight nodes. `lab_cache.rs` shows short ones.

use anyhow::Result;
use fairlead_tests::stress::{Membership, Stress, StressDurations, endure};
use fairlead_tests::traffic::flood::FloodKind;

const STORMS: [Stress; 5] = [
    Stress::Flood(FloodKind::Datagram, 2_400_000),
    Stress::Flood(FloodKind::Ack, 2_000_000),
    Stress::Flood(FloodKind::Syn, 2_000_000),
    Stress::FullTable,
    Stress::EmptiedTable,
];

fn all_storms(nodes: u8) -> Result<()> {
    let all = STORMS.iter().flat_map(|storm| [(*storm, Membership::Stable), (*storm, Membership::NodeJoins)]);
    let broken: Vec<String> = all
        .filter_map(|(storm, membership)| endure(nodes, storm, membership, StressDurations::WHOLE).err())
        .map(|error| format!("{error:#}"))
        .collect();
    anyhow::ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

#[test]
fn no_storm_breaks_a_connection_of_two_nodes() -> Result<()> {
    all_storms(2)
}

#[test]
fn no_storm_breaks_a_connection_of_three_nodes() -> Result<()> {
    all_storms(3)
}

#[test]
fn no_storm_breaks_a_connection_of_eight_nodes() -> Result<()> {
    all_storms(8)
}
