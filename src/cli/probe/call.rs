//! The requests of a probe as bytes, and the parts of an answer that they need. Sends nothing.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::SocketAddr;

use crate::config::Transport;
use crate::sip::address::Address;
use crate::sip::request::cseq;
use crate::sip::via::Via;
use crate::sip::{Message, Name, Start, list};

/// One call, or one OPTIONS: the values that all its requests share.
pub(super) struct Call {
    /// The Request-URI, as in a start line.
    pub(super) uri: String,
    pub(super) transport: Transport,
    pub(super) local: SocketAddr,
    id: String,
    tag: String,
    branch: String,
}

/// The parts of a 2xx that later requests need (RFC 3261 12.1.2).
pub(super) struct Dialog {
    to: String,
    uri: String,
    routes: Vec<String>,
}

impl Call {
    /// A call with new, unique identifiers.
    pub(super) fn new(uri: String, transport: Transport, local: SocketAddr) -> Self {
        // Keys of the hash are random, and others each time.
        let unique = || format!("{:016x}", RandomState::new().build_hasher().finish());
        Self { uri, transport, local, id: unique(), tag: unique(), branch: unique() }
    }

    /// A request outside any dialog. An ACK or a CANCEL of it has the same branch.
    pub(super) fn request(&self, method: &str, cseq: u32, to: Option<&str>) -> Vec<u8> {
        let to = to.map_or_else(|| format!("<{}>", self.uri), str::to_owned);
        self.write(method, cseq, &self.branch, &self.uri, &to, &[])
    }

    /// The ACK of a 2xx, or the BYE. Each is a transaction of its own.
    pub(super) fn inside(&self, dialog: &Dialog, method: &str, cseq: u32) -> Vec<u8> {
        let branch = format!("{}{method}", self.branch);
        self.write(method, cseq, &branch, &dialog.uri, &dialog.to, &dialog.routes)
    }

    fn write(&self, method: &str, cseq: u32, branch: &str, uri: &str, to: &str, routes: &[String]) -> Vec<u8> {
        let Self { transport, local, id, tag, .. } = self;
        let (via, token) = (transport.via(), transport.token());
        let routes: String = routes.iter().flat_map(|route| ["Route: ", route, "\r\n"]).collect();
        let accepts = if matches!(method, "OPTIONS" | "INVITE") { "Accept: application/sdp\r\n" } else { "" };
        let allows = if method == "INVITE" { "Allow: INVITE, ACK, CANCEL, BYE\r\n" } else { "" };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{via} {local};branch=z9hG4bK{branch};rport\r\nMax-Forwards: 70\r\n{routes}\
             From: <sip:probe@{local}>;tag={tag}\r\nTo: {to}\r\nCall-ID: {id}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:probe@{local};transport={token}>\r\n{accepts}{allows}User-Agent: ringfence/{version}\r\n\
             Content-Length: 0\r\n\r\n",
            version = env!("CARGO_PKG_VERSION"),
        )
        .into_bytes()
    }

    /// The status code of a response, and the method that it answers. `None`: it does not answer this call.
    pub(super) fn answered<'a>(&self, message: &Message<'a>) -> Option<(u16, &'a [u8])> {
        let Start::Response { code } = *message.start() else { return None };
        let id = message.first(Name::CallId).map(|header| message.value(header))?;
        let branch = Via::top(message).ok()?.branch?;
        let ours = format!("z9hG4bK{}", self.branch);
        let (_, method) = cseq(message)?;
        (id == self.id.as_bytes() && branch.starts_with(ours.as_bytes())).then_some((code, method))
    }
}

impl Dialog {
    /// The dialog that a 2xx makes. `None`: the 2xx has no usable Contact.
    pub(super) fn of(answer: &Message<'_>) -> Option<Self> {
        let contact = list::items(answer, Name::Contact).next()?;
        let uri = Address::parse(answer.slice(&contact.span))?.uri;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        let mut routes: Vec<String> =
            list::items(answer, Name::RecordRoute).filter_map(|item| text(answer.slice(&item.span))).collect();
        routes.reverse();
        Some(Self { to: text(answer.value(answer.first(Name::To)?))?, uri: text(uri)?, routes })
    }
}

/// The To row of an answer, with its tag.
pub(super) fn to_of(answer: &Message<'_>) -> Option<String> {
    String::from_utf8(answer.value(answer.first(Name::To)?).to_vec()).ok()
}
