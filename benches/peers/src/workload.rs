//! The workload, in words that belong to no peer: workspaces, who is in them, what is restricted, who was given what; and the
//! questions about it. Each peer is given this in its own idiom.

use serde_json::{Value, json};

use crate::chance::Chance;

/// How many workspaces there are.
pub const WORKSPACES: usize = 100;
/// How many questions each peer is asked before anything is timed.
pub const QUESTIONS: usize = 4_096;
/// When the first thing happens: 2020-01-01T00:00:00Z, in microseconds since 1970.
pub const BEGINNING_MICROS: i64 = 1_577_836_800_000_000;

const SEED: u64 = 0x7e9e;
/// What a viewer may do in an environment.
pub const VIEWER_ACTIONS: [&str; 4] = ["read", "read_logs", "read_metrics", "read_config"];
/// What it takes a contributor to do.
pub const CONTRIBUTOR_ACTIONS: [&str; 4] = ["deploy", "write", "stop", "delete"];

/// A role in an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// None of it.
    NoAccess,
    /// Reads.
    Viewer,
    /// Changes.
    Contributor,
}

impl Role {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAccess => "no_access",
            Self::Viewer => "viewer",
            Self::Contributor => "contributor",
        }
    }

    /// The role that an action takes.
    pub fn required(action: &str) -> Self {
        if VIEWER_ACTIONS.contains(&action) { Self::Viewer } else { Self::Contributor }
    }

    /// Its place in the order of roles, from 0, as databases keep it.
    pub const fn rank(self) -> i16 {
        match self {
            Self::NoAccess => 0,
            Self::Viewer => 1,
            Self::Contributor => 2,
        }
    }
}

/// A place in a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// May do everything.
    Owner,
    /// May do everything but touch owners.
    Manager,
    /// A member without a place above others.
    Member,
    /// Not a person.
    ServiceUser,
}

impl Standing {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Manager => "manager",
            Self::Member => "member",
            Self::ServiceUser => "service_user",
        }
    }

    /// Whether it makes a contributor of its holder everywhere.
    pub const fn manages(self) -> bool {
        matches!(self, Self::Owner | Self::Manager)
    }
}

/// Someone or something in a workspace.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The name, without its kind.
    pub name: String,
    /// The place.
    pub standing: Standing,
}

impl Principal {
    /// `user` or `service_user`.
    pub const fn kind(&self) -> &'static str {
        if matches!(self.standing, Standing::ServiceUser) { "service_user" } else { "user" }
    }

    /// The kind and the name.
    pub fn reference(&self) -> String {
        format!("{}:{}", self.kind(), self.name)
    }
}

/// What is so of a restricted environment.
#[derive(Debug, Clone)]
pub struct Restriction {
    /// For those who were given nothing.
    pub default_role: Role,
    /// Who was given what, by place in the workspace's principals.
    pub grants: Vec<(usize, Role)>,
}

/// An environment.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// None where every principal is a contributor.
    pub restriction: Option<Restriction>,
}

impl Environment {
    /// What those have here who were given nothing.
    pub fn default_role(&self) -> Role {
        self.restriction.as_ref().map_or(Role::Contributor, |restriction| restriction.default_role)
    }

    /// What a principal was given here.
    pub fn grant(&self, principal: usize) -> Option<Role> {
        let restriction = self.restriction.as_ref()?;
        restriction.grants.iter().find(|(holder, _)| *holder == principal).map(|(_, role)| *role)
    }
}

/// A workspace.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Its name.
    pub name: String,
    /// Everyone; the owner is the first.
    pub principals: Vec<Principal>,
    /// Every environment.
    pub environments: Vec<Environment>,
}

/// How large a workspace is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// People: one owner, four managers, members.
    pub members: usize,
    /// Service users.
    pub service_users: usize,
    /// Environments beside `main`, which is open to all.
    pub environments: usize,
    /// How many of them are restricted: the last ones.
    pub restricted: usize,
    /// Grants in each of those.
    pub grants: usize,
}

/// The workload's: ten environments with `main`, half of them restricted.
pub const USUAL: Size = Size { members: 100, service_users: 20, environments: 9, restricted: 5, grants: 10 };
/// One with 240,000 grants.
pub const LARGE: Size = Size { members: 1_000, service_users: 20, environments: 1_000, restricted: 1_000, grants: 240 };

/// One of the environments in a row: three in five leave `viewer` to the others, as is usual.
const DEFAULT_ROLES: [Role; 5] = [Role::Viewer, Role::Viewer, Role::Viewer, Role::NoAccess, Role::Contributor];

fn principals(size: Size) -> Vec<Principal> {
    let standing = |place| match place {
        0 => Standing::Owner,
        1..=4 => Standing::Manager,
        _ => Standing::Member,
    };
    let people = (0..size.members).map(|place| Principal { name: format!("m{place:04}"), standing: standing(place) });
    let others = (0..size.service_users)
        .map(|place| Principal { name: format!("s{place:02}"), standing: Standing::ServiceUser });
    people.chain(others).collect()
}

