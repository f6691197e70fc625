//! What happens to a request that arrives: matched, judged, answered, refused or forwarded.

pub(crate) mod in_dialog;
mod initial;

use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;

use crate::config::RegionId;
use crate::core::context::First;
use crate::core::forwarding::branch::Branch;
use crate::core::forwarding::rewrite;
use crate::core::io::{Arrival, DropCause, Note, Outcome, Output, Peer, Verdict};
use crate::core::media_relay::Pending;
use crate::core::memory::rate_limit::Pace;
use crate::core::response::blocked::AckMedia;
use crate::core::routing::target::{self, Found, TargetSet};
use crate::core::rules::case::{Case, uri_range, verdict};
use crate::core::rules::sides::{Source, dialog_fence};
use crate::core::rules::trace::{Mark, Test, Trace, somebody};
use crate::core::state::Core;
use crate::core::transaction::{CallFacts, Server};
use crate::reason::Reason;
use crate::sip::{Fault, Message, Method, Name, Request, via};

/// Requests a second to which a source that is nobody is answered 403; beyond, nothing is said.
const STRANGER_RATE: u32 = 20;

impl Core {
    /// A request has arrived. `Err`: what becomes of it depends on something else, and nothing has been said of it yet.
    pub(crate) fn request(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        message: &Message<'_>,
        trace: &Trace,
        out: &mut Vec<Output>,
    ) -> Result<Outcome, Pending> {
        let listener = *self.config.listener(arrival.listener);
        let peer = Peer::of(arrival);
        let ack = matches!(message.start(), crate::sip::Start::Request { method: Method::Ack, .. });
        let source = Source::of(&self.config, listener.region, arrival);
        let unknown = source.is_unknown();
        trace.note(Test::Source, Mark::of(!unknown), || (arrival.from.ip().to_string(), somebody(&self.config, source)));
        if unknown && !self.is_near(listener.region, arrival.from.ip()) {
            return Ok(self.stranger(now, arrival, &peer, message, ack, out));
        }
        let request = match Request::read(message) {
            Ok(request) => request,
            Err(_) if unknown => return Ok(self.stranger(now, arrival, &peer, message, ack, out)),
            Err(fault) => {
                self.malformed(now, &peer, listener.region, message, ack, fault, out);
                return Ok(Outcome::Malformed(fault));
            }
        };
        let case = Case {
            now,
            arrival,
            peer,
            listener,
            message,
            request: &request,
            key: self.key_of(message, &request, request.method),
            trace,
        };
        if unknown && !self.serves(&case) {
            return Ok(self.stranger(now, arrival, &peer, message, ack, out));
        }
        if let Some(waits) = self.split(now, out).0.waits(message) {
            return waits;
        }
        match request.method {
            Method::Ack => self.ack(&case, out),
            Method::Cancel => Ok(self.cancel(&case, out)),
            _ => {
                if let Some(slot) = self.table.find(case.key) {
                    return Ok(self.again(&case, slot, out));
                }
                let left = arrival.connection.is_none() && self.leaving_to.is_some_and(|until| now < until);
                // What has waited for a relay meanwhile was read before.
                if left && !self.relays.has_waited() {
                    return Ok(Outcome::Dropped(DropCause::Successor));
                }
                if self.is_looped(message, &request) {
                    return Ok(self.say(&case, 482, "Loop Detected", b"", out));
                }
                if request.to_tag.is_some() { self.inside(&case, out) } else { self.initial(&case, out) }
            }
        }
    }

    /// Whether an address is inside one of a region's nearest regions. That alone makes it nobody we know.
    fn is_near(&self, region: RegionId, ip: IpAddr) -> bool {
        self.config.region(region).nearest.iter().any(|&near| self.config.region(near).networks.contains(ip))
    }

    /// Whether a request comes from a server of the region that serves its dialog, as our own token says. For new requests no server
    /// but the called region's is one.
    fn serves(&self, case: &Case<'_, '_>) -> bool {
        let from = case.arrival.from.ip();
        case.request.to_tag.is_some()
            && self.way(case).is_some_and(|way| self.config.region(way.vouched.serving).networks.contains(from))
    }

    /// Answers a request that could not be understood, if that is possible: never an ACK.
    #[expect(clippy::too_many_arguments, reason = "the request is not there to bundle them in")]
    pub(crate) fn malformed(
        &mut self,
        now: Instant,
        peer: &Peer,
        region: RegionId,
        message: &Message<'_>,
        ack: bool,
        fault: Fault,
        out: &mut Vec<Output>,
    ) {
        if !ack {
            let (mut env, _) = self.split(now, out);
            env.answer(message, peer, region, fault.code(), fault.sentence(), b"");
        }
    }

