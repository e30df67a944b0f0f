//! Snapshots: a workspace's log up to a revision, packed, so that its facts are there sooner than by reading every event as stored.
//!
//! A snapshot is derived and never the truth: one that does not match this build, its seal or its log is thrown away. It is sealed over
//! all of its bytes. Its first bytes say which format the rest has, whatever that is; the samples in `snapshots/formats/` hold one of
//! each format that was ever written, and each of them is read, or refused, for ever.

use std::sync::mpsc::sync_channel;
use std::thread;

use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::tiles::LogTiles;
use super::{EventLog, LogError, codec};
use crate::domain::history::PackedHistory;
use crate::domain::id::WorkspaceId;
use crate::domain::time::Revision;
use crate::domain::workspace::{EVOLVE_VERSION, Workspace};
use crate::proof::hash::{HASH_BYTES, TreeHash};
use crate::proof::note::LogKey;
use crate::proof::tile::{NodeError, Nodes, Tile, TileKind};

/// What every snapshot begins with.
const MAGIC: &[u8; 8] = b"tenuresn";
/// The format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;
/// Format, version of `evolve`, workspace, revision, the root of the log's tree there; after the first bytes.
const HEADER_LEN: usize = 8 + 4 + 4 + 16 + 8 + HASH_BYTES;
const SEAL_LEN: usize = 32;
/// How many pieces of a history are unpacked ahead of those that are taken in.
const PIECES_AHEAD: usize = 8;

/// A snapshot that was read.
#[derive(Debug)]
pub struct Snapshot {
    /// The facts up to its revision.
    pub facts: Workspace,
    /// The root that the log's tree had there.
    pub root: TreeHash,
}

/// Why a snapshot is good for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSnapshot {
    /// It does not begin as a snapshot does, or ends too soon.
    #[error("it is no snapshot")]
    NotASnapshot,
    /// It has a format that this build does not read.
    #[error("its format is {0}, and {FORMAT} is read")]
    Format(u32),
    /// Its bytes are not those that were sealed here.
    #[error("its seal does not match")]
    Seal,
    /// Its facts were tried with another version of `evolve`.
    #[error("it is of version {0} of the facts, and this is version {EVOLVE_VERSION}")]
    Evolve(u32),
    /// It is another workspace's.
    #[error("it is of workspace {0}")]
    Workspace(WorkspaceId),
    /// What it holds is not a log up to its revision.
    #[error("it holds no log up to revision {0}")]
    Content(Revision),
    /// The tree of the log has another root.
    #[error("the log's tree has another root at revision {0}")]
    Root(Revision),
    /// The log does not have its last event.
    #[error("the log has another event at revision {0}, or none")]
    Log(Revision),
}

/// A snapshot of a workspace's facts, which its log has.
///
/// # Errors
/// `Unavailable`, or `Unreadable` if the log's tree is not to be had up to there.
pub fn take(workspace: &Workspace, log: &dyn EventLog, key: &LogKey) -> Result<Vec<u8>, LogError> {
    Ok(write(workspace, &root_at(log, workspace.id(), workspace.head())?, key))
}

/// The root that the tree of a workspace's log had at a revision.
fn root_at(log: &dyn EventLog, workspace: WorkspaceId, revision: Revision) -> Result<TreeHash, LogError> {
    let root = Nodes::new(&LogTiles { log, workspace }, revision.0).subtree(0, revision.0);
    root.map_err(|error| match error {
        NodeError::Source(error) => error,
        error @ NodeError::Short(_) => LogError::Unreadable { workspace, revision, why: error.to_string() },
    })
}

/// A snapshot of a workspace's facts, and of the root that its log's tree has at their head.
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

/// Seals a snapshot with another key, if the one that it was sealed with is this one.
pub fn seal_anew(bytes: &[u8], old: &LogKey, new: &LogKey) -> Option<Vec<u8>> {
    let (sealed, found) = bytes.split_last_chunk::<SEAL_LEN>()?;
    let is_sealed = bool::from(old.seal(sealed).ct_eq(found));
    is_sealed.then(|| [sealed, &new.seal(sealed)].concat())
}

