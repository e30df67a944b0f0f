//! Strict reading of foreign JSON: no name occurs twice in an object.
//!
//! `serde_json` reserves certain names, and parses a text beneath them as JSON of any depth. Such names are refused
//! here, so that the limit on depth holds.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The prefix of the names that `serde_json` reserves.
const RESERVED: &str = "$serde_json::private::";
/// The most values that the JSON of a request may hold.
pub const VALUES_MAX: usize = 50_000;
/// The most names that an object may have.
const NAMES_MAX: usize = 10_000;

/// The reason why the text of a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    /// It is no JSON, or none that is accepted.
    #[error("the body is no JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It holds too many values.
    #[error("the body holds more than {VALUES_MAX} values")]
    TooManyValues,
    /// Its list has this many items, which is too many.
    #[error("there are {0}")]
    LongList(usize),
}

/// The bound of a list: its name in the outermost object, and the most items.
pub type ListBound = (&'static str, usize);

/// The bounds of a text, counted down while it is read.
struct Bounds {
    values_left: Cell<usize>,
    list: Option<ListBound>,
    list_len: Cell<usize>,
}

/// A reader of plain values.
#[derive(Clone, Copy, Default)]
struct Plain<'a> {
    bounds: Option<&'a Bounds>,
    is_outermost: bool,
    items_max: Option<usize>,
}

impl Plain<'_> {
    /// Returns the reader for the values inside a value.
    const fn within(self) -> Self {
        Self { bounds: self.bounds, is_outermost: false, items_max: None }
    }

    /// Returns the reader for the value of a name in an object.
    fn named(self, name: &str) -> Self {
        let list = self.bounds.and_then(|bounds| bounds.list).filter(|(list, _)| self.is_outermost && *list == name);
        Self { items_max: list.map(|(_, max)| max), ..self.within() }
    }

    fn excess<E: Error>(self, len: usize) -> E {
        if let Some(bounds) = self.bounds {
            bounds.list_len.set(len);
        }
        E::custom("the list is too long")
    }
}

impl<'de> DeserializeSeed<'de> for Plain<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if let Some(bounds) = self.bounds {
            let left = bounds.values_left.get().checked_sub(1);
            bounds.values_left.set(left.ok_or_else(|| D::Error::custom("there are too many values"))?);
        }
        deserializer.deserialize_any(self)
    }
}

fn check_name<E: Error>(name: &str, is_known: bool) -> Result<(), E> {
    if name.starts_with(RESERVED) {
        return Err(E::custom("a field has a name that is not accepted"));
    }
    if is_known {
        let name: String = name.chars().take(80).flat_map(char::escape_debug).collect();
        return Err(E::custom(format!("the field `{name}` is given twice")));
    }
    Ok(())
}

impl<'de> Visitor<'de> for Plain<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        let items_max = self.items_max.unwrap_or(usize::MAX);
        while values.len() < items_max {
            let Some(value) = list.next_element_seed(self.within())? else { return Ok(Value::Array(values)) };
            values.push(value);
        }
        // The rest is counted and dropped.
        let mut len = values.len();
        while list.next_element::<IgnoredAny>()?.is_some() {
            len = len.saturating_add(1);
        }
        if len == items_max { Ok(Value::Array(values)) } else { Err(self.excess(len)) }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            check_name(&name, fields.contains_key(&name))?;
            let value = object.next_value_seed(self.named(&name))?;
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

fn read(text: &[u8], plain: Plain<'_>) -> serde_json::Result<Value> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = plain.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Parses a JSON text.
///
/// # Errors
/// It is no JSON, is too deep, or has an object with a reserved name or with a name twice.
pub fn parse(text: &[u8]) -> serde_json::Result<Value> {
    read(text, Plain::default())
}

/// Parses the JSON of a request, with a bound on its values and on the items of a list. Both are counted while the text
/// is read, so a text that is too large costs no more than one at the bound.
///
/// # Errors
/// It is no JSON, or too large.
pub fn parse_bounded(text: &[u8], list: Option<ListBound>) -> Result<Value, NotRead> {
    let bounds = Bounds { values_left: Cell::new(VALUES_MAX), list, list_len: Cell::new(0) };
    let read = read(text, Plain { bounds: Some(&bounds), is_outermost: true, items_max: None });
    read.map_err(|error| match (bounds.list_len.get(), bounds.values_left.get()) {
        (0, 0) => NotRead::TooManyValues,
        (0, _) => error.into(),
        (len, _) => NotRead::LongList(len),
    })
}

/// A value that was checked and dropped.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Checked {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self, A::Error> {
        while list.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self, A::Error> {
        let mut names = HashSet::new();
        while let Some((name, Self)) = object.next_entry::<String, Self>()? {
            check_name(&name, names.contains(&name))?;
            if names.len() == NAMES_MAX {
                return Err(A::Error::custom(format!("an object has more than {NAMES_MAX} names")));
            }
            names.insert(name);
        }
        Ok(self)
    }
}

/// Checks that [`parse`] accepts a text and that no object has more than 10,000 names.
///
/// # Errors
/// The text is not accepted.
pub fn check(text: &[u8]) -> serde_json::Result<()> {
    serde_json::from_slice(text).map(|Checked| ())
}

