//! The drawing of the rates on a terminal.
//!
//! ```text
//!   sums
//!   table of VIPs, one of which is selected
//!   the selected VIP: the nodes' shares, the last minute
//!   keys
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::bar;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Sparkline, Table, TableState, Wrap};

use super::listing::{shares, sums};
use super::model::{SortDirection, SortKey, TopModel, TopRow};
use super::rate::rate;

/// What the user has chosen.
#[derive(Debug, Default)]
pub(super) struct Screen {
    pub(super) key: SortKey,
    pub(super) direction: SortDirection,
    pub(super) selected: TableState,
    /// Why there are no new samples.
    pub(super) error: Option<String>,
}

/// The width of the trend in a row.
const TREND: u16 = 9;
/// The width from which rows show the nodes' shares.
const WIDE: u16 = 110;

/// Draws the whole screen.
pub(super) fn draw(frame: &mut Frame<'_>, model: &TopModel, screen: &mut Screen) {
    let rows = model.sorted(screen.key, screen.direction);
    let [head, list, detail, keys] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(4),
        Constraint::Length(if rows.is_empty() { 0 } else { 7 }),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let mut lines = vec![Line::from(sums(rows.len(), &model.totals()))];
    lines.extend(screen.error.as_ref().map(|error| Line::styled(format!("! {error}"), Color::Red)));
    frame.render_widget(Paragraph::new(lines), head);
    if let Some(last) = rows.len().checked_sub(1) {
        let selected = screen.selected.selected().unwrap_or_default().min(last);
        screen.selected.select(Some(selected));
        draw_rows(frame, list, &rows, screen);
        draw_detail(frame, detail, &rows[selected]);
    } else {
        frame.render_widget(Paragraph::new("no VIPs"), list);
    }
    let help = "p packets  b bits  f new flows  d drops  n name  r reverse  ↑↓ select  q quit";
    frame.render_widget(Paragraph::new(help).style(Modifier::DIM), keys);
}

fn draw_rows(frame: &mut Frame<'_>, area: Rect, rows: &[TopRow], screen: &mut Screen) {
    let is_wide = area.width >= WIDE;
    let head = |title: &'static str, key: SortKey| {
        let style = if key == screen.key { Modifier::UNDERLINED } else { Modifier::empty() };
        Cell::from(Text::from(title).right_aligned()).style(style)
    };
    let mut header = vec![
        Cell::from("SERVICE"),
        Cell::from("VIP"),
        head("PACKETS/s", SortKey::Packets),
        head("BIT/s", SortKey::Bits),
        head("NEW/s", SortKey::Flows),
        head("DROPS/s", SortKey::Drops),
        Cell::from("TREND"),
    ];
    let mut widths = vec![
        Constraint::Min(10),
        Constraint::Length(if is_wide { 42 } else { 21 }),
        Constraint::Length(9),
        Constraint::Length(7),
        Constraint::Length(6),
        Constraint::Length(7),
        Constraint::Length(TREND),
    ];
    if is_wide {
        header.push(Cell::from("SHARE"));
        widths.push(Constraint::Fill(1));
    }
    let rows = rows.iter().map(|row| line(row, is_wide));
    let table = Table::new(rows, widths)
        .header(Row::new(header).style(Modifier::BOLD))
        .row_highlight_style(Modifier::REVERSED);
    frame.render_stateful_widget(table, area, &mut screen.selected);
}

fn line(row: &TopRow, is_wide: bool) -> Row<'static> {
    let right = |text: String| Cell::from(Text::from(text).right_aligned());
    let drops = right(rate(row.drops_per_second));
    let mut cells = vec![
        Cell::from(row.service.clone()),
        Cell::from(row.vip.clone()),
        right(rate(row.packets_per_second)),
        right(rate(row.bits_per_second)),
        right(row.new_flows_per_second.map_or_else(|| "-".to_owned(), rate)),
        if row.drops_per_second > 0.0 { drops.style(Style::new().fg(Color::Red)) } else { drops },
        Cell::from(trend(&row.history)),
    ];
    if is_wide {
        cells.push(Cell::from(shares(row)));
    }
    Row::new(cells)
}

