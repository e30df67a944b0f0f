//! Histories like those of a busy workspace, determined by a seed. Most events are grants that are added, changed and
//! revoked; the others concern tokens, members and environments. The rules would append every one of them.

use std::sync::Arc;

use tenure::domain::model::credential::SecretDigest;
use tenure::domain::model::event::{
    EnvironmentDescription, Event, EventData, GrantEnd, GrantTerms, Membership, Nothing, PlanChange, ProxyTokenScope,
    ProxyTokenTerms, Restriction, ServiceUserDescription, TokenEnd, TokenTerms, WorkspaceDescription,
};
use tenure::domain::model::id::{
    CommandId, EnvironmentId, EventId, ProxyTokenId, ServiceUserId, TokenId, UserId, WorkspaceId,
};
use tenure::domain::model::principal::{Actor, ActorCredential, Principal};
use tenure::domain::model::role::{EnvironmentRole, Plan, WorkspaceKind, WorkspaceRole};
use tenure::domain::model::time::{Instant, Revision};
use uuid::{Builder, Uuid};

/// The size of a workspace.
#[derive(Clone, Copy)]
pub struct Shape {
    pub members: usize,
    pub managers: usize,
    pub service_users: usize,
    pub environments: usize,
    /// The average time between two commands, in microseconds.
    pub pace_micros: u64,
}

/// The workspace of the million changes. Of 360,000 possible grants, two in three exist at a time.
pub const LARGE: Shape =
    Shape { members: 2_200, managers: 20, service_users: 200, environments: 300, pace_micros: 90_000_000 };

/// The workspace of most questions.
pub const SMALL: Shape =
    Shape { members: 100, managers: 4, service_users: 20, environments: 10, pace_micros: 3_600_000_000 };

/// A workspace of some hundreds of people.
pub const MIDDLE: Shape =
    Shape { members: 300, managers: 10, service_users: 40, environments: 40, pace_micros: 600_000_000 };

const BEGINS_MICROS: i64 = 1_672_531_200_000_000;
const DAY_MICROS: u64 = 86_400_000_000;

/// A generator of a history, event by event.
pub struct Writer {
    pub workspace: WorkspaceId,
    pub shape: Shape,
    chance: u64,
    micros: i64,
    revision: u64,
    command: CommandId,
    actor: usize,
    reason: Option<String>,
    pub principals: Vec<Principal>,
    pub environments: Vec<EnvironmentId>,
    granted: Vec<bool>,
    tokens: Vec<(TokenId, usize)>,
    proxy_tokens: Vec<ProxyTokenId>,
    manager_tokens: Vec<TokenId>,
    begun: std::vec::IntoIter<EventData>,
}

impl Writer {
    pub fn new(shape: Shape, seed: u64) -> Self {
        let mut writer = Self {
            workspace: WorkspaceId::from_uuid(Uuid::nil()),
            shape,
            chance: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            micros: BEGINS_MICROS,
            revision: 0,
            command: CommandId::from_uuid(Uuid::nil()),
            actor: 0,
            reason: None,
            principals: Vec::new(),
            environments: Vec::new(),
            granted: Vec::new(),
            tokens: Vec::new(),
            proxy_tokens: Vec::new(),
            manager_tokens: Vec::new(),
            begun: Vec::new().into_iter(),
        };
        writer.workspace = WorkspaceId::from_uuid(writer.uuid());
        writer.begun = writer.beginning().into_iter();
        writer
    }

