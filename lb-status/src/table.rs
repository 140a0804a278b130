//! Tables without lines, as `kubectl` prints them.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

/// Returns a table with these heads; the columns of `right` are right-aligned.
pub fn table<const N: usize>(header: [&str; N], right: &[usize]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    for column in right {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
