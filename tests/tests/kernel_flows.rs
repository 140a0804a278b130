//! What many packets of one fixture show together: flows keep to one node, and spread over nodes.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use fairlead_tests::kernel::Kernel;
use fairlead_tests::packets::build::Frame;
use fairlead_tests::packets::fixture::{CLIENT4, CLIENT6, Fixture, VIP4, VIP6, port};

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
