//! XDP links: created, and updated with the agent's program.

use std::os::fd::AsFd;
use std::path::PathBuf;

use aya::Ebpf;
use aya::programs::links::{FdLink, LinkError};
use aya::programs::xdp::{XdpLink, XdpLinkId};
use aya::programs::{ProgramError, Xdp, XdpMode};

use super::decide::{LinkState, XdpInterface};
use crate::attach::{AttachError, AttachMode, DesiredMode, loaded_program};
use crate::net::driver_error;

/// A link that the agent holds by its descriptor.
pub(super) struct HeldLink {
    /// `None` only while it is being pinned.
    pub(super) link: Option<FdLink>,
    index: u32,
    /// Whether this agent has created it.
    pub(super) is_fresh: bool,
    /// Its pin in the directory of another map layout, whose program it runs until this agent's maps are
    /// written: with empty maps, the program would pass all packets to the node's own stack.
    pub(super) other_pin: Option<PathBuf>,
}

impl HeldLink {
    pub(super) fn new(link: FdLink, index: u32, is_fresh: bool) -> Self {
        Self { link: Some(link), index, is_fresh, other_pin: None }
    }

    /// Returns the link's state in the kernel; without an answer, the link runs no program.
    pub(super) fn state(&self) -> LinkState {
        let info = self.link.as_ref().and_then(|link| link.info().ok());
        LinkState { index: self.index, program: info.map_or(0, |info| info.program_id()) }
    }
}

/// An XDP program of the agent in the kernel.
pub(super) struct LoadedProgram {
    ebpf: Ebpf,
    name: &'static str,
    id: u32,
}

impl LoadedProgram {
    /// Loads a program of the object.
    pub(super) fn load(mut ebpf: Ebpf, name: &'static str) -> Result<Self, AttachError> {
        let id = loaded_program(&mut ebpf, name)?.info().map_err(AttachError::Load)?.id();
        Ok(Self { ebpf, name, id })
    }

    /// Returns the program's ID.
    pub(super) const fn id(&self) -> u32 {
        self.id
    }

    /// Returns the IDs of the maps that the program uses.
    pub(super) fn map_ids(&mut self) -> Result<Vec<u32>, AttachError> {
        let ids = self.xdp().and_then(|program| program.info()?.map_ids()).map_err(AttachError::Load)?;
        Ok(ids.unwrap_or_default())
    }

    /// Attaches the program by a new link.
    pub(super) fn attach(
        &mut self,
        interface: &XdpInterface,
        mode: DesiredMode,
    ) -> Result<(HeldLink, AttachMode), AttachError> {
        let required = mode.required(interface.requires_generic);
        let program = self.xdp().map_err(AttachError::Load)?;
        let (link, mode) = create_link(program, interface, required)?;
        let error = |reason: String| AttachError::Link { interface: interface.name.clone(), reason };
        let link = program.take_link(link).map_err(|e| error(e.to_string()))?;
        let link: FdLink = link.try_into().map_err(|e: LinkError| error(e.to_string()))?;
        Ok((HeldLink::new(link, interface.index, true), mode))
    }

    /// Puts the program back on a link.
    pub(super) fn restore(&mut self, held: HeldLink, interface: &str) -> Result<HeldLink, AttachError> {
        let program = self.xdp().map_err(AttachError::Load)?;
        let link = held.link.map(|link| update(program, link)).transpose();
        let error =
            |e: ProgramError| AttachError::Link { interface: interface.into(), reason: e.to_string() };
        Ok(HeldLink { link: link.map_err(error)?, other_pin: None, ..held })
    }

    fn xdp(&mut self) -> Result<&mut Xdp, ProgramError> {
        let program = self.ebpf.program_mut(self.name).ok_or(ProgramError::NotLoaded)?;
        program.try_into()
    }
}

/// Replaces the program of a link atomically.
fn update(program: &mut Xdp, link: FdLink) -> Result<FdLink, ProgramError> {
    let link: XdpLink = link.try_into().map_err(|_| ProgramError::NotAttached)?;
    let link = program.attach_to_link(link)?;
    program.take_link(link)?.try_into().map_err(|_| ProgramError::NotAttached)
}

fn create_link(
    program: &mut Xdp,
    interface: &XdpInterface,
    required: Option<AttachMode>,
) -> Result<(XdpLinkId, AttachMode), AttachError> {
    let error = |source| AttachError::Attach { interface: interface.name.clone(), source };
    let generic = |program: &mut Xdp| {
        let link = program.attach_to_if_index(interface.index, XdpMode::Skb);
        link.map(|link| (link, AttachMode::Generic)).map_err(error)
    };
    if required == Some(AttachMode::Generic) {
        return generic(program);
    }
    match program.attach_to_if_index(interface.index, XdpMode::Driver) {
        Ok(link) => Ok((link, AttachMode::Native)),
        Err(error) if is_errno(&error, libc::EBUSY) || is_errno(&error, libc::EEXIST) => {
            Err(occupied(interface))
        }
        Err(source) if required == Some(AttachMode::Native) => Err(error(source)),
        Err(native) => {
            let reason = native_refusal(program, interface, &native);
            tracing::warn!(
                interface = %interface.name,
                reason,
                "cannot run in native mode: running in generic mode, which costs several times as much CPU"
            );
            generic(program)
        }
    }
}

/// Returns why the driver does not run the program, in the kernel's words where it gives any.
fn native_refusal(program: &Xdp, interface: &XdpInterface, error: &ProgramError) -> String {
    let reason = program.fd().ok().and_then(|fd| driver_error::of(interface.index, fd.as_fd()));
    reason.unwrap_or_else(|| match error {
        ProgramError::SyscallError(error) => error.io_error.to_string(),
        other => other.to_string(),
    })
}

fn is_errno(error: &ProgramError, errno: i32) -> bool {
    matches!(error, ProgramError::SyscallError(e) if e.io_error.raw_os_error() == Some(errno))
}

/// Returns the error for an interface that has another program.
pub(super) fn occupied(interface: &XdpInterface) -> AttachError {
    let holder = interface.program.map_or_else(|| "an unknown program".into(), |it| describe(it.id));
    AttachError::Occupied { interface: interface.name.clone(), holder }
}

/// Describes a program by its name and ID.
fn describe(id: u32) -> String {
    let name = aya::programs::loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned));
    match name {
        Some(name) => format!("{name:?} (id {id})"),
        None => format!("id {id}"),
    }
}
