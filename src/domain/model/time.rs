//! Instants and revisions: the two ways to name a moment.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use chrono::{DateTime, Datelike, SecondsFormat, TimeZone, Timelike, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::model::name::InvalidText;
use crate::domain::model::parsed::parsed;

/// A point in time, in microseconds since 1970-01-01T00:00:00Z.
// Stored as a number from 1, so that `Option<Instant>` has the size of an `Instant`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64);

/// The offset of the stored number: the sign bit, so that the least instant becomes 0.
const SIGN: u64 = 1 << 63;

const INSTANT_RULE: &str =
    "an instant is written as in RFC 3339, such as `2026-03-01T09:30:00Z`, and in UTC is within the years 0 to 9999";

const LEAP_RULE: &str = "no minute has a second 60 there: only 27 days since 1972 ended with a leap second in UTC, such as \
                         `2016-12-31T23:59:60Z`; write a second from 00 to 59";

/// The instants that RFC 3339 can write in UTC, from the year 0 to the year 9999. An offset may name others, which could never
/// be read again.
pub const WRITABLE_MICROS: std::ops::RangeInclusive<i64> = -62_167_219_200_000_000..=253_402_300_799_999_999;

impl Instant {
    /// The earliest instant that an RFC 3339 text can name.
    pub const EARLIEST: Self = Self::from_micros(-62_167_219_200_000_000);

    /// Returns the instant this many microseconds after the epoch. [`i64::MIN`] counts as one more.
    pub const fn from_micros(micros: i64) -> Self {
        match NonZeroU64::new(micros.cast_unsigned() ^ SIGN) {
            Some(number) => Self(number),
            None => Self(NonZeroU64::MIN),
        }
    }

    /// Returns the microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        (self.0.get() ^ SIGN).cast_signed()
    }

    /// Returns the smallest later instant.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp_micros(self.micros()) {
            Some(time) if WRITABLE_MICROS.contains(&self.micros()) => {
                f.write_str(std::str::from_utf8(&rfc_3339(&time)).unwrap_or_default())
            }
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true)),
            None => f.write_str("-infinity"),
        }
    }
}

/// Formats a time within the years 0 to 9999 in RFC 3339. It is hot, so each digit is written at its position.
fn rfc_3339(time: &DateTime<Utc>) -> [u8; 27] {
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let year = time.year().unsigned_abs();
    let fields = [
        (0..4, year),
        (5..7, time.month()),
        (8..10, time.day()),
        (11..13, time.hour()),
        (14..16, time.minute()),
        (17..19, time.second()),
        (20..26, time.timestamp_subsec_micros()),
    ];
    for (range, mut number) in fields {
        for digit in text.get_mut(range).into_iter().flatten().rev() {
            *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
        }
    }
    text
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Instant {
    type Err = InvalidText;

    /// Parses RFC 3339. All of a leap second is the instant at its end, so that order is kept across one.
    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let refused = |rule| InvalidText::new(text, rule);
        let time = DateTime::parse_from_rfc3339(text).map_err(|_| refused(INSTANT_RULE))?;
        let micros = match leap_second_end(&time) {
            None => time.timestamp_micros(),
            Some(end) if LEAP_SECOND_ENDS.contains(&end) => end * MICROS_PER_SECOND,
            Some(_) => return Err(refused(LEAP_RULE)),
        };
        if WRITABLE_MICROS.contains(&micros) { Ok(Self::from_micros(micros)) } else { Err(refused(INSTANT_RULE)) }
    }
}

const MICROS_PER_SECOND: i64 = 1_000_000;

/// The first second after each leap second (IERS Bulletin C, 1972 to 2016), in seconds since the epoch.
const LEAP_SECOND_ENDS: [i64; 27] = [
    78_796_800,
    94_694_400,
    126_230_400,
    157_766_400,
    189_302_400,
    220_924_800,
    252_460_800,
    283_996_800,
    315_532_800,
    362_793_600,
    394_329_600,
    425_865_600,
    489_024_000,
    567_993_600,
    631_152_000,
    662_688_000,
    709_948_800,
    741_484_800,
    773_020_800,
    820_454_400,
    867_715_200,
    915_148_800,
    1_136_073_600,
    1_230_768_000,
    1_341_100_800,
    1_435_708_800,
    1_483_228_800,
];

