//! The webhook's HTTPS server.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use rustls::ServerConfig;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::{conversion, review};
use lb_kube::cluster::Cluster;
use lb_kube::snapshot::Snapshot;
use lb_runtime::http::{self, ConnectionSlot, HttpLimits, HttpServer};

/// Maximum size of a small body, in bytes: nearly every review is small.
const SMALL_BODY: usize = 256 << 10;

/// Delay after a failed attempt to listen.
const RETRY: Duration = Duration::from_secs(5);

/// The paths of admission reviews: one for all kinds, and one per kind as in MetalLB.
const REVIEW_PATHS: [&str; 7] = [
    "/validate",
    "/validate-metallb-io-v1beta2-bgppeer",
    "/validate-metallb-io-v1beta1-bfdprofile",
    "/validate-metallb-io-v1beta1-bgpadvertisement",
    "/validate-metallb-io-v1beta1-community",
    "/validate-metallb-io-v1beta1-ipaddresspool",
    "/validate-metallb-io-v1beta1-l2advertisement",
];
const CONVERSION_PATH: &str = "/convert";

/// The server.
pub(super) struct WebhookServer {
    pub(super) port: u16,
    pub(super) limits: HttpLimits,
    pub(super) cluster: Cluster,
    /// The namespace in which objects count.
    pub(super) namespace: String,
    /// The TLS configuration; `None` until there is a certificate.
    pub(super) tls_config: watch::Receiver<Option<Arc<ServerConfig>>>,
}

/// The state that reviews need.
struct Reviewer {
    cluster: Cluster,
    namespace: String,
    /// Parsed JSON takes many times its size in memory, and time: at most one large body and two small ones
    /// are parsed at the same time, and small ones do not wait for the large one.
    large: Arc<Semaphore>,
    small: Arc<Semaphore>,
}

/// The response to an invalid request.
type Rejection = (StatusCode, &'static str);

impl WebhookServer {
    /// Serves until the task is aborted.
    pub(super) async fn run(self) {
        let listener = loop {
            match listen(self.port) {
                Ok(listener) => break listener,
                Err(error) => {
                    tracing::error!(port = self.port, %error, "cannot listen on the webhook port, retrying; set another --webhook-port");
                    tokio::time::sleep(RETRY).await;
                }
            }
        };
        let [large, small] = [1, 2].map(|at_once| Arc::new(Semaphore::new(at_once)));
        let reviewer = Reviewer { cluster: self.cluster, namespace: self.namespace, large, small };
        let mut router = Router::new().route(CONVERSION_PATH, post(convert));
        for path in REVIEW_PATHS {
            router = router.route(path, post(validate));
        }
        let router = router.with_state(Arc::new(reviewer));
        HttpServer::new("the webhook port", self.limits).serve_tls(listener, self.tls_config, router).await;
    }
}

/// Listens on all addresses, of both IP families if there are two.
fn listen(port: u16) -> io::Result<TcpListener> {
    match http::listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            http::listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        }
        listener => listener,
    }
}

async fn convert(
    State(reviewer): State<Arc<Reviewer>>,
    Extension(slot): Extension<ConnectionSlot>,
    request: Request,
) -> Response {
    let answer = |review_body: Value| {
        conversion::convert(&review_body).ok_or((StatusCode::BAD_REQUEST, "not a ConversionReview"))
    };
    reviewer.respond(&slot, request.into_body(), answer).await
}

async fn validate(
    State(reviewer): State<Arc<Reviewer>>,
    Extension(slot): Extension<ConnectionSlot>,
    request: Request,
) -> Response {
    // Without the existing objects a change cannot be validated; failurePolicy applies.
    let Some(snapshot) = reviewer.cluster.read() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the objects have not been listed yet; try again")
            .into_response();
    };
    let namespace = reviewer.namespace.clone();
    let answer = move |review_body: Value| {
        let Snapshot { objects, .. } = &snapshot;
        review::answer(&review_body, objects, &namespace)
            .ok_or((StatusCode::BAD_REQUEST, "not an AdmissionReview"))
    };
    reviewer.respond(&slot, request.into_body(), answer).await
}

impl Reviewer {
    /// Reads a body and answers it in a blocking thread, so that leader election does not wait for it.
    async fn respond(
        &self,
        slot: &ConnectionSlot,
        body: Body,
        answer: impl FnOnce(Value) -> Result<Value, Rejection> + Send + 'static,
    ) -> Response {
        let body = match slot.read(body).await {
            Ok(body) => body,
            Err(error) => return error.into_response(),
        };
        let semaphore = if body.len() <= SMALL_BODY { &self.small } else { &self.large };
        let Ok(permit) = slot.queue(Arc::clone(semaphore).acquire_owned()).await else {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        let answered = tokio::task::spawn_blocking(move || {
            // The permit is held until the thread ends, even if the client gives up.
            let _permit = permit;
            let review_body = serde_json::from_slice(&body)
                .map_err(|_| (StatusCode::BAD_REQUEST, "the body is not JSON"))?;
            drop(body);
            answer(review_body).map(|answer| Bytes::from(answer.to_string()))
        });
        match answered.await {
            Ok(Ok(text)) => {
                ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
            }
            Ok(Err(rejection)) => rejection.into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}
