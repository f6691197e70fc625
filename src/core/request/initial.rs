//! A request outside any dialog: judged, answered, refused or forwarded.
//!
//! What the request alone decides keeps no state; only what is forwarded opens a transaction.

use crate::config::{Outbound, Transport};
use crate::core::forwarding::rewrite;
use crate::core::io::{DropCause, Note, Outcome, Output, Verdict};
use crate::core::media_relay::{Pending, Relayed};
use crate::core::memory::rate_limit::Pace;
use crate::core::memory::refused_calls::RefusedCall;
use crate::core::routing::route_token::Vouched;
use crate::core::routing::serving::Serving;
use crate::core::routing::target::{self, Found, Order, TargetSet};
use crate::core::rules::admit::{self, Admitted};
use crate::core::rules::case::{Case, uri_range, verdict};
use crate::core::rules::refusal::{self, Refusal};
use crate::core::rules::sides::{Side, Source};
use crate::core::state::Core;
use crate::core::transaction::CallFacts;
use crate::fence::Fence;
use crate::reason::{Class, Reason};
use crate::sip::list;
use crate::sip::uri::Scheme;
use crate::sip::{Method, Name};

/// What we answer OPTIONS and 405 with.
const ALLOW: &[u8] = b"Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, INFO, REFER, NOTIFY, SUBSCRIBE, MESSAGE, OPTIONS\r\n";

impl Core {
    /// A request outside any dialog.
    pub(crate) fn initial(&mut self, case: &Case<'_, '_>, out: &mut Vec<Output>) -> Result<Outcome, Pending> {
        let config = self.config.clone();
        let source = Source::of(&config, case.region(), case.arrival);
        // What has waited for a relay was paced when it came.
        let paced = !source.trunks.is_empty() && !self.relays.has_waited();
        let overloaded = match config.limits.per_source.filter(|_| paced) {
            Some(rate) => match self.paces.pace(case.now, case.arrival.from.ip(), rate) {
                Pace::Within => false,
                Pace::Over => true,
                Pace::Flood => return Ok(Outcome::Dropped(DropCause::Flood)),
            },
            None => false,
        };
        if case.request.method == Method::Invite
            && let Some(outcome) = self.repeated(case, out)
        {
            return Ok(outcome);
        }
        let admitted = match admit::admit(&config, case, source, out) {
            Ok(admitted) => admitted,
            // A probe of the bare endpoint asks about us, not about a project.
            Err(refusal) if refusal.reason == Reason::UnknownEndpoint && admit::is_ping(&config, case.arrival, case.request) => {
                return Ok(self.ping(case, out));
            }
            Err(refusal) => return Ok(self.refuse(case, &refusal, out)),
        };
        let refusal = |reason, detail| Refusal { reason, project: Some(admitted.project), trunk: Some(admitted.trunk), detail };
        if let Some(outcome) = self.closed(case, &admitted, overloaded, out) {
            return Ok(outcome);
        }
        let outbound = config.trunk(admitted.trunk).outbound.as_ref().filter(|_| admitted.outbound);
        // What asks for TLS on every hop goes on so or not at all (RFC 5630 5.3); nothing is made to ask for that here.
        let secure = case.request.uri.scheme == Scheme::Sips;
        let mut targets = match self.first_targets(case, outbound, secure) {
            Found::Inside(targets) => targets,
            Found::Plain => return Ok(self.say(case, 416, "Unsupported URI Scheme", b"", out)),
            Found::Outside(addr) => {
                return Ok(self.refuse(case, &refusal(Reason::ForeignTarget, format!("next hop {addr} is outside")), out));
            }
            // The nearest regions may have a server.
            Found::Nothing => TargetSet::new(),
        };
        let nothing = targets.is_empty();
        let whose = (admitted.project, admitted.trunk);
        let (call_relay, swap) = match self.split(case.now, out).0.relay_offer(case, whose, None)? {
            Relayed::Fast(call_relay, swap) => (call_relay, swap),
            Relayed::Denied(reason, detail) => return Ok(self.refuse(case, &refusal(reason, detail), out)),
        };
        let shadow = admitted.shadow.or_else(|| swap.shadow());
        let serving = Serving::by(&config, &self.targets, case.region(), admitted.outbound, secure, shadow);
        serving.spare(&config, admitted.project, &mut targets);
        let uri = outbound.map(|outbound| outward(outbound, case));
        let token = records_route(case.request.method)
            .then(|| {
                let relay = call_relay.map(|call_relay| call_relay.relay);
                let vouched = Vouched { trunk: admitted.trunk, serving: case.region(), relay };
                self.tokens.sign(&self.keys, case.region(), vouched, case.request.call_id)
            })
            .flatten();
        self.work.edit.clear();
        rewrite::anchor(case.message, &swap, &mut self.work.edit);
        if let Some(uri) = uri {
            self.work.edit.splice(uri_range(case.message), &[&uri]);
        }
        let asks = if admitted.outbound { Side::Servers } else { Side::Trunk };
        let facts = CallFacts {
            region: case.region(),
            asks,
            project: Some(admitted.project),
            trunk: Some(admitted.trunk),
            serving: Some(serving),
            method: case.request.method,
            call_relay,
            token,
            loop_hash: self.loop_hash(case.message, case.request),
            since: case.now,
        };
        let Some(went) = self.open(case, facts, case.arrival.listener, &mut targets, out) else {
            let (reason, detail) = if nothing {
                (Reason::NoTarget, "next hop resolves to nothing")
            } else {
                (Reason::TargetsDown, "no listener reaches any target")
            };
            if let Some(call_relay) = call_relay {
                let (mut env, _) = self.split(case.now, out);
                env.release(
                    case.region(),
                    (Some(admitted.project), Some(admitted.trunk)),
                    call_relay.relay,
                    case.request.call_id,
                );
            }
            return Ok(self.refuse(case, &refusal(reason, detail.to_owned()), out));
        };
        if call_relay.is_some_and(|call_relay| call_relay.offered) {
            out.push(Output::Note(Note::MediaRelayed { region: case.region() }));
        }
        let accepted = (went == case.region()).then_some((Verdict::Accept, Reason::InRegion));
        // That it went elsewhere was noted when it did.
        if let Some((label, reason)) = shadow.map(|reason| (Verdict::Shadow, reason)).or(accepted) {
            out.push(verdict(case.region(), Some(admitted.project), Some(admitted.trunk), label, reason));
        }
        Ok(Outcome::Forwarded)
    }

