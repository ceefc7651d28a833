//! One field at a time: each value of an object is first found, then read by itself, so that one that is odd spoils no
//! other. What is not as it should be is noted in [`Remarks`].

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::remarks::{Fate, Remarks};
use crate::time;

/// Reads values leniently.
pub(super) struct Lenient<'r> {
    pub(super) remarks: &'r mut Remarks,
}

impl Lenient<'_> {
    /// The fields of an object by their names; none of anything else.
    pub(super) fn object<'a, const N: usize>(
        &mut self,
        json: Option<&'a str>,
        names: [&str; N],
        what: &'static str,
    ) -> [Option<&'a str>; N] {
        let Some(json) = present(json) else {
            return [None; N];
        };
        fields(json, names).unwrap_or_else(|_| {
            self.remarks.note(Fate::LeftAside, what);
            [None; N]
        })
    }

    /// Calls `take` with each item of a list, or with each pair of an object.
    pub(super) fn items<'a>(
        &mut self,
        json: Option<&'a str>,
        what: &'static str,
        mut take: impl FnMut(&mut Self, Option<Cow<'a, str>>, &'a str),
    ) {
        let Some(json) = present(json) else { return };
        if each(json, |key, value| take(self, key, value)).is_err() {
            self.remarks.note(Fate::LeftAside, what);
        }
    }

    /// A text. Numbers, `true` and `false` are texts without quotes.
    pub(super) fn text<'a>(&mut self, json: Option<&'a str>, what: &'static str) -> Option<Cow<'a, str>> {
        let json = present(json)?;
        if json.starts_with('"') {
            let text = serde_json::from_str::<Lossy<'_>>(json).ok()?;
            if text.is_mended {
                self.remarks.note(Fate::Mended, "text with half a character");
            }
            return Some(text.text);
        }
        let is_scalar = !json.starts_with(['{', '[']);
        let fate = if is_scalar { Fate::Mended } else { Fate::LeftAside };
        self.remarks.note(fate, what);
        is_scalar.then_some(Cow::Borrowed(json))
    }

    /// A text; what is none stands as JSON.
    pub(super) fn text_or_json<'a>(
        &mut self,
        json: Option<&'a str>,
        what: &'static str,
    ) -> Option<Cow<'a, str>> {
        let json = present(json)?;
        if json.starts_with(['{', '[']) {
            self.remarks.note(Fate::Mended, what);
            return Some(Cow::Borrowed(json));
        }
        self.text(Some(json), what)
    }

    /// A number that is finite, perhaps in quotes.
    pub(super) fn number(&mut self, json: Option<&str>, what: &'static str) -> Option<f64> {
        let json = present(json)?;
        let text = json.trim_matches('"').trim();
        if text.is_empty() {
            return None;
        }
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        match number {
            Some(_) if json.starts_with('"') => self.remarks.note(Fate::Mended, what),
            Some(_) => {}
            None => self.remarks.note(Fate::LeftAside, what),
        }
        number
    }

    /// A point in time in milliseconds since the epoch: ISO 8601, or what else stands for one.
    pub(super) fn date(&mut self, json: Option<&str>, what: &'static str) -> Option<f64> {
        let json = present(json)?;
        if !json.starts_with('"') {
            return self.number(Some(json), what).map(|number| epoch(number) * 1000.0);
        }
        let text = self.text(Some(json), what)?;
        let text = text.trim();
        if text.is_empty() {
            self.remarks.note(Fate::Missing, what);
            return None;
        }
        if let Some(date) = time::parse(text) {
            return Some(date);
        }
        // Without an offset; as in HTTP; the number of seconds or milliseconds.
        let date = time::parse(&format!("{text}Z"))
            .or_else(|| time::parse_http(text))
            .or_else(|| {
                text.parse()
                    .ok()
                    .filter(|number: &f64| *number > 0.0)
                    .map(|number| epoch(number) * 1000.0)
            })
            .filter(|date| date.is_finite());
        let fate = if date.is_some() {
            Fate::Mended
        } else {
            Fate::LeftAside
        };
        self.remarks.note(fate, what);
        date
    }

    /// A number that should be whole and not negative; what is negative stands for "not known".
    pub(super) fn size(&mut self, json: Option<&str>, what: &'static str) -> Option<u64> {
        self.number(json, what)
            .filter(|size| *size >= 0.0)
            .map(|size| size as u64)
    }

    /// Milliseconds; what is negative stands for "does not apply".
    pub(super) fn duration(&mut self, json: Option<&str>, what: &'static str) -> Option<f64> {
        self.number(json, what).filter(|duration| *duration >= 0.0)
    }
}

/// Seconds since the epoch from seconds, milliseconds, microseconds or nanoseconds: what is seconds in no lifetime is
/// the next smaller unit.
pub(super) fn epoch(number: f64) -> f64 {
    match number.abs() {
        size if size < 1e11 => number,
        size if size < 1e14 => number / 1e3,
        size if size < 1e17 => number / 1e6,
        _ => number / 1e9,
    }
}

