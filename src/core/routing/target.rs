//! From hops to fenced targets, in the order to be tried: by the order of the hops, by their records, and the healthy ones first.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use crate::config::{Config, Hop, NextHop, Transport, TrunkId, names_host};
use crate::core::health::{Healths, Standing};
use crate::core::memory::name_cache::{Known, UnknownName};
use crate::core::routing::place::{Gateway, MAX_ATTEMPTS, Place};
use crate::core::routing::srv_order::{self, Dice};
use crate::core::rules::trace::{Mark, Test, Trace, fenced_by, trunk_name};
use crate::core::view::View;
use crate::dns::{Resolved, Server};
use crate::fence::{Fence, Fenced, Networks};
use crate::sip::uri::{Host, Scheme, Uri};
use crate::tls::PartyNames;

/// One address to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The address, passed by the fence.
    pub(crate) fenced: Fenced,
    /// The transport. `None`: UDP, or TCP for a request that is too large for UDP.
    pub(crate) transport: Option<Transport>,
    /// Over TLS: the name that we asked for, which the server must prove (RFC 5922 7.3). `None`: it must prove its address.
    pub(crate) tls_name: Option<Arc<str>>,
    /// Over TLS, without a name: names of the party that the address belongs to, of which one will do.
    pub(crate) party: Option<PartyNames>,
    /// Of a call out: the gateway that it belongs to.
    pub(crate) gateway: Option<Gateway>,
    /// Whether it is a next hop inside a dialog.
    pub(crate) in_dialog: bool,
    /// Whether it is the same once more in a datagram, for a large request: only if no connection could be made (RFC 3261 18.1.1).
    pub(crate) by_datagram: bool,
}

impl Target {
    /// The place that the trunk's messages of a dialog come from, by this transport.
    pub(crate) fn of_origin(config: &Config, trunk: TrunkId, transport: Transport, to: Fenced) -> Self {
        let party = party(config, Some(trunk), to.addr(), Some(transport));
        Self { fenced: to, transport: Some(transport), tls_name: None, party, gateway: None, in_dialog: true, by_datagram: false }
    }

    /// The key under which its health is kept. It is the same for large requests, though these go by a stream.
    pub(crate) fn place(&self) -> Place {
        (self.fenced.addr(), self.transport.unwrap_or(Transport::Udp))
    }
}

/// Targets in the order to be tried.
pub(crate) type TargetSet = SmallVec<[Target; USUAL_TARGETS]>;

/// As many targets have room without an allocation.
const USUAL_TARGETS: usize = 2;

/// What a next hop resolves to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// At least one address inside.
    Inside(TargetSet),
    /// There are addresses, but all are outside. Holds the first of them.
    Outside(SocketAddr),
    /// It leads where nothing of this dialog may go, whatever it resolves to. Says why.
    Barred(String),
    /// There are addresses inside, but none over TLS, and only TLS may be used.
    Plain,
    /// No address at all.
    Nothing(Nowhere),
    /// It is a name that is not known, and there is no room to wait for it.
    NoRoom,
}

/// Why a next hop leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nowhere {
    /// Its name was asked for and has no address.
    Empty,
    /// Its name was asked for, and nobody answered.
    Unanswered,
    /// It is a tel URI.
    NoHost,
    /// Its host is no name that could be asked for.
    NoName,
    /// It names a transport that is none of ours.
    OtherTransport,
}

impl Nowhere {
    /// What is wrong, for a sentence that begins with the next hop.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Empty => "resolves to nothing",
            Self::Unanswered => "was not found: no name server has answered",
            Self::NoHost => "has no host",
            Self::NoName => "is no host name, so that nobody was asked",
            Self::OtherTransport => "has a transport that is not supported",
        }
    }
}

/// What is wrong with hops that lead nowhere: whose they are, the name, and the question that name servers did not answer, if that is known.
/// `trunk`: whose `uri` it is, if it is a trunk's.
pub(crate) fn leads_nowhere(config: &Config, resolved: &Resolved, hops: &[Hop], trunk: Option<TrunkId>, why: Nowhere) -> String {
    let name = hops.iter().find_map(|hop| if let Hop::Name(id) = *hop { Some(id) } else { None });
    let what = match (trunk, name) {
        (Some(trunk), _) => format!("the uri of {}", trunk_name(config, trunk)),
        (None, Some(id)) => format!("next hop {}", config.name(id)),
        (None, None) => "next hop".to_owned(),
    };
    match name.filter(|_| why == Nowhere::Unanswered).and_then(|id| resolved.failure(id)) {
        Some((question, failure)) => format!("{what} was not found: {question}: {failure}"),
        None => format!("{what} {}", why.sentence()),
    }
}

