//! A measurement of how long a router keeps sending to a dead load balancer.
//!
//! ```text
//!              ┌─ n1: the load balancer that fails
//! observer ────┤                                       observer: FRR or BIRD as the lab's router
//!              └─ n2: a second one, so that the route stays
//! ```
//!
//! Both load balancers advertise the same address with BFD; the observer's kernel spreads over both. Each
//! trial waits until all sessions are up, breaks n1, and reads from the observer's logs and from `ip monitor`
//! when it noticed and when its kernel stopped sending to n1. All times are from one clock. The load balancer
//! is a parameter: [`Balancer`].

mod balancer;
pub(crate) mod clock;
mod observer;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use ipnet::IpNet;
use nix::sys::signal::Signal;

pub use self::balancer::{AgentBalancer, Balancer, BirdBalancer};
use self::clock::TimeOfDay;
pub use self::observer::ObserverKind;
use self::observer::ObserverRouter;
use crate::lab::{ExternalPolicy, Lab, Process, Topology, WEB_V4};
use crate::routers::{BfdTimers, kernel_next_hops, wait};

/// The node that fails.
const VICTIM: &str = "n1";
/// The node that stays.
const SURVIVOR: &str = "n2";
/// How long the sessions may take to come back after a trial.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long the sessions must have been up before a trial: FRR recreates its BFD session once BGP is
/// established, which may end the first session.
const SETTLED_FOR: Duration = Duration::from_millis(1500);
/// Far more than three missed packets and a hold time of 9 s.
const NOTICED_WITHIN: Duration = Duration::from_secs(20);
/// How often logs are read while waiting for the observer; the logs have the exact times.
const READ_EVERY: Duration = Duration::from_millis(20);

/// A fault of the load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailoverFault {
    /// Its cable is cut; the router's own link keeps its carrier.
    LinkCut,
    /// It is killed, and its kernel closes its connections.
    Kill,
    /// It hangs: SIGSTOP.
    Hang,
    /// It is stopped by SIGTERM, and may close its sessions first.
    Leave,
}

/// Times at the observer, relative to the fault.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// Its BFD session went down; `None` if BGP was faster and removed it.
    pub bfd_down: Option<Duration>,
    /// Its BGP session ended.
    pub bgp_down: Option<Duration>,
    /// Its kernel stopped sending to the node.
    pub route_gone: Duration,
}

/// A running measurement: an observer and two load balancers.
pub struct Failover {
    balancers: [(&'static str, Box<dyn Balancer>); 2],
    observer: ObserverRouter,
    /// `ip monitor` in the router and the switch.
    _monitors: [Process; 2],
    routes: PathBuf,
    links: PathBuf,
    victim: IpAddr,
    prefix: IpNet,
    lab: Lab,
}

impl FailoverFault {
    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LinkCut => "link cut",
            Self::Kill => "kill -9",
            Self::Hang => "SIGSTOP",
            Self::Leave => "SIGTERM",
        }
    }
}

impl Failover {
    /// Builds the lab and starts everything in it; `balancer` creates the load balancer of a node.
    ///
    /// # Errors
    /// When the lab or a router cannot be started.
    pub fn start(
        kind: ObserverKind,
        bfd: BfdTimers,
        balancer: &dyn Fn(BfdTimers) -> Box<dyn Balancer>,
    ) -> Result<Self> {
        let nodes = Topology::empty().node('a', 1).node('a', 2);
        let pods = nodes.pods(VICTIM, "web", 1).pods(SURVIVOR, "web", 1);
        let lab = pods.service("web", "web", &[WEB_V4], ExternalPolicy::Local).start()?;
        let victim = lab.node(VICTIM)?.spec().addresses().v4.into();
        let mut balancers = [(VICTIM, balancer(bfd)), (SURVIVOR, balancer(bfd))];
        for (node, balancer) in &mut balancers {
            balancer.start(&lab, node)?;
        }
        let observer = ObserverRouter::start(kind, &lab, &[VICTIM, SURVIVOR], bfd)?;
        let (router, switch) = (lab.router()?, lab.host(&lab.node(VICTIM)?.spec().segment().switch())?);
        let routes = router.directory_outside().join("routes.monitor");
        let links = switch.directory_outside().join("links.monitor");
        let monitors = [
            router
                .command("ip")
                .args(["-o", "-ts", "-4", "monitor", "route"])
                .env("TZ", "UTC")
                .spawn(&routes)?,
            switch.command("ip").args(["-o", "-ts", "monitor", "link"]).env("TZ", "UTC").spawn(&links)?,
        ];
        let prefix = IpNet::from(WEB_V4);
        Ok(Self { balancers, observer, _monitors: monitors, routes, links, victim, prefix, lab })
    }

