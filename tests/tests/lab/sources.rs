//! Tests of a Service's source ranges with real clients: clients outside are dropped, and clients inside are
//! not affected, however the ranges change.

use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::topology::{DATAGRAM_PORT, ECHO_PORT};
use fairlead_tests::lab::{Lab, LabAgentOptions, LabHost, SHARED_V4, Topology, WEB_V4, WEB_V6, agents};
use fairlead_tests::traffic::TcpLoad;
use lb_common::map_table::name;
use lb_dataplane::pins::Pins;

const WITHIN: Duration = Duration::from_secs(20);
/// Longer than the retransmission timeout of a SYN.
const PATIENCE: Duration = Duration::from_millis(1_500);
const CONNECTIONS: usize = 60;

/// Ranges with `client-1` only.
const FIRST: [&str; 2] = ["192.0.2.11/32", "2001:db8:c::11/128"];
/// Equivalent ranges in other notations, some with more around them.
const OTHERS: [&[&str]; 4] = [
    &["192.0.2.8/30", "2001:db8:c::10/127", "198.18.0.0/15"],
    &["192.0.2.10/31", "10.0.0.0/8", "2001:db8:c::11/128"],
    &["192.0.2.0/29", "192.0.2.8/30", "2001:db8:c::/124", "2001:db8:c::10/127"],
    &FIRST,
];

fn with_agents(test: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    Topology::standard().clients(2).run(|lab| {
        for vip in [WEB_V4, WEB_V6, SHARED_V4] {
            lab.router()?.set_next_hops(vip, &["n1", "n2", "n3"])?;
        }
        agents::start(&lab.nodes()?, &LabAgentOptions::default())?;
        test(lab)
    })
}

/// Sets the ranges of `web`, and waits until every node has `each` number of ranges for its addresses.
fn restrict(lab: &Lab, ranges: &[&str], each: [Option<u64>; 2]) -> Result<()> {
    lab.update(|topology| {
        topology.service_mut("web")?.source_ranges = ranges.iter().map(|range| (*range).to_owned()).collect();
        Ok(())
    })?;
    for node in lab.nodes()? {
        node.wait_status("has the ranges", WITHIN, |status| {
            let has = |vip: IpAddr| -> Result<Vec<Option<u64>>> {
                Ok(vips(status, "web")?
                    .filter(|it| it["address"] == vip.to_string())
                    .map(|it| it["source_ranges"].as_u64())
                    .collect())
            };
            Ok(has(WEB_V4)? == vec![each[0]; 3] && has(WEB_V6)? == vec![each[1]; 3])
        })?;
    }
    Ok(())
}

fn vips<'a>(
    status: &'a serde_json::Value,
    name: &str,
) -> Result<impl Iterator<Item = &'a serde_json::Value>> {
    let mut services = agents::list(status, "services")?.iter();
    let service = services.find(|it| it["service"]["name"] == name).context("no such Service")?;
    Ok(agents::list(service, "vips")?.iter())
}

/// Returns whether a host gets answers by TCP, by UDP, and by ICMP.
fn answered(host: &LabHost, vip: IpAddr) -> Result<[bool; 3]> {
    let tcp = host.run(|| Ok(connects(vip, PATIENCE)))?;
    let udp = host.run(|| Ok(datagram(vip).is_ok()))?;
    let ping = ["-q", "-c", "1", "-W", "1", &vip.to_string()];
    Ok([tcp, udp, host.command("ping").args(ping).output()?.status.success()])
}

/// Returns whether a connection opens and gets a pod's greeting.
fn connects(vip: IpAddr, patience: Duration) -> bool {
    let greeted =
        TcpStream::connect_timeout(&SocketAddr::new(vip, ECHO_PORT), patience).and_then(|mut stream| {
            stream.set_read_timeout(Some(patience))?;
            stream.read_exact(&mut [0; 8])
        });
    greeted.is_ok()
}

fn datagram(vip: IpAddr) -> std::io::Result<usize> {
    let any: IpAddr = if vip.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect((vip, DATAGRAM_PORT))?;
    socket.send(&[7; 64])?;
    socket.recv(&mut [0; 512])
}

/// Checks that the map can be dumped without an agent.
fn can_be_dumped(lab: &Lab) -> Result<()> {
    let node = lab.node("n1")?;
    let pin = Pins::below(&node.bpffs()).map(name::SOURCES);
    let dump = node.command("bpftool").args(["--json", "map", "dump", "pinned"]).arg(pin).text()?;
    let dump: serde_json::Value = serde_json::from_str(&dump).with_context(|| dump.clone())?;
    let entries = dump.as_array().context("no entries")?;
    ensure!(entries.len() == 8, "three ports and the address, of both families: {dump}");
    for entry in entries {
        let key = &entry["formatted"]["key"];
        let bits = key["prefix_len"].as_u64();
        ensure!(
            bits == Some(160) && key["data"]["vip"].is_u64() && key["data"]["address"].is_array(),
            "{entry}"
        );
    }
    Ok(())
}

/// Returns the number of packets for a Service dropped by its ranges, over all nodes.
fn refused(lab: &Lab, service: &str) -> Result<u64> {
    let mut sum = 0;
    for node in lab.nodes()? {
        let status = node.status()?;
        let numbers: Vec<_> = vips(&status, service)?.filter_map(|it| it["number"].as_u64()).collect();
        let traffic = agents::list(&status, "vip_traffic")?.iter();
        let of_service = traffic.filter(|it| it["number"].as_u64().is_some_and(|it| numbers.contains(&it)));
        sum += of_service.filter_map(|it| it["source_refused"].as_u64()).sum::<u64>();
    }
    Ok(sum)
}

