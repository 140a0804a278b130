//! Live frames: the rate of the smallest frames that leave by a veth or are passed to the network stack.
//!
//! The kernel creates frames as a driver does (`BPF_F_TEST_XDP_LIVE_FRAMES`) and applies the program's
//! verdict. All links are in namespaces that this run creates and removes.

use anyhow::{Context, Result, ensure};
use aya::Ebpf;
use aya::maps::PerCpuArray;
use aya::programs::{TestRun, TestRunAttrs, TestRunOptions, Xdp, XdpMode};
use fairlead_tests::lab::{LabHost, Topology};
use indicatif::ProgressBar;

use super::case::{Case, CaseSize};
use super::cluster;
use super::kinds::{self, Live, LiveVerdict};
use super::objects;

/// The link on which frames arrive, and one to which they are forwarded.
const NEAR: u32 = 101;
/// See [`NEAR`].
const AWAY: u32 = 102;
/// Frames in a batch of the kernel: the budget of a driver's poll.
const BATCH: u32 = 64;
/// The percentage of the sent frames that must arrive; with fewer, the run does not measure forwarding.
const ARRIVE: u64 = 95;

/// The numbers of frames and turns.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Turns per case.
    pub turns: u32,
    /// Frames per turn.
    pub frames: u32,
}

/// One line of the report.
#[derive(Clone, Debug)]
pub struct LiveLine {
    /// The verdict on the frames: `pass`, `transmit`, `forward`.
    pub way: &'static str,
    /// The kind of packet.
    pub case: &'static str,
    /// Nanoseconds per frame in the fastest turn.
    pub minimum: u64,
    /// Nanoseconds per frame in the median turn.
    pub median: u64,
    /// Frames that arrived, per thousand.
    pub arrived: u64,
    /// Nanoseconds per frame of each turn.
    pub turns: Vec<u64>,
}

impl LiveLine {
    /// Returns millions of frames per second in the fastest and the median turn.
    pub fn rates(&self) -> [f64; 2] {
        [self.minimum, self.median].map(|ns| 1000.0 / ns.max(1) as f64)
    }
}

/// Returns the number of steps of [`measure`].
pub fn steps(amount: Amount) -> usize {
    kinds::live().len() * (1 + amount.turns as usize)
}

/// Measures every case in turns.
///
/// # Errors
/// When the lab cannot be built, the kernel has no live frames, or frames do not arrive.
pub fn measure(amount: Amount, progress: &ProgressBar) -> Result<Vec<LiveLine>> {
    let lab = Topology::empty().start().context("make namespaces")?;
    let host = lab.client()?;
    wire(host)?;
    let ends = Ends::attach(host)?;
    let runs = kinds::live().into_iter().map(|live| {
        progress.inc(1);
        Run::new(live)
    });
    let mut runs = runs.collect::<Result<Vec<_>>>()?;
    for _ in 0..amount.turns {
        for run in &mut runs {
            run.turn(amount.frames, host, &ends)?;
            progress.inc(1);
        }
    }
    runs.iter().map(Run::line).collect()
}

fn wire(host: &LabHost) -> Result<()> {
    // No other frames may arrive.
    host.sysctl(&[("net/ipv6/conf/default/disable_ipv6", "1")])?;
    let mac = cluster::SELF_MAC.map(|byte| format!("{byte:02x}")).join(":");
    host.ip(&[
        format!("link add name near index {NEAR} address {mac} type veth peer name far"),
        format!("link add name away index {AWAY} type veth peer name afar"),
        "link set near up".into(),
        "link set far up".into(),
        "link set away up".into(),
        "link set afar up".into(),
    ])
}

/// The programs at the ends of the links.
struct Ends {
    sinks: Ebpf,
    /// A veth has queues for frames only with a program attached.
    _near: Ebpf,
}

impl Ends {
    fn attach(host: &LabHost) -> Result<Self> {
        let object = objects::read(objects::REFERENCE_OBJECT)?;
        let [mut sinks, mut near] = [Ebpf::load(&object)?, Ebpf::load(&object)?];
        attach(host, &mut sinks, "sink", &["far", "afar"])?;
        attach(host, &mut near, "bounce", &["near"])?;
        Ok(Self { sinks, _near: near })
    }

    /// Returns the number of frames that have arrived at a far end.
    fn arrived(&self) -> Result<u64> {
        let map: PerCpuArray<_, [u64; 2]> =
            self.sinks.map("bench_arrived").context("no bench_arrived")?.try_into()?;
        Ok(map.get(&0, 0)?.iter().map(|[frames, _]| frames).sum())
    }
}

