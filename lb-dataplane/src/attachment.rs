//! The attachment of the program to the uplinks, reconciled continuously: each pass compares the attached and
//! pinned objects with the desired ones and repairs the differences.
//!
//! The agent holds links, program and maps by descriptors, so forwarding continues without their pins.

mod decide;
mod links;
mod pinning;
mod take_over;
mod trace;
mod uplink;

pub use decide::{XdpInterface, XdpProgram};
pub use trace::TracingProgram;

use std::fs;
use std::time::{Duration, Instant};

use lb_common::map_table::MAPS;

use self::decide::{Decision, DesiredUplink, Step, decide};
use self::links::{HeldLink, LoadedProgram};
use self::pinning::HeldMaps;
use self::uplink::Uplink;
use crate::attach::{AttachError, AttachMode, AttachedUplink, DesiredMode, MapSizes, load_object};
use crate::migration::{self, Target};
use crate::object::PROGRAM;
use crate::pins::Pins;

/// The interval of pin checks, which cost more than interface checks.
const PIN_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// The program on the uplinks.
pub struct Attachment {
    pins: Pins,
    program: LoadedProgram,
    /// The tracing program, while it is on the uplinks instead.
    tracing: Option<LoadedProgram>,
    mode: DesiredMode,
    maps: HeldMaps,
    uplinks: Vec<Uplink>,
    /// The reason why not everything is pinned.
    pin_error: Option<AttachError>,
    /// The last pin check; `None` if there is something new to pin.
    pins_checked_at: Option<Instant>,
    are_maps_written: bool,
    /// Whether another layout may have pins.
    has_other_layouts: bool,
    /// Detached on request, until the agent restarts.
    is_detached: bool,
}

impl Attachment {
    /// Loads the program and attaches it to all uplinks or none. Takes over the pinned maps and links of a
    /// previous agent: the maps keep their entries, and the program of a link is replaced atomically. Of an
    /// agent with another map layout, carries the maps over; its program forwards until the new maps hold a
    /// plan.
    /// `interfaces` are all interfaces that have a program, and all that are named.
    ///
    /// # Errors
    /// See [`AttachError`]; a failed start leaves nothing behind.
    pub fn start(
        pins: &Pins,
        names: &[String],
        interfaces: Vec<XdpInterface>,
        mode: DesiredMode,
        sizes: MapSizes,
        object: &[u8],
    ) -> Result<Self, AttachError> {
        let is_fresh = carry_over(pins, sizes, object) || !pins.directory().exists();
        let rollback = Rollback { pins, is_fresh };
        let path = pins.directory();
        fs::create_dir_all(&path).map_err(|source| AttachError::Directory { path, source })?;
        if let Some(map) = migration::foreign_map(pins, MAPS) {
            return Err(AttachError::OtherBuild { path: pins.directory(), map });
        }
        if let Err(error) = migration::write_records(pins, MAPS) {
            tracing::warn!(%error, "cannot record the fields of the maps: a build with another layout will not carry them over");
        }
        let ebpf = load_object(object, Some(pins), sizes).map_err(AttachError::Maps)?;
        let program = LoadedProgram::load(ebpf, PROGRAM)?;
        let mut attachment = Self {
            pins: pins.clone(),
            program,
            tracing: None,
            mode,
            maps: pinning::open_all(pins)?,
            uplinks: names.iter().map(|name| Uplink::new(name)).collect(),
            pin_error: None,
            pins_checked_at: None,
            are_maps_written: false,
            has_other_layouts: true,
            is_detached: false,
        };
        let Self { program, uplinks, .. } = &mut attachment;
        let interfaces = take_over::take_over(pins, program, uplinks, interfaces)?;
        attachment.attach_all(&interfaces)?;
        rollback.commit();
        Ok(attachment)
    }

    fn attach_all(&mut self, interfaces: &[XdpInterface]) -> Result<(), AttachError> {
        self.reconcile(interfaces);
        let failed = self.uplinks.iter_mut().find_map(|uplink| uplink.error.take());
        let Some(error) = failed.or_else(|| self.pin_error.take()) else { return Ok(()) };
        for uplink in self.uplinks.iter().filter(|it| it.link.as_ref().is_some_and(|link| link.is_fresh)) {
            let _ = fs::remove_file(self.pins.link(&uplink.name));
        }
        Err(error)
    }

