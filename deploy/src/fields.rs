//! Whether Kubernetes' own types know every field of an object.

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{Namespace, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Fails for a field that the object's kind does not have, and for a kind that the chart has no reason to make.
///
/// # Errors
/// See above.
pub fn check(object: &Value) -> Result<()> {
    match object["kind"].as_str() {
        Some("ClusterRole") => same::<ClusterRole>(object),
        Some("ClusterRoleBinding") => same::<ClusterRoleBinding>(object),
        Some("DaemonSet") => same::<DaemonSet>(object),
        Some("Deployment") => same::<Deployment>(object),
        Some("Namespace") => same::<Namespace>(object),
        Some("NetworkPolicy") => same::<NetworkPolicy>(object),
        Some("PodDisruptionBudget") => same::<PodDisruptionBudget>(object),
        Some("Role") => same::<Role>(object),
        Some("RoleBinding") => same::<RoleBinding>(object),
        Some("Service") => same::<Service>(object),
        Some("ServiceAccount") => same::<ServiceAccount>(object),
        Some("ValidatingWebhookConfiguration") => same::<ValidatingWebhookConfiguration>(object),
        // Of the Prometheus operator, which has no types here.
        Some("PodMonitor" | "PrometheusRule" | "ServiceMonitor") => Ok(()),
        other => bail!("an object of kind {other:?}"),
    }
    .with_context(|| object.to_string())
}

/// What Kubernetes' type does not know is lost on the way through it.
fn same<T: DeserializeOwned + Serialize>(object: &Value) -> Result<()> {
    let back = serde_json::to_value(serde_json::from_value::<T>(object.clone())?)?;
    ensure!(back == *object, "came back as {back}");
    Ok(())
}
