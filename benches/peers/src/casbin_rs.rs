//! Casbin: the model "RBAC with domains", an enforcer for each workspace, in which an environment is a domain.

use casbin::{CoreApi, DefaultModel, Enforcer, MemoryAdapter, MgmtApi};

use crate::peer::{Outcome, Peer};
use crate::workload::{CONTRIBUTOR_ACTIONS, Environment, Question, Role, VIEWER_ACTIONS, Workspace};

/// Actions have roles too (`g2`), so that three policies suffice instead of one per action.
const MODEL: &str = "
[request_definition]
r = sub, dom, act

[policy_definition]
p = sub, act

[role_definition]
g = _, _, _
g2 = _, _

[policy_effect]
e = some(where (p.eft == allow))

[matchers]
m = g(r.sub, p.sub, r.dom) && g2(r.act, p.act)
";

/// Casbin, with the words of every question.
pub struct Casbin {
    enforcers: Vec<Enforcer>,
    questions: Vec<(usize, [String; 3])>,
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Casbin {
    /// Loads workspaces and questions into Casbin.
    ///
    /// # Errors
    /// Casbin rejects them.
    pub async fn new(workspaces: &[Workspace], questions: &[Question]) -> Outcome<Self> {
        let mut enforcers = Vec::new();
        for workspace in workspaces {
            enforcers.push(enforcer(workspace).await?);
        }
        let words = |question: &Question| {
            let environment = &workspaces[question.workspace].environments[question.environment].name;
            let principal = format!("{}:{}", question.kind, question.principal);
            (question.workspace, [principal, environment.clone(), question.action.to_owned()])
        };
        Ok(Self { enforcers, questions: questions.iter().map(words).collect() })
    }
}

async fn enforcer(workspace: &Workspace) -> Outcome<Enforcer> {
    let model = DefaultModel::from_str(MODEL).await?;
    let mut enforcer = Enforcer::new(model, MemoryAdapter::default()).await?;
    let policies = [["viewer", "view"], ["contributor", "view"], ["contributor", "contribute"]];
    enforcer.add_policies(policies.iter().map(|policy| owned(policy)).collect()).await?;
    let view = VIEWER_ACTIONS.iter().map(|action| owned(&[action, "view"]));
    let contribute = CONTRIBUTOR_ACTIONS.iter().map(|action| owned(&[action, "contribute"]));
    enforcer.add_named_grouping_policies("g2", view.chain(contribute).collect()).await?;
    enforcer.add_grouping_policies(roles(workspace)).await?;
    Ok(enforcer)
}

/// Writes out the effective role of each principal in each environment, since the model has no first match.
fn roles(workspace: &Workspace) -> Vec<Vec<String>> {
    let mut roles = Vec::new();
    for environment in &workspace.environments {
        for place in 0..workspace.principals.len() {
            let role = role(workspace, environment, place);
            if role > Role::NoAccess {
                let principal = workspace.principals[place].reference();
                roles.push(owned(&[&principal, role.as_str(), &environment.name]));
            }
        }
    }
    roles
}

fn role(workspace: &Workspace, environment: &Environment, place: usize) -> Role {
    match &environment.restriction {
        None => Role::Contributor,
        Some(_) if workspace.principals[place].standing.manages() => Role::Contributor,
        Some(restriction) => environment.grant(place).unwrap_or(restriction.default_role),
    }
}

impl Peer for Casbin {
    fn name(&self) -> String {
        "casbin".to_owned()
    }

    fn decide(&mut self, question: usize) -> Outcome<bool> {
        let (workspace, [subject, domain, action]) = &self.questions[question];
        Ok(self.enforcers[*workspace].enforce((subject, domain, action))?)
    }
}
