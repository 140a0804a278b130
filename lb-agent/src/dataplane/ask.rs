//! What the program can ask this node's kernel: the gaps that it is compiled with, filled for the kernel that runs.
//!
//! ```text
//! object ── gaps filled from the kernel's BTF ── loaded on trial ──► the program that asks
//!    └──────────── off, or refused ────────────────────────────────► the program as it is, which asks nothing
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
use super::object::{ASKING_PROGRAM, OBJECT};

/// The kernel's types.
const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
/// Those of the module, where tracking connections is one.
const MODULE: &str = "/sys/kernel/btf/nf_conntrack";

/// Whether the program asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum AskKernel {
    /// Whatever this kernel can be asked.
    #[default]
    Auto,
    /// Nothing.
    Off,
}

/// Why a table of the kernel cannot be asked; `None`: it can.
pub type Obstacle = Option<String>;

/// What the program can ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Questions {
    /// Why the table of sockets cannot be asked.
    pub sockets: Obstacle,
    /// Why the table of tracked connections cannot be asked.
    pub conntrack: Obstacle,
}

impl Questions {
    fn nothing(reason: &str) -> Self {
        Self { sockets: Some(reason.into()), conntrack: Some(reason.into()) }
    }
}

impl fmt::Display for Questions {
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

/// The object to load, and what its program can ask.
pub struct Prepared {
    /// The object.
    pub object: Cow<'static, [u8]>,
    /// What its program can ask.
    pub questions: Questions,
}

/// Fills the object's gaps for this kernel, as far as it lets the program ask.
pub fn prepare(ask: AskKernel) -> Prepared {
    let as_it_is = |reason: &str| Prepared { object: OBJECT.into(), questions: Questions::nothing(reason) };
    if ask == AskKernel::Off {
        return as_it_is("--ask-kernel off");
    }
    let (numbers, missing) = match ConntrackNumbers::of_this_kernel() {
        Ok(numbers) => (Some(numbers), None),
        Err(reason) => (None, Some(reason)),
    };
    let refusal = match attempt(numbers) {
        Ok(object) => {
            return Prepared {
                object: object.into(),
                questions: Questions { sockets: None, conntrack: missing },
            };
        }
        Err(refusal) => refusal,
    };
    // Kernel functions are refused where programs are not compiled (net.core.bpf_jit_enable=0); helpers are not.
    match attempt(None) {
        Ok(object) if numbers.is_some() => Prepared {
            object: object.into(),
            questions: Questions { sockets: None, conntrack: Some(refused(&refusal)) },
        },
        Ok(_) | Err(_) => as_it_is(&refused(&refusal)),
    }
}

fn refused(reason: &str) -> String {
    format!("the kernel refuses the question: {reason}")
}

/// The object with its gaps filled, if the kernel takes the part that asks.
fn attempt(numbers: Option<ConntrackNumbers>) -> Result<Vec<u8>, String> {
    let object = filled(OBJECT, numbers)?;
    try_load(&object)?;
    Ok(object)
}

/// The object with its gaps filled; without numbers, only sockets are asked.
///
/// # Errors
/// When the object has other gaps than this agent knows.
pub fn filled(object: &[u8], numbers: Option<ConntrackNumbers>) -> Result<Vec<u8>, String> {
    let mut filled = object.to_vec();
    fill(&mut filled, marker::ALLOWED, instruction::move_to_r0(1))?;
    if let Some(ConntrackNumbers { look_up, release, state, status }) = numbers {
        fill(&mut filled, marker::CT_LOOKUP, instruction::call_kernel(look_up))?;
        fill(&mut filled, marker::CT_RELEASE, instruction::call_kernel(release))?;
        fill(&mut filled, marker::CT_STATE, instruction::load_byte(state))?;
        fill(&mut filled, marker::CT_STATUS, instruction::load_byte(status))?;
    }
    Ok(filled)
}

/// Replaces what stands behind a marker, in every place.
fn fill(object: &mut [u8], marker: i32, by: [u8; 8]) -> Result<(), String> {
    let gap = [instruction::move_to_r0(marker), instruction::move_to_r0(0)].concat();
    let mut places = 0;
    // Instructions are aligned in the file, as their sections are.
    for at in (0..object.len().saturating_sub(gap.len() - 1)).step_by(8) {
        if object[at..].starts_with(&gap) {
            object[at + 8..at + 16].copy_from_slice(&by);
            places += 1;
        }
    }
    if places == 0 {
        Err(format!("the XDP object has no gap {marker:#x}: this binary was built wrongly"))
    } else {
        Ok(())
    }
}

/// Numbers of what asks the table of tracked connections, in the kernel that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConntrackNumbers {
    look_up: u32,
    release: u32,
    state: i16,
    status: i16,
}

