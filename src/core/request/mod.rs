//! What happens to a request that arrives: matched, decided, answered, refused or forwarded.
//!
//! A decision only reads (`decide_…`). Another step carries it out unchanged.

use std::net::IpAddr;

use crate::config::{NextHop, Outbound, TrunkId};
use crate::core::forwarding::plan::{Decision, Plan};
use crate::core::io::{Arrival, DropCause, Note, Outcome, Output, Peer, Verdict};
use crate::core::memory::dialog_pace::Sender;
use crate::core::memory::rate_limit::Pace;
use crate::core::relay_request::RelayAnswer;
use crate::core::rules::admit::Counted;
use crate::core::rules::case::{Case, Gate};
use crate::core::rules::refusal::Answer;
use crate::core::rules::side::Side;
use crate::core::rules::sides::{Source, dialog_fence};
use crate::core::rules::trace::{Test, Trace};
use crate::core::state::Core;
use crate::core::stop::{Pending, Stop};
use crate::core::telling::Teller;
use crate::core::transaction::forwarded::Transaction;
use crate::core::transaction::server::Server;
use crate::fence::canonical;
use crate::reason::Reason;
use crate::sip::via::Via;
use crate::sip::{Fault, Message, Method, Name, Request, reply};
use std::sync::Arc;
use std::time::Instant;

mod ack;
mod answer;
mod cancel;
mod in_dialog;
mod initial;
mod loop_check;
mod refuse;

/// Requests a second of strangers at one address that are answered 403. Any more get no answer.
const STRANGER_RATE: u32 = 20;

/// A request that is to be handled, with what is known of it.
pub(crate) struct Coming<'c> {
    pub(crate) now: Instant,
    pub(crate) arrival: &'c Arrival,
    /// Whether it passed the gate earlier and has waited since.
    pub(crate) passed: bool,
    /// The relay's answer, if it has waited for one.
    pub(crate) relay_answer: Option<&'c RelayAnswer>,
    pub(crate) trace: &'c Trace,
}

impl Core {
    /// Handles a request. `Err`: the request has to wait, and nothing has been said or changed yet.
    pub(crate) fn request(
        &mut self,
        coming: &Coming<'_>,
        message: &Message<'_>,
        out: &mut Vec<Output>,
    ) -> Result<Outcome, Pending> {
        let &Coming { now, arrival, passed, relay_answer, trace } = coming;
        let listener = *self.config.listener(arrival.listener);
        let ack = matches!(message.start(), crate::sip::Start::Request { method: Method::Ack, .. });
        if self.servers.is_new(arrival.local) {
            self.servers.called(&self.config, arrival.local);
        }
        let source = Source::of(self.view(now), listener.region, arrival);
        let unknown = source.is_unknown();
        // Only a Route could bring the token of a side of a dialog. Nothing else that a stranger sends is read.
        if unknown && message.first(Name::Route).is_none() {
            return Ok(self.stranger(coming, message, ack, out));
        }
        let read = Request::read(message);
        // By reference: it is large, and nothing is gained by moving it.
        let request = match &read {
            Ok(request) => request,
            Err(_) if unknown => return Ok(self.stranger(coming, message, ack, out)),
            Err(fault) => {
                trace.pass(Test::Source, || (arrival.from.ip().to_string(), source.named(&self.config)));
                return Ok(self.malformed(now, arrival, message, (ack, *fault), trace, out));
            }
        };
        let peer = Peer::of(arrival, Some(&request.via));
        let key = self.key_of(arrival, message, request);
        let case = Case { now, arrival, peer, listener, message, request, key, waited: passed, relay_answer, trace };
        if unknown && !self.is_of_dialog(&case) {
            return Ok(self.stranger(coming, message, ack, out));
        }
        trace.pass(Test::Source, || {
            let known = if unknown { "a side of the dialog, as our token says".to_owned() } else { source.named(&self.config) };
            (arrival.from.ip().to_string(), known)
        });
        if let Some(call) = self.waiting.holds(&self.keys, request.call_id) {
            return Err(Pending::Behind(call));
        }
        match request.method {
            Method::Ack => self.ack(&case, out),
            Method::Cancel => Ok(self.cancel(&case, out)),
            _ => {
                if let Some(slot) = self.table.forwarded.find(case.key) {
                    return Ok(self.again(&case, slot, out));
                }
                if !passed && arrival.connection.is_none() && self.leaving_to.is_some_and(|until| now < until) {
                    trace.fail(Test::Capacity, || ("this process".to_owned(), "its successor takes new requests".to_owned()));
                    return Ok(Outcome::Dropped(DropCause::Successor));
                }
                let mut edit = std::mem::take(&mut self.work.edit);
                let answered = |answer: Answer| Decision { counted: Counted::default(), result: Err(answer.into()) };
                let decision = if request.to_tag.is_none() && request.method.needs_dialog() {
                    // Some readers find a tag that we do not find. Then it would end another party's call.
                    let says = || ("no To-tag".to_owned(), "the tag of the dialog that it is for".to_owned());
                    answered(Answer::failed(trace.fail(Test::Dialog, says), 481, "Call/Transaction Does Not Exist"))
                } else if self.is_looped(message, request) {
                    let says = || ("our own Via".to_owned(), "a route that it has not had yet".to_owned());
                    answered(Answer::failed(trace.fail(Test::Request, says), 482, "Loop Detected"))
                } else if request.to_tag.is_some() {
                    self.decide_in_dialog(&case, &mut edit)
                } else {
                    match if passed { Ok(Gate::default()) } else { self.gate(&case) } {
                        Ok(gate) => self.decide_initial(&case, gate, &mut edit),
                        Err(cause) => Decision { counted: Counted::default(), result: Err(Stop::Dropped(cause)) },
                    }
                };
                self.work.edit = edit;
                self.carry_out(&case, decision, out)
            }
        }
    }

