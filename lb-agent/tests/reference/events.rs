//! The page about Events and conditions.

use lb_kube::event_reason::{CONFIG_VALID, EventReason, INVALID, POOLS_VALID, VALID};

use crate::{code, head, table};

pub(crate) fn page() -> String {
    let mut text = head(
        "Events and conditions",
        "Reasons of Events, and conditions of ConfigurationState objects, as `kubectl describe` prints them.",
    );
    text += "\n## Events\n\n";
    let rows: Vec<Vec<String>> = EventReason::ALL
        .iter()
        .map(|reason| {
            let kind = if reason.is_warning() { "Warning" } else { "Normal" };
            let object = match reason.object() {
                "metallb.io" => "any kind of `metallb.io`".to_owned(),
                object => object.to_owned(),
            };
            vec![code(reason.as_str()), kind.to_owned(), object, reason.meaning().trim().to_owned()]
        })
        .collect();
    text += &table(&["reason", "type", "object", "meaning"], &rows);
    text += &format!(
        "\n## Conditions\n\nA condition is `True` with reason `{VALID}`, or `False` with reason `{INVALID}`; its message\n\
         lists the errors. `result` of the status is `Valid` if both are true.\n\n"
    );
    let rows = [CONFIG_VALID, POOLS_VALID].map(|it| vec![code(it.name), format!("{}.", it.meaning)]);
    text += &table(&["condition", "meaning if true"], &rows);
    text
}
