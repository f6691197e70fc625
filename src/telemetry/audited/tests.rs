//! Calls through a core, and the lines that come of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring::hmac;
use serde_json::{Value, json};

use super::*;
use crate::audit::record_line::{LineKeys, NumbersAs};
use crate::audit::slot::RECORD_ROOM;
use crate::config::{Audit, AuditNumbers, AuditSeed, ListenerId, parse};
use crate::core::Core;
use crate::core::io::{Arrival, Destination, Input};
use crate::dns::Resolved;
use crate::telemetry::{Handles, Metrics};

const TEXT: &str = r#"
serve = ["eu"]
[region.eu]
hostname = "eu.example.com"
listen   = ["udp:192.0.2.1:5060"]
networks = ["10.1.0.0/16"]
upstream = ["10.1.0.5", "10.1.0.6"]
nearest  = ["uk"]
[region.uk]
hostname = "uk.example.com"
networks = ["10.2.0.0/16"]
upstream = "10.2.0.5"
[project.acme.trunk.carrier]
networks = ["198.51.100.0/24"]
uri      = "sip:198.51.100.9"
outbound_networks = ["198.51.100.0/24"]
[project.globex]
pin = ["uk"]
[project.globex.trunk.carrier]
networks = ["198.51.101.0/24"]
[project.watcher]
mode = "shadow"
pin  = ["uk"]
[project.watcher.trunk.carrier]
networks = ["198.51.102.0/24"]
[limits]
per_source = "20/s"
[health]
interval = "0s"
"#;

const TRUNK: &str = "198.51.100.7:5060";
const SERVER: &str = "10.1.0.5:5060";
const AT: u64 = 1_780_000_000_123_456;

/// A core, what is counted of its verdicts, and the lines of its record.
struct Node {
    config: Arc<Config>,
    core: Core,
    now: Instant,
    metrics: Arc<Metrics>,
    handles: Handles,
    lines: Vec<Value>,
}

impl Node {
    fn new() -> Self {
        let mut config = parse(Path::new("test.toml"), TEXT).unwrap();
        config.audit = Some(Audit {
            path: "audit".into(),
            sign: "audit.key".into(),
            key: AuditSeed([0; 32]),
            retain: Duration::ZERO,
            numbers: AuditNumbers::Plain,
            checkpoint: Duration::from_secs(600),
            spool: "spool".into(),
        });
        let (config, now, metrics) = (Arc::new(config), Instant::now(), Arc::new(Metrics::new()));
        let mut core = Core::new(Arc::clone(&config), Arc::new(Resolved::unknown(config.names.len())), [7; 16], now);
        core.tell_time(now, Duration::from_micros(AT));
        let handles = Handles::new(Arc::clone(&metrics), Arc::clone(&config));
        Self { config, core, now, metrics, handles, lines: Vec::new() }
    }

    /// Hands a datagram in. Returns what left for it: where to, and what.
    fn from(&mut self, source: &str, text: &str) -> Vec<(SocketAddr, String)> {
        let local = self.config.listener(ListenerId(0)).addr;
        let arrival = Arrival { listener: ListenerId(0), from: source.parse().unwrap(), local, connection: None, shown: None };
        let mut out = Vec::new();
        self.core.handle(self.now, Input::Message { arrival, bytes: text.as_bytes() }, &mut out);
        self.keep(&out, Some(&Seen { arrival, bytes: text.as_bytes() }))
    }

    /// Lets time pass.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.core.deadline().filter(|&deadline| deadline <= end) {
            self.now = self.now.max(deadline);
            let mut out = Vec::new();
            self.core.handle(self.now, Input::Timeout, &mut out);
            self.keep(&out, None);
        }
        self.now = end;
    }

    fn keep(&mut self, out: &[Output], seen: Option<&Seen<'_>>) -> Vec<(SocketAddr, String)> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"calls");
        let keys = LineKeys { calls: &key, numbers: NumbersAs::Plain };
        let teller = AuditTeller { config: &self.config, digest: digest(&self.config), at: AT };
        teller.tell(out, seen, |record| {
            // As on the way to the disk.
            let mut slot = [0; RECORD_ROOM];
            let (length, cut) = record.encode(&mut slot);
            assert!(!cut);
            let mut line = Vec::new();
            AuditRecord::decode(&slot[..length]).unwrap().write_line(0, &keys, &mut line);
            self.lines.push(serde_json::from_slice(&line).unwrap());
        });
        let mut sent = Vec::new();
        for output in out {
            match output {
                Output::Send(send) => {
                    let to = match send.to {
                        Destination::Peer(peer) => peer.answers(),
                        Destination::Fenced(fenced) => fenced.addr(),
                    };
                    sent.push((to, String::from_utf8_lossy(&send.bytes).into_owned()));
                }
                &Output::Note(Note::Verdict { region, project, verdict, reason, .. }) => {
                    self.handles.verdict(region, project, verdict, reason, 1);
                }
                _ => {}
            }
        }
        sent
    }

    /// The lines without what each has, and without what is equal in all of a test.
    fn told(&self) -> Vec<Value> {
        let told = |line: &Value| {
            let mut line = line.clone();
            let object = line.as_object_mut().unwrap();
            for key in ["n", "at", "region", "config"] {
                object.remove(key);
            }
            line
        };
        self.lines.iter().map(told).collect()
    }
}

