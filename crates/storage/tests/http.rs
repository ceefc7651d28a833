//! Images from a server of the test's own, which behaves and misbehaves as it is told.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use async_trait::async_trait;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use qemuweb_storage::device::{BlockDevice, BlockError};
use qemuweb_storage::http::{HttpBlockDevice, Ranges, RemoteError, Reply};
use support::{Tokio, image, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a server answers to a request for `start..end` of its `image`: the status line and headers, and the body.
type Answer = dyn Fn(&Server, u64, u64) -> (String, Vec<u8>);

struct Server {
    image: Vec<u8>,
    answer: Box<Answer>,
    requests: RefCell<Vec<(u64, u64)>>,
    open: Cell<usize>,
    most_open: Cell<usize>,
    sent: Cell<usize>,
}

impl Server {
    fn start(
        image: Vec<u8>,
        answer: impl Fn(&Self, u64, u64) -> (String, Vec<u8>) + 'static,
    ) -> (Rc<Self>, SocketAddr) {
        let server = Rc::new(Self {
            image,
            answer: Box::new(answer),
            requests: RefCell::default(),
            open: Cell::default(),
            most_open: Cell::default(),
            sent: Cell::default(),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let serves = Rc::clone(&server);
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = Rc::clone(&serves);
                tokio::task::spawn_local(async move { server.serve(stream).await });
            }
        });
        (server, address)
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        self.open.set(self.open.get() + 1);
        self.most_open.set(self.most_open.get().max(self.open.get()));
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.ok()?);
        }
        let request = String::from_utf8(request).unwrap();
        let range = request
            .lines()
            .find_map(|line| line.strip_prefix("range: bytes="))
            .unwrap();
        let (start, last) = range.split_once('-').unwrap();
        let (start, end) = (start.parse().unwrap(), last.parse::<u64>().unwrap() + 1);
        self.requests.borrow_mut().push((start, end));
        let (head, body) = (self.answer)(self, start, end);
        // So that requests are open at the same time.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        stream
            .write_all(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes())
            .await
            .ok()?;
        for piece in body.chunks(16 << 10) {
            stream.write_all(piece).await.ok()?;
            self.sent.set(self.sent.get() + piece.len());
        }
        self.open.set(self.open.get() - 1);
        Some(())
    }

    fn count(&self) -> usize {
        self.requests.borrow().len()
    }
}

/// As a good server answers, with `etag` and more headers.
fn part(server: &Server, start: u64, end: u64, more: &str) -> (String, Vec<u8>) {
    let size = server.image.len() as u64;
    let end = end.min(size);
    let body = server.image[start as usize..end as usize].to_vec();
    let head = format!(
        "206 Partial Content\r\nContent-Range: bytes {start}-{}/{size}\r\nContent-Length: {}\r\nConnection: close\r\n{more}",
        end - 1,
        end - start
    );
    (head, body)
}

fn good(server: &Server, start: u64, end: u64) -> (String, Vec<u8>) {
    part(server, start, end, "ETag: \"1\"")
}

/// Asks with hyper. A connection that ends early gives what came.
struct Client(SocketAddr);

#[async_trait(?Send)]
impl Ranges for Client {
    async fn fetch(&self, start: u64, end: u64) -> Result<Reply, String> {
        let stream = TcpStream::connect(self.0)
            .await
            .map_err(|error| error.to_string())?;
        let connection = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = connection.map_err(|error| error.to_string())?;
        tokio::task::spawn_local(connection);
        let request = hyper::Request::get("/image")
            .header("range", format!("bytes={start}-{}", end - 1))
            .body(Empty::<Bytes>::new())
            .unwrap();
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| error.to_string())?;
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let mut reply = Reply {
            status: response.status().as_u16(),
            content_range: header("content-range"),
            content_length: header("content-length"),
            content_encoding: header("content-encoding"),
            content_type: header("content-type"),
            etag: header("etag"),
            last_modified: header("last-modified"),
            retry_after: header("retry-after"),
            body: Vec::new(),
        };
        let mut body = response.into_body();
        while reply.status == 206 && reply.body.len() as u64 <= end - start {
            match body.frame().await {
                Some(Ok(frame)) => reply.body.extend(frame.into_data().unwrap()),
                _ => break,
            }
        }
        Ok(reply)
    }
}

async fn open(address: SocketAddr, tokio: &Rc<Tokio>) -> Result<HttpBlockDevice<Client>, BlockError> {
    HttpBlockDevice::open(
        format!("http://{address}/image"),
        Client(address),
        Rc::<Tokio>::clone(tokio),
    )
    .await
}

