//! Quotations in problems: on one line and shortened.

use std::fmt;

/// Maximum length of a text.
const LONGEST: usize = 80;
/// Maximum length of a name, which no name in Kubernetes exceeds.
const LONGEST_NAME: usize = 253;

/// A quoted text. A shortened one ends with its full length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Excerpt<'a> {
    text: &'a str,
    limit: usize,
    is_quoted: bool,
}

/// Quotes a text in quotation marks.
pub(crate) fn quoted(text: &str) -> Excerpt<'_> {
    Excerpt { text, limit: LONGEST, is_quoted: true }
}

/// Quotes a number or a duration without marks.
pub(crate) fn bare(text: &str) -> Excerpt<'_> {
    Excerpt { text, limit: LONGEST, is_quoted: false }
}

/// Quotes a name without marks.
pub(crate) fn named(text: &str) -> Excerpt<'_> {
    Excerpt { text, limit: LONGEST_NAME, is_quoted: false }
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.is_quoted { "\"" } else { "" };
        let cut = self.text.char_indices().nth(self.limit).map(|(at, _)| at);
        let shown = cut.and_then(|at| self.text.get(..at)).unwrap_or(self.text);
        f.write_str(mark)?;
        for character in shown.chars() {
            match character {
                // Characters that would move the cursor, or end the quotation.
                '"' if self.is_quoted => f.write_str("\\\"")?,
                it if it.is_control() => write!(f, "{}", it.escape_default())?,
                it => write!(f, "{it}")?,
            }
        }
        if cut.is_some() { write!(f, "…{mark} ({} bytes)", self.text.len()) } else { f.write_str(mark) }
    }
}

#[cfg(test)]
mod tests {
    use super::{bare, quoted};

    #[test]
    fn it_is_one_line_and_short() {
        assert_eq!(quoted("a\"b\nc\u{1b}é").to_string(), "\"a\\\"b\\nc\\u{1b}é\"");
        assert_eq!(bare("10.0.0.1").to_string(), "10.0.0.1");
        let long = bare(&"é".repeat(1_000_000)).to_string();
        assert_eq!(long, format!("{}… (2000000 bytes)", "é".repeat(80)));
    }
}
