//! What Wireshark's tools make of our packets: tshark and capinfos, which `cargo xtask test` installs on Debian.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use qemuweb_capture::{Body, Exchange, Limits, PacketWriter, har};

fn exchanges() -> Vec<Exchange> {
    let archive = har::read_archive(include_str!("site.har").as_bytes(), &Limits::default()).unwrap();
    assert!(archive.skipped.is_empty(), "{:?}", archive.skipped);
    archive.exchanges
}

/// As a stream, which is how a guest gets it, with so many sections.
fn sections(count: usize) -> Vec<u8> {
    let mut writer = PacketWriter::new();
    let mut stream = Vec::new();
    for _ in 0..count {
        writer.start_section(&mut stream).unwrap();
        for exchange in exchanges() {
            writer.write(&mut stream, &exchange).unwrap();
        }
    }
    stream
}

fn stream() -> Vec<u8> {
    sections(1)
}

/// A file that is gone at the end.
struct File(PathBuf);

impl File {
    fn with(bytes: &[u8]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("qemuweb-capture-{}-{number}.pcapng", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

/// Runs a program on a file, and gives what it prints.
fn run(program: &str, arguments: &[&str], file: &[u8]) -> String {
    let file = File::with(file);
    let output = Command::new(program)
        .args(arguments)
        .arg(&file.0)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; Debian has it in tshark and wireshark-common"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn tshark(arguments: &[&str], input: &[u8]) -> Vec<String> {
    // Checksums are not verified unless one asks.
    let common = [
        "-n",
        "-o",
        "tcp.check_checksum:TRUE",
        "-o",
        "ip.check_checksum:TRUE",
    ];
    let output = run("tshark", &[&common[..], arguments, &["-r"]].concat(), input);
    output.lines().map(str::to_owned).collect()
}

#[test]
fn nothing_is_malformed() {
    let bad = "_ws.malformed || tcp.checksum.status == 0 || ip.checksum.status == 0 || tcp.analysis.flags \
               || _ws.expert.severity >= 0x800000";
    assert_eq!(tshark(&["-2", "-R", bad], &stream()), Vec::<String>::new());
}

#[test]
fn every_exchange_is_decoded() {
    let of = |fields: &[&str], filter: &str| {
        let fields = fields.iter().flat_map(|field| ["-e", field]);
        let arguments: Vec<&str> = ["-Y", filter, "-T", "fields"].into_iter().chain(fields).collect();
        tshark(&arguments, &stream())
    };
    let (http2, http): (Vec<Exchange>, Vec<Exchange>) = exchanges()
        .into_iter()
        .partition(|exchange| ["h2", "h3"].contains(&exchange.request.http_version.as_str()));
    let expected: Vec<String> = http
        .iter()
        .map(|exchange| {
            let url = &exchange.request.url;
            let url = url.replacen("https:", "http:", 1).replacen("ws:", "http:", 1);
            format!("{}\t{url}", exchange.request.method)
        })
        .collect();
    assert_eq!(
        of(&["http.request.method", "http.request.full_uri"], "http.request"),
        expected
    );
    assert_eq!(
        of(&["http.response.code"], "http.response"),
        ["200", "302", "200", "404", "200", "304", "200", "101", "500"]
    );
    assert_eq!(http2.len(), 2);
    assert_eq!(
        of(
            &[
                "http2.headers.method",
                "http2.headers.authority",
                "http2.headers.path"
            ],
            "http2.headers.method"
        ),
        [
            "POST\tapi.site.test\t/v1/items?page=2",
            "DELETE\tapi.site.test\t/v1/items/3"
        ]
    );
    assert_eq!(
        of(&["http2.headers.status"], "http2.headers.status"),
        ["200", "204"]
    );
}

fn exchange_at(url: String, method: &str, protocol: &str, status: u16) -> Exchange {
    let mut exchange = Exchange {
        started: 1_769_860_800_000.0,
        ..Exchange::default()
    };
    exchange.request.url = url;
    exchange.request.method = method.to_owned();
    exchange.response.http_version = protocol.to_owned();
    exchange.response.status = status;
    exchange.response.body = Some(Body::new("application/json", br#"{"a": 1}"#));
    if method == "POST" {
        exchange.request.body = Some(Body::new(
            "application/octet-stream",
            (0..=255).collect::<Vec<u8>>(),
        ));
    }
    exchange
}

/// Ports that this tshark gives to a protocol, whichever, and some between them.
fn ports() -> Vec<u16> {
    let output = Command::new("tshark").args(["-G", "decodes"]).output().unwrap();
    let decodes = String::from_utf8(output.stdout).unwrap();
    let claimed = decodes
        .lines()
        .filter_map(|line| line.strip_prefix("tcp.port\t"))
        .filter_map(|line| line.split('\t').next()?.parse().ok());
    let mut ports: Vec<u16> = claimed
        .chain((1..=u16::MAX).step_by(61))
        .filter(|port| *port != 0)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

#[test]
fn http_is_shown_on_every_port() {
    let ports = ports();
    assert!(ports.len() > 1500, "{}", ports.len());
    let mut exchanges = Vec::new();
    for port in &ports {
        for (method, status) in [("GET", 200), ("POST", 404), ("OPTIONS", 304), ("GET", 101)] {
            exchanges.push(exchange_at(
                format!("http://localhost:{port}/a?b=c"),
                method,
                "http/1.1",
                status,
            ));
        }
        exchanges.push(exchange_at(
            format!("https://localhost:{port}/a"),
            "POST",
            "h2",
            200,
        ));
    }
    let mut file = Vec::new();
    PacketWriter::write_file(&mut file, &exchanges).unwrap();
    let fields = [
        "-Y",
        "http.request || http.response || http2.headers",
        "-T",
        "fields",
        "-e",
        "http.host",
        "-e",
        "http.response.code",
        "-e",
        "http2.headers.authority",
        "-e",
        "http2.headers.status",
    ];
    let mut shown: Vec<String> = tshark(&fields, &file)
        .iter()
        .map(|line| line.trim().to_owned())
        .collect();
    shown.sort();
    // In HTTP/1.1 four requests and their responses, in HTTP/2 one: the host has the true port.
    let mut expected: Vec<String> = Vec::new();
    for port in &ports {
        expected.extend(vec![format!("localhost:{port}"); 5]);
        expected.extend(["200", "404", "304", "101", "200"].map(str::to_owned));
    }
    expected.sort();
    let missing: Vec<&String> = expected
        .iter()
        .filter(|line| shown.binary_search(line).is_err())
        .collect();
    assert_eq!(missing, Vec::<&String>::new(), "not shown as HTTP");
    assert_eq!(shown.len(), expected.len());
}

#[test]
fn the_true_port_and_protocol_are_told() {
    let file = |url: &str, protocol: &str| {
        let mut file = Vec::new();
        PacketWriter::write_file(&mut file, &[exchange_at(url.to_owned(), "GET", protocol, 200)]).unwrap();
        file
    };
    for (url, protocol, port, told) in [
        (
            "http://localhost:3000/",
            "http/1.1",
            "3000",
            "protocol: http/1.1; port: 3000; number: 0",
        ),
        (
            "http://localhost:5432/",
            "http/1.1",
            "80",
            "protocol: http/1.1; port: 5432, written as 80; number: 0",
        ),
        (
            "https://localhost:8443/",
            "h3",
            "80",
            "protocol: h3 over TLS; port: 8443, written as 80; number: 0",
        ),
    ] {
        let file = file(url, protocol);
        let fields = [
            "-Y",
            "frame.comment",
            "-T",
            "fields",
            "-e",
            "tcp.dstport",
            "-e",
            "frame.comment",
        ];
        let lines = tshark(&fields, &file).concat();
        assert!(lines.starts_with(port) && lines.contains(told), "{lines}");
    }
    let about = run("capinfos", &["-k"], &file("http://localhost/", ""));
    assert!(about.contains("In Wireshark: http || http2"), "{about}");
}

#[test]
fn bodies_arrive_whole() {
    let of = |filter: &str, field: &str| tshark(&["-Y", filter, "-T", "fields", "-e", field], &stream());
    assert_eq!(of("http.response.code == 404", "http.file_data"), ["not here\\n"]);
    assert_eq!(of("http.content_length == 102000", "http.response.code"), ["200"]);
    assert_eq!(of("png", "png.ihdr.width"), ["1"]);
    assert_eq!(of("json.value.string == \"Zoë\"", "ipv6.src"), ["2001:db8::80"]);
    assert_eq!(of("websocket", "websocket.opcode"), ["1", "1", "2"]);
}

#[test]
fn comments_and_names_tell_the_rest() {
    let comments = tshark(
        &[
            "-Y",
            "http2.headers.method == POST",
            "-T",
            "fields",
            "-e",
            "frame.comment",
        ],
        &stream(),
    );
    assert!(
        comments[0].contains("POST https://api.site.test/v1/items?page=2"),
        "{comments:?}"
    );
    assert!(
        comments.concat().contains("protocol: h2 over TLS"),
        "{comments:?}"
    );
    let hosts = run("tshark", &["-q", "-z", "hosts", "-r"], &stream());
    assert!(
        hosts.contains("127.0.0.1\tsite.test") && hosts.contains("2001:db8::80\tapi.site.test"),
        "{hosts}"
    );
}

#[test]
fn times_are_those_of_the_exchange() {
    let times = tshark(
        &[
            "-Y",
            "tcp.stream == 0 && (tcp.flags.syn == 1 || http)",
            "-T",
            "fields",
            "-e",
            "frame.time_epoch",
        ],
        &stream(),
    );
    // Blocked 1 ms, DNS 0.5, connect 2, send 0.5, wait 10 after the start.
    assert_eq!(
        times,
        [
            "1769860800.001500000",
            "1769860800.002500000",
            "1769860800.003500000",
            "1769860800.014000000"
        ]
    );
}

#[test]
fn a_file_is_in_order_and_sections_can_follow_each_other() {
    let mut file = Vec::new();
    PacketWriter::write_file(&mut file, exchanges()).unwrap();
    let infos = run("capinfos", &["-M"], &file);
    assert!(infos.contains("Strict time order:   True"), "{infos}");
    assert!(infos.contains("File type:           pcapng"), "{infos}");
    let requests = tshark(&["-Y", "http.request || http2.headers.method"], &sections(2));
    assert_eq!(requests.len(), 2 * exchanges().len());
}
