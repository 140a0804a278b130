//! The program and its maps: loaded, and why they are not on an uplink.

use std::io;
use std::path::PathBuf;

use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader, VerifierLogLevel};
use lb_common::map_table::{MAPS, name};
use lb_common::ring::LEADERS_A_WORD;
use serde::Serialize;

use super::object::{EMPTY_PROGRAM, OBJECT, PROGRAM};
use super::pins::Pins;

/// Why the program is not on the uplinks. Whatever was done up to then has been undone.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The pin directory cannot be made.
    #[error("cannot make {}: {source}", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The object or its maps were refused.
    #[error(
        "the kernel refused the maps of the XDP program: {0}; pins of another build? `fairlead detach` removes them"
    )]
    Maps(#[source] EbpfError),
    /// The object does not hold what it should.
    #[error("the XDP object has no program named {0:?}: this binary was built wrongly")]
    NoProgram(&'static str),
    /// The verifier or the kernel refused the program.
    #[error("the kernel refused the XDP program: {0}")]
    Load(#[source] ProgramError),
    /// Another program has the interface. It is not ours to remove.
    #[error(
        "interface {interface} already has an XDP program: {holder}; Fairlead does not remove it: detach it (`ip link set dev {interface} xdp off`) or choose another interface"
    )]
    Occupied {
        /// The interface.
        interface: String,
        /// What is known of the program.
        holder: String,
    },
    /// The interface cannot be attached to.
    #[error("cannot attach to {interface}: {source}")]
    Attach {
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: ProgramError,
    },
    /// The link cannot be used.
    #[error("cannot keep the attachment of {interface}: {reason}")]
    Link {
        /// The interface.
        interface: String,
        /// What went wrong.
        reason: String,
    },
    /// Something cannot be pinned.
    #[error("cannot pin {}: {reason}", .path.display())]
    Pin {
        /// The pin.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The BPF file system is gone.
    #[error(
        "{} is no BPF file system any more: forwarding goes on, but ends with this agent; mount it by `mount -t bpf bpf {}`, and the agent pins everything again",
        .path.display(), .path.display()
    )]
    NoBpffs {
        /// Where it was.
        path: PathBuf,
    },
    /// There is no such interface.
    #[error("uplink {interface} is gone: it is served again as soon as there is an interface of that name")]
    Absent {
        /// The interface.
        interface: String,
    },
    /// The interface has another name.
    #[error(
        "uplink {interface} is now called {name}: it is still served, but an agent that starts looks for {interface}: rename it back, or give --interface {name}"
    )]
    Renamed {
        /// As it was given.
        interface: String,
        /// As it is called now.
        name: String,
    },
    /// It has been taken off on request.
    #[error("`fairlead detach` has detached the program: restart the agent to attach it again")]
    Detached,
}

/// How the program runs on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// In the driver.
    Native,
    /// In the stack, which costs several times as much.
    Generic,
    /// Not at all.
    Off,
}

/// How the program is to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModeChoice {
    /// In the driver where it has XDP, in the stack elsewhere, and on a veth.
    ///
    /// What a native program sends back out of a veth is lost unless the other end has an XDP program or GRO, which
    /// cannot be seen from here: the other end is mostly in another network namespace.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// In the stack.
    Generic,
}

impl ModeChoice {
    /// The one mode that will do; `None`: the best that the driver has.
    pub(super) fn of(self, is_veth: bool) -> Option<Mode> {
        match self {
            Self::Auto => is_veth.then_some(Mode::Generic),
            Self::Native => Some(Mode::Native),
            Self::Generic => Some(Mode::Generic),
        }
    }
}

/// An uplink, and how the program runs on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attached {
    /// The interface's name as it is now.
    pub interface: String,
    /// How the program runs on it.
    pub mode: Mode,
}

/// Sizes of the maps that are chosen. Maps that are found pinned keep theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSizes {
    /// Slots of all rings.
    pub ring_slots: u32,
    /// Sets of the flow table, a power of two.
    pub flow_sets: u32,
}

/// The object as it is built: its program asks the kernel nothing. See [`load_object`].
///
/// # Errors
/// When the kernel refuses a map.
pub fn load(pins: Option<&Pins>, sizes: MapSizes) -> Result<Ebpf, EbpfError> {
    load_object(OBJECT, pins, sizes)
}

/// The object's maps, created or found pinned, and its programs, not yet loaded.
///
/// # Errors
/// When the kernel refuses a map.
pub fn load_object(object: &[u8], pins: Option<&Pins>, sizes: MapSizes) -> Result<Ebpf, EbpfError> {
    let path = |pins: &Pins| MAPS.iter().map(|map| (map.name, pins.map(map.name))).collect();
    let paths: Vec<_> = pins.map(path).unwrap_or_default();
    let mut loader = EbpfLoader::new();
    // A reason and figures, and not every instruction that the verifier has followed: that log grows to megabytes, and
    // for each size that it does not fit into the program is verified anew.
    loader.verifier_log_level(VerifierLogLevel::STATS);
    loader.map_max_entries(name::RINGS, sizes.ring_slots);
    loader.map_max_entries(name::LEADERS, sizes.ring_slots.div_ceil(LEADERS_A_WORD as u32));
    loader.map_max_entries(name::FLOWS, sizes.flow_sets);
    for (map, path) in &paths {
        loader.map_pin_path(map, path.as_path());
    }
    loader.load(object)
}

/// A program of the object, loaded.
///
/// # Errors
/// When the object lacks it or the kernel refuses it.
pub fn loaded_program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, AttachError> {
    debug_assert!(name == PROGRAM || name == EMPTY_PROGRAM);
    let program = ebpf.program_mut(name).ok_or(AttachError::NoProgram(name))?;
    let program: &mut Xdp = program.try_into().map_err(|_| AttachError::NoProgram(name))?;
    program.load().map_err(AttachError::Load)?;
    Ok(program)
}
