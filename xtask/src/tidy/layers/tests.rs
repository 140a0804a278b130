use super::super::floors::{FLOORS, Floor};
use super::super::project::Project;
use super::super::tree::Tree;
use super::crates::upward;
use super::{cycles, departures, overview, undocumented};

fn cycles_of(files: &[(&str, &str)]) -> Vec<String> {
    let tree = Tree::of(&[&[("x/Cargo.toml", "")], files].concat());
    cycles(&Project::of(&tree))
}

#[test]
fn siblings_that_use_each_other_are_found_with_both_places() {
    let files = [
        ("x/src/lib.rs", "mod a; mod b; mod c;"),
        ("x/src/a.rs", "//! Head\nuse crate::b::B;"),
        ("x/src/b.rs", "fn f() { crate::c::g() }"),
        ("x/src/c.rs", "use crate::a;"),
    ];
    assert_eq!(
        cycles_of(&files),
        ["x: a uses b (x/src/a.rs:2), b uses c (x/src/b.rs:1), c uses a (x/src/c.rs:1)"]
    );
}

#[test]
fn a_knot_is_named_once_by_its_shortest_circle() {
    let files = [
        ("x/src/lib.rs", "mod a; mod b; mod c; mod d; mod e;"),
        ("x/src/a.rs", "use crate::{b, c};"),
        ("x/src/b.rs", "use crate::a;"),
        ("x/src/c.rs", "use crate::a;"),
        ("x/src/d.rs", "use crate::{a, e};"),
        ("x/src/e.rs", "use crate::d;"),
    ];
    assert_eq!(
        cycles_of(&files),
        [
            "x: a uses b (x/src/a.rs:1), b uses a (x/src/b.rs:1); 3 modules in all",
            "x: d uses e (x/src/d.rs:1), e uses d (x/src/e.rs:1)"
        ]
    );
}

#[test]
fn circles_are_found_at_every_level_and_through_grandchildren() {
    let files = [
        ("x/src/lib.rs", "mod p;"),
        ("x/src/p.rs", "mod a; mod b;"),
        ("x/src/p/a.rs", "mod deep;"),
        ("x/src/p/a/deep.rs", "use crate::p::b::B;"),
        ("x/src/p/b.rs", "use super::a::deep;"),
    ];
    assert_eq!(
        cycles_of(&files),
        ["x::p: a uses p::b (x/src/p/a/deep.rs:1), b uses p::a::deep (x/src/p/b.rs:1)"]
    );
}

#[test]
fn a_parents_reexport_counts_for_the_module_behind_it() {
    let files = [
        ("x/src/lib.rs", "mod a; mod b; pub use self::b::B;"),
        ("x/src/a.rs", "use crate::B;"),
        ("x/src/b.rs", "use crate::a::A;"),
    ];
    assert_eq!(cycles_of(&files).len(), 1);
}

#[test]
fn tests_programs_and_parents_make_no_circle() {
    let files = [
        ("x/src/lib.rs", "mod a; mod b; pub struct Shared;"),
        ("x/src/main.rs", "use x::a;"),
        ("x/src/a.rs", "use crate::{Shared, b::B};"),
        (
            "x/src/b.rs",
            "#[cfg(test)] mod tests; use super::Shared; #[cfg(test)] mod more { use crate::a::A; }",
        ),
        ("x/src/b/tests.rs", "use crate::a::A;"),
        ("x/src/bin/y.rs", "use x::b;"),
    ];
    assert_eq!(cycles_of(&files), Vec::<String>::new());
}

#[test]
fn a_child_that_uses_its_parent_is_counted() {
    let files = [
        ("x/Cargo.toml", ""),
        ("x/src/lib.rs", "mod a;"),
        ("x/src/a.rs", "mod b; pub struct Shared;"),
        ("x/src/a/b.rs", "use super::Shared;"),
    ];
    let tree = Tree::of(&files);
    assert_eq!(
        overview(&Project::of(&tree)),
        ["x: 3 lines of production code; 1 of 3 modules use an item of their parent"]
    );
}

#[test]
fn the_table_is_in_order() {
    assert_eq!(upward(FLOORS), Vec::<String>::new());
    let floor = |package, uses| Floor {
        directory: package,
        package,
        uses,
        tests_use: &[],
        is_pure: false,
        is_exempt_from_size: false,
    };
    let wrong = [floor("a", &["b"]), floor("b", &[]), Floor { is_pure: true, ..floor("c", &["b"]) }];
    assert_eq!(
        upward(&wrong),
        ["table of floors: b does not stand below a", "table of floors: c is pure, and b is not"]
    );
}

#[test]
fn a_manifest_may_depend_on_what_the_table_says_and_uses_it() {
    let manifest =
        "[dependencies]\nlb-agent.workspace = true\nlb-common.workspace = true\nserde.workspace = true\n";
    let tree = Tree::of(&[("lb-bfd/Cargo.toml", manifest), ("lb-bfd/src/main.rs", "use lb_agent::x;")]);
    let found = departures(&Project::of(&tree));
    let about: Vec<&String> = found.iter().filter(|line| line.starts_with("lb-bfd/")).collect();
    assert_eq!(
        about,
        [
            "lb-bfd/Cargo.toml:2: lb-bfd may not depend on lb-agent",
            "lb-bfd/Cargo.toml:3: lb-common is not used"
        ]
    );
}

#[test]
fn a_row_of_the_page_is_compared_with_the_table() {
    let page =
        "| `lb-bfd` | sessions for `lb-agent` | `serde`, `lb-common` |\n| `lb-bgp` | sessions | `lb-bfd` |\n";
    let tree = Tree::of(&[("ARCHITECTURE.md", page)]);
    let found = undocumented(&Project::of(&tree));
    assert!(found.contains(
        &"ARCHITECTURE.md:2: `lb-bgp` may depend on nothing of ours; the page says lb-bfd".to_owned()
    ));
    assert!(found.contains(&"ARCHITECTURE.md: no row for `lb-api`".to_owned()));
    assert!(!found.iter().any(|line| line.contains("`lb-bfd` may")), "{found:?}");
}
