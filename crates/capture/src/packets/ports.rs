//! Ports: Wireshark's tools choose a protocol by them.
//!
//! Where a port belongs to another protocol, HTTP on it is shown as that one's, or as bytes. Such a port is written as 80;
//! the true one stands in the `Host` header and in the comment on the request. HTTP/2 is recognised on ports of HTTP only.

use std::cmp::Ordering;

/// Where Wireshark expects HTTP.
const HTTP: u16 = 80;
/// Ports of HTTP on which HTTP/2 is recognised by its first line.
const HTTP2: [u16; 4] = [HTTP, 3128, 8080, 8088];
/// Ephemeral ports, as RFC 6335 has them.
const FIRST: u16 = 49_152;
/// The one ephemeral port that belongs to a protocol.
const CLAIMED: u16 = 57_000;

/// Ports on which tshark 4.0 shows HTTP as something else, from the first to the last: found by trying all of them, as
/// `tests/wireshark.rs` does. 443 is beside them: there, tools expect TLS.
const TAKEN: [(u16, u16); 172] = [
    (7, 7),
    (13, 13),
    (19, 23),
    (25, 25),
    (37, 37),
    (42, 43),
    (49, 49),
    (53, 53),
    (70, 70),
    (79, 79),
    (88, 88),
    (102, 102),
    (110, 111),
    (119, 119),
    (123, 123),
    (139, 139),
    (143, 143),
    (161, 162),
    (179, 179),
    (210, 210),
    (323, 323),
    (389, 389),
    (427, 427),
    (443, 443),
    (445, 445),
    (464, 464),
    (500, 500),
    (512, 515),
    (524, 524),
    (547, 548),
    (554, 554),
    (564, 564),
    (587, 587),
    (639, 639),
    (647, 647),
    (674, 674),
    (705, 705),
    (854, 854),
    (862, 862),
    (873, 873),
    (925, 925),
    (988, 988),
    (1080, 1080),
    (1090, 1090),
    (1099, 1099),
    (1102, 1102),
    (1153, 1153),
    (1194, 1194),
    (1213, 1213),
    (1344, 1344),
    (1433, 1433),
    (1533, 1533),
    (1547, 1547),
    (1723, 1723),
    (1861, 1861),
    (1863, 1863),
    (1883, 1883),
    (1935, 1935),
    (2099, 2099),
    (2123, 2123),
    (2126, 2126),
    (2152, 2152),
    (2234, 2234),
    (2240, 2240),
    (2269, 2269),
    (2321, 2322),
    (2345, 2345),
    (2401, 2401),
    (2404, 2404),
    (2433, 2433),
    (2501, 2502),
    (2571, 2571),
    (2575, 2575),
    (2600, 2600),
    (2812, 2812),
    (2944, 2945),
    (3014, 3014),
    (3016, 3019),
    (3245, 3248),
    (3268, 3268),
    (3288, 3288),
    (3306, 3306),
    (3357, 3357),
    (3369, 3369),
    (3452, 3452),
    (3478, 3478),
    (3632, 3632),
    (3671, 3671),
    (3724, 3724),
    (3804, 3804),
    (3860, 3860),
    (3863, 3863),
    (3868, 3868),
    (3918, 3918),
    (4002, 4002),
    (4155, 4155),
    (4189, 4189),
    (4223, 4223),
    (4342, 4342),
    (4420, 4420),
    (4551, 4551),
    (4555, 4556),
    (4712, 4712),
    (4730, 4730),
    (4739, 4739),
    (4788, 4788),
    (4840, 4840),
    (4880, 4880),
    (5010, 5010),
    (5060, 5060),
    (5084, 5084),
    (5222, 5222),
    (5253, 5253),
    (5353, 5353),
    (5432, 5432),
    (5445, 5445),
    (5500, 5501),
    (5534, 5534),
    (5672, 5672),
    (5683, 5683),
    (5701, 5701),
    (5900, 5901),
    (5997, 5997),
    (6000, 6063),
    (6068, 6068),
    (6084, 6084),
    (6121, 6121),
    (6160, 6160),
    (6346, 6346),
    (6379, 6379),
    (6417, 6417),
    (6653, 6653),
    (6667, 6668),
    (6881, 6889),
    (7000, 7000),
    (7075, 7075),
    (7171, 7172),
    (7236, 7236),
    (7275, 7276),
    (7871, 7871),
    (7911, 7911),
    (8009, 8009),
    (8023, 8023),
    (8074, 8074),
    (8085, 8085),
    (8554, 8554),
    (8567, 8567),
    (9009, 9009),
    (9092, 9092),
    (9300, 9300),
    (9418, 9418),
    (9955, 9956),
    (10_288, 10_288),
    (11_211, 11_211),
    (13_400, 13_400),
    (14_001, 14_001),
    (15_740, 15_740),
    (17_500, 17_500),
    (17_755, 17_756),
    (19_006, 19_006),
    (19_042, 19_043),
    (19_506, 19_506),
    (19_543, 19_543),
    (21_064, 21_064),
    (22_222, 22_222),
    (24_800, 24_800),
    (29_418, 29_418),
    (34_980, 34_980),
    (44_321, 44_322),
    (44_818, 44_818),
    (48_049, 48_049),
    (48_898, 48_898),
];

/// The port to write for a server's.
pub(super) fn server(port: u16, http2: bool) -> u16 {
    let compare = |(first, last): &(u16, u16)| {
        if *last < port {
            Ordering::Less
        } else if *first > port {
            Ordering::Greater
        } else {
            Ordering::Equal
        }
    };
    let is_shown = if http2 {
        HTTP2.contains(&port)
    } else {
        port != 0 && port != CLAIMED && TAKEN.binary_search_by(compare).is_err()
    };
    if is_shown { port } else { HTTP }
}

/// The port of the client in a conversation.
pub(super) fn client(conversation: u32) -> u16 {
    const COUNT: u32 = (u16::MAX - FIRST) as u32;
    let port = FIRST + (conversation % COUNT) as u16;
    if port >= CLAIMED { port + 1 } else { port }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_others_are_written_as_that_of_http() {
        assert!(TAKEN.is_sorted() && TAKEN.iter().all(|(first, last)| first <= last));
        for (port, written) in [
            (80, 80),
            (8080, 8080),
            (3000, 3000),
            (443, 80),
            (0, 80),
            (5432, 80),
            (6006, 80),
            (7000, 80),
            (57_000, 80),
            (65_535, 65_535),
        ] {
            assert_eq!(server(port, false), written, "{port}");
        }
        for (port, written) in [(80, 80), (443, 80), (8080, 8080), (8443, 80), (3000, 80)] {
            assert_eq!(server(port, true), written, "{port}");
        }
    }

    #[test]
    fn clients_have_ports_of_nobody() {
        let ports: Vec<u16> = (0..16_400).map(client).collect();
        assert!(ports.iter().all(|port| *port >= FIRST && *port != CLAIMED));
        assert_eq!((ports[0], ports[16_382], ports[16_383]), (FIRST, u16::MAX, FIRST));
    }
}
