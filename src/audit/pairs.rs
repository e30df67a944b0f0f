//! Who and where a question is about: principals in environments, in a fixed order.

use std::sync::Arc;

use crate::domain::model::id::EnvironmentId;
use crate::domain::model::principal::Principal;

/// Pairs of an environment and a principal, in the order of environments and then of principals. The principals of many
/// environments are often the same list, and are kept once.
#[derive(Debug, Clone, Default)]
pub struct Pairs {
    /// Each environment with its principals, and how many pairs there are up to and with it.
    places: Vec<(EnvironmentId, Arc<[Principal]>, usize)>,
}

impl Pairs {
    /// Each of the environments with each of the principals.
    pub fn all(environments: impl IntoIterator<Item = EnvironmentId>, principals: Vec<Principal>) -> Self {
        let principals: Arc<[Principal]> = principals.into();
        environments.into_iter().map(|environment| (environment, Arc::clone(&principals))).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.last().map_or(0, |(_, _, end)| *end)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much memory they take, in bytes: that of each list once.
    pub fn bytes(&self) -> usize {
        let lists = self.places.iter().map(|(_, list, _)| (list.as_ptr().addr(), size_of_val(&**list)));
        let lists: std::collections::HashMap<_, _> = lists.collect();
        lists.values().sum::<usize>().saturating_add(size_of_val(&*self.places))
    }

    /// The pair of a place in the order.
    pub fn get(&self, index: usize) -> Option<(EnvironmentId, &Principal)> {
        let place = self.places.partition_point(|(_, _, end)| *end <= index);
        let (environment, principals, end) = self.places.get(place)?;
        Some((*environment, principals.get((index + principals.len()).checked_sub(*end)?)?))
    }
}

impl FromIterator<(EnvironmentId, Arc<[Principal]>)> for Pairs {
    fn from_iter<I: IntoIterator<Item = (EnvironmentId, Arc<[Principal]>)>>(places: I) -> Self {
        let mut end = 0_usize;
        let place = |(environment, principals): (EnvironmentId, Arc<[Principal]>)| {
            end = end.saturating_add(principals.len());
            (environment, principals, end)
        };
        Self { places: places.into_iter().map(place).collect() }
    }
}
