//! Soak tests of the flow table: full-length stress with two, three and eight nodes. Short ones are in
//! `lab/cache.rs`.

use anyhow::Result;
use fairlead_tests::stress::{Membership, Stress, StressDurations, run};
use fairlead_tests::traffic::flood::FloodKind;

const STRESSES: [Stress; 5] = [
    Stress::Flood(FloodKind::Datagram, 2_400_000),
    Stress::Flood(FloodKind::Ack, 2_000_000),
    Stress::Flood(FloodKind::Syn, 2_000_000),
    Stress::FullTable,
    Stress::EmptiedTable,
];

fn run_all(nodes: u8) -> Result<()> {
    let all =
        STRESSES.iter().flat_map(|stress| [(*stress, Membership::Stable), (*stress, Membership::NodeJoins)]);
    let broken: Vec<String> = all
        .filter_map(|(stress, membership)| run(nodes, stress, membership, StressDurations::WHOLE).err())
        .map(|error| format!("{error:#}"))
        .collect();
    anyhow::ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

#[test]
fn flow_table_stress_breaks_no_connection_of_two_nodes() -> Result<()> {
    run_all(2)
}

#[test]
fn flow_table_stress_breaks_no_connection_of_three_nodes() -> Result<()> {
    run_all(3)
}

#[test]
fn flow_table_stress_breaks_no_connection_of_eight_nodes() -> Result<()> {
    run_all(8)
}
