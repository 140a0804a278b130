//! The tracing program in place of the agent's: switched on all links atomically, one link after the other.
//!
//! The rest of the attachment knows of one current program, so an uplink that appears during a trace is
//! traced, and a link that another process changes gets the tracing program back.

use aya::Ebpf;
use aya::programs::links::PinnedLink;

use super::Attachment;
use super::links::{HeldLink, LoadedProgram};
use super::uplink::Uplink;
use crate::attach::AttachError;
use crate::object::TRACE_PROGRAM;

/// The tracing program, loaded and on no uplink.
pub struct TracingProgram(LoadedProgram);

impl TracingProgram {
    /// Loads the program of the object.
    pub(crate) fn load(ebpf: Ebpf) -> Result<Self, AttachError> {
        LoadedProgram::load(ebpf, TRACE_PROGRAM).map(Self)
    }
}

impl Attachment {
    /// Returns the program that belongs on the uplinks.
    pub(super) fn current(&self) -> &LoadedProgram {
        self.tracing.as_ref().unwrap_or(&self.program)
    }

    pub(super) fn current_mut(&mut self) -> &mut LoadedProgram {
        self.tracing.as_mut().unwrap_or(&mut self.program)
    }

    /// Puts the tracing program on the uplinks.
    ///
    /// # Errors
    /// When it was loaded with other maps, or the uplinks do not run the agent's program. Nothing has changed
    /// then.
    pub fn begin_trace(&mut self, program: TracingProgram) -> Result<(), AttachError> {
        let TracingProgram(mut program) = program;
        if self.is_detached {
            return Err(AttachError::Detached);
        }
        let is_other = |link: &HeldLink| link.other_pin.is_some();
        if !self.are_maps_written || self.uplinks.iter().any(|it| it.link.as_ref().is_some_and(is_other)) {
            return Err(AttachError::NotSwitched);
        }
        let (own, traced) = (self.program.map_ids()?, program.map_ids()?);
        let shared = self.maps.iter().filter_map(|(_, map)| Some(map.info().ok()?.id()));
        let mut shared = shared.filter(|id| own.contains(id)).peekable();
        if shared.peek().is_none() || !shared.all(|id| traced.contains(&id)) {
            return Err(AttachError::OtherMaps { path: self.pins.directory() });
        }
        self.tracing = Some(program);
        self.switch();
        tracing::info!("put the tracing program on the uplinks");
        Ok(())
    }

    /// Puts the agent's own program back.
    pub fn end_trace(&mut self) {
        let Some(program) = self.tracing.take() else { return };
        self.switch();
        drop(program);
        tracing::info!("the trace has ended: put the XDP program back on the uplinks");
    }

    fn pinned_link(&self, uplink: &Uplink) -> Option<HeldLink> {
        let link = PinnedLink::from_pin(self.pins.link(&uplink.name)).ok()?;
        Some(HeldLink::new(link.into(), uplink.interface.as_ref()?.0, false))
    }

    /// Puts the current program on all links.
    fn switch(&mut self) {
        let mut uplinks = std::mem::take(&mut self.uplinks);
        for uplink in &mut uplinks {
            let Some(link) = uplink.link.take() else { continue };
            match self.current_mut().restore(link, &uplink.name) {
                Ok(link) => uplink.link = Some(link),
                // The next pass tries again, with the link from its pin.
                Err(error) => {
                    tracing::warn!(interface = uplink.name, %error, "cannot switch the XDP program; trying again");
                    uplink.link = self.pinned_link(uplink);
                }
            }
        }
        self.uplinks = uplinks;
    }
}