    /// Nobody: 403 and not a word more, for whatever was asked; silence for an ACK and for a flood.
    fn stranger(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        peer: &Peer,
        message: &Message<'_>,
        ack: bool,
        out: &mut Vec<Output>,
    ) -> Outcome {
        if self.paces.pace(now, arrival.from.ip(), STRANGER_RATE) != Pace::Within {
            return Outcome::Dropped(DropCause::Flood);
        }
        if ack {
            return Outcome::Absorbed;
        }
        let region = self.config.listener(arrival.listener).region;
        let reason = Reason::UnknownSource;
        let (mut env, _) = self.split(now, out);
        if env.answer(message, peer, region, 403, reason.phrase(), b"").is_none() {
            return Outcome::Malformed(message.fault().unwrap_or(Fault::NotSip));
        }
        out.push(verdict(region, None, None, Verdict::Refuse, reason));
        Outcome::Refused(reason)
    }

    /// The identity of a request: branch, sent-by and method, or for clients of RFC 2543 everything that stays the same (17.2.3).
    /// An ACK has its INVITE's, a CANCEL is looked up by its INVITE's.
    fn key_of(&self, message: &Message<'_>, request: &Request<'_>, method: Method) -> u128 {
        let method = match method {
            Method::Ack | Method::Cancel | Method::Invite => Method::Invite.token().as_bytes(),
            _ => request.token,
        };
        let via = &request.via;
        match via.branch.filter(|_| via.has_cookie()) {
            Some(branch) => {
                let mut sent_by = [0_u8; 256];
                let host = via.sent_by;
                let lower = sent_by.get_mut(..host.len()).map_or(host, |lower| {
                    lower.copy_from_slice(host);
                    lower.make_ascii_lowercase();
                    lower
                });
                self.keys.table(&[branch, lower, method])
            }
            None => self.keys.table(&[
                request.uri_text,
                request.from_tag,
                request.call_id,
                &request.cseq.to_le_bytes(),
                message.slice(&via.span),
                method,
            ]),
        }
    }

    /// What makes a request the same when it comes back: all that routing looks at, and nothing that a hop adds.
    pub(crate) fn loop_hash(&self, message: &Message<'_>, request: &Request<'_>) -> u32 {
        let route = message.first(Name::Route).map(|header| message.value(header)).unwrap_or_default();
        self.keys.loop_hash(&[
            request.uri_text,
            route,
            request.from_tag,
            request.to_tag.unwrap_or_default(),
            request.call_id,
            &request.cseq.to_le_bytes(),
            request.token,
        ])
    }

    /// Whether a request has come back with the same routing (RFC 3261 16.3 step 4, RFC 5393 4.2): only our own hash proves that. It is
    /// computed only where some Via could be ours.
    fn is_looped(&self, message: &Message<'_>, request: &Request<'_>) -> bool {
        let branches = request.via.branch.into_iter().chain(via::branches_below(message));
        let mut ours = branches.filter_map(Branch::read).peekable();
        if ours.peek().is_none() {
            return false;
        }
        let loop_hash = self.loop_hash(message, request);
        ours.any(|branch| branch.loop_hash == loop_hash)
    }

    /// A request that is being served already.
    fn again(&mut self, case: &Case<'_, '_>, slot: u32, out: &mut Vec<Output>) -> Outcome {
        let (mut env, table) = self.split(case.now, out);
        if let Some(transaction) = table.get_mut(slot) {
            // Over a stream a repetition means that the connection was lost: answers go down the new one.
            if case.arrival.connection.is_some() {
                transaction.server.peer = case.peer;
            }
            if let Some(bytes) = transaction.server.again().cloned() {
                env.reply(&case.peer, bytes);
            }
        }
        Outcome::Absorbed
    }

    /// Says something that is neither a refusal nor a forward.
    pub(crate) fn say(&mut self, case: &Case<'_, '_>, code: u16, phrase: &str, rows: &[u8], out: &mut Vec<Output>) -> Outcome {
        if case.request.method == Method::Invite && case.request.to_tag.is_some() {
            self.refused.put(case.now, case.key, ());
        }
        let (mut env, _) = self.split(case.now, out);
        env.answer_request(case, code, phrase, rows);
        Outcome::Answered(code)
    }

