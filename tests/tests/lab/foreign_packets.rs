//! Tests of foreign packets: those for undeclared ports of a VIP are rejected, those that only look like the
//! cluster's pass unmodified, and no sender can disable a function.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fairlead_tests::lab::topology::ECHO_PORT;
use fairlead_tests::lab::{FAR_V4, Lab, LabAgentOptions, SHARED_V4, Topology, WEB_V4, WEB_V6, agents};
use fairlead_tests::packets::build::Frame;
use fairlead_tests::traffic::RawSocket;

/// A port that no Service has.
const UNDECLARED: u16 = 9999;
const AT_ONCE: Duration = Duration::from_millis(700);
const WITHIN: Duration = Duration::from_secs(10);
const CLIENT: [u8; 4] = [192, 0, 2, 11];

fn with_agents(arguments: &[&str], test: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    Topology::standard().run(|lab| {
        for vip in [WEB_V4, WEB_V6, SHARED_V4, FAR_V4] {
            lab.router()?.set_next_hops(vip, &["n1"])?;
        }
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        agents::start(&lab.nodes()?, &LabAgentOptions { arguments, ..LabAgentOptions::default() })?;
        test(lab)
    })
}

/// Returns the number of packets of n1 with this outcome.
fn counted(lab: &Lab, outcome: &str) -> Result<u64> {
    let status = lab.node("n1")?.status()?;
    let outcomes = status["outcomes"].as_array().context("no outcomes")?;
    let found = outcomes.iter().find(|it| it["name"] == outcome);
    Ok(found.and_then(|it| it["packets"].as_u64()).unwrap_or_default())
}

/// Runs `act`, waits for `expected` packets of an outcome or until time is up, and returns their number.
fn counts(lab: &Lab, outcome: &str, expected: u64, act: impl FnOnce() -> Result<()>) -> Result<u64> {
    let before = counted(lab, outcome)?;
    act()?;
    let begun = Instant::now();
    while counted(lab, outcome)? < before + expected && begun.elapsed() < WITHIN {
        sleep(Duration::from_millis(50));
    }
    // Looping packets keep coming.
    sleep(Duration::from_millis(300));
    Ok(counted(lab, outcome)? - before)
}

fn octets(vip: IpAddr) -> Result<[u8; 4]> {
    match vip {
        IpAddr::V4(vip) => Ok(vip.octets()),
        IpAddr::V6(vip) => bail!("{vip} is not an IPv4 address"),
    }
}

/// Sends ten datagrams for an undeclared port of the VIP.
fn ten_datagrams() -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_ttl(255)?;
    for _ in 0..10 {
        socket.send_to(b"x", (WEB_V4, UNDECLARED))?;
    }
    Ok(())
}

#[test]
fn undeclared_ports_are_rejected_at_once_without_a_routing_loop() -> Result<()> {
    with_agents(&[], |lab| {
        for vip in [WEB_V4, WEB_V6, SHARED_V4] {
            lab.client()?.run(|| refused_by_udp(vip).with_context(|| format!("UDP to {vip}")))?;
            lab.client()?.run(|| refused_by_tcp(vip).with_context(|| format!("TCP to {vip}")))?;
        }
        let refused = counts(lab, "port_unreachable_sent", 10, || lab.client()?.run(ten_datagrams))?;
        ensure!(refused == 10, "10 datagrams were received {refused} times");
        let stream =
            lab.client()?.run(|| Ok(TcpStream::connect_timeout(&(WEB_V4, ECHO_PORT).into(), WITHIN)?));
        stream.context("a declared port of the VIP").map(drop)
    })
}

/// Shows why undeclared ports are rejected.
#[test]
fn a_passed_undeclared_port_causes_a_routing_loop() -> Result<()> {
    with_agents(&["--undeclared-ports", "pass"], |lab| {
        let received = counts(lab, "not_ours", 300, || lab.client()?.run(ten_datagrams))?;
        ensure!(received > 300, "10 datagrams were received {received} times");
        Ok(())
    })
}

fn refused_by_udp(vip: IpAddr) -> Result<()> {
    let any: IpAddr = if vip.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((vip, UNDECLARED))?;
    socket.set_read_timeout(Some(AT_ONCE))?;
    socket.send(b"x")?;
    match socket.recv(&mut [0; 8]) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        other => bail!("{other:?}"),
    }
}

