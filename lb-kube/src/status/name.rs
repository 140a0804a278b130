//! Object names and label values, from text with characters that they do not allow.

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
    format!("{similar}{separator}{:016x}", digest(text))
}

/// Computes the FNV-1a hash, which is stable across machines and versions, as names must be.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
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
        assert_eq!(digest("a"), 0xaf63_dc4c_8601_ec8c, "a test vector of the algorithm's authors");
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
