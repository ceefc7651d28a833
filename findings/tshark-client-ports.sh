#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR MIT
# tshark 4.0.17 (Debian): a client's random port decides what its HTTP is shown as.
#
# A dissector's port counts on both ends of a connection. Seven TCP ports that dissectors claim lie in the range from which
# Linux takes clients' ports (32768 to 60999), and a claim beats the heuristics that find HTTP on any other server port. So
# one connection in 4,000 to a server on port 3000 or 5000 is not HTTP: from 57000 it is IRC, from 48898 it is AMS, from
# 44818 nothing at all. To 80 and 8080, which are HTTP's own, nothing happens. Who writes captures should choose clients' ports
# outside of those; who filters by `http` misses requests now and then.
#
# Exits with 0 as long as it is so, with 1 when it has changed. Needs tshark, Python with pip and a package registry.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" --quiet --disable-pip-version-check install scapy==2.8.0
cat >"$work/write.py" <<'PYTHON'
import sys
from scapy.all import IP, TCP, Ether, wrpcap
packets = []
def exchange(client, server):
    request = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    def send(forth, flags, seq, ack, data=b""):
        ends, ports = (("10.0.0.2", "10.0.0.1"), (client, server)) if forth else (("10.0.0.1", "10.0.0.2"), (server, client))
        packets.append(Ether() / IP(src=ends[0], dst=ends[1]) / TCP(sport=ports[0], dport=ports[1], flags=flags, seq=seq, ack=ack) / data)
    send(True, "S", 0, 0)
    send(False, "SA", 0, 1)
    send(True, "PA", 1, 1, request)
    send(False, "PA", 1, 1 + len(request), response)
for client in map(int, sys.argv[2:]):
    for server in (80, 3000, 5000):
        exchange(client, server)
wrpcap(sys.argv[1], packets)
PYTHON
tshark --version 2>/dev/null | sed -n 1p
claimed=$(tshark -G decodes 2>/dev/null | awk -F'\t' '$1 == "tcp.port" && $2 >= 32768 && $2 <= 60999 {print $2}' | sort -nu | xargs)
# shellcheck disable=SC2086 # a list of ports
"$work/venv/bin/python" "$work/write.py" "$work/http.pcap" $claimed 50000 2>/dev/null
seen=$(tshark -r "$work/http.pcap" -Y 'tcp.len > 0 && tcp.srcport > 32767' -T fields -e tcp.srcport -e tcp.dstport -e _ws.col.Protocol 2>/dev/null | tr '\t' ' ')
printf '%s\n' "$seen"
expected='34980 80 HTTP
34980 3000 TC-NV
34980 5000 TC-NV
44321 80 HTTP
44321 3000 TCP
44321 5000 TCP
44322 80 HTTP
44322 3000 PMPROXY
44322 5000 PMPROXY
44818 80 HTTP
44818 3000 TCP
44818 5000 TCP
48049 80 HTTP
48049 3000 CBSP
48049 5000 CBSP
48898 80 HTTP
48898 3000 AMS
48898 5000 AMS
57000 80 HTTP
57000 3000 IRC
57000 5000 IRC
50000 80 HTTP
50000 3000 HTTP
50000 5000 HTTP'
[[ $seen == "$expected" ]] || {
  printf 'changed; expected:\n%s\n' "$expected" >&2
  exit 1
}
