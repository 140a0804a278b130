//! Builders for `metallb.io` objects.

use serde_json::{Value, json};

use crate::routers::BfdTimers;

/// Namespace of what configures the load balancer.
pub const NAMESPACE: &str = "metallb-system";

/// Returns an object of this version, kind and name.
#[must_use]
pub fn metallb(version: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("metallb.io/{version}"),
        "kind": kind,
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": spec,
    })
}

/// Returns the BFDProfile that matches a router's own settings.
#[must_use]
pub fn bfd_profile(name: &str, bfd: BfdTimers) -> Value {
    let spec = json!({
        "receiveInterval": bfd.receive.as_millis() as u64,
        "transmitInterval": bfd.transmit.as_millis() as u64,
        "detectMultiplier": bfd.multiplier,
    });
    metallb("v1beta1", "BFDProfile", name, &spec)
}

/// Returns objects as a YAML file.
#[must_use]
pub fn yaml(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("---\n{object}\n")).collect()
}
