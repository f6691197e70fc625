//! What follows from a relay's answer, and the pings that ask relays whether they are there.

use std::time::Instant;

use crate::core::io::{Output, RelayBody, RelayReply, RelayRequest, RelayRequestId, RelayVerb, Unanswered};
use crate::core::relay_request::RelayAnswer;
use crate::core::rules::trace::Trace;
use crate::core::state::Core;
use crate::fence::Fence;

impl Core {
    /// Takes in a relay's answer, or that there is none. The message that has waited for it goes on, and then those behind it.
    pub(crate) fn relayed(
        &mut self,
        now: Instant,
        id: RelayRequestId,
        reply: &Result<RelayReply, Unanswered>,
        trace: &Trace,
        out: &mut Vec<Output>,
    ) {
        let sdp = self.relays.ended(now, &self.config, id, reply, out);
        let Some((call, mut tried)) = self.waiting.of_relay(&id) else { return };
        // There is room for all of a region; if a reload has changed them, the last one is asked twice.
        let _ = tried.try_push(id.relay);
        let answer = RelayAnswer { cookie: id.cookie, relay: id.relay, sdp, tried };
        self.resume(now, call, Some(answer), trace, out);
    }

    /// Sends the pings that are due.
    pub(crate) fn ping_relays(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Self { relays, config, keys, .. } = self;
        if relays.due.is_none_or(|due| due > now) {
            return;
        }
        for entry in relays.entries.iter_mut().filter(|entry| entry.next.is_some_and(|next| next <= now)) {
            entry.next = None;
            let Ok(relay) = Fence::of_region(&config.region(entry.region).networks).admit(entry.addr) else { continue };
            relays.numbered += 1;
            let cookie = keys.relay_request(&[RelayVerb::Ping.label().as_bytes(), &relays.numbered.to_le_bytes()]);
            let id = RelayRequestId { call: None, relay: entry.addr, verb: RelayVerb::Ping, cookie };
            out.push(Output::Relay(RelayRequest { relay, id, body: RelayBody::Ping }));
        }
        relays.arm();
    }
}
