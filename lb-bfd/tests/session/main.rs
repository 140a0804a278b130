//! Invariants of a session for arbitrary input.

mod corpus;
mod laws;
