//! HTTPS for API servers.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

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

use super::{RETRY, conversion, review};
use lb_kube::cluster::Cluster;
use lb_kube::snapshot::Snapshot;
use lb_runtime::http::{self, ConnectionSlot, HttpLimits, HttpServer};

/// Bytes of a body that is small: nearly every review is.
const SMALL: usize = 256 << 10;

/// Where reviews are sent: to one path for all kinds, or to one for each as MetalLB has them.
const REVIEWS: [&str; 7] = [
    "/validate",
    "/validate-metallb-io-v1beta2-bgppeer",
    "/validate-metallb-io-v1beta1-bfdprofile",
    "/validate-metallb-io-v1beta1-bgpadvertisement",
    "/validate-metallb-io-v1beta1-community",
    "/validate-metallb-io-v1beta1-ipaddresspool",
    "/validate-metallb-io-v1beta1-l2advertisement",
];
const CONVERSION: &str = "/convert";

/// What answers.
pub(super) struct Server {
    pub(super) port: u16,
    pub(super) limits: HttpLimits,
    pub(super) cluster: Cluster,
    /// Namespace in which objects count.
    pub(super) namespace: String,
    /// What it shows itself by; `None` until there is something.
    pub(super) identity: watch::Receiver<Option<Arc<ServerConfig>>>,
}

/// What the answers are made from.
struct Reviewer {
    cluster: Cluster,
    namespace: String,
    /// Parsed JSON takes many times its bytes, and time: so one long body is parsed at once, and beside it two small
    /// ones, which do not wait for it.
    long: Arc<Semaphore>,
    small: Arc<Semaphore>,
}

/// What is not an answer to a review.
type Refusal = (StatusCode, &'static str);

impl Server {
    /// Answers for ever.
    pub(super) async fn run(self) {
        let listener = loop {
            match listen(self.port) {
                Ok(listener) => break listener,
                Err(error) => {
                    tracing::error!(port = self.port, %error, "API servers cannot be answered; give another --webhook-port");
                    tokio::time::sleep(RETRY).await;
                }
            }
        };
        let [long, small] = [1, 2].map(|at_once| Arc::new(Semaphore::new(at_once)));
        let reviewer = Reviewer { cluster: self.cluster, namespace: self.namespace, long, small };
        let mut router = Router::new().route(CONVERSION, post(convert));
        for path in REVIEWS {
            router = router.route(path, post(validate));
        }
        let router = router.with_state(Arc::new(reviewer));
        HttpServer::new("the webhook port", self.limits).serve_tls(listener, self.identity, router).await;
    }
}

/// On all addresses of both IP versions, or of the one that there is.
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
    let answer = |asked: Value| {
        conversion::convert(&asked).ok_or((StatusCode::BAD_REQUEST, "this is no ConversionReview"))
    };
    reviewer.respond(&slot, request.into_body(), answer).await
}

async fn validate(
    State(reviewer): State<Arc<Reviewer>>,
    Extension(slot): Extension<ConnectionSlot>,
    request: Request,
) -> Response {
    // What is there is not known yet, so nothing is known to be right; the configuration says what to do then.
    let Some(there) = reviewer.cluster.read() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "not all objects have been listed yet").into_response();
    };
    let namespace = reviewer.namespace.clone();
    let answer = move |asked: Value| {
        let Snapshot { objects, .. } = &there;
        review::answer(&asked, objects, &namespace)
            .ok_or((StatusCode::BAD_REQUEST, "this is no AdmissionReview"))
    };
    reviewer.respond(&slot, request.into_body(), answer).await
}

impl Reviewer {
    /// Reads a body and has it answered by a thread of its own: leadership must not wait for it.
    async fn respond(
        &self,
        slot: &ConnectionSlot,
        body: Body,
        answer: impl FnOnce(Value) -> Result<Value, Refusal> + Send + 'static,
    ) -> Response {
        let body = match slot.read(body).await {
            Ok(body) => body,
            Err(error) => return error.into_response(),
        };
        let lane = if body.len() <= SMALL { &self.small } else { &self.long };
        let Ok(permit) = slot.queue(Arc::clone(lane).acquire_owned()).await else {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        let answered = tokio::task::spawn_blocking(move || {
            // Whoever asked may give up; the thread goes on, and is counted for as long.
            let _permit = permit;
            let asked = serde_json::from_slice(&body)
                .map_err(|_| (StatusCode::BAD_REQUEST, "the body is no JSON"))?;
            drop(body);
            answer(asked).map(|answer| Bytes::from(answer.to_string()))
        });
        match answered.await {
            Ok(Ok(text)) => {
                ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
            }
            Ok(Err(refusal)) => refusal.into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}
