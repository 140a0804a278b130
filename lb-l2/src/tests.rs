//! Tests of the whole engine: one node, and clusters.

mod cluster;
mod node;
mod partition;