fn sdp(media: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 192.0.2.99\r\ns=-\r\nc=IN IP4 {media}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n")
}

fn invite(host: &str, from: &str, media: &str, id: &str) -> String {
    let body = sdp(media);
    format!(
        "INVITE sip:+4930123456@{host} SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch=z9hG4bK{id}\r\n\
         From: <sip:+15551234567@trunk.example.net>;tag=f{id}\r\nTo: <sip:+4930123456@{host}>\r\nCall-ID: {id}\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:a@{from}>\r\nMax-Forwards: 70\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The answer to a request, with an SDP if media is named.
fn respond(request: &str, code: u16, media: Option<&str>) -> String {
    let body = media.map(sdp).unwrap_or_default();
    let mut out = format!("SIP/2.0 {code} Phrase\r\n");
    for line in request.split("\r\n\r\n").next().unwrap().lines() {
        if ["Via: ", "Record-Route: ", "From: ", "Call-ID: ", "CSeq: "].iter().any(|name| line.starts_with(name)) {
            out.push_str(&[line, "\r\n"].concat());
        } else if line.starts_with("To: ") {
            out.push_str(&[line, if line.contains(";tag=") { "" } else { ";tag=u" }, "\r\n"].concat());
        }
    }
    let rows = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!("{out}Contact: <sip:b@10.1.0.5>\r\n{rows}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn bye(asked: &str) -> String {
    let route = asked.lines().find_map(|line| line.strip_prefix("Record-Route: ")).unwrap();
    format!(
        "BYE sip:b@10.1.0.5 SIP/2.0\r\nVia: SIP/2.0/UDP {TRUNK};branch=z9hG4bKbye\r\nRoute: {route}\r\n\
         From: <sip:+15551234567@trunk.example.net>;tag=fone\r\nTo: <sip:+4930123456@acme.eu.example.com>;tag=u\r\nCall-ID: one\r\n\
         CSeq: 2 BYE\r\nMax-Forwards: 70\r\nReason: Q.850;cause=16\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn a_call_from_its_verdict_to_its_end() {
    let mut node = Node::new();
    let seen = node.from(TRUNK, &invite("acme.eu.example.com", TRUNK, "10.1.0.20", "one")).remove(1).1;
    node.pass(Duration::from_millis(1250));
    let told = node.from(SERVER, &respond(&seen, 200, Some("10.1.0.21"))).remove(0).1;
    node.pass(Duration::from_secs(90));
    let gone = node.from(TRUNK, &bye(&told)).remove(0).1;
    node.from(SERVER, &respond(&gone, 200, None));
    let call = node.lines[0]["call"].clone();
    assert_eq!(call.as_str().map(str::len), Some(32));
    assert_eq!(
        node.told(),
        [
            json!({
                "kind": "verdict", "project": "acme", "trunk": "carrier", "call": call, "verdict": "accept", "id": 100,
                "reason": "in-region", "direction": "in", "method": "INVITE", "source": TRUNK, "transport": "udp",
                "from": "+15551234567", "to": "+4930123456", "to_country": "DE", "serving": "eu",
                "target": "udp:10.1.0.5:5060", "media": ["10.1.0.20"], "media_verdict": "inside"
            }),
            json!({
                "kind": "answer", "project": "acme", "trunk": "carrier", "call": call, "direction": "in", "code": 200, "setup_ms": 1250,
                "serving": "eu", "target": "udp:10.1.0.5:5060", "media": ["10.1.0.21"], "media_verdict": "inside", "retries": 0
            }),
            json!({
                "kind": "end", "project": "acme", "trunk": "carrier", "call": call, "by": "caller", "cause": "Q.850;16",
                "seconds": 90, "code": 200
            }),
        ]
    );
    assert_eq!(node.lines[0]["config"], json!(node.config.digest));
    assert_eq!(node.lines[0]["region"], json!("eu"));
}

#[test]
fn what_is_refused_is_told_with_its_code() {
    let mut node = Node::new();
    node.from("203.0.113.1:5060", &invite("acme.eu.example.com", "203.0.113.1:5060", "10.1.0.20", "one"));
    node.from(TRUNK, &invite("acme.eu.example.com", TRUNK, "192.0.2.99", "two"));
    let told = node.told();
    assert_eq!(
        (&told[0]["verdict"], &told[0]["code"], &told[0]["source"]),
        (&json!("refuse"), &json!(403), &json!("203.0.113.1:5060"))
    );
    assert!(told[0].get("target").is_none() && told[0].get("project").is_none());
    assert_eq!(
        (&told[1]["id"], &told[1]["media"], &told[1]["media_verdict"]),
        (&json!(140), &json!(["192.0.2.99"]), &json!("outside"))
    );
    assert!(told[1]["code"].as_u64().is_some_and(|code| code >= 400));
}

#[test]
fn a_call_that_moves_to_another_region_says_where() {
    let mut node = Node::new();
    node.from(TRUNK, &invite("acme.eu.example.com", TRUNK, "10.1.0.20", "one"));
    node.pass(Duration::from_secs(40));
    let told = node.told();
    let moved: Vec<_> = told.iter().map(|line| (&line["id"], &line["serving"], &line["target"])).collect();
    assert!(told[0].get("later").is_none() && told[1]["later"] == json!(true));
    assert_eq!(moved[1], (&json!(101), &json!("uk"), &json!("udp:10.2.0.5:5060")), "{told:?}");
    assert!(told.iter().all(|line| line["call"] == told[0]["call"]));
}

/// What is counted of verdicts, by verdict and reason.
fn counted(metrics: &Metrics) -> BTreeMap<(String, String), u64> {
    let mut all = BTreeMap::new();
    for line in metrics.render().lines().filter(|line| line.starts_with("ringfence_verdicts_total{")) {
        let label = |name: &str| line.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned();
        let count: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        if count > 0 {
            *all.entry((label("verdict"), label("reason"))).or_default() += count;
        }
    }
    all
}

#[test]
fn there_are_as_many_verdicts_in_the_record_as_are_counted() {
    let mut node = Node::new();
    let sources = [TRUNK, "198.51.101.7:5060", "198.51.102.7:5060", "203.0.113.1:5060", SERVER, "10.2.0.5:5060"];
    let hosts = [
        "acme.eu.example.com",
        "globex.eu.example.com",
        "watcher.eu.example.com",
        "nobody.eu.example.com",
        "uk.example.com",
        "carrier.acme.eu.example.com",
    ];
    let media = ["10.1.0.20", "192.0.2.99", "media.example.net"];
    let mut number = 0;
    for round in 0..4 {
        for source in sources {
            for host in hosts {
                for media in media {
                    // Each second call is one that came before.
                    number += 1;
                    let id = format!("call{}", number / 2 * 2);
                    let text = invite(host, source, media, &id).replace("z9hG4bK", &format!("z9hG4bK{round}{number}"));
                    for (to, request) in node.from(source, &text) {
                        if request.starts_with("INVITE") && number % 3 > 0 {
                            let code = if number % 5 > 0 { 200 } else { 503 };
                            let named = (number % 7 > 2).then_some(media);
                            node.from(&to.to_string(), &respond(&request, code, named));
                        }
                    }
                }
            }
        }
        node.pass(Duration::from_secs([1, 10, 70, 300][round]));
    }
    let mut kept: BTreeMap<(String, String), u64> = BTreeMap::new();
    let verdicts = node.lines.iter().filter(|line| line["kind"] == "verdict");
    for line in verdicts {
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        *kept.entry((text("verdict"), text("reason"))).or_default() += 1;
    }
    assert_eq!(kept, counted(&node.metrics));
    assert!(kept.len() >= 12 && kept.values().sum::<u64>() > 300, "{kept:?}");
}
