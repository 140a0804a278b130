//! The agent's side of BFD sessions: what it writes the program goes by, and what the program notes it reads.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::programs::{TestRun, TestRunOptions};
use fairlead_tests::bpffs::Bpffs;
use fairlead_tests::packets::build::Frame;
use fairlead_tests::packets::fixture::{BFD_SOURCE_PORT, ROUTER4, SELF4, own_control, router_control};
use lb_common::maps::{BFD_LISTENS, BFD_PEER, BFD_PEER_MULTIHOP, BfdAddress};
use lb_dataplane::attach::{MapSizes, load, loaded_program};
use lb_dataplane::bfd::{AgentCells, BfdMaps, BfdSessionConfig, InstalledSession};
use lb_dataplane::object::PROGRAM;
use lb_dataplane::pins::Pins;
use nix::time::{ClockId, clock_gettime};

const SIZES: MapSizes = MapSizes { ring_slots: 1024, flow_sets: 64 };
/// The second byte of a packet in state Up.
const UP: u8 = 0xc0;
const PASS: u32 = 2;
const TX: u32 = 3;

/// The program with its maps pinned in a BPF file system of its own, which goes with it.
struct Pinned {
    pins: Pins,
    ebpf: Ebpf,
    _bpffs: Bpffs,
}

impl Pinned {
    fn new() -> Result<Self> {
        let bpffs = Bpffs::mount()?;
        let pins = Pins::below(bpffs.path());
        fs::create_dir_all(pins.directory())?;
        let mut pinned = Self { ebpf: load(Some(&pins), SIZES)?, pins, _bpffs: bpffs };
        loaded_program(&mut pinned.ebpf, PROGRAM)?;
        Ok(pinned)
    }

    fn run(&mut self, frame: &Frame) -> Result<u32> {
        let program: &aya::programs::Xdp = self.ebpf.program(PROGRAM).context("no program")?.try_into()?;
        let (data, mut out) = (frame.bytes(), vec![0; 2048]);
        let mut options = TestRunOptions::new();
        options.data_in = Some(&data);
        options.data_out = Some(&mut out);
        Ok(program.test_run(options)?.return_value)
    }
}

/// A session that is never answered.
fn session(discriminator: u32, minimum_ttl: Option<u8>) -> BfdSessionConfig {
    BfdSessionConfig {
        remote: ROUTER4.into(),
        local: SELF4.into(),
        minimum_ttl,
        theirs: router_control(UP, discriminator),
        ours: own_control(UP, discriminator),
        late_after: None,
        answer_interval: Duration::ZERO,
        dead_after: Duration::from_secs(10),
        source_port: BFD_SOURCE_PORT,
        number: 3,
    }
}

fn control(port: u16, yours: u32) -> Frame {
    Frame::v4(ROUTER4, SELF4).ttl(255).datagram(50_000, port, &router_control(UP, yours))
}

/// Returns the time as the program reads it.
fn now() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}

#[test]
fn the_program_answers_between_the_agents_silence_and_its_end() -> Result<()> {
    let mut pinned = Pinned::new()?;
    let mut sessions = BfdMaps::open(&pinned.pins)?;
    let cells = AgentCells::open(&pinned.pins)?;
    let (late_after, dead_after) = (Duration::from_millis(100), Duration::from_secs(60));
    sessions.write(7, &BfdSessionConfig { late_after: Some(late_after), dead_after, ..session(7, None) })?;
    cells.note_alive(now()?);
    cells.note_bfd_sent(3, now()?);
    assert_eq!(pinned.run(&control(3784, 7))?, PASS, "the agent has just sent a packet");
    cells.note_bfd_sent(3, now()? - late_after);
    assert_eq!(pinned.run(&control(3784, 7))?, TX);
    assert_eq!(pinned.run(&control(3784, 7))?, TX);
    cells.note_alive(now()? - dead_after);
    assert_eq!(pinned.run(&control(3784, 7))?, PASS, "the agent is gone");
    cells.note_alive(now()?);
    assert_eq!(pinned.run(&control(3784, 7))?, TX, "it, or its successor, is back");
    let answer_interval = dead_after;
    let limited = BfdSessionConfig { answer_interval, late_after: Some(late_after), ..session(7, None) };
    sessions.write(7, &limited)?;
    assert_eq!(pinned.run(&control(3784, 7))?, PASS, "the last answer still counts");
    Ok(())
}

#[test]
fn a_successor_reads_what_its_predecessor_has_left() -> Result<()> {
    let mut pinned = Pinned::new()?;
    let mut sessions = BfdMaps::open(&pinned.pins)?;
    let (late_after, answer_interval) = (Some(Duration::from_millis(10)), Duration::from_millis(7));
    let left = BfdSessionConfig { late_after, answer_interval, ..session(7, Some(250)) };
    sessions.write(7, &left)?;
    assert_eq!(sessions.sessions()?, BTreeMap::from([(7, InstalledSession { config: left, heard: None })]));
    let slower = router_control(UP | 8, 7);
    pinned.run(&Frame::v4(ROUTER4, SELF4).ttl(255).datagram(50_000, 4784, &slower))?;
    let InstalledSession { config, heard } = sessions.sessions()?[&7];
    assert_eq!(config, BfdSessionConfig { theirs: slower, ..left }, "with the router's last packet");
    assert!(heard.context("not heard")? <= now()?);
    Ok(())
}

