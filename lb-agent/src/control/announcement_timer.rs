//! The time from the change of a Service to the announcement of its new addresses.
//!
//! A task waits for it, one for routes and one for addresses on the local network. While one waits, further
//! changes are not measured: many Services that change together count once.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lb_bgp::session::BgpState;
use lb_dataplane::layer2::Layer2View;
use lb_l2::table::L2Table;
use lb_speaker::{ServiceRoutes, Speaker};
use prometheus::Histogram;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// For how long a task waits. What takes longer is observed with this time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Intervals of looking at the sessions: the first, and the longest.
const LOOK: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];

/// Measures announcement latencies.
pub struct AnnouncementTimer {
    /// The sessions.
    pub speaker: Speaker,
    /// The announcer's view.
    pub layer2: watch::Receiver<Arc<Layer2View>>,
    /// What is measured.
    pub latency: Histogram,
    /// The tasks that wait: for routes, and for addresses.
    pub tasks: [Option<JoinHandle<()>>; 2],
}

impl AnnouncementTimer {
    /// Handles new routes, which the speaker already has.
    pub(super) fn handle_routes(
        &mut self,
        since: Instant,
        before: &[ServiceRoutes],
        after: &[ServiceRoutes],
    ) {
        // Routes that no pass has changed are the same value, which need not be compared.
        if std::ptr::eq(before, after) || before == after || is_waiting(&self.tasks[0]) {
            return;
        }
        let known: BTreeSet<IpAddr> = addresses(before).collect();
        if addresses(after).all(|address| known.contains(&address)) {
            return;
        }
        let (speaker, latency) = (self.speaker.clone(), self.latency.clone());
        self.tasks[0] = Some(tokio::spawn(async move {
            if let Some(took) = advertised(&speaker, since).await {
                latency.observe(took.as_secs_f64());
            }
        }));
    }

    /// Handles new addresses on the local network.
    pub(super) fn handle_addresses(&mut self, since: Instant, before: &L2Table, after: &L2Table) {
        let is_new = |address: &&IpAddr| !before.addresses.contains_key(address);
        let new: Vec<IpAddr> = after.addresses.keys().filter(is_new).copied().collect();
        if new.is_empty() || is_waiting(&self.tasks[1]) {
            return;
        }
        let (layer2, latency) = (self.layer2.clone(), self.latency.clone());
        self.tasks[1] = Some(tokio::spawn(announced(layer2, new, since, latency)));
    }
}

fn is_waiting(task: &Option<JoinHandle<()>>) -> bool {
    task.as_ref().is_some_and(|task| !task.is_finished())
}

fn addresses(routes: &[ServiceRoutes]) -> impl Iterator<Item = IpAddr> {
    routes.iter().filter(|it| !it.peers.is_empty()).flat_map(|it| it.addresses.iter().copied())
}

/// Returns when every established session has sent all routes; `None` if there is no such session.
async fn advertised(speaker: &Speaker, since: Instant) -> Option<Duration> {
    let mut pause = LOOK[0];
    loop {
        let view = speaker.view().await;
        let took = since.elapsed();
        let (mut has_session, mut is_done) = (false, true);
        for peer in view.peers {
            if peer.view.state == BgpState::Established {
                has_session = true;
                is_done &= peer.view.families.values().all(|family| family.pending == 0);
            }
        }
        if !has_session {
            return None;
        }
        if is_done || took >= PATIENCE {
            return Some(took);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK[1]);
    }
}

/// Observes when this node announces each of these addresses that it is to announce.
async fn announced(
    mut layer2: watch::Receiver<Arc<Layer2View>>,
    mut addresses: Vec<IpAddr>,
    since: Instant,
    latency: Histogram,
) {
    while !addresses.is_empty() {
        let left = PATIENCE.saturating_sub(since.elapsed());
        if !matches!(tokio::time::timeout(left, layer2.changed()).await, Ok(Ok(()))) {
            return;
        }
        let view = Arc::clone(&layer2.borrow_and_update());
        addresses.retain(|address| {
            let Ok(at) = view.addresses.binary_search_by_key(address, |it| it.address) else { return true };
            match view.addresses.get(at).map(|it| (it.is_self, it.phase.as_ref())) {
                Some((_, "checking")) => true,
                Some((true, "announcing")) => {
                    latency.observe(since.elapsed().as_secs_f64());
                    false
                }
                // Another node announces it, or a stranger has it.
                _ => false,
            }
        });
    }
}
