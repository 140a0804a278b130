//! The preview of an uplink.

use lb_dataplane::attach::{AttachMode, DesiredMode};
use lb_dataplane::net::link::Device;
use lb_dataplane::net::uplink_path::choice;
use lb_dataplane::traces::OwnPrograms;
use serde::Serialize;

/// An uplink, and what the agent would do with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UplinkPreview {
    /// The interface.
    pub interface: String,
    /// The mode in which the program would run; `None` if the driver decides.
    pub mode: Option<AttachMode>,
    /// The ID of the XDP program on it now, and that program's mode.
    pub program: Option<(u32, AttachMode)>,
    /// What the agent would do.
    pub action: UplinkAction,
}

/// What the agent would do with an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UplinkAction {
    /// Attach the program.
    Attach,
    /// Replace the program of an earlier agent on its link, atomically.
    Adopt,
    /// Attach the program again, in another mode.
    Reattach,
    /// Nothing: it has another XDP program, which Fairlead does not remove.
    Refuse,
    /// Wait until there is such an interface.
    Wait,
}

impl UplinkPreview {
    /// Returns the preview of the uplink of this name; `device` is its interface, if there is one, and
    /// `adoptable` are the programs of pinned links.
    pub fn new(name: &str, device: Option<&Device>, desired: DesiredMode, adoptable: &OwnPrograms) -> Self {
        let of = |is_generic| if is_generic { AttachMode::Generic } else { AttachMode::Native };
        let program = device.and_then(|device| device.program).map(|it| (it.id, of(it.is_generic)));
        let required = device.and_then(|it| desired.required(choice(it.kind).is_generic()));
        let action = match (device, program) {
            (None, _) => UplinkAction::Wait,
            (Some(_), None) => UplinkAction::Attach,
            (Some(_), Some((id, _))) if !adoptable.has(id) => UplinkAction::Refuse,
            (Some(_), Some((_, mode))) if required.is_some_and(|required| required != mode) => {
                UplinkAction::Reattach
            }
            (Some(_), Some(_)) => UplinkAction::Adopt,
        };
        let kept = program.map(|(_, mode)| mode).filter(|_| action == UplinkAction::Adopt);
        Self { interface: name.to_owned(), mode: kept.or(required), program, action }
    }

    /// Returns why the agent would not start on this uplink.
    pub fn refusal(&self) -> Option<String> {
        let (id, _) = self.program.filter(|_| self.action == UplinkAction::Refuse)?;
        let Self { interface, .. } = self;
        Some(format!(
            "interface {interface} already has XDP program {id}, which Fairlead does not remove: detach it (`ip link set \
             dev {interface} xdp off`) or choose another interface"
        ))
    }
}
