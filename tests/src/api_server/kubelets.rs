//! The kubelets that run commands in pods.

use std::fmt;
use std::sync::Arc;

/// A command to run in a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodCommand {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container, if the client names one.
    pub container: Option<String>,
    /// The program and its arguments.
    pub words: Vec<String>,
}

/// The end of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodCommandOutput {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// What runs commands; an error is why a command cannot be started.
pub type RunInPod = dyn Fn(&PodCommand) -> Result<PodCommandOutput, String> + Send + Sync;

/// The kubelets of a store's nodes.
#[derive(Clone, Default)]
pub(super) struct Kubelets(pub(super) Option<Arc<RunInPod>>);

impl fmt::Debug for Kubelets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Kubelets").field(&self.0.is_some()).finish()
    }
}
