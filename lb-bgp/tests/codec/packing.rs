//! Packing of prefixes into few messages.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use lb_bgp::codec::{self, Decoding, Encoding, MessageTooLong, UpdateWriter, nlri_len};
use lb_bgp::message::{MAX_MESSAGE, Message, Reach, Update};
use lb_bgp::value::{AddressFamily, Attributes, LargeCommunity, RouteNextHop, StandardCommunity};

use crate::wire::{DECODING, ENCODING, NEXT_HOP, asn, contexts};

const V6: RouteNextHop = RouteNextHop::V6 {
    address: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
    link_local: Some(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1)),
};

fn hosts(family: AddressFamily, count: u32) -> Vec<IpNet> {
    let host = |index: u32| match family {
        AddressFamily::Ipv4 => IpAddr::V4(Ipv4Addr::from_bits(0xc612_0000 + index)),
        AddressFamily::Ipv6 => IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(index))),
    };
    (0..count).map(|index| IpNet::from(host(index))).collect()
}

fn attributes() -> Attributes {
    Attributes {
        local_pref: None,
        communities: BTreeSet::from([StandardCommunity::GRACEFUL_SHUTDOWN, StandardCommunity::new(1, 2)]),
        large_communities: BTreeSet::from([LargeCommunity([1, 2, 3])]),
    }
}

fn read(message: &[u8], context: &Decoding<'_>) -> Update {
    match codec::decode(message, context) {
        Ok(Message::Update(update)) => update,
        other => panic!("{other:?}"),
    }
}

fn kinds() -> [(AddressFamily, RouteNextHop); 3] {
    [(AddressFamily::Ipv4, RouteNextHop::V4(NEXT_HOP)), (AddressFamily::Ipv4, V6), (AddressFamily::Ipv6, V6)]
}

#[test]
fn prefixes_fill_messages_and_keep_their_order() {
    for (encoding, decoding) in contexts().filter(|(_, decoding)| decoding.extended_next_hop) {
        for (family, next_hop) in kinds() {
            let prefixes = hosts(family, 9_000);
            let path = [asn(4_200_000_000), asn(65_000)];
            let writer = UpdateWriter::advertise(family, next_hop, &path, &attributes(), &encoding).unwrap();
            let messages: Vec<_> = writer.messages(prefixes.iter().copied()).collect();
            let mut found = Vec::new();
            for (index, message) in messages.iter().enumerate() {
                let update = read(message, &decoding);
                assert_eq!(update.flaws, []);
                let reach = update.reach.unwrap();
                assert_eq!((reach.next_hop, reach.as_path.as_slice()), (next_hop, path.as_slice()));
                assert_eq!(reach.attributes.communities, attributes().communities);
                assert_eq!(reach.attributes.local_pref, encoding.internal.then_some(100));
                found.extend(reach.prefixes);
                let is_full = message.len() + nlri_len(prefixes[0]) + 1 > encoding.max_length;
                assert!(message.len() <= encoding.max_length && (is_full || index + 1 == messages.len()));
            }
            assert_eq!(found, prefixes);
        }
    }
}

#[test]
fn withdrawals_fill_messages_without_attributes() {
    for family in [AddressFamily::Ipv4, AddressFamily::Ipv6] {
        let prefixes = hosts(family, 2_000);
        let writer = UpdateWriter::withdraw(family, &ENCODING).unwrap();
        let messages: Vec<_> = writer.messages(prefixes.iter().copied()).collect();
        let updates: Vec<_> = messages.iter().map(|message| read(message, &DECODING)).collect();
        assert!(updates.iter().all(|update| update.reach.is_none() && update.end_of_rib.is_none()));
        let found: Vec<_> = updates.into_iter().flat_map(|update| update.withdrawn).collect();
        assert_eq!(found, prefixes);
        let least = prefixes.iter().map(|&prefix| nlri_len(prefix)).sum::<usize>().div_ceil(MAX_MESSAGE);
        assert!(messages.len() <= least + 1, "{}", messages.len());
    }
}

#[test]
fn a_writer_is_reusable_and_returns_nothing_without_prefixes() {
    let path = [asn(1)];
    let next_hop = RouteNextHop::V4(NEXT_HOP);
    let mut writer =
        UpdateWriter::advertise(AddressFamily::Ipv4, next_hop, &path, &Attributes::default(), &ENCODING)
            .unwrap();
    assert_eq!(writer.take(), None);
    let [one, two] = ["192.0.2.0/24", "198.51.100.0/24"].map(|text| text.parse::<IpNet>().unwrap());
    for prefix in [one, two] {
        assert!(writer.add(prefix));
        let reach = read(&writer.take().unwrap(), &DECODING).reach.unwrap();
        assert_eq!(reach.prefixes, [prefix]);
    }
    assert_eq!(writer.take(), None);
}

#[test]
fn a_prefix_of_another_family_is_not_added() {
    let mut writer = UpdateWriter::withdraw(AddressFamily::Ipv4, &ENCODING).unwrap();
    assert!(!writer.add("2001:db8::/32".parse().unwrap()));
    assert_eq!(writer.messages(hosts(AddressFamily::Ipv6, 3)).count(), 0);
}

