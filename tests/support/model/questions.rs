//! The questions for every view: about everyone and everything ever named, by name and by id.

use std::sync::Arc;

use tenure::domain::model::event::{Event, EventData};
use tenure::domain::model::id::WorkspaceId;
use tenure::domain::rules::authorize::{Question, Resource, Subject};

use super::generate::{ENVIRONMENTS, NOTHING, RESOURCE_IDS, SERVICE_USERS, USERS, WORKSPACE};

/// Types and actions, known and unknown.
const ACTIONS: [(&str, &str); 17] = [
    ("environment", "read"),
    ("secret", "use"),
    ("web_function", "call"),
    ("app", "deploy"),
    ("app", "fly"),
    ("function", "read_logs"),
    ("queue", "read"),
    ("gpu", "read"),
    ("secret", "write"),
    ("web_function", "read"),
    ("environment", "delete"),
    ("dict", "stop"),
    ("volume", "delete"),
    ("web_function", "deploy"),
    ("gpu", "reserve"),
    ("robot", "read"),
    ("queue", "write"),
];

/// The number of [`ACTIONS`] for each subject and environment.
const SAMPLE_LEN: usize = 3;

const WORKSPACE_ACTIONS: [&str; 4] = ["read", "manage_grants", "manage_owners", "manage_weather"];

/// Returns every question about every subject and environment that the log ever named, each pair with a few actions in
/// turn.
pub fn questions(id: WorkspaceId, events: &[Arc<Event>]) -> Vec<Question> {
    let environments = environments(events);
    let mut turn = 0;
    let mut all = Vec::new();
    for subject in subjects(events, &environments) {
        for environment in &environments {
            for _ in 0..SAMPLE_LEN {
                let (resource_type, action) = ACTIONS[turn % ACTIONS.len()];
                turn += 1;
                all.push(within(&subject, action, resource_type, turn, Some(environment)));
            }
        }
        for (resource_type, action) in
            [("app", "read"), ("gpu", "reserve"), ("robot", "read"), ("web_function", "call")]
        {
            turn += 1;
            all.push(within(&subject, action, resource_type, turn, None));
        }
        let named = [WORKSPACE.to_owned(), id.to_string(), NOTHING[0].to_owned()];
        for (index, action) in WORKSPACE_ACTIONS.into_iter().enumerate() {
            let resource = Resource::Workspace(named[(turn + index) % named.len()].clone());
            all.push(Question { subject: subject.clone(), action: action.to_owned(), resource });
        }
    }
    all
}

fn within(subject: &Subject, action: &str, resource_type: &str, turn: usize, environment: Option<&String>) -> Question {
    let environment = environment.map(|named| named.as_str().into());
    let (resource_type, id) = (resource_type.to_owned(), RESOURCE_IDS[turn % RESOURCE_IDS.len()].to_owned());
    let resource = Resource::Within { resource_type, id, environment };
    Question { subject: subject.clone(), action: action.to_owned(), resource }
}

fn environments(events: &[Arc<Event>]) -> Vec<String> {
    let ids = events.iter().filter_map(|event| match &event.data {
        EventData::EnvironmentCreated(id, _) => Some(id.to_string()),
        _ => None,
    });
    let names = ENVIRONMENTS.iter().chain(&NOTHING[..1]).map(ToString::to_string);
    names.chain(ids).collect()
}

fn subjects(events: &[Arc<Event>], environments: &[String]) -> Vec<Subject> {
    let users = USERS.iter().chain(&NOTHING[3..5]).map(|user| Subject::new("user", user));
    let service_users = SERVICE_USERS.iter().chain(&NOTHING[4..]).map(|name| Subject::new("service_user", name));
    let issued = events.iter().filter_map(|event| match &event.data {
        EventData::ServiceUserCreated(id, _) => Some(Subject::new("service_user", &id.to_string())),
        EventData::ProxyTokenCreated(id, _) => Some(Subject::new("proxy_token", &id.to_string())),
        _ => None,
    });
    let tasks = environments.iter().map(|environment| Subject::new("task", environment));
    let others = [Subject::new("proxy_token", NOTHING[0]), Subject::new("robot", "r2")];
    users.chain(service_users).chain(issued).chain(tasks).chain(others).collect()
}
