//! What Wireshark's tools make of our packets: tshark and capinfos, which `cargo xtask test` installs on Debian.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use qemuweb_capture::{Exchange, Limits, PacketWriter, har};

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
    let requests = tshark(
        &[
            "-Y",
            "http.request",
            "-T",
            "fields",
            "-e",
            "http.request.method",
            "-e",
            "http.request.full_uri",
        ],
        &stream(),
    );
    let expected: Vec<String> = exchanges()
        .iter()
        .map(|exchange| {
            let url = &exchange.request.url;
            let url = url.replacen("https:", "http:", 1).replacen("ws:", "http:", 1);
            format!("{}\t{url}", exchange.request.method)
        })
        .collect();
    assert_eq!(requests, expected);
    let statuses = tshark(
        &["-Y", "http.response", "-T", "fields", "-e", "http.response.code"],
        &stream(),
    );
    assert_eq!(
        statuses,
        [
            "200", "302", "200", "200", "404", "200", "304", "204", "200", "101", "500"
        ]
    );
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
            "http.request.method == POST",
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
    PacketWriter::write_file(&mut file, &exchanges()).unwrap();
    let infos = run("capinfos", &["-M"], &file);
    assert!(infos.contains("Strict time order:   True"), "{infos}");
    assert!(infos.contains("File type:           pcapng"), "{infos}");
    let requests = tshark(&["-Y", "http.request"], &sections(2));
    assert_eq!(requests.len(), 2 * exchanges().len());
}
