//! The reference document on RBAC: every row of every table, and every statement of the FAQ.

use std::sync::Arc;

use serde_json::{Value, json};
use tenure::clock::SystemClock;

use crate::support::acme::{Acme, id};
use crate::support::server::OPERATOR;

const VIEWS: &[&str] = &["read", "read_logs", "read_metrics", "read_config"];
const DEPLOYS: &[&str] = &["deploy", "write", "stop", "delete"];

/// Acme with `prod` (restricted), `dev` and `test` (unrestricted), an owner, a manager, a member and a service user.
pub fn stage() -> Acme {
    let acme = Acme::new();
    acme.restricted("prod", "viewer");
    acme.environment("dev");
    acme.environment("test");
    acme.member("mark", "manager");
    acme.member("mia", "member");
    acme.service_user("ci");
    acme
}

/// A subject is a viewer in the environment of the resources, and no more.
#[track_caller]
pub fn assert_viewer(acme: &Acme, subject: &str, environment: &str) {
    assert_eq!(acme.role(subject, environment), "viewer", "{subject} in {environment}");
    for kind in ["app", "function", "environment"] {
        assert!(VIEWS.iter().all(|action| acme.allows(subject, action, &format!("{kind}@{environment}"))));
        assert!(!DEPLOYS.iter().any(|action| acme.allows(subject, action, &format!("{kind}@{environment}"))));
    }
}

#[track_caller]
pub fn assert_contributor(acme: &Acme, subject: &str, environment: &str) {
    assert_eq!(acme.role(subject, environment), "contributor", "{subject} in {environment}");
    for kind in ["app", "function", "environment"] {
        for action in VIEWS.iter().chain(DEPLOYS) {
            assert!(acme.allows(subject, action, &format!("{kind}@{environment}")), "{subject} {action} {kind}");
        }
    }
}

mod workspace_roles {
    use super::*;

    #[test]
    fn an_owner_has_full_access_to_everything_and_can_assign_any_role() {
        let acme = stage();
        for action in ["read", "manage_members", "manage_settings", "manage_billing", "manage_owners"] {
            assert!(acme.allows("user:alice", action, "workspace"), "{action}");
        }
        for role in ["owner", "manager", "member"] {
            acme.post("members", &json!({"user": format!("new-{role}"), "role": role})).expect(201);
        }
    }

    #[test]
    fn a_manager_is_as_an_owner_but_cannot_modify_the_owner_role() {
        let acme = stage();
        let mark = acme.post("members/mark/tokens", &Value::Null).expect(201).credential("token");
        for action in ["read", "manage_members", "manage_settings", "manage_billing", "read_audit_log"] {
            assert!(acme.allows("user:mark", action, "workspace"), "{action}");
        }
        assert!(!acme.allows("user:mark", "manage_owners", "workspace"));
        acme.call("PATCH", "members/mia", &mark, &json!({"role": "manager"})).expect(200);
        acme.call("PATCH", "members/mia", &mark, &json!({"role": "owner"})).refused(409, "owner_protected");
        acme.call("PATCH", "members/alice", &mark, &json!({"role": "member"})).refused(409, "owner_protected");
    }

    #[test]
    fn a_member_can_deploy_but_not_reach_billing_management_or_settings() {
        let acme = stage();
        assert!(acme.allows("user:mia", "deploy", "app@dev"));
        for action in ["manage_billing", "manage_members", "manage_settings", "manage_environments", "read_audit_log"] {
            assert!(!acme.allows("user:mia", action, "workspace"), "{action}");
        }
    }
}

mod setting_up {
    use super::*;

    #[test]
    fn rbac_requires_a_team_or_enterprise_plan() {
        let acme = stage();
        for (plan, status) in [("starter", 409), ("team", 200), ("enterprise", 200)] {
            acme.server.put("/v1/workspaces/acme/plan", OPERATOR, &json!({"plan": plan})).expect(200);
            acme.put("rbac", &json!({"enabled": true})).expect(status);
        }
    }

    #[test]
    fn an_environment_is_made_restricted_or_restricted_later() {
        let acme = stage();
        acme.patch("environments/dev", &json!({"restricted": true})).expect(200);
        for environment in ["prod", "dev"] {
            assert_viewer(&acme, "user:mia", environment);
            assert_contributor(&acme, "user:alice", environment);
            assert_contributor(&acme, "user:mark", environment);
        }
    }

