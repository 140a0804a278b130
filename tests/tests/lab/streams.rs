//! Streams of probes and requests: they see an outage, its length, and nothing else.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fairlead_tests::lab::topology::{DATAGRAM_PORT, HTTP_PORT};
use fairlead_tests::lab::{Topology, WEB_V4};
use fairlead_tests::traffic::{ProbeStream, RequestStream};

const OUTAGE: Duration = Duration::from_millis(300);
/// The time that the programs take which change the route, and that a busy machine adds.
const SLACK: Duration = Duration::from_millis(100);
const AROUND: Duration = Duration::from_millis(500);

#[test]
fn streams_lose_what_is_sent_during_an_outage_and_nothing_else() -> Result<()> {
    Topology::standard().run(|lab| {
        let router = lab.router()?;
        router.set_next_hops(WEB_V4, &["n1", "n2", "n3"])?;
        let client = lab.client()?;
        let probes = ProbeStream::to(SocketAddr::new(WEB_V4, DATAGRAM_PORT)).start(client)?;
        let requests = RequestStream::to(SocketAddr::new(WEB_V4, HTTP_PORT)).start(client)?;
        sleep(AROUND);
        let began = Instant::now();
        router.set_next_hops(WEB_V4, &[])?;
        sleep(OUTAGE);
        router.set_next_hops(WEB_V4, &["n1", "n2", "n3"])?;
        let ended = Instant::now();
        sleep(AROUND);
        let (probes, requests) = (probes.finish()?, requests.finish()?);

        let lost: Vec<Instant> =
            probes.probes.iter().filter(|it| !it.is_answered).map(|it| probes.started + it.sent).collect();
        ensure!(lost.iter().all(|at| (began..ended).contains(at)), "probes are lost outside of the outage");
        let seen = lost.last().zip(lost.first()).map(|(last, first)| *last - *first).unwrap_or_default();
        ensure!(seen >= OUTAGE - SLACK && seen <= OUTAGE + SLACK, "an outage of {OUTAGE:?} seems {seen:?}");
        let sent = probes.probes.len();
        // A probe each 100 µs is 13,000; a machine that many tests share sends fewer.
        ensure!(sent > 3000, "only {sent} probes were sent");

        let failed: Vec<Instant> = requests
            .requests
            .iter()
            .filter(|it| !it.is_answered)
            .map(|it| requests.started + it.sent)
            .collect();
        ensure!(!failed.is_empty(), "no request failed");
        // A request whose connection was open when the outage began may fail as well.
        ensure!(failed.iter().all(|at| (began - SLACK..ended).contains(at)), "requests fail outside of it");
        Ok(())
    })
}
