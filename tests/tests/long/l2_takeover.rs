//! Measurements of takeovers on the local network: how long clients wait when the announcer of their address
//! fails, beside a stand-in for MetalLB's layer-2 mode in the same run.

use std::env;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use comfy_table::{CellAlignment, Table, presets};
use fairlead_tests::lab::addresses::IpVersion;
use fairlead_tests::lab::topology::ECHO_PORT;
use fairlead_tests::lab::{ExternalPolicy, Lab};
use fairlead_tests::layer2::Detection;
use fairlead_tests::layer2::segment::{OBSERVER, options, preferring, start_agents, topology, vip, vips};
use fairlead_tests::layer2::stand_in::{self, StandIn};
use fairlead_tests::layer2::takeover::{self, AnnouncerFault, Takeover};
use fairlead_tests::traffic::TcpLoad;

/// Serializes the tests of this file, which measure times.
static ALONE: Mutex<()> = Mutex::new(());

const OPEN_WITHIN: Duration = Duration::from_secs(20);
/// Connections to each address in all rounds of a fault.
const CONNECTIONS: usize = 40;
/// Longer than memberlist's probes and suspicion.
const STAND_IN_WITHIN: Duration = Duration::from_secs(12);

/// What is promised for a detection time, as the median and the maximum over all rounds.
///
/// Detection takes the detection time and up to an interval until the clock of the survivor shows it, then
/// come a tick of the announcer and one frame: 150 + 50 ms and 30 + 10 ms. The rest of the maximum is for the
/// cores, which all hosts of the lab share with the clients that measure.
struct Promise {
    detection: Detection,
    median: Duration,
    most: Duration,
}

const PROMISES: [Promise; 2] = [
    Promise {
        detection: Detection::DEFAULT,
        median: Duration::from_millis(200),
        most: Duration::from_millis(300),
    },
    Promise {
        detection: Detection::FAST,
        median: Duration::from_millis(80),
        most: Duration::from_millis(120),
    },
];

/// What was measured of a fault.
struct Row {
    setting: String,
    fault: &'static str,
    rounds: Vec<Takeover>,
    broken: usize,
}

/// Rounds from which a median says more than the maximum.
const MEDIAN_FROM: usize = 3;

/// Returns the rounds of each fault.
fn rounds() -> usize {
    if env::var_os("FAIRLEAD_SOAK").is_some() { 20 } else { 1 }
}

/// Returns the rounds of the stand-in, which take the longest.
fn stand_in_rounds() -> usize {
    if env::var_os("FAIRLEAD_SOAK").is_some() { 3 } else { 1 }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

impl Row {
    fn outages(&self) -> Vec<Duration> {
        self.rounds.iter().map(|it| it.outage).collect()
    }

    fn add_to(&self, table: &mut Table) {
        let ms = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1e3);
        let outages = self.outages();
        let most = outages.iter().max().copied().unwrap_or_default();
        let announced: Vec<Duration> = self.rounds.iter().filter_map(|it| it.announced).collect();
        let back = self.rounds.iter().map(|it| it.back).min().unwrap_or_default();
        let overlap = self.rounds.iter().map(|it| it.overlap).max().unwrap_or_default();
        table.add_row([
            self.setting.clone(),
            self.fault.to_owned(),
            self.rounds.len().to_string(),
            ms(median(outages)),
            ms(most),
            ms(median(announced)),
            if back.is_zero() { "-".to_owned() } else { format!("{:.2}", back.as_secs_f64()) },
            ms(overlap),
            self.broken.to_string(),
        ]);
    }
}

/// Every kind of fault, with the default and the fastest detection, and the stand-in.
#[test]
fn a_takeover_takes_a_tenth_of_a_second() -> Result<()> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "detection",
        "fault of the announcer",
        "rounds",
        "median ms",
        "max ms",
        "announced ms",
        "back after s",
        "overlap ms",
        "broken elsewhere",
    ]);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut missed = Vec::new();
    for promise in &PROMISES {
        for row in measure(promise.detection)? {
            row.add_to(&mut table);
            let flaws = row.rounds.iter().filter_map(|it| it.flaw.as_ref());
            missed.extend(flaws.map(|flaw| format!("{} {}: {flaw}", row.setting, row.fault)));
            let (median, most) = (median(row.outages()), row.outages().into_iter().max().unwrap_or_default());
            let is_late = row.rounds.len() >= MEDIAN_FROM && median > promise.median;
            if is_late || most > promise.most || row.broken > 0 {
                missed.push(format!(
                    "{} {}: {median:.3?}, {most:.3?}, {} broken",
                    row.setting, row.fault, row.broken
                ));
            }
        }
    }
    measure_stand_in()?.add_to(&mut table);
    println!("time for which clients of the segment were not served, both families:\n{table}");
    ensure!(missed.is_empty(), "{missed:?}");
    Ok(())
}

