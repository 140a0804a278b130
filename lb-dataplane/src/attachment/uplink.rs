//! An uplink as the attachment manages it.

use super::links::HeldLink;
use crate::attach::{AttachError, AttachMode};

/// An uplink with its interface, its link and its last error.
pub(super) struct Uplink {
    /// The name that the configuration gives.
    pub(super) name: String,
    pub(super) link: Option<HeldLink>,
    /// Index and name of its current interface.
    pub(super) interface: Option<(u32, String)>,
    pub(super) mode: AttachMode,
    pub(super) error: Option<AttachError>,
}

impl Uplink {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), link: None, interface: None, mode: AttachMode::Off, error: None }
    }
}
