//! A Rust source file as tokens, string literals and comments.

mod imports;
mod tokens;

use std::ops::Range;

pub(super) use self::imports::Import;
pub(super) use self::tokens::{Kind, Token};
use super::tree::File;

/// A source file after lexing.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) file: &'a File,
    pub(super) tokens: Vec<Token>,
    /// Bytes of comments; a documentation comment counts as one.
    pub(super) comments: Vec<Range<usize>>,
    /// Bytes of items that are compiled for tests only.
    tests: Vec<Range<usize>>,
    /// The byte at which each line starts.
    line_starts: Vec<usize>,
}

impl<'a> Source<'a> {
    /// Lexes a file; `None` if it is not valid Rust, which the compiler reports better.
    pub(super) fn of(file: &'a File) -> Option<Self> {
        let (tokens, comments) = tokens::lex(&file.text)?;
        let line_starts =
            std::iter::once(0).chain(file.text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut source = Self { file, tokens, comments, tests: Vec::new(), line_starts };
        source.tests = source.items_for_tests();
        Some(source)
    }

    /// The text of a range of bytes.
    pub(super) fn text(&self, range: &Range<usize>) -> &'a str {
        self.file.text.get(range.clone()).unwrap_or_default()
    }

    /// The text of a token; empty behind the last one.
    pub(super) fn word(&self, index: usize) -> &'a str {
        self.tokens.get(index).map_or("", |token| self.text(&token.range))
    }

    /// The kind of a token.
    pub(super) fn kind(&self, index: usize) -> Option<Kind> {
        self.tokens.get(index).map(|token| token.kind)
    }

    /// The number of the line that holds a byte, as editors count.
    pub(super) fn line(&self, byte: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= byte)
    }

    /// Whether a byte belongs to an item for tests.
    pub(super) fn is_test(&self, byte: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&byte))
    }

    /// Lines that hold code which is not for tests: neither blank nor comment alone.
    pub(super) fn production_lines(&self) -> usize {
        let mut count = 0;
        let mut last = 0;
        for token in self.tokens.iter().filter(|token| !self.is_test(token.range.start)) {
            let first = self.line(token.range.start).max(last + 1);
            let end = self.line(token.range.end.saturating_sub(1));
            count += (end + 1).saturating_sub(first);
            last = last.max(end);
        }
        count
    }

    /// Names of modules that are declared for tests only: `#[cfg(test)] mod tests;`.
    pub(super) fn test_modules(&self) -> impl Iterator<Item = &'a str> {
        let declared =
            (0..self.tokens.len()).filter(|&at| self.word(at) == "mod" && self.word(at + 2) == ";");
        declared.filter(|&at| self.is_test(self.tokens[at].range.start)).map(|at| self.word(at + 1))
    }

    /// Paths of `use` declarations and in code, in the order in which they stand.
    pub(super) fn imports(&self) -> Vec<Import> {
        imports::of(self)
    }

    fn items_for_tests(&self) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for at in 0..self.tokens.len() {
            let start = self.tokens[at].range.start;
            if self.word(at) != "#" || found.last().is_some_and(|range| range.contains(&start)) {
                continue;
            }
            // An inner attribute (`#![cfg(test)]`) is about the whole file.
            let inner = usize::from(self.word(at + 1) == "!");
            if self.is_for_tests(at + 1 + inner) {
                let end = if inner == 1 { self.file.text.len() } else { self.end_of_item(at) };
                found.push(start..end);
            }
        }
        found
    }

    /// Whether the brackets of an attribute at this token hold `test`, `cfg(test)` or `cfg(all(test, …))`.
    fn is_for_tests(&self, open: usize) -> bool {
        let inside: Vec<&str> = (open + 1..self.end_of_group(open)).map(|at| self.word(at)).collect();
        match inside.as_slice() {
            ["test"] | ["cfg", "(", "test", ..] => true,
            ["cfg", "(", "all", "(", rest @ ..] => rest.contains(&"test") && !rest.contains(&"not"),
            _ => false,
        }
    }

    /// The index of the token that closes the group which opens here.
    pub(super) fn end_of_group(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for at in open..self.tokens.len() {
            match self.tokens[at].kind {
                Kind::Open => depth += 1,
                Kind::Close => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len()
    }

    /// The byte behind the item whose attributes begin at this token.
    fn end_of_item(&self, attributes: usize) -> usize {
        let mut at = attributes;
        while self.word(at) == "#" {
            at = self.end_of_group(at + 1) + 1;
        }
        let mut ends_with_block = true;
        while at < self.tokens.len() {
            match self.word(at) {
                "use" | "const" | "static" | "let" | "type" => ends_with_block = false,
                "fn" => ends_with_block = true,
                ";" => break,
                _ => {}
            }
            if self.tokens[at].kind == Kind::Open {
                let is_block = self.word(at) == "{";
                at = self.end_of_group(at);
                if is_block && ends_with_block {
                    break;
                }
            }
            at += 1;
        }
        self.tokens.get(at).map_or(self.file.text.len(), |token| token.range.end)
    }
}

#[cfg(test)]
mod tests;
