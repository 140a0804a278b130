//! The status reporter: writes to the cluster what this node advertises and announces, its BGP and BFD
//! sessions, and whether its configuration is valid.
//!
//! One task follows the agent's state, another writes to the API server. No other task waits for them: status
//! reports are best effort.

mod layer2;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lb_bfd::state::BfdState;
use lb_bgp::session::BgpState;
use lb_dataplane::layer2::Layer2View;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::layer2::{Layer2Report, ReportedStrangers};
use crate::state::AgentState;
use lb_kube::client::{self, ClientRole, KubeClientError};
use lb_kube::config_errors::ConfigErrors;
use lb_kube::source::SourceOptions;
use lb_kube::status::{
    DesiredStatus, SessionReport, StatusComponent, StatusScope, StatusWriter, WriteLimits,
};
use lb_speaker::{PeerSnapshot, ServiceRoutes, Speaker, SpeakerView};

/// Interval at which sessions and announced addresses are read.
const READ_EVERY: Duration = Duration::from_secs(2);

/// Settings of the status reports.
#[derive(Clone, Debug)]
pub struct ReporterOptions {
    /// This pod: the owner of what is written.
    pub pod: Option<String>,
    /// Writes per second; 0: no reports.
    pub rate: u32,
}

/// Reports the agent's status to the cluster.
pub struct StatusReporter {
    /// Name of this node.
    pub node: String,
    /// The agent's state.
    pub state: watch::Receiver<Arc<AgentState>>,
    /// The sessions with BGP peers.
    pub speaker: Speaker,
    /// The announcer's view.
    pub layer2: watch::Receiver<Arc<Layer2View>>,
}

/// The status that is reported.
#[derive(Clone, Default, PartialEq)]
struct Report {
    announced: Arc<[ServiceRoutes]>,
    layer2: Layer2Report,
    config_errors: ConfigErrors,
    sessions: Vec<SessionReport>,
}

impl StatusReporter {
    /// Starts the tasks, which end when the returned set is dropped. With a directory as the source of
    /// objects, there is nothing to report to.
    ///
    /// # Errors
    /// When no cluster is configured.
    pub async fn start(
        self,
        source: &SourceOptions,
        options: &ReporterOptions,
    ) -> Result<JoinSet<()>, KubeClientError> {
        let mut tasks = JoinSet::new();
        let SourceOptions::Kubernetes { kubeconfig, namespace } = source else { return Ok(tasks) };
        if options.rate == 0 {
            return Ok(tasks);
        }
        // A connection of its own, so that writes do not delay watches.
        let client = client::connect(kubeconfig.as_deref(), ClientRole::Agent).await?;
        let writer = StatusWriter {
            write_client: client.clone(),
            client,
            namespace: namespace.clone(),
            scope: StatusScope::Node(self.node.clone()),
            pod: options.pod.clone(),
            limits: WriteLimits { per_second: options.rate.into(), ..WriteLimits::DEFAULT },
        };
        let (desired, written) = watch::channel(None);
        tasks.spawn(self.follow(desired));
        tasks.spawn(writer.run(written));
        Ok(tasks)
    }

    async fn follow(mut self, desired: watch::Sender<Option<Arc<DesiredStatus>>>) {
        let mut read = tokio::time::interval(READ_EVERY);
        let mut reported: Option<Report> = None;
        let (start, mut strangers) = (Instant::now(), ReportedStrangers::default());
        loop {
            tokio::select! {
                _ = read.tick() => {}
                changed = self.state.changed() => if changed.is_err() { return },
            }
            let state = Arc::clone(&self.state.borrow_and_update());
            let layer2 = self.layer2(&state, &mut strangers, start.elapsed());
            let report = match &reported {
                _ if state.ready => self.report(&state, layer2).await,
                // Other nodes announce for this one by now.
                Some(reported) => Report { layer2, ..reported.clone() },
                // What an earlier agent reported is more likely to be right than nothing.
                None => continue,
            };
            if reported.as_ref() != Some(&report) {
                desired.send_replace(Some(Arc::new(report.desired(&self.node))));
                reported = Some(report);
            }
        }
    }

    fn layer2(&self, state: &AgentState, strangers: &mut ReportedStrangers, now: Duration) -> Layer2Report {
        let uplinks = state.interfaces.iter().map(|uplink| uplink.interface.as_str()).collect();
        Layer2Report::of(&self.layer2.borrow(), &self.node, &uplinks, strangers, now)
    }

    async fn report(&self, state: &AgentState, layer2: Layer2Report) -> Report {
        let view = self.speaker.view().await;
        Report {
            announced: Arc::clone(&state.announced),
            layer2,
            config_errors: state.config_errors.clone(),
            sessions: sessions(&view),
        }
    }
}

impl Report {
    fn desired(&self, node: &str) -> DesiredStatus {
        let mut desired = DesiredStatus::default();
        let ConfigErrors { pools, others } = &self.config_errors;
        desired.set_configuration(StatusComponent::Agent(node), pools, others);
        for session in &self.sessions {
            desired.set_session(node, session);
        }
        for announced in self.announced.iter().filter(|it| !it.peers.is_empty()) {
            let service = &announced.service;
            desired.set_service_bgp(node, &service.namespace, &service.name, &announced.peers);
        }
        self.layer2.add_to(&mut desired, node);
        desired
    }
}

fn sessions(view: &SpeakerView) -> Vec<SessionReport> {
    let of = |snapshot: &PeerSnapshot| {
        let transport = &snapshot.desired.transport;
        let bfd = view.bfd.sessions.iter().find(|bfd| bfd.name == snapshot.name);
        SessionReport {
            peer: transport.address.to_string(),
            vrf: transport.vrf().map(str::to_owned),
            bgp: bgp_state(snapshot.view.state),
            bfd: snapshot.desired.bfd.map(|_| bfd.map_or("Down", |bfd| bfd_state(bfd.view.state))),
        }
    };
    view.peers.iter().map(of).collect()
}

/// Returns FRR's name of a state, as frr-k8s reports it.
fn bgp_state(state: BgpState) -> &'static str {
    match state {
        BgpState::Idle => "Idle",
        BgpState::Connect => "Connect",
        BgpState::Active => "Active",
        BgpState::OpenSent => "OpenSent",
        BgpState::OpenConfirm => "OpenConfirm",
        BgpState::Established => "Established",
    }
}

fn bfd_state(state: BfdState) -> &'static str {
    match state {
        BfdState::AdminDown => "Admin Down",
        BfdState::Down | BfdState::Init => "Down",
        BfdState::Up => "Up",
    }
}
