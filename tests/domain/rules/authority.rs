use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use tenure::domain::model::command::Command;
use tenure::domain::model::principal::{Actor, ActorCredential, Caller};
use tenure::domain::model::role::AccessKeyRole::{Auditor, Evaluator};
use tenure::domain::model::role::WorkspaceRole::{Manager, Member};
use tenure::domain::model::role::{Plan, WorkspaceKind};

use crate::support::commands::{
    add_member, change_role, create_environment, create_workspace, delete_service_user, delete_workspace, issue_token,
    issue_token_until, remove_member, restrict, revoke_token,
};
use crate::support::given::{OPERATOR, Who, World, by, team};

/// Returns one of each command, with its required fields only. They may name unknown entities, because authority is
/// checked first.
fn one_of_each() -> Vec<Command> {
    let mut generator = SchemaGenerator::default();
    let schemas = Command::schemas(&mut generator);
    let command = |(name, schema): (&str, Schema)| {
        let mut fields = least_value(schema.as_value(), generator.definitions());
        fields["type"] = name.into();
        Command::from_value(fields).unwrap()
    };
    // No batch may hold these two, so they have no type and no schema.
    let of_workspaces = [create_workspace("other", WorkspaceKind::Shared, Plan::Team, "ada"), delete_workspace()];
    of_workspaces.into_iter().chain(schemas.into_iter().map(command)).collect()
}

/// Returns a value of a JSON Schema, without optional fields.
fn least_value(schema: &Value, definitions: &Map<String, Value>) -> Value {
    if let Some(path) = schema["$ref"].as_str() {
        return least_value(&definitions[path.rsplit('/').next().unwrap()], definitions);
    }
    if let Some(choice) = schema["oneOf"].get(0) {
        return choice["const"].clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap());
            required.map(|name| (name, least_value(&schema["properties"][name], definitions))).collect()
        }
        Some("array") => json!([]),
        Some("boolean") => json!(false),
        _ => json!("nobody"),
    }
}

fn assert_all_refused(world: &World, who: Who, code: &str) {
    for command in one_of_each() {
        world.when(who, command).refused(code);
    }
}

#[test]
fn members_service_users_and_access_keys_cannot_change_others() {
    for who in [by("bob"), by("ci"), Who::Key(Evaluator), Who::Key(Auditor)] {
        assert_all_refused(&team(), who, "forbidden");
    }
}

#[test]
fn a_revoked_token_is_unauthenticated() {
    for who in ["ada", "mo", "bob", "ci"] {
        let world = team();
        let world = world.clone().and([revoke_token(world.token(who))]);
        assert_all_refused(&world, by(who), "unauthenticated");
    }
}

#[test]
fn a_token_is_unauthenticated_from_its_expiry_on() {
    let world = team();
    let end = world.in_micros(100);
    let world = world.and([issue_token_until("user:ada", end)]);
    let submitted_at_end = end.micros() - world.writer.clock.micros() - 1;
    world.clone().later(submitted_at_end - 1).when(by("ada"), create_environment("dev")).then(["environment.created"]);
    world
        .later(submitted_at_end)
        .when(by("ada"), create_environment("dev"))
        .after_noting(["token.expired"])
        .refused("unauthenticated");
}

#[test]
fn a_removed_member_is_unauthenticated_and_returns_only_with_a_new_token() {
    let world = team().and([remove_member("mo"), add_member("mo", Manager)]);
    assert_all_refused(&world, by("mo"), "unauthenticated");
    let world = world.and([issue_token("user:mo")]);
    world.when(by("mo"), create_environment("dev")).then(["environment.created"]);
}

#[test]
fn a_deleted_service_user_is_unauthenticated() {
    assert_all_refused(&team().and([delete_service_user("ci")]), by("ci"), "unauthenticated");
}

#[test]
fn a_demoted_member_loses_authority() {
    let world = team().and([change_role("mo", Member)]);
    world.when(by("mo"), create_environment("dev")).refused("forbidden");
    world.when(by("mo"), issue_token("user:mo")).then(["token.issued"]);
}

#[test]
fn authority_is_checked_before_names() {
    team().when(by("bob"), restrict("nothing")).refused("forbidden");
    team().when(by("mo"), restrict("nothing")).refused("not_found");
}

#[test]
fn an_event_names_its_actor_and_credential() {
    let world = team();
    let token: ActorCredential = world.token("mo").parse().unwrap();
    let event = world.when(by("mo"), create_environment("dev")).events().remove(0);
    assert_eq!((&event.actor, event.credential), (&Actor::User("mo".parse().unwrap()), Some(token)));
    let event = world.when(OPERATOR, create_environment("dev")).events().remove(0);
    assert_eq!((&event.actor, event.credential), (&Actor::Operator, Some(ActorCredential::Operator)));
}

#[test]
fn an_import_vouches_for_the_actors_it_names() {
    let mut writer = team().writer;
    let actor = Actor::User("long-gone".parse().unwrap());
    let submitted = writer.submit(&Caller::ImportedActor(actor.clone()), &[create_environment("dev")]);
    let event = submitted.outcome.unwrap().concat().remove(0);
    assert_eq!((&event.actor, event.credential), (&actor, None));
}
