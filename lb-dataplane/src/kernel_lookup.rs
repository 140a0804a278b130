//! Kernel lookups: the sockets and tracked connections that the program can look up in this node's kernel.
//! The program is compiled with placeholder instructions, which are patched for the running kernel.
//!
//! ```text
//! object ── patched from the kernel's BTF ── trial load ──► the program with lookups
//!    └───────── off, or refused ─────────────────────────► the program as built, without lookups
//! ```

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use aya::programs::Xdp;
use aya::{EbpfLoader, VerifierLogLevel};
use lb_common::kernel::marker;
use lb_common::map_table::name;
use serde::{Deserialize, Serialize};

use super::btf::Btf;
use super::object::{LOOKUP_PROGRAM, OBJECT};

/// The kernel's BTF.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
/// The BTF of the conntrack module, where it is one.
const MODULE: &str = "/sys/kernel/btf/nf_conntrack";

/// The setting of kernel lookups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum KernelLookup {
    /// Look up all tables that this kernel supports.
    #[default]
    Auto,
    /// No lookups.
    Off,
}

/// The reason why a kernel table cannot be looked up; `None` if it can.
pub type Obstacle = Option<String>;

/// The kernel tables that the program can look up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupSupport {
    /// The obstacle to socket lookups.
    pub sockets: Obstacle,
    /// The obstacle to conntrack lookups.
    pub conntrack: Obstacle,
}

impl LookupSupport {
    fn none(reason: &str) -> Self {
        Self { sockets: Some(reason.into()), conntrack: Some(reason.into()) }
    }
}

impl fmt::Display for LookupSupport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = |obstacle: &Obstacle| match obstacle {
            None => "yes".to_owned(),
            Some(reason) => format!("no ({reason})"),
        };
        if self.sockets.is_some() && self.sockets == self.conntrack {
            return write!(out, "{}", table(&self.sockets));
        }
        write!(out, "sockets {}, conntrack {}", table(&self.sockets), table(&self.conntrack))
    }
}

/// The object to load, and the lookups of its program.
pub struct PreparedObject {
    /// The object.
    pub object: Cow<'static, [u8]>,
    /// The lookups of its program.
    pub lookups: LookupSupport,
}

/// Patches the object for this kernel, as far as the kernel permits lookups.
pub fn prepare(setting: KernelLookup) -> PreparedObject {
    let unpatched =
        |reason: &str| PreparedObject { object: OBJECT.into(), lookups: LookupSupport::none(reason) };
    if setting == KernelLookup::Off {
        return unpatched("--ask-kernel off");
    }
    let (abi, missing) = match ConntrackAbi::of_this_kernel() {
        Ok(abi) => (Some(abi), None),
        Err(reason) => (None, Some(reason)),
    };
    let refusal = match attempt(abi) {
        Ok(object) => {
            return PreparedObject {
                object: object.into(),
                lookups: LookupSupport { sockets: None, conntrack: missing },
            };
        }
        Err(refusal) => refusal,
    };
    // Without the JIT compiler (net.core.bpf_jit_enable=0) the kernel refuses kfuncs, but not helpers.
    match attempt(None) {
        Ok(object) if abi.is_some() => PreparedObject {
            object: object.into(),
            lookups: LookupSupport { sockets: None, conntrack: Some(refused(&refusal)) },
        },
        Ok(_) | Err(_) => unpatched(&refused(&refusal)),
    }
}

fn refused(reason: &str) -> String {
    format!("the kernel refuses the lookup: {reason}")
}

/// Patches the object, and checks by a trial load that the kernel accepts the lookups.
fn attempt(abi: Option<ConntrackAbi>) -> Result<Vec<u8>, String> {
    let object = patched(OBJECT, abi)?;
    try_load(&object)?;
    Ok(object)
}

/// Returns the object with its placeholders patched; without `abi`, the program looks up sockets only.
///
/// # Errors
/// When the object lacks one of the placeholders.
fn patched(object: &[u8], abi: Option<ConntrackAbi>) -> Result<Vec<u8>, String> {
    let mut patched = object.to_vec();
    patch(&mut patched, marker::ALLOWED, instruction::move_to_r0(1))?;
    if let Some(ConntrackAbi { look_up, release, state, status }) = abi {
        patch(&mut patched, marker::CT_LOOKUP, instruction::call_kernel(look_up))?;
        patch(&mut patched, marker::CT_RELEASE, instruction::call_kernel(release))?;
        patch(&mut patched, marker::CT_STATE, instruction::load_byte(state))?;
        patch(&mut patched, marker::CT_STATUS, instruction::load_byte(status))?;
    }
    Ok(patched)
}

/// Replaces the instruction after each occurrence of a marker.
fn patch(object: &mut [u8], marker: i32, by: [u8; 8]) -> Result<(), String> {
    let placeholder = [instruction::move_to_r0(marker), instruction::move_to_r0(0)].concat();
    let mut count = 0;
    // Instructions are aligned in the file, because their sections are.
    for at in (0..object.len().saturating_sub(placeholder.len() - 1)).step_by(8) {
        if object[at..].starts_with(&placeholder) {
            object[at + 8..at + 16].copy_from_slice(&by);
            count += 1;
        }
    }
    if count == 0 {
        Err(format!("the XDP object has no placeholder {marker:#x}: this binary is broken, build it again"))
    } else {
        Ok(())
    }
}

/// The running kernel's kfunc IDs and member offsets for conntrack lookups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ConntrackAbi {
    look_up: u32,
    release: u32,
    state: i16,
    status: i16,
}