#[test]
fn the_agent_reads_when_a_router_was_heard_of() -> Result<()> {
    let mut pinned = Pinned::new()?;
    let mut sessions = BfdMaps::open(&pinned.pins)?;
    sessions.write(7, &session(7, None))?;
    sessions.write(8, &session(8, Some(250)))?;
    assert_eq!((sessions.last_packet(7)?, sessions.last_packet(8)?), (None, None));
    let start = Instant::now();
    assert_eq!(pinned.run(&control(3784, 7))?, PASS);
    let first = sessions.last_packet(7)?.context("not heard of")?;
    assert_eq!(pinned.run(&control(3784, 7))?, PASS);
    let second = sessions.last_packet(7)?.context("not heard of")?;
    assert!(first.at < second.at, "{first:?} {second:?}");
    assert_eq!(first.bytes, router_control(UP, 7));
    assert!(second.at - first.at < start.elapsed(), "the unit is right");
    assert_eq!(sessions.last_packet(8)?, None);
    pinned.run(&control(4784, 8))?;
    assert!(sessions.last_packet(8)?.is_some());
    sessions.write(7, &session(7, None))?;
    assert_eq!(sessions.last_packet(7)?, Some(second), "the same session, written again");
    let mut theirs = router_control(UP, 7);
    theirs[4] ^= 1;
    sessions.write(7, &BfdSessionConfig { theirs, ..session(7, None) })?;
    assert_eq!(sessions.last_packet(7)?, None, "a session with a restarted router has not been heard of");
    assert_eq!(sessions.sessions()?.into_keys().collect::<Vec<_>>(), [7, 8]);
    Ok(())
}

#[test]
fn echoes_are_returned_while_there_is_any_session_with_their_sender() -> Result<()> {
    let mut pinned = Pinned::new()?;
    let mut sessions = BfdMaps::open(&pinned.pins)?;
    let echo = Frame::v4(ROUTER4, ROUTER4).ttl(255).datagram(3785, 3785, &[1; 20]);
    assert_eq!(pinned.run(&echo)?, PASS);
    sessions.write(7, &session(7, None))?;
    sessions.write(8, &session(8, Some(250)))?;
    assert_eq!(pinned.run(&echo)?, PASS, "the address is not known yet");
    sessions.set_addresses(&peer(8, BFD_PEER | BFD_PEER_MULTIHOP))?;
    assert_eq!(pinned.run(&echo)?, TX);
    sessions.remove(8)?;
    assert_eq!(pinned.run(&echo)?, PASS, "the session that the address names is gone");
    sessions.set_addresses(&peer(7, BFD_PEER))?;
    assert_eq!(pinned.run(&echo)?, TX, "the other session is still there");
    sessions.remove(7)?;
    sessions.remove(7)?;
    assert_eq!(pinned.run(&echo)?, PASS);
    assert!(sessions.sessions()?.is_empty());
    Ok(())
}

fn peer(discriminator: u32, flags: u8) -> BTreeMap<IpAddr, BfdAddress> {
    BTreeMap::from([(ROUTER4.into(), BfdAddress { discriminator, flags, ..BfdAddress::default() })])
}

/// A stranger's packet costs the agent nothing, and no other packet is touched.
#[test]
fn strangers_are_dropped_only_where_the_agent_receives() -> Result<()> {
    const DROP: u32 = 1;
    let mut pinned = Pinned::new()?;
    let mut sessions = BfdMaps::open(&pinned.pins)?;
    let from = |source: [u8; 4]| {
        let down = [0x20, 0x40, 3, 24, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0];
        Frame::v4(source, SELF4).ttl(255).datagram(50_000, 3784, &down)
    };
    let (peers, stranger) = (from(ROUTER4), from([203, 0, 113, 1]));
    assert_eq!(pinned.run(&stranger)?, PASS, "the agent has no session");
    sessions.set_addresses(&peer(0, BFD_PEER))?;
    assert_eq!(pinned.run(&stranger)?, PASS, "the agent does not receive");
    let mut received = peer(0, BFD_PEER);
    received.insert(SELF4.into(), BfdAddress { flags: BFD_LISTENS, ..BfdAddress::default() });
    sessions.set_addresses(&received)?;
    assert_eq!(pinned.run(&stranger)?, DROP);
    assert_eq!(pinned.run(&peers)?, PASS, "a session comes up");
    assert_eq!(pinned.run(&peers.clone().ttl(254))?, DROP, "from farther away than the peer is");
    sessions.set_addresses(&BTreeMap::new())?;
    assert_eq!(pinned.run(&stranger)?, PASS, "the sessions are gone");
    Ok(())
}
