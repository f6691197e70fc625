//! The actors of the demonstration: a carrier's trunk, the eu region's server, and a witness in the us.
//!
//! They see only what a carrier and a SIP server see, and nothing of Ringfence's insides. They speak UDP on loopback only, and
//! are no example of a good user agent.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rsip::headers::UntypedHeader as _;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::ladder::{Lane, Log};
use crate::sip::scan::MAX_MESSAGE;
use crate::sip::{Message, Name, Start, list};

/// The longest wait for an answer. On loopback, a slower answer will never come.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A message as read.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// The first line.
    pub(super) line: String,
    start: Start,
    /// The rows in order: name, value, and the row with its line end.
    rows: Vec<(String, String, String)>,
    /// The values of Record-Route in order.
    record_route: Vec<String>,
}

impl Seen {
    fn read(bytes: &[u8]) -> Option<Self> {
        let message = Message::datagram(bytes).ok()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let rows = message.headers().iter().map(|header| {
            let row = text(message.slice(&header.row()));
            let name = row.split(':').next().unwrap_or_default().trim().to_owned();
            (name, text(message.value(header)), row)
        });
        Some(Self {
            line: text(message.bytes()).lines().next().unwrap_or_default().to_owned(),
            start: message.start().clone(),
            rows: rows.collect(),
            record_route: list::items(&message, Name::RecordRoute).map(|item| text(message.slice(&item.span))).collect(),
        })
    }

    /// A response with these rows.
    #[cfg(test)]
    pub(super) fn of(line: &str, code: u16, rows: &[(&str, &str)]) -> Self {
        let row = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned(), format!("{name}: {value}\r\n"));
        let rows = rows.iter().map(row).collect();
        Self { line: line.to_owned(), start: Start::Response { code }, rows, record_route: Vec::new() }
    }

    /// The status code, of a response.
    pub(super) fn code(&self) -> Option<u16> {
        match self.start {
            Start::Response { code } => Some(code),
            Start::Request { .. } => None,
        }
    }

    /// The value of the first row of a name.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.rows.iter().find(|(row, ..)| row.eq_ignore_ascii_case(name)).map(|(_, value, _)| value.as_str())
    }

    /// The text in the ladder: the method, or code and phrase.
    fn label(&self) -> String {
        match self.start {
            Start::Request { .. } => self.line.split(' ').next().unwrap_or_default().to_owned(),
            Start::Response { .. } => self.line.split_once(' ').map_or("", |(_, rest)| rest).to_owned(),
        }
    }

    /// The URI in angle brackets of a Contact.
    fn contact(&self) -> Option<String> {
        let value = self.value("Contact")?;
        Some(value.split_once('<')?.1.split_once('>')?.0.to_owned())
    }
}

/// One call to place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    /// The host of the Request-URI: the endpoint that is called.
    pub(super) host: &'a str,
    /// The address of the caller's media in the offer.
    pub(super) media: &'a str,
    /// Stands in Call-ID and tags, and so tells calls apart.
    pub(super) number: usize,
}

/// The carrier: places calls.
#[derive(Debug)]
pub(super) struct Trunk {
    pub(super) socket: UdpSocket,
    /// Where Ringfence listens.
    pub(super) edge: SocketAddr,
}

