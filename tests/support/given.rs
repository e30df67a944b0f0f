//! Given/when/then: after these commands, a request appends these events or is refused.

use std::sync::Arc;

use tenure::domain::model::command::Command;
use tenure::domain::model::event::{Event, EventData};
use tenure::domain::model::id::{AccessKeyId, EnvironmentId, ProxyTokenId, ServiceUserId, TokenId};
use tenure::domain::model::principal::{Caller, Principal};
use tenure::domain::model::role::{AccessKeyRole, EnvironmentRole, Plan, WorkspaceKind, WorkspaceRole};
use tenure::domain::model::time::Instant;
use tenure::domain::rules::authorize::{Decision, Question, Resource, Subject, authorize, authorize_visible};
use tenure::domain::rules::visibility::Visibility;
use tenure::domain::state::view::{At, View};

use super::commands::{
    add_member, create_restricted, create_service_user, create_workspace, enable_rbac, issue_access_key, issue_token,
};
use super::{Submitted, Writer, after};

/// The caller of a request.
#[derive(Debug, Clone, Copy)]
pub enum Who {
    Operator,
    /// A user or service user, with the last token that was issued to them, even an expired one.
    By(&'static str),
    /// The holder of the last access key of this role.
    Key(AccessKeyRole),
}

pub const OPERATOR: Who = Who::Operator;

pub const fn by(name: &'static str) -> Who {
    Who::By(name)
}

/// A workspace after the given commands, and its clock.
#[derive(Debug, Clone)]
pub struct World {
    pub writer: Writer,
}

/// Creates a workspace that `ada` owns, with `main` as its only environment.
pub fn workspace(kind: WorkspaceKind, plan: Plan) -> World {
    World { writer: Writer::new() }.and([create_workspace("acme", kind, plan, "ada")])
}

/// Creates a shared workspace with RBAC on, an unrestricted `main`, a restricted `prod`, and an access key of each
/// role.
///
/// Its members are `ada` (owner), `mo` (manager), `bob` and `cyd`; its service user is `ci`. Each has a token.
pub fn team() -> World {
    workspace(WorkspaceKind::Shared, Plan::Team).and([
        enable_rbac(),
        add_member("mo", WorkspaceRole::Manager),
        add_member("bob", WorkspaceRole::Member),
        add_member("cyd", WorkspaceRole::Member),
        issue_token("user:mo"),
        issue_token("user:bob"),
        issue_token("user:cyd"),
        create_service_user("ci"),
        create_restricted("prod", EnvironmentRole::Viewer, []),
        issue_access_key(AccessKeyRole::Evaluator),
        issue_access_key(AccessKeyRole::Auditor),
    ])
}

impl World {
    /// Applies further commands of the operator, one by one, a microsecond apart.
    pub fn and<const N: usize>(mut self, commands: [Command; N]) -> Self {
        for command in commands {
            self.writer.clock = self.writer.clock.next();
            let submitted = self.writer.submit(&Caller::Operator, std::slice::from_ref(&command));
            submitted.outcome.unwrap_or_else(|refused| panic!("given {command:?}: {}", refused.rejection));
        }
        self
    }

    /// Applies further commands of the operator in one batch.
    pub fn and_all(mut self, commands: &[Command]) -> Self {
        let submitted = self.writer.submit(&Caller::Operator, commands);
        submitted.outcome.unwrap_or_else(|refused| panic!("given command {}: {}", refused.index, refused.rejection));
        self
    }

    /// Moves the clock by this many microseconds, forwards or backwards.
    pub fn later(mut self, micros: i64) -> Self {
        self.writer.clock = after(self.writer.clock, micros);
        self
    }

    /// Returns the instant this many microseconds from now.
    pub fn in_micros(&self, micros: i64) -> Instant {
        after(self.writer.clock, micros)
    }

    /// Submits a request and returns its result.
    pub fn when(&self, who: Who, commands: impl Into<Requests>) -> When {
        let mut world = self.clone();
        let caller = world.caller(who);
        world.writer.clock = world.writer.clock.next();
        let submitted = world.writer.submit(&caller, &commands.into().0);
        When { before: self.writer.events.len(), world, submitted }
    }