    /// Carries out a decision.
    fn carry_out(&mut self, case: &Case<'_, '_>, decision: Decision, out: &mut Vec<Output>) -> Result<Outcome, Pending> {
        let Decision { counted: Counted { media, number }, result } = decision;
        if let Err(Stop::Waits(pending)) = result {
            // All that the call may go out by is looked up at once, so that it waits for them together.
            if let (Pending::Name(next_hop, trunk), None) = (&pending, case.request.to_tag) {
                self.go_out(case.now, *trunk, Some(next_hop), out);
            }
            return Err(pending);
        }
        // An emergency call counts where it goes out.
        let number = number.filter(|note| result.is_ok() || !matches!(note, Note::Emergency { .. }));
        out.extend([media, number].into_iter().flatten().map(Output::Note));
        match result {
            Ok(plan) => Ok(self.forward(case, plan, out)),
            Err(stop) => self.stop(case, stop, out),
        }
    }

    /// Opens a transaction and sends the first attempt. An INVITE is answered 100.
    fn forward(&mut self, case: &Case<'_, '_>, plan: Plan, out: &mut Vec<Output>) -> Outcome {
        let Plan { call, first, targets, shadow, unreachable } = plan;
        let Some(slot) = self.table.forwarded.vacancy() else { return Outcome::Dropped(DropCause::Behind) };
        let serial = self.table.forwarded.next_serial();
        let invite = call.method == Method::Invite;
        if let (Some(trunk), true) = (call.trunk, case.request.to_tag.is_some()) {
            let sender = Sender::of(trunk, call.asks, call.method);
            self.dialog_pace.served(case.now, sender, &self.config.limits);
        }
        let whose = (call.project, call.trunk);
        if let (Some(trunk), Side::Servers, Some(_)) = (call.trunk, call.asks, &call.serving) {
            self.go_out(case.now, trunk, None, out);
        }
        let (mut context, _) = self.split(case.now, out);
        let at = context.out.len();
        let (client, own_rows) = context.start(case, (slot, serial), &call, first, &targets);
        let initial = case.request.to_tag.is_none();
        let here = call.serving.as_ref().is_some_and(|serving| serving.region == call.region);
        let relayed = initial && call.call_relay.is_some_and(|relay| relay.offered);
        let transport = context.config.listener(case.arrival.listener).transport;
        let mut server = Server::new(case.key, case.peer, transport, invite, case.now, &context.config.timers);
        if invite {
            // The 100 leaves first: what it stops is the caller's own repetition (17.2.1).
            let sent = context.out.len();
            if let Some(trying) = context.answer_request(case, 100, "Trying", b"") {
                server.provisional(&trying);
            }
            if let Some(outputs) = context.out.get_mut(at..) {
                outputs.rotate_left(sent - at);
            }
        }
        context.out.push(Output::Note(Note::Transactions { region: call.region, invite, opened: true }));
        if relayed {
            context.out.push(Output::Note(Note::MediaRelayed { region: call.region }));
        }
        // A move to another region was noted when it happened.
        let accepted = here.then_some((Verdict::Accept, Reason::InRegion, None));
        if let Some((verdict, reason, why)) = shadow.map(|broken| (Verdict::Shadow, broken.reason, Some(broken.why))).or(accepted)
        {
            let (project, trunk) = whose;
            let told = Teller::tell_served(case.message, context.config, &call, !initial || !here);
            let note = Note::Verdict { region: call.region, project, trunk, verdict, reason, why, unreachable, told };
            context.out.push(Output::Note(note));
        }
        self.table.insert(Box::new(Transaction::new(call, server, client, own_rows, targets.into_vec())));
        Outcome::Forwarded
    }

    /// Says that a call goes out by a trunk, whose names are to be kept resolved for that. It may go on to the next ones of `out`, whose names must
    /// be known by then. `asked`: a name that is looked up for the call anyway.
    pub(crate) fn go_out(&mut self, now: Instant, trunk: TrunkId, asked: Option<&NextHop>, out: &mut Vec<Output>) {
        let config = Arc::clone(&self.config);
        let ways = &config.project(config.trunk(trunk).project).out;
        for way in std::iter::once(trunk).chain(ways.iter().copied().filter(|&other| other != trunk)) {
            for id in config.trunk(way).outbound().into_iter().flat_map(Outbound::names) {
                let Some(name) = config.names.get(id.0 as usize).filter(|&name| asked != Some(name)) else { continue };
                if self.names_in_use.used(now, id) {
                    out.push(Output::Keep(name.clone()));
                }
            }
        }
    }

