//! Flipped bits in the store: nobody gains access without an error, and a verification finds them.
//!
//! Bits are flipped in every column of every row, in each part of every event, and anywhere in the file. Then everything is asked that a
//! server can be asked: who each credential proves, where each name leads, and who may do what.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use tempfile::TempDir;
use tenure::clock::{Clock, SystemClock};
use tenure::domain::model::command::Command;
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::model::role::{AccessKeyRole, EnvironmentRole, WorkspaceRole};
use tenure::domain::rules::authorize::{Question, Resource, Subject, authorize};
use tenure::domain::state::view::View;
use tenure::log::sqlite::SqliteLog;
use tenure::log::{LogError, Store};
use tenure::service::id_generator::{RandomIdGenerator, Secret};
use tenure::service::inspect::inspect;
use tenure::service::submission::SubmitOutcome;
use tenure::service::{PresentedCredential, Service, Settings};

use super::every_call::found;
use super::life::{Life, SettableClock, hour, run};
use crate::support::commands::{
    add_member, change_role, create_environment, create_proxy_token, create_restricted, create_service_user,
    enable_rbac, grant, issue_access_key, issue_token, issue_token_until, remove_member, restrict, revoke_grant,
    revoke_token, set_grant, set_grant_until,
};
use crate::support::server::signer;

/// The number of flipped bits.
const FLIPS: usize = 300;
/// The hour of the checks.
const ASKED: i64 = 50;

