//! Commands over a spool that an [`Intake`] has filled.

use qemuweb_capture::{Body, Header, jsonl};

use super::collector::Intake;
use super::*;

struct Filled {
    directory: tempfile::TempDir,
    spool: Spool,
    /// A collector seems to be there.
    _lock: File,
}

impl Filled {
    fn new(lines: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::at(directory.path(), 1 << 20);
        let lock = spool.become_collector().unwrap().unwrap();
        Intake::open(&spool).unwrap().take(lines).unwrap();
        Self {
            directory,
            spool,
            _lock: lock,
        }
    }

    fn says(&self, words: &str) -> String {
        let (mut out, words) = (Vec::new(), words.split(' ').collect::<Vec<_>>());
        match act(&self.spool, &words, &mut out) {
            Ok(()) => String::from_utf8(out).unwrap(),
            Err(Failure::Said(text)) => format!("failed: {text}"),
            Err(Failure::Closed) => panic!("nothing is closed here"),
        }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }
}

fn exchange(number: u64, method: &str, url: &str) -> Exchange {
    let mut exchange = Exchange {
        number,
        time: 12.5,
        ..Exchange::default()
    };
    exchange.request.method = method.to_owned();
    exchange.request.url = url.to_owned();
    exchange.response.status = 200;
    exchange
}

fn line(capture: &str, exchange: &Exchange) -> Vec<u8> {
    let mut line = Vec::new();
    jsonl::write_exchange(&mut line, capture, exchange).unwrap();
    line
}

/// Two captures, with what is torn and strange between them.
fn lines() -> Vec<u8> {
    let mut hello = exchange(7, "GET", "http://site.test/hello?x=1");
    hello.response.body = Some(Body::new("text/plain", "h\u{1b}llo\n"));
    hello.response.headers.push(Header {
        name: "a".to_owned(),
        value: "b\u{202e}c".to_owned(),
    });
    let mut post = exchange(8, "POST", "http://site.test/ü/\u{1b}[2J");
    post.request.body = Some(Body::new("application/octet-stream", [0, 255]));
    post.response.error = Some("net::ERR_FAILED".to_owned());
    let mut lines = line("c1", &exchange(7, "GET", "http://old.test/"));
    lines.extend(b"{\"torn\n");
    lines.extend(line("c2", &hello));
    jsonl::write_gap(&mut lines, 3).unwrap();
    lines.extend(b"\xff\n{\"v\":9,\"type\":\"exchange\"}\n");
    lines.extend(line("c2", &post));
    lines
}

#[test]
fn numbers_are_those_of_the_panel() {
    let filled = Filled::new(&lines());
    assert_eq!(
        filled.says("list"),
        " c1:7 GET     200       -     12 ms -          http://old.test/\n    \
             7 GET     200       6     12 ms -          http://site.test/hello?x=1\n    \
             8 POST    ---       -     12 ms -          http://site.test/ü/·[2J\n"
    );
    assert_eq!(filled.spool.index().unwrap().dropped, 3);
    for (number, url) in [
        ("7", "site.test/hello"),
        ("c2:7", "site.test/hello"),
        ("c1:7", "old.test/"),
    ] {
        assert!(filled.says(&format!("show {number}")).contains(url), "{number}");
    }
    for (number, said) in [
        ("1", "failed: there is no exchange 1: see page-capture list"),
        ("c3:7", "failed: there is no exchange c3:7: see page-capture list"),
        (
            "x",
            "failed: expected the number of an exchange, as page-capture list shows it",
        ),
        (
            "",
            "failed: expected the number of an exchange, as page-capture list shows it",
        ),
    ] {
        assert_eq!(filled.says(&format!("curl {number}")), said);
    }
}

#[test]
fn filters_are_the_panels() {
    let filled = Filled::new(&lines());
    let listed = |filter: &str| filled.says(&format!("list {filter}")).lines().count();
    for (filter, count) in [
        ("method:POST", 1),
        ("-method:POST", 2),
        ("hello", 1),
        ("domain:old.test", 1),
        ("x y", 0),
    ] {
        assert_eq!(listed(filter), count, "{filter}");
    }
    assert!(filled.says("list /(/").starts_with("failed: "));
}

#[test]
fn nothing_that_is_shown_has_controls() {
    let filled = Filled::new(&lines());
    for command in ["list", "show 7", "show 8", "curl 8"] {
        let said = filled.says(command);
        let control = said
            .chars()
            .find(|c| jsonl::is_control(*c) && *c != '\n' && *c != '\t');
        assert_eq!(control, None, "{command}: {said:?}");
    }
    assert!(filled.says("show 7").contains("  a: b·c\n\nh·llo\n"));
}

