//! What stands in an action: `.Values.image.tag | default .Chart.AppVersion | quote`.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Commands, each of which gets the value of the one before it as its last argument.
pub(super) type Pipeline = Vec<Command>;

/// A term, or a function with its arguments.
pub(super) type Command = Vec<Term>;

/// A part of a command.
#[derive(Debug)]
pub(super) enum Term {
    /// Fields below the dot, or below everything for `$`.
    Path {
        /// Whether it begins with `$`.
        from_root: bool,
        /// Names of the fields.
        fields: Vec<String>,
    },
    /// A text or a whole number.
    Literal(Value),
    /// What stands in parentheses.
    Group(Pipeline),
    /// A function.
    Function(String),
}

/// Reads a pipeline.
pub(super) fn parse(text: &str) -> Result<Pipeline> {
    let tokens = tokens(text)?;
    let mut rest = tokens.as_slice();
    let pipeline = pipeline(&mut rest).with_context(|| format!("{{{{ {text} }}}}"))?;
    ensure!(rest.is_empty(), "{{{{ {text} }}}}: an unmatched parenthesis");
    Ok(pipeline)
}

fn tokens(text: &str) -> Result<Vec<String>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' | '|' => 1,
            '"' => rest[1..].find('"').context("a text without an end")? + 2,
            _ => rest.find(|c: char| c.is_whitespace() || "()|\"".contains(c)).unwrap_or(rest.len()),
        };
        let (token, behind) = rest.split_at(length);
        tokens.push(token.to_owned());
        rest = behind.trim_start();
    }
    Ok(tokens)
}

fn pipeline(rest: &mut &[String]) -> Result<Pipeline> {
    let mut commands = vec![Command::new()];
    while let Some((token, behind)) = rest.split_first() {
        if token == ")" {
            break;
        }
        *rest = behind;
        match token.as_str() {
            "|" => commands.push(Command::new()),
            "(" => {
                let group = Term::Group(pipeline(rest)?);
                *rest = rest.split_first().context("( without )")?.1;
                commands.last_mut().context("no command")?.push(group);
            }
            token => commands.last_mut().context("no command")?.push(term(token)?),
        }
    }
    ensure!(commands.iter().all(|command| !command.is_empty()), "a command is empty");
    Ok(commands)
}

fn term(token: &str) -> Result<Term> {
    if let Some(text) = token.strip_prefix('"').and_then(|token| token.strip_suffix('"')) {
        return Ok(Term::Literal(text.into()));
    }
    if let Ok(number) = token.parse::<i64>() {
        return Ok(Term::Literal(number.into()));
    }
    let (from_root, path) = match token.strip_prefix('$') {
        Some(path) => (true, path),
        None => (false, token),
    };
    if path == "." || (from_root && path.is_empty()) {
        return Ok(Term::Path { from_root, fields: Vec::new() });
    }
    if let Some(path) = path.strip_prefix('.') {
        return Ok(Term::Path { from_root, fields: path.split('.').map(str::to_owned).collect() });
    }
    if from_root {
        bail!("variables are not known here: {token}");
    }
    Ok(Term::Function(token.to_owned()))
}
