//! What an operator asks about, found among the objects.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lb_api::objects::{self, Object, Sourced};
use lb_model::{Model, Protocol, ServiceName};
use lb_plan::contents::VipKey;

/// What an operator asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyTarget {
    /// A Service by its name, with its namespace if that is given.
    Service {
        /// The namespace.
        namespace: Option<String>,
        /// The name.
        name: String,
    },
    /// An address of a Service, or one of its ports.
    TargetVip {
        /// The address.
        address: IpAddr,
        /// The port.
        port: Option<u16>,
        /// The protocol of the port.
        protocol: Option<Protocol>,
    },
}

/// A port of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetVip {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

impl TargetVip {
    /// Returns its key in the maps.
    pub fn key(&self) -> VipKey {
        VipKey { address: self.address, port: self.port, protocol: self.protocol.number() }
    }
}

/// The Service that is asked about, and its VIPs.
#[derive(Clone, Debug, PartialEq)]
pub struct WhySubject {
    /// Its name.
    pub service: ServiceName,
    /// Its object.
    pub object: Arc<Sourced<Object>>,
    /// Its VIPs, or those that are asked about. Without an address, none.
    pub vips: Vec<TargetVip>,
}

impl WhyTarget {
    /// Parses `name`, `namespace/name`, `address`, `address:port` or `address:port/protocol`.
    pub fn parse(text: &str) -> Self {
        let (place, protocol) = match text.rsplit_once('/') {
            Some((place, word)) => (place, Protocol::parse(Some(&word.to_uppercase()))),
            None => (text, None),
        };
        let place = if protocol.is_some() { place } else { text };
        if let Ok(endpoint) = place.parse::<SocketAddr>() {
            return Self::TargetVip { address: endpoint.ip(), port: Some(endpoint.port()), protocol };
        }
        if let Ok(address) = place.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Self::TargetVip { address, port: None, protocol };
        }
        match text.split_once('/') {
            Some((namespace, name)) => {
                Self::Service { namespace: Some(namespace.to_owned()), name: name.to_owned() }
            }
            None => Self::Service { namespace: None, name: text.to_owned() },
        }
    }

    /// Finds the Service among the objects; `None` if there is none. Of several Services with one name, that
    /// of namespace `default` is meant, else the first.
    pub fn find(&self, objects: &[Arc<Sourced<Object>>], model: &Model) -> Option<WhySubject> {
        match self {
            Self::Service { namespace, name } => {
                let is_it = |object: &&Arc<Sourced<Object>>| {
                    object.value.metadata().name == *name
                        && namespace.as_deref().is_none_or(|it| object.value.namespace() == Some(it))
                };
                let named: Vec<_> = services(objects).filter(is_it).collect();
                let is_default = |object: &&Arc<Sourced<Object>>| object.value.namespace() == Some("default");
                let object = named.iter().copied().find(is_default).or(named.first().copied())?;
                Some(subject(object, model, |_| true))
            }
            Self::TargetVip { address, port, protocol } => {
                let is_asked = |vip: &TargetVip| {
                    vip.address == *address
                        && port.is_none_or(|port| port == vip.port)
                        && protocol.is_none_or(|protocol| protocol == vip.protocol)
                };
                let mut found = None;
                for object in services(objects) {
                    let one = subject(object, model, is_asked);
                    if !one.vips.is_empty() {
                        let is_served = model.services.contains_key(&one.service);
                        found = Some(one).filter(|_| found.is_none() || is_served).or(found);
                    }
                }
                found
            }
        }
    }
}

fn services(objects: &[Arc<Sourced<Object>>]) -> impl Iterator<Item = &Arc<Sourced<Object>>> {
    objects.iter().filter(|object| matches!(object.value, Object::Service(_)))
}

fn subject(
    object: &Arc<Sourced<Object>>,
    model: &Model,
    is_asked: impl Fn(&TargetVip) -> bool,
) -> WhySubject {
    let service = ServiceName {
        namespace: object.value.namespace().unwrap_or_default().to_owned(),
        name: object.value.metadata().name.clone(),
    };
    let mut vips: Vec<TargetVip> = match (model.services.get(&service), &object.value) {
        (Some(valid), _) => valid.vips.iter().map(TargetVip::from).collect(),
        (None, Object::Service(written)) => written_vips(written),
        (None, _) => Vec::new(),
    };
    vips.retain(is_asked);
    WhySubject { service, object: Arc::clone(object), vips }
}

/// Returns the VIPs of a Service that is not served.
fn written_vips(written: &objects::Service) -> Vec<TargetVip> {
    let ingress = written.status.load_balancer.ingress.iter();
    let addresses = ingress.filter_map(|it| it.ip.as_ref()?.parse().ok());
    let ports = || {
        let port =
            |it: &objects::ServicePort| Some((it.port.get(), Protocol::parse(it.protocol.as_deref())?));
        written.spec.ports.iter().filter_map(port)
    };
    addresses
        .flat_map(|address| ports().map(move |(port, protocol)| TargetVip { address, port, protocol }))
        .collect()
}

impl From<&lb_model::ServiceVip> for TargetVip {
    fn from(vip: &lb_model::ServiceVip) -> Self {
        Self { address: vip.address, port: vip.port, protocol: vip.protocol }
    }
}

impl fmt::Display for TargetVip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", SocketAddr::new(self.address, self.port), self.protocol.name())
    }
}

impl fmt::Display for WhyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service { namespace: Some(namespace), name } => write!(f, "{namespace}/{name}"),
            Self::Service { namespace: None, name } => f.write_str(name),
            Self::TargetVip { address, port: Some(port), .. } => {
                write!(f, "{}", SocketAddr::new(*address, *port))
            }
            Self::TargetVip { address, port: None, .. } => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_service_or_a_vip() {
        let vip = |address: &str, port, protocol| WhyTarget::TargetVip {
            address: address.parse().unwrap(),
            port,
            protocol,
        };
        let service = |namespace: Option<&str>, name: &str| WhyTarget::Service {
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        };
        for (text, expected) in [
            ("web", service(None, "web")),
            ("shop/web", service(Some("shop"), "web")),
            ("192.0.2.1", vip("192.0.2.1", None, None)),
            ("192.0.2.1:80", vip("192.0.2.1", Some(80), None)),
            ("192.0.2.1:53/udp", vip("192.0.2.1", Some(53), Some(Protocol::Udp))),
            ("2001:db8::1", vip("2001:db8::1", None, None)),
            ("[2001:db8::1]:80/tcp", vip("2001:db8::1", Some(80), Some(Protocol::Tcp))),
        ] {
            assert_eq!(WhyTarget::parse(text), expected, "{text}");
        }
    }
}
