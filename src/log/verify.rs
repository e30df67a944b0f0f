//! The verifier of a whole log: it matches its checkpoint, it only grew, and every event is readable.
//!
//! It trusts only the given verifier key. It hashes every leaf and node again and compares them with the tiles, decodes every event, and
//! checks that revisions have no gap and times never run back. It names the first flaw.

use std::fmt;
use std::sync::Arc;
use std::thread;

use super::codec::{self, StreamDecoder};
use super::published::{CHECKPOINT_FILE, FileError, KEYS_FILE, KeysError, PublishedLog, key_chain};
use crate::domain::model::event::Event;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::Revision;
use crate::proof::checkpoint::{Checkpoint, CheckpointError};
use crate::proof::frontier::{Frontier, TreeHead};
use crate::proof::hash::{HASH_BYTES, TreeHash, read_hashes};
use crate::proof::note::{NoteError, VerifierKey};
use crate::proof::tile::{TILE_HEIGHT, TILE_WIDTH, Tile, TileKind, read_entries};

/// The bundles that a thread reads before all are put in order.
const BUNDLES_PER_THREAD: u64 = 16;

/// The first flaw of a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Flaw {
    /// The workspace of the log.
    pub workspace: WorkspaceId,
    /// The revision, if the flaw is at one.
    pub revision: Option<Revision>,
    /// The finding and the expectation.
    pub what: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "workspace {}", self.workspace)?;
        if let Some(revision) = self.revision {
            write!(f, ", revision {revision}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// The reason why a log is not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It has a flaw.
    #[error(transparent)]
    Flawed(#[from] Flaw),
    /// A part of it cannot be read.
    #[error("`{path}` cannot be read: {why}")]
    Unreadable {
        /// The file of the log.
        path: String,
        /// The reason.
        why: String,
    },
    /// The key is for no workspace's log.
    #[error("the key is for `{0}`, and not for the log of a workspace: `ORIGIN/workspaces/ws_…`")]
    NoWorkspace(String),
}

/// A verifier of one workspace's log.
pub struct Verifier<'a> {
    key: &'a VerifierKey,
    workspace: WorkspaceId,
    since: Option<&'a Checkpoint>,
}

/// A callback with the number of verified events, and of all events.
pub type Progress<'a> = &'a dyn Fn(u64, u64);

impl<'a> Verifier<'a> {
    /// Returns a verifier of the log of a key. It also checks that the log only grew since a kept checkpoint, if there is one.
    ///
    /// # Errors
    /// `NoWorkspace`.
    pub fn new(key: &'a VerifierKey, since: Option<&'a Checkpoint>) -> Result<Self, VerifyError> {
        let workspace = key.origin().workspace().ok_or_else(|| VerifyError::NoWorkspace(key.origin().to_string()))?;
        Ok(Self { key, workspace, since })
    }

    /// Returns the kept checkpoint.
    pub const fn since(&self) -> Option<&Checkpoint> {
        self.since
    }

    /// Returns the workspace of the log.
    pub const fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// Verifies a log. Passes each event in order to `take`, once its leaf matched the tiles; an error of `take` is a flaw too. Nothing
    /// is proved before this returns.
    ///
    /// # Errors
    /// The first flaw, or the file that cannot be read.
    pub fn verify(
        &self,
        log: &dyn PublishedLog,
        take: &mut dyn FnMut(Arc<Event>) -> Result<(), String>,
        progress: Progress<'_>,
    ) -> Result<Checkpoint, VerifyError> {
        let checkpoint = self.checkpoint(log)?;
        let size = checkpoint.tree().size;
        let mut check = TreeCheck::new(self, log)?;
        let bundles = size.div_ceil(TILE_WIDTH);
        let mut next = 0;
        while next < bundles {
            for bundle in self.read_bundles(log, next, size)? {
                for (leaf, event) in bundle {
                    take(check.push(leaf, event)?).map_err(|what| self.flaw(check.tree.size(), what))?;
                }
                next += 1;
            }
            progress(check.tree.size(), size);
        }
        check.finish()?;
        self.same_root(&check.tree.head(), checkpoint.tree())?;
        self.nothing_stray(log, size)?;
        Ok(checkpoint)
    }

    fn nothing_stray(&self, log: &dyn PublishedLog, size: u64) -> Result<(), VerifyError> {
        match log.stray(size) {
            Ok(None) => Ok(()),
            Ok(Some(stray)) => {
                Err(self.flaw_of_all(format!("{stray} is there, and its checkpoint signs {size} events")))
            }
            Err(error) => Err(VerifyError::Unreadable { path: "the log".to_owned(), why: error.to_string() }),
        }
    }

    fn flaw(&self, revision: u64, what: impl Into<String>) -> VerifyError {
        Flaw { workspace: self.workspace, revision: Some(Revision(revision)), what: what.into() }.into()
    }

    fn flaw_of_all(&self, what: impl Into<String>) -> VerifyError {
        Flaw { workspace: self.workspace, revision: None, what: what.into() }.into()
    }

    /// Returns the log's checkpoint, signed with the key and no smaller than the kept one.
    fn checkpoint(&self, log: &dyn PublishedLog) -> Result<Checkpoint, VerifyError> {
        let bytes = self.file(log, CHECKPOINT_FILE, 0)?;
        let note = String::from_utf8(bytes).map_err(|_| self.flaw_of_all("its checkpoint is no text"))?;
        let checkpoint = self.open(log, &note)?;
        let size = checkpoint.tree().size;
        match self.since.map(Checkpoint::tree) {
            Some(kept) if kept.size > size => Err(self.flaw_of_all(format!(
                "the checkpoint that was kept has {} events, and the log has {size}: its end was cut off, or it was set \
                 back to an older copy",
                kept.size
            ))),
            _ => Ok(checkpoint),
        }
    }

    /// Opens the checkpoint with the key or one that followed it.
    fn open(&self, log: &dyn PublishedLog, note: &str) -> Result<Checkpoint, VerifyError> {
        let error = match Checkpoint::open(note, self.key) {
            Ok(checkpoint) => return Ok(checkpoint),
            Err(error) => error,
        };
        let flaw = |error: &dyn fmt::Display| self.flaw_of_all(format!("its checkpoint: {error}"));
        if !matches!(error, CheckpointError::Note(NoteError::Unsigned(_))) {
            return Err(flaw(&error));
        }
        let chain = key_chain(log).map_err(|error| match error {
            KeysError::Wrong(_) => self.flaw_of_all(format!("its keys: {error}")),
            KeysError::File(error) => VerifyError::Unreadable { path: KEYS_FILE.to_owned(), why: error.to_string() },
        })?;
        match (Checkpoint::open_with(note, &chain.after(self.key)), chain.broken_after(self.key)) {
            (Ok((checkpoint, _)), _) => Ok(checkpoint),
            (Err(_), Some(broken)) => Err(flaw(&format_args!(
                "the key was replaced at {} without the signature of the one before: ask the operator for the new one",
                broken.at
            ))),
            (Err(error), None) => Err(flaw(&error)),
        }
    }

    fn file(&self, log: &dyn PublishedLog, path: &str, revision: u64) -> Result<Vec<u8>, VerifyError> {
        log.file(path).map_err(|error| match error {
            FileError::Missing if revision == 0 => self.flaw_of_all(format!("`{path}` is missing")),
            FileError::Missing => self.flaw(revision, format!("`{path}`, which it is in, is missing")),
            FileError::Damaged { revision, what } => self.flaw(revision.0, what),
            FileError::Foreign(what) if revision == 0 => self.flaw_of_all(format!("`{path}` is {what}")),
            FileError::Foreign(what) => self.flaw(revision, format!("`{path}`, which it is in, is {what}")),
            FileError::Unreadable(why) => VerifyError::Unreadable { path: path.to_owned(), why },
        })
    }

    /// Returns the next bundles from `first` on, read and hashed on several threads.
    fn read_bundles(&self, log: &dyn PublishedLog, first: u64, size: u64) -> Result<Vec<Bundle>, VerifyError> {
        let threads = thread::available_parallelism().map_or(1, |threads| u64::try_from(threads.get()).unwrap_or(1));
        let tiles = |thread: u64| {
            let start = first + thread * BUNDLES_PER_THREAD;
            (start..start + BUNDLES_PER_THREAD).filter_map(move |index| Tile::of_size(TileKind::Entries, index, size))
        };
        thread::scope(|scope| {
            let read = |thread| scope.spawn(move || tiles(thread).map(|tile| self.bundle(log, tile)).collect());
            let running: Vec<_> = (0..threads).map(read).collect();
            let mut bundles = Vec::new();
            for thread in running {
                let read: Result<Vec<Bundle>, VerifyError> = thread.join().unwrap_or_else(|_| Err(broken_off()));
                bundles.extend(read?);
            }
            Ok(bundles)
        })
    }

    /// Returns the events of a bundle with their leaf hashes, which match the tile of leaves.
    fn bundle(&self, log: &dyn PublishedLog, tile: Tile) -> Result<Bundle, VerifyError> {
        let (path, first) = (tile.to_string(), tile.start() + 1);
        let bytes = self.file(log, &path, first)?;
        let entries = read_entries(&bytes).ok_or_else(|| self.flaw(first, format!("`{path}` ends within an event")))?;
        let leaves = self.hashes(log, Tile { kind: TileKind::Hashes(0), ..tile }, first)?;
        let mut bundle = Bundle::new();
        for ((revision, entry), expected) in (first..).zip(&entries).zip(&leaves) {
            let leaf = TreeHash::of_leaf(entry);
            if leaf != *expected {
                let what = format!("the hash of its bytes is `{leaf}`, and the tree has `{expected}` there");
                return Err(self.flaw(revision, what));
            }
            let event = codec::decode(entry).map_err(|error| self.flaw(revision, error.to_string()))?;
            bundle.push((leaf, event));
        }
        let (found, expected) = (u64::try_from(entries.len()).unwrap_or(u64::MAX), tile.width);
        if found == expected {
            return Ok(bundle);
        }
        let revision = first + found.min(expected);
        Err(self.flaw(revision, format!("`{path}` has {found} events, and {expected} were expected")))
    }

    /// Returns the hashes of a tile. The first one covers `revision`.
    fn hashes(&self, log: &dyn PublishedLog, tile: Tile, revision: u64) -> Result<Vec<TreeHash>, VerifyError> {
        let path = tile.to_string();
        let bytes = self.file(log, &path, revision)?;
        let expected = usize::try_from(tile.width).unwrap_or(usize::MAX);
        read_hashes(&bytes).filter(|hashes| hashes.len() == expected).ok_or_else(|| {
            let (found, expected) = (bytes.len(), expected * HASH_BYTES);
            self.flaw(revision, format!("`{path}` has {found} bytes, and {expected} were expected"))
        })
    }

    fn same_root(&self, found: &TreeHead, signed: &TreeHead) -> Result<(), VerifyError> {
        if found.root == signed.root {
            return Ok(());
        }
        let TreeHead { size, root } = found;
        let signed = signed.root;
        Err(self.flaw_of_all(format!("its {size} events have the root `{root}`, and its checkpoint signs `{signed}`")))
    }
}

fn broken_off() -> VerifyError {
    VerifyError::Unreadable { path: "tile".to_owned(), why: "a thread broke off".to_owned() }
}

type Bundle = Vec<(TreeHash, Event)>;

/// The tree over the events so far, and the hashes to compare with the tiles above them.
struct TreeCheck<'a> {
    verifier: &'a Verifier<'a>,
    log: &'a dyn PublishedLog,
    decoder: StreamDecoder,
    tree: Frontier,
    /// For each level of tiles above the leaves, the index and the hashes of its newest tile.
    levels: Vec<(u64, Vec<TreeHash>)>,
}

