//! `fairlead why` in a lab: broken set-ups, each of which is undone.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::lab::LabNode;
use crate::lab::node::find_binary;
use crate::routers::wait;

/// How long a set-up may take until `why` names its cause, and until all is well after it: BGP sessions come
/// up again after a hold-off of some seconds.
const WITHIN: Duration = Duration::from_secs(30);

/// What is asked of a node.
#[derive(Clone, Copy, Debug)]
pub struct WhyCommand<'a> {
    /// The node.
    pub node: &'a LabNode<'a>,
    /// The Service or VIP.
    pub target: &'a str,
    /// The client.
    pub client: Option<&'a str>,
}

impl WhyCommand<'_> {
    /// Asks, and returns the exit code and the answer.
    ///
    /// # Errors
    /// When the command cannot be run, or prints no JSON.
    pub fn ask(&self) -> Result<(i32, Value)> {
        let binary = find_binary()?;
        let mut command = self.node.command(&binary.to_string_lossy());
        command = command.args(["why", self.target, "-o", "json", "--socket"]).arg(self.node.socket());
        if let Some(client) = self.client {
            command = command.args(["--from", client]);
        }
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let answer = serde_json::from_str(&text)
            .with_context(|| format!("{text}\n{}", String::from_utf8_lossy(&output.stderr)))?;
        Ok((output.status.code().context("killed")?, answer))
    }

    /// Waits until all is well.
    ///
    /// # Errors
    /// When it is not in time.
    pub fn wait_well(&self) -> Result<()> {
        wait(WITHIN, || {
            let (code, answer) = self.ask()?;
            ensure!(code == 0 && answer["first"].is_null(), "not well: {}", shown(&answer));
            Ok(())
        })
    }

    /// Waits until this is the first cause.
    ///
    /// # Errors
    /// When it is not in time.
    pub fn wait_cause(&self, cause: &str) -> Result<()> {
        wait(WITHIN, || {
            let (code, answer) = self.ask()?;
            ensure!(answer["first"]["cause"] == cause, "{}", shown(&answer));
            ensure!(answer["first"]["advice"].as_str().is_some_and(|advice| !advice.is_empty()));
            ensure!(code == if cause == "agent_not_answering" { 2 } else { 1 }, "exit code {code}");
            Ok(())
        })
    }
}

/// The set-ups of a lab, and those of which `why` did not name the true cause.
#[derive(Debug, Default)]
pub struct SetUps {
    count: Cell<usize>,
    wrong: RefCell<Vec<String>>,
}

impl SetUps {
    /// Breaks something, checks that `why` names the cause first, repairs it, and checks that all is well.
    ///
    /// # Errors
    /// When something cannot be done, or all is not well after it.
    pub fn broken(
        &self,
        name: &str,
        cause: &str,
        [question, well]: [&WhyCommand<'_>; 2],
        make: impl FnOnce() -> Result<()>,
        undo: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let begun = Instant::now();
        make().with_context(|| format!("{name}: cannot be set up"))?;
        let named = question.wait_cause(cause);
        let found = begun.elapsed();
        undo().with_context(|| format!("{name}: cannot be undone"))?;
        let well = well.wait_well();
        let mended = begun.elapsed().saturating_sub(found);
        println!("{name:<28} {cause:<22} named after {found:>6.1?}, all well after {mended:>6.1?}");
        self.count.set(self.count.get() + 1);
        // The others are of interest, too.
        let wrong = named.map_err(|error| format!("{name}: {cause} is not named: {error:?}"));
        let wrong = wrong.and(well.map_err(|error| format!("after {name}: {error:?}")));
        self.wrong.borrow_mut().extend(wrong.err());
        Ok(())
    }

    /// Returns how many set-ups there were.
    ///
    /// # Errors
    /// When `why` did not name the true cause of one, or named one after it.
    pub fn finish(self) -> Result<usize> {
        let wrong = self.wrong.into_inner();
        ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        Ok(self.count.get())
    }
}

/// Returns the links of an answer that are not well, for messages.
fn shown(answer: &Value) -> String {
    let links = answer["chains"].as_array().into_iter().flatten();
    let links = links.flat_map(|chain| chain["links"].as_array().into_iter().flatten());
    let lines = links
        .filter(|link| link["state"] != "ok")
        .map(|link| format!("{} {} {}: {}", link["state"], link["name"], link["cause"], link["fact"]));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the fact of a link in the first chain of an answer.
///
/// # Errors
/// When there is no such link.
pub fn fact<'a>(answer: &'a Value, link: &str) -> Result<&'a str> {
    let links = answer["chains"][0]["links"].as_array().context("no chain")?;
    match links.iter().find(|it| it["name"] == link) {
        Some(found) => found["fact"].as_str().context("no fact"),
        None => bail!("no link {link}: {answer}"),
    }
}
