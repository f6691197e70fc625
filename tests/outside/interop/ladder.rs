//! Calls written down as who says what to whom: each side's part becomes a scenario of `SIPp`'s, which fails on anything else.
//!
//! What is said is `INVITE`, `200` (to the INVITE), `200 to PRACK`, `ACK`, or `ACK to 488`, which is of the refused transaction. A
//! 183 is reliable (RFC 3262), a 180 is not. A session description is told by its address. What comes without one must have none.

use std::fmt::Write;

/// A party of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Caller,
    Callee,
}

impl End {
    /// The other one.
    pub(super) fn other(self) -> Self {
        if self == Self::Caller { Self::Callee } else { Self::Caller }
    }
}

/// A call in the order of its messages.
pub(super) struct Ladder {
    caller: Side,
    callee: Side,
}

/// What one side does.
struct Side {
    end: End,
    /// How many proxies add a Via and a Record-Route on the way.
    proxies: usize,
    steps: String,
    /// Number of its latest request, and of its latest INVITE.
    cseq: u32,
    invite: u32,
    /// Its latest request is an INVITE.
    inviting: bool,
    /// It knows the other's Contact and the way there.
    talks: bool,
    /// How many INVITEs it has heard.
    heard: usize,
}

impl Ladder {
    /// An empty one, with so many proxies between the two.
    pub(super) fn new(proxies: usize) -> Self {
        Self { caller: Side::new(End::Caller, proxies), callee: Side::new(End::Callee, proxies) }
    }

    /// A message that gets to the other side, with this address in its session description or, where that is empty, without one.
    pub(super) fn passes(&mut self, from: End, what: &str, media: &str) {
        self.side(from).says(what, media);
        self.side(from.other()).hears(what, media, "");
    }

    /// A message that goes no further than the daemon.
    pub(super) fn sends(&mut self, from: End, what: &str, media: &str) {
        self.side(from).says(what, media);
    }

    /// A message of the daemon's own; its `X-Ringfence` begins like this.
    pub(super) fn told(&mut self, to: End, what: &str, reason: &str) {
        self.side(to).hears(what, "", reason);
    }

    /// Asks the daemon something last and is answered: by then whatever else it has sent must have come.
    pub(super) fn settles(&mut self, end: End) {
        let side = self.side(end);
        if !side.steps.is_empty() {
            let (end, number) = (side.end, side.cseq + 1);
            write!(
                side.steps,
                "<send retrans=\"500\"><![CDATA[\nOPTIONS sip:eu.sip.example.com SIP/2.0\n{VIA}{end:?}{number}\n\
                 From: <sip:party@[local_ip]>;tag=[pid]O\nTo: <sip:eu.sip.example.com>\nCall-ID: [call_id]\nCSeq: {number} OPTIONS\n\
                 Max-Forwards: 70\nContent-Length: 0\n\n]]></send>\n<recv response=\"200\"></recv>\n"
            )
            .unwrap();
        }
    }

    fn side(&mut self, end: End) -> &mut Side {
        if end == End::Caller { &mut self.caller } else { &mut self.callee }
    }

    /// One side's scenario; `None` if it has nothing to hear nor to say.
    pub(super) fn scenario(&self, end: End) -> Option<String> {
        let steps = if end == End::Caller { &self.caller.steps } else { &self.callee.steps };
        let mut names: Vec<&str> = steps.split("assign_to=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        names.sort_unstable();
        names.dedup();
        // SIPp takes a variable that nothing reads for a mistake.
        let read = names.join(",");
        let head = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>\n<!DOCTYPE scenario SYSTEM \"sipp.dtd\">\n";
        let text = format!("{head}<scenario name=\"{end:?}\">\n{steps}<Reference variables=\"{read}\"/>\n</scenario>\n");
        (!steps.is_empty()).then_some(text)
    }
}

impl Side {
    fn new(end: End, proxies: usize) -> Self {
        Self { end, proxies, steps: String::new(), cseq: 0, invite: 0, inviting: false, talks: false, heard: 0 }
    }

    fn says(&mut self, what: &str, media: &str) {
        // An ACK and what follows it are two transactions: the one may overtake the other.
        let pause = if self.steps.ends_with(ACKED) { "<pause milliseconds=\"20\"/>\n" } else { "" };
        let text = if code(what).is_some() { self.answer(what) } else { self.request(what) };
        let again = match code(what) {
            Some(code) => code >= 200 && !what.contains(" to "),
            None => !what.starts_with("ACK"),
        };
        let retrans = if again { " retrans=\"500\"" } else { "" };
        let body = if media.is_empty() { "Content-Length: 0\n\n".to_owned() } else { session(media) };
        let mark = if what == "ACK" { ACKED } else { "" };
        write!(self.steps, "{pause}<send{retrans}><![CDATA[\n{text}{body}]]></send>\n{mark}").unwrap();
    }

