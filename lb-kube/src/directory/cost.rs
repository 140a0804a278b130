//! A test of the cost of parsing malicious files.

use std::time::{Duration, Instant};

use lb_api::objects::parse;

/// Files of 400 kB or more that once took minutes to parse, and variations of them.
#[test]
fn no_file_takes_long_to_parse() {
    let many = 200_000;
    let anchors: String = (1..500).map(|i| format!("a{i}: &a{i} [*a{}, *a{}]\n", i - 1, i - 1)).collect();
    let texts = [
        "{a: ".repeat(many),
        "[".repeat(many),
        "{".repeat(many),
        "? ".repeat(many),
        "- ".repeat(many),
        "? - ".repeat(many),
        "a:\n ".repeat(many),
        (0..2_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect(),
        (0..2_000).map(|depth| format!("{}-\n", " ".repeat(depth))).collect(),
        format!("a: {}", "\"".repeat(many)),
        format!("a: {}", "'".repeat(2 * many + 1)),
        "&a ".repeat(many),
        "!!a ".repeat(many),
        "a: &a b\n".repeat(many),
        "*a ".repeat(many),
        "{a, ".repeat(many),
        "[a, ".repeat(many),
        "a, ".repeat(many),
        "a: b: ".repeat(many),
        "<<: ".repeat(many),
        "#".repeat(many),
        "#\n".repeat(many),
        "\n".repeat(many),
        "\t".repeat(many),
        "|\n".repeat(many),
        ">-\n \n".repeat(many),
        "%a\n".repeat(many),
        "x".repeat(5 * many),
        "x\n".repeat(many),
        "[x]: [x]\n".repeat(many),
        format!("a0: &a0 x\n{anchors}"),
        (0..many / 8).map(|number| format!("a{number}: 1\n")).collect(),
        (0..many / 8).map(|number| format!("- {{a: {number}}}\n")).collect(),
        // Many invalid documents.
        "---\n{".repeat(many),
        "---\na: b\n".repeat(many / 8),
        format!("---\na0: &a0 x\n{}", &anchors[..1000]).repeat(20),
    ];
    for text in texts {
        let start = Instant::now();
        let _ = parse("a.yaml", &text);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(60), "{took:?}: {:?}…", &text[..20.min(text.len())]);
    }
}
