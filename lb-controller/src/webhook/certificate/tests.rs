use super::*;

/// Some time in 2026.
const NOW: Duration = Duration::from_secs(1_795_000_000);
const NAME: &str = "fairlead-webhook-service.lb.svc";

fn issue(now: Duration, before: Option<&Certificate>) -> Certificate {
    Certificate::issue(&dns_names(SERVICE, "lb"), now, before).unwrap()
}

#[test]
fn a_certificate_expires_some_time_after_it_has_to_be_renewed() {
    let one = issue(NOW, None);
    let second = Duration::from_secs(1);
    let at = |now: Duration| one.state(NAME, now);
    assert_eq!(at(NOW), CertificateState::Valid);
    assert_eq!(at(NOW - CLOCK_SKEW), CertificateState::Valid);
    assert_eq!(at(NOW - CLOCK_SKEW - second), CertificateState::Unusable);
    assert_eq!(at(NOW + LIFETIME - RENEW_BEFORE - second), CertificateState::Valid);
    assert_eq!(at(NOW + LIFETIME - RENEW_BEFORE + second), CertificateState::Expiring);
    assert_eq!(at(NOW + LIFETIME - second), CertificateState::Expiring);
    assert_eq!(at(NOW + LIFETIME + second), CertificateState::Unusable);
}

#[test]
fn a_certificate_is_valid_for_its_names_only() {
    let one = issue(NOW, None);
    assert_eq!(one.state("fairlead-webhook-service.lb.svc.cluster.local", NOW), CertificateState::Valid);
    assert_eq!(one.state("fairlead-webhook-service.other.svc", NOW), CertificateState::Unusable);
}

#[test]
fn a_ca_bundle_accepts_the_current_and_the_previous_certificate_only() {
    let first = issue(NOW, None);
    let second = issue(NOW + LIFETIME / 2, Some(&first));
    let third = issue(NOW + LIFETIME / 2 + LIFETIME / 4, Some(&second));
    let is_accepted = |by: &Certificate, trusted: &Certificate| {
        let mixed = Certificate { ca_bundle: trusted.ca_bundle.clone(), ..by.clone() };
        mixed.is_valid(NAME, NOW + LIFETIME / 2 + LIFETIME / 4)
    };
    assert!(is_accepted(&first, &second) && is_accepted(&second, &second));
    assert!(is_accepted(&second, &third) && is_accepted(&third, &third));
    assert!(!is_accepted(&first, &third), "only two CAs are kept");
    assert!(!is_accepted(&third, &second));
}

#[test]
fn a_damaged_certificate_is_unusable_and_causes_no_panic() {
    let one = issue(NOW, None);
    let other = issue(NOW, None);
    let damaged = [
        Certificate { key: other.key.clone(), ..one.clone() },
        Certificate { key: String::new(), ..one.clone() },
        Certificate { certificate: String::new(), ..one.clone() },
        Certificate { certificate: one.certificate[..200].to_owned(), ..one.clone() },
        Certificate { certificate: other.certificate.clone(), ..one.clone() },
        Certificate { ca_bundle: "garbage".into(), ..one.clone() },
        Certificate { ca_bundle: other.ca_bundle.clone(), ..one.clone() },
    ];
    for certificate in damaged {
        assert_eq!(certificate.state(NAME, NOW), CertificateState::Unusable, "{certificate:?}");
    }
    let renewed = issue(NOW, Some(&Certificate { ca_bundle: "garbage".into(), ..one.clone() }));
    assert_eq!(renewed.state(NAME, NOW), CertificateState::Valid);
}

#[test]
fn debug_output_omits_the_key() {
    let one = issue(NOW, None);
    assert!(!format!("{one:?}").contains("PRIVATE"));
}
