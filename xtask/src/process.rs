//! Child processes. An error names the command that failed.

use std::env;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Bytes taken from a child at a time.
const CHUNK: usize = 8192;

/// Returns the cargo that runs this program, to be run at the root of the workspace.
pub(crate) fn cargo() -> Command {
    command(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// Returns a program, to be run at the root of the workspace.
pub(crate) fn command(program: impl Into<OsString>) -> Command {
    let mut command = Command::new(program.into());
    command.current_dir(workspace::root());
    command
}

/// Runs a command with its output shown; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    match code(command)? {
        0 => Ok(()),
        code => bail!("`{}` ended with {code}", line(command)),
    }
}

/// Runs a command with its output shown.
///
/// Returns the exit code, as a shell counts it: 128 and the signal for a process that was killed.
pub(crate) fn code(command: &mut Command) -> Result<u8> {
    let status = command.status().with_context(|| format!("cannot start `{}`", line(command)))?;
    Ok(code_of(status))
}

/// Runs a command with its output hidden; a failure includes it.
///
/// Returns the standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{}`", line(command)))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    bail!("`{}` ended with {}\n{printed}{errors}", line(command), code_of(output.status));
}

/// Runs a command with its output shown, and passes every line of standard output to `see`.
///
/// Returns the exit code as [`code`] does.
pub(crate) fn watch(command: &mut Command, see: impl FnMut(&str)) -> Result<u8> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    let output = child.stdout.take().context("the child's output was not piped")?;
    tee(output, std::io::stdout(), see)?;
    Ok(code_of(child.wait()?))
}

/// Runs a command, and passes every line of standard output to `see` alone.
///
/// Returns the exit code as [`code`] does.
pub(crate) fn capture(command: &mut Command, see: impl FnMut(&str)) -> Result<u8> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{}`", line(command)))?;
    let output = child.stdout.take().context("the child's output was not piped")?;
    tee(output, std::io::sink(), see)?;
    Ok(code_of(child.wait()?))
}

/// Copies bytes as they arrive, so that a user sees a line grow, and passes whole lines to `see`.
fn tee(mut from: impl Read, mut to: impl Write, mut see: impl FnMut(&str)) -> Result<()> {
    let mut pending = Vec::new();
    let mut chunk = [0; CHUNK];
    loop {
        let count = from.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        let new = chunk.get(..count).unwrap_or_default();
        to.write_all(new)?;
        to.flush()?;
        pending.extend_from_slice(new);
        while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
            let complete: Vec<u8> = pending.drain(..=end).collect();
            see(String::from_utf8_lossy(&complete).trim_end());
        }
    }
    see(&String::from_utf8_lossy(&pending));
    Ok(())
}

/// Returns the command as a user would type it.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = std::iter::once(program.file_name().unwrap_or(program.as_os_str())).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Formats a duration for people.
pub(crate) fn elapsed(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 60.. => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{:.1} s", duration.as_secs_f64()),
    }
}

fn code_of(status: ExitStatus) -> u8 {
    let number = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    number.and_then(|number| u8::try_from(number).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{code, command, elapsed, output, tee};

    #[test]
    fn lines_are_seen_whole_and_the_last_one_needs_no_end() {
        let (mut passed_on, mut lines) = (Vec::new(), Vec::new());
        tee("one\n\ntw".as_bytes(), &mut passed_on, |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(
            (passed_on.as_slice(), lines.as_slice()),
            ("one\n\ntw".as_bytes(), ["one", "", "tw"].map(str::to_owned).as_slice())
        );
    }

    #[test]
    fn a_killed_child_counts_as_in_a_shell() {
        assert_eq!(code(command("sh").args(["-c", "kill -9 $$"])).unwrap(), 137);
    }

    #[test]
    fn a_failure_names_the_command_and_its_errors() {
        let error = output(command("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err().to_string();
        assert!(
            error.contains("sh -c") && error.contains("ended with 3") && error.contains("why"),
            "{error}"
        );
    }

    #[test]
    fn minutes_appear_when_there_are_any() {
        assert_eq!(elapsed(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(elapsed(Duration::from_secs(135)), "2 min 15 s");
    }
}
