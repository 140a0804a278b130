//! Loading of the XDP program and its maps, and the errors of attaching it.

use std::io;
use std::path::PathBuf;

use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader, VerifierLogLevel};
use lb_common::map_table::{MAPS, name};
use lb_common::ring::LEADERS_A_WORD;
use lb_common::trace::{self, RING_BYTES};
use serde::{Deserialize, Serialize};

use super::object::{EMPTY_PROGRAM, OBJECT, PROGRAM, TRACE_PROGRAM};
use super::pins::Pins;

/// The reason why the program is not attached. Everything done before the error has been undone.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The pin directory cannot be created.
    #[error("cannot create the pin directory {}: {source}", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The kernel refused the maps, or the object is invalid.
    #[error(
        "cannot load the maps of the XDP program: {0}; if pins of another build are in the way, `fairlead detach` removes them"
    )]
    Maps(#[source] EbpfError),
    /// The maps are pinned by another build, whose layout has the same number.
    #[error(
        "map {map} in {} has other fields than this build's layout of the same number: another build, in most cases a developer's, made it; forwarding continues as it was; run that build, or remove its pins with `fairlead detach`",
        .path.display()
    )]
    OtherBuild {
        /// The directory of the pins.
        path: PathBuf,
        /// The first map that differs.
        map: &'static str,
    },
    /// The object lacks a program.
    #[error("the XDP object has no program named {0:?}: this binary is broken, build it again")]
    NoProgram(&'static str),
    /// The verifier or the kernel refused the program.
    #[error("the kernel refused the XDP program: {0}")]
    Load(#[source] ProgramError),
    /// Another program is attached to the interface. Fairlead does not remove it.
    #[error(
        "interface {interface} already has an XDP program: {holder}; Fairlead does not remove it: detach it (`ip link set dev {interface} xdp off`) or choose another interface"
    )]
    Occupied {
        /// The interface.
        interface: String,
        /// The program's name and ID, as far as they are known.
        holder: String,
    },
    /// The program cannot be attached to the interface.
    #[error("cannot attach the XDP program to {interface}: {source}")]
    Attach {
        /// The interface.
        interface: String,
        /// The kernel's error.
        source: ProgramError,
    },
    /// The XDP link cannot be held or updated.
    #[error("cannot use the XDP link of {interface}: {reason}")]
    Link {
        /// The interface.
        interface: String,
        /// The kernel's error.
        reason: String,
    },
    /// A map or a link cannot be pinned.
    #[error("cannot pin {}: {reason}", .path.display())]
    Pin {
        /// The pin.
        path: PathBuf,
        /// The kernel's error.
        reason: String,
    },
    /// The BPF file system has been unmounted.
    #[error(
        "{} is no longer a BPF file system: forwarding continues, but ends with this agent; mount it with `mount -t bpf bpf {}`, and the agent pins everything again",
        .path.display(), .path.display()
    )]
    NoBpffs {
        /// Its former mount point.
        path: PathBuf,
    },
    /// There is no such interface.
    #[error(
        "uplink {interface} does not exist: the program is attached as soon as there is an interface of that name"
    )]
    Absent {
        /// The interface.
        interface: String,
    },
    /// The interface was renamed.
    #[error(
        "uplink {interface} was renamed to {name}: the program still runs on it, but the next agent will look for {interface}; rename it back, or use --interface {name}"
    )]
    Renamed {
        /// The configured name.
        interface: String,
        /// The current name.
        name: String,
    },
    /// The tracing program was loaded with other maps than those in use.
    #[error(
        "the pins of the maps in {} are not those of the program on the uplinks; the agent restores them, so try again",
        .path.display()
    )]
    OtherMaps {
        /// The directory of the pins.
        path: PathBuf,
    },
    /// A trace began before the agent's program was on the uplinks.
    #[error("the agent's program is not on the uplinks yet: try again when the node is ready")]
    NotSwitched,
    /// The program was detached on request.
    #[error("`fairlead detach` has detached the XDP program: restart the agent to attach it again")]
    Detached,
}

/// The mode in which the program runs on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachMode {
    /// Native mode, in the driver.
    Native,
    /// Generic mode, in the network stack, which costs several times as much CPU.
    Generic,
    /// Not attached.
    Off,
}