fn attach(host: &LabHost, ebpf: &mut Ebpf, name: &str, links: &[&str]) -> Result<()> {
    let program: &mut Xdp = ebpf.program_mut(name).context("no such program")?.try_into()?;
    program.load().with_context(|| format!("load {name}"))?;
    host.run(|| {
        for link in links {
            program.attach(link, XdpMode::Driver).with_context(|| format!("attach {name} to {link}"))?;
        }
        Ok(())
    })
}

/// A case with its object.
struct Run {
    verdict: LiveVerdict,
    case: Case,
    ebpf: Ebpf,
    frame: Vec<u8>,
    rounds: Vec<u64>,
    sent: u64,
    arrived: u64,
}

impl Run {
    fn new(live: Live) -> Result<Self> {
        let case = Case { kind: live.kind, size: CaseSize::MANY };
        let mut tables = cluster::tables(&case);
        tables.config.uplinks[0] = NEAR;
        for node in &mut tables.nodes {
            node.ifindex = if live.verdict == LiveVerdict::Forward { AWAY } else { NEAR };
        }
        let mut ebpf = objects::load(&case, &tables)?;
        let frame = case.kind.frame.bytes();
        // Frames leave as the program has rewritten them.
        objects::write_plan(&mut ebpf, &case, &frame, 0)?;
        let program: &mut Xdp =
            ebpf.program_mut(objects::program_name(&case)).context("no such program")?.try_into()?;
        program.load().context("the verifier refuses the program")?;
        Ok(Self { verdict: live.verdict, case, ebpf, frame, rounds: Vec::new(), sent: 0, arrived: 0 })
    }

    /// Sends this many frames. The first turn is not recorded: it fills tables.
    fn turn(&mut self, frames: u32, host: &LabHost, ends: &Ends) -> Result<()> {
        if self.sent == 0 {
            host.run(|| self.send(1 << self.case.turn_bits()))?;
        }
        let before = self.received(host, ends)?;
        let cost = host.run(|| self.send(frames))?;
        self.arrived += self.received(host, ends)? - before;
        self.sent += u64::from(frames);
        self.rounds.push(cost);
        Ok(())
    }

    fn send(&self, frames: u32) -> Result<u64> {
        let program: &Xdp =
            self.ebpf.program(objects::program_name(&self.case)).context("no program")?.try_into()?;
        let mut context = [0; 24];
        context[4..8].copy_from_slice(&(self.frame.len() as u32).to_ne_bytes());
        context[12..16].copy_from_slice(&NEAR.to_ne_bytes());
        let mut options = TestRunOptions::new();
        options.data_in = Some(&self.frame);
        options.ctx_in = Some(&context);
        options.repeat = frames;
        options.attrs = TestRunAttrs::new().xdp_live_frames(BATCH);
        let result =
            program.test_run(options).context("send live frames (the kernel has them since 5.18)")?;
        Ok(result.duration.as_nanos() as u64)
    }

    /// Returns the number of frames that have arrived at this case's destination.
    fn received(&self, host: &LabHost, ends: &Ends) -> Result<u64> {
        if self.verdict == LiveVerdict::Pass { ip_packets(host) } else { ends.arrived() }
    }

    fn line(&self) -> Result<LiveLine> {
        let (way, case) = (self.verdict.name(), self.case.kind.name);
        ensure!(
            self.arrived * 100 >= self.sent * ARRIVE && self.arrived <= self.sent,
            "{way}, {case}: {} of {} frames arrived",
            self.arrived,
            self.sent
        );
        let mut rounds = self.rounds.clone();
        rounds.sort_unstable();
        let [minimum, median] = [0, rounds.len() / 2].map(|at| rounds.get(at).copied().unwrap_or_default());
        let arrived = self.arrived * 1000 / self.sent.max(1);
        Ok(LiveLine { way, case, minimum, median, arrived, turns: self.rounds.clone() })
    }
}

/// Returns the number of IPv4 packets that a host has received.
fn ip_packets(host: &LabHost) -> Result<u64> {
    let text = host.command("cat").arg("/proc/net/snmp").text()?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (names, values) = (lines.next().context("no names")?, lines.next().context("no values")?);
    let mut pairs = names.split(' ').zip(values.split(' '));
    let (_, value) = pairs.find(|(name, _)| *name == "InReceives").context("no InReceives")?;
    Ok(value.parse()?)
}
