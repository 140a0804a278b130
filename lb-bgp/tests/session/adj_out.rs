//! Advertised against desired routes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lb_bgp::adj_out::{AdjOut, Routes, UpdateTerms};
use lb_bgp::codec::{Encoding, family_of, nlri_len};
use lb_bgp::message::Message;
use lb_bgp::value::{AddressFamily, Asn, Attributes, RouteNextHop, StandardCommunity};
use proptest::prelude::*;

use crate::rib::{MessageStream, Rib, attributes, prefix};

const FAMILIES: [AddressFamily; 2] = [AddressFamily::Ipv4, AddressFamily::Ipv6];

fn next_hops() -> BTreeMap<AddressFamily, RouteNextHop> {
    let v6 = RouteNextHop::V6 { address: "2001:db8::1".parse().unwrap(), link_local: None };
    [(AddressFamily::Ipv4, RouteNextHop::V4([192, 0, 2, 1].into())), (AddressFamily::Ipv6, v6)].into()
}

fn encoding(max_length: usize) -> Encoding {
    Encoding { internal: false, four_octet_asn: true, max_length }
}

/// Sends at most this many UPDATEs.
fn send(adj_out: &mut AdjOut, rib: &mut Rib, max_length: usize, most: usize) -> Vec<usize> {
    let next_hops = next_hops();
    let path = [Asn::new(65001).unwrap()];
    let terms = UpdateTerms { encoding: encoding(max_length), next_hops: &next_hops, as_path: &path };
    let mut lengths = Vec::new();
    while lengths.len() < most
        && let Some(bytes) = adj_out.poll_update(&terms)
    {
        assert!(bytes.len() <= max_length);
        lengths.push(bytes.len());
        for message in MessageStream::default().read(&bytes, false) {
            let Message::Update(update) = message else { panic!("{message:?}") };
            rib.apply(update);
        }
    }
    lengths
}

fn routes(numbers: &[(u32, u32)]) -> Routes {
    numbers.iter().map(|(one, other)| (prefix(*one), attributes(*other))).collect()
}

fn set(adj_out: &mut AdjOut, routes: &Routes) {
    adj_out.set_routes(Arc::new(routes.clone()));
}

/// Returns an Adj-RIB-Out of both families whose router is up to date.
fn synchronized(routes: &Routes) -> (AdjOut, Rib) {
    let (mut adj_out, mut rib) = (AdjOut::default(), Rib::default());
    set(&mut adj_out, routes);
    adj_out.begin_session(FAMILIES, false);
    send(&mut adj_out, &mut rib, 4096, usize::MAX);
    assert_eq!(&rib.advertised(), routes);
    rib.updates = 0;
    (adj_out, rib)
}

/// Returns the encoded length of all prefixes that change alike.
fn groups(old: &Routes, new: &Routes) -> BTreeMap<(AddressFamily, Option<Attributes>), usize> {
    let mut groups = BTreeMap::new();
    for prefix in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        if old.get(prefix) != new.get(prefix) {
            let key = (family_of(*prefix), new.get(prefix).cloned());
            *groups.entry(key).or_default() += nlri_len(*prefix);
        }
    }
    groups
}

fn numbers() -> impl Strategy<Value = Vec<(u32, u32)>> {
    proptest::collection::vec((0..400u32, 0..3u32), 0..300)
}

proptest! {
    #[test]
    fn the_updates_turn_any_old_table_into_the_new_one_with_few_messages(old in numbers(), new in numbers()) {
        let (old, new) = (routes(&old), routes(&new));
        let (mut adj_out, mut rib) = synchronized(&old);
        set(&mut adj_out, &new);
        let sent = send(&mut adj_out, &mut rib, 300, usize::MAX);
        prop_assert_eq!(&rib.advertised(), &new);
        prop_assert!(adj_out.is_synchronized());
        // Of 300 octets, at most 120 are no prefixes; all but the last message of a group leave less unused
        // than the longest prefix takes.
        let most: usize = groups(&old, &new).values().map(|octets| octets.div_ceil(300 - 120 - 16)).sum();
        let least: usize = groups(&old, &new).values().map(|octets| octets.div_ceil(300)).sum();
        prop_assert!((least..=most).contains(&sent.len()), "{} of {least}..={most}", sent.len());
    }

    #[test]
    fn a_slow_reader_receives_only_the_latest_routes(
        steps in proptest::collection::vec((numbers(), 0..4usize), 1..8),
    ) {
        let (mut adj_out, mut rib) = (AdjOut::default(), Rib::default());
        adj_out.begin_session(FAMILIES, false);
        let mut all = BTreeSet::new();
        let mut last = Routes::new();
        for (numbers, reads) in steps {
            last = routes(&numbers);
            all.extend(last.keys().copied());
            set(&mut adj_out, &last);
            prop_assert!(FAMILIES.map(|family| adj_out.pending(family)).iter().sum::<usize>() <= all.len());
            send(&mut adj_out, &mut rib, 300, reads);
            let advertised: usize = FAMILIES.map(|family| adj_out.advertised(family)).iter().sum();
            prop_assert_eq!(advertised, rib.routes.len());
        }
        send(&mut adj_out, &mut rib, 300, usize::MAX);
        prop_assert_eq!(rib.advertised(), last);
        prop_assert_eq!(rib.ends, FAMILIES);
    }
}

