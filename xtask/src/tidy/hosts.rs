//! Hosts of package registries, which no file names: where packages come from is each machine's
//! configuration.

use super::tree::Tree;

/// The lock file, in which cargo names its index in every entry.
const WRITTEN_BY_CARGO: &str = "Cargo.lock";

/// Hosts of package registries, name and domain apart, so that this file does not break the rule.
const HOSTS: [[&str; 2]; 14] = [
    ["crates", "io"],
    ["static.rust-lang", "org"],
    ["pypi", "org"],
    ["pythonhosted", "org"],
    ["npmjs", "org"],
    ["npmjs", "com"],
    ["yarnpkg", "com"],
    ["proxy.golang", "org"],
    ["sum.golang", "org"],
    ["rubygems", "org"],
    ["maven", "org"],
    ["deb.debian", "org"],
    ["archive.ubuntu", "com"],
    ["apt.llvm", "org"],
];

/// Returns the lines that name one.
pub(super) fn registries(tree: &Tree) -> Vec<String> {
    let hosts = HOSTS.map(|parts| parts.join("."));
    let files = tree.files().filter(|file| !file.path.ends_with(WRITTEN_BY_CARGO));
    files
        .flat_map(|file| {
            let named = file.lines().filter(|(_, line)| hosts.iter().any(|host| line.contains(host)));
            named.map(|(number, line)| format!("{}: {}", file.at(number), line.trim()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{HOSTS, Tree, registries};

    #[test]
    fn a_host_is_found_everywhere_except_in_the_lock_file() {
        let line = format!("see https://{}/x", HOSTS[0].join("."));
        let tree = Tree::of(&[("README.md", &line), ("Cargo.lock", &line), ("a.rs", "crates_io")]);
        assert_eq!(registries(&tree), [format!("README.md:1: {line}")]);
    }
}
