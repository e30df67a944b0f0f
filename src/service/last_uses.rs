//! The last uses of credentials, as queries read them.

use super::Service;
use crate::domain::model::credential::CredentialId;
use crate::domain::model::time::Instant;
use crate::query::credentials::LastUses;

impl LastUses for Service {
    fn last_used_at(&self, credential: CredentialId) -> Option<Instant> {
        self.last_used_of(credential).unwrap_or_default()
    }
}
