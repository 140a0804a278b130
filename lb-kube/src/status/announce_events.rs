//! Events of an agent: that its node has begun to announce a Service.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ObjectReference, Service};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::Value;

use super::desired::Wanted;
use super::diff::Listed;
use crate::rate_limit::Budget;

/// Who tells, by the name that users of MetalLB know.
const REPORTER: &str = "metallb-speaker";
/// Events that are told at once, and a second after that; what is more is not told at all, as late it would be wrong.
const BURST: f64 = 100.0;
const PER_SECOND: f64 = 5.0;

/// Namespace and name of a Service.
type Name = (String, String);

/// Tells of what begins.
pub(super) struct Herald {
    client: Client,
    recorder: Recorder,
    node: String,
    told: Told,
    budget: Budget,
}

/// The Services that are announced, and have been told to be so; `None` before the first look.
#[derive(Debug, Default)]
struct Told(Option<BTreeSet<Name>>);

impl Told {
    /// What has begun to be announced. At the first look, what an agent before this one has left counts as told;
    /// `None` while that is not known.
    fn news(&mut self, announced: BTreeSet<Name>, left: &Listed) -> Option<Vec<Name>> {
        let before = match (self.0.take(), left) {
            (Some(before), _) => before,
            (None, Listed::Awaited) => return None,
            (None, Listed::Undefined) => BTreeSet::new(),
            (None, Listed::Objects(objects)) => {
                objects.values().filter_map(|object| name(&object.status)).collect()
            }
        };
        let news = announced.difference(&before).cloned().collect();
        self.0 = Some(announced);
        Some(news)
    }
}

impl Herald {
    pub(super) fn new(client: Client, node: String) -> Self {
        let reporter = Reporter { controller: REPORTER.to_owned(), instance: Some(node.clone()) };
        let recorder = Recorder::new(client.clone(), reporter);
        Self { client, recorder, node, told: Told::default(), budget: Budget::new(PER_SECOND, BURST) }
    }

    /// Which Events are to be told now, at most as many as may be.
    pub(super) fn news(&mut self, wanted: &Wanted, left: &Listed, now: Duration) -> Vec<Name> {
        let announced = wanted.services().filter_map(|statement| name(&statement.status)).collect();
        let mut news = self.told.news(announced, left).unwrap_or_default();
        let may = self.budget.take(news.len(), now);
        if may < news.len() {
            tracing::info!(events = news.len() - may, "so many Events are not told: too many at once");
        }
        news.truncate(may);
        news
    }

    /// Tells that a Service is announced. An Event that cannot be written is only an Event.
    pub(super) async fn tell(&self, (namespace, name): &Name) {
        let event = Event {
            type_: EventType::Normal,
            reason: "nodeAssigned".to_owned(),
            note: Some(format!("announcing from node {:?} with protocol \"bgp\"", self.node)),
            action: "Announce".to_owned(),
            secondary: None,
        };
        let told = match Api::<Service>::namespaced(self.client.clone(), namespace).get(name).await {
            Ok(service) => self.recorder.publish(&event, &reference(&service)).await,
            Err(error) => Err(error),
        };
        if let Err(error) = told {
            tracing::debug!(namespace, name, %error, "the Event cannot be written");
        }
    }
}

fn name(status: &Value) -> Option<Name> {
    let text = |key: &str| Some(status.get(key)?.as_str()?.to_owned());
    Some((text("serviceNamespace")?, text("serviceName")?))
}

/// With the UID, by which `kubectl describe` finds it.
fn reference(service: &Service) -> ObjectReference {
    ObjectReference { resource_version: service.resource_version(), ..service.object_ref(&()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use super::super::diff::HeldObject;

    fn names(names: &[&str]) -> BTreeSet<Name> {
        names.iter().map(|name| ("shop".to_owned(), (*name).to_owned())).collect()
    }

    fn news(told: &mut Told, announced: &[&str], left: &Listed) -> Option<Vec<String>> {
        let news = told.news(names(announced), left)?;
        Some(news.into_iter().map(|(_, name)| name).collect())
    }

    #[test]
    fn what_begins_is_told_once_and_again_when_it_begins_again() {
        let mut told = Told::default();
        assert_eq!(news(&mut told, &["a"], &Listed::Awaited), None);
        assert_eq!(news(&mut told, &["a"], &Listed::Undefined), Some(vec!["a".to_owned()]));
        assert_eq!(news(&mut told, &["a", "b"], &Listed::Awaited), Some(vec!["b".to_owned()]));
        assert_eq!(news(&mut told, &["b"], &Listed::Undefined), Some(vec![]));
        assert_eq!(news(&mut told, &["a", "b"], &Listed::Undefined), Some(vec!["a".to_owned()]));
    }

    #[test]
    fn what_an_agent_before_this_one_announced_is_no_news() {
        let status = serde_json::json!({"serviceNamespace": "shop", "serviceName": "a"});
        let object = HeldObject { status, ..HeldObject::default() };
        let left = Listed::Objects(BTreeMap::from([("bgp-a".to_owned(), object)]));
        assert_eq!(news(&mut Told::default(), &["a", "b"], &left), Some(vec!["b".to_owned()]));
    }
}
