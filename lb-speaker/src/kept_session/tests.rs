use std::collections::BTreeSet;

use super::*;

fn transport() -> Transport {
    Transport {
        address: "192.0.2.1".parse().unwrap(),
        port: 179,
        source: None,
        device: None,
        key: Md5Key::new(b"secret"),
        minimum_ttl: None,
    }
}

fn record(refused: Option<RefusedCapabilities>) -> SessionRecord {
    SessionRecord {
        direction: ConnectionDirection::Incoming,
        ours: vec![255; 4096],
        theirs: vec![0; 4096],
        refused,
        refreshing: vec![AddressFamily::Ipv6],
        lasted: Duration::ZERO,
    }
}

fn state(record: &SessionRecord, lasted: Duration) -> Vec<u8> {
    let kept = KeptSession::new(Journal::create(0, &[]).unwrap(), lasted).unwrap();
    serde_json::to_vec(&kept.state(record, &transport())).unwrap()
}

#[test]
fn a_state_is_read_as_it_was_written_and_fits_into_a_message() {
    let some = RefusedCapabilities::Some { families: [AddressFamily::Ipv6].into(), codes: [6, 64].into() };
    for refused in [None, Some(RefusedCapabilities::All), Some(some)] {
        let (record, minute) = (record(refused), Duration::from_secs(60));
        let state = state(&record, minute);
        assert!(state.len() < StreamTerms::MAX_STATE);
        let read = ReadState::read(&state).unwrap();
        let lasted = read.record.lasted;
        assert!(lasted.abs_diff(minute) < Duration::from_secs(5), "{lasted:?}");
        assert_eq!(SessionRecord { lasted: Duration::ZERO, ..read.record }, record);
    }
}

#[test]
fn every_part_of_the_transport_counts() {
    let read = ReadState::read(&state(&record(None), Duration::ZERO)).unwrap();
    let own = transport();
    assert!(read.is_over(&own));
    let others = [
        Transport { address: "192.0.2.2".parse().unwrap(), ..own.clone() },
        Transport { port: 1179, ..own.clone() },
        Transport { source: "192.0.2.9".parse().ok(), ..own.clone() },
        Transport { device: Some("red".into()), ..own.clone() },
        Transport { key: Md5Key::new(b"other"), ..own.clone() },
        Transport { key: None, ..own.clone() },
        Transport { key: None, device: Some("secret".into()), ..own.clone() },
        Transport { minimum_ttl: Some(255), ..own },
    ];
    for other in others {
        assert!(!read.is_over(&other), "{other:?}");
    }
}

#[test]
fn a_state_shows_no_password_and_no_equality_of_passwords() {
    let states = [(); 2].map(|()| state(&record(None), Duration::ZERO));
    let digests: BTreeSet<Vec<u8>> =
        states.iter().map(|state| ReadState::read(state).unwrap().transport).collect();
    assert_eq!(digests.len(), 2);
    assert!(states.iter().all(|state| !String::from_utf8_lossy(state).contains("secret")));
}

#[test]
fn a_foreign_state_is_an_error() {
    let text = String::from_utf8(state(&record(None), Duration::ZERO)).unwrap();
    let later = ReadState::read(text.replace(r#""v":1"#, r#""v":2"#).as_bytes());
    assert!(matches!(later, Err(StateError::Version(2))), "{later:?}");
    // A later version may differ in everything else.
    assert!(matches!(ReadState::read(br#"{"v":3,"x":[]}"#), Err(StateError::Version(3))));
    for state in ["", "{}", "[]", r#"{"v":1}"#, &text.replace("AAAA", "*"), &text.replace("true", "7")] {
        assert!(ReadState::read(state.as_bytes()).is_err(), "{state}");
    }
}
