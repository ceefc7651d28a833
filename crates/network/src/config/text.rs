//! Addresses of smoltcp as text in JSON.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serializer};

pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(crate) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| unreadable(&text))
}

fn unreadable<E: serde::de::Error>(text: &str) -> E {
    let shown: String = text.chars().take(64).collect();
    E::custom(format!(
        "expected an address such as 10.0.0.0/24 or 52:54:00:12:34:56, found “{shown}”"
    ))
}

/// The same where there may be none.
pub(crate) mod option {
    use super::{Deserialize, Deserializer, Display, FromStr, Serializer, unreadable};

    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T: FromStr, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(|_| unreadable(&text)))
            .transpose()
    }
}

/// MAC addresses, with colons as guests show them.
pub(crate) mod mac {
    use smoltcp::wire::EthernetAddress;

    use super::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(mac: &EthernetAddress, serializer: S) -> Result<S::Ok, S::Error> {
        let [a, b, c, d, e, f] = mac.0;
        serializer.collect_str(&format_args!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<EthernetAddress, D::Error> {
        super::deserialize(deserializer)
    }
}
