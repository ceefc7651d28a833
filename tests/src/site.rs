//! A web site for DevTools to be opened on, served on the loopback: a page, and what pages fetch in all manners.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use anyhow::Result;

/// A server, as long as the process lives. What it does not know is its one page, or 404 below `/missing`.
pub struct Site {
    port: u16,
}

const PAGE: &str = "<!doctype html><meta charset=utf-8><title>Inspected page</title><h1>Inspected page</h1>";

impl Site {
    /// Starts serving on a free port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A browser that hangs up early has lost interest.
                let _ = answer(stream);
            }
        });
        Ok(Site { port })
    }

    /// The page's address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

/// `{"packed": true}`, compressed with gzip.
const PACKED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x2a\x48\x4c\xce\x4e\x4d\x51\xb2\x52\x28\x29\x2a\x4d\xad\x05\x00\xb9\xd0\xbb\x73\x10\x00\x00\x00";

/// One transparent pixel.
const PIXEL: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let path = first.split([' ', '?']).nth(1).unwrap_or("/");
    let mut line = String::new();
    let mut length = 0;
    while reader.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut sent = Vec::new();
    reader.take(length).read_to_end(&mut sent)?;
    let mut respond = |status: &str, headers: &str, body: &[u8]| {
        write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n")?;
        stream.write_all(body)
    };
    let sized =
        |kind: &str, body: &[u8]| format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
    match path {
        "/packed.json" => {
            let headers = sized("application/json", PACKED) + "Content-Encoding: gzip\r\n";
            respond("200 OK", &headers, PACKED)
        }
        "/chunked.txt" => respond(
            "200 OK",
            "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n",
            b"6\r\npiece \r\n8\r\nby piece\r\n0\r\n\r\n",
        ),
        "/moved" => respond(
            "302 Found",
            "Location: /packed.json\r\nContent-Length: 0\r\n",
            b"",
        ),
        "/pixel.gif" => respond("200 OK", &sized("image/gif", PIXEL), PIXEL),
        // Says back what it got, as pages do that mean well.
        "/echo" => respond(
            "200 OK",
            &(sized("text/plain", &sent) + "Set-Cookie: id=cookie-of-the-server\r\n"),
            &sent,
        ),
        path if path.starts_with("/missing") => {
            respond("404 Not Found", &sized("text/plain", b"not here"), b"not here")
        }
        _ => respond("200 OK", &sized("text/html", PAGE.as_bytes()), PAGE.as_bytes()),
    }
}
