//! Pings by OPTIONS: we ask a region's servers, and the gateways of trunks with `ping`, whether they are there (RFC 3261 11), and read what their answers mean.
//!
//! A ping is an own request. It uses the transport and the listener that calls to the target use. The fence judges the target
//! each time that a ping begins.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;

use crate::config::{Hop, ListenerId, RegionId, Transport};
use crate::core::forwarding::branch::{Branch, OWN_SLOT};
use crate::core::health::watched::NAMES;
use crate::core::io::{Destination, Health, Output, Send};
use crate::core::keys::Hex;
use crate::core::routing::egress::{Egress, leave_by};
use crate::core::routing::place::{Gateway, Place};
use crate::core::state::Core;
use crate::core::transaction::forwarded::attempt;
use crate::core::transaction::own_request::{OwnKind, OwnRequest};
use crate::fence::{Fence, Fenced};
use crate::sip::response::retry_after;
use crate::sip::{Message, Response};

impl Core {
    /// Does what is due for the targets: pings, and the end of rising.
    pub(crate) fn tend(&mut self, now: Instant, out: &mut Vec<Output>) {
        while let Some(at) = self.health.next_due(now) {
            self.health.risen(now, at, out);
            let begins = self.health.entries.get(at).is_some_and(|entry| entry.next.is_some_and(|next| next <= now));
            if begins {
                out.extend(self.ping(now, at).map(Output::Send));
            }
            self.health.arm(at);
        }
        self.ask_for_names(now, out);
    }

    /// Says that the names of the gateways that we ask are in use, as a call out would.
    fn ask_for_names(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.health.names_due.is_none_or(|due| now < due) {
            return;
        }
        self.health.names_due = Some(now + NAMES);
        for (gateway, _) in &self.health.asked {
            let outbound = self.config.trunk(gateway.trunk).outbound();
            let hop = outbound.and_then(|outbound| outbound.hops.get(usize::from(gateway.at)));
            if let Some(&Hop::Name(id)) = hop
                && self.names_in_use.used(now, id)
            {
                out.extend(self.config.names.get(id.0 as usize).cloned().map(Output::Keep));
            }
        }
    }

    /// Reads what the answer to a ping says of the server.
    pub(crate) fn ping_answered(
        &mut self,
        now: Instant,
        (place, sent): (Place, Instant),
        message: &Message<'_>,
        response: &Response<'_>,
        out: &mut Vec<Output>,
    ) {
        match response.code {
            408 | 503 => {
                let leave = retry_after(message).filter(|_| response.code == 503);
                self.health.unavailable(now, place, sent, leave, out);
                self.health.ping_ended(now, place, sent);
            }
            code => self.health.ping_answered(now, place, sent, code < 200, out),
        }
    }

    /// Begins a ping of a target, if the target is still inside and a listener reaches it.
    fn ping(&mut self, now: Instant, at: usize) -> Option<Send> {
        self.health.probes += 1;
        let every = self.health.entries.get(at).and_then(|entry| entry.every);
        let (number, time, interval) = (self.health.probes, self.health.try_for, self.health.interval(every));
        let entry = self.health.entries.get_mut(at)?;
        // If no ping can be sent, try again later.
        entry.next = Some(now + interval);
        let from = entry.from?;
        let (place, region, tls_name, trunk) = (entry.place, entry.region, entry.tls_name.clone(), entry.trunk);
        let gateway = entry.gateways.first().copied();
        let (addr, transport) = place;
        let to = match trunk {
            Some(trunk) => Fence::of_outbound(&self.config.trunk(trunk).outbound()?.networks).admit(addr).ok()?,
            None => self.config.region(region).fence().admit(addr).ok()?,
        };
        let preferred = self.config.region(from).listeners.first()?;
        let listener = leave_by(&self.config, from, *preferred, transport, addr)?;
        let nonce = self.keys.probe(number, 0);
        let bytes = self.options_bytes((from, listener), (to, transport, gateway), number, nonce);
        let entry = self.health.entries.get_mut(at)?;
        if entry.state == Health::Down {
            entry.begin_trial(now, time);
        }
        (entry.next, entry.pinged, entry.waits) = (None, Some(now), true);
        let address = transport == Transport::Tls && tls_name.is_none();
        let party = if address { self.config.party_names(addr.ip(), trunk) } else { None };
        let in_dialog = false;
        let egress = Egress {
            to,
            transport,
            listener,
            tls_name: tls_name.clone(),
            party: party.clone(),
            gateway: 0,
            in_dialog,
            origin: None,
            trunk,
        };
        let request = OwnRequest::new(OwnKind::Ping(place), egress, bytes.clone(), now, now + time, &self.config.timers);
        self.table.own.begin(nonce, request);
        let (to, attempt) = (Destination::Fenced(to), Some(attempt(OWN_SLOT, nonce)));
        Some(Send {
            to,
            transport,
            tls_name,
            party,
            in_dialog,
            origin: None,
            trunk,
            listener,
            local: None,
            bytes,
            attempt,
            instead: None,
        })
    }

    fn options_bytes(
        &self,
        (from, listener): (RegionId, ListenerId),
        (to, transport, gateway): (Fenced, Transport, Option<Gateway>),
        number: u64,
        nonce: u64,
    ) -> Bytes {
        let hostname = &self.config.region(from).hostname;
        let parameter = transport.parameter();
        let outbound = gateway.and_then(|gateway| Some((self.config.trunk(gateway.trunk).outbound()?, gateway.at)));
        let uri = match outbound {
            Some((outbound, at)) => format!("sip:{}", outbound.hostpart(at)),
            None => format!("sip:{}{parameter}", to.addr()),
        };
        let branch = Branch { slot: OWN_SLOT, nonce, loop_hash: 0 };
        // Nobody called a listener here: one that is bound to a wildcard address goes by its region's hostname.
        let called = match self.config.listener(listener).addr {
            SocketAddr::V4(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(format!("OPTIONS {uri} SIP/2.0\r\nVia: SIP/2.0/{} ", transport.via()).as_bytes());
        self.local_names.write(&self.config, listener, called, &mut out);
        out.extend_from_slice(b";rport;branch=");
        out.extend_from_slice(&branch.text());
        let (call, tag) = (Hex::of(self.keys.probe(number, 1)), Hex::of(self.keys.probe(number, 2)));
        let rest = format!(
            "\r\nMax-Forwards: 70\r\nFrom: <sip:{hostname}>;tag={}\r\nTo: <{uri}>\r\nCall-ID: {}@{hostname}\r\n\
             CSeq: 1 OPTIONS\r\n",
            tag.as_str(),
            call.as_str(),
        );
        out.extend_from_slice(rest.as_bytes());
        // Some carriers call only who asks, and at the name that stands here.
        if outbound.is_some() {
            out.extend_from_slice(b"Contact: <sip:");
            self.local_names.write(&self.config, listener, called, &mut out);
            out.extend_from_slice(parameter.as_bytes());
            out.extend_from_slice(b">\r\n");
        }
        out.extend_from_slice(b"Accept: application/sdp\r\nContent-Length: 0\r\n\r\n");
        out.into()
    }
}
