//! What a cluster needs to run Fairlead.
//!
//! | module | holds |
//! | --- | --- |
//! | [`chart`] | the Helm chart, rendered by Helm |
//! | [`crds`] | definitions of the kinds, made from the types that read them |
//! | [`fields`] | whether Kubernetes knows every field of an object |
//! | [`image`] | the image, as an archive |
//! | [`manifests`] | plain manifests, made from the chart |
//! | [`output`] | files that are made, and whether those that are there are the same |

pub mod chart;
pub mod crds;
pub mod fields;
pub mod image;
pub mod manifests;
pub mod output;
