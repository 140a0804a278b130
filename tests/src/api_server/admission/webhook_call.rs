//! A call of a webhook: over TLS, with its timeout and its CA bundle.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::api_server::call::Call;
use crate::api_server::objects::text;
use crate::api_server::store::key;

/// The endpoint of a webhook.
struct WebhookEndpoint {
    /// Host and port as in the URL.
    host: String,
    port: u16,
    path: String,
    /// The remote address as errors name it.
    peer: String,
    /// The actual address to connect to; `None` if there is none.
    dial: Option<String>,
}

/// Sends a review to a webhook; returns its response, or why the call failed.
pub(super) async fn call(call: &Call, webhook: &Value, review: &Value) -> Result<Value, String> {
    let seconds = webhook["timeoutSeconds"].as_u64().unwrap_or(10);
    let endpoint = endpoint(call, &webhook["clientConfig"]);
    let (endpoint, url) = match endpoint {
        Ok(endpoint) => {
            let port = if text(webhook, "/clientConfig/url").is_empty() || endpoint.port != 443 {
                format!(":{}", endpoint.port)
            } else {
                String::new()
            };
            let url = format!("https://{}{port}{}?timeout={seconds}s", endpoint.host, endpoint.path);
            (endpoint, url)
        }
        Err((url, why)) => {
            return Err(format!("failed to call webhook: Post \"{url}?timeout={seconds}s\": {why}"));
        }
    };
    let sent = send(&endpoint, seconds, webhook, review);
    match tokio::time::timeout(Duration::from_secs(seconds), sent).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(CallError::Way(why))) => Err(format!("failed to call webhook: Post \"{url}\": {why}")),
        Ok(Err(CallError::Answer(why))) => Err(format!("failed to call webhook: {why}")),
        Err(_) => Err(format!("failed to call webhook: Post \"{url}\": context deadline exceeded")),
    }
}

/// Whether the transport or the response is at fault.
enum CallError {
    Way(String),
    Answer(String),
}

fn endpoint(call: &Call, config: &Value) -> Result<WebhookEndpoint, (String, String)> {
    if let Some(rest) = text(config, "/url").strip_prefix("https://") {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().unwrap_or(443)),
            None => (authority, 443),
        };
        let peer = format!("{host}:{port}");
        return Ok(WebhookEndpoint {
            host: host.to_owned(),
            port,
            path: format!("/{path}"),
            dial: Some(peer.clone()),
            peer,
        });
    }
    let (namespace, name) = (text(config, "/service/namespace"), text(config, "/service/name"));
    let port =
        config.pointer("/service/port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
    let (port, path) = (port.unwrap_or(443), text(config, "/service/path"));
    let path = if path.is_empty() { "/" } else { path };
    let host = format!("{name}.{namespace}.svc");
    let missing = || (format!("https://{host}:{port}{path}"), format!("service \"{name}\" not found"));
    let inner = call.store.lock();
    let kind = inner.kinds.of("", "services").ok_or_else(missing)?;
    let service = inner.objects.get(&key(kind, Some(namespace), name)).ok_or_else(missing)?;
    let peer = format!("{}:{port}", text(service, "/spec/clusterIP"));
    // The test process is not in the cluster's network.
    let dial = call.store.route(namespace, name).map(|address| address.to_string());
    Ok(WebhookEndpoint { host, port, path: path.to_owned(), peer, dial })
}

async fn send(
    endpoint: &WebhookEndpoint,
    seconds: u64,
    webhook: &Value,
    review: &Value,
) -> Result<Value, CallError> {
    let way = |error: String| CallError::Way(error);
    let refused = |why: &str| way(format!("dial tcp {}: connect: {why}", endpoint.peer));
    let dial = endpoint.dial.as_ref().ok_or_else(|| refused("connection refused"))?;
    let stream = TcpStream::connect(dial).await.map_err(|error| match error.kind() {
        ErrorKind::ConnectionRefused => refused("connection refused"),
        _ => refused(&error.to_string()),
    })?;
    let name = ServerName::try_from(endpoint.host.clone()).map_err(|error| way(error.to_string()))?;
    let connector = connector(text(webhook, "/clientConfig/caBundle")).map_err(way)?;
    let stream = connector.connect(name, stream).await.map_err(|error| {
        let words = error.to_string();
        way(match words.contains("UnknownIssuer") {
            true => {
                "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned()
            }
            false => format!("tls: {words}"),
        })
    })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| way(error.to_string()))?;
    tokio::spawn(connection);
    let request = hyper::Request::post(format!("{}?timeout={seconds}s", endpoint.path))
        .header("Host", format!("{}:{}", endpoint.host, endpoint.port))
        .header("Content-Type", "application/json")
        .header("Accept", "application/json, */*")
        .header("User-Agent", "kube-apiserver-admission")
        .body(Full::new(Bytes::from(review.to_string())))
        .map_err(|error| way(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(|error| way(error.to_string()))?;
    if !response.status().is_success() {
        let why = "an error on the server (\"unknown\") has prevented the request from succeeding";
        return Err(CallError::Answer(why.to_owned()));
    }
    let body = response.into_body().collect().await.map_err(|error| way(error.to_string()))?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| CallError::Answer(error.to_string()))
}

/// Creates a connector that trusts the authorities of a bundle; without one, none.
fn connector(bundle: &str) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    let pem = STANDARD.decode(bundle).map_err(|error| error.to_string())?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}