/// Returns the second after a leap second, in seconds since the epoch, or `None` if the time is not within one.
///
/// `chrono` represents second 60 as second 59 with more than a second of nanoseconds.
fn leap_second_end<Z: TimeZone>(time: &DateTime<Z>) -> Option<i64> {
    (time.nanosecond() >= 1_000_000_000).then(|| time.timestamp().saturating_add(1))
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl JsonSchema for Instant {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Instant".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

/// The number of an event in its workspace's log, from 1. 0 is the empty log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision before the first event.
    pub const ZERO: Self = Self(0);

    /// Returns the next revision.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Revision {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let number = text.strip_prefix('r').unwrap_or(text);
        let digits = number.bytes().all(|b| b.is_ascii_digit());
        let parsed = if digits { number.parse().ok() } else { None };
        parsed.map(Self).ok_or_else(|| InvalidText::new(text, "a revision is a whole number such as `17` or `r17`"))
    }
}

/// The numbers that look like a year in a field that also accepts an instant.
const YEARS: std::ops::RangeInclusive<u64> = 1_970..=2_100;

impl Revision {
    /// Reads a revision in a field that also accepts an instant. Returns `None` if the text is no revision.
    ///
    /// # Errors
    /// The text is a bare number that looks like a year.
    pub fn beside_instants(text: &str) -> Result<Option<Self>, InvalidText> {
        let Ok(revision) = text.parse::<Self>() else { return Ok(None) };
        if YEARS.contains(&revision.0) && !text.starts_with('r') {
            let rule = "a number from 1970 to 2100 looks like a year: write the revision as in `r2026`, or an instant such as \
                        `2026-03-01T09:30:00Z`";
            return Err(InvalidText::new(text, rule));
        }
        Ok(Some(revision))
    }
}

/// A span of time: from an instant, until before another one or without an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    from: Instant,
    until: Option<Instant>,
}

impl Span {
    /// The span of all time.
    pub const ALWAYS: Self = Self { from: Instant::EARLIEST, until: None };

    /// Returns the span between two instants. `None` means without a beginning, or without an end.
    ///
    /// # Errors
    /// The span would end before it begins; returns both instants.
    pub fn new(from: Option<Instant>, until: Option<Instant>) -> Result<Self, (Instant, Instant)> {
        let from = from.unwrap_or(Instant::EARLIEST);
        match until {
            Some(until) if until < from => Err((from, until)),
            _ => Ok(Self { from, until }),
        }
    }

    /// Returns its first instant.
    pub const fn from(&self) -> Instant {
        self.from
    }

    /// Returns the first instant after it, or `None` if it has no end.
    pub const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Returns whether an instant lies in it.
    pub fn contains(&self, instant: Instant) -> bool {
        self.overlaps(instant, Some(instant.next()))
    }

