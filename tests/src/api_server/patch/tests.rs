//! Tests of patches and their errors.

use serde_json::{Value, json};

use super::*;
use crate::api_server::strategy::Strategy;

#[test]
fn a_json_patch_is_applied_completely_or_not_at_all() {
    let before = json!({"m": {"k": "v", "a/b": 1}, "l": ["x"]});
    let patched = |body: Value| {
        let mut object = before.clone();
        json(&mut object, &body.to_string()).map(|()| object)
    };
    let done = patched(json!([
        {"op": "test", "path": "/m/k", "value": "v"}, {"op": "add", "path": "/l/-", "value": "y"},
        {"op": "remove", "path": "/m/a~1b"}, {"op": "replace", "path": "/m/new", "value": 1},
        {"op": "copy", "from": "/m/k", "path": "/m/c"}, {"op": "move", "from": "/m/k", "path": "/m/d"},
    ]));
    assert_eq!(done.unwrap(), json!({"m": {"new": 1, "c": "v", "d": "v"}, "l": ["x", "y"]}));
    for body in [
        json!([{"op": "test", "path": "/m/k", "value": "w"}]),
        json!([{"op": "remove", "path": "/m/none"}]),
        json!([{"op": "add", "path": "/l/9", "value": 1}]),
        json!([{"op": "frob", "path": "/m"}]),
    ] {
        let error_status = patched(body).unwrap_err();
        let words = "the server rejected our request due to an error in our request";
        assert_eq!((error_status.code, error_status.message.as_str()), (422, words));
    }
    let many = vec![json!({"op": "add", "path": "/n", "value": 1}); 10_001];
    assert_eq!(patched(json!(many)).unwrap_err().code, 413);
}

#[test]
fn a_body_that_is_not_a_patch_is_rejected() {
    let mut object = json!({});
    for (error_status, words) in [
        (
            json(&mut object, "{}").unwrap_err(),
            "json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ),
        (json(&mut object, "[{").unwrap_err(), "unexpected end of JSON input"),
        (
            read_merge("[]").unwrap_err(),
            "json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (read_merge("{\"a\":").unwrap_err(), "unexpected end of JSON input"),
    ] {
        assert_eq!(
            (error_status.code, error_status.message),
            (400, format!("error decoding patch: {words}"))
        );
    }
}

#[test]
fn a_strategic_patch_merges_associative_lists_by_item() {
    let strategy = Strategy::built_in("", "v1", "Service").unwrap();
    let before = json!({"spec": {
        "ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}], "externalIPs": ["192.0.2.1"],
        "selector": {"x": "y"},
    }});
    let patched = |patch: Value| strategic(strategy.types(), &before, &patch.to_string());
    for (patch, expected) in [
        (
            json!({"ports": [{"port": 81, "targetPort": 9}]}),
            json!([{"port": 80, "name": "a"}, {"port": 81, "name": "b", "targetPort": 9}]),
        ),
        (json!({"ports": [{"port": 80, "$patch": "delete"}]}), json!([{"port": 81, "name": "b"}])),
        (
            json!({"ports": [{"port": 82}]}),
            json!([{"port": 80, "name": "a"}, {"port": 81, "name": "b"}, {"port": 82}]),
        ),
        (json!({"ports": [{"port": 82}, {"$patch": "replace"}]}), json!([{"port": 82}])),
    ] {
        assert_eq!(patched(json!({"spec": patch})).unwrap()["spec"]["ports"], expected);
    }
    let new = patched(json!({"spec": {"externalIPs": ["192.0.2.2"], "selector": null}})).unwrap();
    assert_eq!((&new["spec"]["externalIPs"], new["spec"].get("selector")), (&json!(["192.0.2.2"]), None));
    let error_status = patched(json!({"spec": {"$patch": "bogus"}})).unwrap_err();
    assert_eq!(
        (error_status.code, error_status.message.as_str()),
        (500, "unknown patch type: bogus in map: map[$patch:bogus]")
    );
}
