//! Live traffic: `fairlead top`.
//!
//! ```text
//!   statuses of nodes ──► Sample ──► TopModel ──► TopRow ──► draw (a terminal) or listing (everything else)
//! ```

mod draw;
mod listing;
mod model;
mod rate;
mod run;
mod sample;

pub use self::listing::listing;
pub use self::model::{NodeShare, SortDirection, SortKey, TopModel, TopRow, TopTotals};
pub use self::run::{Feed, TopError, run};
pub use self::sample::{Sample, VipSample};