    /// Returns whether it shares an instant with another span.
    pub fn overlaps(&self, from: Instant, until: Option<Instant>) -> bool {
        let begins_before = |instant: Instant, end: Option<Instant>| end.is_none_or(|end| instant < end);
        let first = self.from.max(from);
        begins_before(first, self.until) && begins_before(first, until)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_as_rfc_3339_has_it_in_every_year() {
        let step = 7_919 * 86_399_999_983;
        let (first, last) = (*WRITABLE_MICROS.start(), *WRITABLE_MICROS.end());
        let some = (0..).map_while(|count| first.checked_add(count * step)).take_while(|micros| *micros < last);
        for micros in some.chain([last, 0, -1, 951_782_400_000_000, 4_107_542_399_999_999]) {
            let written = Instant::from_micros(micros).to_string();
            let known = DateTime::<Utc>::from_timestamp_micros(micros).unwrap();
            assert_eq!(written, known.to_rfc3339_opts(SecondsFormat::Micros, true));
            assert_eq!(written.parse(), Ok(Instant::from_micros(micros)));
        }
    }

    fn micros(text: &str) -> Option<i64> {
        text.parse().ok().map(Instant::micros)
    }

    #[test]
    fn a_second_60_is_accepted_at_the_27_leap_seconds_and_nowhere_else() {
        let mut days: Vec<String> = Vec::new();
        for year in 1960..2101 {
            days.extend((1..13).flat_map(|month| (28..32).map(move |day| format!("{year}-{month:02}-{day:02}"))));
        }
        let accepted = days.iter().filter(|day| micros(&format!("{day}T23:59:60Z")).is_some());
        let accepted: Vec<&str> = accepted.map(String::as_str).collect();
        let june = [1972, 1981, 1982, 1983, 1985, 1992, 1993, 1994, 1997, 2012, 2015];
        let december = [1972, 1973, 1974, 1975, 1976, 1977, 1978, 1979, 1987, 1989, 1990, 1995, 1998, 2005, 2008, 2016];
        let mut known: Vec<String> = june.iter().map(|year| format!("{year}-06-30")).collect();
        known.extend(december.iter().map(|year| format!("{year}-12-31")));
        known.sort();
        assert_eq!(accepted, known);
        for text in
            ["2016-12-31T23:58:60Z", "2016-12-31T12:59:60Z", "2016-12-31T23:59:60+01:00", "2016-12-31T23:59:61Z"]
        {
            assert_eq!(micros(text), None, "{text}");
        }
        let message = "2026-03-01T09:30:60Z".parse::<Instant>().unwrap_err().to_string();
        assert!(
            message.starts_with("`2026-03-01T09:30:60Z` is not accepted: no minute has a second 60 there"),
            "{message}"
        );
    }

    #[test]
    fn a_leap_second_is_the_same_instant_with_every_offset() {
        let end = micros("2017-01-01T00:00:00Z");
        for text in [
            "2016-12-31T23:59:60Z",
            "2017-01-01T08:59:60+09:00",
            "2017-01-01T05:29:60+05:30",
            "2016-12-31T18:59:60-05:00",
        ] {
            assert_eq!(micros(text), end, "{text}");
        }
    }

    #[test]
    fn order_is_kept_across_a_leap_second() {
        let texts = [
            "2016-12-31T23:59:59.999999Z",
            "2016-12-31T23:59:60Z",
            "2016-12-31T23:59:60.5Z",
            "2016-12-31T23:59:60.999999999Z",
            "2017-01-01T00:00:00Z",
            "2017-01-01T00:00:00.000001Z",
        ];
        let instants: Vec<Instant> = texts.iter().map(|text| text.parse().unwrap()).collect();
        assert!(instants.is_sorted(), "{instants:?}");
        assert!(instants[0] < instants[1] && instants[4] < instants[5], "it is not merged with a second beside it");
    }

    #[test]
    fn a_number_that_looks_like_a_year_is_no_revision_where_an_instant_may_stand() {
        let read = |text| Revision::beside_instants(text).map(|read| read.map(|Revision(number)| number));
        for (text, number) in [("17", 17), ("r17", 17), ("r2026", 2_026), ("1969", 1_969), ("2101", 2_101), ("0", 0)] {
            assert_eq!(read(text), Ok(Some(number)), "{text}");
        }
        for text in ["1970", "2026", "2100", "02026"] {
            assert!(read(text).unwrap_err().to_string().contains("`r2026`"), "{text}");
        }
        for text in ["2026-03-01", "r", "", "rr1", "R17", "-1", "r-1", "r18446744073709551616"] {
            assert_eq!(read(text), Ok(None), "{text}");
        }
        assert_eq!("r17".parse(), Ok(Revision(17)));
        assert_eq!("2026".parse(), Ok(Revision(2_026)), "where no instant may stand");
    }

    #[test]
    fn what_rfc_3339_cannot_write_is_shown_all_the_same() {
        assert_eq!(Instant::from_micros(*WRITABLE_MICROS.end() + 1).to_string(), "+10000-01-01T00:00:00.000000Z");
        assert_eq!(Instant::from_micros(i64::MIN).to_string(), "-infinity");
    }
}
