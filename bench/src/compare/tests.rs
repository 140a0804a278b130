use super::compare;
use crate::results::{
    Bound, FORMAT, FigureUnit, Goal, GoalSubject, Machine, ResultTable, Results, RoundRatio,
};

fn labels(label: &str) -> Vec<String> {
    vec![label.to_owned()]
}

/// Two rounds of two rows, with a ratio and a goal.
fn table(id: &str, ours: [f64; 2], theirs: [f64; 2]) -> ResultTable {
    let mut table = ResultTable { id: id.to_owned(), labels: labels("contender"), ..ResultTable::default() };
    for (ours, theirs) in ours.into_iter().zip(theirs) {
        table.row_mut(&["ours"]).push("time", FigureUnit::Seconds, ours);
        table.row_mut(&["theirs"]).push("time", FigureUnit::Seconds, theirs);
    }
    let (of, to) = (labels("ours"), labels("theirs"));
    table.ratios = vec![RoundRatio { name: "speed".to_owned(), figure: "time".to_owned(), of, to }];
    let subject = GoalSubject::Figure { row: labels("ours"), figure: "time".to_owned() };
    table.goals = vec![Goal { name: "quick".to_owned(), subject, bound: Bound::AtMost(1.0) }];
    table
}

fn results(tables: Vec<ResultTable>) -> Results {
    let machine = Machine {
        processor: "a processor".to_owned(),
        processors: 2,
        memory: 4000,
        kernel: "6.12".to_owned(),
        commit: "c".to_owned(),
        is_modified: false,
        load: [0.0; 2],
    };
    Results { format: FORMAT, machine, is_quick: false, started: String::new(), seconds: 1.0, tables }
}

#[test]
fn runs_agree_whose_spreads_overlap() {
    let a = results(vec![table("t", [1.0, 2.0], [1.0, 1.0])]);
    let b = results(vec![table("t", [2.0, 4.0], [1.0, 1.0])]);
    let comparison = compare(&a, &b);
    assert!(comparison.is_agreement());
    assert_eq!(comparison.agreements.len(), 2);
    assert_eq!(comparison.only, []);
}

#[test]
fn a_ratio_and_a_goal_apart_are_disagreements_and_stand_first() {
    let a = results(vec![table("near", [1.0, 2.0], [1.0, 1.0]), table("t", [1.0, 2.0], [1.0, 1.0])]);
    let b = results(vec![table("near", [1.0, 2.0], [1.0, 1.0]), table("t", [3.0, 4.0], [1.0, 1.0])]);
    let comparison = compare(&a, &b);
    assert!(!comparison.is_agreement());
    let names: Vec<&str> = comparison.disagreements.iter().map(|figure| figure.name.as_str()).collect();
    assert_eq!(names, ["speed (time: ours ÷ theirs)", "quick"]);
    let text = comparison.text();
    let place = |word| text.find(word).unwrap();
    assert!(place("Disagreements: 2") < place("quick") && place("quick") < place("Agreements: 2"), "{text}");
    assert!(text.contains("at most 1 s"), "{text}");
}

#[test]
fn equal_times_with_another_ratio_disagree() {
    // A machine twice as fast gives the same ratios: those are compared, not the times alone.
    let mut a = table("t", [1.0, 1.0], [2.0, 2.0]);
    let mut b = table("t", [0.5, 0.5], [1.0, 1.0]);
    a.goals.clear();
    b.goals.clear();
    assert!(compare(&results(vec![a.clone()]), &results(vec![b])).is_agreement());
    let mut c = table("t", [1.0, 1.0], [1.0, 1.0]);
    c.goals.clear();
    assert!(!compare(&results(vec![a]), &results(vec![c])).is_agreement());
}

#[test]
fn what_only_one_run_has_is_named() {
    let mut ours = table("t", [1.0, 2.0], [1.0, 1.0]);
    ours.row_mut(&["third"]).push("time", FigureUnit::Seconds, 1.0);
    ours.row_mut(&["ours"]).push("memory", FigureUnit::Bytes, 1.0);
    let mut theirs = table("t", [1.0, 2.0], [1.0, 1.0]);
    theirs.goals[0].name = "other".to_owned();
    let a = results(vec![ours, table("a", [1.0; 2], [1.0; 2])]);
    let b = results(vec![theirs, table("b", [1.0; 2], [1.0; 2])]);
    let only = compare(&a, &b).only;
    let named = |run, what: &str| only.contains(&(run, what.to_owned()));
    assert!(named("A", "t: third") && named("A", "t: ours: memory"), "{only:?}");
    assert!(named("A", "t: quick") && named("B", "t: other"), "{only:?}");
    assert!(named("A", "table a") && named("B", "table b"), "{only:?}");
    assert_eq!(only.len(), 6);
}
