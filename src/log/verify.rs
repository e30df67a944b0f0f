//! The verifier of a whole log: that it is what its checkpoint signs, that it only grew, and that every event of it can be read.
//!
//! It believes nothing but the verifier key that it is given. Every leaf and node is hashed again and compared with the tiles,
//! every event is decoded, revisions have no gap, times never run back. The first thing that is wrong is named.

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

/// How many bundles a thread reads before they are put in order.
const BUNDLES_PER_THREAD: u64 = 16;

/// The first thing that is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Flaw {
    /// Whose log.
    pub workspace: WorkspaceId,
    /// Where, if it is at one revision.
    pub revision: Option<Revision>,
    /// What was found, and what was expected.
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

/// Why a log is not verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is not as it should be.
    #[error(transparent)]
    Flawed(#[from] Flaw),
    /// A part of it cannot be read, so nothing can be said.
    #[error("`{path}` cannot be read: {why}")]
    Unreadable {
        /// Which file of the log.
        path: String,
        /// Why.
        why: String,
    },
    /// The key is of no workspace's log.
    #[error("the key is for `{0}`, and not for the log of a workspace: `ORIGIN/workspaces/ws_…`")]
    NoWorkspace(String),
}

/// What a log is verified with.
pub struct Verifier<'a> {
    key: &'a VerifierKey,
    workspace: WorkspaceId,
    since: Option<&'a Checkpoint>,
}

/// What the verifier tells while it works: how many events are done, of how many.
pub type Progress<'a> = &'a dyn Fn(u64, u64);

impl<'a> Verifier<'a> {
    /// A verifier of the log that a key is for, and of its having only grown since a checkpoint that was kept, if one was.
    ///
    /// # Errors
    /// `NoWorkspace`.
    pub fn new(key: &'a VerifierKey, since: Option<&'a Checkpoint>) -> Result<Self, VerifyError> {
        let workspace = key.origin().workspace().ok_or_else(|| VerifyError::NoWorkspace(key.origin().to_string()))?;
        Ok(Self { key, workspace, since })
    }

    /// The checkpoint that was kept.
    pub const fn since(&self) -> Option<&Checkpoint> {
        self.since
    }

    /// Whose log is verified.
    pub const fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// Verifies a log, and gives each event, in order, to `take` once its bytes are known to be in the tree that its tiles
    /// make; what `take` finds wrong with it is a flaw too. Nothing is proved before this returns.
    ///
    /// # Errors
    /// The first flaw, or why nothing can be said.
    pub fn verify(
        &self,
        log: &dyn PublishedLog,
        take: &mut dyn FnMut(Arc<Event>) -> Result<(), String>,
        progress: Progress<'_>,
    ) -> Result<Checkpoint, VerifyError> {
        let checkpoint = self.checkpoint(log)?;
        let size = checkpoint.tree().size;
        let mut growing = Growing::new(self, log)?;
        let bundles = size.div_ceil(TILE_WIDTH);
        let mut next = 0;
        while next < bundles {
            for bundle in self.read_bundles(log, next, size)? {
                for (leaf, event) in bundle {
                    take(growing.push(leaf, event)?).map_err(|what| self.flaw(growing.tree.size(), what))?;
                }
                next += 1;
            }
            progress(growing.tree.size(), size);
        }
        growing.finish()?;
        self.same_root(&growing.tree.head(), checkpoint.tree())?;
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

    /// The log's checkpoint, signed with the key and no smaller than the one that was kept.
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

    /// Opens the checkpoint, with the key or with one that followed it.
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

    /// Some bundles from one on, read and hashed by several threads.
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

    /// The events of a bundle, each with the hash of its bytes, which is the one that the tile of leaves has.
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

    /// The hashes of a tile, of which the first covers a revision.
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

/// The tree as far as the events were read, and what has to be as the tiles above them say.
struct Growing<'a> {
    verifier: &'a Verifier<'a>,
    log: &'a dyn PublishedLog,
    decoder: StreamDecoder,
    tree: Frontier,
    /// For each level of tiles above the leaves, the hashes of its newest tile so far, and that tile's number.
    levels: Vec<(u64, Vec<TreeHash>)>,
}

impl<'a> Growing<'a> {
    fn new(verifier: &'a Verifier<'a>, log: &'a dyn PublishedLog) -> Result<Self, VerifyError> {
        let decoder = StreamDecoder::from_start(verifier.workspace);
        let growing = Self { verifier, log, decoder, tree: Frontier::default(), levels: Vec::new() };
        growing.check_since()?;
        Ok(growing)
    }

    fn push(&mut self, leaf: TreeHash, event: Event) -> Result<Arc<Event>, VerifyError> {
        let revision = self.tree.size() + 1;
        let event = self.decoder.follow(event).map_err(|what| self.verifier.flaw(revision, what))?;
        let full: Vec<_> = self.tree.push(leaf).filter(|(node, _)| node.level > 0).collect();
        for (node, hash) in full {
            if node.level.is_multiple_of(TILE_HEIGHT) {
                self.take_full(node.level / TILE_HEIGHT, hash)?;
            }
        }
        self.check_since()?;
        Ok(Arc::new(event))
    }

    /// A tile of the level below is full, and this is its root.
    fn take_full(&mut self, level: u8, root: TreeHash) -> Result<(), VerifyError> {
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

    /// Compares a tile with the hashes that the events give.
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

    /// Compares the tiles at the right edge.
    fn finish(&self) -> Result<(), VerifyError> {
        for (level, (index, hashes)) in (1..).zip(&self.levels) {
            if !hashes.is_empty() {
                self.check_tile(level, *index, hashes)?;
            }
        }
        Ok(())
    }

    /// At the size of the checkpoint that was kept, makes sure that it is of this history.
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
