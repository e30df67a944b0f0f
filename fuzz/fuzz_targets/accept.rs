//! `Accept` headers: the response always has an offered form, or is refused.
#![no_main]

use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tenure::http::accept::{FORMS_OF_REPORTS, FORMS_OF_ROWS};
use tenure::log::journal::AnswerForm;

fuzz_target!(|bytes: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        headers.append(ACCEPT, value);
    }
    for offered in [FORMS_OF_ROWS, FORMS_OF_REPORTS] {
        if let Ok(form) = AnswerForm::negotiate(&headers, offered) {
            assert!(offered.contains(&form));
        }
    }
});
