//! Requests that failed, and errors that are none.

use super::read::{Reader, owned, some};
use super::remarks::Fate;
use crate::devtools::is_no_error;
use crate::exchange::Exchange;

/// Where recorders write why a request failed: Chromium, WebKit and mitmproxy; Playwright; others.
pub(super) const ERRORS: [&str; 4] = ["_error", "_failureText", "_errorText", "_errorMessage"];

/// What a response tells of its failure.
pub(super) struct Failed<'a> {
    /// The values of [`ERRORS`].
    pub(super) errors: [Option<&'a str>; ERRORS.len()],
    /// Charles' word for how it went.
    pub(super) charles: Option<&'a str>,
}

impl Reader<'_> {
    /// Why the request failed, where somebody says so: the response, or the entry in `errors` and `aborted`.
    pub(super) fn failure(
        &mut self,
        failed: Failed<'_>,
        errors: [Option<&str>; ERRORS.len()],
        aborted: Option<&str>,
        exchange: &mut Exchange,
    ) {
        let lenient = &mut self.lenient;
        let mut texts: Vec<String> = Vec::new();
        for reason in failed.errors.into_iter().chain(errors) {
            let what = "the reason of a failure";
            let reason = match reason.filter(|reason| reason.starts_with('{')) {
                Some(object) => {
                    let [message, code] = lenient.object(Some(object), ["message", "code"], what);
                    message.or(code)
                }
                None => reason,
            };
            texts.extend(some(lenient.text(reason, what)).filter(|text| text != "false"));
        }
        let charles = owned(lenient.text(failed.charles, "Charles' status"));
        let is_fine = charles.is_empty() || charles.eq_ignore_ascii_case("complete");
        texts.extend((!is_fine).then(|| format!("Charles: {charles}")));
        texts.extend((aborted == Some("true")).then(|| "aborted".to_owned()));
        exchange.response.error = texts.into_iter().next();
        // Our own files mean what they say.
        if exchange.response.error.is_none() || self.extra.is_some() {
            return;
        }
        if is_no_error(exchange) {
            exchange.response.error = None;
            return;
        }
        // A status without anything else of a response is what the recorder had put there before.
        let response = &mut exchange.response;
        let is_bare = response.headers.is_empty()
            && response.transfer_size.is_none_or(|size| size == 0)
            && response.body.as_ref().is_none_or(|body| body.size == 0);
        if is_bare && response.status != 0 && response.status != 101 {
            response.status = 0;
            response.status_text.clear();
            lenient
                .remarks
                .note(Fate::LeftAside, "the status of a request that failed");
        }
    }
}
