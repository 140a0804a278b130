//! Validating admission webhooks. Mutating webhooks are not implemented.

mod webhook_call;

use serde_json::{Value, json};

use super::call::Call;
use super::error;
use super::kinds::{ApiKind, KindVersion};
use super::objects::{name, text, uid};
use super::selectors::selects;
use super::status_error::StatusError;
use super::store::{StoreState, key};

/// The operation under review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AdmissionOperation {
    Create,
    Update,
    Delete,
}

impl AdmissionOperation {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }

    fn options(self) -> &'static str {
        match self {
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
            Self::Delete => "DeleteOptions",
        }
    }
}

/// A webhook whose rules match the request.
struct MatchingWebhook {
    webhook: Value,
    /// The version in which it receives objects.
    version: KindVersion,
}

/// Calls all webhooks that match a write.
pub(super) async fn ask(
    call: &Call,
    operation: AdmissionOperation,
    object: Option<&Value>,
    old: Option<&Value>,
    is_dry: bool,
) -> Result<(), StatusError> {
    let due = due(&call.store.lock(), call, operation, object, old);
    for MatchingWebhook { webhook, version } in due {
        let name = text(&webhook, "/name").to_owned();
        let id = uid();
        let review = review(call, operation, (object, old), &version, &id, is_dry);
        let answer = webhook_call::call(call, &webhook, &review).await.and_then(|answer| judge(&answer, &id));
        match answer {
            Ok(response) => {
                call.warn(warnings(&response));
                if response["allowed"] != true {
                    return Err(denied(&name, &response));
                }
            }
            Err(_) if text(&webhook, "/failurePolicy") == "Ignore" => {}
            Err(why) => {
                return Err(error::webhook_failed(&format!("failed calling webhook \"{name}\": {why}")));
            }
        }
    }
    Ok(())
}

