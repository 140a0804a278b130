//! Tests that the program, which answers BFD for an agent that is away, answers only valid packets.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use fairlead_tests::failover::ObserverKind;
use fairlead_tests::lab::addresses::IpVersion;
use fairlead_tests::restart::forged::{BfdPacket, BfdWire, Exchange, Forgery};
use fairlead_tests::restart::{Keeping, RestartCluster, is_soak, topology};
use nix::sys::signal::Signal;

const INTERVAL: Duration = Duration::from_millis(50);
const WITHIN: Duration = Duration::from_secs(5);
/// Longer than the test: the bound must not end what is tested.
const BOUND: u32 = 120;
/// The hold time of BGP, in seconds, for the same reason.
const HOLD_TIME: u16 = 240;
/// Answers beyond the router's questions: one may be under way at the beginning.
const UNDER_WAY: usize = 2;
/// The routers and their links to the rack.
const ROUTERS: [(ObserverKind, &str); 2] = [(ObserverKind::Frr, "rack-a"), (ObserverKind::Bird, "eth0")];

fn time() -> Duration {
    if is_soak() { Duration::from_secs(10) } else { Duration::from_millis(500) }
}

/// A router's end of the rack, with a packet of its session with the node.
struct Session {
    wire: BfdWire,
    packet: BfdPacket,
}

impl Session {
    fn send(&self, forgery: Forgery) -> Result<Exchange> {
        let exchange = self.wire.exchange(&self.packet, &forgery.apply(&self.packet), time())?;
        println!("{:?} {forgery:?}: {exchange:?}", self.packet.addresses[1]);
        Ok(exchange)
    }
}

#[test]
fn invalid_bfd_packets_get_no_answer_while_the_agent_is_away() -> Result<()> {
    topology(1).run(|lab| {
        let options = Keeping::For(BOUND).options()?;
        let cluster = RestartCluster::start_holding(lab, INTERVAL, HOLD_TIME, &options)?;
        let node = cluster.victim()?;
        let mut sessions = Vec::new();
        for (router, link) in ROUTERS {
            for family in IpVersion::BOTH {
                let address: IpAddr = node.spec().addresses().of(family);
                let wire = BfdWire::open(cluster.router(router), link)?;
                sessions.push(Session { packet: wire.capture(address, WITHIN)?, wire });
            }
        }
        let mark = cluster.log.mark()?;
        node.signal_agent(Signal::SIGSTOP)?;
        let is_kept = Keeping::of_bfd()?;
        for session in &sessions {
            // The reference: a valid packet is answered, whoever has sent it.
            let genuine = session.send(Forgery::Genuine)?;
            ensure!(!is_kept || genuine.answers >= genuine.forged / 2, "nobody answers: {genuine:?}");
            for forgery in Forgery::INVALID.into_iter().filter(|it| *it != Forgery::StateDown) {
                is_ignored(forgery, session.send(forgery)?, is_kept)?;
            }
        }
        let events = cluster.log.of_host(node.spec().addresses(), &mark)?;
        ensure!(!is_kept || events.is_empty(), "sessions were disturbed: {events:?}");
        ensure!(is_kept || !events.is_empty(), "nothing answers, and no session ended");
        // A router that says it is down is believed, and the session may end.
        for session in &sessions {
            let exchange = session.send(Forgery::StateDown)?;
            ensure!(exchange.answers <= exchange.questions + UNDER_WAY, "StateDown: {exchange:?}");
        }
        Ok(())
    })
}

/// Checks that only the router's own packets were answered, and each of them.
fn is_ignored(forgery: Forgery, exchange: Exchange, is_kept: bool) -> Result<()> {
    let Exchange { forged, questions, answers } = exchange;
    ensure!(forged > 10 * questions.max(1), "too few forged packets: {exchange:?}");
    ensure!(answers <= questions + UNDER_WAY, "{forgery:?}: {exchange:?}");
    ensure!(!is_kept || answers + UNDER_WAY >= questions, "{forgery:?} silences the node: {exchange:?}");
    Ok(())
}
