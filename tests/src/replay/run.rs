//! The replay of a recording, step by step, with the differences of the answers.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::ReplayServer;
use super::client::{ClientWatch, ReceivedAnswer, ReplayClient, SentRequest};
use super::placeholders::{AnswerDifference, MatchMode, SavedValues, compare};
use super::recording::{
    RecordedRequest, RecordedResponse, RecordedStep, Recording, ServiceAccount, WatchEnd, at,
};
use super::webhook::ReplayWebhook;

/// The webhook's address in recorded configurations.
const RECORDED_WEBHOOK: &str = "127.0.0.1:9443";
/// Longest wait for events.
const EVENTS_WITHIN: Duration = Duration::from_secs(6);
/// Longest wait for the end of a watch, whose timeout is part of its request.
const ENDS_WITHIN: Duration = Duration::from_secs(8);

/// A recording that is being replayed.
pub(super) struct Replay<'a> {
    recording: &'a Recording,
    server: &'a ReplayServer,
    client: ReplayClient,
    webhook: ReplayWebhook,
    saved: SavedValues,
    /// The service account's token.
    token: Option<String>,
    watches: BTreeMap<String, ClientWatch>,
}

/// Replays a recording; returns each step that differs, and the difference.
pub(super) async fn replay(recording: &Recording, server: &ReplayServer) -> Result<Vec<String>> {
    let webhook = ReplayWebhook::start(recording.webhook_answers()).await?;
    let (client, saved, watches) = (server.client(), SavedValues::default(), BTreeMap::new());
    let mut replay = Replay { recording, server, client, webhook, saved, token: None, watches };
    replay.saved.insert("ca", replay.webhook.authority.clone());
    replay.prepare().await.context("before the first step")?;
    let mut differences = Vec::new();
    for (number, step) in recording.steps.iter().enumerate() {
        let difference = replay.step(step).await.with_context(|| format!("step {number}"))?;
        if let Some(AnswerDifference { at, recorded, seen }) = difference {
            let what = step.request.as_ref().map_or_else(
                || format!("events of {}", step.events_of.as_deref().unwrap_or_default()),
                |request| format!("{} {}", request.method, request.path),
            );
            differences.push(format!(
                "  step {number}: {what}\n    at {at}\n      recorded {}\n      answered {}",
                cut(&recorded),
                cut(&seen)
            ));
        }
    }
    Ok(differences)
}

fn cut(text: &str) -> String {
    text.chars().take(600).collect()
}

