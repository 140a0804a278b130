//! The decision about a Service's request.

use std::net::IpAddr;

use super::request::IpFamily;
use lb_model::{Owner, PoolName};

/// The decision about a Service's request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AllocationDecision {
    /// Its addresses now.
    pub assignment: Option<Assignment>,
    /// Why its former addresses were released, though it may have got others since.
    pub cleared: Option<AllocationError>,
    /// Why it has no address, or fewer than requested.
    pub refused: Option<AllocationError>,
    /// Whether it has a new address.
    pub is_new: bool,
}

/// Addresses of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// At most one of each family, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// Their pool.
    pub pool: PoolName,
}

/// Why a Service does not get, or does not keep, an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AllocationError {
    /// There is no pool.
    #[error("there is no IPAddressPool; create one")]
    NoPools,
    /// The Service has no cluster address.
    #[error("the Service has no clusterIP yet; the API server assigns it")]
    NoClusterAddress,
    /// RequireDualStack with one cluster address.
    #[error("ipFamilyPolicy RequireDualStack needs two clusterIPs, and the Service has one")]
    NotEnoughClusterAddresses,
    /// An address of a family that the Service does not have.
    #[error("{address} is not of a family of the Service's clusterIPs; request an address of these families")]
    Family {
        /// The address.
        address: IpAddr,
    },
    /// Addresses that do not match its policy.
    #[error(
        "the addresses are not one of each family that ipFamilyPolicy requires; request one of each, or set \
         ipFamilyPolicy SingleStack"
    )]
    Families,
    /// The Service asks for other addresses than it holds.
    #[error("the Service requests other addresses than it had")]
    AsksForOthers,
    /// The Service asks for another pool than it holds addresses of.
    #[error(
        "the Service requests pool {wanted}, but {address} is in pool {pool}; remove one of the annotations"
    )]
    AsksForPool {
        /// The requested pool.
        wanted: String,
        /// The address.
        address: IpAddr,
        /// Its pool.
        pool: PoolName,
    },
    /// No pool has this name.
    #[error("there is no IPAddressPool {pool}; create it, or correct annotation metallb.io/address-pool")]
    UnknownPool {
        /// The requested name.
        pool: String,
    },
    /// No pool contains the address.
    #[error("{address} is in no IPAddressPool; add it to one, or request another")]
    NotInPool {
        /// The address.
        address: IpAddr,
    },
    /// Two addresses from two pools.
    #[error(
        "the addresses are in pools {first} and {second}, but a Service's addresses must come from one pool; request others"
    )]
    TwoPools {
        /// The first address's.
        first: PoolName,
        /// The second address's.
        second: PoolName,
    },
    /// The pool leaves out the address.
    #[error("pool {pool} has avoidBuggyIPs and so leaves out {address}; request another")]
    Avoided {
        /// The address.
        address: IpAddr,
        /// Its pool.
        pool: PoolName,
    },
    /// The address belongs to a Node or BGP peer.
    #[error("{address} of pool {pool} is the address of {owner}, which no Service can have; request another")]
    Reserved {
        /// The address.
        address: IpAddr,
        /// Its pool.
        pool: PoolName,
        /// Its owner.
        owner: Owner,
    },
    /// The pool is reserved for other Services.
    #[error(
        "serviceAllocation of pool {pool} does not admit this Service; change its namespaces and selectors, or request another pool"
    )]
    Forbidden {
        /// The pool.
        pool: PoolName,
    },
    /// Another Service has it, and does not share it with this one.
    #[error(
        "{address} belongs to Service {by}; to share it, set the same metallb.io/allow-shared-ip on both"
    )]
    Taken {
        /// The address.
        address: IpAddr,
        /// That Service.
        by: String,
    },
    /// Another Service has a port of it.
    #[error(
        "{address} port {port}/{protocol} belongs to Service {by}, which shares the address; choose another port"
    )]
    PortTaken {
        /// The address.
        address: IpAddr,
        /// The port.
        port: u16,
        /// Its protocol.
        protocol: String,
        /// That Service.
        by: String,
    },
    /// The pool has no free address.
    #[error("pool {pool} has no free {} address for this Service; extend it", family_words(*family))]
    PoolFull {
        /// The pool.
        pool: PoolName,
        /// The missing family; `None`: both.
        family: Option<IpFamily>,
    },
    /// No usable pool has a free address.
    #[error("no pool that this Service may use has a free {} address; extend one", family_words(*family))]
    AllFull {
        /// The missing family; `None`: both.
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
