use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0xa, 0xb];

fn bytes(kind: L2FrameKind, address: &str) -> Vec<u8> {
    L2Frame::new(kind, MAC, address.parse().unwrap()).as_bytes().to_vec()
}

#[test]
fn arp_frames_are_those_of_rfc_5227() {
    let broadcast = [0xff; 6];
    let vip = [203, 0, 113, 10];
    for (kind, operation, sender, target_mac) in [
        (L2FrameKind::Announcement, 1, vip, [0; 6]),
        (L2FrameKind::AnnouncementReply, 2, vip, MAC),
        (L2FrameKind::Probe, 1, [0; 4], [0; 6]),
    ] {
        let mut expected = Vec::new();
        expected.extend([broadcast, MAC].concat());
        expected.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, operation]);
        expected.extend([&MAC[..], &sender, &target_mac, &vip].concat());
        assert_eq!(bytes(kind, "203.0.113.10"), expected, "{kind:?}");
    }
}

#[test]
fn an_advertisement_goes_to_all_nodes_and_overrides() {
    for kind in [L2FrameKind::Announcement, L2FrameKind::AnnouncementReply] {
        let frame = bytes(kind, "2001:db8::1:2");
        let vip = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2];
        assert_eq!(frame.len(), 86);
        assert_eq!(frame[..14], [0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0xa, 0xb, 0x86, 0xdd]);
        assert_eq!(frame[14..22], [0x60, 0, 0, 0, 0, 32, 58, 255]);
        assert_eq!(frame[22..38], vip);
        assert_eq!(frame[38..54], ndp::ALL_NODES);
        assert_eq!(frame[54..56], [136, 0]);
        assert_eq!(frame[58..62], [0x20, 0, 0, 0]);
        assert_eq!(frame[62..78], vip);
        assert_eq!(frame[78..], [2, 1, 2, 0, 0, 0, 0xa, 0xb]);
        assert!(is_checksum_valid(&frame));
    }
}

#[test]
fn a_check_for_duplicates_has_no_source_and_no_option() {
    let frame = bytes(L2FrameKind::Probe, "2001:db8::ab:cdef");
    assert_eq!(frame.len(), 78);
    assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0xab, 0xcd, 0xef]);
    assert_eq!(frame[14..22], [0x60, 0, 0, 0, 0, 24, 58, 255]);
    assert_eq!(frame[22..38], [0; 16]);
    assert_eq!(frame[38..54], [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xab, 0xcd, 0xef]);
    assert_eq!(frame[54..56], [135, 0]);
    assert!(is_checksum_valid(&frame));
}

fn is_checksum_valid(frame: &[u8]) -> bool {
    let message = &frame[54..];
    let sum = sum(&frame[22..54]) + sum(message) + message.len() as u32 + u32::from(protocol::ICMPV6);
    checksum::fold(sum) == 0xffff
}
