//! The commands that messages, help and documentation name.

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::{Command, CommandFactory};
use lb_agent::cli::Cli;

/// Returns the commands that a text names in backquotes, such as `fairlead status`, that the program does not
/// accept: by their first words and options.
pub(crate) fn unknown(text: &str) -> Vec<String> {
    let mut program = Cli::command();
    program.build();
    // Line breaks of comments and of string literals.
    let text = text.replace("///", " ").replace("//!", " ").replace('\\', " ");
    let named = text.split('`').skip(1).step_by(2).filter(|it| it.starts_with("fairlead "));
    named.filter(|it| !is_known(&program, it)).map(str::to_owned).collect()
}

fn is_known(program: &Command, line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    // A placeholder.
    if words.first().is_none_or(|word| !word.starts_with(|it: char| it.is_ascii_lowercase())) {
        return true;
    }
    let Some(mut command) = program.find_subcommand(words[0]) else { return false };
    for word in &words[1..] {
        if let Some(below) = command.find_subcommand(word) {
            command = below;
        } else if let Some(long) = word.strip_prefix("--") {
            let long = long.split(['=', ']', '|']).next().unwrap_or(long);
            let accepts = |it: &clap::Arg| {
                it.get_long() == Some(long) || it.get_all_aliases().is_some_and(|all| all.contains(&long))
            };
            if !command.get_arguments().any(accepts) {
                return false;
            }
        }
    }
    true
}

/// Returns all files below a directory with one of these extensions.
pub(crate) fn files(directory: &Path, extensions: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(self::files(&path, extensions)?);
        } else if path.extension().is_some_and(|it| extensions.iter().any(|known| it == *known)) {
            files.push(path);
        }
    }
    Ok(files)
}
