//! Snapshots: a workspace's packed log up to a revision, from which its facts load faster than from the stored events.
//!
//! A snapshot is derived and never the truth: one that does not match this build or its seal is discarded. The seal covers all bytes, so a
//! snapshot with a valid seal is a witness of the log. A log with another root is not the one that this instance wrote, and is not
//! served. The first bytes name the format. `snapshots/formats/` has a sample of each format, which is read, or refused, for ever.

use std::sync::mpsc::sync_channel;
use std::thread;

use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::tiles::LogTiles;
use super::{LogError, Store, codec};
use crate::domain::history::PackedHistory;
use crate::domain::model::id::WorkspaceId;
use crate::domain::model::time::Revision;
use crate::domain::state::workspace::{EVOLVE_VERSION, Workspace};
use crate::proof::frontier::{Frontier, TreeHead};
use crate::proof::hash::{HASH_BYTES, TreeHash};
use crate::proof::note::LogKey;
use crate::proof::tile::{NodeError, Nodes, Tile, TileKind};

/// The first bytes of every snapshot.
const MAGIC: &[u8; 8] = b"tenuresn";
/// The format that is written; no other is read.
pub const FORMAT: u32 = 1;
/// The length of the header: magic, format, version of `evolve`, workspace, revision, and the root of the log's tree there.
const HEADER_LEN: usize = 8 + 4 + 4 + 16 + 8 + HASH_BYTES;
const SEAL_LEN: usize = 32;
/// The pieces of a history that are unpacked ahead of the one that is applied.
const PIECES_AHEAD: usize = 8;

/// A snapshot that was read.
#[derive(Debug)]
pub struct Snapshot {
    /// The facts up to its revision.
    pub facts: Workspace,
    /// The root of the log's tree there.
    pub root: TreeHash,
}

/// The reason why a snapshot cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSnapshot {
    /// It does not begin like a snapshot, or is too short.
    #[error("it is no snapshot")]
    NotASnapshot,
    /// This build does not read its format.
    #[error("its format is {0}, and {FORMAT} is read")]
    Format(u32),
    /// Its seal does not match its bytes.
    #[error("its seal does not match")]
    Seal,
    /// It was written with another version of `evolve`.
    #[error("it is of version {0} of the facts, and this is version {EVOLVE_VERSION}")]
    Evolve(u32),
    /// It is another workspace's.
    #[error("it is of workspace {0}")]
    Workspace(WorkspaceId),
    /// Its contents are no log up to its revision.
    #[error("it holds no log up to revision {0}")]
    Content(Revision),
    /// The log has another root.
    #[error("the log's tree has another root at revision {0}")]
    Root(Revision),
    /// The log has another event.
    #[error("the log has another event at revision {0}, or none")]
    Log(Revision),
}

/// Takes a snapshot of a workspace's committed facts. `tree` is the head of the log's tree, if known; otherwise the tiles give it.
///
/// # Errors
/// `Unavailable`, or `Unreadable` if the log's tree is shorter.
pub fn take(workspace: &Workspace, tree: Option<TreeHead>, log: &dyn Store, key: &LogKey) -> Result<Vec<u8>, LogError> {
    let head = workspace.head();
    let root = match tree.filter(|tree| tree.size == head.0) {
        Some(tree) => tree.root,
        None => frontier_at(log, workspace.id(), head)?.root(),
    };
    Ok(write(workspace, &root, key))
}

/// Returns the frontier of a workspace's log at a revision, from its tiles.
///
/// # Errors
/// `Unavailable`, or `Unreadable` if the log's tree is shorter.
pub fn frontier_at(log: &dyn Store, workspace: WorkspaceId, revision: Revision) -> Result<Frontier, LogError> {
    let frontier = Nodes::new(&LogTiles { log, workspace }, revision.0).frontier();
    frontier.map_err(|error| match error {
        NodeError::Source(error) => error,
        error @ NodeError::Short(_) => LogError::Unreadable { workspace, revision, why: error.to_string() },
    })
}

/// Writes a snapshot of a workspace's facts, and of the root of its log's tree at their head.
pub fn write(workspace: &Workspace, root: &TreeHash, key: &LogKey) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(MAGIC);
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(EVOLVE_VERSION.to_le_bytes());
    bytes.extend_from_slice(workspace.id().uuid().as_bytes());
    bytes.extend(workspace.head().0.to_le_bytes());
    bytes.extend(root.0);
    bytes.extend(workspace.packed());
    let seal = key.seal(&bytes);
    bytes.extend(seal);
    bytes
}

/// Seals a snapshot with a new key, if it is sealed with the old one.
pub fn seal_anew(bytes: &[u8], old: &LogKey, new: &LogKey) -> Option<Vec<u8>> {
    let (sealed, found) = bytes.split_last_chunk::<SEAL_LEN>()?;
    let is_sealed = bool::from(old.seal(sealed).ct_eq(found));
    is_sealed.then(|| [sealed, &new.seal(sealed)].concat())
}

/// The header of a snapshot of this format.
#[derive(Debug, Clone, Copy)]
struct Header {
    evolve: u32,
    workspace: WorkspaceId,
    revision: Revision,
    root: TreeHash,
}