/// The characters that JSON allows in a text and that some readers take for the end of a line: their bytes, and their
/// escape.
const LINE_SEPARATORS: [(&[u8], &[u8]); 3] =
    [(b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029")];

/// Appends a JSON text to `to` on one line for every reader: U+0085, U+2028 and U+2029 are escaped.
///
/// The text must be JSON on one line. Its meaning is kept; only its bytes may differ.
pub fn push_line(to: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(start) = rest.iter().position(|byte| matches!(byte, 0xc2 | 0xe2)) {
        let (before, after) = rest.split_at_checked(start).unwrap_or((rest, &[]));
        to.extend_from_slice(before);
        let found = LINE_SEPARATORS.iter().find_map(|(bytes, escape)| Some((after.strip_prefix(*bytes)?, *escape)));
        let (first, left) = after.split_at_checked(1).unwrap_or((after, &[]));
        let (left, pushed) = found.unwrap_or((left, first));
        to.extend_from_slice(pushed);
        rest = left;
    }
    to.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{NotRead, VALUES_MAX, check, parse, parse_bounded, push_line};

    #[test]
    fn a_line_of_json_has_no_separator_in_it_and_means_the_same() {
        let texts = [
            "",
            "a\u{85}b",
            "\u{2028}",
            "\u{2029}\u{2028}\u{2029}",
            "\u{2027}\u{202a}",
            "caf\u{e9} \u{a0}",
            "\u{20ac}\u{1f600}",
        ];
        for text in texts {
            let value = json!({ text: [text, {"within": text}] });
            let mut line = Vec::new();
            push_line(&mut line, value.to_string().as_bytes());
            let line = String::from_utf8(line).unwrap_or_default();
            assert!(!line.contains(['\u{85}', '\u{2028}', '\u{2029}']), "{text:?}");
            assert_eq!(serde_json::from_str::<Value>(&line).ok(), Some(value), "{line}");
        }
    }

    #[test]
    fn a_line_without_a_separator_is_left_as_it_is_whatever_its_bytes() {
        for bytes in [b"plain".as_slice(), "\u{2020}\u{c5}".as_bytes(), b"\xc2", b"\xe2\x80", b"\xe2\xe2\xc2"] {
            let mut line = b"data: ".to_vec();
            push_line(&mut line, bytes);
            assert_eq!(line.strip_prefix(b"data: "), Some(bytes));
        }
    }

    #[test]
    fn a_value_is_read_as_it_is_written() {
        let text = r#"{"a":[1,-2,3.5,"b\n",true,null,{"c":{}}],"d":18446744073709551615}"#;
        assert_eq!(parse(text.as_bytes()).map(|value| value.to_string()).ok().as_deref(), Some(text));
    }

    #[test]
    fn a_text_within_a_text_stays_a_text() {
        for name in
            ["$serde_json::private::RawValue", "\\u0024serde_json::private::RawValue", "$serde_json::private::Number"]
        {
            assert!(parse(format!(r#"[{{"{name}":"[[1]]"}}]"#).as_bytes()).is_err(), "{name}");
        }
    }

    #[test]
    fn names_are_not_given_twice_and_depth_is_limited() {
        assert!(parse(br#"{"a":1,"a":2}"#).is_err());
        assert!(parse("[".repeat(200).as_bytes()).is_err());
    }

    #[test]
    fn check_accepts_what_parse_accepts() {
        for text in [
            r#"{"a":[1,-2,3.5,"b\n",true,null,{"c":{}}]}"#,
            r#"{"a":1,"a":2}"#,
            r#"[{"$serde_json::private::Number":"1"}]"#,
            r#"{"a":"#,
            "[1] 2",
            &"[".repeat(200),
            &format!("{}{}", "[".repeat(100), "]".repeat(100)),
        ] {
            assert_eq!(check(text.as_bytes()).is_ok(), parse(text.as_bytes()).is_ok(), "{text}");
        }
    }

    #[test]
    fn values_and_the_items_of_a_list_are_counted_while_they_are_read() {
        let list = |name: &str, len: usize| format!(r#"{{"{name}":[{}1]}}"#, "1,".repeat(len - 1));
        let bound = Some(("commands", 3));
        assert!(parse_bounded(list("commands", 3).as_bytes(), bound).is_ok());
        assert!(matches!(parse_bounded(list("commands", 4).as_bytes(), bound), Err(NotRead::LongList(4))));
        assert!(matches!(parse_bounded(list("commands", 500_000).as_bytes(), bound), Err(NotRead::LongList(500_000))));
        assert!(parse_bounded(list("other", 4).as_bytes(), bound).is_ok());
        assert!(parse_bounded(format!("[{}]", list("commands", 4)).as_bytes(), bound).is_ok());
        let most = VALUES_MAX - 2;
        assert!(parse_bounded(list("other", most).as_bytes(), bound).is_ok());
        assert!(matches!(parse_bounded(list("other", most + 1).as_bytes(), bound), Err(NotRead::TooManyValues)));
        assert!(matches!(parse_bounded(b"{\"commands\":[1,1,1,1,", bound), Err(NotRead::Json(_))));
    }
}
