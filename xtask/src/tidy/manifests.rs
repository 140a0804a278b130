//! Rules about manifests, which are read line by line: this project writes one dependency a line.

use super::floors::FLOORS;
use super::tree::{File, Tree};

/// What would let a pure crate do I/O. A name ending in `-` stands for all that begin so.
const IMPURE: [&str; 24] = [
    "async-",
    "aya",
    "axum",
    "caps",
    "chrono",
    "fairlead-",
    "futures",
    "getrandom",
    "hyper",
    "hyper-",
    "inotify",
    "k8s-",
    "kube",
    "libc",
    "mio",
    "netlink-",
    "nix",
    "rand",
    "reqwest",
    "rtnetlink",
    "rustix",
    "socket2",
    "tokio",
    "tokio-",
];

/// Exceptions: crate and optional dependency.
const EXCEPTIONS: [(&str, &str); 1] = [
    // Only the crate of a type can make it a map's key or value, because the trait is aya's.
    ("lb-common", "aya"),
];

pub(super) struct Dependency<'a> {
    pub(super) line: usize,
    pub(super) name: &'a str,
    /// The text behind the name.
    choice: &'a str,
    /// Whether it is a dependency of tests only.
    pub(super) is_for_tests: bool,
}

/// Returns dependencies of pure crates that do I/O; those of their tests may.
pub(super) fn impurities(tree: &Tree) -> Vec<String> {
    let names = FLOORS.iter().filter(|floor| floor.is_pure).map(|floor| floor.directory);
    let pure = names.filter_map(|name| Some((name, tree.file(&format!("{name}/Cargo.toml"))?)));
    pure.flat_map(|(name, manifest)| {
        let impure = dependencies(manifest).into_iter().filter(move |found| is_impurity(name, found));
        impure.map(|found| format!("{}: {}", manifest.at(found.line), found.name))
    })
    .collect()
}

fn is_impurity(of: &str, found: &Dependency<'_>) -> bool {
    let is_excepted = EXCEPTIONS.contains(&(of, found.name)) && contains(found.choice, "optional=true");
    is_impure(found.name) && !found.is_for_tests && !is_excepted
}

/// Returns dependencies with a version of their own.
pub(super) fn own_versions(tree: &Tree) -> Vec<String> {
    let members = tree.ending("/Cargo.toml");
    members
        .flat_map(|manifest| {
            let own =
                dependencies(manifest).into_iter().filter(|found| !contains(found.choice, "workspace=true"));
            own.map(|found| format!("{}: {} is not `workspace = true`", manifest.at(found.line), found.name))
        })
        .collect()
}

fn is_impure(name: &str) -> bool {
    IMPURE.iter().any(|&impure| name == impure || (impure.ends_with('-') && name.starts_with(impure)))
}

/// Whether the text contains a setting, however it is spaced.
fn contains(choice: &str, setting: &str) -> bool {
    let choice: String = choice.chars().filter(|character| !character.is_whitespace()).collect();
    choice.contains(setting)
}

/// Returns all dependencies of a manifest, of every kind and target.
pub(super) fn dependencies(manifest: &File) -> Vec<Dependency<'_>> {
    let mut found = Vec::new();
    let mut section = "";
    for (line, text) in manifest.lines() {
        let text = text.trim();
        if let Some(header) = text.strip_prefix('[') {
            section = header.trim_end_matches(']');
            continue;
        }
        // The workspace's own table chooses versions.
        let is_choice = section == "workspace.dependencies";
        if !section.ends_with("dependencies") || is_choice || text.starts_with('#') {
            continue;
        }
        if let Some(end) = text.find(['.', '=', ' ']) {
            let (name, choice) = text.split_at(end);
            found.push(Dependency {
                line,
                name,
                choice,
                is_for_tests: section.ends_with("dev-dependencies"),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Tree, impurities, own_versions};

    #[test]
    fn a_pure_crate_may_test_with_what_it_must_not_use() {
        let manifest = "[dependencies]\n# tokio.workspace = true\nserde.workspace = true\ntokio-util.workspace = true\n\
                        [dev-dependencies]\ntokio.workspace = true\n";
        let tree = Tree::of(&[("lb-plan/Cargo.toml", manifest), ("lb-agent/Cargo.toml", manifest)]);
        assert_eq!(impurities(&tree), ["lb-plan/Cargo.toml:4: tokio-util"]);
    }

    #[test]
    fn an_exception_has_to_be_optional() {
        let optional = Tree::of(&[(
            "lb-common/Cargo.toml",
            "[dependencies]\naya = { workspace = true, optional = true }\n",
        )]);
        let always = Tree::of(&[("lb-common/Cargo.toml", "[dependencies]\naya.workspace = true\n")]);
        assert_eq!((impurities(&optional).len(), impurities(&always).len()), (0, 1));
    }

    #[test]
    fn a_version_outside_the_workspace_is_found() {
        let manifest = "[package]\nversion = \"1\"\n[dependencies]\nanyhow = \"1.0\"\nclap = { workspace = true, features = [] }\n\
                        [target.'cfg(unix)'.dependencies]\nlibc = { version = \"0.2\" }\n";
        let tree = Tree::of(&[("x/Cargo.toml", manifest)]);
        assert_eq!(
            own_versions(&tree),
            [
                "x/Cargo.toml:4: anyhow is not `workspace = true`",
                "x/Cargo.toml:7: libc is not `workspace = true`"
            ]
        );
    }
}
