//! Frames of guests, and what carriers and name servers say, to a fabric with all there is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qemuweb_network::config::{NetworkConfig, NetworkType, RouterConfig, default_networks};
use qemuweb_network::link::Impairments;
use qemuweb_network::offload::Offload;
use qemuweb_network::switch::PortId;
use qemuweb_network::{
    Attachment, Duration, Effect, EthernetAddress, Fabric, Frame, FromOutside, Instant, OutsideId, Refusal, ResolveId,
    Resolved, Way,
};

/// A router of a port forward and a firewall.
const ROUTER: &str = r#"{"nat": {"forwards": [{"protocol": "udp", "port": 9, "address": "10.0.0.150", "toPort": 9}]},
    "firewall": {"rules": [{"action": "reject", "protocol": "icmp", "log": true}]}}"#;

fn fabric() -> (Fabric, Vec<PortId>) {
    let mut fabric = Fabric::new(1);
    let mut networks = default_networks();
    networks[0].outside = serde_json::from_str(r#"[{"host": "*"}]"#).expect("rules");
    networks[0].dns = serde_json::from_str(r#"{"upstream": true}"#).expect("names");
    let lan = "10.5.0.0/24".parse().expect("addresses");
    networks.push(NetworkConfig::new("lan", "LAN", NetworkType::Bridge, lan));
    for network in networks {
        fabric.set_network(Instant::ZERO, network).expect("a network");
    }
    let router: RouterConfig = serde_json::from_str(ROUTER).expect("a router");
    fabric.set_router(Instant::ZERO, router).expect("a router");
    let attach = |(place, network): (usize, &str)| {
        let mut attachment = Attachment::new(&format!("vm-{place}"), "vm", &network.into());
        attachment.guarded = place % 2 == 0;
        attachment.takes_offloads = place % 3 == 0;
        fabric.attach(Instant::ZERO, attachment).expect("a port")
    };
    let networks = ["management", "management", "internal", "dmz", "lan"];
    let ports: Vec<PortId> = networks.into_iter().enumerate().map(attach).collect();
    let late = Impairments {
        delay_us: 100,
        duplicate: 0.5,
        reorder: 0.5,
        ..Impairments::default()
    };
    fabric.set_impairments(Instant::ZERO, ports[3], Way::FromVm, late).expect("impairments");
    (fabric, ports)
}

/// The sum of 16-bit words in ones' complement.
fn sum(bytes: &[u8], from: u32) -> u32 {
    let words = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    words.fold(from, |sum, word| {
        let sum = sum + word;
        (sum & 0xffff) + (sum >> 16)
    })
}

/// Fills in lengths and checksums of an IPv4 packet, so that what is behind them is reached.
fn mend(packet: &mut [u8]) {
    if packet.len() < 28 {
        return;
    }
    packet[0] = 0x45;
    let len = (packet.len() as u16).to_be_bytes();
    packet[2..4].copy_from_slice(&len);
    packet[10..12].fill(0);
    let header = !(sum(&packet[..20], 0) as u16);
    packet[10..12].copy_from_slice(&header.to_be_bytes());
    let at = match packet[9] {
        1 => 22,
        6 => 36,
        17 => 26,
        _ => return,
    };
    let content = packet.len() - 20;
    if packet.len() < at + 2 {
        return;
    }
    if packet[9] == 17 {
        packet[24..26].copy_from_slice(&(content as u16).to_be_bytes());
    }
    packet[at..at + 2].fill(0);
    let pseudo = match packet[9] {
        1 => 0,
        protocol => sum(&packet[12..20], u32::from(protocol) + content as u32),
    };
    let filled = !(sum(&packet[20..], pseudo) as u16);
    packet[at..at + 2].copy_from_slice(&filled.to_be_bytes());
}

/// A datagram to a service of the router's.
fn datagram(to: [u8; 4], port: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 200];
    packet.extend(to);
    packet.extend([0, 68]);
    packet.extend(port.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(payload);
    mend(&mut packet);
    packet
}

fuzz_target!(|data: &[u8]| {
    let (mut fabric, ports) = fabric();
    let mut now = Instant::ZERO;
    let router = |fabric: &Fabric, which: u8| {
        let interfaces = fabric.router(Instant::ZERO).interfaces;
        interfaces[usize::from(which) % interfaces.len()].mac
    };
    // Pieces, each of a kind, a length, and so many bytes.
    let mut rest = data;
    while let [kind, which, len, behind @ ..] = rest {
        let (piece, behind) = behind.split_at(usize::from(*len).min(behind.len()));
        rest = behind;
        let port = ports[usize::from(*which) % ports.len()];
        let own = fabric.mac(port).expect("a port");
        let send = |fabric: &mut Fabric, to: EthernetAddress, ethertype: u16, payload: &[u8], offload: Offload| {
            let bytes = [to.as_bytes(), own.as_bytes(), &ethertype.to_be_bytes(), payload].concat();
            fabric.receive(now, port, Frame::with_offload(bytes, offload));
        };
        let number = u64::from(*which);
        match kind % 10 {
            0 => fabric.receive(now, port, piece.to_vec().into()),
            1 | 2 => {
                let mut packet = piece.to_vec();
                mend(&mut packet);
                let to = router(&fabric, which / 8);
                send(&mut fabric, to, 0x0800, &packet, Offload::default());
            }
            3 => {
                let mut dhcp = vec![1, 1, 6, 0, 0, 0, 0, 1];
                dhcp.resize(28, 0);
                dhcp.extend(own.as_bytes());
                dhcp.resize(236, 0);
                dhcp.extend([99, 130, 83, 99]);
                dhcp.extend(piece);
                let packet = datagram([255; 4], 67, &dhcp);
                send(&mut fabric, EthernetAddress::BROADCAST, 0x0800, &packet, Offload::default());
            }
            4 => {
                let packet = datagram([10, 0, 0, 1], 53, piece);
                let to = router(&fabric, 2);
                send(&mut fabric, to, 0x0800, &packet, Offload::default());
            }
            5 => send(&mut fabric, EthernetAddress::BROADCAST, 0x0806, piece, Offload::default()),
            6 => {
                let to = router(&fabric, which / 8);
                send(&mut fabric, to, 0x86dd, piece, Offload::default());
            }
            7 => {
                let Some((header, packet)) = piece.split_first_chunk::<10>() else { continue };
                let to = router(&fabric, which / 8);
                if let Ok(offload) = Offload::read(header, 14 + packet.len()) {
                    let mut packet = packet.to_vec();
                    mend(&mut packet);
                    send(&mut fabric, to, 0x0800, &packet, offload);
                }
            }
            8 => {
                let id = OutsideId(number & 7);
                let window = 1 << (which >> 4);
                fabric.outside(now, match which >> 3 & 7 {
                    0 | 1 => FromOutside::Opened { id, window },
                    2 => FromOutside::Data { id, bytes: piece.to_vec() },
                    3 => FromOutside::Consumed { id, bytes: window },
                    4 => FromOutside::Finish { id },
                    5 => FromOutside::Reset { id },
                    _ => FromOutside::Refused { id, why: Refusal::Refused },
                });
                fabric.resolved(now, ResolveId(number & 7), Resolved::Message(piece.to_vec()));
            }
            _ => {
                now += Duration::from_millis(u64::from(*len) * u64::from(*len));
                fabric.poll(now);
            }
        }
        let mut effects = 0;
        while let Some(effect) = fabric.next() {
            effects += 1;
            if let Effect::Frame { frame, .. } = effect {
                assert!(frame.bytes().len() >= 14, "frames have headers");
            }
        }
        assert!(effects < 10_000, "{effects} effects of one piece");
    }
});
