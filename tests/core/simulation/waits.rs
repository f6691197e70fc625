//! Names and relays that answer late, wrongly or not at all, and a shadow of what waits for them.
//!
//! The shadow knows what was handed in and how the core says that it ended. A message without an end waits; whatever goes on must be
//! the oldest of its call.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use ringfence::config::NextHop;
use ringfence::core::io::{DropCause, Input, Outcome, RelayBody, RelayReply, RelayRequest, RelayRequestId, Unanswered};
use ringfence::dns::Server;

use super::{Event, Plan, T1, World};
use crate::site::{Sent, respond, sdp, with_sdp};

/// What relays say instead of any address of theirs.
const RELAYED: &str = "10.1.0.40";
const INSIDE: &str = "10.1.0.20";
const OUTSIDE: &str = "192.0.2.99";

/// What a server's name in Contact comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Found,
    /// After some of what is sent inside the dialog has come.
    Late,
    /// One address outside, one inside.
    Mixed,
    Nothing,
    Outside,
}

impl Named {
    pub(super) const ALL: [Self; 5] = [Self::Found, Self::Late, Self::Mixed, Self::Nothing, Self::Outside];

    /// The final answers that the trunk may see, a re-INVITE's among them. Any look-up may fail.
    pub(super) fn allowed(self) -> &'static [u16] {
        match self {
            Self::Found | Self::Late | Self::Mixed | Self::Nothing => &[200, 503],
            Self::Outside => &[200, 503, 603],
        }
    }

    /// A server's name of this kind.
    pub(super) fn host(self, server: SocketAddr) -> String {
        let (kind, ip) = (format!("{self:?}").to_lowercase(), server.ip().to_string().replace('.', "-"));
        format!("{kind}.s{ip}.example.net")
    }

    /// The addresses of such a name.
    fn addresses(host: &str) -> (Option<Self>, Vec<SocketAddr>) {
        let mut labels = host.split('.');
        let kind = labels.next().unwrap();
        let kind = Self::ALL.into_iter().find(|all| format!("{all:?}").eq_ignore_ascii_case(kind));
        let addr = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 5060);
        let server = labels.next().unwrap().trim_start_matches('s').replace('-', ".");
        let addresses = match kind {
            Some(Self::Found | Self::Late) => vec![addr(&server)],
            Some(Self::Mixed) => vec![addr(OUTSIDE), addr(&server)],
            Some(Self::Outside) => vec![addr(OUTSIDE)],
            Some(Self::Nothing) | None => Vec::new(),
        };
        (kind, addresses)
    }
}

/// The messages that the core has and has not ended.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// By Call-ID, in the order in which they came.
    held: HashMap<String, VecDeque<Vec<u8>>>,
    /// Whether nothing waits any more.
    pub(super) over: bool,
    /// Messages that have waited and gone on.
    pub(super) resumed: usize,
    /// Those of them that did so by the end of all waiting, or under another configuration than they came.
    pub(super) odd: usize,
    /// Most calls that waited at a time, and most messages of one.
    pub(super) most: (usize, usize),
}

fn call_id(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().find_map(|line| line.strip_prefix("Call-ID: ")).unwrap().to_owned()
}

impl Waits {
    /// A message is handed in.
    pub(super) fn comes(&mut self, bytes: &[u8]) {
        self.held.entry(call_id(bytes)).or_default().push_back(bytes.to_vec());
    }

    /// Calls one of whose messages waits.
    pub(super) fn calls(&self) -> usize {
        self.held.len()
    }

    /// What the core says of the messages since the last look. `came`: the one that was handed in, if one was.
    pub(super) fn follow(&mut self, came: Option<&[u8]>, handled: Vec<(Option<bytes::Bytes>, Outcome)>) {
        for (waited, outcome) in handled {
            let bytes = waited.as_deref().or(came).expect("only a message ends");
            let id = call_id(bytes);
            let queue = self.held.get_mut(&id).unwrap_or_else(|| panic!("{id}: nothing is there that could end"));
            if waited.is_some() {
                self.resumed += 1;
                assert_eq!(queue.pop_front().as_deref(), Some(bytes), "{id}: messages of a call overtake each other");
            } else {
                queue.pop_back();
                // What answers a BYE of the core's own goes no further, and so overtakes nothing.
                let own = bytes.starts_with(b"SIP/2.0") && String::from_utf8_lossy(bytes).matches("\r\nVia: ").count() == 1;
                let overtakes = !own && !matches!(outcome, Outcome::Stray | Outcome::Dropped(DropCause::Behind));
                assert!(
                    queue.is_empty() || !overtakes,
                    "{outcome:?} while an earlier message waits: {}",
                    String::from_utf8_lossy(bytes)
                );
            }
            if queue.is_empty() {
                self.held.remove(&id);
            }
        }
        let longest = self.held.values().map(VecDeque::len).max().unwrap_or(0);
        self.most = (self.most.0.max(self.held.len()), self.most.1.max(longest));
        assert!(!self.over || self.held.is_empty(), "something waits after the end of all waiting");
    }
}

