//! A trunk, the core and two servers, one of which may die for a while, over a network that loses, doubles, delays and reorders, by a
//! virtual clock.
//!
//! Each seed is a world of its own; a failing one is named and replays exactly: `RINGFENCE_SEED=17 cargo test --test core simulation`.
//! After every step the invariants are held against a shadow model that knows only what was put into the world.

mod foreign;
mod told;
mod waits;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use ringfence::config::NextHop;
use ringfence::core::io::{Input, Note, RelayReply, RelayRequestId, Unanswered};
use ringfence::dns::Server;
use ringfence::sip::{Message, Method, Name, Request, Response, Start};

use self::foreign::Foreign;
use self::waits::{Named, Waits};
use crate::dice::Dice;
use crate::site::{SECOND, SERVER, Sent, Site, TRUNK, invite, respond, with_sdp};

const SEEDS: u64 = 128;
const CALLS: u64 = 40;
const T1: u64 = 500;

/// Projects beside the usual ones: one that is not pinned, one whose media goes through relays.
const OTHERS: &str = r#"
[project.roamer.trunk.carrier]
networks = ["198.51.100.0/24"]
[project.relayed]
pin   = ["eu"]
media = "relay"
[project.relayed.trunk.carrier]
networks = ["198.51.100.0/24"]
"#;

/// The server of region uk, which is nearest to eu.
const NEAR: &str = "10.2.0.5:5060";

/// What is scheduled to happen.
#[derive(Clone, Debug)]
enum Event {
    /// A datagram arrives at the core.
    ToCore(SocketAddr, Vec<u8>),
    /// A datagram of the core's arrives.
    FromCore(Sent),
    /// The trunk places a call.
    Place(u64),
    /// The trunk repeats its request, unless it was answered; the next interval.
    RepeatRequest(String, Vec<u8>, u64),
    /// A server repeats a 2xx until it is acknowledged.
    RepeatAnswer(String, SocketAddr, Vec<u8>, u64),
    /// A server answers finally.
    Decide(Box<Sent>, u16),
    /// The trunk cancels, or sends this request inside the dialog.
    Cancel(u64),
    Within(u64, Method, String),
    /// A name, or a relay, has answered; or not yet.
    LookUpTakesLong(NextHop),
    LookedUp(NextHop, Vec<Server>, Duration),
    Relayed(RelayRequestId, Result<RelayReply, Unanswered>),
    /// Nothing is looked up or asked any more.
    EndWaiting,
    /// Another configuration takes effect.
    Reload,
}

/// How a call is meant to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    Answered,
    Busy,
    Declined,
    Cancelled,
    /// The first server is overloaded.
    Overloaded,
    /// Both are, and the project is not pinned.
    Moved,
    ForeignHost,
    ForeignMedia,
    /// A server says where it wants its media, and that is outside.
    ForeignAnswer(Foreign),
    /// Media goes through relays, which answer when and what they like.
    Relayed,
    /// The server's Contact is a name.
    Named(Named),
}

struct World {
    site: Site,
    text: String,
    dice: Dice,
    loss: u64,
    /// A server that is gone, and when.
    dead: Option<(SocketAddr, std::ops::Range<u64>)>,
    queue: BTreeMap<(u64, u64), Event>,
    now: u64,
    serial: u64,
    plans: HashMap<u64, Plan>,
    /// When each call was placed.
    placed: HashMap<u64, u64>,
    /// Requests of the trunk that still wait for an answer, by Call-ID and `CSeq`.
    waiting: BTreeSet<String>,
    /// Final answers to INVITEs as the trunk saw them.
    finals: HashMap<u64, Vec<u16>>,
    /// Branches of INVITEs by call and server.
    branches: HashMap<(u64, SocketAddr), BTreeSet<String>>,
    /// The same INVITEs, to be answered.
    invites: HashMap<(u64, SocketAddr), Sent>,
    acknowledged: BTreeSet<String>,
    /// INVITEs of calls answered outside that a server has answered finally.
    decided: BTreeSet<String>,
    /// Who must be hung up on, by call, and who was.
    owed: BTreeSet<(u64, SocketAddr)>,
    ended: BTreeSet<(u64, SocketAddr)>,
    /// The route set of each call that is up, as the trunk writes it.
    routes: HashMap<u64, String>,
    /// Branches of the core's own BYEs.
    parting: BTreeSet<String>,
    waits: Waits,
    open: i64,
    noted: usize,
}