    fn caller(&self, who: Who) -> Caller {
        match who {
            Who::Operator => Caller::Operator,
            Who::By(name) => {
                let token = self.token(name).parse().unwrap();
                let view = self.writer.now();
                Caller::Principal { principal: view.token_holder(token).unwrap().clone(), token }
            }
            Who::Key(role) => Caller::AccessKey { key: self.access_key(role).parse().unwrap(), role },
        }
    }

    /// Returns the newest value that `find` extracts from an event.
    fn last<T>(&self, find: impl Fn(&EventData) -> Option<T>) -> T {
        self.writer.events.iter().rev().find_map(|event| find(&event.data)).expect("it was given")
    }

    /// Returns the id of the last token that was issued to a user or service user.
    pub fn token(&self, holder: &str) -> String {
        let holder = match self.writer.events.iter().rev().find_map(|event| service_user_named(event, holder)) {
            Some(id) => Principal::ServiceUser(id),
            None => Principal::User(holder.parse().unwrap()),
        };
        let id: TokenId = self.last(|data| match data {
            EventData::TokenIssued(id, terms) if terms.holder == holder => Some(*id),
            _ => None,
        });
        id.to_string()
    }

    /// Returns the id of the last service user with this name.
    pub fn service_user(&self, name: &str) -> String {
        let found = self.writer.events.iter().rev().find_map(|event| service_user_named(event, name));
        found.expect("it was given").to_string()
    }

    /// Returns the id of the last environment that was created with, or renamed to, this name.
    pub fn environment(&self, name: &str) -> String {
        let id: EnvironmentId = self.last(|data| match data {
            EventData::EnvironmentCreated(id, made) | EventData::EnvironmentRenamed(id, made) => {
                (made.name.as_str() == name).then_some(*id)
            }
            _ => None,
        });
        id.to_string()
    }

    /// Returns the id of the last proxy token.
    pub fn proxy_token(&self) -> String {
        let id: ProxyTokenId = self.last(|data| match data {
            EventData::ProxyTokenCreated(id, _) => Some(*id),
            _ => None,
        });
        id.to_string()
    }

    /// Returns the id of the last access key of this role.
    pub fn access_key(&self, role: AccessKeyRole) -> String {
        let id: AccessKeyId = self.last(|data| match data {
            EventData::AccessKeyIssued(id, terms) if terms.role == role => Some(*id),
            _ => None,
        });
        id.to_string()
    }

    /// Returns the view at a point in time.
    pub fn view(&self, at: At) -> View {
        View::new(Arc::clone(&self.writer.workspace), at, self.writer.clock).unwrap()
    }

    /// Decides now whether a subject (`user:bob`, `task:main`, `proxy_token:prx_…`) may perform an action in an
    /// environment.
    pub fn asks(&self, subject: &str, action: &str, resource_type: &str, environment: &str) -> Decision {
        self.asks_at(At::Now, subject, action, resource_type, environment)
    }

    /// Like [`Self::asks`], at a point in time.
    pub fn asks_at(&self, at: At, subject: &str, action: &str, resource_type: &str, environment: &str) -> Decision {
        authorize(&self.view(at), &question(subject, action, resource_type, environment))
    }

    /// Decides as a member sees it who asks about themselves.
    pub fn decision_for_self(&self, user: &str, action: &str, resource_type: &str, environment: &str) -> Decision {
        let asked = question(&format!("user:{user}"), action, resource_type, environment);
        self.decision_for_self_at(At::Now, user, &asked)
    }

