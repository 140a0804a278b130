//! Test packets: how they are made, the table of them with what must become of each, and an oracle of its
//! own that knows which are none of Fairlead's business.

pub mod build;
pub mod expect;
pub mod fixture;
pub mod mutate;
pub mod oracle;
pub mod table;
