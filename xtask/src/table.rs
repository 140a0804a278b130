//! Tables on the terminal, with columns as wide as their widest cell.

/// Prints the rows; the columns listed in `right` are aligned to the right.
pub(crate) fn print(rows: &[Vec<String>], right: &[usize]) {
    print!("{}", render(rows, right));
}

fn render(rows: &[Vec<String>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            if right.contains(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::render;

    #[test]
    fn words_are_aligned_left_and_figures_right() {
        let rows = [vec!["lane".to_owned(), "n".to_owned()], vec!["a".to_owned(), "100".to_owned()]];
        assert_eq!(render(&rows, &[1]), "  lane    n\n  a     100\n");
    }
}
