//! Aligned columns.

/// How a column is aligned.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// Rows with columns as wide as their widest cell, two spaces between. A row may be
/// shorter than the others.
pub(crate) fn table(rows: &[Vec<String>], align: impl Fn(usize) -> Align) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).enumerate();
        let line: Vec<String> = cells
            .map(|(column, (cell, &width))| match align(column) {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            })
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["name", "s"], ["pipe", "0.37"], ["messaging", "2"]];
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.map(String::from).into())
            .collect();
        let align = |column| {
            if column == 0 {
                Align::Left
            } else {
                Align::Right
            }
        };
        assert_eq!(
            table(&rows, align),
            "name          s\npipe       0.37\nmessaging     2\n"
        );
    }
}
