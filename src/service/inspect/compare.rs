//! Comparing the rows about a workspace with the facts of its log.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::rows::{Created, JournalRow, WorkspaceRows};
use crate::domain::model::principal::Principal;
use crate::domain::model::time::Revision;
use crate::domain::state::view::View;
use crate::domain::state::workspace::Workspace;
use crate::log::journal::AuditReader;
use crate::log::{CredentialHolder, CredentialId, StoredCredential};
use crate::service::directory::credential_of_facts;

/// Compares the rows about a workspace with its facts, and passes each flaw to `wrong`.
pub(super) fn compare(facts: &Workspace, rows: &WorkspaceRows, created: &mut Created, mut wrong: impl FnMut(String)) {
    let view = View::now(Arc::new(facts.clone()), facts.head_time());
    if rows.head == Revision::ZERO {
        return wrong("rows are about it, and there is no log of it".to_owned());
    }
    if !rows.is_listed {
        wrong("`workspaces` does not list it".to_owned());
    }
    compare_names(&view, rows, &mut wrong);
    compare_credentials(&view, rows, created, &mut wrong);
    for user in rows.profiles.iter().filter(|user| view.last_member_change(user).is_none()) {
        wrong(format!("`profiles` has `{user}`, who was never a member"));
    }
    // A stored instant before the next expiry is replaced when it passes. One after it would delay the expiry's record.
    let late = facts.next_expiry().filter(|next| rows.next_expiry.is_none_or(|stored| stored > *next));
    if let Some(next) = late {
        let stored = rows.next_expiry.map_or_else(|| "nothing".to_owned(), |stored| format!("`{stored}`"));
        wrong(format!("`next_expiries` has {stored}, and something in it expires at `{next}`"));
    }
    rows.reads.iter().filter_map(|read| journal_flaw(facts, read)).for_each(wrong);
}

fn compare_names(view: &View, rows: &WorkspaceRows, wrong: &mut impl FnMut(String)) {
    let name = view.description().map(|description| description.name.as_str());
    for stored in rows.names.iter().filter(|stored| Some(stored.as_str()) != name) {
        wrong(format!("`names` leads `{}` to it, and it does not bear that name", stored.escape_debug()));
    }
    if let Some(name) = name.filter(|name| !rows.names.iter().any(|stored| stored == name)) {
        wrong(format!("`names` does not lead `{name}` to it"));
    }
}

fn compare_credentials(view: &View, rows: &WorkspaceRows, created: &mut Created, wrong: &mut impl FnMut(String)) {
    let facts = view.workspace();
    let ids: BTreeSet<CredentialId> = credentials(facts).collect();
    for id in ids.iter().filter(|id| !rows.credentials.contains_key(id)) {
        // An access key of a deleted workspace is ended by removing its row.
        let may_be_forgotten = matches!(id, CredentialId::AccessKey(_)) && !view.exists();
        if !may_be_forgotten {
            wrong(format!("`credentials` does not have {id}"));
        }
    }
    for (id, stored) in &rows.credentials {
        match credential_of_facts(facts, *id) {
            None => wrong(format!("`credentials` leads {id} to it, and its log made no such credential")),
            Some(row) => {
                if let Some(what) = differs(&row, stored) {
                    wrong(format!("`credentials` has another {what} of {id} than the event that made it"));
                }
            }
        }
    }
    created.credentials.extend(ids);
}

/// Returns every credential that a log made.
fn credentials(facts: &Workspace) -> impl Iterator<Item = CredentialId> {
    let proxy_tokens = facts.proxy_token_ids().map(CredentialId::ProxyToken);
    facts
        .token_ids()
        .map(CredentialId::Token)
        .chain(proxy_tokens)
        .chain(facts.access_key_ids().map(CredentialId::AccessKey))
}

fn differs(row: &StoredCredential, stored: &StoredCredential) -> Option<&'static str> {
    if row.sha256.0 != stored.sha256.0 {
        return Some("digest");
    }
    let same = match (&row.holder, &stored.holder) {
        (CredentialHolder::Principal(held), CredentialHolder::Principal(stored)) => held == stored,
        (CredentialHolder::ProxyToken, CredentialHolder::ProxyToken) => true,
        (CredentialHolder::AccessKey(held), CredentialHolder::AccessKey(stored)) => held == stored,
        _ => false,
    };
    (!same).then_some("holder")
}

/// Returns the flaw of a row of the journal: a read of a revision that the log lacks, or by a reader without the named credential.
fn journal_flaw(facts: &Workspace, read: &JournalRow) -> Option<String> {
    let JournalRow { sequence, revision, reader, token, is_of_pruning, .. } = read;
    if *revision > facts.head() {
        return Some(format!("`audit_reads` {sequence} is of revision {revision}, and the log has {}", facts.head()));
    }
    let could = match (reader, token) {
        (AuditReader::Operator, None) => true,
        (AuditReader::System, None) => *is_of_pruning,
        (AuditReader::AccessKey(key), None) => facts.access_key_terms(*key).is_some(),
        (AuditReader::Principal(principal), Some(token)) => holds(facts, *token, principal),
        _ => false,
    };
    (!could).then(|| format!("`audit_reads` {sequence} is by `{reader}`, who could not have asked with what it names"))
}

fn holds(facts: &Workspace, token: crate::domain::model::id::TokenId, principal: &Principal) -> bool {
    facts.token_terms(token).is_some_and(|terms| terms.holder == *principal)
}
