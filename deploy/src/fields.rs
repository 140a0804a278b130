//! The check of objects against Kubernetes' own types.

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Fails for a field that the object's kind does not have, and for an unexpected kind.
///
/// # Errors
/// See above.
pub fn check(object: &Value) -> Result<()> {
    match object["kind"].as_str() {
        Some("ClusterRole") => survives::<ClusterRole>(object),
        Some("ClusterRoleBinding") => survives::<ClusterRoleBinding>(object),
        Some("ConfigMap") => survives::<ConfigMap>(object),
        Some("DaemonSet") => survives::<DaemonSet>(object),
        Some("Deployment") => survives::<Deployment>(object),
        Some("Namespace") => survives::<Namespace>(object),
        Some("NetworkPolicy") => survives::<NetworkPolicy>(object),
        Some("PodDisruptionBudget") => survives::<PodDisruptionBudget>(object),
        Some("Role") => survives::<Role>(object),
        Some("RoleBinding") => survives::<RoleBinding>(object),
        Some("Service") => survives::<Service>(object),
        Some("ServiceAccount") => survives::<ServiceAccount>(object),
        Some("ValidatingWebhookConfiguration") => survives::<ValidatingWebhookConfiguration>(object),
        // Kinds of the Prometheus operator, for which there are no types.
        Some("PodMonitor" | "PrometheusRule" | "ServiceMonitor") => Ok(()),
        other => bail!("unexpected kind {other:?}"),
    }
    .with_context(|| object.to_string())
}

/// What Kubernetes' type does not know is lost on the way through it.
fn survives<T: DeserializeOwned + Serialize>(object: &Value) -> Result<()> {
    let back = serde_json::to_value(serde_json::from_value::<T>(object.clone())?)?;
    ensure!(back == *object, "its type knows only {back}");
    Ok(())
}