/// What stands at the front of a snapshot of this format.
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

/// The facts that a snapshot of a workspace holds. That its log has its last event is left to [`check_log`].
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read(bytes: &[u8], workspace: WorkspaceId, key: &LogKey) -> Result<Snapshot, BadSnapshot> {
    let header = header(bytes)?;
    let (sealed, found) = bytes.split_last_chunk::<SEAL_LEN>().ok_or(BadSnapshot::NotASnapshot)?;
    if !bool::from(key.seal(sealed).ct_eq(found)) {
        return Err(BadSnapshot::Seal);
    }
    if header.evolve != EVOLVE_VERSION {
        return Err(BadSnapshot::Evolve(header.evolve));
    }
    if header.workspace != workspace {
        return Err(BadSnapshot::Workspace(header.workspace));
    }
    let facts = sealed.get(HEADER_LEN..).and_then(|packed| unpack(workspace, packed));
    let facts = facts.filter(|facts| facts.head() == header.revision && header.revision != Revision::ZERO);
    let facts = facts.ok_or(BadSnapshot::Content(header.revision))?;
    Ok(Snapshot { facts, root: header.root })
}

/// The facts of a packed history, whose events are unpacked on a thread of their own while those before them are taken in.
fn unpack(workspace: WorkspaceId, packed: &[u8]) -> Option<Workspace> {
    let packed = PackedHistory::read(workspace, packed)?;
    thread::scope(|scope| {
        let (ahead, pieces) = sync_channel(PIECES_AHEAD);
        let unpacked = packed.pieces();
        // It ends early where whoever takes them in has stopped.
        scope.spawn(move || unpacked.map(|piece| ahead.send(piece)).all(|sent| sent.is_ok()));
        packed.facts(pieces.into_iter())
    })
}

/// Whether the log's tree has the snapshot's root at its revision, and the log there the very bytes of its last event.
///
/// # Errors
/// `Unavailable`; within, that it does not.
pub fn check_log(snapshot: &Snapshot, log: &dyn EventLog) -> Result<Result<(), BadSnapshot>, LogError> {
    let facts = &snapshot.facts;
    let head = facts.head();
    if log.tree(facts.id())?.is_none_or(|tree| tree.size() < head.0) {
        return Ok(Err(BadSnapshot::Log(head)));
    }
    if root_at(log, facts.id(), head)? != snapshot.root {
        return Ok(Err(BadSnapshot::Root(head)));
    }
    let stored = log.read(facts.id(), Revision(head.0.saturating_sub(1)), 1)?;
    let expected = facts.event(head).and_then(|event| codec::encode(&event).ok());
    let same = stored.first().is_some_and(|stored| stored.revision == head && Some(&stored.bytes) == expected.as_ref());
    Ok(if same { Ok(()) } else { Err(BadSnapshot::Log(head)) })
}

/// Whether every event of a snapshot is its log's, byte for byte, where the log's leaves are known to be those of its events. A
/// snapshot's facts are those that its events come to, so they are the log's if each event is.
///
/// # Errors
/// `Unavailable`; within, the first revision at which they differ.
pub fn check_derived(snapshot: &Snapshot, log: &dyn EventLog) -> Result<Result<(), BadSnapshot>, LogError> {
    let facts = &snapshot.facts;
    let (workspace, head) = (facts.id(), facts.head());
    let mut held = facts.events(Revision::ZERO, head);
    for tile in (0..).map_while(|index| Tile::of_size(TileKind::Hashes(0), index, head.0)) {
        let leaves = log.tile_hashes(workspace, tile)?;
        for (revision, leaf) in (tile.start() + 1..).zip(leaves) {
            let bytes = held.next().and_then(|event| codec::encode(&event).ok());
            if bytes.is_none_or(|bytes| TreeHash::of_leaf(&bytes) != leaf) {
                return Ok(Err(BadSnapshot::Log(Revision(revision))));
            }
        }
    }
    check_log(snapshot, log)
}
