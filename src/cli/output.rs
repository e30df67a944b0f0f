//! What a command says: tables for people, JSON and CSV for programs, on stdout only; and what it asks of people.
//!
//! Colours are for terminals. Whatever comes from a server is shown without characters that could move the cursor or the eye.

use std::io::{self, BufRead, BufWriter, IsTerminal, Read, Write};

use clap::ValueEnum;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use serde_json::Value;

use super::failure::Failure;
use super::layout::{self, Line, Shown};
use super::when::to_the_second;
use crate::audit::csv as csv_rules;
use crate::domain::characters::is_hidden;
use crate::domain::json::push_line;

/// The form of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned columns, for people.
    #[default]
    Table,
    /// The server's JSON, as it is.
    Json,
    /// Comma-separated values, with a header line.
    Csv,
    /// A page to read or print; of reports only.
    Html,
}

impl Format {
    /// Makes sure that it is one of those that every command has.
    ///
    /// # Errors
    /// It is a page.
    pub(super) fn check_common(self) -> Result<(), Failure> {
        if self == Self::Html {
            return Err(Failure::usage("only `tenure report` has the output `html`: say `table`, `json` or `csv`"));
        }
        Ok(())
    }
}

/// How much of an answer is copied at a time, in bytes.
const PIECE_BYTES: usize = 64 * 1_024;
/// How wide a drawing is where there is no terminal, in characters.
const DRAWING_WIDTH: usize = 100;

/// A column of a table: what is written above it, and the name that it has in CSV.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) name: &'static str,
}

/// Columns, each with the field of a row that it shows.
macro_rules! columns {
    ($($title:literal = $name:literal),* $(,)?) => {
        [$($crate::cli::output::Column { title: $title, name: $name }),*]
    };
}
pub(super) use columns;

/// Rows under columns.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Rows {
    /// The rows of JSON objects; a field that an object does not have is left blank.
    pub(super) fn of(columns: &[Column], items: &[Value]) -> Self {
        let row = |item: &Value| columns.iter().map(|column| cell_text(item, column.name)).collect();
        Self { columns: columns.to_vec(), rows: items.iter().map(row).collect() }
    }
}

/// A field of an object as text: nothing for `null`, a list joined by blanks.
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

/// Where a command writes.
pub(super) struct Output {
    pub(super) format: Format,
    colours: bool,
    /// How many characters a line of the terminal has; none where there is no terminal.
    width: Option<usize>,
    to: Box<dyn Write>,
}

impl Output {
    /// Writes to stdout.
    pub(super) fn stdout(format: Format) -> Self {
        let stdout = io::stdout();
        let colours = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let width = Table::new().width().filter(|width| *width > 0).map(usize::from);
        Self { format, colours, width, to: Box::new(BufWriter::new(stdout)) }
    }

    /// Writes tables for people to stderr, beside an output for programs.
    pub(super) fn stderr() -> Self {
        Self { format: Format::Table, colours: false, width: None, to: Box::new(io::stderr()) }
    }

    /// How many characters a drawing may be wide.
    pub(super) fn drawing_width(&self) -> usize {
        self.width.unwrap_or(DRAWING_WIDTH)
    }

    /// Whether people watch as it is written.
    pub(super) const fn is_terminal(&self) -> bool {
        self.width.is_some()
    }

