//! Images that a VM fetches by their address: without the person's cookies, unless they ask for that.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemuweb_driver::DEFAULT_TIMEOUT;
use qemuweb_e2e::{Desk, Report, Scenario, doctored};
use serde_json::{Value, json};

/// How long the host may take to find out that something cannot be started.
const REFUSAL: Duration = Duration::from_secs(60);
const COOKIE: &str = "session=of-the-person";

/// A server that knows people by a cookie, and what it was sent.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        // It ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                thread::spawn(move || answer(stream, &seen));
            }
        });
        Ok(Self { port, requests })
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The head of the request for this path.
    fn request(&self, path: &str) -> Result<String> {
        let requests = self.requests.lock().map_err(|error| anyhow::anyhow!("{error}"))?;
        let found = requests
            .iter()
            .find(|head| head.starts_with(&format!("GET {path} ")));
        found
            .cloned()
            .with_context(|| format!("{path} was not asked for: {requests:?}"))
    }
}

/// Answers one request with text, which is no image, and with the cookie.
fn answer(stream: TcpStream, seen: &Mutex<Vec<String>>) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let mut head = String::new();
    while let Some(Ok(line)) = lines
        .next()
        .filter(|line| line.as_ref().is_ok_and(|line| !line.is_empty()))
    {
        head += &line;
        head.push('\n');
    }
    let origin = head
        .lines()
        .find_map(|line| line.strip_prefix("Origin: "))
        .unwrap_or("*");
    let body = "this is no kernel\n";
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\
         Set-Cookie: {COOKIE}; SameSite=Strict; Path=/\r\nAccess-Control-Allow-Origin: {origin}\r\n\
         Access-Control-Allow-Credentials: true\r\nCross-Origin-Resource-Policy: cross-origin\r\n\r\n{body}",
        body.len()
    );
    seen.lock().ok()?.push(head);
    (&stream).write_all(answer.as_bytes()).ok()
}

struct Bench {
    desk: Desk,
    server: Server,
}

impl Report for Bench {
    fn report(&self, directory: &std::path::Path) -> Result<()> {
        self.desk.report(directory)
    }
}

impl Bench {
    fn open() -> Result<Self> {
        // As after the person has let the extension fetch from there.
        let extension = doctored(|directory| {
            let file = directory.join("manifest.json");
            let mut manifest: Value = serde_json::from_slice(&fs::read(&file)?)?;
            manifest["host_permissions"] = json!(["http://127.0.0.1/*"]);
            fs::remove_file(&file)?;
            Ok(fs::write(file, manifest.to_string())?)
        })?;
        let mut desk = Desk::open_with(extension)?;
        desk.open_panel()?;
        Ok(Self {
            desk,
            server: Server::start()?,
        })
    }

    /// Starts a VM whose kernel is at an address, and waits until it was found to be none.
    fn start(&self, vm: &str, source: &str, path: &str) -> Result<String> {
        let panel = self.desk.panel()?;
        let inputs = json!({ "kernel": { source: self.server.url(path) } });
        let start = format!("window.qemuweb.startVm({vm:?}, 'minimal-x86_64', {inputs}).then(() => true)");
        panel.session().evaluate(&start)?;
        panel.wait_state(vm, "crashed", REFUSAL)?;
        panel.select(vm)?;
        panel.wait_error("found text", DEFAULT_TIMEOUT)?;
        self.server.request(path)
    }
}

fn main() {
    let trials = Scenario::new("images at addresses", Bench::open)
        .step("the person is known to the server", |bench| {
            let panel = bench.desk.panel()?;
            for path in ["/sign-in", "/signed-in"] {
                let fetch = format!(
                    "fetch({:?}, {{credentials: 'include'}}).then((answer) => answer.ok)",
                    bench.server.url(path)
                );
                panel.session().evaluate(&fetch)?;
            }
            let head = bench.server.request("/signed-in")?;
            ensure!(head.contains(COOKIE), "the cookie is not kept: {head}");
            Ok(())
        })
        .step("an image is fetched without cookies and referrer", |bench| {
            let head = bench.start("stranger", "url", "/stranger")?.to_lowercase();
            ensure!(
                !head.contains("cookie:") && !head.contains("referer:"),
                "sent: {head}"
            );
            Ok(())
        })
        .step("with cookies, if somebody asks for that", |bench| {
            let head = bench.start("known", "urlWithCredentials", "/known")?;
            ensure!(head.contains(COOKIE), "sent: {head}");
            Ok(())
        })
        .trials();
    qemuweb_e2e::run(trials)
}
