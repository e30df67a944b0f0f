//! The parameters after the `?`, and the serde structs that they and the path are read into.
//!
//! A parameter that is unknown or given twice is refused: a typing error in `at` must not silently turn a question about March into one
//! about today. A struct reads the parameters that its fields name and leaves the rest, so a request can be read into several.

use std::str::FromStr;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::domain::model::name::Reason;
use crate::domain::model::parsed::parsed;
use crate::domain::model::time::{Instant, Revision};
use crate::domain::state::view::At;

use super::problem::Problem;
use crate::query::parameters::Parameters;

/// The default rows of a page.
pub const LIMIT_DEFAULT: usize = 100;
/// The most rows of a page.
pub const LIMIT_MAX: usize = 1_000;

/// The most parameters of a request.
pub const PARAMETERS_MAX: usize = 32;

/// The parameters that nothing has read yet.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Parses a query string.
    ///
    /// # Errors
    /// There are too many parameters, or one is given twice (422).
    pub fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let query = query.unwrap_or_default();
        // Each is compared with all before it, so their number is limited first.
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

    /// Returns the parameters by name and value.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// Takes a parameter out, as text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(index).1)
    }

    /// Takes a parameter out, as a value.
    ///
    /// # Errors
    /// It is not such a value (422).
    pub fn value<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Result<Option<T>, Problem> {
        let parse = |text: String| text.parse().map_err(|error| Problem::invalid(format!("`{name}`: {error}")));
        self.text(name).map(parse).transpose()
    }

    /// Takes out the parameters that the fields of a struct name.
    ///
    /// # Errors
    /// A parameter is not a value of its field's type.
    pub fn read<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        read_fields(|name| self.text(name))
    }

    /// Takes `at` and `revision` out.
    ///
    /// # Errors
    /// They are neither an instant nor a revision, or both are revisions (422).
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

    /// Takes `reason` out.
    ///
    /// # Errors
    /// It is too long, or has invisible characters (422).
    pub fn reason(&mut self) -> Result<Option<Reason>, Problem> {
        let reason: Option<Reason> = self.value("reason")?;
        Ok(reason.filter(|reason| !reason.as_str().is_empty()))
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// The request does not take a parameter (422).
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

/// Reads a struct from texts by the names of its fields.
///
/// # Errors
/// A text is not a value of its field's type (422).
pub fn read_fields<T: DeserializeOwned>(text_of: impl FnMut(&str) -> Option<String>) -> Result<T, Problem> {
    T::deserialize(Fields(text_of)).map_err(|error| Problem::invalid(error.0))
}

/// Returns the names of a struct's fields, as serde knows them.
pub fn field_names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &[&str] = &[];
    // Only the names are needed: the value is never made.
    drop(T::deserialize(Names(&mut names)));
    names
}

/// Reads a field by its `FromStr`, where its form in JSON is no text.
///
/// # Errors
/// The text is not a value of the type.
pub fn from_text<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    parsed(deserializer).map(Some)
}

/// A sentence about a parameter that is not accepted.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct FieldError(String);

impl Error for FieldError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// The texts that a struct is read from, by name.
struct Fields<F>(F);

impl<'de, F: FnMut(&str) -> Option<String>> Deserializer<'de> for Fields<F> {
    type Error = FieldError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_unit()
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        visitor.visit_map(FieldTexts { text_of: self.0, fields, value: None })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// The fields that are still to be read, in their order.
struct FieldTexts<F> {
    text_of: F,
    fields: &'static [&'static str],
    value: Option<FieldText>,
}

impl<'de, F: FnMut(&str) -> Option<String>> MapAccess<'de> for FieldTexts<F> {
    type Error = FieldError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, FieldError> {
        while let Some((name, rest)) = self.fields.split_first() {
            self.fields = rest;
            if let Some(text) = (self.text_of)(name) {
                self.value = Some(FieldText { name, text });
                return seed.deserialize((*name).into_deserializer()).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, FieldError> {
        let value = self.value.take().ok_or_else(|| FieldError::custom("a value is read before its name"))?;
        seed.deserialize(value)
    }
}

/// The text of one field.
struct FieldText {
    name: &'static str,
    text: String,
}

impl FieldText {
    fn error(&self, why: impl std::fmt::Display) -> FieldError {
        FieldError(format!("`{}`: {why}", self.name))
    }

    fn parse<T: FromStr<Err: std::fmt::Display>>(&self) -> Result<T, FieldError> {
        self.text.parse().map_err(|error| self.error(error))
    }
}

impl<'de> Deserializer<'de> for FieldText {
    type Error = FieldError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_str(&self.text).map_err(|FieldError(why)| self.error(why))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match self.text.as_str() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            other => {
                let other: String = other.chars().take(80).flat_map(char::escape_debug).collect();
                Err(self.error(format!("`{other}` is neither `true` nor `false`")))
            }
        }
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_u32(self.parse()?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_u64(self.parse()?)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        struct enum identifier ignored_any
    }
}

/// Notes the names of a struct's fields, and reads nothing.
struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = FieldError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, FieldError> {
        Err(FieldError::custom("only a struct has fields"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, FieldError> {
        *self.0 = fields;
        Err(FieldError::custom("only the names are read"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl Parameters for Params {
    fn take(&mut self, name: &str) -> Option<String> {
        self.text(name)
    }
}
