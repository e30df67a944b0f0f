//! The `Date` header of responses (RFC 9110 §6.6.1), from the service's own clock.
//!
//! The server's library would take it from the machine's clock: it panics in years that the header cannot express, and never goes back
//! after a jump.

use std::cell::RefCell;

use axum::http::HeaderValue;

use crate::domain::model::time::Instant;

/// The last second that the header can express: 9999-12-31T23:59:59Z.
const SECONDS_MAX: i64 = 253_402_300_799;

thread_local! {
    /// The last second that a header was written for, with the header.
    static LAST: RefCell<(i64, Option<HeaderValue>)> = const { RefCell::new((i64::MIN, None)) };
}

/// Returns an instant as an HTTP date; none outside of the years 1970 to 9999.
pub fn value(now: Instant) -> Option<HeaderValue> {
    let second = now.micros().div_euclid(1_000_000);
    LAST.with_borrow_mut(|(last, value)| {
        if *last != second {
            (*last, *value) = (second, write(second));
        }
        value.clone()
    })
}

fn write(second: i64) -> Option<HeaderValue> {
    let time = chrono::DateTime::from_timestamp((0..=SECONDS_MAX).contains(&second).then_some(second)?, 0)?;
    HeaderValue::try_from(time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn written(second: i64) -> Option<String> {
        let value = value(Instant::from_micros(second.saturating_mul(1_000_000)))?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_date_is_that_of_its_second_and_goes_back_with_the_clock() {
        // RFC 9110 §5.6.7.
        assert_eq!(written(784_111_777).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(written(784_111_778).as_deref(), Some("Sun, 06 Nov 1994 08:49:38 GMT"));
        assert_eq!(written(784_111_777).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    }

    #[test]
    fn a_year_that_the_header_cannot_express_has_no_date() {
        assert_eq!(written(0).as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
        assert_eq!(written(SECONDS_MAX).as_deref(), Some("Fri, 31 Dec 9999 23:59:59 GMT"));
        for second in [-1, SECONDS_MAX + 1, i64::MIN / 1_000_000, i64::MAX / 1_000_000] {
            assert_eq!(written(second), None, "{second}");
        }
    }
}
