//! The bounds on what the clients of one server can use.

use std::time::Duration;

use crate::descriptors;

/// The bounds on what the clients of one server can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Concurrent connections.
    pub connections: usize,
    /// Time from the connection to the end of the first request head, including a TLS handshake.
    pub head: Duration,
    /// Time from a request head to the response, including the request body.
    pub request: Duration,
    /// Time from a response to the end of the next request head; the client must read the response within it.
    pub idle: Duration,
    /// Bytes of one request body.
    pub body: usize,
    /// Bytes of all bodies and responses held at once. A single response may be longer.
    pub bytes: usize,
}

impl HttpLimits {
    /// Returns the limits for metrics, health and status, with `files` as the limit on open files.
    pub fn for_monitoring(files: u64) -> Self {
        Self {
            connections: descriptors::share(files, 256),
            head: Duration::from_secs(5),
            request: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            // None of these endpoints reads a body.
            body: 0,
            bytes: 32 << 20,
        }
    }

    /// Returns the limits for webhooks that API servers call, with `files` as the limit on open files. An
    /// object is at most 1.5 MiB long. An AdmissionReview holds it twice, a ConversionReview a list of them.
    pub fn for_webhooks(files: u64) -> Self {
        Self {
            head: Duration::from_secs(10),
            // API servers reuse connections for the next review.
            idle: Duration::from_secs(60),
            body: 8 << 20,
            ..Self::for_monitoring(files)
        }
    }
}