fn due(
    inner: &StoreState,
    call: &Call,
    operation: AdmissionOperation,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Vec<MatchingWebhook> {
    let kind = &*call.kind;
    if kind.group == "admissionregistration.k8s.io" {
        return Vec::new();
    }
    let configurations = inner.of_kind("admissionregistration.k8s.io", "validatingwebhookconfigurations");
    let webhooks = configurations.flat_map(|(_, object)| {
        object.get("webhooks").and_then(Value::as_array).cloned().unwrap_or_default()
    });
    let namespace = namespace_labels(inner, call, object.or(old));
    let selected = webhooks.filter(|webhook| {
        let of_object = |object: &Value| selects(&webhook["objectSelector"], &object["metadata"]["labels"]);
        let in_namespace = |labels: &Value| selects(&webhook["namespaceSelector"], labels);
        (object.is_some_and(of_object) || old.is_some_and(of_object))
            && namespace.as_ref().is_none_or(in_namespace)
    });
    let due = selected.filter_map(|webhook| {
        let version = version_for(&webhook, kind, call, operation)?;
        Some(MatchingWebhook { webhook, version })
    });
    due.collect()
}

/// Returns the labels of an object's namespace, or of the object if it is a namespace.
fn namespace_labels(inner: &StoreState, call: &Call, object: Option<&Value>) -> Option<Value> {
    if call.kind.kind == "Namespace" {
        return object.map(|object| object["metadata"]["labels"].clone());
    }
    let namespace = call.target.namespace.as_deref().filter(|_| call.kind.namespaced)?;
    let kind = inner.kinds.of("", "namespaces")?;
    let found = inner.objects.get(&key(kind, None, namespace))?;
    Some(found["metadata"]["labels"].clone())
}

/// Returns the version that a rule matches: that of the request, or an equivalent one.
fn version_for(
    webhook: &Value,
    kind: &ApiKind,
    call: &Call,
    operation: AdmissionOperation,
) -> Option<KindVersion> {
    let rules = webhook.get("rules").and_then(Value::as_array)?;
    let matches = |version: &KindVersion| {
        rules.iter().any(|rule| {
            let has = |key: &str, wanted: &str| {
                let list = rule.get(key).and_then(Value::as_array).into_iter().flatten();
                list.filter_map(Value::as_str).any(|item| item == "*" || item == wanted)
            };
            let is_of_resource = match &call.target.subresource {
                None => has("resources", &kind.plural) || has("resources", "*/*"),
                Some(subresource) => {
                    let list = rule.get("resources").and_then(Value::as_array).into_iter().flatten();
                    let named = [
                        format!("{}/{subresource}", kind.plural),
                        format!("{}/*", kind.plural),
                        format!("*/{subresource}"),
                        "*/*".to_owned(),
                    ];
                    list.filter_map(Value::as_str).any(|item| named.iter().any(|name| name == item))
                }
            };
            let scope = text(rule, "/scope");
            let is_in_scope = scope.is_empty() || scope == "*" || (scope == "Namespaced") == kind.namespaced;
            has("apiGroups", &kind.group)
                && has("apiVersions", &version.name)
                && has("operations", operation.name())
                && is_of_resource
                && is_in_scope
        })
    };
    if matches(&call.version) {
        return Some(call.version.clone());
    }
    let is_equivalent = text(webhook, "/matchPolicy") != "Exact";
    kind.versions.iter().find(|version| is_equivalent && version.served && matches(version)).cloned()
}

fn review(
    call: &Call,
    operation: AdmissionOperation,
    (object, old): (Option<&Value>, Option<&Value>),
    version: &KindVersion,
    id: &str,
    is_dry: bool,
) -> Value {
    let kind = &*call.kind;
    let kind_in = |version: &str| json!({"group": kind.group, "version": version, "kind": kind.kind});
    let resource_in =
        |version: &str| json!({"group": kind.group, "version": version, "resource": kind.plural});
    let shown = |object: Option<&Value>| match object {
        Some(object) if version.name != call.version.name => {
            let mut object = object.clone();
            object["apiVersion"] = json!(kind.api_version(&version.name));
            object
        }
        Some(object) => object.clone(),
        None => Value::Null,
    };
    let mut options = json!({"kind": operation.options(), "apiVersion": "meta.k8s.io/v1"});
    if let Some(manager) = call.query.get("fieldManager").filter(|_| operation != AdmissionOperation::Delete)
    {
        options["fieldManager"] = json!(manager);
    }
    if is_dry {
        options["dryRun"] = json!(["All"]);
    }
    let mut request = json!({
        "uid": id, "kind": kind_in(&version.name), "resource": resource_in(&version.name),
        "requestKind": kind_in(&call.version.name), "requestResource": resource_in(&call.version.name),
        "operation": operation.name(), "userInfo": call.user.info(), "object": shown(object),
        "oldObject": shown(old), "dryRun": is_dry, "options": options,
    });
    let named = call.target.name.as_deref().or(object.map(name)).filter(|name| !name.is_empty());
    let parts = [
        ("name", named),
        ("namespace", call.target.namespace.as_deref()),
        ("subResource", call.target.subresource.as_deref()),
        ("requestSubResource", call.target.subresource.as_deref()),
    ];
    for (part, value) in parts {
        if let Some(value) = value {
            request[part] = json!(value);
        }
    }
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request})
}

/// Validates a webhook's response.
fn judge(answer: &Value, id: &str) -> Result<Value, String> {
    if answer.is_string() {
        return Err(format!(
            "failed to call webhook: couldn't get version/kind; json parse error: json: cannot unmarshal string into \
             Go value of type {}",
            super::decode::TYPE_META
        ));
    }
    let api_version = text(answer, "/apiVersion");
    if api_version != "admission.k8s.io/v1" {
        let short = api_version.rsplit('/').next().unwrap_or_default();
        return Err(format!(
            "failed to call webhook: converting ({short}.AdmissionReview) to (v1.AdmissionReview): unknown conversion"
        ));
    }
    let found = text(answer, "/response/uid");
    if found != id {
        return Err(format!(
            "received invalid webhook response: expected response.uid=\"{id}\", got \"{found}\""
        ));
    }
    Ok(answer["response"].clone())
}

fn warnings(response: &Value) -> Vec<String> {
    let warnings = response.get("warnings").and_then(Value::as_array).into_iter().flatten();
    warnings.filter_map(|warning| warning.as_str().map(str::to_owned)).collect()
}

fn denied(webhook: &str, response: &Value) -> StatusError {
    let status = &response["status"];
    let why = match text(status, "/message") {
        "" => "without explanation".to_owned(),
        message => format!(": {message}"),
    };
    let space = if why.starts_with(':') { "" } else { " " };
    StatusError {
        code: status["code"]
            .as_u64()
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| *code > 0)
            .unwrap_or(400),
        reason: text(status, "/reason").to_owned(),
        message: format!("admission webhook \"{webhook}\" denied the request{space}{why}"),
        details: status.get("details").cloned(),
    }
}
