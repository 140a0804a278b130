//! A node that is drained and then shut down takes no request with it.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use fairlead_tests::contenders::{Contender, ContenderSettings, RunningContender};
use fairlead_tests::lab::topology::HTTP_PORT;
use fairlead_tests::traffic::RequestStream;

/// Enough for all nodes and routers to learn of the drain.
const DRAINED_FOR: Duration = Duration::from_secs(2);
/// More than the time from the death of a node to the end of its flows.
const WATCHED_FOR: Duration = Duration::from_secs(3);
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// Drains a node, ends its agent and cuts its link, while new connections are opened all the time. Returns
/// how many requests failed.
fn failed(contender: Contender, end: impl Fn(&RunningContender, &str) -> Result<()>) -> Result<u64> {
    let mut running = contender.start(ContenderSettings::default())?;
    let node = running.settings().entry();
    let requests = RequestStream::to((running.vip(), HTTP_PORT).into()).start(running.lab().client()?)?;
    sleep(Duration::from_millis(500));
    ensure!(requests.open() > 0, "{}: no request is served", contender.name());
    running.drain(&node, true)?;
    sleep(DRAINED_FOR);
    end(&running, &node)?;
    running.cut_link(&node, true)?;
    sleep(WATCHED_FOR);
    let report = requests.finish()?.requests;
    let failed = report.iter().filter(|it| !it.is_answered).count() as u64;
    println!("{}: {failed} of {} requests failed", contender.name(), report.len());
    Ok(failed)
}

#[test]
fn a_node_that_is_shut_down_in_order_takes_no_request_with_it() -> Result<()> {
    for contender in [Contender::FairleadL2, Contender::FairleadBgpBfd] {
        let failed = failed(contender, |running, node| running.lab().node(node)?.stop_agent(STOPS_WITHIN))?;
        ensure!(failed == 0, "{}: {failed} requests failed", contender.name());
    }
    Ok(())
}

/// The same without the agent's goodbye, as when the power of a drained node fails: the other nodes ask it
/// about the connections that open, until it is dead.
#[test]
fn a_drained_node_that_dies_takes_requests_with_it() -> Result<()> {
    let failed = failed(Contender::FairleadL2, |running, node| running.lab().node(node)?.kill_agent())?;
    ensure!(failed > 0, "no request fails without the goodbye either: it shows nothing");
    Ok(())
}
