//! The golden matrix: every kind of actor, every action of the catalogue, every state of the resource, with the
//! deciding rule.
//!
//! It must equal `tests/golden/matrix.txt` exactly. After an intended change, run the test with `TENURE_BLESS=1` and
//! review the difference.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use tenure::domain::model::resource_catalogue::{RESOURCE_TYPES, Requirement, WORKSPACE_ACTIONS};
use tenure::domain::model::role::EnvironmentRole::{Contributor, NoAccess, Viewer};
use tenure::domain::model::role::{EnvironmentRole, Plan, WorkspaceKind, WorkspaceRole};
use tenure::domain::rules::authorize::{AnyRole, Decision, Question, Resource, Subject, authorize};
use tenure::domain::state::view::{At, View};

use crate::support::commands::{
    add_member, change_plan, create_environment, create_proxy_token, create_restricted, create_service_user,
    create_wide_proxy_token, define_resource_type, delete_environment, disable_rbac, enable_rbac, place, restrict,
    set_default_role, set_grant, set_grant_until, unrestrict,
};
use crate::support::given::{World, workspace};

const GOLDEN: &str = "tests/golden/matrix.txt";

const HEADER: &str = "\
Who may do what in the environment `prod`: for every state of `prod`, every kind of actor and every action of the
catalogue. `+` allows and `-` denies; then come the rule that decides and, in brackets, the role found. Every actor was
what it is called before `prod` came into its state. Then come resources of a type of the workspace's own, placed before,
and asked for with and without an environment; last, who may do what on the workspace.
";

