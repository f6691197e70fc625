//! What nobody should send, in datagrams: the daemon answers once or not at all, sends nothing on that it did not
//! understand, and serves the next call.

mod load;
mod messages;
mod reach;

use std::time::Duration;

use crate::harness::{Ask, Daemon, Leg, Plan, Seen, Site};

const URI: &str = "sip:+4930222@acme.eu.sip.example.com";

/// A daemon, an attacker at a known trunk's address (a stranger would be refused before anything is read), and the upstream.
struct Range {
    site: Site,
    daemon: Daemon,
    caller: Leg,
    server: Leg,
}

impl Range {
    fn new(change: impl Fn(&mut Plan, &Site)) -> Self {
        let site = Site::claim();
        let mut plan = Plan::new(&site);
        change(&mut plan, &site);
        let daemon = Daemon::start(&site, &plan);
        let caller = Leg::udp(site.carrier(20), site.door());
        let server = Leg::udp(site.eu(10), site.door());
        Self { site, daemon, caller, server }
    }

    fn invite(&self) -> Ask {
        Ask::invite(URI, self.caller.addr, "udp", self.site.carrier(20).ip())
    }

    /// Sends octets and returns every answer to them; a canary behind them must be answered too.
    fn provoke(&mut self, bytes: &[u8]) -> Vec<Seen> {
        self.caller.send(bytes);
        self.canary()
    }

    /// An OPTIONS that must be answered; returns what came before its answer.
    fn canary(&mut self) -> Vec<Seen> {
        let canary = Ask::new("OPTIONS", "sip:acme.eu.sip.example.com", self.caller.addr, "udp");
        self.caller.ask(&canary);
        let (mut before, mut tries) = (Vec::new(), 0);
        loop {
            let Some(seen) = self.caller.any_within(Duration::from_secs(1)) else {
                // The kernel drops what comes while a buffer is full: once more, as any telephone would.
                tries += 1;
                assert!(tries < 10, "the canary is dead");
                self.caller.ask(&canary);
                continue;
            };
            if seen.find("Call-ID") == Some(canary.call_id.as_str()) {
                assert_eq!(seen.code(), 200);
                return before;
            }
            before.push(seen);
        }
    }

    /// What the upstream has received by now.
    fn upstream(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.server.any_within(Duration::from_millis(1))).collect()
    }

    /// One good call over the same daemon.
    fn good_call(&mut self) {
        let ask = self.invite();
        self.caller.ask(&ask);
        let seen = loop {
            let seen = self.server.recv();
            if seen.find("Call-ID") == Some(ask.call_id.as_str()) {
                break seen;
            }
        };
        self.server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
        loop {
            let seen = self.caller.response();
            if seen.find("Call-ID") == Some(ask.call_id.as_str()) {
                assert_eq!(seen.code(), 486);
                self.caller.ask(&ask.ack(&seen));
                return;
            }
        }
    }

    /// These octets are answered with this code (0: not at all), once, and nothing goes on.
    fn refuses(&mut self, what: &str, bytes: &[u8], code: u16) {
        self.upstream();
        let answers: Vec<u16> = self.provoke(bytes).iter().map(Seen::code).collect();
        let want: &[u16] = if code == 0 { &[] } else { &[code] };
        assert_eq!(answers, want, "{what}: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(600)]));
        let on = self.upstream();
        assert!(on.is_empty(), "{what} went on as {:?}", on[0].start);
    }
}

fn text(ask: &Ask) -> String {
    String::from_utf8(ask.bytes()).unwrap()
}