/// A store with its workspaces and credentials.
struct SampleStore {
    folder: TempDir,
    workspaces: Vec<(&'static str, WorkspaceId)>,
    credentials: Vec<PresentedCredential>,
}

/// A store of two workspaces in which most of what can happen has.
async fn store() -> SampleStore {
    let mut life = Life::new(None, &[]);
    let mut workspaces = Vec::new();
    for (name, rob) in [("acme", WorkspaceRole::Manager), ("other", WorkspaceRole::Member)] {
        life.id = None;
        life.done(&[found(name), enable_rbac()], None).await;
        workspaces.push((name, life.id.unwrap()));
        let people = [("bob", WorkspaceRole::Member), ("rob", rob), ("mallory", WorkspaceRole::Member)];
        let mut commands: Vec<_> = people.map(|(user, role)| add_member(user, role)).into();
        let profile =
            r#"{"type": "member.add", "user": "olga", "role": "member", "name": "Olga", "email": "o@example.com"}"#;
        commands.push(Command::from_value(serde_json::from_str(profile).unwrap()).unwrap());
        commands.extend([create_service_user("ci"), create_environment("dev"), create_environment("late")]);
        commands.push(create_restricted(
            "prod",
            EnvironmentRole::Viewer,
            [grant("user:bob", EnvironmentRole::Contributor)],
        ));
        commands.push(create_restricted("vault", EnvironmentRole::NoAccess, []));
        life.done(&commands, None).await;
        if name == "other" {
            life.done(&[issue_token("user:bob"), issue_token("user:rob")], None).await;
            break;
        }
        for holder in ["user:bob", "user:rob", "user:mallory", "service_user:ci"] {
            life.done(&[issue_token(holder)], Some(&format!("{name}-{holder}"))).await;
        }
        life.done(&[issue_token_until("user:mallory", hour(20))], None).await;
        life.done(&[issue_access_key(AccessKeyRole::Evaluator), issue_access_key(AccessKeyRole::Auditor)], None).await;
        life.done(&[create_proxy_token(["dev"])], None).await;
        life.done(&[restrict("late"), set_grant("vault", "service_user:ci", EnvironmentRole::Viewer)], None).await;
        life.done(&[set_grant_until("prod", "user:mallory", EnvironmentRole::Contributor, hour(20))], None).await;
        let leaks = life.done(&[issue_token("user:bob")], None).await.decided.events[0].data.subject();
        life.done(&[revoke_token(leaks), revoke_grant("prod", "user:bob")], None).await;
        life.done(&[add_member("leaver", WorkspaceRole::Owner), issue_token("user:leaver")], None).await;
        life.done(&[change_role("leaver", WorkspaceRole::Manager), remove_member("leaver")], None).await;
        life.done(&[set_grant_until("vault", "user:bob", EnvironmentRole::Viewer, hour(400))], None).await;
    }
    life.clock.set(hour(ASKED));
    life.good_credentials().await;
    life.done(&[add_member("late", WorkspaceRole::Member)], Some("late")).await;
    life.run_maintenance().await;
    let credentials = std::mem::take(&mut life.credentials);
    let folder = tempfile::tempdir().unwrap();
    life.log.store.backup(&folder.path().join("tenure.db")).unwrap();
    life.service.stop().await.unwrap();
    SampleStore { folder, workspaces, credentials }
}

/// The rights of everyone; a missing entry is none, or an error.
type Rights = BTreeMap<String, String>;

const PEOPLE: [&str; 6] = ["alice", "bob", "rob", "mallory", "leaver", "eve"];
const ENVIRONMENTS: [&str; 5] = ["main", "dev", "late", "prod", "vault"];

fn allowed(view: &View, name: &str, rights: &mut Rights) {
    let users = PEOPLE.map(|user| ("user", user));
    for (kind, id) in users.into_iter().chain([("service_user", "ci")]) {
        let subject = Subject::new(kind, id);
        let mut ask = |action: &str, resource: Resource, of: &str| {
            let question = Question { subject: subject.clone(), action: action.to_owned(), resource };
            if authorize(view, &question).allowed {
                rights.insert(format!("{name}: {kind}:{id} {action} {of}"), "allowed".to_owned());
            }
        };
        for environment in ENVIRONMENTS {
            for action in ["read", "deploy"] {
                ask(action, Resource::new("app", "web", Some(environment)), environment);
            }
        }
        for action in ["read", "manage_members", "manage_owners", "read_audit_log"] {
            ask(action, Resource::new("workspace", name, None), "workspace");
        }
    }
}

/// Asks everything of a store, as a server that has just been started is asked.
async fn rights(folder: &Path, store: &SampleStore) -> Result<Rights, LogError> {
    let log: Arc<dyn Store> = Arc::new(SqliteLog::attach(folder)?);
    let operator = Secret::new("0123456789abcdef0123456789abcdef");
    let (clock, ids) = (SettableClock::at(hour(ASKED)), Arc::new(RandomIdGenerator));
    let service = Service::start(Settings {
        log,
        clock,
        clock_settle: Duration::ZERO,
        ids,
        operator,
        cache_bytes: 1 << 20,
        signer: signer(),
        quotas: tenure::service::Quotas::default(),
    })
    .unwrap();
    let mut rights = Rights::new();
    for (name, id) in &store.workspaces {
        if let Ok(Some(found)) = service.find_workspace(name).await {
            rights.insert(format!("the name {name}"), found.to_string());
        }
        if let Ok(Some(root)) = service.workspace(*id).await {
            allowed(&View::now(root, hour(ASKED)), name, &mut rights);
        }
    }
    // A secret proves nothing under the id of another credential.
    let others = store.credentials.iter().cycle().skip(1);
    for (presented, other) in store.credentials.iter().zip(others) {
        let forged = PresentedCredential { id: other.id.clone(), secret: presented.secret.clone() };
        for (what, presented) in [(&presented.id, presented), (&format!("{} by another", other.id), &forged)] {
            if let Ok(Some(proved)) = service.authenticate(presented).await {
                rights.insert(what.clone(), format!("{:?}", proved.caller));
            }
        }
    }
    service.stop().await.unwrap();
    Ok(rights)
}

#[track_caller]
fn assert_no_more(expected: &Rights, found: &Rights, what: &str) {
    for (right, given) in found {
        assert_eq!(expected.get(right), Some(given), "{what}: {right}");
    }
}

/// A sequence that looks like chance, the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }
}

type Names = &'static [&'static str];

/// Each table, its key, the columns that the logs tell of, and those that say what no log says.
const TABLES: &[(&str, Names, Names, Names)] = &[
    ("events", &["position"], &["workspace", "revision", "leaf", "event"], &["position"]),
    ("workspaces", &["id"], &["id"], &[]),
    ("names", &["name"], &["name", "workspace"], &[]),
    ("credentials", &["id"], &["id", "workspace", "sha256", "holder"], &[]),
    ("credential_uses", &["id"], &["id"], &["at"]),
    ("profiles", &["workspace", "user"], &["workspace", "user"], &["name", "email"]),
    ("next_expiries", &["workspace"], &["workspace"], &["at"]),
    ("answers", &["scope", "key"], &[], &["scope", "key", "fingerprint", "at", "answer"]),
    ("trees", &["workspace"], &["workspace", "size", "frontier"], &[]),
];

