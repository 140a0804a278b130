//! The program's model on the host: the pipeline that runs in the kernel, on a byte slice and ordinary maps.

mod frame;
mod tables;

use lb_common::verdict::Fate;
use lb_pipeline::verdict::{Forward, Verdict};
use lb_pipeline::{judge_fast, judge_slow};

pub use frame::SliceFrame;
pub use tables::{FlowWords, HostTables, RouterHeard, Sizes, State, Totals};

/// A packet as a driver hands it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// All its bytes, from the first of Ethernet.
    pub bytes: Vec<u8>,
    /// Length of the part that the program can read directly; the rest is in further buffers.
    pub linear: usize,
    /// Bytes of the headroom that the driver's metadata takes, a multiple of four.
    pub metadata: usize,
}

impl Packet {
    /// Creates a packet in one buffer, with the whole headroom free.
    pub const fn new(bytes: Vec<u8>) -> Self {
        let linear = bytes.len();
        Self { bytes, linear, metadata: 0 }
    }

    /// Returns whether it lies in one buffer.
    pub const fn is_whole(&self) -> bool {
        self.linear == self.bytes.len()
    }
}

/// An XDP action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// To the network stack.
    Pass,
    /// Dropped.
    Drop,
    /// Out of the interface on which it arrived.
    Transmit,
    /// Out of another interface. The kernel hides its index from tests; the model returns it.
    Redirect,
}

impl Action {
    /// Returns the action of a program's return code; `None` for `XDP_ABORTED` and unknown codes.
    pub const fn from_code(code: u32) -> Option<Self> {
        match code {
            1 => Some(Self::Drop),
            2 => Some(Self::Pass),
            3 => Some(Self::Transmit),
            4 => Some(Self::Redirect),
            _ => None,
        }
    }
}

/// The result for a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Its action.
    pub action: Action,
    /// The packet afterwards.
    pub bytes: Vec<u8>,
    /// The number of its outcome or refusal in [`lb_common::verdict::COUNTERS`].
    pub counter: u32,
}

/// Returns the name of an outcome or refusal, for messages.
pub fn counter_name(number: u32) -> &'static str {
    lb_common::verdict::COUNTERS.iter().find(|(n, ..)| *n == number).map_or("unknown", |(_, name, _)| name)
}

/// Processes a packet that arrived on interface `ingress`; also returns the interface of a redirect.
///
/// # Panics
/// When the fast path's result differs from the slow path's, which is returned.
pub fn run(tables: &HostTables, packet: &Packet, ingress: u32) -> (Judged, Option<u32>) {
    let short = run_fast(tables, packet, ingress);
    let before = short.is_some().then(|| tables.state());
    let judged = run_slow(tables, packet, ingress);
    if let Some((judged_fast, totals)) = short {
        assert_eq!(judged_fast, judged, "fast path and slow path differ");
        assert_eq!(totals, tables.totals(), "fast path and slow path count differently");
        assert_eq!(before, Some(tables.state()), "the fast path writes no state, the slow path does");
    }
    judged
}

/// Processes a packet on the fast path, if that takes it. Returns the counters afterwards, and restores them.
fn run_fast(tables: &HostTables, packet: &Packet, ingress: u32) -> Option<((Judged, Option<u32>), Totals)> {
    let mut frame = SliceFrame::new(packet, ingress);
    let before = tables.totals();
    let verdict = judge_fast(&mut frame, tables);
    let declined = verdict.is_none();
    if declined {
        assert_eq!(before, tables.totals(), "a declined packet was counted");
        assert_eq!(
            frame.into_bytes(),
            SliceFrame::new(packet, ingress).into_bytes(),
            "declined, but changed"
        );
        return None;
    }
    let judged = conclude(tables, verdict?, frame);
    let totals = tables.totals();
    tables.set_totals(before);
    Some((judged, totals))
}

/// Processes a packet on the slow path.
fn run_slow(tables: &HostTables, packet: &Packet, ingress: u32) -> (Judged, Option<u32>) {
    let mut frame = SliceFrame::new(packet, ingress);
    // The kernel reuses it for every packet: what one packet leaves there must not affect the next.
    let mut read = lb_pipeline::PacketInfo::EMPTY;
    let verdict = judge_slow(&mut frame, tables, &mut read);
    conclude(tables, verdict, frame)
}

fn conclude(tables: &HostTables, verdict: Verdict, frame: SliceFrame) -> (Judged, Option<u32>) {
    let (action, counter, out) = match verdict {
        Ok(Forward::Pass(outcome)) => (Action::Pass, outcome as u32, None),
        Ok(Forward::Transmit(outcome)) => (Action::Transmit, outcome as u32, None),
        Ok(Forward::Consume(outcome)) => (Action::Drop, outcome as u32, None),
        Ok(Forward::Redirect(outcome, out)) => (Action::Redirect, outcome as u32, Some(out)),
        Ok(Forward::Next(_)) => unreachable!("the host runs subprograms in place"),
        Err(refusal) => {
            let action = match refusal.fate() {
                Fate::Pass => Action::Pass,
                Fate::Drop => Action::Drop,
            };
            (action, refusal as u32, None)
        }
    };
    tables.count(counter);
    (Judged { action, bytes: frame.into_bytes(), counter }, out)
}
