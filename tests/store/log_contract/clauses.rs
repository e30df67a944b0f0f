//! The contract, a behaviour a function.

use std::sync::atomic::{AtomicBool, Ordering};

use tenure::domain::model::command::Profile;
use tenure::domain::model::id::{AccessKeyId, ProxyTokenId, ServiceUserId};
use tenure::domain::model::principal::Principal;
use tenure::domain::model::role::AccessKeyRole;
use tenure::domain::model::time::Revision;
use tenure::log::codec::StreamDecoder;
use tenure::log::journal::{AnswerForm, AuditReader, OldReads, Pruning, ReadFilter, ReadRecord};
use tenure::log::{
    Append, Appended, CredentialHolder, CredentialId, CursorSecret, Directories, EventLog, LogError, Outcome,
    ReadJournal, SideWrite, SnapshotStore, Store, StoredCredential, StoredEvent, TreeStore,
};
use tenure::proof::tile::{Tile, TileKind};
use uuid::Uuid;

use super::support::{
    ALL_READS, StoreFixture, answer, append_one, appended, at, claim, credential, head_over, part, read, read_all,
    recorded, scope, side_writes, token, user, verify_tree, with, workspace,
};

/// Makes a test of every clause for one implementation, and verifies the log that it leaves.
macro_rules! contract {
    ($store:ty: $($clause:ident)*) => {$(
        #[test]
        fn $clause() {
            let store = <$store as $crate::log_contract::support::StoreFixture>::new();
            $crate::log_contract::clauses::$clause(&store);
            $crate::log_contract::support::verify(&$crate::log_contract::support::StoreFixture::open(&store));
        }
    )*};
    ($store:ty) => {
        $crate::log_contract::clauses::contract! { $store:
            appended_data_survives_reopening
            bytes_are_returned_exactly
            reads_return_up_to_the_limit_and_continue
            another_revision_is_a_conflict_and_writes_nothing
            a_conflict_does_not_harm_its_neighbours
            a_later_part_sees_what_an_earlier_part_of_its_stream_appended
            an_empty_batch_and_a_refused_batch_write_nothing
            a_part_without_events_ignores_the_revision
            a_name_is_claimed_by_one_workspace_at_a_time
            a_name_released_and_claimed_in_one_batch_moves
            a_workspace_may_claim_its_own_name_again
            an_idempotency_record_is_unique_by_scope_and_key
            an_idempotency_record_is_found_until_it_is_removed
            a_part_with_two_records_of_one_key_is_a_conflict
            a_credential_is_found_until_it_is_forgotten
            every_kind_of_credential_is_returned_with_its_holder
            an_existing_credential_is_never_replaced
            the_latest_use_of_a_credential_is_kept
            profiles_are_set_replaced_and_erased_by_workspace_and_person
            a_read_is_returned_as_recorded
            the_rows_of_a_read_are_counted_once_and_nothing_else_of_it_changes
            reads_are_filtered_and_paged_in_the_order_in_which_they_were_recorded
            the_oldest_reads_are_pruned_with_a_record_and_no_sequence_number_is_reused
            a_tree_grows_in_the_commit_of_its_events_and_with_nothing_else
            a_tree_goes_on_from_wherever_it_was
            a_tree_has_every_tile_where_tiles_fill
            the_key_of_cursors_is_the_one_that_was_stored_first
            the_last_kept_snapshot_is_returned_until_it_is_removed
            a_workspace_is_due_from_its_earliest_expiry_on
            a_part_is_found_only_in_its_own_log
            workspaces_are_listed_in_the_order_of_their_ids_page_by_page
            reads_see_all_of_a_part_or_none_while_others_write
            a_decoding_error_names_the_workspace_and_the_revision
            a_backup_has_all_data_and_replaces_no_file
        }
    };
}
pub(crate) use contract;

pub(crate) fn appended_data_survives_reopening(store: &impl StoreFixture) {
    let log = store.open();
    let everything = [
        claim("acme"),
        SideWrite::AddCredential(credential(1, workspace(1))),
        SideWrite::Used(token(1), at(5)),
        SideWrite::SetProfile(user("alice"), Profile { name: "Alice".parse().ok(), email: None }),
        SideWrite::NextExpiry(Some(at(9))),
        SideWrite::KeepIdempotencyRecord(answer("ws", "key", 5)),
        recorded(read(1, 1)),
    ];
    appended(&log, with(part(1, 0, 2, 1), everything));
    let look = |log: &dyn Store| {
        assert_eq!(log.head(workspace(1)).unwrap(), Some(Revision(2)));
        assert!(log.holds(&part(1, 0, 2, 1)).unwrap());
        assert_eq!(log.workspace_named("acme").unwrap(), Some(workspace(1)));
        assert!(log.credential(token(1)).unwrap().is_some());
        assert_eq!(log.last_used(&[token(1)]).unwrap(), [Some(at(5))]);
        assert_eq!(log.profiles(workspace(1), &[user("alice")]).unwrap()[0].name, "Alice".parse().ok());
        assert_eq!(log.due(at(9)).unwrap(), [workspace(1)]);
        assert_eq!(log.idempotency_record(&scope("ws"), "key", at(0)).unwrap(), Some(answer("ws", "key", 5)));
        assert_eq!(log.reads(workspace(1), &ALL_READS, 9).unwrap()[0].record, read(1, 1));
    };
    look(&log);
    log.reopen().unwrap();
    look(&log);
    appended(&log, part(1, 2, 1, 2));
    drop(log);
    let log = store.open();
    assert_eq!(log.head(workspace(1)).unwrap(), Some(Revision(3)));
    appended(&log, part(1, 3, 1, 3));
}

