//! The webhook of recorded configurations: it answers by path, and keeps the reviews it receives.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Longer than the timeout of the recorded configuration.
const SLOW: Duration = Duration::from_secs(3);

/// A server that is stopped on drop.
pub(super) struct ReplayWebhook {
    pub(super) address: SocketAddr,
    /// Its self-signed certificate as a configuration's CA bundle.
    pub(super) authority: String,
    reviews: Arc<Mutex<Vec<Value>>>,
    task: JoinHandle<()>,
}

impl ReplayWebhook {
    pub(super) async fn start(answers: Map<String, Value>) -> Result<Self> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.self_signed(&key)?;
        let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config =
            config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let reviews = Arc::new(Mutex::default());
        let answers = Arc::new(answers);
        let task = tokio::spawn(accept(listener, acceptor, answers, Arc::clone(&reviews)));
        Ok(Self { address, authority: STANDARD.encode(certificate.pem()), reviews, task })
    }

    /// Takes the reviews received since the last call.
    pub(super) fn reviews(&self) -> Vec<Value> {
        std::mem::take(&mut self.reviews.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for ReplayWebhook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    answers: Arc<Map<String, Value>>,
    reviews: Arc<Mutex<Vec<Value>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, answers, reviews) = (acceptor.clone(), Arc::clone(&answers), Arc::clone(&reviews));
        tokio::spawn(async move {
            // A client that does not trust the certificate disconnects at once.
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service =
                service_fn(move |request| answer(request, Arc::clone(&answers), Arc::clone(&reviews)));
            let served = hyper::server::conn::http1::Builder::new();
            // How a connection ends is up to the client.
            let _: Result<(), hyper::Error> = served.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    answers: Arc<Map<String, Value>>,
    reviews: Arc<Mutex<Vec<Value>>>,
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let names = ["Content-Type", "Accept", "User-Agent"];
    let headers: Map<String, Value> =
        names.iter().filter_map(|name| Some(((*name).to_owned(), json!(header(name)?)))).collect();
    let path = parts.uri.path_and_query().map(ToString::to_string);
    let kept = json!({"path": path, "headers": headers, "body": review});
    reviews.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    if let (Some(more), Some(fields)) =
        (answers.get(parts.uri.path()).and_then(Value::as_object), response.as_object_mut())
    {
        fields.extend(more.clone());
    }
    let mut status = 200;
    let mut body =
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    match parts.uri.path() {
        "/slow" => tokio::time::sleep(SLOW).await,
        "/version" => body["apiVersion"] = json!("admission.k8s.io/v1beta1"),
        "/junk" => body = json!("junk"),
        "/500" => status = 500,
        "/audit" => body["response"]["auditAnnotations"] = json!({"a": "b"}),
        _ => {}
    }
    let mut response = hyper::Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response
        .headers_mut()
        .insert("Content-Type", hyper::header::HeaderValue::from_static("application/json"));
    Ok(response)
}