impl Trunk {
    /// Places a call, sends the ACK, and hangs up if the call was taken. Returns the final answer to the INVITE, or what went
    /// wrong.
    pub(super) async fn call(&self, call: Call<'_>, log: &Log) -> Result<Seen, String> {
        let local = self.socket.local_addr().map_err(|error| error.to_string())?;
        let uri = format!("sip:+4930{:07}@{}", call.number, call.host);
        let offer = sdp(call.media);
        let dialog = Dialog { local, call, to: format!("<{uri}>") };
        self.send(&dialog.request("INVITE", &uri, 1, "1", &[], &offer)?, "INVITE", log).await?;
        let answer = loop {
            let seen = self.receive(log).await?;
            match seen.code() {
                Some(code) if code >= 200 => break seen,
                Some(_) => {}
                None => return Err(format!("{} came instead of an answer", seen.line)),
            }
        };
        let dialog = Dialog { to: answer.value("To").unwrap_or_default().to_owned(), ..dialog };
        if answer.code().is_some_and(|code| code >= 300) {
            // The ACK of a refusal belongs to the INVITE's transaction (RFC 3261 17.1.1.3).
            self.send(&dialog.request("ACK", &uri, 1, "1", &[], "")?, "ACK", log).await?;
            return Ok(answer);
        }
        let target = answer.contact().ok_or("the answer has no Contact")?;
        let route: Vec<String> = answer.record_route.iter().rev().cloned().collect();
        self.send(&dialog.request("ACK", &target, 1, "2", &route, "")?, "ACK", log).await?;
        self.send(&dialog.request("BYE", &target, 2, "3", &route, "")?, "BYE", log).await?;
        loop {
            let seen = self.receive(log).await?;
            let bye = seen.value("CSeq").is_some_and(|cseq| cseq.ends_with("BYE"));
            match seen.code() {
                Some(200) if bye => return Ok(answer),
                Some(code) if bye && code > 200 => return Err(format!("BYE was answered {}", seen.line)),
                _ => {}
            }
        }
    }

    /// Waits until Ringfence has handled every earlier packet. It takes a listener's packets in order, so if it answers one more
    /// request, it has handled the others.
    pub(super) async fn settle(&self, host: &str, number: usize) -> Result<(), String> {
        let local = self.socket.local_addr().map_err(|error| error.to_string())?;
        let uri = format!("sip:{host}");
        let dialog = Dialog { local, call: Call { host, media: "", number }, to: format!("<{uri}>") };
        let unseen = Log::default();
        self.send(&dialog.request("OPTIONS", &uri, 4, "4", &[], "")?, "OPTIONS", &unseen).await?;
        while !self.receive(&unseen).await?.value("CSeq").is_some_and(|cseq| cseq.ends_with("OPTIONS")) {}
        Ok(())
    }

    async fn send(&self, bytes: &[u8], label: &str, log: &Log) -> Result<(), String> {
        log.note(Lane::Trunk, Lane::Ringfence, label);
        self.socket.send_to(bytes, self.edge).await.map(drop).map_err(|error| format!("{label} cannot be sent: {error}"))
    }

    async fn receive(&self, log: &Log) -> Result<Seen, String> {
        let mut buffer = vec![0; MAX_MESSAGE];
        let waiting = timeout(PATIENCE, self.socket.recv(&mut buffer)).await;
        let length = waiting.map_err(|_| "no answer came".to_owned())?.map_err(|error| error.to_string())?;
        let seen = buffer.get(..length).and_then(Seen::read).ok_or("what came is no SIP")?;
        log.note(Lane::Ringfence, Lane::Trunk, seen.label());
        Ok(seen)
    }
}

/// What the requests of one call share.
struct Dialog<'a> {
    local: SocketAddr,
    call: Call<'a>,
    to: String,
}

