//! The page about verdicts, which `fairlead status` counts.

use lb_common::verdict::{COUNTERS, Fate, MEANINGS, Refusal};

use crate::{code, head, table};

pub(crate) fn page() -> String {
    let is_refusal = |number: u32| Refusal::ALL.iter().any(|refusal| *refusal as u32 == number);
    let rows = |refusals: bool| -> Vec<Vec<String>> {
        let counters =
            COUNTERS.iter().zip(MEANINGS).filter(|((number, ..), _)| is_refusal(*number) == refusals);
        counters
            .map(|((number, name, fate), meaning)| row(*number, name, refusals.then_some(*fate), meaning))
            .collect()
    };
    let mut text = head(
        "Verdicts",
        "Each packet gets one verdict, which is counted by its number in the map `lb_verdicts` and by its name in\n\
         `fairlead status`.",
    );
    text += "\n## Forwarded, answered and passed\n\n";
    text += &table(&["number", "name", "meaning"], &rows(false));
    text +=
        "\n## Refused\n\nA refused packet goes to this node's stack unmodified (passed) or is dropped.\n\n";
    text += &table(&["number", "name", "fate", "meaning"], &rows(true));
    text
}

fn row(number: u32, name: &str, fate: Option<Fate>, meaning: &str) -> Vec<String> {
    let fate = fate.map(|fate| match fate {
        Fate::Pass => "passed".to_owned(),
        Fate::Drop => "dropped".to_owned(),
    });
    [Some(number.to_string()), Some(code(name)), fate, Some(meaning.trim().to_owned())]
        .into_iter()
        .flatten()
        .collect()
}
