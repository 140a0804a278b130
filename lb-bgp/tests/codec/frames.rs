//! What routers send.

use lb_bgp::codec::{self, Encoding};
use lb_bgp::message::{MAX_MESSAGE, Message};
use lb_bgp::value::Family;

use crate::wire::{DECODING, ENCODING, octets};

/// Who sent what.
pub(crate) fn frames() -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    let lines = include_str!("frames.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(' ').unwrap()).map(|(who, digits)| (who, octets(digits)))
}

fn decoded() -> impl Iterator<Item = (&'static str, Message)> {
    frames().map(|(who, frame)| {
        assert_eq!(codec::frame(&frame, MAX_MESSAGE), Ok(Some(frame.len())), "{who}");
        let message = codec::decode(&frame, &DECODING);
        (who, message.unwrap_or_else(|error| panic!("{who} {frame:x?}: {error}")))
    })
}

#[test]
fn what_routers_send_is_read_without_a_flaw_and_means_the_same_when_written_again() {
    let mut count = 0;
    for (who, message) in decoded() {
        if let Message::Update(update) = &message {
            assert_eq!(update.flaws, [], "{who} {update:?}");
        }
        let mut out = Vec::new();
        codec::encode(&message, &ENCODING, &mut out).unwrap();
        assert_eq!(codec::decode(&out, &DECODING).as_ref(), Ok(&message), "{who}");
        count += 1;
    }
    assert_eq!(count, 55);
}

#[test]
fn an_open_of_frr_says_what_frr_can_do() {
    let opens = decoded().filter_map(|(who, message)| match message {
        Message::Open(open) if who == "10.77.1.1" => Some(open),
        _ => None,
    });
    let open = opens.last().unwrap();
    let capabilities = open.capabilities;
    assert_eq!((open.asn.get(), open.hold_time.seconds()), (4_200_000_000, 9));
    assert_eq!(open.router_id.to_string(), "10.77.0.1");
    assert_eq!(capabilities.families, [Family::Ipv4]);
    assert!(capabilities.route_refresh && capabilities.extended_message && capabilities.four_octet_asn);
    assert_eq!(capabilities.host_name.as_deref(), Some("tor"));
    let restart = capabilities.graceful_restart.unwrap();
    assert_eq!((restart.restarted, restart.notification, restart.restart_time), (true, true, 120));
}

#[test]
fn updates_of_all_four_bring_prefixes_and_communities() {
    let mut seen = Vec::new();
    for (who, message) in decoded() {
        if let Message::Update(update) = message
            && let Some(reach) = update.reach
            && !reach.attributes.large_communities.is_empty()
        {
            assert!(!reach.prefixes.is_empty(), "{who}");
            seen.push(who);
        }
    }
    seen.dedup();
    assert!(["10.77.1.2", "10.77.4.2", "fd77:1::2"].iter().all(|who| seen.contains(who)), "{seen:?}");
}

#[test]
fn a_cease_of_bird_that_gives_no_reason_is_read() {
    let ceases = decoded().filter_map(|(_, message)| match message {
        Message::Notification(notification) => Some(notification),
        _ => None,
    });
    let ceases: Vec<_> = ceases.map(|cease| (cease.code, cease.subcode, cease.to_string())).collect();
    assert!(ceases.contains(&(6, 0, "cease (6/0)".to_owned())), "{ceases:?}");
}

#[test]
fn a_frame_cut_short_anywhere_is_not_whole_yet() {
    for (who, frame) in frames() {
        for length in 0..frame.len() {
            assert_eq!(codec::frame(&frame[..length], MAX_MESSAGE), Ok(None), "{who} {length}");
        }
    }
}

#[test]
fn a_frame_with_any_octet_changed_is_taken_or_refused_and_what_is_taken_can_be_written() {
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
