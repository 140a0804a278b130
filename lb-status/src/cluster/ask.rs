//! Commands in the pods of all agents, several at a time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use lb_kube::client::{ApiServer, ClientRole, KubeClientError};
use lb_kube::exec::{self, AgentPod, ExecOutput};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::answers::NodeAnswer;

/// The program in the image.
const PROGRAM: &str = "/fairlead";
/// The maximum number of nodes that are asked at a time.
const AT_A_TIME: usize = 32;

/// Which agents to ask.
#[derive(Clone, Debug)]
pub(super) struct Agents {
    pub(super) kubeconfig: Option<PathBuf>,
    pub(super) context: Option<String>,
    pub(super) namespace: String,
    pub(super) labels: String,
    /// Only these nodes; empty: all.
    pub(super) nodes: Vec<String>,
    /// How long a node may take.
    pub(super) limit: Duration,
}

/// Why no node can be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no client.
    #[error(transparent)]
    Client(#[from] KubeClientError),
    /// The pods cannot be listed.
    #[error("cannot list the pods of namespace {namespace}: {source}")]
    List {
        /// The namespace.
        namespace: String,
        /// The reason.
        source: Box<kube::Error>,
    },
    /// There are none.
    #[error("no agent runs in namespace {namespace} (pods with {labels}); set --namespace or --selector")]
    NoAgents {
        /// The namespace.
        namespace: String,
        /// The labels.
        labels: String,
    },
}

impl Agents {
    /// Connects to the API server.
    pub(super) async fn client(&self) -> Result<Client, AskError> {
        let server =
            ApiServer::find_context(self.kubeconfig.as_deref(), self.context.as_deref(), ClientRole::Command);
        Ok(server.await?.upgrade_client()?)
    }

    /// Runs a command of `fairlead` on each node.
    pub(super) async fn ask(&self, client: &Client, command: &[String]) -> Result<Vec<NodeAnswer>, AskError> {
        let pods = exec::agents(client, &self.namespace, &self.labels).await.map_err(|source| {
            AskError::List { namespace: self.namespace.clone(), source: Box::new(source) }
        })?;
        if pods.is_empty() {
            let (namespace, labels) = (self.namespace.clone(), self.labels.clone());
            return Err(AskError::NoAgents { namespace, labels });
        }
        let command: Arc<[String]> = [PROGRAM.to_owned()].iter().chain(command).cloned().collect();
        let free = Arc::new(Semaphore::new(AT_A_TIME));
        let mut asked = JoinSet::new();
        for pod in pods.into_iter().filter(|pod| self.nodes.is_empty() || self.nodes.contains(&pod.node)) {
            let (client, command, free) = (client.clone(), Arc::clone(&command), Arc::clone(&free));
            let (namespace, limit) = (self.namespace.clone(), self.limit);
            asked.spawn(async move {
                let _permit = free.acquire().await;
                let output = exec::run(&client, &namespace, &pod.name, &command, limit).await;
                (pod, output.map_err(|error| error.to_string()), Instant::now())
            });
        }
        let mut answers: Vec<_> =
            asked.join_all().await.into_iter().map(|(pod, output, at)| answer(pod, output, at)).collect();
        answers.sort_by(|one, other| one.node.cmp(&other.node));
        Ok(answers)
    }
}

/// Reads the JSON that a command has printed; some commands print it and fail.
fn answer(pod: AgentPod, output: Result<ExecOutput, String>, at: Instant) -> NodeAnswer {
    let result = output.and_then(|output| {
        serde_json::from_slice(&output.stdout).map_err(|error| match output.stderr.trim() {
            "" => format!("exit code {}, and no JSON: {error}", output.code),
            stderr => stderr.to_owned(),
        })
    });
    NodeAnswer { node: pod.node, pod: pod.name, at, result }
}