fn id_of(call_id: &[u8]) -> u64 {
    String::from_utf8_lossy(call_id).trim_start_matches('c').split('@').next().unwrap().parse().unwrap()
}

/// Which call a message belongs to.
fn call(sent: &Sent) -> u64 {
    id_of(sent.header("Call-ID").unwrap().as_bytes())
}

/// Which of a server's INVITEs a message belongs to.
fn key(sent: &Sent) -> String {
    let number = sent.header("CSeq").unwrap();
    format!("{} {} {}", call(sent), sent.to, number.split(' ').next().unwrap())
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let loss = dice.roll(4) * 8;
        let dead = dice.chance(50).then(|| {
            let (server, from) = (if dice.chance(50) { SERVER } else { SECOND }, dice.roll(8000));
            (server.parse().unwrap(), from..from + dice.roll(20_000))
        });
        let text = crate::site::CONFIG.replace("per_source = \"50/s\"", "per_source = \"1000000/s\"").replace(
            "hostname = \"eu.sip.example.com\"",
            "hostname = \"eu.sip.example.com\"\nnearest = [\"uk\"]\nrelay = [\"udp:10.1.0.8:2223\", \"udp:10.1.0.9:2223\"]",
        ) + OTHERS;
        let text = if dice.chance(50) { text.replace("interval = \"0s\"", "interval = \"2s\"") } else { text };
        let mut site = Site::new(&text);
        site.mute = true;
        let mut world = Self {
            site,
            text,
            dice,
            loss,
            dead,
            queue: BTreeMap::new(),
            now: 0,
            serial: 0,
            plans: HashMap::new(),
            placed: HashMap::new(),
            waiting: BTreeSet::new(),
            finals: HashMap::new(),
            branches: HashMap::new(),
            invites: HashMap::new(),
            acknowledged: BTreeSet::new(),
            decided: BTreeSet::new(),
            owed: BTreeSet::new(),
            ended: BTreeSet::new(),
            routes: HashMap::new(),
            parting: BTreeSet::new(),
            waits: Waits::default(),
            open: 0,
            noted: 0,
        };
        for id in 0..CALLS {
            let at = world.dice.roll(10_000);
            world.at(at, Event::Place(id));
        }
        for (percent, event) in [(25, Event::Reload), (15, Event::EndWaiting)] {
            if world.dice.chance(percent) {
                let at = 1000 + world.dice.roll(10_000);
                world.at(at, event);
            }
        }
        world
    }

    fn at(&mut self, after: u64, event: Event) {
        self.serial += 1;
        self.queue.insert((self.now + after, self.serial), event);
    }

    /// Puts a datagram on the wire: lost, doubled, late or in another order.
    fn wire(&mut self, event: &Event) {
        let end = match event {
            Event::ToCore(addr, _) => *addr,
            Event::FromCore(sent) => sent.to,
            _ => return,
        };
        let is_dead = self.dead.as_ref().is_some_and(|(dead, time)| *dead == end && time.contains(&self.now));
        if is_dead || self.dice.chance(self.loss) {
            return;
        }
        let copies = if self.dice.chance(self.loss / 2) { 2 } else { 1 };
        for _ in 0..copies {
            let delay = 1 + self.dice.roll(if self.loss == 0 { 5 } else { 120 });
            self.at(delay, event.clone());
        }
    }

    /// Lets everything happen in the order of its time: what is scheduled, and the core's timers.
    fn run(&mut self) {
        let mut still = (0, 0);
        loop {
            still = if still.0 == self.now { (still.0, still.1 + 1) } else { (self.now, 0) };
            assert!(still.1 < 10_000, "time stands still: a timer never rests, or the network has no delay");
            let event = self.queue.first_key_value().map(|(&(at, _), _)| self.site.start + Duration::from_millis(at));
            let timer = self.site.core.deadline();
            let sent = match (event, timer) {
                (None, None) => break,
                // Probes never end by themselves.
                (None, _) if self.site.core.transactions() == 0 => {
                    self.site.input(Input::Drain { successor: false });
                    break;
                }
                (Some(event), timer) if timer.is_none_or(|timer| event <= timer) => {
                    let ((at, _), event) = self.queue.pop_first().unwrap();
                    self.now = at;
                    self.site.now = self.site.now.max(self.site.start + Duration::from_millis(at));
                    self.step(event);
                    Vec::new()
                }
                (_, timer) => {
                    self.site.now = self.site.now.max(timer.unwrap());
                    self.now = u64::try_from(self.site.now.duration_since(self.site.start).as_millis()).unwrap();
                    self.site.input(Input::Timeout)
                }
            };
            self.leave(sent);
            self.check();
            assert!(self.now < 600_000, "{} stay open, of them calls that wait: {:?}", self.site.core.transactions(), self.waits);
        }
        assert_eq!(self.site.core.transactions(), 0, "all state is released");
        self.each_end_is_told();
        for id in 0..CALLS {
            self.ended(id);
        }
    }

    fn leave(&mut self, sent: Vec<Sent>) {
        for sent in sent {
            let known = [TRUNK, SERVER, SECOND, NEAR].iter().any(|known| sent.to == known.parse().unwrap());
            assert!(known, "nothing goes anywhere else: {sent:?}");
            assert!(!foreign::is_named(&sent), "nothing outside is told: {}", sent.text());
            self.names_relays_alone(&sent);
            if sent.line().starts_with("BYE ") && sent.headers("Via").len() == 1 {
                self.parting.extend(sent.header("Via"));
            }
            self.wire(&Event::FromCore(sent));
        }
        self.schedule_answers();
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::ToCore(from, bytes) => {
                self.waits.comes(&bytes);
                let sent = self.site.to("192.0.2.1:5060", &from.to_string(), &bytes);
                self.leave(sent);
                self.waits.follow(Some(&bytes), std::mem::take(&mut self.site.handled));
            }
            Event::FromCore(sent) if sent.to == TRUNK.parse().unwrap() => self.trunk(&sent),
            Event::FromCore(sent) => self.server(&sent),
            Event::Place(id) => self.place(id),
            Event::RepeatRequest(key, bytes, interval) => {
                if self.waiting.contains(&key) && interval <= 32 * T1 {
                    self.wire(&Event::ToCore(TRUNK.parse().unwrap(), bytes.clone()));
                    let cap = if key.ends_with("INVITE") { u64::MAX } else { 8 * T1 };
                    self.at(interval, Event::RepeatRequest(key, bytes, (interval * 2).min(cap).max(interval + 1)));
                }
            }
            Event::RepeatAnswer(key, from, bytes, interval) => {
                if !self.acknowledged.contains(&key) && interval <= 32 * T1 {
                    self.wire(&Event::ToCore(from, bytes.clone()));
                    self.at(interval, Event::RepeatAnswer(key, from, bytes, interval * 2));
                }
            }
            Event::Decide(seen, code) => self.decide(&seen, code),
            Event::Cancel(id) => {
                let key = format!("{id} INVITE");
                if self.waiting.contains(&key) || !self.finals.contains_key(&id) {
                    let text = invite("acme.eu.sip.example.com", "10.1.0.20", &format!("c{id}")).replace("INVITE", "CANCEL");
                    self.send(&format!("{id} CANCEL"), text.into_bytes());
                }
            }
            Event::LookUpTakesLong(next_hop) => self.answer(Input::LookUpTakesLong { next_hop }),
            Event::LookedUp(next_hop, servers, hold) => self.looked_up(next_hop, servers, hold),
            Event::Relayed(id, reply) => self.relayed(id, reply),
            Event::EndWaiting => self.end_waiting(),
            Event::Reload => self.reload(),
            Event::Within(id, method, text) => self.send(&format!("{id} {}", method.token()), text.into_bytes()),
        }
    }

    /// The trunk sends a request and repeats it until it is answered.
    fn send(&mut self, key: &str, bytes: Vec<u8>) {
        self.waiting.insert(key.to_owned());
        self.at(0, Event::RepeatRequest(key.to_owned(), bytes, T1));
    }

    fn place(&mut self, id: u64) {
        let plans = [
            Plan::Answered,
            Plan::Answered,
            Plan::Busy,
            Plan::Declined,
            Plan::Cancelled,
            Plan::Overloaded,
            Plan::Moved,
            Plan::ForeignHost,
            Plan::ForeignMedia,
            Plan::ForeignAnswer(Foreign::ALL[usize::try_from(self.dice.roll(4)).unwrap()]),
            Plan::Relayed,
            Plan::Relayed,
            Plan::Named(Named::ALL[usize::try_from(self.dice.roll(5)).unwrap()]),
        ];
        let plan = plans[usize::try_from(self.dice.roll(13)).unwrap()];
        self.plans.insert(id, plan);
        self.placed.insert(id, self.now);
        let host = match plan {
            Plan::ForeignHost => "acme.us.sip.example.com",
            Plan::Moved => "roamer.eu.sip.example.com",
            Plan::Relayed => "relayed.eu.sip.example.com",
            _ => "acme.eu.sip.example.com",
        };
        let media = if plan == Plan::ForeignMedia { "192.0.2.99" } else { "10.1.0.20" };
        self.send(&format!("{id} INVITE"), invite(host, media, &format!("c{id}")).into_bytes());
        if plan == Plan::Cancelled {
            let after = 300 + self.dice.roll(2000);
            self.at(after, Event::Cancel(id));
        }
    }

    fn trunk(&mut self, sent: &Sent) {
        let message = Message::datagram(&sent.bytes).unwrap();
        if let Start::Request { .. } = message.start() {
            assert!(sent.line().starts_with("BYE "), "nothing else goes to the trunk: {}", sent.text());
            self.ended.insert((call(sent), sent.to));
            return self.wire(&Event::ToCore(sent.to, respond(sent, 200, "", "").into_bytes()));
        }
        let response = Response::read(&message).unwrap_or_else(|fault| panic!("{fault:?}: {}", sent.text()));
        let id = id_of(message.value(message.first(Name::CallId).unwrap()));
        let key = format!("{id} {}", String::from_utf8_lossy(response.token));
        if response.method != Method::Invite {
            if response.code >= 200 {
                self.waiting.remove(&key);
            }
            return;
        }
        self.waiting.remove(&key);
        if response.code < 200 {
            return;
        }
        self.finals.entry(id).or_default().push(response.code);
        let text = sent.text();
        let row = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        if response.code >= 300 {
            let via = row("Via:");
            let (from, to, call, cseq) = (row("From:"), row("To:"), row("Call-ID:"), row("CSeq:").replace("INVITE", "ACK"));
            let ack = format!("ACK sip:x@y SIP/2.0\r\n{via}\r\n{from}\r\n{to}\r\n{call}\r\n{cseq}\r\nContent-Length: 0\r\n\r\n");
            self.wire(&Event::ToCore(TRUNK.parse().unwrap(), ack.into_bytes()));
            return;
        }
        let target = row("Contact:").replace("Contact: <", "").replace('>', "");
        let route = row("Record-Route:").replace("Record-Route:", "Route:");
        // Inside the dialog nobody records it again.
        let route = self.routes.entry(id).or_insert(route).clone();
        let inside = |method: &str, cseq: u32| {
            format!(
                "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK{id}{method}{cseq}\r\n{route}\r\n{}\r\n{}\r\n{}\r\n\
                 CSeq: {cseq} {method}\r\nContact: <sip:trunk@198.51.100.7:5060>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
                row("From:"),
                row("To:"),
                row("Call-ID:")
            )
        };
        let number = if row("CSeq:") == "CSeq: 2 INVITE" { 2 } else { 1 };
        self.wire(&Event::ToCore(TRUNK.parse().unwrap(), inside("ACK", number).into_bytes()));
        let first = self.finals[&id].iter().filter(|&&code| code < 300).count() == 1;
        if first && number == 1 {
            let plan = self.plans[&id];
            let mut after = 100 + self.dice.roll(5000);
            let asks = matches!(plan, Plan::Relayed | Plan::Named(_));
            if plan == Plan::ForeignAnswer(Foreign::Again) || asks && self.dice.chance(70) {
                self.at(after, Event::Within(id, Method::Invite, with_sdp(&inside("INVITE", 2), "10.1.0.20")));
                // Some hang up before that is answered.
                after += self.dice.roll(2000);
            }
            if plan != Plan::ForeignAnswer(Foreign::Again) {
                self.at(after, Event::Within(id, Method::Bye, inside("BYE", 3)));
            }
        }
    }

    fn server(&mut self, sent: &Sent) {
        let message = Message::datagram(&sent.bytes).unwrap();
        let Start::Request { .. } = message.start() else { panic!("no response goes to a server here: {}", sent.text()) };
        let request = Request::read(&message).unwrap_or_else(|fault| panic!("{fault:?}: {}", sent.text()));
        if request.method == Method::Options {
            return self.wire(&Event::ToCore(sent.to, respond(sent, 200, "p", "").into_bytes()));
        }
        let id = id_of(request.call_id);
        let plan = self.plans[&id];
        assert!(!matches!(plan, Plan::ForeignHost | Plan::ForeignMedia), "a refused call reached a server: {}", sent.text());
        assert!(plan == Plan::Moved || sent.to != NEAR.parse().unwrap(), "a pinned call left its region: {}", sent.text());
        let branch = String::from_utf8_lossy(request.via.branch.unwrap()).into_owned();
        match request.method {
            Method::Invite if sent.header("CSeq").unwrap() == "2 INVITE" => match plan {
                Plan::Relayed | Plan::Named(_) => self.taken_again(sent, plan),
                _ => self.taken(sent),
            },
            Method::Invite => {
                assert_eq!(message.body(), self.offered(id).as_bytes());
                let branches = self.branches.entry((id, sent.to)).or_default();
                if branches.insert(branch) {
                    assert_eq!(branches.len(), 1, "one attempt at each server: {id}");
                    self.invites.insert((id, sent.to), sent.clone());
                    self.wire(&Event::ToCore(sent.to, respond(sent, 100, "", "").into_bytes()));
                    let ringing = 10 + self.dice.roll(500);
                    self.at(ringing, Event::Decide(Box::new(sent.clone()), 180));
                    let code = match plan {
                        Plan::Busy => 486,
                        Plan::Declined => 603,
                        Plan::Overloaded if sent.to == SERVER.parse().unwrap() => 503,
                        Plan::Moved if sent.to != NEAR.parse().unwrap() => 503,
                        Plan::Cancelled | Plan::ForeignAnswer(Foreign::Reliable) => return,
                        _ => 200,
                    };
                    let after = ringing + self.dice.roll(3000);
                    self.at(after, Event::Decide(Box::new(sent.clone()), code));
                }
            }
            Method::Ack => {
                self.acknowledged.insert(key(sent));
            }
            Method::Cancel => {
                self.wire(&Event::ToCore(sent.to, respond(sent, 200, "u", "").into_bytes()));
                let invite = self.invites[&(id, sent.to)].clone();
                self.decide(&invite, 487);
            }
            _ => {
                self.ended.insert((id, sent.to));
                self.wire(&Event::ToCore(sent.to, respond(sent, 200, "u", "").into_bytes()));
            }
        }
    }

    fn decide(&mut self, seen: &Sent, code: u16) {
        let bytes = match self.plans[&call(seen)] {
            // What was cancelled is not answered after all, nor the other way round.
            Plan::ForeignAnswer(_) if code >= 200 && !self.decided.insert(key(seen)) => return,
            Plan::ForeignAnswer(how) => self.foreign(seen, how, code),
            plan if code < 300 => Self::accepts(seen, code, plan),
            _ => respond(seen, code, "u", "").into_bytes(),
        };
        if code < 200 {
            self.wire(&Event::ToCore(seen.to, bytes));
        } else {
            self.at(0, Event::RepeatAnswer(key(seen), seen.to, bytes, T1));
        }
    }

    /// What must hold between any two events.
    fn check(&mut self) {
        for note in &self.site.notes[self.noted..] {
            match note {
                Note::Transactions { opened: true, .. } => self.open += 1,
                Note::Transactions { opened: false, .. } => self.open -= 1,
                _ => {}
            }
        }
        self.noted = self.site.notes.len();
        // Each message ends in exactly one outcome; one that waits has none yet.
        self.waits.follow(None, std::mem::take(&mut self.site.handled));
        // Calls that wait, and BYEs of its own until they are answered, are open too, and nobody notes that.
        let counted = self.open + i64::try_from(self.waits.calls()).unwrap();
        let byes = i64::try_from(self.site.core.transactions()).unwrap() - counted;
        let most = i64::try_from(self.parting.len()).unwrap();
        assert!((0..=most).contains(&byes), "every transaction opened is counted closed once: {byes} of {most}");
    }

    /// How each call must have ended.
    fn ended(&self, id: u64) {
        let plan = self.plans[&id];
        let finals = self.finals.get(&id).cloned().unwrap_or_default();
        let allowed: &[u16] = match plan {
            Plan::Answered | Plan::Overloaded | Plan::Moved => &[200],
            Plan::Busy => &[486],
            Plan::Declined | Plan::ForeignHost | Plan::ForeignMedia => &[603],
            Plan::Cancelled => &[487],
            Plan::ForeignAnswer(how) => how.allowed(),
            // No relay, for the call (152) or for its re-INVITE (488).
            Plan::Relayed => &[200, 503, 488],
            Plan::Named(named) => named.allowed(),
        };
        // Under loss a whole Timer B may pass without a packet, in either direction; then the caller is told 503, or nobody heard. A
        // server that dies after it rang takes the call with it; one that was dead before takes none, but that the other wants none.
        let dead = self.dead.as_ref().filter(|(_, time)| plan == Plan::Overloaded || !time.contains(&self.placed[&id]));
        let excuse = self.loss > 0 || dead.is_some();
        for code in &finals {
            assert!(allowed.contains(code) || excuse && matches!(code, 503 | 487 | 408), "call {id}, {plan:?}: {finals:?}");
        }
        assert!(!finals.is_empty() || excuse, "call {id}, {plan:?}: nobody was told");
        self.hung_up(id);
    }
}

