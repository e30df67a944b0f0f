//! The pairs of a query: principals in environments, in a fixed order.

use std::sync::Arc;

use crate::domain::model::id::EnvironmentId;
use crate::domain::model::principal::Principal;

/// Pairs of an environment and a principal, ordered by environment, then by principal.
///
/// Environments often have the same list of principals, which is then shared.
#[derive(Debug, Clone, Default)]
pub struct Pairs {
    /// Each environment with its principals, and the number of pairs up to and including it.
    groups: Vec<(EnvironmentId, Arc<[Principal]>, usize)>,
}

impl Pairs {
    /// Pairs each of the environments with each of the principals.
    pub fn all(environments: impl IntoIterator<Item = EnvironmentId>, principals: Vec<Principal>) -> Self {
        let principals: Arc<[Principal]> = principals.into();
        environments.into_iter().map(|environment| (environment, Arc::clone(&principals))).collect()
    }

    /// Returns the number of pairs.
    pub fn len(&self) -> usize {
        self.groups.last().map_or(0, |(_, _, end)| *end)
    }

    /// Checks whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the size in memory, in bytes; a shared list counts once.
    pub fn bytes(&self) -> usize {
        let lists = self.groups.iter().map(|(_, list, _)| (list.as_ptr().addr(), size_of_val(&**list)));
        let lists: std::collections::HashMap<_, _> = lists.collect();
        lists.values().sum::<usize>().saturating_add(size_of_val(&*self.groups))
    }

    /// Returns the pair at an index.
    pub fn get(&self, index: usize) -> Option<(EnvironmentId, &Principal)> {
        let group = self.groups.partition_point(|(_, _, end)| *end <= index);
        let (environment, principals, end) = self.groups.get(group)?;
        Some((*environment, principals.get((index + principals.len()).checked_sub(*end)?)?))
    }
}

impl FromIterator<(EnvironmentId, Arc<[Principal]>)> for Pairs {
    fn from_iter<I: IntoIterator<Item = (EnvironmentId, Arc<[Principal]>)>>(groups: I) -> Self {
        let mut end = 0_usize;
        let group = |(environment, principals): (EnvironmentId, Arc<[Principal]>)| {
            end = end.saturating_add(principals.len());
            (environment, principals, end)
        };
        Self { groups: groups.into_iter().map(group).collect() }
    }
}
