//! Given what happened, when somebody asks for something, then this is appended, or refused.

use std::sync::Arc;

use tenure::domain::access::{Decision, Question, Resource, Subject, judge, judge_concealed};
use tenure::domain::command::Command;
use tenure::domain::event::{Event, EventData};
use tenure::domain::id::{AccessKeyId, EnvironmentId, ProxyTokenId, ServiceUserId, TokenId};
use tenure::domain::principal::{Caller, Principal};
use tenure::domain::role::{AccessKeyRole, EnvironmentRole, Plan, WorkspaceKind, WorkspaceRole};
use tenure::domain::time::Instant;
use tenure::domain::view::{At, View};

use super::commands::{
    add_member, create_restricted, create_service_user, create_workspace, enable_rbac, issue_access_key, issue_token,
};
use super::{Submitted, Writer, after};

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub enum Who {
    Operator,
    /// The user or service user, with the last token that they were given, whether or not it has ended.
    By(&'static str),
    /// The holder of the last access key of this role.
    Key(AccessKeyRole),
}

pub const OPERATOR: Who = Who::Operator;

pub const fn by(name: &'static str) -> Who {
    Who::By(name)
}

/// A workspace after what is given, and the clock.
#[derive(Debug, Clone)]
pub struct World {
    pub writer: Writer,
}

/// A workspace that has just been created, with `ada` for its owner and `main` for its only environment.
pub fn workspace(kind: WorkspaceKind, plan: Plan) -> World {
    World { writer: Writer::new() }.and([create_workspace("acme", kind, plan, "ada")])
}

/// A shared workspace of `ada` (owner), `mo` (manager), `bob` and `cyd` (members) and `ci` (service user), each with a token,
/// with RBAC on, an unrestricted `main`, a restricted `prod`, and an access key of each role.
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
    /// The same after the operator made more changes, one by one, a microsecond apart.
    pub fn and<const N: usize>(mut self, commands: [Command; N]) -> Self {
        for command in commands {
            self.writer.clock = self.writer.clock.next();
            let submitted = self.writer.submit(&Caller::Operator, std::slice::from_ref(&command));
            submitted.outcome.unwrap_or_else(|refused| panic!("given {command:?}: {}", refused.rejection));
        }
        self
    }

    /// The same after all that many changes of the operator in one batch.
    pub fn and_all(mut self, commands: &[Command]) -> Self {
        let submitted = self.writer.submit(&Caller::Operator, commands);
        submitted.outcome.unwrap_or_else(|refused| panic!("given command {}: {}", refused.index, refused.rejection));
        self
    }

    /// The same this many microseconds later, or earlier.
    pub fn later(mut self, micros: i64) -> Self {
        self.writer.clock = after(self.writer.clock, micros);
        self
    }

    /// The instant this many microseconds from now.
    pub fn in_micros(&self, micros: i64) -> Instant {
        after(self.writer.clock, micros)
    }

    /// What comes of a request.
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

    /// The last thing that an event says of something, newest first.
    fn last<T>(&self, find: impl Fn(&EventData) -> Option<T>) -> T {
        self.writer.events.iter().rev().find_map(|event| find(&event.data)).expect("it was given")
    }

    /// The last token given to a user or service user.
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

    /// The service user that bore a name last.
    pub fn service_user(&self, name: &str) -> String {
        let found = self.writer.events.iter().rev().find_map(|event| service_user_named(event, name));
        found.expect("it was given").to_string()
    }

    /// The environment that was made or renamed to a name last.
    pub fn environment(&self, name: &str) -> String {
        let id: EnvironmentId = self.last(|data| match data {
            EventData::EnvironmentCreated(id, made) | EventData::EnvironmentRenamed(id, made) => {
                (made.name.as_str() == name).then_some(*id)
            }
            _ => None,
        });
        id.to_string()
    }

    /// The last proxy token.
    pub fn proxy_token(&self) -> String {
        let id: ProxyTokenId = self.last(|data| match data {
            EventData::ProxyTokenCreated(id, _) => Some(*id),
            _ => None,
        });
        id.to_string()
    }

    /// The last access key of a role.
    pub fn access_key(&self, role: AccessKeyRole) -> String {
        let id: AccessKeyId = self.last(|data| match data {
            EventData::AccessKeyIssued(id, terms) if terms.role == role => Some(*id),
            _ => None,
        });
        id.to_string()
    }

    /// The facts at a moment.
    pub fn view(&self, at: At) -> View {
        View::new(Arc::clone(&self.writer.workspace), at, self.writer.clock).unwrap()
    }

    /// May a subject (`user:bob`, `task:main`, `proxy_token:prx_…`) do something now to something in an environment?
    pub fn asks(&self, subject: &str, action: &str, resource_type: &str, environment: &str) -> Decision {
        self.asks_at(At::Now, subject, action, resource_type, environment)
    }

    /// The same at a moment.
    pub fn asks_at(&self, at: At, subject: &str, action: &str, resource_type: &str, environment: &str) -> Decision {
        judge(&self.view(at), &question(subject, action, resource_type, environment))
    }

    /// What a member is told who asks about oneself.
    pub fn asks_of_oneself(&self, user: &str, action: &str, resource_type: &str, environment: &str) -> Decision {
        let asked = question(&format!("user:{user}"), action, resource_type, environment);
        self.tells(At::Now, user, &asked)
    }

    /// What a member is told who asks now about oneself at a moment.
    pub fn tells(&self, at: At, user: &str, asked: &Question) -> Decision {
        judge_concealed(&self.view(at), &self.view(At::Now), asked, &Principal::User(user.parse().unwrap()))
    }
}

