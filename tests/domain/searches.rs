//! Searches against exhaustive evaluation, on random histories, now and in the past.
//!
//! A search finds exactly the candidates that evaluation permits, both for callers who see everything and for those who do not.
//!
//! Every run has the same histories, so that a failure can be reproduced. `PROPTEST_RNG_SEED` draws others, `PROPTEST_CASES` more.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use tenure::domain::model::event::EventData;
use tenure::domain::model::principal::{Caller, Principal};
use tenure::domain::model::time::Instant;
use tenure::domain::rules::authorize::{Question, Resource, Subject, authorize_visible};
use tenure::domain::rules::visibility::Visibility;
use tenure::domain::state::view::{At, View};
use tenure::query::AuditQuery as _;
use tenure::query::search::{Search, SearchQuery, SearchResult};

use crate::support::model::decisions::decide;
use crate::support::model::facts::{Facts, at_instant};
use crate::support::model::generate::{
    ENVIRONMENTS, History, Known, Mix, NOTHING, RESOURCE_IDS, RESOURCE_TYPES, SERVICE_USERS, USERS, WORKSPACE,
    histories,
};
use crate::support::model::runs::{EVERYTHING, config, instant};
use crate::support::{Writer, after};

const PLACED: Mix = Mix { credentials: 1, proxy_tokens: 4, resources: 8, ..EVERYTHING };

/// Every action of the catalogue, and an unknown one.
const ACTIONS: [&str; 20] = [
    "read",
    "read_logs",
    "read_metrics",
    "read_config",
    "deploy",
    "write",
    "stop",
    "delete",
    "use",
    "call",
    "reserve",
    "manage_members",
    "manage_service_users",
    "manage_environments",
    "manage_grants",
    "manage_tokens",
    "manage_settings",
    "manage_billing",
    "read_audit_log",
    "manage_owners",
];

const SUBJECT_TYPES: [&str; 5] = ["user", "service_user", "task", "proxy_token", "robot"];

/// The random choices of the queries at one moment of a history.
type SearchChoices = (u16, [u8; 6]);

fn moments() -> impl Strategy<Value = Vec<SearchChoices>> {
    vec(any::<SearchChoices>(), 8)
}

proptest! {
    #![proptest_config(config(21))]

    #[test]
    fn a_search_finds_what_evaluation_permits(history in histories(PLACED, 30..60), moments in moments()) {
        follow(&history, &moments);
    }
}

proptest! {
    #![proptest_config(config(22))]

    #[test]
    fn also_with_many_restrictions_and_changes(
        history in histories(Mix { members: 9, environments: 12, grants: 12, resources: 16, ..PLACED }, 30..60),
        moments in moments(),
    ) {
        follow(&history, &moments);
    }
}

fn follow(history: &History, moments: &[SearchChoices]) {
    let mut writer = Writer::new();
    writer.submit(&Caller::Operator, &[history.start()]);
    for step in &history.steps {
        writer.clock = after(writer.clock, step.clock);
        let known = Known::of(writer.workspace.id(), &writer.events, writer.clock);
        let (caller, commands) = step.resolve(&known, writer.clock);
        writer.submit(&caller, &commands);
    }
    let universe = Universe::of(&writer);
    let now = writer.now();
    for later in [0, 1, 5, 20, 60] {
        check_settled(&writer, after(writer.clock, later));
    }
    for (choice, picks) in moments {
        let instant =
            if choice.is_multiple_of(5) { now.instant() } else { instant(&writer, *choice).min(now.instant()) };
        let view = View::new(Arc::clone(&writer.workspace), At::Instant(instant), writer.clock).unwrap();
        let facts = at_instant(writer.workspace.id(), &writer.events, instant);
        let moment = SearchCase { universe: &universe, view, now: &now, facts, picks: *picks };
        moment.check();
    }
}

/// Checks that a settled view of now has the same facts, even if an expiry is not recorded yet.
fn check_settled(writer: &Writer, clock: Instant) {
    let now = View::now(Arc::clone(&writer.workspace), clock);
    let settled = now.clone().canonical();
    let again = At::Both(settled.revision(), settled.instant());
    assert_eq!(View::new(Arc::clone(&writer.workspace), again, clock).unwrap().instant(), settled.instant());
    let state = |view: &View| {
        let environments = view.environments();
        let grants = environments
            .flat_map(|place| view.grants(&place).map(|(who, grant)| format!("{who}{grant:?}")).collect::<Vec<_>>());
        let tokens = view.proxy_tokens().map(|token| token.id.to_string());
        grants.chain(tokens).collect::<Vec<_>>()
    };
    assert_eq!(state(&settled), state(&now));
}

