//! Names, each with its own type so that they cannot be confused.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use lb_common::wire::ip;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use lb_api::kind::ObjectKind;
use lb_api::objects::{Object, Sourced};
use lb_api::problem::ObjectRef;

/// Name of a Node. Cheap to clone: every ring lists every node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

impl NodeName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the reference that problems use.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::new(ObjectKind::NODE, None, self.as_str())
    }
}

impl From<&str> for NodeName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

/// For lookups by name without allocating one.
impl Borrow<str> for NodeName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for NodeName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NodeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self(name.into()))
    }
}

/// Namespace and name of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ServiceName {
    /// Returns the name of an object that is a Service.
    pub(super) fn of(service: &Sourced<Object>) -> Self {
        let namespace = service.value.namespace().unwrap_or_default().to_owned();
        Self { namespace, name: service.value.metadata().name.clone() }
    }

    /// Returns the reference that problems use.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::new(ObjectKind::SERVICE, Some(&self.namespace), &self.name)
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Namespace and name of a pool.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PoolName {
    /// Namespace.
    pub namespace: String,
    /// Name, as advertisements refer to it.
    pub name: String,
}

impl PoolName {
    /// Returns the reference that problems use.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::new(ObjectKind::IP_ADDRESS_POOL, Some(&self.namespace), &self.name)
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A supported protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Parses an object's field; an absent one is TCP. `None` if the protocol is not supported.
    pub fn parse(written: Option<&str>) -> Option<Self> {
        match written {
            None | Some("TCP") => Some(Self::Tcp),
            Some("UDP") => Some(Self::Udp),
            Some("SCTP") => Some(Self::Sctp),
            Some(_) => None,
        }
    }

    /// Returns its number in an IP header.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => ip::protocol::TCP,
            Self::Udp => ip::protocol::UDP,
            Self::Sctp => ip::protocol::SCTP,
        }
    }

    /// Returns its name in an object.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }
}
