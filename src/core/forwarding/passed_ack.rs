//! The ACK of a 2xx, forwarded without a transaction (RFC 3261 16.11). Nobody answers it, and whoever sends it again sends the very same: so what
//! else it could go to is remembered, and it goes there at once if its first target cannot be reached.

use bytes::Bytes;

use crate::config::Transport;
use crate::core::context::{Context, Work};
use crate::core::forwarding::branch::{Branch, NO_SLOT};
use crate::core::forwarding::plan::HEAD;
use crate::core::forwarding::rewrite;
use crate::core::io::Attempt;
use crate::core::memory::passed_acks::{AckPath, PassedAck};
use crate::core::routing::egress::{Egress, address_key};
use crate::core::routing::target::TargetSet;
use crate::core::timers::AttemptEnd;
use crate::core::transaction::forwarded::attempt;
use crate::sip::via::Via;
use crate::sip::{Message, Request};

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
        let branch = Branch { slot: NO_SLOT, nonce, loop_hash: by.loop_hash };
        self.own_rows(&by.peer, egress.listener, branch, None, false);
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
