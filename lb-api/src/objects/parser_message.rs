//! Parser messages, adapted for problems.

/// Maximum length of the quoted value.
const LONGEST: usize = 80;
/// Maximum length of a message.
const LONGEST_MESSAGE: usize = 300;
/// Separates the found value from the expected one.
const EXPECTED: &str = ", expected ";

/// Removes the path and the line, which the problem has itself (the parser counts lines from the start of the
/// document, which would mislead), and values that may be passwords; and shortens the rest.
pub(super) fn plain(message: &str, path: &str) -> String {
    let message = message.strip_prefix(path).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(message);
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    let Some((found, expected)) = message.rsplit_once(EXPECTED) else {
        return cut(message, LONGEST_MESSAGE);
    };
    let found = if may_be_secret(path) { without_value(found).to_owned() } else { cut(found, LONGEST) };
    let advice = if expected == "a string" { "; write the text in quotes" } else { "" };
    format!("{found}{EXPECTED}{}{advice}", cut(expected, LONGEST_MESSAGE))
}

/// Returns whether a field may contain a password, even in place of another value.
fn may_be_secret(path: &str) -> bool {
    path.to_lowercase().contains("password") || path.starts_with("data") || path.starts_with("stringData")
}

/// Returns `invalid type: string` of `invalid type: string "hush"`.
fn without_value(found: &str) -> &str {
    let value = found.find(['"', '`']).unwrap_or(found.len());
    found.get(..value).unwrap_or_default().trim_end()
}

fn cut(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit).and_then(|(at, _)| text.get(..at)) {
        Some(shown) => format!("{shown}… ({} bytes)", text.len()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn values_are_shortened() {
        let long = "x".repeat(1_000_000);
        let rows = [
            (
                "spec.a: invalid type: map, expected u16 at line 3 column 4",
                "spec.a",
                "invalid type: map, expected u16",
            ),
            ("missing field `name` at line 1 column 2", "metadata", "missing field `name`"),
            (
                "invalid type: boolean `true`, expected a string",
                "metadata.name",
                "invalid type: boolean `true`, expected a string; write the text in quotes",
            ),
        ];
        for (message, path, expected) in rows {
            assert_eq!(plain(message, path), expected);
        }
        let words = plain(&format!("invalid type: string \"{long}\", expected u16"), "spec.ports[0].port");
        assert!(words.len() < 150 && words.ends_with(" bytes), expected u16"), "{words}");
        assert!(plain(&long, "").len() < 400);
    }

    #[test]
    fn possible_passwords_are_never_shown() {
        for path in [
            "spec.password",
            "spec.passwordSecret",
            "spec.passwordSecret.name",
            "data.password",
            "stringData.x",
            "data",
        ] {
            for value in ["string \"hush\"", "integer `42`", "string \"a, expected hush\""] {
                let words = plain(&format!("invalid type: {value}, expected a thing"), path);
                assert!(!words.contains("hush") && !words.contains("42"), "{path}: {words}");
                assert!(words.ends_with(", expected a thing"), "{words}");
            }
        }
    }
}