#[test]
fn nothing_is_sent_when_nothing_has_changed() {
    let table = routes(&[(1, 1), (2, 2)]);
    let (mut adj_out, mut rib) = synchronized(&table);
    set(&mut adj_out, &table);
    assert_eq!(send(&mut adj_out, &mut rib, 4096, usize::MAX), []);
}

#[test]
fn a_change_and_its_reversal_send_nothing() {
    let table = routes(&[(1, 1), (2, 2)]);
    let (mut adj_out, mut rib) = synchronized(&table);
    set(&mut adj_out, &Routes::new());
    set(&mut adj_out, &table);
    assert_eq!(send(&mut adj_out, &mut rib, 4096, usize::MAX), []);
}

#[test]
fn an_empty_table_has_an_end_of_rib_and_an_unset_one_does_not() {
    let (mut adj_out, mut rib) = (AdjOut::default(), Rib::default());
    adj_out.begin_session(FAMILIES, false);
    assert_eq!(send(&mut adj_out, &mut rib, 4096, usize::MAX), []);
    assert!(!adj_out.end_of_rib_sent(AddressFamily::Ipv4));
    set(&mut adj_out, &Routes::new());
    send(&mut adj_out, &mut rib, 4096, usize::MAX);
    assert_eq!(rib.ends, FAMILIES);
    assert!(adj_out.end_of_rib_sent(AddressFamily::Ipv4));
}

#[test]
fn routes_come_before_the_end_of_rib_and_withdrawals_before_routes() {
    let (mut adj_out, mut rib) = synchronized(&routes(&[(2, 1)]));
    set(&mut adj_out, &routes(&[(4, 1)]));
    send(&mut adj_out, &mut rib, 4096, 1);
    assert_eq!(rib.routes.len(), 0);
    send(&mut adj_out, &mut rib, 4096, 1);
    assert_eq!(rib.advertised(), routes(&[(4, 1)]));
}

#[test]
fn a_thousand_prefixes_with_equal_attributes_are_packed_into_few_messages() {
    let table: Routes = (0..1000).map(|number| (prefix(2 * number), attributes(1))).collect();
    let (mut adj_out, mut rib) = (AdjOut::default(), Rib::default());
    set(&mut adj_out, &table);
    adj_out.begin_session([AddressFamily::Ipv4], false);
    let lengths = send(&mut adj_out, &mut rib, 4096, usize::MAX);
    // 5 octets each: 5000 and two headers fit into two messages; plus the End-of-RIB.
    assert_eq!(lengths.len(), 3, "{lengths:?}");
    assert_eq!(rib.advertised(), table);
}

#[test]
fn a_family_that_was_not_negotiated_is_not_sent() {
    let (mut adj_out, mut rib) = (AdjOut::default(), Rib::default());
    set(&mut adj_out, &routes(&[(1, 1), (2, 1), (3, 1)]));
    adj_out.begin_session([AddressFamily::Ipv4], false);
    send(&mut adj_out, &mut rib, 4096, usize::MAX);
    set(&mut adj_out, &routes(&[(1, 2), (2, 1), (5, 1)]));
    assert_eq!(send(&mut adj_out, &mut rib, 4096, usize::MAX), []);
    assert_eq!((rib.advertised(), adj_out.unsendable()), (routes(&[(2, 1)]), 2));
}

#[test]
fn a_refresh_advertises_one_family_again() {
    let table = routes(&[(1, 1), (2, 1), (4, 2)]);
    let (mut adj_out, mut rib) = synchronized(&table);
    adj_out.refresh(AddressFamily::Ipv4);
    rib.routes.clear();
    send(&mut adj_out, &mut rib, 4096, usize::MAX);
    assert_eq!(rib.advertised(), routes(&[(2, 1), (4, 2)]));
    assert_eq!(rib.ends, FAMILIES, "the End-of-RIB is sent once");
}

#[test]
fn a_refresh_survives_a_change_and_its_reversal() {
    let table = routes(&[(2, 1), (4, 2)]);
    let (mut adj_out, mut rib) = synchronized(&table);
    adj_out.refresh(AddressFamily::Ipv4);
    set(&mut adj_out, &routes(&[(2, 9)]));
    set(&mut adj_out, &table);
    rib.routes.clear();
    send(&mut adj_out, &mut rib, 4096, usize::MAX);
    assert_eq!(rib.advertised(), table);
}

#[test]
fn a_route_with_too_many_attributes_is_withdrawn_and_the_others_are_advertised() {
    let (mut adj_out, mut rib) = synchronized(&routes(&[(2, 1), (4, 1)]));
    let communities = (0..2000).map(StandardCommunity).collect();
    let mut table = routes(&[(2, 1), (4, 1), (6, 1)]);
    table.insert(prefix(4), Attributes { communities, ..Attributes::default() });
    set(&mut adj_out, &table);
    send(&mut adj_out, &mut rib, 4096, usize::MAX);
    assert_eq!(rib.advertised(), routes(&[(2, 1), (6, 1)]));
}