impl<'a> TreeCheck<'a> {
    fn new(verifier: &'a Verifier<'a>, log: &'a dyn PublishedLog) -> Result<Self, VerifyError> {
        let decoder = StreamDecoder::from_start(verifier.workspace);
        let check = Self { verifier, log, decoder, tree: Frontier::default(), levels: Vec::new() };
        check.check_since()?;
        Ok(check)
    }

    fn push(&mut self, leaf: TreeHash, event: Event) -> Result<Arc<Event>, VerifyError> {
        let revision = self.tree.size() + 1;
        let event = self.decoder.follow(event).map_err(|what| self.verifier.flaw(revision, what))?;
        let full: Vec<_> = self.tree.push(leaf).filter(|(node, _)| node.level > 0).collect();
        for (node, hash) in full {
            if node.level.is_multiple_of(TILE_HEIGHT) {
                self.add_full(node.level / TILE_HEIGHT, hash)?;
            }
        }
        self.check_since()?;
        Ok(Arc::new(event))
    }

    /// Adds the root of a full tile of the level below.
    fn add_full(&mut self, level: u8, root: TreeHash) -> Result<(), VerifyError> {
        let above = usize::from(level - 1);
        if self.levels.len() <= above {
            self.levels.push((0, Vec::new()));
        }
        let Some((index, hashes)) = self.levels.get_mut(above) else { return Ok(()) };
        hashes.push(root);
        if hashes.len() < 256 {
            return Ok(());
        }
        let (full, hashes) = (*index, std::mem::take(hashes));
        *index += 1;
        self.check_tile(level, full, &hashes)
    }