/// What decides the order, apart from the records.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    health: &'a Healths,
    now: Instant,
    /// What decides among the records.
    seed: u64,
    /// What decides about servers that are rising.
    dice: Dice,
    trace: Option<&'a Trace>,
}

impl<'a> Order<'a> {
    /// `seed` stands for chance: the same seed gives the same order, but for what health changes.
    pub(crate) fn new(health: &'a Healths, now: Instant, seed: u64) -> Self {
        Self { health, now, seed, dice: Dice::new(seed), trace: None }
    }

    /// The same, with a trace that gets a row for each address.
    pub(crate) fn traced(mut self, trace: &'a Trace) -> Self {
        self.trace = Some(trace);
        self
    }
}

/// Resolves a region's hops and judges every address by the fence. `secure`: only TLS may be used (RFC 5630 5.3).
pub(crate) fn find(
    config: &Config,
    resolved: &Resolved,
    hops: &[Hop],
    secure: bool,
    fence: Fence<'_>,
    order: Order<'_>,
) -> Found {
    let mut finding = Finding::new(fence, order, secure);
    for hop in hops {
        let more = match *hop {
            Hop::Address { addr, transport } => {
                finding.party = party(config, None, addr, transport);
                let more = add(&mut finding, addr, transport, None);
                finding.party = None;
                more
            }
            Hop::Name(name) => {
                if !resolved.is_known(name) {
                    finding.nowhere = Nowhere::Unanswered;
                }
                add_servers(&mut finding, resolved.servers(name), config.name(name))
            }
        };
        if more.is_break() {
            break;
        }
    }
    finding.found()
}

/// The trunks that a call may go out by, in order, and which of their gateways.
#[derive(Clone, Copy)]
pub(crate) struct WaysOut<'a> {
    pub(crate) trunks: &'a [TrunkId],
    /// The host that a gateway must have, if the call says one that stays.
    pub(crate) host: Option<Host<'a>>,
}

/// The same for the gateways of trunks, of which names may not be known because nobody has called the trunk for a while. `Err`: one of that
/// trunk has to be looked up first. A later one of which nothing is known is left out if there is another to try: it will be known for the
/// next call. Each later trunk keeps an attempt, whatever the ones before have. `waited`: whether the request has waited before.
pub(crate) fn find_gateways(
    view: View<'_>,
    ways: WaysOut<'_>,
    waited: bool,
    secure: bool,
    order: Order<'_>,
) -> Result<Found, (UnknownName, TrunkId)> {
    let mut finding = Finding::new(Fence::of_outbound(&Networks::NONE), order, secure);
    for (&trunk, left) in ways.trunks.iter().zip((0..ways.trunks.len()).rev()) {
        let Some(outbound) = view.config.trunk(trunk).outbound() else { continue };
        finding.fence = Fence::of_outbound(&outbound.networks);
        finding.most = MAX_ATTEMPTS.saturating_sub(left).max(finding.inside.len() + 1).min(MAX_ATTEMPTS);
        for ((hop, hostpart), at) in outbound.hops.iter().zip(&outbound.hostparts).zip(0..) {
            if ways.host.is_some_and(|host| !names_host(hostpart, &host)) {
                continue;
            }
            finding.gateway = Some(Gateway { trunk, at });
            if add_gateway(&mut finding, view, (hop, trunk), waited)?.is_break() {
                break;
            }
        }
        if finding.inside.len() >= MAX_ATTEMPTS {
            break;
        }
    }
    Ok(finding.found())
}

fn add_gateway(
    finding: &mut Finding<'_>,
    view: View<'_>,
    (hop, trunk): (&Hop, TrunkId),
    waited: bool,
) -> Result<ControlFlow<()>, (UnknownName, TrunkId)> {
    Ok(match *hop {
        Hop::Address { addr, transport } => {
            finding.party = party(view.config, Some(trunk), addr, transport);
            let more = add(finding, addr, transport, None);
            finding.party = None;
            more
        }
        Hop::Name(name) if view.resolved.is_known(name) => {
            add_servers(finding, view.resolved.servers(name), view.config.name(name))
        }
        Hop::Name(name) => {
            let Some(next_hop) = view.config.names.get(name.0 as usize) else { return Ok(ControlFlow::Continue(())) };
            match view.name_cache.get(view.now, view.keys, next_hop, waited) {
                Known::Servers(servers) => add_servers(finding, servers, &next_hop.host),
                Known::Unanswered => {
                    finding.nowhere = Nowhere::Unanswered;
                    ControlFlow::Continue(())
                }
                Known::Nothing if finding.inside.is_empty() => return Err((UnknownName(next_hop.clone()), trunk)),
                Known::Nothing => ControlFlow::Continue(()),
            }
        }
    })
}