#[test]
fn files_are_written() {
    let filled = Filled::new(&lines());
    let (har, pcap, directory) = (
        filled.path("x.har"),
        filled.path("x.pcapng"),
        filled.path("files"),
    );
    for command in [
        format!("save har {har}"),
        format!("save pcap {pcap} hello"),
        format!("save dir {directory}"),
    ] {
        assert_eq!(filled.says(&command), "", "{command}");
    }
    let har: serde_json::Value = serde_json::from_slice(&fs::read(har).unwrap()).unwrap();
    assert_eq!(har["log"]["entries"].as_array().unwrap().len(), 3);
    assert_eq!(fs::read(pcap).unwrap()[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    let body = Path::new(&directory).join("7-hello");
    assert_eq!(fs::read(body).unwrap(), b"h\x1bllo\n");
    let kept = fs::read(Path::new(&directory).join("exchanges.jsonl")).unwrap();
    assert_eq!(kept.iter().filter(|byte| **byte == b'\n').count(), 3);
    assert!(
        filled
            .says("save zip x")
            .starts_with("failed: expected har, pcap or dir")
    );
}

#[test]
fn names_of_files_are_harmless() {
    for (url, name) in [
        ("http://a/b/c.js?d/e", "c.js"),
        ("http://a/", ""),
        ("http://a/..", ""),
        ("http://a/.bashrc", "bashrc"),
        ("a b\u{1b}$(x)", "a_b___x_"),
    ] {
        assert_eq!(text::file_name(url), name);
    }
    assert_eq!(text::file_name(&format!("/{}", "x".repeat(1000))).len(), 80);
}

#[test]
fn notes_go_to_the_host_as_lines() {
    use std::io::Read as _;
    let filled = Filled::new(&lines());
    let mut pipe = filled.spool.open_pipe().unwrap();
    for (command, said) in [
        (
            "annotate 7 look here",
            r#"{"type":"note","capture":"c2","number":7,"text":"look here"}"#,
        ),
        (
            "flag c1:7",
            r#"{"type":"flag","capture":"c1","number":7,"on":true}"#,
        ),
        (
            "flag 8 off",
            r#"{"type":"flag","capture":"c2","number":8,"on":false}"#,
        ),
    ] {
        assert_eq!(filled.says(command), "");
        let mut bytes = [0; 500];
        let n = pipe.read(&mut bytes).unwrap();
        assert_eq!(str::from_utf8(&bytes[..n]).unwrap().trim_end(), said);
    }
    let long = filled.says(&format!("annotate 7 {}", "x".repeat(2000)));
    assert_eq!(long, "failed: expected a note of at most 1024 bytes, found 2000");
}

#[test]
fn what_is_wrong_is_told_how_it_is_right() {
    let filled = Filled::new(b"");
    for (words, said) in [
        ("show", "failed: expected: page-capture show N"),
        ("flag 1 maybe", "failed: expected: page-capture flag N [off]"),
        ("annotate 1", "failed: expected: page-capture annotate N TEXT"),
        (
            "dance",
            "failed: there is no command dance: see page-capture help",
        ),
    ] {
        assert_eq!(filled.says(words), said);
    }
    assert!(filled.says("help").contains("page-capture follow"));
    assert_eq!(filled.says("list"), "");
}

#[test]
fn a_collector_goes_on_where_a_former_one_was_ended() {
    let all = lines();
    let expected = Filled::new(&all).says("list");
    for cut in [1, 50, all.len() / 2, all.len() - 1] {
        let filled = Filled::new(b"");
        // The former one kept bytes that it did not tell of, and the host sends a line that was cut again.
        fs::write(filled.spool.lines(), &all[..cut]).unwrap();
        let begun = all[..cut]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        Intake::open(&filled.spool).unwrap().take(&all[begun..]).unwrap();
        assert_eq!(filled.says("list"), expected, "cut at {cut}");
    }
}

#[test]
fn lines_come_in_pieces_and_end_at_the_limit() {
    let all = lines();
    let filled = Filled::new(b"");
    let mut intake = Intake::open(&filled.spool).unwrap();
    for piece in all.chunks(7) {
        intake.take(piece).unwrap();
    }
    assert_eq!(filled.says("list"), Filled::new(&all).says("list"));
    let mut long = exchange(9, "GET", "http://site.test/long");
    long.response.body = Some(Body::new("text/plain", "x".repeat(2 << 20)));
    intake.take(&line("c2", &long)).unwrap();
    assert!(filled.spool.is_full());
    assert_eq!(fs::metadata(filled.spool.lines()).unwrap().len(), 1 << 20);
    assert_eq!(filled.says("list").lines().count(), 3);
}
