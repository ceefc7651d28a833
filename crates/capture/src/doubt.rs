//! What the browser did not tell about an exchange, or may have told otherwise than it was: marked, never guessed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something about an exchange that is not known for certain. `Display` says it in a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Doubt {
    /// The request's body may have been other bytes: it was given as text, and unpacked.
    RequestBody,
    /// The request may have had a body, which was not given.
    RequestBodyUnknown,
    /// The response's body was larger than the browser keeps.
    ResponseBodyTooLarge,
    /// The response's body was no longer there: after a navigation, or to make room for others.
    ResponseBodyGone,
    /// The response's body was not given in time.
    ResponseBodyLate,
    /// The response may have had a body, or more of it, which the browser does not give for such a response.
    ResponseBodyUnknown,
    /// The response's body was given as text, which is here in UTF-8; what came from the server may be other bytes.
    ResponseBodyRecoded,
    /// The order in which headers were sent.
    HeaderOrder,
    /// When it started: what stands there is when the browser told of it.
    Start,
    /// Why there is no response.
    Failure,
}

impl Doubt {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::RequestBody,
        Self::RequestBodyUnknown,
        Self::ResponseBodyTooLarge,
        Self::ResponseBodyGone,
        Self::ResponseBodyLate,
        Self::ResponseBodyUnknown,
        Self::ResponseBodyRecoded,
        Self::HeaderOrder,
        Self::Start,
        Self::Failure,
    ];

    /// Whether it is about a body, and not about something that every recorded exchange lacks.
    pub fn is_of_body(self) -> bool {
        !matches!(self, Self::HeaderOrder | Self::Start | Self::Failure)
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::RequestBody => {
                "The request's body may have been other bytes: DevTools give it as text, and unpacked."
            }
            Self::RequestBodyUnknown => "The request had a body, or may have, that DevTools do not give.",
            Self::ResponseBodyTooLarge => "The response's body is larger than DevTools keep.",
            Self::ResponseBodyGone => {
                "DevTools no longer had the response's body: they drop it with its page, and to make room."
            }
            Self::ResponseBodyLate => "DevTools did not give the response's body in time.",
            Self::ResponseBodyUnknown => {
                "DevTools do not give the body of such a response: it may have had one, or more of it."
            }
            Self::ResponseBodyRecoded => {
                "DevTools gave the response's body as text: here it is in UTF-8, the server may have sent other bytes."
            }
            Self::HeaderOrder => "DevTools do not tell the order in which headers were sent.",
            Self::Start => "DevTools do not tell when it started: the time is that of its end.",
            Self::Failure => "DevTools do not tell why it failed.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_sentence_and_a_name_of_its_own() {
        let names = Doubt::ALL.map(|doubt| serde_json::to_string(&doubt).unwrap());
        let sentences = Doubt::ALL.map(|doubt| doubt.to_string());
        for list in [&names, &sentences] {
            for (at, text) in list.iter().enumerate() {
                assert!(!list[..at].contains(text), "{text}");
            }
        }
        for (name, doubt) in names.iter().zip(Doubt::ALL) {
            assert_eq!(serde_json::from_str::<Doubt>(name).unwrap(), doubt);
        }
        assert!(sentences.iter().all(|sentence| sentence.ends_with('.')));
    }
}
