//! ConversionReview: BGPPeers in another version.
//!
//! `v1beta1` has a part of the fields of `v1beta2`, by the same names. So nothing has to be done one way; the other
//! way what the older version does not have is left out, and what it must have and a newer object may lack is empty.

use serde_json::{Map, Value, json};

/// Fields of a `v1beta2` spec that `v1beta1` does not have.
const NEWER: [&str; 9] = [
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
const OLD: &str = "metallb.io/v1beta1";
const NEW: &str = "metallb.io/v1beta2";

/// Answers a ConversionReview; `None` for what is none.
pub(super) fn convert(review: &Value) -> Option<Value> {
    let request = review.get("request")?;
    let uid = request.get("uid")?.as_str()?;
    let desired = request.get("desiredAPIVersion")?.as_str()?;
    let objects = request.get("objects")?.as_array()?;
    let converted: Result<Vec<_>, String> = objects.iter().map(|object| one(object, desired)).collect();
    let response = match converted {
        Ok(objects) => json!({"uid": uid, "result": {"status": "Success"}, "convertedObjects": objects}),
        Err(message) => json!({"uid": uid, "result": {"status": "Failure", "message": message}}),
    };
    Some(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response}))
}

fn one(object: &Value, desired: &str) -> Result<Value, String> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let (kind, version) = (text("kind"), text("apiVersion"));
    let known = [OLD, NEW];
    if kind != "BGPPeer" || !known.contains(&version) || !known.contains(&desired) {
        return Err(format!(
            "{version} {kind} cannot be written as {desired}; BGPPeers can, as {OLD} or {NEW}"
        ));
    }
    let mut converted = object.clone();
    converted["apiVersion"] = desired.into();
    if desired == OLD
        && version == NEW
        && let Some(spec) = converted.get_mut("spec").and_then(Value::as_object_mut)
    {
        make_older(spec);
    }
    Ok(converted)
}

fn make_older(spec: &mut Map<String, Value>) {
    for field in NEWER {
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
    fn an_older_one_is_a_newer_one_as_it_is() {
        let spec = json!({"myASN": 1, "peerASN": 2, "peerAddress": "10.0.0.1", "holdTime": "90s",
                          "nodeSelectors": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]});
        assert_eq!(converted(&spec, OLD, NEW), spec, "and no time is made of one that is not written");
        assert_eq!(converted(&spec, NEW, OLD), spec);
        assert_eq!(converted(&spec, NEW, NEW), spec);
    }

    #[test]
    fn what_an_older_one_does_not_have_is_left_out() {
        let spec = json!({"myASN": 1, "dynamicASN": "external", "interface": "eth0", "vrf": "red", "bfdProfile": "b",
                          "connectTime": "5s", "enableGracefulRestart": true, "localASN": 7, "disableMP": false,
                          "dualStackAddressFamily": true, "passwordSecret": {"name": "s"}});
        let older = json!({"myASN": 1, "peerASN": 0, "peerAddress": "", "bfdProfile": "b"});
        assert_eq!(converted(&spec, NEW, OLD), older);
    }

    #[test]
    fn what_cannot_be_converted_is_told() {
        for (kind, version, desired) in
            [("Pool", OLD, NEW), ("BGPPeer", "metallb.io/v1alpha1", NEW), ("BGPPeer", OLD, "metallb.io/v2")]
        {
            let object = json!({"apiVersion": version, "kind": kind});
            let review = json!({"request": {"uid": "u", "desiredAPIVersion": desired, "objects": [object]}});
            let answer = convert(&review).unwrap();
            assert_eq!(answer["response"]["result"]["status"], "Failure", "{kind} {version} {desired}");
        }
        assert_eq!(convert(&json!({})), None);
        assert_eq!(convert(&json!({"request": {"uid": "u", "desiredAPIVersion": NEW, "objects": 5}})), None);
    }
}