    /// Whether our own token says that a request comes from a side of its dialog: a server of the region that serves it, or a gateway
    /// that the trunk's calls go out to. A new request has no token: for it only the trunks and the called region's servers count.
    fn is_of_dialog(&self, case: &Case<'_, '_>) -> bool {
        case.request.to_tag.is_some()
            && self.route_set(case).is_some_and(|route| dialog_fence(self.view(case.now), case, &route).is_some())
    }

    /// Answers a request that could not be read, if that is possible. An ACK gets no answer.
    pub(crate) fn malformed(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        message: &Message<'_>,
        (ack, fault): (bool, Fault),
        trace: &Trace,
        out: &mut Vec<Output>,
    ) -> Outcome {
        trace.fail(Test::Request, || (fault.label().to_owned(), fault.sentence().to_owned()));
        if !ack {
            let (peer, region) =
                (Peer::of(arrival, Via::top(message).ok().as_ref()), self.config.listener(arrival.listener).region);
            let (mut context, _) = self.split(now, out);
            context.answer(message, &peer, region, fault.code(), fault.sentence(), b"");
        }
        Outcome::Malformed(fault)
    }

    /// Answers a stranger: 403 without any explanation, for any request. An ACK and a flood get no answer.
    fn stranger(&mut self, coming: &Coming<'_>, message: &Message<'_>, ack: bool, out: &mut Vec<Output>) -> Outcome {
        let &Coming { now, arrival, trace, .. } = coming;
        let region = self.config.listener(arrival.listener).region;
        trace.fail(Test::Source, || {
            (arrival.from.ip().to_string(), Source::of(self.view(now), region, arrival).named(&self.config))
        });
        if self.rate_limit.pace(now, arrival.from.ip(), STRANGER_RATE) != Pace::Within {
            return Outcome::Dropped(DropCause::Flood);
        }
        if ack {
            return Outcome::Absorbed;
        }
        if !reply::is_whole(message) {
            return Outcome::Malformed(message.fault().unwrap_or(Fault::NotSip));
        }
        let reason = Reason::UnknownSource;
        let peer = Peer::of(arrival, Via::top(message).ok().as_ref());
        let (mut context, _) = self.split(now, out);
        if context.answer(message, &peer, region, 403, reason.phrase(), b"").is_none() {
            return Outcome::Malformed(message.fault().unwrap_or(Fault::NotSip));
        }
        // Its sentence is made where somebody reads it: strangers may send as much as they like.
        let stranger = Teller { config: context.config, trunk: None, began: true, asks: None, later: false };
        let told = stranger.tell(message);
        context.verdict(region, (None, None), Verdict::Refuse, reason, None, told);
        Outcome::Refused(reason)
    }

    /// The identity of a request: branch, sent-by and method, or for clients of RFC 2543 everything that stays the same (17.2.3); and
    /// who sent it: anybody can write a branch and a sent-by. Over TLS that is the name that was proved, else the address; the port may
    /// change. An ACK has its INVITE's identity, a CANCEL is looked up by its INVITE's.
    fn key_of(&self, arrival: &Arrival, message: &Message<'_>, request: &Request<'_>) -> u128 {
        let method = match request.method {
            Method::Ack | Method::Cancel | Method::Invite => Method::Invite.token().as_bytes(),
            _ => request.token,
        };
        let proved = arrival.shown.and_then(|shown| shown.names.into_iter().flatten().next());
        let source = match (proved, canonical(arrival.from.ip())) {
            (Some(name), _) => name.octets(),
            (None, IpAddr::V4(ip)) => ip.to_ipv6_mapped().octets(),
            (None, IpAddr::V6(ip)) => ip.octets(),
        };
        let source = source.as_slice();
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
                self.keys.table(&[branch, lower, method, source])
            }
            None => self.keys.table(&[
                request.uri_text,
                request.from_tag,
                request.call_id,
                &request.cseq.to_le_bytes(),
                message.slice(&via.span),
                method,
                source,
            ]),
        }
    }

    /// Handles a request that has a transaction already.
    fn again(&mut self, case: &Case<'_, '_>, slot: u32, out: &mut Vec<Output>) -> Outcome {
        let (mut context, table) = self.split(case.now, out);
        if let Some(transaction) = table.get_mut(slot) {
            // Over a stream a repetition means that the connection was lost: answers go down the new one.
            if case.arrival.connection.is_some() {
                transaction.server.peer = case.peer;
            }
            let again = transaction.server.again(|peer| {
                context.work.edit.clear();
                case.request.via.stamp(peer.addr(), &mut context.work.edit);
                context.work.apply(case.message.bytes())
            });
            if let Some(bytes) = again {
                context.reply(&case.peer, bytes);
            }
        }
        self.settle(slot, out);
        Outcome::Absorbed
    }
}
