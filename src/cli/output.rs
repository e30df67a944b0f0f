//! The output of commands: tables for people, JSON and CSV for programs, on stdout only; and confirmation prompts.
//!
//! Only terminals get colours. Text from a server is shown without invisible and control characters.

use std::io::{self, BufRead, BufWriter, IsTerminal, Read, Write};

use clap::ValueEnum;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use serde_json::Value;

use super::failure::Failure;
use super::layout::{self, DisplayLine, ListingLine};
use super::time_args::to_the_second;
use crate::domain::model::characters::is_hidden;
use crate::domain::model::json::push_line;
use crate::query::csv as csv_rules;

/// The output format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned columns, for people.
    #[default]
    Table,
    /// The server's JSON, as it is.
    Json,
    /// Comma-separated values, with a header line.
    Csv,
    /// A page to read or print, for reports only.
    Html,
}

impl Format {
    /// Checks that every command supports the format.
    ///
    /// # Errors
    /// The format is `html`.
    pub(super) fn check_common(self) -> Result<(), Failure> {
        if self == Self::Html {
            return Err(Failure::usage(
                "only `tenure report` supports the output `html`: use `table`, `json` or `csv`",
            ));
        }
        Ok(())
    }
}

/// The size of the pieces that a response is copied in, in bytes.
const PIECE_BYTES: usize = 64 * 1_024;
/// The width of a chart without a terminal, in characters.
const DRAWING_WIDTH: usize = 100;

/// A column of a table: its title, and its name in CSV.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutputColumn {
    pub(super) title: &'static str,
    pub(super) name: &'static str,
}

/// Makes columns from titles and the fields that they show.
macro_rules! columns {
    ($($title:literal = $name:literal),* $(,)?) => {
        [$($crate::cli::output::OutputColumn { title: $title, name: $name }),*]
    };
}
pub(super) use columns;

/// Columns with their rows.
#[derive(Debug, Clone)]
pub(super) struct OutputRows {
    pub(super) columns: Vec<OutputColumn>,
    pub(super) rows: Vec<Vec<String>>,
}

impl OutputRows {
    /// Makes rows from JSON objects; a missing field is left blank.
    pub(super) fn of(columns: &[OutputColumn], items: &[Value]) -> Self {
        let row = |item: &Value| columns.iter().map(|column| cell_text(item, column.name)).collect();
        Self { columns: columns.to_vec(), rows: items.iter().map(row).collect() }
    }
}

