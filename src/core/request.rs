//! What happens to a request that arrives: matched, judged, answered, refused or forwarded.

use std::time::Instant;

use super::admit::{self, Admitted, Refusal, Source, shown};
use super::attempt::First;
use super::branch::Branch;
use super::io::{Arrival, Drop, Note, Outcome, Output, Peer, Verdict};
use super::limit::Pace;
use super::repeat::Told;
use super::route::{self, Way};
use super::target::{self, Found, TargetSet};
use super::transaction::{Opening, Server};
use super::{Core, refuse};
use crate::config::{Listener, ProjectId, RegionId, TrunkId};
use crate::fence::Fence;
use crate::reason::Reason;
use crate::sip::list;
use crate::sip::uri::Scheme;
use crate::sip::{Fault, Message, Method, Name, Request, via};

/// What we answer OPTIONS and 405 with.
const ALLOW: &[u8] = b"Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, INFO, REFER, NOTIFY, SUBSCRIBE, MESSAGE, OPTIONS\r\n";

/// Requests a second to which a source that is nobody is answered 403; beyond, nothing is said.
const STRANGER_RATE: u32 = 20;

/// What a request is to the rest of its handling.
struct Case<'c, 'a> {
    now: Instant,
    arrival: &'c Arrival,
    peer: Peer,
    listener: Listener,
    message: &'c Message<'a>,
    request: &'c Request<'a>,
    /// The request's identity (RFC 3261 17.2.3).
    key: u128,
    round: u32,
}

impl Case<'_, '_> {
    fn region(&self) -> RegionId {
        self.listener.region
    }
}

