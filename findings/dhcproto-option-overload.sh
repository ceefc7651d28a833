#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# dhcproto 0.15.0 (crate) and scapy 2.8.0 (Python): a DHCP message whose options go on in the file field.
#
# With option 52 (option overload) a message has more options in its `file` field, in `sname`, or in both (RFC 2131
# section 4.1, RFC 2132 section 9.3); servers do that where a client takes short messages only. dhcproto reads option 52,
# answers Ok, and leaves those options where they are: router, server identifier and lease time are missing from an ACK
# that has all three, and fname() hands out the first bytes of these options as the name of a boot file. scapy leaves them out, too.
# Debian's tshark shows all of them. Whoever builds a client or relay on these has to read the fields again.
#
# Exits with 0 as long as it is so, with 1 when it has changed. Needs cargo, Python with pip, tshark, and package registries.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "overload"
version = "0.0.0"
edition = "2021"

[dependencies]
dhcproto = "=0.15.0"
TOML
cat >"$work/src/main.rs" <<'RUST'
use dhcproto::v4::{Decodable, Decoder, Message};

fn main() {
    let bytes = std::fs::read(std::env::args().nth(1).unwrap()).unwrap();
    let message = Message::decode(&mut Decoder::new(&bytes)).expect("dhcproto reads it");
    let mut codes: Vec<u8> = message.opts().iter().map(|(code, _)| u8::from(*code)).collect();
    codes.sort();
    println!("dhcproto options {codes:?}, boot file {:?}", message.fname());
}
RUST
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install scapy==2.8.0
# An ACK: message type and option 52 in the options field; server identifier, lease time, router in the file field.
cat >"$work/message.py" <<'PYTHON'
import sys
from scapy.all import BOOTP, DHCP, IP, UDP, Ether, wrpcap
hidden = bytes([54, 4, 10, 0, 0, 1, 51, 4, 0, 0, 14, 16, 3, 4, 10, 0, 0, 1, 255])
fixed = bytes([2, 1, 6, 0, 1, 2, 3, 4]) + bytes(20) + bytes([2, 0, 0, 0, 0, 1]) + bytes(10)
message = fixed + bytes(64) + hidden.ljust(128, b"\0") + bytes([99, 130, 83, 99, 53, 1, 5, 52, 1, 1, 255])
open(sys.argv[1], "wb").write(message)
wrpcap(sys.argv[2], Ether() / IP(src="10.0.0.1", dst="10.0.0.2") / UDP(sport=67, dport=68) / message)
print("scapy options", [option[0] for option in BOOTP(message)[DHCP].options if option != "end" and option != "pad"])
PYTHON
seen=$("$work/venv/bin/python" "$work/message.py" "$work/message" "$work/message.pcap" 2>/dev/null)
seen+=$'\n'$(cd "$work" && CARGO_TARGET_DIR=$work/target cargo run --quiet -- message)
seen+=$'\ntshark options '$(tshark -r "$work/message.pcap" -T fields -e dhcp.option.type 2>/dev/null)
printf '%s\n' "$seen"
expected="scapy options ['message-type', 'dhcp-option-overload']
dhcproto options [52, 53], boot file Some([54, 4, 10, 0])
tshark options 53,52,54,51,3,0,0"
[[ $seen == "$expected" ]] || {
  printf 'changed; expected:\n%s\n' "$expected" >&2
  exit 1
}