    #[test]
    fn environment_roles_are_added_changed_and_removed() {
        let acme = stage();
        acme.grant("prod", "user:mia", "contributor");
        assert_contributor(&acme, "user:mia", "prod");
        acme.grant("prod", "user:mia", "viewer");
        assert_viewer(&acme, "user:mia", "prod");
        acme.grant("prod", "service_user:ci", "contributor");
        assert_contributor(&acme, "service_user:ci", "prod");
        acme.delete("environments/prod/grants/service_user:ci").expect(200);
        assert_viewer(&acme, "service_user:ci", "prod");
    }
}

mod default_access_by_actor {
    use super::*;

    #[test]
    fn workspace_owner_contributor_contributor() {
        let acme = stage();
        assert_contributor(&acme, "user:alice", "test");
        assert_contributor(&acme, "user:alice", "prod");
    }

    #[test]
    fn workspace_manager_contributor_contributor() {
        let acme = stage();
        assert_contributor(&acme, "user:mark", "test");
        assert_contributor(&acme, "user:mark", "prod");
    }

    #[test]
    fn workspace_member_contributor_and_viewer_or_contributor_if_explicitly_assigned() {
        let acme = stage();
        assert_contributor(&acme, "user:mia", "test");
        assert_viewer(&acme, "user:mia", "prod");
        acme.grant("prod", "user:mia", "contributor");
        assert_contributor(&acme, "user:mia", "prod");
    }

    #[test]
    fn service_user_contributor_and_viewer_or_contributor_if_explicitly_assigned() {
        let acme = stage();
        assert_contributor(&acme, "service_user:ci", "test");
        assert_viewer(&acme, "service_user:ci", "prod");
        acme.grant("prod", "service_user:ci", "contributor");
        assert_contributor(&acme, "service_user:ci", "prod");
    }
}

mod use_cases {
    use super::*;

    #[test]
    fn interactive_development_rests_on_the_workspace_role_and_any_environment_role() {
        let acme = stage();
        let rule = |subject| acme.explained(subject, "deploy", "app@prod")["context"]["rule"].clone();
        assert_eq!(rule("user:alice"), "workspace_role");
        assert_eq!(rule("user:mia"), "default_role");
        acme.grant("prod", "user:mia", "contributor");
        assert_eq!(rule("user:mia"), "grant");
    }

    #[test]
    fn automation_rests_on_the_service_users_environment_role_only() {
        let acme = stage();
        acme.grant("prod", "service_user:ci", "contributor");
        assert_eq!(acme.explained("service_user:ci", "deploy", "app@prod")["context"]["rule"], "grant");
        for action in ["manage_members", "manage_settings", "manage_billing", "manage_grants"] {
            assert!(!acme.allows("service_user:ci", action, "workspace"), "{action}");
        }
    }

    #[test]
    fn deploying_to_an_unrestricted_environment_is_for_both() {
        let acme = stage();
        assert!(acme.allows("user:mia", "deploy", "app@test"));
        assert!(acme.allows("service_user:ci", "deploy", "app@test"));
    }

    #[test]
    fn deploying_to_a_restricted_environment_needs_an_explicit_contributor() {
        let acme = stage();
        for subject in ["user:mia", "service_user:ci"] {
            assert!(!acme.allows(subject, "deploy", "app@prod"), "{subject}");
            acme.grant("prod", subject, "contributor");
            assert!(acme.allows(subject, "deploy", "app@prod"), "{subject}");
        }
    }
}

mod proxy_tokens {
    use super::*;

    #[test]
    fn scoped_tokens_are_made_with_rbac_and_valid_only_where_they_are_associated() {
        let acme = stage();
        let made = acme.post("proxy-tokens", &json!({"environments": ["prod"]})).expect(201);
        assert_eq!(made.json["proxy_token"]["scope"], "scoped");
        let token = made.credential("proxy_token");
        acme.proxy("prod", &token).expect(204);
        acme.proxy("test", &token).expect(403);
        acme.post("proxy-tokens", &json!({})).refused(422, "invalid");
    }

    #[test]
    fn workspace_wide_tokens_are_made_without_rbac_and_valid_for_any_web_function() {
        let acme = stage();
        acme.rbac(false);
        let made = acme.post("proxy-tokens", &json!({})).expect(201);
        assert_eq!(made.json["proxy_token"]["scope"], "workspace_wide");
        let token = made.credential("proxy_token");
        for environment in ["prod", "dev", "test", "main"] {
            acme.proxy(environment, &token).expect(204);
        }
    }

