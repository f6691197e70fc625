//! Decides about a request outside any dialog.
//!
//! A request that is answered or refused keeps no state. Only a forwarded one opens a transaction.

use std::net::SocketAddr;

use crate::config::{Config, Endpoint, ProjectId, Region, Transport, TrunkId};
use crate::core::forwarding::plan::{Decision, HEAD, Plan};
use crate::core::forwarding::rewrite;
use crate::core::io::{DropCause, Share};
use crate::core::memory::name_cache::UnknownName;
use crate::core::memory::rate_limit::Pace;
use crate::core::routing::call_time::CallTime;
use crate::core::routing::route_token::{self, Vouched};
use crate::core::routing::serving::Serving;
use crate::core::routing::target::{self, Found, Nowhere, Order, TargetSet, WaysOut};
use crate::core::rules::admit::{Counted, admit, unserved};
use crate::core::rules::case::{Case, Gate};
use crate::core::rules::host::{self, Admitted};
use crate::core::rules::number;
use crate::core::rules::refusal::{Answer, Refusal, shown};
use crate::core::rules::side::Side;
use crate::core::rules::sides::Source;
use crate::core::rules::trace::{Test, trunk_name};
use crate::core::state::Core;
use crate::core::stop::{Pending, Stop};
use crate::core::transaction::forwarded::{CallFacts, DialogFacts, Transaction};
use crate::core::transaction::shares::Asking;
use crate::reason::Reason;
use crate::sip::edit::Edit;
use crate::sip::list;
use crate::sip::uri::Scheme;
use crate::sip::{Method, Name};

/// New requests a second that a server may send. No daemon takes so many, so only a server that runs wild reaches it.
const SERVER_RATE: u32 = 5000;

/// The Allow row of our answers to OPTIONS and of 405.
const ALLOW: &[u8] = b"Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, INFO, REFER, NOTIFY, SUBSCRIBE, MESSAGE, OPTIONS\r\n";

/// What else our answers to OPTIONS say (11.2). The extensions are those that need the methods in Allow, which pass here; whether a server
/// has them its own answers say.
const ABOUT_US: &[u8] = b"Accept: application/sdp\r\nSupported: 100rel, timer\r\n";

impl Core {
    /// The gate, before anything is decided: the rate of the source, and whether the daemon takes new calls.
    pub(crate) fn gate(&mut self, case: &Case<'_, '_>) -> Result<Gate, DropCause> {
        let source = Source::of(self.view(case.now), case.region(), case.arrival);
        let of_trunk = self.config.limits.per_source;
        let of_server = source.server;
        let rate = if of_server { SERVER_RATE.max(of_trunk) } else { of_trunk };
        let rate = Some(rate).filter(|_| !source.is_unknown());
        let pace = rate.map_or(Pace::Within, |rate| self.rate_limit.pace(case.now, case.arrival.from.ip(), rate));
        // Whoever calls for help may be one of very many.
        let helps = pace != Pace::Within && of_server && number::is_emergency_call(&self.config, case);
        let pace = if helps { Pace::Within } else { pace };
        if pace == Pace::Flood {
            case.trace.fail(Test::Capacity, || {
                (format!("source {}", case.arrival.from.ip()), "twice its rate of requests: nothing is said beyond".to_owned())
            });
            return Err(DropCause::Flood);
        }
        Ok(Gate { over_rate: rate.filter(|_| pace == Pace::Over), draining: self.draining || case.listener.leaving })
    }

    /// Decides about a new request. `edit` takes up the changes.
    pub(crate) fn decide_initial(&self, case: &Case<'_, '_>, gate: Gate, edit: &mut Edit) -> Decision {
        let mut counted = Counted::default();
        let result = self.plan_initial(case, gate, &mut counted, edit);
        Decision { counted, result }
    }

