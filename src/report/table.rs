//! One table builder for everything that is shown in columns.
//!
//! A table is driven by a list of [`Column`]s. One record is one line, so that the output can be
//! searched line by line; where the terminal is too narrow, the columns that matter least are left
//! out first and named below, then the widest texts are cut.

use anstyle::{AnsiColor, Style};
use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, Width, presets,
};
use unicode_width::UnicodeWidthStr;

/// Whether escape sequences for colour are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Plain text.
    Plain,
    /// With colours.
    Colour,
}

/// One column of a table of `R`s.
pub(super) struct Column<R: ?Sized> {
    pub(super) head: &'static str,
    /// Foreign text must come through [`clean`](super::clean).
    pub(super) cell: fn(&R) -> String,
    pub(super) align: Align,
    pub(super) keep: Keep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// What happens to a column where there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// It stays as wide as it is.
    Whole,
    /// It may be cut to this width, before any column is left out.
    AtLeast(u16),
    /// It is left out; the higher number first.
    IfRoom(u8),
}

/// The gap between two columns.
const GAP: u16 = 2;

impl<R> Column<R> {
    pub(super) const fn new(
        head: &'static str,
        align: Align,
        keep: Keep,
        cell: fn(&R) -> String,
    ) -> Column<R> {
        Column {
            head,
            cell,
            align,
            keep,
        }
    }
}

/// A column with its cells.
struct Filled<'a, R> {
    column: &'a Column<R>,
    cells: Vec<String>,
    /// Of the widest cell or the head.
    width: u16,
}

/// The records as a table at most `width` columns wide; `None` for no bound. `style` colours a line.
pub(super) fn table<R>(
    columns: &[Column<R>],
    records: &[R],
    width: Option<u16>,
    paint: Paint,
    style: fn(&R) -> Style,
) -> String {
    let filled: Vec<Filled<'_, R>> = columns.iter().map(|c| Filled::new(c, records)).collect();
    let (shown, hidden) = fitting(filled, width);
    let styles = std::iter::once(Style::new().bold()).chain(records.iter().map(style));
    let mut text = String::new();
    for (line, style) in lines(&shown, records.len(), width).iter().zip(styles) {
        text.push_str(&painted(line.trim_end(), style, paint));
        text.push('\n');
    }
    if !hidden.is_empty() {
        text.push_str(&format!("(no room for: {})\n", hidden.join(", ")));
    }
    text
}

/// The head and the records, one line each.
fn lines<R>(shown: &[Filled<'_, R>], records: usize, width: Option<u16>) -> Vec<String> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_truncation_indicator("…");
    table.set_header(row(shown.iter().map(|filled| filled.column.head)));
    for record in 0..records {
        let cells = shown.iter().map(|filled| filled.cells.get(record));
        table.add_row(row(cells.map(|cell| cell.map_or("", String::as_str))));
    }
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(width);
    }
    for (set, filled) in table.column_iter_mut().zip(shown) {
        set.set_padding((0, GAP));
        set.set_cell_alignment(match filled.column.align {
            Align::Left => CellAlignment::Left,
            Align::Right => CellAlignment::Right,
        });
        if !matches!(filled.column.keep, Keep::AtLeast(_)) {
            let whole = Width::Fixed(filled.width.saturating_add(GAP));
            set.set_constraint(ColumnConstraint::Absolute(whole));
        }
    }
    table.lines().collect()
}

/// The line in this style, or as it is.
pub(super) fn painted(line: &str, style: Style, paint: Paint) -> String {
    if paint == Paint::Plain || style == Style::new() {
        line.to_owned()
    } else {
        format!("{style}{line}{style:#}")
    }
}

/// What calls for attention.
pub(super) fn loud() -> Style {
    AnsiColor::Red.on_default().bold()
}

fn row<'a>(cells: impl Iterator<Item = &'a str>) -> Row {
    let mut row = Row::from(cells);
    row.max_height(1);
    row
}

impl<'a, R> Filled<'a, R> {
    fn new(column: &'a Column<R>, records: &[R]) -> Filled<'a, R> {
        let cells: Vec<String> = records.iter().map(column.cell).collect();
        let widest = cells.iter().map(|cell| cell.width()).max().unwrap_or(0);
        let width = u16::try_from(widest.max(column.head.width())).unwrap_or(u16::MAX);
        Filled {
            column,
            cells,
            width,
        }
    }

    /// What it takes at least, the gap included.
    fn least(&self) -> u32 {
        let cells = match self.column.keep {
            Keep::AtLeast(least) => least.min(self.width),
            Keep::Whole | Keep::IfRoom(_) => self.width,
        };
        u32::from(cells) + u32::from(GAP)
    }
}

/// The columns that have room, in their order, and the heads of those that have not.
fn fitting<R>(
    mut shown: Vec<Filled<'_, R>>,
    width: Option<u16>,
) -> (Vec<Filled<'_, R>>, Vec<&'static str>) {
    let mut hidden = Vec::new();
    let Some(width) = width else {
        return (shown, hidden);
    };
    while shown.iter().map(Filled::least).sum::<u32>() > u32::from(width) {
        let ranked = shown.iter().enumerate();
        let least_wanted = ranked
            .filter_map(|(place, filled)| match filled.column.keep {
                Keep::IfRoom(rank) => Some((rank, place)),
                Keep::Whole | Keep::AtLeast(_) => None,
            })
            .max();
        match least_wanted {
            Some((_, place)) => hidden.push(shown.remove(place).column.head),
            None => break,
        }
    }
    (shown, hidden)
}