    /// Compares a tile with the hashes of the events.
    fn check_tile(&self, level: u8, index: u64, expected: &[TreeHash]) -> Result<(), VerifyError> {
        let width = u64::try_from(expected.len()).unwrap_or(u64::MAX);
        let tile = Tile { kind: TileKind::Hashes(level), index, width };
        let first = |place: u64| ((tile.start() + place) << (u32::from(level) * u32::from(TILE_HEIGHT))) + 1;
        let found = self.verifier.hashes(self.log, tile, first(0))?;
        for (place, (found, expected)) in (0..).zip(found.iter().zip(expected)) {
            if found != expected {
                let what = format!("`{tile}` has `{found}` over the events from there on, and they have `{expected}`");
                return Err(self.verifier.flaw(first(place), what));
            }
        }
        Ok(())
    }

    /// Compares the partial tiles.
    fn finish(&self) -> Result<(), VerifyError> {
        for (level, (index, hashes)) in (1..).zip(&self.levels) {
            if !hashes.is_empty() {
                self.check_tile(level, *index, hashes)?;
            }
        }
        Ok(())
    }

    /// Compares the root with the kept checkpoint, at its size.
    fn check_since(&self) -> Result<(), VerifyError> {
        let Some(kept) = self.verifier.since.map(Checkpoint::tree).filter(|kept| kept.size == self.tree.size()) else {
            return Ok(());
        };
        let (found, kept) = (self.tree.head(), *kept);
        if found.root == kept.root {
            return Ok(());
        }
        let what = format!(
            "up to there the log has the root `{}`, and the checkpoint that was kept has `{}`: the log was rewritten \
             since, or the checkpoint is of another history",
            found.root, kept.root
        );
        Err(self.verifier.flaw(kept.size, what))
    }
}
