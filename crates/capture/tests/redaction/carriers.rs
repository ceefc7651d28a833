//! What carries secrets: a way to write a name and a value into an exchange, for each.

use qemuweb_capture::{Body, Direction, Exchange, Header, Message};

/// A sort of value.
pub(crate) struct Value {
    pub(crate) label: &'static str,
    pub(crate) text: &'static str,
    /// Pieces of it that occur nowhere else: none may be left.
    pub(crate) needles: &'static [&'static str],
}

const fn value(label: &'static str, text: &'static str, needles: &'static [&'static str]) -> Value {
    Value { label, text, needles }
}

const LONG: &str = "LongLongSecret0LongLongSecret1LongLongSecret2LongLongSecret3LongLongSecret4LongLongSecret5LongLongSecret6LongLong\
    Secret7LongLongSecret8LongLongSecret9LongLongSecret0LongLongSecret1LongLongSecret2LongLongSecret3LongLongSecret4LongLongSecret5";

pub(crate) const VALUES: &[Value] = &[
    value("letters and digits", "hunter2hunter2", &["hunter2"]),
    value("letters", "xyloquartzphone", &["xyloq", "phone"]),
    value("apostrophe", "it's-SECRET", &["s-SECRET", "it's"]),
    value("quotes and escapes", "qu\"oTe9\\bac/kSl", &["oTe9", "kSl"]),
    value("separators", "tom&jer=ry;7,uN", &["jer", "ry;7", "7,uN"]),
    value("blanks", "zebra horse battery staple", &["zebra", "horse", "staple"]),
    value("beyond ASCII", "ünïcödé-Größe7", &["ünï", "Größe"]),
    value("base64", "Zm9vOnN1+cGVy/c2VjcmV0Nw==", &["Zm9vOnN1", "c2VjcmV0"]),
    value("a number", "80472653", &["80472653"]),
    value("markup", "a<b>c7{d}e[f]", &["<b>c7", "c7{d", "e[f"]),
    value("very long", LONG, &["LongSecret"]),
];

/// Where names count that are secret as parameters only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Parameter,
    Data,
}

pub(crate) struct Carrier {
    pub(crate) label: &'static str,
    pub(crate) scope: Scope,
    /// Where it stands: `url`, `header NAME`, `request` or `response` with a media type, `message`.
    place: &'static str,
    /// With NAME and VALUE.
    template: &'static str,
    encode: fn(&str) -> String,
    /// Characters that a value or a name may not have here.
    never: &'static str,
}

impl Carrier {
    /// Whether such a value can stand here under such a name.
    pub(crate) fn takes(&self, name: &str, value: &Value) -> bool {
        !value.text.contains(|c| self.never.contains(c)) && !name.contains(|c| self.never.contains(c))
    }
}

const fn carrier(
    label: &'static str,
    scope: Scope,
    place: &'static str,
    template: &'static str,
    encode: fn(&str) -> String,
    never: &'static str,
) -> Carrier {
    Carrier {
        label,
        scope,
        place,
        template,
        encode,
        never,
    }
}

use Scope::{Data, Parameter};

const FORM: &str = "request application/x-www-form-urlencoded";
const JSON: &str = "response application/json";
const JS: &str = "response text/javascript";
const HTML: &str = "response text/html; charset=utf-8";
const XML: &str = "response text/xml";
const MULTIPART: &str = "request multipart/form-data; boundary=XX";