/// Resolves the URI of a next hop inside a dialog: an address, a name of the configuration, or a name in the name cache. A `sips:` URI
/// means TLS on this hop, whatever the request came by: a call that is up must be able to end. `trunk`: that of the dialog. `waited`:
/// whether the request has waited before.
pub(crate) fn find_uri(
    uri: &Uri<'_>,
    trunk: Option<TrunkId>,
    waited: bool,
    view: View<'_>,
    fence: Fence<'_>,
    order: Order<'_>,
) -> Result<Found, UnknownName> {
    let mut transport = match uri.param("transport") {
        None => None,
        Some(Some(token)) => {
            match Transport::ALL.into_iter().find(|known| token.eq_ignore_ascii_case(known.token().as_bytes())) {
                Some(transport) => Some(transport),
                None => return Ok(Found::Nothing(Nowhere::OtherTransport)),
            }
        }
        Some(None) => return Ok(Found::Nothing(Nowhere::OtherTransport)),
    };
    // A tel URI has no host.
    let Some(host) = uri.reached() else { return Ok(Found::Nothing(Nowhere::NoHost)) };
    let sips = uri.scheme == Scheme::Sips;
    if sips {
        // Its `transport` only says what carries TLS (RFC 5630 3.1.1).
        transport = None;
    }
    let mut finding = Finding::new(fence, order, sips);
    finding.in_dialog = true;
    match host {
        Host::Address(ip) => {
            let transport = if sips { Some(Transport::Tls) } else { transport };
            let port = uri.port.unwrap_or_else(|| transport.unwrap_or(Transport::Udp).port());
            let addr = SocketAddr::new(ip, port);
            finding.party = party(view.config, trunk, addr, transport);
            let _ = add(&mut finding, addr, transport, None);
        }
        Host::Name(name) => {
            let Some(next_hop) = NextHop::of_host(name, uri.port, transport, sips) else {
                return Ok(Found::Nothing(Nowhere::NoName));
            };
            match view.name(&next_hop, waited) {
                Known::Servers(servers) => drop(add_servers(&mut finding, servers, &next_hop.host)),
                Known::Unanswered => return Ok(Found::Nothing(Nowhere::Unanswered)),
                Known::Nothing => return Err(UnknownName(next_hop)),
            }
        }
    }
    Ok(finding.found())
}

impl<'a> View<'a> {
    /// What is known of a name that stands in a message. The configuration's names are kept resolved, but for those of trunks that
    /// nobody calls.
    pub(crate) fn name(self, next_hop: &NextHop, waited: bool) -> Known<'a> {
        let known = self.config.name_id(next_hop).filter(|&id| self.resolved.is_known(id));
        match known {
            Some(id) => Known::Servers(self.resolved.servers(id)),
            None => self.name_cache.get(self.now, self.keys, next_hop, waited),
        }
    }
}

struct Finding<'a> {
    fence: Fence<'a>,
    order: Order<'a>,
    /// Only TLS may be used.
    secure: bool,
    /// Whether a target inside was left out because it does not use TLS.
    plain: bool,
    /// The targets to be tried first.
    inside: TargetSet,
    /// The targets that are rising and were not chosen yet.
    behind: TargetSet,
    /// Of the targets that are down: the one whose trial is due first.
    down: Option<(Instant, Target)>,
    /// Gateways that are down: they are tried last, and never left out.
    last: TargetSet,
    outside: Option<SocketAddr>,
    /// The names of the party at the address at hand.
    party: Option<PartyNames>,
    in_dialog: bool,
    /// The gateway at hand.
    gateway: Option<Gateway>,
    /// Most targets that may be found by now.
    most: usize,
    /// What is wrong if there is no address at all.
    nowhere: Nowhere,
}

