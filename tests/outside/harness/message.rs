//! Requests and answers as the test's telephones write them, and messages as they saw them.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A token that is new in every process and at every call.
pub(crate) fn fresh() -> String {
    format!("{:x}n{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A request to send. Change any field before `bytes`.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) uri: String,
    /// Values of the Via rows, topmost first.
    pub(crate) via: Vec<String>,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) call_id: String,
    pub(crate) cseq: String,
    pub(crate) max_forwards: String,
    /// Whole further rows without line ends.
    pub(crate) rows: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Ask {
    /// A request outside any dialog, from a telephone at `local`.
    pub(crate) fn new(method: &str, uri: &str, local: SocketAddr, transport: &str) -> Self {
        let upper = transport.to_ascii_uppercase();
        Self {
            method: method.into(),
            uri: uri.into(),
            via: vec![format!("SIP/2.0/{upper} {local};branch=z9hG4bK{};rport", fresh())],
            from: format!("\"A. Caller\" <sip:+4930111@carrier.example.net>;tag={}", fresh()),
            to: format!("<{uri}>"),
            call_id: format!("{}@carrier.example.net", fresh()),
            cseq: format!("1 {method}"),
            max_forwards: "70".into(),
            rows: vec![format!("Contact: <sip:caller@{local};transport={transport}>")],
            body: Vec::new(),
        }
    }

    /// An INVITE with a session description whose media is at `media`.
    pub(crate) fn invite(uri: &str, local: SocketAddr, transport: &str, media: IpAddr) -> Self {
        Self::new("INVITE", uri, local, transport).sdp(media)
    }

    /// Adds a row.
    pub(crate) fn with(mut self, row: &str) -> Self {
        self.rows.push(row.to_owned());
        self
    }

    /// Sets a session description whose media is at `media`.
    pub(crate) fn sdp(self, media: IpAddr) -> Self {
        self.session(&sdp(media))
    }

    /// Sets a session description.
    pub(crate) fn session(mut self, text: &str) -> Self {
        self.rows.push("Content-Type: application/sdp".into());
        self.body = text.as_bytes().to_vec();
        self
    }

    /// The same request under a new branch: to the receiver, another transaction.
    pub(crate) fn again(&self) -> Self {
        let mut again = self.clone();
        let (before, _) = again.via[0].split_once("branch=").unwrap();
        again.via[0] = format!("{before}branch=z9hG4bK{};rport", fresh());
        again
    }

    /// The CANCEL of this INVITE (RFC 3261 9.1).
    pub(crate) fn cancel(&self) -> Self {
        self.hop("CANCEL", self.to.clone())
    }

    /// The ACK for a final answer other than 2xx (RFC 3261 17.1.1.3).
    pub(crate) fn ack(&self, answer: &Seen) -> Self {
        self.hop("ACK", answer.get("To").to_owned())
    }

    fn hop(&self, method: &str, to: String) -> Self {
        let number = self.cseq.split(' ').next().unwrap().to_owned();
        let routes = self.rows.iter().filter(|row| row.starts_with("Route:")).cloned().collect();
        Self {
            method: method.into(),
            via: vec![self.via[0].clone()],
            to,
            cseq: format!("{number} {method}"),
            rows: routes,
            body: Vec::new(),
            ..self.clone()
        }
    }

    /// What goes on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} SIP/2.0\r\n", self.method, self.uri);
        for via in &self.via {
            write!(head, "Via: {via}\r\n").unwrap();
        }
        write!(head, "Max-Forwards: {}\r\nFrom: {}\r\nTo: {}\r\n", self.max_forwards, self.from, self.to).unwrap();
        write!(head, "Call-ID: {}\r\nCSeq: {}\r\n", self.call_id, self.cseq).unwrap();
        finish(head, &self.rows, &self.body)
    }
}

fn finish(mut head: String, rows: &[String], body: &[u8]) -> Vec<u8> {
    for row in rows {
        write!(head, "{row}\r\n").unwrap();
    }
    write!(head, "Content-Length: {}\r\n\r\n", body.len()).unwrap();
    [head.as_bytes(), body].concat()
}