    /// What is not forwarded although it may pass: what is asked of us, what no proxy may forward, what there is no room for.
    fn closed(&mut self, case: &Case<'_, '_>, admitted: &Admitted, overloaded: bool, out: &mut Vec<Output>) -> Option<Outcome> {
        let refusal = |reason, detail| Refusal { reason, project: Some(admitted.project), trunk: Some(admitted.trunk), detail };
        let region = self.config.region(case.region());
        match case.request.method {
            Method::Options => return Some(self.ping(case, out)),
            Method::Register if !region.register => {
                return Some(self.say(case, 405, "Method Not Allowed", ALLOW, out));
            }
            Method::Publish if !region.publish => {
                return Some(self.say(case, 405, "Method Not Allowed", ALLOW, out));
            }
            _ => {}
        }
        if case.message.first(Name::Route).is_some() {
            return Some(self.refuse(case, &refusal(Reason::ForgedRoute, "Route in a request outside a dialog".to_owned()), out));
        }
        if let Some(outcome) = self.unfit(case, out) {
            return Some(outcome);
        }
        // What has waited for a relay meanwhile came before.
        if (self.draining || case.listener.leaving) && !self.relays.has_waited() {
            return Some(self.refuse(case, &refusal(Reason::Draining, "shutting down, try a sibling".to_owned()), out));
        }
        if overloaded {
            let detail =
                format!("more than {} requests/s from {}", self.config.limits.per_source.unwrap_or(0), case.arrival.from.ip());
            return Some(self.refuse(case, &refusal(Reason::Overloaded, detail), out));
        }
        if self.is_full() {
            return Some(self.refuse(case, &refusal(Reason::Overloaded, "too many open transactions".to_owned()), out));
        }
        None
    }

    /// Where a new request goes first: the region's servers, or the trunk that it goes out by.
    fn first_targets(&self, case: &Case<'_, '_>, outbound: Option<&Outbound>, secure: bool) -> Found {
        let region = self.config.region(case.region());
        let order =
            Order::new(&self.health, case.now, self.keys.choice(&self.table.next_serial().to_le_bytes())).telling(case.trace);
        let (hops, fence) = match outbound {
            Some(outbound) => (std::slice::from_ref(&outbound.hop), Fence::of_outbound(&outbound.networks)),
            None => (region.upstream.as_slice(), Fence::of_region(&region.networks)),
        };
        target::find(&self.config, &self.targets, hops, secure, fence, order)
    }

