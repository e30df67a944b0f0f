//! The frequencies of the drawn steps.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tenure::domain::model::role::{AccessKeyRole, EnvironmentRole, Plan, WorkspaceKind, WorkspaceRole};

use super::{CallerKind, Draft, EndDraft, GrantDraft, History, Pick, Step};

/// The frequency of each kind of command, relative to the others.
#[derive(Debug, Clone, Copy)]
pub struct Mix {
    /// Whether the workspace begins as a shared one with RBAC on, members and service users.
    pub prepared: bool,
    pub kind: WorkspaceKind,
    pub workspace: u32,
    pub members: u32,
    pub environments: u32,
    pub grants: u32,
    pub credentials: u32,
    pub proxy_tokens: u32,
    pub resources: u32,
}

/// Returns histories with a mix of commands. The range bounds the number of steps.
pub fn histories(mix: Mix, steps: std::ops::Range<usize>) -> impl Strategy<Value = History> {
    let plans = select(vec![Plan::Starter, Plan::Team, Plan::Enterprise]);
    let plan = if mix.prepared { Just(Plan::Team).boxed() } else { plans.boxed() };
    (plan, vec(step(mix), steps)).prop_map(move |(plan, random)| {
        let mut steps = if mix.prepared { preparation() } else { Vec::new() };
        steps.extend(random);
        History { kind: mix.kind, plan, steps }
    })
}

/// Returns the steps that prepare a workspace, so that most commands have something to act on.
fn preparation() -> Vec<Step> {
    let operator = |drafts| Step { clock: 1, caller: CallerKind::Operator, drafts };
    let named = Pick::Name;
    let token = |n| Draft::IssueToken { user: Some(named(n)), service_user: None, expiry: None };
    vec![
        operator(vec![
            Draft::EnableRbac,
            Draft::AddMember(1, WorkspaceRole::Manager),
            Draft::AddMember(2, WorkspaceRole::Member),
            Draft::AddMember(3, WorkspaceRole::Member),
            Draft::CreateServiceUser(0),
        ]),
        operator(vec![token(1), token(2), token(3)]),
        operator(vec![
            Draft::CreateEnvironment { name: 2, restricted: true, role: None, grants: Vec::new() },
            Draft::CreateEnvironment { name: 1, restricted: false, role: None, grants: Vec::new() },
            Draft::SetGrant(named(2), (named(1), EnvironmentRole::Contributor, EndDraft::In(20))),
            Draft::CreateProxyToken(Some(vec![named(1), named(2)]), None),
            Draft::DefineType(0, 0),
            Draft::Place(0, 0, named(2)),
        ]),
    ]
}

fn step(mix: Mix) -> impl Strategy<Value = Step> {
    let clock = prop_oneof![3 => Just(0_i64), 6 => 1..5_i64, 3 => 5..60_i64, 1 => -40..0_i64];
    let caller = prop_oneof![
        5 => Just(CallerKind::Operator),
        8 => any::<u8>().prop_map(CallerKind::Administrator),
        4 => any::<u8>().prop_map(CallerKind::Anyone),
        2 => any::<u8>().prop_map(CallerKind::Formerly),
        1 => any::<u8>().prop_map(CallerKind::Key),
        1 => any::<u8>().prop_map(CallerKind::ImportedActor),
    ];
    let drafts = prop_oneof![5 => vec(draft(mix), 1), 1 => vec(draft(mix), 2..6)];
    (clock, caller, drafts).prop_map(|(clock, caller, drafts)| Step { clock, caller, drafts })
}

fn draft(mix: Mix) -> impl Strategy<Value = Draft> {
    prop_oneof![
        mix.workspace => workspace(),
        mix.members => members(),
        mix.environments => environments(),
        mix.grants => grants(),
        mix.credentials => credentials(),
        mix.proxy_tokens => proxy_tokens(),
        mix.resources => resources(),
    ]
}

fn workspace() -> impl Strategy<Value = Draft> {
    prop_oneof![
        1 => Just(Draft::DeleteWorkspace),
        12 => select(vec![Plan::Starter, Plan::Team, Plan::Enterprise]).prop_map(Draft::ChangePlan),
        18 => Just(Draft::EnableRbac),
        10 => Just(Draft::DisableRbac),
    ]
}

