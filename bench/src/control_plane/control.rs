//! Single changes: what they cost an agent, and how soon it notices them.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use super::objects::{ClusterObjects, ENDPOINTS};
use super::pass::{AgentModel, PassCost};
use super::{slope, watch};
use crate::results::{Bound, FigureUnit, Goal, GoalSubject, Plot, ResultTable, Spread};

/// The most that a change of one endpoint may cost with ten thousand Services, in seconds of CPU time. All
/// changes that arrive during a pass are handled by the next one, so an endpoint that goes is out of the maps
/// after two passes at most: a fifth of a second, less than a detection time. It is also about five times
/// what the change costs on a machine of 2020.
const MOST: f64 = 0.1;
/// The greatest slope of a change. A pass compares all Services with those of the last one, so it is at most
/// proportional; the margin is that of caches.
const MOST_SLOPE: f64 = 1.2;

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct ControlSettings {
    /// Rounds.
    pub rounds: u32,
    /// Numbers of Services.
    pub services: Vec<u32>,
    /// Nodes.
    pub nodes: u32,
    /// Changes of each kind, of which the median counts.
    pub changes: u32,
    /// Whether the scrape is measured, which takes an agent in the lab.
    pub scrape: bool,
}

/// A kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum ChangeKind {
    Nothing,
    Endpoint,
    LocalEndpoint,
    Service,
    Node,
}

impl ChangeKind {
    const ALL: [Self; 5] = [Self::Nothing, Self::Endpoint, Self::LocalEndpoint, Self::Service, Self::Node];

    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing changes",
            Self::Endpoint => "an endpoint goes",
            Self::LocalEndpoint => "an endpoint goes, policy Local",
            Self::Service => "a Service comes",
            Self::Node => "a node joins",
        }
    }

    fn make(self, objects: &mut ClusterObjects, number: u32) {
        match self {
            Self::Nothing => {}
            Self::Endpoint | Self::LocalEndpoint => {
                let is_local = self == Self::LocalEndpoint;
                // Of few Services, each changes several times.
                let before = number / objects.count(is_local);
                objects.set_endpoints(objects.numbered(is_local, number), ENDPOINTS - 1 - before % 2);
            }
            Self::Service => objects.add_service(),
            Self::Node => objects.add_node(),
        }
    }
}

/// The cost of a kind of change: the median of each part.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ChangeCost {
    kind: ChangeKind,
    cost: PassCost,
}

/// Measures the changes of one cluster, in this process. Needs root.
///
/// # Errors
/// When the maps cannot be made, or the objects have problems.
pub fn sample(services: u32, nodes: u32, changes: u32) -> Result<Vec<ChangeCost>> {
    let mut agent = AgentModel::start()?;
    let mut objects = ClusterObjects::new(services, nodes)?;
    let mut now = Duration::ZERO;
    agent.pass(&objects, now)?;
    let mut costs = Vec::new();
    for kind in ChangeKind::ALL {
        let mut of_kind = Vec::new();
        // A ring takes over from another one with each node that joins: one is enough to wait for.
        let changes = if kind == ChangeKind::Node { 1 } else { changes };
        for number in 0..changes {
            now += Duration::from_secs(1);
            kind.make(&mut objects, number);
            of_kind.push(agent.pass(&objects, now)?);
        }
        costs.push(ChangeCost { kind, cost: median(&of_kind) });
    }
    Ok(costs)
}

fn median(of: &[PassCost]) -> PassCost {
    let part = |part: fn(&PassCost) -> f64| {
        Spread::of(&of.iter().map(part).collect::<Vec<_>>()).map_or(0.0, |spread| spread.median)
    };
    PassCost {
        model: part(|it| it.model),
        plan: part(|it| it.plan),
        diff: part(|it| it.diff),
        maps: part(|it| it.maps),
        routes: part(|it| it.routes),
        operations: of.iter().map(|it| it.operations).max().unwrap_or_default(),
    }
}