    fn plan_initial(&self, case: &Case<'_, '_>, gate: Gate, counted: &mut Counted, edit: &mut Edit) -> Result<Plan, Stop> {
        let (config, view) = (&*self.config, self.view(case.now));
        let source = Source::of(view, case.region(), case.arrival);
        // Only a server calls for help through us: to anybody else it is a scheme that we do not know (RFC 3261 8.2.2.1).
        if case.request.uri.scheme == Scheme::Sos && !source.server {
            let row = case.trace.fail(Test::Request, || ("urn:service:sos".to_owned(), "a SIP or tel URI".to_owned()));
            return Err(Answer::failed(row, 416, "Unsupported URI Scheme").into());
        }
        self.refused_before(case, source)?;
        let mut admitted = match admit(config, case, source, counted) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                let Some(what) = self.asks_about_us(case, source, &refusal) else { return Err(refusal.into()) };
                case.trace.pass(Test::Request, || (what.to_owned(), "about us: nothing of a project is asked for".to_owned()));
                return Err(self.options(case).into());
            }
        };
        admitted = self.with_room(admitted);
        self.closed(case, gate, &admitted)?;
        let outbound = config.trunk(admitted.trunk).outbound().filter(|_| admitted.outbound);
        let ways = admitted.ways(config);
        // A request that asks for TLS on every hop goes on over TLS or not at all (RFC 5630 5.3). We never add that wish
        // ourselves.
        let secure = case.request.uri.scheme == Scheme::Sips;
        let spread = self.keys.spread(case.request.call_id, case.request.from_tag);
        let host = case.request.uri.host.filter(|_| admitted.by_route);
        let by = admitted.outbound.then_some(WaysOut { trunks: &ways, host });
        let (mut targets, nowhere) = usable(config, case, &admitted, self.first_targets(case, by, secure, spread)?)?;
        self.challenger_first(case, &mut targets);
        let (call_relay, swap) = view.relay_offer(case, (admitted.project, admitted.trunk), None)?;
        let shadow = admitted.shadow.take().or_else(|| swap.shadow());
        let mut serving = Serving::by(config, &self.resolved, case.region(), admitted.outbound, secure, shadow.clone());
        let keeps_uri = admitted.by_route || case.request.uri.scheme == Scheme::Sos;
        serving.keeps_uri = admitted.outbound && keeps_uri;
        serving.spare(config, admitted.project, &mut targets);
        let asks = if admitted.outbound { Side::Servers } else { Side::Trunk };
        let token = records_route(case.request.method)
            .then(|| {
                let relay = call_relay.map(|of| of.relay);
                // Of a call out its answer tells it.
                let origin = (asks == Side::Trunk).then(|| view.origin_of(case)).flatten();
                let vouched = Vouched { trunk: admitted.trunk, serving: case.region(), relay };
                let (call_id, asker) = (case.request.call_id, case.request.from_tag);
                let told = (asks, origin, CallTime::invited(self.clock.seconds(case.now)));
                self.tokens.sign((&self.config, &self.keys), case.region(), vouched, told, call_id, asker)
            })
            .flatten();
        edit.clear();
        rewrite::swap_media(case.message, &swap, edit);
        // Nearly always its first target can be reached.
        let first_gateway = targets.first().and_then(|target| target.gateway).map_or((None, 0), |of| (Some(of.trunk), of.at));
        if admitted.by_route {
            for route in case.message.all(Name::Route) {
                edit.remove(route.row());
            }
        } else if admitted.outbound && !keeps_uri {
            edit.splice(case.uri_range(), &[&outward(hostpart(config, first_gateway), case)]);
        }
        rewrite::common(case.message, case.request, case.peer.addr(), edit);
        let mut call = CallFacts {
            region: case.region(),
            asks,
            project: Some(admitted.project),
            trunk: Some(admitted.trunk),
            serving: Some(serving),
            method: case.request.method,
            call_relay,
            token,
            origin: None,
            loop_hash: self.loop_hash(case.message, case.request),
            spread,
            since: case.now,
            dialog: DialogFacts::OPENED,
        };
        let prefer = case.arrival.listener;
        if let Some(first) = view.first_egress(case, &mut call, prefer, &mut targets, edit) {
            let gateway = (first.egress.trunk, first.egress.gateway);
            if admitted.outbound && !keeps_uri && gateway != first_gateway {
                edit.replace(&case.uri_range(), &outward(hostpart(config, gateway), case));
            }
            let calls_in = case.request.method == Method::Invite && !admitted.outbound;
            let unreachable = calls_in.then(|| view.unreachable_caller(case, admitted.trunk)).flatten();
            return Ok(Plan { call, first, targets, shadow, unreachable });
        }
        let (reason, detail) = match nowhere {
            Some(why) => {
                let upstream = &config.region(case.region()).upstream;
                let hops = outbound.map_or(upstream.as_slice(), |outbound| &outbound.hops);
                let trunk = admitted.outbound.then_some(admitted.trunk);
                (Reason::NoTarget, target::leads_nowhere(config, &self.resolved, hops, trunk, why))
            }
            None => (Reason::TargetsDown, "no listener reaches any target".to_owned()),
        };
        let row = case.trace.fail(Test::Targets, || ("next hop".to_owned(), format!("{detail}: {reason}")));
        Err(admitted.refuse(row, reason, detail).into())
    }

    /// What a request asks that no project lets in, if it asks whether we are there: an OPTIONS of the bare endpoint, or of a server of the
    /// region for a project that is served here. A server is no trunk of the project, and no stranger.
    fn asks_about_us(&self, case: &Case<'_, '_>, source: Source<'_>, refusal: &Refusal) -> Option<&'static str> {
        let served = |project| self.config.project(project).pin.as_ref().is_none_or(|pin| pin.contains(&case.region()));
        match refusal.reason {
            Reason::UnknownEndpoint if host::is_ping(&self.config, case.arrival, case.request) => {
                Some("OPTIONS of the bare endpoint")
            }
            Reason::UnknownSource if case.request.method == Method::Options && source.server => {
                refusal.project.is_some_and(served).then_some("OPTIONS of a server of the region")
            }
            _ => None,
        }
    }

    /// Stops a request that may pass but is not forwarded: it asks us, no proxy may forward it, or there is no room.
    fn closed(&self, case: &Case<'_, '_>, gate: Gate, admitted: &Admitted) -> Result<(), Stop> {
        // One that a server sends by a trunk's name asks whether the carrier is there.
        if case.request.method == Method::Options && !admitted.outbound {
            return Err(self.options(case).into());
        }
        method_served(self.config.region(case.region()), case)?;
        if case.message.first(Name::Route).is_some() && !admitted.by_route {
            let detail = "Route in a request outside a dialog";
            let row = case.trace.fail(Test::Dialog, || (detail.to_owned(), "no Route".to_owned()));
            return Err(admitted.refuse(row, Reason::ForgedRoute, detail).into());
        }
        if admitted.by_route && !host::fits(&self.config, admitted.trunk, case.request) {
            let what = format!("Request-URI {}", shown(case.request.uri_text));
            let of = format!("no gateway of {}", trunk_name(&self.config, admitted.trunk));
            let row = case.trace.fail(Test::Targets, || (what.clone(), of.clone()));
            return Err(admitted.refuse(row, Reason::ForeignTarget, format!("{what} is {of}")).into());
        }
        // What asks for TLS on every hop did not have it on the last one (RFC 5630).
        if case.request.uri.scheme == Scheme::Sips && case.listener.transport != Transport::Tls {
            return Err(no_tls(case).into());
        }
        unfit(case)?;
        if gate.draining {
            let detail = "shutting down, try a sibling";
            let row = case.trace.fail(Test::Capacity, || (detail.to_owned(), "a daemon that takes new calls".to_owned()));
            return Err(admitted.refuse(row, Reason::Draining, detail).into());
        }
        if let Some(rate) = gate.over_rate {
            let ip = case.arrival.from.ip();
            let row = case.trace.fail(Test::Capacity, || (format!("source {ip}"), format!("{rate} requests/s")));
            let detail = format!("more than {rate} requests/s from {ip}");
            return Err(admitted.refuse(row, Reason::Overloaded, detail).into());
        }
        let asking = if admitted.emergency { Asking::Bye } else { Asking::Call };
        self.has_room(case, asking, (admitted.project, admitted.trunk))?;
        Ok(())
    }

    /// The first targets of a new request: the region's servers, or the trunk that it goes out by. `Err`: the trunk's name has to be
    /// looked up first.
    fn first_targets(
        &self,
        case: &Case<'_, '_>,
        outbound: Option<WaysOut<'_>>,
        secure: bool,
        spread: u64,
    ) -> Result<Found, Stop> {
        let region = self.config.region(case.region());
        let order = Order::new(&self.health, case.now, spread).traced(case.trace);
        let Some(ways) = outbound else {
            return Ok(target::find(&self.config, &self.resolved, &region.upstream, secure, region.fence(), order));
        };
        match target::find_gateways(self.view(case.now), ways, case.waited, secure, order) {
            Ok(found) => Ok(found),
            // Nobody has called this trunk for a while, or names are only coming to be known.
            Err((UnknownName(next_hop), trunk))
                if self.waiting.has_room_for_name(&next_hop, trunk, false, case.message.bytes().len()) =>
            {
                Err(Stop::Waits(Pending::Name(next_hop, trunk)))
            }
            Err(_) => Ok(Found::NoRoom),
        }
    }

    /// The answer to an OPTIONS about ourselves, made without state.
    fn options(&self, case: &Case<'_, '_>) -> Answer {
        if self.draining || case.listener.leaving || !self.resolved.serves(&self.config) {
            let row = case.trace.fail(Test::Capacity, || ("OPTIONS".to_owned(), "a daemon that is ready".to_owned()));
            return Answer::failed(row, 503, "Service Unavailable");
        }
        let mut rows = [ALLOW, ABOUT_US, b"Contact: <sip:"].concat();
        self.local_names.write(&self.config, case.arrival.listener, case.arrival.local.ip(), &mut rows);
        rows.extend_from_slice(case.listener.transport.parameter().as_bytes());
        rows.extend_from_slice(b">\r\n");
        Answer::ok(rows)
    }

    /// Puts the gateway first that has asked for credentials, if the call comes again: the nonce is that gateway's alone.
    fn challenger_first(&self, case: &Case<'_, '_>, targets: &mut TargetSet) {
        if self.challenged.is_empty() || targets.first().is_none_or(|target| target.gateway.is_none()) {
            return;
        }
        let call = self.keys.call(case.request.call_id, case.request.from_tag);
        if let Some(&gateway) = self.challenged.get(case.now, call) {
            // The order of the others stays.
            targets.sort_by_key(|target| target.gateway != Some(gateway));
        }
    }

    /// Stops an INVITE of a call that was refused for good in the last minute.
    fn refused_before(&self, case: &Case<'_, '_>, source: Source<'_>) -> Result<(), Stop> {
        if case.request.method != Method::Invite || self.refused_calls.is_empty() {
            return Ok(());
        }
        let call = self.keys.call(case.request.call_id, case.request.from_tag);
        let Some(before) = self.refused_calls.get(case.now, call) else { return Ok(()) };
        // A carrier that forks or forwards keeps Call-ID and From-tag: another trunk, or another project's endpoint, is another call.
        if !before.is_of(&self.config, case.arrival.from.ip()) || host::names_another(&self.config, case, before.project) {
            return Ok(());
        }
        // A server that goes on to another trunk or number keeps them, too: it is judged again. The very same request is not.
        let calls_out = || match host::named(&self.config, case, true).endpoint {
            Endpoint::Trunk(..) => true,
            Endpoint::Project(_, project) => !self.config.project(project).out.is_empty(),
            Endpoint::Region(_) | Endpoint::Global(_) | Endpoint::Unknown => false,
        };
        if before.request != self.instance(case) && source.server && calls_out() {
            return Ok(());
        }
        case.trace.fail(Test::Repeat, || ("Call-ID and From-tag".to_owned(), format!("refused before: {}", before.reason)));
        Err(Stop::RefusedBefore(Box::new(before.clone())))
    }

    /// The same, by those of its trunks alone that have room for a call: one that hangs takes no more.
    fn with_room(&self, admitted: Admitted) -> Admitted {
        if admitted.among.is_none() || admitted.emergency {
            return admitted;
        }
        let mut ways = admitted.ways(&self.config);
        ways.retain(|trunk| self.table.forwarded.shares().has_room(self.config.limits.transactions, Asking::Call, *trunk));
        admitted.by(&self.config, &ways)
    }

    /// Stops a request for which its trunk finds no room in the table or in memory.
    pub(crate) fn has_room(
        &self,
        case: &Case<'_, '_>,
        asking: Asking,
        (project, trunk): (ProjectId, TrunkId),
    ) -> Result<(), Refusal> {
        let (table, limits, name) = (&self.table.forwarded, &self.config.limits, || trunk_name(&self.config, trunk));
        let refusal =
            |row, detail, share| Err(Refusal::new(row, Reason::Overloaded, detail).of(Some(project), Some(trunk)).beyond(share));
        if table.vacancy().is_none() || !table.shares().has_room(limits.transactions, asking, trunk) {
            let row = case.trace.fail(Test::Capacity, || {
                let (all, own) = (table.shares().all().transactions, table.shares().held(trunk).transactions);
                let most = limits.transactions;
                (format!("{all} open transactions, {own} of them of {}", name()), format!("a share of `transactions` = {most}"))
            });
            return refusal(row, "too many open transactions", Share::Transactions);
        }
        let need = Transaction::octets_of(case.message.bytes().len() + HEAD);
        let others = self.table.own.octets() + self.waiting.octets();
        if !table.shares().has_memory(limits.memory, asking, need, trunk, others) {
            let row = case.trace.fail(Test::Capacity, || {
                let (all, own, most) = (self.octets(), table.shares().held(trunk).octets, limits.memory);
                let found = format!("{all} octets in transactions, {own} of them of {}", name());
                (found, format!("room for {need} more in a share of `memory` = {most}"))
            });
            return refusal(row, "too much memory in open transactions", Share::Memory);
        }
        Ok(())
    }
}

