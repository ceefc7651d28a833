//! How much of a page's traffic is kept. What is beyond says so: see [`Exchange::cut`].

use crate::exchange::{Cut, Exchange, Header};

/// Bounds on one exchange and on a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of one body.
    pub body: usize,
    /// Most bytes of one URL, header name or header value.
    pub text: usize,
    /// Most headers of one request or response.
    pub headers: usize,
    /// Most WebSocket messages of one exchange.
    pub messages: usize,
    /// Most bytes of memory for one capture.
    pub capture: usize,
    /// Most exchanges in one capture.
    pub exchanges: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 1 << 20,
            text: 32 << 10,
            headers: 256,
            messages: 10_000,
            capture: 200 << 20,
            exchanges: 50_000,
        }
    }
}

impl Limits {
    /// Cuts `exchange` to these limits; [`Exchange::cut`] tells what was cut.
    pub fn apply(&self, exchange: &mut Exchange) {
        for text in [
            &mut exchange.request.method,
            &mut exchange.request.http_version,
            &mut exchange.response.status_text,
            &mut exchange.response.http_version,
        ] {
            cut_text(text, 64);
        }
        for text in [
            &mut exchange.connection,
            &mut exchange.resource_type,
            &mut exchange.priority,
            &mut exchange.initiator,
            &mut exchange.response.error,
        ]
        .into_iter()
        .flatten()
        {
            cut_text(text, 1024);
        }
        if cut_text(&mut exchange.request.url, self.text) {
            exchange.note_cut(Cut::Url);
        }
        if self.cut_headers(&mut exchange.request.headers) {
            exchange.note_cut(Cut::RequestHeaders);
        }
        if self.cut_headers(&mut exchange.response.headers) {
            exchange.note_cut(Cut::ResponseHeaders);
        }
        for (body, cut) in [
            (&mut exchange.request.body, Cut::RequestBody),
            (&mut exchange.response.body, Cut::ResponseBody),
        ] {
            let Some(body) = body else { continue };
            cut_text(&mut body.mime_type, 256);
            body.limit(self.body);
            if body.is_cut() && !exchange.cut.contains(&cut) {
                exchange.cut.push(cut);
            }
        }
        self.cut_messages(exchange);
    }

    /// All messages together may be as large as one body.
    fn cut_messages(&self, exchange: &mut Exchange) {
        let mut room = self.body;
        let mut kept = 0;
        let mut is_cut = false;
        for message in exchange.messages.iter_mut().take(self.messages) {
            if room == 0 {
                break;
            }
            message.body.limit(room);
            is_cut |= message.body.is_cut();
            room = room.saturating_sub(message.body.bytes().len());
            kept += 1;
        }
        is_cut |= kept < exchange.messages.len();
        exchange.messages.truncate(kept);
        if is_cut {
            exchange.note_cut(Cut::Messages);
        }
    }

    fn cut_headers(&self, headers: &mut Vec<Header>) -> bool {
        let mut is_cut = headers.len() > self.headers;
        headers.truncate(self.headers);
        for header in headers {
            is_cut |= cut_text(&mut header.name, self.text);
            is_cut |= cut_text(&mut header.value, self.text);
        }
        is_cut
    }
}

/// Cuts a text to at most `limit` bytes, at a character's border. Says whether that took some away.
pub(crate) fn cut_text(text: &mut String, limit: usize) -> bool {
    if text.len() <= limit {
        return false;
    }
    text.truncate(text.floor_char_boundary(limit));
    text.shrink_to_fit();
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;

    #[test]
    fn what_is_cut_says_so() {
        let mut exchange = Exchange::default();
        exchange.request.url = format!("https://example.org/{}", "ä".repeat(40));
        exchange.response.body = Some(Body::new("text/plain", "0123456789"));
        exchange.response.headers = vec![Header::default(); 3];
        let limits = Limits {
            body: 4,
            text: 27,
            headers: 2,
            ..Limits::default()
        };
        limits.apply(&mut exchange);
        assert_eq!(exchange.request.url, "https://example.org/äää");
        assert_eq!(exchange.response.headers.len(), 2);
        let body = exchange.response.body.as_ref().unwrap();
        assert_eq!((body.bytes(), body.size), (&b"0123"[..], 10));
        assert_eq!(exchange.cut, [Cut::Url, Cut::ResponseHeaders, Cut::ResponseBody]);
    }
}
