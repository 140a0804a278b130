//! A client that sends each request on its own connection, and reads answers as a whole or event by event.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Longest wait for an answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);
/// Compared headers.
const HEADERS: [&str; 7] =
    ["Content-Type", "Warning", "WWW-Authenticate", "Retry-After", "Content-Encoding", "Allow", "Vary"];

/// The server, and an administrator's credentials.
#[derive(Clone)]
pub(super) struct ReplayClient {
    pub(super) address: SocketAddr,
    /// An administrator's token.
    pub(super) token: String,
}

/// A request as it is sent.
pub(super) struct SentRequest {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

/// An answer as it was received.
pub(super) struct ReceivedAnswer {
    pub(super) status: u16,
    /// The compared headers.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

/// An open watch.
pub(super) struct ClientWatch {
    seen: Arc<Mutex<Seen>>,
    reader: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    events: Vec<Value>,
    ended: bool,
}

impl ReplayClient {
    /// Sends an administrator's request with a JSON body.
    pub(super) async fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let headers = [
            ("Accept", "application/json".to_owned()),
            ("User-Agent", "conformance/1".to_owned()),
            ("Content-Type", "application/json".to_owned()),
            ("Authorization", format!("Bearer {}", self.token)),
        ];
        let sent = SentRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            body: body.map(Value::to_string).unwrap_or_default(),
        };
        let answer = self.ask(sent).await?;
        Ok((answer.status, serde_json::from_slice(&answer.body).unwrap_or_default()))
    }

    /// Sends a request and reads the answer to its end.
    pub(super) async fn ask(&self, sent: SentRequest) -> Result<ReceivedAnswer> {
        timeout(ANSWERS_WITHIN, async {
            let response = self.send(sent).await?;
            let (status, headers) = (response.status().as_u16(), headers(&response));
            let body = response.into_body().collect().await?.to_bytes().to_vec();
            Ok(ReceivedAnswer { status, headers, body })
        })
        .await
        .context("no answer")?
    }

    /// Begins a watch; a rejection is answered like any request.
    pub(super) async fn watch(&self, sent: SentRequest) -> Result<(ReceivedAnswer, Option<ClientWatch>)> {
        let response = timeout(ANSWERS_WITHIN, self.send(sent)).await.context("no answer")??;
        let (status, headers) = (response.status().as_u16(), headers(&response));
        if status != 200 {
            let body = response.into_body().collect().await?.to_bytes().to_vec();
            return Ok((ReceivedAnswer { status, headers, body }, None));
        }
        let seen = Arc::new(Mutex::default());
        let reader = tokio::spawn(read(response.into_body(), Arc::clone(&seen)));
        Ok((ReceivedAnswer { status, headers, body: Vec::new() }, Some(ClientWatch { seen, reader })))
    }

    async fn send(&self, sent: SentRequest) -> Result<hyper::Response<Incoming>> {
        let stream = TcpStream::connect(self.address).await?;
        let mut request = hyper::Request::builder().method(sent.method.as_str()).uri(&sent.path);
        request = request.header("Host", self.address.to_string());
        for (name, value) in &sent.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(sent.body)))?;
        exchange(TokioIo::new(stream), request).await
    }
}

async fn exchange<T>(io: T, request: hyper::Request<Full<Bytes>>) -> Result<hyper::Response<Incoming>>
where
    T: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

fn headers(response: &hyper::Response<Incoming>) -> BTreeMap<String, String> {
    let values = |name: &str| {
        let all: Vec<&str> =
            response.headers().get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        all.join(", ")
    };
    let present = HEADERS.iter().filter(|name| response.headers().contains_key(**name));
    present.map(|name| ((*name).to_owned(), values(name))).collect()
}

async fn read(mut body: Incoming, seen: Arc<Mutex<Seen>>) {
    let lock = || seen.lock().unwrap_or_else(PoisonError::into_inner);
    let mut rest = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            lock().events.push(serde_json::from_slice(&line).unwrap_or_default());
        }
    }
    lock().ended = true;
}

impl ClientWatch {
    /// Takes the events received, once `many` of those that count have come, or the watch has ended.
    pub(super) async fn events(
        &self,
        many: usize,
        until_end: bool,
        within: Duration,
        counts: impl Fn(&Value) -> bool,
    ) -> (Vec<Value>, bool) {
        let enough = || {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.ended || (!until_end && seen.events.iter().filter(|event| counts(event)).count() >= many)
        };
        let wait = async {
            while !enough() {
                sleep(Duration::from_millis(5)).await;
            }
            // Surplus events would come about now.
            sleep(Duration::from_millis(30)).await;
        };
        // Events that have not come by then do not count.
        let _: Result<(), tokio::time::error::Elapsed> = timeout(within, wait).await;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut seen.events).into_iter().filter(|event| counts(event)).collect(), seen.ended)
    }
}

impl Drop for ClientWatch {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
