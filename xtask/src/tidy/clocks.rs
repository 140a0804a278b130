//! The ban of clocks in pure crates: each has a `clippy.toml` that names them, with a reason of its own.

use super::floors::FLOORS;
use super::project::Project;

/// What would read a clock.
const CLOCKS: [&str; 2] = ["std::time::Instant::now", "std::time::SystemTime::now"];

/// Pure crates without the ban, or with a reason that another crate gives.
pub(super) fn missing_bans(project: &Project<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let mut reasons: Vec<(&str, &str)> = Vec::new();
    for floor in FLOORS.iter().filter(|floor| floor.is_pure) {
        let directory = floor.directory;
        if project.tree.file(&format!("{directory}/Cargo.toml")).is_none() {
            continue;
        }
        let path = format!("{directory}/clippy.toml");
        let text = project.tree.file(&path).map_or("", |file| &file.text);
        for clock in CLOCKS {
            let entry = text.lines().find(|line| line.contains(&format!("\"{clock}\"")));
            let reason = entry.and_then(|line| line.split_once("reason = \"")?.1.split('"').next());
            match reason {
                None => found.push(format!("{path}: does not ban {clock} with a reason")),
                Some(reason) => {
                    match reasons.iter().find(|(other, given)| *other != directory && *given == reason) {
                        Some((other, _)) => {
                            found.push(format!("{path}: has the reason of {other}; say why here"))
                        }
                        None => reasons.push((directory, reason)),
                    }
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::{Project, missing_bans};

    const BAN: &str = "disallowed-methods = [\n    { path = \"std::time::Instant::now\", reason = \"a\" },\n    \
                       { path = \"std::time::SystemTime::now\", reason = \"a\" },\n]\n";

    #[test]
    fn each_pure_crate_bans_clocks_for_a_reason_of_its_own() {
        let tree = Tree::of(&[
            ("lb-common/Cargo.toml", ""),
            ("lb-common/clippy.toml", BAN),
            ("lb-bfd/Cargo.toml", ""),
            ("lb-bfd/clippy.toml", &BAN.replacen("\"a\"", "\"b\"", 1)),
            ("lb-bgp/Cargo.toml", ""),
            ("lb-agent/Cargo.toml", ""),
        ]);
        assert_eq!(
            missing_bans(&Project::of(&tree)),
            [
                "lb-bfd/clippy.toml: has the reason of lb-common; say why here",
                "lb-bgp/clippy.toml: does not ban std::time::Instant::now with a reason",
                "lb-bgp/clippy.toml: does not ban std::time::SystemTime::now with a reason"
            ]
        );
    }
}
