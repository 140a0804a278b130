//! Round trips of arbitrary messages, and decoding of arbitrary octets without a panic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use lb_bgp::codec::{self, Encoding, MessageError};
use lb_bgp::message::{
    Capabilities, GracefulRestartCapability, MAX_EXTENDED_MESSAGE, Message, Notification, Open, Reach, Update,
};
use lb_bgp::value::{
    AddressFamily, Asn, Attributes, HoldTime, LargeCommunity, RouteNextHop, RouterId, StandardCommunity,
};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use crate::frames::frames;
use crate::laws;
use crate::wire::contexts;

pub(crate) fn asn() -> impl Strategy<Value = Asn> {
    prop_oneof![1_u32..=65_535, 1_u32..=u32::MAX].prop_map(|number| Asn::new(number).unwrap())
}

fn family() -> impl Strategy<Value = AddressFamily> {
    prop_oneof![Just(AddressFamily::Ipv4), Just(AddressFamily::Ipv6)]
}

fn capabilities() -> impl Strategy<Value = Capabilities> {
    let restart = (any::<(bool, bool)>(), 0_u16..4096, vec((family(), any::<bool>()), 0..3));
    let restart = restart.prop_map(|((restarted, notification), restart_time, families)| {
        GracefulRestartCapability { restarted, notification, restart_time, families }
    });
    let families = btree_set(family(), 0..=2).prop_map(|families| families.into_iter().collect());
    let others = vec(prop_oneof![Just(1_u8), 7_u8..64, 74_u8..=255], 0..200);
    let flags = any::<(bool, bool, bool)>();
    (families, flags, option::of(restart), option::of("[!-~]{1,64}"), others).prop_map(
        |(
            families,
            (route_refresh, extended_message, extended_next_hop),
            graceful_restart,
            host_name,
            others,
        )| {
            Capabilities {
                families,
                route_refresh,
                extended_message,
                four_octet_asn: true,
                extended_next_hop,
                graceful_restart,
                host_name,
                others,
            }
        },
    )
}

pub(crate) fn open() -> impl Strategy<Value = Open> {
    let hold_time = any::<u16>().prop_filter_map("one or two seconds", HoldTime::new);
    let router_id = any::<u32>().prop_filter_map("zero", |bits| RouterId::new(Ipv4Addr::from_bits(bits)));
    (asn(), hold_time, router_id, capabilities()).prop_map(|(asn, hold_time, router_id, capabilities)| Open {
        asn,
        hold_time,
        router_id,
        capabilities,
    })
}

fn prefix(family: AddressFamily) -> impl Strategy<Value = IpNet> {
    let max_length = if family == AddressFamily::Ipv4 { 32_u8 } else { 128 };
    (any::<u128>(), 0..=max_length).prop_map(move |(bits, length)| {
        let address = match family {
            AddressFamily::Ipv4 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits >> 96).unwrap())),
            AddressFamily::Ipv6 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        };
        IpNet::new(address, length).unwrap().trunc()
    })
}

fn next_hop(family: AddressFamily) -> impl Strategy<Value = RouteNextHop> {
    let v6 = (any::<u128>(), option::of(any::<u64>())).prop_map(|(address, link_local)| RouteNextHop::V6 {
        address: Ipv6Addr::from_bits(1 << 125 | address >> 3),
        link_local: link_local.map(|bits| Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(bits))),
    });
    let v4 = (1_u32 << 24..127 << 24).prop_map(|bits| RouteNextHop::V4(Ipv4Addr::from_bits(bits)));
    if family == AddressFamily::Ipv4 { prop_oneof![v4, v6].boxed() } else { v6.boxed() }
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let large = any::<[u32; 3]>().prop_map(LargeCommunity);
    (any::<u32>(), btree_set(any::<u32>().prop_map(StandardCommunity), 0..100), btree_set(large, 0..50))
        .prop_map(|(local_pref, communities, large_communities)| Attributes {
            local_pref: Some(local_pref),
            communities,
            large_communities,
        })
}

