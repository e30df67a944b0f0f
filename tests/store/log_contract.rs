//! The contract of the event log, run against every implementation, and the exact bytes of an event.
//!
//! A clause of the contract is a function over [`StoreFixture`]; `contract!` makes a test of each for one implementation. When such a
//! test is over, the whole log that it made is verified once more, after it was opened anew.

mod clauses;
mod codec;
mod sqlite;
mod support;
