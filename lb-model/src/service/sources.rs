//! The clients that a Service admits: `spec.loadBalancerSourceRanges`, or else the annotation that preceded
//! it.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::candidate::Candidate;
use crate::address_range::cidr;
use crate::source_ranges::SourceRanges;
use lb_api::problem::{Problem, Reason};

/// Counts if the field is empty. kube-proxy does not support it; the load balancers of cloud providers do.
const ANNOTATION: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
/// The field.
const FIELD: &str = "spec.loadBalancerSourceRanges";

impl<'a> Candidate<'a> {
    /// Returns the clients that the Service admits; `None` if any range is invalid, because it is then
    /// unknown which clients to admit.
    pub(super) fn sources(&mut self) -> Option<SourceRanges> {
        let mut nets = Vec::new();
        let mut is_valid = true;
        for (field, text) in self.written_ranges() {
            match parse(text) {
                Some(net) => nets.push(net),
                None => {
                    self.refuse(field, Reason::NotACidr { written: text.to_owned() });
                    is_valid = false;
                }
            }
        }
        is_valid.then(|| SourceRanges::of_nets(&nets))
    }

    /// Returns each range with its field. As in Kubernetes, surrounding blanks are ignored.
    fn written_ranges(&self) -> Vec<(String, &'a str)> {
        let written = &self.written.spec.load_balancer_source_ranges;
        if !written.is_empty() {
            let ranges = written.iter().enumerate();
            return ranges.map(|(place, range)| (format!("{FIELD}[{place}]"), range.trim())).collect();
        }
        let annotation = self.written.metadata.annotations.get(ANNOTATION).map(|text| text.trim());
        let ranges = annotation.filter(|text| !text.is_empty()).into_iter().flat_map(|text| text.split(','));
        ranges.map(|range| (format!("metadata.annotations[{ANNOTATION}]"), range.trim())).collect()
    }

    /// Reports a family without ranges beside a restricted one.
    pub(super) fn report_unrestricted(&mut self, sources: &SourceRanges, addresses: &[IpAddr]) {
        let field =
            if self.written.spec.load_balancer_source_ranges.is_empty() { ANNOTATION_FIELD } else { FIELD };
        let families = [("IPv4", "0.0.0.0/0", true), ("IPv6", "::/0", false)];
        let [v4, v6] = sources.families();
        for ((family, all, is_v4), (own, other)) in families.into_iter().zip([(v4, v6), (v6, v4)]) {
            if !own && other && addresses.iter().any(|address| address.is_ipv4() == is_v4) {
                let reason = Reason::NoSourceRange { family, all };
                self.problems.push(Problem::at(self.object, field, reason));
            }
        }
    }
}

/// The annotation, as a field.
const ANNOTATION_FIELD: &str = "metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]";

/// Parses a CIDR as API servers of all versions admit it: host bits are ignored, IPv4 numbers may have
/// leading zeros, and `::ffff:a.b.c.d` is IPv4.
fn parse(written: &str) -> Option<IpNet> {
    let net = cidr(&without_leading_zeros(written)?)?;
    let IpNet::V6(v6) = net else { return Some(net) };
    let Some((mapped, length)) = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96)) else {
        return Some(net);
    };
    Ipv4Net::new(mapped, length).ok().map(IpNet::V4)
}

/// Removes leading zeros, as Go did for long: it read such numbers as decimal.
fn without_leading_zeros(written: &str) -> Option<Cow<'_, str>> {
    if written.contains(':') {
        return Some(Cow::Borrowed(written));
    }
    let (address, length) = written.split_once('/')?;
    let number = |text: &str| match text.trim_start_matches('0') {
        "" if !text.is_empty() => "0".to_owned(),
        digits => digits.to_owned(),
    };
    let numbers: Vec<String> = address.split('.').map(number).collect();
    Some(Cow::Owned(format!("{}/{length}", numbers.join("."))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source_ranges::SourceRange;

    #[test]
    fn cidrs_are_read_as_kubernetes_admitted_them() {
        for (written, net) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.1/8", "10.0.0.1/8"),
            ("010.000.0.0/08", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::/32", "2001:db8::/32"),
            ("::/0", "::/0"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
        ] {
            assert_eq!(parse(written), Some(net.parse().unwrap()), "{written}");
        }
        for written in [
            "",
            "/",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0/8",
            "10.0.0.0.0/8",
            "10..0.0/8",
            "x/8",
            "::/129",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "256.0.0.0/8",
            "10.0.0.0/ 8",
            "fe80::1%eth0/64",
            "a.b.c.d/8",
        ] {
            assert_eq!(parse(written), None, "{written:?}");
        }
    }

    fn ranges(written: &[&str]) -> SourceRanges {
        SourceRanges::of_nets(&written.iter().map(|text| parse(text).unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn ranges_are_aggregated() {
        let any_v4 = [192, 0, 2, 1].into();
        let v4 =
            |written: &[&str]| ranges(written).of(any_v4).map(|it| it.iter().copied().collect::<Vec<_>>());
        let range = |net: &str| SourceRange::from(net.parse::<IpNet>().unwrap());
        assert_eq!(v4(&[]), None);
        assert_eq!(v4(&["10.0.0.0/8", "10.0.0.0/8", "10.1.0.0/16"]), Some(vec![range("10.0.0.0/8")]));
        assert_eq!(v4(&["10.128.0.0/9", "10.0.0.0/9"]), Some(vec![range("10.0.0.0/8")]));
        assert_eq!(
            v4(&["192.0.2.0/24", "10.0.0.0/8"]),
            Some(vec![range("10.0.0.0/8"), range("192.0.2.0/24")])
        );
    }

    #[test]
    fn families_are_restricted_separately() {
        let (v4, v6) = ([192, 0, 2, 1].into(), "2001:db8::1".parse().unwrap());
        let only4 = ranges(&["10.0.0.0/8"]);
        assert!(only4.of(v4).is_some() && only4.of(v6).is_none());
        let only6 = ranges(&["2001:db8::/32"]);
        assert!(only6.of(v4).is_none() && only6.of(v6).is_some());
        let all4 = ranges(&["10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32"]);
        assert!(all4.of(v4).is_none() && all4.of(v6).is_some());
        let halves = ranges(&["0.0.0.0/1", "128.0.0.0/1"]);
        assert!(halves.of(v4).is_none(), "both halves are all");
    }
}