/// The value with one bit flipped; none if it has no such bit.
fn flipped(value: &Value, place: usize, bit: usize) -> Option<Value> {
    let flip = |bytes: &[u8], bit: usize| {
        let mut bytes = bytes.to_vec();
        *bytes.get_mut(place)? ^= 1 << bit;
        Some(bytes)
    };
    match value {
        Value::Blob(bytes) => flip(bytes, bit).map(Value::Blob),
        // What is no text any more cannot be put there by a statement; flips of the file do that.
        Value::Text(text) => String::from_utf8(flip(text.as_bytes(), bit % 7)?).ok().map(Value::Text),
        Value::Integer(number) => (place < 8).then(|| Value::Integer(number ^ (1 << (8 * place + bit)))),
        Value::Null | Value::Real(_) => None,
    }
}

/// The places of a value at which bits are flipped: some in each stretch of it, so that no part is left out.
fn places(value: &Value, chance: &mut Chance) -> Vec<(usize, usize)> {
    let (len, stretch) = match value {
        Value::Blob(bytes) => (bytes.len(), if bytes.len() > 200 { 60 } else { 32 }),
        Value::Text(text) => (text.len(), 4),
        Value::Integer(_) => (8, 4),
        Value::Null | Value::Real(_) => (0, 1),
    };
    (0..len).step_by(stretch).map(|start| (start + chance.below(stretch.min(len - start)), chance.below(8))).collect()
}

/// Flips bits in a column of every row; gives how many were.
fn flip_column(
    sqlite: &Connection,
    (table, keys, column): (&str, &[&str], &str),
    chance: &mut Chance,
    check: &mut dyn FnMut(&str),
) -> usize {
    let by: Vec<String> = keys.iter().enumerate().map(|(n, key)| format!("{key} = ?{}", n + 2)).collect();
    let update = format!("UPDATE {table} SET {column} = ?1 WHERE {}", by.join(" AND "));
    let mut select = sqlite.prepare(&format!("SELECT {column}, {} FROM {table}", keys.join(", "))).unwrap();
    let columns = 1 + keys.len();
    let rows = select.query_map([], |row| (0..columns).map(|n| row.get(n)).collect::<Result<Vec<Value>, _>>()).unwrap();
    let rows: Vec<Vec<Value>> = rows.map(Result::unwrap).collect();
    let mut count = 0;
    for row in rows {
        for (place, bit) in places(&row[0], chance) {
            let Some(value) = flipped(&row[0], place, bit) else { continue };
            let set = |value: &Value, keys: &[Value]| {
                sqlite.execute(&update, params_from_iter(std::iter::once(value).chain(keys)))
            };
            // Some values cannot be there twice.
            if set(&value, &row[1..]) != Ok(1) {
                continue;
            }
            count += 1;
            check(&format!("{table}.{column} of {:?}, bit {bit} of byte {place}", &row[1..]));
            let key_of = |(key, before): (&&str, &Value)| if **key == *column { value.clone() } else { before.clone() };
            let now: Vec<Value> = keys.iter().zip(&row[1..]).map(key_of).collect();
            assert_eq!(set(&row[0], &now), Ok(1));
        }
    }
    count
}

#[test]
fn a_bit_that_flips_in_any_row_gives_nobody_more_and_is_found() {
    run(async {
        let store = store().await;
        let folder = store.folder.path();
        let expected = rights(folder, &store).await.unwrap();
        assert!(expected.len() > 100, "{expected:?}");
        let log = SqliteLog::attach(folder).unwrap();
        assert_eq!(inspect(&log, Some(&signer()), SystemClock.now()).unwrap().flaws, [""; 0]);
        let sqlite = Connection::open(folder.join("tenure.db")).unwrap();
        let triggers = ["events_are_never_updated", "events_are_never_deleted"];
        for name in triggers {
            sqlite.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
        }
        sqlite.execute_batch("PRAGMA synchronous = OFF").unwrap();
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
        for (table, keys, told, untold) in TABLES {
            for column in told.iter().chain(*untold) {
                let must_be_found = told.contains(column);
                let mut check = |what: &str| {
                    let found = tokio::task::block_in_place(|| {
                        tokio::runtime::Handle::current().block_on(rights(folder, &store))
                    });
                    assert_no_more(&expected, &found.unwrap(), what);
                    let is_found =
                        inspect(&log, Some(&signer()), SystemClock.now()).map_or(true, |found| !found.flaws.is_empty());
                    assert!(is_found || !must_be_found, "{what}: nobody notices");
                };
                let flips = flip_column(&sqlite, (table, keys, column), &mut chance, &mut check);
                assert!(flips > 0, "{table}.{column}");
            }
        }
        assert_eq!(rights(folder, &store).await.unwrap(), expected, "all is as it was");
    });
}