/// The targets of a new request among what was found. If there is none at all, why: the nearest regions may have a server. `Err`: what there is
/// may not be used.
fn usable(config: &Config, case: &Case<'_, '_>, admitted: &Admitted, found: Found) -> Result<(TargetSet, Option<Nowhere>), Stop> {
    match found {
        Found::Inside(targets) => Ok((targets, None)),
        Found::Plain => Err(no_tls(case).into()),
        // No dialog, nothing behind.
        Found::Barred(detail) => {
            let row = case.trace.fail(Test::Targets, || (detail.clone(), "inside".to_owned()));
            Err(admitted.refuse(row, Reason::ForeignTarget, detail).into())
        }
        Found::Outside(addr) => {
            let row = case.trace.fail(Test::Targets, || (addr.to_string(), "inside".to_owned()));
            Err(admitted.refuse(row, Reason::ForeignTarget, outside(admitted, addr)).into())
        }
        Found::NoRoom => {
            let row = case.trace.fail(Test::Targets, || {
                (
                    "the trunk's name is not known".to_owned(),
                    format!("room in the share of {}", trunk_name(config, admitted.trunk)),
                )
            });
            let detail = "the trunk's name was not looked up: too many names are";
            Err(admitted.refuse(row, Reason::NoTarget, detail).beyond(Share::Names).into())
        }
        // The nearest regions may have a server.
        Found::Nothing(why) => Ok((TargetSet::new(), Some(why))),
    }
}

