//! Rules about Rust sources.

use super::tree::{File, Tree};

/// The files that may hold unsafe code. Before you add one, ask whether one of them can do it.
const FILES: [&str; 18] = [
    // No library builds the address of a packet socket.
    "lb-dataplane/src/layer2/socket.rs",
    "lb-dataplane/src/mapping.rs",
    // No library reads and writes map entries of a size chosen at run time.
    "lb-dataplane/src/raw_map.rs",
    // Descriptors that a message carries become owned ones.
    "lb-keeper/src/channel.rs",
    // Counters of TCP that no library reads.
    "lb-keeper/src/position.rs",
    "lb-kube/src/directory/read_lease.rs",
    "lb-speaker/src/bfd/priority.rs",
    "lb-speaker/src/socket.rs",
    "lb-common/src/pod.rs",
    // Global functions keep their names, which counts as unsafe.
    "lb-ebpf/src/calls.rs",
    "lb-ebpf/src/frame.rs",
    // The bytes of a packet in benchmarks, whose programs must cost nothing that the product's do not.
    "lb-ebpf/src/harness.rs",
    // Helpers that take and return pointers, and calls of kernel functions without a binding.
    "lb-ebpf/src/kernel.rs",
    "lb-ebpf/src/maps.rs",
    "lb-ebpf/src/runtime.rs",
    // The same for maps and helpers.
    "lb-ebpf/src/tools.rs",
    // Subprograms, helpers and maps that the program on the uplinks does not have.
    "lb-ebpf/src/trace.rs",
    "tests/src/lab/namespaces.rs",
];

/// In two pieces, or this file would have to be in the list.
const UNSAFE: &str = concat!("un", "safe");

/// Bytes of a map's name that the kernel keeps (`BPF_OBJ_NAME_LEN` less one); aya cuts the rest without a
/// warning.
const LONGEST_MAP_NAME: usize = 15;

/// Lines above which a file deserves another look.
const LONG: usize = 600;

/// Returns unsafe code outside the listed files, and listed files without any.
pub(super) fn misplaced_unsafe(tree: &Tree) -> Vec<String> {
    let others = tree.ending(".rs").filter(|file| !FILES.contains(&file.path.as_str()));
    let elsewhere = others.filter_map(|file| first_unsafe(file).map(|line| file.at(line)));
    let is_safe = |path: &&&str| tree.file(path).and_then(first_unsafe).is_none();
    let left =
        FILES.iter().filter(is_safe).map(|path| format!("{path}: holds none; remove it from the list"));
    elsewhere.chain(left).collect()
}

/// Returns names of maps that the kernel would cut. Those of the shared maps are checked at compile time.
pub(super) fn map_names(tree: &Tree) -> Vec<String> {
    let maps = tree.ending(".rs").flat_map(|file| quoted_after(file, "btf_map(name = "));
    maps.filter(|(_, name)| is_cut(name)).map(|(place, name)| format!("{place}: {name}")).collect()
}

/// Returns files that may have grown beyond one subject: worth a look, not a violation.
pub(super) fn long_files(tree: &Tree) -> Vec<String> {
    let lengths = tree.ending(".rs").map(|file| (file, file.text.lines().count()));
    lengths
        .filter(|&(_, lines)| lines > LONG)
        .map(|(file, lines)| format!("{}: {lines} lines", file.path))
        .collect()
}

fn is_cut(name: &str) -> bool {
    name.len() > LONGEST_MAP_NAME
}

fn first_unsafe(file: &File) -> Option<usize> {
    let is_unsafe = |line: &str| {
        let code = line.split_once("//").map_or(line, |(code, _)| code);
        code.split(|character: char| !character.is_alphanumeric() && character != '_')
            .any(|word| word == UNSAFE)
    };
    file.lines().find(|(_, line)| is_unsafe(line)).map(|(number, _)| number)
}

/// Returns string literals right behind `before`, with their places.
fn quoted_after<'a>(file: &'a File, before: &str) -> Vec<(String, &'a str)> {
    let quoted =
        |line: &'a str| line.split_once(before)?.1.strip_prefix('"')?.split_once('"').map(|(name, _)| name);
    file.lines().filter_map(|(number, line)| Some((file.at(number), quoted(line)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::{FILES, Tree, UNSAFE, map_names, misplaced_unsafe};

    #[test]
    fn words_in_comments_and_names_are_not_code() {
        let text = format!("// {UNSAFE}\n#![deny({UNSAFE}_code)]\nfn f() {{ {UNSAFE} {{ g() }} }}\n");
        let mut files = FILES.map(|path| (path, text.as_str())).to_vec();
        files.push(("a.rs", &text));
        assert_eq!(misplaced_unsafe(&Tree::of(&files)), ["a.rs:3"]);
    }

    #[test]
    fn a_listed_file_without_need_is_found() {
        let violations = misplaced_unsafe(&Tree::of(&[(FILES[0], "fn f() {}")]));
        assert_eq!(violations.len(), FILES.len());
    }

    #[test]
    fn a_name_that_would_be_cut_is_found() {
        let program = "#[btf_map(name = \"lb_fifteen_byte\")]\n#[btf_map(name = \"lb_sixteen_bytes\")]\n#[btf_map(name = \"harness\")]\n";
        let tree = Tree::of(&[("lb-ebpf/src/maps.rs", program)]);
        assert_eq!(map_names(&tree), ["lb-ebpf/src/maps.rs:2: lb_sixteen_bytes"]);
    }
}