/// Every principal and resource of a log, by the ids of evaluations.
struct Universe {
    users: Vec<String>,
    service_users: Vec<String>,
    environments: Vec<String>,
    proxy_tokens: Vec<String>,
    workspace: String,
}

impl Universe {
    fn of(writer: &Writer) -> Self {
        let ids =
            |id: fn(&EventData) -> Option<String>| writer.events.iter().filter_map(|event| id(&event.data)).collect();
        Self {
            users: USERS.iter().chain(&NOTHING[3..5]).map(ToString::to_string).collect(),
            service_users: ids(|data| match data {
                EventData::ServiceUserCreated(id, _) => Some(id.to_string()),
                _ => None,
            }),
            environments: ids(|data| match data {
                EventData::EnvironmentCreated(id, _) => Some(id.to_string()),
                _ => None,
            }),
            proxy_tokens: ids(|data| match data {
                EventData::ProxyTokenCreated(id, _) => Some(id.to_string()),
                _ => None,
            }),
            workspace: writer.workspace.id().to_string(),
        }
    }

    fn subjects(&self, subject_type: &str) -> &[String] {
        match subject_type {
            "user" => &self.users,
            "service_user" => &self.service_users,
            "task" => &self.environments,
            "proxy_token" => &self.proxy_tokens,
            _ => &[],
        }
    }

    /// Returns the resources of a type that a search can find: existing and placed ones.
    fn resources(&self, resource_type: &str, facts: &Facts) -> Vec<String> {
        match resource_type {
            "workspace" => vec![self.workspace.clone()],
            "environment" => self.environments.clone(),
            _ => {
                let placed = RESOURCE_IDS.iter().filter(|id| facts.placement(resource_type, id).is_some());
                placed.map(ToString::to_string).collect()
            }
        }
    }
}

fn pick<T>(all: &[T], choice: u8) -> Option<&T> {
    all.get(usize::from(choice) % all.len().max(1))
}

/// The queries at one moment.
struct SearchCase<'a> {
    universe: &'a Universe,
    view: View,
    now: &'a View,
    facts: Facts,
    picks: [u8; 6],
}