    /// Repairs what differs from the desired state. `interfaces` are the current interfaces with
    /// [`Self::names`] and [`Self::indices`].
    pub fn reconcile(&mut self, interfaces: &[XdpInterface]) {
        if self.is_detached {
            return;
        }
        let mut uplinks = std::mem::take(&mut self.uplinks);
        for uplink in &mut uplinks {
            if let Err(error) = self.reconcile_uplink(uplink, interfaces) {
                uplink.error = Some(error);
            }
        }
        self.uplinks = uplinks;
        if self.pins_checked_at.is_none_or(|at| at.elapsed() >= PIN_CHECK_INTERVAL) {
            self.pin_error = pinning::pin_all(&self.pins, &self.maps, &mut self.uplinks).err();
            self.pins_checked_at = Some(Instant::now());
        }
        self.forget_other_layouts();
    }

    /// Removes the pins of other layouts once all links run this agent's program.
    fn forget_other_layouts(&mut self) {
        let is_switched = |uplink: &Uplink| uplink.link.as_ref().is_none_or(|link| link.other_pin.is_none());
        if !self.are_maps_written || !self.has_other_layouts || !self.uplinks.iter().all(is_switched) {
            return;
        }
        self.has_other_layouts = false;
        if let Err(error) = self.pins.remove_other_layouts() {
            tracing::warn!(%error, "cannot remove the pins of an agent of another version");
        }
    }

    fn reconcile_uplink(
        &mut self,
        uplink: &mut Uplink,
        interfaces: &[XdpInterface],
    ) -> Result<(), AttachError> {
        uplink.error = None;
        let desired = DesiredUplink { name: &uplink.name, program: self.current().id(), mode: self.mode };
        let link = uplink.link.as_ref().map(HeldLink::state);
        let Decision { interface, release, step } = decide(desired, link, interfaces);
        if release {
            // A pin would keep the link attached.
            pinning::unpin(&self.pins, &uplink.name);
            uplink.link = None;
        }
        uplink.interface = interface.map(|it| (it.index, it.name.clone()));
        uplink.mode = AttachMode::Off;
        let Some(interface) = interface else {
            return Err(AttachError::Absent { interface: uplink.name.clone() });
        };
        match step {
            Step::Keep => uplink.mode = interface.program.map_or(AttachMode::Off, |program| program.mode),
            Step::Attach => {
                let mode = self.mode;
                let (link, mode) = self.current_mut().attach(interface, mode)?;
                tracing::info!(interface = %interface.name, ?mode, "attached the XDP program");
                (uplink.link, uplink.mode) = (Some(link), mode);
                self.pins_checked_at = None;
            }
            Step::Restore => {
                let link = uplink.link.take().map(|it| self.restore(it, &uplink.name, &interface.name));
                uplink.link = link.transpose()?;
                uplink.mode = interface.program.map_or(AttachMode::Off, |program| program.mode);
            }
            Step::Wait => return Err(links::occupied(interface)),
        }
        if interface.name == uplink.name {
            return Ok(());
        }
        Err(AttachError::Renamed { interface: uplink.name.clone(), name: interface.name.clone() })
    }

    /// Puts the agent's program back on a link. A link that runs another version's program is updated once
    /// the maps are written.
    fn restore(&mut self, link: HeldLink, uplink: &str, interface: &str) -> Result<HeldLink, AttachError> {
        match &link.other_pin {
            Some(_) if !self.are_maps_written => return Ok(link),
            Some(pin) => {
                // Before the switch, so that the next agent finds this layout's maps in use, even after a
                // crash.
                if let Err(error) = pinning::pin_again(pin, &self.pins.link(uplink)) {
                    tracing::warn!(interface, %error, "cannot pin the XDP link before the switch");
                }
                self.pins_checked_at = None;
                tracing::info!(interface, "replaced the XDP program of another version");
            }
            None => {
                tracing::warn!(interface, "restored the XDP program, which another process had replaced")
            }
        }
        self.current_mut().restore(link, interface)
    }