impl<'a> Finding<'a> {
    fn new(fence: Fence<'a>, order: Order<'a>, secure: bool) -> Self {
        let (inside, behind, last) = (TargetSet::new(), TargetSet::new(), TargetSet::new());
        Self {
            fence,
            order,
            secure,
            plain: false,
            inside,
            behind,
            down: None,
            last,
            outside: None,
            party: None,
            in_dialog: false,
            gateway: None,
            most: MAX_ATTEMPTS,
            nowhere: Nowhere::Empty,
        }
    }

    fn found(self) -> Found {
        let Self { mut inside, behind, down, last, outside, plain, nowhere, .. } = self;
        let room = MAX_ATTEMPTS.saturating_sub(inside.len());
        inside.extend(behind.into_iter().chain(last).take(room));
        if inside.is_empty() {
            // All look down: one is tried all the same.
            inside.extend(down.map(|(_, target)| target));
        }
        match (inside.is_empty(), outside) {
            (false, _) => Found::Inside(inside),
            (true, _) if plain => Found::Plain,
            (true, Some(outside)) => Found::Outside(outside),
            (true, None) => Found::Nothing(nowhere),
        }
    }
}

/// Over TLS: the names of the party that an address belongs to.
fn party(config: &Config, trunk: Option<TrunkId>, addr: SocketAddr, transport: Option<Transport>) -> Option<PartyNames> {
    if transport == Some(Transport::Tls) { config.party_names(addr.ip(), trunk) } else { None }
}

/// Takes in one address. `Break`: there are as many as may be tried.
fn add(
    finding: &mut Finding<'_>,
    addr: SocketAddr,
    transport: Option<Transport>,
    tls_name: Option<&Arc<str>>,
) -> ControlFlow<()> {
    let judged = finding.fence.admit(addr);
    if let Some(trace) = finding.order.trace {
        trace.note(Test::Targets, Mark::by(judged.is_ok(), false), || (addr.to_string(), fenced_by(addr.ip(), finding.fence)));
    }
    let fenced = match judged {
        Ok(fenced) => fenced,
        Err(outside) => {
            finding.outside.get_or_insert(outside.0);
            return ControlFlow::Continue(());
        }
    };
    if finding.secure && transport != Some(Transport::Tls) {
        finding.plain = true;
        return ControlFlow::Continue(());
    }
    let (party, in_dialog, gateway) = (finding.party.clone(), finding.in_dialog, finding.gateway);
    let target = Target { fenced, transport, tls_name: tls_name.cloned(), party, gateway, in_dialog, by_datagram: false };
    // What two names or records say is tried once.
    if [&finding.inside, &finding.behind, &finding.last].iter().any(|set| set.contains(&target)) {
        return ControlFlow::Continue(());
    }
    let (health, now) = (finding.order.health, finding.order.now);
    match health.standing(now, target.place(), &finding.order.dice) {
        Standing::Fit => put(&mut finding.inside, target),
        // Only where it would be first is it tried: a trial is for the call that its share brings there.
        Standing::Trial if finding.inside.is_empty() => put(&mut finding.inside, target),
        Standing::Behind => put(&mut finding.behind, target),
        Standing::Trial => add_down(finding, now, target),
        Standing::Down(trial) => add_down(finding, trial, target),
    }
    if finding.inside.len() >= finding.most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

fn put(set: &mut TargetSet, target: Target) {
    if set.len() < MAX_ATTEMPTS {
        set.push(target);
    }
}

fn add_down(finding: &mut Finding<'_>, trial: Instant, target: Target) {
    if target.gateway.is_some() {
        return put(&mut finding.last, target);
    }
    if finding.down.as_ref().is_none_or(|&(first, _)| trial < first) {
        finding.down = Some((trial, target));
    }
}

/// Takes in the servers of a name.
fn add_servers(finding: &mut Finding<'_>, servers: &[Server], name: &str) -> ControlFlow<()> {
    let proven = servers.iter().any(|server| server.transport == Some(Transport::Tls)).then(|| Arc::from(name));
    let seed = finding.order.seed;
    srv_order::in_order(servers, seed, &mut |server| {
        let proven = proven.as_ref().filter(|_| server.transport == Some(Transport::Tls));
        // Nearly always a server has one.
        if let [alone] = server.addresses.as_slice() {
            return add(finding, *alone, server.transport, proven);
        }
        let addresses = srv_order::by_seed(&server.addresses, seed);
        addresses.iter().try_for_each(|&addr| add(finding, addr, server.transport, proven))
    })
}
