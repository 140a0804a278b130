use proptest::prelude::*;

use super::*;

proptest! {
    /// However packets arrive, a trace records at most a burst more than its rate.
    #[test]
    fn a_trace_keeps_its_rate(gaps in proptest::collection::vec(0u64..50_000_000, 1..2000), rate in 1u64..10_000) {
        let interval = 1_000_000_000 / rate;
        let (mut due, mut now, mut taken) = (0, 5_000_000_000, 0u64);
        let begin = now;
        for gap in gaps {
            now += gap;
            if let Some(next) = spend(due, now, interval) {
                due = next;
                taken += 1;
            }
        }
        prop_assert!(taken <= (now - begin + BURST) / interval + 2, "{taken} in {} ns", now - begin);
    }
}

#[test]
fn a_budget_is_full_again_after_a_second() {
    let (mut due, now, interval) = (0, 1 << 40, 100_000_000);
    let mut take = |now| match spend(due, now, interval) {
        Some(next) => {
            due = next;
            true
        }
        None => false,
    };
    assert_eq!((0..100).filter(|_| take(now)).count(), 10);
    assert_eq!((0..100).filter(|_| take(now + BURST)).count(), 10);
    assert_eq!((0..100).filter(|_| take(now + BURST + interval)).count(), 1);
}

#[test]
fn a_filter_compares_only_the_bits_of_its_masks() {
    let vip = address_words([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 10]);
    let key = TraceKey { destination: vip, ports: [0x9c, 0x40, 0, 80], protocol: 6, ..TraceKey::EMPTY };
    let any = TraceSettings::default();
    assert!(any.matches(&key));
    let this = TraceSettings { vip, vip_mask: [u64::MAX; 2], ..any };
    assert!(this.matches(&key));
    let port = TraceSettings { service: service(0, 80), service_mask: 0xffff, ..this };
    assert!(port.matches(&key));
    assert!(!TraceSettings { service: service(0, 81), ..port }.matches(&key));
    assert!(!TraceSettings { service: service(17, 80), service_mask: 0xff_ffff, ..port }.matches(&key));
    let client = TraceSettings { client: vip, client_mask: [u64::MAX; 2], ..any };
    assert!(!client.matches(&key));
}

#[test]
fn a_record_ends_with_its_packet() {
    let mut bytes = [0; RECORD_BYTES + 3];
    bytes[76..80].copy_from_slice(&3u32.to_ne_bytes());
    bytes[80..82].copy_from_slice(&7u16.to_ne_bytes());
    bytes[RECORD_BYTES..].copy_from_slice(b"abc");
    let (record, packet) = TraceRecord::parse(&bytes).unwrap();
    assert_eq!((record.captured, record.node, packet), (3, 7, b"abc".as_slice()));
    assert_eq!(core::mem::offset_of!(TraceRecord, captured), 76);
    assert_eq!(TraceRecord::parse(&bytes[..RECORD_BYTES + 2]), None);
}

#[test]
fn settings_lie_in_memory_in_the_order_of_their_words() {
    let settings = TraceSettings { until: 1, snap: 4, service_mask: 14, ..TraceSettings::default() };
    let words = settings.to_words();
    assert_eq!((words[0], words[3], words[13]), (1, 4, 14));
    assert_eq!(core::mem::offset_of!(TraceSettings, service_mask), 13 * 8);
    assert_eq!(core::mem::offset_of!(TraceSettings, snap), 3 * 8);
}

#[test]
fn a_trace_shows_no_traffic_of_others_unless_asked() {
    let shown = |number: u32| default_verdicts() & verdict_bit(number) != 0;
    assert!(
        shown(Outcome::Local as u32) && shown(Refusal::NoLiveNode as u32) && shown(Refusal::BadTag as u32)
    );
    assert!(!shown(Outcome::NotOurs as u32) && !shown(Outcome::ProbeAnswered as u32));
}
