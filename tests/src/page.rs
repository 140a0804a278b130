//! A documentation page as a test: its commands, run word for word.
//!
//! A block of commands is marked by `<!-- step: NAME -->` on the line above it. Every block needs a mark, so
//! that a test can check that it has run all of them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::kube_clients::{KubeClients, root};
use crate::lab::node::find_binary;

/// A block of commands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageStep {
    /// The name in the mark.
    pub name: String,
    /// The commands.
    pub commands: String,
}

/// Returns the steps of a page, in order.
///
/// # Errors
/// When the page cannot be read, or a block has no mark.
pub fn steps(page: &str) -> Result<Vec<PageStep>> {
    let text = fs::read_to_string(root().join(page)).with_context(|| page.to_owned())?;
    parse(&text).with_context(|| page.to_owned())
}

fn parse(text: &str) -> Result<Vec<PageStep>> {
    let mut steps: Vec<PageStep> = Vec::new();
    let mut mark = None;
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let trimmed = line.trim_start();
        if trimmed == "```sh" {
            let indent = line.len() - trimmed.len();
            let name: String = mark.take().with_context(|| format!("line {}: no mark", number + 1))?;
            let block = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```");
            let commands: Vec<&str> = block.map(|line| line.get(indent..).unwrap_or_default()).collect();
            steps.push(PageStep { name, commands: commands.join("\n") });
        }
        mark =
            trimmed.strip_prefix("<!-- step: ").and_then(|rest| rest.strip_suffix(" -->")).map(str::to_owned);
    }
    Ok(steps)
}

/// A reader's shell: in a checkout, with kubectl, helm and fairlead in `PATH`, and a kubeconfig in `HOME`.
pub struct Shell {
    directory: TempDir,
    path: String,
    steps: Vec<PageStep>,
    done: Vec<String>,
}

impl Shell {
    /// Opens a shell for the steps of these pages.
    ///
    /// # Errors
    /// When its directory cannot be set up, or the product's binary is missing.
    pub fn open(clients: &KubeClients, kubeconfig: &Path, pages: &[&str]) -> Result<Self> {
        let directory = TempDir::with_prefix("fairlead-page-")?;
        let home = directory.path().join("home");
        fs::create_dir_all(home.join(".kube"))?;
        fs::copy(kubeconfig, home.join(".kube/config"))?;
        let programs = directory.path().join("bin");
        fs::create_dir(&programs)?;
        symlink(fs::canonicalize(find_binary()?)?, programs.join("fairlead"))?;
        let checkout = directory.path().join("checkout");
        fs::create_dir(&checkout)?;
        symlink(root().join("deploy"), checkout.join("deploy"))?;
        let path = format!("{}:{}:/usr/bin:/bin", clients.directory().display(), programs.display());
        let steps = pages.iter().map(|page| steps(page)).collect::<Result<Vec<_>>>()?.concat();
        Ok(Self { directory, path, steps, done: Vec::new() })
    }

    /// Returns the checkout that commands run in.
    #[must_use]
    pub fn checkout(&self) -> PathBuf {
        self.directory.path().join("checkout")
    }

    /// Runs the step of this name, which must succeed. Returns its output.
    ///
    /// # Errors
    /// When there is no such step, or it fails; the error has its output.
    pub fn step(&mut self, name: &str) -> Result<String> {
        let found = self.steps.iter().find(|step| step.name == name).cloned();
        let step = found.with_context(|| format!("no page has a step {name}"))?;
        self.done.push(name.to_owned());
        self.run(&step.commands).with_context(|| format!("step {name}"))
    }

    /// Runs other commands, which must succeed. Returns their output.
    ///
    /// # Errors
    /// When they fail; the error has their output.
    pub fn run(&self, commands: &str) -> Result<String> {
        let (succeeded, printed) = self.attempt(commands)?;
        ensure!(succeeded, "{commands}\n{printed}");
        Ok(printed)
    }

    /// Runs commands. Returns whether they succeeded, and their output.
    ///
    /// # Errors
    /// When the shell cannot be started.
    pub fn attempt(&self, commands: &str) -> Result<(bool, String)> {
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", commands])
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.directory.path().join("home"))
            .current_dir(self.checkout())
            .output()
            .context("cannot start bash")?;
        let printed = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&printed).into_owned()))
    }

    /// Waits until all definitions are established, shortly after they were accepted. Before a definition has
    /// any condition, kubectl fails at once.
    ///
    /// # Errors
    /// When they are not established in time.
    pub fn until_served(&self) -> Result<()> {
        let wait = "kubectl wait --for=condition=Established crd --all --timeout=20s";
        self.run(&format!("for try in {{1..50}}; do {wait} && exit; sleep 0.1; done; exit 1")).map(drop)
    }

    /// Returns the steps that have not been run.
    #[must_use]
    pub fn left(&self) -> Vec<&str> {
        let names = self.steps.iter().map(|step| step.name.as_str());
        names.filter(|name| !self.done.iter().any(|done| done == name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_found_by_its_mark_and_loses_the_indentation_of_its_list() {
        let text = "# x\n1. y\n\n   <!-- step: a -->\n   ```sh\n   one\n     two\n   ```\n\n<!-- step: b -->\n```sh\nthree\n```\n";
        let step = |name: &str, commands: &str| PageStep { name: name.into(), commands: commands.into() };
        assert_eq!(parse(text).unwrap(), [step("a", "one\n  two"), step("b", "three")]);
        assert!(parse("<!-- step: a -->\n\n```sh\none\n```\n").is_err());
    }
}
