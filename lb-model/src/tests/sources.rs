//! The clients that Services admit.

use std::net::IpAddr;

use super::*;

const ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";

/// Whether a Service admits a client, and the problems of its ranges.
fn judge(service: &str, client: &str) -> (Option<bool>, Vec<String>) {
    let (model, mut problems) = build(&[BASE, service]);
    problems.retain(|problem| !problem.contains("no endpoint is ready"));
    let client: IpAddr = client.parse().unwrap();
    let admits = |service: &Arc<Service>| {
        let sources = service.sources.of(client);
        sources.is_none_or(|sources| sources.iter().any(|range| range.contains(client)))
    };
    (model.services.get(&name("s")).map(admits), problems)
}

fn annotated(ranges: &str, more: &str) -> String {
    let annotations = format!("name: s, annotations: {{{ANNOTATION}: '{ranges}'}}");
    service("s", more).replace("name: s", &annotations)
}

#[test]
fn the_field_takes_precedence_over_the_annotation() {
    let field = "loadBalancerSourceRanges: [' 10.0.0.0/8', '192.168.0.1/24 ']";
    for (service, inside, outside) in [
        (service("s", field), "10.1.2.3", "11.0.0.1"),
        (service("s", field), "192.168.0.255", "192.168.1.1"),
        (annotated("10.0.0.0/8, 192.168.0.0/24", ""), "192.168.0.7", "192.168.1.1"),
        (annotated("198.18.0.0/15", field), "10.1.2.3", "198.18.0.1"),
        (annotated("198.18.0.0/15", "loadBalancerSourceRanges: []"), "198.18.0.1", "10.1.2.3"),
    ] {
        assert_eq!(judge(&service, inside), (Some(true), Vec::new()), "{service}");
        assert_eq!(judge(&service, outside), (Some(false), Vec::new()), "{service}");
    }
    for open in [service("s", ""), service("s", "loadBalancerSourceRanges: null"), annotated("  ", "")] {
        assert_eq!(judge(&open, "198.51.100.1"), (Some(true), Vec::new()), "{open}");
    }
}

/// An invalid range was meant to exclude clients.
#[test]
fn an_invalid_cidr_invalidates_the_service() {
    let (service, problems) =
        judge(&service("s", "loadBalancerSourceRanges: [10.0.0.0/8, none]"), "10.0.0.1");
    assert_problem(&problems, &["spec.loadBalancerSourceRanges[1]: \"none\" is not a CIDR", "192.0.2.0/24"]);
    assert_eq!(service, None);
    let (service, problems) = judge(&annotated("10.0.0.0/8,", ""), "10.0.0.1");
    assert_problem(&problems, &[ANNOTATION, "\"\" is not a CIDR"]);
    assert_eq!(service, None);
}

#[test]
fn an_unrestricted_family_beside_a_restricted_one_is_reported() {
    let both = |ranges: &str| {
        service("s", &format!("loadBalancerSourceRanges: [{ranges}]"))
            .replace("loadBalancerIP: 192.0.2.1, ", "")
            .replace(
                "name: s",
                "name: s, annotations: {metallb.io/loadBalancerIPs: '192.0.2.1, 2001:db8::1'}",
            )
    };
    let (admits, problems) = judge(&both("10.0.0.0/8"), "fd00::1");
    assert_problem(&problems, &["spec.loadBalancerSourceRanges: there is no IPv6 range", "::/0"]);
    assert_eq!(admits, Some(true));
    let (admits, problems) = judge(&both("'fd00::/8'"), "10.0.0.1");
    assert_problem(&problems, &["there is no IPv4 range", "0.0.0.0/0"]);
    assert_eq!(admits, Some(true));
    for ranges in ["10.0.0.0/8, '::/0'", "10.0.0.0/8, 'fd00::/8'", "0.0.0.0/0, '::/0'", ""] {
        assert_eq!(judge(&both(ranges), "fd00::1"), (Some(true), Vec::new()), "{ranges}");
    }
    let one_family = service("s", "loadBalancerSourceRanges: [10.0.0.0/8]");
    assert_eq!(judge(&one_family, "10.0.0.1").1, Vec::<String>::new(), "it has no IPv6 address");
}
