//! The terminal.

use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Layout},
    style::{Modifier, Style, Stylize as _},
    text::Text,
    widgets::{Cell, Paragraph, Row, Table, TableState, Wrap},
};

use super::sample::{COLUMNS, Order, View, is_figure};

/// Draws a view: who schedules, the relay's counters, the tasks, the keys.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View, order: Order, state: &mut TableState) {
    let [head, body, foot] = Layout::vertical([
        Constraint::Length(5),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let text = view.head().join("\n");
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), head);
    let title = COLUMNS
        .iter()
        .enumerate()
        .map(|(column, name)| cell(column, name));
    let rows = view.rows.iter().map(|row| {
        let cells = row.cells();
        Row::new(
            cells
                .iter()
                .enumerate()
                .map(|(column, text)| cell(column, text))
                .collect::<Vec<_>>(),
        )
    });
    let widths = [7, 16, 12, 7, 16, 9, 9, 9, 10, 12].map(Constraint::Length);
    let table = Table::new(rows, widths)
        .header(Row::new(title).style(Style::new().add_modifier(Modifier::REVERSED)))
        .row_highlight_style(Style::new().bold());
    frame.render_stateful_widget(table, body, state);
    let keys = format!(
        "ordered by {}; c CPU, w wait, m longest wait, n name, q end",
        order.name()
    );
    frame.render_widget(Paragraph::new(keys).dim(), foot);
}

fn cell(column: usize, text: &str) -> Cell<'static> {
    let alignment = match is_figure(column) {
        true => Alignment::Right,
        false => Alignment::Left,
    };
    Cell::new(Text::from(text.to_owned()).alignment(alignment))
}
