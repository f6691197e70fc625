//! Telling a relay that a call is over. Nothing depends on its answer: a relay forgets a call by itself if it hears nothing more
//! of it.

use std::net::SocketAddr;

use crate::config::{ProjectId, RegionId, TrunkId};
use crate::core::context::Context;
use crate::core::io::{Output, RelayBody, RelayRequest, RelayRequestId, RelayVerb};
use crate::core::relay_request::RelayList;
use crate::core::transaction::forwarded::Transaction;
use crate::fence::Fence;
use crate::sip::{Message, Name};

impl Context<'_> {
    /// Tells a call's relay that the call is over. If that relay is down, all relays that are up are told, because one of them
    /// may have the call now.
    pub(crate) fn release(
        &mut self,
        called: RegionId,
        (project, trunk): (Option<ProjectId>, Option<TrunkId>),
        relay: SocketAddr,
        call_id: &[u8],
    ) {
        let all = if self.relays.is_up(relay) { RelayList::from_iter([relay]) } else { self.relays.up(called, 0, None) };
        let networks = &self.config.region(called).networks;
        for relay in all.into_iter().filter_map(|relay| Fence::of_region(networks).admit(relay).ok()) {
            let call_id = self.view().relay_name(project, trunk, call_id);
            // Each is a question of its own: the call may have begun anew since the last.
            let cookie = self.keys.relay_request(&[RelayVerb::Delete.label().as_bytes(), &call_id, &self.relays.next_number()]);
            let id = RelayRequestId { call: None, relay: relay.addr(), verb: RelayVerb::Delete, cookie };
            self.out.push(Output::Relay(RelayRequest { relay, id, body: RelayBody::Delete { call_id } }));
        }
    }

    /// Does the same for a transaction's call, if that has a relay.
    pub(crate) fn release_call(&mut self, transaction: &mut Transaction, message: &Message<'_>) {
        let Some(call_relay) = transaction.call.call_relay.as_mut().filter(|relay| !relay.released) else { return };
        call_relay.released = true;
        let relay = call_relay.relay;
        let call_id = message.first(Name::CallId).map(|header| message.value(header)).unwrap_or_default();
        self.release(transaction.call.region, (transaction.call.project, transaction.call.trunk), relay, call_id);
    }
}
