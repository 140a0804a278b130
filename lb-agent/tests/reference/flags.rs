//! The page about subcommands and their arguments.

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory};
use lb_agent::cli::Cli;

use crate::{code, head, table};

pub(crate) fn page() -> String {
    let mut program = Cli::command();
    program.build();
    let mut text = head(
        "Command line",
        "The subcommands of `fairlead` with their arguments. An environment variable is read where the argument is not given.",
    );
    for command in program.get_subcommands().filter(|it| it.get_name() != "help" && !it.is_hide_set()) {
        text += &section(command, "fairlead");
    }
    text
}

fn section(command: &Command, parent: &str) -> String {
    let name = format!("{parent} {}", command.get_name());
    let mut text = format!("\n## {name}\n\n{}\n", sentence(command.get_long_about().or(command.get_about())));
    let rows: Vec<Vec<String>> = command.get_arguments().filter(|it| is_shown(it)).map(row).collect();
    if !rows.is_empty() {
        text += "\n";
        text += &table(&["argument", "value", "default", "environment", "meaning"], &rows);
    }
    for below in command.get_subcommands().filter(|it| it.get_name() != "help" && !it.is_hide_set()) {
        text += &section(below, &name);
    }
    text
}

fn is_shown(argument: &Arg) -> bool {
    !argument.is_hide_set() && !matches!(argument.get_id().as_str(), "help" | "version")
}

fn row(argument: &Arg) -> Vec<String> {
    let long = argument.get_long().map(|long| format!("--{long}"));
    let short = argument.get_short().map(|short| format!("-{short}"));
    let flags: Vec<String> = short.into_iter().chain(long).map(|flag| code(&flag)).collect();
    let takes_value = argument.get_action().takes_values();
    let default: Vec<String> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    let environment = argument.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    vec![
        if flags.is_empty() { code(argument.get_id().as_str()) } else { flags.join(", ") },
        if takes_value { values(argument) } else { String::new() },
        if takes_value { code(&default.join(",")) } else { String::new() },
        code(&environment),
        meaning(argument),
    ]
}

/// What the value may be: one of a few words, or what the help calls it.
fn values(argument: &Arg) -> String {
    let words: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|it| !it.is_hide_set())
        .map(|it| code(it.get_name()))
        .collect();
    if !words.is_empty() {
        return words.join(", ");
    }
    let names = argument.get_value_names().unwrap_or_default();
    code(&names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

fn meaning(argument: &Arg) -> String {
    let mut text = sentence(argument.get_long_help().or(argument.get_help()));
    for alias in argument.get_all_aliases().unwrap_or_default() {
        text += &format!(" Alias: `--{alias}`.");
    }
    text
}

fn sentence(help: Option<&StyledStr>) -> String {
    let text = help.map(ToString::to_string).unwrap_or_default();
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}
