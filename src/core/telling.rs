//! Tells the audit record of what is at hand: a request beside its verdict, the end of an INVITE, the end of a call. Nothing is made unless a
//! record is kept.

use std::time::Instant;

use crate::config::{Config, ProjectId, RegionId, TrunkId};
use crate::core::clock::WallClock;
use crate::core::context::Context;
use crate::core::io::{AnswerTold, EndTold, EndedBy, Note, Output, PartyTold, RequestTold, ToldText};
use crate::core::routing::call_time::CallTime;
use crate::core::rules::number;
use crate::core::rules::side::Side;
use crate::core::transaction::forwarded::{CallFacts, DialogFacts, Transaction};
use crate::numbering::{NumberReading, NumberRules};
use crate::sip::address::Address;
use crate::sip::list;
use crate::sip::parameter::param;
use crate::sip::uri::Uri;
use crate::sip::{Message, Method, Name, Start};

/// Whose a message is, as far as it is known: what decides how it is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Teller<'c> {
    pub(crate) config: &'c Config,
    pub(crate) trunk: Option<TrunkId>,
    /// Whether its From names the party that began the dialog.
    pub(crate) began: bool,
    pub(crate) asks: Option<Side>,
    /// Whether its call has had a verdict before, one that let it pass.
    pub(crate) later: bool,
}

impl<'c> Teller<'c> {
    /// Of a message of a call that has passed.
    pub(crate) fn of(config: &'c Config, call: &CallFacts) -> Self {
        Self { config, trunk: call.trunk, began: call.dialog.began, asks: Some(call.asks), later: true }
    }

    /// What is told of a request, or of the response to one. `None`: no record is kept.
    pub(crate) fn tell(self, message: &Message<'_>) -> Option<Box<RequestTold>> {
        self.config.audit.as_ref()?;
        let rules = self.trunk.map_or(&self.config.plain_numbers, |trunk| self.config.numbers(trunk));
        let address = |name| message.first(name).and_then(|header| Address::parse(message.value(header)));
        let is_response = matches!(message.start(), Start::Response { .. });
        // Nothing is read that is not told: of a call that From began, To says nothing that the Request-URI does not.
        let (from, to) = (address(Name::From), (is_response || !self.began).then(|| address(Name::To)).flatten());
        let call = named(message, if self.began { from.as_ref() } else { to.as_ref() });
        let party = |uri: &[u8]| party_of(&Uri::parse(uri).ok()?, &rules.rules);
        let (method, called) = match message.start() {
            Start::Request { token, uri, .. } => (message.slice(token), Some(message.slice(uri))),
            Start::Response { .. } => {
                let cseq = message.first(Name::CSeq).map(|header| message.value(header)).unwrap_or_default();
                (cseq.rsplit(u8::is_ascii_whitespace).next().unwrap_or_default(), to.as_ref().map(|to| to.uri))
            }
        };
        Some(Box::new(RequestTold {
            call,
            method: told(method),
            later: self.later,
            outbound: self.asks.map(|asks| asks == Side::Servers),
            from: from.and_then(|from| party(from.uri)),
            to: called.and_then(party),
            serving: None,
            relay: None,
        }))
    }

    /// The same for a message of this call, which says where it is served. `later`: whether the call has had a verdict before.
    pub(crate) fn tell_served(
        message: &Message<'_>,
        config: &'c Config,
        call: &CallFacts,
        later: bool,
    ) -> Option<Box<RequestTold>> {
        let mut told = Self { later, ..Self::of(config, call) }.tell(message)?;
        (told.serving, told.relay) = (call.serving.as_ref().map(|serving| serving.region), call.relay());
        Some(told)
    }

    /// The same for the bytes of a request that has passed.
    pub(crate) fn tell_sent(sent: &[u8], config: &'c Config, call: &CallFacts) -> Option<Box<RequestTold>> {
        config.audit.as_ref()?;
        Self::tell_served(&Message::datagram(sent).ok()?, config, call, true)
    }
}

fn party_of(uri: &Uri<'_>, rules: &NumberRules) -> Option<PartyTold> {
    let user = uri.user.filter(|user| !user.is_empty())?;
    if let NumberReading::Number { digits, country } = number::of_uri(uri, rules) {
        let mut text = told(b"+");
        // A number has few digits.
        let _ = text.try_extend_from_slice(digits.as_bytes());
        return Some(PartyTold { text, country });
    }
    let name = user.split(|&octet| octet == b':').next().unwrap_or_default();
    Some(PartyTold { text: told(name), country: None })
}

fn told(text: &[u8]) -> ToldText {
    let mut out = ToldText::new();
    let shown = text.get(..out.capacity()).unwrap_or(text);
    // It is as long as there is room.
    let _ = out.try_extend_from_slice(shown);
    out
}

/// What names the call of a message: its Call-ID, and this party's tag.
fn named(message: &Message<'_>, party: Option<&Address<'_>>) -> Box<[u8]> {
    joined(message, party.and_then(Address::tag).unwrap_or_default())
}

fn joined(message: &Message<'_>, tag: &[u8]) -> Box<[u8]> {
    let call_id = message.first(Name::CallId).map(|header| message.value(header)).unwrap_or_default();
    [call_id, b"\0", tag].concat().into()
}

/// The same, of a call in which From names the party that began the dialog, or To does.
fn call_named(message: &Message<'_>, began: bool, tags: Option<[&[u8]; 2]>) -> Box<[u8]> {
    if let Some([from, to]) = tags {
        return joined(message, if began { from } else { to });
    }
    let header = message.first(if began { Name::From } else { Name::To });
    named(message, header.and_then(|header| Address::parse(message.value(header))).as_ref())
}

