use super::*;

/// Some time in 2026.
const NOW: Duration = Duration::from_secs(1_795_000_000);
const NAME: &str = "fairlead-webhook-service.lb.svc";

fn issue(now: Duration, before: Option<&Certificate>) -> Certificate {
    Certificate::issue(&names(super::super::SERVICE, "lb"), now, before).unwrap()
}

#[test]
fn a_certificate_is_good_until_it_is_time_for_another() {
    let one = issue(NOW, None);
    let second = Duration::from_secs(1);
    let at = |now: Duration| one.standing(NAME, now);
    assert_eq!(at(NOW), Standing::Good);
    assert_eq!(at(NOW - SKEW), Standing::Good);
    assert_eq!(at(NOW - SKEW - second), Standing::Useless);
    assert_eq!(at(NOW + LIFETIME - RENEWED_BEFORE - second), Standing::Good);
    assert_eq!(at(NOW + LIFETIME - RENEWED_BEFORE + second), Standing::Ending);
    assert_eq!(at(NOW + LIFETIME - second), Standing::Ending);
    assert_eq!(at(NOW + LIFETIME + second), Standing::Useless);
}

#[test]
fn it_is_for_its_names_only() {
    let one = issue(NOW, None);
    assert_eq!(one.standing("fairlead-webhook-service.lb.svc.cluster.local", NOW), Standing::Good);
    assert_eq!(one.standing("fairlead-webhook-service.other.svc", NOW), Standing::Useless);
}

#[test]
fn who_trusts_the_one_after_it_still_trusts_it_and_not_the_one_before() {
    let first = issue(NOW, None);
    let second = issue(NOW + LIFETIME / 2, Some(&first));
    let third = issue(NOW + LIFETIME / 2 + LIFETIME / 4, Some(&second));
    let shown = |by: &Certificate, trusted: &Certificate| {
        let mixed = Certificate { authorities: trusted.authorities.clone(), ..by.clone() };
        mixed.is_valid(NAME, NOW + LIFETIME / 2 + LIFETIME / 4)
    };
    assert!(shown(&first, &second) && shown(&second, &second));
    assert!(shown(&second, &third) && shown(&third, &third));
    assert!(!shown(&first, &third), "two are enough");
    assert!(!shown(&third, &second));
}

#[test]
fn what_is_damaged_is_useless_and_no_panic() {
    let one = issue(NOW, None);
    let other = issue(NOW, None);
    let damaged = [
        Certificate { key: other.key.clone(), ..one.clone() },
        Certificate { key: String::new(), ..one.clone() },
        Certificate { certificate: String::new(), ..one.clone() },
        Certificate { certificate: one.certificate[..200].to_owned(), ..one.clone() },
        Certificate { certificate: other.certificate.clone(), ..one.clone() },
        Certificate { authorities: "garbage".into(), ..one.clone() },
        Certificate { authorities: other.authorities.clone(), ..one.clone() },
    ];
    for certificate in damaged {
        assert_eq!(certificate.standing(NAME, NOW), Standing::Useless, "{certificate:?}");
    }
    let heir = issue(NOW, Some(&Certificate { authorities: "garbage".into(), ..one.clone() }));
    assert_eq!(heir.standing(NAME, NOW), Standing::Good);
}

#[test]
fn a_key_is_never_shown() {
    let one = issue(NOW, None);
    assert!(!format!("{one:?}").contains("PRIVATE"));
}
