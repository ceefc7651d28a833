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
    value(
        "blanks",
        "zebra horse battery staple",
        &["zebra", "horse", "staple"],
    ),
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
    template: String,
    encode: fn(&str) -> String,
    /// Characters that a value or a name may not have here.
    never: String,
}

impl Carrier {
    /// Whether such a value can stand here under such a name.
    pub(crate) fn takes(&self, name: &str, value: &Value) -> bool {
        !value.text.contains(|c| self.never.contains(c))
            && !name.contains(|c: char| self.never.contains(c) && !c.is_alphabetic())
    }
}

/// All carriers.
pub(crate) fn carriers() -> Vec<Carrier> {
    let lines = include_str!("carriers.txt").lines();
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut columns = line.split(" | ").map(|column| column.trim_end_matches(" |"));
            let mut next = || columns.next().unwrap_or_default();
            Carrier {
                label: next(),
                scope: if next() == "data" {
                    Scope::Data
                } else {
                    Scope::Parameter
                },
                place: next(),
                template: next()
                    .replace('⏎', "\r\n")
                    .replace('↵', "\n")
                    .replace('⇥', "\t")
                    .replace('¦', "|"),
                encode: encoder(next()),
                never: match next() {
                    "letters" => ('a'..='z').chain('A'..='Z').chain("-+/=".chars()).collect(),
                    never => never.to_owned(),
                },
            }
        })
        .collect()
}

fn encoder(name: &str) -> fn(&str) -> String {
    match name {
        "plain" => plain,
        "component" => component,
        "component_js" => component_js,
        "twice" => twice,
        "json" => json,
        "ascii_json" => ascii_json,
        "json_json" => json_json,
        "json_json_json" => json_json_json,
        "json_component" => json_component,
        "html" => html,
        "html_json" => html_json,
        "json_html" => json_html,
        "single" => single,
        "backtick" => backtick,
        "yaml" => yaml,
        "csv" => csv,
        "html_html" => html_html,
        other => panic!("carriers.txt has an encoder {other:?}"),
    }
}

/// An exchange with a name and a value where the carrier has them.
pub(crate) fn exchange_with(carrier: &Carrier, name: &str, value: &Value) -> Exchange {
    let escaped: String = name.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let fill = |text: &str| text.replace("ESCAPED", &escaped).replace("NAME", name);
    let text = fill(&carrier.template).replace("VALUE", &(carrier.encode)(value.text));
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
        .map(|c| {
            if c.is_ascii() {
                c.to_string()
            } else {
                format!("\\u{:04x}", u32::from(c))
            }
        })
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
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
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

fn csv(text: &str) -> String {
    text.replace('"', "\"\"")
}

fn html_html(text: &str) -> String {
    html(&html(text))
}
