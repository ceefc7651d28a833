//! Seeded secrets in every place where they occur, and none of them afterwards.

use proptest::prelude::*;

use super::*;
use crate::exchange::{Direction, Message};

const SECRET: &str = "s3cr3t-Value.42";

/// Pieces of all carriers, in any order.
const PIECES: &str = "(<t[dhr]>|</t[dhr]>|<d[td]>|</d[td]>|password|<b>Pin:</b>|data:,|data:text/html[;]base64,|data:text/html,%3C|curl |-u |a:b |\
    \\|\\| |: string = |\r\n|,token|\t|- name: token\n|value: |http-equiv=|set-cookie|token|\"pin\\{0,2}\"|\\\\{1,3}\"|[?&#;]pwd=|eyJ|://|[a-z]@|bearer |name=\"|<password>|</|<input |value=|\
    \"name\":|\"value\":|%3D|%22|%26|&quot;|&amp;|u003d|CDATA\\[|\\{|\\[|[ :=\"',;<>/&?#}a-z0-9.\n\\\\ä\\]]|--x\r\n){0,24}";
const MIME_TYPES: &str = "|text/html|application/json|text/javascript|multipart/form-data; boundary=x|application/x-www-form-urlencoded";

fn header(name: &str, value: &str) -> Header {
    Header {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

fn redacted(mut exchange: Exchange) -> String {
    Redactor::default().redact(&mut exchange);
    assert!(exchange.redacted);
    serde_json::to_string(&exchange).unwrap()
}

fn with_body(mime_type: &str, body: &str) -> Exchange {
    let mut exchange = Exchange::default();
    exchange.response.body = Some(Body::new(mime_type, body));
    exchange
}

#[test]
fn secrets_are_found_by_name_in_every_place() {
    let mut cases = Vec::new();
    for url in [
        "https://me:SECRET@example.org/",
        "https://example.org/?a=1&access_token=SECRET&b=2",
        "https://example.org/#/callback?id_token=SECRET",
        "/relative?client%5Fsecret=SECRET",
        "https://example.org/to?next=https%3A&u=http://a:SECRET@b/",
    ] {
        let mut exchange = Exchange::default();
        exchange.request.url = url.replace("SECRET", SECRET);
        cases.push(exchange);
        let mut exchange = Exchange::default();
        exchange.response.headers = vec![header("Location", &url.replace("SECRET", SECRET))];
        cases.push(exchange);
    }
    for (name, value) in [
        ("Cookie", "a=SECRET; b=\"SECRET\""),
        ("Set-Cookie", "id=SECRET; Path=/; HttpOnly\nnext=SECRET"),
        ("Authorization", "Bearer SECRET"),
        ("proxy-authorization", "SECRET"),
        ("X-Api-Key", "SECRET"),
        ("Referer", "https://example.org/?token=SECRET"),
        ("Link", "<https://example.org/?x=1&sig=SECRET>; rel=next"),
    ] {
        let mut exchange = Exchange::default();
        exchange.request.headers = vec![header(name, &value.replace("SECRET", SECRET))];
        cases.push(exchange);
    }
    for (mime_type, body) in [
        ("application/x-www-form-urlencoded", "password=SECRET&user=me"),
        ("application/x-www-form-urlencoded", "user=me&password=SECRET"),
        (
            "application/json",
            "{\"user\": \"me\", \"password\" : \"SECRET\"}",
        ),
        ("application/json", "{\"password\":\"SEC\\\"RETSECRET\"}"),
        (
            "application/json",
            "{\"inner\":\"{\\\"apiKey\\\":\\\"SECRET\\\"}\"}",
        ),
        ("application/json", "{\"token\":\"SECRET"),
        ("text/html", "<a href=\"/x?a=1&amp;token=SECRET\">"),
        ("text/plain", "clone https://me:SECRET@example.org/repo"),
        (
            "multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nSECRET\r\n--x--\r\n",
        ),
    ] {
        cases.push(with_body(mime_type, &body.replace("SECRET", SECRET)));
        let mut exchange = with_body("", "");
        exchange.request.body = Some(Body::new(mime_type, body.replace("SECRET", SECRET)));
        cases.push(exchange);
    }
    let mut exchange = Exchange::default();
    exchange.messages.push(Message {
        direction: Direction::Send,
        time: 0.0,
        opcode: 1,
        body: Body::new("", format!("{{\"jwt\":\"{SECRET}\"}}")),
    });
    cases.push(exchange);
    for exchange in cases {
        let before = format!("{exchange:?}");
        let after = redacted(exchange);
        assert!(!after.contains(SECRET), "{before}\nbecame\n{after}");
        assert!(after.contains(PLACEHOLDER), "{after}");
    }
}

#[test]
fn a_secret_that_was_seen_is_found_again() {
    let mut redactor = Redactor::default();
    let mut login = Exchange::default();
    login.request.body = Some(Body::new(
        "application/x-www-form-urlencoded",
        "password=correct+horse%21",
    ));
    redactor.redact(&mut login);
    let mut basic = Exchange::default();
    basic.request.headers = vec![header("Authorization", "Basic bWU6b3BlbiBzZXNhbWU=")];
    redactor.redact(&mut basic);
    let mut echo = with_body(
        "text/html",
        "you said <b>correct horse!</b>, you said open sesame",
    );
    echo.request.url = "https://example.org/correct%20horse%21/x".to_owned();
    redactor.redact(&mut echo);
    assert_eq!(
        echo.response.body.unwrap().text(),
        Some("you said <b>[redacted]</b>, you said [redacted]")
    );
    assert_eq!(echo.request.url, "https://example.org/[redacted]/x");
}

#[test]
fn web_tokens_are_known_by_their_look() {
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl";
    let text = redacted(with_body("text/plain", &format!("here: {token}!")));
    assert!(text.contains("here: [redacted]!"), "{text}");
}

#[test]
fn what_is_not_secret_stays() {
    let body =
        "{\"max_tokens\": 100, \"key\": \"value\", \"a\": \"b?c=d&e\", \"url\": \"https://example.org/@me\"}";
    let mut exchange = with_body("application/json", body);
    exchange.request.url = "https://example.org:8443/a;b?c=d&e#f".to_owned();
    exchange.request.headers = vec![
        header("Accept", "text/html;q=0.9"),
        header("Sec-WebSocket-Key", "x"),
    ];
    let mut same = exchange.clone();
    Redactor::default().redact(&mut same);
    exchange.redacted = true;
    assert_eq!(same, exchange);
}

#[test]
fn names_can_be_added() {
    let mut exchange = Exchange::default();
    exchange.request.headers = vec![header("X-Employee", "me myself")];
    exchange.request.url = "/?x_employee=me".to_owned();
    Redactor::new(["x-employee"]).redact(&mut exchange);
    assert_eq!(exchange.request.headers[0].value, PLACEHOLDER);
    assert_eq!(exchange.request.url, "/?x_employee=[redacted]");
}

#[test]
fn cut_bodies_stay_cut() {
    let mut body = Body::new("application/json", "{\"pin\":\"123\",\"x\":\"y\"}");
    body.limit(15);
    let mut exchange = Exchange::default();
    exchange.response.body = Some(body);
    Redactor::default().redact(&mut exchange);
    let body = exchange.response.body.unwrap();
    assert!(body.is_cut());
    assert_eq!(body.bytes(), b"{\"pin\":\"[redacted]\",\"x");
}

proptest! {
    #[test]
    fn any_bytes_are_redacted(data in prop::collection::vec(any::<u8>(), 0..200), mime_type in MIME_TYPES) {
        let mut exchange = with_body(&mime_type, "");
        exchange.response.body = Some(Body::new(mime_type, data));
        Redactor::default().redact(&mut exchange);
    }

    #[test]
    fn any_text_is_redacted(text in PIECES, mime_type in MIME_TYPES) {
        let mut exchange = with_body(&mime_type, &text);
        exchange.request.url = text.clone();
        exchange.request.headers = vec![header("X-Text", &text), header("Sec-WebSocket-Protocol", &text)];
        let mut redactor = Redactor::default();
        redactor.redact(&mut exchange);
        redactor.redact(&mut exchange);
        prop_assert!(exchange.redacted);
    }

    #[test]
    fn what_is_redacted_again_and_again_does_not_grow(text in PIECES, mime_type in MIME_TYPES) {
        // A secret of one byte becomes the placeholder, in quotes if it was a number.
        let most = (PLACEHOLDER.len() + 4) * text.len() + 64;
        let mut exchange = with_body(&mime_type, &text);
        exchange.request.url = text.clone();
        exchange.request.headers = vec![header("X-Text", &text), header("Cookie", &text)];
        for _ in 0..8 {
            Redactor::default().redact(&mut exchange);
            let body = exchange.response.body.as_ref().map_or(0, |body| body.bytes().len());
            let headers = exchange.request.headers.iter().map(|header| header.value.len());
            for len in headers.chain([body, exchange.request.url.len()]) {
                prop_assert!(len <= most, "{len} bytes of {}", text.len());
            }
        }
        let mut again = exchange.clone();
        Redactor::default().redact(&mut again);
        prop_assert_eq!(again, exchange);
    }

    #[test]
    fn seeded_secrets_never_survive(
        before in "[a-z ,{}]{0,20}", secret in "[A-Z0-9]{12,24}", after in "[a-z ,{}]{0,20}",
    ) {
        let body = format!("{before}{{\"password\":\"{secret}\"}}{after}{secret}");
        let mut exchange = with_body("application/json", &body);
        exchange.request.url = format!("https://example.org/{secret}?q={secret}");
        prop_assert!(!redacted(exchange).contains(&secret));
    }
}