impl ConntrackAbi {
    /// Reads them from the kernel's BTF.
    ///
    /// # Errors
    /// The reason why the kernel does not support conntrack lookups.
    fn of_this_kernel() -> Result<Self, String> {
        let bytes = std::fs::read(VMLINUX).map_err(|error| format!("cannot read {VMLINUX}: {error}"))?;
        let btf = Btf::parse(&bytes).map_err(|error| format!("{VMLINUX}: {error}"))?;
        Self::of(&btf).ok_or_else(|| {
            if Path::new(MODULE).exists() {
                "this kernel has conntrack as a module, whose functions the program cannot call".to_owned()
            } else {
                "this kernel has no conntrack lookup for XDP (bpf_xdp_ct_lookup: Linux 5.18 or later with nf_conntrack \
                 built in)"
                    .to_owned()
            }
        })
    }

    fn of(btf: &Btf<'_>) -> Option<Self> {
        let offset = |path: &[&str]| i16::try_from(btf.offset("nf_conn", path)?).ok();
        Some(Self {
            look_up: btf.function("bpf_xdp_ct_lookup")?,
            release: btf.function("bpf_ct_release")?,
            state: offset(&["proto", "tcp", "state"])?,
            // Its lowest byte, on little-endian machines.
            status: offset(&["status"])?,
        })
    }
}

/// Loads the program that consists of the lookups only.
fn try_load(object: &[u8]) -> Result<(), String> {
    let mut loader = EbpfLoader::new();
    loader.verifier_log_level(VerifierLogLevel::STATS);
    loader.map_max_entries(name::RINGS, 1);
    loader.map_max_entries(name::LEADERS, 1);
    let mut ebpf = loader.load(object).map_err(|error| error.to_string())?;
    let program: &mut Xdp = ebpf
        .program_mut(LOOKUP_PROGRAM)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| format!("the XDP object has no program named {LOOKUP_PROGRAM:?}"))?;
    program.load().map_err(|error| last_line(&error.to_string()))
}

/// Returns the verifier's reason: the last line of its log before the statistics.
fn last_line(log: &str) -> String {
    const COUNTS: [&str; 5] =
        ["processed ", "stack depth ", "insns processed ", "subprog ", "verification time "];
    let is_count = |line: &str| COUNTS.iter().any(|start| line.starts_with(start));
    let mut lines = log.lines().rev().filter(|line| !line.trim().is_empty() && !is_count(line));
    lines.next().unwrap_or(log).trim().to_owned()
}

/// BPF instructions, eight bytes each: opcode, registers, offset, immediate.
mod instruction {
    /// `r0 = number`.
    pub(super) fn move_to_r0(number: i32) -> [u8; 8] {
        encode(0xb7, 0, 0, number)
    }

    /// A call of a kfunc, by its type ID in the kernel's BTF.
    pub(super) fn call_kernel(function: u32) -> [u8; 8] {
        const PSEUDO_KFUNC_CALL: u8 = 2;
        encode(0x85, PSEUDO_KFUNC_CALL << 4, 0, function as i32)
    }

    /// `r0 = *(u8 *)(r1 + offset)`.
    pub(super) fn load_byte(offset: i16) -> [u8; 8] {
        encode(0x71, 1 << 4, offset, 0)
    }

    fn encode(code: u8, registers: u8, offset: i16, number: i32) -> [u8; 8] {
        let ([o0, o1], [n0, n1, n2, n3]) = (offset.to_le_bytes(), number.to_le_bytes());
        [code, registers, o0, o1, n0, n1, n2, n3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_patched_wherever_it_is() {
        let placeholder =
            |number: i32| [instruction::move_to_r0(number), instruction::move_to_r0(0)].concat();
        let mut object = [placeholder(7), placeholder(8), vec![0xaa; 8], placeholder(7)].concat();
        let before = object.clone();
        patch(&mut object, 7, instruction::call_kernel(0x0102_0304)).unwrap();
        let call = [0x85, 0x20, 0, 0, 4, 3, 2, 1];
        assert_eq!(object[8..16], call);
        assert_eq!(object[48..56], call);
        assert_eq!(object[..8], before[..8]);
        assert_eq!(object[16..48], before[16..48], "instructions not after this marker");
        assert!(patch(&mut object, 9, instruction::move_to_r0(1)).is_err(), "no such placeholder");
        assert!(patch(&mut object, 7, instruction::move_to_r0(1)).is_err(), "both are patched");
    }

    #[test]
    fn the_object_has_every_placeholder() {
        // Empty in a checkout that has not built the object yet.
        if !OBJECT.is_empty() {
            patched(OBJECT, Some(ConntrackAbi { look_up: 1, release: 2, state: 3, status: 4 })).unwrap();
        }
    }

    #[test]
    fn a_common_obstacle_is_printed_once() {
        assert_eq!(LookupSupport::default().to_string(), "sockets yes, conntrack yes");
        assert_eq!(LookupSupport::none("--ask-kernel off").to_string(), "no (--ask-kernel off)");
        let partly = LookupSupport { sockets: None, conntrack: Some("a module".into()) };
        assert_eq!(partly.to_string(), "sockets yes, conntrack no (a module)");
    }

    #[test]
    fn the_reason_is_the_last_line_of_the_verifiers_log() {
        let log = "the program was refused\n0: (b7) r0 = 0\ncalling kernel function is not allowed\nverification time 12 usec\nstack depth max 64\ninsns processed 1+8\nsubprog 0 (asks) main insns_self 1 insns_total 9 stack 0\nprocessed 9 insns (limit 1000000)\n\n";
        assert_eq!(last_line(log), "calling kernel function is not allowed");
        assert_eq!(last_line(""), "");
    }
}
