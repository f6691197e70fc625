//! The decision log: one line for each verdict. An operator finds it by the Call-ID.
//!
//! Refusals and shadow verdicts are logged at info, accepted requests at debug, and at warn if their caller cannot be reached inside the call. The lines of each reason are limited, so that
//! strangers cannot crowd out a carrier's lines. A line says how many of its reason were left out before it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use tracing::field::{DisplayValue, display};
use tracing::{Level, enabled};

use super::log::{Escaped, Limit, Redacted};
use super::seen::Seen;
use crate::config::Config;
use crate::core::io::{Destination, Note, Output, Send, Verdict};
use crate::reason::Reason;
use crate::sip::address::Address;
use crate::sip::{Message, Name, Start};

/// The target of these lines in a filter: `RUST_LOG=info,ringfence::decision=debug`.
const TARGET: &str = "ringfence::decision";

/// Most lines of one reason in a second.
const LINES: u32 = 200;

/// The limits of the log.
#[derive(Debug)]
pub(super) struct Decisions {
    limits: [Limit; Reason::ALL.len()],
}

impl Decisions {
    pub(super) fn new() -> Self {
        // A stranger causes this one as often as it likes, and no other.
        let lines = |reason| if reason == Reason::UnknownSource { Limit::LINES } else { LINES };
        Self { limits: Reason::ALL.map(|reason| Limit::of(lines(reason))) }
    }

    /// Writes the verdicts in the core's outputs of one input.
    pub(super) fn write(&mut self, config: &Config, out: &[Output], seen: Option<&Seen<'_>>, now: Instant) {
        for (at, output) in out.iter().enumerate() {
            let Output::Note(Note::Verdict { region, project, trunk, verdict, reason, unreachable }) = *output else { continue };
            let accepted = verdict == Verdict::Accept;
            let wanted = match (unreachable, accepted) {
                (Some(_), _) => enabled!(target: TARGET, Level::WARN),
                (None, true) => enabled!(target: TARGET, Level::DEBUG),
                (None, false) => enabled!(target: TARGET, Level::INFO),
            };
            if !wanted {
                continue;
            }
            let limit = Reason::ALL.iter().position(|&of| of == reason).and_then(|at| self.limits.get_mut(at));
            let Some(left_out) = limit.and_then(|limit| limit.allow(now)) else { continue };
            let sent = Sent::of(out, at, verdict, reason);
            // A timer has no message at hand: what was sent for it names the call too.
            let bytes = seen.map(|seen| seen.bytes).or_else(|| sent.any().map(|send| &*send.bytes)).unwrap_or_default();
            let message = Message::datagram(bytes).ok();
            let said = message.as_ref().map(Said::by).unwrap_or_default();
            let arrival = seen.filter(|_| said.is_request).map(|seen| seen.arrival.from);
            macro_rules! line {
                ($level:expr) => {
                    tracing::event!(
                        target: TARGET,
                        $level,
                        verdict = verdict.label(),
                        id = reason.id(),
                        reason = reason.token(),
                        region = config.region(region).name,
                        project = project.map(|id| &*config.project(id).name),
                        trunk = trunk.map(|id| &*config.trunk(id).name),
                        source = arrival.or_else(|| sent.asker()).map(display),
                        method = said.method.map(|method| display(Escaped(method))),
                        call_id = said.call_id.map(|id| display(Escaped(id))),
                        from = said.from.map(redacted),
                        to = said.to.map(redacted),
                        uri = said.uri.map(redacted),
                        sent_to = sent.target().map(display),
                        code = sent.code(),
                        warning = unreachable.map(|to| display(Unreachable(to))),
                        left_out,
                        "decided"
                    )
                };
            }
            if unreachable.is_some() {
                line!(Level::WARN);
            } else if accepted {
                line!(Level::DEBUG);
            } else {
                line!(Level::INFO);
            }
        }
    }
}

/// Says that a caller cannot be reached inside its call.
struct Unreachable(SocketAddr);

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no request of a server can reach the caller: its Contact or Record-Route leads to {}, which is outside",
            self.0
        )
    }
}

fn redacted(uri: &[u8]) -> DisplayValue<Redacted<'_>> {
    display(Redacted(uri))
}

/// What was sent because of a verdict.
struct Sent<'a> {
    /// The answer to the asker.
    answer: Option<&'a Send>,
    /// The request to the next hop.
    forward: Option<&'a Send>,
}

impl<'a> Sent<'a> {
    /// Finds what belongs to a verdict. The core first says what it sends and then why. Only the note that a call moves to
    /// another region comes before the sending.
    fn of(out: &'a [Output], at: usize, verdict: Verdict, reason: Reason) -> Self {
        let (before, after) = out.split_at_checked(at).unwrap_or_default();
        let send = |output: &'a Output| if let Output::Send(send) = output { Some(send) } else { None };
        let forwarded = |send: &&Send| matches!(send.to, Destination::Fenced(_));
        let mut sent = before.iter().rev().filter_map(send);
        match (verdict, reason) {
            (Verdict::Refuse, _) => Self { answer: sent.find(|send| !forwarded(send)), forward: None },
            (_, Reason::Failover) => Self { answer: None, forward: after.iter().filter_map(send).find(forwarded) },
            _ => Self { answer: None, forward: sent.find(forwarded) },
        }
    }

