//! Full passes, by the number of Services and of nodes.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_bgp::adj_out::{AdjOut, UpdateTerms};
use lb_bgp::codec::Encoding;
use lb_bgp::value::{AddressFamily, Asn, RouteNextHop};
use serde::{Deserialize, Serialize};

use super::objects::ClusterObjects;
use super::pass::{AgentModel, PassCost};
use super::ring::{self, RingCost};
use super::slope;
use crate::results::{Bound, FigureUnit, Goal, GoalSubject, Plot, ResultTable};
use crate::surroundings::{memory, timed};

/// The greatest slope of full work. It is proportional to the size at best; sorting and trees add a
/// logarithm, which over two orders of magnitude is a slope of about 0.2, and larger sets leave the caches.
const MOST_SLOPE: f64 = 1.35;
/// The most that the fullest node of a ring may lead, relative to the mean: the planner promises 2 %, and a
/// part of a slot.
const FULLEST: f64 = 1.03;

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct ScaleSettings {
    /// Rounds.
    pub rounds: u32,
    /// Numbers of Services, on [`ScaleSettings::nodes_of_services`] nodes.
    pub services: Vec<u32>,
    /// Nodes while the number of Services varies.
    pub nodes_of_services: u32,
    /// Numbers of nodes, with [`ScaleSettings::services_of_nodes`] Services.
    pub nodes: Vec<u32>,
    /// Services while the number of nodes varies.
    pub services_of_nodes: u32,
}

/// The costs of one cluster.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ScaleSample {
    first: PassCost,
    /// Producing all UPDATE messages for one peer.
    advertise: f64,
    ring: RingCost,
    /// Memory of the process with one model, plan and installed contents.
    resident: u64,
}

/// Measures one cluster, in this process. Needs root.
///
/// # Errors
/// When the maps cannot be made, or the objects have problems.
pub fn sample(services: u32, nodes: u32) -> Result<ScaleSample> {
    let before = memory("VmRSS:")?;
    let mut agent = AgentModel::start()?;
    let objects = ClusterObjects::new(services, nodes)?;
    let first = agent.pass(&objects, Duration::ZERO)?;
    let resident = memory("VmRSS:")?.saturating_sub(before);
    let routes = agent.routes().context("no plan")?;
    let table = routes.peers.values().next().map(|peer| peer.routes.clone()).context("no peer")?;
    ensure!(table.len() == services as usize, "{} routes of {services} Services", table.len());
    let (messages, advertise) = timed(|| {
        let mut adj_out = AdjOut::default();
        adj_out.set_routes(table);
        adj_out.begin_session([AddressFamily::Ipv4], false);
        let next_hops =
            [(AddressFamily::Ipv4, RouteNextHop::V4(std::net::Ipv4Addr::LOCALHOST))].into_iter().collect();
        let as_path: Vec<Asn> = Asn::new(65_001).into_iter().collect();
        let encoding = Encoding { internal: false, four_octet_asn: true, max_length: 4096 };
        let terms = UpdateTerms { encoding, next_hops: &next_hops, as_path: &as_path };
        std::iter::from_fn(|| adj_out.poll_update(&terms)).count()
    });
    ensure!(messages > 0, "no UPDATE");
    Ok(ScaleSample { first, advertise, ring: ring::measure(nodes), resident })
}

/// Measures all clusters; calls `progress` with the share that is done and what is next.
///
/// # Errors
/// When a cluster cannot be measured.
pub fn measure(settings: &ScaleSettings, progress: impl Fn(f64, &str)) -> Result<Vec<ResultTable>> {
    let [mut by_services, mut by_nodes] = [
        table("scale-services", "Full work by Services", &settings.nodes_of_services, "nodes", "Services"),
        table("scale-nodes", "Full work by nodes", &settings.services_of_nodes, "Services", "nodes"),
    ];
    let mut rings = rings();
    let all = f64::from(settings.rounds) * (settings.services.len() + settings.nodes.len()) as f64;
    let mut done = 0.0;
    for _ in 0..settings.rounds {
        for services in &settings.services {
            progress(done / all, &format!("{services} Services"));
            let sample = in_child(*services, settings.nodes_of_services)?;
            add(&mut by_services, &services.to_string(), &sample);
            done += 1.0;
        }
        for nodes in &settings.nodes {
            progress(done / all, &format!("{nodes} nodes"));
            let sample = in_child(settings.services_of_nodes, *nodes)?;
            add(&mut by_nodes, &nodes.to_string(), &sample);
            add_ring(&mut rings, &nodes.to_string(), &sample.ring);
            done += 1.0;
        }
    }
    let mut slopes = slope::table("scale-slopes", "How full work grows");
    for table in [&by_services, &by_nodes] {
        slope::add(&mut slopes, table, "time");
        slope::add(&mut slopes, table, "memory");
    }
    slope::add(&mut slopes, &rings, "time");
    slopes.goals = slopes.rows.iter().filter(|row| row.labels[2] == "Services").map(slope_goal).collect();
    Ok(vec![by_services, by_nodes, rings, slopes])
}

