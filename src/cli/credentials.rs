//! `tenure credentials`: the live credentials, and the permissions of each.

use clap::Args;
use serde_json::Value;

use super::args::AtArgs;
use super::client::Query;
use super::entity_columns::named;
use super::failure::Failure;
use super::layout::ListingLine;
use super::output::{Format, cell_text};
use super::session::{Session, items};

const CREDENTIALS: [&str; 2] = ["audit", "credentials"];

#[derive(Debug, Args)]
pub(super) struct CredentialsArgs {
    /// Only credentials issued by this actor: `user:ID` or `operator`
    #[arg(long, value_name = "ACTOR")]
    issued_by: Option<String>,
    #[command(flatten)]
    at: AtArgs,
}

impl CredentialsArgs {
    /// Returns the path of the list and the query.
    pub(super) fn question(&self) -> ([&'static str; 2], Query) {
        (CREDENTIALS, self.at.query().with("issued_by", self.issued_by.as_ref()))
    }
}

pub(super) fn credentials(session: &mut Session, args: &CredentialsArgs) -> Result<(), Failure> {
    let (question, query) = args.question();
    if session.out.format == Format::Csv {
        return session.copy(&question, &query, "text/csv");
    }
    let list = session.get_all(&question, &query)?;
    if session.out.format != Format::Table {
        return session.out.json(&list);
    }
    if items(&list).is_empty() {
        session.out.line("there was no live credential")?;
    }
    session.out.listing(&listing_lines(items(&list)))?;
    super::audit::show_view(session, &list)
}

/// Returns how many live credentials a member issued, without the API tokens that the member holds.
///
/// # Errors
/// The server refused, or cannot be reached.
pub(super) fn count_issued_by(session: &mut Session, user: &str) -> Result<usize, Failure> {
    let member = format!("user:{user}");
    let list = session.get_all(&CREDENTIALS, &Query::default().with("issued_by", Some(&member)))?;
    Ok(items(&list).iter().filter(|row| cell_text(row, "holder") != member).count())
}

/// Groups credentials by kind and holder.
fn listing_lines(rows: &[Value]) -> Vec<ListingLine> {
    let mut groups: Vec<(String, Vec<ListingLine>)> = Vec::new();
    for row in rows {
        let (holder, line) = (holder(row), ListingLine::entry([cell_text(row, "id"), terms(row)]));
        match groups.iter_mut().find(|(known, _)| *known == holder) {
            Some((_, lines)) => lines.push(line),
            None => groups.push((holder, vec![line])),
        }
    }
    groups.into_iter().flat_map(|(holder, lines)| std::iter::once(ListingLine::Heading(holder)).chain(lines)).collect()
}

/// Describes the holder of a credential, or its kind and permissions.
fn holder(row: &Value) -> String {
    let field = |name| cell_text(row, name);
    match field("kind").as_str() {
        "api_token" => {
            let holder = named(&field("holder"), &field("holder_name"));
            match field("holder_role").as_str() {
                "" => format!("API tokens of {holder}"),
                "owner" => format!("API tokens of {holder}, an owner"),
                role => format!("API tokens of {holder}, a {role}"),
            }
        }
        "proxy_token" => match field("scope").as_str() {
            "scoped" => {
                format!("proxy tokens for web functions in {}", or(&field("environment_names"), "no environment"))
            }
            _ => "proxy tokens for web functions in every environment".to_owned(),
        },
        _ => match field("role").as_str() {
            "auditor" => "access keys of auditors, who read everything".to_owned(),
            _ => "access keys of evaluators, who ask for decisions".to_owned(),
        },
    }
}

fn or(text: &str, otherwise: &str) -> String {
    if text.is_empty() { otherwise.to_owned() } else { text.replace(' ', ", ") }
}

/// Describes the issue, the expiry and the last use of a credential.
fn terms(row: &Value) -> String {
    let field = |name| cell_text(row, name);
    let label = field("label");
    let label = if label.is_empty() { String::new() } else { format!("{label}: ") };
    let ends = match field("expires_at") {
        end if end.is_empty() => "never expires".to_owned(),
        end => format!("expires {end}"),
    };
    let used = match field("last_used_at") {
        used if used.is_empty() => String::new(),
        used => format!(", last used {used}"),
    };
    format!("{label}made {} by {}, {ends}{used}", field("issued_at"), field("issued_by"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_grouped_by_holder_and_permissions() {
        let token = |id: &str| {
            json!({ "kind": "api_token", "id": id, "holder": "user:al", "holder_name": "al", "holder_role": "owner",
                "issued_by": "operator", "issued_at": "then", "last_used_at": "today" })
        };
        let key = json!({ "kind": "access_key", "id": "key_1", "role": "auditor", "label": "yearly", "issued_by": "user:al",
            "issued_at": "then", "expires_at": "soon" });
        let scoped = json!({ "kind": "proxy_token", "id": "prx_1", "scope": "scoped", "environment_names": ["a", "b"],
            "issued_by": "user:al", "issued_at": "then" });
        let entry = |id: &str, words: &str| ListingLine::entry([id.to_owned(), words.to_owned()]);
        let heading = |text: &str| ListingLine::Heading(text.to_owned());
        let expected = [
            heading("API tokens of user:al, an owner"),
            entry("tok_1", "made then by operator, never expires, last used today"),
            entry("tok_2", "made then by operator, never expires, last used today"),
            heading("access keys of auditors, who read everything"),
            entry("key_1", "yearly: made then by user:al, expires soon"),
            heading("proxy tokens for web functions in a, b"),
            entry("prx_1", "made then by user:al, never expires"),
        ];
        assert_eq!(listing_lines(&[token("tok_1"), key, token("tok_2"), scoped]), expected);
    }
}
