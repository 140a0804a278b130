//! What came of a Service's wish.

use std::net::IpAddr;

use super::request::IpFamily;
use lb_model::{Owner, PoolName};

/// What came of a Service's wish.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// What it has now.
    pub assignment: Option<Assignment>,
    /// Why what it held was taken from it, though it may have got another since.
    pub cleared: Option<AllocationError>,
    /// Why it has nothing, or less than it asked for.
    pub refused: Option<AllocationError>,
    /// Whether it has an address that it did not hold before.
    pub is_news: bool,
}

/// Addresses of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// At most one of each family, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// The pool that they are of.
    pub pool: PoolName,
}

/// Why a Service does not get, or does not keep, an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocationError {
    /// There are no pools.
    #[error("there is no IPAddressPool; make one")]
    NoPools,
    /// The Service has no cluster address.
    #[error("the Service has no clusterIP yet")]
    NoClusterAddress,
    /// RequireDualStack with one cluster address.
    #[error("RequireDualStack needs two clusterIPs, and the Service has one")]
    NotEnoughClusterAddresses,
    /// An address of a family that the Service is not of.
    #[error("{address} is not of a family of the Service's clusterIPs")]
    Family {
        /// The address.
        address: IpAddr,
    },
    /// Not the addresses that its policy asks for.
    #[error(
        "the addresses are not one of each family that ipFamilyPolicy asks for; ask for one of each, or set \
         ipFamilyPolicy SingleStack"
    )]
    Families,
    /// The Service asks for other addresses than it holds.
    #[error("the Service asks for other addresses than it had")]
    AsksForOthers,
    /// The Service asks for another pool than it holds addresses of.
    #[error("the Service asks for pool {wanted}, and {address} is of pool {pool}")]
    AsksForPool {
        /// The pool that it asks for.
        wanted: String,
        /// The address.
        address: IpAddr,
        /// Its pool.
        pool: PoolName,
    },
    /// No pool has this name.
    #[error("there is no IPAddressPool {pool}; make it, or correct annotation metallb.io/address-pool")]
    UnknownPool {
        /// As asked for.
        pool: String,
    },
    /// The address is in no pool.
    #[error("{address} is in no IPAddressPool; add it to one, or ask for another")]
    NotInPool {
        /// The address.
        address: IpAddr,
    },
    /// Two addresses of two pools.
    #[error("the addresses are of pools {first} and {second}; a Service's addresses come from one pool")]
    TwoPools {
        /// Of the first address.
        first: PoolName,
        /// Of the second.
        second: PoolName,
    },
    /// The pool leaves the address out.
    #[error("pool {pool} has avoidBuggyIPs and so leaves out {address}")]
    Avoided {
        /// The address.
        address: IpAddr,
        /// Its pool.
        pool: PoolName,
    },
    /// The address is that of a Node or BGP peer.
    #[error("{address} of pool {pool} is the address of {owner}, which no Service can have; ask for another")]
    Reserved {
        /// The address.
        address: IpAddr,
        /// Its pool.
        pool: PoolName,
        /// Whose it is.
        owner: Owner,
    },
    /// The pool is for others.
    #[error("serviceAllocation of pool {pool} does not take this Service: see its namespaces and selectors")]
    Forbidden {
        /// The pool.
        pool: PoolName,
    },
    /// Another has it, and does not share with this one.
    #[error("{address} belongs to Service {by}; both need the same metallb.io/allow-shared-ip to share it")]
    Taken {
        /// The address.
        address: IpAddr,
        /// Who has it.
        by: String,
    },
    /// Another has a port of it.
    #[error("{address} port {port}/{protocol} belongs to Service {by}, which shares the address")]
    PortTaken {
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
        /// Its protocol.
        protocol: String,
        /// Who has it.
        by: String,
    },
    /// Nothing free in the pool.
    #[error("pool {pool} has no free {} address for this Service", family_words(*family))]
    PoolFull {
        /// The pool.
        pool: PoolName,
        /// Of this family, or of both together.
        family: Option<IpFamily>,
    },
    /// Nothing free in any pool that the Service may use.
    #[error("no pool that this Service may use has a free {} address", family_words(*family))]
    AllFull {
        /// Of this family, or of both together.
        family: Option<IpFamily>,
    },
}

fn family_words(family: Option<IpFamily>) -> &'static str {
    match family {
        Some(IpFamily::V4) => "IPv4",
        Some(IpFamily::V6) => "IPv6",
        None => "IPv4 and IPv6",
    }
}

impl AllocationError {
    /// The reason of the Event that says so, which is MetalLB's word.
    pub fn event_reason(&self) -> &'static str {
        match self {
            Self::NotEnoughClusterAddresses => "not enough clusterips",
            Self::NoClusterAddress => "noclusterIPsIPFamily",
            Self::Family { .. } | Self::Families => "nolbIPsIPFamily",
            _ => "AllocationFailed",
        }
    }
}