/// Stops a request that no proxy may forward: 483 (16.3 step 3), 440 (RFC 5393 5.3.3), 420 (16.3 step 5).
pub(crate) fn unfit(case: &Case<'_, '_>) -> Result<(), Stop> {
    if case.request.max_forwards == Some(0) {
        let row = case.trace.fail(Test::Request, || ("Max-Forwards 0".to_owned(), "at least 1".to_owned()));
        return Err(Answer::failed(row, 483, "Too Many Hops").into());
    }
    let breadth = case.message.first(Name::MaxBreadth).map(|header| case.message.value(header));
    if breadth == Some(b"0") {
        let row = case.trace.fail(Test::Request, || ("Max-Breadth 0".to_owned(), "at least 1".to_owned()));
        return Err(Answer::failed(row, 440, "Max-Breadth Exceeded").into());
    }
    let mut unsupported = Vec::new();
    for item in list::items(case.message, Name::ProxyRequire) {
        unsupported.extend_from_slice(if unsupported.is_empty() { b"Unsupported: " } else { b", " });
        unsupported.extend_from_slice(case.message.slice(&item.span));
    }
    if unsupported.is_empty() {
        return Ok(());
    }
    unsupported.extend_from_slice(b"\r\n");
    let row = case.trace.fail(Test::Request, || ("Proxy-Require".to_owned(), "no extension of a proxy".to_owned()));
    Err(Answer::failed(row, 420, "Bad Extension").with(unsupported).into())
}

