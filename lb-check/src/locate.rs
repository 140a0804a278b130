//! The search for the line of a field in YAML text.
//!
//! The YAML parser does not return the positions of values, so the search follows the indentation. In flow
//! style, `{a: {b: 1}}`, it ends at the line of the flow collection.

/// Returns the line of a field, such as `spec.addresses[1]`, in the document that begins at line `document`
/// (both from 1). If the field is not found, returns the line of its closest parent.
pub(crate) fn line(text: &str, document: usize, field: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let mut place = Place { line: document.saturating_sub(1), indent: None };
    for step in steps(field) {
        match place.next(&lines, &step) {
            Some(next) => place = next,
            None => break,
        }
    }
    place.line + 1
}

/// A step of a field's path.
#[derive(Debug, PartialEq)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

fn steps(field: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for part in field.split('.') {
        let (key, indices) = part.split_once('[').unwrap_or((part, ""));
        if !key.is_empty() {
            steps.push(Step::Key(key));
        }
        let indices = indices.split('[').filter_map(|index| index.strip_suffix(']')?.parse().ok());
        steps.extend(indices.map(Step::Index));
    }
    steps
}

/// A line, from 0, and the indentation of its key; `None` for the document as a whole.
#[derive(Clone, Copy)]
struct Place {
    line: usize,
    indent: Option<usize>,
}

impl Place {
    fn next(self, lines: &[&str], step: &Step<'_>) -> Option<Self> {
        match step {
            Step::Key(key) => self.key(lines, key),
            Step::Index(index) => self.item(lines, *index),
        }
    }

    fn key(self, lines: &[&str], key: &str) -> Option<Self> {
        // The first key of a list item is on the item's line.
        for (line, text) in lines.iter().enumerate().skip(self.line) {
            let at = indent(text);
            let content = text.get(at..).unwrap_or_default();
            let (at, content) = match content.strip_prefix("- ") {
                Some(rest) => (at + 2 + indent(rest), rest.trim_start()),
                None => (at, content),
            };
            if line > self.line && is_end(text, self.indent) {
                return None;
            }
            let is_key = content.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'));
            if is_key
                && self.indent.is_none_or(|parent| at > parent)
                && (line > self.line || self.indent != Some(at))
            {
                return Some(Self { line, indent: Some(at) });
            }
        }
        None
    }

    fn item(self, lines: &[&str], index: usize) -> Option<Self> {
        let mut dashes = lines.iter().enumerate().skip(self.line + 1).take_while(|(_, text)| {
            // A list may have the same indentation as its key.
            text.trim_start().starts_with("- ") && self.indent.is_none_or(|parent| indent(text) >= parent)
                || !is_end(text, self.indent)
        });
        let (first, at) = dashes
            .find(|(_, text)| text.trim_start().starts_with("- "))
            .map(|(line, text)| (line, indent(text)))?;
        let items = std::iter::once(first).chain(
            dashes
                .filter(|(_, text)| indent(text) == at && text.trim_start().starts_with("- "))
                .map(|(line, _)| line),
        );
        items.into_iter().nth(index).map(|line| Self { line, indent: Some(at) })
    }
}

fn indent(text: &str) -> usize {
    text.len() - text.trim_start_matches(' ').len()
}

/// Returns whether a line ends the block that is indented deeper than a key.
fn is_end(text: &str, parent: Option<usize>) -> bool {
    let content = text.trim();
    if content.is_empty() || content.starts_with('#') {
        return false;
    }
    text.starts_with("---") || parent.is_some_and(|parent| indent(text) <= parent)
}

#[cfg(test)]
mod tests {
    use super::line;

    const TEXT: &str = "\
kind: Other
spec: {x: 1}
---
# A pool.
kind: IPAddressPool
metadata:
  name: a
spec:
  addresses:
  - 10.0.0.1
  # In between.
  - 10.0.0.2
  serviceAllocation:
    namespaces: [x, x]
    serviceSelectors:
      - matchLabels:
          a: b
      - matchExpressions:
          - key: c
            values: []
";

    #[test]
    fn a_field_is_found_by_its_path() {
        for (field, expected) in [
            ("metadata.name", 7),
            ("spec", 8),
            ("spec.addresses", 9),
            ("spec.addresses[0]", 10),
            ("spec.addresses[1]", 12),
            ("spec.serviceAllocation.namespaces[1]", 14),
            ("spec.serviceAllocation.serviceSelectors[1]", 18),
            ("spec.serviceAllocation.serviceSelectors[1].matchExpressions[0].values", 20),
            ("spec.serviceAllocation.serviceSelectors[0].matchLabels", 16),
        ] {
            assert_eq!(line(TEXT, 3, field), expected, "{field}");
        }
    }

    #[test]
    fn a_field_that_is_not_found_has_the_line_of_its_parent() {
        assert_eq!(line(TEXT, 3, "spec.none"), 8);
        assert_eq!(line(TEXT, 3, "none.at.all"), 3);
        assert_eq!(line(TEXT, 3, "spec.addresses[7]"), 9);
        assert_eq!(line(TEXT, 1, "spec.x"), 2);
        assert_eq!(line("", 1, "spec.x"), 1);
        assert_eq!(line("kind: List\nitems:\n- spec: {a: 1}\n", 1, "items[0].spec.a"), 3);
    }
}
