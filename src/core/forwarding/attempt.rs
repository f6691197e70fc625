//! The attempts of a request: starting the first one, and going on to the next target.
//!
//! Attempts are serial and stay inside the region. Each target was fenced when it was found, and each attempt has its own branch.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Instant;

use bytes::Bytes;

use crate::config::{ListenerId, Transport, TrunkId};
use crate::core::context::{Context, Work};
use crate::core::forwarding::branch::Branch;
use crate::core::forwarding::local_names::OwnRows;
use crate::core::forwarding::rewrite;
use crate::core::io::{Attempt, Output, Peer, Verdict};
use crate::core::routing::egress::{Egress, address_key};
use crate::core::routing::region_failover::{NextStep, Tries};
use crate::core::routing::route_token::Token;
use crate::core::routing::target::TargetSet;
use crate::core::rules::case::Case;
use crate::core::rules::ringfence_row;
use crate::core::telling::Teller;
use crate::core::transaction::client::Client;
use crate::core::transaction::forwarded::{CallFacts, Transaction, attempt, start_line};
use crate::reason::Reason;
use crate::sip::address::Address;
use crate::sip::{Message, Method, Name, Start, uri};

impl Context<'_> {
    /// Forwards a request by the first attempt of its plan. The pending edit holds all changes that do not depend on the egress.
    /// Returns the attempt and the place of our own rows in it.
    pub(crate) fn start(
        &mut self,
        case: &Case<'_, '_>,
        (slot, serial): (u32, u64),
        call: &CallFacts,
        first: NextStep,
        targets: &TargetSet,
    ) -> (Client, (usize, usize)) {
        let NextStep { egress, moves } = first;
        if moves {
            let told = Teller::tell_served(case.message, self.config, call, false);
            self.verdict(call.region, (call.project, call.trunk), Verdict::Accept, Reason::Failover, None, told);
        }
        if egress.transport.reliable() || !targets.is_empty() {
            rewrite::measure(case.message, &mut self.work.edit);
        }
        let nonce = self.nonce(serial, egress.to.addr(), 0);
        let branch = Branch { slot, nonce, loop_hash: call.loop_hash };
        self.own_rows(&case.peer, egress.listener, branch, call.token.as_ref(), is_secure(case.message));
        self.ringfence_row(call);
        let at = rewrite::own_rows_place(case.message);
        let Work { edit, rows, .. } = &mut *self.work;
        edit.insert(at, &[rows]);
        let length = rows.len();
        let at = self.work.edit.place(at);
        let bytes = self.work.apply(case.message.bytes());
        let at = at.saturating_sub(start_line(&bytes));
        let last = !self.view().may_go_on(call, targets, 1);
        let until = self.until(self.now, call.method, last);
        let egress = egress.of(call.trunk, call.origin.as_ref());
        (self.launch(egress, slot, nonce, bytes, call.method, until), (at, at + length))
    }

    /// Tries the next target of a transaction. `sent`: the bytes of the attempt before. `reached`: a connection to its target could be made,
    /// or has not been tried for. `false`: no target or no time is left.
    pub(crate) fn next(&mut self, slot: u32, transaction: &mut Transaction, sent: &Bytes, reached: bool) -> bool {
        let since = transaction.call.since;
        // In less than T1 the request could not even be repeated once.
        if self.budget(since, transaction.call.method) < self.now + self.config.timers.t1 {
            return false;
        }
        let peer = transaction.server.peer;
        if reached {
            let asked = transaction.client.egress.to;
            transaction.targets.retain(|target| !target.by_datagram || target.fenced != asked);
        }
        // One that has gone down since the targets were found waits until there is no other.
        if let Some(at) = transaction.targets.iter().position(|target| !self.health.is_down(target.place())) {
            let target = transaction.targets.remove(at);
            transaction.targets.insert(0, target);
        }
        let before = (transaction.client.egress.to, transaction.client.egress.transport);
        let message = Message::datagram(sent).ok();
        let id = message.as_ref().and_then(|message| Some(message.value(message.first(Name::CallId)?)));
        let from = message.as_ref().and_then(|message| Address::parse(message.value(message.first(Name::From)?))?.tag());
        let made = transaction.earlier.len().saturating_add(1);
        let (call_id, asker) = (id.unwrap_or_default(), from.unwrap_or_default());
        let tries = Tries { call_id, asker, made };
        let Transaction { call, targets, .. } = transaction;
        let mut left = TargetSet::from_vec(std::mem::take(targets));
        let step = self.view().next_egress(call, tries, peer.listener(), sent.len(), &mut left);
        *targets = left.into_vec();
        let Some(step) = step else { return false };
        let egress = step.egress.of(call.trunk, call.origin.as_ref());
        if step.moves {
            let told = message.as_ref().and_then(|message| Teller::tell_served(message, self.config, call, true));
            self.verdict(call.region, (call.project, call.trunk), Verdict::Accept, Reason::Failover, None, told);
        }
        if before == (egress.to, Transport::Tcp) && egress.transport == Transport::Udp {
            self.no_stream.put(self.now, address_key(egress.to.addr()), ());
        }
        let count = transaction.earlier.len() as u64 + 1;
        let nonce = self.nonce(transaction.serial, egress.to.addr(), count);
        let call = &transaction.call;
        let branch = Branch { slot, nonce, loop_hash: call.loop_hash };
        let secure = message.as_ref().is_some_and(is_secure);
        self.own_rows(&peer, egress.listener, branch, call.token.as_ref(), secure);
        self.ringfence_row(call);
        let (from, to) = transaction.own_rows_in(sent);
        let (left, ahead) =
            ((transaction.client.egress.trunk, transaction.client.egress.gateway), (egress.trunk, egress.gateway));
        let keeps_uri = call.serving.as_ref().is_none_or(|serving| serving.keeps_uri);
        let other = (left != ahead && !keeps_uri).then_some((left, ahead));
        let uri = other.zip(message.as_ref()).and_then(|(gateways, message)| self.outward_again(gateways, message));
        let Work { edit, rows, .. } = &mut *self.work;
        edit.clear();
        if let Some((place, uri)) = uri {
            edit.splice(place, &[&uri]);
        }
        edit.splice(from..to, &[rows]);
        let length = rows.len();
        let from = edit.place(from);
        let bytes = self.work.apply(sent);
        let from = from.saturating_sub(start_line(&bytes));
        let goes_on = self.view().may_go_on(call, &transaction.targets, made.saturating_add(1));
        let until = self.until(since, call.method, !goes_on);
        let client = self.launch(egress, slot, nonce, bytes, call.method, until);
        transaction.own_rows = (from, from + length);
        transaction.earlier.push(std::mem::replace(&mut transaction.client, client));
        true
    }

    /// The Request-URI for another gateway, of this trunk or the next, and the place of the present one: the user, and the parameters of the call that
    /// went to the gateway before.
    fn outward_again(
        &self,
        (before, after): ((Option<TrunkId>, u8), (Option<TrunkId>, u8)),
        message: &Message<'_>,
    ) -> Option<(Range<usize>, Vec<u8>)> {
        let hostpart_of = |(trunk, gateway): (Option<TrunkId>, u8)| Some(self.config.trunk(trunk?).outbound()?.hostpart(gateway));
        let Start::Request { uri: place, .. } = message.start() else { return None };
        let text = message.slice(place);
        let behind = text.iter().position(|&octet| octet == b':')?.saturating_add(1);
        let host = memchr::memrchr(b'@', text).map_or(behind, |at| at.saturating_add(1));
        let (user, rest) = text.split_at_checked(host)?;
        // If a reload has changed what the gateway before was called, the call's own parameters cannot be told from its.
        let own = hostpart_of(before).and_then(|before| rest.strip_prefix(before.as_bytes())).unwrap_or_default();
        let hostpart = hostpart_of(after)?;
        let mut out = [user, hostpart.as_bytes()].concat();
        let has = |name: &[u8]| {
            hostpart.split(';').skip(1).any(|of| of.split('=').next().is_some_and(|of| of.as_bytes().eq_ignore_ascii_case(name)))
        };
        for parameter in own.split(|&octet| octet == b';').filter(|of| !of.is_empty()) {
            let name = parameter.split(|&octet| octet == b'=').next().unwrap_or_default();
            if !has(name) {
                out.push(b';');
                out.extend_from_slice(parameter);
            }
        }
        Some((place.clone(), out))
    }

    fn nonce(&self, serial: u64, to: SocketAddr, count: u64) -> u64 {
        let port = to.port().to_le_bytes();
        self.keys.branch(&[&serial.to_le_bytes(), &count.to_le_bytes(), &port])
    }

    /// Writes our Via, and our Record-Route if there is a token, into the buffer for our rows.
    pub(super) fn own_rows(&mut self, peer: &Peer, leaves: ListenerId, branch: Branch, token: Option<&Token>, secure: bool) {
        let (arrived, called) = (peer.listener(), peer.local().ip());
        let own = OwnRows { config: self.config, names: self.local_names, arrived, called, leaves, secure };
        self.work.rows.clear();
        own.write(branch, token, &mut self.work.rows);
    }

    /// Appends X-Ringfence to them, if the request is a new one.
    fn ringfence_row(&mut self, call: &CallFacts) {
        if let Some(serving) = &call.serving {
            let (accepted, whose) = (serving.accepted(call.region), (call.project, call.trunk));
            ringfence_row::forwarded(
                self.config,
                serving.region,
                (accepted, serving.shadow.as_deref()),
                whose,
                &mut self.work.rows,
            );
        }
    }

    fn launch(&mut self, egress: Egress, slot: u32, nonce: u64, bytes: Bytes, method: Method, until: Instant) -> Client {
        self.health.launched(self.now, egress.place());
        // What is kept is a copy of its own, of its own size.
        let kept = Bytes::copy_from_slice(&bytes);
        self.send(&egress, bytes, Some(attempt(slot, nonce)));
        Client::new(nonce, egress, kept, method == Method::Invite, until, self.now, &self.config.timers)
    }

    /// The time that an attempt may stay without any response. The last attempt has all the time that is left of the request's,
    /// any other one `try_for` at most (RFC 3263 4.3 leaves the time to the client).
    fn until(&self, since: Instant, method: Method, last: bool) -> Instant {
        let budget = self.budget(since, method);
        if last { budget } else { budget.min(self.now + self.config.timers.try_for) }
    }

    /// When all attempts must have ended. For an INVITE this is a little before the caller's own timer B, so that the caller
    /// still gets an answer. Any other request gets no answer then (RFC 4320 4.2).
    fn budget(&self, since: Instant, method: Method) -> Instant {
        since + self.config.timers.t1 * if method == Method::Invite { 60 } else { 64 }
    }

    /// Sends bytes by an egress.
    pub(crate) fn send(&mut self, egress: &Egress, bytes: Bytes, attempt: Option<Attempt>) {
        self.out.push(Output::Send(egress.send(bytes, attempt)));
    }

    /// Sends the CANCEL of an attempt now (RFC 3261 9.1).
    pub(crate) fn cancel(&mut self, client: &mut Client, reason: &Bytes) {
        self.work.buffer.clear();
        if rewrite::companion(&client.request, Method::Cancel, None, reason, &mut self.work.buffer).is_some() {
            let bytes = Bytes::copy_from_slice(&self.work.buffer);
            // It names no attempt, because a lost CANCEL says nothing about its INVITE.
            self.send(&client.egress, bytes.clone(), None);
            client.cancelled(self.now, &self.config.timers, bytes);
        }
    }
}

/// Whether a request is for a `sips:` URI, before our own changes to it.
fn is_secure(message: &Message<'_>) -> bool {
    matches!(message.start(), Start::Request { uri, .. } if uri::is_sips(message.slice(uri)))
}
