use tenure::domain::model::command::{Command, DefineResourceType, PlaceResource, ResourceSpec};
use tenure::domain::model::event::EventData;
use tenure::domain::model::role::AccessKeyRole::Auditor;
use tenure::domain::model::role::EnvironmentRole::{Contributor, NoAccess};
use tenure::domain::model::time::Revision;
use tenure::domain::rules::authorize::{Decision, authorize};
use tenure::domain::state::view::At;

use crate::support::commands::{
    create_environment, create_proxy_token, create_restricted, define_resource_type, delete_environment,
    delete_workspace, disable_rbac, place, remove_resource, rename, set_grant,
};
use crate::support::given::{OPERATOR, Who, World, by, question_about, team};

const GPU: [&str; 2] = ["read=viewer", "reserve=contributor"];

/// Returns a world with a type `gpu`, an open `dev`, and a `vault` that bob has no access to.
fn given() -> World {
    team().and([define_resource_type("gpu", GPU), create_environment("dev"), create_restricted("vault", NoAccess, [])])
}

fn no_member() -> [Who; 3] {
    [by("bob"), by("ci"), Who::Key(Auditor)]
}

fn judged(world: &World, subject: &str, action: &str, resource: &str) -> Decision {
    evaluated_at(world, At::Now, subject, action, resource)
}

fn evaluated_at(world: &World, at: At, subject: &str, action: &str, resource: &str) -> Decision {
    authorize(&world.view(at), &question_about(subject, action, resource))
}

/// Returns the decision that bob gets about himself.
fn told(world: &World, action: &str, resource: &str) -> Decision {
    world.decision_for_self_at(At::Now, "bob", &question_about("user:bob", action, resource))
}

fn evidence(world: &World, decision: &Decision) -> Vec<&'static str> {
    let name = |data: &EventData| data.type_name().trim_end_matches(".v1");
    decision.evidence.iter().map(|revision| name(&world.writer.workspace.event(*revision).unwrap().data)).collect()
}

fn head(world: &World) -> At {
    At::Revision(world.writer.workspace.head())
}

#[test]
fn a_resource_type_is_defined_with_its_actions() {
    for who in [by("ada"), by("mo"), OPERATOR] {
        let expected = r#"resource_type.defined gpu {"actions":{"read":"viewer","reserve":"contributor"}}"#;
        let world = team().when(who, define_resource_type("gpu", GPU)).then_says(expected);
        assert_eq!(judged(&world, "user:bob", "reserve", "gpu:a100@main").rule.as_str(), "unrestricted");
    }
    for who in no_member() {
        team().when(who, define_resource_type("gpu", GPU)).refused("forbidden");
    }
}

#[test]
fn a_type_that_is_defined_again_has_only_the_latest_actions() {
    let world = given();
    world.when(by("ada"), define_resource_type("gpu", GPU)).changes_nothing();
    let before = head(&world);
    let expected = r#"resource_type.defined gpu {"actions":{"read":"contributor"}}"#;
    let world = world.when(by("mo"), define_resource_type("gpu", ["read=contributor"])).then_says(expected);
    assert_eq!(judged(&world, "user:bob", "reserve", "gpu:a100@main").rule.as_str(), "unknown_action");
    assert!(!judged(&world, "user:bob", "read", "gpu:a100@prod").allowed);
    assert!(evaluated_at(&world, before, "user:bob", "read", "gpu:a100@prod").allowed);
    world.when(by("mo"), define_resource_type("gpu", GPU)).then(["resource_type.defined"]);
}

#[test]
fn a_built_in_type_cannot_be_defined() {
    for name in ["app", "environment", "workspace", "web_function"] {
        team().when(by("ada"), define_resource_type(name, GPU)).refused("already_exists");
    }
}

#[test]
fn a_resource_type_has_an_action() {
    let none = DefineResourceType { name: "gpu".parse().unwrap(), actions: [].into() };
    team().when(by("ada"), Command::from(none)).refused("invalid");
}

