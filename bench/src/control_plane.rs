//! The control plane: the cost of full passes by the size of a cluster, and of single changes.
//!
//! A sample is measured in a process of its own, so that no heap is that of another size, in CPU time of its
//! thread, so that other processes count as little as they can. Contents are written into maps in the kernel,
//! pinned in a BPF file system of that process.
//!
//! | module | contents |
//! | --- | --- |
//! | `objects` | the objects of a cluster |
//! | [`pass`] | an agent's pass from objects to maps and routes |
//! | `ring` | rings: time and balance |
//! | [`slope`] | how a cost grows |
//! | [`scale`] | full passes, by Services and by nodes |
//! | [`control`] | single changes, and how soon they are noticed |

pub mod control;
mod objects;
pub mod pass;
mod ring;
pub mod scale;
mod scrape;
pub mod slope;
mod watch;
