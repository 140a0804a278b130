//! Texts of cells.

pub(super) use crate::text::{first_few, time};

/// Returns the text of an empty cell.
pub(super) fn dash() -> String {
    "-".to_owned()
}
