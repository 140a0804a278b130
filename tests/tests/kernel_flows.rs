//! What many packets of one fixture show together: flows keep to one node, and spread over nodes.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use fairlead_tests::kernel::Kernel;
use fairlead_tests::packets::build::{Frame, flags};
use fairlead_tests::packets::fixture::{CLIENT4, CLIENT6, Fixture, VIP4, VIP6, node, port};
use fairlead_tests::pair::Pair;
use lb_common::flows::{FlowKey, HALF_OPEN_WAYS, Standing, WAYS};
use lb_common::hash::{FlowPorts, flow_hash_v4};
use lb_common::maps::capacity;
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

/// Clients whose flows to this node fall in one set of the table.
fn clients_of_one_set(count: usize) -> Vec<[u8; 4]> {
    let key = Fixture::Standard.tables().config.hash_key;
    let [a, b] = SOURCE.to_be_bytes();
    let [c, d] = port::LOCAL.to_be_bytes();
    let set = |client| {
        let hash = flow_hash_v4(&key, client, VIP4, FlowPorts { ports: [a, b, c, d], protocol: 6 });
        FlowKey::of(hash).set & (capacity::FLOW_SETS as u32 - 1)
    };
    let clients = (0x0a00_0000u32..).map(u32::to_be_bytes);
    clients.filter(|client| set(*client) == 0).take(count).collect()
}

const SOURCE: u16 = 4000;

/// However many SYNs come, they push out nothing but SYNs.
#[test]
fn a_flood_of_syns_leaves_open_flows_alone() -> Result<()> {
    let clients = clients_of_one_set(40);
    let (open, flood) = clients.split_at(WAYS - HALF_OPEN_WAYS);
    let mut pair = Pair::new(Fixture::Standard)?;
    for client in open {
        for frame in [Frame::v4(*client, VIP4).syn(SOURCE, port::LOCAL), from(*client)] {
            assert_eq!(pair.judge(&frame.packet())?.2, None);
        }
    }
    for client in flood {
        let frame = Frame::v4(*client, VIP4).syn(SOURCE, port::LOCAL);
        assert_eq!(pair.judge(&frame.packet())?.2, None);
    }
    // Which of the SYNs are left is the kernel's clock's business.
    let left = pair.kernel.whole_state(&pair.tables)?.noted();
    assert_eq!(left, pair.tables.state().noted());
    let of = |standing| left.iter().filter(|noted| **noted == (node::SELF, standing)).count();
    assert_eq!((of(Standing::Open), of(Standing::HalfOpen)), (open.len(), HALF_OPEN_WAYS));
    for client in open {
        let (judged, _, differs) = pair.judge(&from(*client).packet())?;
        assert_eq!((judged.counter, differs), (Outcome::Local as u32, None));
    }
    Ok(())
}

/// A full set gives up a closed flow before any other.
#[test]
fn a_full_set_gives_up_closed_flows_first() -> Result<()> {
    let clients = clients_of_one_set(WAYS + 1);
    let (newcomer, held) = clients.split_last().context("nine clients")?;
    let (open, half) = held.split_at(WAYS - HALF_OPEN_WAYS);
    let closed = open.first().context("six of them")?;
    let mut pair = Pair::new(Fixture::Standard)?;
    let mut judge = |frame: Frame| -> Result<u32> {
        let (judged, _, differs) = pair.judge(&frame.packet())?;
        assert_eq!(differs, None);
        Ok(judged.counter)
    };
    let syn = |client| Frame::v4(client, VIP4).syn(SOURCE, port::LOCAL);
    for client in open {
        judge(syn(*client))?;
        judge(from(*client))?;
    }
    for client in half {
        judge(syn(*client))?;
    }
    judge(Frame::v4(*closed, VIP4).segment(SOURCE, port::LOCAL, flags::FIN | flags::ACK))?;
    // Of the half-open ones the first opens too, so that there is room for another such, but no empty way.
    judge(from(half[0]))?;
    judge(syn(*newcomer))?;
    assert_eq!(judge(from(*closed))?, Outcome::Unowned as u32, "the closed flow is still there");
    for client in open.iter().skip(1).chain(half).chain([newcomer]) {
        assert_eq!(judge(from(*client))?, Outcome::Local as u32, "{client:?}");
    }
    Ok(())
}

fn from(client: [u8; 4]) -> Frame {
    Frame::v4(client, VIP4).tcp(SOURCE, port::LOCAL)
}
