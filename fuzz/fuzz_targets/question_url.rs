//! The part of a URL after the `?`: parameters, views, spans and the conditions of a list of events.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenure::domain::model::time::{Instant, Revision};
use tenure::http::params::Params;
use tenure::query::events::EventsQuery;
use tenure::query::list::{DiffListQuery, ListQuery, TenureListQuery};

fuzz_target!(|bytes: &[u8]| {
    let Ok(query) = std::str::from_utf8(bytes) else { return };
    let Ok(params) = Params::parse(Some(query)) else { return };
    let _ = params.clone().at();
    let _ = params.clone().limit();
    let _ = params.clone().reason();
    let _ = EventsQuery::parse(&mut params.clone());
    let _ = TenureListQuery::parse(&mut params.clone());
    let _ = DiffListQuery::parse(&mut params.clone());
    for (_, value) in params.pairs() {
        if let Ok(instant) = value.parse::<Instant>() {
            assert_eq!(instant.to_string().parse(), Ok(instant), "what is written can be read");
        }
        if let Ok(revision) = value.parse::<Revision>() {
            assert_eq!(revision.to_string().parse(), Ok(revision));
        }
    }
    let _ = params.finish();
});
