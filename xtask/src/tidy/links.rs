//! Links between pages: the file exists, and so does the heading. The book holds all pages of `docs`, and no
//! others.

use std::collections::BTreeMap;

use super::project::Project;
use super::tree::{File, Tree};

/// The pages of the book.
const BOOK: &str = "docs/";

/// Its table of contents.
const SUMMARY: &str = "docs/SUMMARY.md";

/// Links in pages at the root and below `docs` and `.github` that lead nowhere.
pub(super) fn broken(project: &Project<'_>) -> Vec<String> {
    let pages = project.tree.ending(".md").filter(|file| is_page(&file.path));
    pages.flat_map(|page| broken_in(project.tree, page)).collect()
}

/// Pages of `docs` that the book lacks, and links that lead out of it.
pub(super) fn outside_the_book(project: &Project<'_>) -> Vec<String> {
    let Some(summary) = project.tree.file(SUMMARY) else { return vec![format!("{SUMMARY}: not found")] };
    let listed: Vec<String> = links(summary).filter_map(|(_, target)| joined(SUMMARY, target)).collect();
    let pages = project.tree.ending(".md").filter(|file| file.path.starts_with(BOOK));
    let mut found = Vec::new();
    for page in pages {
        if page.path != SUMMARY && !listed.contains(&page.path) {
            found.push(format!("{}: not in {SUMMARY}", page.path));
        }
        for (number, target) in links(page) {
            let path = target.split('#').next().unwrap_or_default();
            if !is_elsewhere(target)
                && joined(&page.path, path).is_none_or(|path| !path.starts_with(BOOK))
                && !path.is_empty()
            {
                found.push(format!(
                    "{}: {target}: not in the book; link to it by its address in the repository",
                    page.at(number)
                ));
            }
        }
    }
    found
}

fn is_page(path: &str) -> bool {
    !path.contains('/') || path.starts_with("docs/") || path.starts_with(".github/")
}

fn broken_in(tree: &Tree, page: &File) -> Vec<String> {
    let found =
        links(page).filter_map(|(number, target)| Some((number, target, problem(tree, page, target)?)));
    found.map(|(number, target, problem)| format!("{}: {target}: {problem}", page.at(number))).collect()
}

/// The links of a page with the numbers of their lines.
fn links(page: &File) -> impl Iterator<Item = (usize, &str)> {
    prose(page).flat_map(|(number, line)| targets(line).map(move |target| (number, target)))
}

/// Whether a link leads to another site.
fn is_elsewhere(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

/// Lines outside blocks of code.
fn prose(page: &File) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    page.lines().filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// What the links of a line lead to: `[text](target)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let behind = line.match_indices("](").map(|(at, mark)| &line[at + mark.len()..]);
    behind.filter_map(|rest| rest.split_once(')').map(|(target, _)| target.trim()))
}

fn problem(tree: &Tree, page: &File, target: &str) -> Option<&'static str> {
    if is_elsewhere(target) {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() { page.path.clone() } else { joined(&page.path, path)? };
    let Some(file) = tree.file(&path) else {
        return if tree.has_directory(&path) { None } else { Some("no such file") };
    };
    let is_missing =
        !anchor.is_empty() && file.path.ends_with(".md") && !anchors(file).iter().any(|it| it == anchor);
    is_missing.then_some("no such heading")
}

/// A relative path from a page, from the root.
fn joined(page: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(page: &File) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let headings = prose(page).filter_map(|(_, line)| {
        let text = line.trim_start_matches('#');
        (text.len() < line.len()).then(|| text.strip_prefix(' ')).flatten()
    });
    headings
        .map(|heading| {
            let slug = slug(heading.trim());
            let count = seen.entry(slug.clone()).or_default();
            *count += 1;
            if *count == 1 { slug } else { format!("{slug}-{}", *count - 1) }
        })
        .collect()
}

fn slug(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase)
        .map(|character| if character == ' ' { '-' } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Project, Tree, broken, outside_the_book, slug};

    #[test]
    fn files_and_headings_have_to_exist() {
        let page = "# A page\n\n[a](docs/b.md#the-b-c) [b](docs/c.md) [c](https://x.y/z)\n[d](#a-page) [e](#no) [f](docs)\n\
                    ```\n[g](nowhere)\n# no heading\n```\n[h](#no-heading)\n";
        let other = "## The `b`: c\n\n## Twice\n## Twice\n[up](../README.md#a-page) [twice](#twice-1) [out](../../x)\n";
        let tree = Tree::of(&[("README.md", page), ("docs/b.md", other), ("lb-x/notes.md", "[x](nowhere)")]);
        assert_eq!(
            broken(&Project::of(&tree)),
            [
                "README.md:3: docs/c.md: no such file",
                "README.md:4: #no: no such heading",
                "README.md:9: #no-heading: no such heading"
            ]
        );
    }

    #[test]
    fn the_book_holds_all_pages_and_leads_to_no_others() {
        let page = "[up](../README.md) [b](b.md#x) [here](#y) [site](https://x.y)\n";
        let summary = "- [A](a.md)\n- [C](sub/c.md)\n";
        let tree = Tree::of(&[
            ("README.md", ""),
            ("docs/SUMMARY.md", summary),
            ("docs/a.md", page),
            ("docs/b.md", ""),
            ("docs/sub/c.md", "[a](../a.md)\n"),
        ]);
        assert_eq!(
            outside_the_book(&Project::of(&tree)),
            [
                "docs/a.md:1: ../README.md: not in the book; link to it by its address in the repository",
                "docs/b.md: not in docs/SUMMARY.md"
            ]
        );
    }

    #[test]
    fn an_anchor_is_what_github_makes_of_a_heading() {
        assert_eq!(
            slug("Which clients? `--ask-kernel`, and RFC 7606"),
            "which-clients---ask-kernel-and-rfc-7606"
        );
    }
}
