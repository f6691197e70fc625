//! One attempt after the other: starting, giving up, answering when none is left.
//!
//! Serial and inside the region alone: the targets were fenced when they were found, and each attempt has a branch of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::config::{ListenerId, RegionId, Transport};
use crate::core::context::{Context, First, Work};
use crate::core::forwarding::branch::{Branch, NO_SLOT};
use crate::core::forwarding::local_names::{OwnRows, leave_by};
use crate::core::forwarding::rewrite;
use crate::core::io::{Destination, Note, Output, Peer, Send, Verdict};
use crate::core::keys::Hex;
use crate::core::routing::region_failover::MovingCall;
use crate::core::routing::route_token::Token;
use crate::core::routing::target::{Target, TargetSet};
use crate::core::rules::case::Case;
use crate::core::rules::refusal::{self, Refusal};
use crate::core::transaction::{Client, Transaction, attempt};
use crate::reason::Reason;
use crate::sip::reply::LocalResponse;
use crate::sip::{Message, Method, Name, Request, Start, uri};

/// Requests longer than this go over a stream where the region has one (RFC 3261 18.1.1).
const DATAGRAM: usize = 1300;

/// What our Via and Record-Route add to a request, about.
const HEAD: usize = 200;

/// What our X-Ringfence adds to a new request, about.
const ROW: usize = 100;

