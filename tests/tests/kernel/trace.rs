//! The tracing program: it judges as the program on the uplinks does, and records what a trace asks for.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use fairlead_tests::kernel::{INGRESS, Kernel};
use fairlead_tests::model::{Packet, SliceFrame, counter_name};
use fairlead_tests::packets::fixture::Fixture;
use fairlead_tests::packets::table::{self, Row};
use fairlead_tests::twin::Twin;
use lb_common::trace::{
    BURST, FAST_VERDICTS, RECORD_BYTES, TraceKey, TraceSettings, TraceTunnel, address_words, service,
    verdict_bit,
};
use lb_common::verdict::{COUNTERS, Fate, Outcome};
use lb_dataplane::tracing_program::{TraceMaps, TracedFrame, now};

/// Bytes that a trace of these tests records.
const SNAP: u64 = 100;

/// A trace of everything that ends in an hour and is as good as unbounded.
fn everything() -> Result<TraceSettings> {
    let until = now()? + 3600 * 1_000_000_000;
    Ok(TraceSettings { until, verdicts: u64::MAX, interval: 1, snap: SNAP, ..TraceSettings::default() })
}

/// Returns the rows of the table that this kernel can run.
fn rows() -> Result<Vec<Row>> {
    let mut kernel = Kernel::load(&Fixture::Standard.tables())?;
    let (splits, crowds) = (kernel.splits(), kernel.crowds());
    let runs = |packet: &Packet| (splits || packet.is_whole()) && (crowds || packet.metadata == 0);
    Ok(table::rows().into_iter().filter(|row| runs(&row.packet)).collect())
}

/// Runs every row in the tracing program, and gives the frames that it records of the row's packet to a
/// check.
fn judge_all(
    settings: &TraceSettings,
    mut check: impl FnMut(&Row, u32, &[TracedFrame]) -> Option<String>,
) -> Result<()> {
    let mut pairs = HashMap::new();
    for fixture in Fixture::ALL {
        let (twin, mut maps) = Twin::tracing(fixture)?;
        maps.set(settings)?;
        pairs.insert(fixture, (twin, maps));
    }
    let rows = rows()?;
    let mut wrong = Vec::new();
    for row in &rows {
        let (twin, maps) = pairs.get_mut(&row.fixture).context("a pair for each fixture")?;
        twin.reset()?;
        let mut say = |what: Option<String>| wrong.extend(what.map(|what| format!("{}: {what}", row.name)));
        for packet in &row.before {
            say(twin.judge(packet)?.2);
        }
        maps.take_frames(usize::MAX);
        let (host, _, differs) = twin.judge(&row.packet)?;
        say(differs);
        say(twin.state()?.1);
        say(check(row, host.counter, &maps.take_frames(usize::MAX)));
    }
    for (fixture, (twin, _)) in &pairs {
        let (host, kernel) = (twin.tables.totals(), twin.kernel.totals()?);
        ensure!(host == kernel, "{fixture:?}: host counted {host:?}\n  kernel {kernel:?}");
    }
    ensure!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    println!("{} rows", rows.len());
    Ok(())
}

#[test]
fn every_packet_is_judged_as_without_a_trace_and_recorded_as_it_arrived() -> Result<()> {
    judge_all(&everything()?, |row, counter, frames| {
        let [TracedFrame { record, bytes }] = frames else {
            return Some(format!("{} records", frames.len()));
        };
        let mut key = TraceKey::EMPTY;
        lb_pipeline::read_trace_key(&SliceFrame::new(&row.packet, INGRESS), &mut key);
        let packet = &row.packet.bytes;
        let start = packet.get(..SNAP as usize).unwrap_or(packet);
        if (record.verdict, record.ifindex, record.key) != (counter, INGRESS, key) {
            return Some(format!("{record:?} of {}, {key:?}", counter_name(counter)));
        }
        (bytes != start || record.length as usize != packet.len())
            .then(|| format!("{record:?}, {bytes:02x?}"))
    })
}

#[test]
fn a_trace_whose_lease_is_over_records_nothing() -> Result<()> {
    let settings = TraceSettings { until: now()?, ..everything()? };
    judge_all(&settings, |_, _, frames| (!frames.is_empty()).then(|| format!("{frames:?}")))
}

#[test]
fn a_trace_of_drops_records_no_other_packet() -> Result<()> {
    let drops = COUNTERS.iter().filter(|(.., fate)| *fate == Fate::Drop);
    let verdicts = drops.fold(0, |bits, (number, ..)| bits | verdict_bit(*number));
    assert_eq!(verdicts & FAST_VERDICTS, 0, "the fast path drops nothing, so it runs first");
    judge_all(&TraceSettings { verdicts, ..everything()? }, |_, counter, frames| {
        let is_due = verdicts & verdict_bit(counter) != 0;
        (frames.len() != usize::from(is_due)).then(|| format!("{} records", frames.len()))
    })
}