    /// Writes a line of text.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        let text = visible(text);
        Ok(writeln!(self.to, "{text}")?)
    }

    /// Writes a line of text, of which the first part stands out: green if it is good, red if it is not.
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

    /// Writes JSON, as it is.
    pub(super) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        serde_json::to_writer_pretty(&mut self.to, value).map_err(io::Error::from)?;
        Ok(writeln!(self.to)?)
    }

    /// Writes a JSON text as one line, whatever a reader takes for the end of a line.
    pub(super) fn json_line(&mut self, text: &str) -> Result<(), Failure> {
        let mut line = Vec::with_capacity(text.len() + 1);
        push_line(&mut line, text.as_bytes());
        line.push(b'\n');
        self.bytes(&line)
    }

    /// Writes bytes, as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.to.write_all(bytes)?)
    }

    /// Writes what a reader gives, as it comes.
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

    /// Writes a list: the answer itself as JSON, or its rows.
    pub(super) fn list(&mut self, answer: &Value, rows: &Rows, nothing: &str) -> Result<(), Failure> {
        match self.format {
            Format::Json | Format::Html => self.json(answer),
            Format::Csv => self.csv(rows),
            Format::Table if rows.rows.is_empty() => self.line(nothing),
            Format::Table => self.table(rows),
        }
    }

    /// Writes rows as comma-separated values (RFC 4180, with LF), safe to open in a spreadsheet.
    pub(super) fn csv(&mut self, rows: &Rows) -> Result<(), Failure> {
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

    /// Writes what stands above rows that are written as they come; nothing above JSON.
    pub(super) fn row_titles(&mut self, rows: &Rows, widths: &[usize]) -> Result<(), Failure> {
        match self.format {
            Format::Json | Format::Html => Ok(()),
            Format::Csv => self.csv(&Rows { columns: rows.columns.clone(), rows: Vec::new() }),
            Format::Table => {
                let titles: Vec<_> = rows.columns.iter().map(|column| column.title.to_owned()).collect();
                self.aligned(&titles, widths)
            }
        }
    }

    /// Writes rows as they come, in columns that are at least so wide.
    pub(super) fn row(&mut self, rows: &Rows, widths: &[usize]) -> Result<(), Failure> {
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

    /// Writes rows in aligned columns; where the terminal has no room for them, in lines that it has room for.
    pub(super) fn table(&mut self, rows: &Rows) -> Result<(), Failure> {
        self.grid(rows.columns.iter().map(|column| column.title.to_owned()).collect(), &rows.rows)
    }

    /// As [`table`](Self::table), of columns that are known only now.
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
    pub(super) fn listing(&mut self, lines: &[Line]) -> Result<(), Failure> {
        let for_people = |line: &Line| match line {
            Line::Heading(heading) => Line::Heading(short(heading)),
            Line::Entry(cells) => Line::Entry(cells.iter().map(|cell| short(cell)).collect()),
        };
        let lines: Vec<Line> = lines.iter().map(for_people).collect();
        self.shown(layout::listing(&lines, self.width))
    }

    /// Writes words, going on in the next line where the terminal ends.
    pub(super) fn words(&mut self, text: &str) -> Result<(), Failure> {
        let text = short(text);
        let lines = self.width.map_or_else(|| vec![text.clone()], |width| layout::wrapped(&text, width));
        lines.iter().try_for_each(|line| self.line(line))
    }

    /// Writes words as [`words`](Self::words) does, each line set in.
    pub(super) fn paragraph(&mut self, text: &str) -> Result<(), Failure> {
        self.listing(&[Line::entry([text.to_owned()])])
    }

    fn shown(&mut self, lines: Vec<Shown>) -> Result<(), Failure> {
        lines.into_iter().try_for_each(|line| match line {
            Shown::Heading(text) => self.heading(&text),
            Shown::Plain(text) => self.line(&text),
        })
    }

    /// Writes names and their values, a line each.
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
        // Lines are as long as they have to be: a time or an id that is broken in two can be neither read nor copied.
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

    /// Makes sure that all of it is written.
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

/// A text without characters that people could not see, or that would move others.
fn visible(text: &str) -> String {
    let hides = |c: char| is_hidden(c) && !matches!(c, '\n' | '\u{fe0e}' | '\u{fe0f}');
    text.chars().map(|c| if hides(c) { '\u{fffd}' } else { c }).collect()
}

/// A cell for people: instants to the second, a dash for nothing.
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

/// Asks a yes-or-no question on the terminal; anything but yes is no.
///
/// # Errors
/// Nobody is there to answer.
pub(super) fn confirm(question: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage("nobody can be asked here: say `--yes` to go on without being asked"));
    }
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush()).map_err(Failure::Output)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(Failure::Output)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Writes a line for people to stderr, beside the output; that nobody reads it is no failure.
pub(super) fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "{}", visible(text));
}
