//! A fault-injecting proxy of an API server, one for each client: it forwards requests, records writes, and
//! fails as networks and servers do.

mod gated_stream;
mod write_log;

pub use write_log::{RecordedWrite, WriteLog};

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use futures::future::Either;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lb_controller::webhook::certificate::Certificate;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use self::gated_stream::GatedStream;
use crate::api_server::kubeconfig;
use crate::random::SeededRandom;

/// A fault of requests and connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxyFault {
    /// No fault.
    #[default]
    None,
    /// Packets are dropped both ways, also of new connections. Connections that wait for an acknowledgment
    /// all the time are given up by both sides.
    Cut,
    /// Requests are accepted but not processed.
    Paused,
    /// Connections are broken, also new ones.
    Away,
    /// Each request is delayed.
    Slow(Duration),
    /// One request in so many fails with one of these statuses, at random.
    Flaky(usize, Vec<u16>),
}

type Body = BoxBody<Bytes, hyper::Error>;

/// A running proxy, which ends on drop.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    tls: bool,
    fault: watch::Sender<ProxyFault>,
    connections: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

/// The state that connections share.
#[derive(Clone)]
struct Shared {
    client: Arc<str>,
    upstream: SocketAddr,
    http: Client<HttpConnector, Full<Bytes>>,
    log: WriteLog,
    fault: watch::Receiver<ProxyFault>,
    tls: Option<TlsAcceptor>,
    random: Arc<std::sync::Mutex<SeededRandom>>,
}

impl FaultProxy {
    /// Starts a proxy for a client on a port of its own. With `tls`, it speaks HTTP/2 as well.
    ///
    /// # Errors
    /// When it cannot listen, or cannot make a certificate.
    pub fn start(client: &str, upstream: SocketAddr, log: &WriteLog, tls: bool) -> Result<Self> {
        Self::serve(client, TcpListener::bind("127.0.0.1:0")?, upstream, log, tls)
    }

    /// Starts a proxy on a socket, which may have been opened in another network namespace.
    ///
    /// # Errors
    /// When the socket cannot be used, or making a certificate fails.
    pub fn serve(
        client: &str,
        listener: TcpListener,
        upstream: SocketAddr,
        log: &WriteLog,
        tls: bool,
    ) -> Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (fault, faults) = watch::channel(ProxyFault::None);
        let seed = client.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte));
        let shared = Shared {
            client: client.into(),
            upstream,
            http: Client::builder(TokioExecutor::new()).build_http(),
            log: log.clone(),
            fault: faults,
            tls: tls.then(acceptor).transpose()?,
            random: Arc::new(std::sync::Mutex::new(SeededRandom::new(seed))),
        };
        let connections = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, shared, Arc::clone(&connections)));
        Ok(Self { address, tls, fault, connections, _tasks: tasks })
    }

    /// Returns its client's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self, host: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        kubeconfig(&format!("{scheme}://{host}:{}", self.address.port()))
    }

    /// Sets the fault from now on.
    pub fn set(&self, fault: ProxyFault) {
        self.fault.send_replace(fault);
    }

    /// Returns the number of connections so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

fn acceptor() -> Result<TlsAcceptor> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let mut config = Certificate::issue(&["localhost".to_owned()], now, None)?.server_config()?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: tokio::net::TcpListener, shared: Shared, connections: Arc<AtomicU64>) {
    let mut serving = JoinSet::new();
    loop {
        while serving.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else { continue };
        connections.fetch_add(1, Ordering::Relaxed);
        serving.spawn(serve(stream, shared.clone()));
    }
}

async fn serve(stream: TcpStream, shared: Shared) {
    let (gate, broken) = GatedStream::new(stream, shared.fault.clone());
    tokio::select! {
        () = serve_stream(gate, shared) => {}
        () = broken => {}
    }
}

async fn serve_stream(gate: GatedStream, shared: Shared) {
    let service = |shared: Shared| {
        service_fn(move |request| {
            let answer = answer(shared.clone(), request);
            async { Ok::<_, Infallible>(answer.await) }
        })
    };
    let http1 = hyper::server::conn::http1::Builder::new();
    let http2 = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    // How a connection ends is up to the client.
    let Some(acceptor) = shared.tls.clone() else {
        let _ = http1.serve_connection(TokioIo::new(gate), service(shared)).await;
        return;
    };
    let Ok(stream) = acceptor.accept(gate).await else { return };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(stream);
    let serving = match is_http2 {
        true => Either::Left(http2.serve_connection(io, service(shared))),
        false => Either::Right(http1.serve_connection(io, service(shared))),
    };
    let _ = serving.await;
}

async fn answer(mut shared: Shared, request: Request<Incoming>) -> Response<Body> {
    let refused = apply_fault(&mut shared).await;
    if let Some(code) = refused {
        return refusal(code);
    }
    match pass(&shared, request).await {
        Ok(response) => response,
        Err(error) => status(StatusCode::BAD_GATEWAY, &error.to_string()),
    }
}

/// Delays a request; returns the status that it fails with, if any.
async fn apply_fault(shared: &mut Shared) -> Option<u16> {
    let fault = shared.fault.wait_for(|fault| *fault != ProxyFault::Paused).await.ok()?.clone();
    match fault {
        ProxyFault::Slow(time) => {
            tokio::time::sleep(time).await;
            None
        }
        ProxyFault::Flaky(one_in, statuses) => {
            let mut random = shared.random.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let is_refused = random.below(one_in) == 0;
            let index = random.below(statuses.len());
            is_refused.then(|| statuses.get(index).copied()).flatten()
        }
        ProxyFault::None | ProxyFault::Cut | ProxyFault::Paused | ProxyFault::Away => None,
    }
}

async fn pass(shared: &Shared, request: Request<Incoming>) -> Result<Response<Body>> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    parts.uri = format!("http://{}{path}", shared.upstream).parse()?;
    parts.headers.insert(HOST, HeaderValue::from_str(&shared.upstream.to_string())?);
    parts.version = hyper::Version::HTTP_11;
    let (method, agent) = (parts.method.clone(), parts.headers.get(USER_AGENT).cloned());
    shared.log.note_user_agent(&shared.client, agent.as_ref().and_then(|it| it.to_str().ok()));
    let response = shared.http.request(Request::from_parts(parts, Full::new(body))).await?;
    if method == Method::GET {
        return Ok(response.map(BodyExt::boxed));
    }
    let (parts, answer) = response.into_parts();
    let answer = answer.collect().await?.to_bytes();
    shared.log.record(&shared.client, &method, &path, parts.status, &answer);
    Ok(Response::from_parts(parts, full(answer)))
}

fn refusal(code: u16) -> Response<Body> {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = status(code, "injected fault");
    if code == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert("Retry-After", HeaderValue::from_static("1"));
    }
    response
}

fn status(code: StatusCode, message: &str) -> Response<Body> {
    let reason = match code.as_u16() {
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let body: Value = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    });
    let mut response = Response::new(full(Bytes::from(body.to_string())));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never: Infallible| match never {}).boxed()
}
