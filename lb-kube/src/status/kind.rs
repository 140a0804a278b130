//! The kinds of status objects.

use kube::api::ApiResource;
use lb_api::kind::ObjectKind;

use crate::resource::resource;

/// A kind of status object. Objects are written in this order: there may be thousands of the last two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StatusKind {
    /// Whether the load balancer's configuration is valid.
    Configuration,
    /// The state of a node's session with a BGP peer.
    Session,
    /// The interfaces on which a node announces a Service.
    ServiceL2,
    /// The BGP peers to which a node advertises a Service.
    ServiceBgp,
}

/// The label of our objects: those of a MetalLB on the same node are left alone.
const OWNER_LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "fairlead");

impl StatusKind {
    /// All kinds.
    pub(super) const ALL: [Self; 4] = [Self::Configuration, Self::Session, Self::ServiceL2, Self::ServiceBgp];

    const fn object_kind(self) -> ObjectKind {
        match self {
            Self::Configuration => ObjectKind::CONFIGURATION_STATE,
            Self::Session => ObjectKind::BGP_SESSION_STATE,
            Self::ServiceL2 => ObjectKind::SERVICE_L2_STATUS,
            Self::ServiceBgp => ObjectKind::SERVICE_BGP_STATUS,
        }
    }

    /// Returns the kind's name.
    pub(super) const fn name(self) -> &'static str {
        self.object_kind().name
    }

    /// Returns the label that names the node of an object.
    pub(super) const fn node_label(self) -> &'static str {
        match self {
            Self::Configuration => "metallb.io/node-name",
            Self::Session => "frrk8s.metallb.io/node",
            Self::ServiceL2 | Self::ServiceBgp => "metallb.io/node",
        }
    }

    /// Returns the kind as kube-rs describes it.
    pub(super) fn resource(self) -> ApiResource {
        resource(self.object_kind())
    }

    /// Returns the label that marks an object as ours, and its value.
    pub(super) const fn owner_label(self) -> (&'static str, &'static str) {
        OWNER_LABEL
    }
}
