//! The addresses of a Service.

use std::net::IpAddr;

use super::AddressRule;
use super::candidate::Candidate;
use crate::pool::{Pool, ServiceAllocation};
use lb_api::objects;
use lb_api::problem::{Problem, Reason};

/// Annotations with the requested addresses; the first that exists counts. The second is an old name that is
/// still supported.
const ANNOTATIONS: [&str; 2] = ["metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs"];

/// A field and the address in it.
type Written<'a> = (String, &'a str);

impl<'a> Candidate<'a> {
    /// Returns whether it asks for addresses and holds none.
    pub(super) fn only_asks(&self) -> bool {
        held(self.written).is_empty()
    }

    /// Returns the Service's valid addresses, in their written order.
    pub(super) fn addresses(&mut self) -> Vec<IpAddr> {
        let held = held(self.written);
        let asks = held.is_empty();
        let written = if asks { self.asked() } else { held };
        let mut addresses = Vec::new();
        for (field, text) in written {
            match self.address(text, asks) {
                Ok(address) if addresses.contains(&address) => {}
                Ok(address) => addresses.push(address),
                Err(reason) => self.refuse(field, reason),
            }
        }
        addresses
    }

    /// Returns the addresses that it asks for, if requests count.
    fn asked(&mut self) -> Vec<Written<'a>> {
        if self.context.addresses == AddressRule::Held {
            self.problems.push(Problem::of(self.object, Reason::NotAllocated));
            return Vec::new();
        }
        let Some((field, text)) = request(self.written) else {
            self.problems.push(Problem::of(self.object, Reason::NoAddress));
            return Vec::new();
        };
        let entries: Vec<&str> = text.split(',').map(str::trim).collect();
        let of_family =
            |v4| entries.iter().filter(|e| e.parse().is_ok_and(|a: IpAddr| a.is_ipv4() == v4)).count();
        if entries.len() > 2 || of_family(true) > 1 || of_family(false) > 1 {
            self.refuse(field, Reason::TooManyAddresses { written: text.to_owned() });
            return Vec::new();
        }
        entries.into_iter().map(|entry| (field.clone(), entry)).collect()
    }

    fn address(&self, written: &str, asks: bool) -> Result<IpAddr, Reason> {
        let address: IpAddr =
            written.parse().map_err(|_| Reason::NotAnAddress { written: written.to_owned() })?;
        let (name, pool) = self.context.pools.of(address).ok_or(Reason::NotInPool { address })?;
        if pool.avoids(address) {
            return Err(Reason::AvoidedAddress { address, pool: name.to_string() });
        }
        if let Some(owner) = self.context.pools.reserved().owner(address) {
            let (pool, owner) = (name.to_string(), owner.to_string());
            return Err(Reason::ReservedAddress { address, pool, owner });
        }
        // A Service that holds an address has been admitted by a controller that knows all namespaces.
        if asks && !self.is_admitted(pool) {
            return Err(Reason::NotAdmitted { address, pool: name.to_string() });
        }
        Ok(address)
    }

    fn is_admitted(&self, pool: &Pool) -> bool {
        let namespace = self.object.value.namespace().unwrap_or_default();
        let labels = &self.written.metadata.labels;
        let admits = |rule: &ServiceAllocation| rule.admits(namespace, self.context.namespaces, labels);
        pool.allocation.as_ref().is_none_or(admits)
    }
}

/// Returns the addresses in the Service's status.
fn held(service: &objects::Service) -> Vec<Written<'_>> {
    let ingress = service.status.load_balancer.ingress.iter().enumerate();
    ingress
        .filter_map(|(i, entry)| Some((format!("status.loadBalancer.ingress[{i}].ip"), entry.ip.as_deref()?)))
        .filter(|(_, ip)| !ip.is_empty())
        .collect()
}

/// Returns the addresses that the Service asks for.
fn request(service: &objects::Service) -> Option<Written<'_>> {
    let annotation = |key: &&str| {
        let value = service.metadata.annotations.get(*key)?;
        Some((format!("metadata.annotations[{key}]"), value.as_str()))
    };
    let field = || Some(("spec.loadBalancerIP".to_owned(), service.spec.load_balancer_ip.as_deref()?));
    ANNOTATIONS.iter().find_map(annotation).or_else(field).filter(|(_, text)| !text.trim().is_empty())
}
