//! Object names and label values, from text with characters that they do not allow.

use lb_common::fnv::fnv1a;

/// Maximum length of a label value, and of a part of a name, in bytes.
const MAX_LENGTH: usize = 63;

/// Returns a text as a label value: unchanged if it is valid, else a similar value that is unique to it.
pub(super) fn label(text: &str) -> String {
    fit(text, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Returns a text as a part of an object's name, in the same way.
pub(super) fn part(text: &str) -> String {
    fit(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'))
}

fn fit(text: &str, is_allowed: impl Fn(char) -> bool) -> String {
    let is_end = |c: char| c.is_ascii_alphanumeric();
    let has_ends = text.is_empty() || (text.starts_with(is_end) && text.ends_with(is_end));
    if text.len() <= MAX_LENGTH && has_ends && text.chars().all(&is_allowed) {
        return text.to_owned();
    }
    let lower = text.to_ascii_lowercase();
    let similar: String =
        lower.chars().map(|c| if is_allowed(c) { c } else { '-' }).take(MAX_LENGTH - 17).collect();
    let similar = similar.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let separator = if similar.is_empty() { "" } else { "-" };
    format!("{similar}{separator}{:016x}", fnv1a(text.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_text_is_unchanged_and_any_other_becomes_unique() {
        for text in ["", "node-1", "node.example.org", "10.0.0.1", &"n".repeat(63)] {
            assert_eq!((label(text), part(text)), (text.to_owned(), text.to_owned()));
        }
        assert_eq!(label("Blue_1"), "Blue_1");
        let long =
            ["n".repeat(253), "n".repeat(252), format!("{}..", "n".repeat(45)), "vlan@7".into(), "-".into()];
        for text in &long {
            for fitted in [label(text), part(text)] {
                assert!(fitted.len() <= MAX_LENGTH, "{fitted}");
                assert_eq!(part(&fitted), fitted, "{text}");
            }
        }
        assert_ne!(part(&long[0]), part(&long[1]));
        assert_ne!(part("Blue"), part("blue"));
        assert!(part("vlan@7").starts_with("vlan-7-"), "{}", part("vlan@7"));
    }
}
