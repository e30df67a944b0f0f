//! The parameters after the `?`. One that is unknown, or given twice, is refused: a typing error in `at` must not silently
//! turn a question about March into one about today.

use std::str::FromStr;

use crate::domain::name::Reason;
use crate::domain::time::{Instant, Revision, Span};
use crate::domain::view::At;

use super::problem::Problem;

/// The rows of a page if the caller does not say.
pub const LIMIT_DEFAULT: usize = 100;
/// The most rows of a page.
pub const LIMIT_MAX: usize = 1_000;

/// The most parameters of a request.
pub const PARAMETERS_MAX: usize = 32;

/// The parameters that nobody has asked for yet.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// The parameters of a query string.
    ///
    /// # Errors
    /// There are too many, or one is given twice.
    pub fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let query = query.unwrap_or_default();
        // Each is compared with those before it, so they are counted first.
        if query.bytes().filter(|byte| *byte == b'&').count() >= PARAMETERS_MAX {
            return Err(Problem::too_large(format!("a request has at most {PARAMETERS_MAX} parameters after the `?`")));
        }
        let mut params: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if params.iter().any(|(known, _)| *known == name) {
                return Err(Problem::invalid(format!("the parameter `{}` is given twice", name.escape_debug())));
            }
            params.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(params))
    }

    /// What is left, by name and value.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// Takes a parameter out, as text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(place).1)
    }

    /// A parameter as a value, left in its place.
    ///
    /// # Errors
    /// It is not such a value.
    pub fn peek<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        self.clone().value(name)
    }

    /// Takes a parameter out, as a value.
    ///
    /// # Errors
    /// It is not such a value.
    pub fn value<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Result<Option<T>, Problem> {
        let parse = |text: String| text.parse().map_err(|error| Problem::invalid(format!("`{name}`: {error}")));
        self.text(name).map(parse).transpose()
    }

    /// Takes out `true` or `false`; false if it is not there.
    ///
    /// # Errors
    /// It is neither.
    pub fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.text(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => {
                let other: String = other.chars().take(80).flat_map(char::escape_debug).collect();
                Err(Problem::invalid(format!("`{name}`: `{other}` is neither `true` nor `false`")))
            }
        }
    }

    /// Takes `at` and `revision` out.
    ///
    /// # Errors
    /// They are neither an instant nor a revision, or a revision stands beside a revision.
    pub fn at(&mut self) -> Result<At, Problem> {
        let revision: Option<Revision> = self.value("revision")?;
        let Some(at) = self.text("at") else {
            return match revision {
                None => Ok(At::Now),
                Some(_) => {
                    Err(Problem::invalid("`revision` stands beside an instant in `at`; alone, write `at=rREVISION`"))
                }
            };
        };
        let named = Revision::beside_instants(&at).map_err(|error| Problem::invalid(format!("`at`: {error}")))?;
        if let Some(at) = named {
            let beside = || Problem::invalid("`revision` stands beside an instant in `at`, not beside a revision");
            return if revision.is_some() { Err(beside()) } else { Ok(At::Revision(at)) };
        }
        let neither = |error| Problem::invalid(format!("`at`: {error}, or a revision such as `r17`"));
        let instant: Instant = at.parse().map_err(neither)?;
        Ok(revision.map_or(At::Instant(instant), |revision| At::Both(revision, instant)))
    }

    /// Takes `limit` out.
    ///
    /// # Errors
    /// It is not a number from 1 to 1,000.
    pub fn limit(&mut self) -> Result<Option<usize>, Problem> {
        let Some(limit) = self.value("limit")? else { return Ok(None) };
        if (1..=LIMIT_MAX).contains(&limit) {
            return Ok(Some(limit));
        }
        Err(Problem::invalid(format!("`limit`: `{limit}` is not from 1 to {LIMIT_MAX}")))
    }

    /// Takes `from` and `until` out.
    ///
    /// # Errors
    /// They are no instants, or the first is the later one.
    pub fn span(&mut self) -> Result<Span, Problem> {
        let (from, until) = (self.value("from")?, self.value("until")?);
        Span::new(from, until)
            .map_err(|(from, until)| Problem::invalid(format!("`from`: `{from}` is later than `until`, `{until}`")))
    }

    /// Takes `reason` out.
    ///
    /// # Errors
    /// It is too long, or holds what people cannot see.
    pub fn reason(&mut self) -> Result<Option<Reason>, Problem> {
        let reason: Option<Reason> = self.value("reason")?;
        Ok(reason.filter(|reason| !reason.as_str().is_empty()))
    }

    /// Makes sure that nothing is left.
    ///
    /// # Errors
    /// A parameter is not of this request.
    pub fn finish(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                let name: String = name.chars().take(80).flat_map(char::escape_debug).collect();
                Err(Problem::invalid(format!("this request has no parameter `{name}`")))
            }
        }
    }
}
