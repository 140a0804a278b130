//! Types that serde serializes, read from the tokens of their sources.

use std::collections::BTreeMap;

use super::super::rust::Source;

/// The start of directories of the product's crates.
const PRODUCT: &str = "lb-";

/// All types by name.
#[derive(Debug, Default)]
pub(super) struct Types(BTreeMap<String, Fields>);

/// What a type is in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fields {
    /// An object.
    Named(Vec<Field>),
    /// One of these strings.
    Words(Vec<String>),
    /// The same as another type.
    Inner(Type),
}

/// A field of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) r#type: Type,
    pub(super) meaning: String,
    /// Its own fields stand in its place.
    pub(super) is_flat: bool,
}

/// A type with what is around it, from the outside in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Type {
    around: Vec<Around>,
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Around {
    Option,
    List,
    Map,
}

impl Types {
    /// Reads the types of the product's crates. Their names are unique.
    pub(super) fn of(sources: &[Source<'_>]) -> Self {
        let mut types = Self::default();
        let mut impls = Vec::new();
        for source in sources.iter().filter(|source| source.file.path.starts_with(PRODUCT)) {
            for at in 0..source.tokens.len() {
                let is_production = !source.is_test(source.tokens[at].range.start);
                match source.word(at) {
                    "struct" | "enum" | "type" if is_production => types.read(source, at),
                    "Serialize" if source.word(at + 1) == "for" => impls.push((source, at)),
                    _ => {}
                }
            }
        }
        for (source, at) in impls {
            types.read_impl(source, at);
        }
        types
    }

    /// The type with this name.
    pub(super) fn get(&self, name: &str) -> Option<&Fields> {
        self.0.get(name)
    }

    fn read(&mut self, source: &Source<'_>, at: usize) {
        let name = source.word(at + 1).to_owned();
        let attributes = Attributes::before(source, at);
        let is_alias = source.word(at) == "type";
        if !is_alias && !attributes.text.contains("Serialize") && name != "Preview" {
            return;
        }
        let Some(open) =
            (at + 2..source.tokens.len()).find(|&it| matches!(source.word(it), "{" | "(" | ";" | "="))
        else {
            return;
        };
        let fields = match (source.word(at), source.word(open)) {
            ("struct", "{") => Fields::Named(named(source, open, &attributes)),
            ("struct", "(") => Fields::Inner(Type::read(source, after_visibility(source, open + 1)).0),
            ("enum", "{") => Fields::Words(variants(source, open, &attributes)),
            ("type", "=") => Fields::Inner(Type::read(source, open + 1).0),
            _ => return,
        };
        self.0.insert(name, fields);
    }

    /// Reads `impl Serialize for …`: an object with the fields that it names, else a string.
    fn read_impl(&mut self, source: &Source<'_>, at: usize) {
        let name = source.word(at + 2).to_owned();
        let Some(open) = (at..source.tokens.len()).find(|&it| source.word(it) == "{") else { return };
        let end = source.end_of_group(open);
        let calls = (open..end).filter(|&it| source.word(it) == "serialize_field");
        let fields: Vec<Field> = calls
            .map(|call| {
                let field = source.word(call + 2).trim_matches('"').to_owned();
                let (r#type, meaning) = self.declared(source, &name, &field);
                Field { name: field, r#type, meaning, is_flat: false }
            })
            .collect();
        let string = Type { around: Vec::new(), name: "String".to_owned() };
        self.0.insert(name, if fields.is_empty() { Fields::Inner(string) } else { Fields::Named(fields) });
    }

    /// Type and meaning of a field as its struct, or the method with its name, declares it.
    fn declared(&self, source: &Source<'_>, name: &str, field: &str) -> (Type, String) {
        let declaration =
            (0..source.tokens.len()).find(|&at| source.word(at) == "struct" && source.word(at + 1) == name);
        let found = declaration.and_then(|at| {
            let open = (at..source.tokens.len()).find(|&it| source.word(it) == "{")?;
            named(source, open, &Attributes::default()).into_iter().find(|it| it.name == field)
        });
        let method =
            || (0..source.tokens.len()).find(|&at| source.word(at) == "fn" && source.word(at + 1) == field);
        let (mut r#type, meaning) = match (found, method()) {
            (Some(found), _) => (found.r#type, found.meaning),
            (None, Some(at)) => {
                let arrow = (at..source.tokens.len()).find(|&it| source.word(it) == ">").unwrap_or(at);
                (Type::read(source, arrow + 1).0, Attributes::before(source, at).meaning)
            }
            (None, None) => return (Type { around: Vec::new(), name: "String".to_owned() }, String::new()),
        };
        // An enumeration that is printed as text.
        if self.get(&r#type.name).is_none() && !is_known(&r#type.name) {
            r#type.name = "String".to_owned();
        }
        (r#type, meaning)
    }
}

impl Type {
    /// Reads a type; returns the index of the token behind it, too.
    fn read(source: &Source<'_>, start: usize) -> (Self, usize) {
        let mut at = start;
        while matches!(source.word(at), "&" | "'" | "static" | "mut") {
            at += 1;
        }
        // A tuple is a list, too.
        if matches!(source.word(at), "[" | "(") {
            let (element, _) = Self::read(source, at + 1);
            return (element.inside(Around::List), source.end_of_group(at) + 1);
        }
        // The last segment of a path counts.
        while source.word(at + 1) == ":" && source.word(at + 2) == ":" {
            at += 3;
        }
        let name = source.word(at);
        if source.word(at + 1) != "<" {
            return (Self { around: Vec::new(), name: name.to_owned() }, at + 1);
        }
        let after_lifetime = if source.word(at + 2) == "'" { at + 5 } else { at + 2 };
        let mut inner = Self::read(source, after_lifetime);
        // The last argument counts: the value of a map.
        while source.word(inner.1) == "," && source.word(inner.1 + 1) != ">" {
            inner = Self::read(source, inner.1 + 1);
        }
        let (argument, end) = inner;
        let read = match name {
            "Option" => argument.inside(Around::Option),
            "Vec" | "BTreeSet" => argument.inside(Around::List),
            "BTreeMap" => argument.inside(Around::Map),
            _ => argument,
        };
        (read, end + 1)
    }

    fn inside(mut self, around: Around) -> Self {
        self.around.insert(0, around);
        self
    }

    /// The innermost name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What a path gets behind the field, and the innermost name.
    pub(super) fn shape(&self) -> (String, &str) {
        let suffix = self.around.iter().map(|around| match around {
            Around::Option => "",
            Around::List => "[]",
            Around::Map => "{}",
        });
        (suffix.collect(), &self.name)
    }

    /// The same with another type in the middle.
    pub(super) fn with_inner(&self, inner: &Self) -> Self {
        Self { around: self.around.iter().chain(&inner.around).copied().collect(), name: inner.name.clone() }
    }

    /// One of these words.
    pub(super) fn one_of(&self, words: &[String]) -> String {
        let null = if self.around.last() == Some(&Around::Option) { ", `null`" } else { "" };
        let around = self.around.iter().copied().filter(|it| *it != Around::Option).collect();
        let text = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        Self { around, name: String::new() }.written(&format!("{text}{null}"))
    }

    /// The type for people, with this word in the middle.
    pub(super) fn written(&self, word: &str) -> String {
        self.around.iter().rev().fold(word.to_owned(), |word, around| match around {
            Around::Option => format!("{word}?"),
            Around::List => format!("list of {word}"),
            Around::Map => format!("map of {word}"),
        })
    }
}

/// What a type of the standard library, or one that is not read, is called in JSON.
pub(super) fn json_name(name: &str) -> &str {
    match name {
        "bool" => "boolean",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" | "NodeIndex" => "integer",
        "f32" | "f64" => "number",
        "IpAddr" | "Ipv4Addr" | "Ipv6Addr" => "address",
        _ => "string",
    }
}

fn is_known(name: &str) -> bool {
    json_name(name) != "string" || matches!(name, "String" | "str")
}

fn named(source: &Source<'_>, open: usize, container: &Attributes) -> Vec<Field> {
    let end = source.end_of_group(open);
    let mut fields = Vec::new();
    let mut at = open + 1;
    while at < end {
        let attributes = Attributes::after(source, at);
        let name_at = after_visibility(source, attributes.end);
        let (r#type, behind) = Type::read(source, name_at + 2);
        if !attributes.text.contains("serde(skip)") {
            fields.push(Field {
                name: attributes.renamed().unwrap_or_else(|| container.case(source.word(name_at))),
                r#type,
                meaning: attributes.meaning,
                is_flat: attributes.text.contains("flatten"),
            });
        }
        at = behind + usize::from(source.word(behind) == ",");
    }
    fields
}

fn variants(source: &Source<'_>, open: usize, container: &Attributes) -> Vec<String> {
    let end = source.end_of_group(open);
    let mut words = Vec::new();
    let mut at = open + 1;
    while at < end {
        let attributes = Attributes::after(source, at);
        words.push(attributes.renamed().unwrap_or_else(|| container.case(source.word(attributes.end))));
        at = (attributes.end..end).find(|&it| source.word(it) == ",").map_or(end, |comma| comma + 1);
    }
    words
}

fn after_visibility(source: &Source<'_>, at: usize) -> usize {
    match (source.word(at), source.word(at + 1)) {
        ("pub", "(") => source.end_of_group(at + 1) + 1,
        ("pub", _) => at + 1,
        _ => at,
    }
}

/// The attributes and the documentation of an item.
#[derive(Debug, Default)]
struct Attributes {
    /// Attributes without white space.
    text: String,
    /// Documentation, its first paragraph.
    meaning: String,
    /// The token behind them.
    end: usize,
}

impl Attributes {
    /// Those of an item whose keyword stands here, perhaps behind its visibility.
    fn before(source: &Source<'_>, keyword: usize) -> Self {
        let mut start = keyword;
        while start > 0 && !matches!(source.word(start - 1), ";" | "}" | "{") {
            start -= 1;
        }
        Self::after(source, start)
    }

    /// Those that begin here.
    fn after(source: &Source<'_>, start: usize) -> Self {
        let mut attributes = Self { end: start, ..Self::default() };
        while source.word(attributes.end) == "#" {
            let close = source.end_of_group(attributes.end + 1);
            attributes.text.extend((attributes.end..=close).map(|at| source.word(at)));
            attributes.end = close + 1;
        }
        let from =
            start.checked_sub(1).and_then(|at| source.tokens.get(at)).map_or(0, |token| token.range.end);
        let to = source.tokens.get(attributes.end).map_or(from, |token| token.range.start);
        let comments = source.comments.iter().filter(|range| range.start >= from && range.end <= to);
        let lines = comments.filter_map(|range| source.text(range).strip_prefix("///")).map(str::trim);
        attributes.meaning = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        attributes
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.text.split_once(&format!("{key}=\""))?.1.split('"').next()
    }

    fn renamed(&self) -> Option<String> {
        self.value("rename").map(str::to_owned)
    }

    /// A name in the case that the container asks for.
    fn case(&self, name: &str) -> String {
        match self.value("rename_all") {
            Some("snake_case") => snake(name),
            Some("camelCase") => camel(name),
            Some("UPPERCASE") => name.to_uppercase(),
            _ => name.to_owned(),
        }
    }
}

fn snake(name: &str) -> String {
    let mut text = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(character.to_lowercase());
    }
    text
}

fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let mut text = parts.next().map(lower_first).unwrap_or_default();
    for part in parts {
        let mut characters = part.chars();
        text.extend(characters.next().into_iter().flat_map(char::to_uppercase).chain(characters));
    }
    text
}

fn lower_first(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().into_iter().flat_map(char::to_lowercase).chain(characters).collect()
}
