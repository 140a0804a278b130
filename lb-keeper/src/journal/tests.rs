use proptest::prelude::*;

use super::*;

fn reopened(journal: &Journal) -> Journal {
    Journal::open(journal.file().try_clone_to_owned().unwrap()).unwrap()
}

fn file_of(octets: &[u8]) -> OwnedFd {
    let file = File::from(memfd_create("test", MFdFlags::MFD_CLOEXEC).unwrap());
    file.write_all_at(octets, 0).unwrap();
    file.into()
}

#[test]
fn a_successor_reads_what_was_appended() {
    let mut journal = Journal::create(1000, b"before").unwrap();
    journal.append(b"one").unwrap();
    journal.append(b"").unwrap();
    journal.append(b"two").unwrap();
    let successor = reopened(&journal);
    assert_eq!(successor.snapshot().unwrap(), b"before");
    assert_eq!(successor.stream().unwrap(), b"onetwo");
    assert_eq!((successor.base(), successor.stream_len()), (1000, 6));
}

#[test]
fn what_is_left_to_write_begins_at_the_position() {
    let mut journal = Journal::create(u64::MAX - 1, b"snapshot").unwrap();
    journal.append(b"octets").unwrap();
    assert_eq!(journal.unsent(u64::MAX - 1).unwrap(), b"octets");
    assert_eq!(journal.unsent(2).unwrap(), b"ts", "positions may wrap around");
    assert_eq!(journal.unsent(4).unwrap(), b"");
    assert_eq!(journal.unsent_up_to(1, 2).unwrap(), b"et");
    for outside in [5, u64::MAX - 2] {
        assert!(matches!(journal.unsent(outside), Err(JournalError::Position { .. })), "{outside}");
    }
}

#[test]
fn an_append_that_was_not_committed_has_not_happened() {
    let mut journal = Journal::create(0, b"").unwrap();
    journal.append(b"whole").unwrap();
    journal.file.write_all_at(b"half of a mess", journal.offset(5)).unwrap();
    let mut successor = reopened(&journal);
    assert_eq!(successor.stream().unwrap(), b"whole");
    successor.append(b", too").unwrap();
    assert_eq!(successor.stream().unwrap(), b"whole, too");
}

#[test]
fn a_former_holder_cannot_append() {
    let mut former = Journal::create(0, b"").unwrap();
    former.append(b"a").unwrap();
    let mut keeper = reopened(&former);
    keeper.fence().unwrap();
    assert!(matches!(former.append(b"b"), Err(JournalError::Fenced)));
    keeper.append(b"-").unwrap();
    let mut successor = reopened(&keeper);
    successor.append(b"s").unwrap();
    for other in [&mut former, &mut keeper] {
        assert!(matches!(other.append(b"x"), Err(JournalError::Fenced)));
    }
    assert_eq!(successor.stream().unwrap(), b"a-s");
}

#[test]
fn a_journal_of_another_version_is_rejected() {
    let journal = Journal::create(0, b"").unwrap();
    journal.file.write_all_at(&2_u32.to_le_bytes(), 8).unwrap();
    let file = journal.file().try_clone_to_owned().unwrap();
    assert!(matches!(Journal::open(file), Err(JournalError::Format)));
}

#[test]
fn lengths_beyond_the_file_are_rejected_before_memory_is_allocated() {
    for (at, length) in [(SNAPSHOT, 1), (COMMITTED, 1), (SNAPSHOT, u64::MAX), (COMMITTED, u64::MAX - 64)] {
        let journal = Journal::create(0, b"").unwrap();
        journal.file.write_all_at(&length.to_le_bytes(), at as u64).unwrap();
        let file = journal.file().try_clone_to_owned().unwrap();
        assert!(matches!(Journal::open(file), Err(JournalError::Length)), "{at} {length}");
    }
    let sparse = Journal::create(0, b"").unwrap();
    sparse.file.set_len(1 << 40).unwrap();
    sparse.file.write_all_at(&(1_u64 << 39).to_le_bytes(), COMMITTED as u64).unwrap();
    let file = sparse.file().try_clone_to_owned().unwrap();
    assert!(matches!(Journal::open(file), Err(JournalError::Length)));
}

#[test]
fn a_full_journal_accepts_no_more() {
    let mut journal = Journal::create(0, b"").unwrap();
    journal.append(&vec![1; MAX_SIZE as usize]).unwrap();
    assert!(matches!(journal.append(b"x"), Err(JournalError::Full)));
    assert_eq!(journal.stream_len(), MAX_SIZE);
}

proptest! {
    #[test]
    fn garbage_is_read_or_rejected_but_never_crashes(
        octets in proptest::collection::vec(any::<u8>(), 0..200),
        numbers in proptest::collection::vec(prop_oneof![0..200_u64, any::<u64>()], 4),
        is_journal in any::<bool>(),
        written in any::<u64>(),
    ) {
        let mut octets = octets;
        if is_journal && octets.len() >= HEADER {
            octets[..8].copy_from_slice(&MAGIC);
            octets[8..16].copy_from_slice(&u64::from(VERSION).to_le_bytes());
            for (nth, number) in numbers.iter().enumerate() {
                octets[16 + 8 * nth..][..8].copy_from_slice(&number.to_le_bytes());
            }
        }
        if let Ok(journal) = Journal::open(file_of(&octets)) {
            prop_assert!(journal.stream()?.len() <= octets.len());
            prop_assert!(journal.snapshot()?.len() <= octets.len());
            let _ = journal.unsent(written);
        }
    }

    #[test]
    fn appends_are_read_in_order(chunks in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..300), 0..20,
    )) {
        let mut journal = Journal::create(7, &[0; 33])?;
        for chunk in &chunks {
            journal.append(chunk)?;
        }
        let stream = chunks.concat();
        let successor = reopened(&journal);
        prop_assert_eq!(successor.stream()?, &stream[..]);
        for sent in 0..=stream.len() {
            prop_assert_eq!(successor.unsent(7 + sent as u64)?, &stream[sent..]);
        }
    }
}
