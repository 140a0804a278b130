//! A test of agents, routes and connections under every fault of the API server.

use std::time::Duration;

use anyhow::Result;
use fairlead_tests::kubernetes::{KubernetesLab, topology};

#[test]
fn no_server_fault_changes_a_route_or_breaks_a_connection() -> Result<()> {
    topology().run(|lab| KubernetesLab::start(lab)?.endure_server_faults(Duration::ZERO))
}
