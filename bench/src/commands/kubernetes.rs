//! `cargo xtask bench kubernetes`: time and memory of an agent in a large cluster.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, Subcommand};
use fairlead_bench::kubernetes::{ClusterSize, Observer, Turn, observe, source};
use fairlead_tests::api_server::{ObjectStore, TestApiServer, definitions};

/// Runs an agent's source, model and planner on a large cluster, from an API server and then from files, and
/// measures time and memory.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// Services, each with one EndpointSlice.
    #[arg(long, default_value_t = 10_000)]
    services: usize,
    /// Endpoints of a Service, each on another node.
    #[arg(long, default_value_t = 10)]
    endpoints: usize,
    /// Nodes.
    #[arg(long, default_value_t = 500)]
    nodes: usize,
    /// Changes of one endpoint or one file.
    #[arg(long, default_value_t = 40)]
    changes: usize,
}

#[derive(Subcommand)]
enum Role {
    /// The measured process (internal).
    #[command(hide = true)]
    Observe {
        #[arg(long)]
        directory: Option<PathBuf>,
        #[arg(long)]
        kubeconfig: Option<PathBuf>,
    },
}

/// Runs the measurement.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    if let Some(Role::Observe { directory, kubeconfig }) = arguments.role {
        let runtime = tokio::runtime::Runtime::new()?;
        return runtime.block_on(observe(&source(directory, kubeconfig)));
    }
    let Arguments { services, endpoints, nodes, changes, .. } = arguments;
    let size = ClusterSize { services, endpoints, nodes };
    println!("{services} Services × {endpoints} endpoints, {nodes} nodes; milliseconds of one processor\n");
    println!("source      turn            read    model     plan   routes    total   RSS MB  peak MB");
    let place = tempfile::TempDir::with_prefix("fairlead-bench-")?;
    on_api_server(size, changes, place.path())?;
    on_files(size, changes, place.path())
}

fn on_api_server(size: ClusterSize, changes: usize, place: &Path) -> Result<()> {
    let store = Arc::new(ObjectStore::default());
    for object in definitions().into_iter().chain(size.objects()) {
        store.put(&object)?;
    }
    store.compact();
    let server = TestApiServer::start(Arc::clone(&store), (Ipv4Addr::LOCALHOST, 0).into())?;
    let kubeconfig = place.join("kubeconfig");
    fs::write(&kubeconfig, server.kubeconfig())?;
    let mut observer = Observer::start("--kubeconfig", &kubeconfig)?;
    let mut turns = Turns::begin("API server", observer.change()?);
    for i in 0..changes {
        let service = size.local_service(i / 2);
        let unready = i.is_multiple_of(2).then_some(1);
        let begun = Instant::now();
        store.put(&size.slice(service, unready))?;
        turns.note(begun, observer.change()?);
    }
    turns.end("one endpoint");
    Ok(())
}

fn on_files(size: ClusterSize, changes: usize, place: &Path) -> Result<()> {
    let directory = place.join("objects");
    fs::create_dir(&directory)?;
    let put = |name: &str, text: String| -> Result<()> {
        let draft = directory.join(format!(".{name}.draft"));
        fs::write(&draft, text)?;
        Ok(fs::rename(draft, directory.join(format!("{name}.yaml")))?)
    };
    for (i, object) in size.objects().enumerate() {
        put(&format!("object-{i}"), object.to_string())?;
    }
    let mut observer = Observer::start("--directory", &directory)?;
    let mut turns = Turns::begin("files", observer.change()?);
    let more = ClusterSize { services: size.services + changes, ..size };
    let added: Vec<_> = more.objects().skip(more.objects().count() - 2 * changes).collect();
    for (i, objects) in added.chunks(2).enumerate() {
        let text: String = objects.iter().map(|object| format!("---\n{object}\n")).collect();
        let begun = Instant::now();
        put(&format!("more-{i}"), text)?;
        turns.note(begun, observer.change()?);
    }
    turns.end("one Service");
    Ok(())
}

/// The passes of an observer after its first.
struct Turns {
    source: &'static str,
    turns: Vec<(Duration, Turn)>,
}

impl Turns {
    fn begin(source: &'static str, first: Turn) -> Self {
        print(source, "first", &first);
        Self { source, turns: Vec::new() }
    }

    fn note(&mut self, begun: Instant, turn: Turn) {
        self.turns.push((begun.elapsed(), turn));
    }

    fn end(mut self, what: &str) {
        self.turns.sort_by_key(|(outside, _)| *outside);
        let at = |place: usize| self.turns.get(place);
        let last = self.turns.len().saturating_sub(1);
        for (word, place) in [("median", last / 2), ("most", last)] {
            let Some((outside, turn)) = at(place) else { continue };
            print(self.source, &format!("{what}, {word}"), turn);
            println!("{:12}from the change to new contents: {:.1} ms", "", outside.as_secs_f64() * 1e3);
        }
    }
}

fn print(source: &str, what: &str, turn: &Turn) {
    let Turn { read, model, plan, routes, .. } = turn;
    let megabytes = |kilobytes: u64| kilobytes as f64 / 1024.0;
    println!(
        "{source:10}  {what:20}  {read:7.1}  {model:7.1}  {plan:7.1}  {routes:7.1}  {:7.1}  {:7.1}  {:7.1}   {} objects, {} problems, {} operations",
        turn.total(),
        megabytes(turn.resident),
        megabytes(turn.peak),
        turn.objects,
        turn.problems,
        turn.operations
    );
}
