//! Requests that failed, and errors that are none.

use super::read::{Reader, owned, some};
use super::remarks::Fate;
use crate::exchange::{Exchange, header};

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
        let Some(error) = texts.into_iter().next() else {
            return;
        };
        if is_none(&error, exchange) && self.extra.is_none() {
            return;
        }
        // A status without anything else of a response is what the recorder had put there before.
        let response = &mut exchange.response;
        let is_bare = response.headers.is_empty()
            && response.transfer_size.is_none_or(|size| size == 0)
            && response.body.as_ref().is_none_or(|body| body.size == 0);
        if is_bare && self.extra.is_none() && response.status != 0 && response.status != 101 {
            response.status = 0;
            response.status_text.clear();
            lenient
                .remarks
                .note(Fate::LeftAside, "the status of a request that failed");
        }
        response.error = Some(error);
    }
}

/// Whether an error beside a response is none: Chromium says that the request was aborted where nothing was left to read
/// for the page, as with HEAD, downloads, and navigations that bring no document.
fn is_none(error: &str, exchange: &Exchange) -> bool {
    let response = &exchange.response;
    let is_download = || {
        header(&response.headers, "content-disposition")
            .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("attachment"))
    };
    error == "net::ERR_ABORTED"
        && response.status >= 200
        && (exchange.request.method.eq_ignore_ascii_case("HEAD")
            || is_download()
            || [204, 205].contains(&response.status)
            || exchange.resource_type.as_deref() == Some("document") && !response.headers.is_empty())
}
