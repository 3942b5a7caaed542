//! What goes to stdout: the same rows as a table, JSON, JSON lines or CSV. Notes go to stderr.

use super::exit::{Exit, Failure, Outcome};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// Output formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// Aligned columns for people.
    #[default]
    Table,
    /// One JSON document, the same as the REST answer.
    Json,
    /// One JSON object per row.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Text.
    Text(String),
    /// A count or an id.
    Number(u64),
    /// A size, shown in units to people.
    Bytes(u64),
    /// A decimal number, shown with four places to people.
    Decimal(f64),
    /// Nothing.
    None,
}

impl Cell {
    /// A text cell.
    pub fn text(text: impl Into<String>) -> Self {
        Cell::Text(text.into())
    }

    fn for_people(&self) -> String {
        match self {
            Cell::Text(text) => shorten(text, 72),
            Cell::Number(number) => number.to_string(),
            Cell::Bytes(bytes) => human_bytes(*bytes),
            Cell::Decimal(number) => format!("{number:.4}"),
            Cell::None => String::from("-"),
        }
    }

    fn for_csv(&self) -> String {
        match self {
            Cell::Text(text) if text.contains([',', '"', '\n', '\r']) => {
                format!("\"{}\"", text.replace('"', "\"\""))
            }
            Cell::Text(text) => text.clone(),
            Cell::Number(number) | Cell::Bytes(number) => number.to_string(),
            Cell::Decimal(number) => number.to_string(),
            Cell::None => String::new(),
        }
    }
}

/// Rows under columns.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    /// Column names.
    pub columns: Vec<String>,
    /// As many cells per row as columns.
    pub rows: Vec<Vec<Cell>>,
}

impl Grid {
    /// An empty grid.
    pub fn new<S: Into<String>>(columns: impl IntoIterator<Item = S>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// As a table: framed on a terminal, plain aligned text elsewhere.
    pub fn render(&self, terminal: bool) -> String {
        let mut table = Table::new();
        table.load_preset(if terminal { presets::UTF8_BORDERS_ONLY } else { presets::NOTHING });
        match terminal_width().filter(|_| terminal) {
            Some(width) => table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        table.set_header(&self.columns);
        for row in &self.rows {
            table.add_row(row.iter().map(Cell::for_people));
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            let numeric = |row: &Vec<Cell>| !matches!(row.get(index), Some(Cell::Text(_)) | None);
            if !self.rows.is_empty() && self.rows.iter().all(numeric) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if !terminal {
                column.set_padding((0, 2));
            }
        }
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_string()).collect();
        lines.join("\n") + "\n"
    }

    fn csv(&self) -> String {
        let header = self.columns.iter().map(|name| Cell::text(name).for_csv()).collect::<Vec<_>>().join(",");
        let mut text = header + "\n";
        for row in &self.rows {
            text += &row.iter().map(Cell::for_csv).collect::<Vec<_>>().join(",");
            text += "\n";
        }
        text
    }
}

/// Where results go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// The chosen format.
    pub format: OutputFormat,
    /// Whether stdout is a terminal.
    pub terminal: bool,
}

impl Output {
    /// The process's stdout.
    pub fn new(format: OutputFormat) -> Self {
        Self { format, terminal: io::stdout().is_terminal() }
    }

    /// Prints an answer: `document` whole as JSON, `items` one per line, or the grid.
    pub fn answer<I: Serialize>(&self, grid: &Grid, document: &impl Serialize, items: &[I]) -> Outcome<()> {
        match self.format {
            OutputFormat::Table => self.text(&grid.render(self.terminal)),
            OutputFormat::Csv => self.text(&grid.csv()),
            OutputFormat::Json => self.json(document),
            OutputFormat::Jsonl => {
                let mut text = String::new();
                for item in items {
                    text += &json_text(item)?;
                    text += "\n";
                }
                self.text(&text)
            }
        }
    }

    /// Prints one JSON document: indented on a terminal, one line elsewhere.
    pub fn json(&self, document: &impl Serialize) -> Outcome<()> {
        let text = if self.terminal {
            serde_json::to_string_pretty(document).map_err(|error| Failure::error(error.to_string()))?
        } else {
            json_text(document)?
        };
        self.text(&(text + "\n"))
    }

    /// Prints text as it is.
    pub fn text(&self, text: &str) -> Outcome<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(written)
    }

    /// Whether the format is for people.
    pub fn for_people(&self) -> bool {
        self.format == OutputFormat::Table
    }
}

/// A reader that has seen enough (`| head`) is no error.
pub fn written(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Failure::silent(Exit::Ok)
    } else {
        Failure::error(format!("cannot write the output: {error}"))
    }
}

/// A value as one line of JSON.
pub fn json_text(value: &impl Serialize) -> Outcome<String> {
    serde_json::to_string(value).map_err(|error| Failure::error(error.to_string()))
}

/// Says something on stderr. Nothing can be done if stderr is gone.
pub fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr(), "{}", text.as_ref());
}

/// Whether stderr takes colours: a terminal, and nobody set `NO_COLOR`.
pub fn color_on_stderr() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal() && !refused
}

fn terminal_width() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col >= 40).then_some(size.ws_col)
}

/// Text of at most `limit` characters on one line.
pub fn shorten(text: &str, limit: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= limit {
        return line;
    }
    line.chars().take(limit.saturating_sub(1)).collect::<String>() + "…"
}

/// `12.3 MiB`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// `1.2 ms` of microseconds.
pub fn human_us(us: u64) -> String {
    if us < 1000 { format!("{us} µs") } else { format!("{:.1} ms", us as f64 / 1000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let mut grid = Grid::new(["name", "bytes", "score"]);
        grid.row(vec![Cell::text("a, \"b\"\nc"), Cell::Bytes(2048), Cell::Decimal(0.5)]);
        grid.row(vec![Cell::text("d"), Cell::None, Cell::Decimal(1.0)]);
        grid
    }

    #[test]
    fn csv_quotes_what_it_must() {
        assert_eq!(grid().csv(), "name,bytes,score\n\"a, \"\"b\"\"\nc\",2048,0.5\nd,,1\n");
    }

    #[test]
    fn off_a_terminal_tables_are_plain_aligned_text() {
        let text = grid().render(false);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("a, \"b\" c"), "{text}");
        assert!(lines[1].contains("2.0 KiB") && lines[1].ends_with("0.5000"), "{text}");
        assert!(!text.contains(['│', '\u{1b}']), "{text}");
    }

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!(human_bytes(1023), "1023 B");
        assert_eq!(human_bytes(5 << 30), "5.0 GiB");
        assert_eq!(human_us(1234), "1.2 ms");
        assert_eq!(shorten("äbcdef", 4), "äbc…");
    }
}
