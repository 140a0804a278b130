//! Warnings about Services, which are emitted as Events.

use crate::event_reason::EventReason;

/// A warning about a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceWarning {
    /// Namespace of the Service.
    pub namespace: String,
    /// Name of the Service.
    pub service: String,
    /// The reason.
    pub reason: EventReason,
    /// The message.
    pub note: String,
    /// Number of the occurrence: the same warning with another number is another Event.
    pub occurrence: u64,
}
