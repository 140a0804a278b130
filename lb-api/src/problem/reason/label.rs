//! Labels of reasons for metrics, and their severity.

use super::Reason;
use crate::problem::severity::Severity;

impl Reason {
    /// Returns a fixed word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Read(reason) => reason.label(),
            Self::Bgp(reason) => reason.label(),
            Self::Plan(reason) => reason.label(),
            Self::Duplicate { .. } => "duplicate",
            Self::NameTaken { .. } => "name_taken",
            Self::StaysAsBefore => "stays_as_before",
            Self::NotALabelKey { .. } | Self::NotALabelValue { .. } => "not_a_label",
            Self::NothingNamed { .. } => "nothing_named",
            Self::SelectsNothing { .. } => "selects_nothing",
            Self::OtherNamespace { .. } => "other_namespace",
            Self::UnknownValue { .. } => "unknown_value",
            Self::NoEffect { .. } => "no_effect",
            Self::Excludes { .. } => "excludes",
            Self::OneOf { .. } => "one_of",
            Self::OutOfRange { .. } => "out_of_range",
            Self::NotADuration { .. } => "not_a_duration",
            Self::DuplicateEntry { .. } => "duplicate_entry",
            Self::SelectorWithoutValues => "selector_without_values",
            Self::SelectorWithValues => "selector_with_values",
            Self::InUse { .. } => "in_use",
            Self::UnknownReference { .. } => "unknown_reference",
            Self::NotAnAddress { .. } => "not_an_address",
            Self::NotARange { .. } => "not_a_range",
            Self::NotACidr { .. } => "not_a_cidr",
            Self::NoSourceRange { .. } => "no_source_range",
            Self::SpecialAddress { .. } => "special_address",
            Self::RangeFamilies { .. } => "range_families",
            Self::RangeReversed { .. } => "range_reversed",
            Self::EmptyPool => "empty_pool",
            Self::PoolOverlapsItself { .. } => "pool_overlaps_itself",
            Self::PoolOverlap { .. } => "pool_overlap",
            Self::NoAddress => "no_address",
            Self::NotInPool { .. } => "not_in_pool",
            Self::ReservedAddress { .. } => "reserved_address",
            Self::PoolHoldsReserved { .. } => "pool_holds_reserved",
            Self::NotAdmitted { .. } => "not_admitted",
            Self::NotAllocated => "not_allocated",
            Self::AvoidedAddress { .. } => "avoided_address",
            Self::TooManyAddresses { .. } => "too_many_addresses",
            Self::AddressAskedTwice => "address_asked_twice",
            Self::UnservedProtocol { .. } => "unserved_protocol",
            Self::PortTaken { .. } => "port_taken",
            Self::NoServingEndpoint => "no_serving_endpoint",
            Self::EndpointWithoutNode => "endpoint_without_node",
            Self::EndpointNodeUnknown { .. } => "endpoint_node_unknown",
            Self::NodeWithoutAddress => "node_without_address",
            Self::NodeAddressTaken { .. } => "node_address_taken",
        }
    }

    /// Returns how severe it is.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Read(reason) => reason.severity(),
            Self::Bgp(reason) => reason.severity(),
            Self::Plan(reason) => reason.severity(),
            Self::StaysAsBefore
            | Self::NoEffect { .. }
            | Self::NoAddress
            | Self::PoolHoldsReserved { .. }
            | Self::NotAllocated
            | Self::NoServingEndpoint => Severity::Notice,
            Self::NothingNamed { .. }
            | Self::SelectsNothing { .. }
            | Self::OtherNamespace { .. }
            | Self::NoSourceRange { .. } => Severity::Warning,
            _ => Severity::Error,
        }
    }
}
