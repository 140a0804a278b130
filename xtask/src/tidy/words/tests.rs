use super::super::project::Project;
use super::super::tree::Tree;
use super::banned::matches;
use super::{banned_words, repeated_types, wide_comments};

#[test]
fn banned_words_are_found_in_names_comments_strings_and_pages() {
    let text = "//! What became\n//! of it\nfn is_told() -> &'static str {\n    \"a\n     neighbour\"\n}\n// they inherit\n";
    let tree = Tree::of(&[
        ("a.rs", text),
        ("told/b.md", "# Title\n\nThe leader shall answer.\n"),
        ("LICENSE-X", "shall"),
    ]);
    let found = banned_words(&Project::of(&tree));
    let short: Vec<&str> = found.iter().filter_map(|line| line.split(": say").next()).collect();
    assert_eq!(
        short,
        [
            "a.rs:3: \"told\"",
            "a.rs:5: \"neighbour\"",
            "told/b.md:3: \"shall\"",
            "told/b.md: name of the file: \"told\""
        ]
    );
}

#[test]
fn names_are_read_word_by_word() {
    let count = |text| matches(text, "a.rs").len();
    assert_eq!(
        ["OrphanHeir", "orphan_slot", "Teller", "their", "lesson", "IPneighbours"].map(count),
        [2, 1, 1, 0, 0, 0]
    );
    assert_eq!(["what became of it", "it became clear", "SHALL", "Shall"].map(count), [1, 0, 0, 1]);
    assert_eq!(matches("Orphan", "tests/src/api_server/delete.rs").len(), 0);
}

#[test]
fn a_comment_is_as_wide_as_code_unless_it_cannot_be_broken() {
    let long = "x".repeat(106);
    let text = format!(
        "// {long}\n//! | {long} |\n// https://{long}\nfn f() {{}} // {long}\n/* {long}\n{long}{long} */\nconst S: &str = \"{long}{long}\";\n// é{}\n",
        "x".repeat(106)
    );
    let tree = Tree::of(&[("a.rs", &text)]);
    assert_eq!(wide_comments(&Project::of(&tree)), ["a.rs:4: 119 columns", "a.rs:6: 215 columns"]);
}

#[test]
fn a_public_type_has_one_name_in_the_workspace() {
    let tree = Tree::of(&[
        ("a.rs", "pub struct Reader;\n\npub(crate) struct Own;\n"),
        ("b.rs", "pub enum Reader {}\nstruct Own;\n#[cfg(test)]\nmod tests { pub struct Reader; }\n"),
    ]);
    assert_eq!(repeated_types(&Project::of(&tree)), ["a.rs:1: Reader is 2 types: a.rs:1, b.rs:1"]);
}
