"""What a reader makes of a pcapng file: a line for each packet with its time in microseconds, its length, ports, flags
and the first bytes of its payload. The arguments: scapy or dpkt, and the file."""

import sys

reader, path = sys.argv[1:]


def show(time, length, source, destination, flags, payload):
    start = bytes(payload)[:16].hex()
    print(round(float(time) * 1e6), length, source, destination, int(flags), start)


if reader == "scapy":
    from scapy.all import IP, IPv6, PcapNgReader, TCP

    for packet in PcapNgReader(path):
        assert IP in packet or IPv6 in packet
        tcp = packet[TCP]
        show(packet.time, len(packet), tcp.sport, tcp.dport, tcp.flags, tcp.payload)
else:
    import dpkt

    with open(path, "rb") as file:
        for time, frame in dpkt.pcapng.Reader(file):
            tcp = dpkt.ethernet.Ethernet(frame).data.data
            show(time, len(frame), tcp.sport, tcp.dport, tcp.flags, tcp.data)
