//! The workload in neutral terms: workspaces, principals, restricted environments, grants, and questions about them.
//! Each peer receives it in its own idiom.

use serde_json::{Value, json};

use crate::chance::Chance;

/// The number of workspaces.
pub const WORKSPACES: usize = 100;
/// The number of questions that each peer answers before anything is timed.
pub const QUESTIONS: usize = 4_096;
/// The instant of the first event: 2020-01-01T00:00:00Z, in microseconds since 1970.
pub const BEGINNING_MICROS: i64 = 1_577_836_800_000_000;

const SEED: u64 = 0x7e9e;
/// An action that a viewer may perform.
pub const VIEWER_ACTIONS: [&str; 4] = ["read", "read_logs", "read_metrics", "read_config"];
/// An action that requires a contributor.
pub const CONTRIBUTOR_ACTIONS: [&str; 4] = ["deploy", "write", "stop", "delete"];

/// A role in an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// No access.
    NoAccess,
    /// May read.
    Viewer,
    /// May change.
    Contributor,
}

impl Role {
    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAccess => "no_access",
            Self::Viewer => "viewer",
            Self::Contributor => "contributor",
        }
    }

    /// Returns the role that an action requires.
    pub fn required(action: &str) -> Self {
        if VIEWER_ACTIONS.contains(&action) { Self::Viewer } else { Self::Contributor }
    }

    /// Returns its rank, from 0, as databases store it.
    pub const fn rank(self) -> i16 {
        match self {
            Self::NoAccess => 0,
            Self::Viewer => 1,
            Self::Contributor => 2,
        }
    }
}

/// A role in a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// May do everything.
    Owner,
    /// May do everything but touch owners.
    Manager,
    /// A plain member.
    Member,
    /// Not a person.
    ServiceUser,
}

impl Standing {
    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Manager => "manager",
            Self::Member => "member",
            Self::ServiceUser => "service_user",
        }
    }

    /// Returns whether it implies contributor in every environment.
    pub const fn manages(self) -> bool {
        matches!(self, Self::Owner | Self::Manager)
    }
}

/// A principal of a workspace.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The name, without its kind.
    pub name: String,
    /// The workspace role.
    pub standing: Standing,
}

impl Principal {
    /// Returns the type: `user` or `service_user`.
    pub const fn kind(&self) -> &'static str {
        if matches!(self.standing, Standing::ServiceUser) { "service_user" } else { "user" }
    }

    /// Returns type and name.
    pub fn reference(&self) -> String {
        format!("{}:{}", self.kind(), self.name)
    }
}

/// The settings of a restricted environment.
#[derive(Debug, Clone)]
pub struct Restriction {
    /// The role of principals without a grant.
    pub default_role: Role,
    /// The granted roles, by the index of the principal.
    pub grants: Vec<(usize, Role)>,
}

/// An environment.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// The restriction; without one, every principal is a contributor.
    pub restriction: Option<Restriction>,
}

impl Environment {
    /// Returns the role of principals without a grant.
    pub fn default_role(&self) -> Role {
        self.restriction.as_ref().map_or(Role::Contributor, |restriction| restriction.default_role)
    }

    /// Returns the role granted to a principal.
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
    /// All principals; the owner is the first.
    pub principals: Vec<Principal>,
    /// Every environment.
    pub environments: Vec<Environment>,
}

/// The size of a workspace.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// People: one owner, four managers, members.
    pub members: usize,
    /// Service users.
    pub service_users: usize,
    /// Environments beside `main`, which is open to all.
    pub environments: usize,
    /// The number of restricted environments: the last ones.
    pub restricted: usize,
    /// The number of grants in each restricted environment.
    pub grants: usize,
}

/// The size in the workload: ten environments with `main`, half of them restricted.
pub const USUAL: Size = Size { members: 100, service_users: 20, environments: 9, restricted: 5, grants: 10 };
/// The size with 240,000 grants.
pub const LARGE: Size = Size { members: 1_000, service_users: 20, environments: 1_000, restricted: 1_000, grants: 240 };

/// The default roles of restricted environments, in turn: three in five leave `viewer` to principals without a grant.
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
    /// Returns a workspace of this size; the seed of `chance` varies it.
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

    /// Returns the lines for `tenure import`, one JSON object a line.
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

/// Returns the command that adds a principal to a workspace.
pub fn join(principal: &Principal) -> Value {
    match principal.standing {
        Standing::ServiceUser => json!({"type": "service_user.create", "name": principal.name}),
        standing => json!({"type": "member.add", "user": principal.name, "role": standing.as_str()}),
    }
}

/// Returns a line of a history: commands at an instant, and the workspace if the line creates it.
pub fn line(micros: i64, commands: &[Value], workspace: Option<&Value>) -> String {
    let time = tenure::domain::model::time::Instant::from_micros(micros);
    let mut line = json!({"time": time, "actor": "operator", "commands": commands});
    if let Some(workspace) = workspace {
        line["workspace"] = workspace.clone();
    }
    format!("{line}\n")
}

/// A question: may a principal perform an action in an environment?
#[derive(Debug, Clone)]
pub struct Question {
    /// The workspace's index in the workload.
    pub workspace: usize,
    /// The type: `user` or `service_user`.
    pub kind: &'static str,
    /// The principal's name.
    pub principal: String,
    /// The principal's index in the workspace; none for a stranger.
    pub place: Option<usize>,
    /// The action.
    pub action: &'static str,
    /// The environment's index in the workspace.
    pub environment: usize,
}

/// Returns the workspaces and questions about them: half for each action, with uniform principals and environments; one
/// in twenty is about a stranger.
pub fn workload() -> (Vec<Workspace>, Vec<Question>) {
    let mut chance = Chance::new(SEED);
    let workspaces: Vec<_> =
        (0..WORKSPACES).map(|place| Workspace::make(format!("w{place:03}"), USUAL, &mut chance)).collect();
    let questions = (0..QUESTIONS).map(|_| question(&workspaces, &mut chance)).collect();
    (workspaces, questions)
}

/// Returns a question about one of the workspaces.
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
