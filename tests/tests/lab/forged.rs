//! Tests that a host which is not a node cannot impersonate one, although it is two hops away and knows
//! everything but the key.

use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fairlead_tests::events::{Carrier, EventLoad, EventScenario, cluster};
use fairlead_tests::lab::topology::ECHO_PORT;
use fairlead_tests::lab::{Lab, WEB_V4};
use fairlead_tests::packets::build::Frame;
use lb_common::maps::Liveness;
use lb_common::ring::NodeIndex;
use lb_dataplane::mapped_tables::LivenessCells;
use lb_dataplane::maps::Maps;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};

const VICTIM: &str = "n1";
/// The victim's node indices: by name, its own first.
const OTHERS: [(NodeIndex, &str); 3] = [(1, "n2"), (2, "n3"), (3, "n4")];
/// Ticks without an answer after which a node is dead.
const LIMIT: u32 = 15;
/// Forged packets per second of each kind, and the duration.
const RATE: u32 = 5_000;
const FOR: Duration = Duration::from_secs(5);

/// The attacker's knowledge of the victim: everything but the key.
struct Known {
    own: [u8; 4],
    own_id: u32,
    cells: LivenessCells,
    /// Index, address, and the victim's discriminator.
    others: Vec<(NodeIndex, [u8; 4], u32)>,
}

impl Known {
    fn of(lab: &Lab) -> Result<Self> {
        let victim = lab.node(VICTIM)?;
        let contents = Maps::open(&victim.pins())?.read_back()?;
        let others = OTHERS.into_iter().map(|(index, name)| {
            let entry = contents.nodes.get(&index).with_context(|| format!("{name} has no index"))?;
            Ok((index, v4(lab, name)?, entry.discriminator))
        });
        Ok(Self {
            own: v4(lab, VICTIM)?,
            own_id: contents.config.context("no configuration")?.id,
            cells: LivenessCells::open(&victim.pins())?,
            others: others.collect::<Result<_>>()?,
        })
    }

    /// Forges an S-BFD answer of a node in this state, correct except for the key.
    fn answer(&self, node: usize, state: u8, tag: u64) -> Vec<u8> {
        let (_, from, discriminator) = self.others[node];
        let words = [0x0102_0304, discriminator, 50_000, 0, 0].into_iter().flat_map(u32::to_be_bytes);
        let head = [0x20, state | 0x14, 3, 40].into_iter().chain(words);
        let section = [254, 16, 0, 0].into_iter().chain(self.cells.clock().to_be_bytes());
        let payload: Vec<u8> = head.chain(section).chain(tag.to_be_bytes()).collect();
        Frame::v4(from, self.own).ttl(255).datagram(7784, 50_000, &payload).ip()
    }

    /// Forges a segment of a client's connection in GUE from a node, which claims that all others have asked
    /// this one.
    fn gue(&self, node: usize, port: u16, tag: u32) -> Vec<u8> {
        let IpAddr::V4(vip) = WEB_V4 else { return Vec::new() };
        let inner = Frame::v4([192, 0, 2, 77], vip.octets()).tcp(port, ECHO_PORT).ip();
        let words = [0, tag, self.own_id, self.own_id, self.own_id, self.own_id, self.own_id];
        let rest: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).chain(inner).collect();
        Frame::v4(self.others[node].1, self.own).untagged_gue(50_000, [7, 4, 0, 0], &rest).ip()
    }

    fn silence(&self, node: usize) -> (u32, Liveness) {
        let cell = self.cells.of(self.others[node].0);
        (cell.silence(self.cells.clock()), cell)
    }
}

fn v4(lab: &Lab, node: &str) -> Result<[u8; 4]> {
    Ok(lab.node(node)?.spec().addresses().v4.octets())
}

