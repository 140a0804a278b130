//! The decision on an uplink, as a pure function of its desired state, the held link and the interfaces.

use crate::attach::{AttachMode, DesiredMode};

/// An interface, with the XDP program on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XdpInterface {
    /// Its index. An interface that is deleted and recreated gets another one.
    pub index: u32,
    /// Its name, which may change.
    pub name: String,
    /// Whether the program runs on it in generic mode unless native mode is requested.
    pub requires_generic: bool,
    /// The XDP program on it.
    pub program: Option<XdpProgram>,
}

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpProgram {
    /// Its ID.
    pub id: u32,
    /// Its mode.
    pub mode: AttachMode,
}

/// The desired state of an uplink.
#[derive(Clone, Copy, Debug)]
pub(super) struct DesiredUplink<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The ID of the agent's program.
    pub(super) program: u32,
    /// The desired mode.
    pub(super) mode: DesiredMode,
}

/// The state of the link that the agent holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinkState {
    /// The interface that it was created for.
    pub(super) index: u32,
    /// The ID of the program that it runs.
    pub(super) program: u32,
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision<'a> {
    /// The uplink's current interface; `None` if there is none.
    pub(super) interface: Option<&'a XdpInterface>,
    /// Whether to close the link first, because it is detached or on an interface that is no longer the
    /// uplink.
    pub(super) release: bool,
    /// The next step.
    pub(super) step: Step,
}

/// The next step on an uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing to do.
    Keep,
    /// Attach the program by a new link.
    Attach,
    /// Put the agent's program back on the link, where another process has replaced it.
    Restore,
    /// Wait: the interface is missing, or has another program, which Fairlead does not remove.
    Wait,
}

/// Decides on an uplink. The name counts first; a renamed interface remains the uplink until another one
/// takes its name.
pub(super) fn decide<'a>(
    desired: DesiredUplink<'_>,
    link: Option<LinkState>,
    interfaces: &'a [XdpInterface],
) -> Decision<'a> {
    let named = interfaces.iter().find(|interface| interface.name == desired.name);
    let renamed = || interfaces.iter().find(|it| link.is_some_and(|link| link.index == it.index));
    let Some(interface) = named.or_else(renamed) else {
        return Decision { interface: None, release: link.is_some(), step: Step::Wait };
    };
    let decision = |release, step| Decision { interface: Some(interface), release, step };
    let fresh = || if interface.program.is_none() { Step::Attach } else { Step::Wait };
    let Some(link) = link else { return decision(false, fresh()) };
    if link.index != interface.index {
        return decision(true, fresh());
    }
    match interface.program {
        // The link has been detached, or the index belongs to a recreated interface.
        None => decision(true, Step::Attach),
        Some(program) if ![link.program, desired.program].contains(&program.id) => decision(true, Step::Wait),
        Some(_) if link.program != desired.program => decision(false, Step::Restore),
        Some(program)
            if desired.mode.required(interface.requires_generic).is_some_and(|mode| mode != program.mode) =>
        {
            decision(true, Step::Attach)
        }
        Some(_) => decision(false, Step::Keep),
    }
}

/// Returns the interface of each link of a previous agent, by the name that it is pinned under and by its
/// program; `None` if the interface is gone. The name counts first. An interface that was renamed since is
/// one that has the program and no link pinned under its name.
pub(super) fn locate(pinned: &[(String, u32)], interfaces: &[XdpInterface]) -> Vec<Option<u32>> {
    let has = |interface: &XdpInterface, program: u32| interface.program.is_some_and(|it| it.id == program);
    let named = |(name, program): &(String, u32)| {
        interfaces.iter().find(|it| it.name == *name && has(it, *program)).map(|it| it.index)
    };
    let mut found: Vec<Option<u32>> = pinned.iter().map(named).collect();
    for (at, (_, program)) in pinned.iter().enumerate() {
        if found[at].is_none() {
            let free = |it: &&XdpInterface| has(it, *program) && !found.contains(&Some(it.index));
            found[at] = interfaces.iter().find(free).map(|it| it.index);
        }
    }
    found
}

#[cfg(test)]
mod tests;
