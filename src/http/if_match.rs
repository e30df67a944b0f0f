//! The precondition of a change: `If-Match` (RFC 9110 §13.1.1). The entity tag of a workspace is its newest revision, in quotes.

use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;

use super::problem::Problem;
use crate::domain::model::time::Revision;
use crate::service::submission::Expected;

/// Returns the revisions that `If-Match` allows to be the newest; none for `*` or without the header. A weak tag matches nothing, and
/// neither does a tag that is no revision.
///
/// # Errors
/// The header is neither `*` nor a list of entity tags.
pub fn expected(headers: &HeaderMap) -> Result<Option<Expected>, Problem> {
    let mut lines = headers.get_all(IF_MATCH).iter().map(|line| line.to_str().unwrap_or_default().trim()).peekable();
    if lines.peek().is_none() {
        return Ok(None);
    }
    let text = lines.collect::<Vec<_>>().join(",");
    if text == "*" {
        return Ok(None);
    }
    let tags = tags(&text).ok_or_else(|| {
        Problem::invalid("`If-Match` is `*` or a list of revisions in quotes, such as `\"17\"` or `\"17\", \"18\"`")
    })?;
    let revisions = tags.into_iter().filter(|tag| !tag.is_weak).filter_map(|tag| revision(tag.opaque));
    Ok(Some(Expected(revisions.collect())))
}

/// Returns the revision that a tag names. Tags are compared as text, so only one spelling matches.
fn revision(tag: &str) -> Option<Revision> {
    tag.parse::<Revision>().ok().filter(|revision| revision.to_string() == tag)
}

/// An entity tag (RFC 9110 §8.8.3).
struct Tag<'a> {
    is_weak: bool,
    opaque: &'a str,
}

/// Parses a list of tags, which may have empty elements (RFC 9110 §5.6.1); none if it is malformed or has no tag.
fn tags(text: &str) -> Option<Vec<Tag<'_>>> {
    let (mut tags, mut rest) = (Vec::new(), text);
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return (!tags.is_empty()).then_some(tags);
        }
        let strong = rest.strip_prefix("W/");
        let (opaque, after) = strong.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
        let after = after.trim_start_matches([' ', '\t']);
        let is_character = |c: char| c != ' ' && !c.is_ascii_control();
        if !opaque.chars().all(is_character) || !(after.is_empty() || after.starts_with(',')) {
            return None;
        }
        tags.push(Tag { is_weak: strong.is_some(), opaque });
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// Returns the revisions that lines of the header allow, or the status of the refusal.
    fn read(lines: &[&str]) -> Result<Option<Vec<u64>>, u16> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF_MATCH, HeaderValue::from_str(line).map_err(|_| 0_u16)?);
        }
        let expected = expected(&headers).map_err(|problem| problem.status().as_u16())?;
        Ok(expected.map(|Expected(revisions)| revisions.into_iter().map(|Revision(number)| number).collect()))
    }

    #[test]
    fn a_list_of_tags_is_parsed_and_weak_and_foreign_tags_match_nothing() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["*"]), Ok(None));
        assert_eq!(read(&["\"17\""]), Ok(Some(vec![17])));
        assert_eq!(read(&["\"17\",\"18\" , \"19\""]), Ok(Some(vec![17, 18, 19])));
        assert_eq!(read(&["\"17\"", "\"18\""]), Ok(Some(vec![17, 18])));
        assert_eq!(read(&[", \"17\",,"]), Ok(Some(vec![17])));
        assert_eq!(read(&["W/\"17\""]), Ok(Some(vec![])));
        assert_eq!(read(&["W/\"17\", \"18\", \"a,b\", \"\""]), Ok(Some(vec![18])));
        assert_eq!(read(&["\"r17\", \"017\""]), Ok(Some(vec![])));
        for refused in ["", "17", "\"17", "17\"", "\"17\" \"18\"", "w/\"17\"", "W/17", ",", "*, \"17\"", "\"1 7\""] {
            assert_eq!(read(&[refused]), Err(422), "{refused}");
        }
    }
}