/// A workspace with every kind of actor and a restricted `prod`, and their names.
struct Cast {
    world: World,
    actors: Vec<(&'static str, Subject)>,
}

fn cast() -> Cast {
    let world = workspace(WorkspaceKind::Shared, Plan::Team);
    let soon = world.in_micros(100);
    let world = world.and([
        create_environment("dev"),
        create_wide_proxy_token(),
        enable_rbac(),
        add_member("manager", WorkspaceRole::Manager),
        add_member("member", WorkspaceRole::Member),
        add_member("kept-out", WorkspaceRole::Member),
        add_member("viewer", WorkspaceRole::Member),
        add_member("contributor", WorkspaceRole::Member),
        add_member("formerly", WorkspaceRole::Member),
        create_service_user("ci"),
        create_service_user("deployer"),
        create_restricted("prod", Viewer, []),
        set_grant("prod", "user:kept-out", NoAccess),
        set_grant("prod", "user:viewer", Viewer),
        set_grant("prod", "user:contributor", Contributor),
        set_grant_until("prod", "user:formerly", Contributor, soon),
        set_grant("prod", "service_user:deployer", Contributor),
        restrict("dev"),
        define_resource_type("gpu", ["read=viewer", "reserve=contributor"]),
        place("gpu:in-prod", "prod"),
        place("gpu:in-dev", "dev"),
    ]);
    let wide = world.proxy_token();
    let scoped = world.and([create_proxy_token(["prod"])]);
    let in_scope = scoped.proxy_token();
    let elsewhere = scoped.and([create_proxy_token(["dev"])]);
    let out_of_scope = elsewhere.proxy_token();
    let actors = vec![
        ("owner", Subject::new("user", "ada")),
        ("manager", Subject::new("user", "manager")),
        ("member", Subject::new("user", "member")),
        ("member with a grant of no_access", Subject::new("user", "kept-out")),
        ("member with a grant of viewer", Subject::new("user", "viewer")),
        ("member with a grant of contributor", Subject::new("user", "contributor")),
        ("member whose grant of contributor expired", Subject::new("user", "formerly")),
        ("service user", Subject::new("service_user", "ci")),
        ("service user with a grant of contributor", Subject::new("service_user", "deployer")),
        ("stranger", Subject::new("user", "stranger")),
        ("service user that is not there", Subject::new("service_user", "stranger")),
        ("task in prod", Subject::new("task", "prod")),
        ("task in dev, restricted", Subject::new("task", "dev")),
        ("task in main, unrestricted", Subject::new("task", "main")),
        ("proxy token scoped to prod", Subject::new("proxy_token", &in_scope)),
        ("proxy token scoped to dev", Subject::new("proxy_token", &out_of_scope)),
        ("proxy token that is workspace-wide", Subject::new("proxy_token", &wide)),
        ("proxy token that is not there", Subject::new("proxy_token", "prx_nothing")),
        ("actor of no known kind", Subject::Unknown),
    ];
    Cast { world: elsewhere.later(1_000), actors }
}

/// Every state of `prod`.
fn states(world: &World) -> Vec<(&'static str, World)> {
    let default_role = |role: EnvironmentRole| world.clone().and([set_default_role("prod", role)]);
    vec![
        ("prod is unrestricted", world.clone().and([unrestrict("prod")])),
        ("prod is restricted, its default role is viewer", world.clone()),
        ("prod is restricted, its default role is contributor", default_role(Contributor)),
        ("prod is restricted, its default role is no_access", default_role(NoAccess)),
        ("prod is restricted, and RBAC is off", world.clone().and([disable_rbac()])),
        ("prod is restricted, and the plan has no RBAC", world.clone().and([change_plan(Plan::Starter)])),
        ("prod is deleted", world.clone().and([delete_environment("prod")])),
    ]
}

#[test]
fn the_matrix_of_actors_actions_and_states_is_the_golden_one() {
    let found = matrix();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN);
    if std::env::var_os("TENURE_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &found).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let pairs = found.lines().zip(golden.lines()).enumerate();
    for (index, (found, golden)) in pairs {
        assert_eq!(found, golden, "line {} of {GOLDEN} differs; TENURE_BLESS=1 writes what is found", index + 1);
    }
    assert_eq!(found.lines().count(), golden.lines().count(), "the length of {GOLDEN}");
}

#[test]
fn the_matrix_covers_every_action() {
    let actions: usize = RESOURCE_TYPES.iter().map(|(_, actions)| actions.len()).sum();
    let Cast { world, actors } = cast();
    let resources = RESOURCES.len() * GPU.len();
    let expected = actors.len() * (states(&world).len() * (actions + resources) + WORKSPACE_ACTIONS.len());
    let matrix = matrix();
    let answers = matrix.lines().filter(|line| line.starts_with("  ")).filter_map(|line| line.split_once(": "));
    let cells = answers.map(|(_, actions)| actions.split(' ').count());
    assert_eq!(cells.sum::<usize>(), expected);
}

fn matrix() -> String {
    let Cast { world, actors } = cast();
    let mut text = HEADER.to_owned();
    for (state, world) in states(&world) {
        write!(text, "\n\n== {state}\n").unwrap();
        for (name, subject) in &actors {
            write!(text, "\n{name}\n{}", in_prod(&world.view(At::Now), subject)).unwrap();
        }
    }
    for (state, world) in states(&world) {
        write!(text, "\n\n== resources, where {state}\n").unwrap();
        for (name, subject) in &actors {
            write!(text, "\n{name}\n{}", on_resources(&world.view(At::Now), subject)).unwrap();
        }
    }
    text.push_str("\n\n== the workspace\n");
    for (name, subject) in &actors {
        write!(text, "\n{name}\n{}", on_workspace(&world.view(At::Now), subject)).unwrap();
    }
    text
}

/// Returns a line for each resource type and answer, with the actions.
fn in_prod(view: &View, subject: &Subject) -> String {
    let of_type = |(resource_type, actions): &(&str, &'static [(&str, Requirement)])| {
        let answers = actions.iter().map(|(action, _)| {
            let (resource_type, id) = ((*resource_type).to_owned(), "one".to_owned());
            let resource = Resource::Within { resource_type, id, environment: Some("prod".into()) };
            (*action, ask(view, subject, action, resource))
        });
        by_answer(resource_type, answers)
    };
    RESOURCE_TYPES.iter().map(of_type).collect()
}

/// The actions of the workspace's own type.
const GPU: [&str; 2] = ["read", "reserve"];

/// Resources of that type, with the environment that a question names.
const RESOURCES: [(&str, Option<&str>); 6] = [
    ("not-placed", None),
    ("not-placed", Some("prod")),
    ("in-prod", None),
    ("in-prod", Some("prod")),
    ("in-prod", Some("dev")),
    ("in-dev", Some("prod")),
];

/// Returns a line for each resource and answer, with the actions.
fn on_resources(view: &View, subject: &Subject) -> String {
    let of = |(id, environment): &(&str, Option<&str>)| {
        let answers = GPU.iter().map(|action| {
            let (resource_type, id) = ("gpu".to_owned(), (*id).to_owned());
            let resource = Resource::Within { resource_type, id, environment: environment.map(Into::into) };
            (*action, ask(view, subject, action, resource))
        });
        let asked = environment.map_or_else(|| (*id).to_owned(), |environment| format!("{id}@{environment}"));
        by_answer(&asked, answers)
    };
    RESOURCES.iter().map(of).collect()
}

fn on_workspace(view: &View, subject: &Subject) -> String {
    let answers = WORKSPACE_ACTIONS.iter().map(|(action, _)| {
        let resource = Resource::Workspace("acme".to_owned());
        (*action, ask(view, subject, action, resource))
    });
    by_answer("workspace", answers)
}

fn ask(view: &View, subject: &Subject, action: &str, resource: Resource) -> Decision {
    authorize(view, &Question { subject: subject.clone(), action: action.to_owned(), resource })
}

fn by_answer<'a>(resource_type: &str, answers: impl Iterator<Item = (&'a str, Decision)>) -> String {
    let mut grouped: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (action, decision) in answers {
        grouped.entry(describe(&decision)).or_default().push(action);
    }
    grouped.iter().fold(String::new(), |mut text, (answer, actions)| {
        writeln!(text, "  {resource_type:<12} {answer}: {}", actions.join(" ")).unwrap();
        text
    })
}

fn describe(decision: &Decision) -> String {
    let sign = if decision.allowed { '+' } else { '-' };
    let role = decision.role.map(AnyRole::as_str).map_or_else(String::new, |role| format!(" ({role})"));
    format!("{sign} {}{role}", decision.rule.as_str())
}