pub(crate) fn bytes_are_returned_exactly(store: &impl StoreFixture) {
    let log = store.open();
    let events = vec![b"{}".to_vec(), Vec::new(), (0..=255).collect(), vec![0; 65_535], "é\u{1f980}\n\0".into()];
    appended(&log, Append { events: events.clone(), ..part(1, 0, 0, 1) });
    let read = read_all(&log, 1);
    assert_eq!(read.iter().map(|event| event.bytes.clone()).collect::<Vec<_>>(), events);
    assert_eq!(log.feed(0, 10).unwrap(), read);
}

pub(crate) fn reads_return_up_to_the_limit_and_continue(store: &impl StoreFixture) {
    let log = store.open();
    for round in 0..3_u64 {
        let parts: Vec<_> = (1..=2).map(|stream| part(stream, round * 2, 2, stream)).collect();
        log.append(&parts).unwrap();
    }
    let page = log.read(workspace(1), Revision(1), 3).unwrap();
    assert_eq!(page.iter().map(|event| event.revision.0).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(log.read(workspace(1), Revision(6), 3).unwrap(), []);
    assert_eq!(log.read(workspace(1), Revision(u64::MAX), 3).unwrap(), []);
    assert_eq!(log.read(workspace(3), Revision::ZERO, 3).unwrap(), []);
    assert_eq!(log.head(workspace(3)).unwrap(), None);

    let mut seen = Vec::new();
    let enough = || LogError::Unavailable("enough".to_owned());
    let stopped = log.visit(workspace(1), Revision::ZERO, usize::MAX, &mut |event| {
        seen.push(event.into_owned());
        if seen.len() < 2 { Ok(()) } else { Err(enough()) }
    });
    assert_eq!(stopped.unwrap_err().to_string(), enough().to_string());
    assert_eq!(seen, read_all(&log, 1)[..2]);

    let whole = log.feed(0, usize::MAX).unwrap();
    let mut paged = Vec::new();
    loop {
        let stopped_at = paged.last().map_or(0, |event: &StoredEvent| event.position);
        let next = log.feed(stopped_at, 5).unwrap();
        if next.is_empty() {
            break;
        }
        paged.extend(next);
    }
    assert_eq!(paged, whole);
    assert_eq!(whole.len(), 12);
    assert_eq!(log.feed(u64::MAX, 5).unwrap(), []);
}

pub(crate) fn another_revision_is_a_conflict_and_writes_nothing(store: &impl StoreFixture) {
    let log = store.open();
    appended(&log, part(1, 0, 2, 1));
    for wrong in [0, 1, 3, u64::MAX] {
        let refused =
            with(part(1, wrong, 1, 2), [claim("acme"), SideWrite::AddCredential(credential(1, workspace(1)))]);
        assert_eq!(append_one(&log, refused), Outcome::Conflict, "expected {wrong}");
    }
    assert_eq!(append_one(&log, part(2, 1, 1, 3)), Outcome::Conflict, "a log that never began");
    assert_eq!(log.head(workspace(1)).unwrap(), Some(Revision(2)));
    assert_eq!(log.workspace_named("acme").unwrap(), None);
    assert!(log.credential(token(1)).unwrap().is_none());
    assert!((0..4).all(|expected| !log.holds(&part(1, expected, 1, 2)).unwrap()));
}

pub(crate) fn a_conflict_does_not_harm_its_neighbours(store: &impl StoreFixture) {
    let log = store.open();
    appended(&log, part(2, 0, 1, 1));
    let outcomes = log.append(&[part(1, 0, 1, 2), part(2, 0, 1, 3), part(3, 0, 2, 4)]).unwrap().outcomes;
    assert_eq!(outcomes, [Outcome::Appended, Outcome::Conflict, Outcome::Appended]);
    assert_eq!(log.head(workspace(1)).unwrap(), Some(Revision(1)));
    assert_eq!(log.head(workspace(2)).unwrap(), Some(Revision(1)));
    assert_eq!(log.head(workspace(3)).unwrap(), Some(Revision(2)));
}

pub(crate) fn a_later_part_sees_what_an_earlier_part_of_its_stream_appended(store: &impl StoreFixture) {
    let log = store.open();
    let outcomes = log.append(&[part(1, 0, 2, 1), part(1, 0, 1, 2), part(1, 2, 1, 3)]).unwrap().outcomes;
    assert_eq!(outcomes, [Outcome::Appended, Outcome::Conflict, Outcome::Appended]);
    assert_eq!(read_all(&log, 1)[2].bytes, b"event 0 of command 3");
}

pub(crate) fn an_empty_batch_and_a_refused_batch_write_nothing(store: &impl StoreFixture) {
    let log = store.open();
    assert_eq!(log.append(&[]).unwrap().outcomes, []);
    assert_eq!(
        log.append(&[part(1, 4, 1, 1), part(2, 4, 1, 2)]).unwrap().outcomes,
        [Outcome::Conflict, Outcome::Conflict]
    );
    assert_eq!(log.feed(0, 10).unwrap(), []);
    assert_eq!(log.workspaces(None, 10).unwrap(), []);
}

pub(crate) fn a_part_without_events_ignores_the_revision(store: &impl StoreFixture) {
    let log = store.open();
    appended(&log, part(1, 0, 3, 1));
    let kept = with(part(1, 77, 0, 2), [SideWrite::KeepIdempotencyRecord(answer("ws", "key", 5))]);
    appended(&log, kept);
    assert!(log.idempotency_record(&scope("ws"), "key", at(0)).unwrap().is_some());
    assert!(!log.holds(&part(1, 77, 0, 2)).unwrap());
    appended(&log, side_writes(2, [SideWrite::Used(token(1), at(1))]));
    assert_eq!(log.workspaces(None, 10).unwrap(), [workspace(1)], "a log begins with its first event");
}

pub(crate) fn a_name_is_claimed_by_one_workspace_at_a_time(store: &impl StoreFixture) {
    let log = store.open();
    let group = [
        with(part(1, 0, 1, 1), [claim("acme")]),
        with(part(2, 0, 1, 2), [SideWrite::AddCredential(credential(1, workspace(2))), claim("acme")]),
        with(part(3, 0, 1, 3), [claim("globex")]),
    ];
    assert_eq!(log.append(&group).unwrap().outcomes, [Outcome::Appended, Outcome::NameTaken, Outcome::Appended]);
    assert_eq!(append_one(&log, with(part(2, 0, 1, 4), [claim("acme")])), Outcome::NameTaken, "in a later group");
    assert_eq!(log.workspace_named("acme").unwrap(), Some(workspace(1)));
    assert_eq!(log.workspace_named("initech").unwrap(), None);
    assert_eq!(log.head(workspace(2)).unwrap(), None);
    assert!(log.credential(token(1)).unwrap().is_none());
    log.reopen().unwrap();
    assert_eq!(append_one(&log, with(part(2, 0, 1, 5), [claim("acme")])), Outcome::NameTaken, "after a restart");
}

pub(crate) fn a_name_released_and_claimed_in_one_batch_moves(store: &impl StoreFixture) {
    let log = store.open();
    appended(&log, with(part(1, 0, 1, 1), [claim("acme")]));
    let group = [with(part(1, 1, 1, 2), [SideWrite::ReleaseName]), with(part(2, 0, 1, 3), [claim("acme")])];
    assert_eq!(log.append(&group).unwrap().outcomes, [Outcome::Appended, Outcome::Appended]);
    assert_eq!(log.workspace_named("acme").unwrap(), Some(workspace(2)));
    appended(&log, side_writes(1, [SideWrite::ReleaseName]));
    assert_eq!(log.workspace_named("acme").unwrap(), Some(workspace(2)), "who has no name releases nobody's");
}

pub(crate) fn a_workspace_may_claim_its_own_name_again(store: &impl StoreFixture) {
    let log = store.open();
    appended(&log, with(part(1, 0, 1, 1), [claim("acme")]));
    appended(&log, side_writes(1, [claim("acme")]));
    appended(&log, side_writes(1, [claim("globex")]));
    assert_eq!(log.workspace_named("globex").unwrap(), Some(workspace(1)));
    assert_eq!(log.workspace_named("acme").unwrap(), None, "a workspace has one name");
}

pub(crate) fn an_idempotency_record_is_unique_by_scope_and_key(store: &impl StoreFixture) {
    let log = store.open();
    let kept = |scope, key| SideWrite::KeepIdempotencyRecord(answer(scope, key, 5));
    let group = [
        with(part(1, 0, 1, 1), [kept("a", "key")]),
        with(part(1, 1, 1, 2), [kept("a", "key")]),
        with(part(1, 1, 1, 3), [kept("b", "key")]),
        with(part(1, 2, 1, 4), [kept("a", "other")]),
    ];
    let outcomes = log.append(&group).unwrap().outcomes;
    assert_eq!(outcomes, [Outcome::Appended, Outcome::Conflict, Outcome::Appended, Outcome::Appended]);
    assert_eq!(append_one(&log, side_writes(2, [kept("b", "key")])), Outcome::Conflict);
    assert!(!log.holds(&group[1]).unwrap());
}

pub(crate) fn an_idempotency_record_is_found_until_it_is_removed(store: &impl StoreFixture) {
    let log = store.open();
    let mut many: Vec<_> =
        (0..2_500).map(|n| SideWrite::KeepIdempotencyRecord(answer("old", &n.to_string(), 10))).collect();
    many.push(SideWrite::KeepIdempotencyRecord(answer("new", "key", 11)));
    appended(&log, side_writes(1, many));
    assert_eq!(log.idempotency_record(&scope("new"), "key", at(10)).unwrap(), Some(answer("new", "key", 11)));
    assert_eq!(
        log.idempotency_record(&scope("new"), "key", at(11)).unwrap(),
        None,
        "given at the instant, not after it"
    );
    log.forget_idempotency_records(at(10)).unwrap();
    assert_eq!(log.idempotency_record(&scope("old"), "0", at(0)).unwrap(), None);
    assert_eq!(log.idempotency_record(&scope("old"), "2499", at(0)).unwrap(), None);
    assert!(log.idempotency_record(&scope("new"), "key", at(0)).unwrap().is_some());
    appended(&log, side_writes(1, [SideWrite::KeepIdempotencyRecord(answer("old", "0", 12))]));
}

pub(crate) fn a_part_with_two_records_of_one_key_is_a_conflict(store: &impl StoreFixture) {
    let log = store.open();
    let twice = [answer("ws", "key", 1), answer("ws", "key", 2)].map(SideWrite::KeepIdempotencyRecord);
    assert_eq!(
        log.append(&[with(part(1, 0, 1, 1), twice), part(2, 0, 1, 2)]).unwrap().outcomes,
        [Outcome::Conflict, Outcome::Appended],
    );
    assert_eq!(log.idempotency_record(&scope("ws"), "key", at(0)).unwrap(), None);
}

pub(crate) fn a_credential_is_found_until_it_is_forgotten(store: &impl StoreFixture) {
    let log = store.open();
    appended(&log, with(part(1, 0, 1, 1), [1, 2].map(|n| SideWrite::AddCredential(credential(n, workspace(1))))));
    let found = log.credential(token(1)).unwrap().unwrap();
    assert_eq!((found.id, found.workspace, found.sha256.0), (token(1), workspace(1), [7; 32]));
    appended(&log, side_writes(1, [SideWrite::ForgetCredential(token(1))]));
    assert!(log.credential(token(1)).unwrap().is_none());
    assert!(log.credential(token(2)).unwrap().is_some());
    assert!(log.credential(token(3)).unwrap().is_none());
}

pub(crate) fn every_kind_of_credential_is_returned_with_its_holder(store: &impl StoreFixture) {
    let log = store.open();
    let id = Uuid::from_u128(9);
    let service_user = Principal::ServiceUser(ServiceUserId::from_uuid(id));
    let proxy_token = CredentialId::ProxyToken(ProxyTokenId::from_uuid(id));
    let access_key = CredentialId::AccessKey(AccessKeyId::from_uuid(id));
    let holders = [
        (token(8), CredentialHolder::Principal(Principal::User(user("access_key")))),
        (token(9), CredentialHolder::Principal(service_user)),
        (proxy_token, CredentialHolder::ProxyToken),
        (access_key, CredentialHolder::AccessKey(AccessKeyRole::Auditor)),
    ];
    let row = |(id, holder)| StoredCredential { id, holder, ..credential(0, workspace(1)) };
    appended(&log, with(part(1, 0, 1, 1), holders.clone().map(row).map(SideWrite::AddCredential)));
    for (id, holder) in holders {
        let found = log.credential(id).unwrap().unwrap();
        assert_eq!(format!("{:?}", (found.id, found.holder)), format!("{:?}", (id, holder)));
    }
}

pub(crate) fn an_existing_credential_is_never_replaced(store: &impl StoreFixture) {
    let log = store.open();
    let add = |n| SideWrite::AddCredential(credential(1, workspace(n)));
    let outcomes = log.append(&[with(part(1, 0, 1, 1), [add(1)]), with(part(2, 0, 1, 2), [add(2)])]).unwrap().outcomes;
    assert_eq!(outcomes, [Outcome::Appended, Outcome::Conflict]);
    assert_eq!(log.credential(token(1)).unwrap().unwrap().workspace, workspace(1));

    let twice = [3, 3].map(|n| SideWrite::AddCredential(credential(n, workspace(3))));
    assert_eq!(append_one(&log, with(part(3, 0, 1, 3), twice)), Outcome::Conflict);
    assert!(log.credential(token(3)).unwrap().is_none());
}

pub(crate) fn the_latest_use_of_a_credential_is_kept(store: &impl StoreFixture) {
    let log = store.open();
    appended(
        &log,
        side_writes(
            1,
            [SideWrite::Used(token(1), at(5)), SideWrite::Used(token(2), at(7)), SideWrite::Used(token(1), at(3))],
        ),
    );
    appended(&log, side_writes(1, [SideWrite::Used(token(2), at(8)), SideWrite::ForgetCredential(token(1))]));
    let used = log.last_used(&[token(3), token(2), token(1), token(2)]).unwrap();
    assert_eq!(used, [None, Some(at(8)), Some(at(5)), Some(at(8))]);
    assert_eq!(log.last_used(&[]).unwrap(), []);
}

pub(crate) fn profiles_are_set_replaced_and_erased_by_workspace_and_person(store: &impl StoreFixture) {
    let log = store.open();
    let named = |name: &str| Profile { name: name.parse().ok(), email: "a@example.com".parse().ok() };
    let set = |name: &str| SideWrite::SetProfile(user("alice"), named(name));
    appended(&log, side_writes(1, [set("Alice"), SideWrite::SetProfile(user("bob"), Profile::default())]));
    appended(&log, side_writes(2, [set("Other")]));
    let alice_and_bob = [user("bob"), user("alice")];
    assert_eq!(log.profiles(workspace(1), &alice_and_bob).unwrap(), [Profile::default(), named("Alice")]);
    appended(&log, side_writes(1, [set("Alice B.")]));
    assert_eq!(log.profiles(workspace(1), &alice_and_bob).unwrap(), [Profile::default(), named("Alice B.")]);
    appended(&log, side_writes(1, [SideWrite::EraseProfile(user("alice"))]));
    assert_eq!(log.profiles(workspace(1), &alice_and_bob).unwrap(), [Profile::default(), Profile::default()]);
    assert_eq!(log.profiles(workspace(2), &[user("alice")]).unwrap(), [named("Other")]);
}

/// The records that a filter gives.
fn found(log: &impl Store, stream: u128, filter: &ReadFilter) -> Vec<ReadRecord> {
    log.reads(workspace(stream), filter, usize::MAX).unwrap().into_iter().map(|stored| stored.record).collect()
}

pub(crate) fn a_read_is_returned_as_recorded(store: &impl StoreFixture) {
    let log = store.open();
    let by = |reader: &str| reader.parse::<AuditReader>().unwrap();
    let CredentialId::Token(alices) = token(1) else { panic!() };
    let key = AccessKeyId::from_uuid(Uuid::from_u128(9)).to_string();
    let reads = [
        ReadRecord { rows: Some(u64::from(u32::MAX)), ..read(1, 1) },
        ReadRecord { reader: by("user:alice"), token: Some(alices), form: AnswerForm::Ndjson, ..read(2, 1) },
        ReadRecord { reader: by(&key), form: AnswerForm::Csv, query: String::new(), rows: Some(0), ..read(3, 1) },
        ReadRecord { reader: by("service_user:svc_01h455vb4pex5vsknk084sn02q"), ..read(4, 1) },
        ReadRecord { form: AnswerForm::CloudeventsBatch, question: "é\u{1f980}\n".to_owned(), ..read(5, 1) },
        ReadRecord { form: AnswerForm::EventStream, at: at(-1), revision: Revision::ZERO, ..read(6, 1) },
    ];
    assert_eq!(log.newest_read(workspace(1)).unwrap(), 0);
    appended(&log, side_writes(1, reads.clone().map(recorded)));
    assert_eq!(found(&log, 1, &ALL_READS), reads);
    let credentials = found(&log, 1, &ALL_READS).iter().map(ReadRecord::credential).collect::<Vec<_>>();
    assert_eq!(credentials[..3], ["operator".to_owned(), alices.to_string(), key]);
    assert_eq!(found(&log, 2, &ALL_READS), []);
    assert_eq!(log.newest_read(workspace(2)).unwrap(), 0);
    assert_eq!(log.workspaces(None, 10).unwrap(), [], "a read begins no log");
}

pub(crate) fn the_rows_of_a_read_are_counted_once_and_nothing_else_of_it_changes(store: &impl StoreFixture) {
    let log = store.open();
    appended(&log, side_writes(1, [recorded(read(1, 1)), recorded(read(2, 1))]));
    let place = log.newest_read(workspace(1)).unwrap();
    let ended = ReadRecord { rows: Some(5), query: "another".to_owned(), at: at(99), ..read(1, 1) };
    appended(&log, side_writes(1, [recorded(ended.clone())]));
    let counted = ReadRecord { rows: Some(5), ..read(1, 1) };
    assert_eq!(found(&log, 1, &ALL_READS), [counted.clone(), read(2, 1)]);
    for again in [ReadRecord { rows: Some(6), ..ended.clone() }, ReadRecord { rows: None, ..ended }] {
        appended(&log, side_writes(1, [recorded(again)]));
    }
    assert_eq!(found(&log, 1, &ALL_READS), [counted, read(2, 1)]);
    assert_eq!(log.newest_read(workspace(1)).unwrap(), place, "it keeps its place");
}

pub(crate) fn reads_are_filtered_and_paged_in_the_order_in_which_they_were_recorded(store: &impl StoreFixture) {
    let log = store.open();
    let by = |reader: &str| reader.parse::<AuditReader>().unwrap();
    for number in [3, 1, 2, 5, 4] {
        let other = recorded(read(number + 10, 2));
        let reader = if number % 2 == 0 { by("user:alice") } else { AuditReader::Operator };
        log.append(&[side_writes(2, [other]), side_writes(1, [recorded(ReadRecord { reader, ..read(number, 1) })])])
            .unwrap();
    }
    let asked = |filter: &ReadFilter| found(&log, 1, filter).iter().map(|read| read.at.micros()).collect::<Vec<_>>();
    assert_eq!(asked(&ALL_READS), [3, 1, 2, 5, 4]);
    assert_eq!(asked(&ReadFilter { from: Some(at(2)), until: Some(at(5)), ..ALL_READS }), [3, 2, 4]);
    assert_eq!(asked(&ReadFilter { reader: Some(by("user:alice")), ..ALL_READS }), [2, 4]);
    assert_eq!(asked(&ReadFilter { reader: Some(by("user:Alice")), ..ALL_READS }), Vec::<i64>::new());

    let first = log.reads(workspace(1), &ALL_READS, 2).unwrap();
    let newest = log.newest_read(workspace(1)).unwrap();
    appended(&log, side_writes(1, [recorded(read(6, 1))]));
    let pinned = ReadFilter { after: first[1].sequence, until_sequence: newest, ..ALL_READS };
    assert_eq!(asked(&pinned), [2, 5, 4], "what came meanwhile is not among them");
    assert_eq!(asked(&ReadFilter { after: u64::MAX, ..ALL_READS }), Vec::<i64>::new());
}

pub(crate) fn the_oldest_reads_are_pruned_with_a_record_and_no_sequence_number_is_reused(store: &impl StoreFixture) {
    let log = store.open();
    assert_eq!(log.old_reads(at(99), 9).unwrap(), OldReads::default());
    for (number, of) in [(1, 1), (2, 2), (3, 1), (9, 1), (4, 1)] {
        appended(&log, side_writes(of, [recorded(read(number, of))]));
    }
    let old = log.old_reads(at(5), 9).unwrap();
    assert_eq!(old.rows, [(workspace(1), 2), (workspace(2), 1)].into(), "as far as all of them are old");
    assert_eq!(log.old_reads(at(5), 2).unwrap().rows, [(workspace(1), 1), (workspace(2), 1)].into());
    let before = log.newest_read(workspace(1)).unwrap();
    let record = |number, of| ReadRecord { reader: AuditReader::System, rows: Some(2), ..read(number, of) };
    let pruning = Pruning { up_to: old.up_to, records: vec![record(20, 1), record(21, 2)] };
    appended(&log, side_writes(1, [SideWrite::PruneReads(Box::new(pruning))]));
    let left = |of| found(&log, of, &ALL_READS).iter().map(|read| read.at.micros()).collect::<Vec<_>>();
    assert_eq!((left(1), left(2)), (vec![9, 4, 20], vec![21]));
    assert!(log.newest_read(workspace(1)).unwrap() > before);
    let all = log.old_reads(at(99), 9).unwrap();
    let pruning = Pruning { up_to: all.up_to, records: vec![record(30, 1)] };
    appended(&log, side_writes(1, [SideWrite::PruneReads(Box::new(pruning))]));
    assert_eq!((left(1), left(2)), (vec![30], vec![]));
    assert!(log.newest_read(workspace(1)).unwrap() > all.up_to, "also where nothing else is left");
}

pub(crate) fn the_last_kept_snapshot_is_returned_until_it_is_removed(store: &impl StoreFixture) {
    let log = store.open();
    assert_eq!(log.snapshot(workspace(1)).unwrap(), None);
    log.forget_snapshot(workspace(1)).unwrap();
    log.keep_snapshot(workspace(1), b"first").unwrap();
    log.keep_snapshot(workspace(2), &vec![0; 100_000]).unwrap();
    log.keep_snapshot(workspace(1), b"second").unwrap();
    assert_eq!(log.snapshot(workspace(1)).unwrap().as_deref(), Some(b"second".as_slice()));
    drop(log);
    let log = store.open();
    log.forget_snapshot(workspace(1)).unwrap();
    assert_eq!(log.snapshot(workspace(1)).unwrap(), None);
    assert_eq!(log.snapshot(workspace(2)).unwrap().map(|bytes| bytes.len()), Some(100_000));
}

pub(crate) fn the_key_of_cursors_is_the_one_that_was_stored_first(store: &impl StoreFixture) {
    let log = store.open();
    assert!(log.cursor_key().unwrap().is_none());
    for byte in [1, 2] {
        appended(&log, side_writes(1, [SideWrite::KeepCursorKey(CursorSecret::new([byte; 32]))]));
        assert_eq!(log.cursor_key().unwrap().unwrap().expose(), &[1; 32]);
    }
    assert_eq!(format!("{:?}", log.cursor_key().unwrap()), "Some(CursorSecret(…))", "it is never printed");
    drop(log);
    assert_eq!(store.open().cursor_key().unwrap().unwrap().expose(), &[1; 32]);
}

pub(crate) fn a_workspace_is_due_from_its_earliest_expiry_on(store: &impl StoreFixture) {
    let log = store.open();
    let next = |stream, micros: Option<i64>| side_writes(stream, [SideWrite::NextExpiry(micros.map(at))]);
    log.append(&[next(1, Some(10)), next(2, Some(5)), next(3, Some(20)), next(4, Some(1))]).unwrap();
    log.append(&[next(3, Some(30)), next(4, None), next(5, None)]).unwrap();
    assert_eq!(log.due(at(4)).unwrap(), []);
    assert_eq!(log.due(at(5)).unwrap(), [workspace(2)]);
    assert_eq!(log.due(at(29)).unwrap(), [workspace(2), workspace(1)]);
}

pub(crate) fn a_part_is_found_only_in_its_own_log(store: &impl StoreFixture) {
    let log = store.open();
    log.append(&[part(1, 0, 3, 1), part(1, 3, 2, 2), part(2, 0, 1, 3), part(2, 0, 1, 4)]).unwrap();
    for (expected, by) in [(0, 1), (3, 2)] {
        assert!(log.holds(&part(1, expected, 1, by)).unwrap());
        assert!(!log.holds(&part(2, expected, 1, by)).unwrap());
    }
    assert!(!log.holds(&part(1, 0, 1, 2)).unwrap(), "it is elsewhere");
    assert!(log.holds(&part(2, 0, 1, 3)).unwrap());
    assert!(!log.holds(&part(2, 0, 1, 4)).unwrap(), "it was refused");
}

pub(crate) fn workspaces_are_listed_in_the_order_of_their_ids_page_by_page(store: &impl StoreFixture) {
    let log = store.open();
    for stream in [5, u128::MAX, 1, 3, 256] {
        appended(&log, part(stream, 0, 1, stream));
    }
    let page = |after: Option<u128>| log.workspaces(after.map(workspace), 2).unwrap();
    assert_eq!(page(None), [workspace(1), workspace(3)]);
    assert_eq!(page(Some(3)), [workspace(5), workspace(256)]);
    assert_eq!(page(Some(256)), [workspace(u128::MAX)]);
    assert_eq!(page(Some(u128::MAX)), []);
}

pub(crate) fn reads_see_all_of_a_part_or_none_while_others_write(store: &impl StoreFixture) {
    let log = store.open();
    let finished = AtomicBool::new(false);
    let look = || {
        let mut seen = 0;
        while !finished.load(Ordering::Acquire) {
            let events = read_all(&log, 1);
            assert_eq!(events.len() % 3, 0, "a part of three events is seen whole");
            assert!(events.len() >= seen, "nothing that was seen goes away");
            seen = events.len();
        }
    };
    std::thread::scope(|scope| {
        let readers = [scope.spawn(look), scope.spawn(look)];
        for round in 0..100_u64 {
            appended(&log, part(1, round * 3, 3, u128::from(round)));
        }
        finished.store(true, Ordering::Release);
        for reader in readers {
            reader.join().unwrap();
        }
    });
    assert_eq!(log.head(workspace(1)).unwrap(), Some(Revision(300)));
}

pub(crate) fn a_decoding_error_names_the_workspace_and_the_revision(store: &impl StoreFixture) {
    let log = store.open();
    let good = super::codec::sample_bytes(workspace(1), Revision(1));
    let events = vec![good, b"{\"specversion\":\"1.0\"}".to_vec()];
    appended(&log, Append { events, ..part(1, 0, 0, 1) });
    let mut decoder = StreamDecoder::from_start(workspace(1));
    let error = read_all(&log, 1).iter().find_map(|event| decoder.decode(event).err()).unwrap();
    let LogError::Unreadable { workspace: whose, revision, why } = error else { panic!("{error}") };
    assert_eq!((whose, revision), (workspace(1), Revision(2)));
    assert!(why.starts_with("missing field `id`"), "{why}");
}

pub(crate) fn a_backup_has_all_data_and_replaces_no_file(store: &impl StoreFixture) {
    let log = store.open();
    appended(&log, part(1, 0, 3, 1));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("backup");
    log.backup(&out).unwrap();
    let first = std::fs::read(&out).unwrap();
    appended(&log, part(1, 3, 1, 2));
    let LogError::Unavailable(why) = log.backup(&out).unwrap_err() else { panic!() };
    assert!(why.contains("exists already"), "{why}");
    assert_eq!(std::fs::read(&out).unwrap(), first);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

pub(crate) fn a_tree_grows_in_the_commit_of_its_events_and_with_nothing_else(store: &impl StoreFixture) {
    let log = store.open();
    let head = |stream: u128| log.tree(workspace(stream)).unwrap().map(|tree| tree.head());
    let over = |stream: u128| head_over(read_all(&log, stream).iter().map(|event| event.bytes.as_slice()));
    assert_eq!((head(1), log.append(&[]).unwrap()), (None, Appended::default()));

    let group = [part(1, 0, 3, 1), part(2, 0, 1, 2), part(1, 3, 2, 3), part(3, 9, 4, 4), part(1, 5, 1, 5)];
    let done = log.append(&group).unwrap();
    let conflict = Outcome::Conflict;
    assert_eq!(done.outcomes, [Outcome::Appended, Outcome::Appended, Outcome::Appended, conflict, Outcome::Appended]);
    let grown = [(workspace(1), over(1)), (workspace(2), over(2))];
    assert_eq!(done.trees, grown.into(), "after the whole group, of those that grew");
    assert_eq!((head(1), head(2), head(3)), (Some(over(1)), Some(over(2)), None));
    assert_eq!((over(1).size, over(2).size), (6, 1));

    let refused =
        [part(1, 5, 2, 6), side_writes(2, [SideWrite::Used(token(1), at(1))]), with(part(4, 0, 2, 7), [claim("acme")])];
    let done = log.append(&refused).unwrap();
    assert_eq!(done.trees.keys().copied().collect::<Vec<_>>(), [workspace(4)]);
    let taken = log.append(&[with(part(5, 0, 2, 8), [claim("acme")]), part(2, 1, 1, 9)]).unwrap();
    assert_eq!(taken.outcomes, [Outcome::NameTaken, Outcome::Appended]);
    assert_eq!(taken.trees, [(workspace(2), over(2))].into(), "what was taken back grew nothing");
    assert_eq!((head(1).unwrap().size, head(5)), (6, None));

    log.reopen().unwrap();
    appended(&log, part(1, 6, 300, 10));
    drop(log);
    let log = store.open();
    let done = log.append(&[part(1, 306, 1, 11)]).unwrap();
    let found = head_over(read_all(&log, 1).iter().map(|event| event.bytes.as_slice()));
    assert_eq!(done.trees, [(workspace(1), found)].into(), "it goes on where it was");
}

pub(crate) fn a_tree_goes_on_from_wherever_it_was(store: &impl StoreFixture) {
    let log = store.open();
    for size in 0..50 {
        let done = log.append(&[part(1, size, 1, size.into())]).unwrap();
        let events = read_all(&log, 1);
        assert_eq!(done.trees, [(workspace(1), head_over(events.iter().map(|event| event.bytes.as_slice())))].into());
        verify_tree(&log, workspace(1), &events);
        if size % 7 == 3 {
            log.reopen().unwrap();
        }
    }
}

pub(crate) fn a_tree_has_every_tile_where_tiles_fill(store: &impl StoreFixture) {
    let log = store.open();
    let mut size = 0;
    for next in [1, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 65_793] {
        let count = usize::try_from(next - size).unwrap();
        let done = log.append(&[part(1, size, count, next.into())]).unwrap();
        assert_eq!(done.trees[&workspace(1)].size, next);
        verify_tree(&log, workspace(1), &read_all(&log, 1));
        size = next;
    }
    let none = Tile { kind: TileKind::Hashes(2), index: 1, width: 1 };
    assert_eq!(log.tile_hashes(workspace(1), none).unwrap(), []);
    assert_eq!(log.tile_hashes(workspace(2), Tile { index: 0, ..none }).unwrap(), []);
    let far = Tile { kind: TileKind::Entries, index: u64::MAX, width: 256 };
    assert_eq!(log.tile_hashes(workspace(1), far).unwrap(), []);
}
