//! Kubernetes and MetalLB objects as written, and the problems with them.
//!
//! | module | holds |
//! | --- | --- |
//! | [`kind`] | the table of kinds |
//! | [`objects`] | what is written: Kubernetes and MetalLB objects, read from YAML or JSON |
//! | [`problem`] | what is wrong with them, by name, field and reason |

pub mod kind;
pub mod objects;
pub mod problem;
