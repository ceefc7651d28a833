//! Real clients on a real kernel: Linux' TCP/IP, `udhcpc`, `dig`, `ping` and `curl`, each guest a network namespace with a TAP
//! device on a port of the fabric.
//!
//! Needs root and Debian's packages `udhcpc`, `bind9-dnsutils`, `iputils-ping`, `iproute2`, `curl` and `python3`:
//!
//! ```sh
//! cargo test -p qemuweb-network --test linux -- --ignored --nocapture
//! ```
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a panic here is a failed test with a place")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration as Time, Instant as Clock};

use qemuweb_network::config::{RouterConfig, default_networks};
use qemuweb_network::switch::PortId;
use qemuweb_network::{Attachment, Effect, Fabric, FromOutside, Instant, OutsideId, Refusal, ToOutside};
use smoltcp::phy::{Device, Medium, RxToken, TunTapInterface, TxToken};

/// Set in the process that has namespaces of its own.
const INSIDE: &str = "QEMUWEB_NETWORK_NAMESPACES";
/// Guests: name, network, and the name of their namespace and device.
const GUESTS: [(&str, &str, &str); 3] = [
    ("client", "management", "qwa"),
    ("server", "dmz", "qwb"),
    ("peer", "management", "qwc"),
];

/// What `udhcpc` does with an address, and what it tells us of it.
const SCRIPT: &str = r#"#!/bin/sh
case "$1" in
deconfig) ip addr flush dev $interface -permanent ;;
bound | renew)
  ip addr replace $ip/$mask dev $interface
  [ -z "$router" ] || ip route replace default via $router dev $interface
  printf '%s %s %s %s %s\n' "$ip" "$mask" "$router" "$dns" "$domain" >"$QEMUWEB_LEASE"
  ;;
esac
"#;

#[test]
#[ignore = "needs root, and Debian's udhcpc, bind9-dnsutils, iputils-ping, iproute2, curl and python3"]
fn real_clients_find_their_way() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let this = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    command
        .args(["--net", "--mount", "--propagation", "private"])
        .arg(this);
    command.args([
        "--ignored",
        "--exact",
        "real_clients_find_their_way",
        "--nocapture",
    ]);
    let status = command.env(INSIDE, "1").status().unwrap();
    assert!(status.success(), "in namespaces of its own: {status}");
}

/// A child that ends with its owner.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a shell's line in a guest, and gives what it says and whether it was well.
fn run(guest: &str, line: &str) -> (bool, String) {
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", guest, "sh", "-c", line])
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{guest}# {line}\n{text}");
    (output.status.success(), text)
}

fn must(guest: &str, line: &str) -> String {
    let (is_well, text) = run(guest, line);
    assert!(is_well, "{line}: {text}");
    text.trim().to_owned()
}