    fn any(&self) -> Option<&'a Send> {
        self.answer.or(self.forward)
    }

    /// The asker's address, as it sent from.
    fn asker(&self) -> Option<SocketAddr> {
        match self.answer?.to {
            Destination::Peer(peer) => Some(peer.addr()),
            Destination::Fenced(_) => None,
        }
    }

    /// The address of the next hop: `udp:10.20.0.5:5060`.
    fn target(&self) -> Option<String> {
        let send = self.forward?;
        let Destination::Fenced(to) = send.to else { return None };
        Some(format!("{}:{}", send.transport.token(), to.addr()))
    }

    fn code(&self) -> Option<u16> {
        match Message::datagram(&self.answer?.bytes).ok()?.start() {
            Start::Response { code, .. } => Some(*code),
            Start::Request { .. } => None,
        }
    }
}

/// The parts of a message that name its call.
#[derive(Default)]
struct Said<'a> {
    is_request: bool,
    method: Option<&'a [u8]>,
    uri: Option<&'a [u8]>,
    call_id: Option<&'a [u8]>,
    from: Option<&'a [u8]>,
    to: Option<&'a [u8]>,
}

impl<'a> Said<'a> {
    fn by(message: &Message<'a>) -> Self {
        let value = |name| message.first(name).map(|header| message.value(header));
        let uri_of = |name| value(name).and_then(Address::parse).map(|address| address.uri);
        let (is_request, method, uri) = match message.start() {
            Start::Request { token, uri, .. } => (true, Some(message.slice(token)), Some(message.slice(uri))),
            Start::Response { .. } => {
                (false, value(Name::CSeq).and_then(|cseq| cseq.rsplit(u8::is_ascii_whitespace).next()), None)
            }
        };
        Self { is_request, method, uri, call_id: value(Name::CallId), from: uri_of(Name::From), to: uri_of(Name::To) }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;

    use super::*;
    use crate::config::ListenerId;
    use crate::core::Core;
    use crate::core::io::{Arrival, Input};
    use crate::dns::Resolved;

    const CONFIGURATION: &str = include_str!("../../docs/configuration.md");
    const REFUSALS: &str = include_str!("../../docs/refusals.md");
    const OBSERVING: &str = include_str!("../../docs/observing.md");

    /// The text on a page after a mark.
    fn block(page: &'static str, mark: &str) -> &'static str {
        let (_, rest) = page.split_once(mark).unwrap();
        rest.split_once("```").unwrap().1.split_once('\n').unwrap().1.split_once("```").unwrap().0
    }

    const TRUNK: &str = "54.171.127.193:5060";

    /// What is logged, as JSON or text, if this request comes to the example's daemon this many times.
    fn logged(from: &str, request: &[u8], times: usize, json: bool) -> String {
        let text = block(CONFIGURATION, "<!-- example -->").split_once("[secret]").unwrap().0;
        let config = Arc::new(crate::config::parse(Path::new("ringfence.toml"), text).unwrap());
        let (now, targets) = (Instant::now(), Arc::new(Resolved::unknown(config.names.len())));
        let mut core = Core::new(Arc::clone(&config), targets, [7; 16], now);
        let local = config.listener(ListenerId(0)).addr;
        let arrival = Arrival { listener: ListenerId(0), from: from.parse().unwrap(), local, connection: None, shown: None };
        let mut decisions = Decisions::new();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&lines);
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || Written(Arc::clone(&writer)));
        let write = || {
            for _ in 0..times {
                let mut out = Vec::new();
                core.handle(now, Input::Message { arrival, bytes: request }, &mut out);
                decisions.write(&config, &out, Some(&Seen { arrival, bytes: request }), now);
            }
        };
        if json {
            tracing::subscriber::with_default(subscriber.json().flatten_event(true).finish(), write);
        } else {
            tracing::subscriber::with_default(subscriber.finish(), write);
        }
        String::from_utf8(std::mem::take(&mut *lines.lock().unwrap())).unwrap()
    }

    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn request() -> String {
        block(REFUSALS, "<!-- request -->").replace('\n', "\r\n") + "\r\n"
    }

    #[test]
    fn the_page_shows_what_is_logged() {
        let logged = logged(TRUNK, request().as_bytes(), 1, true);
        let mut logged: Value = serde_json::from_str(&logged).unwrap_or_else(|error| panic!("{error}: {logged}"));
        let mut shown: Value = serde_json::from_str(block(OBSERVING, "<!-- decision -->")).unwrap();
        for line in [&mut logged, &mut shown] {
            assert!(line.as_object_mut().unwrap().remove("timestamp").is_some());
        }
        assert_eq!(logged, shown);
    }

    #[test]
    fn as_text_a_value_cannot_look_like_a_field() {
        let evil = request().replace("Call-ID: a84b4c76e66710@", "Call-ID: a verdict=accept\tid=100 \"@");
        // A stranger's request is refused before it is read closely.
        let line = logged("192.0.2.66:5060", evil.as_bytes(), 1, false);
        assert!(line.ends_with('\n') && line.lines().count() == 1, "{line}");
        assert_eq!(line.matches(" verdict=").count(), 1, "{line}");
        assert!(!line.contains('\t'), "{line}");
    }

    #[test]
    fn lines_of_one_reason_are_limited() {
        let lines = logged(TRUNK, request().as_bytes(), 1000, false).lines().count();
        assert_eq!(lines, LINES as usize);
    }
}
