//! A template and values become text.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::expression::{Command, Pipeline, Term};
use super::function::{self, is_true};
use super::template::{Definitions, Part, Template};

/// What all templates see.
pub(super) struct Renderer<'a> {
    /// What `$` is.
    pub(super) root: &'a Value,
    /// What `include` finds.
    pub(super) definitions: &'a Definitions,
}

impl Renderer<'_> {
    /// The text of a template.
    pub(super) fn render(&self, template: &Template, dot: &Value) -> Result<String> {
        let mut text = String::new();
        for part in template {
            match part {
                Part::Text(as_it_stands) => text += as_it_stands,
                Part::Print(pipeline) => text += &self.print(pipeline, dot)?,
                Part::If(branches) => text += &self.branch(branches, dot)?,
                Part::With(pipeline, body) => {
                    let value = self.value(pipeline, dot)?;
                    if is_true(&value) {
                        text += &self.render(body, &value)?;
                    }
                }
                Part::Range(pipeline, body) => {
                    let items = match self.value(pipeline, dot)? {
                        Value::Array(items) => items,
                        Value::Null => Vec::new(),
                        other => bail!("{other} is no list"),
                    };
                    for item in &items {
                        text += &self.render(body, item)?;
                    }
                }
            }
        }
        Ok(text)
    }

    fn print(&self, pipeline: &Pipeline, dot: &Value) -> Result<String> {
        function::text(&self.value(pipeline, dot)?).with_context(|| format!("{pipeline:?}"))
    }

    fn branch(&self, branches: &[(Option<Pipeline>, Template)], dot: &Value) -> Result<String> {
        for (condition, body) in branches {
            let holds = match condition {
                Some(condition) => is_true(&self.value(condition, dot)?),
                None => true,
            };
            if holds {
                return self.render(body, dot);
            }
        }
        Ok(String::new())
    }

    fn value(&self, pipeline: &Pipeline, dot: &Value) -> Result<Value> {
        let mut value = None;
        for command in pipeline {
            value = Some(self.command(command, value, dot)?);
        }
        value.context("an empty action")
    }

    fn command(&self, command: &Command, before: Option<Value>, dot: &Value) -> Result<Value> {
        let Some((Term::Function(name), arguments)) = command.split_first() else {
            return match (command.as_slice(), before) {
                ([term], None) => self.term(term, dot),
                _ => bail!("{command:?} is no function"),
            };
        };
        let mut values = arguments.iter().map(|term| self.term(term, dot)).collect::<Result<Vec<_>>>()?;
        values.extend(before);
        if name != "include" {
            return function::call(name, &values);
        }
        let [Value::String(name), dot] = values.as_slice() else { bail!("include takes a name and a dot") };
        let template = self.definitions.get(name).with_context(|| format!("no template {name:?}"))?;
        Ok(self.render(template, dot)?.into())
    }

    fn term(&self, term: &Term, dot: &Value) -> Result<Value> {
        match term {
            Term::Literal(value) => Ok(value.clone()),
            Term::Group(pipeline) => self.value(pipeline, dot),
            Term::Function(name) => function::call(name, &[]),
            Term::Path { from_root, fields } => {
                let mut value = if *from_root { self.root } else { dot };
                for field in fields {
                    let path = fields.join(".");
                    value = value.get(field).with_context(|| format!(".{path}: there is no {field}"))?;
                }
                Ok(value.clone())
            }
        }
    }
}
