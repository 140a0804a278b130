//! A template: text, and what is between `{{` and `}}`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use super::expression::{self, Pipeline};

/// Parts of a template, in order.
pub(super) type Template = Vec<Part>;

/// Templates that others include, by name.
pub(super) type Definitions = BTreeMap<String, Template>;

/// A part of a template.
#[derive(Debug)]
pub(super) enum Part {
    /// As it stands.
    Text(String),
    /// A value.
    Print(Pipeline),
    /// The first branch whose condition holds; one without a condition holds.
    If(Vec<(Option<Pipeline>, Template)>),
    /// With the value as dot, if there is one.
    With(Pipeline, Template),
    /// With each item as dot.
    Range(Pipeline, Template),
}

/// Reads a template; what it defines goes to the definitions.
pub(super) fn parse(text: &str, definitions: &mut Definitions) -> Result<Template> {
    let mut reader = Reader { pieces: pieces(text)?, at: 0, definitions };
    let (template, end) = reader.parts()?;
    match end {
        None => Ok(template),
        Some(end) => bail!("{{{{ {end} }}}} without a beginning"),
    }
}

enum Piece {
    Text(String),
    Action(String),
}

/// Cuts at the actions. `{{-` takes away the space before it, `-}}` the space behind it.
fn pieces(text: &str) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("{{") {
        let (action, after) = behind.split_once("}}").context("{{ without }}")?;
        let (before, action) = match action.strip_prefix('-') {
            Some(action) => (before.trim_end(), action),
            None => (before, action),
        };
        let (action, after) = match action.strip_suffix('-') {
            Some(action) => (action, after.trim_start()),
            None => (action, after),
        };
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(Piece::Action(action.trim().to_owned()));
        rest = after;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

struct Reader<'a> {
    pieces: Vec<Piece>,
    at: usize,
    definitions: &'a mut Definitions,
}

impl Reader<'_> {
    /// Parts up to an `end` or `else`, which is returned with them, or to the end of the text.
    fn parts(&mut self) -> Result<(Template, Option<String>)> {
        let mut parts = Template::new();
        while let Some(piece) = self.pieces.get(self.at) {
            self.at += 1;
            let action = match piece {
                Piece::Text(text) => {
                    if !text.is_empty() {
                        parts.push(Part::Text(text.clone()));
                    }
                    continue;
                }
                Piece::Action(action) => action.clone(),
            };
            let (word, rest) = action.split_once(' ').unwrap_or((action.as_str(), ""));
            match word {
                "end" | "else" => return Ok((parts, Some(action.clone()))),
                "if" => parts.push(self.branches(rest)?),
                "with" => parts.push(Part::With(expression::parse(rest)?, self.body(&action)?)),
                "range" => parts.push(Part::Range(expression::parse(rest)?, self.body(&action)?)),
                "define" => {
                    let body = self.body(&action)?;
                    self.definitions.insert(rest.trim_matches('"').to_owned(), body);
                }
                comment if comment.starts_with("/*") => {}
                _ => parts.push(Part::Print(expression::parse(&action)?)),
            }
        }
        Ok((parts, None))
    }

    /// Parts up to the `end`.
    fn body(&mut self, of: &str) -> Result<Template> {
        match self.parts()? {
            (parts, Some(end)) if end == "end" => Ok(parts),
            (_, end) => bail!("{{{{ {of} }}}} ends with {end:?}"),
        }
    }

    fn branches(&mut self, condition: &str) -> Result<Part> {
        let mut branches = Vec::new();
        let mut condition = Some(expression::parse(condition)?);
        loop {
            let (parts, end) = self.parts()?;
            branches.push((condition.take(), parts));
            match end.as_deref() {
                Some("end") => return Ok(Part::If(branches)),
                Some("else") => {}
                Some(other) => {
                    let other =
                        other.strip_prefix("else if ").with_context(|| format!("{{{{ {other} }}}}"))?;
                    condition = Some(expression::parse(other)?);
                }
                None => bail!("{{{{ if }}}} without {{{{ end }}}}"),
            }
        }
    }
}