pub(crate) fn reach() -> impl Strategy<Value = Reach> {
    let parts = |family| (vec(prefix(family), 1..40), next_hop(family), vec(asn(), 0..300), attributes());
    family().prop_flat_map(parts).prop_map(|(prefixes, next_hop, as_path, attributes)| Reach {
        prefixes,
        next_hop,
        as_path,
        attributes,
    })
}

pub(crate) fn update() -> impl Strategy<Value = Update> {
    let v4 = vec(prefix(AddressFamily::Ipv4), 0..20);
    let v6 = vec(prefix(AddressFamily::Ipv6), 0..20);
    let routes = (v4, v6, option::of(reach())).prop_filter_map("no routes", |(v4, v6, reach)| {
        let withdrawn = [v4, v6].concat();
        let is_empty = withdrawn.is_empty() && reach.is_none();
        (!is_empty).then(|| Update { withdrawn, reach, ..Update::default() })
    });
    let end = family().prop_map(|family| Update { end_of_rib: Some(family), ..Update::default() });
    prop_oneof![9 => routes, 1 => end]
}

fn message() -> impl Strategy<Value = Message> {
    let notification = (any::<(u8, u8)>(), vec(any::<u8>(), 0..300))
        .prop_map(|((code, subcode), data)| Notification { code, subcode, data });
    prop_oneof![
        3 => open().prop_map(Message::Open),
        6 => update().prop_map(Message::Update),
        1 => notification.prop_map(Message::Notification),
        1 => Just(Message::Keepalive),
        1 => option::of(family()).prop_map(Message::RouteRefresh),
    ]
}

/// Returns the message as a peer decodes it.
fn understood(mut message: Message, context: &Encoding) -> Message {
    if let Message::Update(Update { reach: Some(reach), .. }) = &mut message
        && !context.internal
    {
        reach.attributes.local_pref = None;
    }
    message
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn messages_round_trip(message in message()) {
        for (encoding, decoding) in contexts() {
            let encoding = Encoding { max_length: MAX_EXTENDED_MESSAGE, ..encoding };
            let decoding = codec::Decoding { max_length: MAX_EXTENDED_MESSAGE, extended_next_hop: true, ..decoding };
            let mut out = vec![1, 2, 3];
            codec::encode(&message, &encoding, &mut out).unwrap();
            let written = &out[3..];
            prop_assert_eq!(codec::frame(written, encoding.max_length), Ok(Some(written.len())));
            let read = codec::decode(written, &decoding).unwrap();
            prop_assert_eq!(&read, &understood(message.clone(), &encoding));
        }
    }

    #[test]
    fn arbitrary_octets_do_not_panic(octets in vec(any::<u8>(), 0..200), kind in 0_u8..7) {
        let framed = crate::wire::message(kind, &octets);
        for (_, decoding) in contexts() {
            let _ = codec::frame(&octets, decoding.max_length);
            let _ = codec::decode(&octets, &decoding);
            let _ = codec::decode(&framed, &decoding);
        }
    }

    #[test]
    fn damaged_recorded_frames_hold_the_laws(
        index in 0_usize..55,
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (_, mut frame) = frames().nth(index).unwrap();
        for (place, value) in damage {
            *place.get_mut(&mut frame) = value;
        }
        laws::check(&frame);
    }

    #[test]
    fn an_error_fits_into_a_notification(octets in vec(any::<u8>(), 0..5000)) {
        let length = u16::try_from(octets.len()).unwrap();
        let list = [&[0x50, 99], length.to_be_bytes().as_slice(), &octets].concat();
        let frame = crate::wire::update(&[], &list, &[]);
        let decoding = codec::Decoding { max_length: MAX_EXTENDED_MESSAGE, ..crate::wire::DECODING };
        let error = codec::decode(&frame, &decoding).unwrap_err();
        let is_of_update = matches!(error, MessageError::Update { .. });
        prop_assert!(is_of_update);
        let mut out = Vec::new();
        let notification = Message::Notification(error.notification());
        codec::encode(&notification, &crate::wire::ENCODING, &mut out).unwrap();
        prop_assert_eq!(codec::decode(&out, &crate::wire::DECODING), Ok(notification));
    }
}
