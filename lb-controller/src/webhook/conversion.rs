//! ConversionReview: converts BGPPeers between versions.
//!
//! `v1beta1` has a subset of the fields of `v1beta2`, with the same names. An upgrade changes no field; a
//! downgrade removes the fields that `v1beta1` lacks, and adds empty values for those that it requires.

use serde_json::{Map, Value, json};

/// Fields of a `v1beta2` spec that `v1beta1` does not have.
const V1BETA2_FIELDS: [&str; 9] = [
    "connectTime",
    "disableMP",
    "dualStackAddressFamily",
    "dynamicASN",
    "enableGracefulRestart",
    "interface",
    "localASN",
    "passwordSecret",
    "vrf",
];
const V1BETA1: &str = "metallb.io/v1beta1";
const V1BETA2: &str = "metallb.io/v1beta2";

/// Answers a ConversionReview; `None` if the value is not one.
pub(super) fn convert(review: &Value) -> Option<Value> {
    let request = review.get("request")?;
    let uid = request.get("uid")?.as_str()?;
    let desired = request.get("desiredAPIVersion")?.as_str()?;
    let objects = request.get("objects")?.as_array()?;
    let converted: Result<Vec<_>, String> =
        objects.iter().map(|object| convert_object(object, desired)).collect();
    let response = match converted {
        Ok(objects) => json!({"uid": uid, "result": {"status": "Success"}, "convertedObjects": objects}),
        Err(message) => json!({"uid": uid, "result": {"status": "Failure", "message": message}}),
    };
    Some(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response}))
}

fn convert_object(object: &Value, desired: &str) -> Result<Value, String> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let (kind, version) = (text("kind"), text("apiVersion"));
    let known = [V1BETA1, V1BETA2];
    if kind != "BGPPeer" || !known.contains(&version) || !known.contains(&desired) {
        return Err(format!(
            "cannot convert {kind} {version} to {desired}; only BGPPeer is supported, as {V1BETA1} and {V1BETA2}"
        ));
    }
    let mut converted = object.clone();
    converted["apiVersion"] = desired.into();
    if desired == V1BETA1
        && version == V1BETA2
        && let Some(spec) = converted.get_mut("spec").and_then(Value::as_object_mut)
    {
        downgrade(spec);
    }
    Ok(converted)
}

fn downgrade(spec: &mut Map<String, Value>) {
    for field in V1BETA2_FIELDS {
        spec.remove(field);
    }
    spec.entry("peerASN").or_insert_with(|| 0.into());
    spec.entry("peerAddress").or_insert_with(|| "".into());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(spec: &Value, from: &str, to: &str) -> Value {
        let object = json!({"apiVersion": from, "kind": "BGPPeer", "metadata": {"name": "p"}, "spec": spec});
        let review = json!({"request": {"uid": "u", "desiredAPIVersion": to, "objects": [object]}});
        let answer = convert(&review).unwrap();
        assert_eq!(answer["response"]["uid"], "u");
        assert_eq!(answer["response"]["result"]["status"], "Success");
        let object = &answer["response"]["convertedObjects"][0];
        assert_eq!((&object["apiVersion"], &object["metadata"]), (&json!(to), &json!({"name": "p"})));
        object["spec"].clone()
    }

    #[test]
    fn an_upgrade_changes_no_field() {
        let spec = json!({"myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.1", "holdTime": "90s",
                          "nodeSelectors": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]});
        assert_eq!(converted(&spec, V1BETA1, V1BETA2), spec, "no default is added");
        assert_eq!(converted(&spec, V1BETA2, V1BETA1), spec);
        assert_eq!(converted(&spec, V1BETA2, V1BETA2), spec);
    }

    #[test]
    fn a_downgrade_removes_fields_and_adds_required_ones() {
        let spec = json!({"myASN": 1, "dynamicASN": "external", "interface": "eth0", "vrf": "red", "bfdProfile": "b",
                          "connectTime": "5s", "enableGracefulRestart": true, "localASN": 7, "disableMP": false,
                          "dualStackAddressFamily": true, "passwordSecret": {"name": "s"}});
        let expected = json!({"myASN": 1, "peerASN": 0, "peerAddress": "", "bfdProfile": "b"});
        assert_eq!(converted(&spec, V1BETA2, V1BETA1), expected);
    }

    #[test]
    fn an_unsupported_conversion_fails() {
        for (kind, version, desired) in [
            ("Pool", V1BETA1, V1BETA2),
            ("BGPPeer", "metallb.io/v1alpha1", V1BETA2),
            ("BGPPeer", V1BETA1, "metallb.io/v2"),
        ] {
            let object = json!({"apiVersion": version, "kind": kind});
            let review = json!({"request": {"uid": "u", "desiredAPIVersion": desired, "objects": [object]}});
            let answer = convert(&review).unwrap();
            assert_eq!(answer["response"]["result"]["status"], "Failure", "{kind} {version} {desired}");
        }
        assert_eq!(convert(&json!({})), None);
        assert_eq!(
            convert(&json!({"request": {"uid": "u", "desiredAPIVersion": V1BETA2, "objects": 5}})),
            None
        );
    }
}
