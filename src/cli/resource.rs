//! `tenure resource-type` and `tenure resource`: kinds of resources, and the environment of each resource.

use std::str::FromStr;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use ureq::http::Method;

use super::args::AtArgs;
use super::entity_columns::{RESOURCE, RESOURCE_TYPE};
use super::failure::Failure;
use super::session::{ChangeArgs, Session};

#[derive(Debug, Subcommand)]
pub(super) enum ResourceTypeCommand {
    /// List the resource types: the built-in ones, then the workspace's own
    List(AtArgs),
    /// Define a resource type, or replace the actions of one
    #[command(
        after_help = "Example:\n  tenure resource-type define gpu --action read=viewer --action reserve=contributor"
    )]
    Define {
        /// The name
        name: String,
        /// An action and the role that it requires, such as `read=viewer`; give all actions of the type
        #[arg(long = "action", value_name = "ACTION=ROLE", required = true)]
        actions: Vec<ActionSpec>,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// An action and its required role, written `ACTION=ROLE`.
#[derive(Debug, Clone)]
pub(super) struct ActionSpec {
    action: String,
    role: String,
}

impl FromStr for ActionSpec {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (action, role) = text.split_once('=').ok_or("an action is written `ACTION=ROLE`, such as `read=viewer`")?;
        Ok(Self { action: action.to_owned(), role: role.to_owned() })
    }
}

/// Returns the actions as a field of a request body. An action given twice is refused.
fn actions(specs: Vec<ActionSpec>) -> Result<Value, Failure> {
    let mut actions = Map::new();
    for ActionSpec { action, role } in specs {
        if actions.contains_key(&action) {
            return Err(Failure::usage(format!("the action `{action}` is given twice")));
        }
        actions.insert(action, Value::String(role));
    }
    Ok(Value::Object(actions))
}

pub(super) fn resource_type(session: &mut Session, command: ResourceTypeCommand) -> Result<(), Failure> {
    match command {
        ResourceTypeCommand::List(at) => {
            session.show_all(&["resource-types"], &at.query(), &RESOURCE_TYPE, "there was no workspace then")
        }
        ResourceTypeCommand::Define { name, actions: specs, change } => {
            let body = json!({ "name": name, "actions": actions(specs)? });
            session.change(Method::POST, &["resource-types"], Some(&body), &change, &RESOURCE_TYPE)
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum ResourceCommand {
    /// List the placed resources with their environments
    List(ListArgs),
    /// Show the environment of a resource
    Show {
        /// The resource, written `TYPE:ID`
        resource: ResourceName,
        #[command(flatten)]
        at: AtArgs,
    },
    /// Place a resource in an environment, or move it there
    ///
    /// Afterwards a question may name just the resource: `tenure check user:bob write volume:models`.
    #[command(after_help = "Example:\n  tenure resource place volume:models prod --reason OPS-7")]
    Place {
        /// The resource, written `TYPE:ID`
        resource: ResourceName,
        /// The environment, by name or id
        environment: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Remove the placement of a resource
    Remove {
        /// The resource, written `TYPE:ID`
        resource: ResourceName,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// The filters of a list of resources.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only resources of this type
    #[arg(long = "type", value_name = "TYPE")]
    resource_type: Option<String>,
    /// Only resources in this environment, by name or id
    #[arg(long, short)]
    environment: Option<String>,
    #[command(flatten)]
    at: AtArgs,
}

/// A resource, written `TYPE:ID`. The id may contain colons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResourceName {
    resource_type: String,
    id: String,
}

impl FromStr for ResourceName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once(':').filter(|(resource_type, id)| !resource_type.is_empty() && !id.is_empty());
        let (resource_type, id) = parts.ok_or("a resource is written `TYPE:ID`, such as `volume:models`")?;
        Ok(Self { resource_type: resource_type.to_owned(), id: id.to_owned() })
    }
}

impl ResourceName {
    fn segments(&self) -> [&str; 3] {
        ["resources", &self.resource_type, &self.id]
    }
}

pub(super) fn resource(session: &mut Session, command: ResourceCommand) -> Result<(), Failure> {
    match command {
        ResourceCommand::List(ListArgs { resource_type, environment, at }) => {
            let query = at.query().with("type", resource_type).with("environment", environment);
            session.show_all(&["resources"], &query, &RESOURCE, "no resource is placed there")
        }
        ResourceCommand::Show { resource, at } => {
            let found = session.get(&resource.segments(), &at.query())?;
            session.show_one(&found, &RESOURCE)
        }
        ResourceCommand::Place { resource, environment, change } => {
            let body = json!({ "environment": environment });
            session.change(Method::PUT, &resource.segments(), Some(&body), &change, &RESOURCE)
        }
        ResourceCommand::Remove { resource, change } => {
            session.change(Method::DELETE, &resource.segments(), None, &change, &RESOURCE)
        }
    }
}
