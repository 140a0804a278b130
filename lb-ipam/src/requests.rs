//! The requests of Services, read from their objects.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::ServiceChange;
use super::request::{FamilyPolicy, IpFamily, Request, Sharing};
use lb_api::objects::{self, Object, Sourced};
use lb_api::problem::{Problem, Reason};
use lb_model::{Namespaces, ServiceName};

/// Prefixes of annotations; the first that exists counts. The second is an old one that is still supported.
const PREFIXES: [&str; 2] = ["metallb.io/", "metallb.universe.tf/"];

/// The requests of all Services of a load-balancer class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceRequests {
    /// By Service.
    pub requests: BTreeMap<ServiceName, Request>,
    /// Labels of namespaces.
    pub namespaces: Namespaces,
    /// Services with annotations that have the old prefix.
    pub deprecated: BTreeMap<ServiceName, BTreeSet<&'static str>>,
    /// Problems of the objects. A Service with an invalid request gets nothing new until it is corrected: it
    /// is not among the requests, unless it holds addresses.
    pub problems: Vec<Problem>,
}

/// Reads the requests of the Services of a class; `None` reads those without one.
pub fn requests<O: Borrow<Sourced<Object>>>(objects: &[O], class: Option<&str>) -> ServiceRequests {
    let mut requests = ServiceRequests::default();
    for object in objects.iter().map(O::borrow) {
        match &object.value {
            Object::Namespace(namespace) => {
                let metadata = &namespace.metadata;
                requests.namespaces.insert(metadata.name.clone(), metadata.labels.clone());
            }
            Object::Service(service) if is_ours(service, class) => requests.take(object, service),
            _ => {}
        }
    }
    requests
}

fn is_ours(service: &objects::Service, class: Option<&str>) -> bool {
    let spec = &service.spec;
    spec.r#type.as_deref() == Some("LoadBalancer") && spec.load_balancer_class.as_deref() == class
}

impl ServiceRequests {
    fn take(&mut self, object: &Sourced<Object>, written: &objects::Service) {
        let name = ServiceName {
            namespace: object.value.namespace().unwrap_or_default().to_owned(),
            name: written.metadata.name.clone(),
        };
        let mut reader = RequestReader { object, written, deprecated: BTreeSet::new(), problems: Vec::new() };
        let request = reader.request();
        if !reader.deprecated.is_empty() {
            self.deprecated.insert(name.clone(), reader.deprecated);
        }
        let is_sound = reader.problems.is_empty();
        self.problems.append(&mut reader.problems);
        if is_sound {
            self.requests.insert(name, request);
        } else if !request.held.is_empty() {
            // Last-known-good: it requests what it holds.
            self.requests.insert(name, Request { addresses: Vec::new(), pool: None, ..request });
        }
    }
}

struct RequestReader<'a> {
    object: &'a Sourced<Object>,
    written: &'a objects::Service,
    deprecated: BTreeSet<&'static str>,
    problems: Vec<Problem>,
}

impl RequestReader<'_> {
    fn request(&mut self) -> Request {
        let metadata = &self.written.metadata;
        let ports = self.written.spec.ports.iter();
        let protocol =
            |port: &objects::ServicePort| port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
        Request {
            created: metadata.creation_timestamp.clone().unwrap_or_default(),
            labels: metadata.labels.clone(),
            families: self.families(),
            policy: self.policy(),
            addresses: self.addresses(),
            pool: self.annotation("address-pool").map(|(_, pool)| pool.to_owned()),
            sharing: Sharing {
                key: self.annotation("allow-shared-ip").map(|(_, key)| key.to_owned()),
                ports: ports.map(|port| (protocol(port), port.port.get())).collect(),
            },
            held: self.held(),
            last: self.last(),
        }
    }

    /// Returns a non-empty annotation: its full key and its value.
    fn annotation(&mut self, key: &'static str) -> Option<(String, &str)> {
        let annotations = &self.written.metadata.annotations;
        let found = PREFIXES.iter().find_map(|prefix| {
            let whole = format!("{prefix}{key}");
            let value = annotations.get(&whole)?.trim();
            Some((*prefix, whole, value))
        });
        let (prefix, whole, value) = found.filter(|(_, _, value)| !value.is_empty())?;
        if prefix != PREFIXES[0] {
            self.deprecated.insert(key);
        }
        Some((whole, value))
    }

    fn families(&self) -> Vec<IpFamily> {
        let addresses = self.written.spec.cluster_ips.iter().filter_map(|written| written.parse().ok());
        addresses.map(IpFamily::of).collect()
    }

    fn policy(&mut self) -> FamilyPolicy {
        match self.written.spec.ip_family_policy.as_deref() {
            None | Some("" | "SingleStack") => FamilyPolicy::Single,
            Some("PreferDualStack") => FamilyPolicy::Prefer,
            Some("RequireDualStack") => FamilyPolicy::Require,
            Some(written) => {
                let allowed = "SingleStack, PreferDualStack, RequireDualStack";
                let reason = Reason::UnknownValue { written: written.to_owned(), allowed };
                self.problems.push(Problem::at(self.object, "spec.ipFamilyPolicy", reason));
                FamilyPolicy::Single
            }
        }
    }

    fn addresses(&mut self) -> Vec<IpAddr> {
        let field = self.written.spec.load_balancer_ip.as_deref().map(str::trim).filter(|ip| !ip.is_empty());
        let annotation = self
            .annotation("loadBalancerIPs")
            .map(|(key, list)| (format!("metadata.annotations[{key}]"), list.to_owned()));
        match (field, annotation) {
            (None, None) => Vec::new(),
            (Some(ip), None) => self.parse("spec.loadBalancerIP", ip),
            (None, Some((at, list))) => self.parse(&at, &list),
            (Some(_), Some((at, _))) => {
                self.problems.push(Problem::at(self.object, at, Reason::AddressAskedTwice));
                Vec::new()
            }
        }
    }

    /// Parses at most one address of each family.
    fn parse(&mut self, field: &str, list: &str) -> Vec<IpAddr> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        for entry in list.split(',').map(str::trim) {
            match entry.parse::<IpAddr>() {
                Ok(address) if addresses.iter().any(|other| other.is_ipv4() == address.is_ipv4()) => {
                    let reason = Reason::TooManyAddresses { written: list.to_owned() };
                    self.problems.push(Problem::at(self.object, field, reason));
                    return Vec::new();
                }
                Ok(address) => addresses.push(address),
                Err(_) => {
                    let reason = Reason::NotAnAddress { written: entry.to_owned() };
                    self.problems.push(Problem::at(self.object, field, reason));
                    return Vec::new();
                }
            }
        }
        addresses
    }

    /// An invalid annotation only loses history.
    fn last(&self) -> Vec<IpAddr> {
        let list = self.written.metadata.annotations.get(ServiceChange::LAST_ADDRESSES);
        list.into_iter().flat_map(|list| list.split(',')).filter_map(|it| it.trim().parse().ok()).collect()
    }

    fn held(&self) -> Vec<IpAddr> {
        let ingress = self.written.status.load_balancer.ingress.iter();
        ingress.filter_map(|entry| entry.ip.as_deref()?.parse().ok()).collect()
    }
}
