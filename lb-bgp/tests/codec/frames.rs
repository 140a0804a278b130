//! Recorded messages of routers.

use lb_bgp::codec::{self, Encoding};
use lb_bgp::message::{MAX_MESSAGE, Message};
use lb_bgp::value::AddressFamily;

use crate::wire::{DECODING, ENCODING, octets};

/// Sender and octets of each message.
pub(crate) fn frames() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let lines = include_str!("frames.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(' ').unwrap()).map(|(sender, digits)| (sender, octets(digits)))
}

fn decoded() -> impl Iterator<Item = (&'static str, Message)> {
    frames().map(|(sender, frame)| {
        assert_eq!(codec::frame(&frame, MAX_MESSAGE), Ok(Some(frame.len())), "{sender}");
        let message = codec::decode(&frame, &DECODING);
        (sender, message.unwrap_or_else(|error| panic!("{sender} {frame:x?}: {error}")))
    })
}

#[test]
fn recorded_frames_decode_without_flaws_and_round_trip() {
    let mut count = 0;
    for (sender, message) in decoded() {
        if let Message::Update(update) = &message {
            assert_eq!(update.flaws, [], "{sender} {update:?}");
        }
        let mut out = Vec::new();
        codec::encode(&message, &ENCODING, &mut out).unwrap();
        assert_eq!(codec::decode(&out, &DECODING).as_ref(), Ok(&message), "{sender}");
        count += 1;
    }
    assert_eq!(count, 55);
}

#[test]
fn an_open_of_frr_lists_its_capabilities() {
    let opens = decoded().filter_map(|(sender, message)| match message {
        Message::Open(open) if sender == "10.77.1.1" => Some(open),
        _ => None,
    });
    let open = opens.last().unwrap();
    let capabilities = open.capabilities;
    assert_eq!((open.asn.get(), open.hold_time.seconds()), (4_200_000_000, 9));
    assert_eq!(open.router_id.to_string(), "10.77.0.1");
    assert_eq!(capabilities.families, [AddressFamily::Ipv4]);
    assert!(capabilities.route_refresh && capabilities.extended_message && capabilities.four_octet_asn);
    assert_eq!(capabilities.host_name.as_deref(), Some("tor"));
    let restart = capabilities.graceful_restart.unwrap();
    assert_eq!((restart.restarted, restart.notification, restart.restart_time), (true, true, 120));
}

#[test]
fn updates_of_all_routers_have_prefixes_and_communities() {
    let mut seen = Vec::new();
    for (sender, message) in decoded() {
        if let Message::Update(update) = message
            && let Some(reach) = update.reach
            && !reach.attributes.large_communities.is_empty()
        {
            assert!(!reach.prefixes.is_empty(), "{sender}");
            seen.push(sender);
        }
    }
    seen.dedup();
    assert!(["10.77.1.2", "10.77.4.2", "fd77:1::2"].iter().all(|sender| seen.contains(sender)), "{seen:?}");
}

#[test]
fn a_cease_of_bird_without_subcode_is_decoded() {
    let ceases = decoded().filter_map(|(_, message)| match message {
        Message::Notification(notification) => Some(notification),
        _ => None,
    });
    let ceases: Vec<_> = ceases.map(|cease| (cease.code, cease.subcode, cease.to_string())).collect();
    assert!(ceases.contains(&(6, 0, "cease (6/0)".to_owned())), "{ceases:?}");
}

#[test]
fn a_truncated_frame_is_incomplete() {
    for (sender, frame) in frames() {
        for length in 0..frame.len() {
            assert_eq!(codec::frame(&frame[..length], MAX_MESSAGE), Ok(None), "{sender} {length}");
        }
    }
}

#[test]
fn a_frame_with_a_changed_octet_is_rejected_or_can_be_encoded_again() {
    let internal = Encoding { internal: true, ..ENCODING };
    for (_, frame) in frames() {
        for index in 0..frame.len() {
            for value in [0, 1, 2, 0x7f, 0x80, 0xff] {
                let mut mutated = frame.clone();
                mutated[index] = value;
                for context in
                    [DECODING, codec::Decoding { internal: true, four_octet_asn: false, ..DECODING }]
                {
                    if let Ok(message) = codec::decode(&mutated, &context) {
                        codec::encode(&message, &internal, &mut Vec::new()).unwrap();
                    }
                }
            }
        }
    }
}
