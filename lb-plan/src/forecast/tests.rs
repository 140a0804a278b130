//! Manifests as guides have them, right and wrong: what would come of each.

mod guides;

use lb_api::objects::parse;
use lb_api::problem::Problem;

use super::{Assumption, Forecast, ServiceForecast, forecast};

const NAMESPACE: &str = "metallb-system";

/// A manifest, and what would come of it.
struct Guide {
    says: &'static str,
    text: &'static str,
    /// Words of each error, and of each warning.
    errors: &'static [&'static [&'static str]],
    warnings: &'static [&'static [&'static str]],
    /// Each Service, as [`words`] has it.
    services: &'static [&'static str],
}

fn of(text: &str) -> Forecast {
    let (objects, problems) = parse("guide.yaml", text);
    let mut found = forecast(&objects, None, NAMESPACE);
    found.errors.splice(..0, problems);
    found
}

/// `NAME ADDRESSES l2:NODES ROUTER:NODES…`, without what there is none of.
fn words(service: &ServiceForecast) -> String {
    let nodes = |names: &[crate::model::NodeName]| {
        names.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>().join(",")
    };
    let mut words = vec![service.name.name.clone()];
    words.extend(service.addresses.iter().map(ToString::to_string));
    if service.by_l2 {
        words.push(format!("l2:{}", nodes(&service.l2)));
    }
    words.extend(service.bgp.iter().map(|(peer, from)| format!("{peer}:{}", nodes(from))));
    words.join(" ")
}

/// What is wrong with a list of problems, which must each contain its words.
fn compare(kind: &str, found: &[Problem], expected: &[&[&str]]) -> Vec<String> {
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    let fits = |(line, words): (&String, &&[&str])| words.iter().all(|word| line.contains(word));
    if lines.len() == expected.len() && lines.iter().zip(expected).all(fits) {
        return Vec::new();
    }
    vec![format!("  {kind}: found {lines:#?}, expected {expected:#?}")]
}

#[test]
fn what_guides_have_works_or_is_told_what_to_write_instead() {
    let mut wrong = Vec::new();
    for guide in guides::GUIDES {
        let found = of(guide.text);
        let mut faults = compare("errors", &found.errors, guide.errors);
        faults.extend(compare("warnings", &found.warnings, guide.warnings));
        let services: Vec<_> = found.services.iter().map(words).collect();
        if services != guide.services {
            faults.push(format!("  Services: found {services:?}, expected {:?}", guide.services));
        }
        if !faults.is_empty() {
            wrong.push(format!("{}\n{}", guide.says, faults.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const WEB: &str = "
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: a, namespace: metallb-system}
spec: {addresses: [192.0.2.0/30, '2001:db8::/126']}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: a, namespace: metallb-system}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, ports: [{port: 80}]}
";

#[test]
fn what_objects_do_not_say_is_assumed_and_told() {
    let found = of(WEB);
    assert_eq!(
        found.assumptions,
        [Assumption::FamiliesAsAsked, Assumption::NoNodes, Assumption::EndpointsEverywhere]
    );
    assert_eq!(found.services.iter().map(words).collect::<Vec<_>>(), ["web 192.0.2.0 l2:"]);
    let usage = found.pools[0].usage;
    assert_eq!((usage.assigned_ipv4, usage.available_ipv4, usage.available_ipv6), (1, 3, 4));
}

#[test]
fn a_service_without_clusterips_is_of_the_families_that_it_asks_for() {
    let with =
        |spec: &str| of(&WEB.replace("{type: LoadBalancer,", &format!("{{type: LoadBalancer, {spec},")));
    let addresses =
        |spec: &str| with(spec).services[0].addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(addresses("loadBalancerIP: '2001:db8::2'"), ["2001:db8::2"]);
    assert_eq!(addresses("ipFamilyPolicy: RequireDualStack"), ["192.0.2.0", "2001:db8::"]);
    assert_eq!(addresses("clusterIPs: ['fd00::1']"), ["2001:db8::"]);
}

#[test]
fn a_service_that_gets_no_address_is_told_why() {
    let found =
        of(&WEB.replace("namespace: shop", "namespace: shop, annotations: {metallb.io/address-pool: none}"));
    assert_eq!(found.services.iter().map(words).collect::<Vec<_>>(), ["web"]);
    assert_eq!(found.errors.len(), 1, "{:?}", found.errors);
    assert!(found.errors[0].to_string().contains("no IPAddressPool none; make it, or correct annotation"));
}

#[test]
fn what_an_endpointslice_says_counts_where_there_is_one() {
    let slice = "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: other, namespace: shop}\n\
                 addressType: IPv4\n---\napiVersion: v1\nkind: Node\nmetadata: {name: n}\n\
                 status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}\n";
    let served = of(&format!("{WEB}{}", &slice[slice.find("---\napiVersion: v1").unwrap()..]));
    assert_eq!(words(&served.services[0]), "web 192.0.2.0 l2:n");
    let unserved = of(&format!("{WEB}{slice}"));
    assert_eq!(words(&unserved.services[0]), "web 192.0.2.0 l2:");
    assert!(!unserved.assumptions.contains(&Assumption::EndpointsEverywhere));
}

#[test]
fn a_pool_that_nobody_announces_is_told() {
    let found = of(&WEB.replace("kind: L2Advertisement", "kind: Community"));
    assert_eq!(found.warnings.iter().map(Problem::label).collect::<Vec<_>>(), ["pool_not_announced"]);
}
