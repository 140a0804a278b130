//! Who may scrape a metrics port that is served over HTTPS: the check of the bearer token of each request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The outcome of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScrapeAccess {
    /// The client may scrape.
    Allowed,
    /// The token is not valid.
    Unauthenticated,
    /// This user may not scrape.
    Forbidden {
        /// The user.
        user: String,
    },
    /// The token could not be checked, for this reason.
    Unavailable {
        /// The reason.
        reason: String,
    },
}

/// Decides who may scrape.
pub trait ScrapeAuthorizer: Send + Sync + 'static {
    /// Decides about a client with this token, which requests this path.
    fn authorize(&self, token: &str, path: &str) -> impl Future<Output = ScrapeAccess> + Send;
}

/// Passes a request on if its client may make it.
pub(super) async fn check<A: ScrapeAuthorizer>(
    State(authorizer): State<Arc<A>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(token) = bearer_token(request.headers()) else {
        return unauthenticated("a bearer token is required");
    };
    match authorizer.authorize(token, request.uri().path()).await {
        ScrapeAccess::Allowed => next.run(request).await,
        ScrapeAccess::Unauthenticated => unauthenticated("the token is not valid"),
        ScrapeAccess::Forbidden { user } => {
            let path = request.uri().path();
            (StatusCode::FORBIDDEN, format!("user {user:?} may not get {path}\n")).into_response()
        }
        ScrapeAccess::Unavailable { reason } => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("cannot check the token: {reason}\n")).into_response()
        }
    }
}

fn unauthenticated(why: &str) -> Response {
    let scheme = [(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
    (StatusCode::UNAUTHORIZED, scheme, format!("{why}\n")).into_response()
}

/// Returns the bearer token of a request (RFC 6750 section 2.1).
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_is_taken() {
        let token = |value: &'static str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            bearer_token(&headers).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc"), Some("abc".to_owned()));
        assert_eq!(token("bearer  abc "), Some("abc".to_owned()));
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("Bearer "), None);
        assert_eq!(token("abc"), None);
        assert_eq!(bearer_token(&HeaderMap::new()), None);
    }
}
