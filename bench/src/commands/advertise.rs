//! The cost of advertising a table to a peer, and of finding one change in it: `cargo xtask bench advertise`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use lb_bgp::adj_out::{AdjOut, Routes, UpdateTerms};
use lb_bgp::codec::Encoding;
use lb_bgp::value::{AddressFamily, Asn, Attributes, RouteNextHop, StandardCommunity};

const RUNS: usize = 51;

/// Runs the measurement.
pub(crate) fn run() {
    println!(
        "{:>7} {:>10} {:>9} {:>9} {:>12} {:>12}",
        "routes", "kinds", "messages", "octets", "initial", "one change"
    );
    for (count, kinds) in [(1_000, 1), (1_000, 100), (10_000, 1), (10_000, 100), (10_000, 10_000)] {
        let (messages, octets, initial) = initial(count, kinds);
        let change = one_change(count, kinds);
        println!("{count:>7} {kinds:>10} {messages:>9} {octets:>9} {initial:>12.1?} {change:>12.1?}");
    }
}

/// Half IPv4, half IPv6, with this many sets of attributes.
fn routes(count: u32, kinds: u32) -> Routes {
    let route = |number: u32| {
        let prefix = if number.is_multiple_of(2) {
            IpNet::from(std::net::IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + number)))
        } else {
            IpNet::from(std::net::IpAddr::from(Ipv6Addr::from_bits((0x2001_0db8 << 96) + u128::from(number))))
        };
        let communities = [StandardCommunity(number % kinds), StandardCommunity::new(65_000, 1)].into();
        (prefix, Attributes { communities, ..Attributes::default() })
    };
    (0..count).map(route).collect()
}

fn send(adj_out: &mut AdjOut) -> (usize, usize) {
    let v6 = RouteNextHop::V6 { address: Ipv6Addr::LOCALHOST, link_local: None };
    let next_hops = BTreeMap::from([
        (AddressFamily::Ipv4, RouteNextHop::V4(Ipv4Addr::LOCALHOST)),
        (AddressFamily::Ipv6, v6),
    ]);
    let as_path: Vec<Asn> = Asn::new(65_001).into_iter().collect();
    let encoding = Encoding { internal: false, four_octet_asn: true, max_length: 4096 };
    let terms = UpdateTerms { encoding, next_hops: &next_hops, as_path: &as_path };
    let messages = std::iter::from_fn(|| adj_out.poll_update(&terms));
    messages.fold((0, 0), |(count, octets), message| (count + 1, octets + message.len()))
}

/// Returns the messages, octets and median time of a whole table.
fn initial(count: u32, kinds: u32) -> (usize, usize, Duration) {
    let table = Arc::new(routes(count, kinds));
    let mut sent = (0, 0);
    let time = median(|| {
        let mut adj_out = AdjOut::default();
        let start = Instant::now();
        adj_out.set_routes(Arc::clone(&table));
        adj_out.begin_session([AddressFamily::Ipv4, AddressFamily::Ipv6], false);
        sent = send(&mut adj_out);
        start.elapsed()
    });
    (sent.0, sent.1, time)
}

/// Returns the median time to find one changed route and produce its UPDATE.
fn one_change(count: u32, kinds: u32) -> Duration {
    let table = Arc::new(routes(count, kinds));
    let mut changed = routes(count, kinds);
    if let Some(attributes) = changed.values_mut().nth(count as usize / 2) {
        attributes.communities.insert(StandardCommunity::GRACEFUL_SHUTDOWN);
    }
    let changed = Arc::new(changed);
    let mut adj_out = AdjOut::default();
    adj_out.set_routes(Arc::clone(&table));
    adj_out.begin_session([AddressFamily::Ipv4, AddressFamily::Ipv6], false);
    send(&mut adj_out);
    let mut tables = [changed, table].into_iter().cycle();
    median(|| {
        let Some(next) = tables.next() else { return Duration::ZERO };
        let start = Instant::now();
        adj_out.set_routes(next);
        let (messages, _) = send(&mut adj_out);
        let took = start.elapsed();
        assert_eq!(messages, 1);
        took
    })
}

fn median(mut run: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS).map(|_| run()).collect();
    times.sort_unstable();
    times.get(RUNS / 2).copied().unwrap_or_default()
}
