//! Reasons as metrics name them, and how much they matter.

use super::Reason;
use crate::problem::Severity;

impl Reason {
    /// A fixed word for a metric.
    pub fn label(&self) -> &'static str {
        match self {
            Self::BadDocument { .. } => "bad_document",
            Self::BadField { .. } => "bad_field",
            Self::MoreDocuments { .. } => "more_documents",
            Self::UnreadableFile { .. } => "unreadable_file",
            Self::UnreadableDirectory { .. } => "unreadable_directory",
            Self::TooManyFiles { .. } => "too_many_files",
            Self::NoKind => "no_kind",
            Self::UnknownKind { .. } => "unknown_kind",
            Self::Duplicate { .. } => "duplicate",
            Self::NameTaken { .. } => "name_taken",
            Self::StaysAsBefore => "stays_as_before",
            Self::RouterTaken { .. } => "router_taken",
            Self::NotALabelKey { .. } | Self::NotALabelValue { .. } => "not_a_label",
            Self::OtherNamespace { .. } => "other_namespace",
            Self::NothingNamed { .. } => "nothing_named",
            Self::SelectsNothing { .. } => "selects_nothing",
            Self::UnknownValue { .. } => "unknown_value",
            Self::NoEffect { .. } => "no_effect",
            Self::NoSuchField { .. } | Self::MoreFields { .. } => "no_such_field",
            Self::UnknownAnnotation { .. } => "unknown_annotation",
            Self::Excludes { .. } => "excludes",
            Self::OneOf { .. } => "one_of",
            Self::OutOfRange { .. } => "out_of_range",
            Self::NotADuration { .. } => "not_a_duration",
            Self::DuplicateEntry { .. } => "duplicate_entry",
            Self::SelectorWithoutValues => "selector_without_values",
            Self::SelectorWithValues => "selector_with_values",
            Self::InUse { .. } => "in_use",
            Self::UnknownReference { .. } => "unknown_reference",
            Self::NotACommunity { .. } => "not_a_community",
            Self::UnknownCommunity { .. } | Self::WellKnownCommunity { .. } => "unknown_community",
            Self::MultihopInternal => "multihop_internal",
            Self::SourceFamily { .. } => "source_family",
            Self::NotASecretName => "not_a_secret_name",
            Self::PasswordLineBreak => "password_line_break",
            Self::PasswordLength => "password_length",
            Self::SecretType { .. } => "secret_type",
            Self::SecretWithout { .. } => "secret_without",
            Self::AggregationTooShort { .. } => "aggregation_too_short",
            Self::SelectorsWithAggregation => "selectors_with_aggregation",
            Self::LocalPrefConflict { .. } => "local_pref_conflict",
            Self::NotAnAddress { .. } => "not_an_address",
            Self::NotARange { .. } => "not_a_range",
            Self::NotACidr { .. } => "not_a_cidr",
            Self::NoSourceRange { .. } => "no_source_range",
            Self::OwnAddress => "own_address",
            Self::SpecialAddress { .. } | Self::LinkLocalWithoutInterface { .. } => "special_address",
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
            Self::NoSuchUplink => "no_such_uplink",
            Self::NoNeighborDiscovery { .. } => "no_neighbor_discovery",
            Self::AllNodesExcluded => "all_nodes_excluded",
            Self::EndpointsExcluded => "endpoints_excluded",
            Self::NodeWithoutAddress => "node_without_address",
            Self::NodeAddressTaken { .. } => "node_address_taken",
            Self::NodeIdentityTaken { .. } => "node_identity_taken",
            Self::OwnNodeUnknown { .. } => "own_node_unknown",
            Self::NotOnLink { .. } => "not_on_link",
            Self::NotAnUplink { .. } => "not_an_uplink",
            Self::WayFamilies { .. } => "way_families",
            Self::MapFull { .. } => "map_full",
            Self::SourcesFull { .. } => "sources_full",
            Self::NoRingSpace { .. } => "no_ring_space",
        }
    }

    /// Whether somebody must act.
    pub fn severity(&self) -> Severity {
        match self {
            Self::NoAddress
            | Self::NotAllocated
            | Self::NoServingEndpoint
            | Self::StaysAsBefore
            | Self::NoEffect { .. }
            | Self::PoolHoldsReserved { .. }
            | Self::NoNeighborDiscovery { .. }
            | Self::AllNodesExcluded
            | Self::EndpointsExcluded
            | Self::OwnAddress => Severity::Notice,
            Self::NoSuchField { .. }
            | Self::MoreFields { .. }
            | Self::UnknownAnnotation { .. }
            | Self::OtherNamespace { .. }
            | Self::NoSourceRange { .. }
            | Self::NothingNamed { .. }
            | Self::SelectsNothing { .. } => Severity::Warning,
            _ => Severity::Error,
        }
    }
}
