//! What a cluster needs to run Fairlead.
//!
//! | module | holds |
//! | --- | --- |
//! | [`crds`] | definitions of the kinds, made from the types that read them |
//! | [`output`] | files that are made, and whether those that are there are the same |

pub mod crds;
pub mod output;
