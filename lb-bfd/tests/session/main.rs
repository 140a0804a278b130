//! What holds of a session whatever it is given.

mod corpus;
mod laws;
