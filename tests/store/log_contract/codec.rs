//! The exact bytes of an event, and the refusals of the decoder.

use std::collections::BTreeSet;

use tenure::domain::model::credential::SecretDigest;
use tenure::domain::model::event::{
    AccessKeyTerms, EnvironmentDescription, Event, EventData, GrantEnd, GrantTerms, Membership, Move, Nothing,
    Placement, PlanChange, ProxyTokenScope, ProxyTokenTerms, ResourceTypeTerms, Restriction, ServiceUserDescription,
    TokenEnd, TokenTerms, WorkspaceDescription,
};
use tenure::domain::model::id::{
    AccessKeyId, CommandId, EnvironmentId, EventId, ProxyTokenId, ServiceUserId, TokenId, WorkspaceId,
};
use tenure::domain::model::principal::{Actor, ActorCredential, Principal};
use tenure::domain::model::role::{AccessKeyRole, EnvironmentRole, Plan, RequiredRole, WorkspaceKind, WorkspaceRole};
use tenure::domain::model::time::{Instant, Revision};
use tenure::log::codec::{DecodeError, EncodeError, StreamDecoder, decode, encode};
use tenure::log::{EVENT_BYTES_MAX, LogError, StoredEvent};
use tenure::proof::hash::TreeHash;
use uuid::Uuid;

use super::support::{user, workspace};

const NUMBER: Uuid = Uuid::from_u128(0x0192_3456_789a_7bcd_8ef0_1234_5678_9abc);

/// One event of every type, in the order of the catalogue; optional fields are there in one and missing in the next.
fn one_of_each() -> Vec<EventData> {
    use EventData as E;
    let (ws, svc, env) =
        (WorkspaceId::from_uuid(NUMBER), ServiceUserId::from_uuid(NUMBER), EnvironmentId::from_uuid(NUMBER));
    let (tok, prx, key) = (TokenId::from_uuid(NUMBER), ProxyTokenId::from_uuid(NUMBER), AccessKeyId::from_uuid(NUMBER));
    let alice = user("alice@example.com");
    let bot = Principal::ServiceUser(svc);
    let sha256 = SecretDigest([0xa5; 32]);
    let expires_at = Some(Instant::from_micros(1_772_357_400_000_001));
    let none = || Nothing {};
    let membership = |role| Membership { role };
    let named = |name: &str| EnvironmentDescription { name: name.parse().unwrap() };
    let restriction = |default_role| Restriction { default_role };
    let held = || TokenEnd { holder: bot.clone() };
    let granted = || GrantEnd { principal: bot.clone() };
    let created = WorkspaceDescription { name: "acme".parse().unwrap(), kind: WorkspaceKind::Shared, plan: Plan::Team };
    let grant = |role, expires_at| GrantTerms { principal: bot.clone(), role, expires_at };
    let label = "nightly \"export\", \\ 100 % — ü".parse().unwrap();
    let actions =
        [("read".parse().unwrap(), RequiredRole::Viewer), ("use".parse().unwrap(), RequiredRole::Contributor)];
    let actions = ResourceTypeTerms { actions: actions.into() };
    let resource = || "gpu/rack \"7\" \\ / ü".parse().unwrap();
    vec![
        E::WorkspaceCreated(ws, created),
        E::WorkspaceDeleted(ws, none()),
        E::PlanChanged(ws, PlanChange { plan: Plan::Enterprise }),
        E::RbacEnabled(ws, none()),
        E::RbacDisabled(ws, none()),
        E::MemberAdded(alice.clone(), membership(WorkspaceRole::Owner)),
        E::MemberRoleChanged(alice.clone(), membership(WorkspaceRole::Member)),
        E::MemberRemoved(alice.clone(), none()),
        E::ServiceUserCreated(svc, ServiceUserDescription { name: "ci-bot".parse().unwrap() }),
        E::ServiceUserDeleted(svc, none()),
        E::TokenIssued(tok, TokenTerms { holder: Principal::User(alice), sha256, expires_at }),
        E::TokenRevoked(tok, held()),
        E::TokenExpired(tok, held()),
        E::EnvironmentCreated(env, named("main")),
        E::EnvironmentRenamed(env, named("Prod_2")),
        E::EnvironmentRestricted(env, restriction(EnvironmentRole::Viewer)),
        E::EnvironmentDefaultRoleChanged(env, restriction(EnvironmentRole::NoAccess)),
        E::EnvironmentUnrestricted(env, none()),
        E::EnvironmentDeleted(env, none()),
        E::GrantAdded(env, grant(EnvironmentRole::Contributor, None)),
        E::GrantChanged(env, grant(EnvironmentRole::Viewer, expires_at)),
        E::GrantRevoked(env, granted()),
        E::GrantExpired(env, granted()),
        E::ProxyTokenCreated(prx, ProxyTokenTerms { environments: None, sha256, expires_at: None }),
        E::ProxyTokenScoped(prx, ProxyTokenScope { environments: BTreeSet::from([env]) }),
        E::ProxyTokenRevoked(prx, none()),
        E::ProxyTokenExpired(prx, none()),
        E::AccessKeyIssued(key, AccessKeyTerms { role: AccessKeyRole::Auditor, label, sha256, expires_at }),
        E::AccessKeyRevoked(key, none()),
        E::AccessKeyExpired(key, none()),
        E::ResourceTypeDefined("gpu".parse().unwrap(), actions),
        E::ResourcePlaced(resource(), Placement { environment: env }),
        E::ResourceMoved(resource(), Move { from: env, environment: env }),
        E::ResourceRemoved(resource(), Placement { environment: env }),
    ]
}

