use super::*;
use crate::packet::cases;

#[test]
fn every_goal_names_two_cases_that_are_measured() {
    let cases = cases::all();
    for goal in GOALS {
        for Id(name, size) in [goal.case, goal.beside] {
            let named = cases.iter().filter(|case| case.kind.name == name && case.size == size);
            assert_eq!(named.count(), 1, "{name} {size:?}");
        }
    }
}

#[test]
fn a_goal_is_met_by_minimum_and_median() {
    let line = |case, minimum, median| Line::new(case, CaseSize::MANY, [0, 0], [minimum, median]);
    let judge_l2 = |minimum, median| {
        let lines = [line("reference", 400, 800), line("l2", minimum, median)];
        let judgements = judge(&lines);
        assert_eq!(judgements.len(), 1);
        judgements[0].met
    };
    assert!(judge_l2(100, 200));
    assert!(!judge_l2(101, 200));
    assert!(!judge_l2(100, 201));
}
