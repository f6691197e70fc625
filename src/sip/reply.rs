//! A response made from a request's own spans (RFC 3261 8.2.6).

use std::net::SocketAddr;

use super::Name;
use super::address::{Address, param};
use super::edit::Edit;
use super::number::write_decimal;
use super::request::Request;
use super::scan::Message;
use super::via::Via;

/// What to answer.
#[derive(Clone, Copy, Debug)]
pub struct LocalResponse<'a> {
    /// The status code.
    pub code: u16,
    /// The reason phrase.
    pub phrase: &'a str,
    /// Added to To where the request has no tag; `None` for 100 (which adds none).
    pub to_tag: Option<&'a str>,
    /// Whole extra rows, each ending in CRLF; empty if none.
    pub rows: &'a [u8],
}

impl LocalResponse<'_> {
    /// Appends the response to `out`: status line, all Via rows as they came (the topmost value stamped with `source` as
    /// [`super::via::Via::stamp`] does), From, To, Call-ID, `CSeq`, a Timestamp for a 100 (8.2.6.1), the extra rows,
    /// `Content-Length: 0`. Folded and compact rows are copied as they came.
    ///
    /// Works on messages with a fault as long as those headers can be found; `false` (and nothing written) if one is missing or
    /// the topmost Via cannot be read: such a request cannot be answered.
    pub fn write(&self, message: &Message<'_>, source: SocketAddr, out: &mut Vec<u8>) -> bool {
        let Ok(via) = Via::top(message) else { return false };
        let tagged = message.first(Name::To).is_some_and(|to| has_tag(message.value(to)));
        self.write_with(message, &via, tagged, source, &mut Edit::default(), out)
    }

    /// The same for a request that has been read: nothing is read twice. `edit` is memory to work with.
    pub fn write_for(
        &self,
        message: &Message<'_>,
        request: &Request<'_>,
        source: SocketAddr,
        edit: &mut Edit,
        out: &mut Vec<u8>,
    ) -> bool {
        self.write_with(message, &request.via, request.to_tag.is_some(), source, edit, out)
    }

    fn write_with(
        &self,
        message: &Message<'_>,
        via: &Via<'_>,
        tagged: bool,
        source: SocketAddr,
        edit: &mut Edit,
        out: &mut Vec<u8>,
    ) -> bool {
        let rows = [Name::From, Name::To, Name::CallId, Name::CSeq].map(|name| message.first(name));
        let [Some(from), Some(to), Some(call_id), Some(cseq)] = rows else { return false };
        // The stamp touches the row of the first Via alone; that row is edited on its own.
        let Some(top) = message.first(Name::Via) else { return false };
        edit.clear();
        via.stamp(source, edit);
        out.extend_from_slice(b"SIP/2.0 ");
        write_decimal(u32::from(self.code), out);
        out.push(b' ');
        out.extend_from_slice(self.phrase.as_bytes());
        out.extend_from_slice(b"\r\n");
        edit.apply_within(message.bytes(), &top.row, out);
        edit.clear();
        for other in message.all(Name::Via).skip(1) {
            out.extend_from_slice(message.slice(&other.row));
        }
        out.extend_from_slice(message.slice(&from.row));
        out.extend_from_slice(message.slice(&(to.row.start..to.value.end)));
        if let Some(tag) = self.to_tag.filter(|_| !tagged) {
            out.extend_from_slice(b";tag=");
            out.extend_from_slice(tag.as_bytes());
        }
        out.extend_from_slice(message.slice(&(to.value.end..to.row.end)));
        out.extend_from_slice(message.slice(&call_id.row));
        out.extend_from_slice(message.slice(&cseq.row));
        if self.code == 100 {
            for timestamp in message.all(Name::Timestamp) {
                out.extend_from_slice(message.slice(&timestamp.row));
            }
        }
        out.extend_from_slice(self.rows);
        out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        true
    }
}

/// A broken To counts as tagged, and so does one with an empty tag: nothing is added to what others may read otherwise.
fn has_tag(to: &[u8]) -> bool {
    Address::parse(to).is_none_or(|to| param(to.params, "tag").is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(text: &str, code: u16) -> Option<String> {
        let message = Message::datagram(text.as_bytes()).unwrap();
        let reply = LocalResponse { code, phrase: "Why", to_tag: Some("T"), rows: b"X: y\r\n" };
        let mut out = Vec::new();
        reply.write(&message, "192.0.2.9:7".parse().unwrap(), &mut out).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn copies_what_identifies_the_request() {
        let text = "INVITE sip:a@b SIP/2.0\r\nTo:\r\n <sip:a@b>\r\nv: SIP/2.0/UDP c;rport;branch=1, SIP/2.0/UDP d\r\nVia: SIP/2.0/UDP e\r\nf: <sip:x@y>;tag=1\r\ni: 1\r\nSubject: no\r\nCSeq: 1 INVITE\r\n\r\n";
        assert_eq!(
            reply(text, 603).unwrap(),
            "SIP/2.0 603 Why\r\nv: SIP/2.0/UDP c;rport=7;branch=1;received=192.0.2.9, SIP/2.0/UDP d\r\nVia: SIP/2.0/UDP e\r\nf: <sip:x@y>;tag=1\r\nTo:\r\n <sip:a@b>;tag=T\r\ni: 1\r\nCSeq: 1 INVITE\r\nX: y\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn keeps_a_tag_and_answers_what_is_broken_elsewhere() {
        let text = "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9\r\nFrom: x\r\nTo: <sip:a>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nbroken\r\n\r\n";
        assert!(reply(text, 400).unwrap().contains("To: <sip:a>;tag=2\r\n"));
        assert!(reply(&text.replace("tag=2", "tag="), 400).unwrap().contains("To: <sip:a>;tag=\r\n"));
        assert_eq!(reply(&text.replace("Call-ID", "Caller"), 400), None);
        assert_eq!(reply(&text.replace("SIP/2.0/UDP", "SIP/2.0"), 400), None);
    }
}