impl Core {
    /// A request has arrived.
    pub(super) fn request(&mut self, now: Instant, arrival: &Arrival, message: &Message<'_>, out: &mut Vec<Output>) -> Outcome {
        let listener = *self.config.listener(arrival.listener);
        let peer = Peer::of(arrival);
        let ack = matches!(message.start(), crate::sip::Start::Request { method: Method::Ack, .. });
        if Source::of(&self.config, listener.region, arrival.from.ip()).is_unknown() {
            return self.stranger(now, arrival, &peer, message, ack, out);
        }
        let request = match Request::read(message) {
            Ok(request) => request,
            Err(fault) => {
                self.malformed(now, &peer, listener.region, message, ack, fault, out);
                return Outcome::Malformed(fault);
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
            round: self.round(message, &request),
        };
        match request.method {
            Method::Ack => self.ack(&case, out),
            Method::Cancel => self.cancel(&case, out),
            _ => {
                if let Some(slot) = self.table.find(case.key) {
                    return self.again(&case, slot, out);
                }
                // RFC 3261 16.3 step 4 and RFC 5393 4.2: only our own hash of the same routing proves a loop.
                if via::branches(message).filter_map(Branch::read).any(|branch| branch.round == case.round) {
                    return self.say(&case, 482, "Loop Detected", b"", out);
                }
                if request.to_tag.is_some() { self.inside(&case, out) } else { self.initial(&case, out) }
            }
        }
    }

    /// Answers a request that could not be understood, if that is possible: never an ACK.
    #[expect(clippy::too_many_arguments, reason = "the request is not there to bundle them in")]
    pub(super) fn malformed(
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
            return Outcome::Dropped(Drop::Flood);
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
    fn round(&self, message: &Message<'_>, request: &Request<'_>) -> u32 {
        let route = message.first(Name::Route).map(|header| message.value(header)).unwrap_or_default();
        self.keys.round(&[
            request.uri_text,
            route,
            request.from_tag,
            request.to_tag.unwrap_or_default(),
            request.call_id,
            &request.cseq.to_le_bytes(),
            request.token,
        ])
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
    fn say(&mut self, case: &Case<'_, '_>, code: u16, phrase: &str, rows: &[u8], out: &mut Vec<Output>) -> Outcome {
        let (mut env, _) = self.split(case.now, out);
        env.answer(case.message, &case.peer, case.region(), code, phrase, rows);
        Outcome::Answered(code)
    }

    /// An ACK: for our own final answer it is absorbed; for a 2xx it goes on end to end, without a transaction (RFC 3261 16.11).
    fn ack(&mut self, case: &Case<'_, '_>, out: &mut Vec<Output>) -> Outcome {
        if let Some(slot) = self.table.find(case.key) {
            let (env, table) = self.split(case.now, out);
            let timers = &env.config.timers;
            if table.get_mut(slot).is_some_and(|transaction| transaction.server.acknowledged(case.now, timers)) {
                self.settle(slot, out);
                return Outcome::Absorbed;
            }
        }
        if case.request.to_tag == Some(self.keys.to_tag(case.request.call_id, case.request.from_tag).as_bytes()) {
            return Outcome::Absorbed;
        }
        let Some(way) = self.way(case) else { return Outcome::Stray };
        if case.request.max_forwards == Some(0) {
            return Outcome::Dropped(Drop::AckTarget);
        }
        let Some(Found::Inside(mut targets)) = self.dialog_targets(case, &way) else {
            return Outcome::Dropped(Drop::AckTarget);
        };
        let (mut env, _) = self.split(case.now, out);
        env.work.edit.clear();
        way.edit(case.message, uri_range(case.message), &mut env.work.edit);
        if env.pass_on(case.message, case.request, &case.peer, case.region(), case.round, &mut targets).is_none() {
            return Outcome::Dropped(Drop::AckTarget);
        }
        Outcome::Forwarded
    }

    /// A CANCEL: answered here, hop by hop; the attempt is cancelled once something came back from it (9.1, 16.10).
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
        env.answer(case.message, &case.peer, case.listener.region, 200, "OK", b"");
        if transaction.server.is_open() {
            transaction.cancelled = true;
            let mut reason = Vec::new();
            for header in case.message.all(Name::Reason) {
                reason.extend_from_slice(case.message.slice(&header.row));
            }
            if let Some(reason) = transaction.client.want_cancel(reason.into()) {
                env.cancel(slot, &mut transaction.client, &reason);
            }
            self.settle(slot, out);
        }
        Outcome::Answered(200)
    }

    /// A request outside any dialog.
    fn initial(&mut self, case: &Case<'_, '_>, out: &mut Vec<Output>) -> Outcome {
        let config = self.config.clone();
        let source = Source::of(&config, case.region(), case.arrival.from.ip());
        let overloaded = match config.limits.per_source.filter(|_| !source.trunks.is_empty()) {
            Some(rate) => match self.paces.pace(case.now, case.arrival.from.ip(), rate) {
                Pace::Within => false,
                Pace::Over => true,
                Pace::Flood => return Outcome::Dropped(Drop::Flood),
            },
            None => false,
        };
        if case.request.method == Method::Invite {
            if let Some(outcome) = self.repeated(case, out) {
                return outcome;
            }
        }
        let admitted = match admit::admit(&config, &case.listener, case.arrival, source, case.message, case.request) {
            Ok(admitted) => admitted,
            // A probe of the bare endpoint asks about us, not about a project.
            Err(refusal) if refusal.reason == Reason::UnknownEndpoint && admit::is_ping(&config, case.arrival, case.request) => {
                return self.ping(case, out);
            }
            Err(refusal) => return self.refuse(case, &refusal, out),
        };
        let refusal = |reason, detail| Refusal { reason, project: Some(admitted.project), trunk: Some(admitted.trunk), detail };
        match case.request.method {
            Method::Options => return self.ping(case, out),
            Method::Register if !config.region(case.region()).register => {
                return self.say(case, 405, "Method Not Allowed", ALLOW, out);
            }
            Method::Publish if !config.region(case.region()).publish => {
                return self.say(case, 405, "Method Not Allowed", ALLOW, out);
            }
            _ => {}
        }
        if case.message.first(Name::Route).is_some() {
            return self.refuse(case, &refusal(Reason::ForgedRoute, "Route in a request outside a dialog".to_owned()), out);
        }
        if let Some(outcome) = self.unfit(case, out) {
            return outcome;
        }
        if self.draining {
            return self.refuse(case, &refusal(Reason::Draining, "shutting down, try a sibling".to_owned()), out);
        }
        if overloaded {
            let detail =
                format!("more than {} requests/s from {}", config.limits.per_source.unwrap_or(0), case.arrival.from.ip());
            return self.refuse(case, &refusal(Reason::Overloaded, detail), out);
        }
        if self.is_full() {
            return self.refuse(case, &refusal(Reason::Overloaded, "too many open transactions".to_owned()), out);
        }
        let region = config.region(case.region());
        let outbound = config.trunk(admitted.trunk).outbound.as_ref().filter(|_| admitted.outbound);
        let found = match outbound {
            Some(outbound) => {
                target::find(std::slice::from_ref(&outbound.hop), &self.targets, Fence::of_outbound(&outbound.networks))
            }
            None => target::find(&region.upstream, &self.targets, Fence::of_region(&region.networks)),
        };
        let mut targets = match found {
            Found::Inside(targets) => targets,
            Found::Outside(addr) => {
                return self.refuse(case, &refusal(Reason::ForeignTarget, format!("next hop {addr} is outside")), out);
            }
            Found::Nothing => {
                return self.refuse(case, &refusal(Reason::NoTarget, "next hop resolves to nothing".to_owned()), out);
            }
        };
        let uri = outbound.map(|outbound| {
            let user = case.request.uri.user.map(|user| [user, b"@"].concat()).unwrap_or_default();
            [b"sip:", user.as_slice(), outbound.hostpart.as_bytes()].concat()
        });
        let token = records_route(case.request.method)
            .then(|| self.tokens.sign(&self.keys, case.region(), admitted.trunk, case.request.call_id))
            .flatten();
        self.work.edit.clear();
        if let Some(uri) = uri {
            self.work.edit.splice(uri_range(case.message), &[&uri]);
        }
        let row = self.accepted_row(case.region(), &admitted);
        self.work.edit.insert(case.message.head_end(), &[&row]);
        let opening = Opening {
            region: case.region(),
            project: Some(admitted.project),
            trunk: Some(admitted.trunk),
            method: case.request.method,
            token,
            round: case.round,
            since: case.now,
        };
        if !self.open(case, opening, case.arrival.listener, &mut targets, out) {
            return self.refuse(case, &refusal(Reason::TargetsDown, "no listener reaches any target".to_owned()), out);
        }
        let (label, reason) = match admitted.shadow {
            Some(reason) => (Verdict::Shadow, reason),
            None => (Verdict::Accept, Reason::InRegion),
        };
        out.push(verdict(case.region(), Some(admitted.project), Some(admitted.trunk), label, reason));
        Outcome::Forwarded
    }

    /// What a forwarded request says about itself to the region's servers.
    fn accepted_row(&self, region: RegionId, admitted: &Admitted) -> Vec<u8> {
        let reason = admitted.shadow.unwrap_or(Reason::InRegion);
        let shadow = if admitted.shadow.is_some() { "; verdict=shadow" } else { "" };
        format!(
            "X-Ringfence: {}; reason={reason}; region={}; project={}; trunk={}{shadow}\r\n",
            reason.id(),
            self.config.region(region).name,
            self.config.project(admitted.project).name,
            self.config.trunk(admitted.trunk).name,
        )
        .into_bytes()
    }

    /// What no proxy may forward, whoever asks: 483 (16.3 step 3), 440 (RFC 5393 5.3.3), 420 (16.3 step 5).
    fn unfit(&mut self, case: &Case<'_, '_>, out: &mut Vec<Output>) -> Option<Outcome> {
        // RFC 5630: what asks for TLS on every hop may not be carried on without it, and there is none yet.
        if case.request.uri.scheme == Scheme::Sips {
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
    fn ping(&mut self, case: &Case<'_, '_>, out: &mut Vec<Output>) -> Outcome {
        if self.draining || !self.targets.all_known() {
            return self.say(case, 503, "Service Unavailable", b"", out);
        }
        let rows = [ALLOW, b"Accept: application/sdp\r\n"].concat();
        self.say(case, 200, "OK", &rows, out)
    }

    /// An INVITE that was refused for good a moment ago: told the same, without judging again.
    fn repeated(&mut self, case: &Case<'_, '_>, out: &mut Vec<Output>) -> Option<Outcome> {
        let call = self.keys.call(case.request.call_id, case.request.from_tag);
        let told = self.repeats.told(case.now, call)?.clone();
        let (mut env, _) = self.split(case.now, out);
        env.answer(case.message, &case.peer, case.listener.region, told.code, told.reason.phrase(), &told.rows);
        if told.request != self.instance(case) {
            out.push(Output::Note(Note::Repeat { region: case.region(), project: told.project, trunk: told.trunk }));
        }
        out.push(verdict(case.region(), told.project, told.trunk, Verdict::Refuse, told.reason));
        Some(Outcome::Refused(told.reason))
    }

    /// One sending of a call: a retransmission has the same.
    fn instance(&self, case: &Case<'_, '_>) -> u128 {
        self.keys.table(&[&case.key.to_le_bytes(), &case.request.cseq.to_le_bytes()])
    }

    /// Refuses, without keeping a transaction: the same request gets the same bytes again.
    fn refuse(&mut self, case: &Case<'_, '_>, refusal: &Refusal, out: &mut Vec<Output>) -> Outcome {
        let invite = case.request.method == Method::Invite;
        let code = refusal.profile(&self.config).code(refusal.reason, invite);
        let rows = refuse::rows(&self.config, case.region(), refusal);
        self.refuse_with(case, refusal, code, rows, out)
    }

    fn refuse_with(
        &mut self,
        case: &Case<'_, '_>,
        refusal: &Refusal,
        code: u16,
        rows: Vec<u8>,
        out: &mut Vec<Output>,
    ) -> Outcome {
        let (mut env, _) = self.split(case.now, out);
        env.answer(case.message, &case.peer, case.listener.region, code, refusal.reason.phrase(), &rows);
        out.push(verdict(case.region(), refusal.project, refusal.trunk, Verdict::Refuse, refusal.reason));
        let call = case.request.method == Method::Invite && case.request.to_tag.is_none();
        if call && refusal.reason.class() == crate::reason::Class::Policy {
            let told = Told {
                code,
                reason: refusal.reason,
                project: refusal.project,
                trunk: refusal.trunk,
                rows: rows.into_boxed_slice(),
                request: self.instance(case),
                at: case.now,
            };
            self.repeats.tell(self.keys.call(case.request.call_id, case.request.from_tag), told);
        }
        Outcome::Refused(refusal.reason)
    }

    /// A request inside a dialog: our token leads it, the fence judges its next hop.
    fn inside(&mut self, case: &Case<'_, '_>, out: &mut Vec<Output>) -> Outcome {
        let nobody = |reason, detail| Refusal { reason, project: None, trunk: None, detail };
        let Some(way) = self.way(case) else {
            return self.refuse(case, &nobody(Reason::ForgedRoute, "no valid route token of this dialog".to_owned()), out);
        };
        let config = self.config.clone();
        let trunk = config.trunk(way.trunk);
        let refusal = |reason, detail| Refusal { reason, project: Some(trunk.project), trunk: Some(way.trunk), detail };
        let source = Source::of(&config, case.region(), case.arrival.from.ip());
        let Some(found) = self.dialog_targets(case, &way) else {
            return self.refuse(case, &refusal(Reason::UnknownSource, String::new()), out);
        };
        if let Some(outcome) = self.unfit(case, out) {
            return outcome;
        }
        if case.request.method == Method::Invite {
            let from_trunk = source.trunks.contains(&way.trunk).then_some(trunk);
            if let Some(outcome) = self.dialog_media(case, trunk.project, from_trunk, way.trunk, out) {
                return outcome;
            }
        }
        let mut targets = match found {
            Found::Inside(targets) => targets,
            Found::Nothing => {
                let detail = format!("next hop {} resolves to nothing", shown(way.next.hostport));
                return self.refuse(case, &refusal(Reason::NoTarget, detail), out);
            }
            Found::Outside(addr) => {
                return self.refuse(case, &refusal(Reason::ForeignDialogTarget, format!("next hop {addr} is outside")), out);
            }
        };
        if self.is_full() {
            return self.refuse(case, &refusal(Reason::Overloaded, "too many open transactions".to_owned()), out);
        }
        self.work.edit.clear();
        way.edit(case.message, uri_range(case.message), &mut self.work.edit);
        let transport = targets.first().and_then(|target| target.transport).unwrap_or(crate::config::Transport::Udp);
        let side = way.leave_by.and_then(|hostport| self.names.find(&config, case.region(), hostport, transport));
        let opening = Opening {
            region: case.region(),
            project: Some(trunk.project),
            trunk: Some(way.trunk),
            method: case.request.method,
            token: None,
            round: case.round,
            since: case.now,
        };
        if !self.open(case, opening, side.unwrap_or(case.arrival.listener), &mut targets, out) {
            return self.refuse(case, &refusal(Reason::TargetsDown, "no listener reaches the next hop".to_owned()), out);
        }
        Outcome::Forwarded
    }

    /// Media of a re-INVITE: refused with 488, so that the call goes on as it was.
    fn dialog_media(
        &mut self,
        case: &Case<'_, '_>,
        project: ProjectId,
        from_trunk: Option<&crate::config::Trunk>,
        trunk: TrunkId,
        out: &mut Vec<Output>,
    ) -> Option<Outcome> {
        let config = self.config.clone();
        let rules = config.project(project);
        if rules.media == crate::config::Media::Off {
            return None;
        }
        let (reason, detail) = admit::media(&config.region(case.region()).networks, from_trunk, case.message).err()?;
        if rules.media == crate::config::Media::Warn || rules.mode == crate::config::Mode::Shadow {
            out.push(verdict(case.region(), Some(project), Some(trunk), Verdict::Shadow, reason));
            return None;
        }
        let refusal = Refusal { reason, project: Some(project), trunk: Some(trunk), detail };
        let rows = refuse::rows(&config, case.region(), &refusal);
        Some(self.refuse_with(case, &refusal, 488, rows, out))
    }

    fn way<'a>(&self, case: &Case<'_, 'a>) -> Option<Way<'a>> {
        route::way(&self.keys, &self.tokens, case.region(), case.message, case.request)
    }

    /// The targets of a request inside a dialog; `None` if it comes from neither of the dialog's sides. From the trunk only the
    /// region's networks are inside; from the region's servers the trunk's as well.
    fn dialog_targets(&self, case: &Case<'_, '_>, way: &Way<'_>) -> Option<Found> {
        let config = &self.config;
        let region = config.region(case.region());
        let trunk = config.trunk(way.trunk);
        let source = Source::of(config, case.region(), case.arrival.from.ip());
        let outbound = trunk.outbound.as_ref().map(|outbound| &outbound.networks);
        let fence = if source.server {
            Fence::of_dialog(&region.networks, &trunk.networks, outbound)
        } else if source.trunks.contains(&way.trunk) || outbound.is_some_and(|set| set.contains(case.arrival.from.ip())) {
            Fence::of_region(&region.networks)
        } else {
            return None;
        };
        Some(target::find_uri(&way.next, config, &self.targets, fence))
    }

    fn is_full(&self) -> bool {
        self.table.len() >= self.config.limits.transactions || self.table.vacancy().is_none()
    }

    /// Opens a transaction and sends the first attempt; an INVITE is told 100. `false`: no target can be reached.
    fn open(
        &mut self,
        case: &Case<'_, '_>,
        opening: Opening,
        prefer: crate::config::ListenerId,
        targets: &mut TargetSet,
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(slot) = self.table.vacancy() else { return false };
        let serial = self.table.next_serial();
        let invite = opening.method == Method::Invite;
        let (mut env, table) = self.split(case.now, out);
        let first = First {
            peer: case.peer,
            region: opening.region,
            method: opening.method,
            slot,
            serial,
            round: opening.round,
            token: opening.token.as_ref(),
            prefer,
        };
        let at = env.out.len();
        let Some((client, head)) = env.start(case.message, case.request, &first, targets) else { return false };
        let transport = env.config.listener(case.arrival.listener).transport;
        let mut server = Server::new(case.key, case.peer, transport, invite, case.now, &env.config.timers);
        if invite {
            // The 100 leaves first: what it stops is the caller's own repetition (17.2.1).
            let sent = env.out.split_off(at);
            if let Some(trying) = env.answer(case.message, &case.peer, opening.region, 100, "Trying", b"") {
                server.provisional(trying);
            }
            env.out.extend(sent);
        }
        env.out.push(Output::Note(Note::Transactions { region: opening.region, invite, opened: true }));
        table.insert(opening.open(server, client, head, std::mem::take(targets)));
        true
    }
}

/// Methods that may form a dialog, and those that nobody knows (RFC 3261 16.6 step 4): we stay on their path.
fn records_route(method: Method) -> bool {
    matches!(method, Method::Invite | Method::Subscribe | Method::Refer | Method::Notify | Method::Update | Method::Other)
}

fn uri_range(message: &Message<'_>) -> std::ops::Range<usize> {
    match message.start() {
        crate::sip::Start::Request { uri, .. } => uri.clone(),
        crate::sip::Start::Response { .. } => 0..0,
    }
}

fn verdict(region: RegionId, project: Option<ProjectId>, trunk: Option<TrunkId>, verdict: Verdict, reason: Reason) -> Output {
    Output::Note(Note::Verdict { region, project, trunk, verdict, reason })
}
