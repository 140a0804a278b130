//! How soon a change at the API server has new contents, in an observer in a process of its own.

use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use fairlead_tests::api_server::{ObjectStore, TestApiServer, definitions};

use super::objects::ENDPOINTS;
use crate::kubernetes::{ClusterSize, Observer, Turn};
use crate::results::{FigureUnit, Plot, ResultTable, Spread};

/// Returns an empty table.
pub(super) fn table(nodes: u32) -> ResultTable {
    ResultTable {
        id: "control-watch".to_owned(),
        title: format!("One endpoint changes at the API server: {nodes} nodes"),
        method: "An agent's source, model and planners, on an API server on loopback with objects as large as real ones, \
                 in a process of its own. From change to contents: real time, which includes the wait for further \
                 changes; the other times are CPU time of the observer. Medians of the changes."
            .to_owned(),
        labels: ["source", "Services"].map(str::to_owned).into(),
        plot: Some(Plot::Lines),
        ..ResultTable::default()
    }
}

/// Measures one cluster.
pub(super) fn measure(table: &mut ResultTable, services: u32, nodes: u32, changes: u32) -> Result<()> {
    let size =
        ClusterSize { services: services as usize, endpoints: ENDPOINTS as usize, nodes: nodes as usize };
    let store = Arc::new(ObjectStore::default());
    for object in definitions().into_iter().chain(size.objects()) {
        store.put(&object)?;
    }
    store.compact();
    let server = TestApiServer::start(Arc::clone(&store), (Ipv4Addr::LOCALHOST, 0).into())?;
    let place = tempfile::TempDir::with_prefix("fairlead-bench-")?;
    let kubeconfig = place.path().join("kubeconfig");
    fs::write(&kubeconfig, server.kubeconfig())?;
    let mut observer = Observer::start("--kubeconfig", &kubeconfig)?;
    let first = observer.change()?;
    let mut turns = Vec::new();
    for number in 0..changes as usize {
        let unready = number.is_multiple_of(2).then_some(1);
        let begun = Instant::now();
        store.put(&size.slice(size.local_service(number / 2), unready))?;
        let turn = observer.change()?;
        turns.push((begun.elapsed().as_secs_f64(), turn));
    }
    let median = |part: fn(&(f64, Turn)) -> f64| {
        Spread::of(&turns.iter().map(part).collect::<Vec<_>>()).map_or(0.0, |spread| spread.median)
    };
    let services = services.to_string();
    let row = table.row_mut(&["API server, one change", &services]);
    row.push("from change to contents", FigureUnit::Seconds, median(|it| it.0));
    row.push("read", FigureUnit::Seconds, median(|it| it.1.read / 1e3));
    row.push("model, plan, routes", FigureUnit::Seconds, median(|it| (it.1.total() - it.1.read) / 1e3));
    let row = table.row_mut(&["API server, first", &services]);
    row.push("read", FigureUnit::Seconds, first.read / 1e3);
    row.push("model, plan, routes", FigureUnit::Seconds, (first.total() - first.read) / 1e3);
    row.push("memory", FigureUnit::Bytes, first.resident as f64 * 1024.0);
    Ok(())
}
