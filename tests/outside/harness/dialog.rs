//! One side of a dialog, as a telephone keeps it (RFC 3261 12).

use std::net::SocketAddr;

use super::message::{fresh, sdp};
use super::{Ask, Leg, Seen, Site};

/// What a telephone remembers of a call, to send requests inside it.
#[derive(Clone, Debug)]
pub(crate) struct Dialog {
    pub(crate) local: String,
    pub(crate) remote: String,
    pub(crate) call_id: String,
    pub(crate) target: String,
    pub(crate) route: Vec<String>,
    pub(crate) cseq: u32,
    addr: SocketAddr,
    transport: &'static str,
}

impl Dialog {
    /// The caller's side, from the answer that made the dialog.
    pub(crate) fn of_caller(answer: &Seen, leg: &Leg) -> Self {
        let mut route = split(&answer.all("Record-Route"));
        route.reverse();
        Self::new(answer.get("From"), answer.get("To"), answer, route, leg)
    }

    /// The callee's side, from the INVITE and the tag that it answered with.
    pub(crate) fn of_callee(invite: &Seen, tag: &str, leg: &Leg) -> Self {
        let local = format!("{};tag={tag}", invite.get("To"));
        Self::new(&local, invite.get("From"), invite, split(&invite.all("Record-Route")), leg)
    }

    fn new(local: &str, remote: &str, of: &Seen, route: Vec<String>, leg: &Leg) -> Self {
        let target = of.get("Contact").split('<').nth(1).and_then(|rest| rest.split('>').next()).expect("a Contact in brackets");
        Self {
            local: local.into(),
            remote: remote.into(),
            call_id: of.get("Call-ID").into(),
            target: target.into(),
            route,
            cseq: 1,
            addr: leg.addr,
            transport: leg.transport(),
        }
    }

    /// The ACK to the 2xx of the latest INVITE.
    pub(crate) fn ack(&self) -> Ask {
        self.ask("ACK")
    }

    /// The next request inside the dialog.
    pub(crate) fn next(&mut self, method: &str) -> Ask {
        self.cseq += 1;
        self.ask(method)
    }

    fn ask(&self, method: &str) -> Ask {
        let (addr, upper) = (self.addr, self.transport.to_ascii_uppercase());
        let mut rows: Vec<String> = self.route.iter().map(|route| format!("Route: {route}")).collect();
        rows.push(format!("Contact: <sip:party@{addr};transport={}>", self.transport));
        Ask {
            method: method.into(),
            uri: self.target.clone(),
            via: vec![format!("SIP/2.0/{upper} {addr};branch=z9hG4bK{};rport", fresh())],
            from: self.local.clone(),
            to: self.remote.clone(),
            call_id: self.call_id.clone(),
            cseq: format!("{} {method}", self.cseq),
            max_forwards: "70".into(),
            rows,
            body: Vec::new(),
        }
    }
}

/// Has the carrier's telephone call the region's server, which takes the call. Returns the caller's side and the callee's.
pub(crate) fn establish(site: &Site, caller: &mut Leg, server: &mut Leg) -> (Dialog, Dialog) {
    let media = site.carrier(20).ip();
    caller.ask(&Ask::invite("sip:1@acme.eu.sip.example.com", caller.addr, caller.transport(), media));
    let seen = server.request("INVITE");
    let contact = format!("Contact: <sip:server@{}>", server.addr);
    server.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(site.eu(10).ip())));
    let near = Dialog::of_caller(&caller.expect(200), caller);
    caller.ask(&near.ack());
    server.request("ACK");
    (near, Dialog::of_callee(&seen, "callee", server))
}

/// Comma-separated values one by one. None of ours holds a comma inside a value.
fn split(rows: &[&str]) -> Vec<String> {
    rows.iter().flat_map(|row| row.split(',')).map(|value| value.trim().to_owned()).collect()
}
