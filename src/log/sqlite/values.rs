//! The domain's values in columns: ids as the 16 bytes of their UUID, instants as microseconds, others as text.

use std::fmt::Display;
use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Value, ValueRef};
use uuid::Uuid;

use crate::domain::model::credential::SecretDigest;
use crate::domain::model::id::{CommandId, ReadId, TokenId, UserId, WorkspaceId};
use crate::domain::model::name::{EmailAddress, PersonName, StoredText, WorkspaceName};
use crate::domain::model::principal::Principal;
use crate::domain::model::role::AccessKeyRole;
use crate::domain::model::time::{Instant, Revision};
use crate::log::journal::{AnswerForm, AuditReader};
use crate::log::{CredentialHolder, CredentialId, CursorSecret, RecordScope};

const PROXY_TOKEN_HOLDER: &str = "proxy_token";
const ACCESS_KEY_HOLDER: &str = "access_key:";

type Bound<'a> = rusqlite::Result<ToSqlOutput<'a>>;

fn text(value: impl Display) -> ToSqlOutput<'static> {
    ToSqlOutput::Owned(Value::Text(value.to_string()))
}

fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(value: ValueRef<'_>) -> FromSqlResult<T> {
    value.as_str()?.parse().map_err(FromSqlError::other)
}

fn stored<T: StoredText>(value: ValueRef<'_>) -> FromSqlResult<T> {
    T::stored(value.as_str()?).map_err(FromSqlError::other)
}

/// Returns a whole number for `SQLite`. One that is too large becomes the largest.
fn whole(number: u64) -> ToSqlOutput<'static> {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

/// A position in the feed, a sequence number in the journal, or a number of rows.
pub(super) struct Count(pub(super) u64);

impl ToSql for Count {
    fn to_sql(&self) -> Bound<'_> {
        Ok(whole(self.0))
    }
}

impl FromSql for Count {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let number = value.as_i64()?;
        u64::try_from(number).map(Self).map_err(|_| FromSqlError::OutOfRange(number))
    }
}

impl ToSql for Revision {
    fn to_sql(&self) -> Bound<'_> {
        Ok(whole(self.0))
    }
}

impl FromSql for Revision {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Count::column_result(value).map(|number| Self(number.0))
    }
}

impl ToSql for Instant {
    fn to_sql(&self) -> Bound<'_> {
        Ok(self.micros().into())
    }
}

impl FromSql for Instant {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self::from_micros)
    }
}

impl ToSql for WorkspaceId {
    fn to_sql(&self) -> Bound<'_> {
        Ok(self.uuid().as_bytes().to_vec().into())
    }
}

impl FromSql for WorkspaceId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 16]>::column_result(value).map(|bytes| Self::from_uuid(Uuid::from_bytes(bytes)))
    }
}

impl ToSql for CommandId {
    fn to_sql(&self) -> Bound<'_> {
        Ok(self.uuid().as_bytes().to_vec().into())
    }
}

impl ToSql for ReadId {
    fn to_sql(&self) -> Bound<'_> {
        Ok(self.uuid().as_bytes().to_vec().into())
    }
}

impl FromSql for ReadId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 16]>::column_result(value).map(|bytes| Self::from_uuid(Uuid::from_bytes(bytes)))
    }
}

impl ToSql for SecretDigest {
    fn to_sql(&self) -> Bound<'_> {
        Ok(self.0.as_slice().into())
    }
}

impl FromSql for SecretDigest {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 32]>::column_result(value).map(Self)
    }
}

impl ToSql for CursorSecret {
    fn to_sql(&self) -> Bound<'_> {
        Ok(self.expose().as_slice().into())
    }
}

impl FromSql for CursorSecret {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 32]>::column_result(value).map(Self::new)
    }
}

impl ToSql for CredentialId {
    fn to_sql(&self) -> Bound<'_> {
        Ok(match self {
            Self::Token(id) => text(id),
            Self::ProxyToken(id) => text(id),
            Self::AccessKey(id) => text(id),
        })
    }
}

impl FromSql for CredentialId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        parsed(value)
    }
}

impl FromSql for UserId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        parsed(value)
    }
}

impl ToSql for CredentialHolder {
    fn to_sql(&self) -> Bound<'_> {
        Ok(match self {
            Self::Principal(principal) => text(principal),
            Self::ProxyToken => PROXY_TOKEN_HOLDER.into(),
            Self::AccessKey(role) => text(format_args!("{ACCESS_KEY_HOLDER}{role}")),
        })
    }
}

impl FromSql for CredentialHolder {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let holder = value.as_str()?;
        match holder.strip_prefix(ACCESS_KEY_HOLDER) {
            Some(role) => role.parse::<AccessKeyRole>().map(Self::AccessKey).map_err(FromSqlError::other),
            None if holder == PROXY_TOKEN_HOLDER => Ok(Self::ProxyToken),
            None => holder.parse::<Principal>().map(Self::Principal).map_err(FromSqlError::other),
        }
    }
}

impl ToSql for UserId {
    fn to_sql(&self) -> Bound<'_> {
        Ok(self.as_str().into())
    }
}

impl ToSql for WorkspaceName {
    fn to_sql(&self) -> Bound<'_> {
        Ok(self.as_str().into())
    }
}

impl ToSql for PersonName {
    fn to_sql(&self) -> Bound<'_> {
        Ok(self.as_str().into())
    }
}

impl FromSql for PersonName {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        stored(value)
    }
}

impl ToSql for EmailAddress {
    fn to_sql(&self) -> Bound<'_> {
        Ok(self.as_str().into())
    }
}

impl FromSql for EmailAddress {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        stored(value)
    }
}

impl ToSql for TokenId {
    fn to_sql(&self) -> Bound<'_> {
        Ok(text(self))
    }
}

impl FromSql for TokenId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        parsed(value)
    }
}

impl ToSql for AuditReader {
    fn to_sql(&self) -> Bound<'_> {
        Ok(text(self))
    }
}

impl FromSql for AuditReader {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        parsed(value)
    }
}

impl ToSql for RecordScope {
    fn to_sql(&self) -> Bound<'_> {
        Ok(text(self))
    }
}

impl FromSql for RecordScope {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        parsed(value)
    }
}

impl ToSql for AnswerForm {
    fn to_sql(&self) -> Bound<'_> {
        Ok(self.as_str().into())
    }
}

impl FromSql for AnswerForm {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        parsed(value)
    }
}
