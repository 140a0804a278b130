//! Words of code and pages: banned words, the width of comments, and names of public types.

mod banned;
mod types;

use self::banned::matches;
use super::project::Project;
use super::rust::{Kind, Source};
use super::tree::File;

pub(super) use self::types::repeated as repeated_types;

/// Columns of a line of code (`rustfmt.toml`), and so of a comment.
const WIDTH: usize = 110;

/// Other files whose text is ours, by the end of their names.
const PAGES: [&str; 8] = [".md", ".yaml", ".yml", ".toml", ".tpl", ".txt", ".sh", "/run"];

/// Text that others wrote, or that other software reads: it keeps its words.
const FOREIGN: [&str; 3] = ["tests/data/", "fuzz/corpus/", "LICENSE-"];

/// This list itself, and a page that contrasts our words with others.
const ABOUT_WORDS: [&str; 2] = ["xtask/src/tidy/words", "docs/glossary.md"];

/// Banned words in names, comments and string literals of Rust sources, and in other text.
pub(super) fn banned_words(project: &Project<'_>) -> Vec<String> {
    let is_ours = |file: &File| !FOREIGN.iter().chain(&ABOUT_WORDS).any(|start| file.path.starts_with(start));
    let sources = project.sources.iter().filter(|source| is_ours(source.file)).flat_map(in_source);
    let pages = project.tree.files().filter(|file| PAGES.iter().any(|end| file.path.ends_with(end)));
    let pages = pages.filter(|file| is_ours(file)).flat_map(in_page);
    sources.chain(pages).chain(project.tree.files().flat_map(in_path)).collect()
}

/// Comments that are wider than code may be. Rows of tables and addresses of pages cannot be broken.
pub(super) fn wide_comments(project: &Project<'_>) -> Vec<String> {
    project.sources.iter().flat_map(wide_comments_of).collect()
}

fn in_source(source: &Source<'_>) -> Vec<String> {
    let words = source.tokens.iter().filter(|token| matches!(token.kind, Kind::Word | Kind::Literal));
    let ranges = words.map(|token| &token.range).chain(&source.comments);
    let mut found: Vec<(usize, String)> = Vec::new();
    for range in ranges {
        for (offset, advice) in matches(source.text(range), &source.file.path) {
            found.push((range.start + offset, advice));
        }
    }
    found.sort_unstable();
    found
        .into_iter()
        .map(|(byte, advice)| format!("{}: {advice}", source.file.at(source.line(byte))))
        .collect()
}

fn in_path(file: &File) -> Vec<String> {
    let found = matches(&file.path, &file.path).into_iter();
    found.map(|(_, advice)| format!("{}: name of the file: {advice}", file.path)).collect()
}

fn in_page(file: &File) -> Vec<String> {
    let lines = file.lines();
    lines
        .flat_map(|(number, line)| {
            let found = matches(line, &file.path).into_iter();
            found.map(move |(_, advice)| format!("{}: {advice}", file.at(number)))
        })
        .collect()
}

fn wide_comments_of(source: &Source<'_>) -> Vec<String> {
    let mut lines: Vec<usize> = source
        .comments
        .iter()
        .flat_map(|range| source.line(range.start)..=source.line(range.end.saturating_sub(1)))
        .collect();
    lines.dedup();
    let text: Vec<&str> = source.file.text.lines().collect();
    lines
        .into_iter()
        .filter_map(|number| {
            let line = text.get(number - 1)?;
            let width = line.chars().count();
            let content = line.trim_start().trim_start_matches(['/', '!', '*']).trim_start();
            let is_whole = content.starts_with('|') || content.contains("://");
            (width > WIDTH && !is_whole).then(|| format!("{}: {width} columns", source.file.at(number)))
        })
        .collect()
}

#[cfg(test)]
mod tests;
