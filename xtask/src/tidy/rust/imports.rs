//! Paths that a source file names, in `use` declarations and in code.

use super::{Kind, Source};

/// A path, as it is written from its first segment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tidy) struct Import {
    /// Names of the inline modules around it.
    pub(in crate::tidy) inside: Vec<String>,
    pub(in crate::tidy) path: Vec<String>,
    /// The name that it brings into scope, if it stands in a `use` declaration.
    pub(in crate::tidy) name: Option<String>,
    /// The byte at which it begins.
    pub(in crate::tidy) byte: usize,
}

/// All paths of a file with two segments or more, and all `use` declarations.
pub(super) fn of(source: &Source<'_>) -> Vec<Import> {
    let mut reader = Reader { source, inside: Vec::new(), found: Vec::new() };
    reader.read();
    reader.found
}

struct Reader<'a, 'b> {
    source: &'b Source<'a>,
    /// Inline modules around the current token, each with the index of the token that closes it.
    inside: Vec<(String, usize)>,
    found: Vec<Import>,
}

impl Reader<'_, '_> {
    fn read(&mut self) {
        let mut at = 0;
        while at < self.source.tokens.len() {
            self.inside.retain(|&(_, end)| at < end);
            at = match self.source.word(at) {
                "use" => self.tree(at + 1, &[]),
                "mod" if self.source.word(at + 2) == "{" => {
                    let end = self.source.end_of_group(at + 2);
                    self.inside.push((self.source.word(at + 1).to_owned(), end));
                    at + 3
                }
                _ if self.is_start_of_path(at) => self.path(at),
                _ => at + 1,
            };
        }
    }

    fn is_start_of_path(&self, at: usize) -> bool {
        let is_continued = at > 0 && matches!(self.source.word(at - 1), ":" | ".");
        // `a: B` has one colon before the path, `A::B` has two.
        let follows_path =
            is_continued && (self.source.word(at - 1) == "." || at > 1 && self.source.word(at - 2) == ":");
        self.source.kind(at) == Some(Kind::Word) && !follows_path && self.has_separator(at + 1)
    }

    fn has_separator(&self, at: usize) -> bool {
        self.source.word(at) == ":" && self.source.word(at + 1) == ":"
    }

    /// Reads a path in code; returns the index behind it.
    fn path(&mut self, start: usize) -> usize {
        let mut path = vec![self.source.word(start).to_owned()];
        let mut at = start + 1;
        while self.has_separator(at) && self.source.kind(at + 2) == Some(Kind::Word) {
            path.push(self.source.word(at + 2).to_owned());
            at += 3;
        }
        self.note(path, None, start);
        at
    }

    /// Reads one tree of a `use` declaration below a prefix; returns the index behind it.
    fn tree(&mut self, start: usize, prefix: &[String]) -> usize {
        let mut path = prefix.to_vec();
        let mut at = start;
        loop {
            match (self.source.word(at), self.source.kind(at)) {
                ("{", _) => return self.list(at, &path),
                ("*", _) => {
                    self.note(path, None, start);
                    return at + 1;
                }
                ("self", _) if !prefix.is_empty() => {}
                (word, Some(Kind::Word)) => path.push(word.to_owned()),
                (":", _) => {}
                _ => return at + 1,
            }
            at += 1;
            if self.has_separator(at) {
                at += 2;
                continue;
            }
            let is_renamed = self.source.word(at) == "as";
            let name =
                if is_renamed { Some(self.source.word(at + 1).to_owned()) } else { path.last().cloned() };
            self.note(path, name, start);
            return if is_renamed { at + 2 } else { at };
        }
    }

    fn list(&mut self, open: usize, prefix: &[String]) -> usize {
        let end = self.source.end_of_group(open);
        let mut at = open + 1;
        while at < end {
            at = if self.source.word(at) == "," { at + 1 } else { self.tree(at, prefix) };
        }
        end + 1
    }

    fn note(&mut self, path: Vec<String>, name: Option<String>, start: usize) {
        let inside = self.inside.iter().map(|(name, _)| name.clone()).collect();
        let byte = self.source.tokens.get(start).map_or(0, |token| token.range.start);
        self.found.push(Import { inside, path, name, byte });
    }
}
