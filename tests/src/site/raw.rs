//! A server that speaks HTTP/1.1 byte by byte, for answers that a proper one does not give.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest head of a request that is read, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// An early hint, then a body in chunks.
const HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n\
HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nAccess-Control-Allow-Origin: *\r\nTransfer-Encoding: chunked\r\n\
Connection: close\r\n\r\n6\r\npiece \r\n8\r\nby piece\r\n0\r\n\r\n";

/// What [`HINTS`] carries.
pub const HINTED: &[u8] = b"piece by piece";

/// To a request for a WebSocket: no.
const NO_SOCKET: &[u8] = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Answers the one request of a connection: `/hints`, a refused `/socket`, and nothing at all to others.
pub(super) async fn converse(mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let answer = if head.starts_with(b"GET /hints") {
        HINTS
    } else if head.starts_with(b"GET /socket") {
        NO_SOCKET
    } else {
        return Ok(());
    };
    stream.write_all(answer).await?;
    stream.shutdown().await
}
