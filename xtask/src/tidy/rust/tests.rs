use super::super::tree::File;
use super::{Kind, Source};

fn file(text: &str) -> File {
    File { path: "a.rs".to_owned(), text: text.to_owned() }
}

#[test]
fn comments_are_found_between_tokens_and_never_in_strings() {
    let file = file(
        "//! Head\n/* a /* b */ c */ fn f() { g(\"// no\", r#\"/* no */\"#); } // end\n/// Doc\nstruct S;\n// last",
    );
    let source = Source::of(&file).unwrap();
    let comments: Vec<&str> = source.comments.iter().map(|range| source.text(range)).collect();
    assert_eq!(comments, ["//! Head", "/* a /* b */ c */", "// end", "/// Doc", "// last"]);
    let literals = source.tokens.iter().filter(|token| token.kind == Kind::Literal);
    assert_eq!(
        literals.map(|token| source.text(&token.range)).collect::<Vec<_>>(),
        ["\"// no\"", "r#\"/* no */\"#"]
    );
}

#[test]
fn production_lines_are_code_that_is_not_for_tests() {
    let file = file(
        "// comment\nuse a::{\n    b,\n};\n\nconst TEXT: &str = \"\n\n\";\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\nfn f(a: [u8; 2]) {\n}\n\
         #[cfg(not(test))]\nfn g() {}\n",
    );
    assert_eq!(Source::of(&file).unwrap().production_lines(), 3 + 3 + 2);
}

#[test]
fn modules_for_tests_are_named() {
    let file = file(
        "#[cfg(test)]\n#[path = \"x.rs\"]\nmod tests;\nmod other;\n#[cfg(all(test, unix))]\nmod more;\n",
    );
    assert_eq!(Source::of(&file).unwrap().test_modules().collect::<Vec<_>>(), ["tests", "more"]);
}

#[test]
fn imports_are_flattened() {
    let file = file(
        "pub use crate::a::{self, b::{C, D as E}, f::*};\nmod inner { fn f() -> super::G { lb_x::h::<u8>(x.y, z::Z::new()) } }\n",
    );
    let imports = Source::of(&file).unwrap().imports();
    let shown: Vec<String> = imports
        .iter()
        .map(|it| {
            format!("{}|{}|{}", it.inside.join("::"), it.path.join("::"), it.name.as_deref().unwrap_or(""))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "|crate::a|a",
            "|crate::a::b::C|C",
            "|crate::a::b::D|E",
            "|crate::a::f|",
            "inner|super::G|",
            "inner|lb_x::h|",
            "inner|z::Z::new|"
        ]
    );
}
