//! An agent's source, model and planner, in a process of their own.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lb_kube::source::{ObjectSource, SourceOptions};
use lb_model::{IncrementalModel, NodeName};
use lb_plan::contents::{Contents, diff};
use lb_plan::plan::{Facts, Planner};
use lb_plan::speaker::{self, SpeakerSettings};
use serde::{Deserialize, Serialize};

use super::objects::node_name;
use crate::surroundings::{facts, memory, settings, timed};

/// The cost of one pass of the loop, in milliseconds of CPU time; the first begins when all objects have been
/// listed.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Turn {
    /// Receiving the objects from the source.
    pub read: f64,
    /// Building the model.
    pub model: f64,
    /// Planning the contents of the maps, and their difference to the actual ones.
    pub plan: f64,
    /// Planning the advertisements to BGP peers.
    pub routes: f64,
    /// Operations on the maps.
    pub operations: usize,
    /// Objects that were read.
    pub objects: usize,
    /// Problems of the objects.
    pub problems: usize,
    /// Memory of the process, in kilobytes.
    pub resident: u64,
    /// The maximum memory of the process.
    pub peak: u64,
}

impl Turn {
    /// From first to last, in milliseconds.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.read + self.model + self.plan + self.routes
    }
}

/// A running observer.
#[derive(Debug)]
pub struct Observer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Observer {
    /// Starts this program as an observer of a cluster, or of a directory.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(option: &str, path: &Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["control", "observe"])
            .arg(option)
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("no pipe")?;
        Ok(Self { child, lines: BufReader::new(output).lines() })
    }

    /// Waits for its next pass.
    ///
    /// # Errors
    /// When it has ended.
    pub fn turn(&mut self) -> Result<Turn> {
        let line = self.lines.next().context("the observer has ended")??;
        Ok(serde_json::from_str(&line)?)
    }

    /// Waits for a pass that changes the maps.
    ///
    /// # Errors
    /// When it has ended.
    pub fn change(&mut self) -> Result<Turn> {
        loop {
            let turn = self.turn()?;
            if turn.operations > 0 {
                return Ok(turn);
            }
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // It may have ended already.
        let _: std::io::Result<()> = self.child.kill();
        let _: std::io::Result<std::process::ExitStatus> = self.child.wait();
    }
}

/// Observes until it is killed, and prints a [`Turn`] per line.
///
/// # Errors
/// When the source cannot be used.
pub async fn observe(options: &SourceOptions) -> Result<()> {
    let mut source = ObjectSource::open(options).await?;
    let node = NodeName::from(node_name(0).as_str());
    let mut state = State::default();
    loop {
        let (snapshot, read) = timed(|| source.read());
        let Some(snapshot) = snapshot else {
            source.changed().await;
            continue;
        };
        let turn = state.turn(&node, &snapshot, read)?;
        let mut output = std::io::stdout().lock();
        writeln!(output, "{}", serde_json::to_string(&turn)?)?;
        output.flush()?;
        drop(output);
        drop(snapshot);
        let dealt = Instant::now();
        source.changed().await;
        source.debounce(dealt).await;
    }
}

#[derive(Default)]
struct State {
    incremental: IncrementalModel,
    planner: Planner,
    installed: Contents,
    facts: Option<Facts>,
}

impl State {
    fn turn(&mut self, node: &NodeName, snapshot: &lb_kube::snapshot::Snapshot, read: f64) -> Result<Turn> {
        let (problems, modelled) = timed(|| self.incremental.update(&snapshot.objects, None));
        let model = self.incremental.model();
        ensure!(model.nodes.contains_key(node), "the observer's node is not there");
        let facts = self.facts.get_or_insert_with(|| facts(model, node));
        let (operations, plan) = timed(|| {
            let planned = self.planner.plan(model, facts, &settings(node), &self.installed, Duration::ZERO);
            let operations = diff(&self.installed, &planned.contents);
            operations.iter().for_each(|operation| self.installed.apply(operation));
            self.installed.share_rings(&planned.contents);
            operations
        });
        let (_, routes) = timed(|| speaker::plan(model, node, &SpeakerSettings::default()));
        Ok(Turn {
            read: read * 1e3,
            model: modelled * 1e3,
            plan: plan * 1e3,
            routes: routes * 1e3,
            operations: operations.len(),
            objects: snapshot.objects.len(),
            problems: snapshot.problems.len() + problems.len(),
            resident: memory("VmRSS:")? / 1024,
            peak: memory("VmHWM:")? / 1024,
        })
    }
}

/// The source of an observer's objects.
#[must_use]
pub fn source(directory: Option<PathBuf>, kubeconfig: Option<PathBuf>) -> SourceOptions {
    match directory {
        Some(path) => SourceOptions::Directory(path),
        None => SourceOptions::Kubernetes { kubeconfig, namespace: "metallb-system".into() },
    }
}