/// Measures all faults of n1, which announces while it can.
fn measure(detection: Detection) -> Result<Vec<Row>> {
    preferring(topology(3, 1, ExternalPolicy::Local), &["n1"]).run(|lab| {
        start_agents(lab, &options(detection))?;
        AnnouncerFault::ALL.into_iter().map(|fault| measure_fault(lab, fault, detection)).collect()
    })
}

fn measure_fault(lab: &Lab, fault: AnnouncerFault, detection: Detection) -> Result<Row> {
    let (node, addresses) = (lab.node("n1")?, vips(0..1));
    takeover::wait_announcer(lab, node.name(), &addresses)?;
    let loads = addresses.iter().map(|address| {
        TcpLoad::to(SocketAddr::new(*address, ECHO_PORT)).connections(CONNECTIONS).start(lab.host(OBSERVER)?)
    });
    let loads = loads.collect::<Result<Vec<_>>>()?;
    loads.iter().try_for_each(|load| load.wait_open(CONNECTIONS as u64, OPEN_WITHIN))?;
    let rounds = (0..rounds())
        .map(|round| {
            let measured = takeover::measure(lab, &node, &addresses, fault, detection);
            measured.with_context(|| format!("{}, {detection:?}, round {round}", fault.name()))
        })
        .collect::<Result<Vec<_>>>()?;
    let reports = loads.into_iter().map(|load| load.finish()).collect::<Result<Vec<_>>>()?;
    // Without the program, packets for other nodes reach the stack of a node that still lives, which resets
    // their connections until clients know the next announcer.
    let is_judged = fault != AnnouncerFault::ProgramGone;
    let broken = reports.iter().filter(|_| is_judged).map(|it| it.failed_elsewhere(lab, node.name())).sum();
    for report in &reports {
        println!("{}: {report}; {:?}", fault.name(), report.by_node(lab));
    }
    if rounds.iter().any(|it| it.flaw.is_some()) {
        eprintln!("{}: {:?}\n{}", fault.name(), rounds, lab.logs());
    }
    let setting = format!("{} ms × {}", detection.interval, detection.multiplier);
    Ok(Row { setting, fault: fault.name(), rounds, broken })
}

/// Pulls the cable of the elected node of the stand-in, which detects it by memberlist's default timing.
fn measure_stand_in() -> Result<Row> {
    topology(3, 1, ExternalPolicy::Local).run(|lab| {
        let names: Vec<String> = lab.nodes()?.iter().map(|node| node.name().to_owned()).collect();
        let elected = stand_in::elected(names.iter().map(String::as_str), vip(0)).context("no node")?;
        let rounds = (0..stand_in_rounds())
            .map(|_| measure_stand_in_once(lab, elected))
            .collect::<Result<Vec<_>>>()?;
        Ok(Row {
            setting: "stand-in, 1 s".into(),
            fault: AnnouncerFault::CablePulled.name(),
            rounds,
            broken: 0,
        })
    })
}

fn measure_stand_in_once(lab: &Lab, elected: &str) -> Result<Takeover> {
    let node = lab.node(elected)?;
    let stand_ins = stand_in::start(lab, vip(0))?;
    takeover::wait_announcer(lab, elected, &vips(0..1))?;
    let probes = IpVersion::BOTH.map(|family| takeover::probe(lab, vip(0).of(family)));
    sleep(Duration::from_millis(300));
    let failed = Instant::now();
    node.cut_link()?;
    sleep(STAND_IN_WITHIN);
    let mut outage = Duration::ZERO;
    for report in probes {
        let report = report?.finish()?;
        let answered = report.probes.last().is_some_and(|it| it.pod.is_some());
        ensure!(answered, "no other node took over within {STAND_IN_WITHIN:?}");
        outage = outage.max(report.outage(failed).context("nothing was lost")?.at_most);
    }
    stand_ins.into_iter().try_for_each(StandIn::finish)?;
    node.restore_link()?;
    Ok(Takeover { outage, announced: None, back: Duration::ZERO, overlap: Duration::ZERO, flaw: None })
}
