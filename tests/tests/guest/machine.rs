//! A machine with an uplink of some kind: agents on it find it, announce on it and forward over it.

use std::net::{IpAddr, SocketAddr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fairlead_tests::lab::topology::ECHO_PORT;
use fairlead_tests::lab::{ExternalPolicy, Lab, LabAgentOptions, LabHost, LabNode};
use fairlead_tests::layer2::segment::{neighbor, preferring, topology, vip};
use fairlead_tests::traffic::TcpLoad;

/// An emulated processor is about thirty times slower than a real one.
pub(crate) const WITHIN: Duration = Duration::from_secs(90);
const CONNECTIONS: usize = 20;

/// A change of the network under traffic.
pub(crate) type Event = fn(&Lab) -> Result<()>;

/// An uplink, and what is expected of it.
pub(crate) struct Machine {
    /// The kind of uplink in the table of machines.
    pub(crate) kind: &'static str,
    /// Replaces the uplink of a node.
    pub(crate) wire: fn(&Lab, &LabNode<'_>) -> Result<()>,
    /// The value of `--xdp-mode`.
    pub(crate) mode: &'static str,
    /// The value of `--interface`; `None`: the agent finds it.
    pub(crate) interface: Option<&'static str>,
    /// The interface that the program is on, and its mode.
    pub(crate) attached: (&'static str, &'static str),
    /// The interface whose MAC address is announced.
    pub(crate) announced: &'static str,
    /// What happens to n1 under traffic.
    pub(crate) event: Option<Event>,
}

impl Machine {
    /// Checks that addresses are announced and connections forwarded, that no connection breaks by the event
    /// and by a restart of the agent, and prints a row of the table of machines.
    pub(crate) fn check(&self) -> Result<()> {
        preferring(topology(2, 1, ExternalPolicy::Local), &["n1", "n2"]).run(|lab| self.check_in(lab))
    }

    fn check_in(&self, lab: &Lab) -> Result<()> {
        for node in lab.nodes()? {
            (self.wire)(lab, &node).with_context(|| format!("{}: wire {}", node.name(), self.kind))?;
            wait_gateway(&node)?;
        }
        let options = self.options();
        // The first to run announces; another one takes over only after a minute.
        let node = lab.node("n1")?;
        node.start_agent(&options)?;
        lab.node("n2")?.start_agent(&options)?;
        let status = node.status()?;
        let interface = &status["interfaces"][0];
        let attached = (interface["interface"].as_str(), interface["mode"].as_str());
        ensure!(
            attached == (Some(self.attached.0), Some(self.attached.1)),
            "attached {attached:?}: {}",
            node.agent_log()
        );
        println!("{}: {interface}", self.kind);
        let [v4, v6] = [IpAddr::V4(vip(0).v4), IpAddr::V6(vip(0).v6)];
        connections(lab, v6, || Ok(()))?;
        let router = lab.router()?;
        for address in [v4, v6] {
            connections(lab, address, || self.event.map_or(Ok(()), |event| event(lab)))?;
            let mac = of_link(&node, self.announced, "link/ether")?;
            let known = neighbor(&router, address)?.to_string();
            ensure!(known == mac, "{address} is at {known}, not at {mac} of {}", self.announced);
        }
        let adopted = || node.agent_log().matches("adopted the XDP program").count();
        let before = adopted();
        connections(lab, v4, || {
            node.kill_agent()?;
            node.start_agent(&options)
        })?;
        ensure!(adopted() > before, "{}", node.agent_log());
        ensure!(forwarded(&node)?, "n1 has forwarded nothing");
        let event = if self.event.is_some() { "yes" } else { "-" };
        println!(
            "\nmachine uplink={} mode={} announced=yes forwards=yes event={event} adopts=yes",
            self.kind.replace(' ', "_"),
            self.attached.1
        );
        Ok(())
    }

    fn options(&self) -> LabAgentOptions {
        let mut arguments: Vec<String> =
            ["--liveness-interval", "1000", "--ring-slots", "65536"].map(str::to_owned).into();
        arguments
            .extend(self.interface.iter().flat_map(|name| ["--interface".to_owned(), (*name).to_owned()]));
        LabAgentOptions {
            arguments,
            finds_uplink: true,
            xdp_mode: self.mode,
            ready_within: WITHIN,
            ..LabAgentOptions::default()
        }
    }
}

/// Returns the word behind a key in what `ip` says of an interface. In sysfs, interfaces are those of another
/// network namespace.
pub(crate) fn of_link(host: &LabHost, interface: &str, key: &str) -> Result<String> {
    let text = host.command("ip").args(["-details", "link", "show", "dev", interface]).text()?;
    let word = text.split_whitespace().skip_while(|word| *word != key).nth(1);
    word.map(str::to_owned).with_context(|| format!("{interface} has no {key}: {text}"))
}

/// Waits until a node reaches its gateway over a new uplink.
fn wait_gateway(node: &LabNode<'_>) -> Result<()> {
    let gateway = node.spec().segment().gateway().v4.to_string();
    let until = Instant::now() + WITHIN;
    loop {
        match node.command("ping").args(["-q", "-c", "1", "-w", "2", &gateway]).text() {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() > until => return Err(error.context("the gateway is not reached")),
            Err(_) => sleep(Duration::from_millis(200)),
        }
    }
}

/// Returns whether a node has forwarded packets to another one.
pub(crate) fn forwarded(node: &LabNode<'_>) -> Result<bool> {
    let status = node.status()?;
    let outcomes = status["outcomes"].as_array().context("no outcomes")?;
    Ok(outcomes.iter().any(|it| it["name"] == "forwarded_l2" && it["packets"].as_u64() > Some(0)))
}

/// Opens connections, triggers an event, and checks that all connections survive and carry data after it.
pub(crate) fn connections(lab: &Lab, vip: IpAddr, event: impl FnOnce() -> Result<()>) -> Result<()> {
    let load = TcpLoad::to(SocketAddr::new(vip, ECHO_PORT)).connections(CONNECTIONS).patience(WITHIN);
    let load = load.start(lab.client()?)?;
    load.wait_open(CONNECTIONS as u64, WITHIN)?;
    event()?;
    load.wait_bytes(load.bytes() + CONNECTIONS as u64 * 1024, WITHIN)?;
    let report = load.finish()?;
    let nodes = report.by_node(lab);
    println!("{vip}: {report}; {nodes:?}");
    ensure!(report.failed() == 0, "{report}: {:?}", report.causes());
    ensure!(nodes.len() == 2, "both nodes must serve: {nodes:?}");
    Ok(())
}