impl World {
    /// What was asked since the last look is answered in its time, and once.
    pub(super) fn schedule_answers(&mut self) {
        for next_hop in std::mem::take(&mut self.site.asked) {
            let (kind, addresses) = Named::addresses(&next_hop.host);
            let server = Server { rank: 0, weight: 0, transport: None, addresses };
            let fails = server.addresses.is_empty() || self.dice.chance(10);
            let servers = if fails { Vec::new() } else { vec![server] };
            let after = 1 + if kind == Some(Named::Late) { 500 + self.dice.roll(6000) } else { self.dice.roll(200) };
            let hold = Duration::from_millis(self.dice.roll(5000));
            if after > 400 {
                self.at(400, Event::LookUpTakesLong(next_hop.clone()));
            }
            self.at(after, Event::LookedUp(next_hop, servers, hold));
        }
        for request in std::mem::take(&mut self.site.questions) {
            let (after, reply) = self.relay_says(&request);
            self.at(after, Event::Relayed(request.id, reply));
        }
    }

    fn relay_says(&mut self, request: &RelayRequest) -> (u64, Result<RelayReply, Unanswered>) {
        let done = |media| match request.body {
            RelayBody::Session { .. } => RelayReply::Done(Some(sdp(media).into())),
            RelayBody::Delete { .. } | RelayBody::Ping => RelayReply::Done(None),
        };
        match self.dice.roll(100) {
            0..70 => (1 + self.dice.roll(30), Ok(done(RELAYED))),
            70..84 => (200 + self.dice.roll(2500), Ok(done(RELAYED))),
            84..90 => (1 + self.dice.roll(200), Ok(RelayReply::Refused)),
            90..94 => (1 + self.dice.roll(200), Ok(done(OUTSIDE))),
            94..98 => (1000, Err(Unanswered::Silent)),
            _ => (1, Err(Unanswered::Unreachable)),
        }
    }

    /// A name's or a relay's answer comes, or something that ends the waiting for it.
    pub(super) fn answer(&mut self, input: Input<'_>) {
        let sent = self.site.input(input);
        self.leave(sent);
    }

    pub(super) fn relayed(&mut self, id: RelayRequestId, reply: Result<RelayReply, Unanswered>) {
        self.answer(Input::Relayed { id, reply });
    }

    pub(super) fn looked_up(&mut self, next_hop: NextHop, servers: Vec<Server>, hold: Duration) {
        // That there is none is an answer, or nobody answers.
        let failed = servers.is_empty() && self.dice.chance(50);
        self.answer(Input::LookedUp { next_hop, servers, hold, failed });
    }

    /// Nothing is looked up or asked any more: all that waits ends now.
    pub(super) fn end_waiting(&mut self) {
        let before = self.waits.resumed;
        self.waits.over = true;
        self.answer(Input::EndWaiting);
        self.waits.follow(None, std::mem::take(&mut self.site.handled));
        self.waits.odd += self.waits.resumed - before;
    }

    /// Another configuration under which everything has other numbers; a relay has gone.
    pub(super) fn reload(&mut self) {
        let text = self.text.replace("[\"udp:192.0.2.1:5060\", ", "[\"udp:192.0.2.1:5062\", \"udp:192.0.2.1:5060\", ");
        let text = text.replace("[\"udp:10.1.0.8:2223\", \"udp:10.1.0.9:2223\"]", "[\"udp:10.1.0.9:2223\"]");
        let first = "[project.aaaa.trunk.first]\nnetworks = [\"198.51.109.0/24\"]\n[project.acme]";
        self.waits.odd += self.waits.calls();
        let sent = self.site.reload(&text.replace("[project.acme]", first));
        self.leave(sent);
    }

    /// What leaves for a call whose media goes through relays names nothing but them.
    pub(super) fn names_relays_alone(&self, sent: &Sent) {
        let text = sent.text();
        let mut places = text.lines().filter(|line| line.starts_with("c=")).peekable();
        if places.peek().is_some() && self.plans[&super::call(sent)] == Plan::Relayed {
            assert!(places.all(|line| line == format!("c=IN IP4 {RELAYED}")), "{text}");
        }
    }

    /// The session description that a server must see in a call's INVITE.
    pub(super) fn offered(&self, id: u64) -> String {
        sdp(if self.plans[&id] == Plan::Relayed { RELAYED } else { INSIDE })
    }

    /// What a server of such a call answers.
    pub(super) fn accepts(seen: &Sent, code: u16, plan: Plan) -> Vec<u8> {
        let host = if let Plan::Named(named) = plan { named.host(seen.to) } else { seen.to.to_string() };
        let text = respond(seen, code, "u", &format!("Contact: <sip:lk@{host}>\r\n"));
        // Ringing goes without; an answer says where media goes.
        let text = if plan == Plan::Relayed && code >= 200 { with_sdp(&text, INSIDE) } else { text };
        text.into_bytes()
    }

    /// A re-INVITE of such a call has come to a server.
    pub(super) fn taken_again(&mut self, seen: &Sent, plan: Plan) {
        assert!(seen.text().ends_with(&self.offered(super::call(seen))), "{}", seen.text());
        if self.decided.insert(super::key(seen)) {
            let bytes = with_sdp(&String::from_utf8(Self::accepts(seen, 199, plan)).unwrap(), INSIDE);
            let bytes = bytes.replacen("SIP/2.0 199", "SIP/2.0 200", 1).into_bytes();
            self.at(0, Event::RepeatAnswer(super::key(seen), seen.to, bytes, T1));
        }
    }
}
