//! The attachment of the uplinks as desired state: what is attached and pinned is compared with what should be, and
//! the difference is made good, again and again.
//!
//! Links, program and maps are held by descriptors, so packets are carried on whatever becomes of their pins.

mod decide;
mod links;
mod pinning;

pub use decide::{Interface, Program};

use std::fs;
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::MapData;
use aya::programs::{ProgramError, Xdp};

use self::decide::{Decision, Desired, Step, decide};
use self::links::HeldLink;
use super::attach::{AttachError, Attached, MapSizes, Mode, ModeChoice, load_object, loaded_program};
use super::object::PROGRAM;
use super::pins::Pins;

/// How often pins are looked at, which costs more than to look at an interface.
const PIN_EVERY: Duration = Duration::from_millis(500);

/// The program on the uplinks.
pub struct Attachment {
    pins: Pins,
    ebpf: Ebpf,
    /// Id of the program.
    program: u32,
    mode: ModeChoice,
    maps: Vec<(&'static str, MapData)>,
    uplinks: Vec<Uplink>,
    /// Why not everything is pinned.
    unpinned: Option<AttachError>,
    /// When that was looked at last; `None`: there is something new to pin.
    pinned_at: Option<Instant>,
    are_maps_written: bool,
    /// It has been taken off on request, and stays off.
    is_detached: bool,
}

/// One uplink.
struct Uplink {
    /// As it was given.
    name: String,
    held: Option<HeldLink>,
    /// The interface that it is now.
    interface: Option<(u32, String)>,
    mode: Mode,
    /// What is wrong with it.
    error: Option<AttachError>,
}

impl Uplink {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), held: None, interface: None, mode: Mode::Off, error: None }
    }
}

impl Attachment {
    /// Loads the program and puts it on the interfaces, all or none. Pinned maps and links of an agent before this one
    /// are taken over: the maps keep their content, and the program on a link is replaced in one step. `interfaces`
    /// are all that have a program, and all that are named.
    ///
    /// # Errors
    /// See [`AttachError`]; nothing is left behind that was not there before.
    pub fn start(
        pins: &Pins,
        names: &[String],
        interfaces: Vec<Interface>,
        mode: ModeChoice,
        sizes: MapSizes,
        object: &[u8],
    ) -> Result<Self, AttachError> {
        let undo = Undo { pins, is_fresh: !pins.directory().exists() };
        let path = pins.directory();
        fs::create_dir_all(&path).map_err(|source| AttachError::Directory { path, source })?;
        let mut ebpf = load_object(object, Some(pins), sizes).map_err(AttachError::Maps)?;
        let program = loaded_program(&mut ebpf, PROGRAM)?.info().map_err(AttachError::Load)?.id();
        let mut attachment = Self {
            pins: pins.clone(),
            ebpf,
            program,
            mode,
            maps: pinning::open_all(pins)?,
            uplinks: names.iter().map(|name| Uplink::new(name)).collect(),
            unpinned: None,
            pinned_at: None,
            are_maps_written: false,
            is_detached: false,
        };
        let interfaces = attachment.take_over(interfaces)?;
        attachment.attach_all(&interfaces)?;
        undo.keep();
        Ok(attachment)
    }

    fn attach_all(&mut self, interfaces: &[Interface]) -> Result<(), AttachError> {
        self.reconcile(interfaces);
        let failed = self.uplinks.iter_mut().find_map(|uplink| uplink.error.take());
        let Some(error) = failed.or_else(|| self.unpinned.take()) else { return Ok(()) };
        for uplink in self.uplinks.iter().filter(|it| it.held.as_ref().is_some_and(|held| held.is_fresh)) {
            let _ = fs::remove_file(self.pins.link(&uplink.name));
        }
        Err(error)
    }

    /// Makes good what differs from what is desired. `interfaces` are those that [`Self::names`] and
    /// [`Self::indices`] ask for, as they are now.
    pub fn reconcile(&mut self, interfaces: &[Interface]) {
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
        if self.pinned_at.is_none_or(|at| at.elapsed() >= PIN_EVERY) {
            self.unpinned = self.pin_all().err();
            self.pinned_at = Some(Instant::now());
        }
    }

