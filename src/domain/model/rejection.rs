//! The reasons why a command is refused.

use crate::domain::model::name::InvalidText;
use crate::domain::model::time::Instant;

/// A refusal of a command by a rule. It has a stable code and a sentence for callers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The caller's credential ended, perhaps while the command waited.
    #[error("the credential has been revoked or has expired")]
    Unauthenticated,
    /// The caller may not make this change.
    #[error("{0}")]
    Forbidden(&'static str),
    /// Something named does not exist, or no longer.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// The kind of the named entity.
        kind: &'static str,
        /// The name that was given.
        name: String,
    },
    /// The name, or the member, is already there.
    #[error("the {kind} `{name}` exists already")]
    AlreadyExists {
        /// The kind of the entity.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A workspace keeps at least one owner.
    #[error("`{0}` is the last owner: make another member owner first")]
    LastOwner(String),
    /// Only an owner, or the operator, may do this to or with the owner role.
    #[error("only an owner or the operator may {0}")]
    OwnerProtected(&'static str),
    /// RBAC must be on for this.
    #[error("RBAC is off in this workspace: {0}")]
    RbacDisabled(&'static str),
    /// The plan does not include RBAC.
    #[error("RBAC needs the plan `team` or `enterprise`, and this workspace is on `{0}`")]
    PlanRequired(crate::domain::model::role::Plan),
    /// A personal workspace has no others.
    #[error("this is a personal workspace: {0}")]
    PersonalWorkspace(&'static str),
    /// The environment is not restricted.
    #[error("the environment `{0}` is unrestricted: restrict it first")]
    EnvironmentUnrestricted(String),
    /// The current grant has an end, and the command does not say when the new one ends.
    #[error(
        "the grant of `{principal}` in `{environment}` ends at {end}: say in `expires_at` when the new one ends, or `null` for never"
    )]
    ExpiryRequired {
        /// The holder of the grant.
        principal: String,
        /// The environment.
        environment: String,
        /// The end of the current grant.
        end: Instant,
    },
    /// The role follows from the workspace role.
    #[error("`{0}` is an owner or manager, and so a contributor in every environment: a grant would say nothing")]
    RoleImplied(String),
    /// The proxy token is workspace-wide.
    #[error("the proxy token `{0}` is workspace-wide and has no environments to set")]
    TokenNotScoped(String),
    /// A value is not accepted.
    #[error("`{field}` is not accepted: {why}")]
    Invalid {
        /// The field at fault.
        field: &'static str,
        /// The reason, and the accepted values.
        why: String,
    },
    /// A limit is reached.
    #[error("the limit of {max} {what} is reached")]
    TooLarge {
        /// The things that are limited.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A request would write far more bytes than it has.
    #[error(
        "this request would write more than {max} bytes, which is too much for its size: send its commands in several requests"
    )]
    WritesTooMuch {
        /// The limit in bytes.
        max: usize,
    },
}

impl Rejection {
    /// Returns the stable name of the refusal.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound { .. } => "not_found",
            Self::AlreadyExists { .. } => "already_exists",
            Self::LastOwner(_) => "last_owner",
            Self::OwnerProtected(_) => "owner_protected",
            Self::RbacDisabled(_) => "rbac_disabled",
            Self::PlanRequired(_) => "plan_required",
            Self::PersonalWorkspace(_) => "personal_workspace",
            Self::EnvironmentUnrestricted(_) => "environment_unrestricted",
            Self::ExpiryRequired { .. } => "expiry_required",
            Self::RoleImplied(_) => "role_implied",
            Self::TokenNotScoped(_) => "token_not_scoped",
            Self::Invalid { .. } => "invalid",
            Self::TooLarge { .. } | Self::WritesTooMuch { .. } => "too_large",
        }
    }

    /// Returns the refusal of a name that names nothing. The name is shortened, and its hidden characters are escaped.
    pub fn not_found(kind: &'static str, name: &str) -> Self {
        Self::NotFound { kind, name: name.chars().take(340).flat_map(char::escape_debug).collect() }
    }

    /// Returns the refusal of a field's text.
    pub fn invalid_text(field: &'static str, error: &InvalidText) -> Self {
        Self::Invalid { field, why: error.to_string() }
    }
}