async fn read(device: &HttpBlockDevice<Client>, offset: usize, length: usize) -> Result<Vec<u8>, BlockError> {
    let mut bytes = vec![0; length];
    device.read(offset as u64, &mut bytes).await.map(|()| bytes)
}

#[test]
fn a_copy_takes_few_requests_and_none_twice() {
    run(async |tokio| {
        let (server, address) = Server::start(image(12_345_678), good);
        let device = open(address, &tokio).await.unwrap();
        assert_eq!(device.size(), 12_345_856);
        let mut bytes = Vec::new();
        while bytes.len() < device.size() as usize {
            let length = (device.size() as usize - bytes.len()).min(32 << 10);
            bytes.extend(read(&device, bytes.len(), length).await.unwrap());
        }
        let mut expected = server.image.clone();
        expected.resize(bytes.len(), 0);
        assert!(bytes == expected);
        assert_eq!(device.fetched(), server.image.len() as u64);
        assert_eq!(server.sent.get(), server.image.len());
        // 377 reads.
        assert!(server.count() < 60, "{} requests", server.count());
        assert!(server.most_open.get() <= 6, "{} at once", server.most_open.get());
    });
}

#[test]
fn who_jumps_about_gets_little_more_than_that() {
    run(async |tokio| {
        let (server, address) = Server::start(image(64 << 20), good);
        let device = open(address, &tokio).await.unwrap();
        let before = server.sent.get();
        let offsets: Vec<usize> = (0..400).map(|read| (read * 104_729 % 16_384) << 12).collect();
        for offsets in offsets.chunks(20) {
            let reads = offsets.iter().map(|&offset| read(&device, offset, 8192));
            for (offset, bytes) in offsets.iter().zip(join_all(reads).await) {
                let end = (offset + 8192).min(server.image.len());
                assert!(bytes.unwrap()[..end - offset] == server.image[*offset..end]);
            }
        }
        let (read, sent) = (400 * 8192, server.sent.get() - before);
        assert!(
            sent <= read + read / 8 + (256 << 10),
            "{sent} bytes sent for {read}"
        );
        assert_eq!(server.most_open.get(), 6);
    });
}

#[test]
fn readers_of_the_same_bytes_share_a_request() {
    run(async |tokio| {
        let (server, address) = Server::start(image(8 << 20), good);
        let device = open(address, &tokio).await.unwrap();
        let reads = (0..20).map(|_| read(&device, 4 << 20, 65_536));
        for bytes in join_all(reads).await {
            assert!(bytes.unwrap() == server.image[4 << 20..(4 << 20) + 65_536]);
        }
        let asked = server
            .requests
            .borrow()
            .iter()
            .filter(|(start, _)| *start == 4 << 20)
            .count();
        assert_eq!(asked, 1);
        assert_eq!(
            device.write(0, &[0; 512]).await,
            Err(BlockError::ReadOnly {
                id: device.id().into()
            })
        );
        device.close().await.unwrap();
        assert!(matches!(
            read(&device, 0, 512).await,
            Err(BlockError::Closed { .. })
        ));
    });
}

#[test]
fn servers_that_cannot_serve_disks_are_named() {
    run(async |tokio| {
        type Refuses = fn(&Server, u64, u64) -> (String, Vec<u8>);
        let table: &[(Refuses, RemoteError, bool)] = &[
            (
                // As much as there is, and it is not taken.
                |_, _, _| ("200 OK\r\nContent-Length: 50000000".into(), vec![0; 50_000_000]),
                RemoteError::NoRanges {
                    size: Some(50_000_000),
                },
                true,
            ),
            (
                |_, _, _| {
                    (
                        "200 OK\r\nTransfer-Encoding: chunked".into(),
                        b"0\r\n\r\n".to_vec(),
                    )
                },
                RemoteError::NoRanges { size: None },
                true,
            ),
            (
                |server, start, end| part(server, start, end, "Content-Encoding: gzip"),
                RemoteError::Packed {
                    encoding: "gzip".into(),
                },
                true,
            ),
            (
                |_, _, _| ("404 Not Found".into(), Vec::new()),
                RemoteError::Refused { status: 404 },
                false,
            ),
            (
                |_, _, _| {
                    (
                        "416 Range Not Satisfiable\r\nContent-Range: bytes */0".into(),
                        Vec::new(),
                    )
                },
                RemoteError::Empty,
                false,
            ),
            (
                |_, _, _| {
                    (
                        "206 Partial Content\r\nContent-Range: bytes 0-9/*".into(),
                        vec![0; 10],
                    )
                },
                RemoteError::NoSize("bytes 0-9/*".into()),
                true,
            ),
            (
                |_, _, _| {
                    (
                        "206 Partial Content\r\nContent-Range: bytes 5-9/10".into(),
                        vec![0; 5],
                    )
                },
                RemoteError::WrongRange {
                    expected: "0 to 65535".into(),
                    found: "Content-Range \"bytes 5-9/10\"".into(),
                },
                true,
            ),
        ];
        for &(answer, ref expected, whole) in table {
            let (server, address) = Server::start(image(1 << 20), answer);
            let error = open(address, &tokio).await.err().unwrap();
            let BlockError::Remote { source, .. } = &error else {
                panic!("{error}");
            };
            assert_eq!((source, source.whole_would_do()), (expected, whole));
            assert!(!error.next_step().is_empty() && server.count() == 1);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            assert!(server.sent.get() < 16 << 20, "{} bytes taken", server.sent.get());
        }
    });
}