impl Replay<'_> {
    async fn prepare(&mut self) -> Result<()> {
        if let Some(namespace) = &self.recording.namespace {
            self.make("/api/v1/namespaces", json!({"metadata": {"name": namespace}})).await?;
            self.server.settle(&self.client, namespace).await?;
        }
        match (&self.recording.before, &self.recording.namespace) {
            (Some(before), Some(namespace)) => self.account(before, namespace).await,
            _ => Ok(()),
        }
    }

    async fn account(&mut self, before: &ServiceAccount, namespace: &str) -> Result<()> {
        let name = &before.service_account;
        let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        self.make(&accounts, json!({"metadata": {"name": name}})).await?;
        if let Some(rules) = &before.role {
            let roles = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}");
            self.make(&format!("{roles}/roles"), json!({"metadata": {"name": name}, "rules": rules})).await?;
            let binding = json!({
                "metadata": {"name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            });
            self.make(&format!("{roles}/rolebindings"), binding).await?;
        }
        if before.token {
            let made = self.make(&format!("{accounts}/{name}/token"), json!({"spec": {}})).await?;
            self.token = made.pointer("/status/token").and_then(Value::as_str).map(str::to_owned);
        }
        Ok(())
    }

    async fn make(&self, path: &str, object: Value) -> Result<Value> {
        let (status, made) = self.client.admin("POST", path, Some(&object)).await?;
        ensure!(status == 201, "POST {path}: {status} {made}");
        Ok(made)
    }

    async fn step(&mut self, step: &RecordedStep) -> Result<Option<AnswerDifference>> {
        self.server.pause(step.pause, self.recording.server.as_deref()).await;
        if let Some(path) = &step.clear {
            self.client.admin("DELETE", path, None).await?;
            self.server.pause(step.pause, None).await;
        }
        if let (Some(name), Some(end)) = (&step.events_of, step.end) {
            return self.events(name, end, &step.events).await;
        }
        let (Some(request), Some(response)) = (&step.request, &step.response) else { return Ok(None) };
        let sent = self.sent(request);
        let answer = match &step.watch {
            Some(name) => {
                let (answer, watch) = self.client.watch(sent).await?;
                self.watches.extend(watch.map(|watch| (name.clone(), watch)));
                answer
            }
            None => self.client.ask(sent).await?,
        };
        let difference = self.judge(step, response, &answer);
        Ok(difference.or_else(|| self.judge_reviews(step)))
    }

    fn sent(&self, request: &RecordedRequest) -> SentRequest {
        let fill = |text: &str| {
            let text = self.saved.fill(text).replace(RECORDED_WEBHOOK, &self.webhook.address.to_string());
            text.replace("<token>", self.token.as_deref().unwrap_or("<token>"))
        };
        let mut headers = request.headers();
        headers.values_mut().for_each(|value| *value = fill(value));
        if request.client.is_none() && !headers.contains_key("Authorization") {
            headers.insert("Authorization".to_owned(), format!("Bearer {}", self.client.token));
        }
        SentRequest {
            method: request.method.clone(),
            path: fill(&request.path).replace('<', "%3C").replace('>', "%3E"),
            headers,
            body: fill(&request.body()),
        }
    }

    /// Returns the first difference between an answer and the recorded one.
    fn judge(
        &mut self,
        step: &RecordedStep,
        recorded: &RecordedResponse,
        answer: &ReceivedAnswer,
    ) -> Option<AnswerDifference> {
        let text = String::from_utf8_lossy(&answer.body);
        let text = text.replace(&self.webhook.address.to_string(), RECORDED_WEBHOOK);
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        for (name, path) in &step.save {
            let found = at(&body, &format!("/{}", path.replace('.', "/")));
            if let Some(found) = found.as_str() {
                self.saved.insert(name, found.to_owned());
            }
        }
        if recorded.status != answer.status {
            return Some(AnswerDifference::new(
                "status",
                recorded.status,
                format!("{} {text}", answer.status),
            ));
        }
        let plain = BTreeMap::from([("Content-Type".to_owned(), "application/json".to_owned())]);
        let headers = json!(with_sorted_warnings(recorded.headers.as_ref().unwrap_or(&plain)));
        let seen = json!(with_sorted_warnings(&answer.headers));
        if let Some(difference) = compare(&self.saved, MatchMode::All, "headers", &headers, &seen) {
            return Some(difference);
        }
        if let Some(expected) = &recorded.body_text
            && !self.saved.matches(expected, &text)
        {
            return Some(AnswerDifference::new("body", expected, text));
        }
        let expected = &sorted(recorded.body.clone()?);
        let body = sorted(body);
        let (extent, shown) = match &recorded.shown {
            _ if expected["kind"] == "Status" => (MatchMode::All, body),
            None => (MatchMode::All, body),
            Some(Value::String(pointer)) => (MatchMode::Part, at(&body, pointer)),
            Some(pointers) => {
                let fields = pointers.as_object().into_iter().flatten();
                let show =
                    |(name, pointer): (&String, &Value)| Some((name.clone(), at(&body, pointer.as_str()?)));
                (MatchMode::Part, Value::Object(fields.filter_map(show).collect()))
            }
        };
        compare(&self.saved, extent, "", expected, &shown)
    }

    fn judge_reviews(&self, step: &RecordedStep) -> Option<AnswerDifference> {
        let seen = self.webhook.reviews();
        let recorded = step.reviews.as_ref()?;
        // Some reviews were recorded without the HTTP request around them.
        let seen: Vec<Value> = seen
            .into_iter()
            .map(|review| {
                let is_whole = recorded.first().is_none_or(|first| first.get("path").is_some());
                if is_whole { review } else { review["body"].clone() }
            })
            .collect();
        if recorded.len() != seen.len() {
            return Some(AnswerDifference::new("reviews", json!(recorded), json!(seen)));
        }
        compare(&self.saved, MatchMode::Part, "reviews", &json!(recorded), &json!(seen))
    }

    async fn events(
        &mut self,
        name: &str,
        end: WatchEnd,
        recorded: &[Value],
    ) -> Result<Option<AnswerDifference>> {
        let watch = self.watches.get(name).with_context(|| format!("there is no watch {name}"))?;
        // The number of bookmarks depends on timing: any number counts as one, or none.
        let keeps_bookmarks = recorded.iter().any(is_plain_bookmark);
        let counts = |event: &Value| keeps_bookmarks || !is_plain_bookmark(event);
        let ends = end == WatchEnd::Server;
        let within = if ends { ENDS_WITHIN } else { EVENTS_WITHIN };
        let (mut seen, ended) = watch.events(recorded.len(), ends, within, counts).await;
        let mut recorded = recorded.to_vec();
        for events in [&mut seen, &mut recorded] {
            events.dedup_by(|next, event| is_plain_bookmark(event) && is_plain_bookmark(next));
        }
        if end == WatchEnd::Client {
            self.watches.remove(name);
        }
        if ended != ends {
            return Ok(Some(AnswerDifference::new("end", format!("{end:?}"), ended)));
        }
        let (recorded, seen) = (sorted(json!(recorded)), sorted(json!(seen)));
        let difference = compare(&self.saved, MatchMode::All, "events", &recorded, &seen);
        Ok(difference.map(|difference| match difference.at.as_str() {
            "events" => AnswerDifference::new("events", kinds(&recorded), kinds(&seen)),
            _ => difference,
        }))
    }
}

/// Sorts an error's causes: the real server's order is that of a map, which differs from run to run.
fn sorted(mut body: Value) -> Value {
    sort_managers(&mut body);
    if let Some((words, fields)) =
        body["message"].as_str().and_then(|m| m.split_once("strict decoding error: "))
    {
        let mut fields: Vec<&str> = fields.split(", ").collect();
        fields.sort_unstable();
        body["message"] = json!(format!("{words}strict decoding error: {}", fields.join(", ")));
    }
    let Some(causes) = body.pointer_mut("/details/causes").and_then(Value::as_array_mut) else { return body };
    causes.sort_by_key(Value::to_string);
    let mut lines: Vec<String> = causes
        .iter()
        .map(|cause| {
            let part = |name: &str| cause[name].as_str().unwrap_or_default();
            format!("{}: {}", part("field"), part("message"))
        })
        .collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.len()));
    let words = body["message"].as_str().unwrap_or_default().to_owned();
    let rest = lines.iter().fold(words.clone(), |words, line| words.replace(line.as_str(), ""));
    if rest.ends_with(']') && lines.len() > 1 {
        body["message"] = json!(rest);
    }
    body
}