/// Returns the last rates as bars, in proportion to the largest of them.
fn trend(history: &[u64]) -> String {
    const BARS: [&str; 9] = [
        bar::NINE_LEVELS.empty,
        bar::NINE_LEVELS.one_eighth,
        bar::NINE_LEVELS.one_quarter,
        bar::NINE_LEVELS.three_eighths,
        bar::NINE_LEVELS.half,
        bar::NINE_LEVELS.five_eighths,
        bar::NINE_LEVELS.three_quarters,
        bar::NINE_LEVELS.seven_eighths,
        bar::NINE_LEVELS.full,
    ];
    let last = &history[history.len().saturating_sub(TREND.into())..];
    let most = last.iter().copied().max().unwrap_or_default().max(1);
    // A rate above zero has a bar, however small.
    let level = |rate: u64| (u128::from(rate) * 8).div_ceil(u128::from(most)) as usize;
    last.iter().map(|rate| BARS[level(*rate).min(8)]).collect()
}

fn draw_detail(frame: &mut Frame<'_>, area: Rect, row: &TopRow) {
    let title = format!(" {}  {} ", row.service, row.vip);
    let block = Block::new().borders(Borders::TOP).title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [text, line] = Layout::vertical([Constraint::Length(2), Constraint::Min(1)]).areas(inner);
    let words =
        if row.shares.is_empty() { "not served".to_owned() } else { format!("share: {}", shares(row)) };
    frame.render_widget(Paragraph::new(words).wrap(Wrap { trim: true }), text);
    let shown = &row.history[row.history.len().saturating_sub(line.width.into())..];
    frame.render_widget(Sparkline::default().data(shown), line);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::model::tests::sample;
    use super::*;

    /// A minute of traffic to three VIPs.
    fn minute() -> TopModel {
        let mut model = TopModel::default();
        for second in 0..=60 {
            let vips = [
                ("192.0.2.1:80/TCP", 1_000 * second),
                ("192.0.2.2:53/UDP", second * second),
                ("[2001:db8::1]:443/TCP", 0),
            ];
            model.add(vec![sample("n1", second, &vips)]);
        }
        model
    }

    fn drawn(model: &TopModel, screen: &mut Screen, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, model, screen)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..height).map(line).collect()
    }

    #[test]
    fn everything_fits_on_eighty_columns_and_twenty_four_lines() {
        let lines = drawn(&minute(), &mut Screen::default(), 80, 24);
        let text = lines.join("\n");
        assert!(lines[0].starts_with("node n1   3 VIPs   1.12 k packets/s   895 k bit/s"), "{text}");
        assert!(lines[0].ends_with("dropped: bad_tag 1.0/s"), "{text}");
        assert!(lines[3].starts_with("shop/192.0.2.1: 192.0.2.1:80/TCP"), "{text}");
        assert!(lines[3].contains("1.00 k   800 k      -       0 █████████"), "{text}");
        assert!(lines[4].contains("192.0.2.2:53/UDP") && lines[4].contains("119"), "{text}");
        assert!(lines[5].contains("[2001:db8::1]:443/TCP"), "{text}");
        assert!(text.contains("share: n2 75%, n1 25%"), "{text}");
        assert!(lines[23].ends_with("q quit"), "{text}");
    }

    #[test]
    fn a_wide_terminal_shows_the_shares_of_every_vip() {
        let lines = drawn(&minute(), &mut Screen::default(), 150, 24);
        assert!(lines[3].ends_with("n2 75%, n1 25%") && lines[5].ends_with("n2 75%, n1 25%"), "{lines:#?}");
    }

    #[test]
    fn the_selected_row_stays_visible_and_ends_with_the_rows() {
        let vips: Vec<String> = (0..100).map(|it| format!("v{it:02}")).collect();
        let vips: Vec<(&str, u64)> = vips.iter().map(|it| (it.as_str(), 0)).collect();
        let mut model = TopModel::default();
        model.add(vec![sample("n1", 0, &vips)]);
        let mut screen = Screen { key: SortKey::Name, ..Screen::default() };
        screen.selected.select(Some(4_000));
        let text = drawn(&model, &mut screen, 80, 24).join("\n");
        assert!(text.contains("shop/v99") && !text.contains("shop/v00"), "{text}");
    }

    #[test]
    fn an_agent_that_does_not_answer_and_a_tiny_terminal_are_no_errors() {
        let mut screen = Screen { error: Some("no answer".into()), ..Screen::default() };
        let lines = drawn(&TopModel::default(), &mut screen, 80, 24);
        assert_eq!((lines[0].split("   ").next(), &*lines[1]), (Some("no node"), "! no answer"));
        drawn(&minute(), &mut screen, 10, 3);
    }

    #[test]
    fn a_trend_shows_every_rate_above_zero() {
        assert_eq!(trend(&[0, 1, 500, 1_000]), " ▁▄█");
        assert_eq!(trend(&[]), "");
    }
}