    /// Notes that the maps hold a plan. Links that still run the program of an agent with another map layout
    /// get this agent's program in the next pass, and then the pins of other layouts are removed.
    pub fn note_maps_written(&mut self) {
        self.are_maps_written = true;
    }

    /// Detaches the program and removes all pins, until the agent restarts.
    pub fn detach(&mut self) {
        self.is_detached = true;
        self.tracing = None;
        for uplink in &mut self.uplinks {
            uplink.link = None;
            uplink.error = None;
            uplink.mode = AttachMode::Off;
        }
        self.pin_error = None;
        if let Err(error) = self.pins.remove_other_layouts().and_then(|()| self.pins.remove_all()) {
            tracing::warn!(%error, "cannot remove all pins; run `fairlead detach` again");
        }
        tracing::warn!("detached the XDP program on request");
    }

    /// Returns the configured names of the uplinks.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.uplinks.iter().map(|uplink| uplink.name.as_str())
    }

    /// Returns the indices of the interfaces that have a link.
    pub fn indices(&self) -> impl Iterator<Item = u32> {
        self.uplinks.iter().filter_map(|uplink| Some(uplink.link.as_ref()?.state().index))
    }

    /// Returns whether the program runs on this interface.
    pub fn carries(&self, index: u32) -> bool {
        let is_it = |uplink: &Uplink| uplink.interface.as_ref().is_some_and(|it| it.0 == index);
        self.uplinks.iter().any(|uplink| uplink.mode != AttachMode::Off && is_it(uplink))
    }

    /// Returns whether the program runs on every uplink that exists, and on at least one: packets from an
    /// uplink without it would bypass it.
    pub fn is_whole(&self) -> bool {
        let mut existing = self.uplinks.iter().filter(|uplink| uplink.interface.is_some()).peekable();
        existing.peek().is_some() && existing.all(|uplink| uplink.mode != AttachMode::Off)
    }

    /// Returns the status of each uplink.
    pub fn status(&self) -> Vec<AttachedUplink> {
        let status = |uplink: &Uplink| AttachedUplink {
            interface: uplink.interface.as_ref().map_or(&uplink.name, |(_, name)| name).clone(),
            mode: uplink.mode,
            path: None,
        };
        self.uplinks.iter().map(status).collect()
    }

    /// Returns the uplinks that have an XDP program of others, a sentence each.
    pub fn occupied(&self) -> Vec<String> {
        let errors = self.uplinks.iter().filter_map(|uplink| uplink.error.as_ref());
        let is_occupied = |error: &&AttachError| matches!(error, AttachError::Occupied { .. });
        errors.filter(is_occupied).map(ToString::to_string).collect()
    }

    /// Returns the current problems, a sentence each.
    pub fn problems(&self) -> Vec<String> {
        if self.is_detached {
            return vec![AttachError::Detached.to_string()];
        }
        let uplinks = self.uplinks.iter().filter_map(|uplink| uplink.error.as_ref());
        uplinks.chain(&self.pin_error).map(ToString::to_string).collect()
    }
}

/// Carries the maps of another layout over, and returns whether there were any. If that fails, the new maps
/// are written from the plan alone.
fn carry_over(pins: &Pins, sizes: MapSizes, object: &[u8]) -> bool {
    let create = |pins: &Pins, sizes| load_object(object, Some(pins), sizes).map(drop);
    match migration::carry_over(&Target { pins, maps: MAPS, sizes, create: &create }) {
        Ok(carried) => carried.inspect(migration::Carried::log).is_some(),
        Err(error) => {
            tracing::error!(
                %error,
                "cannot carry the maps of another layout over: flows, former leaders and counters begin anew; forwarding continues"
            );
            false
        }
    }
}

/// Removes the pins of a failed start when dropped, unless it is committed.
struct Rollback<'a> {
    pins: &'a Pins,
    is_fresh: bool,
}

impl Rollback<'_> {
    fn commit(mut self) {
        self.is_fresh = false;
    }
}

impl Drop for Rollback<'_> {
    fn drop(&mut self) {
        if self.is_fresh {
            let _ = self.pins.remove_all();
        }
    }
}