/// The cause that a BYE says: `Q.850;16` for `Q.850;cause=16;text="..."`.
pub(crate) fn cause(config: &Config, message: &Message<'_>) -> Option<Box<[u8]>> {
    config.audit.as_ref()?;
    cause_of(message.slice(&list::items(message, Name::Reason).next()?.span))
}

fn cause_of(value: &[u8]) -> Option<Box<[u8]>> {
    /// Those of RFC 3326. Another one could hold anything, a telephone number too.
    const PROTOCOLS: [&str; 2] = ["Q.850", "SIP"];
    let end = value.iter().position(|&octet| octet == b';').unwrap_or(value.len());
    let (protocol, params) = value.split_at_checked(end)?;
    let protocol = protocol.trim_ascii();
    let protocol = PROTOCOLS.into_iter().find(|known| protocol.eq_ignore_ascii_case(known.as_bytes()))?;
    let number = param(params.get(1..).unwrap_or_default(), "cause").flatten();
    let number = number.filter(|number| (1..=3).contains(&number.len()) && number.iter().all(u8::is_ascii_digit));
    let cause = number.map_or_else(|| protocol.as_bytes().to_vec(), |number| [protocol.as_bytes(), b";", number].concat());
    Some(cause.into())
}

/// Seconds from the beginning of a call to its end: since its set-up, or since its INVITE if only that is known.
fn lasted(clock: &WallClock, time: CallTime, end: Instant) -> (Option<u32>, Option<u32>) {
    // The clocks of two nodes differ a little.
    let since = |then: u32| clock.seconds(end).map(|now| now.saturating_sub(then));
    match time {
        CallTime::Unknown => (None, None),
        CallTime::Invited(then) => (None, since(then)),
        CallTime::SetUp(then) => (since(then), None),
    }
}

impl Context<'_> {
    /// Tells the end of an INVITE that opens a call, or of a BYE. `code`: the final answer, if there is one. `nonce`: the attempt that it is
    /// of. `message`: one that names the call, with the tags of its From and its To, if they have been read.
    pub(crate) fn tell_end(
        &mut self,
        transaction: &Transaction,
        code: Option<u16>,
        nonce: u64,
        message: &Message<'_>,
        tags: Option<[&[u8]; 2]>,
    ) {
        let call = &transaction.call;
        if self.config.audit.is_none() || !transaction.server.is_open() {
            return;
        }
        let &CallFacts { region, project, trunk, since, .. } = call;
        let DialogFacts { began, time, ref cause } = call.dialog;
        let whose = (project, trunk);
        match (call.method, &call.serving, code) {
            (Method::Invite, Some(serving), Some(code)) => {
                let client = transaction.attempts().find(|client| client.nonce == nonce).unwrap_or(&transaction.client);
                let told = AnswerTold {
                    region,
                    // A call out may have gone on to another trunk, and be answered by the one before.
                    whose: (project, client.egress.trunk),
                    call: call_named(message, began, tags),
                    outbound: call.asks == Side::Servers,
                    code: if transaction.cancelled && code >= 300 { 0 } else { code },
                    after: self.now.saturating_duration_since(since),
                    serving: (!transaction.outside).then_some(serving.region),
                    target: (!transaction.outside).then(|| (client.egress.transport, client.egress.to.addr())),
                    relay: call.relay(),
                    retries: transaction.earlier.len(),
                };
                self.out.push(Output::Note(Note::CallAnswered(Box::new(told))));
            }
            (Method::Bye, None, _) => {
                let (seconds, since_invite) = lasted(&self.clock, time, since);
                let by = if began { EndedBy::Caller } else { EndedBy::Callee };
                let (call, cause) = (call_named(message, began, tags), cause.clone());
                let told = EndTold { region, whose, call, by, cause, seconds, since_invite, code };
                self.out.push(Output::Note(Note::CallEnded(Box::new(told))));
            }
            _ => {}
        }
    }

    /// What is told when a BYE of ours ends. `message`: one of the call, in which From or To names the party that began it. `rows`: those of
    /// the BYE.
    pub(crate) fn own_end(
        &self,
        (region, whose): (RegionId, (Option<ProjectId>, Option<TrunkId>)),
        message: &Message<'_>,
        (began, time): (bool, CallTime),
        rows: &[u8],
    ) -> Option<Box<EndTold>> {
        self.config.audit.as_ref()?;
        let (seconds, since_invite) = lasted(&self.clock, time, self.now);
        let reason = rows.strip_prefix(b"Reason: ").and_then(|rows| rows.split(|&octet| octet == b'\r').next());
        let (call, cause) = (call_named(message, began, None), reason.and_then(cause_of));
        Some(Box::new(EndTold { region, whose, call, by: EndedBy::Daemon, cause, seconds, since_invite, code: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_its_protocol_and_number() {
        for (value, expected) in [
            ("Q.850;cause=16;text=\"Terminated\"", Some("Q.850;16")),
            ("SIP ;text=\"a\" ; CAUSE=200", Some("SIP;200")),
            ("Q.850", Some("Q.850")),
            ("Q.850;text=\"a;cause=1\";cause=16", Some("Q.850;16")),
            ("q.850;cause=49307654321", Some("Q.850")),
            ("49307654321;cause=3", None),
            (" ;cause=16", None),
            ("", None),
        ] {
            assert_eq!(cause_of(value.as_bytes()).as_deref(), expected.map(str::as_bytes), "{value}");
        }
    }
}
