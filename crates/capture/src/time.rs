//! Points in time: milliseconds since the epoch in memory, ISO 8601 in HAR and JSON lines.

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serializer};

/// Reads an ISO 8601 date and time with an offset as milliseconds since the epoch.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let timestamp: Timestamp = text.parse().ok()?;
    Some(timestamp.as_microsecond() as f64 / 1000.0)
}

/// Reads a date as HTTP's headers have it, such as `Sat, 31 Jan 2026 12:00:00 GMT`, with dashes as well.
pub(crate) fn parse_http(text: &str) -> Option<f64> {
    let text = text.replace('-', " ");
    let timestamp = jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(&text)
        .ok()?;
    Some(timestamp.as_millisecond() as f64)
}

/// The form that HTTP's headers have; nothing for what lies outside of the years 0 to 9999.
pub(crate) fn format_http(milliseconds: f64) -> Option<String> {
    let timestamp = Timestamp::from_millisecond(milliseconds as i64).ok()?;
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&timestamp)
        .ok()
}

/// The ISO 8601 form, in UTC with microseconds. What lies outside of the years -9999 to 9999 becomes the epoch.
pub(crate) fn format(milliseconds: f64) -> String {
    let timestamp = Timestamp::from_microsecond((milliseconds * 1000.0).round() as i64).unwrap_or_default();
    format!("{timestamp:.6}")
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
        assert_eq!(parse("yesterday"), None);
        assert_eq!(format(f64::NAN), "1970-01-01T00:00:00.000000Z");
        assert_eq!(format(f64::INFINITY), "1970-01-01T00:00:00.000000Z");
    }
}
