//! `fairlead why` names the true cause first in broken set-ups of a cluster that announces on the local
//! network, and none when all is well; and `fairlead doctor --reboot-safe` says which node may go.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::explain::{SetUps, WhyCommand};
use fairlead_tests::lab::node::find_binary;
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabNode, Topology, WEB_V4, agents};
use fairlead_tests::layer2::frames::announcements;
use fairlead_tests::layer2::segment::LINK;
use fairlead_tests::layer2::wire::Wire;
use serde_json::{Value, json};

/// A host in the nodes' network that is none of them.
const STRANGER: &str = "r1";

fn topology() -> Topology {
    let topology = Topology::empty().router('a', 1).node('a', 1).node('a', 2);
    let topology = topology.pods("n1", "web", 1).pods("n2", "web", 1);
    topology.service("web", "web", &[WEB_V4], ExternalPolicy::Local)
}

/// Selects a node by its name.
fn only(node: &str) -> Value {
    json!({ "ipAddressPools": ["lab"], "nodeSelectors": [{ "matchLabels": { "kubernetes.io/hostname": node } }] })
}

#[test]
fn the_first_broken_link_is_the_true_cause() -> Result<()> {
    topology().run(|lab| {
        agents::start(&lab.nodes()?, &LabAgentOptions::default())?;
        let [first, second] = [lab.node("n1")?, lab.node("n2")?];
        let set_ups = SetUps::default();
        let [of_first, of_second] =
            [&first, &second].map(|node| WhyCommand { node, target: "web", client: None });
        of_first.wait_well()?;
        of_second.wait_well()?;
        reboots(lab, &first)?;

        let layer2 = lab.topology().layer2.clone();
        let select = |spec: Value| {
            lab.update(|topology| {
                topology.layer2 = spec;
                Ok(())
            })
        };
        let undo = || select(layer2.clone());
        let ask = [&of_second; 2];
        let announce_nothing = || select(json!({ "ipAddressPools": ["other"] }));
        set_ups.broken("no L2Advertisement", "no_advertisement", ask, announce_nothing, undo)?;
        set_ups.broken("no node selected", "wrong_selector", ask, || select(only("n9")), undo)?;
        let labels = json!([{ "matchLabels": { "no": "such" } }]);
        let wrong = json!({ "ipAddressPools": ["lab"], "serviceSelectors": labels });
        set_ups.broken("wrong Service selector", "wrong_selector", ask, || select(wrong), undo)?;
        let mut no_uplink = only("n2");
        no_uplink["interfaces"] = json!(["eth9"]);
        set_ups.broken("no such interface", "no_announcer", ask, || select(no_uplink), undo)?;
        let kill = || {
            select(only("n1"))?;
            of_second.wait_well()?;
            first.cut_link()
        };
        let revive = || {
            first.restore_link()?;
            undo()
        };
        set_ups.broken("announcer dead", "no_announcer", ask, kill, revive)?;
        let claim = || lab.host(STRANGER)?.run(claim);
        set_ups.broken("answered by a stranger", "address_conflict", [&of_first; 2], claim, || Ok(()))?;
        ensure!(set_ups.finish()? == 6);
        Ok(())
    })
}

/// Claims the VIP, as a host does that has the address, too.
fn claim() -> Result<()> {
    let wire = Wire::open(LINK)?;
    for _ in 0..5 {
        announcements(wire.mac(), WEB_V4).iter().try_for_each(|frame| wire.send(frame))?;
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Asks whether a node may be rebooted; returns the exit code and the answer.
fn reboot(asked: &LabNode<'_>, of: &str) -> Result<(i32, Value)> {
    let command = asked.command(&find_binary()?.to_string_lossy());
    let command = command.args(["doctor", "--reboot-safe", of, "-o", "json", "--socket"]);
    let output = command.arg(asked.socket()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let answer = serde_json::from_str(&text).with_context(|| text.clone().into_owned())?;
    Ok((output.status.code().context("killed")?, answer))
}

/// A node may be rebooted unless it is the last with an endpoint, or the last that announces.
fn reboots(lab: &Lab, asked: &LabNode<'_>) -> Result<()> {
    let (code, answer) = reboot(asked, "n2")?;
    ensure!(code == 0 && answer["safe"] == true, "{answer}");
    let before = lab.topology().clone();
    lab.update(|topology| {
        topology.pod_mut("n1-2")?.ready = false;
        topology.layer2 = only("n2");
        Ok(())
    })?;
    fairlead_tests::routers::wait(Duration::from_secs(20), || {
        let (code, answer) = reboot(asked, "n2")?;
        let losses = answer["losses"].to_string();
        ensure!(code == 1 && answer["safe"] == false, "{answer}");
        ensure!(losses.contains("last ready endpoints") && losses.contains("last announcer"), "{answer}");
        let (code, answer) = reboot(asked, "n1")?;
        ensure!(code == 0 && answer["flows"] == 0, "{answer}");
        Ok(())
    })?;
    lab.update(|topology| {
        *topology = before;
        Ok(())
    })?;
    let question = WhyCommand { node: asked, target: "web", client: None };
    question.wait_well()
}
