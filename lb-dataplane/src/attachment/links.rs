//! Links: made, taken over from an agent before this one, given another program.

use std::fs;
use std::os::fd::AsFd;

use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpLinkId};
use aya::programs::{ProgramError, Xdp, XdpMode};

use super::decide::{Held, Interface, Program, locate};
use super::{AttachError, Attachment, Mode};
use crate::net::native;

/// A link that is held.
pub(super) struct HeldLink {
    /// Only ever `None` in the moment in which it is pinned.
    pub(super) link: Option<FdLink>,
    index: u32,
    /// Whether this agent has made it.
    pub(super) is_fresh: bool,
    /// Whether it still runs the program of an agent with another layout of maps, which goes on until this agent's maps
    /// are written: with empty maps, the program would pass all packets to the node's own stack.
    pub(super) is_of_other_layout: bool,
}

impl HeldLink {
    fn new(link: FdLink, index: u32, is_fresh: bool) -> Self {
        Self { link: Some(link), index, is_fresh, is_of_other_layout: false }
    }

    /// What the kernel says of it; a link that cannot be asked runs nothing.
    pub(super) fn held(&self) -> Held {
        let info = self.link.as_ref().and_then(|link| link.info().ok());
        Held { index: self.index, program: info.map_or(0, |info| info.program_id()) }
    }
}

impl Attachment {
    /// Takes over the links of an agent before this one, and returns the interfaces as they are then. Links of what
    /// is no uplink any more are given up with their pins.
    pub(super) fn take_over(
        &mut self,
        mut interfaces: Vec<Interface>,
    ) -> Result<Vec<Interface>, AttachError> {
        let (mut pinned, mut links) = (Vec::new(), Vec::new());
        for (name, path) in self.pins.links().unwrap_or_default() {
            let opened = PinnedLink::from_pin(&path).ok().map(FdLink::from);
            let asked = opened.and_then(|link| Some((link.info().ok()?.program_id(), link)));
            if let Some((program, link)) = asked {
                pinned.push((name, program));
                links.push((path, link));
            }
        }
        for ((path, link), index) in links.into_iter().zip(locate(&pinned, &interfaces)) {
            let interface = interfaces.iter_mut().find(|it| Some(it.index) == index);
            let Some(interface) = interface else { continue };
            let uplink = self.uplinks.iter().position(|uplink| uplink.name == interface.name);
            let Some(uplink) = uplink else {
                tracing::info!(interface = %interface.name, "detached: it is no uplink any more");
                let _ = fs::remove_file(&path);
                interface.program = None;
                continue;
            };
            let mut held = HeldLink::new(link, interface.index, false);
            if path != self.pins.link(&interface.name) {
                held.is_of_other_layout = true;
                self.uplinks[uplink].held = Some(held);
                continue;
            }
            match self.restore(held, &interface.name) {
                Ok(held) => {
                    self.uplinks[uplink].held = Some(held);
                    let (id, mode) = (self.program, interface.program.map_or(Mode::Off, |it| it.mode));
                    interface.program = Some(Program { id, mode });
                    tracing::info!(interface = %interface.name, ?mode, "taken over");
                }
                // The interface went just now.
                Err(_) => drop(fs::remove_file(&path)),
            }
        }
        Ok(interfaces)
    }

    /// Attaches the program by a new link.
    pub(super) fn attach(&mut self, interface: &Interface) -> Result<(HeldLink, Mode), AttachError> {
        let wanted = self.mode.of(interface.is_veth);
        let program = self.xdp().map_err(AttachError::Load)?;
        let (link, mode) = fresh_link(program, interface, wanted)?;
        let error = |reason: String| AttachError::Link { interface: interface.name.clone(), reason };
        let link = program.take_link(link).map_err(|e| error(e.to_string()))?;
        let link: FdLink = link.try_into().map_err(|e: LinkError| error(e.to_string()))?;
        Ok((HeldLink::new(link, interface.index, true), mode))
    }

    /// Puts the agent's program back onto a link.
    pub(super) fn restore(&mut self, held: HeldLink, interface: &str) -> Result<HeldLink, AttachError> {
        let program = self.xdp().map_err(AttachError::Load)?;
        let link = held.link.map(|link| update(program, link)).transpose();
        let error =
            |e: ProgramError| AttachError::Link { interface: interface.into(), reason: e.to_string() };
        Ok(HeldLink { link: link.map_err(error)?, is_of_other_layout: false, ..held })
    }
}

/// Replaces the program of a link in one step.
fn update(program: &mut Xdp, link: FdLink) -> Result<FdLink, ProgramError> {
    let link: XdpLink = link.try_into().map_err(|_| ProgramError::NotAttached)?;
    let link = program.attach_to_link(link)?;
    program.take_link(link)?.try_into().map_err(|_| ProgramError::NotAttached)
}

fn fresh_link(
    program: &mut Xdp,
    interface: &Interface,
    wanted: Option<Mode>,
) -> Result<(XdpLinkId, Mode), AttachError> {
    let error = |source| AttachError::Attach { interface: interface.name.clone(), source };
    let generic = |program: &mut Xdp| {
        let link = program.attach_to_if_index(interface.index, XdpMode::Skb);
        link.map(|link| (link, Mode::Generic)).map_err(error)
    };
    if wanted == Some(Mode::Generic) {
        if interface.is_veth {
            tracing::info!(interface = %interface.name, "a veth: running in the stack, since what a native program sends is lost unless the other end has XDP or GRO; --xdp-mode native if it has");
        }
        return generic(program);
    }
    match program.attach_to_if_index(interface.index, XdpMode::Driver) {
        Ok(link) => Ok((link, Mode::Native)),
        Err(error) if is_errno(&error, libc::EBUSY) || is_errno(&error, libc::EEXIST) => {
            Err(occupied(interface))
        }
        Err(source) if wanted == Some(Mode::Native) => Err(error(source)),
        Err(native) => {
            let reason = native_refusal(program, interface, &native);
            tracing::warn!(
                interface = %interface.name,
                reason,
                "cannot run in the driver: running in the stack, which costs several times as much"
            );
            generic(program)
        }
    }
}

/// Why the driver does not run the program, as far as the kernel tells.
fn native_refusal(program: &Xdp, interface: &Interface, error: &ProgramError) -> String {
    let told = program.fd().ok().and_then(|fd| native::refusal(interface.index, fd.as_fd()));
    told.unwrap_or_else(|| match error {
        ProgramError::SyscallError(error) => error.io_error.to_string(),
        other => other.to_string(),
    })
}

fn is_errno(error: &ProgramError, errno: i32) -> bool {
    matches!(error, ProgramError::SyscallError(e) if e.io_error.raw_os_error() == Some(errno))
}

/// The interface has another program.
pub(super) fn occupied(interface: &Interface) -> AttachError {
    let holder = interface.program.map_or_else(|| "one that cannot be named".into(), |it| named(it.id));
    AttachError::Occupied { interface: interface.name.clone(), holder }
}

/// What is known of a program, for a sentence.
fn named(id: u32) -> String {
    let name = aya::programs::loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned));
    match name {
        Some(name) => format!("{name:?} (id {id})"),
        None => format!("id {id}"),
    }
}
