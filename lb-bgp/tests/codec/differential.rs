//! Comparison with other codecs: they decode what we encode, and agree on damaged messages.

use ipnet::IpNet;
use lb_bgp::codec::{self, Encoding, MessageError};
use lb_bgp::message::{MAX_EXTENDED_MESSAGE, MAX_MESSAGE, Message, Open, Update};
use proptest::prelude::*;

use crate::agreement;
use crate::frames::frames;
use crate::oracles::{netgauze, rustbgpd};
use crate::round_trip::{open, update};
use crate::wire::contexts;

fn written(message: Message, encoding: &Encoding) -> Vec<u8> {
    let mut out = Vec::new();
    codec::encode(&message, encoding, &mut out).unwrap();
    out
}

/// Reduces an OPEN to what all codecs keep: only netgauze keeps host names, and each treats unknown codes
/// differently.
fn kept(mut open: Open, with_name: bool) -> Open {
    open.capabilities.others.clear();
    if !with_name {
        open.capabilities.host_name = None;
    }
    open
}

fn is_unicast(prefix: &IpNet) -> bool {
    match prefix {
        IpNet::V4(prefix) => prefix.addr().octets()[0] < 224 && prefix.broadcast().octets()[0] < 224,
        IpNet::V6(prefix) => !prefix.addr().is_multicast(),
    }
}

fn routes(update: &Update, internal: bool) -> Update {
    let mut update = Update { end_of_rib: None, flaws: Vec::new(), ..update.clone() };
    if let Some(reach) = &mut update.reach
        && !internal
    {
        reach.attributes.local_pref = None;
    }
    // IPv4 comes first in a message.
    update.withdrawn.sort();
    update
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn other_codecs_decode_our_open(open in open()) {
        let frame = written(Message::Open(open.clone()), &crate::wire::ENCODING);
        prop_assert_eq!(rustbgpd::open(&frame), Some(kept(open.clone(), false)));
        // netgauze also parses capabilities that are empty here, and requires the identifier to be a host
        // address.
        let is_host = open.router_id.address().octets()[0] < 224;
        if open.capabilities.others.is_empty() && is_host {
            prop_assert_eq!(netgauze::open(&frame), Some(kept(open, true)));
        }
    }

    #[test]
    fn other_codecs_decode_our_update(update in update()) {
        for (encoding, decoding) in contexts().filter(|(_, decoding)| decoding.extended_next_hop) {
            let encoding = Encoding { max_length: MAX_EXTENDED_MESSAGE, ..encoding };
            let (internal, four) = (decoding.internal, decoding.four_octet_asn);
            let frame = written(Message::Update(update.clone()), &encoding);
            let meant = routes(&update, internal);
            let (read, severe) = rustbgpd::update(&frame, internal, four).unwrap();
            prop_assert_eq!((routes(&read, internal), severe), (meant.clone(), Vec::new()));
            let reached = update.reach.iter().flat_map(|reach| &reach.prefixes);
            if update.withdrawn.iter().chain(reached).all(is_unicast) {
                let read = netgauze::update(&frame, internal, four);
                prop_assert_eq!(read.map(|read| routes(&read, internal)), Some(meant));
            }
        }
    }
}

/// A deterministic number generator (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }

    fn octet(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

#[test]
fn other_codecs_agree_on_damaged_updates_except_known_differences() {
    let updates: Vec<_> = frames().map(|(_, frame)| frame).filter(|frame| frame[18] == 2).collect();
    let mut numbers = Numbers(1);
    for _ in 0..10_000 {
        let mut frame = updates[numbers.below(updates.len())].clone();
        for _ in 0..=numbers.below(2) {
            let index = 19 + numbers.below(frame.len() - 19);
            frame[index] = match numbers.below(4) {
                0 => frame[index] ^ (1 << numbers.below(8)),
                1 => numbers.octet() % 36,
                _ => numbers.octet(),
            };
        }
        for (_, decoding) in contexts() {
            agreement::check(&frame, &decoding);
        }
    }
}

#[test]
fn other_codecs_find_the_same_message_length() {
    let mut numbers = Numbers(1);
    for (_, frame) in frames() {
        for _ in 0..200 {
            let mut frame = frame.clone();
            frame[numbers.below(19)] = numbers.octet();
            frame.truncate(numbers.below(frame.len() + 1));
            let max_length = u16::try_from(MAX_MESSAGE).unwrap();
            match (codec::frame(&frame, MAX_MESSAGE), rustbgpd::frame(&frame, max_length)) {
                (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{frame:x?}"),
                (Ok(_), Err(())) => panic!("only they reject the header of {frame:x?}"),
                // rustbgpd checks the minimum length of a type only on complete messages.
                (Err(MessageError::BadLength(_)), _) => {}
                // Ours checks the marker before the header is complete.
                (Err(MessageError::NotSynchronized), Ok(None)) if frame.len() < 19 => {}
                (Err(error), Ok(_)) => panic!("{error}: {frame:x?}"),
                (Err(_), Err(())) => {}
            }
        }
    }
}