impl ConntrackNumbers {
    /// Reads them from the kernel's BTF.
    ///
    /// # Errors
    /// What is missing, and why.
    pub fn of_this_kernel() -> Result<Self, String> {
        let bytes = std::fs::read(VMLINUX).map_err(|error| format!("cannot read {VMLINUX}: {error}"))?;
        let btf = Btf::parse(&bytes).map_err(|error| format!("{VMLINUX}: {error}"))?;
        Self::of(&btf).ok_or_else(|| {
            if Path::new(MODULE).exists() {
                "this kernel tracks connections in a module, whose functions the program cannot call".to_owned()
            } else {
                "this kernel offers programs no look-up of tracked connections (bpf_xdp_ct_lookup, Linux 5.18 with \
                 nf_conntrack built in)"
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
            // Its lowest byte, on machines that keep that first.
            status: offset(&["status"])?,
        })
    }
}

/// Loads the program that does nothing but ask.
fn try_load(object: &[u8]) -> Result<(), String> {
    let mut loader = EbpfLoader::new();
    loader.verifier_log_level(VerifierLogLevel::STATS);
    loader.map_max_entries(name::RINGS, 1);
    loader.map_max_entries(name::LEADERS, 1);
    let mut ebpf = loader.load(object).map_err(|error| error.to_string())?;
    let program: &mut Xdp = ebpf
        .program_mut(ASKING_PROGRAM)
        .and_then(|program| program.try_into().ok())
        .ok_or_else(|| format!("the XDP object has no program named {ASKING_PROGRAM:?}"))?;
    program.load().map_err(|error| last_line(&error.to_string()))
}

/// The verifier tells a long story; its end, in front of what it counted, says why.
fn last_line(story: &str) -> String {
    const COUNTS: [&str; 5] =
        ["processed ", "stack depth ", "insns processed ", "subprog ", "verification time "];
    let is_count = |line: &str| COUNTS.iter().any(|start| line.starts_with(start));
    let mut lines = story.lines().rev().filter(|line| !line.trim().is_empty() && !is_count(line));
    lines.next().unwrap_or(story).trim().to_owned()
}

/// Instructions of BPF, eight bytes each: code, registers, offset, number.
mod instruction {
    /// `r0 = number`.
    pub(super) fn move_to_r0(number: i32) -> [u8; 8] {
        encode(0xb7, 0, 0, number)
    }

    /// A call of a function of the kernel, by its number in the kernel's BTF.
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
    fn a_gap_is_filled_wherever_it_is() {
        let gap = |number: i32| [instruction::move_to_r0(number), instruction::move_to_r0(0)].concat();
        let mut object = [gap(7), gap(8), vec![0xaa; 8], gap(7)].concat();
        let before = object.clone();
        fill(&mut object, 7, instruction::call_kernel(0x0102_0304)).unwrap();
        let call = [0x85, 0x20, 0, 0, 4, 3, 2, 1];
        assert_eq!(object[8..16], call);
        assert_eq!(object[48..56], call);
        assert_eq!(object[..8], before[..8]);
        assert_eq!(object[16..48], before[16..48], "what is not behind this marker");
        assert!(fill(&mut object, 9, instruction::move_to_r0(1)).is_err(), "no such gap");
        assert!(fill(&mut object, 7, instruction::move_to_r0(1)).is_err(), "both are filled");
    }

    #[test]
    fn the_object_has_every_gap() {
        // A checkout that has not built the object yet has nothing to look at.
        if !OBJECT.is_empty() {
            filled(OBJECT, Some(ConntrackNumbers { look_up: 1, release: 2, state: 3, status: 4 })).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_asked_is_said_once() {
        assert_eq!(Questions::default().to_string(), "sockets yes, conntrack yes");
        assert_eq!(Questions::nothing("--ask-kernel off").to_string(), "no (--ask-kernel off)");
        let partly = Questions { sockets: None, conntrack: Some("a module".into()) };
        assert_eq!(partly.to_string(), "sockets yes, conntrack no (a module)");
    }

    #[test]
    fn the_reason_is_the_last_line_of_the_verifiers_story() {
        let story = "the program was refused\n0: (b7) r0 = 0\ncalling kernel function is not allowed\nverification time 12 usec\nstack depth max 64\ninsns processed 1+8\nsubprog 0 (asks) main insns_self 1 insns_total 9 stack 0\nprocessed 9 insns (limit 1000000)\n\n";
        assert_eq!(last_line(story), "calling kernel function is not allowed");
        assert_eq!(last_line(""), "");
    }
}