/// Sorts warnings in headers: unknown fields come in the order of the body, or of a map.
fn with_sorted_warnings(headers: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut headers = headers.clone();
    if let Some(warnings) = headers.get_mut("Warning") {
        let mut all: Vec<&str> =
            warnings.split(", 299 - ").map(|one| one.trim_start_matches("299 - ")).collect();
        all.sort_unstable();
        *warnings = all.join(", ");
    }
    headers
}

/// Sorts field managers, whose order is by time, which has a resolution of seconds.
fn sort_managers(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if let ("managedFields", Value::Array(managers)) = (key.as_str(), &mut *value) {
                    managers.sort_by_key(|manager| {
                        ["manager", "operation", "apiVersion", "subresource"]
                            .map(|key| manager[key].to_string())
                    });
                }
                sort_managers(value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(sort_managers),
        _ => {}
    }
}

/// Formats events briefly, to show which are surplus or missing.
fn kinds(events: &Value) -> String {
    let events = events.as_array().into_iter().flatten();
    let name = |event: &Value| at(&event["object"], "/metadata/name").to_string();
    events.map(|event| format!("{} {}; ", event["type"], name(event))).collect()
}

fn is_plain_bookmark(event: &Value) -> bool {
    event["type"] == "BOOKMARK" && event.pointer("/object/metadata/annotations").is_none()
}