fn grants(chance: &mut Chance, size: Size) -> Vec<(usize, Role)> {
    let mut able: Vec<usize> = (5..size.members + size.service_users).collect();
    let role = |chance: &mut Chance| if chance.below(3) == 0 { Role::Viewer } else { Role::Contributor };
    (0..size.grants).map(|_| (able.swap_remove(chance.below(able.len())), role(chance))).collect()
}

impl Workspace {
    /// A workspace of a size; the seed of `chance` tells it from others.
    pub fn make(name: String, size: Size, chance: &mut Chance) -> Self {
        let restricted_from = size.environments - size.restricted;
        let made = (0..size.environments).map(|place| Environment {
            name: format!("env{place}"),
            restriction: (place >= restricted_from).then(|| Restriction {
                default_role: DEFAULT_ROLES[(place - restricted_from) % DEFAULT_ROLES.len()],
                grants: grants(chance, size),
            }),
        });
        let main = Environment { name: "main".to_owned(), restriction: None };
        let environments = std::iter::once(main).chain(made).collect();
        Self { name, principals: principals(size), environments }
    }

    /// The workspace as `tenure import` reads it, one JSON object a line.
    pub fn lines(&self) -> String {
        let start =
            json!({"name": self.name, "kind": "shared", "plan": "team", "owner": {"user": self.principals[0].name}});
        let first = line(BEGINNING_MICROS, &[json!({"type": "rbac.enable"})], Some(&start));
        let people: Vec<Value> = self.principals[1..].iter().map(join).collect();
        let people = people.chunks(500).map(|some| line(BEGINNING_MICROS, some, None));
        let places = self.environments[1..].iter().map(|place| line(BEGINNING_MICROS, &[self.creation(place)], None));
        std::iter::once(first).chain(people).chain(places).collect()
    }

    fn creation(&self, environment: &Environment) -> Value {
        let Some(restriction) = &environment.restriction else {
            return json!({"type": "environment.create", "name": environment.name});
        };
        let grant = |(holder, role): &(usize, Role)| json!({"principal": self.principals[*holder].reference(), "role": role.as_str()});
        let grants: Vec<Value> = restriction.grants.iter().map(grant).collect();
        json!({"type": "environment.create", "name": environment.name, "restricted": true,
            "default_role": restriction.default_role.as_str(), "grants": grants})
    }
}

/// The command that makes a principal one of a workspace.
pub fn join(principal: &Principal) -> Value {
    match principal.standing {
        Standing::ServiceUser => json!({"type": "service_user.create", "name": principal.name}),
        standing => json!({"type": "member.add", "user": principal.name, "role": standing.as_str()}),
    }
}

/// A line of a history: commands at an instant, and the workspace if the line makes it.
pub fn line(micros: i64, commands: &[Value], workspace: Option<&Value>) -> String {
    let time = tenure::domain::time::Instant::from_micros(micros);
    let mut line = json!({"time": time, "actor": "operator", "commands": commands});
    if let Some(workspace) = workspace {
        line["workspace"] = workspace.clone();
    }
    format!("{line}\n")
}

/// May a principal do an action in an environment?
#[derive(Debug, Clone)]
pub struct Question {
    /// Where, by place in the workload.
    pub workspace: usize,
    /// `user` or `service_user`.
    pub kind: &'static str,
    /// The principal's name.
    pub principal: String,
    /// The principal's place in the workspace; none for a stranger.
    pub place: Option<usize>,
    /// The action.
    pub action: &'static str,
    /// The environment, by place in the workspace.
    pub environment: usize,
}

/// The workspaces, and questions about them: half of each kind of action, all principals and environments alike, one in twenty
/// about someone who is in none of the workspaces.
pub fn workload() -> (Vec<Workspace>, Vec<Question>) {
    let mut chance = Chance::new(SEED);
    let workspaces: Vec<_> =
        (0..WORKSPACES).map(|place| Workspace::make(format!("w{place:03}"), USUAL, &mut chance)).collect();
    let questions = (0..QUESTIONS).map(|_| question(&workspaces, &mut chance)).collect();
    (workspaces, questions)
}

/// A question about one of the workspaces.
pub fn question(workspaces: &[Workspace], chance: &mut Chance) -> Question {
    let workspace = chance.below(workspaces.len());
    let asked = &workspaces[workspace];
    let place = chance.below(asked.principals.len());
    let place = (chance.below(20) > 0).then_some(place);
    let (kind, principal) = match place {
        Some(place) => (asked.principals[place].kind(), asked.principals[place].name.clone()),
        None => ("user", "stranger".to_owned()),
    };
    let actions = if chance.below(2) == 0 { VIEWER_ACTIONS } else { CONTRIBUTOR_ACTIONS };
    let action = *chance.pick(&actions);
    Question { workspace, kind, principal, place, action, environment: chance.below(asked.environments.len()) }
}