fn header(bytes: &[u8]) -> Result<Header, BadSnapshot> {
    let (magic, rest) = bytes.split_first_chunk().ok_or(BadSnapshot::NotASnapshot)?;
    let (format, rest) = rest.split_first_chunk().ok_or(BadSnapshot::NotASnapshot)?;
    let format = u32::from_le_bytes(*format);
    if magic != MAGIC {
        return Err(BadSnapshot::NotASnapshot);
    }
    if format != FORMAT {
        return Err(BadSnapshot::Format(format));
    }
    let fields = || {
        let (evolve, rest) = rest.split_first_chunk()?;
        let (workspace, rest) = rest.split_first_chunk()?;
        let (revision, rest) = rest.split_first_chunk()?;
        let (root, _) = rest.split_first_chunk()?;
        Some(Header {
            evolve: u32::from_le_bytes(*evolve),
            workspace: WorkspaceId::from_uuid(Uuid::from_bytes(*workspace)),
            revision: Revision(u64::from_le_bytes(*revision)),
            root: TreeHash(*root),
        })
    };
    fields().ok_or(BadSnapshot::NotASnapshot)
}

/// A snapshot with a valid seal.
#[derive(Debug)]
pub struct Sealed<'a> {
    header: Header,
    packed: &'a [u8],
}

/// Opens a workspace's snapshot that was sealed with a key.
///
/// # Errors
/// It is no snapshot, or its seal does not match.
pub fn open<'a>(bytes: &'a [u8], workspace: WorkspaceId, key: &LogKey) -> Result<Sealed<'a>, BadSnapshot> {
    let header = header(bytes)?;
    let (sealed, found) = bytes.split_last_chunk::<SEAL_LEN>().ok_or(BadSnapshot::NotASnapshot)?;
    if !bool::from(key.seal(sealed).ct_eq(found)) {
        return Err(BadSnapshot::Seal);
    }
    if header.workspace != workspace {
        return Err(BadSnapshot::Workspace(header.workspace));
    }
    let packed = sealed.get(HEADER_LEN..).ok_or(BadSnapshot::NotASnapshot)?;
    Ok(Sealed { header, packed })
}

impl Sealed<'_> {
    /// Returns the size and root of its log's tree.
    pub const fn tree(&self) -> TreeHead {
        TreeHead { size: self.header.revision.0, root: self.header.root }
    }

    /// Reads the facts.
    ///
    /// # Errors
    /// It is of another version of `evolve`, or holds no log up to its revision.
    pub fn read(&self) -> Result<Snapshot, BadSnapshot> {
        let Header { evolve, workspace, revision, root } = self.header;
        if evolve != EVOLVE_VERSION {
            return Err(BadSnapshot::Evolve(evolve));
        }
        let facts = unpack(workspace, self.packed);
        let facts = facts.filter(|facts| facts.head() == revision && revision != Revision::ZERO);
        let facts = facts.ok_or(BadSnapshot::Content(revision))?;
        Ok(Snapshot { facts, root })
    }
}

/// Reads a workspace's snapshot, without its log.
///
/// # Errors
/// The first fault.
pub fn read(bytes: &[u8], workspace: WorkspaceId, key: &LogKey) -> Result<Snapshot, BadSnapshot> {
    open(bytes, workspace, key)?.read()
}

/// Returns the facts of a packed history. A second thread unpacks events while the ones before are applied.
fn unpack(workspace: WorkspaceId, packed: &[u8]) -> Option<Workspace> {
    let packed = PackedHistory::read(workspace, packed)?;
    thread::scope(|scope| {
        let (ahead, pieces) = sync_channel(PIECES_AHEAD);
        let unpacked = packed.pieces();
        // It ends early if the facts fail.
        scope.spawn(move || unpacked.map(|piece| ahead.send(piece)).all(|sent| sent.is_ok()));
        packed.facts(pieces.into_iter())
    })
}

/// Checks that every event of a snapshot has its leaf in the log, whose leaves match its events. The facts of a snapshot follow from its
/// events.
///
/// # Errors
/// `Unavailable`; the inner error has the first revision that differs.
pub fn check_derived(snapshot: &Snapshot, log: &dyn Store) -> Result<Result<(), BadSnapshot>, LogError> {
    let facts = &snapshot.facts;
    let (workspace, head) = (facts.id(), facts.head());
    let mut held = facts.events(Revision::ZERO, head);
    let mut tree = Frontier::default();
    for tile in (0..).map_while(|index| Tile::of_size(TileKind::Hashes(0), index, head.0)) {
        let leaves = log.tile_hashes(workspace, tile)?;
        for (revision, leaf) in (tile.start() + 1..).zip(leaves) {
            let bytes = held.next().and_then(|event| codec::encode(&event).ok());
            if bytes.is_none_or(|bytes| TreeHash::of_leaf(&bytes) != leaf) {
                return Ok(Err(BadSnapshot::Log(Revision(revision))));
            }
            tree.add(leaf);
        }
    }
    Ok(if tree.size() != head.0 {
        Err(BadSnapshot::Log(Revision(tree.size()).next()))
    } else if tree.root() != snapshot.root {
        Err(BadSnapshot::Root(head))
    } else {
        Ok(())
    })
}
