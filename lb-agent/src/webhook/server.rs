//! HTTPS for API servers.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::{RETRY, conversion, review};
use crate::kube::cluster::Cluster;

/// Longest body: an object is no longer than 1.5 MiB, and a review holds it twice.
const LONGEST: usize = 8 << 20;
/// Connections at a time; each API server has a few.
const CONNECTIONS: usize = 256;
/// Time for a handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);

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
    pub(super) cluster: Cluster,
    /// What it shows itself by; `None` until there is something.
    pub(super) identity: watch::Receiver<Option<Arc<ServerConfig>>>,
}

impl Server {
    /// Answers for ever.
    pub(super) async fn run(self) {
        let listener = loop {
            match listen(self.port).await {
                Ok(listener) => break listener,
                Err(error) => {
                    tracing::error!(port = self.port, %error, "API servers cannot be answered; give another --webhook-port");
                    tokio::time::sleep(RETRY).await;
                }
            }
        };
        let cluster = Arc::new(self.cluster);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (cluster, identity) = (Arc::clone(&cluster), self.identity.borrow().clone());
                    tokio::spawn(async move {
                        if let Some(identity) = identity
                            && let Err(error) = serve(stream, identity, cluster).await
                        {
                            tracing::debug!(error, "a connection of an API server has ended");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// On all addresses of both IP versions, or of the one that there is.
async fn listen(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await
        }
        listener => listener,
    }
}

async fn serve(stream: TcpStream, identity: Arc<ServerConfig>, cluster: Arc<Cluster>) -> Result<(), String> {
    let accepted = tokio::time::timeout(PATIENCE, TlsAcceptor::from(identity).accept(stream)).await;
    let stream = accepted.map_err(|_| "no handshake".to_owned())?.map_err(|error| error.to_string())?;
    let service = service_fn(|request| {
        let cluster = Arc::clone(&cluster);
        async move { Ok::<_, Infallible>(respond(request, &cluster).await) }
    });
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(PATIENCE.saturating_mul(6));
    connection.serve_connection(TokioIo::new(stream), service).await.map_err(|error| error.to_string())
}

async fn respond(request: Request<Incoming>, cluster: &Cluster) -> Response<Full<Bytes>> {
    match answer(request, cluster).await {
        Ok(value) => {
            let mut response = Response::new(Full::from(value.to_string()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err((status, words)) => {
            let mut response = Response::new(Full::from(words));
            *response.status_mut() = status;
            response
        }
    }
}

async fn answer(request: Request<Incoming>, cluster: &Cluster) -> Result<Value, (StatusCode, &'static str)> {
    let path = request.uri().path().to_owned();
    if !REVIEWS.contains(&path.as_str()) && path != CONVERSION {
        return Err((StatusCode::NOT_FOUND, "nothing is answered here"));
    }
    if request.method() != Method::POST {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "reviews are posted"));
    }
    let body = tokio::time::timeout(PATIENCE, Limited::new(request.into_body(), LONGEST).collect()).await;
    let body = body.map_err(|_| (StatusCode::REQUEST_TIMEOUT, "the body did not come"))?;
    let body = body.map_err(|_| (StatusCode::BAD_REQUEST, "the body cannot be read"))?.to_bytes();
    let asked: Value =
        serde_json::from_slice(&body).map_err(|_| (StatusCode::BAD_REQUEST, "the body is no JSON"))?;
    if path == CONVERSION {
        return conversion::convert(&asked).ok_or((StatusCode::BAD_REQUEST, "this is no ConversionReview"));
    }
    // What is there is not known yet, so nothing is known to be right; the configuration says what to do then.
    let there =
        cluster.read().ok_or((StatusCode::SERVICE_UNAVAILABLE, "not all objects have been listed yet"))?;
    review::answer(&asked, &there.objects).ok_or((StatusCode::BAD_REQUEST, "this is no AdmissionReview"))
}