    fn reconcile_uplink(&mut self, uplink: &mut Uplink, interfaces: &[Interface]) -> Result<(), AttachError> {
        uplink.error = None;
        let desired = Desired { name: &uplink.name, program: self.program, mode: self.mode };
        let held = uplink.held.as_ref().map(HeldLink::held);
        let Decision { interface, release, step } = decide(desired, held, interfaces);
        if release {
            // A pin would keep the link, and the link the interface.
            self.unpin(&uplink.name);
            uplink.held = None;
        }
        uplink.interface = interface.map(|it| (it.index, it.name.clone()));
        uplink.mode = Mode::Off;
        let Some(interface) = interface else {
            return Err(AttachError::Absent { interface: uplink.name.clone() });
        };
        match step {
            Step::Keep => uplink.mode = interface.program.map_or(Mode::Off, |program| program.mode),
            Step::Attach => {
                let (link, mode) = self.attach(interface)?;
                tracing::info!(interface = %interface.name, ?mode, "attached");
                (uplink.held, uplink.mode) = (Some(link), mode);
                self.pinned_at = None;
            }
            Step::Restore => {
                uplink.held = uplink.held.take().map(|it| self.put_back(it, &interface.name)).transpose()?;
                uplink.mode = interface.program.map_or(Mode::Off, |program| program.mode);
            }
            Step::Wait => return Err(links::occupied(interface)),
        }
        if interface.name == uplink.name {
            return Ok(());
        }
        Err(AttachError::Renamed { interface: uplink.name.clone(), name: interface.name.clone() })
    }

    /// Puts the agent's program back onto a link, or onto one that ran another version's: that one once there are maps.
    fn put_back(&mut self, link: HeldLink, interface: &str) -> Result<HeldLink, AttachError> {
        match link.is_of_other_layout {
            true if !self.are_maps_written => return Ok(link),
            true => tracing::info!(interface, "taken over from an agent of another version"),
            false => tracing::warn!(interface, "another process has replaced the program; restored"),
        }
        self.restore(link, interface)
    }

    /// Says that the maps hold a plan: links that still run the program of an agent with another layout get this agent's,
    /// and nothing of the other layout is left.
    pub fn note_maps_written(&mut self) {
        if std::mem::replace(&mut self.are_maps_written, true) {
            return;
        }
        if let Err(error) = self.pins.remove_other_layouts() {
            tracing::warn!(%error, "cannot remove the pins of an agent of another version");
        }
    }

    /// Takes the program off, and removes all pins, until another agent starts.
    pub fn detach(&mut self) {
        self.is_detached = true;
        for uplink in &mut self.uplinks {
            uplink.held = None;
            uplink.error = None;
            uplink.mode = Mode::Off;
        }
        self.unpinned = None;
        if let Err(error) = self.pins.remove_all() {
            tracing::warn!(%error, "cannot remove all pins");
        }
        tracing::warn!("detached on request");
    }

    /// Names of the uplinks as they were given.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.uplinks.iter().map(|uplink| uplink.name.as_str())
    }

    /// Interfaces that a link is held for.
    pub fn indices(&self) -> impl Iterator<Item = u32> {
        self.uplinks.iter().filter_map(|uplink| Some(uplink.held.as_ref()?.held().index))
    }

    /// Whether the program runs on this interface.
    pub fn carries(&self, index: u32) -> bool {
        let is_it = |uplink: &Uplink| uplink.interface.as_ref().is_some_and(|it| it.0 == index);
        self.uplinks.iter().any(|uplink| uplink.mode != Mode::Off && is_it(uplink))
    }

    /// Whether the program runs on some uplink, and on all that are there: what comes in by another one would go past
    /// it.
    pub fn is_whole(&self) -> bool {
        let mut there = self.uplinks.iter().filter(|uplink| uplink.interface.is_some()).peekable();
        there.peek().is_some() && there.all(|uplink| uplink.mode != Mode::Off)
    }

    /// The uplinks, to be shown.
    pub fn shown(&self) -> Vec<Attached> {
        let shown = |uplink: &Uplink| Attached {
            interface: uplink.interface.as_ref().map_or(&uplink.name, |(_, name)| name).clone(),
            mode: uplink.mode,
        };
        self.uplinks.iter().map(shown).collect()
    }

    /// What is wrong, a sentence each.
    pub fn problems(&self) -> Vec<String> {
        if self.is_detached {
            return vec![AttachError::Detached.to_string()];
        }
        let uplinks = self.uplinks.iter().filter_map(|uplink| uplink.error.as_ref());
        uplinks.chain(&self.unpinned).map(ToString::to_string).collect()
    }

    fn xdp(&mut self) -> Result<&mut Xdp, ProgramError> {
        let program = self.ebpf.program_mut(PROGRAM).ok_or(ProgramError::NotLoaded)?;
        program.try_into()
    }
}

/// Takes back what was pinned, unless it is told to keep it.
struct Undo<'a> {
    pins: &'a Pins,
    is_fresh: bool,
}

impl Undo<'_> {
    fn keep(mut self) {
        self.is_fresh = false;
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if self.is_fresh {
            let _ = self.pins.remove_all();
        }
    }
}
