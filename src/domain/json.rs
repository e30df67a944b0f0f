//! Reading JSON from outsiders: as plain values, and no name twice in an object.
//!
//! What `serde_json` reads as a value gives a meaning of its own to certain names, by which a text within a text is read as
//! JSON, as deep as one likes. Such names are refused here, so that the limit on depth holds.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// What the names begin with that `serde_json` keeps for itself.
const RESERVED: &str = "$serde_json::private::";

struct Plain(Value);

struct PlainVisitor;

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlainVisitor)
    }
}

impl<'de> Visitor<'de> for PlainVisitor {
    type Value = Plain;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Plain, E> {
        Ok(Plain(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Plain, E> {
        Ok(Plain(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Plain, E> {
        Ok(Plain(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Plain, E> {
        Ok(Plain(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Plain, E> {
        Ok(Plain(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Plain, E> {
        Ok(Plain(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Plain, A::Error> {
        let mut values = Vec::new();
        while let Some(Plain(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Plain(Value::Array(values)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Plain, A::Error> {
        let mut fields = Map::new();
        while let Some((name, Plain(value))) = object.next_entry::<String, Plain>()? {
            if name.starts_with(RESERVED) {
                return Err(A::Error::custom("a field has a name that is not accepted"));
            }
            if fields.contains_key(&name) {
                let name: String = name.chars().take(80).flat_map(char::escape_debug).collect();
                return Err(A::Error::custom(format!("the field `{name}` is given twice")));
            }
            fields.insert(name, value);
        }
        Ok(Plain(Value::Object(fields)))
    }
}

/// The value that a JSON text is.
///
/// # Errors
/// It is none, is too deep, or has an object with a name twice or a reserved one.
pub fn parse(text: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(text).map(|Plain(value)| value)
}

/// The characters that JSON allows in a text as they are, and at which some readers end a line: their bytes, and their escape.
const LINE_SEPARATORS: [(&[u8], &[u8]); 3] =
    [(b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029")];

/// Appends a JSON text to `to` such that no reader takes it for more than one line: U+0085, U+2028 and U+2029 are escaped.
///
/// The text must be JSON on one line. It means the same after this; only its bytes may differ.
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

    use super::{parse, push_line};

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
}