#[test]
fn a_resource_is_placed_and_moved() {
    for who in [by("ada"), by("mo"), OPERATOR] {
        let world = given();
        let (dev, main) = (world.environment("dev"), world.environment("main"));
        let world = world.when(who, place("gpu:a100/0", "DEV"));
        let world = world.then_says(&format!(r#"resource.placed gpu/a100/0 {{"environment":"{dev}"}}"#));
        world.when(who, place("gpu:a100/0", &dev)).changes_nothing();
        let moved = format!(r#"resource.moved gpu/a100/0 {{"from":"{dev}","environment":"{main}"}}"#);
        world.when(who, place("gpu:a100/0", "main")).then_says(&moved);
    }
    for who in no_member() {
        given().when(who, place("gpu:a100", "dev")).refused("forbidden");
        given().and([place("gpu:a100", "dev")]).when(who, remove_resource("gpu:a100")).refused("forbidden");
    }
}

#[test]
fn a_resource_of_a_built_in_type_is_placed_too() {
    for resource in ["web_function:checkout", "app:shop", "secret:db password"] {
        given().when(by("ada"), place(resource, "prod")).then(["resource.placed"]);
    }
}

#[test]
fn the_type_and_the_environment_of_a_placement_must_exist() {
    given().when(by("ada"), place("tpu:v5", "dev")).refused("not_found");
    given().when(by("ada"), place("user:bob", "dev")).refused("not_found");
    given().when(by("ada"), place("gpu:a100", "nowhere")).refused("not_found");
    let ended = given().and([delete_environment("dev")]);
    ended.when(by("ada"), place("gpu:a100", "dev")).refused("not_found");
    ended.when(by("ada"), place("gpu:a100", &given().environment("dev"))).refused("not_found");
}

#[test]
fn environments_and_workspaces_are_not_placed() {
    given().when(by("ada"), place("environment:prod", "dev")).refused("invalid");
    given().when(by("ada"), place("workspace:acme", "dev")).refused("invalid");
    given().when(by("ada"), place("workspace:acme", "nowhere")).refused("not_found");
}

#[test]
fn a_placement_is_taken_back() {
    let world = given().and([place("gpu:a100", "dev")]);
    let removed = format!(r#"resource.removed gpu/a100 {{"environment":"{}"}}"#, world.environment("dev"));
    let world = world.when(by("mo"), remove_resource("gpu:a100")).then_says(&removed);
    world.when(by("mo"), remove_resource("gpu:a100")).refused("not_found");
    for never in ["gpu:a100 ", "tpu:a100", "not a type:x", "gpu:"] {
        world.when(by("mo"), remove_resource(never)).refused("not_found");
    }
    world.when(by("mo"), place("gpu:a100", "main")).then(["resource.placed"]);
}

#[test]
fn a_deleted_environment_ends_the_placements_in_it_and_no_others() {
    let world = given().and([
        set_grant("prod", "user:bob", Contributor),
        create_proxy_token(["prod"]),
        place("gpu:b", "prod"),
        place("gpu:a", "prod"),
        place("gpu:moved-away", "prod"),
        place("gpu:moved-away", "dev"),
        place("gpu:gone", "prod"),
        remove_resource("gpu:gone"),
        place("app:shop", "prod"),
    ]);
    let before = head(&world);
    let world = world.when(by("ada"), delete_environment("prod")).then([
        "grant.revoked",
        "proxy_token.scoped",
        "resource.removed",
        "resource.removed",
        "resource.removed",
        "environment.deleted",
    ]);
    let left = |at| world.view(at).placements().map(|found| found.key().to_string()).collect::<Vec<_>>();
    assert_eq!(left(At::Now), ["gpu/moved-away"]);
    assert_eq!(left(before), ["app/shop", "gpu/a", "gpu/b", "gpu/moved-away"]);
    let remade = world.and([create_environment("prod")]);
    assert_eq!(judged(&remade, "user:bob", "read", "gpu:a").rule.as_str(), "no_environment");
}

#[test]
fn a_batch_places_in_what_it_makes() {
    let types = ["resource_type.defined", "environment.created", "resource.placed", "resource.moved"];
    let define = define_resource_type("tpu", ["read=viewer"]);
    let commands = [define, create_environment("new"), place("tpu:v5", "new"), place("tpu:v5", "main")];
    team().when(by("ada"), commands).then(types);
    team().when(by("ada"), [create_environment("new"), place("tpu:v5", "new")]).refused_at(1, "not_found");
}

#[test]
fn a_question_may_name_just_the_resource() {
    let world =
        given().and([place("gpu:a100", "prod"), place("web_function:pay", "prod"), create_proxy_token(["prod"])]);
    for resource in ["gpu:a100", "gpu:a100@prod", "gpu:a100@PROD"] {
        let read = judged(&world, "user:bob", "read", resource);
        assert_eq!((read.allowed, read.rule.as_str()), (true, "default_role"), "{resource}");
        let events = ["member.added", "environment.restricted", "resource_type.defined", "resource.placed"];
        assert_eq!(evidence(&world, &read), events, "{resource}");
        assert!(!judged(&world, "user:bob", "reserve", resource).allowed, "{resource}");
    }
    assert_eq!(judged(&world, "task:main", "read", "gpu:a100").rule.as_str(), "cross_environment");
    let token = format!("proxy_token:{}", world.proxy_token());
    assert!(judged(&world, &token, "call", "web_function:pay").allowed);
    assert_eq!(judged(&world, &token, "call", "web_function:other").rule.as_str(), "no_environment");
    let renamed = world.and([rename("prod", "live")]);
    assert!(judged(&renamed, "user:bob", "read", "gpu:a100@live").allowed);
}

#[test]
fn a_question_that_names_another_environment_than_is_recorded_is_denied() {
    let world = given().and([place("app:shop", "prod")]);
    for elsewhere in ["app:shop@main", "app:shop@vault", "app:shop@nowhere"] {
        for subject in ["user:ada", "user:bob", "user:nobody", "task:prod", "task:main"] {
            let decision = judged(&world, subject, "read", elsewhere);
            assert_eq!((decision.allowed, decision.rule.as_str()), (false, "placement_differs"), "{elsewhere}");
            assert_eq!(evidence(&world, &decision), ["resource.placed"]);
        }
    }
    let moved = world.clone().and([place("app:shop", "main")]);
    assert!(judged(&moved, "user:bob", "read", "app:shop@main").allowed);
    assert_eq!(evidence(&moved, &judged(&moved, "user:bob", "read", "app:shop@prod")), ["resource.moved"]);
    assert_eq!(
        evaluated_at(&moved, head(&world), "user:bob", "read", "app:shop@main").rule.as_str(),
        "placement_differs"
    );
}

#[test]
fn the_question_names_the_environment_of_a_resource_that_is_no_longer_placed() {
    let world = given().and([place("app:shop", "prod"), remove_resource("app:shop")]);
    let decision = judged(&world, "user:bob", "read", "app:shop");
    assert_eq!(decision.rule.as_str(), "no_environment");
    assert_eq!(evidence(&world, &decision), ["resource.removed"]);
    assert!(judged(&world, "user:bob", "read", "app:shop@main").allowed);
}

#[test]
fn a_type_or_placement_holds_from_its_event_on() {
    let world = team();
    let start = head(&world);
    let world = world.and([define_resource_type("gpu", GPU)]);
    let defined = head(&world);
    let world = world.and([place("gpu:a100", "prod")]);
    let rule = |at| evaluated_at(&world, at, "user:bob", "read", "gpu:a100").rule.as_str();
    assert_eq!(rule(start), "unknown_resource_type");
    assert_eq!(rule(defined), "no_environment");
    assert_eq!(rule(At::Now), "default_role");
    assert_eq!(evaluated_at(&world, start, "user:bob", "read", "gpu:a100@main").rule.as_str(), "unknown_resource_type");
    assert_eq!(evidence(&world, &judged(&world, "user:bob", "melt", "gpu:a100")), ["resource_type.defined"]);
    assert!(world.view(At::Revision(Revision::ZERO)).placements().next().is_none());
}

#[test]
fn without_access_a_placement_is_answered_as_if_it_never_existed() {
    let world = given().and([place("app:secret-plan", "vault")]);
    for action in ["read", "deploy"] {
        for resource in ["app:secret-plan", "app:secret-plan@vault", "app:secret-plan@nowhere"] {
            let never = resource.replace("secret-plan", "never-was").replace("vault", "nowhere");
            let decision = told(&world, action, resource);
            assert!(!decision.allowed);
            assert_eq!(decision, told(&world, action, &never), "{action} {resource}");
        }
    }
    let gone = world.clone().and([remove_resource("app:secret-plan")]);
    assert_eq!(told(&gone, "read", "app:secret-plan"), told(&gone, "read", "app:never-was"));
    let ended = world.and([delete_environment("vault")]);
    assert_eq!(told(&ended, "read", "app:secret-plan"), told(&ended, "read", "app:never-was"));
}

#[test]
fn a_hidden_placement_allows_nothing_elsewhere_and_is_not_named() {
    let world = given().and([place("app:secret-plan", "vault")]);
    let denied = told(&world, "read", "app:secret-plan@prod");
    assert_eq!((denied.allowed, denied.rule.as_str()), (false, "placement_differs"));
    assert_eq!(evidence(&world, &denied), Vec::<&str>::new());
    let may_not = told(&world, "deploy", "app:secret-plan@prod");
    assert_eq!(may_not, told(&world, "deploy", "app:never-was@prod"), "what is denied anyway is denied as ever");
}

#[test]
fn a_known_placement_reveals_nothing_about_a_hidden_environment() {
    let world = given().and([place("app:shop", "dev")]);
    let differs = told(&world, "read", "app:shop@vault");
    assert_eq!(differs.rule.as_str(), "placement_differs");
    assert_eq!(differs, told(&world, "read", "app:shop@nowhere"));
    assert_eq!(told(&world, "read", "app:shop"), judged(&world, "user:bob", "read", "app:shop"));
}

#[test]
fn an_environment_hidden_now_or_then_is_hidden_in_both() {
    let world = given().and([place("app:shop", "vault"), set_grant("vault", "user:bob", Contributor)]);
    let then = At::Revision(Revision(world.writer.workspace.head().0 - 1));
    let asked = question_about("user:bob", "read", "app:shop");
    assert!(world.decision_for_self_at(At::Now, "bob", &asked).allowed);
    assert_eq!(world.decision_for_self_at(then, "bob", &asked).rule.as_str(), "no_environment");
    let off = given().and([disable_rbac(), place("app:shop", "vault")]);
    let while_off = head(&off);
    assert!(off.decision_for_self_at(while_off, "bob", &asked).allowed);
    let on = off.and([crate::support::commands::enable_rbac()]);
    assert_eq!(on.decision_for_self_at(while_off, "bob", &asked).rule.as_str(), "no_environment");
}

#[test]
fn nothing_is_defined_or_placed_in_a_deleted_workspace() {
    let world = given().and([place("app:shop", "dev"), delete_workspace()]);
    let view = world.view(At::Now);
    assert_eq!((view.resource_types().count(), view.placements().count()), (0, 0));
    assert!(view.resource_type("gpu").is_none() && view.placement("app", "shop").is_none());
    assert_eq!(view.placements_of("app").count(), 0);
}

#[test]
fn an_event_of_a_placement_concerns_the_environments_that_it_names() {
    let world = given().and([place("app:shop", "dev"), place("app:shop", "prod"), remove_resource("app:shop")]);
    let concerned = |name: &str| {
        let id = world.environment(name).parse().unwrap();
        let events = world.writer.events.iter().filter(|event| world.writer.workspace.concerns_environment(event, id));
        let about = events.filter(|event| event.data.subject() == "app/shop");
        about.map(|event| event.data.type_name()).collect::<Vec<_>>()
    };
    assert_eq!(concerned("dev"), ["resource.placed.v1", "resource.moved.v1"]);
    assert_eq!(concerned("prod"), ["resource.moved.v1", "resource.removed.v1"]);
    assert!(concerned("main").is_empty());
}

#[test]
fn a_resource_is_named_by_type_and_id_in_a_batch() {
    let read = |text: &str| Command::from_value(serde_json::from_str(text).unwrap());
    let resource = ResourceSpec { resource_type: "gpu".into(), id: "a/b".parse().unwrap() };
    let expected = PlaceResource { resource, environment: "dev".into() };
    let place = r#"{"type": "resource.place", "resource": {"type": "gpu", "id": "a/b"}, "environment": "dev"}"#;
    assert_eq!(read(place), Ok(expected.into()));
    for bad in [
        r#"{"type": "resource.place", "resource": {"type": "gpu", "id": ""}, "environment": "dev"}"#,
        r#"{"type": "resource.place", "resource": {"type": "gpu", "id": "a", "name": "b"}, "environment": "dev"}"#,
        r#"{"type": "resource.place", "resource": ["gpu", "a"], "environment": "dev"}"#,
        r#"{"type": "resource_type.define", "name": "gpu", "actions": {"read": "no_access"}}"#,
        r#"{"type": "resource_type.define", "name": "task", "actions": {"read": "viewer"}}"#,
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
}
