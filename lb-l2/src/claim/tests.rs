use super::*;
use crate::frame::{L2Frame, L2FrameKind};
use proptest::prelude::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
const V4: &str = "203.0.113.10";
const V6: &str = "2001:db8::10";

fn frame(kind: L2FrameKind, address: &str) -> Vec<u8> {
    L2Frame::new(kind, MAC, address.parse().unwrap()).as_bytes().to_vec()
}

fn claim(address: &str, is_probe: bool) -> Option<Claim> {
    Some(Claim { address: address.parse().unwrap(), mac: MAC, is_probe })
}

/// Sets the checksum of a message of Neighbor Discovery.
fn sum_up(frame: &mut [u8]) {
    frame[56..58].fill(0);
    let length = frame.len() - 54;
    let total = sum(&frame[22..]) + length as u32 + u32::from(protocol::ICMPV6);
    frame[56..58].copy_from_slice(&checksum::finish(total));
}

#[test]
fn our_own_frames_claim_what_they_announce() {
    for address in [V4, V6] {
        for kind in L2FrameKind::ALL {
            let is_probe = kind == L2FrameKind::Probe;
            assert_eq!(read_claim(&frame(kind, address)), claim(address, is_probe), "{kind:?} {address}");
        }
    }
}

#[test]
fn a_frame_is_read_below_two_tags_and_with_padding() {
    let tags = [0x88, 0xa8, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3];
    for address in [V4, V6] {
        let frame = frame(L2FrameKind::Announcement, address);
        for (tagged, expected) in [(4, true), (8, true), (12, false)] {
            let mut with = [&frame[..12], &tags[..tagged], &frame[12..], &[0; 18]].concat();
            assert_eq!(read_claim(&with), claim(address, false).filter(|_| expected));
            with.truncate(tagged + 40);
            assert_eq!(read_claim(&with), None);
        }
    }
}

#[test]
fn arp_packets_of_other_kinds_and_hosts_that_cannot_be_claim_nothing() {
    let base = frame(L2FrameKind::Announcement, V4);
    for (place, byte, what) in [
        (15, 6, "hardware type"),
        (16, 9, "protocol type"),
        (18, 8, "length of MAC addresses"),
        (19, 16, "length of addresses"),
        (21, 3, "operation"),
        (22, 3, "group MAC address"),
        (12, 9, "EtherType"),
    ] {
        let mut frame = base.clone();
        frame[place] = byte;
        assert_eq!(read_claim(&frame), None, "{what}");
    }
    let mut without_mac = base.clone();
    without_mac[22..28].fill(0);
    assert_eq!(read_claim(&without_mac), None);
    let mut reply_without_sender = frame(L2FrameKind::AnnouncementReply, V4);
    reply_without_sender[28..32].fill(0);
    assert_eq!(read_claim(&reply_without_sender), None);
}

#[test]
fn an_ordinary_request_claims_its_sender_and_not_its_target() {
    let mut frame = frame(L2FrameKind::Announcement, V4);
    frame[38..42].copy_from_slice(&[203, 0, 113, 99]);
    assert_eq!(read_claim(&frame), claim(V4, false));
}

#[test]
fn an_advertisement_without_option_claims_for_its_source() {
    let mut frame = frame(L2FrameKind::Announcement, V6);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 7]);
    assert_eq!(read_claim(&frame), claim(V6, false));
    frame.truncate(78);
    frame[19] = 24;
    sum_up(&mut frame);
    let expected = Claim { mac: [2, 0, 0, 0, 0, 7], ..claim(V6, false).unwrap() };
    assert_eq!(read_claim(&frame), Some(expected));
}

#[test]
fn invalid_messages_of_neighbor_discovery_claim_nothing() {
    for kind in [L2FrameKind::Announcement, L2FrameKind::Probe] {
        let base = frame(kind, V6);
        for (place, byte, what) in [
            (14, 0x40, "version"),
            (20, 17, "next header"),
            (21, 254, "hop limit"),
            (54, 133, "type"),
            (55, 1, "code"),
            (62, 0xff, "multicast target"),
            (19, 200, "length behind the end"),
            (19, 16, "length below the minimum"),
        ] {
            let mut frame = base.clone();
            frame[place] = byte;
            sum_up(&mut frame);
            assert_eq!(read_claim(&frame), None, "{kind:?}: {what}");
        }
        let mut frame = base.clone();
        frame[57] ^= 1;
        assert_eq!(read_claim(&frame), None, "{kind:?}: checksum");
    }
    let mut frame = frame(L2FrameKind::Announcement, V6);
    frame[79] = 0;
    sum_up(&mut frame);
    assert_eq!(read_claim(&frame), None, "option without length");
    frame[79] = 2;
    sum_up(&mut frame);
    assert_eq!(read_claim(&frame), None, "option behind the end");
}

#[test]
fn a_solicitation_of_a_host_with_an_address_claims_nothing() {
    let mut frame = frame(L2FrameKind::Probe, V6);
    frame[22..38].copy_from_slice(&[0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    sum_up(&mut frame);
    assert_eq!(read_claim(&frame), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_claim(&bytes);
    }

    #[test]
    fn any_change_of_a_frame_is_read_without_a_panic(
        which in 0usize..6,
        changes in proptest::collection::vec((0usize..90, any::<u8>()), 0..6),
        length in 0usize..90,
        is_summed: bool,
    ) {
        let mut frame = frame(L2FrameKind::ALL[which % 3], [V4, V6][which / 3]);
        for (place, byte) in changes {
            if let Some(old) = frame.get_mut(place) {
                *old = byte;
            }
        }
        if is_summed && frame.len() > 60 {
            sum_up(&mut frame);
        }
        frame.truncate(length);
        if let Some(claim) = read_claim(&frame) {
            prop_assert!(!claim.address.is_unspecified() && !claim.address.to_string().starts_with("ff"));
        }
    }
}