    /// What no proxy may forward, whoever asks: 483 (16.3 step 3), 440 (RFC 5393 5.3.3), 420 (16.3 step 5).
    pub(crate) fn unfit(&mut self, case: &Case<'_, '_>, out: &mut Vec<Output>) -> Option<Outcome> {
        // RFC 5630: what asks for TLS on every hop did not have it on the last one.
        if case.request.uri.scheme == Scheme::Sips && case.listener.transport != Transport::Tls {
            return Some(self.say(case, 416, "Unsupported URI Scheme", b"", out));
        }
        if case.request.max_forwards == Some(0) {
            return Some(self.say(case, 483, "Too Many Hops", b"", out));
        }
        let breadth = case.message.first(Name::MaxBreadth).map(|header| case.message.value(header));
        if breadth == Some(b"0") {
            return Some(self.say(case, 440, "Max-Breadth Exceeded", b"", out));
        }
        let mut unsupported = Vec::new();
        for item in list::items(case.message, Name::ProxyRequire) {
            unsupported.extend_from_slice(if unsupported.is_empty() { b"Unsupported: " } else { b", " });
            unsupported.extend_from_slice(case.message.slice(&item.span));
        }
        if unsupported.is_empty() {
            return None;
        }
        unsupported.extend_from_slice(b"\r\n");
        Some(self.say(case, 420, "Bad Extension", &unsupported, out))
    }

    /// OPTIONS about ourselves: answered without state.
    pub(crate) fn ping(&mut self, case: &Case<'_, '_>, out: &mut Vec<Output>) -> Outcome {
        if self.draining || case.listener.leaving || !self.targets.all_known() {
            return self.say(case, 503, "Service Unavailable", b"", out);
        }
        let rows = [ALLOW, b"Accept: application/sdp\r\n"].concat();
        self.say(case, 200, "OK", &rows, out)
    }

    /// An INVITE that was refused for good a moment ago: told the same, without judging again.
    fn repeated(&mut self, case: &Case<'_, '_>, out: &mut Vec<Output>) -> Option<Outcome> {
        let call = self.keys.call(case.request.call_id, case.request.from_tag);
        let told = self.repeats.get(case.now, call)?.clone();
        let (mut env, _) = self.split(case.now, out);
        env.answer_request(case, told.code, told.reason.phrase(), &told.rows);
        if told.request != self.instance(case) {
            out.push(Output::Note(Note::Repeat { region: case.region(), project: told.project, trunk: told.trunk }));
        }
        out.push(verdict(case.region(), told.project, told.trunk, Verdict::Refuse, told.reason));
        Some(Outcome::Refused(told.reason))
    }

    /// One sending of a call: a retransmission has the same.
    fn instance(&self, case: &Case<'_, '_>) -> u128 {
        self.keys.instance(case.key, case.request.cseq)
    }

    /// Refuses, without keeping a transaction: the same request gets the same bytes again.
    pub(crate) fn refuse(&mut self, case: &Case<'_, '_>, refusal: &Refusal, out: &mut Vec<Output>) -> Outcome {
        let invite = case.request.method == Method::Invite;
        let code = refusal.profile(&self.config).code(refusal.reason, invite);
        let rows = refusal::rows(&self.config, case.region(), refusal);
        self.refuse_with(case, refusal, code, rows, out)
    }

    pub(crate) fn refuse_with(
        &mut self,
        case: &Case<'_, '_>,
        refusal: &Refusal,
        code: u16,
        rows: Vec<u8>,
        out: &mut Vec<Output>,
    ) -> Outcome {
        let (mut env, _) = self.split(case.now, out);
        env.answer_request(case, code, refusal.reason.phrase(), &rows);
        out.push(verdict(case.region(), refusal.project, refusal.trunk, Verdict::Refuse, refusal.reason));
        let invite = case.request.method == Method::Invite;
        if invite && case.request.to_tag.is_some() {
            self.refused.put(case.now, case.key, ());
        }
        let call = invite && case.request.to_tag.is_none();
        if call && refusal.reason.class() == Class::Policy {
            let told = RefusedCall::of(refusal, code, rows, self.instance(case));
            self.repeats.put(case.now, self.keys.call(case.request.call_id, case.request.from_tag), told);
        }
        Outcome::Refused(refusal.reason)
    }
}

/// The Request-URI of a call out: the call's scheme and user at the trunk's host.
fn outward(outbound: &Outbound, case: &Case<'_, '_>) -> Vec<u8> {
    let scheme: &[u8] = if case.request.uri.scheme == Scheme::Sips { b"sips:" } else { b"sip:" };
    let user = case.request.uri.user.map(|user| [user, b"@"].concat()).unwrap_or_default();
    [scheme, &user, outbound.hostpart.as_bytes()].concat()
}

/// Methods that may form a dialog, and those that nobody knows (RFC 3261 16.6 step 4): we stay on their path.
fn records_route(method: Method) -> bool {
    matches!(method, Method::Invite | Method::Subscribe | Method::Refer | Method::Notify | Method::Update | Method::Other)
}
