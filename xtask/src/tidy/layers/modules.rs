//! Modules of one crate and the imports between them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::rust::{Import, Source};

/// Names from the root of a crate, which is empty.
pub(super) type Path = Vec<String>;

/// Re-exports that are followed one after the other, at most.
const HOPS: usize = 8;

/// The modules of a crate, without those for tests, and who imports whom.
#[derive(Debug)]
pub(super) struct Modules {
    directory: String,
    modules: BTreeSet<Path>,
    tests: BTreeSet<Path>,
    /// What a name in a module stands for, where a `use` declaration says so.
    names: BTreeMap<(Path, String), Path>,
    edges: Vec<Edge>,
}

/// One import of a module by another.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) from: Path,
    pub(super) to: Path,
    /// File and line.
    pub(super) place: String,
}

impl Modules {
    /// Reads the modules of the crate in a directory.
    pub(super) fn of(directory: &str, sources: &[&Source<'_>]) -> Self {
        let mut modules = Self {
            directory: directory.to_owned(),
            modules: BTreeSet::new(),
            tests: BTreeSet::new(),
            names: BTreeMap::new(),
            edges: Vec::new(),
        };
        let sources = modules.of_library(sources);
        for source in &sources {
            let path = modules.path(source);
            modules.tests.extend(source.test_modules().map(|name| child(&path, name)));
        }
        let sources: Vec<&Source<'_>> =
            sources.into_iter().filter(|source| !modules.is_for_tests(source)).collect();
        modules.modules = sources.iter().map(|source| modules.path(source)).collect();
        modules.read_names(&sources);
        modules.edges = sources.iter().flat_map(|source| modules.edges_of(source)).collect();
        modules
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.modules.len()
    }

    /// All imports of one module by another.
    pub(super) fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Whether a file is part of a module for tests.
    pub(super) fn is_for_tests(&self, source: &Source<'_>) -> bool {
        let path = self.path(source);
        (1..=path.len()).any(|length| self.tests.contains(&path[..length]))
    }

    /// Files of the library, or of the only program. Other programs beside a library cannot be imported.
    fn of_library<'a, 'b>(&self, sources: &[&'b Source<'a>]) -> Vec<&'b Source<'a>> {
        let [library, program, programs] =
            ["src/lib.rs", "src/main.rs", "src/bin/"].map(|name| format!("{}/{name}", self.directory));
        let has_library = sources.iter().any(|source| source.file.path == library);
        let is_apart = |source: &Source<'_>| {
            source.file.path.starts_with(&programs) || has_library && source.file.path == program
        };
        sources.iter().copied().filter(|source| !is_apart(source)).collect()
    }

    fn path(&self, source: &Source<'_>) -> Path {
        let name = source.file.path.strip_prefix(&self.directory).and_then(|path| path.strip_prefix("/src/"));
        let name = name.and_then(|path| path.strip_suffix(".rs")).unwrap_or_default();
        if matches!(name, "lib" | "main") { Vec::new() } else { name.split('/').map(str::to_owned).collect() }
    }

    /// Notes what names stand for, so that an import through a parent's re-export counts for the module
    /// behind it.
    fn read_names(&mut self, sources: &[&Source<'_>]) {
        for source in sources {
            let module = self.path(source);
            for import in source.imports() {
                let Some(name) = import.name.clone() else { continue };
                if let Some(path) = self.absolute(&module, &import.path)
                    && path.split_last().is_none_or(|(last, parent)| *last != name || parent != module)
                {
                    self.names.insert((module.clone(), name), path);
                }
            }
        }
    }

    fn edges_of(&self, source: &Source<'_>) -> Vec<Edge> {
        let own = self.path(source);
        let imports = source.imports().into_iter().filter(|import| !source.is_test(import.byte));
        imports
            .filter_map(|import| {
                let to = self.target(&own, &import)?;
                (to != own).then(|| Edge {
                    from: own.clone(),
                    to,
                    place: source.file.at(source.line(import.byte)),
                })
            })
            .collect()
    }

    /// The module that an import leads to.
    fn target(&self, own: &Path, import: &Import) -> Option<Path> {
        let mut path = import.path.clone();
        // What an inline module calls `super` is this file's module, or one inside it.
        for _ in &import.inside {
            if path.first().is_some_and(|first| first == "super") {
                path.remove(0);
                path.insert(0, "self".to_owned());
            }
        }
        let mut path = self.absolute(own, &path)?;
        for _ in 0..HOPS {
            let depth = self.depth(&path);
            let (module, rest) = path.split_at(depth);
            let next = rest.first().and_then(|name| self.names.get(&(module.to_vec(), name.clone())));
            match next {
                Some(next) => path = next.iter().chain(&rest[1..]).cloned().collect(),
                None => return Some(module.to_vec()),
            }
        }
        None
    }

    /// The path from the crate's root; `None` if it leads out of the crate.
    fn absolute(&self, own: &Path, path: &[String]) -> Option<Path> {
        let (first, mut rest) = path.split_first()?;
        let mut base = match first.as_str() {
            "crate" => Vec::new(),
            "self" => own.clone(),
            "super" => own.split_last()?.1.to_vec(),
            name if self.modules.contains(&child(own, name)) => child(own, name),
            name => self.names.get(&(own.clone(), name.to_owned()))?.clone(),
        };
        while let Some((_, more)) = rest.split_first().filter(|(next, _)| *next == "super") {
            base = base.split_last()?.1.to_vec();
            rest = more;
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// How many segments of a path name modules.
    fn depth(&self, path: &[String]) -> usize {
        (1..=path.len()).take_while(|&length| self.modules.contains(&path[..length])).last().unwrap_or(0)
    }
}

fn child(parent: &[String], name: &str) -> Path {
    parent.iter().cloned().chain(std::iter::once(name.to_owned())).collect()
}