pub(crate) const CARRIERS: &[Carrier] = &[
    // URLs.
    carrier("query", Parameter, "url", "https://a.test/p?a=1&NAME=VALUE&b=2", component, ""),
    carrier("first of a query", Parameter, "url", "https://a.test/p?NAME=VALUE", component, ""),
    carrier("query with semicolons", Parameter, "url", "https://a.test/p?a=1;NAME=VALUE;b=2", component, ""),
    carrier("relative URL", Parameter, "url", "/p?NAME=VALUE#x", component, ""),
    carrier("matrix parameter", Parameter, "url", "https://a.test/app;NAME=VALUE/x?y=1", component, ""),
    carrier("pair in the path", Parameter, "url", "https://a.test/NAME=VALUE/x", component, ""),
    carrier("fragment", Parameter, "url", "https://a.test/#NAME=VALUE&a=1", component, ""),
    carrier("query of a fragment", Parameter, "url", "https://a.test/#/callback?a=1&NAME=VALUE", component, ""),
    carrier("URL in a query", Parameter, "url", "https://a.test/?next=https%3A%2F%2Fb.test%2F%3Fa%3D1%26NAME%3DVALUE%26c", twice, "[]"),
    carrier("Referer", Parameter, "header Referer", "https://a.test/?NAME=VALUE", component, ""),
    carrier("Location", Parameter, "header Location", "/next?x=1&NAME=VALUE", component, ""),
    carrier("Link", Parameter, "header Link", "<https://a.test/?x=1&NAME=VALUE>; rel=next", component, ""),
    carrier("Refresh", Parameter, "header Refresh", "5; url=https://a.test/?NAME=VALUE", component, ""),
    // Headers.
    carrier("header", Parameter, "header NAME", "VALUE", plain, "[]%"),
    carrier("parameter of a header", Data, "header X-Info", "a=b; NAME=\"VALUE\"; c=d", json, "<"),
    carrier("cookie", Parameter, "header Cookie", "a=b; NAME=VALUE", component, ""),
    carrier("Set-Cookie", Parameter, "header Set-Cookie", "NAME=VALUE; Path=/; HttpOnly", component, ""),
    carrier("Sec-WebSocket-Protocol", Data, "header Sec-WebSocket-Protocol", "graphql-ws, NAME.VALUE", plain, "[]%,;\" <\\"),
    carrier("Sec-WebSocket-Protocol in turn", Data, "header Sec-WebSocket-Protocol", "NAME, VALUE", plain, "[]%,;\" <\\"),
    // Forms.
    carrier("form", Parameter, FORM, "a=1&NAME=VALUE&b=2", component, ""),
    carrier("form with apostrophes", Parameter, FORM, "NAME=VALUE", component_js, ""),
    carrier("form, raw", Parameter, FORM, "a=1&NAME=VALUE", plain, "&"),
    carrier("form, cut", Parameter, FORM, "a=1&b=2&NAME=VALUE", component, ""),
    carrier("form as text", Parameter, "request text/plain;charset=UTF-8", "a=1&NAME=VALUE&b=2", component, ""),
    carrier("form without type", Parameter, "request ", "NAME=VALUE&b=2", component, ""),
    carrier("form with its type in the header", Parameter, "request-header application/x-www-form-urlencoded", "a=1&NAME=VALUE", component, ""),
    carrier("form of lines", Data, "request text/plain", "a=1\r\nNAME=VALUE\r\nb=2\r\n", plain, "[]\""),
    carrier("JSON in a form", Data, FORM, "payload=%7B%22a%22%3A1%2C%22NAME%22%3A%22VALUE%22%7D&x=1", json_component, "%"),
    carrier("JSON said to be a form", Data, FORM, r#"{"a":1,"NAME":"VALUE"}"#, json, ""),
    // Parts.
    carrier("part", Parameter, MULTIPART, "--XX\r\nContent-Disposition: form-data; name=\"NAME\"\r\n\r\nVALUE\r\n--XX--\r\n", plain, ""),
    carrier("part, bare name", Parameter, MULTIPART, "--XX\r\ncontent-disposition: form-data; name=NAME\r\n\r\nVALUE\r\n--XX--\r\n", plain, ""),
    carrier("part, line feeds", Parameter, MULTIPART, "--XX\nContent-Disposition: form-data; name=\"NAME\"\n\nVALUE\n--XX--\n", plain, ""),
    carrier("part of a file", Parameter, MULTIPART, "--XX\r\nContent-Disposition: form-data; filename=\"a.txt\"; name=\"NAME\"\r\nContent-Type: text/plain\r\n\r\nVALUE\r\n--XX--\r\n", plain, ""),
    carrier("part, cut", Parameter, MULTIPART, "--XX\r\nContent-Disposition: form-data; name=\"NAME\"\r\n\r\nVALUE", plain, ""),
    carrier("part without type", Parameter, "request ", "--XX\r\nContent-Disposition: form-data; name=\"NAME\"\r\n\r\nVALUE\r\n--XX--\r\n", plain, ""),
    carrier("JSON in a part", Data, MULTIPART, "--XX\r\nContent-Disposition: form-data; name=\"x\"\r\nContent-Type: application/json\r\n\r\n{\"NAME\":\"VALUE\"}\r\n--XX--\r\n", json, ""),
    // JSON.
    carrier("JSON", Data, JSON, r#"{"a":1,"NAME":"VALUE","b":2}"#, json, ""),
    carrier("JSON, blanks", Data, JSON, "{\n  \"NAME\" : \"VALUE\"\n}", json, ""),
    carrier("JSON, cut", Data, JSON, r#"{"a":1,"NAME":"VALUE"#, json, ""),
    carrier("JSON with ASCII only", Data, JSON, r#"{"NAME":"VALUE"}"#, ascii_json, ""),
    carrier("JSON at depth", Data, JSON, r#"{"a":[{"b":{"c":[[{"NAME":"VALUE"}]]}}]}"#, json, ""),
    carrier("JSON in JSON", Data, JSON, r#"{"a":"{\"NAME\":\"VALUE\"}"}"#, json_json, ""),
    carrier("JSON in JSON in JSON", Data, JSON, r#"{"a":"{\"b\":\"{\\\"NAME\\\":\\\"VALUE\\\"}\"}"}"#, json_json_json, ""),
    carrier("JSON, a list", Data, JSON, r#"{"NAME":["x",{"y":"VALUE"}]}"#, json, ""),
    carrier("JSON, an object", Data, JSON, r#"{"NAME":{"user":"me","x":"VALUE"},"z":1}"#, json, ""),
    carrier("JSON, a pair", Data, JSON, r#"[{"name":"NAME","value":"VALUE"}]"#, json, "%"),
    carrier("JSON, a pair turned", Data, JSON, r#"[{"value":"VALUE","enabled":true,"name":"NAME"}]"#, json, "%"),
    carrier("JSON, a pair in JSON", Data, JSON, r#"{"a":"[{\"key\":\"NAME\",\"value\":\"VALUE\"}]"}"#, json_json, "%"),
    carrier("JSON, a list of two", Data, JSON, r#"{"headers":[["NAME","VALUE"]]}"#, json, "%"),
    carrier("JSON, a number", Data, JSON, r#"{"NAME":VALUE,"b":2}"#, plain, LETTERS),
    carrier("JSON lines", Data, "response application/x-ndjson", "{\"a\":1}\n{\"NAME\":\"VALUE\"}\n", json, ""),
    carrier("event stream", Data, "response text/event-stream", "event: a\ndata: {\"NAME\":\"VALUE\"}\n\n", json, ""),
    carrier("JSON without type", Data, "response ", r#"{"NAME":"VALUE"}"#, json, ""),
    carrier("message", Data, "message", r#"{"NAME":"VALUE"}"#, json, ""),
    carrier("escaped key", Data, JSON, r#"{"ESCAPED":"VALUE"}"#, json, "%["),
    carrier("GraphQL variables", Data, "request application/json", r#"{"query":"mutation($p:String!){login(p:$p)}","variables":{"NAME":"VALUE"}}"#, json, ""),
    carrier("GraphQL argument", Data, "request application/json", r#"{"query":"mutation{login(user:\"me\",NAME:\"VALUE\"){id}}"}"#, json_json, "%[]-"),
    carrier("GraphQL as it is", Data, "request application/graphql", r#"mutation { login(user: "me", NAME: "VALUE") { id } }"#, json, "%[]-"),
    carrier("GraphQL over GET", Data, "url", "https://a.test/graphql?query=mutation%7Blogin(NAME%3A%22VALUE%22)%7Bid%7D%7D", json_component, "%[]-"),
    carrier("GraphQL variables over GET", Data, "url", "https://a.test/graphql?variables=%7B%22NAME%22%3A%22VALUE%22%7D", json_component, "%[]"),
    // Programs.
    carrier("JavaScript object", Data, JS, r#"a({NAME:"VALUE",b:1})"#, json, "%[]-."),
    carrier("JavaScript quoted key", Data, JS, "var c={'NAME':'VALUE'};", single, ""),
    carrier("JavaScript assignment", Data, JS, "window.NAME = 'VALUE';", single, "%[]-"),
    carrier("JavaScript const", Data, JS, "const NAME=\"VALUE\";", json, "%[]-."),
    carrier("JavaScript template", Data, JS, "let NAME = `VALUE`", backtick, "%[]-."),
    carrier("JavaScript index", Data, JS, "headers[\"NAME\"]=\"VALUE\";", json, ""),
    carrier("script in HTML", Data, HTML, "<script>window.config={NAME:\"VALUE\"}</script>", json, "%[]-.<"),
    carrier("JSON in HTML", Data, HTML, "<script type=\"application/json\">{\"NAME\":\"VALUE\"}</script>", json, "<"),
    // Markup.
    carrier("XML element", Data, XML, "<login><user>me</user><NAME>VALUE</NAME></login>", html, "%[]$"),
    carrier("XML element with a prefix", Data, XML, "<w:NAME w:Type=\"a#b\">VALUE</w:NAME>", html, "%[]$"),
    carrier("XML attribute", Data, XML, "<login user=\"me\" NAME=\"VALUE\"/>", html, "%[]$"),
    carrier("XML CDATA", Data, XML, "<NAME><![CDATA[VALUE]]></NAME>", plain, "%[]$"),
    carrier("XML element in one", Data, XML, "<NAME><Value>VALUE</Value></NAME>", html, "%[]$"),
    carrier("XML property", Data, XML, "<property name=\"NAME\">VALUE</property>", html, ""),
    carrier("XML setting", Data, XML, "<add key=\"NAME\" value=\"VALUE\"/>", html, ""),
    carrier("XML in JSON", Data, JSON, r#"{"x":"<NAME>VALUE<\/NAME>"}"#, html_json, "%[]$"),
    carrier("property list", Data, XML, "<dict><key>NAME</key><string>VALUE</string></dict>", html, "%[]"),
    carrier("HTML meta", Data, HTML, "<meta name=\"NAME\" content=\"VALUE\">", html, ""),
    carrier("HTML meta turned", Data, HTML, "<meta content='VALUE' name='NAME'/>", html, ""),
    carrier("HTML input", Data, HTML, "<input type=\"hidden\" name=\"NAME\" value=\"VALUE\">", html, ""),
    carrier("HTML input turned", Data, HTML, "<input value=\"VALUE\" type=hidden name=NAME>", html, ""),
    carrier("HTML input without quotes", Data, HTML, "<input name=NAME value=VALUE>", html, "\" >"),
    carrier("HTML input in JSON", Data, JSON, r#"{"html":"<input name=\"NAME\" value=\"VALUE\">"}"#, html_json, ""),
    carrier("HTML data attribute", Data, HTML, "<div data-NAME=\"VALUE\"></div>", html, "%[]$"),
    carrier("JSON in an attribute", Data, HTML, "<div data-props=\"{&quot;NAME&quot;:&quot;VALUE&quot;}\"></div>", json_html, ""),
    carrier("HTML link", Parameter, HTML, "<a href=\"/x?a=1&amp;NAME=VALUE&amp;b\">x</a>", component, "[]"),
    carrier("HTML text area", Data, HTML, "<textarea name=\"NAME\">VALUE</textarea>", html, ""),
    // Lines.
    carrier("environment", Data, "response text/plain", "A=1\nNAME=VALUE\nB=2\n", plain, "%[]\"\\"),
    carrier("export", Data, "response text/plain", "export NAME=\"VALUE\"\n", json, "%[]-"),
    carrier("YAML", Data, "response text/yaml", "a: 1\n  NAME: VALUE\nb: 2\n", plain, "%[]\"\\"),
    carrier("YAML, quoted", Data, "response text/yaml", "- NAME: 'VALUE'\n", yaml, "%[]\\"),
    carrier("INI", Data, "response text/plain", "[db]\nNAME = VALUE\n", plain, "%[]\"\\"),
    carrier("command line", Data, "response text/plain", "curl -H \"NAME: VALUE\" https://a.test/", plain, "%[]\"\\"),
];

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-";

/// An exchange with a name and a value where the carrier has them.
pub(crate) fn exchange_with(carrier: &Carrier, name: &str, value: &Value) -> Exchange {
    let escaped: String = name.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let fill = |text: &str| text.replace("ESCAPED", &escaped).replace("NAME", name);
    let text = fill(carrier.template).replace("VALUE", &(carrier.encode)(value.text));
    let mut exchange = Exchange::default();
    exchange.request.method = "POST".to_owned();
    exchange.request.url = "https://a.test/".to_owned();
    let (place, kind) = carrier.place.split_once(' ').unwrap_or((carrier.place, ""));
    match place {
        "url" => exchange.request.url = text,
        "header" => exchange.request.headers.push(Header {
            name: fill(kind),
            value: text,
        }),
        "request" => exchange.request.body = Some(Body::new(kind, text)),
        "request-header" => {
            exchange.request.headers.push(Header {
                name: "content-type".to_owned(),
                value: kind.to_owned(),
            });
            exchange.request.body = Some(Body::new("", text));
        }
        "response" => exchange.response.body = Some(Body::new(kind, text)),
        _ => exchange.messages.push(Message {
            direction: Direction::Send,
            time: 0.0,
            opcode: 1,
            body: Body::new("", text),
        }),
    }
    exchange
}

fn plain(text: &str) -> String {
    text.to_owned()
}

fn percent(text: &str, unreserved: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ if unreserved.contains(char::from(byte)) => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn component(text: &str) -> String {
    percent(text, "-_.~")
}

/// As `encodeURIComponent` does.
fn component_js(text: &str) -> String {
    percent(text, "-_.~!'()*")
}

fn twice(text: &str) -> String {
    component(&component(text))
}

fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap().trim_matches('"').to_owned()
}

fn ascii_json(text: &str) -> String {
    json(text)
        .chars()
        .map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) })
        .collect()
}

fn json_json(text: &str) -> String {
    json(&json(text))
}

fn json_json_json(text: &str) -> String {
    json(&json_json(text))
}

fn json_component(text: &str) -> String {
    component(&json(text))
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

fn html_json(text: &str) -> String {
    json(&html(text))
}

fn json_html(text: &str) -> String {
    html(&json(text))
}

fn single(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

fn backtick(text: &str) -> String {
    text.replace('\\', "\\\\").replace('`', "\\`")
}

fn yaml(text: &str) -> String {
    text.replace('\'', "''")
}
