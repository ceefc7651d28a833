//! Filters against one exchange.

use proptest::prelude::*;

use super::*;
use crate::{Body, Header, arbitrary};

fn exchange() -> Exchange {
    let mut exchange = Exchange {
        resource_type: Some("fetch".to_owned()),
        priority: Some("High".to_owned()),
        initiator: Some("script https://example.org/app.js:3".to_owned()),
        ..Exchange::default()
    };
    exchange.request.method = "POST".to_owned();
    exchange.request.url = "https://api.Example.org:8443/v1/Users?page=2".to_owned();
    exchange.response.status = 404;
    exchange.response.body = Some(Body::new("application/json; charset=utf-8", vec![b' '; 1500]));
    exchange.response.headers = vec![Header {
        name: "X-Cache".to_owned(),
        value: "hit".to_owned(),
    }];
    exchange
}

#[test]
fn terms_hold_as_in_devtools() {
    for (filter, expected) in [
        ("", true),
        ("users", true),
        ("users page=2", true),
        ("users page=3", false),
        ("-users", false),
        ("-orders", true),
        ("\"users page\"", false),
        ("/v\\d+\\/users/", true),
        ("-/v\\d+\\/users/", false),
        ("/v1 x/", false),
        ("/v1", true),
        ("method:post", true),
        ("-method:POST", false),
        ("method:", true),
        ("status-code:404", true),
        ("status-code:4xx", true),
        ("status-code:200", false),
        ("domain:api.example.org", true),
        ("domain:example.org", false),
        ("domain:*.example.org", true),
        ("domain:*.org -domain:*.com", true),
        ("mime-type:application/json", true),
        ("mime-type:image/*", false),
        ("larger-than:1k", true),
        ("larger-than:1500", false),
        ("scheme:https", true),
        ("resource-type:fetch", true),
        ("priority:high", true),
        ("initiator:app.js", true),
        ("has-response-header:x-cache", true),
        ("has-request-header:x-cache", false),
        ("url:users", true),
        ("unknown:thing", false),
        ("https://api", true),
    ] {
        let parsed: Filter = filter.parse().unwrap();
        assert_eq!(parsed.matches(&exchange()), expected, "{filter}");
    }
}

#[test]
fn mistakes_are_named() {
    let error = |filter: &str| filter.parse::<Filter>().unwrap_err().to_string();
    assert!(error("/(/").starts_with("expected a regular expression between slashes, found /(/"));
    assert!(error("larger-than:big").ends_with("found \"big\""));
    assert!(error("larger-than:99999999999999999999k").contains("larger-than"));
    assert!(error("status-code:4yy").contains("4yy"));
    assert!(error(&"x".repeat(5000)).contains("5000"));
}

proptest! {
    #[test]
    fn any_filter_is_understood_or_refused(
        text in "(-?(domain|method|larger-than|status-code|mime-type|url):)?[-/\"* \\\\a-z0-9(){}+äx:]{0,24}",
        exchange in arbitrary::exchange(),
    ) {
        if let Ok(filter) = text.parse::<Filter>() {
            filter.matches(&exchange);
        }
    }

    #[test]
    fn a_term_and_its_negation_exclude_each_other(
        term in "[a-z]{1,4}|method:[a-z]{1,3}|domain:[a-z*.]{1,6}", exchange in arbitrary::exchange(),
    ) {
        let positive: Filter = term.parse().unwrap();
        let negative: Filter = format!("-{term}").parse().unwrap();
        prop_assert_ne!(positive.matches(&exchange), negative.matches(&exchange));
    }
}
