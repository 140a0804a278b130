//! Tests that the program, which answers BFD for an agent that is away, answers only valid packets.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use fairlead_tests::failover::ObserverKind;
use fairlead_tests::lab::addresses::IpVersion;
use fairlead_tests::restart::forged::{BfdPacket, BfdWire, Exchange, Forgery};
use fairlead_tests::restart::{Keeping, RestartCluster, SessionSettings, is_soak, topology};
use nix::sys::signal::Signal;

const INTERVAL: Duration = Duration::from_millis(50);
const WITHIN: Duration = Duration::from_secs(5);
/// Longer than the test: the bound must not end what is tested.
const BOUND: u32 = 120;
/// The hold time of BGP, in seconds, for the same reason.
const HOLD_TIME: u16 = 240;
/// The fewest answers to valid packets: the program answers as often as the router wants to be answered.
const FEWEST: usize = 5;
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
    /// Checks that valid packets are answered and invalid ones are not, and do not end the session.
    fn judge(&self) -> Result<()> {
        self.is_answered()?;
        // A router that says it is down ends the session: the last.
        let (down, others): (Vec<_>, Vec<_>) =
            Forgery::INVALID.into_iter().partition(|it| *it == Forgery::StateDown);
        for forgery in others {
            self.is_ignored(forgery)?;
        }
        self.is_answered()?;
        down.into_iter().try_for_each(|forgery| self.is_ignored(forgery))
    }

    fn is_answered(&self) -> Result<()> {
        let genuine = self.send(Forgery::Genuine)?;
        ensure!(genuine.answers >= FEWEST, "there are no answers: {genuine:?}");
        Ok(())
    }

    fn is_ignored(&self, forgery: Forgery) -> Result<()> {
        let exchange = self.send(forgery)?;
        ensure!(exchange.answers == 0, "{forgery:?}: {exchange:?}");
        Ok(())
    }

    fn send(&self, forgery: Forgery) -> Result<Exchange> {
        let exchange = self.wire.exchange(&self.packet, &forgery.apply(&self.packet), time())?;
        println!("{:?} {forgery:?}: {exchange:?}", self.packet.addresses[1]);
        Ok(exchange)
    }
}

/// The routers are suspended, too: every answer is one to a forged packet.
#[test]
fn invalid_bfd_packets_get_no_answer_while_the_agent_is_away() -> Result<()> {
    topology(1).run(|lab| {
        let options = Keeping::For(BOUND).options();
        let settings = SessionSettings { hold_time: HOLD_TIME, ..SessionSettings::every(INTERVAL) };
        let cluster = RestartCluster::start(lab, settings, &options)?;
        let node = cluster.victim()?;
        let mut sessions = Vec::new();
        for (router, link) in ROUTERS {
            for family in IpVersion::BOTH {
                let address: IpAddr = node.spec().addresses().of(family);
                let wire = BfdWire::open(cluster.router(router), link)?;
                sessions.push(Session { packet: wire.capture(address, WITHIN)?, wire });
            }
        }
        node.signal_agent(Signal::SIGSTOP)?;
        cluster.signal_routers(Signal::SIGSTOP)?;
        let judged = sessions.iter().try_for_each(Session::judge);
        cluster.signal_routers(Signal::SIGCONT)?;
        node.signal_agent(Signal::SIGCONT)?;
        judged
    })
}
