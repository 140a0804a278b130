//! The health of this node as a local HTTP server reports it, such as the health port of kube-proxy: what
//! serves the pods of a node may fail while the node and its XDP program answer probes.
//!
//! A node is unhealthy after [`FALL`] failed checks in a row, and healthy again after [`RISE`] that pass: an
//! answer that alternates does not move flows to and fro.

use std::future::Future;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// The time from one check to the next; a check that takes longer fails.
pub const EVERY: Duration = Duration::from_secs(2);
/// Failed checks in a row after which the node is unhealthy.
pub const FALL: u32 = 3;
/// Checks in a row that pass, after which it is healthy again.
pub const RISE: u32 = 5;

/// The URL of a health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthUrl {
    uri: Uri,
    host: String,
    port: u16,
}

/// An error in a URL.
#[derive(Debug, thiserror::Error)]
pub enum HealthUrlError {
    /// It is no URL.
    #[error("not a URL: {0}")]
    Malformed(#[from] hyper::http::uri::InvalidUri),
    /// It is not one of plain HTTP.
    #[error("a health check has a URL like http://127.0.0.1:10256/livez")]
    NotHttp,
}

/// Why one check failed.
#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error("no answer within {} s", EVERY.as_secs())]
    TimedOut,
    #[error("{0}")]
    Connect(#[from] io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("{0}")]
    Request(#[from] hyper::http::Error),
    #[error("it answers {0}")]
    Status(StatusCode),
}

/// What the checks so far say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    is_healthy: bool,
    /// Checks in a row that say the contrary.
    contrary: u32,
}

impl Verdict {
    /// Returns the verdict after one more check.
    const fn after(self, passed: bool) -> Self {
        if passed == self.is_healthy {
            return Self { contrary: 0, ..self };
        }
        let contrary = self.contrary + 1;
        let limit = if self.is_healthy { FALL } else { RISE };
        if contrary < limit { Self { contrary, ..self } } else { Self { is_healthy: passed, contrary: 0 } }
    }
}

impl FromStr for HealthUrl {
    type Err = HealthUrlError;

    fn from_str(text: &str) -> Result<Self, HealthUrlError> {
        let uri: Uri = text.parse()?;
        let host = uri.host().filter(|_| uri.scheme_str() == Some("http")).ok_or(HealthUrlError::NotHttp)?;
        // An IPv6 address stands in brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(80);
        Ok(Self { uri, host, port })
    }
}

impl HealthUrl {
    /// Begins to check, and returns what the checks say: why the node is unhealthy, or `None`. A node whose
    /// earlier agent found it unhealthy (`was_unhealthy`) has to pass as often as any other.
    ///
    /// The checks end when all receivers are gone.
    #[must_use]
    pub fn watch(self, was_unhealthy: bool) -> watch::Receiver<Option<String>> {
        let first =
            was_unhealthy.then(|| format!("health check {}: it failed before the agent started", self.uri));
        let (report, health) = watch::channel(first);
        tokio::spawn(async move {
            let check = || async { within(EVERY, self.check()).await };
            let mut verdict = Verdict { is_healthy: !was_unhealthy, contrary: 0 };
            let mut due = tokio::time::interval(EVERY);
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = due.tick() => {}
                    () = report.closed() => return,
                }
                let result = check().await;
                let before = verdict;
                verdict = verdict.after(result.is_ok());
                match result {
                    _ if verdict.is_healthy == before.is_healthy => {}
                    Ok(()) => report.send_modify(|why| *why = None),
                    Err(error) => {
                        let why = format!("health check {}: {error}", self.uri);
                        report.send_modify(|it| *it = Some(why));
                    }
                }
            }
        });
        health
    }

    /// Checks once: a status of success passes.
    async fn check(&self) -> Result<(), CheckError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = self.uri.authority().map_or("", |authority| authority.as_str());
        let request = Request::get(path).header("host", host).header("user-agent", "fairlead");
        let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await;
        connection.abort();
        match answer?.status() {
            status if status.is_success() => Ok(()),
            status => Err(CheckError::Status(status)),
        }
    }
}

async fn within(
    time: Duration,
    check: impl Future<Output = Result<(), CheckError>>,
) -> Result<(), CheckError> {
    tokio::time::timeout(time, check).await.unwrap_or(Err(CheckError::TimedOut))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Applies checks, `+` for one that passes, and returns where the verdict changed.
    fn changes(is_healthy: bool, checks: &str) -> Vec<(usize, bool)> {
        let mut verdict = Verdict { is_healthy, contrary: 0 };
        let mut changes = Vec::new();
        for (number, check) in checks.chars().enumerate() {
            let before = verdict.is_healthy;
            verdict = verdict.after(check == '+');
            if verdict.is_healthy != before {
                changes.push((number, verdict.is_healthy));
            }
        }
        changes
    }

    #[test]
    fn only_checks_in_a_row_change_the_verdict() {
        assert_eq!(changes(true, "++++++"), []);
        assert_eq!(changes(true, "--+--+--"), [], "alternates");
        assert_eq!(changes(true, "---"), [(2, false)]);
        assert_eq!(changes(true, "---++++-+++++"), [(2, false), (12, true)]);
        assert_eq!(changes(false, "----"), []);
        assert_eq!(changes(false, "+++++"), [(4, true)]);
    }

    #[test]
    fn only_plain_http_is_checked() {
        let url = |text: &str| text.parse::<HealthUrl>();
        let parsed = url("http://127.0.0.1:10256/livez?verbose").unwrap();
        assert_eq!((parsed.host.as_str(), parsed.port), ("127.0.0.1", 10256));
        let parsed = url("http://[::1]/").unwrap();
        assert_eq!((parsed.host.as_str(), parsed.port), ("::1", 80));
        for wrong in ["https://127.0.0.1/", "/livez", "127.0.0.1:10256"] {
            assert!(matches!(url(wrong), Err(HealthUrlError::NotHttp)), "{wrong}");
        }
        assert!(matches!(url("http://a b/"), Err(HealthUrlError::Malformed(_))));
    }

    #[tokio::test]
    async fn a_status_of_success_passes_and_what_fails_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url: HealthUrl = format!("http://{address}/livez").parse().unwrap();
        tokio::spawn(async move {
            for status in ["200 OK", "503 Service Unavailable"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let length = stream.read(&mut request).await.unwrap();
                assert!(request[..length].starts_with(b"GET /livez HTTP/1.1\r\n"));
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        assert!(url.check().await.is_ok());
        let error = url.check().await.unwrap_err();
        assert_eq!(error.to_string(), "it answers 503 Service Unavailable");
        let error = url.check().await.unwrap_err();
        assert!(matches!(error, CheckError::Connect(_)), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_fails_in_time() {
        let error = within(Duration::from_millis(1), std::future::pending()).await.unwrap_err();
        assert_eq!(error.to_string(), "no answer within 2 s");
    }
}