fn question(subject: &str, action: &str, resource_type: &str, environment: &str) -> Question {
    question_about(subject, action, &format!("{resource_type}:one@{environment}"))
}

/// A question about a resource that is written `TYPE:ID` or `TYPE:ID@ENVIRONMENT`.
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

/// What came of a request.
#[derive(Debug)]
pub struct When {
    before: usize,
    pub world: World,
    pub submitted: Submitted,
}

impl When {
    /// It appended events of these types, in this order, as one command. Gives the world after it.
    #[track_caller]
    pub fn then<const N: usize>(self, types: [&str; N]) -> World {
        let events = self.events();
        assert_eq!(names(&events), types);
        assert!(events.iter().all(|event| event.command == events[0].command && event.time == events[0].time));
        self.world
    }

    /// It appended one event that says this: type, subject and particulars.
    #[track_caller]
    pub fn then_says(self, expected: &str) -> World {
        let says = |event: &Arc<Event>| {
            let name = event.data.type_name().trim_end_matches(".v1");
            format!("{name} {} {}", event.data.subject(), event.data.data_json().unwrap())
        };
        assert_eq!(self.events().iter().map(says).collect::<Vec<_>>(), [expected]);
        self.world
    }

    /// What it appended.
    #[track_caller]
    pub fn events(&self) -> Vec<Arc<Event>> {
        match &self.submitted.outcome {
            Ok(events) => events.concat(),
            Err(refused) => panic!("refused: {} ({})", refused.rejection, refused.rejection.code()),
        }
    }

    /// It succeeded, and appended nothing.
    #[track_caller]
    pub fn changes_nothing(self) -> World {
        self.then([])
    }

    /// It was refused, and appended nothing.
    #[track_caller]
    pub fn refused(self, code: &str) -> World {
        self.refused_at(0, code)
    }

    /// A batch was refused for the command of this place, and appended nothing.
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

    /// Before it, the system noted expiries of these types.
    #[track_caller]
    pub fn after_noting<const N: usize>(self, types: [&str; N]) -> Self {
        assert_eq!(names(&self.submitted.expired.concat()), types);
        self
    }
}

/// The stored names of events, without the version.
pub fn names(events: &[Arc<Event>]) -> Vec<&'static str> {
    events.iter().map(|event| event.data.type_name().trim_end_matches(".v1")).collect()
}
