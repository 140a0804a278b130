//! Who may scrape: a TokenReview names the user of a token, a SubjectAccessReview states whether that user
//! may get the path. As MetalLB and the components of Kubernetes do it.
//!
//! Answers are kept for a short time, so that a scrape costs the API server no request, and a permission that
//! is withdrawn ends within a minute.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use lb_runtime::metrics::access::{ScrapeAccess, ScrapeAuthorizer};
use tokio::sync::Semaphore;

/// How long an answer is kept.
const ALLOWED_FOR: Duration = Duration::from_secs(60);
const REFUSED_FOR: Duration = Duration::from_secs(10);
/// Answers of each kind that are kept. Refusals have a place of their own: invented tokens take none from
/// valid ones.
const KEPT: usize = 64;
/// Reviews that are made at once.
const AT_ONCE: usize = 4;
/// Time for the reviews of a token.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Interval of repeating a log line.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Asks the API server who may scrape.
pub struct TokenReviewer {
    client: Client,
    start: Instant,
    known: Mutex<KnownAnswers>,
    at_once: Semaphore,
    logged: Mutex<Option<(Instant, String)>>,
}

impl TokenReviewer {
    /// Returns a reviewer that asks with this client.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            start: Instant::now(),
            known: Mutex::default(),
            at_once: Semaphore::new(AT_ONCE),
            logged: Mutex::default(),
        }
    }

    /// Asks the API server; fails with the reason why there is no answer.
    async fn review(&self, token: &str, path: &str) -> Result<ScrapeAccess, String> {
        let _permit = self.at_once.acquire().await.map_err(|error| error.to_string())?;
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: None };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answer =
            Api::<TokenReview>::all(self.client.clone()).create(&PostParams::default(), &review).await;
        let status = answer.map_err(|error| format!("TokenReview: {error}"))?.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true));
        let Some(user) = user else { return Ok(ScrapeAccess::Unauthenticated) };
        let name = user.username.clone().unwrap_or_default();
        let answer = Api::<SubjectAccessReview>::all(self.client.clone());
        let answer = answer.create(&PostParams::default(), &access_review(user, path)).await;
        let status = answer.map_err(|error| format!("SubjectAccessReview: {error}"))?.status;
        let is_allowed = status.is_some_and(|status| status.allowed && status.denied != Some(true));
        Ok(if is_allowed { ScrapeAccess::Allowed } else { ScrapeAccess::Forbidden { user: name } })
    }

    /// Logs why tokens cannot be reviewed: the client of the metrics port sees only a status code.
    fn log(&self, reason: &str) {
        let now = Instant::now();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = logged.as_ref().is_none_or(|(at, before)| before != reason || now - *at >= LOG_INTERVAL);
        if is_new {
            tracing::warn!(
                reason,
                "cannot review the tokens of requests to the metrics port; answering them with 503"
            );
            *logged = Some((now, reason.to_owned()));
        }
    }

    fn known(&self) -> MutexGuard<'_, KnownAnswers> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ScrapeAuthorizer for TokenReviewer {
    async fn authorize(&self, token: &str, path: &str) -> ScrapeAccess {
        if let Some(known) = self.known().get(token, path, self.start.elapsed()) {
            return known;
        }
        let answer = match tokio::time::timeout(TIMEOUT, self.review(token, path)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("the API server has not answered within {} s", TIMEOUT.as_secs())),
        };
        match answer {
            Ok(access) => {
                self.known().keep(token, path, &access, self.start.elapsed());
                access
            }
            Err(reason) => {
                self.log(&reason);
                ScrapeAccess::Unavailable { reason }
            }
        }
    }
}

fn access_review(user: UserInfo, path: &str) -> SubjectAccessReview {
    let attributes = NonResourceAttributes { path: Some(path.to_owned()), verb: Some("get".to_owned()) };
    let spec = SubjectAccessReviewSpec {
        user: user.username,
        groups: user.groups,
        uid: user.uid,
        extra: user.extra,
        non_resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    SubjectAccessReview { spec, ..SubjectAccessReview::default() }
}

/// The answers that are kept. All times count from one origin.
#[derive(Default)]
struct KnownAnswers {
    allowed: Kept,
    refused: Kept,
}

/// By token and path: the answer, and the time until which it is kept.
type Kept = BTreeMap<(String, String), (ScrapeAccess, Duration)>;

impl KnownAnswers {
    fn get(&self, token: &str, path: &str, now: Duration) -> Option<ScrapeAccess> {
        let key = (token.to_owned(), path.to_owned());
        let mut kept = [&self.allowed, &self.refused].into_iter().filter_map(|kept| kept.get(&key));
        kept.find(|(_, until)| *until > now).map(|(access, _)| access.clone())
    }

    fn keep(&mut self, token: &str, path: &str, access: &ScrapeAccess, now: Duration) {
        let key = (token.to_owned(), path.to_owned());
        // The latest answer is the only one.
        self.allowed.remove(&key);
        self.refused.remove(&key);
        let (kept, lasts) = match access {
            ScrapeAccess::Allowed => (&mut self.allowed, ALLOWED_FOR),
            ScrapeAccess::Unauthenticated | ScrapeAccess::Forbidden { .. } => {
                (&mut self.refused, REFUSED_FOR)
            }
            ScrapeAccess::Unavailable { .. } => return,
        };
        kept.retain(|_, (_, until)| *until > now);
        if kept.len() >= KEPT
            && let Some(first) = kept.iter().min_by_key(|(_, (_, until))| *until).map(|(key, _)| key.clone())
        {
            kept.remove(&first);
        }
        kept.insert(key, (access.clone(), now + lasts));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/metrics";

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_answer_is_kept_for_a_short_time_and_for_its_path() {
        let mut known = KnownAnswers::default();
        known.keep("a", PATH, &ScrapeAccess::Allowed, at(0));
        known.keep("b", PATH, &ScrapeAccess::Unauthenticated, at(0));
        known.keep("c", PATH, &ScrapeAccess::Unavailable { reason: String::new() }, at(0));
        assert_eq!(known.get("a", PATH, at(59)), Some(ScrapeAccess::Allowed));
        assert_eq!(known.get("a", PATH, at(60)), None);
        assert_eq!(known.get("a", "/", at(1)), None);
        assert_eq!(known.get("b", PATH, at(9)), Some(ScrapeAccess::Unauthenticated));
        assert_eq!(known.get("b", PATH, at(10)), None);
        assert_eq!(known.get("c", PATH, at(0)), None, "a server that is back is asked at once");
    }

    #[test]
    fn a_later_answer_replaces_an_earlier_one() {
        let mut known = KnownAnswers::default();
        let forbidden = ScrapeAccess::Forbidden { user: "u".into() };
        known.keep("a", PATH, &ScrapeAccess::Allowed, at(0));
        known.keep("a", PATH, &forbidden, at(1));
        assert_eq!(known.get("a", PATH, at(2)), Some(forbidden));
        known.keep("a", PATH, &ScrapeAccess::Allowed, at(3));
        assert_eq!(known.get("a", PATH, at(4)), Some(ScrapeAccess::Allowed));
    }

    #[test]
    fn invented_tokens_take_no_memory_and_no_place_of_valid_ones() {
        let mut known = KnownAnswers::default();
        known.keep("valid", PATH, &ScrapeAccess::Allowed, at(0));
        for number in 0..10_000 {
            known.keep(&format!("invented {number}"), PATH, &ScrapeAccess::Unauthenticated, at(1));
        }
        assert_eq!(known.refused.len(), KEPT);
        assert_eq!(known.get("valid", PATH, at(2)), Some(ScrapeAccess::Allowed));
    }
}