impl AttachMode {
    /// Returns the mode's name in the status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
            Self::Off => "off",
        }
    }
}

/// The configured mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DesiredMode {
    /// Native mode if the driver supports it, otherwise generic mode; generic mode on devices that
    /// [`crate::net::uplink_path::choice`] says so of, such as a veth.
    ///
    /// Packets that a native program sends out of a veth are lost unless the peer has an XDP program or GRO.
    /// This cannot be detected: in most cases the peer is in another network namespace.
    #[default]
    Auto,
    /// Native mode, in the driver.
    Native,
    /// Generic mode.
    Generic,
}

impl DesiredMode {
    /// Returns the only acceptable mode; `None` means the best mode that the driver supports.
    pub fn required(self, requires_generic: bool) -> Option<AttachMode> {
        match self {
            Self::Auto => requires_generic.then_some(AttachMode::Generic),
            Self::Native => Some(AttachMode::Native),
            Self::Generic => Some(AttachMode::Generic),
        }
    }
}

/// The status of an uplink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedUplink {
    /// The current name of the interface.
    pub interface: String,
    /// The mode in which the program runs on it.
    pub mode: AttachMode,
    /// The devices below it: a bond with its members, what a VLAN device is on; its VRF. Absent for a device
    /// that has none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// The configurable map sizes. Pinned maps keep their sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapSizes {
    /// Number of slots of all rings.
    pub ring_slots: u32,
    /// Number of sets of the flow table, a power of two.
    pub flow_sets: u32,
}

/// Loads the object as built, whose program makes no kernel lookups. See [`load_object`].
///
/// # Errors
/// When the kernel refuses a map.
pub fn load(pins: Option<&Pins>, sizes: MapSizes) -> Result<Ebpf, EbpfError> {
    load_object(OBJECT, pins, sizes)
}

/// Creates the object's maps, or opens them where they are pinned. Does not load the programs yet.
///
/// # Errors
/// When the kernel refuses a map.
pub fn load_object(object: &[u8], pins: Option<&Pins>, sizes: MapSizes) -> Result<Ebpf, EbpfError> {
    let mut ebpf = load_with(object, pins, sizes, None)?;
    // No other program than the tracing one uses them.
    trace::map::ALL.iter().for_each(|map| drop(ebpf.take_map(map)));
    Ok(ebpf)
}

/// Does the same with the maps of the tracing program.
///
/// # Errors
/// When the kernel refuses a map.
pub(crate) fn load_tracing(object: &[u8], pins: &Pins, sizes: MapSizes) -> Result<Ebpf, EbpfError> {
    load_with(object, Some(pins), sizes, Some(RING_BYTES))
}

fn load_with(
    object: &[u8],
    pins: Option<&Pins>,
    sizes: MapSizes,
    ring_bytes: Option<u32>,
) -> Result<Ebpf, EbpfError> {
    let path = |pins: &Pins| MAPS.iter().map(|map| (map.name, pins.map(map.name))).collect();
    let paths: Vec<_> = pins.map(path).unwrap_or_default();
    let mut loader = EbpfLoader::new();
    // Log the verifier's reason and statistics only. The full log grows to megabytes, and the program is
    // verified again for each buffer size that is too small.
    loader.verifier_log_level(VerifierLogLevel::STATS);
    loader.map_max_entries(name::RINGS, sizes.ring_slots);
    loader.map_max_entries(name::LEADERS, sizes.ring_slots.div_ceil(LEADERS_A_WORD as u32));
    loader.map_max_entries(name::FLOWS, sizes.flow_sets);
    if let Some(bytes) = ring_bytes {
        loader.map_max_entries(trace::map::RECORDS, bytes);
    }
    for (map, path) in &paths {
        loader.map_pin_path(map, path.as_path());
    }
    loader.load(object)
}

/// Loads a program of the object.
///
/// # Errors
/// When the object lacks it or the kernel refuses it.
pub fn loaded_program<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut Xdp, AttachError> {
    debug_assert!([PROGRAM, TRACE_PROGRAM, EMPTY_PROGRAM].contains(&name));
    let program = ebpf.program_mut(name).ok_or(AttachError::NoProgram(name))?;
    let program: &mut Xdp = program.try_into().map_err(|_| AttachError::NoProgram(name))?;
    program.load().map_err(AttachError::Load)?;
    Ok(program)
}