    /// An ACK: for our own final answer it is absorbed; for a 2xx it goes on end to end, without a transaction (RFC 3261 16.11).
    fn ack(&mut self, case: &Case<'_, '_>, out: &mut Vec<Output>) -> Result<Outcome, Pending> {
        if let Some(slot) = self.table.find(case.key) {
            let (env, table) = self.split(case.now, out);
            let timers = &env.config.timers;
            if table.get_mut(slot).is_some_and(|transaction| transaction.server.acknowledged(case.now, timers)) {
                self.settle(slot, out);
                return Ok(Outcome::Absorbed);
            }
        }
        // For a refusal of ours: known by our own tag, or, inside a dialog, by the branch of the INVITE, which the ACK of a 2xx has not.
        if self.refused.get(case.now, case.key).is_some() {
            return Ok(Outcome::Absorbed);
        }
        if case.request.to_tag == Some(self.keys.to_tag(case.request.call_id, case.request.from_tag).as_bytes()) {
            return Ok(Outcome::Absorbed);
        }
        let Some(way) = self.way(case) else { return Ok(Outcome::Stray) };
        if case.request.max_forwards == Some(0) {
            return Ok(Outcome::Dropped(DropCause::AckTarget));
        }
        let Some(fence) = dialog_fence(&self.config, case, &way) else { return Ok(Outcome::Dropped(DropCause::AckTarget)) };
        let Found::Inside(mut targets) =
            target::find_uri(&way.next, way.secure, self.book(case.now), fence, self.dialog_order(case))?
        else {
            return Ok(Outcome::Dropped(DropCause::AckTarget));
        };
        let swap = match self.ack_media(case, &way, &mut targets, out)? {
            AckMedia::Passes(swap) => swap,
            AckMedia::Ended(outcome) => return Ok(outcome),
        };
        let loop_hash = self.loop_hash(case.message, case.request);
        let (mut env, _) = self.split(case.now, out);
        env.work.edit.clear();
        way.edit(case.message, uri_range(case.message), &mut env.work.edit);
        rewrite::anchor(case.message, &swap, &mut env.work.edit);
        if env.pass_on(case.message, case.request, &case.peer, case.region(), loop_hash, &mut targets).is_none() {
            return Ok(Outcome::Dropped(DropCause::AckTarget));
        }
        Ok(Outcome::Forwarded)
    }

    /// A CANCEL: answered here, hop by hop; each attempt is cancelled once something came back from it (9.1, 16.10).
    fn cancel(&mut self, case: &Case<'_, '_>, out: &mut Vec<Output>) -> Outcome {
        let slot = self.table.find(case.key);
        let (mut env, table) = self.split(case.now, out);
        let transaction = slot.and_then(|slot| table.get_mut(slot)).filter(|transaction| {
            // Whoever guesses a branch cannot cancel from elsewhere.
            transaction.is_invite() && transaction.server.peer.addr().ip() == case.arrival.from.ip()
        });
        let (Some(slot), Some(transaction)) = (slot, transaction) else {
            return self.say(case, 481, "Call/Transaction Does Not Exist", b"", out);
        };
        env.answer_request(case, 200, "OK", b"");
        if transaction.server.is_open() {
            transaction.cancelled = true;
            let mut reason = Vec::new();
            for header in case.message.all(Name::Reason) {
                reason.extend_from_slice(case.message.slice(&header.row));
            }
            let reason = Bytes::from(reason);
            for client in std::iter::once(&mut transaction.client).chain(&mut transaction.earlier) {
                if let Some(reason) = client.want_cancel(reason.clone()) {
                    env.cancel(slot, client, &reason);
                }
            }
            self.settle(slot, out);
        }
        Outcome::Answered(200)
    }

    /// Whether there is no room for another call.
    pub(crate) fn is_full(&self) -> bool {
        self.table.len() >= self.config.limits.transactions || self.table.vacancy().is_none()
    }

    /// Whether there is no room even for a request inside a dialog: a flood of new calls must not keep those from ending that are
    /// up (RFC 7339 5.10), so a quarter more is held for them.
    pub(crate) fn is_crammed(&self) -> bool {
        let most = self.config.limits.transactions;
        self.table.len() >= most.saturating_add(most / 4).saturating_add(16) || self.table.vacancy().is_none()
    }

    /// Opens a transaction and sends the first attempt; an INVITE is told 100. Returns the region that it went to; `None`: no target
    /// can be reached.
    pub(crate) fn open(
        &mut self,
        case: &Case<'_, '_>,
        mut facts: CallFacts,
        prefer: crate::config::ListenerId,
        targets: &mut TargetSet,
        out: &mut Vec<Output>,
    ) -> Option<RegionId> {
        let slot = self.table.vacancy()?;
        let serial = self.table.next_serial();
        let invite = facts.method == Method::Invite;
        let (mut env, table) = self.split(case.now, out);
        let first = First { peer: case.peer, slot, serial, facts: &mut facts, prefer };
        let at = env.out.len();
        let (client, head) = env.start(case.message, case.request, first, targets)?;
        let serving = facts.serving.as_ref().map_or(facts.region, |serving| serving.region);
        let transport = env.config.listener(case.arrival.listener).transport;
        let mut server = Server::new(case.key, case.peer, transport, invite, case.now, &env.config.timers);
        if invite {
            // The 100 leaves first: what it stops is the caller's own repetition (17.2.1).
            let sent = env.out.split_off(at);
            if let Some(trying) = env.answer_request(case, 100, "Trying", b"") {
                server.provisional(trying);
            }
            env.out.extend(sent);
        }
        env.out.push(Output::Note(Note::Transactions { region: facts.region, invite, opened: true }));
        table.insert(facts.open(server, client, head, std::mem::take(targets)));
        Some(serving)
    }
}