impl Context<'_> {
    /// Sends to a peer.
    pub(crate) fn reply(&mut self, peer: &Peer, bytes: Bytes) {
        let transport = self.config.listener(peer.listener()).transport;
        self.out.push(Output::Send(Send {
            to: Destination::Peer(*peer),
            transport,
            server: None,
            listener: peer.listener(),
            local: Some(peer.local().ip()),
            bytes,
            attempt: None,
        }));
    }

    /// Answers a request from its own bytes; `None` if it cannot be answered.
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
            let from = tag.and_then(crate::sip::address::Address::parse).and_then(|from| from.tag()).unwrap_or_default();
            let call = message.first(Name::CallId).map(|header| message.value(header)).unwrap_or_default();
            self.keys.to_tag(call, from)
        });
        self.work.buffer.clear();
        let reply = LocalResponse { code, phrase, to_tag: tag.as_ref().map(Hex::as_str), rows };
        if !reply.write(message, peer.addr(), &mut self.work.buffer) {
            return None;
        }
        Some(self.answered(peer, region, code))
    }

    /// The same for a request that has been read.
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
        let bytes = Bytes::copy_from_slice(&self.work.buffer);
        self.reply(peer, bytes.clone());
        self.out.push(Output::Note(Note::Responded { region, relayed: false, code }));
        bytes
    }

    /// Forwards a request to the first target that can be reached from a listener. The pending edit holds what does not depend on
    /// the target. `None`: no target can be reached.
    pub(crate) fn start(
        &mut self,
        message: &Message<'_>,
        request: &Request<'_>,
        first: First<'_>,
        targets: &mut TargetSet,
    ) -> Option<(Client, (usize, usize))> {
        rewrite::common(message, request, first.peer.addr(), &mut self.work.edit);
        let facts = first.facts;
        let row = facts.serving.as_ref().map_or(0, |_| ROW);
        let length = self.work.edit.length(message.bytes().len()) + HEAD + row;
        let mut call = MovingCall {
            region: facts.region,
            project: facts.project,
            trunk: facts.trunk,
            id: request.call_id,
            serial: first.serial,
            made: 0,
            relay: facts.call_relay.map(|call_relay| call_relay.relay),
            serving: &mut facts.serving,
            token: &mut facts.token,
        };
        self.put_aside(&mut call, targets);
        let chosen = match self.choose(facts.region, first.prefer, length, targets) {
            None => self.move_on(&mut call, first.prefer, length, targets),
            chosen => chosen,
        };
        let (target, transport, leaves) = chosen?;
        if transport.reliable() || !targets.is_empty() {
            rewrite::measure(message, &mut self.work.edit);
        }
        let nonce = self.nonce(first.serial, target.fenced.addr(), 0);
        let branch = Branch { shard: self.shard, slot: first.slot, nonce, loop_hash: facts.loop_hash };
        let mut head = self.head(&first.peer, leaves, branch, facts.token.as_ref(), is_secure(message));
        if let Some(serving) = &facts.serving {
            head.extend_from_slice(serving.row(self.config, facts.region, facts.project, facts.trunk).as_bytes());
        }
        let at = rewrite::head_place(message);
        self.work.edit.insert(at, &[&head]);
        let at = self.work.edit.place(at);
        let bytes = self.work.apply(message.bytes());
        let place = (at, at + head.len());
        let called = (facts.region, facts.project);
        let last = targets.is_empty() && !self.may_move(facts.serving.as_ref(), called, first.serial, 1);
        let until = self.until(self.now, facts.method, last);
        Some((self.launch(target, transport, leaves, first.slot, nonce, bytes, facts.method, until), place))
    }

    /// Forwards without a transaction: the ACK of a 2xx. The branch is the same for the same ACK.
    pub(crate) fn pass_on(
        &mut self,
        message: &Message<'_>,
        request: &Request<'_>,
        peer: &Peer,
        region: RegionId,
        loop_hash: u32,
        targets: &mut TargetSet,
    ) -> Option<()> {
        rewrite::common(message, request, peer.addr(), &mut self.work.edit);
        let length = self.work.edit.length(message.bytes().len()) + HEAD;
        let (target, transport, leaves) = self.choose(region, peer.listener(), length, targets)?;
        if transport.reliable() {
            rewrite::measure(message, &mut self.work.edit);
        }
        let nonce = self.keys.branch(&[request.via.branch.unwrap_or_default(), request.call_id, &request.cseq.to_le_bytes()]);
        let branch = Branch { shard: self.shard, slot: NO_SLOT, nonce, loop_hash };
        let head = self.head(peer, leaves, branch, None, false);
        self.work.edit.insert(rewrite::head_place(message), &[&head]);
        let bytes = self.work.apply(message.bytes());
        self.send(target.fenced, target.server, transport, leaves, bytes, None);
        Some(())
    }

    /// Tries the next target of a transaction, with the bytes of the attempt before; `false` if there is none, or no time.
    pub(crate) fn next(&mut self, slot: u32, transaction: &mut Transaction, sent: &Bytes) -> bool {
        // In less than T1 nobody would be asked twice.
        if self.budget(transaction.since, transaction.method) < self.now + self.config.timers.t1 {
            return false;
        }
        let peer = transaction.server.peer;
        // One that has gone down since the targets were found waits until there is no other.
        if let Some(at) = transaction.targets.iter().position(|target| !self.health.is_down(target.place())) {
            let target = transaction.targets.remove(at);
            transaction.targets.insert(0, target);
        }
        let before = (transaction.client.target, transaction.client.transport);
        let message = Message::datagram(sent).ok();
        let id = message.as_ref().and_then(|message| Some(message.value(message.first(Name::CallId)?)));
        let made = transaction.earlier.len().saturating_add(1);
        let mut call = MovingCall {
            region: transaction.region,
            project: transaction.project,
            trunk: transaction.trunk,
            id: id.unwrap_or_default(),
            serial: transaction.serial,
            made,
            relay: transaction.call_relay.map(|call_relay| call_relay.relay),
            serving: &mut transaction.serving,
            token: &mut transaction.token,
        };
        self.put_aside(&mut call, &mut transaction.targets);
        let chosen = match self.choose(transaction.region, peer.listener(), sent.len(), &mut transaction.targets) {
            None => self.move_on(&mut call, peer.listener(), sent.len(), &mut transaction.targets),
            chosen => chosen,
        };
        let Some((target, transport, leaves)) = chosen else { return false };
        if before == (target.fenced, Transport::Tcp) && transport == Transport::Udp {
            self.no_stream.put(self.now, place(target.fenced.addr()), ());
        }
        let count = transaction.earlier.len() as u64 + 1;
        let nonce = self.nonce(transaction.serial, target.fenced.addr(), count);
        let branch = Branch { shard: self.shard, slot, nonce, loop_hash: transaction.loop_hash };
        let mut head = self.head(&peer, leaves, branch, transaction.token.as_ref(), message.as_ref().is_some_and(is_secure));
        if let Some(serving) = &transaction.serving {
            let row = serving.row(self.config, transaction.region, transaction.project, transaction.trunk);
            head.extend_from_slice(row.as_bytes());
        }
        let (from, to) = transaction.head;
        self.work.edit.clear();
        self.work.edit.splice(from..to, &[&head]);
        let bytes = self.work.apply(sent);
        transaction.head = (from, from + head.len());
        let until = self.until(transaction.since, transaction.method, !self.may_go_on(transaction, made.saturating_add(1)));
        let client = self.launch(target, transport, leaves, slot, nonce, bytes, transaction.method, until);
        transaction.earlier.push(std::mem::replace(&mut transaction.client, client));
        true
    }

    /// The next target that can be reached, how, and from which listener. A large request for a target that leaves the transport
    /// open goes by TCP first and by UDP should that fail.
    pub(crate) fn choose(
        &self,
        region: RegionId,
        prefer: ListenerId,
        length: usize,
        targets: &mut TargetSet,
    ) -> Option<(Target, Transport, ListenerId)> {
        while !targets.is_empty() {
            let target = targets.remove(0);
            let to = target.fenced.addr();
            if target.transport.is_none()
                && length > DATAGRAM
                && self.no_stream.get(self.now, place(to)).is_none()
                && let Some(leaves) = leave_by(self.config, region, prefer, Transport::Tcp, to)
            {
                let again = Target { transport: Some(Transport::Udp), ..target.clone() };
                // There is room: one was just taken out.
                let _ = targets.try_insert(0, again);
                return Some((target, Transport::Tcp, leaves));
            }
            let transport = target.transport.unwrap_or(Transport::Udp);
            if let Some(leaves) = leave_by(self.config, region, prefer, transport, to) {
                return Some((target, transport, leaves));
            }
        }
        None
    }

    fn nonce(&self, serial: u64, to: SocketAddr, count: u64) -> u64 {
        let port = to.port().to_le_bytes();
        self.keys.branch(&[&serial.to_le_bytes(), &count.to_le_bytes(), &port])
    }

    fn head(&self, peer: &Peer, leaves: ListenerId, branch: Branch, token: Option<&Token>, secure: bool) -> Vec<u8> {
        let mut head = Vec::with_capacity(256);
        let (arrived, called) = (peer.listener(), peer.local().ip());
        let sides = OwnRows { config: self.config, names: self.names, arrived, called, leaves, secure };
        sides.head(branch, token, &mut head);
        head
    }

    #[expect(clippy::too_many_arguments, reason = "what one attempt is made of, each used once")]
    fn launch(
        &mut self,
        target: Target,
        transport: Transport,
        leaves: ListenerId,
        slot: u32,
        nonce: u64,
        bytes: Bytes,
        method: Method,
        until: Instant,
    ) -> Client {
        self.health.launched(self.now, (target.fenced.addr(), transport));
        self.send(target.fenced, target.server.clone(), transport, leaves, bytes.clone(), Some(attempt(slot, nonce)));
        let invite = method == Method::Invite;
        Client::new(nonce, target.fenced, transport, leaves, target.server, bytes, invite, until, self.now, &self.config.timers)
    }

    /// How long an attempt may stay without any response: as long as is left of the request's time if it is the last, else
    /// `try_for` at most (RFC 3263 4.3 leaves the time to the client).
    fn until(&self, since: Instant, method: Method, last: bool) -> Instant {
        let budget = self.budget(since, method);
        if last { budget } else { budget.min(self.now + self.config.timers.try_for) }
    }

    /// When all attempts must have come to an end. An INVITE's caller has its answer a little before its own timer B; to anything
    /// else nothing is answered then (RFC 4320 4.2).
    fn budget(&self, since: Instant, method: Method) -> Instant {
        since + self.config.timers.t1 * if method == Method::Invite { 60 } else { 64 }
    }

    /// Sends to a fenced address.
    pub(crate) fn send(
        &mut self,
        to: crate::fence::Fenced,
        server: Option<Arc<str>>,
        transport: Transport,
        listener: ListenerId,
        bytes: Bytes,
        attempt: Option<crate::core::io::Attempt>,
    ) {
        let to = Destination::Fenced(to);
        self.out.push(Output::Send(Send { to, transport, server, listener, local: None, bytes, attempt }));
    }

    /// Sends something again, or something that goes where an attempt went.
    pub(crate) fn send_along(&mut self, slot: u32, client: &Client, bytes: Bytes) {
        let name = client.is_open().then(|| attempt(slot, client.nonce));
        self.send(client.target, client.server.clone(), client.transport, client.listener, bytes, name);
    }

    /// Sends the CANCEL of the present attempt now (RFC 3261 9.1).
    pub(crate) fn cancel(&mut self, slot: u32, client: &mut Client, reason: &Bytes) {
        self.work.buffer.clear();
        if rewrite::companion(&client.request, Method::Cancel, None, reason, &mut self.work.buffer).is_some() {
            let bytes = Bytes::copy_from_slice(&self.work.buffer);
            self.send_along(slot, client, bytes.clone());
            client.cancelled(self.now, &self.config.timers, bytes);
        }
    }

    /// Answers a transaction finally by ourselves. `sent` are the bytes of an attempt: they hold all that an answer needs.
    pub(crate) fn conclude(&mut self, transaction: &mut Transaction, sent: &Bytes, code: u16, phrase: &str, rows: &[u8]) {
        let (from, to) = transaction.head;
        let mut original = Vec::with_capacity(sent.len());
        original.extend_from_slice(sent.get(..from).unwrap_or_default());
        original.extend_from_slice(sent.get(to..).unwrap_or_default());
        let Ok(message) = Message::datagram(&original) else { return };
        let peer = transaction.server.peer;
        if code >= 300 && transaction.ends_call() {
            self.let_go(transaction, &message);
        }
        if let Some(bytes) = self.answer(&message, &peer, transaction.region, code, phrase, rows) {
            if code < 200 {
                transaction.server.provisional(bytes);
            } else {
                transaction.server.finish(self.now, &self.config.timers, code, bytes);
            }
        }
    }

    /// Every target failed: the capacity answer (152).
    pub(crate) fn all_down(&mut self, transaction: &mut Transaction, sent: &Bytes, detail: String) {
        let refusal = Refusal { reason: Reason::TargetsDown, project: transaction.project, trunk: transaction.trunk, detail };
        let code = refusal.profile(self.config).code(refusal.reason, transaction.is_invite());
        let rows = refusal::rows(self.config, transaction.region, &refusal);
        self.conclude(transaction, sent, code, refusal.reason.phrase(), &rows);
        self.out.push(Output::Note(Note::Verdict {
            region: transaction.region,
            project: transaction.project,
            trunk: transaction.trunk,
            verdict: Verdict::Refuse,
            reason: refusal.reason,
        }));
    }
}

/// Whether a request is for a `sips:` URI. What we write of its head does not change that.
fn is_secure(message: &Message<'_>) -> bool {
    matches!(message.start(), Start::Request { uri, .. } if uri::is_sips(message.slice(uri)))
}

/// A target's address as a key. Two addresses never share one in a family; should two ever across families, a large request only
/// goes in datagrams.
fn place(to: SocketAddr) -> u128 {
    let ip = match to.ip() {
        std::net::IpAddr::V4(ip) => u128::from(u32::from(ip)),
        std::net::IpAddr::V6(ip) => u128::from(ip),
    };
    ip.rotate_left(16) ^ u128::from(to.port())
}