#[test]
fn what_passes_is_tried_again() {
    run(async |tokio| {
        let (server, address) =
            Server::start(image(4 << 20), |server, start, end| match server.count() % 5 {
                0 => (
                    "503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0".into(),
                    Vec::new(),
                ),
                // Ends amid the body, before it, before the headers; gives less than it could.
                1 => {
                    let (head, body) = good(server, start, end);
                    let half = body.len() / 2;
                    (head, body[..half].to_vec())
                }
                2 => (good(server, start, end).0, Vec::new()),
                3 => good(server, start, (start + 1000).min(end)),
                _ => good(server, start, end),
            });
        let device = open(address, &tokio).await.unwrap();
        for offset in (0..4 << 20).step_by(512 << 10) {
            let bytes = read(&device, offset, 65_536).await.unwrap();
            assert!(bytes == server.image[offset..offset + 65_536]);
        }
        assert!(tokio.pauses.borrow().contains(&2000), "{:?}", tokio.pauses);
    });
}

#[test]
fn a_server_that_stays_away_is_given_up() {
    run(async |tokio| {
        let away = Rc::new(Cell::new(false));
        let is_away = Rc::clone(&away);
        let (server, address) =
            Server::start(image(4 << 20), move |server, start, end| match is_away.get() {
                true => ("502 Bad Gateway\r\nContent-Length: 0".into(), Vec::new()),
                false => good(server, start, end),
            });
        let device = open(address, &tokio).await.unwrap();
        away.set(true);
        let error = read(&device, 1 << 20, 512).await.unwrap_err();
        let remote = RemoteError::Unreachable {
            tries: 7,
            reason: "status 502".into(),
        };
        assert_eq!(
            error,
            BlockError::Remote {
                id: device.id().into(),
                source: remote
            }
        );
        assert_eq!(*tokio.pauses.borrow(), [250, 500, 1000, 2000, 4000, 8000]);
        // It comes back, and nothing is broken.
        away.set(false);
        assert!(read(&device, 1 << 20, 512).await.unwrap() == server.image[1 << 20..(1 << 20) + 512]);
        let nobody = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let error = open(nobody, &tokio).await.err().unwrap();
        assert!(error.to_string().contains("7 tries"), "{error}");
    });
}

#[test]
fn another_image_at_the_same_address_is_an_error() {
    run(async |tokio| {
        let changes: &[(&str, &str)] = &[
            ("ETag: \"1\"", "ETag: \"2\""),
            ("ETag: W/\"1\"", "ETag: W/\"2\""),
            (
                "Last-Modified: Mon, 30 Nov 2026 10:00:00 GMT",
                "Last-Modified: Mon, 30 Nov 2026 10:00:01 GMT",
            ),
        ];
        for &(before, after) in changes {
            let changed = Rc::new(Cell::new(false));
            let is_changed = Rc::clone(&changed);
            let (_, address) = Server::start(image(4 << 20), move |server, start, end| {
                part(server, start, end, if is_changed.get() { after } else { before })
            });
            let device = open(address, &tokio).await.unwrap();
            read(&device, 1 << 20, 512).await.unwrap();
            changed.set(true);
            let error = read(&device, 2 << 20, 512).await.unwrap_err();
            assert!(
                matches!(error, BlockError::Changed { .. }),
                "{before} to {after}: {error}"
            );
        }
    });
}
