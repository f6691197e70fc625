//! Answers of ours to a request: made from the request's own bytes, and sent to its peer.

use bytes::Bytes;

use crate::config::RegionId;
use crate::core::context::{Context, Work};
use crate::core::io::{Destination, Note, Output, Peer, Send, Verdict};
use crate::core::keys::Hex;
use crate::core::rules::case::Case;
use crate::core::rules::refusal::{self, Refusal};
use crate::core::rules::side::Side;
use crate::core::rules::trace::{Test, Trace, trunk_name};
use crate::core::telling::Teller;
use crate::core::transaction::forwarded::{BestAnswer, Transaction};
use crate::core::transaction::last_answer::RequestText;
use crate::reason::Reason;
use crate::sip::address::Address;
use crate::sip::reply::LocalResponse;
use crate::sip::{Message, Name, Response};

impl Context<'_> {
    /// Sends to a peer.
    pub(crate) fn reply(&mut self, peer: &Peer, bytes: Bytes) {
        let transport = self.config.listener(peer.listener()).transport;
        self.out.push(Output::Send(Send {
            to: Destination::Peer(*peer),
            transport,
            tls_name: None,
            party: None,
            in_dialog: false,
            origin: None,
            trunk: None,
            listener: peer.listener(),
            local: Some(peer.local().ip()),
            bytes,
            attempt: None,
            instead: None,
        }));
    }

    /// Answers a request from its own bytes. `None`: it cannot be answered.
    pub(crate) fn answer(
        &mut self,
        message: &Message<'_>,
        peer: &Peer,
        region: RegionId,
        code: u16,
        phrase: &str,
        rows: &[u8],
    ) -> Option<Bytes> {
        let tag = (code > 100).then(|| {
            let tag = message.first(Name::From).map(|header| message.value(header));
            let from = tag.and_then(Address::parse).and_then(|from| from.tag()).unwrap_or_default();
            let call = message.first(Name::CallId).map(|header| message.value(header)).unwrap_or_default();
            self.keys.to_tag(call, from)
        });
        let Work { edit, buffer, .. } = &mut *self.work;
        buffer.clear();
        let reply = LocalResponse { code, phrase, to_tag: tag.as_ref().map(Hex::as_str), rows };
        if !reply.write(message, peer.addr(), edit, buffer) {
            return None;
        }
        Some(self.answered(peer, region, code))
    }

    /// Does the same for a request that has been read.
    pub(crate) fn answer_request(&mut self, case: &Case<'_, '_>, code: u16, phrase: &str, rows: &[u8]) -> Option<Bytes> {
        let tag = (code > 100).then(|| self.keys.to_tag(case.request.call_id, case.request.from_tag));
        let Work { edit, buffer, .. } = &mut *self.work;
        buffer.clear();
        let reply = LocalResponse { code, phrase, to_tag: tag.as_ref().map(Hex::as_str), rows };
        if !reply.write_for(case.message, case.request, case.peer.addr(), edit, buffer) {
            return None;
        }
        Some(self.answered(&case.peer, case.region(), code))
    }

    /// Sends the answer that stands in the buffer.
    fn answered(&mut self, peer: &Peer, region: RegionId, code: u16) -> Bytes {
        let bytes = self.work.hand_out();
        self.reply(peer, bytes.clone());
        self.out.push(Output::Note(Note::Responded { region, relayed: false, code }));
        bytes
    }

    /// Sends our own final answer of a transaction. `sent`: the bytes of an attempt, which hold all that an answer needs.
    pub(crate) fn conclude(&mut self, transaction: &mut Transaction, sent: &Bytes, code: u16, phrase: &str, rows: &[u8]) {
        let (from, to) = transaction.own_rows_in(sent);
        let mut original = Vec::with_capacity(sent.len());
        original.extend_from_slice(sent.get(..from).unwrap_or_default());
        original.extend_from_slice(sent.get(to..).unwrap_or_default());
        let Ok(message) = Message::datagram(&original) else { return };
        let peer = transaction.server.peer;
        if code >= 300 && transaction.ends_call() {
            self.release_call(transaction, &message);
        }
        if let Some(bytes) = self.answer(&message, &peer, transaction.call.region, code, phrase, rows) {
            if code < 200 {
                transaction.server.provisional(&bytes);
            } else {
                let asked = RequestText([&original, b""]);
                self.tell_end(transaction, Some(code), transaction.client.nonce, &message, None);
                transaction.server.finish(self.now, &self.config.timers, code, &bytes, asked);
            }
        }
    }

    /// Tells the caller the best answer of the gateways.
    pub(crate) fn tell_best(&mut self, transaction: &mut Transaction, sent: &Bytes, best: &BestAnswer) {
        let BestAnswer { code, gateway, bytes } = best;
        if let Ok(message) = Message::datagram(bytes) {
            if let Ok(response) = Response::read(&message) {
                self.challenged_by(transaction, &message, response.from_tag, (*code, *gateway));
            }
            if transaction.ends_call() {
                let of = transaction.attempts().find(|client| client.egress.gateway() == *gateway).unwrap_or(&transaction.client);
                let nonce = of.nonce;
                self.release_call(transaction, &message);
                self.tell_end(transaction, Some(*code), nonce, &message, None);
            }
        }
        let peer = transaction.server.peer;
        self.reply(&peer, bytes.clone());
        self.out.push(Output::Note(Note::Responded { region: transaction.call.region, relayed: true, code: *code }));
        let asked = transaction.asked(sent);
        transaction.server.finish(self.now, &self.config.timers, *code, bytes, asked);
    }

    /// Answers that every target has failed: the capacity answer (152). `what`: how they failed.
    pub(crate) fn all_down(&mut self, transaction: &mut Transaction, sent: &Bytes, what: &str) {
        if let Some(best) = transaction.best.take() {
            return self.tell_best(transaction, sent, &best);
        }
        let whose = (transaction.call.project, transaction.call.trunk);
        let earlier = transaction.earlier.iter().any(|client| client.egress.trunk != whose.1);
        let detail = match (transaction.call.asks, whose.1) {
            (Side::Trunk, _) => format!("every server of the region {what}"),
            (Side::Servers, Some(trunk)) if earlier => {
                format!("every gateway, at last those of {}, {what}", trunk_name(self.config, trunk))
            }
            (Side::Servers, Some(trunk)) => format!("every gateway of {} {what}", trunk_name(self.config, trunk)),
            (Side::Servers, None) => format!("every gateway of the trunk {what}"),
        };
        let row = Trace::closed().fail(Test::Targets, || (detail.clone(), "one that answers".to_owned()));
        let refusal = Refusal::new(row, Reason::TargetsDown, detail).of(whose.0, whose.1).asked_by(transaction.call.asks);
        // Inside a dialog the code of some profiles would end the call (RFC 5057 5.1).
        let in_dialog = transaction.call.serving.is_none();
        let code = if in_dialog { 503 } else { refusal.profile(self.config).code(refusal.reason, transaction.is_invite()) };
        let rows = refusal::rows(self.config, transaction.call.region, &refusal);
        self.conclude(transaction, sent, code, refusal.phrase(), &rows);
        let told = Teller::tell_sent(sent, self.config, &transaction.call);
        self.verdict(transaction.call.region, whose, Verdict::Refuse, refusal.reason, Some(&refusal.detail), told);
    }
}