    /// Waits until all sessions are up, breaks the node, measures, and repairs it.
    ///
    /// # Errors
    /// When the sessions do not come up, or the observer does not notice.
    pub fn measure(&mut self, fault: FailoverFault) -> Result<Trial> {
        self.wait_settled()?;
        let begun = self.inject(fault)?;
        let trial = self.wait_gone(begun);
        self.repair(fault)?;
        trial.with_context(|| format!("{}\n{}", fault.name(), self.lab.logs()))
    }

    fn wait_settled(&self) -> Result<()> {
        wait(READY_WITHIN, || {
            self.is_well()?;
            thread::sleep(SETTLED_FOR);
            self.is_well()?;
            let ends = self.observer.ends(self.victim)?;
            match ends.into_iter().find(|end| end.elapsed() < SETTLED_FOR) {
                Some(end) => bail!("a session ended {:?} ago", end.elapsed()),
                None => Ok(()),
            }
        })
    }

    fn is_well(&self) -> Result<()> {
        self.observer.is_up(self.victim)?;
        let hops = kernel_next_hops(&*self.lab.router()?, self.prefix)?;
        if hops.len() == self.balancers.len() { Ok(()) } else { bail!("the kernel has {hops:?}") }
    }

    /// Injects the fault and returns its time.
    fn inject(&mut self, fault: FailoverFault) -> Result<TimeOfDay> {
        let ordered = TimeOfDay::now()?;
        match fault {
            FailoverFault::Kill => self.signal(Signal::SIGKILL)?,
            FailoverFault::Hang => self.signal(Signal::SIGSTOP)?,
            FailoverFault::Leave => self.signal(Signal::SIGTERM)?,
            FailoverFault::LinkCut => {
                self.lab.node(VICTIM)?.cut_link()?;
                // Starting `ip` takes time: the kernel's message has the exact time of the cut.
                return wait(NOTICED_WITHIN, || {
                    let log = read(&self.links)?;
                    let mut cuts = log.lines().filter(|line| line.contains(&format!(" {VICTIM}@")));
                    let cut = cuts.find_map(|line| TimeOfDay::of(line).filter(|it| it.is_after(ordered)));
                    cut.context("the switch does not report the link down")
                });
            }
        }
        Ok(ordered)
    }

    fn repair(&mut self, fault: FailoverFault) -> Result<()> {
        match fault {
            FailoverFault::LinkCut => self.lab.node(VICTIM)?.restore_link(),
            FailoverFault::Hang => self.signal(Signal::SIGCONT),
            FailoverFault::Kill | FailoverFault::Leave => {
                let [(node, balancer), _] = &mut self.balancers;
                balancer.start(&self.lab, node)
            }
        }
    }

    fn wait_gone(&self, begun: TimeOfDay) -> Result<Trial> {
        let mut waited = Duration::ZERO;
        let gone = loop {
            if let Some(gone) = self.gone_after(begun)? {
                break gone;
            }
            if waited > NOTICED_WITHIN {
                bail!("the kernel still sends to the node after {waited:?}");
            }
            thread::sleep(READ_EVERY);
            waited += READ_EVERY;
        };
        // The daemons' logs may lag behind the kernel's messages, but not by this much.
        thread::sleep(2 * READ_EVERY);
        let first = |ends: Vec<TimeOfDay>| ends.into_iter().find_map(|it| it.since(begun));
        Ok(Trial {
            bfd_down: first(self.observer.bfd_ends(self.victim)?),
            bgp_down: first(self.observer.bgp_ends(self.victim)?),
            route_gone: gone,
        })
    }

    /// Returns the time of the first kernel message after which the route does not lead to the node.
    fn gone_after(&self, begun: TimeOfDay) -> Result<Option<Duration>> {
        let (prefix, hop) = (format!(" {} ", self.prefix.addr()), format!("via {} ", self.victim));
        let log = read(&self.routes)?;
        let without = log
            .lines()
            .filter(|line| line.contains(&prefix) && (line.contains(" Deleted ") || !line.contains(&hop)));
        Ok(without.filter_map(TimeOfDay::of).find_map(|it| it.since(begun)))
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        let [(_, victim), _] = &mut self.balancers;
        victim.signal(&self.lab, signal)
    }
}

/// Returns a program's output so far, without an incomplete last line.
pub(crate) fn read(file: &PathBuf) -> Result<String> {
    let mut text = String::from_utf8_lossy(&fs::read(file)?).into_owned();
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    Ok(text)
}
