//! What to do about an uplink: a function of what is desired, what is held and what the kernel has.

use super::super::attach::{Mode, ModeChoice};

/// An interface as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its index: of an interface that is deleted and made again, another one.
    pub index: u32,
    /// Its name, which may change while it lives.
    pub name: String,
    /// Whether it is a veth.
    pub is_veth: bool,
    /// The XDP program on it.
    pub program: Option<Program>,
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its id.
    pub id: u32,
    /// How it runs.
    pub mode: Mode,
}

/// What is desired of an uplink.
#[derive(Clone, Copy, Debug)]
pub(super) struct Desired<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// Id of the agent's program.
    pub(super) program: u32,
    /// How it is to run.
    pub(super) mode: ModeChoice,
}

/// The link that the agent holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The interface that it was made for.
    pub(super) index: u32,
    /// The program that it runs now.
    pub(super) program: u32,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision<'a> {
    /// The interface that the uplink is now; `None`: there is none.
    pub(super) interface: Option<&'a Interface>,
    /// Whether to give the link up first: it leads nowhere, or to what is no uplink any more.
    pub(super) release: bool,
    /// What comes then.
    pub(super) step: Step,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// All is as desired.
    Keep,
    /// Attach the program by a new link.
    Attach,
    /// Put the agent's program back onto the link: another process has replaced it there.
    Restore,
    /// Wait: there is no interface, or it has another program, which is not ours to remove.
    Wait,
}

/// Decides. The name counts first; an interface that was renamed stays the uplink as long as no other one takes its
/// name.
pub(super) fn decide<'a>(
    desired: Desired<'_>,
    held: Option<Held>,
    interfaces: &'a [Interface],
) -> Decision<'a> {
    let named = interfaces.iter().find(|interface| interface.name == desired.name);
    let renamed = || interfaces.iter().find(|it| held.is_some_and(|held| held.index == it.index));
    let Some(interface) = named.or_else(renamed) else {
        return Decision { interface: None, release: held.is_some(), step: Step::Wait };
    };
    let decision = |release, step| Decision { interface: Some(interface), release, step };
    let fresh = || if interface.program.is_none() { Step::Attach } else { Step::Wait };
    let Some(held) = held else { return decision(false, fresh()) };
    if held.index != interface.index {
        return decision(true, fresh());
    }
    match interface.program {
        // The link has been detached; an index can also be an interface's that was made again.
        None => decision(true, Step::Attach),
        Some(program) if ![held.program, desired.program].contains(&program.id) => decision(true, Step::Wait),
        Some(_) if held.program != desired.program => decision(false, Step::Restore),
        Some(program) if desired.mode.of(interface.is_veth).is_some_and(|mode| mode != program.mode) => {
            decision(true, Step::Attach)
        }
        Some(_) => decision(false, Step::Keep),
    }
}

/// The interface that each link of an agent before this one is on, by the name it is pinned under and its program.
/// `None`: on none, the interface is gone. A name says it where it can; an interface that was renamed since is one
/// that has the program and no link of its name.
pub(super) fn locate(pinned: &[(String, u32)], interfaces: &[Interface]) -> Vec<Option<u32>> {
    let has = |interface: &Interface, program: u32| interface.program.is_some_and(|it| it.id == program);
    let named = |(name, program): &(String, u32)| {
        interfaces.iter().find(|it| it.name == *name && has(it, *program)).map(|it| it.index)
    };
    let mut found: Vec<Option<u32>> = pinned.iter().map(named).collect();
    for (at, (_, program)) in pinned.iter().enumerate() {
        if found[at].is_none() {
            let free = |it: &&Interface| has(it, *program) && !found.contains(&Some(it.index));
            found[at] = interfaces.iter().find(free).map(|it| it.index);
        }
    }
    found
}

#[cfg(test)]
mod tests;
