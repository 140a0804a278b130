use super::*;

const HERE: u8 = 255;

fn router(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last)
}

fn advertisement(lifetime: u16) -> [u8; 16] {
    let mut bytes = packet::ADVERTISEMENT;
    bytes[6..8].copy_from_slice(&lifetime.to_be_bytes());
    bytes
}

/// An event on the link; routers are named by the last group of their address.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Sends an advertisement with this lifetime.
    Advertises(u16, u16),
    /// The kernel knows it as a router.
    KnownRouter(u16),
    /// The kernel cannot resolve it.
    Fails(u16),
}

#[test]
fn the_selected_router_stays_until_it_fails_or_a_default_router_appears() {
    use Event::{Advertises, Fails, KnownRouter};
    /// Events, the selected router, and the number of other candidates.
    type Case = (&'static [Event], Option<u16>, usize);
    let cases: [Case; 13] = [
        (&[], None, 0),
        (&[Advertises(1, 0)], Some(1), 0),
        (&[Advertises(1, 1800)], Some(1), 0),
        (&[KnownRouter(1)], Some(1), 0),
        (&[Fails(1)], None, 0),
        // Equal routers do not alternate, whatever their addresses.
        (&[Advertises(2, 1800), Advertises(1, 1800), Advertises(3, 1800)], Some(2), 2),
        (&[Advertises(1, 1800), Advertises(2, 1800), Advertises(1, 1800)], Some(1), 1),
        // A node advertises itself as we do; it is not selected if there is a default router.
        (&[Advertises(1, 0), Advertises(2, 1800)], Some(2), 1),
        (&[KnownRouter(1), Advertises(2, 0)], Some(2), 1),
        // Replaced: the new router is heard before the kernel gives up the old one, or after.
        (&[Advertises(1, 1800), Advertises(2, 1800), Fails(1)], Some(2), 0),
        (&[Advertises(1, 1800), Fails(1), Advertises(2, 0)], Some(2), 0),
        // The only candidate stays selected; one heard again is no longer failed.
        (&[Advertises(1, 1800), Fails(1)], Some(1), 0),
        (&[Advertises(1, 1800), Fails(1), Advertises(1, 1800), Advertises(2, 1800)], Some(1), 1),
    ];
    for (events, expected, others) in cases {
        let mut discovery = RouterDiscovery::new(1, Duration::ZERO);
        for event in events {
            match *event {
                Advertises(last, lifetime) => {
                    discovery.handle_packet(router(last), HERE, &advertisement(lifetime)).unwrap();
                }
                KnownRouter(last) => discovery.handle_neighbor(router(last), NeighborState::Router),
                Fails(last) => discovery.handle_neighbor(router(last), NeighborState::Failed),
            }
        }
        assert_eq!((discovery.router(), discovery.others()), (expected.map(router), others), "{events:?}");
    }
}

#[test]
fn packets_from_off_link_are_rejected() {
    let mut discovery = RouterDiscovery::new(1, Duration::ZERO);
    let global = "2001:db8::1".parse().unwrap();
    let refused = [
        (
            discovery.handle_packet(router(1), 254, &advertisement(0)),
            InvalidAdvertisement::Forwarded { hop_limit: 254 },
        ),
        (
            discovery.handle_packet(global, HERE, &advertisement(0)),
            InvalidAdvertisement::NotLinkLocal(global),
        ),
        (
            discovery.handle_packet(router(1), HERE, &packet::SOLICITATION),
            InvalidAdvertisement::OtherType(133),
        ),
    ];
    for (outcome, error) in refused {
        assert_eq!(outcome, Err(error));
    }
    discovery.handle_neighbor(global, NeighborState::Router);
    assert_eq!(discovery.router(), None);
}

#[test]
fn a_flood_of_routers_uses_bounded_memory_and_keeps_the_selected_router() {
    let mut discovery = RouterDiscovery::new(1, Duration::ZERO);
    for last in 1..1000 {
        discovery.handle_packet(router(last), HERE, &advertisement(1800)).unwrap();
    }
    assert_eq!((discovery.router(), discovery.known.len()), (Some(router(1)), MAX_ROUTERS));
}

/// Returns the packets of this period, with a router heard at second `heard`.
fn sent(seconds: u64, heard: Option<u64>) -> Vec<(u64, Ipv6Addr)> {
    let mut discovery = RouterDiscovery::new(7, Duration::ZERO);
    let mut sent = Vec::new();
    for tenth in 0..seconds * 10 {
        let now = Duration::from_millis(tenth * 100);
        if heard.is_some_and(|second| now == Duration::from_secs(second)) {
            discovery.handle_packet(router(1), HERE, &advertisement(0)).unwrap();
        }
        while let Some(packet) = discovery.poll_packet(now) {
            assert!(packet.bytes == packet::SOLICITATION || packet.bytes == packet::ADVERTISEMENT);
            sent.push((tenth, packet.destination));
        }
        assert!(discovery.next_deadline() > now);
    }
    sent
}

#[test]
fn solicitations_start_at_once_and_end_after_three() {
    let solicited = |heard| -> Vec<u64> {
        let all = sent(60, heard).into_iter().filter(|(_, to)| *to == ALL_ROUTERS);
        all.map(|(tenth, _)| tenth).collect()
    };
    assert_eq!(solicited(None), [0, 40, 80]);
    assert_eq!(solicited(Some(3)), [0]);
}

#[test]
fn advertisements_start_at_once_and_repeat_every_three_to_four_seconds() {
    let sent_at: Vec<u64> =
        sent(600, Some(1)).into_iter().filter(|(_, to)| *to == ALL_NODES).map(|(tenth, _)| tenth).collect();
    assert_eq!(sent_at[0], 0);
    let gaps: Vec<u64> = sent_at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| (30..=41).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().min() != gaps.iter().max(), "jittered: {gaps:?}");
}