/// Measures all; calls `progress` with the share that is done and what is next.
///
/// # Errors
/// When a cluster cannot be measured.
pub fn measure(settings: &ControlSettings, progress: impl Fn(f64, &str)) -> Result<Vec<ResultTable>> {
    let mut changes = changes_table(settings);
    let mut noticed = watch::table(settings.nodes);
    // A size has two parts.
    let all = f64::from(settings.rounds) * 2.0 * settings.services.len() as f64;
    let mut done = 0.0;
    for _ in 0..settings.rounds {
        for services in &settings.services {
            progress(done / all, &format!("{services} Services"));
            for change in in_child(*services, settings.nodes, settings.changes)? {
                add(&mut changes, &services.to_string(), &change);
            }
            done += 1.0;
            progress(done / all, &format!("{services} Services on an API server"));
            watch::measure(&mut noticed, *services, settings.nodes, settings.changes)?;
            done += 1.0;
        }
    }
    let mut slopes = slope::table("control-slopes", "How the cost of a change grows");
    for part in ["total", "model", "plan", "routes"] {
        slope::add(&mut slopes, &changes, part);
    }
    slope::add(&mut slopes, &noticed, "from change to contents");
    goals(settings, &mut changes, &mut slopes);
    let mut tables = vec![changes, noticed, slopes];
    if settings.scrape {
        progress(1.0, "scrape");
        tables.push(super::scrape::measure(settings.rounds)?);
    }
    Ok(tables)
}

fn goals(settings: &ControlSettings, changes: &mut ResultTable, slopes: &mut ResultTable) {
    let most = settings.services.iter().max().copied().unwrap_or_default().to_string();
    for kind in [ChangeKind::Endpoint, ChangeKind::LocalEndpoint, ChangeKind::Service] {
        changes.goals.push(Goal {
            name: format!("{}, {most} Services: CPU time", kind.name()),
            subject: GoalSubject::Figure {
                row: vec![kind.name().to_owned(), most.clone()],
                figure: "total".to_owned(),
            },
            bound: Bound::AtMost(MOST),
        });
        slopes.goals.push(Goal {
            name: format!("{}: at most proportional to the Services", kind.name()),
            subject: GoalSubject::Figure {
                row: [kind.name(), "total", "Services"].map(str::to_owned).into(),
                figure: "slope".to_owned(),
            },
            bound: Bound::AtMost(MOST_SLOPE),
        });
    }
}

/// Measures in a process of its own.
fn in_child(services: u32, nodes: u32, changes: u32) -> Result<Vec<ChangeCost>> {
    let arguments = [services, nodes, changes].map(|number| number.to_string());
    let output = Command::new(std::env::current_exe()?)
        .args(["control", "sample"])
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "{services} Services on {nodes} nodes: {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn changes_table(settings: &ControlSettings) -> ResultTable {
    ResultTable {
        id: "control-changes".to_owned(),
        title: format!("One change: {} nodes", settings.nodes),
        method: format!(
            "An agent's pass after a change, in CPU time: model, plan, difference, writes into the kernel's maps, and \
             routes of four BGP peers; the median of {} changes (one, if a node joins), in a process of its own.",
            settings.changes
        ),
        labels: ["change", "Services"].map(str::to_owned).into(),
        plot: Some(Plot::Lines),
        ..ResultTable::default()
    }
}

fn add(table: &mut ResultTable, services: &str, change: &ChangeCost) {
    let ChangeCost { kind, cost } = change;
    let row = table.row_mut(&[kind.name(), services]);
    let times = [
        ("total", cost.total()),
        ("model", cost.model),
        ("plan", cost.plan),
        ("diff", cost.diff),
        ("map writes", cost.maps),
        ("routes", cost.routes),
    ];
    for (part, time) in times {
        row.push(part, FigureUnit::Seconds, time);
    }
    row.push("operations", FigureUnit::Count, cost.operations as f64);
}
