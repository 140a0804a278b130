//! What many packets of one fixture show together: flows keep to one node, and spread over nodes.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use fairlead_tests::kernel::Kernel;
use fairlead_tests::packets::build::{Frame, flags};
use fairlead_tests::packets::fixture::{CLIENT4, CLIENT6, Fixture, VIP4, VIP6, node, port};
use fairlead_tests::twin::{Twin, until_age_tick};
use lb_common::flows::{FlowKey, FlowState, UDP_WAYS, UNPROVEN_WAYS, WAYS};
use lb_common::hash::{FlowPorts, flow_hash_v4};
use lb_common::maps::{Vip4Key, capacity, flow_event};
use lb_common::verdict::Outcome;

const FLOWS: u16 = 256;

/// The MACs that the flows of one client to a VIP's port are sent to, from as many source ports.
fn next_hops(to: u16, client: fn() -> Frame) -> Result<BTreeSet<Vec<u8>>> {
    let mut kernel = Kernel::load(&Fixture::Standard.tables())?;
    (0..FLOWS)
        .map(|flow| {
            let (_, bytes) = kernel.run(&client().tcp(20_000 + flow, to).packet())?;
            Ok(bytes.get(..6).context("a frame without a MAC")?.to_vec())
        })
        .collect()
}

fn client4() -> Frame {
    Frame::v4(CLIENT4, VIP4)
}

fn client6() -> Frame {
    Frame::v6(CLIENT6, VIP6)
}

#[test]
fn flows_of_a_client_spread_over_nodes() -> Result<()> {
    for client in [client4 as fn() -> Frame, client6] {
        assert_eq!(next_hops(port::SPREAD, client)?.len(), 2);
    }
    Ok(())
}

#[test]
fn with_affinity_a_client_keeps_to_one_node() -> Result<()> {
    for client in [client4 as fn() -> Frame, client6] {
        assert_eq!(next_hops(port::SPREAD_AFFINITY, client)?.len(), 1);
    }
    Ok(())
}

/// Where a frame is sent: its destination MAC.
fn next_hop(kernel: &mut Kernel, frame: &Frame) -> Result<Vec<u8>> {
    let (_, bytes) = kernel.run(&frame.packet())?;
    Ok(bytes.get(..6).context("a frame without a MAC")?.to_vec())
}

#[test]
fn errors_and_later_fragments_go_where_their_flow_goes() -> Result<()> {
    let mut kernel = Kernel::load(&Fixture::Standard.tables())?;
    for to in [port::SPREAD, port::SPREAD_AFFINITY] {
        for flow in 20_000..20_000 + FLOWS {
            let (quote4, quote6) =
                (Frame::v4(VIP4, CLIENT4).udp(to, flow), Frame::v6(VIP6, CLIENT6).udp(to, flow));
            let error4 = client4().message(3, 4, &[&[0; 4], &quote4.ip()[..28]].concat());
            let error6 = client6().message(2, 0, &[&[0; 4], &quote6.ip()[..48]].concat());
            let first = client4().udp(flow, to).id(flow).fragment(0, true);
            let later = client4().raw(17, &[0xff; 64]).id(flow).fragment(9, false);
            let hop4 = next_hop(&mut kernel, &client4().udp(flow, to))?;
            let hop6 = next_hop(&mut kernel, &client6().udp(flow, to))?;
            for frame in [&error4, &first, &later] {
                assert_eq!(next_hop(&mut kernel, frame)?, hop4, "port {to}, flow {flow}: {frame:?}");
            }
            assert_eq!(next_hop(&mut kernel, &error6)?, hop6, "port {to}, flow {flow}: {error6:?}");
        }
    }
    Ok(())
}

/// Networks between nodes spread by the outer source port: it must be one for a flow and many for many.
#[test]
fn the_outer_source_port_is_the_flows() -> Result<()> {
    let mut kernel = Kernel::load(&Fixture::Standard.tables())?;
    let mut outer_port = |flow: u16| {
        let (_, bytes) = kernel.run(&client4().tcp(20_000 + flow, port::FAR4).packet())?;
        bytes.get(34..36).map(<[u8]>::to_vec).context("a frame without UDP")
    };
    let first: Vec<_> = (0..FLOWS).map(&mut outer_port).collect::<Result<_>>()?;
    let again: Vec<_> = (0..FLOWS).map(&mut outer_port).collect::<Result<_>>()?;
    assert_eq!(first, again);
    // 256 draws of 16,384 ports: two collisions are expected, and forty never seen.
    assert!(BTreeSet::from_iter(first).len() > usize::from(FLOWS) - 40);
    Ok(())
}

