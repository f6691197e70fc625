//! The ACK of a 2xx, forwarded without a transaction (RFC 3261 16.11). Nobody answers it, and whoever sends it again sends the very same: so what
//! else it could go to is remembered, and it goes there at once if its first target cannot be reached.

use std::sync::Arc;

use bytes::Bytes;

use crate::config::{RegionId, Transport, TrunkId};
use crate::core::context::{Context, Work};
use crate::core::forwarding::branch::{Branch, NO_SLOT};
use crate::core::forwarding::plan::HEAD;
use crate::core::forwarding::rewrite;
use crate::core::io::{Attempt, Peer};
use crate::core::routing::egress::{Egress, address_key};
use crate::core::routing::target::{Target, TargetSet};
use crate::core::timers::AttemptEnd;
use crate::core::transaction::forwarded::attempt;
use crate::fence::Fenced;
use crate::sip::via::Via;
use crate::sip::{Message, Request};

/// Most ACKs that are remembered: those alone that could go to another target, for as long as a connection takes.
pub(crate) const PASSED_ACKS: usize = 64;

/// An ACK that could go to another target.
#[derive(Clone, Debug)]
pub(crate) struct PassedAck {
    /// As it left, and where our own rows stand in it.
    pub(crate) bytes: Bytes,
    rows: (usize, usize),
    by: AckPath,
    /// Where it went.
    to: (Fenced, Transport),
    targets: Vec<Target>,
}

/// What an ACK goes by.
#[derive(Clone, Debug)]
pub(crate) struct AckPath {
    /// Where it came from.
    pub(crate) peer: Peer,
    /// The called region.
    pub(crate) region: RegionId,
    /// The trunk of the call.
    pub(crate) trunk: Option<TrunkId>,
    /// Over TLS, towards the side that began the dialog: from where its connection came.
    pub(crate) origin: Option<Arc<Fenced>>,
    /// The number by which our Via shows a loop.
    pub(crate) loop_hash: u32,
}

impl Context<'_> {
    /// Forwards it. The same ACK always gets the same branch. `None`: no target can be reached.
    pub(crate) fn pass_on(
        &mut self,
        message: &Message<'_>,
        request: &Request<'_>,
        by: AckPath,
        targets: &mut TargetSet,
    ) -> Option<()> {
        rewrite::common(message, request, by.peer.addr(), &mut self.work.edit);
        let length = self.work.edit.length(message.bytes().len()) + HEAD;
        let egress = self.view().choose(by.region, by.peer.listener(), length, targets)?.of(by.trunk, by.origin.as_ref());
        if egress.transport.reliable() || !targets.is_empty() {
            rewrite::measure(message, &mut self.work.edit);
        }
        let nonce = self.keys.branch(&[request.via.branch.unwrap_or_default(), request.call_id, &request.cseq.to_le_bytes()]);
        self.own_rows(&by.peer, egress.listener, by.branch(nonce), None, false);
        let at = rewrite::own_rows_place(message);
        let Work { edit, rows, .. } = &mut *self.work;
        edit.insert(at, &[rows]);
        let length = rows.len();
        let at = self.work.edit.place(at);
        let bytes = self.work.apply(message.bytes());
        self.send_ack_on(nonce, &egress, (bytes, (at, at + length)), by, std::mem::take(targets));
        Some(())
    }

    /// Sends the ACK of a lost attempt to its next target, if there is one.
    pub(crate) fn pass_on_again(&mut self, lost: Attempt, end: AttemptEnd) {
        let Some(PassedAck { bytes, rows: (from, to), by, to: before, mut targets }) =
            self.passed_acks.take(self.now, u128::from(lost.0))
        else {
            return;
        };
        // What was lost with a connection may have arrived: it is not sent once more by UDP.
        if !matches!(end, AttemptEnd::Unreachable | AttemptEnd::Unsent) {
            targets.retain(|target| !target.by_datagram || target.fenced != before.0);
        }
        let Ok(message) = Message::datagram(&bytes) else { return };
        let Some(branch) = Via::top(&message).ok().and_then(|via| via.branch).and_then(Branch::read) else { return };
        let mut left = TargetSet::from_vec(targets);
        let Some(egress) = self.view().choose(by.region, by.peer.listener(), bytes.len(), &mut left) else { return };
        let egress = egress.of(by.trunk, by.origin.as_ref());
        if before == (egress.to, Transport::Tcp) && egress.transport == Transport::Udp {
            self.no_stream.put(self.now, address_key(egress.to.addr()), ());
        }
        self.own_rows(&by.peer, egress.listener, branch, None, false);
        let Work { edit, rows, .. } = &mut *self.work;
        edit.clear();
        edit.splice(from..to, &[rows]);
        let length = rows.len();
        let from = edit.place(from);
        let bytes = self.work.apply(&bytes);
        self.send_ack_on(branch.nonce, &egress, (bytes, (from, from + length)), by, left);
    }

    /// Sends it, and remembers it if it could go to another target.
    fn send_ack_on(&mut self, nonce: u64, egress: &Egress, (bytes, rows): (Bytes, (usize, usize)), by: AckPath, left: TargetSet) {
        if left.is_empty() {
            return self.send(egress, bytes, None);
        }
        let name = attempt(NO_SLOT, nonce);
        self.send(egress, bytes.clone(), Some(name));
        let bytes = Bytes::copy_from_slice(&bytes);
        let ack = PassedAck { bytes, rows, by, to: (egress.to, egress.transport), targets: left.into_vec() };
        self.passed_acks.put(self.now, u128::from(name.0), ack);
    }
}

impl AckPath {
    fn branch(&self, nonce: u64) -> Branch {
        Branch { slot: NO_SLOT, nonce, loop_hash: self.loop_hash }
    }
}