/// Returns a field of an object as text: empty for `null`, a list joined by spaces.
pub(super) fn cell_text(item: &Value, field: &str) -> String {
    item.get(field).map(plain).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// The output of a command.
pub(super) struct Output {
    pub(super) format: Format,
    colours: bool,
    /// The width of the terminal in characters; none without a terminal.
    width: Option<usize>,
    to: Box<dyn Write>,
}

impl Output {
    /// Makes an output on stdout.
    pub(super) fn stdout(format: Format) -> Self {
        let stdout = io::stdout();
        let colours = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let width = Table::new().width().filter(|width| *width > 0).map(usize::from);
        Self { format, colours, width, to: Box::new(BufWriter::new(stdout)) }
    }

    /// Makes an output of tables on stderr, beside one for programs.
    pub(super) fn stderr() -> Self {
        Self { format: Format::Table, colours: false, width: None, to: Box::new(io::stderr()) }
    }

    /// Returns the maximum width of a chart, in characters.
    pub(super) fn drawing_width(&self) -> usize {
        self.width.unwrap_or(DRAWING_WIDTH)
    }

    /// Returns whether the output is a terminal.
    pub(super) const fn is_terminal(&self) -> bool {
        self.width.is_some()
    }

    /// Writes a line of text.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        let text = visible(text);
        Ok(writeln!(self.to, "{text}")?)
    }

    /// Writes a line whose first word is highlighted: green if `good`, red if not.
    pub(super) fn verdict(&mut self, good: bool, word: &str, rest: &str) -> Result<(), Failure> {
        let (word, rest) = (visible(word), visible(rest));
        let colour = if good { 32 } else { 31 };
        if self.colours {
            writeln!(self.to, "\u{1b}[1;{colour}m{word}\u{1b}[0m{rest}")?;
        } else {
            writeln!(self.to, "{word}{rest}")?;
        }
        Ok(())
    }

    /// Writes a heading, or a question of a tour.
    pub(super) fn heading(&mut self, text: &str) -> Result<(), Failure> {
        let text = visible(text);
        if self.colours {
            writeln!(self.to, "\u{1b}[1m{text}\u{1b}[0m")?;
        } else {
            writeln!(self.to, "{text}")?;
        }
        Ok(())
    }

    /// Writes JSON, indented.
    pub(super) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        serde_json::to_writer_pretty(&mut self.to, value).map_err(io::Error::from)?;
        Ok(writeln!(self.to)?)
    }

    /// Writes a JSON text as one line; every character that a reader may take for a line break is escaped.
    pub(super) fn json_line(&mut self, text: &str) -> Result<(), Failure> {
        let mut line = Vec::with_capacity(text.len() + 1);
        push_line(&mut line, text.as_bytes());
        line.push(b'\n');
        self.bytes(&line)
    }

    /// Writes bytes unchanged.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.to.write_all(bytes)?)
    }

    /// Copies a reader to the output.
    pub(super) fn copy(&mut self, from: &mut dyn Read) -> Result<(), Failure> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let len =
                from.read(&mut piece).map_err(|error| Failure::server(format!("the answer broke off: {error}")))?;
            match piece.get(..len) {
                None | Some([]) => return Ok(()),
                Some(bytes) => self.to.write_all(bytes)?,
            }
        }
    }

    /// Writes a list: the response itself as JSON, or its rows.
    pub(super) fn list(&mut self, response: &Value, rows: &OutputRows, nothing: &str) -> Result<(), Failure> {
        match self.format {
            Format::Json | Format::Html => self.json(response),
            Format::Csv => self.csv(rows),
            Format::Table if rows.rows.is_empty() => self.line(nothing),
            Format::Table => self.table(rows),
        }
    }

    /// Writes rows as comma-separated values (RFC 4180, with LF), safe to open in a spreadsheet.
    pub(super) fn csv(&mut self, rows: &OutputRows) -> Result<(), Failure> {
        let names = rows.columns.iter().map(|column| column.name.to_owned()).collect();
        let records = rows.rows.iter().map(|row| row.iter().map(|cell| csv_rules::safe(cell)).collect());
        self.csv_records(std::iter::once(names).chain(records))
    }

    fn csv_records(&mut self, records: impl Iterator<Item = Vec<String>>) -> Result<(), Failure> {
        let mut writer = csv::Writer::from_writer(&mut self.to);
        for record in records {
            writer.write_record(record).map_err(csv_failure)?;
        }
        Ok(writer.flush()?)
    }

    /// Writes the titles above rows that are streamed; nothing with JSON.
    pub(super) fn row_titles(&mut self, rows: &OutputRows, widths: &[usize]) -> Result<(), Failure> {
        match self.format {
            Format::Json | Format::Html => Ok(()),
            Format::Csv => self.csv(&OutputRows { columns: rows.columns.clone(), rows: Vec::new() }),
            Format::Table => {
                let titles: Vec<_> = rows.columns.iter().map(|column| column.title.to_owned()).collect();
                self.aligned(&titles, widths)
            }
        }
    }

    /// Writes streamed rows, in columns of at least these widths.
    pub(super) fn row(&mut self, rows: &OutputRows, widths: &[usize]) -> Result<(), Failure> {
        for row in &rows.rows {
            match self.format {
                Format::Table => self.aligned(row, widths)?,
                _ => self.csv_records(std::iter::once(row.iter().map(|cell| csv_rules::safe(cell)).collect()))?,
            }
        }
        Ok(())
    }

    fn aligned(&mut self, cells: &[String], widths: &[usize]) -> Result<(), Failure> {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{:<width$}", short(cell)));
        let line = cells.collect::<Vec<_>>().join("  ");
        Ok(writeln!(self.to, "{}", line.trim_end())?)
    }

    /// Writes rows in aligned columns, or in several lines each if the terminal is too narrow.
    pub(super) fn table(&mut self, rows: &OutputRows) -> Result<(), Failure> {
        self.grid(rows.columns.iter().map(|column| column.title.to_owned()).collect(), &rows.rows)
    }

    /// Writes a table, as [`table`](Self::table) does, with titles known only at run time.
    pub(super) fn grid(&mut self, titles: Vec<String>, rows: &[Vec<String>]) -> Result<(), Failure> {
        let cells = rows.iter().map(|row| row.iter().map(|cell| short(cell)).collect());
        let all: Vec<Vec<String>> = std::iter::once(titles).chain(cells).collect();
        if let Some(width) = self.width.filter(|width| !layout::fits(&all, *width)) {
            return self.shown(layout::narrowed(&all, width));
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let mut all = all.into_iter();
        let titles = all.next().unwrap_or_default();
        table.set_header(titles.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
        for row in all {
            table.add_row(row.iter().map(|cell| styled(cell)));
        }
        self.write_table(table)
    }

    /// Writes headings with their entries.
    pub(super) fn listing(&mut self, lines: &[ListingLine]) -> Result<(), Failure> {
        let for_people = |line: &ListingLine| match line {
            ListingLine::Heading(heading) => ListingLine::Heading(short(heading)),
            ListingLine::Entry(cells) => ListingLine::Entry(cells.iter().map(|cell| short(cell)).collect()),
        };
        let lines: Vec<ListingLine> = lines.iter().map(for_people).collect();
        self.shown(layout::listing(&lines, self.width))
    }

    /// Writes text, wrapped at the width of the terminal.
    pub(super) fn words(&mut self, text: &str) -> Result<(), Failure> {
        let text = short(text);
        let lines = self.width.map_or_else(|| vec![text.clone()], |width| layout::wrapped(&text, width));
        lines.iter().try_for_each(|line| self.line(line))
    }

    /// Writes wrapped text, as [`words`](Self::words) does, with each line indented.
    pub(super) fn paragraph(&mut self, text: &str) -> Result<(), Failure> {
        self.listing(&[ListingLine::entry([text.to_owned()])])
    }

    fn shown(&mut self, lines: Vec<DisplayLine>) -> Result<(), Failure> {
        lines.into_iter().try_for_each(|line| match line {
            DisplayLine::Heading(text) => self.heading(&text),
            DisplayLine::Plain(text) => self.line(&text),
        })
    }

    /// Writes names and values, one pair a line.
    pub(super) fn fields(&mut self, fields: &[(&str, String)]) -> Result<(), Failure> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for (name, value) in fields {
            table.add_row([Cell::new(name).add_attribute(Attribute::Dim), styled(&short(value))]);
        }
        self.write_table(table)
    }

    fn write_table(&mut self, mut table: Table) -> Result<(), Failure> {
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        // Lines are never wrapped: a time or an id broken in two can be neither read nor copied.
        table.set_content_arrangement(ContentArrangement::Disabled);
        if self.colours {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        for line in table.lines() {
            writeln!(self.to, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// Flushes the output.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.to.flush()?)
    }
}

fn csv_failure(error: csv::Error) -> Failure {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => Failure::Output(io::Error::other(format!("{other:?}"))),
    }
}

/// Replaces characters that are invisible, or that would move others.
fn visible(text: &str) -> String {
    let hides = |c: char| is_hidden(c) && !matches!(c, '\n' | '\u{fe0e}' | '\u{fe0f}');
    text.chars().map(|c| if hides(c) { '\u{fffd}' } else { c }).collect()
}

/// Formats a cell for people: instants to the second, a dash if empty.
fn short(cell: &str) -> String {
    if cell.is_empty() { "-".to_owned() } else { to_the_second(&visible(cell)) }
}

fn styled(text: &str) -> Cell {
    let cell = Cell::new(text);
    match text {
        "contributor" | "owner" | "allowed" => cell.fg(Color::Green),
        "viewer" => cell.fg(Color::Cyan),
        "no_access" | "no access" | "denied" => cell.fg(Color::Red),
        _ => cell,
    }
}

/// Asks a yes-or-no question on the terminal. Anything but yes means no.
///
/// # Errors
/// The input is no terminal.
pub(super) fn confirm(question: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage("there is no terminal to confirm on: use `--yes` to skip the question"));
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush()).map_err(Failure::Output)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(Failure::Output)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Writes a line to stderr, beside the output. A failure to write it is ignored.
pub(super) fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "{}", visible(text));
}
