#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# dhcproto 0.15.0 (crate): parts of one DHCP option that do not stand side by side.
#
# RFC 3396 lets an option that is too long, or that is spread over the options, file and sname fields, come in parts, and
# has the reader join all parts of one code, wherever they stand ("Decoding Agent Behavior"). dhcproto joins them as long as they are
# neighbours, which is how it writes them itself; so a test of encode and decode passes. With another option between them:
#   - of texts and byte strings only the last part is left: the domain name "example.org" becomes "ple.org";
#   - of lists whose first part ends within an item, the option *and every option behind it* are gone, here the server
#     identifier, without which no client can take the offer;
#   - a domain search list becomes an empty list.
# decode() answers Ok each time. A server or relay on it has to join the parts before it hands the message over.
#
# Exits with 0 as long as it is so, with 1 when it has changed. Needs cargo and a package registry.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "parts-apart"
version = "0.0.0"
edition = "2021"

[dependencies]
dhcproto = "=0.15.0"
TOML
cat >"$work/src/main.rs" <<'RUST'
use dhcproto::v4::{Decodable, Decoder, Message};

fn option(code: u8, data: &[u8]) -> Vec<u8> {
    [&[code, data.len() as u8], data].concat()
}

/// The options of an ACK that has these, as dhcproto reads it, without the message type, by code.
fn read(options: &[Vec<u8>]) -> String {
    let mut message = vec![2, 1, 6, 0, 1, 2, 3, 4];
    message.resize(28, 0);
    message.extend([0x02, 0, 0, 0, 0, 1]);
    message.resize(236, 0);
    message.extend([99, 130, 83, 99, 53, 1, 5]);
    message.extend(options.concat());
    message.push(255);
    let message = Message::decode(&mut Decoder::new(&message)).expect("dhcproto reads it");
    let mut seen: Vec<String> = message.opts().iter().map(|(_, option)| format!("{option:?}")).collect();
    seen.retain(|option| !option.starts_with("MessageType"));
    seen.sort();
    if seen.is_empty() { "nothing".to_owned() } else { seen.join(" ") }
}

fn main() {
    let server = option(54, &[10, 0, 0, 1]);
    let cases: [(&str, u8, &[u8], usize); 4] = [
        ("domain name", 15, b"example.org", 4),
        ("name servers", 6, &[10, 0, 0, 53, 10, 0, 0, 54], 6),
        ("classless routes", 121, &[24, 10, 1, 2, 10, 0, 0, 1, 16, 10, 9, 10, 0, 0, 1], 6),
        ("domain search", 119, b"\x03eng\x07example\x00\xc0\x04", 7),
    ];
    for (name, code, data, at) in cases {
        let (first, second) = (option(code, &data[..at]), option(code, &data[at..]));
        println!("{name}, side by side: {}", read(&[first.clone(), second.clone(), server.clone()]));
        println!("{name}, apart: {}", read(&[first, server.clone(), second]));
    }
}
RUST
seen=$(cd "$work" && CARGO_TARGET_DIR=$work/target cargo run --quiet)
expected='domain name, side by side: DomainName("example.org") ServerIdentifier(10.0.0.1)
domain name, apart: DomainName("ple.org") ServerIdentifier(10.0.0.1)
name servers, side by side: DomainNameServer([10.0.0.53, 10.0.0.54]) ServerIdentifier(10.0.0.1)
name servers, apart: nothing
classless routes, side by side: ClasslessStaticRoute([(10.1.2.0/24, 10.0.0.1), (10.9.0.0/16, 10.0.0.1)]) ServerIdentifier(10.0.0.1)
classless routes, apart: nothing
domain search, side by side: DomainSearch([Name("eng.example."), Name("example.")]) ServerIdentifier(10.0.0.1)
domain search, apart: DomainSearch([]) ServerIdentifier(10.0.0.1)'
printf '%s\n' "$seen"
[[ $seen == "$expected" ]] || {
  printf 'changed; expected:\n%s\n' "$expected" >&2
  exit 1
}
