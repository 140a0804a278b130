//! What a cluster is told of the agent: whom it tells of each Service, how its sessions stand, and whether what it has
//! been told is right.
//!
//! A task of its own reads what the agent shows of itself, and another writes it to the API server. Neither is waited
//! for by anybody.

use std::sync::Arc;
use std::time::Duration;

use lb_bfd::state::BfdState;
use lb_bgp::session::BgpState;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::state::AgentState;
use lb_kube::client::{self, ClientError, ClientRole};
use lb_kube::config_errors::ConfigErrors;
use lb_kube::source::SourceOptions;
use lb_kube::status::{
    BgpSessionStatus, DesiredStatus, StatusComponent, StatusScope, StatusWriter, WriteLimits,
};
use lb_speaker::Announced;
use lb_speaker::{Speaker, SpeakerView, Viewed};

/// How often sessions are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What a cluster is told, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// This pod, which owns what is written.
    pub pod: Option<String>,
    /// Writes a second; zero writes nothing.
    pub rate: u32,
}

/// Tells a cluster of the agent.
pub struct StatusReporter {
    /// Name of this node.
    pub node: String,
    /// The agent's state.
    pub state: watch::Receiver<Arc<AgentState>>,
    /// The sessions with routers.
    pub speaker: Speaker,
}

/// What is told now.
#[derive(Clone, Default, PartialEq)]
struct Telling {
    announced: Arc<[Announced]>,
    faults: ConfigErrors,
    sessions: Vec<BgpSessionStatus>,
}

impl StatusReporter {
    /// Begins to tell; the tasks end with what is returned. Where objects come from a directory, nobody is told.
    ///
    /// # Errors
    /// When no cluster is known.
    pub async fn start(self, source: &SourceOptions, options: &Options) -> Result<JoinSet<()>, ClientError> {
        let mut tasks = JoinSet::new();
        let SourceOptions::Kubernetes { kubeconfig, namespace } = source else { return Ok(tasks) };
        if options.rate == 0 {
            return Ok(tasks);
        }
        // A connection of its own: what is written is not in the way of what is watched.
        let client = client::connect(kubeconfig.as_deref(), ClientRole::Agent).await?;
        let writer = StatusWriter {
            write_client: client.clone(),
            client,
            namespace: namespace.clone(),
            scope: StatusScope::Node(self.node.clone()),
            pod: options.pod.clone(),
            limits: WriteLimits { per_second: options.rate.into(), ..WriteLimits::DEFAULT },
        };
        let (wanted, written) = watch::channel(None);
        tasks.spawn(self.tell(wanted));
        tasks.spawn(writer.run(written));
        Ok(tasks)
    }

    async fn tell(mut self, wanted: watch::Sender<Option<Arc<DesiredStatus>>>) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut told = None;
        loop {
            tokio::select! {
                _ = look.tick() => {}
                changed = self.state.changed() => if changed.is_err() { return },
            }
            let state = Arc::clone(&self.state.borrow_and_update());
            if !state.ready {
                // What an agent before this one has told is more likely to be right than nothing.
                continue;
            }
            let view = self.speaker.view().await;
            let telling = Telling {
                announced: Arc::clone(&state.announced),
                faults: state.faults.clone(),
                sessions: sessions(&view),
            };
            if told.as_ref() != Some(&telling) {
                wanted.send_replace(Some(Arc::new(telling.wanted(&self.node))));
                told = Some(telling);
            }
        }
    }
}

impl Telling {
    fn wanted(&self, node: &str) -> DesiredStatus {
        let mut wanted = DesiredStatus::default();
        let ConfigErrors { pools, others } = &self.faults;
        wanted.set_configuration(StatusComponent::Agent(node), pools, others);
        for session in &self.sessions {
            wanted.set_session(node, session);
        }
        for announced in self.announced.iter().filter(|it| !it.peers.is_empty()) {
            let service = &announced.service;
            wanted.set_service(node, &service.namespace, &service.name, &announced.peers);
        }
        wanted
    }
}

fn sessions(view: &SpeakerView) -> Vec<BgpSessionStatus> {
    let of = |neighbour: &Viewed| {
        let transport = &neighbour.neighbour.transport;
        let bfd = view.bfd.sessions.iter().find(|bfd| bfd.name == neighbour.name);
        BgpSessionStatus {
            peer: transport.address.to_string(),
            vrf: transport.vrf().map(str::to_owned),
            bgp: bgp_word(neighbour.view.state),
            bfd: neighbour.neighbour.bfd.map(|_| bfd.map_or("Down", |bfd| bfd_word(bfd.view.state))),
        }
    };
    view.neighbours.iter().map(of).collect()
}

/// FRR's words, which frr-k8s tells.
fn bgp_word(state: BgpState) -> &'static str {
    match state {
        BgpState::Idle => "Idle",
        BgpState::Connect => "Connect",
        BgpState::Active => "Active",
        BgpState::OpenSent => "OpenSent",
        BgpState::OpenConfirm => "OpenConfirm",
        BgpState::Established => "Established",
    }
}

fn bfd_word(state: BfdState) -> &'static str {
    match state {
        BfdState::AdminDown => "Admin Down",
        BfdState::Down | BfdState::Init => "Down",
        BfdState::Up => "Up",
    }
}
