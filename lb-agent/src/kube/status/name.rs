//! Names and labels of objects, from names that may hold more than those may.

use lb_common::fnv::fnv1a;

/// A label's value, and a part of a name, have no more octets.
const LONGEST: usize = 63;

/// A text as the value of a label: itself where that is allowed, else something like it that is of it alone.
pub(super) fn label(text: &str) -> String {
    fit(text, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// A text as a part of an object's name, in the same way.
pub(super) fn part(text: &str) -> String {
    fit(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'))
}

fn fit(text: &str, is_allowed: impl Fn(char) -> bool) -> String {
    let is_end = |c: char| c.is_ascii_alphanumeric();
    let has_ends = text.is_empty() || (text.starts_with(is_end) && text.ends_with(is_end));
    if text.len() <= LONGEST && has_ends && text.chars().all(&is_allowed) {
        return text.to_owned();
    }
    let lower = text.to_ascii_lowercase();
    let like: String =
        lower.chars().map(|c| if is_allowed(c) { c } else { '-' }).take(LONGEST - 17).collect();
    let like = like.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let joint = if like.is_empty() { "" } else { "-" };
    format!("{like}{joint}{:016x}", fnv1a(text.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_stays_and_all_else_becomes_something_of_its_own() {
        for text in ["", "node-1", "node.example.org", "10.0.0.1", &"n".repeat(63)] {
            assert_eq!((label(text), part(text)), (text.to_owned(), text.to_owned()));
        }
        assert_eq!(label("Blue_1"), "Blue_1");
        let long =
            ["n".repeat(253), "n".repeat(252), format!("{}..", "n".repeat(45)), "vlan@7".into(), "-".into()];
        for text in &long {
            for fitted in [label(text), part(text)] {
                assert!(fitted.len() <= LONGEST, "{fitted}");
                assert_eq!(part(&fitted), fitted, "{text}");
            }
        }
        assert_ne!(part(&long[0]), part(&long[1]));
        assert_ne!(part("Blue"), part("blue"));
        assert!(part("vlan@7").starts_with("vlan-7-"), "{}", part("vlan@7"));
    }
}