/// A packet for a VIP that another node serves, and the trace of everything.
fn forwarded() -> Result<(Kernel, TraceMaps, Packet)> {
    let (kernel, maps) = Kernel::load_tracing(&Fixture::Standard.tables())?;
    let is_it =
        |row: &&Row| row.fixture == Fixture::Standard && row.expect.counter() == Outcome::ForwardedL2 as u32;
    let rows = table::written();
    let row = rows.iter().filter(is_it).find(|row| row.before.is_empty()).context("no such row")?;
    Ok((kernel, maps, row.packet.clone()))
}

#[test]
fn a_forwarded_packet_has_a_slot_a_vip_a_flow_and_a_node() -> Result<()> {
    let (mut kernel, mut maps, packet) = forwarded()?;
    maps.set(&everything()?)?;
    kernel.run(&packet)?;
    let frames = maps.take_frames(2);
    let [TracedFrame { record, .. }] = frames.as_slice() else { panic!("{frames:?}") };
    assert!(record.slot != u32::MAX && record.vip != u32::MAX && record.flow != 0, "{record:?}");
    assert!(record.node != lb_common::ring::NO_NODE && record.node != 0, "{record:?}");
    // What the next packet lacks is not left over from this one.
    kernel.run(&Packet::new(vec![0; 60]))?;
    let frames = maps.take_frames(2);
    let [TracedFrame { record, .. }] = frames.as_slice() else { panic!("{frames:?}") };
    assert_eq!((record.slot, record.vip, record.flow), (u32::MAX, u32::MAX, 0));
    assert_eq!(record.node, lb_common::ring::NO_NODE);
    Ok(())
}

#[test]
fn more_packets_than_the_rate_are_counted_and_not_recorded() -> Result<()> {
    const PACKETS: u64 = 2000;
    const RATE: u64 = 10;
    let (mut kernel, mut maps, packet) = forwarded()?;
    let interval = 1_000_000_000 / RATE;
    maps.set(&TraceSettings { interval, ..everything()? })?;
    let (begin, mut recorded) = (now()?, 0);
    for _ in 0..PACKETS {
        kernel.run(&packet)?;
        recorded += maps.take_frames(usize::MAX).len() as u64;
    }
    let bound = (now()? - begin + BURST) / interval + 2;
    let counts = maps.counts()?;
    assert_eq!((counts.matched, counts.lost), (PACKETS, 0));
    assert!((RATE..=bound).contains(&recorded), "{recorded} recorded, at most {bound} due");
    Ok(())
}

#[test]
fn records_that_do_not_fit_are_counted_as_lost() -> Result<()> {
    let (mut kernel, mut maps, packet) = forwarded()?;
    maps.set(&everything()?)?;
    for _ in 0..1000 {
        kernel.run(&packet)?;
    }
    let (counts, frames) = (maps.counts()?, maps.take_frames(usize::MAX));
    assert_eq!(counts.matched, 1000);
    assert_eq!(counts.lost as usize + frames.len(), 1000);
    assert!(frames.len() >= 4096 / (RECORD_BYTES + packet.bytes.len() + 16), "{} fit", frames.len());
    Ok(())
}

#[test]
fn a_filter_chooses_by_the_inner_packet() -> Result<()> {
    let (mut kernel, mut maps) = Kernel::load_tracing(&Fixture::Standard.tables())?;
    let rows = table::written();
    let mut seen = 0;
    for row in rows.iter().filter(|row| row.packet.is_whole() && row.packet.metadata == 0) {
        let mut key = TraceKey::EMPTY;
        lb_pipeline::read_trace_key(&SliceFrame::new(&row.packet, INGRESS), &mut key);
        if key.tunnel != TraceTunnel::Gue as u8 || key.ports == [0; 4] {
            continue;
        }
        seen += 1;
        let [.., high, low] = key.ports;
        let (vip, service_mask) = (key.destination, service(u8::MAX, u16::MAX));
        let port = service(key.protocol, u16::from_be_bytes([high, low]));
        let this =
            TraceSettings { vip, vip_mask: [u64::MAX; 2], service: port, service_mask, ..everything()? };
        let other = address_words([0xfe; 16]);
        for (settings, due) in [
            (this, 1),
            (TraceSettings { vip: other, ..this }, 0),
            (TraceSettings { client: key.source, client_mask: [u64::MAX; 2], ..this }, 1),
            (TraceSettings { client: other, client_mask: [u64::MAX; 2], ..this }, 0),
            (TraceSettings { service: port ^ 1, ..this }, 0),
        ] {
            maps.set(&settings)?;
            kernel.run(&row.packet)?;
            assert_eq!(maps.take_frames(usize::MAX).len(), due, "{}: {settings:?}", row.name);
        }
    }
    assert!(seen > 5, "{seen} rows in GUE");
    Ok(())
}
