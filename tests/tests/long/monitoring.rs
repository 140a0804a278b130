//! A real Prometheus scrapes a cluster through faults: the promised alerts fire, no others do, and all end.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fairlead_deploy::dashboard;
use fairlead_tests::kubernetes::{WATCHED_AGAIN_WITHIN, topology};
use fairlead_tests::monitoring::{MonitoredLab, expressions, metrics};

/// Time in which an alert must fire or end: 2 min on the real clock are 4 s here, and the machine is busy.
const WITHIN: Duration = Duration::from_secs(60);
/// The longest time that an alert waits for: 15 min on the real clock.
const SETTLED_FOR: Duration = Duration::from_secs(35);

/// Metrics that this cluster cannot have, and why.
const ABSENT: [(&str, &str); 2] = [
    ("fairlead_layer2_conflicts", "no address is announced by layer 2"),
    ("fairlead_layer2_takeovers_total", "no address is announced by layer 2"),
];

#[test]
fn alerts_fire_and_end_as_promised_when_a_node_fails() -> Result<()> {
    topology().run(|lab| {
        let monitored = MonitoredLab::start(lab)?;
        sleep(SETTLED_FOR);
        monitored.wait_quiet(WITHIN)?;

        let cut = Instant::now();
        monitored.cut("n3")?;
        let promised = [("FairleadAgentDown", "n3"), ("FairleadNodeDead", "n3"), ("FairleadFailover", "n3")];
        monitored.wait_firing(&promised, WITHIN)?;
        monitored.check_only(cut, &promised.map(|(name, _)| name), &["n3"])?;

        monitored.restore("n3")?;
        monitored.wait_quiet(WATCHED_AGAIN_WITHIN)?;
        // Until its sessions and watches are back, the node is in other trouble, too.
        let names = [
            "FairleadAgentDown",
            "FairleadNodeDead",
            "FairleadFailover",
            "FairleadWatchFailing",
            "FairleadBFDSessionDown",
            "MetalLBBGPSessionDown",
        ];
        monitored.check_only(cut, &names, &["n3"])?;
        check_metrics(&monitored)
    })
}

#[test]
fn alerts_fire_and_end_when_sessions_a_controller_and_an_api_server_fail() -> Result<()> {
    topology().run(|lab| {
        let mut monitored = MonitoredLab::start(lab)?;
        sleep(SETTLED_FOR);
        monitored.wait_quiet(WITHIN)?;

        let shut = Instant::now();
        monitored.cluster.frr_router.set_enabled("n1", false)?;
        monitored.wait_firing(&[("MetalLBBGPSessionDown", "n1")], WITHIN)?;
        monitored.cluster.frr_router.set_enabled("n1", true)?;
        // FRR starts BFD again when BGP is established, which may end a session that was up for a moment.
        monitored.wait_sessions("n1", WITHIN)?;
        monitored.wait_quiet(WITHIN)?;
        monitored.check_only(shut, &["MetalLBBGPSessionDown", "FairleadBFDSessionDown"], &["n1"])?;

        let killed = Instant::now();
        monitored.kill_controllers()?;
        monitored.wait_firing(&[("FairleadControllerDown", "fairlead")], WITHIN)?;
        monitored.start_controllers()?;
        monitored.wait_quiet(WITHIN)?;
        // A start takes nearly as long as the minute that this alert waits for takes here.
        let names = ["FairleadControllerDown", "MetalLBConfigNotLoaded"];
        monitored.check_only(killed, &names, &["fairlead", "fairlead-controller"])?;

        let stopped = Instant::now();
        monitored.cluster.plane.restart(SETTLED_FOR)?;
        let watches = ["n1", "n2", "n3"].map(|node| ("FairleadWatchFailing", node));
        let fired = monitored.prometheus.fired(stopped.elapsed())?;
        for (name, node) in watches {
            ensure!(
                fired.iter().any(|alert| alert.name == name && alert.is_about(node)),
                "{node}: {fired:#?}"
            );
        }
        monitored.wait_quiet(WATCHED_AGAIN_WITHIN)?;
        monitored.check_only(
            stopped,
            &["FairleadWatchFailing"],
            &["n1", "n2", "n3", "controller-a", "controller-b"],
        )
    })
}

/// Checks that Prometheus has scraped every metric that an alert or a panel names.
fn check_metrics(monitored: &MonitoredLab<'_>) -> Result<()> {
    let panels = dashboard::rows().into_iter().flat_map(|row| row.panels);
    let queries = panels.flat_map(|panel| panel.queries).map(|query| query.expression);
    let expressions: Vec<String> = expressions()?.into_iter().chain(queries).collect();
    let named = metrics(expressions.iter().map(String::as_str))?;
    ensure!(named.len() > 40, "{named:?}");
    let absent: BTreeSet<String> = ABSENT.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(monitored.missing(&named)?, absent);
    Ok(())
}
