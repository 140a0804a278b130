//! Other codecs read what we write as we mean it, and agree with ours on what is damaged.

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

/// What all codecs keep of an OPEN: netgauze alone keeps names, and each has its own way with unknown codes.
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
    fn others_read_our_open_as_we_mean_it(open in open()) {
        let frame = written(Message::Open(open.clone()), &crate::wire::ENCODING);
        prop_assert_eq!(rustbgpd::open(&frame), Some(kept(open.clone(), false)));
        // Theirs knows the layout of more capabilities than of those that come empty here, and wants an identifier to
        // be an address that a host can have.
        let is_host = open.router_id.address().octets()[0] < 224;
        if open.capabilities.others.is_empty() && is_host {
            prop_assert_eq!(netgauze::open(&frame), Some(kept(open, true)));
        }
    }

    #[test]
    fn others_read_our_update_as_we_mean_it(update in update()) {
        for (encoding, decoding) in contexts().filter(|(_, decoding)| decoding.extended_next_hop) {
            let encoding = Encoding { max_length: MAX_EXTENDED_MESSAGE, ..encoding };
            let (internal, four) = (decoding.internal, decoding.four_octet_asn);
            let frame = written(Message::Update(update.clone()), &encoding);
            let meant = routes(&update, internal);
            let (read, grave) = rustbgpd::update(&frame, internal, four).unwrap();
            prop_assert_eq!((routes(&read, internal), grave), (meant.clone(), Vec::new()));
            let reached = update.reach.iter().flat_map(|reach| &reach.prefixes);
            if update.withdrawn.iter().chain(reached).all(is_unicast) {
                let read = netgauze::update(&frame, internal, four);
                prop_assert_eq!(read.map(|read| routes(&read, internal)), Some(meant));
            }
        }
    }
}

/// A generator of numbers that are the same every time (xorshift).
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
fn others_agree_on_damaged_updates_but_for_what_we_know_better() {
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
fn others_find_the_same_end_of_a_message() {
    let mut numbers = Numbers(1);
    for (_, frame) in frames() {
        for _ in 0..200 {
            let mut frame = frame.clone();
            frame[numbers.below(19)] = numbers.octet();
            frame.truncate(numbers.below(frame.len() + 1));
            let max_length = u16::try_from(MAX_MESSAGE).unwrap();
            match (codec::frame(&frame, MAX_MESSAGE), rustbgpd::frame(&frame, max_length)) {
                (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{frame:x?}"),
                (Ok(_), Err(())) => panic!("we take the header of {frame:x?}"),
                // Theirs looks at the least length of a type only once the message is there.
                (Err(MessageError::BadLength(_)), _) => {}
                // Ours looks at the marker before the rest of the header is there.
                (Err(MessageError::NotSynchronized), Ok(None)) if frame.len() < 19 => {}
                (Err(error), Ok(_)) => panic!("{error}: {frame:x?}"),
                (Err(_), Err(())) => {}
            }
        }
    }
}