    #[test]
    fn workspace_wide_tokens_continue_to_work_when_rbac_is_enabled() {
        let acme = Acme::without_rbac(Arc::new(SystemClock));
        let token = acme.proxy_token(None);
        acme.rbac(true);
        acme.restricted("prod", "viewer");
        acme.proxy("prod", &token).expect(204);
        acme.proxy("main", &token).expect(204);
    }

    #[test]
    fn scoped_tokens_fall_back_to_workspace_wide_access_when_rbac_is_disabled() {
        let acme = stage();
        let token = acme.proxy_token(Some(&["prod"]));
        acme.rbac(false);
        acme.proxy("test", &token).expect(204);
        acme.rbac(true);
        acme.proxy("test", &token).expect(403);
    }

    #[test]
    fn removing_an_environment_revokes_access_instantly() {
        let acme = stage();
        let token = acme.proxy_token(Some(&["prod", "test"]));
        acme.proxy("test", &token).expect(204);
        let scope = format!("proxy-tokens/{}/environments", id(&token));
        acme.put(&scope, &json!({"environments": ["prod"]})).expect(200);
        acme.proxy("test", &token).expect(403);
        acme.proxy("prod", &token).expect(204);
    }

    #[test]
    fn the_secret_is_shown_once() {
        let acme = stage();
        let token = acme.proxy_token(Some(&["prod"]));
        let secret = token.split_once('.').unwrap().1;
        let shown = acme.get(&format!("proxy-tokens/{}", id(&token))).expect(200);
        assert!(!shown.text.contains(secret) && shown.json.get("secret").is_none());
    }
}

mod cross_environment_behaviour {
    use super::*;

    /// A task in the source may act on the target, or may not, whatever the action.
    #[track_caller]
    fn assert_task(acme: &Acme, source: &str, target: &str, allowed: bool) {
        let task = format!("task:{source}");
        for (action, kind) in [("read", "secret"), ("use", "secret"), ("write", "volume"), ("read", "app")] {
            let resource = format!("{kind}@{target}");
            assert_eq!(acme.allows(&task, action, &resource), allowed, "{source} → {target}: {action} {kind}");
        }
    }

    #[test]
    fn unrestricted_to_unrestricted_is_allowed() {
        assert_task(&stage(), "dev", "test", true);
    }

    #[test]
    fn unrestricted_to_restricted_is_denied() {
        assert_task(&stage(), "test", "prod", false);
    }

    #[test]
    fn restricted_to_unrestricted_is_allowed() {
        assert_task(&stage(), "prod", "test", true);
    }

    #[test]
    fn restricted_to_restricted_is_denied() {
        let acme = stage();
        acme.restricted("staging", "viewer");
        assert_task(&acme, "prod", "staging", false);
        assert_task(&acme, "staging", "prod", false);
    }

    #[test]
    fn access_in_the_same_environment_is_unaffected() {
        let acme = stage();
        assert_task(&acme, "prod", "prod", true);
        assert_task(&acme, "test", "test", true);
    }

    #[test]
    fn if_prod_and_test_are_both_restricted_neither_reaches_the_other() {
        let acme = stage();
        acme.patch("environments/test", &json!({"restricted": true})).expect(200);
        assert_task(&acme, "prod", "test", false);
        assert_task(&acme, "test", "prod", false);
    }
}

mod protecting_production_secrets {
    use super::*;

    #[test]
    fn a_developer_in_dev_is_denied_editing_a_secret_in_restricted_prod() {
        let acme = stage();
        assert!(!acme.allows("user:mia", "write", "secret@prod"));
        assert!(!acme.allows("task:dev", "write", "secret@prod"));
        assert!(acme.allows("user:mia", "write", "secret@dev"));
    }

    #[test]
    fn a_ci_service_user_with_contributor_access_deploys_to_restricted_prod() {
        let acme = stage();
        acme.grant("prod", "service_user:ci", "contributor");
        assert!(acme.allows("service_user:ci", "deploy", "app@prod"));
    }

    #[test]
    fn a_task_running_in_prod_reads_a_secret_in_prod() {
        let acme = stage();
        assert!(acme.allows("task:prod", "read", "secret@prod"));
        assert!(acme.allows("task:prod", "use", "secret@prod"));
    }

