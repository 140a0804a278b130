//! The status page on the metrics port: `/`, and `/status.json`, which it reads.
//!
//! The port may be open to more clients than the admin socket, so a status is read at most once a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use lb_status::page;
use tokio::sync::Mutex;

use super::{AdminState, status};

/// For how long a status is served again.
const FRESH: Duration = Duration::from_secs(1);

/// The status page of an agent.
#[derive(Clone)]
pub struct StatusPage {
    state: Arc<AdminState>,
    /// The last status, and when it was read.
    last: Arc<Mutex<Option<(Instant, Bytes)>>>,
}

impl StatusPage {
    /// Creates the page of an agent.
    pub fn new(state: Arc<AdminState>) -> Self {
        Self { state, last: Arc::default() }
    }

    /// Returns its routes.
    pub fn routes(&self) -> Router {
        Router::new().route("/", get(document)).route("/status.json", get(json)).with_state(self.clone())
    }

    async fn status(&self) -> Result<Bytes, String> {
        let mut last = self.last.lock().await;
        if let Some((at, status)) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(status.clone());
        }
        let overview = status::overview(&self.state).await.map_err(|error| error.to_string())?;
        let status = Bytes::from(serde_json::to_vec(&overview).map_err(|error| error.to_string())?);
        *last = Some((Instant::now(), status.clone()));
        Ok(status)
    }
}

async fn document() -> Response {
    (headers("text/html; charset=utf-8", page::policy()), page::html()).into_response()
}

async fn json(State(page): State<StatusPage>) -> Response {
    match page.status().await {
        Ok(status) => (headers("application/json", "default-src 'none'"), status).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot read the status: {error}")).into_response()
        }
    }
}

fn headers(content_type: &'static str, policy: &'static str) -> [(HeaderName, &'static str); 5] {
    [
        (CONTENT_TYPE, content_type),
        (CONTENT_SECURITY_POLICY, policy),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ]
}
