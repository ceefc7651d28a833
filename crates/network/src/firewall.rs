//! The firewall: what the first packet of each flow is allowed.

use serde::{Deserialize, Serialize};

use crate::config::{Action, FirewallConfig, FirewallRule, Zone};
use crate::packet::Tuple;
use crate::switch::Count;

/// What was decided, and by which rule, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) action: Action,
    pub(crate) rule: Option<usize>,
    /// Whether a person wants to hear of it.
    pub(crate) log: bool,
}

/// What a rule has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FirewallCounters {
    /// First packets of flows, and others that belong to none.
    pub matched: Count,
}

/// The firewall.
#[derive(Default)]
pub(crate) struct Firewall {
    config: FirewallConfig,
    /// Of each rule, and of the default last.
    counters: Vec<FirewallCounters>,
    generation: u64,
}

impl Firewall {
    /// Changes the rules. Counters begin again; flows are judged anew at their next packet.
    pub(crate) fn set(&mut self, config: FirewallConfig) {
        self.counters = vec![FirewallCounters::default(); config.rules.len() + 1];
        self.config = config;
        self.generation += 1;
    }

    /// Counts the changes.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn counters(&self) -> &[FirewallCounters] {
        &self.counters
    }

    /// Decides about the first packet of a flow, of so many bytes; `tuple` is that behind port forwards.
    pub(crate) fn judge(&mut self, from: &Zone, to: &Zone, tuple: &Tuple, bytes: usize) -> Verdict {
        let rules = self.config.rules.iter().enumerate();
        let mut rules = rules.filter(|(_, rule)| matches(rule, from, to, tuple));
        let verdict = match rules.next() {
            Some((place, rule)) => Verdict {
                action: rule.action,
                rule: Some(place),
                log: rule.log || rule.action != Action::Accept,
            },
            None => {
                // Else a person who refuses all by default would have no addresses and no names.
                let action = match to {
                    Zone::Router => Action::Accept,
                    _ => self.config.default_policy,
                };
                Verdict {
                    action,
                    rule: None,
                    log: action != Action::Accept,
                }
            }
        };
        let place = verdict.rule.unwrap_or(self.config.rules.len());
        if let Some(counters) = self.counters.get_mut(place) {
            counters.matched.add(bytes);
        }
        verdict
    }
}

fn matches(rule: &FirewallRule, from: &Zone, to: &Zone, tuple: &Tuple) -> bool {
    rule.enabled
        && rule.from.as_ref().is_none_or(|zone| zone == from)
        && rule.to.as_ref().is_none_or(|zone| zone == to)
        && rule.source.is_none_or(|cidr| cidr.contains_addr(&tuple.source))
        && rule
            .destination
            .is_none_or(|cidr| cidr.contains_addr(&tuple.destination))
        && rule
            .protocol
            .is_none_or(|protocol| tuple.protocol() == Some(protocol))
        && (rule.ports.is_empty()
            || rule
                .ports
                .iter()
                .any(|range| range.contains(tuple.destination_port)))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::config::{PortRange, Protocol};

    fn tuple(protocol: u8, port: u16) -> Tuple {
        Tuple {
            protocol,
            source: Ipv4Addr::new(10, 0, 0, 5),
            source_port: 5000,
            destination: Ipv4Addr::new(172, 16, 0, 9),
            destination_port: port,
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides_and_is_counted() {
        let (lan, dmz) = (Zone::Network("lan".into()), Zone::Network("dmz".into()));
        let mut ssh = FirewallRule::new(Action::Accept);
        ssh.protocol = Some(Protocol::Tcp);
        ssh.ports = vec![PortRange::one(22)];
        ssh.to = Some(dmz.clone());
        let mut off = FirewallRule::new(Action::Accept);
        off.enabled = false;
        let mut here = FirewallRule::new(Action::Reject);
        here.source = Some("10.0.0.0/24".parse().unwrap());
        let mut firewall = Firewall::default();
        firewall.set(FirewallConfig {
            rules: vec![ssh, off, here],
            default_policy: Action::Drop,
        });
        let mut judge = |from: &Zone, to: &Zone, tuple| {
            let verdict = firewall.judge(from, to, &tuple, 60);
            (verdict.action, verdict.rule)
        };
        assert_eq!(judge(&lan, &dmz, tuple(6, 22)), (Action::Accept, Some(0)));
        assert_eq!(judge(&lan, &dmz, tuple(17, 22)), (Action::Reject, Some(2)));
        assert_eq!(
            judge(&lan, &Zone::Outside, tuple(6, 22)),
            (Action::Reject, Some(2))
        );
        let foreign = Tuple {
            source: Ipv4Addr::new(10, 0, 1, 5),
            ..tuple(6, 80)
        };
        assert_eq!(judge(&lan, &dmz, foreign), (Action::Drop, None));
        assert_eq!(judge(&lan, &Zone::Router, foreign), (Action::Accept, None));
        let counts: Vec<u64> = firewall.counters().iter().map(|c| c.matched.packets).collect();
        assert_eq!(counts, [1, 0, 2, 2]);
    }
}
