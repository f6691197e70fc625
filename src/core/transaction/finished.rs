//! A forwarded request that is over, in little room: what absorbs its repetitions, answers them, and passes a late 2xx on.
//!
//! Nothing is sent for it unless something comes. Then it is a [`Transaction`] again for that moment, and nothing is done here but to
//! write one down and to read it again. Nearly all that is in memory under load are these.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config::{ListenerId, ProjectId, RegionId, Transport, TrunkId};
use crate::core::io::{Peer, PeerV4};
use crate::core::routing::egress::Egress;
use crate::core::routing::route_token::Token;
use crate::core::routing::serving::Serving;
use crate::core::rules::side::Side;
use crate::core::transaction::client::Client;
use crate::core::transaction::forwarded::{CallFacts, CallRelay, DialogFacts, Progress, SHARED, Transaction, Way};
use crate::core::transaction::last_answer::LastAnswer;
use crate::core::transaction::server::Server;
use crate::core::transaction::timer::Rest;
use crate::fence::{Fenced, FencedV4};
use crate::sip::Method;

/// A request that is over.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are facts of their own, as in the transaction")]
pub(crate) struct Finished {
    /// The key of its request, as octets: as a number it would be aligned to 16.
    key: [u8; 16],
    nonce: u64,
    /// When the request was sent, in milliseconds since the table began.
    sent: u64,
    /// In milliseconds since then: until when each side stands as it does, and when the wheel wakes it.
    server_until: u32,
    client_until: u32,
    armed: u32,
    trunk: u32,
    project: u32,
    ends: Ends,
    /// The last answer; of an INVITE, the ACK.
    kept: Box<[u8]>,
    region: RegionId,
    /// The region that serves a new request.
    serving: Option<RegionId>,
    /// The listener that the request left by.
    listener: ListenerId,
    method: Method,
    asks: Side,
    server: Rest,
    client: Rest,
    in_dialog: bool,
    left: bool,
    refused: bool,
    cancelled: bool,
    /// Whether it got a Record-Route of ours, which answers sign again.
    signs: bool,
}

/// Who asked, and who was asked.
#[derive(Debug)]
enum Ends {
    /// As it nearly always is: both by UDP and IPv4.
    V4 { peer: PeerV4, to: FencedV4 },
    /// Any others, or a call that goes through a media relay.
    Wide(Box<Wide>),
}

#[derive(Debug)]
struct Wide {
    peer: Peer,
    transport: Transport,
    egress: Egress,
    call_relay: Option<CallRelay>,
}

/// No trunk, no project.
const NOBODY: u32 = u32::MAX;

impl Finished {
    /// Writes a transaction down, if it is over and no attempt but the present one is remembered. `start`: when the table began.
    pub(super) fn of(transaction: &mut Transaction, start: Instant) -> Option<Self> {
        if !transaction.earlier.is_empty() {
            return None;
        }
        let ((server, server_until), (client, client_until)) = (transaction.server.rest()?, transaction.client.rest()?);
        let invite = transaction.is_invite();
        let Transaction { call, server: asker, client: attempt, .. } = transaction;
        let sent = u64::try_from(attempt.sent.saturating_duration_since(start).as_millis()).ok()?;
        let since = |at: Option<Instant>| {
            let after = at.map_or(0, |at| at.saturating_duration_since(start).as_nanos().div_ceil(1_000_000));
            u32::try_from(after.saturating_sub(sent.into())).ok()
        };
        let (server_until, client_until, armed) = (since(server_until)?, since(client_until)?, since(transaction.armed)?);
        let egress = &attempt.egress;
        let plain = (asker.transport, egress.transport) == (Transport::Udp, Transport::Udp)
            && egress.tls_name.is_none()
            && egress.party.is_none()
            && egress.origin.is_none()
            && egress.trunk == call.trunk
            && call.call_relay.is_none();
        let ends = match (asker.peer.v4(), egress.to.v4()) {
            (Some(peer), Some(to)) if plain => Ends::V4 { peer, to },
            _ => Ends::Wide(Box::new(Wide {
                peer: asker.peer,
                transport: asker.transport,
                egress: egress.clone(),
                call_relay: call.call_relay,
            })),
        };
        let key = asker.key.to_be_bytes();
        let answer = asker.take_answer().map(LastAnswer::into_octets);
        let kept = if invite { attempt.ack().as_ref().into() } else { answer.unwrap_or_default() };
        Some(Self {
            key,
            nonce: attempt.nonce,
            sent,
            server_until,
            client_until,
            armed,
            trunk: call.trunk.map_or(NOBODY, |TrunkId(at)| at),
            project: call.project.map_or(NOBODY, |ProjectId(at)| at),
            ends,
            kept,
            region: call.region,
            serving: call.serving.as_ref().map(|serving| serving.region),
            listener: egress.listener,
            method: call.method,
            asks: call.asks,
            server,
            client,
            in_dialog: egress.in_dialog,
            left: attempt.is_left(),
            refused: transaction.refused,
            cancelled: transaction.cancelled,
            signs: call.token.is_some(),
        })
    }

