//! What may leave for the outside.

use std::net::Ipv4Addr;

use crate::config::AllowRule;

use super::Host;

/// Whether a connection to this port of this host is allowed. One to an address that stands for no name is allowed by the
/// address or by `*`.
pub(crate) fn allows(rules: &[AllowRule], host: &Host, port: u16) -> bool {
    let is_of = |rule: &&AllowRule| match host {
        Host::Name(name) => matches_host(&rule.host, name),
        Host::Address(address) => matches_address(&rule.host, *address),
    };
    let mut fitting = rules.iter().filter(is_of);
    fitting.any(|rule| rule.ports.is_empty() || rule.ports.iter().any(|range| range.contains(port)))
}

/// Whether a rule's host is this name, which is in small letters.
pub(crate) fn matches_host(host: &str, name: &str) -> bool {
    match host.strip_prefix('*') {
        Some("") => true,
        Some(end) => {
            // `*.example.org` is what is below it, not the domain itself, as in certificates.
            let at = name.len().checked_sub(end.len());
            at.is_some_and(|at| at > 0 && name.is_char_boundary(at) && name[at..].eq_ignore_ascii_case(end))
        }
        None => host.eq_ignore_ascii_case(name),
    }
}

fn matches_address(host: &str, address: Ipv4Addr) -> bool {
    host == "*" || host.parse() == Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PortRange;

    #[test]
    fn names_ports_and_addresses_are_allowed_as_they_are_written() {
        let rule = |host: &str, ports: &[u16]| AllowRule {
            host: host.to_owned(),
            ports: ports.iter().copied().map(PortRange::one).collect(),
        };
        let rules = [
            rule("example.org", &[443]),
            rule("*.example.net", &[]),
            rule("192.0.2.1", &[22]),
        ];
        let name = |name: &str| Host::Name(name.to_owned());
        assert!(allows(&rules, &name("example.org"), 443));
        assert!(!allows(&rules, &name("example.org"), 80));
        assert!(!allows(&rules, &name("www.example.org"), 443));
        assert!(!allows(&rules, &name("badexample.org"), 443));
        assert!(allows(&rules, &name("a.b.example.net"), 1));
        assert!(!allows(&rules, &name("example.net"), 1));
        assert!(!allows(&rules, &name("badexample.net"), 1));
        assert!(allows(&rules, &Host::Address(Ipv4Addr::new(192, 0, 2, 1)), 22));
        assert!(!allows(&rules, &Host::Address(Ipv4Addr::new(192, 0, 2, 2)), 22));
        assert!(allows(
            &[rule("*", &[])],
            &Host::Address(Ipv4Addr::new(192, 0, 2, 2)),
            9
        ));
        assert!(!allows(&[], &name("example.org"), 443), "nothing by default");
    }
}
