//! A store for imports, and lines of histories.

use std::io::{BufRead, Cursor};

use tempfile::TempDir;
use tenure::clock::Clock;
use tenure::domain::model::event::Event;
use tenure::domain::model::time::{Instant, Revision};
use tenure::log::codec::StreamDecoder;
use tenure::log::sqlite::SqliteLog;
use tenure::log::{Directories, EventLog, StoredEvent};
use tenure::service::id_generator::RandomIdGenerator;
use tenure::service::import::{ImportError, Imported, import};

/// The time of the imports: 2026-12-30.
pub(crate) const NOW: Instant = Instant::from_micros(1_798_588_800_000_000);

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Instant {
        NOW
    }
}

pub(crate) struct Store {
    pub(crate) log: SqliteLog,
    _folder: TempDir,
}

impl Store {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { log: SqliteLog::open(folder.path()).unwrap(), _folder: folder }
    }

    pub(crate) fn import(&self, lines: &[String]) -> Result<Imported, ImportError> {
        self.import_from(Cursor::new(lines.join("\n")))
    }

    pub(crate) fn import_from(&self, lines: impl BufRead) -> Result<Imported, ImportError> {
        import(&self.log, &RandomIdGenerator, &Fixed, lines)
    }

    /// Returns the imported events, after verifying the whole log.
    pub(crate) fn events(&self, imported: &Imported) -> Vec<Event> {
        let mut decoder = StreamDecoder::from_start(imported.workspace);
        self.stored(imported).iter().map(|event| decoder.decode(event).unwrap()).collect()
    }

    pub(crate) fn bytes(&self, imported: &Imported) -> String {
        self.stored(imported).into_iter().map(|event| String::from_utf8(event.bytes).unwrap()).collect()
    }

    fn stored(&self, imported: &Imported) -> Vec<StoredEvent> {
        self.log.read(imported.workspace, Revision::ZERO, usize::MAX).unwrap()
    }

    /// Returns whether the store is empty.
    pub(crate) fn is_untouched(&self) -> bool {
        self.log.feed(0, 1).unwrap().is_empty()
            && self.log.workspaces(None, 1).unwrap().is_empty()
            && self.log.workspace_named("acme").unwrap().is_none()
    }
}

pub(crate) fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

/// Returns the first line of a history, in which the operator creates `acme` with its owner alice.
pub(crate) fn opening(time: &str, commands: &str) -> String {
    let workspace = r#"{"name":"acme","kind":"shared","plan":"team","owner":{"user":"alice"}}"#;
    format!(
        r#"{{"time":"{time}","actor":"operator","reason":"because","workspace":{workspace},"commands":{commands}}}"#
    )
}

/// Returns a later line.
pub(crate) fn line(time: &str, actor: &str, commands: &str) -> String {
    format!(r#"{{"time":"{time}","actor":"{actor}","reason":"because","commands":{commands}}}"#)
}