#[test]
fn worlds_end_as_they_should() {
    let seeds = match std::env::var("RINGFENCE_SEED") {
        Ok(seed) => {
            let seed = seed.parse().unwrap();
            seed..seed + 1
        }
        Err(_) => 1..SEEDS + 1,
    };
    let (mut told, mut calls, mut outside, mut acknowledged) = (0, 0, 0, 0);
    let (mut worlds, mut resumed, mut odd, mut most) = (0, 0, 0, (0, 0));
    for seed in seeds {
        let mut world = World::new(seed);
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()));
        assert!(run.is_ok(), "replay with RINGFENCE_SEED={seed}");
        calls += CALLS;
        worlds += 1;
        (resumed, odd) = (resumed + world.waits.resumed, odd + world.waits.odd);
        most = (most.0.max(world.waits.most.0), most.1.max(world.waits.most.1));
        told += world.finals.len() as u64;
        let (answers, acks) = world.acknowledged();
        (outside, acknowledged) = (outside + answers, acknowledged + acks);
    }
    assert!(acknowledged * 100 >= outside * 97, "of {outside} answers outside only {acknowledged} were acknowledged");
    println!("{worlds} worlds: {resumed} messages waited, {odd} oddly, at most {most:?}");
    assert!(told * 100 >= calls * 97, "of {calls} calls only {told} heard how they ended");
}
