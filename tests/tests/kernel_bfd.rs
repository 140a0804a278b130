//! The agent's side of BFD sessions: what it writes the program goes by, and what the program notes it reads.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::time::Instant;

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::programs::{TestRun, TestRunOptions};
use fairlead_tests::bpffs::Bpffs;
use fairlead_tests::packets::build::Frame;
use fairlead_tests::packets::fixture::{ROUTER4, SELF4};
use lb_common::maps::{BFD_LISTENS, BFD_PEER, BFD_PEER_MULTIHOP, BfdAddress};
use lb_dataplane::attach::{MapSizes, load, loaded_program};
use lb_dataplane::bfd::{BfdMaps, BfdSessionConfig};
use lb_dataplane::object::PROGRAM;
use lb_dataplane::pins::Pins;

const SIZES: MapSizes = MapSizes { ring_slots: 1024, flow_sets: 64 };
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

fn session(minimum_ttl: Option<u8>) -> BfdSessionConfig {
    BfdSessionConfig { remote: ROUTER4.into(), local: SELF4.into(), minimum_ttl }
}

fn control(port: u16, yours: u32) -> Frame {
    let words = [9, yours, 300_000, 300_000, 0].into_iter().flat_map(u32::to_be_bytes);
    let payload: Vec<u8> = [0x20, 0xc0, 3, 24].into_iter().chain(words).collect();
    Frame::v4(ROUTER4, SELF4).ttl(255).datagram(50_000, port, &payload)
}

#[test]
fn the_agent_reads_when_a_router_was_heard_of() -> Result<()> {
    let mut pinned = Pinned::new()?;
    let mut sessions = BfdMaps::open(&pinned.pins)?;
    sessions.write(7, &session(None))?;
    sessions.write(8, &session(Some(250)))?;
    assert_eq!((sessions.last_packet(7)?, sessions.last_packet(8)?), (None, None));
    let start = Instant::now();
    assert_eq!(pinned.run(&control(3784, 7))?, PASS);
    let first = sessions.last_packet(7)?.context("not heard of")?;
    assert_eq!(pinned.run(&control(3784, 7))?, PASS);
    let second = sessions.last_packet(7)?.context("not heard of")?;
    assert!(first.is_up() && first.at < second.at, "{first:?} {second:?}");
    assert!(second.at - first.at < start.elapsed(), "the unit is right");
    assert_eq!(sessions.last_packet(8)?, None);
    pinned.run(&control(4784, 8))?;
    assert!(sessions.last_packet(8)?.is_some());
    sessions.write(7, &session(None))?;
    assert_eq!(sessions.last_packet(7)?, None, "what is written anew has not been heard of");
    let mut known = sessions.discriminators()?;
    known.sort_unstable();
    assert_eq!(known, [7, 8]);
    Ok(())
}

#[test]
fn echoes_are_returned_while_there_is_any_session_with_their_sender() -> Result<()> {
    let mut pinned = Pinned::new()?;
    let mut sessions = BfdMaps::open(&pinned.pins)?;
    let echo = Frame::v4(ROUTER4, ROUTER4).ttl(255).datagram(3785, 3785, &[1; 20]);
    assert_eq!(pinned.run(&echo)?, PASS);
    sessions.write(7, &session(None))?;
    sessions.write(8, &session(Some(250)))?;
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
    assert!(sessions.discriminators()?.is_empty());
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