fn event(data: EventData) -> Event {
    Event {
        id: EventId::from_uuid(NUMBER),
        workspace: WorkspaceId::from_uuid(NUMBER),
        revision: Revision(17),
        time: Instant::from_micros(1_772_357_400_000_000),
        recorded: None,
        actor: Actor::User(user("alice")),
        credential: Some(ActorCredential::Token(TokenId::from_uuid(NUMBER))),
        command: CommandId::from_uuid(NUMBER),
        reason: Some("SEC-142".parse().unwrap()),
        data,
    }
}

fn restricted() -> Event {
    let restriction = Restriction { default_role: EnvironmentRole::Viewer };
    event(EventData::EnvironmentRestricted(EnvironmentId::from_uuid(NUMBER), restriction))
}

fn text(event: &Event) -> String {
    String::from_utf8(encode(event).unwrap()).unwrap()
}

/// The bytes of some event at a place in a log.
pub(crate) fn sample_bytes(workspace: WorkspaceId, revision: Revision) -> Vec<u8> {
    encode(&Event { workspace, revision, ..restricted() }).unwrap()
}

#[test]
fn an_event_is_written_as_the_design_says() {
    let expected = concat!(
        r#"{"specversion":"1.0","id":"evt_01j8t5cy4tff6rxw0j6hb7h6nw","source":"/workspaces/ws_01j8t5cy4tff6rxw0j6hb7h6nw","#,
        r#""type":"environment.restricted.v1","subject":"env_01j8t5cy4tff6rxw0j6hb7h6nw","#,
        r#""time":"2026-03-01T09:30:00.000000Z","revision":17,"actor":"user:alice","#,
        r#""credential":"tok_01j8t5cy4tff6rxw0j6hb7h6nw","command":"cmd_01j8t5cy4tff6rxw0j6hb7h6nw","#,
        r#""reason":"SEC-142","data":{"default_role":"viewer"}}"#,
    );
    assert_eq!(text(&restricted()), expected);
}

#[test]
fn absent_fields_are_left_out_and_imported_events_have_their_recorded_time() {
    let recorded = Some(Instant::from_micros(1_772_357_400_000_001));
    let sparse = Event { credential: None, reason: None, actor: Actor::System, recorded, ..restricted() };
    let expected = r#""time":"2026-03-01T09:30:00.000000Z","recordedtime":"2026-03-01T09:30:00.000001Z","revision":17,"actor":"system","command":"#;
    assert!(text(&sparse).contains(expected), "{}", text(&sparse));
    assert!(!text(&sparse).contains("credential") && !text(&sparse).contains("reason"));
}

