//! The end of an agent that is uninstalled.

use std::sync::Arc;
use std::time::Duration;

use lb_dataplane::attach::AttachMode;
use lb_speaker::Speaker;
use tokio::sync::watch;

use crate::state::AgentState;

/// Time for the response to the request, before the process ends.
const RESPONSE: Duration = Duration::from_millis(200);

/// The parts of the agent that an uninstallation ends.
pub(super) struct Uninstaller {
    /// Requests to uninstall.
    pub(super) requests: watch::Receiver<bool>,
    /// Set when all is done.
    pub(super) done: watch::Sender<bool>,
    pub(super) speaker: Speaker,
    /// For how long peers are asked to prefer other nodes.
    pub(super) grace: Duration,
    /// Requests to the control loop to detach the program.
    pub(super) detach: watch::Sender<bool>,
    pub(super) agent: watch::Receiver<Arc<AgentState>>,
}

impl Uninstaller {
    /// Waits for a request and then ends the agent's work: routes first, while packets are still forwarded,
    /// then the program. Returns when the process may end; never without a request.
    pub(super) async fn run(mut self) {
        if self.requests.wait_for(|requested| *requested).await.is_err() {
            return std::future::pending().await;
        }
        tracing::info!("uninstalling on request: withdrawing all routes and closing the BGP sessions");
        self.speaker.shut_down(self.grace).await;
        self.detach.send_replace(true);
        // An error means that the control loop has ended, and the process ends with it.
        let _ = self.agent.wait_for(|agent| is_detached(agent)).await;
        self.done.send_replace(true);
        tokio::time::sleep(RESPONSE).await;
        tracing::info!("uninstalled; stopping");
    }
}

/// Returns whether the program is off every uplink.
fn is_detached(agent: &AgentState) -> bool {
    agent.interfaces.iter().all(|it| it.mode == AttachMode::Off)
}
