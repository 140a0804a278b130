//! AdmissionReview: admits or rejects changes of objects.

use std::borrow::Borrow;

use lb_admission::admission::{self, ObjectChange, Review};
use lb_api::objects::{self, Object, Sourced};
use lb_api::problem::{ObjectRef, Problem, Reason, Severity};
use serde::Deserialize;
use serde_json::{Value, json};

/// The fields of a request that are read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionRequest {
    uid: String,
    operation: String,
    kind: RequestKind,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    object: Value,
}

impl AdmissionRequest {
    fn reference(&self) -> ObjectRef {
        ObjectRef { kind: self.kind.kind.clone(), namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

#[derive(Debug, Deserialize)]
struct RequestKind {
    kind: String,
}

/// The status code of a rejection: the object is invalid.
const UNPROCESSABLE: u16 = 422;

/// Answers an AdmissionReview, given the existing objects of the load balancer's namespace; `None` if the
/// value is not one.
pub(super) fn answer<O: Borrow<Sourced<Object>>>(
    review: &Value,
    existing: &[O],
    namespace: &str,
) -> Option<Value> {
    let request = AdmissionRequest::deserialize(review.get("request")?).ok()?;
    let is_elsewhere = request.namespace.as_deref().is_some_and(|of| of != namespace);
    let verdict =
        if is_elsewhere { other_namespace(&request, namespace) } else { review_request(&request, existing) };
    let mut response = json!({"uid": request.uid, "allowed": verdict.is_admitted()});
    if !verdict.is_admitted() {
        let message = lines(&verdict.refusals).join("; ");
        response["status"] = json!({
            "status": "Failure", "reason": "Invalid", "code": UNPROCESSABLE, "message": message,
        });
    }
    if !verdict.warnings.is_empty() {
        response["warnings"] = lines(&verdict.warnings).into();
    }
    Some(json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}))
}

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// Admits an object in another namespace, with a warning that it has no effect: another load balancer may
/// read that namespace.
fn other_namespace(request: &AdmissionRequest, namespace: &str) -> Review {
    let mut verdict = Review::default();
    if matches!(request.operation.as_str(), "CREATE" | "UPDATE") {
        let reason = Reason::OtherNamespace { read: namespace.to_owned() };
        verdict.warnings.push(Problem::about(request.reference(), reason));
    }
    verdict
}

fn review_request<O: Borrow<Sourced<Object>>>(request: &AdmissionRequest, existing: &[O]) -> Review {
    match request.operation.as_str() {
        "CREATE" | "UPDATE" => review_write(&request.object, existing),
        "DELETE" => admission::review(existing, &ObjectChange::Delete(&request.reference())),
        // CONNECT changes nothing.
        _ => Review::default(),
    }
}

fn review_write<O: Borrow<Sourced<Object>>>(object: &Value, existing: &[O]) -> Review {
    if object.pointer("/metadata/deletionTimestamp").is_some_and(|deleted| !deleted.is_null()) {
        // It is being deleted, and its finalizers must be removable.
        return Review::default();
    }
    let (read, problems) = objects::from_json(object.clone());
    // The server has removed or rejected the fields that its definition of the kind lacks. Any other unknown
    // field is of another version of the definition: rejecting it would block upgrades.
    let (warnings, refusals): (Vec<_>, _) =
        problems.into_iter().partition(|problem| problem.severity() < Severity::Error);
    let mut verdict = match read.first().filter(|_| refusals.is_empty()) {
        Some(object) => {
            // The controller may not read Secrets: assume that they exist.
            let existing: Vec<_> = existing.iter().map(O::borrow).collect();
            let secrets = admission::presumed_secrets(existing.iter().copied().chain([object]));
            let all: Vec<_> = existing.into_iter().chain(&secrets).collect();
            admission::review(&all, &ObjectChange::Write(object))
        }
        None => Review { refusals, warnings: Vec::new() },
    };
    verdict.warnings.splice(..0, warnings);
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(name: &str, addresses: &str) -> Value {
        json!({"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
               "metadata": {"name": name, "namespace": "lb"}, "spec": {"addresses": [addresses]}})
    }

    fn request(operation: &str, object: &Value) -> Value {
        json!({"request": {"uid": "u", "operation": operation, "kind": {"kind": object["kind"]}, "namespace": "lb",
                           "name": object["metadata"]["name"], "object": object}})
    }

    fn existing() -> Vec<Sourced<Object>> {
        let profile = json!({"apiVersion": "metallb.io/v1beta1", "kind": "BFDProfile",
                             "metadata": {"name": "fast", "namespace": "lb"}});
        let peer = json!({"apiVersion": "metallb.io/v1beta2", "kind": "BGPPeer",
                          "metadata": {"name": "tor", "namespace": "lb"},
                          "spec": {"myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.1", "bfdProfile": "fast"}});
        [pool("a", "10.0.0.0/24"), profile, peer]
            .into_iter()
            .flat_map(|it| objects::from_json(it).0)
            .collect()
    }

    fn respond(operation: &str, object: &Value) -> Value {
        answer(&request(operation, object), &existing(), "lb").unwrap()["response"].clone()
    }

    #[test]
    fn a_valid_object_is_admitted() {
        assert_eq!(respond("CREATE", &pool("b", "10.0.1.0/24")), json!({"uid": "u", "allowed": true}));
        assert_eq!(respond("UPDATE", &pool("a", "10.0.0.0/25"))["allowed"], true);
    }

    #[test]
    fn an_invalid_object_is_rejected_by_name_field_and_reason() {
        let response = respond("CREATE", &pool("b", "10.0.0.0/25"));
        assert_eq!((&response["allowed"], &response["status"]["code"]), (&json!(false), &json!(422)));
        let message = response["status"]["message"].as_str().unwrap();
        assert!(
            message.starts_with("IPAddressPool lb/b: spec.addresses[0]: ") && message.contains("lb/a"),
            "{message}"
        );
        let unreadable = json!({"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool",
                                "metadata": {"name": "x", "namespace": "lb"}, "spec": {"addresses": 7}});
        let response = respond("CREATE", &unreadable);
        assert_eq!(response["allowed"], false);
        assert!(response["status"]["message"].as_str().unwrap().contains("spec.addresses"), "{response}");
    }

    #[test]
    fn an_unknown_reference_is_admitted_with_a_warning() {
        let peer = json!({"apiVersion": "metallb.io/v1beta2", "kind": "BGPPeer",
                          "metadata": {"name": "new", "namespace": "lb"},
                          "spec": {"myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.2", "bfdProfile": "none"}});
        let response = respond("CREATE", &peer);
        assert_eq!(response["allowed"], true);
        assert!(response["warnings"][0].as_str().unwrap().contains("BFDProfile none"), "{response}");
    }

    #[test]
    fn a_reference_to_a_secret_causes_no_warning() {
        let peer = json!({"apiVersion": "metallb.io/v1beta2", "kind": "BGPPeer",
                          "metadata": {"name": "new", "namespace": "lb"},
                          "spec": {"myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.2", "passwordSecret": {"name": "s"}}});
        assert_eq!(respond("CREATE", &peer), json!({"uid": "u", "allowed": true}));
    }

    #[test]
    fn an_object_in_another_namespace_is_admitted_with_a_warning_that_names_ours() {
        let asked = |operation: &str| {
            let mut review = request(operation, &pool("b", "not checked"));
            review["request"]["namespace"] = "default".into();
            answer(&review, &existing(), "lb").unwrap()["response"].clone()
        };
        for operation in ["CREATE", "UPDATE"] {
            let response = asked(operation);
            assert_eq!(response["allowed"], true);
            let warning = response["warnings"][0].as_str().unwrap();
            assert!(
                warning.starts_with("IPAddressPool default/b: ") && warning.contains("namespace lb "),
                "{warning}"
            );
        }
        assert_eq!(asked("DELETE"), json!({"uid": "u", "allowed": true}));
    }

    #[test]
    fn a_field_that_only_the_server_knows_is_admitted_with_a_warning() {
        let mut newer = pool("b", "10.0.1.0/24");
        newer["spec"]["autoassign"] = true.into();
        let response = respond("CREATE", &newer);
        assert_eq!(response["allowed"], true);
        let warning = response["warnings"][0].as_str().unwrap();
        assert!(
            warning.contains("spec.autoassign: unknown field") && warning.contains("autoAssign?"),
            "{warning}"
        );
    }

    #[test]
    fn a_profile_in_use_cannot_be_deleted_and_an_object_being_deleted_can_be_updated() {
        let profile = json!({"kind": "BFDProfile", "metadata": {"name": "fast"}});
        assert_eq!(respond("DELETE", &profile)["allowed"], false);
        let other = json!({"kind": "BFDProfile", "metadata": {"name": "slow"}});
        assert_eq!(respond("DELETE", &other)["allowed"], true);
        let mut deleted = pool("b", "wrong");
        deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(respond("UPDATE", &deleted)["allowed"], true);
    }

    #[test]
    fn a_value_that_is_no_review_has_no_answer() {
        for review in [json!({}), json!([]), json!({"request": {}}), json!({"request": {"uid": 5}})] {
            assert_eq!(answer::<Sourced<Object>>(&review, &[], "lb"), None);
        }
    }
}