#[test]
fn every_type_of_event_goes_round_byte_for_byte() {
    let mut each = one_of_each();
    let known: Vec<_> = each.iter().map(EventData::type_name).collect();
    for type_name in EventData::TYPES.iter().filter(|type_name| !known.contains(type_name)) {
        let sample = std::fs::read(format!("events/{type_name}/sample.json")).unwrap();
        each.push(decode(&sample).unwrap().data);
    }
    for data in each {
        let whole = event(data);
        let recorded = Some(Instant::from_micros(i64::from(u32::MAX)));
        let reason = Some("line \"1\" \\ / ü \u{1f980}".parse().unwrap());
        let other = Event { credential: None, recorded, reason, actor: Actor::Operator, ..whole.clone() };
        for event in [whole, other] {
            let bytes = encode(&event).unwrap();
            let decoded = decode(&bytes).unwrap();
            assert_eq!(encode(&decoded).unwrap(), bytes, "{}", event.data.type_name());
            assert_eq!(format!("{decoded:?}"), format!("{event:?}"));
        }
    }
}

#[test]
fn an_event_that_is_too_large_is_not_encoded() {
    let scope = |count: u128| {
        let environments = (0..count).map(|n| EnvironmentId::from_uuid(Uuid::from_u128(n))).collect();
        event(EventData::ProxyTokenScoped(ProxyTokenId::from_uuid(NUMBER), ProxyTokenScope { environments }))
    };
    assert!(encode(&scope(1_500)).unwrap().len() <= EVENT_BYTES_MAX);
    assert!(matches!(encode(&scope(3_000)), Err(EncodeError::TooLarge(bytes)) if bytes > EVENT_BYTES_MAX));
}

#[test]
fn an_instant_that_cannot_be_read_again_is_not_encoded() {
    for time in [Instant::from_micros(i64::MIN), Instant::from_micros(253_402_300_800_000_000)] {
        assert!(matches!(encode(&Event { time, ..restricted() }), Err(EncodeError::Time(_))));
        assert!(matches!(encode(&Event { recorded: Some(time), ..restricted() }), Err(EncodeError::Time(_))));
    }
    for micros in [-62_167_219_200_000_000, 253_402_300_799_999_999] {
        let edge = Event { time: Instant::from_micros(micros), ..restricted() };
        assert_eq!(decode(&encode(&edge).unwrap()).unwrap().time, edge.time);
    }
}

