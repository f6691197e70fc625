//! Makes a response from a request's own bytes (RFC 3261 8.2.6).

use std::net::SocketAddr;

use super::address::Address;
use super::edit::Edit;
use super::number::write_decimal;
use super::parameter::param;
use super::plain::one_line;
use super::quick;
use super::request::Request;
use super::scan::Message;
use super::via::Via;
use super::{Header, Name};

/// What to answer.
#[derive(Clone, Copy, Debug)]
pub struct LocalResponse<'a> {
    /// The status code.
    pub code: u16,
    /// The reason phrase.
    pub phrase: &'a str,
    /// The tag for To, if the request has none. `None` for a 100, which adds no tag.
    pub to_tag: Option<&'a str>,
    /// Whole extra rows, each ending in CRLF; empty if none.
    pub rows: &'a [u8],
}

impl LocalResponse<'_> {
    /// Appends the response to `out`: status line, all Via rows (the topmost value stamped with `source` as
    /// [`super::via::Via::stamp`] does, if it can be read), From, To, Call-ID, `CSeq`, a Timestamp for a 100 (8.2.6.1), the extra
    /// rows, `Content-Length: 0`. Rows are copied as they came, but for folds, NUL and line ends of other kinds: each is a space.
    ///
    /// Works on messages with a fault too, if they have a Via, by which the sender knows its answer. A row that is missing is left out.
    /// `false`: there is no Via; nothing is written. `edit` is working memory.
    pub fn write(&self, message: &Message<'_>, source: SocketAddr, edit: &mut Edit, out: &mut Vec<u8>) -> bool {
        let Some(first) = message.first(Name::Via) else { return false };
        let via = quick::via(message.bytes(), first.value()).or_else(|| Via::top(message).ok());
        let tagged = message.first(Name::To).is_some_and(|to| has_tag(message.value(to)));
        self.write_with(message, via.as_ref(), tagged, source, edit, out)
    }

    /// The same for a request that was read before, so that nothing is read twice.
    pub(crate) fn write_for(
        &self,
        message: &Message<'_>,
        request: &Request<'_>,
        source: SocketAddr,
        edit: &mut Edit,
        out: &mut Vec<u8>,
    ) -> bool {
        self.write_with(message, Some(&request.via), request.to_tag.is_some(), source, edit, out)
    }

    fn write_with(
        &self,
        message: &Message<'_>,
        via: Option<&Via<'_>>,
        tagged: bool,
        source: SocketAddr,
        edit: &mut Edit,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(top) = message.first(Name::Via) else { return false };
        out.extend_from_slice(b"SIP/2.0 ");
        write_decimal(u32::from(self.code), out);
        out.push(b' ');
        out.extend_from_slice(self.phrase.as_bytes());
        out.extend_from_slice(b"\r\n");
        // The stamp changes only the row of the first Via, so only this row is edited.
        edit.clear();
        if let Some(via) = via {
            via.stamp(source, edit);
        }
        if message.is_plain() {
            edit.apply_within(message.bytes(), &top.row(), out);
        } else {
            let mut stamped = Vec::with_capacity(top.row().len().saturating_add(64));
            edit.apply_within(message.bytes(), &top.row(), &mut stamped);
            clean(&stamped, out);
        }
        edit.clear();
        for other in message.all(Name::Via).skip(1) {
            copy(message, other, out);
        }
        if let Some(from) = message.first(Name::From) {
            copy(message, from, out);
        }
        if let Some(to) = message.first(Name::To) {
            self.to(message, to, tagged, out);
        }
        if let Some(call_id) = message.first(Name::CallId) {
            copy(message, call_id, out);
        }
        if let Some(cseq) = message.first(Name::CSeq) {
            copy(message, cseq, out);
        }
        if self.code == 100 {
            for timestamp in message.all(Name::Timestamp) {
                copy(message, timestamp, out);
            }
        }
        out.extend_from_slice(self.rows);
        out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        true
    }

    /// Appends To, with `tag` if the request has none.
    fn to(&self, message: &Message<'_>, to: &Header, tagged: bool, out: &mut Vec<u8>) {
        let Some(tag) = self.to_tag.filter(|_| !tagged) else { return copy(message, to, out) };
        let untagged = message.slice(&(to.row().start..to.value().end));
        if message.is_plain() {
            out.extend_from_slice(untagged);
        } else {
            one_line(untagged, breaks, out);
        }
        out.extend_from_slice(b";tag=");
        out.extend_from_slice(tag.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Whether every row that an answer repeats is there, and the topmost Via can be read.
pub(crate) fn is_whole(message: &Message<'_>) -> bool {
    let there = |name| message.first(name).is_some();
    [Name::From, Name::To, Name::CallId, Name::CSeq].into_iter().all(there) && Via::top(message).is_ok()
}

/// Copies a row, as one line.
fn copy(message: &Message<'_>, header: &Header, out: &mut Vec<u8>) {
    let row = message.slice(&header.row());
    if message.is_plain() { out.extend_from_slice(row) } else { clean(row, out) }
}

/// Copies a row of a message that is not plain.
fn clean(row: &[u8], out: &mut Vec<u8>) {
    one_line(row, breaks, out);
    out.extend_from_slice(b"\r\n");
}

/// Octets that no answer carries within a row.
const fn breaks(octet: u8) -> bool {
    matches!(octet, b'\r' | b'\n' | 0)
}

/// A broken To counts as tagged, and so does one with an empty tag: no tag is added to a row that others may read differently.
fn has_tag(to: &[u8]) -> bool {
    match quick::tag(to) {
        Some(tag) => tag.is_some(),
        None => Address::parse(to).is_none_or(|to| param(to.params, "tag").is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str, code: u16) -> Option<String> {
        let message = Message::datagram(text.as_bytes()).unwrap();
        let reply = LocalResponse { code, phrase: "Why", to_tag: Some("T"), rows: b"X: y\r\n" };
        let mut out = Vec::new();
        reply
            .write(&message, "192.0.2.9:7".parse().unwrap(), &mut Edit::default(), &mut out)
            .then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn copies_what_identifies_the_request() {
        let text = "INVITE sip:a@b SIP/2.0\r\nTo:\r\n <sip:a@b>\r\nv: SIP/2.0/UDP c;rport;branch=1, SIP/2.0/UDP d\r\nVia: SIP/2.0/UDP e\r\nf: <sip:x@y>;tag=1\r\ni: 1\r\nSubject: no\r\nCSeq: 1 INVITE\r\n\r\n";
        assert_eq!(
            reply(text, 603).unwrap(),
            "SIP/2.0 603 Why\r\nv: SIP/2.0/UDP c;rport=7;branch=1;received=192.0.2.9, SIP/2.0/UDP d\r\nVia: SIP/2.0/UDP e\r\nf: <sip:x@y>;tag=1\r\nTo: <sip:a@b>;tag=T\r\ni: 1\r\nCSeq: 1 INVITE\r\nX: y\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn keeps_a_tag_and_answers_what_is_broken_elsewhere() {
        let text = "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9\r\nFrom: x\r\nTo: <sip:a>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nbroken\r\n\r\n";
        assert!(reply(text, 400).unwrap().contains("To: <sip:a>;tag=2\r\n"));
        assert!(reply(&text.replace("tag=2", "tag="), 400).unwrap().contains("To: <sip:a>;tag=\r\n"));
        let whole = |text: &str| is_whole(&Message::datagram(text.as_bytes()).unwrap());
        assert!(whole(text) && !whole(&text.replace("Call-ID", "Caller")) && !whole(&text.replace("SIP/2.0/UDP", "SIP/2.0")));
        assert!(!reply(&text.replace("Call-ID", "Caller"), 400).unwrap().contains("Call"));
        assert!(reply(&text.replace("SIP/2.0/UDP", "SIP/2.0"), 400).unwrap().contains("\r\nVia: SIP/2.0 192.0.2.9\r\n"));
        let without = reply(&text.replace("CSeq", "Sec"), 400).expect("a Via is enough");
        assert!(without.contains("Call-ID: 1\r\nX: y") && !without.contains("CSeq"), "{without}");
        assert_eq!(reply(&text.replace("Via", "Way"), 400), None);
    }

    #[test]
    fn carries_no_fold_nul_or_odd_line_end() {
        let text = "INVITE sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP c\r\n ;x=\"\\\0\";rport \r\nVia:\n SIP/2.0/UDP\0d\rVia: e\r\n\
f: \"a\0b\" <sip:x@y>;tag=1\r\n\t\r\nTo: \"\\\0\" <sip:a@b> \r\n \r\ni: 1\nCSeq: 1\r INVITE\r\n\r\n";
        let expected = "SIP/2.0 400 Why\r\nv: SIP/2.0/UDP c ;x=\"\\ \";rport=7;received=192.0.2.9\r\nVia: SIP/2.0/UDP d Via: e\r\n\
f: \"a b\" <sip:x@y>;tag=1\r\nTo: \"\\ \" <sip:a@b>;tag=T\r\ni: 1\r\nCSeq: 1 INVITE\r\nX: y\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(reply(text, 400).unwrap(), expected);
    }
}