fn counted(lab: &Lab, name: &str) -> Result<u64> {
    let status = lab.node(VICTIM)?.status()?;
    let outcomes = status["outcomes"].as_array().context("no outcomes")?;
    let outcome = outcomes.iter().find(|it| it["name"] == name);
    Ok(outcome.and_then(|it| it["packets"].as_u64()).unwrap_or_default())
}

/// Sends forged packets from the client at [`RATE`]. Returns how many.
fn attack(lab: &Lab, known: &Known, forge: impl Fn(&Known, u32) -> Vec<u8> + Sync) -> Result<u64> {
    let to = SockaddrIn::new(known.own[0], known.own[1], known.own[2], known.own[3], 0);
    lab.client()?.run(|| {
        let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::empty(), SockProtocol::Raw)?;
        let begun = Instant::now();
        let mut sent = 0;
        while begun.elapsed() < FOR {
            let due = (begun.elapsed().as_secs_f64() * f64::from(RATE)) as u32;
            while sent < due {
                sendto(raw.as_raw_fd(), &forge(known, sent), &to, MsgFlags::empty())?;
                sent += 1;
            }
            sleep(Duration::from_millis(1));
        }
        Ok(sent.into())
    })
}

/// Runs `job`, and checks `holds` a thousand times a second meanwhile.
fn watched<T: Send>(job: impl FnOnce() -> Result<T> + Send, holds: impl Fn() -> Result<()>) -> Result<T> {
    thread::scope(|scope| {
        let job = scope.spawn(job);
        while !job.is_finished() {
            holds()?;
            sleep(Duration::from_millis(1));
        }
        job.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Forges the packet of this number.
type Forge = fn(&Known, u32) -> Vec<u8>;

const UP: u8 = 0xc0;
const ADMIN_DOWN: u8 = 0;

#[test]
fn forged_probe_answers_and_gue_packets_are_dropped_and_counted() -> Result<()> {
    cluster().run(|lab| {
        let scenario = EventScenario::start(lab, Carrier::Fairlead)?;
        let load = EventLoad::start(lab)?;
        let known = Known::of(lab)?;
        let all_alive = || {
            for (node, (_, name)) in OTHERS.into_iter().enumerate() {
                let (silence, cell) = known.silence(node);
                ensure!(silence < LIMIT && !cell.is_draining(), "{name}: {cell:?}");
            }
            Ok(())
        };
        let forgeries: [(&str, Forge); 2] = [
            ("AdminDown", |known, n| known.answer(n as usize % 3, ADMIN_DOWN, u64::from(n))),
            ("GUE", |known, n| known.gue(n as usize % 3, n as u16, n)),
        ];
        for (name, forge) in forgeries {
            let before = counted(lab, "bad_tag")?;
            let sent = watched(|| attack(lab, &known, forge), all_alive)?;
            let bad = counted(lab, "bad_tag")? - before;
            println!("{sent} forged packets ({name}): {bad} counted as bad_tag");
            ensure!(bad == sent && sent >= u64::from(RATE), "{name}: {sent} sent, {bad} counted");
        }
        let report = load.finish()?;
        println!("{report}");
        ensure!(report.broken() == 0, "{report}");
        a_dead_node_stays_dead(lab, &scenario, &known)
    })
}

fn a_dead_node_stays_dead(lab: &Lab, scenario: &EventScenario<'_>, known: &Known) -> Result<()> {
    scenario.route(&[VICTIM])?;
    lab.node("n2")?.cut_link()?;
    sleep(Duration::from_secs(1));
    let still_dead = || {
        let (silence, cell) = known.silence(0);
        ensure!(silence >= LIMIT, "n2 was revived: {cell:?}");
        Ok(())
    };
    still_dead()?;
    let before = counted(lab, "bad_tag")?;
    let sent = watched(|| attack(lab, known, |known, n| known.answer(0, UP, n.into())), still_dead)?;
    ensure!(counted(lab, "bad_tag")? - before == sent, "not all of {sent} were counted");
    lab.node("n2")?.restore_link()
}