#[test]
fn clients_outside_the_source_ranges_are_dropped_and_counted() -> Result<()> {
    with_agents(|lab| {
        let (first, second) = (lab.host("client-1")?, lab.host("client-2")?);
        let all = |host, expected: [bool; 3]| -> Result<()> {
            for vip in [WEB_V4, WEB_V6] {
                let is = answered(host, vip)?;
                ensure!(is == expected, "{} at {vip}: {is:?} instead of {expected:?}", host.name());
            }
            Ok(())
        };
        all(first, [true; 3])?;
        all(second, [true; 3])?;
        ensure!(refused(lab, "web")? == 0);

        restrict(lab, &FIRST, [Some(1), Some(1)])?;
        all(first, [true; 3])?;
        all(second, [false; 3])?;
        // Two families, about three TCP segments, and a datagram; pings belong to the address.
        let counted = refused(lab, "web")?;
        ensure!(counted >= 4, "{counted} packets dropped");
        ensure!(answered(second, SHARED_V4)? == [true; 3], "another Service has its own ranges");
        ensure!(refused(lab, "shared")? == 0);
        can_be_dumped(lab)?;

        restrict(lab, &["192.0.2.12/32"], [Some(1), None])?;
        ensure!(answered(first, WEB_V4)? == [false; 3] && answered(second, WEB_V4)? == [true; 3]);
        ensure!(
            answered(first, WEB_V6)? == [true; 3],
            "without an IPv6 range there is no restriction, as in kube-proxy"
        );
        let log = lab.node("n1")?.agent_log();
        ensure!(log.contains("there is no IPv6 range"), "{log}");

        restrict(lab, &[], [None, None])?;
        all(first, [true; 3])?;
        all(second, [true; 3])
    })
}

#[test]
fn changes_of_ranges_and_agents_break_no_client_inside_and_admit_none_outside() -> Result<()> {
    with_agents(|lab| {
        let (first, second) = (lab.host("client-1")?, lab.host("client-2")?);
        let load = |vip| {
            let load = TcpLoad::to(SocketAddr::new(vip, ECHO_PORT)).connections(CONNECTIONS);
            load.rest(Duration::from_millis(50)).patience(Duration::from_secs(3)).start(first)
        };
        let loads = [load(WEB_V4)?, load(WEB_V6)?];
        for load in &loads {
            load.wait_open(CONNECTIONS as u64, WITHIN)?;
        }
        restrict(lab, &FIRST, [Some(1), Some(1)])?;
        let (stop, attempts) = (AtomicBool::new(false), AtomicUsize::new(0));
        let entered = thread::scope(|scope| -> Result<usize> {
            let intruder = scope.spawn(|| second.run(|| Ok(try_to_connect(&stop, &attempts))));
            let changed = change_repeatedly(lab);
            stop.store(true, Ordering::Relaxed);
            let entered = intruder.join().map_err(|_| anyhow::anyhow!("the intruder panicked"))??;
            changed.map(|()| entered)
        })?;
        let attempts = attempts.load(Ordering::Relaxed);
        println!("{attempts} attempts from outside, {entered} successful");
        ensure!(attempts > 20 && entered == 0, "{entered} of {attempts} attempts from outside succeeded");
        for load in loads {
            let report = load.finish()?;
            println!("{report}");
            ensure!(report.failed() == 0, "{report}");
        }
        Ok(())
    })
}

/// Connects until it is stopped; returns how often it succeeded.
fn try_to_connect(stop: &AtomicBool, attempts: &AtomicUsize) -> usize {
    let mut entered = 0;
    while !stop.load(Ordering::Relaxed) {
        for vip in [WEB_V4, WEB_V6] {
            entered += usize::from(connects(vip, Duration::from_millis(100)));
            attempts.fetch_add(1, Ordering::Relaxed);
        }
    }
    entered
}

fn change_repeatedly(lab: &Lab) -> Result<()> {
    let counts = [[2, 1], [2, 1], [2, 2], [1, 1]];
    for _ in 0..5 {
        for (ranges, [v4, v6]) in OTHERS.into_iter().zip(counts) {
            restrict(lab, ranges, [Some(v4), Some(v6)])?;
        }
    }
    let many: Vec<String> = (0..5_000).map(|i| format!("10.{}.{}.0/25", i / 256, i % 256)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain(FIRST).collect();
    restrict(lab, &many, [Some(5_001), Some(1)])?;
    for node in lab.nodes()? {
        node.kill_agent()?;
        node.start_agent(&LabAgentOptions::default())?;
    }
    restrict(lab, &FIRST, [Some(1), Some(1)])
}

/// Shows that the second test can fail: an intruder that is admitted for a moment is detected.
#[test]
fn an_admitted_intruder_is_detected() -> Result<()> {
    with_agents(|lab| {
        restrict(lab, &FIRST, [Some(1), Some(1)])?;
        let (stop, attempts) = (AtomicBool::new(false), AtomicUsize::new(0));
        let second = lab.host("client-2")?;
        let entered = thread::scope(|scope| -> Result<usize> {
            let intruder = scope.spawn(|| second.run(|| Ok(try_to_connect(&stop, &attempts))));
            let opened = restrict(lab, &[], [None, None]);
            thread::sleep(Duration::from_millis(500));
            stop.store(true, Ordering::Relaxed);
            let entered = intruder.join().map_err(|_| anyhow::anyhow!("the intruder panicked"))??;
            opened.map(|()| entered)
        })?;
        ensure!(entered > 0);
        Ok(())
    })
}