#[test]
fn attributes_that_leave_no_room_for_a_prefix_are_rejected() {
    let advertise = |count: u16| {
        let communities = (0..count).map(|low| StandardCommunity::new(1, low)).collect();
        let attributes = Attributes { communities, ..Attributes::default() };
        UpdateWriter::advertise(
            AddressFamily::Ipv4,
            RouteNextHop::V4(NEXT_HOP),
            &[asn(1)],
            &attributes,
            &ENCODING,
        )
    };
    // 4096 less 23 for the message, 4 + 9 + 7 for other attributes, 4 before the value and 5 for a prefix:
    // 1011 communities.
    assert_eq!(advertise(1_012).err(), Some(MessageTooLong));
    let messages: Vec<_> = advertise(1_011).unwrap().messages(hosts(AddressFamily::Ipv4, 2)).collect();
    assert_eq!(messages.len(), 2);
    assert!(messages.iter().all(|message| message.len() <= MAX_MESSAGE));
}

#[test]
fn an_update_that_is_too_long_appends_nothing() {
    let reach = |count| Reach {
        prefixes: hosts(AddressFamily::Ipv4, count),
        next_hop: RouteNextHop::V4(NEXT_HOP),
        as_path: vec![asn(1)],
        attributes: Attributes::default(),
    };
    let encode = |count, max_length| {
        let message = Message::Update(Update { reach: Some(reach(count)), ..Update::default() });
        let mut out = vec![7];
        let result = codec::encode(&message, &Encoding { max_length, ..ENCODING }, &mut out);
        (result, out.len())
    };
    assert_eq!(encode(900, MAX_MESSAGE), (Err(MessageTooLong), 1));
    assert!(encode(900, 65_535).0.is_ok());
    assert_eq!(encode(13_200, 65_535), (Err(MessageTooLong), 1));
}

#[test]
fn local_pref_is_sent_to_internal_peers_only() {
    for internal in [false, true] {
        let attributes = Attributes { local_pref: Some(7), ..Attributes::default() };
        let encoding = Encoding { internal, ..ENCODING };
        let writer = UpdateWriter::advertise(
            AddressFamily::Ipv4,
            RouteNextHop::V4(NEXT_HOP),
            &[],
            &attributes,
            &encoding,
        )
        .unwrap();
        let message = writer.messages(hosts(AddressFamily::Ipv4, 1)).next().unwrap();
        // Decoded as internal, where LOCAL_PREF is not silently discarded.
        let update = read(&message, &Decoding { internal: true, ..DECODING });
        match update.reach {
            Some(reach) => assert_eq!((internal, reach.attributes.local_pref), (true, Some(7))),
            None => assert!(!internal),
        }
    }
}

#[test]
fn a_two_octet_peer_gets_as4_path_only_if_needed() {
    let old = Encoding { four_octet_asn: false, ..ENCODING };
    let path_of = |path: &[u32]| {
        let path: Vec<_> = path.iter().copied().map(asn).collect();
        let attributes = Attributes::default();
        let writer = UpdateWriter::advertise(
            AddressFamily::Ipv4,
            RouteNextHop::V4(NEXT_HOP),
            &path,
            &attributes,
            &old,
        )
        .unwrap();
        writer.messages(hosts(AddressFamily::Ipv4, 1)).next().unwrap()
    };
    let has = |message: &[u8], octets: &[u8]| message.windows(octets.len()).any(|window| window == octets);
    let short = path_of(&[65_001, 65_002]);
    assert!(has(&short, &[0x40, 2, 6, 2, 2, 0xfd, 0xe9, 0xfd, 0xea]) && !has(&short, &[0xc0, 17]));
    let long = path_of(&[65_536, 65_001]);
    assert!(has(&long, &[0x40, 2, 6, 2, 2, 0x5b, 0xa0, 0xfd, 0xe9]));
    assert!(has(&long, &[0xc0, 17, 10, 2, 2, 0, 1, 0, 0, 0, 0, 0xfd, 0xe9]));
}

#[test]
fn end_of_rib_is_an_empty_update_or_an_empty_mp_unreach_nlri() {
    for (family, octets) in [
        (AddressFamily::Ipv4, vec![0, 23, 2, 0, 0, 0, 0]),
        (AddressFamily::Ipv6, vec![0, 29, 2, 0, 0, 0, 6, 0x80, 15, 3, 0, 2, 1]),
    ] {
        let update = Update { end_of_rib: Some(family), ..Update::default() };
        let mut out = Vec::new();
        codec::encode(&Message::Update(update.clone()), &ENCODING, &mut out).unwrap();
        assert_eq!(out.get(16..), Some(octets.as_slice()));
        assert_eq!(read(&out, &DECODING), update);
    }
    let other_form = crate::wire::update(&[], &[0x80, 15, 3, 0, 1, 1], &[]);
    assert_eq!(read(&other_form, &DECODING).end_of_rib, Some(AddressFamily::Ipv4));
}
