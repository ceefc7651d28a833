//! A web site for DevTools to be opened on, served on the loopback: once as it is, in HTTP/1.1, and once over TLS, in HTTP/2.

mod answers;
mod kinds;
mod raw;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rcgen::{CertifiedKey, PublicKeyData, generate_simple_self_signed};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use kinds::Ledger;
pub use kinds::Told;
pub use raw::HINTED;

/// Two servers with the same answers, as long as the process lives.
pub struct Site {
    port: u16,
    secure_port: u16,
    raw_port: u16,
    certificate: String,
    ledger: Ledger,
}

impl Site {
    /// Starts serving on free ports.
    pub fn start() -> Result<Self> {
        let listeners = Listeners {
            plain: listener()?,
            secure: listener()?,
            raw: listener()?,
        };
        let port = listeners.plain.local_addr()?.port();
        let secure_port = listeners.secure.local_addr()?.port();
        let raw_port = listeners.raw.local_addr()?.port();
        let ledger = Ledger::default();
        let kept = ledger.clone();
        let (tls, certificate) = identity()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::spawn(move || serve(&runtime, listeners, tls, ledger));
        Ok(Site {
            port,
            secure_port,
            raw_port,
            certificate,
            ledger: kept,
        })
    }

    /// The page's address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// The page's address over TLS, for a browser with [`Site::switch`].
    pub fn secure_url(&self) -> String {
        format!("https://127.0.0.1:{}/", self.secure_port)
    }

    /// The address of the server that answers oddly, without TLS.
    pub fn raw_url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.raw_port)
    }

    /// What was got and sent for a path below `/kind/`, with its query, when it was last asked for.
    pub fn told(&self, path: &str) -> Option<Told> {
        self.ledger.told(path)
    }

    /// The command line switch with which Chromium takes this site's certificate, which nobody signed, and no other.
    pub fn switch(&self) -> String {
        format!("--ignore-certificate-errors-spki-list={}", self.certificate)
    }
}

fn listener() -> Result<TcpListener> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A new key with its certificate, and the hash by which Chromium knows it.
fn identity() -> Result<(TlsAcceptor, String)> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["127.0.0.1".to_owned()]).context("cannot make a certificate")?;
    let hash = BASE64.encode(Sha256::digest(signing_key.subject_public_key_info()));
    let key = PrivateKeyDer::try_from(signing_key.serialize_der())
        .map_err(|error| anyhow::anyhow!("the new key is none: {error}"))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), hash))
}

/// The sockets of the servers.
struct Listeners {
    plain: TcpListener,
    secure: TcpListener,
    raw: TcpListener,
}

fn serve(runtime: &Runtime, listeners: Listeners, tls: TlsAcceptor, ledger: Ledger) {
    runtime.spawn(accept_raw(listeners.raw));
    runtime.spawn(accept(listeners.plain, None, ledger.clone()));
    // All end with the process.
    let _ = runtime.block_on(accept(listeners.secure, Some(tls), ledger));
}

async fn accept_raw(listener: TcpListener) -> io::Result<Infallible> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(raw::converse(stream));
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, ledger: Ledger) -> io::Result<Infallible> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (tls, ledger) = (tls.clone(), ledger.clone());
        tokio::spawn(async move {
            match tls {
                None => converse(stream, ledger).await,
                Some(tls) => {
                    // A browser that does not like the certificate hangs up.
                    if let Ok(stream) = tls.accept(stream).await {
                        converse(stream, ledger).await;
                    }
                }
            }
        });
    }
}

/// Answers all requests of a connection, in the protocol that it starts with.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, ledger: Ledger) {
    let answer = service_fn(move |request| {
        let ledger = ledger.clone();
        async move { answers::answer(request, &ledger).await }
    });
    // A browser that hangs up early has lost interest.
    let _ = Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(stream), answer)
        .await;
}
