//! Requests that failed, and errors that are none.

use super::fields::fields;
use super::read::{Reader, owned, some};
use super::remarks::Fate;
use crate::exchange::{Exchange, header};

/// Where recorders write why a request failed: Chromium, WebKit and mitmproxy; Playwright; others.
const ERRORS: [&str; 4] = ["_error", "_failureText", "_errorText", "_errorMessage"];

impl Reader<'_> {
    /// Why the request failed, where somebody says so.
    pub(super) fn failure(&mut self, entry: &str, response: Option<&str>, exchange: &mut Exchange) {
        let lenient = &mut self.lenient;
        let mut texts: Vec<String> = Vec::new();
        for json in [response, Some(entry)] {
            let what = "the reason of a failure";
            for reason in fields(json.unwrap_or_default(), ERRORS).unwrap_or_default() {
                let text = match reason.filter(|reason| reason.starts_with('{')) {
                    Some(object) => {
                        let parts: [Option<&str>; 2] =
                            lenient.object(Some(object), ["message", "code"], what);
                        lenient.text(parts[0].or(parts[1]), what)
                    }
                    None => lenient.text(reason, what),
                };
                texts.extend(some(text).filter(|text| text != "false"));
            }
        }
        let charles = response.and_then(|json| fields(json, ["_charlesStatus"]).ok());
        if let Some([status]) = charles {
            let status = owned(lenient.text(status, "Charles' status"));
            let is_failure = ["", "complete"]
                .iter()
                .all(|fine| !status.eq_ignore_ascii_case(fine));
            texts.extend(is_failure.then(|| format!("Charles: {status}")));
        }
        if let Ok([Some("true")]) = fields(entry, ["_wasAborted"]) {
            texts.push("aborted".to_owned());
        }
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
