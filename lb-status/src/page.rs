//! The status page: one document without external parts, which reads `status.json` beside it.
//!
//! Its policy allows exactly its own style and its own script, by their hashes: nothing that a name or a
//! message contains can run.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

const FRAME: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

static HTML: LazyLock<String> =
    LazyLock::new(|| FRAME.replace("/* style */", STYLE).replace("/* script */", SCRIPT));

static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
});

/// Returns the document.
pub fn html() -> &'static str {
    &HTML
}

/// Returns its `Content-Security-Policy`.
pub fn policy() -> &'static str {
    &POLICY
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_has_the_hashes_of_the_only_style_and_the_only_script() {
        for (tag, directive) in [("style", "style-src"), ("script", "script-src")] {
            let parts: Vec<_> = html().split(&format!("<{tag}>")).collect();
            let [_, after] = parts[..] else { panic!("{} of {tag}", parts.len()) };
            let text = after.split(&format!("</{tag}>")).next().unwrap();
            assert!(policy().contains(&format!("{directive} '{}'", hash(text))), "{}", policy());
        }
        assert!(!policy().contains("inline") && !policy().contains("eval"));
    }

    #[test]
    fn the_document_loads_nothing_from_elsewhere_and_has_no_inline_handlers() {
        for part in ["http://", "https://", "//", " onclick", " onload", " style=", "@import", "innerHTML"] {
            assert!(!html().contains(part), "{part}");
        }
    }
}
