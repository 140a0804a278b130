//! The program onto the uplinks: maps pinned or found pinned, a pinned link an interface, all or nothing.

use std::path::PathBuf;
use std::{fs, io};

use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramError, Xdp, XdpMode};
use aya::{Ebpf, EbpfError, EbpfLoader};
use lb_common::maps::name;
use serde::Serialize;

use super::ask::Prepared;
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
    /// The link cannot be pinned or taken over.
    #[error("cannot keep the attachment of {interface} at {}: {reason}", .path.display())]
    Link {
        /// The interface.
        interface: String,
        /// The pin.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

/// How the program runs on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// In the driver.
    Native,
    /// In the stack, which costs several times as much.
    Generic,
    /// Attached by an agent before this one, in the mode that it found.
    TakenOver,
}

/// An interface with the program.
#[derive(Clone, Debug, Serialize)]
pub struct Attached {
    /// Its name.
    pub interface: String,
    /// How the program runs on it.
    pub mode: Mode,
}

/// Loads the program and puts it on the interfaces. Pinned maps and links of an agent before this one are
/// taken over: the maps keep their content, and the program on a link is replaced in one step.
///
/// # Errors
/// See [`AttachError`]; nothing is left behind that was not there before.
pub fn attach(
    pins: &Pins,
    interfaces: &[String],
    ring_slots: u32,
    prepared: &Prepared,
) -> Result<Vec<Attached>, AttachError> {
    let fresh = !pins.directory().exists();
    let directory = pins.directory();
    fs::create_dir_all(&directory).map_err(|source| AttachError::Directory { path: directory, source })?;
    let mut undo = Undo { pins, links: Vec::new(), everything: fresh };
    let mut ebpf = load_object(&prepared.object, Some(pins), ring_slots).map_err(AttachError::Maps)?;
    let program = loaded_program(&mut ebpf, PROGRAM)?;
    let mut attached = Vec::new();
    for interface in interfaces {
        attached.push(Attached {
            interface: interface.clone(),
            mode: attach_one(program, pins, interface, &mut undo)?,
        });
    }
    undo.keep();
    Ok(attached)
}

/// The object as it is built: its program asks the kernel nothing. See [`load_object`].
///
/// # Errors
/// When the kernel refuses a map.
pub fn load(pins: Option<&Pins>, ring_slots: u32) -> Result<Ebpf, EbpfError> {
    load_object(OBJECT, pins, ring_slots)
}

/// The object's maps, created or found pinned, and its programs, not yet loaded.
///
/// # Errors
/// When the kernel refuses a map.
pub fn load_object(object: &[u8], pins: Option<&Pins>, ring_slots: u32) -> Result<Ebpf, EbpfError> {
    let paths: Vec<_> = pins.map(|p| name::ALL.map(|map| (map, p.map(map)))).into_iter().flatten().collect();
    let mut loader = EbpfLoader::new();
    loader.map_max_entries(name::RINGS, ring_slots);
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

fn attach_one(
    program: &mut Xdp,
    pins: &Pins,
    interface: &str,
    undo: &mut Undo<'_>,
) -> Result<Mode, AttachError> {
    let path = pins.link(interface);
    let link_error =
        |reason: String| AttachError::Link { interface: interface.into(), path: path.clone(), reason };
    if let Ok(pinned) = PinnedLink::from_pin(&path) {
        match take_over(program, pinned) {
            Ok(()) => return Ok(Mode::TakenOver),
            // The interface is gone, and perhaps another one has its name now: the pin leads nowhere.
            Err(_) => fs::remove_file(&path).map_err(|e| link_error(e.to_string()))?,
        }
    }
    let (link, mode) = fresh_link(program, interface)?;
    let link = program.take_link(link).map_err(|e| link_error(e.to_string()))?;
    let link: FdLink = link
        .try_into()
        .map_err(|e: LinkError| link_error(format!("{e}; Linux 5.9 or later is needed for XDP links")))?;
    link.pin(&path).map_err(|e| link_error(e.to_string()))?;
    undo.links.push(path);
    Ok(mode)
}

fn take_over(program: &mut Xdp, pinned: PinnedLink) -> Result<(), ProgramError> {
    let link: XdpLink = FdLink::from(pinned).try_into().map_err(|_| ProgramError::NotAttached)?;
    // The link that the program now holds is dropped with it; the pin keeps the attachment.
    program.attach_to_link(link).map(drop)
}

fn fresh_link(
    program: &mut Xdp,
    interface: &str,
) -> Result<(aya::programs::xdp::XdpLinkId, Mode), AttachError> {
    match program.attach(interface, XdpMode::Driver) {
        Ok(link) => Ok((link, Mode::Native)),
        Err(error) if is_errno(&error, libc::EBUSY) || is_errno(&error, libc::EEXIST) => {
            Err(AttachError::Occupied { interface: interface.into(), holder: holder(interface) })
        }
        Err(native) => match program.attach(interface, XdpMode::Skb) {
            Ok(link) => {
                tracing::warn!(interface, %native, "the driver has no XDP: running in the stack, which costs several times as much");
                Ok((link, Mode::Generic))
            }
            Err(source) => Err(AttachError::Attach { interface: interface.into(), source }),
        },
    }
}

fn is_errno(error: &ProgramError, errno: i32) -> bool {
    matches!(error, ProgramError::SyscallError(e) if e.io_error.raw_os_error() == Some(errno))
}

/// What is known of the program on an interface, for a sentence.
fn holder(interface: &str) -> String {
    let Some(id) = crate::net::link::xdp_program_of(interface) else {
        return "one that cannot be named".into();
    };
    let name = aya::programs::loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned));
    match name {
        Some(name) => format!("{name:?} (id {id})"),
        None => format!("id {id}"),
    }
}

/// Takes back, unless it is told to keep, what was pinned.
struct Undo<'a> {
    pins: &'a Pins,
    links: Vec<PathBuf>,
    everything: bool,
}

impl Undo<'_> {
    fn keep(mut self) {
        self.links.clear();
        self.everything = false;
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        for link in &self.links {
            let _ = fs::remove_file(link);
        }
        if self.everything {
            let _ = self.pins.remove_all();
        }
    }
}