/// Stops a request whose method the region does not serve.
pub(crate) fn method_served(region: &Region, case: &Case<'_, '_>) -> Result<(), Stop> {
    let method = case.request.method;
    if unserved(region, method) {
        let says = || (format!("method {}", method.token()), format!("`methods` of region {}", region.name));
        return Err(Answer::failed(case.trace.fail(Test::Request, says), 405, "Method Not Allowed").with(ALLOW).into());
    }
    Ok(())
}

/// The answer to a new request if a `sips:` URI leads to a hop that has no TLS.
fn no_tls(case: &Case<'_, '_>) -> Answer {
    let row = case.trace.fail(Test::Request, || ("a sips: URI".to_owned(), "TLS on every hop".to_owned()));
    Answer::failed(row, 416, "Unsupported URI Scheme")
}

/// Why an address is no target: the next hop of a call out is the carrier's.
fn outside(admitted: &Admitted, addr: SocketAddr) -> String {
    if admitted.outbound {
        format!("gateway {addr} is outside the outbound_networks of its trunk")
    } else {
        format!("next hop {addr} is outside")
    }
}

/// What a gateway is called behind the user part.
fn hostpart(config: &Config, (trunk, gateway): (Option<TrunkId>, u8)) -> &str {
    trunk.and_then(|trunk| config.trunk(trunk).outbound()).map_or("", |outbound| outbound.hostpart(gateway))
}

