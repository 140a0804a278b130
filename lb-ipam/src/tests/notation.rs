//! A short notation, so that a case is a line.

use std::collections::BTreeMap;

use crate::{AllocationDecision, FamilyPolicy, IpFamily, Namespaces, Request};
use lb_api::objects;
use lb_api::problem::Severity;
use lb_model::{Model, Pools, ServiceName};

/// Parses pools, `NAME RANGES [manual] [buggy] [prio=N] [ns=NAME] [team=NAME] [svc=KEY:VALUE]`, or machines,
/// as [`machine`] reads them. `prio`, `ns`, `team` (namespaces by that label) and `svc` make a
/// `serviceAllocation`.
pub(super) fn pools(lines: &[&str]) -> Pools {
    let text: String = lines.iter().map(|line| machine(line).unwrap_or_else(|| pool(line))).collect();
    let (objects, problems) = objects::parse("pools", &text);
    assert!(problems.is_empty(), "{problems:?}");
    let (model, problems) = Model::build(&objects, None);
    assert!(problems.iter().all(|problem| problem.severity() == Severity::Notice), "{problems:?}");
    model.pools
}

/// `node NAME ADDRESS` or `peer NAME ADDRESS`: a machine whose address is reserved.
fn machine(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let object = match words[..] {
        ["node", name, address] => format!(
            "kind: Node\napiVersion: v1\nmetadata: {{name: {name}}}\nstatus: {{addresses: [{{type: InternalIP, address: \
             '{address}'}}]}}"
        ),
        ["peer", name, address] => format!(
            "kind: BGPPeer\napiVersion: metallb.io/v1beta2\nmetadata: {{name: {name}, namespace: lb}}\nspec: {{myASN: 1, \
             peerASN: 2, peerAddress: '{address}'}}"
        ),
        _ => return None,
    };
    Some(format!("---\n{object}\n"))
}

fn pool(line: &str) -> String {
    let mut words = line.split(' ');
    let (name, ranges) = (words.next().unwrap(), words.next().unwrap());
    let mut spec = format!("addresses: [{ranges}]");
    let mut allocation = Vec::new();
    for word in words {
        match word.split_once('=') {
            None if word == "manual" => spec += ", autoAssign: false",
            None if word == "buggy" => spec += ", avoidBuggyIPs: true",
            Some(("prio", n)) => allocation.push(format!("priority: {n}")),
            Some(("ns", name)) => allocation.push(format!("namespaces: [{name}]")),
            Some(("team", name)) => {
                allocation.push(format!("namespaceSelectors: [{{matchLabels: {{team: {name}}}}}]"));
            }
            Some(("svc", label)) => {
                let (key, value) = label.split_once(':').unwrap();
                allocation.push(format!("serviceSelectors: [{{matchLabels: {{{key}: {value}}}}}]"));
            }
            _ => panic!("{word}"),
        }
    }
    if !allocation.is_empty() {
        spec += &format!(", serviceAllocation: {{{}}}", allocation.join(", "));
    }
    format!(
        "---\napiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {{name: {name}, namespace: lb}}\n\
         spec: {{{spec}}}\n"
    )
}

/// Namespace `shop` belongs to team `red`, `farm` to none; `ghost` is unknown.
pub(super) fn namespaces() -> Namespaces {
    let red = BTreeMap::from([("team".to_owned(), "red".to_owned())]);
    Namespaces::from([("shop".to_owned(), red), ("farm".to_owned(), BTreeMap::new())])
}

/// Parses a request, `NAME FAMILIES [prefer|require] [ns=] [age=] [label=K:V] [hold=A,B] [last=A,B] [ask=A,B]
/// [pool=] [key=] [ports=80,U53]`. The default namespace is `farm`; ports are TCP unless they begin with U.
pub(super) fn request(line: &str) -> (ServiceName, Request) {
    let mut words = line.split(' ');
    let name = words.next().unwrap().to_owned();
    let mut namespace = "farm".to_owned();
    let mut request = Request { families: families(words.next().unwrap()), ..Request::default() };
    let addresses = |list: &str| list.split(',').map(|a| a.parse().unwrap()).collect();
    for word in words {
        match word.split_once('=') {
            None if word == "prefer" => request.policy = FamilyPolicy::Prefer,
            None if word == "require" => request.policy = FamilyPolicy::Require,
            Some(("ns", name)) => namespace = name.to_owned(),
            Some(("age", n)) => request.created = n.to_owned(),
            Some(("label", label)) => {
                let (key, value) = label.split_once(':').unwrap();
                request.labels.insert(key.to_owned(), value.to_owned());
            }
            Some(("hold", list)) => request.held = addresses(list),
            Some(("last", list)) => request.last = addresses(list),
            Some(("ask", list)) => request.addresses = addresses(list),
            Some(("pool", name)) => request.pool = Some(name.to_owned()),
            Some(("key", key)) => request.sharing.key = Some(key.to_owned()),
            Some(("ports", list)) => request.sharing.ports = list.split(',').map(port).collect(),
            _ => panic!("{word}"),
        }
    }
    (ServiceName { namespace, name }, request)
}

fn port(written: &str) -> (String, u16) {
    match written.strip_prefix('U') {
        Some(number) => ("UDP".to_owned(), number.parse().unwrap()),
        None => ("TCP".to_owned(), written.parse().unwrap()),
    }
}

fn families(written: &str) -> Vec<IpFamily> {
    match written {
        "none" => Vec::new(),
        "v4" => vec![IpFamily::V4],
        "v6" => vec![IpFamily::V6],
        "v4v6" => vec![IpFamily::V4, IpFamily::V6],
        "v6v4" => vec![IpFamily::V6, IpFamily::V4],
        _ => panic!("{written}"),
    }
}

/// Formats a decision, `NAME ADDRESSES of POOL [news] [cleared:WHY] [refused:WHY]`, with `-` for no address.
pub(super) fn outcome(name: &ServiceName, decision: &AllocationDecision) -> String {
    let mut words = vec![name.name.clone()];
    match &decision.assignment {
        Some(given) => {
            let addresses: Vec<_> = given.addresses.iter().map(ToString::to_string).collect();
            words.extend([addresses.join(","), "of".into(), given.pool.name.clone()]);
        }
        None => words.push("-".into()),
    }
    words.extend(decision.is_new.then(|| "news".to_owned()));
    let variant = |error| format!("{error:?}").split([' ', '{', '(']).next().unwrap_or_default().to_owned();
    words.extend(decision.cleared.as_ref().map(|error| format!("cleared:{}", variant(error))));
    words.extend(decision.refused.as_ref().map(|error| format!("refused:{}", variant(error))));
    words.join(" ")
}