    fn request(&mut self, what: &str) -> String {
        let method = what.split(' ').next().unwrap();
        let initial = !self.talks || what.starts_with("ACK to") && self.invite == 1 && self.end == End::Caller;
        if method != "ACK" {
            self.cseq += 1;
        }
        if method == "INVITE" {
            self.invite = self.cseq;
        }
        self.inviting = method == "INVITE";
        let number = if method == "ACK" { self.invite } else { self.cseq };
        let first = initial && method == "INVITE";
        let to = if first { "To: <sip:+4930[call_number]@[domain]>" } else { "To:[$remote]" };
        let (uri, routes) = if initial { ("sip:+4930[call_number]@[domain]", "") } else { ("[next_url]", "[routes]\n") };
        // The ACK to a 2xx is a transaction of its own.
        let own = if what == "ACK" { "ack" } else { "" };
        let more = match method {
            "PRACK" => format!("RAck: 1 {} INVITE\n", self.invite),
            "INVITE" => "Supported: 100rel\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, INFO\n".to_owned(),
            _ => String::new(),
        };
        format!(
            "{method} {uri} SIP/2.0\n{VIA}{:?}{number}{own}\n\
             {routes}From:{}\n{to}\nCall-ID: [call_id]\nCSeq: {number} {method}\n{CONTACT}Max-Forwards: 70\n{more}",
            self.end,
            self.local()
        )
    }

    fn answer(&self, what: &str) -> String {
        let code = what.split(' ').next().unwrap();
        let mut text = format!("SIP/2.0 {code} Said\n");
        if what.contains(" to ") {
            text.push_str("[last_Via:]\n[last_From:]\n[last_To:]\n[last_CSeq:]\n");
        } else {
            // Something else may have been heard since the INVITE.
            for at in 1..=self.proxies + 1 {
                writeln!(text, "Via:[$via{at}]").unwrap();
            }
            for at in (1..=self.proxies).filter(|_| self.is_first()) {
                writeln!(text, "Record-Route:[$route{at}]").unwrap();
            }
            write!(text, "From:[$remote]\nTo:{}\nCSeq:[$cseq]\n", self.local()).unwrap();
        }
        let more = if code == "183" { "Require: 100rel\nRSeq: 1\n" } else { "" };
        text + "Call-ID: [call_id]\n" + CONTACT + more
    }

    fn hears(&mut self, what: &str, media: &str, reason: &str) {
        let word = what.split(' ').next().unwrap();
        // Its own session descriptions have one `c=` for all streams.
        let mut actions = if media.is_empty() {
            ereg("c=IN", "msg", "check_it_inverse", "body")
        } else {
            ereg(&format!("c=IN IP4 {}", media.replace('.', "[.]")), "msg", "check_it", "body")
        };
        let mut header = |pattern: &str, name: &str, at: usize, variable: &str| {
            let place = format!("hdr\" header=\"{name}:\" occurrence=\"{at}");
            actions.push_str(&ereg(pattern, &place, "check_it", variable));
        };
        match reason.split_once("reason=") {
            // The next proxy makes a CANCEL of its own, with the same Reason (RFC 3326 1).
            Some((_, token)) if word == "CANCEL" => header(&format!("Q.850;cause=21;text=.{token}"), "Reason", 2, "reason"),
            Some(_) => header(&format!("^ ?{reason}; region=eu"), "X-Ringfence", 1, "reason"),
            None => {}
        }
        let is_answer = code(what).is_some();
        let (mut kind, mut known) = ("request", false);
        if is_answer {
            if self.inviting {
                self.steps.push_str("<recv response=\"100\" optional=\"true\"></recv>\n");
            }
            (kind, known) = ("response", code(what) < Some(300));
            header(".*", "To", 1, "remote");
        } else if word == "INVITE" {
            self.heard += 1;
            known = true;
            (1..=self.proxies + 1).for_each(|at| header(".*", "Via", at, &format!("via{at}")));
            header(".*", "CSeq", 1, "cseq");
            if self.is_first() {
                (1..=self.proxies).for_each(|at| header(".*", "Record-Route", at, &format!("route{at}")));
                header(".*", "From", 1, "remote");
                header(".*", "To", 1, "local");
            }
        }
        let routes = if known && !self.talks { " rrs=\"true\"" } else { "" };
        self.talks |= known;
        write!(self.steps, "<recv {kind}=\"{word}\"{routes}>\n<action>\n{actions}</action>\n</recv>\n").unwrap();
    }

    /// Whether the latest INVITE that it has heard is the one that made the call.
    fn is_first(&self) -> bool {
        self.end == End::Callee && self.heard == 1
    }

    /// Who it is in its own From.
    fn local(&self) -> &'static str {
        match self.end {
            End::Caller => " <sip:+4989[call_number]@[local_ip]>;tag=[pid]T",
            End::Callee => "[$local];tag=[pid]U",
        }
    }
}

const ACKED: &str = "<!-- acknowledged -->\n";
const VIA: &str = "Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=z9hG4bK[pid]";
const CONTACT: &str = "Contact: <sip:party@[local_ip]:[local_port];transport=[transport]>\n";

fn code(what: &str) -> Option<u16> {
    what.split(' ').next()?.parse().ok()
}

fn session(media: &str) -> String {
    format!(
        "Content-Type: application/sdp\nContent-Length: [len]\n\nv=0\no=- [pid] [call_number] IN IP4 {media}\ns=-\nc=IN IP4 {media}\n\
         t=0 0\nm=audio 40000 RTP/AVP 8 101\na=rtpmap:8 PCMA/8000\na=rtpmap:101 telephone-event/8000\n\n"
    )
}

fn ereg(pattern: &str, place: &str, how: &str, variable: &str) -> String {
    format!("<ereg regexp=\"{pattern}\" search_in=\"{place}\" {how}=\"true\" assign_to=\"{variable}\"/>\n")
}