#[test]
fn bytes_that_are_not_an_event_are_refused_with_the_first_thing_that_is_wrong() {
    let cases = [
        (r#""specversion":"1.0""#, r#""specversion":"1.1""#, "the specversion is `1.1`"),
        ("/workspaces/ws_", "/workspace/ws_", "and should be `/workspaces/`"),
        ("/workspaces/ws_", "/workspaces/env_", "and should be `/workspaces/`"),
        (r#""id":"evt_"#, r#""id":"cmd_"#, "is not an id of this kind"),
        (r#""revision":17"#, r#""revision":"17""#, "invalid type"),
        (r#""revision":17"#, r#""revision":-17"#, "invalid value"),
        (r#""actor":"user:alice""#, r#""actor":"alice""#, "a principal is written"),
        (r#""actor":"#, r#""colour":"blue","actor":"#, "unknown field `colour`"),
        (r#""actor":"#, r#""revision":18,"actor":"#, "duplicate field `revision`"),
        (r#""reason":"SEC-142""#, r#""reason":null"#, "invalid type: null"),
        (r#""reason":"SEC-142""#, r#""reason":"a\u0000b""#, "a reason is at most"),
        (r#""time":"2026"#, r#""time":"tomorrow 2026"#, "an instant is written"),
        ("environment.restricted.v1", "environment.restricted.v9", "`environment.restricted.v9` is unknown"),
        (r#""subject":"env_"#, r#""subject":"tok_"#, "does not fit the event type"),
        (r#"{"default_role":"viewer"}"#, r#"{"default_role":"emperor"}"#, "does not have the shape"),
        (r#"{"default_role":"viewer"}"#, r#"{"default_role":"viewer","x":1}"#, "does not have the shape"),
        (r#""viewer"}}"#, r#""viewer"}}{}"#, "trailing characters"),
        (r#""viewer"}}"#, r#""viewer"}"#, "EOF while parsing"),
    ];
    for (good, bad, why) in cases {
        let text = text(&restricted());
        assert!(text.contains(good), "{good}");
        let error = decode(text.replacen(good, bad, 1).as_bytes()).unwrap_err().to_string();
        assert!(error.contains(why), "{bad}: {error}");
    }
    assert!(matches!(decode(b"\xff\xfe"), Err(DecodeError::Json(_))));
}

fn stored(revision: u64, event: &Event) -> StoredEvent {
    let bytes = encode(event).unwrap();
    let (workspace, leaf) = (workspace(1), TreeHash::of_leaf(&bytes));
    StoredEvent { workspace, revision: Revision(revision), position: revision, leaf, bytes }
}

fn at_place(revision: u64, micros: i64) -> Event {
    Event { workspace: workspace(1), revision: Revision(revision), time: Instant::from_micros(micros), ..restricted() }
}

fn refused(decoder: &mut StreamDecoder, stored: &[StoredEvent]) -> (u64, String) {
    let error = stored.iter().find_map(|event| decoder.decode(event).err()).unwrap();
    let LogError::Unreadable { workspace: whose, revision, why } = error else { panic!("{error}") };
    assert_eq!(whose, workspace(1));
    (revision.0, why)
}

#[test]
fn a_log_is_decoded_in_order_and_page_by_page() {
    let page = [stored(1, &at_place(1, 10)), stored(2, &at_place(2, 10))];
    let mut decoder = StreamDecoder::from_start(workspace(1));
    assert!(page.iter().all(|event| decoder.decode(event).is_ok()));
    assert_eq!(decoder.decode(&stored(3, &at_place(3, 11))).unwrap().revision, Revision(3));
    let mut tail = StreamDecoder::after(workspace(1), Revision(2), Instant::from_micros(10));
    assert_eq!(tail.decode(&stored(3, &at_place(3, 11))).unwrap().revision, Revision(3));
}

#[test]
fn a_log_with_something_wrong_is_unreadable_from_there_on() {
    let first = stored(1, &at_place(1, 10));
    let foreign = StoredEvent { workspace: workspace(2), ..stored(2, &at_place(2, 10)) };
    let foreign_bytes = stored(2, &Event { workspace: workspace(2), ..at_place(2, 10) });
    let garbage = StoredEvent { bytes: b"garbage".to_vec(), ..stored(2, &at_place(2, 10)) };
    let cases = [
        (stored(3, &at_place(3, 10)), "an event stored as revision 3 stands in its place"),
        (stored(2, &at_place(3, 10)), "an event written as revision 3 stands in its place"),
        (first.clone(), "an event stored as revision 1 stands in its place"),
        (foreign, "an event stored for workspace ws_00000000000000000000000002 stands in its place"),
        (foreign_bytes, "an event written for workspace ws_00000000000000000000000002 stands in its place"),
        (stored(2, &at_place(2, 9)), "its time, 1970-01-01T00:00:00.000009Z, is before 1970-01-01T00:00:00.000010Z"),
        (garbage, "expected value at line 1 column 1"),
    ];
    for (wrong, why) in cases {
        let mut decoder = StreamDecoder::from_start(workspace(1));
        let (revision, said) = refused(&mut decoder, &[first.clone(), wrong.clone()]);
        assert_eq!(revision, 2);
        assert!(said.starts_with(why), "{said}");
        assert_eq!(refused(&mut decoder, &[wrong]), (2, said), "asking again gives the same answer");
    }
}