fn refused_by_tcp(vip: IpAddr) -> Result<()> {
    let begun = Instant::now();
    match TcpStream::connect_timeout(&SocketAddr::new(vip, UNDECLARED), WITHIN) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            // The lab is one machine: an error that arrives before `connect` has released its socket is lost,
            // and the next SYN is sent a second later.
            ensure!(begun.elapsed() < 5 * AT_ONCE, "rejected after {:?}", begun.elapsed());
            Ok(())
        }
        other => bail!("{other:?}"),
    }
}

#[test]
fn foreign_packets_pass_unmodified() -> Result<()> {
    with_agents(&[], |lab| {
        query_from_the_port_of_gue(lab)?;
        let n1 = lab.node("n1")?.spec().addresses().v4.octets();
        let moved = ["forwarded_l2", "forwarded_gue", "asked_gue", "asked_l2"];
        let before: Vec<u64> = moved.iter().map(|name| counted(lab, name)).collect::<Result<_>>()?;
        let foreign = counts(lab, "foreign_icmp_error", 30, || {
            lab.client()?.run(|| {
                let socket = RawSocket::open()?;
                (0..30).try_for_each(|number| socket.send(&foreign_error(n1, number)?))
            })
        })?;
        ensure!(foreign == 30, "{foreign} of 30 foreign ICMP errors about a VIP's packets were counted");
        let after: Vec<u64> = moved.iter().map(|name| counted(lab, name)).collect::<Result<_>>()?;
        ensure!(before == after, "{moved:?} went from {before:?} to {after:?}");
        Ok(())
    })
}

/// Returns a node's NAT may choose the GUE port as a source port: for one flow in 64,512.
fn query_from_the_port_of_gue(lab: &Lab) -> Result<()> {
    let server = lab.client()?.thread(|| {
        let socket = UdpSocket::bind("0.0.0.0:5353")?;
        socket.set_read_timeout(Some(WITHIN))?;
        let mut buffer = [0; 64];
        let (length, from) = socket.recv_from(&mut buffer)?;
        Ok(socket.send_to(&buffer[..length], from)?)
    })?;
    let answer = lab.node("n1")?.run(|| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 6080))?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut buffer = [0; 64];
        for _ in 0..3 {
            socket.send_to(b"query", (Ipv4Addr::from(CLIENT), 5353))?;
            if let Ok(length) = socket.recv(&mut buffer) {
                return Ok(buffer[..length].to_vec());
            }
        }
        bail!("a query from port 6080 has no answer")
    })?;
    ensure!(answer == b"query", "{answer:?}");
    server.join().ok().context("the server panicked")?.map(drop)
}

/// Returns an ICMP error to a node about a packet that a VIP supposedly sent.
fn foreign_error(to: [u8; 4], number: u16) -> Result<Vec<u8>> {
    let quoted = Frame::v4(octets(WEB_V4)?, CLIENT).tcp(ECHO_PORT, 20_000 + number).ip();
    Ok(Frame::v4(CLIENT, to).message(3, 1, &[&[0; 4], &quoted[..28]].concat()).ip())
}

/// 4,400 pings per second are several times the budget of replies.
#[test]
fn pings_do_not_stop_path_mtu_discovery() -> Result<()> {
    with_agents(&["--forwarding", "gue"], |lab| {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let ping = Frame::v4([192, 0, 2, 77], octets(FAR_V4)?).icmp(8, 0).ip();
        let unanswered = counted(lab, "echo_dropped")?;
        let flood = lab.client()?.thread(move || {
            let ends = || stopped.load(Ordering::Relaxed);
            RawSocket::open()?.send_for(&[ping], 4400, Duration::from_secs(30), ends)
        })?;
        sleep(Duration::from_secs(1));
        let reported = counts(lab, "too_big_sent", 20, || {
            lab.client()?.run(|| {
                let socket = RawSocket::open()?;
                for port in 3000..3020 {
                    let segment = Frame::v4(CLIENT, octets(FAR_V4)?).tcp(port, ECHO_PORT).sized(1490);
                    socket.send(&segment.ip())?;
                    sleep(Duration::from_millis(100));
                }
                Ok(())
            })
        });
        stop.store(true, Ordering::Relaxed);
        let pings = flood.join().ok().context("the flood panicked")??;
        let unanswered = counted(lab, "echo_dropped")? - unanswered;
        println!("{pings} pings, {unanswered} of them over the rate");
        ensure!(unanswered > 100, "the budget of pings was not exhausted: {unanswered} of {pings}");
        ensure!(unanswered < pings, "pings over the rate loop: {unanswered} of {pings}");
        let reported = reported?;
        ensure!(reported == 20, "{reported} of 20 senders got a Packet Too Big");
        Ok(())
    })
}
