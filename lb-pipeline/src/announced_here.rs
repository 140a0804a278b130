//! Whether this node answers for a VIP, by the tables.

use lb_common::maps::Announcer;
use lb_common::verdict::Refusal;

use crate::announcer::{OwnStanding, is_first_live};
use crate::subprograms::TableSubprograms;
use crate::tables::configured;

/// Returns whether this node answers for an address: it is the first live rank.
///
/// # Errors
/// [`Refusal::NotConfigured`].
#[inline(always)]
pub(crate) fn is_announced_here<T: TableSubprograms>(
    tables: &T,
    announcer: &Announcer,
) -> Result<bool, Refusal> {
    let config = configured(tables)?;
    let (node, is_draining) = (config.self_node, config.is_draining());
    let own = OwnStanding { node, is_draining, standing: config.standing() };
    Ok(is_first_live::<T::Word>(&announcer.ranks, own, |node| tables.announcer_state(node)))
}