    /// The transaction that was written down. What it would only need to go on to another target is not there.
    pub(super) fn open(&mut self, start: Instant) -> Transaction {
        let (key, invite) = (self.key(), self.is_invite());
        let at = |after: u32| start + Duration::from_millis(self.sent.saturating_add(after.into()));
        let (sent, armed) = (at(0), at(self.armed));
        let (server, client) = ((self.server, at(self.server_until)), (self.client, at(self.client_until)));
        let Way { region, project, trunk, asks, serving } = self.way();
        let kept = std::mem::take(&mut self.kept);
        let Self { nonce, method, listener, in_dialog, left, refused, cancelled, signs, .. } = *self;
        let (peer, transport, egress, call_relay) = match &self.ends {
            Ends::V4 { peer, to } => {
                let (to, transport) = (Fenced::from(*to), Transport::Udp);
                let (tls_name, party, origin) = (None, None, None);
                let egress = Egress { to, transport, listener, tls_name, party, gateway: 0, in_dialog, origin, trunk };
                ((*peer).into(), Transport::Udp, egress, None)
            }
            Ends::Wide(wide) => (wide.peer, wide.transport, wide.egress.clone(), wide.call_relay),
        };
        let (ack, answer) = match (invite, kept.is_empty()) {
            (true, false) => (Bytes::from(kept), None),
            (false, false) => (Bytes::new(), Some(LastAnswer::of_octets(kept))),
            (_, true) => (Bytes::new(), None),
        };
        let call = CallFacts {
            region,
            project,
            trunk,
            asks,
            serving: serving.map(Serving::of),
            method,
            call_relay,
            // It is the Record-Route in the answer that is signed again.
            token: signs.then(Token::new),
            origin: None,
            loop_hash: 0,
            spread: 0,
            since: sent,
            // Its end was told.
            dialog: DialogFacts::OPENED,
        };
        let server = Server::of_rest(key, (peer, transport), invite, server, answer);
        let client = Client::of_rest(nonce, egress, sent, (invite, left), client, ack);
        let mut transaction = Transaction::new(call, server, client, (0, 0), Vec::new());
        (transaction.refused, transaction.cancelled, transaction.progress) = (refused, cancelled, Progress::Told);
        transaction.armed = Some(armed);
        transaction
    }

    /// The key of its request.
    pub(super) fn key(&self) -> u128 {
        u128::from_be_bytes(self.key)
    }

    /// Whether it is an INVITE's.
    pub(super) fn is_invite(&self) -> bool {
        self.method == Method::Invite
    }

    /// The octets that it holds: itself, its place in the tables, and what it keeps.
    pub(super) fn octets(&self) -> usize {
        let wide = if let Ends::Wide(_) = self.ends { size_of::<Wide>() } else { 0 };
        size_of::<Self>() + SHARED + wide + self.kept.len()
    }

    /// What decides where its messages may go.
    pub(crate) fn way(&self) -> Way {
        let Self { region, asks, serving, trunk, project, .. } = *self;
        let trunk = (trunk != NOBODY).then_some(TrunkId(trunk));
        Way { region, project: (project != NOBODY).then_some(ProjectId(project)), trunk, asks, serving }
    }

    /// The listeners that it came and went by.
    pub(crate) fn listeners(&self) -> [ListenerId; 2] {
        let came = match &self.ends {
            Ends::V4 { peer, .. } => peer.listener(),
            Ends::Wide(wide) => wide.peer.listener(),
        };
        [came, self.listener]
    }

    /// Gives it other numbers.
    pub(crate) fn renumber(&mut self, way: Way, [came, went]: [ListenerId; 2]) {
        (self.region, self.serving, self.listener) = (way.region, way.serving, went);
        self.trunk = way.trunk.map_or(NOBODY, |TrunkId(at)| at);
        self.project = way.project.map_or(NOBODY, |ProjectId(at)| at);
        match &mut self.ends {
            Ends::V4 { peer, .. } => *peer = peer.at(came),
            Ends::Wide(wide) => {
                wide.peer = wide.peer.at(came);
                (wide.egress.listener, wide.egress.trunk) = (went, way.trunk);
            }
        }
    }

    /// Where its request went.
    pub(crate) fn to(&self) -> SocketAddr {
        match &self.ends {
            Ends::V4 { to, .. } => Fenced::from(*to).addr(),
            Ends::Wide(wide) => wide.egress.to.addr(),
        }
    }

    /// The address that was asked by the attempt of this nonce.
    pub(super) fn asked(&self, nonce: u64) -> Option<IpAddr> {
        (self.nonce == nonce).then(|| self.to().ip())
    }

    /// Lets no response to it pass any more.
    pub(crate) fn give_up(&mut self) {
        self.client = Rest::Ended;
    }

    /// When the wheel wakes it.
    pub(super) fn armed(&self, start: Instant) -> Instant {
        start + Duration::from_millis(self.sent.saturating_add(self.armed.into()))
    }

    /// Ends the sides whose time is over. Returns when the next one's is; `None`: it can be forgotten.
    pub(super) fn wake(&mut self, now: Instant, start: Instant) -> Option<Instant> {
        let at = |after: u32| start + Duration::from_millis(self.sent.saturating_add(after.into()));
        let sides = [(self.server, at(self.server_until)), (self.client, at(self.client_until))];
        let [server, client] = sides.map(|(rest, until)| if until <= now { Rest::Ended } else { rest });
        (self.server, self.client) = (server, client);
        let left = [(server, sides[0].1), (client, sides[1].1)].into_iter().filter(|(rest, _)| *rest != Rest::Ended);
        left.map(|(_, until)| until).min()
    }

    /// Notes when the wheel will wake it.
    pub(super) fn arm(&mut self, at: Instant, start: Instant) {
        let after = at.saturating_duration_since(start).as_millis().saturating_sub(self.sent.into());
        self.armed = u32::try_from(after).unwrap_or(u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small() {
        assert_eq!(size_of::<Finished>(), 112);
    }
}
