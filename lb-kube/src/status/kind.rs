//! Kinds of status objects.

use kube::api::ApiResource;
use lb_api::kind::ObjectKind;

use crate::resource::resource;

/// A kind of status object. They are written in this order: of the last there may be thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Whether what configures the load balancer is right.
    Configuration,
    /// How a node's session with a router stands.
    Session,
    /// Whom a node tells of a Service.
    ServiceBgp,
}

/// Says in an object whose it is: where MetalLB runs on the same node, its objects are left alone.
const OWNER_LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "fairlead");

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Configuration, Self::Session, Self::ServiceBgp];

    /// The kind of its objects.
    const fn object_kind(self) -> ObjectKind {
        match self {
            Self::Configuration => ObjectKind::CONFIGURATION_STATE,
            Self::Session => ObjectKind::BGP_SESSION_STATE,
            Self::ServiceBgp => ObjectKind::SERVICE_BGP_STATUS,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.object_kind().name
    }

    /// The label that says which node an object is of.
    pub const fn node_label(self) -> &'static str {
        match self {
            Self::Configuration => "metallb.io/node-name",
            Self::Session => "frrk8s.metallb.io/node",
            Self::ServiceBgp => "metallb.io/node",
        }
    }

    /// The same, as the client names it.
    pub fn resource(self) -> ApiResource {
        resource(self.object_kind())
    }

    pub(super) const fn owner_label(self) -> (&'static str, &'static str) {
        OWNER_LABEL
    }
}