/// A session description with one audio stream at an address.
pub(crate) fn sdp(media: IpAddr) -> String {
    let family = if media.is_ipv4() { "IP4" } else { "IP6" };
    format!(
        "v=0\r\no=- 1 1 IN {family} {media}\r\ns=-\r\nc=IN {family} {media}\r\nt=0 0\r\n\
         m=audio 40000 RTP/AVP 8 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    )
}

/// A message that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) start: String,
    /// Names as written, values without surrounding white space and with folds as one space.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) raw: Vec<u8>,
    pub(crate) from: SocketAddr,
}

impl Seen {
    /// Reads a message; strict, since the daemon wrote it.
    pub(crate) fn read(raw: &[u8], from: SocketAddr) -> Self {
        let text = String::from_utf8_lossy(raw);
        let split = raw.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("no end of headers: {text}"));
        let head = String::from_utf8_lossy(&raw[..split]).replace("\r\n ", " ").replace("\r\n\t", " ");
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap().to_owned();
        let headers = lines
            .map(|line| line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?} in {text}")))
            .map(|(name, value)| (name.trim_end().to_owned(), value.trim().to_owned()))
            .collect();
        Self { start, headers, body: raw[split + 4..].to_vec(), raw: raw.to_vec(), from }
    }

    /// The status code; 0 for a request.
    pub(crate) fn code(&self) -> u16 {
        self.start.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)).map_or(0, |code| code.parse().unwrap())
    }

    /// The reason phrase.
    pub(crate) fn phrase(&self) -> &str {
        self.start.get(12..).unwrap_or_default()
    }

    /// The method of a request; empty for a response.
    pub(crate) fn method(&self) -> &str {
        if self.code() == 0 { self.start.split(' ').next().unwrap() } else { "" }
    }

    /// The Request-URI.
    pub(crate) fn uri(&self) -> &str {
        self.start.split(' ').nth(1).unwrap()
    }

    /// All values of a header, long or compact, in order; rows are not split at commas.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let is = |has: &str| has.eq_ignore_ascii_case(name) || long(has).eq_ignore_ascii_case(name);
        self.headers.iter().filter(|(has, _)| is(has)).map(|(_, value)| value.as_str()).collect()
    }

    /// The first value of a header, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// The first value of a header that must be there.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or_else(|| panic!("no {name} in {}", String::from_utf8_lossy(&self.raw)))
    }

    /// The branch of the topmost Via.
    pub(crate) fn branch(&self) -> &str {
        let (_, rest) = self.get("Via").split_once("branch=").expect("a branch");
        rest.split([';', ',', ' ']).next().unwrap()
    }

    /// An answer to this request, as a telephone makes it: `rows` are added.
    pub(crate) fn answer(&self, status: &str, tag: &str, rows: &[&str], session: &str) -> Vec<u8> {
        let mut head = format!("SIP/2.0 {status}\r\n");
        for (name, value) in &self.headers {
            let name = long(name);
            let tagged = name.eq_ignore_ascii_case("to") && !value.contains(";tag=") && !tag.is_empty();
            match name.to_ascii_lowercase().as_str() {
                "to" if tagged => write!(head, "To: {value};tag={tag}\r\n").unwrap(),
                "via" | "from" | "to" | "call-id" | "cseq" | "record-route" => write!(head, "{name}: {value}\r\n").unwrap(),
                _ => {}
            }
        }
        let mut rows: Vec<String> = rows.iter().filter(|row| !row.is_empty()).map(|&row| row.to_owned()).collect();
        if !session.is_empty() {
            rows.push("Content-Type: application/sdp".into());
        }
        finish(head, &rows, session.as_bytes())
    }
}

fn long(name: &str) -> &str {
    match name {
        "v" | "V" => "Via",
        "f" | "F" => "From",
        "t" | "T" => "To",
        "i" | "I" => "Call-ID",
        "m" | "M" => "Contact",
        "l" | "L" => "Content-Length",
        "c" | "C" => "Content-Type",
        _ => name,
    }
}
