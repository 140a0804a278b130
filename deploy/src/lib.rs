//! The files that a cluster needs to run Fairlead.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`chart`] | the Helm chart, rendered by Helm |
//! | [`crds`] | definitions of the kinds, generated from the types that read them |
//! | [`dashboard`] | the Grafana dashboard |
//! | [`fields`] | check of objects against Kubernetes' own types |
//! | [`image`] | the image, as an archive |
//! | [`manifests`] | plain manifests, generated from the chart |
//! | [`monitoring`] | alerts as a file of rules, and the dashboard |
//! | [`output`] | generated files, and their comparison with the committed ones |

pub mod chart;
pub mod crds;
pub mod dashboard;
pub mod fields;
pub mod image;
pub mod manifests;
pub mod monitoring;
pub mod output;
