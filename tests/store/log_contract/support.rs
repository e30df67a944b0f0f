//! Making parts of groups, and looking over a whole log.

use std::collections::BTreeMap;

use tenure::domain::model::credential::SecretDigest;
use tenure::domain::model::id::{CommandId, ReadId, TokenId, UserId, WorkspaceId};
use tenure::domain::model::name::WorkspaceName;
use tenure::domain::model::principal::{Actor, Principal};
use tenure::domain::model::time::{Instant, Revision};
use tenure::log::journal::{AnswerForm, AuditReader, ReadFilter, ReadRecord};
use tenure::log::{
    Append, CredentialHolder, CredentialId, IdempotencyRecord, Outcome, RecordPlace, RecordScope, SideWrite, Store,
    StoredCredential, StoredEvent,
};
use tenure::proof::frontier::TreeHead;
use tenure::proof::hash::TreeHash;
use tenure::proof::tile::{Tile, TileKind};
use uuid::Uuid;

/// A location of one implementation's store. The next `open` finds exactly the durable data.
pub(crate) trait StoreFixture {
    type Log: Store;

    fn new() -> Self;
    fn open(&self) -> Self::Log;
}

pub(crate) fn workspace(number: u128) -> WorkspaceId {
    WorkspaceId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn command(number: u128) -> CommandId {
    CommandId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn token(number: u128) -> CredentialId {
    CredentialId::Token(TokenId::from_uuid(Uuid::from_u128(number)))
}

pub(crate) fn user(id: &str) -> UserId {
    id.parse().unwrap()
}

pub(crate) fn claim(name: &str) -> SideWrite {
    SideWrite::ClaimName(name.parse::<WorkspaceName>().unwrap())
}

pub(crate) fn at(micros: i64) -> Instant {
    Instant::from_micros(micros)
}

pub(crate) fn credential(number: u128, workspace: WorkspaceId) -> StoredCredential {
    StoredCredential {
        id: token(number),
        workspace,
        sha256: SecretDigest([7; 32]),
        holder: CredentialHolder::Principal(Principal::User(user("alice"))),
    }
}

/// The scope of a workspace's name.
pub(crate) fn scope(name: &str) -> RecordScope {
    RecordScope { place: RecordPlace::Name(name.parse().unwrap()), holder: Actor::Operator }
}

pub(crate) fn answer(name: &str, key: &str, given: i64) -> IdempotencyRecord {
    IdempotencyRecord {
        scope: scope(name),
        key: key.to_owned(),
        fingerprint: [3; 32],
        at: at(given),
        response: b"{\"revision\":1}".to_vec(),
    }
}

/// A read of a workspace's audit that began: by the operator, at the instant of its number.
pub(crate) fn read(number: u32, stream: u128) -> ReadRecord {
    ReadRecord {
        id: ReadId::from_uuid(Uuid::from_u128(number.into())),
        workspace: workspace(stream),
        at: at(number.into()),
        reader: AuditReader::Operator,
        token: None,
        request: format!("request {number}"),
        question: "audit/access".to_owned(),
        query: "environment=prod&principal=user%3Aalice".to_owned(),
        form: AnswerForm::Json,
        revision: Revision(7),
        view_at: at(6),
        rows: None,
    }
}

pub(crate) fn recorded(read: ReadRecord) -> SideWrite {
    SideWrite::RecordRead(Box::new(read))
}

/// All reads there are.
pub(crate) const ALL_READS: ReadFilter =
    ReadFilter { after: 0, until_sequence: u64::MAX, from: None, until: None, reader: None };

/// A part of `count` events for a workspace whose log is at `expected`; the number of the command is in each event.
pub(crate) fn part(stream: u128, expected: u64, count: usize, by: u128) -> Append {
    Append {
        workspace: workspace(stream),
        expected: Revision(expected),
        events: (0..count).map(|n| format!("event {n} of command {by}").into_bytes()).collect(),
        side_writes: Vec::new(),
    }
}

pub(crate) fn with(mut part: Append, side_writes: impl IntoIterator<Item = SideWrite>) -> Append {
    part.side_writes.extend(side_writes);
    part
}

/// A part without events.
pub(crate) fn side_writes(stream: u128, side_writes: impl IntoIterator<Item = SideWrite>) -> Append {
    with(part(stream, 0, 0, 0), side_writes)
}

pub(crate) fn append_one(log: &impl Store, part: Append) -> Outcome {
    log.append(&[part]).unwrap().outcomes.remove(0)
}

pub(crate) fn appended(log: &impl Store, part: Append) {
    assert_eq!(append_one(log, part), Outcome::Appended);
}

pub(crate) fn read_all(log: &impl Store, stream: u128) -> Vec<StoredEvent> {
    log.read(workspace(stream), Revision::ZERO, usize::MAX).unwrap()
}

/// `MTH` of RFC 6962 §2.1 over the hashes of leaves.
pub(crate) fn root(leaves: &[TreeHash]) -> TreeHash {
    match leaves {
        [] => TreeHash::of_nothing(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            TreeHash::of_node(&root(left), &root(right))
        }
    }
}

/// The head of the tree over these bytes.
pub(crate) fn head_over<'a>(events: impl IntoIterator<Item = &'a [u8]>) -> TreeHead {
    let leaves: Vec<_> = events.into_iter().map(TreeHash::of_leaf).collect();
    TreeHead { size: leaves.len().try_into().unwrap(), root: root(&leaves) }
}

/// Looks over a stream's tree: its head, and every tile at its full width and at fewer, is as its bytes say.
pub(crate) fn verify_tree(log: &impl Store, workspace: WorkspaceId, events: &[StoredEvent]) {
    let head = head_over(events.iter().map(|event| event.bytes.as_slice()));
    assert_eq!(log.tree(workspace).unwrap().map(|tree| tree.head()), Some(head), "{workspace}");
    let mut along: Vec<TreeHash> = events.iter().map(|event| TreeHash::of_leaf(&event.bytes)).collect();
    let of_kind = |kind: TileKind| Tile::all(head.size).filter(move |tile| tile.kind == kind);
    for tile in of_kind(TileKind::Entries) {
        let leaves = log.tile_hashes(workspace, tile).unwrap();
        assert_eq!(leaves, log.tile_hashes(workspace, Tile { kind: TileKind::Hashes(0), ..tile }).unwrap());
    }
    for level in 0.. {
        let mut found = Vec::new();
        for tile in of_kind(TileKind::Hashes(level)) {
            let hashes = log.tile_hashes(workspace, tile).unwrap();
            let narrow = Tile { width: tile.width.div_ceil(2), ..tile };
            let (half, _) = hashes.split_at(narrow.width.try_into().unwrap());
            assert_eq!(log.tile_hashes(workspace, narrow).unwrap(), half, "{narrow}");
            assert_eq!(log.tile_hashes(workspace, Tile { width: 256, ..tile }).unwrap(), hashes, "{tile}");
            found.extend(hashes);
        }
        assert_eq!(found, along, "level {level} of {workspace}");
        if along.is_empty() {
            break;
        }
        along = along.chunks_exact(256).map(root).collect();
    }
}

/// Verifies a whole log. Streams have no gaps, and every stream is listed. The feed has exactly their events and keeps
/// their order. Each tree matches the bytes of its stream.
pub(crate) fn verify(log: &impl Store) {
    let feed = log.feed(0, usize::MAX).unwrap();
    assert!(feed.is_sorted_by(|a, b| a.position < b.position), "positions grow");

    let mut streams: BTreeMap<WorkspaceId, Vec<StoredEvent>> = BTreeMap::new();
    for event in feed {
        streams.entry(event.workspace).or_default().push(event);
    }
    let listed = log.workspaces(None, usize::MAX).unwrap();
    assert_eq!(listed, streams.keys().copied().collect::<Vec<_>>(), "the streams are listed, in order");

    for (workspace, events) in streams {
        let revisions: Vec<u64> = events.iter().map(|event| event.revision.0).collect();
        let expected: Vec<u64> = (1..).take(events.len()).collect();
        assert_eq!(revisions, expected, "no gap in {workspace}");
        assert_eq!(log.read(workspace, Revision::ZERO, usize::MAX).unwrap(), events, "feed and stream agree");
        assert_eq!(log.head(workspace).unwrap(), events.last().map(|event| event.revision));
        verify_tree(log, workspace, &events);
    }
}