/// Clients whose flows of this protocol to this node fall in one set of the table.
fn clients_of_one_set(protocol: u8, count: usize) -> Vec<[u8; 4]> {
    let key = Fixture::Standard.tables().config.flow_keys;
    let [a, b] = SOURCE.to_be_bytes();
    let [c, d] = port::LOCAL.to_be_bytes();
    let set = |client| {
        let hash = flow_hash_v4(&key, client, VIP4, FlowPorts { ports: [a, b, c, d], protocol });
        FlowKey::of(hash).set & (capacity::FLOW_SETS as u32 - 1)
    };
    let clients = (0x0a00_0000u32..).map(u32::to_be_bytes);
    clients.filter(|client| set(*client) == 0).take(count).collect()
}

const SOURCE: u16 = 4000;

/// Ways that only confirmed flows take.
const REST: usize = WAYS - UNPROVEN_WAYS;

/// A set of the table, filled on the host and in the kernel.
struct Set {
    pair: Twin,
}

impl Set {
    fn new() -> Result<Self> {
        Ok(Self { pair: Twin::new(Fixture::Standard)? })
    }

    /// What a frame is counted as.
    fn judge(&mut self, frame: &Frame) -> Result<u32> {
        let (judged, _, differs) = self.pair.judge(&frame.packet())?;
        assert_eq!(differs, None);
        Ok(judged.counter)
    }

    /// Opens the flows of these clients.
    fn open(&mut self, clients: &[[u8; 4]]) -> Result<()> {
        for client in clients {
            self.judge(&syn(*client))?;
            self.judge(&from(*client))?;
        }
        Ok(())
    }

    /// How many of this node's flows have come so far. Which ones they are is the kernel's clock's business.
    fn held(&self, state: FlowState) -> Result<usize> {
        let left = self.pair.kernel.whole_state(&self.pair.tables)?.noted();
        assert_eq!(left, self.pair.tables.state().noted());
        Ok(left.into_iter().filter(|noted| *noted == (node::SELF, state)).count())
    }
}

fn syn(client: [u8; 4]) -> Frame {
    Frame::v4(client, VIP4).syn(SOURCE, port::LOCAL)
}

fn from(client: [u8; 4]) -> Frame {
    Frame::v4(client, VIP4).tcp(SOURCE, port::LOCAL)
}

fn fin(client: [u8; 4]) -> Frame {
    Frame::v4(client, VIP4).segment(SOURCE, port::LOCAL, flags::FIN | flags::ACK)
}

/// What a stranger who only sends can bring about, however much of it comes, pushes out nothing else.
#[test]
fn a_flood_leaves_open_flows_alone() -> Result<()> {
    for (flood, state) in [
        (syn as fn([u8; 4]) -> Frame, FlowState::HalfOpen),
        (from, FlowState::Unconfirmed),
        (fin, FlowState::Unconfirmed),
    ] {
        let clients = clients_of_one_set(6, 40);
        let (open, strangers) = clients.split_at(REST);
        let mut set = Set::new()?;
        set.open(open)?;
        for client in strangers {
            set.judge(&flood(*client))?;
        }
        assert_eq!((set.held(FlowState::Open)?, set.held(state)?), (open.len(), UNPROVEN_WAYS));
        for client in open {
            assert_eq!(set.judge(&from(*client))?, Outcome::Local as u32);
        }
        assert_eq!(set.held(FlowState::Open)?, open.len());
    }
    Ok(())
}

/// UDP holds its share, and gives it up for TCP.
#[test]
fn udp_holds_its_share_and_gives_it_up_for_tcp() -> Result<()> {
    let mut set = Set::new()?;
    for client in clients_of_one_set(17, 20) {
        let datagram = Frame::v4(client, VIP4).udp(SOURCE, port::LOCAL);
        set.judge(&datagram)?;
        set.judge(&datagram)?;
    }
    let held = (set.held(FlowState::Udp)?, set.held(FlowState::Unconfirmed)?);
    // The last that was pushed out has come again since, as one of an unknown flow.
    assert_eq!(held.0, UDP_WAYS);
    assert!(held.1 <= UNPROVEN_WAYS, "{held:?}");
    set.open(&clients_of_one_set(6, REST))?;
    assert_eq!((set.held(FlowState::Open)?, set.held(FlowState::Udp)?), (REST, 0));
    Ok(())
}

