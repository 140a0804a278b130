//! The rules by which Node objects drain their nodes.
//!
//! All nodes must have the same rules: draining decides which nodes lead a ring, and all must agree on that.
//! So the rules depend on the Node object alone, which all nodes see alike.

use std::fmt;
use std::str::FromStr;

use lb_api::objects::{Node, Object, Sourced};
use lb_api::problem::{Problem, Reason};

/// Annotation that always drains a node, with value [`VALUE`].
const ANNOTATION: &str = "fairlead.io/drain";
const VALUE: &str = "true";

/// The kubelet's message in the condition Ready from when it learns of a shutdown of the machine until it has
/// ended the last pod or the shutdown is cancelled. (`ShutdownStatus` in its `nodeshutdown`; contrary to the
/// manual it is in the message, not in the reason.)
const SHUTTING_DOWN: &str = "node is shutting down";

/// The rules that drain a node, besides annotation `fairlead.io/drain: "true"`, which always does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainRules {
    /// Draining annotations.
    pub annotations: Vec<AnnotationRule>,
    /// Draining taints.
    pub taints: Vec<TaintRule>,
    /// Draining conditions.
    pub conditions: Vec<ConditionRule>,
    /// Whether `spec.unschedulable`, as set by `kubectl cordon`, drains. It need not mean that the machine is
    /// to be shut down.
    pub cordon: bool,
    /// Whether a shutdown of the machine drains, which the kubelet reports if it has a `shutdownGracePeriod`.
    pub shutdown: bool,
}

/// An annotation, with a given value or any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnotationRule {
    key: String,
    value: Option<String>,
}

/// A taint, with a given value or effect or any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaintRule {
    mark: AnnotationRule,
    effect: Option<String>,
}

/// A condition with a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionRule {
    kind: String,
    status: String,
}

/// An error in a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The key is missing.
    #[error("{0:?} has no key; write KEY, KEY=VALUE, or for a taint KEY:EFFECT or KEY=VALUE:EFFECT")]
    NoKey(String),
    /// A condition without a type.
    #[error("{0:?} names no condition; write TYPE or TYPE=STATUS")]
    NoCondition(String),
    /// The status does not exist.
    #[error("a condition has no status {0:?}; write True, False or Unknown")]
    UnknownStatus(String),
    /// The effect does not exist.
    #[error("a taint has no effect {0:?}; write NoSchedule, PreferNoSchedule or NoExecute")]
    UnknownEffect(String),
}

/// Why a node drains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrainCause {
    /// An annotation, by its key.
    Annotation(String),
    /// A taint, by its key.
    Taint(String),
    /// A condition, by its type.
    Condition(String),
    /// It is cordoned.
    Cordon,
    /// It is shutting down.
    Shutdown,
}

impl fmt::Display for DrainCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Annotation(key) => write!(f, "annotation {key}"),
            Self::Taint(key) => write!(f, "taint {key}"),
            Self::Condition(kind) => write!(f, "condition {kind}"),
            Self::Cordon => f.write_str("cordoned"),
            Self::Shutdown => f.write_str("shutting down"),
        }
    }
}

impl FromStr for AnnotationRule {
    type Err = RuleError;

    /// Parses `KEY` or `KEY=VALUE`.
    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (text, None),
        };
        if key.is_empty() {
            return Err(RuleError::NoKey(text.to_owned()));
        }
        Ok(Self { key: key.to_owned(), value })
    }
}

impl FromStr for TaintRule {
    type Err = RuleError;

    /// Parses `KEY`, `KEY=VALUE`, `KEY:EFFECT` or `KEY=VALUE:EFFECT`.
    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (mark, effect) = match text.split_once(':') {
            Some((mark, effect)) => (mark, Some(effect)),
            None => (text, None),
        };
        if let Some(effect) =
            effect.filter(|it| !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(it))
        {
            return Err(RuleError::UnknownEffect(effect.to_owned()));
        }
        Ok(Self { mark: mark.parse()?, effect: effect.map(str::to_owned) })
    }
}

impl FromStr for ConditionRule {
    type Err = RuleError;

    /// Parses `TYPE` or `TYPE=STATUS`.
    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (kind, status) = text.split_once('=').unwrap_or((text, "True"));
        if kind.is_empty() {
            return Err(RuleError::NoCondition(text.to_owned()));
        }
        if !["True", "False", "Unknown"].contains(&status) {
            return Err(RuleError::UnknownStatus(status.to_owned()));
        }
        Ok(Self { kind: kind.to_owned(), status: status.to_owned() })
    }
}

