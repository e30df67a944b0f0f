//! Cedar: static policies, and an entity store for each workspace, in which groups are parents.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression,
};

use crate::peer::{Outcome, Peer};
use crate::workload::{CONTRIBUTOR_ACTIONS, Environment, Principal, Question, Role, VIEWER_ACTIONS, Workspace};

/// A grant puts its holder into one of the environment's two groups; a default role applies to principals in neither.
const POLICIES: &str = r#"
permit (principal, action in [Action::"view", Action::"contribute"], resource is Environment)
when { principal in resource.workspace.managers };

permit (principal, action in [Action::"view", Action::"contribute"], resource is Environment)
when { principal in resource.contributors };

permit (principal, action in Action::"view", resource is Environment)
when { principal in resource.viewers };

permit (principal, action in [Action::"view", Action::"contribute"], resource is Environment)
when { resource.defaultRole == "contributor" && principal in resource.workspace && !(principal in resource.viewers) };

permit (principal, action in Action::"view", resource is Environment)
when { resource.defaultRole == "viewer" && principal in resource.workspace };
"#;

/// Cedar, with every question as a request of its own.
pub struct Cedar {
    authorizer: Authorizer,
    policies: PolicySet,
    entities: Vec<Entities>,
    requests: Vec<(usize, Request)>,
}

fn uid(kind: &str, id: &str) -> Outcome<EntityUid> {
    Ok(EntityUid::from_type_name_and_id(kind.parse::<EntityTypeName>()?, EntityId::new(id)))
}

fn principal_uid(kind: &str, name: &str) -> Outcome<EntityUid> {
    uid(if kind == "user" { "User" } else { "ServiceUser" }, name)
}

fn group(workspace: &str, environment: &str, role: Role) -> Outcome<EntityUid> {
    uid("Group", &format!("{workspace}/{environment}/{}", role.as_str()))
}

impl Cedar {
    /// Loads workspaces and questions into Cedar.
    ///
    /// # Errors
    /// Cedar rejects them.
    pub fn new(workspaces: &[Workspace], questions: &[Question]) -> Outcome<Self> {
        let entities = workspaces.iter().map(entities).collect::<Outcome<_>>()?;
        let requests = questions.iter().map(|question| {
            let environment = &workspaces[question.workspace].environments[question.environment].name;
            let resource = uid("Environment", environment)?;
            let principal = principal_uid(question.kind, &question.principal)?;
            let action = uid("Action", question.action)?;
            Ok((question.workspace, Request::new(principal, action, resource, Context::empty(), None)?))
        });
        let requests = requests.collect::<Outcome<_>>()?;
        Ok(Self { authorizer: Authorizer::new(), policies: POLICIES.parse()?, entities, requests })
    }
}

fn entities(workspace: &Workspace) -> Outcome<Entities> {
    let mut all = actions()?;
    let workspace_uid = uid("Workspace", &workspace.name)?;
    let managers = uid("Group", &format!("{}/managers", workspace.name))?;
    let attributes = HashMap::from([("managers".to_owned(), RestrictedExpression::new_entity_uid(managers.clone()))]);
    all.push(Entity::new(workspace_uid.clone(), attributes, HashSet::new())?);
    for (place, principal) in workspace.principals.iter().enumerate() {
        let mut parents = HashSet::from([workspace_uid.clone()]);
        parents.extend(principal.standing.manages().then(|| managers.clone()));
        parents.extend(groups(workspace, place)?);
        all.push(entity_of(principal, parents)?);
    }
    for environment in &workspace.environments {
        all.push(place(workspace, environment, &workspace_uid)?);
    }
    Ok(Entities::from_entities(all, None)?)
}

fn entity_of(principal: &Principal, parents: HashSet<EntityUid>) -> Outcome<Entity> {
    Ok(Entity::new_no_attrs(principal_uid(principal.kind(), &principal.name)?, parents))
}

/// Returns the environment groups that a principal's grants put it into.
fn groups(workspace: &Workspace, principal: usize) -> Outcome<Vec<EntityUid>> {
    let granted = workspace.environments.iter().filter_map(|place| Some((place, place.grant(principal)?)));
    granted.map(|(place, role)| group(&workspace.name, &place.name, role)).collect()
}

fn place(workspace: &Workspace, environment: &Environment, workspace_uid: &EntityUid) -> Outcome<Entity> {
    let group = |role| {
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(RestrictedExpression::new_entity_uid(group(
            &workspace.name,
            &environment.name,
            role,
        )?))
    };
    let attributes = HashMap::from([
        ("workspace".to_owned(), RestrictedExpression::new_entity_uid(workspace_uid.clone())),
        ("defaultRole".to_owned(), RestrictedExpression::new_string(environment.default_role().as_str().to_owned())),
        ("viewers".to_owned(), group(Role::Viewer)?),
        ("contributors".to_owned(), group(Role::Contributor)?),
    ]);
    Ok(Entity::new(uid("Environment", &environment.name)?, attributes, HashSet::new())?)
}

fn actions() -> Outcome<Vec<Entity>> {
    let of = |names: [&str; 4], group: &str| {
        let group = uid("Action", group)?;
        names
            .into_iter()
            .map(|name| Ok(Entity::new_no_attrs(uid("Action", name)?, HashSet::from([group.clone()]))))
            .collect()
    };
    let mut all: Vec<Entity> = of(VIEWER_ACTIONS, "view")?;
    let more: Outcome<Vec<Entity>> = of(CONTRIBUTOR_ACTIONS, "contribute");
    all.extend(more?);
    Ok(all)
}

impl Peer for Cedar {
    fn name(&self) -> String {
        "cedar-policy".to_owned()
    }

    fn decide(&mut self, question: usize) -> Outcome<bool> {
        let (workspace, request) = &self.requests[question];
        let answer = self.authorizer.is_authorized(request, &self.policies, &self.entities[*workspace]);
        Ok(answer.decision() == Decision::Allow)
    }
}
