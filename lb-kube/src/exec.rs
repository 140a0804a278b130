//! Commands in the pods of agents, through the API server (`pods/exec`, over WebSocket).

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, ListParams};
use kube::{Client, ResourceExt};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The agent's container.
const CONTAINER: &str = "agent";
/// Longest output of a command: that of a node with tens of thousands of VIPs.
const LONGEST: u64 = 256 << 20;
/// Bytes that are read at a time.
const BUFFER: usize = 64 << 10;

/// The pod of an agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentPod {
    /// The node that it runs on.
    pub node: String,
    /// Its name.
    pub name: String,
}

/// The output of a command that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOutput {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

/// The reason why a command could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The API server or the kubelet refuses it.
    #[error("cannot run a command in pod {pod}: {source}")]
    Refused {
        /// The pod.
        pod: String,
        /// The reason.
        source: Box<kube::Error>,
    },
    /// It did not end in time.
    #[error("the command in pod {pod} did not end within {seconds} s")]
    TimedOut {
        /// The pod.
        pod: String,
        /// The limit.
        seconds: u64,
    },
    /// The connection broke.
    #[error("the connection to pod {pod} broke: {source}")]
    Broken {
        /// The pod.
        pod: String,
        /// The reason.
        source: std::io::Error,
    },
    /// It was not started, or did not report how it ended.
    #[error("the command in pod {pod} failed: {reason}")]
    Failed {
        /// The pod.
        pod: String,
        /// The reason.
        reason: String,
    },
}

/// Lists the running pods of agents in a namespace, one for each node.
///
/// # Errors
/// When the API server does not list them.
pub async fn agents(client: &Client, namespace: &str, labels: &str) -> Result<Vec<AgentPod>, kube::Error> {
    let selected = ListParams::default().labels(labels);
    let pods = Api::<Pod>::namespaced(client.clone(), namespace).list(&selected).await?;
    let mut pods: Vec<_> = pods.items.into_iter().filter_map(|pod| running(&pod)).collect();
    // While an agent is replaced, a node has two. Both use the socket of the one that serves.
    pods.sort();
    pods.dedup_by(|one, other| one.node == other.node);
    Ok(pods)
}

fn running(pod: &Pod) -> Option<AgentPod> {
    let spec = pod.spec.as_ref()?;
    let is_running = pod.status.as_ref()?.phase.as_deref() == Some("Running");
    let has_agent = spec.containers.iter().any(|container| container.name == CONTAINER);
    let node = spec.node_name.clone().filter(|_| is_running && has_agent)?;
    Some(AgentPod { node, name: pod.name_any() })
}

/// Runs a command in the agent's container of a pod, and waits until it ends.
///
/// # Errors
/// See [`ExecError`]; a command that fails is no error.
pub async fn run(
    client: &Client,
    namespace: &str,
    pod: &str,
    command: &[String],
    limit: Duration,
) -> Result<ExecOutput, ExecError> {
    let ended = tokio::time::timeout(limit, run_unbounded(client, namespace, pod, command)).await;
    ended.unwrap_or_else(|_| Err(ExecError::TimedOut { pod: pod.to_owned(), seconds: limit.as_secs() }))
}

async fn run_unbounded(
    client: &Client,
    namespace: &str,
    pod: &str,
    command: &[String],
) -> Result<ExecOutput, ExecError> {
    let refused = |source| ExecError::Refused { pod: pod.to_owned(), source: Box::new(source) };
    let broken = |source| ExecError::Broken { pod: pod.to_owned(), source };
    let parameters = AttachParams::default()
        .container(CONTAINER)
        .stdin(false)
        .max_stdout_buf_size(BUFFER)
        .max_stderr_buf_size(BUFFER);
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let mut process = pods.exec(pod, command, &parameters).await.map_err(refused)?;
    let (stdout, stderr, status) = (process.stdout(), process.stderr(), process.take_status());
    let (stdout, stderr) = tokio::try_join!(read(stdout), read(stderr)).map_err(broken)?;
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    let failed = |reason: String| ExecError::Failed { pod: pod.to_owned(), reason };
    let status = status.ok_or_else(|| failed("the connection ended before it did".to_owned()))?;
    let code = code(&status).map_err(failed)?;
    Ok(ExecOutput { code, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(LONGEST).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// Returns the exit code in a status; an error is why there is none.
fn code(status: &Status) -> Result<i32, String> {
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.iter().flat_map(|details| details.causes.iter().flatten());
    let code = causes.filter(|cause| cause.reason.as_deref() == Some("ExitCode"));
    let code = code.filter_map(|cause| cause.message.as_deref()?.parse().ok()).next();
    code.ok_or_else(|| status.message.clone().unwrap_or_else(|| "no reason is given".to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_has_the_exit_code_or_the_reason_why_there_is_none() {
        let of = |status: serde_json::Value| code(&serde_json::from_value(status).unwrap());
        assert_eq!(of(json!({"status": "Success"})), Ok(0));
        let causes = json!([{"reason": "ExitCode", "message": "3"}]);
        let ended = json!({"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}});
        assert_eq!(of(ended), Ok(3));
        let missing = json!({"status": "Failure", "message": "no such file"});
        assert_eq!(of(missing), Err("no such file".to_owned()));
    }

    #[test]
    fn only_running_pods_with_an_agent_are_asked() {
        let pod = |phase: &str, container: &str| {
            let pod = json!({
                "metadata": {"name": "fairlead-agent-x"}, "status": {"phase": phase},
                "spec": {"nodeName": "n1", "containers": [{"name": container}]},
            });
            running(&serde_json::from_value(pod).unwrap())
        };
        let expected = AgentPod { node: "n1".to_owned(), name: "fairlead-agent-x".to_owned() };
        assert_eq!(pod("Running", "agent"), Some(expected));
        assert_eq!(pod("Pending", "agent"), None);
        assert_eq!(pod("Running", "other"), None);
    }
}
