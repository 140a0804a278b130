//! Soak tests of BFD on a busy machine: ten minutes, or `FAIRLEAD_SOAK_SECONDS`.

use std::env;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::addresses::{HostAddresses, IpVersion};
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabHost, LabNode, Topology, WEB_V4};
use fairlead_tests::objects::{bfd_profile, metallb, yaml};
use fairlead_tests::routers::{BfdTimers, Bird, Frr, RouterConfig, RouterDaemon, RouterPeer};
use fairlead_tests::starve::{BusyLoops, CpuLimit};
use serde_json::json;

const ROUTERS_AS: u32 = 64_500;
const AGENTS_AS: u32 = 64_501;
const INTERVAL: Duration = Duration::from_millis(50);
const WITHIN: Duration = Duration::from_secs(60);
const REPORT_EVERY: Duration = Duration::from_secs(30);
/// Thousandths of a processor.
const SHARE: u64 = 100;
/// Sessions of both families with both routers.
const SESSIONS: usize = 4;

#[test]
fn no_session_flaps_at_50_ms_beside_busy_loops_on_all_processors() -> Result<()> {
    none(watch(INTERVAL, |_| Ok(None))?)
}

/// On some kernels, a process with real-time threads cannot join a control group without a real-time share;
/// so the agent has no real-time threads, as in a container without that privilege.
#[test]
fn no_session_flaps_at_50_ms_with_a_tenth_of_a_processor_and_no_priority() -> Result<()> {
    let burden = |agent| {
        lose_priority(agent)?;
        CpuLimit::put(agent, SHARE).map(Some)
    };
    none(watch(INTERVAL, burden)?)
}

fn none(flaps: usize) -> Result<()> {
    ensure!(flaps == 0, "{flaps} sessions went down");
    Ok(())
}

fn lose_priority(agent: u32) -> Result<()> {
    let done =
        std::process::Command::new("chrt").args(["-a", "-o", "-p", "0", &agent.to_string()]).status()?;
    ensure!(done.success(), "chrt: {done}");
    Ok(())
}

fn duration() -> Result<Duration> {
    let seconds = env::var("FAIRLEAD_SOAK_SECONDS").ok().map(|text| text.parse()).transpose()?;
    Ok(Duration::from_secs(seconds.unwrap_or(600)))
}

/// Runs four sessions of one agent with FRR and BIRD, beside busy loops; `burden` may limit the agent
/// further. Returns how often a router has seen a session go down.
fn watch(interval: Duration, burden: fn(u32) -> Result<Option<CpuLimit>>) -> Result<usize> {
    let mut flaps = 0;
    let topology = Topology::empty().node('a', 1).pods("n1", "web", 1).router('a', 1);
    topology.service("web", "web", &[WEB_V4], ExternalPolicy::Local).run(|lab| {
        let bfd = BfdTimers::every(interval);
        let node = lab.node("n1")?;
        let routers = Routers::start(lab, &node, bfd)?;
        node.start_agent(&LabAgentOptions::default())?;
        routers.wait_up(&node)?;
        let limit = burden(node.agent_id()?)?;
        let (before, begun) = (routers.flaps()?, Instant::now());
        let loops = BusyLoops::on_all_processors()?;
        while begun.elapsed() < duration()? {
            sleep(REPORT_EVERY.min(duration()?.saturating_sub(begun.elapsed())));
            let [periods, short] = limit.as_ref().map_or(Ok([0; 2]), CpuLimit::periods)?;
            let (passed, flaps) = (begun.elapsed().as_secs(), routers.flaps()? - before);
            println!("{passed:>4} s: {flaps} flaps; throttled in {short} of {periods} periods");
        }
        drop(loops);
        drop(limit);
        routers.wait_up(&node)?;
        println!("{}", node.fairlead(&["status", "bfd"])?);
        flaps = routers.flaps()? - before;
        Ok(())
    })?;
    Ok(flaps)
}

/// The two routers.
struct Routers {
    frr: Frr,
    bird: Bird,
    node: HostAddresses,
}

impl Routers {
    fn start(lab: &Lab, node: &LabNode<'_>, bfd: BfdTimers) -> Result<Self> {
        let gateway = node.spec().segment().gateway();
        let other = lab.topology().find_router("r1").context("no r1")?.addresses();
        let addresses = node.spec().addresses();
        let config = |own: HostAddresses| {
            IpVersion::BOTH.into_iter().fold(RouterConfig::new(ROUTERS_AS, own.v4), |config, family| {
                config.peer(RouterPeer::at(addresses.of(family), AGENTS_AS).source(own.of(family)).bfd(bfd))
            })
        };
        let router: &LabHost = &*lab.router()?;
        let frr = Frr::start(router, &config(gateway))?;
        let bird = Bird::start(lab.host("r1")?, &config(other))?;
        let mut objects = vec![bfd_profile("router", bfd)];
        objects.push(metallb("v1beta1", "BGPAdvertisement", "all", &json!({ "ipAddressPools": ["lab"] })));
        for (name, router) in [("frr", gateway), ("bird", other)] {
            for family in IpVersion::BOTH {
                let spec = json!({
                    "myASN": AGENTS_AS,
                    "peerASN": ROUTERS_AS,
                    "peerAddress": router.of(family).to_string(),
                    "connectTime": "1s",
                    "bfdProfile": "router",
                });
                let name = format!("{name}-{}", format!("{family:?}").to_lowercase());
                objects.push(metallb("v1beta2", "BGPPeer", &name, &spec));
            }
        }
        fs::write(lab.outside(&lab.manifests_directory().join("bgp.yaml")), yaml(&objects))?;
        // Only the agent is stressed: a real router does not share its processors with a cluster.
        frr.prioritize()?;
        bird.prioritize()?;
        Ok(Self { frr, bird, node: addresses })
    }

    fn wait_up(&self, node: &LabNode<'_>) -> Result<()> {
        for family in IpVersion::BOTH {
            let address: IpAddr = self.node.of(family);
            self.frr.wait_bfd_up(address, WITHIN)?;
            self.bird.wait_bfd_up(address, WITHIN)?;
        }
        let status = node.fairlead(&["status", "bfd"])?;
        ensure!(status.lines().filter(|line| line.contains(" Up ")).count() == SESSIONS, "{status}");
        Ok(())
    }

    /// Returns how often the routers have seen a session go down from up.
    fn flaps(&self) -> Result<usize> {
        let lines = |log: PathBuf, words: &str| -> Result<usize> {
            Ok(fs::read_to_string(log)?.lines().filter(|line| line.contains(words)).count())
        };
        Ok(lines(self.frr.log("bfdd"), "up -> down")?
            + lines(self.bird.log(), "changed state from Up to Down")?)
    }
}