fn members() -> impl Strategy<Value = Draft> {
    let role = || {
        prop_oneof![
            4 => Just(WorkspaceRole::Member),
            2 => Just(WorkspaceRole::Manager),
            1 => Just(WorkspaceRole::Owner),
        ]
    };
    prop_oneof![
        6 => (any::<u8>(), role()).prop_map(|(user, role)| Draft::AddMember(user, role)),
        5 => (pick(), role()).prop_map(|(user, role)| Draft::ChangeRole(user, role)),
        3 => (pick(), any::<bool>()).prop_map(|(user, all)| Draft::RemoveMember(user, all)),
        1 => any::<bool>().prop_map(Draft::RemoveOneself),
        4 => any::<u8>().prop_map(Draft::CreateServiceUser),
        2 => pick().prop_map(Draft::DeleteServiceUser),
    ]
}

fn environments() -> impl Strategy<Value = Draft> {
    let create = (any::<u8>(), prop::bool::weighted(0.6), option::weighted(0.3, role()), vec(grant(), 0..3));
    prop_oneof![
        5 => create.prop_map(|(name, restricted, role, grants)| {
            Draft::CreateEnvironment { name, restricted, role, grants }
        }),
        3 => (pick(), any::<u8>()).prop_map(|(environment, name)| Draft::Rename(environment, name)),
        5 => (pick(), option::of(role()), vec(grant(), 0..3)).prop_map(|(e, role, grants)| Draft::Restrict(e, role, grants)),
        3 => (pick(), role()).prop_map(|(environment, role)| Draft::SetDefaultRole(environment, role)),
        2 => pick().prop_map(Draft::Unrestrict),
        2 => pick().prop_map(Draft::DeleteEnvironment),
    ]
}

fn grants() -> impl Strategy<Value = Draft> {
    prop_oneof![
        5 => (pick(), grant()).prop_map(|(environment, grant)| Draft::SetGrant(environment, grant)),
        1 => (pick(), pick()).prop_map(|(environment, principal)| Draft::RevokeGrant(environment, principal)),
    ]
}

fn credentials() -> impl Strategy<Value = Draft> {
    prop_oneof![
        4 => (pick(), expiry()).prop_map(|(user, expiry)| Draft::IssueToken {
            user: Some(user),
            service_user: None,
            expiry,
        }),
        3 => (pick(), expiry()).prop_map(|(service_user, expiry)| Draft::IssueToken {
            user: None,
            service_user: Some(service_user),
            expiry,
        }),
        1 => (option::of(pick()), expiry()).prop_map(|(both, expiry)| Draft::IssueToken {
            user: both,
            service_user: both,
            expiry,
        }),
        3 => expiry().prop_map(Draft::IssueOwnToken),
        4 => pick().prop_map(Draft::RevokeToken),
        3 => (select(vec![AccessKeyRole::Evaluator, AccessKeyRole::Auditor]), expiry())
            .prop_map(|(role, expiry)| Draft::IssueKey(role, expiry)),
        2 => pick().prop_map(Draft::RevokeKey),
    ]
}

fn proxy_tokens() -> impl Strategy<Value = Draft> {
    prop_oneof![
        3 => (vec(pick(), 0..4).prop_map(Some), expiry()).prop_map(|(scope, expiry)| Draft::CreateProxyToken(scope, expiry)),
        2 => expiry().prop_map(|expiry| Draft::CreateProxyToken(None, expiry)),
        3 => (pick(), vec(pick(), 0..4)).prop_map(|(token, scope)| Draft::SetScope(token, scope)),
        1 => pick().prop_map(Draft::RevokeProxyToken),
    ]
}

fn resources() -> impl Strategy<Value = Draft> {
    prop_oneof![
        2 => (any::<u8>(), any::<u8>()).prop_map(|(name, actions)| Draft::DefineType(name, actions)),
        8 => (any::<u8>(), any::<u8>(), pick()).prop_map(|(name, id, place)| Draft::Place(name, id, place)),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(name, id)| Draft::RemoveResource(name, id)),
    ]
}

fn grant() -> impl Strategy<Value = GrantDraft> {
    (pick(), role(), end())
}

fn end() -> impl Strategy<Value = EndDraft> {
    (expiry(), any::<bool>()).prop_map(|(expiry, said)| match expiry {
        Some(micros) => EndDraft::In(micros),
        None if said => EndDraft::Never,
        None => EndDraft::Unspecified,
    })
}

fn role() -> impl Strategy<Value = EnvironmentRole> {
    select(EnvironmentRole::ALL)
}

fn expiry() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![6 => Just(None), 1 => (-3..2_i64).prop_map(Some), 6 => (2..60_i64).prop_map(Some)]
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        7 => any::<u8>().prop_map(Pick::Name),
        26 => any::<u8>().prop_map(Pick::Live),
        2 => any::<u8>().prop_map(Pick::Ever),
        1 => any::<u8>().prop_map(Pick::Bogus),
    ]
}