#[test]
fn a_bit_that_flips_anywhere_in_the_file_gives_nobody_more() {
    run(async {
        let store = store().await;
        let whole = fs::read(store.folder.path().join("tenure.db")).unwrap();
        let expected = rights(store.folder.path(), &store).await.unwrap();
        let mut chance = Chance(0x2545_f491_4f6c_dd1d);
        let mut harmless = 0;
        for _ in 0..FLIPS {
            let (place, bit) = (chance.below(whole.len()), chance.below(8));
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << bit;
            let copy = tempfile::tempdir().unwrap();
            fs::write(copy.path().join("tenure.db"), bytes).unwrap();
            if let Ok(found) = rights(copy.path(), &store).await {
                assert_no_more(&expected, &found, &format!("bit {bit} of byte {place} of the file"));
                harmless += usize::from(found == expected);
            }
        }
        assert!(harmless < FLIPS, "no flip met anything");
    });
}

/// Someone with the file and the means can write what fits together. Who keeps a checkpoint tells; and no event is ignored.
#[test]
fn an_event_rewritten_with_its_leaf_is_found_by_the_tree_or_its_references() {
    run(async {
        let mut life = Life::new(None, &[]);
        life.done(&[found("acme"), enable_rbac()], None).await;
        life.done(&[create_restricted("prod", EnvironmentRole::NoAccess, [])], None).await;
        let id = life.id.unwrap();
        let folder = tempfile::tempdir().unwrap();
        life.log.store.backup(&folder.path().join("tenure.db")).unwrap();
        life.service.stop().await.unwrap();
        let sqlite = Connection::open(folder.path().join("tenure.db")).unwrap();
        sqlite.execute_batch("DROP TRIGGER events_are_never_updated").unwrap();
        let event: Vec<u8> = sqlite
            .query_row("SELECT event FROM events WHERE CAST(event AS TEXT) LIKE '%environment.created.v1%' ORDER BY revision DESC", [], |row| row.get(0))
            .unwrap();
        let text = String::from_utf8(event).unwrap();
        let subject = text.split("\"subject\":\"env_").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let other = format!("{}{}", &subject[..25], if subject.ends_with('1') { '2' } else { '1' });
        let forged = text.replace(&subject, &other).into_bytes();
        let leaf = tenure::proof::hash::TreeHash::of_leaf(&forged).0;
        let sql = "UPDATE events SET event = ?1, leaf = ?2 WHERE event = ?3";
        assert_eq!(sqlite.execute(sql, (&forged, leaf, text.as_bytes())), Ok(1));
        sqlite.execute_batch("DELETE FROM trees").unwrap();
        let why = tenure::service::replay(&SqliteLog::attach(folder.path()).unwrap(), id).unwrap_err().to_string();
        assert!(why.contains("`environment.restricted.v1` cannot follow") && why.contains(&subject), "{why}");
    });
}

/// The head that is signed was compared with every leaf: a flipped edge is neither signed nor built upon.
#[test]
fn a_flipped_edge_is_neither_signed_nor_appended_to() {
    run(async {
        let mut life = Life::new(None, &[]);
        life.done(&[found("acme"), enable_rbac()], None).await;
        for n in 0..20 {
            life.done(&[add_member(&format!("user-{n}"), WorkspaceRole::Member)], None).await;
        }
        let id = life.id.unwrap();
        let signed = life.service.checkpoint(id).await.unwrap().unwrap();
        let file = life.folder().join("tenure.db");
        let sqlite = Connection::open(&file).unwrap();
        let flip = "UPDATE trees SET frontier = CAST(x'00' || substr(frontier, 2) AS BLOB)";
        assert_eq!(sqlite.execute(flip, []), Ok(1));
        // Another connection has written, so the store reads the frontier again; the compared one is signed nevertheless.
        assert_eq!(life.service.checkpoint(id).await.unwrap(), Some(signed));
        let submission = life.submission(vec![add_member("eve", WorkspaceRole::Member)], None);
        let refused = life.service.submit(submission).await.unwrap_err().to_string();
        assert!(refused.contains("damaged"), "{refused}");
        let why = life.service.workspace(id).await.unwrap_err().to_string();
        assert!(why.contains("the edge of the tree of"), "{why}");
        assert!(matches!(life.service.checkpoint(id).await, Err(LogError::Unreadable { .. })));
        // The others go on.
        let found = life.service.submit(life.submission_for(None, vec![found("other")])).await.unwrap();
        assert!(matches!(found, SubmitOutcome::Done(_)));
        life.service.stop().await.unwrap();
    });
}
