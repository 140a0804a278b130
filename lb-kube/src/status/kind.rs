//! Kinds of status objects.

use kube::api::ApiResource;

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

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "ConfigurationState",
            Self::Session => "BGPSessionState",
            Self::ServiceBgp => "ServiceBGPStatus",
        }
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
        let (group, plural) = match self {
            Self::Configuration => ("metallb.io", "configurationstates"),
            Self::Session => ("frrk8s.metallb.io", "bgpsessionstates"),
            Self::ServiceBgp => ("metallb.io", "servicebgpstatuses"),
        };
        ApiResource {
            group: group.to_owned(),
            version: "v1beta1".to_owned(),
            api_version: format!("{group}/v1beta1"),
            kind: self.name().to_owned(),
            plural: plural.to_owned(),
        }
    }

    pub(super) const fn owner_label(self) -> (&'static str, &'static str) {
        OWNER_LABEL
    }
}
