//! Media through a relay: the site that has two of them, and what the tests below ask of it.

mod description;
mod ending;
mod failure;
mod negotiation;
mod waiting;

use ringfence::core::io::{Note, RelayBody, RelayOutcome, RelayReply, RelayRequest, RelayVerb, Unanswered, Verdict};
use ringfence::reason::Reason;

use crate::site::{SERVER, Sent, Site, TRUNK, invite, respond, sdp, with_sdp};

const HOST: &str = "acme.eu.sip.example.com";
/// What the relay says instead of any address.
const RELAYED: &str = "10.1.0.40";
const CARRIED: &str = "203.0.113.9";
const HOME: &str = "10.1.0.20";
const FIRST: &str = "10.1.0.8:2223";
const OTHER: &str = "10.1.0.9:2223";

const CONFIG: &str = r#"
serve = ["eu"]
[region.eu]
hostname = "eu.sip.example.com"
listen   = ["udp:192.0.2.1:5060", "tcp:192.0.2.1:5060"]
networks = ["10.1.0.0/16", "192.0.2.1/32"]
upstream = ["10.1.0.5:5060", "10.1.0.6:5060"]
relay    = ["udp:10.1.0.8:2223", "udp:10.1.0.9:2223"]
[project.acme]
pin   = ["eu"]
media = "relay"
[project.acme.trunk.carrier]
networks = ["198.51.100.0/24"]
media    = ["203.0.113.0/24"]
[project.watcher]
pin   = ["eu"]
mode  = "shadow"
media = "relay"
[project.watcher.trunk.carrier]
networks = ["198.51.103.0/24"]
[health]
interval = "0s"
"#;

/// A relay that does what it is asked.
#[expect(clippy::unnecessary_wraps, reason = "it is one of several relays, and others say nothing")]
fn answering_relay(request: &RelayRequest) -> Result<RelayReply, Unanswered> {
    let sdp = match &request.body {
        RelayBody::Session { .. } => Some(sdp(RELAYED).replace("4000", "30000").into()),
        RelayBody::Delete { .. } | RelayBody::Ping => None,
    };
    Ok(RelayReply::Done(sdp))
}

fn site() -> Site {
    let mut site = Site::new(&[CONFIG, "\n[limits]\nper_source = \"1000000/s\"\n"].concat());
    site.relay = Some(Box::new(answering_relay));
    site
}

/// The questions since the last look: what was asked of whom, with the tags of a session.
fn questions_asked(site: &mut Site) -> Vec<String> {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let questions = std::mem::take(&mut site.questions);
    questions
        .iter()
        .map(|request| match &request.body {
            RelayBody::Session { from_tag, to_tag, .. } => {
                let to = to_tag.as_deref().map(text).unwrap_or_default();
                format!("{} {} {to}", request.id.verb.label(), text(from_tag)).trim_end().to_owned()
            }
            RelayBody::Delete { .. } | RelayBody::Ping => request.id.verb.label().to_owned(),
        })
        .collect()
}

fn notes(site: &Site, verb: RelayVerb) -> Vec<RelayOutcome> {
    let result = |note: &Note| match note {
        Note::RelayAsked { verb: other, result, .. } if *other == verb => Some(*result),
        _ => None,
    };
    site.notes.iter().filter_map(result).collect()
}

fn refused(site: &Site) -> Vec<Reason> {
    let reason = |note: &Note| match note {
        Note::Verdict { verdict: Verdict::Refuse, reason, .. } => Some(*reason),
        _ => None,
    };
    site.notes.iter().filter_map(reason).collect()
}

fn without_body(text: &str) -> String {
    let head = text.split("\r\n\r\n").next().unwrap();
    let rows = head.lines().filter(|line| !line.starts_with("Content-"));
    rows.chain(["Content-Length: 0", "", ""]).collect::<Vec<_>>().join("\r\n")
}

fn answer(seen: &Sent, code: u16, media: &str) -> String {
    with_sdp(&respond(seen, code, "u", "Contact: <sip:b@10.1.0.5:5060>\r\n"), media)
}

fn in_dialog_from_trunk(method: &str, cseq: u32, route: &str) -> String {
    format!(
        "{method} sip:b@{SERVER} SIP/2.0\r\nVia: SIP/2.0/UDP {TRUNK};branch=z9hG4bKin{method}{cseq}\r\nRoute: {route}\r\n\
         From: <sip:+49891@trunk.example.net>;tag=fone\r\nTo: <sip:+4930123@{HOST}>;tag=u\r\nCall-ID: one@trunk\r\n\
         CSeq: {cseq} {method}\r\nContact: <sip:a@{TRUNK}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

/// The same, from the server.
fn in_dialog_from_server(method: &str, cseq: u32, route: &str) -> String {
    format!(
        "{method} sip:a@{TRUNK} SIP/2.0\r\nVia: SIP/2.0/UDP {SERVER};branch=z9hG4bKback{method}{cseq}\r\nRoute: {route}\r\n\
         From: <sip:+4930123@{HOST}>;tag=u\r\nTo: <sip:+49891@trunk.example.net>;tag=fone\r\nCall-ID: one@trunk\r\n\
         CSeq: {cseq} {method}\r\nContact: <sip:b@{SERVER}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

/// Whether a message has the relay's description, with its length.
fn is_relayed(sent: &Sent) -> bool {
    let text = sent.text();
    let body = text.split_once("\r\n\r\n").unwrap().1;
    body.contains(&format!("c=IN IP4 {RELAYED}\r\n")) && sent.headers("Content-Length") == [body.len().to_string()]
}

/// A call that is up: its Record-Route.
fn established(site: &mut Site) -> String {
    let sent = site.from(TRUNK, &invite(HOST, CARRIED, "one"));
    site.from(SERVER, &answer(&sent[1], 200, HOME));
    let route = sent[1].header("Record-Route").unwrap();
    assert_eq!(site.from(TRUNK, &in_dialog_from_trunk("ACK", 1, &route)).len(), 1);
    route
}

fn lines(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(Sent::line).collect()
}

fn is_relayed_invite(sent: &Sent) -> bool {
    sent.line().starts_with("INVITE") && is_relayed(sent)
}
