//! The effect of objects before they are in force.
//!
//! | module | holds |
//! | --- | --- |
//! | [`admission`] | the checks of a single change, as MetalLB's webhooks make them |
//! | [`preview`] | validation and preview of whole manifests, offline |

pub mod admission;
pub mod preview;