/// What `null` is not.
pub(super) fn present(json: Option<&str>) -> Option<&str> {
    json.filter(|json| *json != "null")
}

/// The fields of an object by their names, each as it stands; of several with one name the last, as browsers take it.
///
/// # Errors
/// When the text is no JSON object. How deep it is nested does not matter.
pub(super) fn fields<'a, const N: usize>(
    json: &'a str,
    names: [&str; N],
) -> Result<[Option<&'a str>; N], serde_json::Error> {
    let mut found = [None; N];
    if !json.starts_with('{') {
        return Err(serde::de::Error::custom("expected an object"));
    }
    each(json, |key, value| {
        if let Some(index) = names.iter().position(|name| Some(*name) == key.as_deref()) {
            found[index] = Some(value);
        }
    })?;
    Ok(found)
}

/// Calls `take` with each value of an object or list, as it stands, and with its key.
fn each<'a>(json: &'a str, take: impl FnMut(Option<Cow<'a, str>>, &'a str)) -> Result<(), serde_json::Error> {
    struct Each<F>(F);

    impl<'de, F: FnMut(Option<Cow<'de, str>>, &'de str)> Visitor<'de> for Each<F> {
        type Value = ();

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object or a list")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key::<Lossy<'de>>()? {
                (self.0)(Some(key.text), map.next_value::<&RawValue>()?.get());
            }
            Ok(())
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
            while let Some(value) = list.next_element::<&RawValue>()? {
                (self.0)(None, value.get());
            }
            Ok(())
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(json);
    deserializer.deserialize_any(Each(take))?;
    deserializer.end()
}

/// A text in which U+FFFD stands for halves of surrogate pairs, which JSON's escapes can write and UTF-8 cannot.
struct Lossy<'a> {
    text: Cow<'a, str>,
    is_mended: bool,
}

impl<'de> Deserialize<'de> for Lossy<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Lossy<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text")
            }

            fn visit_borrowed_bytes<E: serde::de::Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
                match std::str::from_utf8(bytes) {
                    Ok(text) => Ok(Lossy {
                        text: Cow::Borrowed(text),
                        is_mended: false,
                    }),
                    Err(_) => self.visit_bytes(bytes),
                }
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                let mut text = bytes.to_vec();
                // serde_json gives a lone surrogate as the three bytes that it would have, ED, A0 to BF and one more:
                // as many as U+FFFD has.
                let mut at = 0;
                while let Some(found) = memchr::memchr(0xed, &text[at..]) {
                    at += found;
                    match &mut text[at..] {
                        [first, second @ 0xa0..=0xbf, third, ..] => {
                            (*first, *second, *third) = (0xef, 0xbf, 0xbd);
                            at += 3;
                        }
                        _ => at += 1,
                    }
                }
                let is_mended = text != bytes;
                let text = String::from_utf8(text).map_err(E::custom)?;
                Ok(Lossy {
                    text: Cow::Owned(text),
                    is_mended,
                })
            }
        }

        deserializer.deserialize_bytes(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_leniently() {
        let mut remarks = Remarks::default();
        let mut lenient = Lenient {
            remarks: &mut remarks,
        };
        for (json, text) in [
            ("\"a\\u00e4\"", Some("aä")),
            (
                "\"ok \\ud83d\\ud83e\\udd80\\udc00x\"",
                Some("ok \u{fffd}🦀\u{fffd}x"),
            ),
            ("1.50", Some("1.50")),
            ("true", Some("true")),
            ("null", None),
            ("{}", None),
        ] {
            assert_eq!(lenient.text(Some(json), "a").as_deref(), text, "{json}");
        }
        for (json, number) in [
            ("\"200\"", Some(200.0)),
            ("-1e2", Some(-100.0)),
            ("1e999", None),
            ("\"\"", None),
            ("\"x\"", None),
            ("[1]", None),
        ] {
            assert_eq!(lenient.number(Some(json), "b"), number, "{json}");
        }
        let noon = Some(1_769_860_800_000.0);
        for (json, date) in [
            ("\"2026-01-31T12:00:00Z\"", noon),
            ("\"2026-01-31T13:00:00.0000000+01:00\"", noon),
            ("\"2026-01-31 12:00:00\"", noon),
            ("\"Sat, 31 Jan 2026 12:00:00 GMT\"", noon),
            ("1769860800", noon),
            ("1769860800000", noon),
            ("\"1769860800000\"", noon),
            ("\"now\"", None),
            ("\"\"", None),
            ("{}", None),
        ] {
            assert_eq!(lenient.date(Some(json), "c"), date, "{json}");
        }
    }

    #[test]
    fn the_last_of_several_counts() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let json = format!(r#"{{"a": 1, "\ud800": 2, "b": {deep}, "a": "x"}}"#);
        let [a, b, c] = fields(&json, ["a", "b", "c"]).unwrap();
        assert_eq!((a, b, c), (Some("\"x\""), Some(deep.as_str()), None));
        assert!(fields("[]", ["a"]).is_err() && fields("{\"a\":}", ["a"]).is_err());
    }
}
