//! Uplinks that are bonds of two members.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use fairlead_tests::lab::{Lab, LabHost, LabNode};

use super::machine::{Machine, of_link};

/// Time for a bond to notice a change: its carrier check is ten times a second, and LACP may take seconds.
const NOTICED: Duration = Duration::from_secs(5);
const MODE_OF_BACKUP: &str = "mode active-backup miimon 100";
const MODE_OF_LACP: &str = "mode 802.3ad miimon 100 lacp_rate fast xmit_hash_policy layer3+4";

fn switch<'lab>(lab: &'lab Lab, node: &LabNode<'_>) -> Result<&'lab LabHost> {
    lab.host(&node.spec().segment().switch())
}

/// Makes a bond of members that are down.
fn bond(host: &LabHost, name: &str, mode: &str, members: &[String]) -> Result<()> {
    let mut lines = vec![format!("link add {name} type bond {mode}")];
    lines.extend(members.iter().map(|member| format!("link set {member} down")));
    lines.extend(members.iter().map(|member| format!("link set {member} master {name}")));
    lines.push(format!("link set {name} up"));
    host.ip(&lines)
}

/// Two ports of one switch, of which one is used.
pub(crate) fn active_backup(lab: &Lab, node: &LabNode<'_>) -> Result<()> {
    node.delete_uplink()?;
    let members = ["p0", "p1"].map(str::to_owned);
    for member in &members {
        lab.wire_port(node, member, switch(lab, node)?, &format!("{}-{member}", node.name()))?;
    }
    bond(node, "bond0", MODE_OF_BACKUP, &members)
}

/// A bond at each end, with a second link that is not in the bonds yet.
fn lacp(lab: &Lab, node: &LabNode<'_>) -> Result<()> {
    node.delete_uplink()?;
    let (switch, lag) = (switch(lab, node)?, format!("{}-lag", node.name()));
    for member in ["p0", "p1"] {
        lab.wire(node, member, switch, &format!("{}-{member}", node.name()))?;
    }
    bond(switch, &lag, MODE_OF_LACP, &[format!("{}-p0", node.name())])?;
    switch.ip(&[format!("link set {lag} master br0")])?;
    lab.pass_all(switch, &lag)?;
    bond(node, "bond0", MODE_OF_LACP, &["p0".to_owned()])?;
    node.configure_uplink("bond0")
}

/// Pulls the active member's cable, and plugs it in again.
pub(crate) fn pull_and_return(lab: &Lab) -> Result<()> {
    let node = lab.node("n1")?;
    let switch = switch(lab, &node)?;
    let active = of_link(&node, "bond0", "active_slave")?;
    for state in ["down", "up"] {
        switch.ip(&[format!("link set n1-{active} {state}")])?;
        sleep(NOTICED);
    }
    let now = of_link(&node, "bond0", "active_slave")?;
    println!("active member {active} before, {now} after");
    anyhow::ensure!(now != active, "the bond has not changed its member");
    Ok(())
}

/// Adds the second link to the bonds at both ends, once.
fn add_member(lab: &Lab) -> Result<()> {
    let node = lab.node("n1")?;
    let members = || node.command("ip").args(["-brief", "link", "show", "master", "bond0"]).text();
    if members()?.lines().any(|line| line.starts_with("p1@")) {
        return Ok(());
    }
    switch(lab, &node)?.ip(&["link set n1-p1 down", "link set n1-p1 master n1-lag"].map(str::to_owned))?;
    node.ip(&["link set p1 down", "link set p1 master bond0"].map(str::to_owned))
        .context("add the member")?;
    sleep(NOTICED);
    println!("{}", members()?);
    Ok(())
}

const BACKUP: Machine = Machine {
    kind: "bond, active-backup",
    wire: |lab, node| {
        active_backup(lab, node)?;
        node.configure_uplink("bond0")
    },
    mode: "native",
    interface: None,
    attached: ("bond0", "native"),
    announced: "bond0",
    event: Some(pull_and_return),
};

const LACP: Machine = Machine { kind: "bond, 802.3ad", wire: lacp, event: Some(add_member), ..BACKUP };

#[test]
fn no_connection_breaks_when_the_active_member_goes_and_returns() -> Result<()> {
    BACKUP.check()
}

#[test]
fn no_connection_breaks_when_the_active_member_goes_and_returns_in_generic_mode() -> Result<()> {
    Machine { mode: "generic", attached: ("bond0", "generic"), ..BACKUP }.check()
}

#[test]
fn no_connection_breaks_when_a_member_joins_by_lacp() -> Result<()> {
    LACP.check()
}
