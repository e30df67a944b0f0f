//! The common parts of tests over random histories: their configuration, and the moments to compare.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use tenure::domain::model::event::EventData;
use tenure::domain::model::role::WorkspaceKind;
use tenure::domain::model::time::Instant;

use super::generate::Mix;
use crate::support::{Writer, after};

/// A history with a bit of everything.
pub const EVERYTHING: Mix = Mix {
    prepared: true,
    kind: WorkspaceKind::Shared,
    workspace: 2,
    members: 5,
    environments: 5,
    grants: 5,
    credentials: 4,
    proxy_tokens: 3,
    resources: 4,
};

/// Two numbers that choose a moment of any history.
pub type Choices = (u16, u16);

/// Returns some moments.
pub fn moments(count: usize) -> impl Strategy<Value = Vec<Choices>> {
    vec(any::<Choices>(), count)
}

/// Returns a configuration with this seed, unless the environment gives another.
pub fn config(seed: u64) -> Config {
    let config = Config { failure_persistence: None, ..Config::default() };
    let rng_seed = if config.rng_seed == RngSeed::Random { RngSeed::Fixed(seed) } else { config.rng_seed };
    Config { rng_seed, ..config }
}

/// Returns an instant at which something happens or expires, or just before or after it.
pub fn instant(writer: &Writer, choice: u16) -> Instant {
    let expiries = writer.events.iter().filter_map(|event| match &event.data {
        EventData::GrantAdded(_, terms) | EventData::GrantChanged(_, terms) => terms.expires_at,
        EventData::TokenIssued(_, terms) => terms.expires_at,
        EventData::ProxyTokenCreated(_, terms) => terms.expires_at,
        _ => None,
    });
    let all: Vec<_> = writer.events.iter().map(|event| event.time).chain(expiries).chain([writer.clock]).collect();
    let choice = usize::from(choice);
    after(all[choice / 4 % all.len()], [0, 0, 1, -1][choice % 4])
}