/// A full set gives up a closed flow before any other.
#[test]
fn a_full_set_gives_up_closed_flows_first() -> Result<()> {
    let clients = clients_of_one_set(6, REST + 1 + UNPROVEN_WAYS);
    let (closed, rest) = clients.split_first().context("nine clients")?;
    let (kept, strangers) = rest.split_at(REST);
    let mut set = Set::new()?;
    set.open(&[*closed])?;
    set.judge(&fin(*closed))?;
    set.open(kept)?;
    assert_eq!(
        (set.held(FlowState::Open)?, set.held(FlowState::Closed)?),
        (REST, 1),
        "there is room for all"
    );
    for client in strangers {
        set.judge(&syn(*client))?;
    }
    let held = (set.held(FlowState::Open)?, set.held(FlowState::Closed)?, set.held(FlowState::HalfOpen)?);
    assert_eq!(held, (REST, 0, UNPROVEN_WAYS));
    assert_eq!(set.judge(&from(*closed))?, Outcome::Unowned as u32, "the closed flow is still there");
    for client in kept {
        assert_eq!(set.judge(&from(*client))?, Outcome::Local as u32, "{client:?}");
    }
    Ok(())
}

/// The number of the VIP of a port, by the fixture.
fn vip_number(to: u16) -> u32 {
    let key = Vip4Key::port(VIP4, to.to_be_bytes(), 6);
    Fixture::Standard.tables().vips4[&key].number
}

/// A new flow is counted once, however often its SYN comes, and again when its ports are used again; a flow
/// whose entry was evicted does not begin anew.
#[test]
fn a_flow_is_counted_when_it_begins() -> Result<()> {
    let client = [203, 0, 113, 77];
    let mut set = Set::new()?;
    let counted = |set: &Set| -> Result<u64> {
        let (kernel, host) = (set.pair.kernel.totals()?, set.pair.tables.totals());
        assert_eq!(kernel, host);
        Ok(kernel.new_flows.get(&vip_number(port::LOCAL)).copied().unwrap_or_default())
    };
    for (frame, expected) in [
        (from(client), 0),
        (syn(client), 1),
        (syn(client), 1),
        (from(client), 1),
        (from(client), 1),
        (fin(client), 1),
        (syn(client), 2),
    ] {
        set.judge(&frame)?;
        assert_eq!(counted(&set)?, expected, "{frame:?}");
    }
    let datagram = Frame::v4(client, VIP4).udp(SOURCE, port::LOCAL);
    let before = set.pair.kernel.totals()?.new_flows.values().sum::<u64>();
    for _ in 0..3 {
        set.judge(&datagram)?;
    }
    assert_eq!(set.pair.kernel.totals()?.new_flows.values().sum::<u64>(), before + 1);
    Ok(())
}

/// An eviction is counted by the state of the entry that goes, and only if one goes.
#[test]
fn evictions_and_delegations_are_counted() -> Result<()> {
    let clients = clients_of_one_set(6, UNPROVEN_WAYS + 3);
    let mut set = Set::new()?;
    for (at, client) in clients.iter().enumerate() {
        set.judge(&syn(*client))?;
        let events = set.pair.kernel.totals()?.flow_events;
        let evicted = events.get(&flow_event::evicted(FlowState::HalfOpen)).copied().unwrap_or_default();
        assert_eq!(evicted as usize, (at + 1).saturating_sub(UNPROVEN_WAYS));
        assert_eq!(events, set.pair.tables.totals().flow_events);
    }
    let delegated = |set: &Set| -> Result<u64> {
        Ok(set.pair.kernel.totals()?.flow_events.get(&flow_event::DELEGATED).copied().unwrap_or_default())
    };
    let other = client4().tcp(SOURCE, port::TAKEN_OVER);
    for expected in [1, 1] {
        set.judge(&other)?;
        assert_eq!(delegated(&set)?, expected, "the same holder is not recorded again");
    }
    Ok(())
}

/// The node that home has asked owns the flow if the packet has not come back for a while.
#[test]
fn a_delegation_is_confirmed_in_time() -> Result<()> {
    let tables = Fixture::Standard.tables();
    let mut kernel = Kernel::load(&tables)?;
    let frame = client4().tcp(SOURCE, port::TAKEN_OVER);
    // So that both of the first two are of one age.
    if until_age_tick()? < Duration::from_secs(5) {
        thread::sleep(until_age_tick()?);
    }
    for state in [FlowState::Unconfirmed, FlowState::Unconfirmed, FlowState::Moved] {
        if state == FlowState::Moved {
            thread::sleep(until_age_tick()?);
        }
        kernel.run(&frame.packet())?;
        assert_eq!(kernel.whole_state(&tables)?.noted(), [(node::FAR4, state)]);
    }
    Ok(())
}
