//! The reasons of Events and the conditions of status objects: one table, from which the reference page is
//! generated.

/// A condition of a ConfigurationState.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusCondition {
    /// Its type.
    pub name: &'static str,
    /// What is valid if it is true.
    pub meaning: &'static str,
}

/// The reason of a condition that is true.
pub const VALID: &str = "Reconciled";
/// The reason of a condition that is false.
pub const INVALID: &str = EventReason::ConfigurationError.as_str();

/// All objects except pools.
pub const CONFIG_VALID: StatusCondition = StatusCondition {
    name: "configReconcilerValid",
    meaning: "BGPPeers, BFDProfiles, advertisements, Communities and their Secrets are valid",
};
/// The pools.
pub const POOLS_VALID: StatusCondition =
    StatusCondition { name: "poolReconcilerValid", meaning: "IPAddressPools are valid" };

/// Defines the reasons, each with its text, object and type.
macro_rules! reasons {
    ($($(#[doc = $meaning:literal])* $name:ident = $text:literal, $object:literal, $is_warning:literal;)*) => {
        /// The reason of an Event. Where MetalLB emits the same Event, it has MetalLB's reason.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum EventReason { $($(#[doc = $meaning])* $name,)* }

        impl EventReason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the text in the Event.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Returns whether a user has to act: the type of the Event is `Warning`, not `Normal`.
            pub const fn is_warning(self) -> bool {
                match self { $(Self::$name => $is_warning,)* }
            }

            /// Returns the kind of the object that the Event is about.
            pub const fn object(self) -> &'static str {
                match self { $(Self::$name => $object,)* }
            }

            /// Returns its meaning, for the reference page.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($meaning),*),)* }
            }
        }
    };
}

reasons! {
    /// The controller assigned the addresses.
    IpAllocated = "IPAllocated", "Service", false;
    /// The controller removed the addresses; the note says why.
    ClearAssignment = "ClearAssignment", "Service", false;
    /// The Service has an address, but no second one of the other family.
    AdditionalAssignFailed = "AdditionalAssignFailed", "Service", false;
    /// The Service gets no address; the note says why.
    AllocationFailed = "AllocationFailed", "Service", true;
    /// The Service gets no address, because it requires two families and has a cluster address of one only.
    NotEnoughClusterAddresses = "not enough clusterips", "Service", true;
    /// The Service gets no address, because it has no cluster address.
    NoClusterAddress = "noclusterIPsIPFamily", "Service", true;
    /// The Service gets no address, because it requests one of a family that it does not have.
    NoAddressOfFamily = "nolbIPsIPFamily", "Service", true;
    /// The Service has an annotation with a deprecated prefix.
    DeprecatedAnnotation = "deprecatedAnnotation", "Service", true;
    /// The Service is invalid and not served; the note says why.
    LoadBalancerFailed = "LoadBalancerFailed", "Service", true;
    /// A node begins to advertise the Service by BGP, or to announce it on the local network; the note names
    /// node and protocol.
    NodeAssigned = "nodeAssigned", "Service", false;
    /// The node that should announce the Service has no interface for it; the note names node and address.
    AnnounceFailed = "announceFailed", "Service", true;
    /// A host outside the cluster claims an address of the Service; the note names its MAC address and what
    /// to do.
    AddressConflict = "addressConflict", "Service", true;
    /// The object is invalid; its last valid version stays in use.
    ConfigurationError = "ConfigurationError", "metallb.io", true;
}
