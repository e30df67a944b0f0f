//! Content negotiation: the form of a response, chosen by the `Accept` header (RFC 9110 §12.5.1).
//!
//! Maintained crates would refuse a whole header for one malformed range, and break ties in the order of the client.

use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, HeaderValue, StatusCode};

use super::problem::Problem;
use crate::log::journal::AnswerForm;

/// The forms of a list of rows.
pub const FORMS_OF_ROWS: &[AnswerForm] = &[AnswerForm::Json, AnswerForm::Ndjson, AnswerForm::Csv];

/// The forms of a report.
pub const FORMS_OF_REPORTS: &[AnswerForm] = &[AnswerForm::Json, AnswerForm::Csv, AnswerForm::Html];

impl AnswerForm {
    /// Returns its media type, as `Accept` names it.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
            Self::Html => "text/html",
            Self::CloudeventsBatch => "application/cloudevents-batch+json",
            Self::EventStream => "text/event-stream",
            Self::EntryBundle => "application/octet-stream",
        }
    }

    /// Returns the `Content-Type` of a response in this form.
    pub const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Html => "text/html; charset=utf-8",
            other => other.media_type(),
        })
    }

    /// Returns the offered form that a request prefers; the first one if it does not say.
    ///
    /// # Errors
    /// 406 if it accepts none of them.
    pub fn negotiate(headers: &HeaderMap, offered: &[Self]) -> Result<Self, Problem> {
        let accept: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let ranges: Vec<(&str, u16)> = accept.iter().flat_map(|value| value.split(',')).filter_map(range).collect();
        if ranges.is_empty() {
            return offered.first().copied().ok_or_else(|| not_acceptable(offered));
        }
        let weight = |form: &Self| ranges.iter().filter_map(|range| quality(*form, *range)).max().map(|(_, q)| q);
        let mut best = None;
        for form in offered {
            if let Some(q) = weight(form).filter(|q| *q > 0 && best.is_none_or(|(_, other)| *q > other)) {
                best = Some((*form, q));
            }
        }
        best.map(|(form, _)| form).ok_or_else(|| not_acceptable(offered))
    }
}

/// Parses a media range and its weight in thousandths.
fn range(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().filter(|media| !media.is_empty())?;
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    Some((media, weight.map_or(1_000, thousandths)))
}

fn thousandths(weight: &str) -> u16 {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    if whole == "1" {
        return 1_000;
    }
    let digits = format!("{fraction:0<3}");
    digits.get(..3).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Returns how specific a range is about a form, and its weight; none if the range does not include the form.
fn quality(form: AnswerForm, (range, weight): (&str, u16)) -> Option<(u8, u16)> {
    let media = form.media_type();
    let kind = media.split('/').next().unwrap_or_default();
    if range.eq_ignore_ascii_case(media) {
        Some((2, weight))
    } else if range.strip_suffix("/*").is_some_and(|own| own.eq_ignore_ascii_case(kind)) {
        Some((1, weight))
    } else {
        (range == "*/*").then_some((0, weight))
    }
}

fn not_acceptable(offered: &[AnswerForm]) -> Problem {
    let offered: Vec<_> = offered.iter().map(|form| format!("`{}`", form.media_type())).collect();
    let detail = format!("`Accept` names none of the forms of this answer: {}", offered.join(", "));
    Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(accept: &str) -> Option<AnswerForm> {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(ACCEPT, HeaderValue::from_str(accept).ok()?);
        }
        AnswerForm::negotiate(&headers, FORMS_OF_ROWS).ok()
    }

    #[test]
    fn the_preferred_form_is_chosen() {
        for (accept, form) in [
            ("", Some(AnswerForm::Json)),
            ("*/*", Some(AnswerForm::Json)),
            ("text/csv", Some(AnswerForm::Csv)),
            ("TEXT/CSV; q=0.5, application/x-ndjson", Some(AnswerForm::Ndjson)),
            ("text/*", Some(AnswerForm::Csv)),
            ("application/json;q=0.1, */*;q=0.9", Some(AnswerForm::Ndjson)),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Some(AnswerForm::Json)),
            ("text/csv;q=0", None),
            ("image/png", None),
        ] {
            assert_eq!(negotiated(accept), form, "{accept}");
        }
    }
}
