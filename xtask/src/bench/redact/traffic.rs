//! A site's traffic as a recording has it: 1 page, 2 bundles of scripts, 1 style sheet, 40 answers of an API in JSON,
//! 10 forms, 20 pictures; about 2 MB. What it says is made by chance from a fixed seed.

pub(crate) struct Part {
    pub(crate) url: String,
    pub(crate) sent: Vec<(String, String)>,
    pub(crate) received: Vec<(String, String)>,
    pub(crate) form: Option<String>,
    pub(crate) mime_type: &'static str,
    pub(crate) body: Vec<u8>,
}

/// A generator of Lehmer's kind.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }

    fn token(&mut self, length: usize) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..length)
            .map(|_| char::from(LETTERS[self.below(LETTERS.len())]))
            .collect()
    }
}

const WORDS: &[&str] = &[
    "account",
    "address",
    "button",
    "category",
    "checkout",
    "code",
    "color",
    "comment",
    "content",
    "country",
    "customer",
    "delivery",
    "description",
    "discount",
    "email",
    "handler",
    "history",
    "image",
    "index",
    "inside",
    "item",
    "key",
    "language",
    "list",
    "menu",
    "message",
    "name",
    "number",
    "order",
    "page",
    "passenger",
    "payment",
    "picture",
    "price",
    "product",
    "profile",
    "quantity",
    "query",
    "rating",
    "result",
    "review",
    "search",
    "section",
    "session",
    "shipping",
    "size",
    "state",
    "status",
    "store",
    "summary",
    "title",
    "total",
    "type",
    "update",
    "user",
    "value",
    "version",
    "window",
];

fn page(chance: &mut Chance, size: usize) -> String {
    let mut text = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=\"csrf-token\" content=\"{}\"></head><body>",
        chance.token(40)
    );
    while text.len() < size {
        let (a, b, c) = (chance.pick(WORDS), chance.pick(WORDS), chance.pick(WORDS));
        let number = chance.below(10_000);
        text += &format!(
            "<div class=\"{a}-{b} card\" id=\"{a}{number}\" data-{c}-id=\"{number}\"><a href=\"/{a}/{number}?{b}={c}&amp;page=2\" \
             title=\"{a} {b}\"><img src=\"/i/{number}.webp\" alt=\"{c}\" loading=\"lazy\"></a><p>The {a} of a {b} is the {c}, \
             and so on for {number} of them.</p></div>\n"
        );
    }
    text
}

fn script(chance: &mut Chance, size: usize) -> String {
    let mut text = String::from("(()=>{\"use strict\";");
    while text.len() < size {
        let (a, b, c) = (chance.pick(WORDS), chance.pick(WORDS), chance.pick(WORDS));
        let number = chance.below(10_000);
        text += &format!(
            "function {a}{number}(e,t,n){{if(!e||\"object\"!=typeof e)return t.{b};const r=e.{c}??n[{number}];return r.key===\"{b}\"?\
             {{{a}:r.{b},{c}:!0,type:\"{a}.{c}\"}}:Object.keys(r).map((e=>t({number},e))).filter(Boolean)}}var {b}{number}=\
             n({number}),{c}{number}=e=>({{className:\"{a}__{b}\",onClick:()=>{{{a}{number}(e.target.value,\"{c}\")}}}});"
        );
    }
    text + "})();"
}

fn style(chance: &mut Chance, size: usize) -> String {
    let mut text = String::new();
    while text.len() < size {
        let (a, b) = (chance.pick(WORDS), chance.pick(WORDS));
        let number = chance.below(900);
        text += &format!(
            ".{a}-{b}{{display:flex;margin:{number}px auto 0;color:var(--{a}-color,#{number:06x})}}.{b}:hover>.{a}::before\
             {{content:\"\";width:calc(100% - {number}px)}}@media(min-width:{number}px){{.{a}{{padding:0}}}}"
        );
    }
    text
}

fn answer(chance: &mut Chance, size: usize) -> String {
    let mut text = String::from("{\"data\":[");
    while text.len() < size {
        let (a, b, c) = (chance.pick(WORDS), chance.pick(WORDS), chance.pick(WORDS));
        let number = chance.below(1_000_000);
        text += &format!(
            "{{\"id\":{number},\"{a}\":\"{b} {c}\",\"{b}_id\":\"{number:08x}\",\"created_at\":\"2026-01-31T12:00:00Z\",\"url\":\
             \"https://site.test/{a}/{number}\",\"active\":true,\"{c}\":{{\"name\":\"{a}\",\"values\":[1,2,{number}]}}}},"
        );
    }
    text.pop();
    text + "],\"next_page_token\":\"CAUQAA\"}"
}

/// All parts, the same each time.
pub(crate) fn exchanges() -> Vec<Part> {
    let chance = &mut Chance(42);
    let mut parts = Vec::new();
    let mut kinds = vec![
        ("/", "text/html; charset=utf-8", 150_000),
        ("/app.css", "text/css", 150_000),
    ];
    kinds.extend([
        ("/app.js", "text/javascript", 600_000),
        ("/vendor.js", "application/javascript", 400_000),
    ]);
    kinds.extend([("/api/items", "application/json", 12_000); 40]);
    kinds.extend([("/login", "application/json", 200); 10]);
    kinds.extend([("/picture.webp", "image/webp", 15_000); 20]);
    for (number, (path, mime_type, size)) in kinds.into_iter().enumerate() {
        let body = match mime_type {
            "text/css" => style(chance, size).into_bytes(),
            "application/json" => answer(chance, size).into_bytes(),
            "image/webp" => (0..size).map(|_| chance.below(256) as u8).collect(),
            mime_type if mime_type.starts_with("text/html") => page(chance, size).into_bytes(),
            _ => script(chance, size).into_bytes(),
        };
        let pair = |name: &str, value: String| (name.to_owned(), value);
        let sent = vec![
            pair("accept", "*/*".into()),
            pair("accept-language", "en-GB,en;q=0.9".into()),
            pair(
                "cookie",
                format!("session_id=a1b2c3d4e5f6a7b8c9; theme=dark; visit={number}"),
            ),
            pair("referer", format!("https://site.test/?page={number}")),
            pair("sec-fetch-mode", "cors".into()),
            pair(
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0"
                    .into(),
            ),
            pair("x-csrf-token", "q9w8e7r6t5z4u3i2o1p0".into()),
        ];
        let received = vec![
            pair("cache-control", "max-age=31536000, immutable".into()),
            pair("content-type", mime_type.into()),
            pair("date", "Sat, 31 Jan 2026 12:00:00 GMT".into()),
            pair("etag", format!("\"{number:x}-5a1c\"")),
            pair("vary", "Accept-Encoding".into()),
        ];
        let form = (path == "/login").then(|| {
            format!(
                "utf8=%E2%9C%93&authenticity_token={}&email=me%40site.test&password=corr3ct-h0rse&remember=1",
                "Zm9vYmFyYmF6cXV4MTIz"
            )
        });
        parts.push(Part {
            url: format!("https://site.test{path}?v={number}&lang=en"),
            sent,
            received,
            form,
            mime_type,
            body,
        });
    }
    parts
}
