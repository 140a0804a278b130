//! The reference page of JSON output: the fields of the types that `fairlead … -o json` prints, read from
//! their sources.

mod types;

use self::types::{Fields, Type, Types};
use super::project::Project;

/// The page.
pub(super) const PAGE: &str = "docs/reference/json.md";

/// A command and the type that it prints.
struct Output {
    command: &'static str,
    root: &'static str,
    /// Where the type stands in the output.
    prefix: &'static str,
}

const OUTPUTS: [Output; 6] = [
    output("fairlead status -o json", "Overview", ""),
    output("fairlead status bgp -o json", "BgpStatus", ""),
    output("fairlead status bfd -o json", "BfdStatus", ""),
    output("fairlead status l2 -o json", "Layer2Status", ""),
    output("fairlead check -o json", "Preview", ""),
    output("fairlead check --from-cluster -o json", "Finding", "migration.findings[]."),
];

const HEAD: &str = "\
# JSON output

<!-- Generated from the code by `cargo xtask reference`. Do not edit. -->

Fields of `-o json`, by command. `[]` is an element of a list, `{}` a value of a map. A field marked `?` may be `null`.
Fields are added in later versions; names and types of existing ones do not change.
";

const fn output(command: &'static str, root: &'static str, prefix: &'static str) -> Output {
    Output { command, root, prefix }
}

/// A page that differs from the code.
pub(super) fn outdated(project: &Project<'_>) -> Vec<String> {
    let text = match page(project) {
        Ok(text) => text,
        Err(error) => return vec![error],
    };
    let page = project.tree.file(PAGE).map_or("", |file| &file.text);
    let differing = page.lines().zip(text.lines()).position(|(one, other)| one != other);
    let line = differing.unwrap_or_else(|| page.lines().count().min(text.lines().count())) + 1;
    if page == text { Vec::new() } else { vec![format!("{PAGE}:{line}: run `cargo xtask reference`")] }
}

/// The text of the page; an error names what the sources lack.
pub(super) fn page(project: &Project<'_>) -> Result<String, String> {
    let types = Types::of(&project.sources);
    let mut text = HEAD.to_owned();
    for Output { command, root, prefix } in &OUTPUTS {
        let mut rows = Rows { types: &types, text: String::new(), open: Vec::new() };
        rows.fields(root, prefix)?;
        text +=
            &format!("\n## `{command}`\n\n| field | type | meaning |\n| --- | --- | --- |\n{}", rows.text);
    }
    Ok(text)
}

struct Rows<'a> {
    types: &'a Types,
    text: String,
    /// Types around the current field: a type within itself is not repeated.
    open: Vec<String>,
}

impl Rows<'_> {
    fn fields(&mut self, name: &str, prefix: &str) -> Result<(), String> {
        let Some(Fields::Named(fields)) = self.types.get(name) else {
            return Err(format!("{PAGE}: no struct {name} in the sources; correct xtask/src/tidy/json.rs"));
        };
        self.open.push(name.to_owned());
        for field in fields {
            if field.is_flat {
                let inner = field.r#type.name().to_owned();
                self.fields(&inner, prefix)?;
                continue;
            }
            let path = format!("{prefix}{}", field.name);
            self.field(&path, &field.r#type, &field.meaning)?;
        }
        self.open.pop();
        Ok(())
    }

    fn field(&mut self, path: &str, r#type: &Type, meaning: &str) -> Result<(), String> {
        let (suffix, name) = r#type.shape();
        let nested = match self.types.get(name) {
            Some(Fields::Inner(inner)) => return self.field(path, &r#type.with_inner(inner), meaning),
            Some(Fields::Words(words)) => {
                self.row(path, &r#type.one_of(words), meaning);
                return Ok(());
            }
            Some(Fields::Named(_)) if !self.open.iter().any(|open| open == name) => Some(name.to_owned()),
            _ => None,
        };
        self.row(
            path,
            &r#type.written(if nested.is_some() { "object" } else { types::json_name(name) }),
            meaning,
        );
        match nested {
            Some(name) => self.fields(&name, &format!("{path}{suffix}.")),
            None => Ok(()),
        }
    }

    fn row(&mut self, path: &str, r#type: &str, meaning: &str) {
        self.text += &format!("| `{path}` | {type} | {} |\n", meaning.replace('|', "\\|"));
    }
}

#[cfg(test)]
mod tests;
