//! Rules of admission, accepted and refused, beside objects that are there. What is wrong with one object of the
//! kinds of BGP by itself is in the table of `model::bgp`.

mod cases;

use lb_api::objects::{Object, Sourced, parse};
use lb_api::problem::{ObjectRef, Problem};

use super::{Change, Verdict, judge};

const NAMESPACE: &str = "lb";

/// An object of `KIND NAME SPEC`, as `IPAddressPool a addresses: [10.0.0.0/24]`. A name may be `NAMESPACE/NAME`, and
/// labels may follow it as `@key=value`; `year` is when it was made.
fn object(line: &str, year: u32) -> Sourced<Object> {
    let mut words = line.splitn(3, ' ');
    let (kind, called) = (words.next().unwrap(), words.next().unwrap());
    let spec = words.next().unwrap_or_default();
    let (called, label) = called.split_once('@').unwrap_or((called, ""));
    let (namespace, name) = called.split_once('/').unwrap_or((NAMESPACE, called));
    let label = label.replace('=', ": ");
    let (version, body) = match kind {
        "BGPPeer" => ("metallb.io/v1beta2", format!("spec: {{{spec}}}")),
        "Node" => ("v1", format!("status: {{addresses: [{{type: InternalIP, address: {spec}}}]}}")),
        "Secret" => ("v1", spec.to_owned()),
        _ => ("metallb.io/v1beta1", format!("spec: {{{spec}}}")),
    };
    let text = format!(
        "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{{label}}}, \
         creationTimestamp: '{year}-01-01T00:00:00Z'}}\n{body}\n"
    );
    let (mut objects, problems) = parse("", &text);
    assert_eq!(problems, [], "{text}");
    objects.remove(0)
}

fn reference(line: &str) -> ObjectRef {
    let mut words = line.split([' ', '@']);
    let (kind, called) = (words.next().unwrap().to_owned(), words.next().unwrap());
    let (namespace, name) = called.split_once('/').unwrap_or((NAMESPACE, called));
    ObjectRef { kind, namespace: Some(namespace.to_owned()), name: name.to_owned() }
}

/// What comes of a change, which is `+ OBJECT` or `- OBJECT`.
fn verdict(there: &[&str], change: &str) -> Verdict {
    let there: Vec<_> = there.iter().map(|line| object(line, 2025)).collect();
    match change.split_at(2) {
        ("+ ", line) => judge(&there, Change::Write(&object(line, 2026)), NAMESPACE),
        ("- ", line) => judge(&there, Change::Delete(&reference(line)), NAMESPACE),
        _ => panic!("{change}"),
    }
}

/// A verdict in words: `ok`, or what is refused, and in brackets what is only told. An object is named where it is
/// not the changed one.
fn words(verdict: &Verdict, changed: &ObjectRef) -> String {
    let word = |problem: &Problem| {
        let other = problem.object.as_ref().filter(|object| *object != changed);
        let other = other.map(|object| format!("{} ", object.name)).unwrap_or_default();
        let field = problem.field.as_deref().map(|field| format!("{field}: ")).unwrap_or_default();
        format!("{other}{field}{}", problem.label())
    };
    let mut words: Vec<_> = verdict.refused.iter().map(word).collect();
    if words.is_empty() {
        words.push("ok".to_owned());
    }
    words.extend(verdict.warnings.iter().map(|problem| format!("({})", word(problem))));
    words.join(", ")
}

#[test]
fn every_rule_admits_and_refuses() {
    let wrong = |(there, change, expected): &cases::Case| {
        let found = words(&verdict(there, change), &reference(&change[2..]));
        (found != *expected)
            .then(|| format!("{there:#?} {change}\n  expected {expected}\n  found    {found}"))
    };
    let wrong: Vec<_> = cases::CASES.iter().filter_map(wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases::CASES.len() >= 80, "{}", cases::CASES.len());
}

#[test]
fn a_refusal_says_what_to_write_instead() {
    for (there, change, advice) in [
        (
            &["IPAddressPool a addresses: [10.0.0.0/24]"][..],
            "+ IPAddressPool b addresses: [10.0.0.9-10.0.0.20]",
            "IPAddressPool lb/b: spec.addresses[0]: 10.0.0.9-10.0.0.20 is already in pool lb/a",
        ),
        (&[], "+ IPAddressPool a addresses: [10.0.0.1]", "write 192.0.2.0/24"),
        (&[], "+ IPAddressPool other/a addresses: [10.0.0.0/24]", "namespace lb only; make it there"),
        (
            &["BFDProfile fast", "BGPPeer p myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, bfdProfile: fast"],
            "- BFDProfile fast",
            "BGPPeer lb/p uses it; take it out of there first",
        ),
        (
            &[],
            "+ L2Advertisement a nodeSelectors: [{matchExpressions: [{key: a, operator: In}]}]",
            "In needs values; write at least one, or Exists",
        ),
        (
            &[],
            "+ BGPPeer p myASN: 1, peerASN: 2, peerAddress: 10.0.0.1, gracefulRestart: {enabled: true}",
            "write enableGracefulRestart: true",
        ),
    ] {
        let refused = verdict(there, change).refused;
        assert_eq!(refused.len(), 1, "{change}: {refused:?}");
        let refused = refused[0].to_string();
        assert!(refused.contains(advice), "{refused}");
    }
}

#[test]
fn what_was_wrong_before_is_not_blamed_on_a_change_of_something_else() {
    let there = ["IPAddressPool a addresses: [10.0.0.0/24]", "IPAddressPool b addresses: [10.0.0.0/25]"];
    assert_eq!(verdict(&there, "+ IPAddressPool c addresses: [10.1.0.0/24]"), Verdict::default());
    assert_eq!(verdict(&there, "+ L2Advertisement c").refused, []);
}
