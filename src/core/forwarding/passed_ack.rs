//! The ACK of a 2xx, forwarded without a transaction (RFC 3261 16.11). Nobody answers it, so no answer leads it to another target: what else it
//! could go to goes along with it, for the case that no connection can be made.

use std::sync::Arc;

use bytes::Bytes;

use crate::config::{RegionId, TrunkId};
use crate::core::context::{Context, Work};
use crate::core::forwarding::branch::{Branch, NO_SLOT};
use crate::core::forwarding::plan::HEAD;
use crate::core::forwarding::rewrite;
use crate::core::io::{Output, Peer, Send};
use crate::core::routing::egress::Egress;
use crate::core::routing::target::TargetSet;
use crate::fence::Fenced;
use crate::sip::{Message, Request};

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
        by: &AckPath,
        targets: &mut TargetSet,
    ) -> Option<()> {
        rewrite::common(message, request, by.peer.addr(), &mut self.work.edit);
        let length = self.work.edit.length(message.bytes().len()) + HEAD;
        let egress = self.ack_egress(by, length, targets)?;
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
        // Of a datagram nobody learns whether it could be delivered.
        let instead =
            if egress.transport.reliable() { self.ack_instead(branch, (&bytes, (at, at + length)), by, targets) } else { None };
        self.out.push(Output::Send(Send { instead, ..egress.send(bytes, None) }));
        Some(())
    }

    /// The same ACK to the next target, and so on, as long as connections have to be made.
    fn ack_instead(
        &mut self,
        branch: Branch,
        (sent, (from, to)): (&Bytes, (usize, usize)),
        by: &AckPath,
        targets: &mut TargetSet,
    ) -> Option<Box<Send>> {
        let egress = self.ack_egress(by, sent.len(), targets)?;
        self.own_rows(&by.peer, egress.listener, branch, None, false);
        let Work { edit, rows, .. } = &mut *self.work;
        edit.clear();
        edit.splice(from..to, &[rows]);
        let length = rows.len();
        let bytes = self.work.apply(sent);
        // It may wait for long. The memory that it comes in is shared with other messages.
        let bytes = Bytes::copy_from_slice(&bytes);
        let instead = if egress.transport.reliable() {
            self.ack_instead(branch, (&bytes, (from, from + length)), by, targets)
        } else {
            None
        };
        Some(Box::new(Send { instead, ..egress.send(bytes, None) }))
    }

    fn ack_egress(&self, by: &AckPath, length: usize, targets: &mut TargetSet) -> Option<Egress> {
        let egress = self.view().choose(by.region, by.peer.listener(), length, targets)?;
        Some(egress.of(by.trunk, by.origin.as_ref()))
    }
}
