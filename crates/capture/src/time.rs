//! Points in time: milliseconds since the epoch in memory, ISO 8601 in HAR and JSON lines.

use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serializer};
use time::format_description::well_known::{Iso8601, Rfc2822};
use time::{OffsetDateTime, UtcDateTime};

/// Reads an ISO 8601 date and time with an offset as milliseconds since the epoch. A blank stands for the `T` as well.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let text = text.trim();
    let time = OffsetDateTime::parse(
        &text.to_ascii_uppercase().replacen(' ', "T", 1),
        &Iso8601::PARSING,
    )
    .ok()?;
    // Microseconds are what is told, and exact.
    Some(time.unix_timestamp_nanos().div_euclid(1000) as f64 / 1000.0)
}

/// Reads a date as HTTP's headers have it, such as `Sat, 31 Jan 2026 12:00:00 GMT`, with dashes as well.
pub(crate) fn parse_http(text: &str) -> Option<f64> {
    let time = OffsetDateTime::parse(&text.replace('-', " "), &Rfc2822).ok()?;
    Some(time.unix_timestamp() as f64 * 1000.0)
}

fn utc(microseconds: f64) -> Option<UtcDateTime> {
    // What is no number is 0, and what is too large is refused. A float has no room for all nanoseconds of our days.
    UtcDateTime::from_unix_timestamp_nanos((microseconds as i128).saturating_mul(1000)).ok()
}

/// The form that HTTP's headers have; nothing for what lies outside of the years 0 to 9999.
pub(crate) fn format_http(milliseconds: f64) -> Option<String> {
    let time = utc(milliseconds.trunc() * 1000.0).filter(|time| time.year() >= 0)?;
    let name = |name: String| name.get(..3).unwrap_or_default().to_owned();
    Some(format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        name(time.weekday().to_string()),
        time.day(),
        name(time.month().to_string()),
        time.year(),
        time.hour(),
        time.minute(),
        time.second()
    ))
}

/// The ISO 8601 form, in UTC with microseconds. What lies outside of the years 0 to 9999 becomes the epoch.
pub(crate) fn format(milliseconds: f64) -> String {
    let time = utc((milliseconds * 1000.0).round()).filter(|time| time.year() >= 0);
    let time = time.unwrap_or(UtcDateTime::UNIX_EPOCH);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.microsecond()
    )
}

/// For serde's `with`.
pub(crate) fn serialize<S: Serializer>(milliseconds: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*milliseconds))
}

/// For serde's `with`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| D::Error::custom("expected a date and time such as 2026-01-31T12:00:00.000Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_understood_and_utc_is_written() {
        let noon = parse("2026-01-31T13:00:00.123456+01:00").unwrap();
        assert_eq!(format(noon), "2026-01-31T12:00:00.123456Z");
        for milliseconds in 0..1000 {
            let text = format!("2026-01-31T12:00:00.{milliseconds:03}Z");
            let time = parse(&text).unwrap();
            assert_eq!(time % 1000.0, f64::from(milliseconds), "{text}");
            assert_eq!(format(time), format!("2026-01-31T12:00:00.{milliseconds:03}000Z"));
        }
        assert_eq!(parse("yesterday"), None);
        assert_eq!(format(f64::NAN), "1970-01-01T00:00:00.000000Z");
        assert_eq!(format(f64::INFINITY), "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn odd_forms_are_understood() {
        let noon = parse("2026-01-31T12:00:00Z").unwrap();
        for text in [
            "2026-01-31t12:00:00z",
            "2026-01-31 12:00:00+00:00",
            "2026-01-31T13:00:00.000+0100",
            " 2026-01-31T12:00:00.000000000Z ",
            "2026-01-31T12:00Z",
        ] {
            assert_eq!(parse(text), Some(noon), "{text}");
        }
        for text in [
            "",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-02-30T12:00:00Z",
            "é026-01-31T12:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        let headers = [
            "Sat, 31 Jan 2026 12:00:00 GMT",
            "Sat, 31-Jan-2026 12:00:00 GMT",
            "31 Jan 2026 13:00:00 +0100",
        ];
        for text in headers {
            assert_eq!(parse_http(text), Some(noon), "{text}");
        }
        assert_eq!(format_http(noon).as_deref(), Some(headers[0]));
        for milliseconds in [-1e20, 1e20, -62_167_219_200_001.0] {
            assert_eq!(format_http(milliseconds), None);
            assert_eq!(parse(&format(milliseconds)), Some(0.0));
        }
    }
}
