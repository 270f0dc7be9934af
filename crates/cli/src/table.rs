//! Aligned columns, and what tables of measurements have in common.

/// Beside each workload's primary metric, those that tell something of their own; and how
/// much the parts behind it did.
pub(crate) const ALSO_SHOWN: &[&str] = &[
    "missed",
    "round_trip_p99_us",
    "wakeup_p99_us",
    "requests_per_s",
    "response_p99_us",
    "work_per_s",
];

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

/// Three significant digits, in millions where there are many.
pub(crate) fn number(value: f64) -> String {
    if value.abs() >= 1e6 {
        return format!("{}M", number(value / 1e6));
    }
    let places = match value.abs() {
        whole if whole >= 100.0 || whole == 0.0 => 0,
        tens if tens >= 10.0 => 1,
        ones if ones >= 1.0 => 2,
        tenths if tenths >= 0.1 => 3,
        _ => 4,
    };
    format!("{value:.places$}")
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

    #[test]
    fn three_digits() {
        let check = |value, expected: &str| assert_eq!(number(value), expected);
        check(1234.5, "1234");
        check(16.67, "16.7");
        check(2.345, "2.35");
        check(0.3712, "0.371");
        check(0.0425, "0.0425");
        check(0.0, "0");
        check(33_825_000.0, "33.8M");
    }
}