    #[test]
    fn a_task_running_in_prod_accesses_objects_in_unrestricted_test() {
        let acme = stage();
        for kind in ["volume", "dict", "queue"] {
            assert!(acme.allows("task:prod", "read", &format!("{kind}@test")), "{kind}");
        }
    }
}

mod common_access_patterns {
    use super::*;

    #[test]
    fn a_member_views_logs_in_a_restricted_environment() {
        assert!(stage().allows("user:mia", "read_logs", "app@prod"));
    }

    #[test]
    fn a_member_does_not_deploy_to_a_restricted_environment() {
        assert!(!stage().allows("user:mia", "deploy", "app@prod"));
    }

    #[test]
    fn an_owner_or_manager_deploys_to_a_restricted_environment() {
        let acme = stage();
        assert!(acme.allows("user:alice", "deploy", "app@prod"));
        assert!(acme.allows("user:mark", "deploy", "app@prod"));
    }

    #[test]
    fn a_service_user_deploys_to_a_restricted_environment_if_explicitly_granted_contributor() {
        let acme = stage();
        assert!(!acme.allows("service_user:ci", "deploy", "app@prod"));
        assert!(acme.allows("service_user:ci", "read_logs", "app@prod"));
        acme.grant("prod", "service_user:ci", "contributor");
        assert!(acme.allows("service_user:ci", "deploy", "app@prod"));
    }

    #[test]
    fn a_task_running_in_dev_does_not_read_a_secret_in_restricted_prod() {
        assert!(!stage().allows("task:dev", "read", "secret@prod"));
    }

    #[test]
    fn a_task_running_in_restricted_prod_accesses_objects_in_unrestricted_test() {
        assert!(stage().allows("task:prod", "write", "volume@test"));
    }

    #[test]
    fn a_user_views_dashboards_and_app_details_in_a_restricted_environment() {
        let acme = stage();
        for action in VIEWS {
            assert!(acme.allows("user:mia", action, "app@prod"), "{action}");
        }
    }

    #[test]
    fn a_task_accesses_resources_in_its_own_environment() {
        let acme = stage();
        assert!(acme.allows("task:prod", "write", "queue@prod"));
        assert!(acme.allows("task:dev", "write", "queue@dev"));
    }

    #[test]
    fn a_scoped_proxy_token_is_good_in_an_associated_environment() {
        let acme = stage();
        let token = acme.proxy_token(Some(&["prod"]));
        acme.proxy("prod", &token).expect(204);
        assert!(acme.allows(&format!("proxy_token:{}", id(&token)), "call", "web_function@prod"));
    }

    #[test]
    fn a_scoped_proxy_token_is_not_good_in_a_non_associated_environment() {
        let acme = stage();
        let token = acme.proxy_token(Some(&["prod"]));
        acme.proxy("test", &token).expect(403);
        assert!(!acme.allows(&format!("proxy_token:{}", id(&token)), "call", "web_function@test"));
    }
}

mod faq {
    use super::*;

    #[test]
    fn members_always_have_at_least_viewer_access_unless_an_environment_is_made_private() {
        let acme = stage();
        assert_viewer(&acme, "user:mia", "prod");
        acme.restricted("vault", "no_access");
        assert_eq!(acme.role("user:mia", "vault"), "no_access");
        assert_contributor(&acme, "user:alice", "vault");
    }

    #[test]
    fn service_tokens_authenticate_service_users() {
        let acme = stage();
        let robot = acme.service_user("robot");
        let question = crate::support::acme::question("service_user:robot", "read", "app@prod");
        assert_eq!(acme.ask_as(&robot, "", &question).expect(200).json["decision"], true);
    }

    #[test]
    fn apps_do_not_look_up_objects_in_a_different_restricted_environment() {
        let acme = stage();
        acme.restricted("staging", "viewer");
        assert!(!acme.allows("task:staging", "read", "app@prod"));
        assert!(!acme.allows("task:staging", "write", "volume@prod"));
    }

    #[test]
    fn code_in_a_restricted_environment_accesses_others_that_are_not_restricted() {
        let acme = stage();
        assert!(acme.allows("task:prod", "read", "secret@dev"));
        acme.patch("environments/dev", &json!({"restricted": true})).expect(200);
        assert!(!acme.allows("task:prod", "read", "secret@dev"));
    }
}
