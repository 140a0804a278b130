//! Commands in pods: subresource `exec`, over WebSocket (`v5.channel.k8s.io`, `v4.channel.k8s.io`), as a
//! kubelet runs them.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode};
use axum::response::Response;
use futures::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::answer::ApiResponse;
use super::error;
use super::kubelets::{PodCommand, PodCommandOutput, RunInPod};
use super::request::RequestTarget;
use super::status_error::StatusError;
use super::store::{ObjectStore, key_of};

/// The protocols, the preferred one first.
const PROTOCOLS: [&str; 2] = ["v5.channel.k8s.io", "v4.channel.k8s.io"];
/// The first byte of each message.
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
/// Bytes of a message.
const CHUNK: usize = 16 << 10;

/// Returns whether a request is for a command in a pod.
pub(super) fn is_exec(target: &RequestTarget) -> bool {
    target.group.is_empty() && target.plural == "pods" && target.subresource.as_deref() == Some("exec")
}

/// Upgrades the connection, and runs the command.
pub(super) fn answer(
    store: &ObjectStore,
    parts: &Parts,
    target: &RequestTarget,
) -> Result<ApiResponse, StatusError> {
    let kind = store.kind("", "pods").ok_or_else(error::no_route)?;
    let name = target.name.clone().unwrap_or_default();
    if store.object(&key_of(&kind, target)).is_none() {
        return Err(error::not_found(&kind, &name));
    }
    let run = store.kubelets().0.ok_or_else(|| StatusError::internal("no kubelet runs commands"))?;
    let header = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let upgrade = parts.extensions.get::<OnUpgrade>().cloned();
    let (Some(key), Some(upgrade)) = (header(SEC_WEBSOCKET_KEY), upgrade) else {
        return Err(StatusError::bad_request("Upgrade request required"));
    };
    let offered: Vec<&str> =
        header(SEC_WEBSOCKET_PROTOCOL).unwrap_or_default().split(',').map(str::trim).collect();
    let Some(protocol) = PROTOCOLS.iter().find(|protocol| offered.contains(protocol)) else {
        return Err(StatusError::bad_request("unable to upgrade: no protocol is supported"));
    };
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()))
        .header(SEC_WEBSOCKET_PROTOCOL, *protocol)
        .body(Body::empty())
        .map_err(|error| StatusError::internal(error.to_string()))?;
    let command = command(parts, target, name);
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            // How a connection ends is up to the client.
            let _: Result<(), Error> = serve(upgraded, run, command).await;
        }
    });
    Ok(ApiResponse::Stream(response))
}

fn command(parts: &Parts, target: &RequestTarget, pod: String) -> PodCommand {
    let query = parts.uri.query().unwrap_or_default();
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let all =
        |name: &str| pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect();
    let (words, containers): (Vec<_>, Vec<_>) = (all("command"), all("container"));
    PodCommand {
        namespace: target.namespace.clone().unwrap_or_default(),
        pod,
        container: containers.into_iter().next(),
        words,
    }
}

async fn serve(upgraded: Upgraded, run: Arc<RunInPod>, command: PodCommand) -> Result<(), Error> {
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    let ended = tokio::task::spawn_blocking(move || run(&command)).await;
    let ended = ended.unwrap_or_else(|error| Err(error.to_string()));
    if let Ok(output) = &ended {
        for (channel, bytes) in [(STDOUT, &output.stdout), (STDERR, &output.stderr)] {
            for chunk in bytes.chunks(CHUNK) {
                socket.send(message(channel, chunk)).await?;
            }
        }
    }
    socket.send(message(STATUS, status(&ended).to_string().as_bytes())).await?;
    // Without a code, kubectl takes the end for a failure.
    let end = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() };
    socket.close(Some(end)).await?;
    while let Some(message) = socket.next().await {
        message?;
    }
    Ok(())
}

fn message(channel: u8, bytes: &[u8]) -> Message {
    Message::binary([&[channel][..], bytes].concat())
}

/// Returns how a command has ended, in the real kubelet's words.
fn status(ended: &Result<PodCommandOutput, String>) -> Value {
    match ended {
        Ok(output) if output.code == 0 => json!({"metadata": {}, "status": "Success"}),
        Ok(output) => json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": format!("command terminated with non-zero exit code: exit status {}", output.code),
            "details": {"causes": [{"reason": "ExitCode", "message": output.code.to_string()}]},
        }),
        Err(error) => json!({
            "metadata": {}, "status": "Failure", "reason": "InternalError", "code": 500,
            "message": format!("Internal error occurred: error executing command in container: {error}"),
        }),
    }
}