fn inside() {
    let directory = std::env::temp_dir().join(format!("qemuweb-network-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let script = directory.join("udhcpc");
    std::fs::write(&script, SCRIPT).unwrap();
    assert!(
        Command::new("chmod")
            .arg("755")
            .arg(&script)
            .status()
            .unwrap()
            .success()
    );
    // Names of namespaces are files, of this mount namespace only.
    std::fs::create_dir_all("/run/netns").unwrap();
    assert!(
        Command::new("mount")
            .args(["-t", "tmpfs", "tmpfs", "/run/netns"])
            .status()
            .unwrap()
            .success()
    );
    let mut networks = default_networks();
    networks[0].outside =
        serde_json::from_str(r#"[{"host": "*.example.org", "ports": [{"first": 80, "last": 80}]}]"#).unwrap();
    let mut fabric = Fabric::new(7);
    let now = Instant::now();
    for network in networks {
        fabric.set_network(now, network).unwrap();
    }
    let mut taps = Vec::new();
    for (name, network, device) in GUESTS {
        let port = fabric
            .attach(now, Attachment::new(name, name, &network.into()))
            .unwrap();
        let mac = fabric.mac(port).unwrap().to_string().replace('-', ":");
        let tap = TunTapInterface::new(device, Medium::Ethernet).unwrap();
        for line in [
            format!("netns add {device}"),
            format!("link set {device} address {mac} netns {device}"),
            format!("-n {device} link set lo up"),
            format!("-n {device} link set {device} up"),
        ] {
            assert!(
                Command::new("ip")
                    .args(line.split(' '))
                    .status()
                    .unwrap()
                    .success(),
                "ip {line}"
            );
        }
        taps.push((port, tap));
    }
    let ends = Arc::new(AtomicBool::new(false));
    let clients = std::thread::spawn({
        let (ends, directory) = (Arc::clone(&ends), directory.clone());
        move || {
            let result = std::panic::catch_unwind(|| clients(&directory, &script));
            ends.store(true, Ordering::Relaxed);
            if let Err(panic) = result {
                std::panic::resume_unwind(panic);
            }
        }
    });
    drive(fabric, taps, &ends);
    let result = clients.join();
    std::fs::remove_dir_all(&directory).unwrap();
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

/// Carries frames between the devices and the fabric until the clients have ended.
fn drive(mut fabric: Fabric, mut taps: Vec<(PortId, TunTapInterface)>, ends: &AtomicBool) {
    let mut outside = Outside::default();
    let mut is_forwarded = false;
    while !ends.load(Ordering::Relaxed) {
        let now = Instant::now();
        let mut is_idle = true;
        for (port, tap) in &mut taps {
            while let Some((received, _)) = tap.receive(now) {
                let frame = received.consume(<[u8]>::to_vec);
                fabric.receive(now, *port, frame.into());
                is_idle = false;
            }
        }
        if fabric.poll_at().is_some_and(|at| at <= now) {
            fabric.poll(now);
        }
        // The first guest's port, once it has an address.
        if !is_forwarded
            && let Some(address) = fabric
                .network(now, &"management".into())
                .unwrap()
                .network
                .interfaces[0]
                .address
        {
            let router = format!(
                r#"{{"nat": {{"forwards": [{{"protocol": "tcp", "port": 8080, "address": "{address}", "toPort": 80}}]}}}}"#
            );
            fabric
                .set_router(now, serde_json::from_str::<RouterConfig>(&router).unwrap())
                .unwrap();
            is_forwarded = true;
        }
        while let Some(effect) = fabric.next() {
            is_idle = false;
            match effect {
                Effect::Frame { port, frame } => {
                    let (_, tap) = taps.iter_mut().find(|(of, _)| *of == port).unwrap();
                    let sent = tap.transmit(now).unwrap();
                    sent.consume(frame.bytes().len(), |bytes| bytes.copy_from_slice(frame.bytes()));
                }
                Effect::Outside(told) => {
                    for said in outside.take(told) {
                        fabric.outside(now, said);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        if is_idle {
            std::thread::sleep(Time::from_micros(200));
        }
    }
}

/// A web server outside, with two megabytes for everybody.
#[derive(Default)]
struct Outside {
    flows: BTreeMap<OutsideId, (Vec<u8>, usize)>,
}

/// What it serves.
fn body() -> Vec<u8> {
    (0..2_000_000_u32).map(|at| b'a' + (at % 23) as u8).collect()
}

impl Outside {
    fn take(&mut self, told: ToOutside) -> Vec<FromOutside> {
        let id = told.id();
        let mut said = Vec::new();
        match told {
            ToOutside::Open { host, window, .. } => {
                if host.to_string() == "closed.example.org" {
                    return vec![FromOutside::Refused {
                        id,
                        why: Refusal::Refused,
                    }];
                }
                self.flows.insert(id, (Vec::new(), window as usize));
                said.push(FromOutside::Opened { id, window: 100_000 });
            }
            ToOutside::Data { bytes, .. } => {
                let answer = [
                    format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body().len()).into_bytes(),
                    body(),
                ]
                .concat();
                if bytes.ends_with(b"\r\n\r\n") {
                    self.flows.get_mut(&id).unwrap().0 = answer;
                }
            }
            ToOutside::Window { bytes, .. } => {
                if let Some(flow) = self.flows.get_mut(&id) {
                    flow.1 += bytes as usize;
                }
            }
            ToOutside::Close { .. } => drop(self.flows.remove(&id)),
            ToOutside::Finish { .. } | ToOutside::Opened { .. } => {}
        }
        if let Some((waiting, room)) = self.flows.get_mut(&id) {
            let count = waiting.len().min(*room);
            if count > 0 {
                *room -= count;
                said.push(FromOutside::Data {
                    id,
                    bytes: waiting.drain(..count).collect(),
                });
                if waiting.is_empty() {
                    said.push(FromOutside::Finish { id });
                }
            }
        }
        said
    }
}

/// The word at this place in what `udhcpc` has told.
fn lease(directory: &Path, guest: &str) -> Vec<String> {
    let text = std::fs::read_to_string(directory.join(guest)).unwrap();
    text.split_whitespace().map(str::to_owned).collect()
}

fn clients(directory: &Path, script: &Path) {
    for (name, _, device) in GUESTS {
        let lease = directory.join(device);
        must(
            device,
            &format!(
                "QEMUWEB_LEASE={} udhcpc -i {device} -x hostname:{name} -F {name} -s {} -n -q -f -t 5 -T 1",
                lease.display(),
                script.display()
            ),
        );
    }
    let (client, server, peer) = ("qwa", "qwb", "qwc");
    let own = lease(directory, client);
    assert_eq!(own[1..], ["24", "10.0.0.1", "10.0.0.1", "management.internal"]);
    let (to, beside) = (
        lease(directory, server)[0].clone(),
        lease(directory, peer)[0].clone(),
    );
    // A lease is renewed, and asked for anew.
    must(
        client,
        &format!(
            "QEMUWEB_LEASE=/dev/null udhcpc -i qwa -r {} -s {} -n -q -f -t 5 -T 1 2>&1 | grep -q 'lease of {}'",
            own[0],
            script.display(),
            own[0]
        ),
    );
    // Echo: the router, a neighbour, through address translation, and in parts.
    for line in [
        "ping -c 2 -i 0.2 -W 2 10.0.0.1".to_owned(),
        format!("ping -c 2 -i 0.2 -W 2 {beside}"),
        format!("ping -c 2 -i 0.2 -W 2 {to}"),
        format!("ping -c 2 -i 0.2 -W 2 -s 8000 {to}"),
        "ping -c 1 -W 2 -s 8000 10.0.0.1".to_owned(),
    ] {
        must(client, &line);
    }
    // What a ping is told: hops, sizes, and prohibitions.
    let told = |guest: &str, line: &str, expected: &str| {
        let (is_well, text) = run(guest, line);
        assert!(
            !is_well && text.contains(expected),
            "{line}: expected “{expected}”, found {text}"
        );
    };
    told(
        client,
        &format!("ping -c 1 -t 1 -W 2 {to}"),
        "Time to live exceeded",
    );
    told(server, &format!("ping -c 1 -W 2 {}", own[0]), "Packet filtered");
    told(client, "ping -c 1 -W 2 8.8.8.8", "Packet filtered");
    told(server, "ping -c 1 -W 2 8.8.8.8", "Destination Net Unreachable");
    told(
        client,
        "ping -c 1 -W 5 172.16.0.250",
        "Destination Host Unreachable",
    );
    // Names.
    let dig = |question: &str| {
        must(
            client,
            &format!("dig +short +tries=1 +time=2 @10.0.0.1 {question}"),
        )
    };
    assert_eq!(dig("server.dmz.internal"), to);
    assert_eq!(dig("+tcp server.dmz.internal"), to);
    assert_eq!(dig("+noedns PEER.management.internal"), beside);
    assert_eq!(dig(&format!("-x {beside}")), "peer.management.internal.");
    assert_eq!(dig("server.dmz.internal TYPE65280"), "");
    let status = |question: &str, expected: &str| {
        let text = must(client, &format!("dig +tries=1 +time=2 @10.0.0.1 {question}"));
        assert!(text.contains(&format!("status: {expected}")), "{text}");
        assert!(!text.contains("WARNING") && !text.contains("malformed"), "{text}");
    };
    status("nobody.dmz.internal", "NXDOMAIN");
    status("server.dmz.internal TLSA", "NOERROR");
    status("example.com", "NXDOMAIN");
    // TCP through address translation, to a port that is forwarded, and where nobody listens.
    std::fs::write(directory.join("file"), body()).unwrap();
    let serve = |guest: &str| {
        let mut command = Command::new("ip");
        command.args([
            "netns",
            "exec",
            guest,
            "python3",
            "-m",
            "http.server",
            "80",
            "--directory",
        ]);
        command.arg(directory).stdout(Stdio::null()).stderr(Stdio::null());
        Server(command.spawn().unwrap())
    };
    let _servers = (serve(server), serve(client));
    let fetch = |guest: &str, url: &str| {
        must(
            guest,
            &format!(
                "curl -sS --retry 20 --retry-delay 1 --retry-all-errors -m 20 {url} 2>/dev/null | sha256sum"
            ),
        )
    };
    let expected = must(client, &format!("sha256sum < {}/file", directory.display()));
    assert_eq!(fetch(client, &format!("http://{to}/file")), expected);
    assert_eq!(fetch(server, "http://172.16.0.1:8080/file"), expected);
    assert_eq!(fetch(peer, "http://10.0.0.1:8080/file"), expected);
    let fails = |guest: &str, url: &str, expected: &str| {
        let before = Clock::now();
        let (is_well, text) = run(guest, &format!("curl -sS -m 20 {url}"));
        assert!(!is_well && before.elapsed() < Time::from_secs(2), "{text}");
        let text = text.to_lowercase();
        assert!(
            text.contains("couldn't connect")
                || text.contains("could not connect")
                || text.contains("refused")
                || text.contains(expected),
            "{text}"
        );
    };
    fails(client, &format!("http://{to}:81/"), "refused");
    fails(server, &format!("http://{}/", own[0]), "no route");
    // The outside: two megabytes, one that refuses, and what is not allowed.
    let address = dig("www.example.org");
    assert_eq!(fetch(client, &format!("http://{address}/")), expected);
    let closed = dig("closed.example.org");
    fails(client, &format!("http://{closed}/"), "refused");
    fails(client, &format!("http://{address}:443/"), "no route");
    fails(client, "http://93.184.216.34/", "no route");
    // IPv6: an address from the announced prefix, the router, and no way out.
    let address6 = must(
        client,
        "for i in $(seq 50); do ip -6 addr show dev qwa scope global -tentative | grep -o 'fd[0-9a-f:]*' && break; sleep 0.2; done",
    );
    let prefix: Vec<&str> = address6.split(':').take(4).collect();
    must(
        client,
        &format!("ping -6 -c 2 -i 0.2 -W 2 {}::1", prefix.join(":")),
    );
    let peer6 = must(
        peer,
        "ip -6 addr show dev qwc scope global -tentative | grep -o 'fd[0-9a-f:]*'",
    );
    must(client, &format!("ping -6 -c 2 -i 0.2 -W 2 {peer6}"));
    assert_eq!(
        must(
            client,
            &format!(
                "dig +short +tries=1 +time=2 @{}::1 server.dmz.internal",
                prefix.join(":")
            )
        ),
        to
    );
    told(client, "ping -6 -c 1 -W 2 2001:db8::1", "unreachable");
}