/// The parameters that say how or where a request goes to the host that we replace, and those that may not stand in a Request-URI (19.1.1).
const OF_THE_HOP: [&str; 8] = ["transport", "maddr", "ttl", "lr", "comp", "alias", "method", route_token::PARAM];

/// The Request-URI of a call out: the call's scheme, user and parameters at the trunk's host. Where both have a parameter, the trunk's
/// counts. Of two spellings of a name, one with escapes is read by few, so it is left out.
fn outward(hostpart: &str, case: &Case<'_, '_>) -> Vec<u8> {
    let uri = &case.request.uri;
    let mut out = Vec::with_capacity(case.request.uri_text.len() + hostpart.len());
    out.extend_from_slice(if uri.scheme == Scheme::Sips { b"sips:" } else { b"sip:" });
    if let Some(user) = uri.user {
        out.extend_from_slice(user);
        out.push(b'@');
    }
    out.extend_from_slice(hostpart.as_bytes());
    if uri.scheme == Scheme::Tel && !hostpart.contains(";user=") {
        // RFC 3261 19.1.6: it says that the user part is a telephone number.
        out.extend_from_slice(b";user=phone");
    }
    let trunks = || hostpart.split(';').skip(1).filter_map(|text| text.split('=').next());
    for (name, text) in uri.parameters() {
        let replaced = OF_THE_HOP.into_iter().chain(trunks()).any(|other| name.eq_ignore_ascii_case(other.as_bytes()));
        if !replaced && !name.is_empty() && !name.contains(&b'%') {
            out.push(b';');
            out.extend_from_slice(text);
        }
    }
    out
}

/// Whether we stay on the path of a method's dialog: methods that may form a dialog, and unknown ones (RFC 3261 16.6 step 4).
fn records_route(method: Method) -> bool {
    matches!(method, Method::Invite | Method::Subscribe | Method::Refer | Method::Notify | Method::Update | Method::Other)
}