    /// Decides as a member sees it who asks now about themselves at a point in time.
    pub fn decision_for_self_at(&self, at: At, user: &str, asked: &Question) -> Decision {
        let principal = Principal::User(user.parse().unwrap());
        authorize_visible(&self.view(at), asked, &Visibility::Own { principal, now: self.view(At::Now) })
    }
}

fn question(subject: &str, action: &str, resource_type: &str, environment: &str) -> Question {
    question_about(subject, action, &format!("{resource_type}:one@{environment}"))
}

/// Returns a question about a resource that is written `TYPE:ID` or `TYPE:ID@ENVIRONMENT`.
pub fn question_about(subject: &str, action: &str, resource: &str) -> Question {
    let (kind, named) = subject.split_once(':').unwrap();
    let (resource_type, id) = resource.split_once(':').unwrap();
    let (id, environment) = id.split_once('@').map_or((id, None), |(id, environment)| (id, Some(environment)));
    let (resource_type, id, environment) = (resource_type.to_owned(), id.to_owned(), environment.map(Into::into));
    let resource = Resource::Within { resource_type, id, environment };
    Question { subject: Subject::new(kind, named), action: action.to_owned(), resource }
}

fn service_user_named(event: &Arc<Event>, name: &str) -> Option<ServiceUserId> {
    match &event.data {
        EventData::ServiceUserCreated(id, made) => (made.name.as_str() == name).then_some(*id),
        _ => None,
    }
}

/// One command or a batch.
#[derive(Debug)]
pub struct Requests(pub Vec<Command>);

impl From<Command> for Requests {
    fn from(command: Command) -> Self {
        Self(vec![command])
    }
}

impl<const N: usize> From<[Command; N]> for Requests {
    fn from(commands: [Command; N]) -> Self {
        Self(commands.into())
    }
}

impl From<Vec<Command>> for Requests {
    fn from(commands: Vec<Command>) -> Self {
        Self(commands)
    }
}

/// The result of a request.
#[derive(Debug)]
pub struct When {
    before: usize,
    pub world: World,
    pub submitted: Submitted,
}

impl When {
    /// Asserts that one command appended events of these types, in this order; returns the world after it.
    #[track_caller]
    pub fn then<const N: usize>(self, types: [&str; N]) -> World {
        let events = self.events();
        assert_eq!(names(&events), types);
        assert!(events.iter().all(|event| event.command == events[0].command && event.time == events[0].time));
        self.world
    }

    /// Asserts that exactly one event was appended, with this type, subject and details.
    #[track_caller]
    pub fn then_says(self, expected: &str) -> World {
        let says = |event: &Arc<Event>| {
            let name = event.data.type_name().trim_end_matches(".v1");
            format!("{name} {} {}", event.data.subject(), event.data.data_json().unwrap())
        };
        assert_eq!(self.events().iter().map(says).collect::<Vec<_>>(), [expected]);
        self.world
    }

    /// Returns the appended events.
    #[track_caller]
    pub fn events(&self) -> Vec<Arc<Event>> {
        match &self.submitted.outcome {
            Ok(events) => events.concat(),
            Err(refused) => panic!("refused: {} ({})", refused.rejection, refused.rejection.code()),
        }
    }

    /// Asserts that the request succeeded and appended nothing.
    #[track_caller]
    pub fn changes_nothing(self) -> World {
        self.then([])
    }

    /// Asserts that the request was refused and appended nothing.
    #[track_caller]
    pub fn refused(self, code: &str) -> World {
        self.refused_at(0, code)
    }

    /// Asserts that the batch was refused because of the command at this index, and appended nothing.
    #[track_caller]
    pub fn refused_at(self, index: usize, code: &str) -> World {
        match &self.submitted.outcome {
            Ok(events) => panic!("it appended {:?} instead of being refused: {code}", names(&events.concat())),
            Err(refused) => assert_eq!((refused.index, refused.rejection.code()), (index, code)),
        }
        let noted: usize = self.submitted.expired.iter().map(Vec::len).sum();
        assert_eq!(self.world.writer.events.len(), self.before + noted, "a refusal appends nothing");
        self.world
    }

    /// Asserts that the system first recorded expiries of these types.
    #[track_caller]
    pub fn after_noting<const N: usize>(self, types: [&str; N]) -> Self {
        assert_eq!(names(&self.submitted.expired.concat()), types);
        self
    }
}

/// Returns the stored names of events, without their versions.
pub fn names(events: &[Arc<Event>]) -> Vec<&'static str> {
    events.iter().map(|event| event.data.type_name().trim_end_matches(".v1")).collect()
}