fn slope_goal(row: &crate::results::ResultRow) -> Goal {
    Goal {
        name: format!("{}, {}: at most proportional to the {}", row.labels[0], row.labels[1], row.labels[2]),
        subject: GoalSubject::Figure { row: row.labels.clone(), figure: "slope".to_owned() },
        bound: Bound::AtMost(MOST_SLOPE),
    }
}

/// Measures in a process of its own.
fn in_child(services: u32, nodes: u32) -> Result<ScaleSample> {
    let (services, nodes) = (services.to_string(), nodes.to_string());
    let output = Command::new(std::env::current_exe()?)
        .args(["scale", "sample", &services, &nodes])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "{services} Services on {nodes} nodes: {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn table(id: &str, title: &str, fixed: &u32, of: &str, over: &str) -> ResultTable {
    ResultTable {
        id: id.to_owned(),
        title: format!("{title}: {fixed} {of}"),
        method: "The first pass of an agent that knows nothing, in a process of its own and in CPU time: the model of all \
                 objects, the plan, the writes into the kernel's maps, the routes of four BGP peers, and the UPDATE \
                 messages for one of them. A Service has ten endpoints; one in a hundred has a ring of its own."
            .to_owned(),
        labels: vec!["work".to_owned(), over.to_owned()],
        plot: Some(Plot::Lines),
        ..ResultTable::default()
    }
}

fn add(table: &mut ResultTable, size: &str, sample: &ScaleSample) {
    let PassCost { model, plan, diff, maps, routes, .. } = sample.first;
    let times = [
        ("model", model),
        ("plan", plan),
        ("map writes", diff + maps),
        ("routes", routes),
        ("UPDATE messages", sample.advertise),
    ];
    for (work, time) in times {
        table.row_mut(&[work, size]).push("time", FigureUnit::Seconds, time);
    }
    table.row_mut(&["the whole process", size]).push("memory", FigureUnit::Bytes, sample.resident as f64);
}

fn rings() -> ResultTable {
    ResultTable {
        id: "scale-rings".to_owned(),
        title: "One ring by nodes".to_owned(),
        method: "The preferences and leaders of a ring of equal nodes, in CPU time; then one node joins. Fullest: slots of \
                 the node with the most, relative to the mean. Needless: slots that move between nodes that stay."
            .to_owned(),
        labels: ["work", "nodes"].map(str::to_owned).into(),
        plot: Some(Plot::Lines),
        ..ResultTable::default()
    }
}

fn add_ring(table: &mut ResultTable, nodes: &str, ring: &RingCost) {
    let build = table.row_mut(&["build", nodes]);
    build.push("time", FigureUnit::Seconds, ring.build);
    build.push("fullest", FigureUnit::Number, ring.fullest);
    let is_new = build.figures.iter().all(|figure| figure.samples.len() == 1);
    let row = build.labels.clone();
    let join = table.row_mut(&["one node joins", nodes]);
    join.push("time", FigureUnit::Seconds, ring.join);
    join.push("needless", FigureUnit::Share, ring.needless);
    if is_new {
        table.goals.push(Goal {
            name: format!("no node of {nodes} leads much more than the mean"),
            subject: GoalSubject::Figure { row, figure: "fullest".to_owned() },
            bound: Bound::AtMost(FULLEST),
        });
    }
}