impl AnnotationRule {
    fn holds(&self, key: &str, value: &str) -> bool {
        self.key == key && self.value.as_ref().is_none_or(|wanted| wanted == value)
    }
}

impl DrainRules {
    /// Returns why a node drains, if it does. Of several causes the most deliberate one is returned.
    pub(super) fn judge(
        &self,
        object: &Sourced<Object>,
        node: &Node,
        problems: &mut Vec<Problem>,
    ) -> Option<DrainCause> {
        let by_annotation = || {
            let mut annotations = node.metadata.annotations.iter();
            let (key, _) = annotations
                .find(|(key, value)| self.annotations.iter().any(|rule| rule.holds(key, value)))?;
            Some(DrainCause::Annotation(key.clone()))
        };
        let by_taint = || {
            let taint = node.spec.taints.iter().find(|taint| {
                let value = taint.value.as_deref().unwrap_or_default();
                let has_effect =
                    |rule: &TaintRule| rule.effect.as_ref().is_none_or(|effect| *effect == taint.effect);
                self.taints.iter().any(|rule| rule.mark.holds(&taint.key, value) && has_effect(rule))
            })?;
            Some(DrainCause::Taint(taint.key.clone()))
        };
        let by_condition = || {
            let condition = node.status.conditions.iter().find(|condition| {
                let holds =
                    |rule: &ConditionRule| rule.kind == condition.r#type && rule.status == condition.status;
                self.conditions.iter().any(holds)
            })?;
            Some(DrainCause::Condition(condition.r#type.clone()))
        };
        always(object, node, problems)
            .or_else(by_annotation)
            .or_else(by_taint)
            .or_else(by_condition)
            .or_else(|| (self.shutdown && is_shutting_down(node)).then_some(DrainCause::Shutdown))
            .or_else(|| (self.cordon && node.spec.unschedulable == Some(true)).then_some(DrainCause::Cordon))
    }
}

fn always(object: &Sourced<Object>, node: &Node, problems: &mut Vec<Problem>) -> Option<DrainCause> {
    match node.metadata.annotations.get(ANNOTATION)?.as_str() {
        VALUE => Some(DrainCause::Annotation(ANNOTATION.to_owned())),
        other => {
            let reason = Reason::UnknownValue { written: other.to_owned(), allowed: VALUE };
            problems.push(Problem::at(object, format!("metadata.annotations[{ANNOTATION}]"), reason));
            None
        }
    }
}

fn is_shutting_down(node: &Node) -> bool {
    node.status.conditions.iter().any(|condition| {
        let mut words = [&condition.message, &condition.reason].into_iter().flatten();
        condition.r#type == "Ready"
            && condition.status == "False"
            && words.any(|words| words.contains(SHUTTING_DOWN))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(words: &str) -> DrainRules {
        let mut rules = DrainRules::default();
        for word in words.split_whitespace() {
            match word.split_once('~').unwrap_or((word, "")) {
                ("annotation", mark) => rules.annotations.push(mark.parse().unwrap()),
                ("taint", rule) => rules.taints.push(rule.parse().unwrap()),
                ("condition", rule) => rules.conditions.push(rule.parse().unwrap()),
                ("cordon", _) => rules.cordon = true,
                ("shutdown", _) => rules.shutdown = true,
                _ => panic!("{word}"),
            }
        }
        rules
    }

    fn cause(rules: &DrainRules, node: &str) -> String {
        let text = format!("apiVersion: v1\nkind: Node\nmetadata: {{name: a}}\n{node}\n")
            .replace("metadata: {name: a}\nmetadata: {", "metadata: {name: a, ");
        let (objects, problems) = lb_api::objects::parse("test", &text);
        assert!(problems.is_empty(), "{text}: {problems:?}");
        let Object::Node(written) = &objects[0].value else { panic!("{text}") };
        let mut problems = Vec::new();
        let cause = rules.judge(&objects[0], written, &mut problems);
        let problems = problems.iter().map(|problem| format!("! {}", problem.label()));
        cause.iter().map(ToString::to_string).chain(problems).collect::<Vec<_>>().join(" ")
    }

    /// Description, rules, Node object, and cause.
    const CASES: [(&str, &str, &str, &str); 26] = [
        ("nothing", "", "spec: {}", ""),
        ("ours", "", "metadata: {annotations: {fairlead.io/drain: 'true'}}", "annotation fairlead.io/drain"),
        ("ours, wrong", "", "metadata: {annotations: {fairlead.io/drain: 'yes'}}", "! unknown_value"),
        (
            "ours, wrong, does not hide another",
            "annotation~b",
            "metadata: {annotations: {fairlead.io/drain: 'yes', b: c}}",
            "annotation b ! unknown_value",
        ),
        ("any value", "annotation~b", "metadata: {annotations: {b: ''}}", "annotation b"),
        ("a value", "annotation~b=c", "metadata: {annotations: {b: c}}", "annotation b"),
        ("another value", "annotation~b=c", "metadata: {annotations: {b: d}}", ""),
        ("no rule for it", "annotation~b", "metadata: {annotations: {c: d}}", ""),
        ("a taint", "taint~b", "spec: {taints: [{key: b, effect: NoSchedule}]}", "taint b"),
        ("its value", "taint~b=c", "spec: {taints: [{key: b, value: c, effect: NoExecute}]}", "taint b"),
        ("another value", "taint~b=c", "spec: {taints: [{key: b, value: d, effect: NoExecute}]}", ""),
        ("an empty value", "taint~b=", "spec: {taints: [{key: b, effect: NoExecute}]}", "taint b"),
        ("its effect", "taint~b:NoExecute", "spec: {taints: [{key: b, effect: NoExecute}]}", "taint b"),
        ("another effect", "taint~b:NoExecute", "spec: {taints: [{key: b, effect: NoSchedule}]}", ""),
        (
            "one of two",
            "taint~b=c:NoExecute taint~d",
            "spec: {taints: [{key: b, value: c, effect: NoSchedule}, {key: d, effect: NoSchedule}]}",
            "taint d",
        ),
        ("a condition", "condition~b", "status: {conditions: [{type: b, status: 'True'}]}", "condition b"),
        ("not its status", "condition~b", "status: {conditions: [{type: b, status: 'False'}]}", ""),
        (
            "a condition with a status",
            "condition~Ready=Unknown",
            "status: {conditions: [{type: Ready, status: Unknown}]}",
            "condition Ready",
        ),
        ("no rule for the condition", "condition~b", "status: {conditions: [{type: c, status: 'True'}]}", ""),
        ("cordoned is not drained", "", "spec: {unschedulable: true}", ""),
        ("unless that is wanted", "cordon", "spec: {unschedulable: true}", "cordoned"),
        ("not cordoned", "cordon", "spec: {unschedulable: false}", ""),
        (
            "shutting down",
            "shutdown cordon",
            "spec: {unschedulable: true}\nstatus: {conditions: [{type: Ready, status: 'False', \
             reason: KubeletNotReady, message: '[runtime is down, node is shutting down]'}]}",
            "shutting down",
        ),
        (
            "without the rule",
            "",
            "status: {conditions: [{type: Ready, status: 'False', message: node is shutting down}]}",
            "",
        ),
        (
            "not ready for another reason",
            "shutdown",
            "status: {conditions: [{type: Ready, status: 'False', reason: KubeletNotReady, message: x}]}",
            "",
        ),
        (
            "removed, so it is unknown",
            "shutdown",
            "status: {conditions: [{type: Ready, status: Unknown, message: Kubelet stopped posting}]}",
            "",
        ),
    ];

    #[test]
    fn the_table_of_cases_holds() {
        for (says, words, node, expected) in CASES {
            assert_eq!(cause(&rules(words), node), expected, "{says}: {words} {node}");
        }
    }

    #[test]
    fn an_invalid_rule_is_rejected() {
        assert_eq!("".parse::<AnnotationRule>(), Err(RuleError::NoKey("".into())));
        assert_eq!("=b".parse::<AnnotationRule>(), Err(RuleError::NoKey("=b".into())));
        assert_eq!(":NoExecute".parse::<TaintRule>(), Err(RuleError::NoKey("".into())));
        assert_eq!("=True".parse::<ConditionRule>(), Err(RuleError::NoCondition("=True".into())));
        assert_eq!("a=true".parse::<ConditionRule>(), Err(RuleError::UnknownStatus("true".into())));
        assert_eq!("a:Never".parse::<TaintRule>(), Err(RuleError::UnknownEffect("Never".into())));
    }
}
