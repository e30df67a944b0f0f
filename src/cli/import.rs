//! `tenure import`: recorded histories, imported into a store that no server uses.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::failure::Failure;
use super::history::{self, UnpackArgs};
use super::output::{Format, Output, OutputRows, columns};
use super::serve::operator_secret;
use super::session::DEFAULT_ADDRESS;
use crate::clock::SystemClock;
use crate::config::{OPERATOR_SECRET_FILE, OPERATOR_SECRET_VARIABLE};
use crate::log::Store;
use crate::log::sqlite::SqliteLog;
use crate::service::id_generator::RandomIdGenerator;
use crate::service::import::{ImportError, Imported, import as import_history};

const HELP: &str = "\
A file is one workspace: one JSON object a line, in the order of time, compressed with gzip or not. `-` is standard input.

  {\"time\": \"2024-05-01T09:00:00Z\", \"actor\": \"operator\", \"reason\": \"…\",
   \"workspace\": {\"name\": \"acme\", \"kind\": \"shared\", \"plan\": \"team\", \"owner\": {\"user\": \"alice\"}}, \"commands\": []}
  {\"time\": \"2024-05-02T10:30:00Z\", \"actor\": \"user:alice\", \"reason\": \"HR-7\",
   \"commands\": [{\"type\": \"member.add\", \"user\": \"bob\", \"role\": \"member\"}]}

The first line creates the workspace. Each line is one command: all of it is done, or the import stops there, names the \
line, and leaves nothing of the file behind. You vouch for the authority of the actors; every other rule is judged. The \
commands are those of `POST /v1/workspaces/{ws}/commands`. A recorded `grant.set` without `expires_at` means a grant \
without an end.

The data folder must not be in use by a server.";

/// Import recorded histories into a data folder
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct ImportArgs {
    /// The data folder; made if it is missing
    #[arg(long, env = "TENURE_DATA", value_name = "DIR")]
    data: PathBuf,
    /// The form of the output
    #[arg(long, short, env = "TENURE_OUTPUT", value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    unpack: UnpackArgs,
    /// The histories, one workspace each; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn import(args: &ImportArgs) -> Result<(), Failure> {
    args.output.check_common()?;
    let log = SqliteLog::open(&args.data)?;
    operator_secret(&args.data)?;
    let mut out = Output::stdout(args.output);
    for file in &args.files {
        let started = Instant::now();
        let imported = import_file(&log, file, args.unpack)?;
        report(&mut out, &imported, started.elapsed())?;
    }
    log.close()?;
    if args.output == Format::Table {
        say_how_to_go_on(&mut out, &args.data)?;
    }
    out.flush()
}

fn import_file(log: &SqliteLog, path: &Path, unpack: UnpackArgs) -> Result<Imported, Failure> {
    let progress = progress_bar(path);
    let imported = import_lines(log, path, unpack, &progress);
    progress.finish_and_clear();
    imported
}

fn import_lines(log: &SqliteLog, path: &Path, unpack: UnpackArgs, progress: &ProgressBar) -> Result<Imported, Failure> {
    let watch = |file: Box<dyn Read>| -> Box<dyn Read> { Box::new(progress.wrap_read(file)) };
    let mut lines = history::open(path, unpack, watch)?;
    let imported = import_history(log, &RandomIdGenerator, &SystemClock, &mut lines);
    imported.map_err(|error| Failure::Import { file: history::name_of(path), error: explained(error, lines) })
}

/// Replaces the error about an invalid line by the damage of the file, if it is damaged.
fn explained(error: ImportError, lines: history::Lines) -> ImportError {
    match error {
        ImportError::Line { .. } => lines.damage().map_or(error, ImportError::Read),
        ImportError::Empty | ImportError::Exists(_) | ImportError::Read(_) | ImportError::Log(_) => error,
    }
}

/// Makes a progress bar, which shows on a terminal only.
fn progress_bar(path: &Path) -> ProgressBar {
    let bytes = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let (progress, form) = match bytes {
        Some(bytes) => (ProgressBar::new(bytes), "{msg} {wide_bar} {bytes}/{total_bytes} {elapsed}"),
        None => (ProgressBar::no_length(), "{msg} {bytes} {elapsed}"),
    };
    if let Ok(style) = ProgressStyle::with_template(form) {
        progress.set_style(style);
    }
    progress.with_message(name)
}

fn report(out: &mut Output, imported: &Imported, took: Duration) -> Result<(), Failure> {
    let Imported { workspace, name, lines, commands, events, until } = imported;
    let seconds = format!("{:.2}", took.as_secs_f64());
    match out.format {
        Format::Table => out.line(&format!(
            "imported `{name}`: {lines} lines with {commands} commands, {events} events until {until}, in {seconds} s"
        )),
        Format::Json | Format::Html => out.json(&json!({
            "workspace": workspace, "name": name, "lines": lines, "commands": commands, "events": events,
            "until": until, "seconds": took.as_secs_f64(),
        })),
        Format::Csv => out.csv(&OutputRows {
            columns: columns![
                "" = "workspace",
                "" = "name",
                "" = "lines",
                "" = "commands",
                "" = "events",
                "" = "until",
                "" = "seconds",
            ]
            .into(),
            rows: vec![vec![
                workspace.to_string(),
                name.to_string(),
                lines.to_string(),
                commands.to_string(),
                events.to_string(),
                until.to_string(),
                seconds,
            ]],
        }),
    }
}

fn say_how_to_go_on(out: &mut Output, data: &Path) -> Result<(), Failure> {
    let data = data.display();
    let secret = if std::env::var_os(OPERATOR_SECRET_VARIABLE).is_some() {
        format!("\"${OPERATOR_SECRET_VARIABLE}\"")
    } else {
        format!("\"$(cat {data}/{OPERATOR_SECRET_FILE})\"")
    };
    out.line("")?;
    out.line("To go on:")?;
    out.line(&format!("  tenure serve --data {data} --listen {DEFAULT_ADDRESS} &"))?;
    out.line(&format!("  export TENURE_TOKEN_ID=operator TENURE_TOKEN_SECRET={secret}"))?;
    out.line("  tenure workspace list")
}