    /// Returns a random number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        usize::try_from(self.chance % u64::try_from(end).unwrap()).unwrap()
    }

    fn uuid(&mut self) -> Uuid {
        let bytes: [u8; 10] = std::array::from_fn(|_| u8::try_from(self.below(256)).unwrap());
        Builder::from_unix_timestamp_millis(u64::try_from(self.micros / 1_000).unwrap(), &bytes).into_uuid()
    }

    fn digest(&mut self) -> SecretDigest {
        SecretDigest(std::array::from_fn(|_| u8::try_from(self.below(256)).unwrap()))
    }

    fn user(index: usize) -> UserId {
        format!("user-{index:04}@example.com").parse().unwrap()
    }

    fn beginning(&mut self) -> Vec<EventData> {
        let Shape { members, managers, service_users, environments, .. } = self.shape;
        let description =
            WorkspaceDescription { name: "acme".parse().unwrap(), kind: WorkspaceKind::Shared, plan: Plan::Starter };
        let mut data = vec![
            EventData::WorkspaceCreated(self.workspace, description),
            EventData::PlanChanged(self.workspace, PlanChange { plan: Plan::Team }),
            EventData::RbacEnabled(self.workspace, Nothing {}),
        ];
        for index in 0..members {
            let role = match index {
                0 => WorkspaceRole::Owner,
                _ if index <= managers => WorkspaceRole::Manager,
                _ => WorkspaceRole::Member,
            };
            data.push(EventData::MemberAdded(Self::user(index), Membership { role }));
            self.principals.push(Principal::User(Self::user(index)));
            if index <= managers {
                let id = TokenId::from_uuid(self.uuid());
                self.manager_tokens.push(id);
                let terms =
                    TokenTerms { holder: Principal::User(Self::user(index)), sha256: self.digest(), expires_at: None };
                data.push(EventData::TokenIssued(id, terms));
            }
        }
        for index in 0..service_users {
            let id = ServiceUserId::from_uuid(self.uuid());
            let name = format!("robot-{index}").parse().unwrap();
            data.push(EventData::ServiceUserCreated(id, ServiceUserDescription { name }));
            self.principals.push(Principal::ServiceUser(id));
        }
        for index in 0..environments {
            let id = EnvironmentId::from_uuid(self.uuid());
            let name = format!("Env-{index}").parse().unwrap();
            data.push(EventData::EnvironmentCreated(id, EnvironmentDescription { name }));
            if index % 2 == 0 {
                let default_role = EnvironmentRole::NoAccess;
                data.push(EventData::EnvironmentRestricted(id, Restriction { default_role }));
            }
            self.environments.push(id);
        }
        self.granted = vec![false; environments * self.principals.len()];
        data
    }

    /// Returns the next event.
    pub fn event(&mut self) -> Event {
        let data = match self.begun.next() {
            Some(data) => data,
            None => self.change(),
        };
        self.dated(data)
    }

    fn dated(&mut self, data: EventData) -> Event {
        // Four of five commands append one event.
        if self.revision == 0 || self.below(5) > 0 {
            let pace = usize::try_from(self.shape.pace_micros).unwrap();
            self.micros += i64::try_from(1 + self.below(2 * pace)).unwrap();
            self.command = CommandId::from_uuid(self.uuid());
            self.actor = self.below(self.shape.managers + 1);
            self.reason = match self.below(4) {
                0 => Some(format!("OPS-{}", self.below(100_000))),
                1 => Some("quarterly review".to_owned()),
                _ => None,
            };
        }
        self.revision += 1;
        Event {
            id: EventId::from_uuid(self.uuid()),
            workspace: self.workspace,
            revision: Revision(self.revision),
            time: Instant::from_micros(self.micros),
            recorded: None,
            actor: Actor::User(Self::user(self.actor)),
            credential: Some(ActorCredential::Token(self.manager_tokens[self.actor])),
            command: self.command,
            reason: self.reason.as_ref().map(|reason| reason.parse().unwrap()),
            data,
        }
    }

    fn change(&mut self) -> EventData {
        match self.below(100) {
            0..4 => self.token_issued(),
            4..8 => self.token_revoked(),
            8..11 => self.member_changed(),
            11 => self.proxy_token(),
            12 => self.mode_changed(),
            _ => self.grant(),
        }
    }

    /// Adds, changes or revokes a grant in a restricted environment.
    pub fn grant(&mut self) -> EventData {
        let place = 2 * self.below(self.environments.len() / 2);
        let who = self.below(self.principals.len());
        let at = place * self.principals.len() + who;
        let (id, principal) = (self.environments[place], self.principals[who].clone());
        if self.granted[at] && self.below(2) == 0 {
            self.granted[at] = false;
            return EventData::GrantRevoked(id, GrantEnd { principal });
        }
        let role = [EnvironmentRole::Viewer, EnvironmentRole::Contributor][self.below(2)];
        let end = self.micros.unsigned_abs() + DAY_MICROS * 3_650 + 1_000 * u64::try_from(at).unwrap();
        let expires_at = (self.below(10) == 0).then(|| Instant::from_micros(i64::try_from(end).unwrap()));
        let terms = GrantTerms { principal, role, expires_at };
        if std::mem::replace(&mut self.granted[at], true) {
            EventData::GrantChanged(id, terms)
        } else {
            EventData::GrantAdded(id, terms)
        }
    }

    /// Adds a grant for a principal that has none.
    pub fn grant_of(&mut self, place: usize, who: usize) -> Event {
        let terms = GrantTerms {
            principal: self.principals[who].clone(),
            role: EnvironmentRole::Contributor,
            expires_at: None,
        };
        self.granted[place * self.principals.len() + who] = true;
        let data = EventData::GrantAdded(self.environments[place], terms);
        self.dated(data)
    }

    fn token_issued(&mut self) -> EventData {
        let (id, who) = (TokenId::from_uuid(self.uuid()), self.below(self.principals.len()));
        self.tokens.push((id, who));
        let terms = TokenTerms { holder: self.principals[who].clone(), sha256: self.digest(), expires_at: None };
        EventData::TokenIssued(id, terms)
    }

    fn token_revoked(&mut self) -> EventData {
        if self.tokens.is_empty() {
            return self.token_issued();
        }
        let at = self.below(self.tokens.len());
        let (id, who) = self.tokens.swap_remove(at);
        EventData::TokenRevoked(id, TokenEnd { holder: self.principals[who].clone() })
    }

    fn member_changed(&mut self) -> EventData {
        let free = self.shape.managers + 1;
        let index = free + self.below(self.shape.members - free);
        EventData::MemberRoleChanged(Self::user(index), Membership { role: WorkspaceRole::Member })
    }

    fn proxy_token(&mut self) -> EventData {
        let first = self.below(self.environments.len());
        let environments = [self.environments[first]].into();
        if self.proxy_tokens.len() > 100 {
            let at = self.below(100);
            return EventData::ProxyTokenScoped(self.proxy_tokens[at], ProxyTokenScope { environments });
        }
        let id = ProxyTokenId::from_uuid(self.uuid());
        self.proxy_tokens.push(id);
        let terms = ProxyTokenTerms { environments: Some(environments), sha256: self.digest(), expires_at: None };
        EventData::ProxyTokenCreated(id, terms)
    }

    fn mode_changed(&mut self) -> EventData {
        let place = 2 * self.below(self.environments.len() / 2);
        let default_role = [EnvironmentRole::NoAccess, EnvironmentRole::Viewer][self.below(2)];
        EventData::EnvironmentDefaultRoleChanged(self.environments[place], Restriction { default_role })
    }

    /// Returns all events up to this number.
    pub fn events(&mut self, until: usize) -> Vec<Arc<Event>> {
        let missing = until.saturating_sub(usize::try_from(self.revision).unwrap());
        (0..missing).map(|_| Arc::new(self.event())).collect()
    }

    /// Returns the first events of the workspace, before any grant.
    pub fn begin(&mut self) -> Vec<Arc<Event>> {
        let count = self.begun.len();
        self.events(count)
    }
}
