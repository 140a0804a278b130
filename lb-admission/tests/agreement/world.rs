//! A cluster, and the assertions about it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use lb_api::objects::{Object, Sourced, from_json, parse};
use lb_api::problem::{ObjectRef, Problem};
use lb_model::{IncrementalModel, Model};
use serde_json::Value;

use crate::generate::HUSH;
use crate::random::Random;
use crate::reviewers::{self, Agent};

/// The initial objects.
const BASE: &str = r#"
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {rack: a, team: a}}, status: {addresses: [{type: InternalIP, address: 10.8.0.1}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2, labels: {rack: b}}, status: {addresses: [{type: InternalIP, address: 10.8.0.2}]}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}
---
{apiVersion: v1, kind: Secret, metadata: {name: key, namespace: lb}, type: kubernetes.io/basic-auth, stringData: {password: "Hush, hush!"}}
"#;

/// Maximum length of a printed problem in bytes.
const LONGEST_PROBLEM: usize = 1200;

/// How often each case occurred; a run in which one never does proves nothing.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    unread: u64,
    admitted: u64,
    refused: u64,
    warned: u64,
    addresses: u64,
    damaged: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unread, admitted, refused, warned, addresses, damaged } = self;
        write!(
            f,
            "{unread} not readable, {admitted} admitted ({warned} with a warning), {refused} refused, {addresses} times a \
             Service with addresses, {damaged} damaged texts"
        )
    }
}

impl Counts {
    pub(crate) fn assert_all(&self) {
        let Self { unread, admitted, refused, warned, addresses, damaged } = self;
        for count in [unread, admitted, refused, warned, addresses, damaged] {
            assert!(*count > 0, "{self}");
        }
    }
}

/// Objects that all reviewers accept, and an agent that follows all changes.
#[derive(Default)]
pub(crate) struct World {
    objects: BTreeMap<ObjectRef, Arc<Sourced<Object>>>,
    /// The same as written.
    written: BTreeMap<ObjectRef, Value>,
    agent: Agent,
    pub(crate) counts: Counts,
}

impl World {
    /// Starts anew.
    pub(crate) fn finish(&mut self) {
        let (base, problems) = parse("base", BASE);
        assert_eq!(problems, []);
        let base = base.into_iter().map(|object| (object.value.reference(), Arc::new(object)));
        *self = Self { objects: base.collect(), counts: std::mem::take(&mut self.counts), ..Self::default() };
    }

    /// Returns all generated objects as text.
    pub(crate) fn text(&self) -> String {
        let texts: Vec<_> = self.written.values().map(ToString::to_string).collect();
        texts.join("\n---\n")
    }

    /// Reviews an object by all reviewers, and keeps it if it is valid.
    pub(crate) fn take(&mut self, written: &Value) {
        let (object, problems) = read(written);
        problems.iter().for_each(assert_is_fit);
        let Some(object) = object else {
            assert!(!problems.is_empty(), "neither an object nor a problem");
            self.counts.unread += 1;
            return;
        };
        let name = object.value.reference();
        let existing: Vec<_> = self.objects.values().cloned().collect();
        let mut after = self.objects.clone();
        after.insert(name.clone(), Arc::new(object));
        let all: Vec<_> = after.values().cloned().collect();
        let verdict = reviewers::webhook(&existing, &after[&name], &problems);
        verdict.iter().for_each(|(_, problem)| assert_is_fit(problem));
        let is_admitted = verdict.iter().all(|(is_refusal, _)| !is_refusal);
        let given = reviewers::check(&all, is_admitted, &name);
        self.agent.follow(&all);
        self.counts.addresses += given;
        if is_admitted {
            self.counts.admitted += 1;
            self.counts.warned += u64::from(!verdict.is_empty());
            self.objects = after;
            self.written.insert(name, written.clone());
        } else {
            self.counts.refused += 1;
            // The agent has seen it; it returns to the existing objects.
            self.agent.follow(&existing);
        }
    }

    /// Changes the text of the objects at random: whatever results, nothing panics.
    pub(crate) fn damage(&mut self, random: &mut Random) {
        let mut text: Vec<char> = self.text().chars().collect();
        for _ in 0..=random.below(4) {
            let at = random.below(text.len().max(1)).min(text.len());
            let end = (at + random.below(20)).min(text.len());
            let words = [
                "*a",
                "&a [x]",
                "\n---\n",
                "<<: ",
                "0",
                "-1",
                "~",
                "\u{feff}",
                "\u{0}",
                "!!binary x",
                "? ",
                "yes",
                "'",
                "{",
                "]",
            ];
            match random.below(3) {
                0 => drop(text.splice(at..at, random.of(&words).chars())),
                1 => drop(text.drain(at..end)),
                _ => drop(text.splice(at..end, random.of(&words).chars())),
            }
        }
        let text: String = text.into_iter().collect();
        let (objects, mut problems) = parse("damaged", &text);
        let (model, more) = Model::build(&objects, None);
        problems.extend(more);
        problems.extend(lb_admission::preview::preview(&objects, Vec::new(), None).problems);
        problems.iter().for_each(assert_is_fit);
        let objects: Vec<_> = objects.into_iter().map(Arc::new).collect();
        let _ = IncrementalModel::new(&model).update(&objects, None);
        self.counts.damaged += 1;
    }
}

/// Reads an object as an API server has it; written to a file, it is equal and has the same problems.
fn read(written: &Value) -> (Option<Sourced<Object>>, Vec<Problem>) {
    let (mut objects, problems) = from_json(written.clone());
    let (in_file, problems_in_file) = parse("file", &written.to_string());
    let values = |objects: &[Sourced<Object>]| objects.iter().map(|it| it.value.clone()).collect::<Vec<_>>();
    assert_eq!(values(&objects), values(&in_file));
    let plain = |problems: &[Problem]| {
        let plain = problems.iter().map(|problem| Problem { source: None, line: None, ..problem.clone() });
        plain.collect::<Vec<_>>()
    };
    assert_eq!(plain(&problems), plain(&problems_in_file));
    assert!(objects.len() <= 1);
    (objects.pop(), problems)
}

/// A problem is one short, readable line without passwords.
fn assert_is_fit(problem: &Problem) {
    let words = problem.to_string();
    assert!(words.len() <= LONGEST_PROBLEM, "{} bytes: {words}", words.len());
    assert!(!words.contains(['\n', '\r']), "{words:?}");
    // Rust's debug format; a lone brace is user input.
    assert!(!words.contains("Some(") && !words.contains(" { match_labels: "), "{words}");
    let is_of_password = problem.field.as_deref().is_some_and(|field| field.contains("password"));
    assert!(!is_of_password || !problem.reason.to_string().contains(HUSH), "{words}");
}
