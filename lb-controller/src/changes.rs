//! The wait of a control loop for its next pass.

use std::time::Duration;

use lb_kube::cluster::Cluster;
use lb_kube::leadership::Leadership;
use lb_runtime::watchdog::Heart;

/// Waits until an object or the leadership changes or, with `retry`, for that time at most; then for
/// `debounce`, so that changes in quick succession are one pass.
pub(super) async fn wait(
    cluster: &mut Cluster,
    leadership: &mut Leadership,
    heart: &Heart,
    retry: Option<Duration>,
    debounce: Duration,
) {
    let event = async {
        tokio::select! {
            () = cluster.changed() => {}
            () = leadership.changed() => {}
            () = tokio::time::sleep(retry.unwrap_or_default()), if retry.is_some() => {}
        }
    };
    heart.beating(event).await;
    tokio::time::sleep(debounce).await;
}
