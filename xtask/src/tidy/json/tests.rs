use super::super::project::Project;
use super::super::tree::Tree;
use super::types::Types;
use super::{PAGE, Rows, outdated};

const SOURCE: &str = r#"
/// The root.
#[derive(Clone, Serialize)]
pub struct Root {
    #[serde(flatten)]
    pub base: Base,
    /// Names of the
    /// list.
    ///
    /// More.
    pub(crate) names: Arc<[crate::x::Name]>,
    #[serde(skip)]
    hidden: u8,
    /// By name.
    pub children: BTreeMap<String, Option<Child>>,
    #[serde(default, rename = "asNumber")]
    pub as_number: Cow<'static, str>,
}
#[derive(Serialize)]
struct Base { mode: Option<Mode>, why: Why, ends: Option<(SocketAddr, u8)> }
pub type Why = Option<String>;
struct Name(String);
impl Serialize for Name { fn serialize(&self) { s.serialize_str(&self.0) } }
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Child { is_up: bool, again: Vec<Child>, problem: Problem }
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Mode { #[serde(rename = "self")] Own, InStack }
/// A problem.
struct Problem {
    /// Line.
    line: Option<usize>, reason: Reason }
impl Serialize for Problem {
    fn serialize(&self) { f.serialize_field("line", &self.line); f.serialize_field("mode", &self.mode()); }
}
impl Problem {
    /// Its mode.
    pub fn mode(&self) -> Mode { Mode::Own }
}
#[cfg(test)]
mod tests { #[derive(Serialize)] struct Root { wrong: u8 } }
"#;

#[test]
fn fields_are_read_as_serde_writes_them() {
    let tree = Tree::of(&[("lb-x/src/lib.rs", SOURCE)]);
    let project = Project::of(&tree);
    let types = Types::of(&project.sources);
    let mut rows = Rows { types: &types, text: String::new(), open: Vec::new() };
    rows.fields("Root", "").unwrap();
    let expected = [
        "| `mode` | `self`, `in_stack`, `null` |  |",
        "| `why` | string? |  |",
        "| `ends` | list of string? |  |",
        "| `names` | list of string | Names of the list. |",
        "| `children` | map of object? | By name. |",
        "| `children{}.isUp` | boolean |  |",
        "| `children{}.again` | list of string |  |",
        "| `children{}.problem` | object |  |",
        "| `children{}.problem.line` | integer? | Line. |",
        "| `children{}.problem.mode` | `self`, `in_stack` | Its mode. |",
        "| `asNumber` | string |  |",
    ];
    assert_eq!(rows.text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_type_that_is_not_found_is_named() {
    let tree = Tree::of(&[(PAGE, "")]);
    let found = outdated(&Project::of(&tree));
    assert!(found[0].contains("no struct Overview"), "{found:?}");
}