impl SearchCase<'_> {
    fn check(&self) {
        let [subject, action, resource_type, id, place, _] = self.picks;
        let action = ACTIONS[usize::from(action) % ACTIONS.len()];
        let types = [&RESOURCE_TYPES[..], &["workspace", "environment", "secret"]].concat();
        let resource_type = *pick(&types, resource_type).unwrap();
        let place = self.place(place);
        let ids = [self.universe.resources(resource_type, &self.facts), vec!["two/2".to_owned(), WORKSPACE.to_owned()]]
            .concat();
        let resource = Resource::new(resource_type, pick(&ids, id).unwrap(), place.as_deref());
        for subject_type in SUBJECT_TYPES {
            self.check_subjects(subject_type, action, &resource);
            let names = [self.universe.subjects(subject_type), &names(subject_type)].concat();
            let Some(named) = pick(&names, subject) else { continue };
            let subject = Subject::new(subject_type, named);
            self.check_resources(&Visibility::Everything, &subject, action, resource_type, place.as_deref());
            self.check_actions(&Visibility::Everything, &subject, &resource);
        }
        for principal in self.view.principals() {
            let visibility = Visibility::Own { principal: principal.clone(), now: self.now.clone() };
            let (subject_type, own) = parts(&principal);
            let subject = Subject::new(subject_type, &own);
            self.check_oneself(&visibility, subject_type, &own, action, &resource);
            self.check_resources(&visibility, &subject, action, resource_type, place.as_deref());
            self.check_actions(&visibility, &subject, &resource);
        }
    }

    /// Returns the environment of a search, if it has one: by name in upper or lower case, or by id.
    fn place(&self, choice: u8) -> Option<String> {
        let named: Vec<String> = ENVIRONMENTS.iter().chain(&NOTHING[..1]).map(ToString::to_string).collect();
        let all = [named, self.universe.environments.clone()].concat();
        choice.is_multiple_of(2).then(|| pick(&all, choice / 2).unwrap().clone())
    }

    /// Checks that a search finds, among everything that ever existed, exactly the permitted candidates.
    fn hold(&self, visibility: &Visibility, query: &SearchQuery, all: &[String], question: impl Fn(&str) -> Question) {
        let search = Search::new(self.view.clone(), visibility.clone(), query.clone());
        let found: Vec<String> =
            (0..search.candidates()).flat_map(|candidate| search.rows(candidate)).map(text).collect();
        let permitted = |candidate: &&String| {
            let question = question(candidate);
            let told = authorize_visible(&self.view, &question, visibility).allowed;
            let modelled = decide(&self.facts, &question).allowed;
            match visibility {
                Visibility::Everything => assert_eq!(told, modelled, "{question:?}"),
                Visibility::Own { .. } => assert!(modelled || !told, "{question:?}"),
            }
            told
        };
        let expected: BTreeSet<&String> = all.iter().filter(permitted).collect();
        assert_eq!(
            found.iter().collect::<BTreeSet<_>>(),
            expected,
            "{query:?} in {} at {}",
            self.view.revision(),
            self.view.instant()
        );
        assert_eq!(found.len(), expected.len(), "{query:?}: something is found twice");
        if let Visibility::Own { .. } = visibility {
            assert_eq!(search.candidates(), found.len(), "the length says what is hidden: {query:?}");
        }
    }

    fn check_subjects(&self, subject_type: &str, action: &str, resource: &Resource) {
        self.subjects(&Visibility::Everything, subject_type, self.universe.subjects(subject_type), action, resource);
    }

    /// Checks that a principal finds only itself, and only if it is permitted.
    fn check_oneself(&self, visibility: &Visibility, own_type: &str, own: &str, action: &str, resource: &Resource) {
        for subject_type in SUBJECT_TYPES {
            let all = if subject_type == own_type { vec![own.to_owned()] } else { Vec::new() };
            self.subjects(visibility, subject_type, &all, action, resource);
        }
    }

    fn subjects(&self, visibility: &Visibility, subject_type: &str, all: &[String], action: &str, resource: &Resource) {
        let (action, resource) = (action.to_owned(), resource.clone());
        let question = |candidate: &str| Question {
            subject: Subject::new(subject_type, candidate),
            action: action.clone(),
            resource: resource.clone(),
        };
        let (action, resource) = (action.clone(), resource.clone());
        let query = SearchQuery::Subjects { subject_type: subject_type.to_owned(), action, resource };
        self.hold(visibility, &query, all, question);
    }

    fn check_resources(
        &self,
        visibility: &Visibility,
        subject: &Subject,
        action: &str,
        resource_type: &str,
        place: Option<&str>,
    ) {
        let all = self.universe.resources(resource_type, &self.facts);
        let query = SearchQuery::Resources {
            subject: subject.clone(),
            action: action.to_owned(),
            resource_type: resource_type.to_owned(),
            environment: place.map(str::to_owned),
        };
        self.hold(visibility, &query, &all, |candidate| Question {
            subject: subject.clone(),
            action: action.to_owned(),
            resource: Resource::new(resource_type, candidate, place),
        });
    }

    fn check_actions(&self, visibility: &Visibility, subject: &Subject, resource: &Resource) {
        let all: Vec<String> = ACTIONS.iter().map(ToString::to_string).collect();
        let query = SearchQuery::Actions { subject: subject.clone(), resource: resource.clone() };
        self.hold(visibility, &query, &all, |candidate| Question {
            subject: subject.clone(),
            action: candidate.to_owned(),
            resource: resource.clone(),
        });
    }
}

/// Returns the names of subjects of a type, beside their ids.
fn names(subject_type: &str) -> Vec<String> {
    let names: &[&str] = match subject_type {
        "service_user" => &SERVICE_USERS,
        "task" => &ENVIRONMENTS,
        _ => &NOTHING[..2],
    };
    names.iter().map(ToString::to_string).collect()
}

fn text(found: SearchResult) -> String {
    match found {
        SearchResult::Entity(entity) => entity.id,
        SearchResult::Action(action) => action.name,
    }
}

fn parts(principal: &Principal) -> (&'static str, String) {
    match principal {
        Principal::User(user) => ("user", user.to_string()),
        Principal::ServiceUser(id) => ("service_user", id.to_string()),
    }
}