impl Dialog<'_> {
    fn request(&self, method: &str, uri: &str, cseq: u32, branch: &str, route: &[String], body: &str) -> Result<Vec<u8>, String> {
        let bad = |error: rsip::Error| format!("{method} {uri}: {error}");
        let (local, number) = (self.local, self.call.number);
        let mut headers: rsip::Headers = rsip::Headers::default();
        headers.push(rsip::headers::Via::new(format!("SIP/2.0/UDP {local};branch=z9hG4bKdemo{number}-{branch};rport")).into());
        for route in route {
            headers.push(rsip::headers::Route::new(route.as_str()).into());
        }
        headers.push(rsip::headers::MaxForwards::new("70").into());
        headers.push(rsip::headers::From::new(format!("<sip:+49301234567@{}>;tag=caller{number}", local.ip())).into());
        headers.push(rsip::headers::To::new(self.to.as_str()).into());
        headers.push(rsip::headers::CallId::new(format!("demo-{number}@{}", local.ip())).into());
        headers.push(rsip::headers::CSeq::new(format!("{cseq} {method}")).into());
        headers.push(rsip::headers::Contact::new(format!("<sip:carrier@{local}>")).into());
        if !body.is_empty() {
            headers.push(rsip::headers::ContentType::new("application/sdp").into());
        }
        headers.push(rsip::headers::ContentLength::new(body.len().to_string()).into());
        let request = rsip::Request {
            method: method.parse().map_err(bad)?,
            uri: rsip::Uri::try_from(uri).map_err(bad)?,
            version: rsip::Version::V2,
            headers,
            body: body.as_bytes().to_vec(),
        };
        Ok(request.to_string().into_bytes())
    }
}

/// The eu region's server: takes every call.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) socket: UdpSocket,
}

impl Upstream {
    /// Answers until the socket fails. `told` gets the `X-Ringfence` of each call.
    pub(super) async fn serve(&self, log: &Log, told: impl Fn(&str)) -> io::Error {
        let mut buffer = vec![0; MAX_MESSAGE];
        loop {
            let (length, from) = match self.socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                Err(error) => return error,
            };
            let Some(request) = buffer.get(..length).and_then(Seen::read) else { continue };
            log.note(Lane::Ringfence, Lane::Eu, request.label());
            let answers: &[&str] = match request.label().as_str() {
                "INVITE" => &["180 Ringing", "200 OK"],
                "ACK" => &[],
                _ => &["200 OK"],
            };
            if request.label() == "INVITE" {
                told(request.value("X-Ringfence").unwrap_or_default());
            }
            for answer in answers {
                log.note(Lane::Eu, Lane::Ringfence, *answer);
                match self.answer(&request, answer, from).await {
                    Ok(()) => {}
                    Err(error) => return error,
                }
            }
        }
    }

    async fn answer(&self, request: &Seen, status: &str, to: SocketAddr) -> io::Result<()> {
        let local = self.socket.local_addr()?;
        let invite = request.label() == "INVITE";
        let mut out = format!("SIP/2.0 {status}\r\n");
        for (name, _, row) in &request.rows {
            match name.to_ascii_lowercase().as_str() {
                "to" if invite => {
                    out.push_str(row.trim_end());
                    out.push_str(";tag=callee\r\n");
                }
                "via" | "record-route" | "from" | "to" | "call-id" | "cseq" => out.push_str(row),
                _ => {}
            }
        }
        let body = if invite && status.starts_with('2') { sdp(&local.ip().to_string()) } else { String::new() };
        if invite {
            // Writing to a string cannot fail.
            let _ = write!(out, "Contact: <sip:eu@{local}>\r\n");
        }
        if !body.is_empty() {
            out.push_str("Content-Type: application/sdp\r\n");
        }
        let _ = write!(out, "Content-Length: {}\r\n\r\n{body}", body.len());
        self.socket.send_to(out.as_bytes(), to).await.map(drop)
    }
}

/// The us region's server: must hear nothing.
#[derive(Debug)]
pub(super) struct Witness {
    pub(super) socket: UdpSocket,
}

/// Notes each packet that waits at a socket, and returns how many there were.
pub(super) fn unread(socket: &UdpSocket, lane: Lane, log: &Log) -> usize {
    let mut buffer = vec![0; MAX_MESSAGE];
    let mut packets = 0;
    while let Ok(length) = socket.try_recv(&mut buffer) {
        packets += 1;
        let label = buffer.get(..length).and_then(Seen::read).map_or_else(|| "?".to_owned(), |seen| seen.label());
        log.note(Lane::Ringfence, lane, label);
    }
    packets
}

/// A session with one audio stream at an address.
fn sdp(address: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\n"
    )
}
