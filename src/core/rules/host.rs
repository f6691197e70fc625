//! Whether the host that a new request names is ours to serve: which endpoint it is, whose project and trunk, and whether the name that
//! TLS was asked for (SNI) is one of this region. A server that calls out may name the endpoint in a Route. Only reads.

use std::net::IpAddr;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::config::{Config, Endpoint, Listener, Mode, ProjectId, RegionId, TrunkId};
use crate::core::io::Arrival;
use crate::core::routing::route_token;
use crate::core::rules::broken_rule::BrokenRule;
use crate::core::rules::case::Case;
use crate::core::rules::refusal::{Refusal, shown};
use crate::core::rules::side::Side;
use crate::core::rules::sides::Source;
use crate::core::rules::trace::{Failed, Test, around, servers_around, trunk_name};
use crate::fence::canonical;
use crate::reason::Reason;
use crate::sip::address::Address;
use crate::sip::uri::{Host, Scheme, Uri};
use crate::sip::{Method, Name, Request, list};
use crate::tls;

/// A request that has passed all tests so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// The project of the call.
    pub(crate) project: ProjectId,
    /// The trunk of the call: the one it came from, or the one it goes out by.
    pub(crate) trunk: TrunkId,
    /// Whether it goes out by the trunk.
    pub(crate) outbound: bool,
    /// If it goes out by its project's `out`: which of those trunks may take it, a bit for each, the first one lowest.
    pub(crate) among: Option<u16>,
    /// Whether a Route named the endpoint: Request-URI and To go on as they came, because they are the carrier's already.
    pub(crate) by_route: bool,
    /// Whether it calls an emergency number: neither rate nor overload stands in its way.
    pub(crate) emergency: bool,
    /// The first rule that it breaks, if its project is in shadow mode or only warns about media.
    pub(crate) shadow: Option<Box<BrokenRule>>,
}

impl Admitted {
    /// The trunks that it may go out by, in the order to be tried: the one that was named, or those of `out`.
    pub(crate) fn ways(&self, config: &Config) -> SmallVec<[TrunkId; 2]> {
        let among = self.among.unwrap_or_default();
        let of_out = config.project(self.project).out.iter().zip(0_u32..).filter(|&(_, at)| among >> at & 1 == 1);
        let mut ways: SmallVec<[TrunkId; 2]> = of_out.map(|(&trunk, _)| trunk).collect();
        if ways.is_empty() {
            ways.push(self.trunk);
        }
        ways
    }

    /// The same, by those of its trunks alone that are named here. There is at least one.
    pub(crate) fn by(self, config: &Config, ways: &[TrunkId]) -> Self {
        let Some(&trunk) = ways.first() else { return self };
        let all = config.project(self.project).out.iter().zip(0_u32..);
        let among = self.among.map(|_| all.fold(0, |among, (id, at)| among | u16::from(ways.contains(id)) << at));
        Self { trunk, among, ..self }
    }

    /// A refusal of this request.
    pub(crate) fn refuse(&self, row: Failed, reason: Reason, detail: impl Into<Arc<str>>) -> Refusal {
        let asks = if self.outbound { Side::Servers } else { Side::Trunk };
        Refusal::new(row, reason, detail).of(Some(self.project), Some(self.trunk)).asked_by(asks)
    }

    /// Takes in the result of a rule. A broken rule is a refusal, unless the project is in shadow mode. Then the first one is
    /// remembered.
    pub(crate) fn object(self, objection: Result<(), Failed>, reason: Reason, detail: String) -> Result<Self, Refusal> {
        match objection {
            Ok(()) => Ok(Self { shadow: self.shadow.or_else(|| Some(BrokenRule::new(reason, detail).into())), ..self }),
            Err(row) => Err(self.refuse(row, reason, detail)),
        }
    }
}

/// The endpoint that a new request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CalledEndpoint {
    pub(crate) endpoint: Endpoint,
    /// Whether a Route of a server names it, not the Request-URI.
    pub(crate) by_route: bool,
}

/// The endpoint that a request outside a dialog names: by its Route, if one of our servers calls out by that, else by its Request-URI.
pub(crate) fn named(config: &Config, case: &Case<'_, '_>, by_server: bool) -> CalledEndpoint {
    if let Some(endpoint) = by_server.then(|| routed_out(config, case)).flatten() {
        return CalledEndpoint { endpoint, by_route: true };
    }
    let named = endpoint(config, &case.listener, case.arrival, case.request);
    let endpoint = match (named, case.request.uri.host, config.sole_out) {
        // What has no host goes out by the only project whose calls do.
        (Endpoint::Region(region), None, Some(project)) if by_server => Endpoint::Project(region, project),
        _ => named,
    };
    CalledEndpoint { endpoint, by_route: false }
}

/// The endpoint that the one Route of a new request names, if calls go out by it: a trunk with a `uri`, or a project with `out`. Our own rule:
/// no other preloaded Route is followed (RFC 3261 8.1.2), because it would say where a call goes.
fn routed_out(config: &Config, case: &Case<'_, '_>) -> Option<Endpoint> {
    let (uri, endpoint) = way_out(config, case)?;
    let says_more = uri.param("maddr").is_some() || uri.param(route_token::PARAM).is_some() || uri.escapes_a_name();
    (uri.param("lr").is_some() && !says_more && uri.headers.is_empty()).then_some(endpoint)
}

/// The URI of the one Route of a request, and the endpoint that its host names, if calls go out by it.
fn way_out<'a>(config: &Config, case: &Case<'a, '_>) -> Option<(Uri<'a>, Endpoint)> {
    case.message.first(Name::Route)?;
    let mut routes = list::items(case.message, Name::Route);
    let (route, None) = (routes.next()?, routes.next()) else { return None };
    let (_, uri) = Address::route_uri(case.message.slice(&route.span))?;
    let Some(Host::Name(name)) = uri.host else { return None };
    let endpoint = config.endpoint(name);
    let leads_out = match endpoint {
        Endpoint::Trunk(_, trunk) => config.trunk(trunk).outbound().is_some(),
        Endpoint::Project(_, project) => !config.project(project).out.is_empty(),
        Endpoint::Region(_) | Endpoint::Global(_) | Endpoint::Unknown => false,
    };
    leads_out.then_some((uri, endpoint))
}

/// Parameters by which some readers send a request elsewhere, or which may not stand in a Request-URI (RFC 3261 19.1.1).
const LEADS: [&str; 7] = ["maddr", "ttl", "lr", "comp", "alias", "method", route_token::PARAM];

/// Whether the Request-URI of a call that a Route leads to a trunk is one of the trunk's gateways, or says no host. It leaves as it is, so
/// it may say nothing that leads the carrier elsewhere.
pub(crate) fn fits(config: &Config, trunk: TrunkId, request: &Request<'_>) -> bool {
    let uri = &request.uri;
    let outbound = config.trunk(trunk).outbound();
    let leads = LEADS.into_iter().any(|name| uri.param(name).is_some());
    let plain = !leads && !uri.escapes_a_name() && uri.headers.is_empty();
    plain && uri.host.is_none_or(|host| outbound.is_some_and(|outbound| outbound.has_host(&host)))
}

/// The endpoint that the Request-URI names. A tel URI has no host, so it stands for the region without a project. An address is
/// no endpoint, because the hostname is the pin. Only an OPTIONS may name the address that it was sent to.
pub(crate) fn endpoint(config: &Config, listener: &Listener, arrival: &Arrival, request: &Request<'_>) -> Endpoint {
    // A reader that follows `maddr` ignores the host (16.4, 16.5). So `maddr` must be ours too.
    let elsewhere = request.uri.param("maddr").is_some_and(|maddr| {
        let text = maddr.and_then(|maddr| std::str::from_utf8(maddr).ok()).unwrap_or_default();
        let ip = text.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        ip.is_none_or(|ip| canonical(ip) != canonical(arrival.local.ip()))
    });
    if elsewhere {
        return Endpoint::Unknown;
    }
    match (&request.uri, request.uri.host) {
        (_, None) => Endpoint::Region(listener.region),
        (_, Some(Host::Name(name))) => config.endpoint(name),
        (_, Some(Host::Address(ip))) if request.method == Method::Options && ip == arrival.local.ip() => {
            Endpoint::Region(listener.region)
        }
        _ => Endpoint::Unknown,
    }
}

/// Whether the Request-URI names an endpoint of another project than this one.
pub(crate) fn names_another(config: &Config, case: &Case<'_, '_>, project: Option<ProjectId>) -> bool {
    let named = match endpoint(config, &case.listener, case.arrival, case.request) {
        Endpoint::Project(_, named) | Endpoint::Global(named) => Some(named),
        Endpoint::Trunk(_, trunk) => Some(config.trunk(trunk).project),
        Endpoint::Region(_) | Endpoint::Unknown => None,
    };
    named.is_some_and(|named| project.is_some_and(|project| project != named))
}

/// Whether an OPTIONS asks about nothing but this address: there is no project to judge then.
pub(crate) fn is_ping(config: &Config, arrival: &Arrival, request: &Request<'_>) -> bool {
    let listener = config.listener(arrival.listener);
    request.method == Method::Options
        && matches!(endpoint(config, listener, arrival, request), Endpoint::Region(region) if region == listener.region)
}

/// Judges the host of one request.
pub(crate) struct HostJudge<'a, 'c, 'm> {
    pub(crate) config: &'a Config,
    pub(crate) case: &'a Case<'c, 'm>,
    pub(crate) source: Source<'a>,
    pub(crate) named: CalledEndpoint,
}

/// The host names an endpoint elsewhere: the reason for a refusal, and the failing value.
struct Elsewhere {
    reason: Reason,
    detail: String,
    /// Whether the name in TLS (SNI) names that endpoint, not the host.
    by_sni: bool,
}

impl HostJudge<'_, '_, '_> {
    /// Judges the host, the project and the trunk.
    pub(crate) fn place(&self) -> Result<Admitted, Refusal> {
        let CalledEndpoint { endpoint, by_route } = self.named;
        match endpoint {
            // A Route of a server that is none of the forms of calls out says where the call goes, not its Request-URI.
            Endpoint::Unknown if self.source.server && self.case.message.first(Name::Route).is_some() => {
                // Some servers write it behind the brackets.
                let strict = way_out(self.config, self.case).is_some_and(|(uri, _)| uri.param("lr").is_none());
                let (detail, right) = if strict {
                    ("Route names a way out without lr inside its brackets", "<sip:NAME;lr>")
                } else {
                    ("Route in a request outside a dialog", "no Route, or one that names a trunk")
                };
                let row = self.case.trace.fail(Test::Dialog, || (detail.to_owned(), right.to_owned()));
                Err(Refusal::new(row, Reason::ForgedRoute, detail).asked_by(Side::Servers))
            }
            Endpoint::Unknown => {
                let row = self.case.trace.fail(Test::Host, || self.host("no endpoint of ours"));
                Err(self.unknown(row, "is no endpoint here"))
            }
            Endpoint::Region(region) => {
                let known = || format!("region {}, without a project", self.region(region));
                let elsewhere = self.elsewhere(region);
                if let Some(project) = self.only_project() {
                    return self.inbound(project, elsewhere, known);
                }
                self.at_home(None, elsewhere, known)?;
                Err(self.nobodys())
            }
            Endpoint::Project(region, project) => {
                let known = || format!("project {} at region {}", self.config.project(project).name, self.region(region));
                if by_route || self.goes_out(project) {
                    return self.by_out(region, project, by_route, known);
                }
                self.inbound(project, self.elsewhere(region), known)
            }
            Endpoint::Global(project) => {
                let known = || format!("project {} at any region", self.config.project(project).name);
                self.inbound(project, self.misnamed(), known)
            }
            Endpoint::Trunk(region, trunk) => {
                let project = self.config.trunk(trunk).project;
                let known = || format!("{} at region {}", trunk_name(self.config, trunk), self.region(region));
                self.outward(region, (project, Some(trunk)), known)?;
                Ok(self.let_out(project, (trunk, None), by_route))
            }
        }
    }

    /// Whether a request to a project's own endpoint is a call out: a server sends it that is none of the project's trunks, and the project
    /// says by which trunks such calls go. An OPTIONS asks about us.
    fn goes_out(&self, project: ProjectId) -> bool {
        let of = self.config.project(project);
        self.source.server
            && !of.out.is_empty()
            && self.case.request.method != Method::Options
            && !of.trunks().any(|trunk| self.source.trunks.include(trunk))
    }

    /// Judges a call out by the trunks of its project. If a Route leads here, only those that have the gateway may take it.
    fn by_out(
        &self,
        region: RegionId,
        project: ProjectId,
        by_route: bool,
        known: impl Fn() -> String,
    ) -> Result<Admitted, Refusal> {
        let out = &self.config.project(project).out;
        let Some(&first) = out.first() else { return Err(self.stranger(project)) };
        self.outward(region, (project, None), known)?;
        let fits = |trunk: &TrunkId| !by_route || fits(self.config, *trunk, self.case.request);
        let ways: SmallVec<[TrunkId; 2]> = out.iter().copied().filter(fits).collect();
        Ok(self.let_out(project, (first, Some(0)), by_route).by(self.config, &ways))
    }

    /// Judges who calls out, and from where.
    fn outward(
        &self,
        region: RegionId,
        (project, trunk): (ProjectId, Option<TrunkId>),
        known: impl Fn() -> String,
    ) -> Result<(), Refusal> {
        if let Some(elsewhere) = self.elsewhere(region) {
            let row = self.case.trace.fail(Test::Host, || self.compared(&elsewhere, &known()));
            return Err(Refusal::new(row, elsewhere.reason, elsewhere.detail).of(Some(project), trunk));
        }
        if self.source.server && trunk.is_some_and(|trunk| self.config.trunk(trunk).outbound().is_none()) {
            let row = self.case.trace.fail(Test::Host, || self.host("a trunk without uri: nothing goes out by it"));
            return Err(self.unknown(row, "names a trunk without uri"));
        }
        self.case.trace.pass(Test::Host, || self.host(&known()));
        if self.source.server { Ok(()) } else { Err(self.stranger(project)) }
    }

    /// A call that goes out.
    fn let_out(&self, project: ProjectId, (trunk, among): (TrunkId, Option<u16>), by_route: bool) -> Admitted {
        let ip = self.case.arrival.from.ip();
        self.case.trace.pass(Test::Project, || {
            let name = match among {
                Some(_) => format!("the trunks of project {}", self.config.project(project).name),
                None => trunk_name(self.config, trunk),
            };
            let (region, servers) = (self.region(self.case.region()), servers_around(ip, self.source.servers));
            (format!("source {ip}"), format!("a server of region {region} that calls out by {name}: {servers}"))
        });
        Admitted { project, trunk, outbound: true, among, by_route, emergency: false, shadow: None }
    }

    /// Judges a call to a project's endpoint: its source must be one of the project's trunks.
    fn inbound(&self, project: ProjectId, elsewhere: Option<Elsewhere>, known: impl Fn() -> String) -> Result<Admitted, Refusal> {
        // The project's own trunks are asked: those of all projects that share the carrier's networks may be many.
        let mut own = self.config.project(project).trunks();
        let trunk = own.find(|&trunk| self.source.trunks.include(trunk));
        let shadow = self.at_home(Some((project, trunk)), elsewhere, known)?;
        let Some(trunk) = trunk else { return Err(self.stranger(project)) };
        let ip = self.case.arrival.from.ip();
        self.case.trace.pass(Test::Project, || {
            let of = self.config.trunk(trunk);
            let certificates = of.certificates().join(" or ");
            let known = match (certificates.is_empty(), of.networks.is_empty()) {
                (true, _) => around(ip, &[&of.networks]),
                (false, true) => format!("a certificate for {certificates}"),
                (false, false) => format!("{}, and a certificate for {certificates}", around(ip, &[&of.networks])),
            };
            (format!("source {ip}"), format!("{}: {known}", trunk_name(self.config, trunk)))
        });
        Ok(Admitted { project, trunk, outbound: false, among: None, by_route: false, emergency: false, shadow })
    }

    /// Judges whether the host names an endpoint of this region. `Ok`: in shadow mode, the rule that it breaks.
    fn at_home(
        &self,
        whose: Option<(ProjectId, Option<TrunkId>)>,
        elsewhere: Option<Elsewhere>,
        known: impl Fn() -> String,
    ) -> Result<Option<Box<BrokenRule>>, Refusal> {
        let Some(elsewhere) = elsewhere else {
            self.case.trace.pass(Test::Host, || self.host(&known()));
            return Ok(None);
        };
        let project = whose.map(|(project, _)| project);
        let trunk = whose.and_then(|(_, trunk)| trunk);
        // Shadow mode does not apply to a source that is no trunk of the project.
        let watches = trunk.and(project).is_some_and(|project| self.config.project(project).mode == Mode::Shadow);
        match self.case.trace.object(watches, Test::Host, || self.compared(&elsewhere, &known())) {
            Ok(()) => Ok(Some(BrokenRule::new(elsewhere.reason, elsewhere.detail).into())),
            Err(row) => Err(Refusal::new(row, elsewhere.reason, elsewhere.detail).of(project, trunk)),
        }
    }

    /// The project of the source, if the source belongs to exactly one.
    fn only_project(&self) -> Option<ProjectId> {
        let mut projects = self.source.trunks.iter().map(|trunk| self.config.trunk(trunk).project);
        let first = projects.next()?;
        projects.all(|project| project == first).then_some(first)
    }

    fn elsewhere(&self, region: RegionId) -> Option<Elsewhere> {
        if region == self.case.region() {
            return self.misnamed();
        }
        let (there, here) = (self.config.region(region), self.config.region(self.case.region()));
        let reason = if there.served { Reason::WrongListener } else { Reason::ForeignEndpoint };
        let detail = [&self.host_value(), " is an endpoint of region ", &there.name, ", not ", &here.name].concat();
        Some(Elsewhere { reason, detail, by_sni: false })
    }

    /// The name asked for over TLS (SNI) is another region's endpoint: why that is refused. Which of this region's endpoints it is
    /// does not count: carriers use one connection for all names behind an address.
    fn misnamed(&self) -> Option<Elsewhere> {
        let asked = self.case.arrival.shown.and_then(|shown| shown.asked)?;
        let here = self.config.region(self.case.region());
        if tls::Name::of(here.hostname.as_bytes()) == asked {
            return None;
        }
        let named = self.config.regions.iter().find(|region| tls::Name::of(region.hostname.as_bytes()) == asked);
        let region = named.map_or("another region", |region| &region.hostname);
        let detail = format!("{} is not in the region that TLS was asked for: SNI names {region}", self.host_value());
        Some(Elsewhere { reason: Reason::WrongListener, detail, by_sni: true })
    }

    fn region(&self, id: RegionId) -> &str {
        &self.config.region(id).name
    }

    /// Both sides of the host's row: its value, and what the host names.
    fn host(&self, known: &str) -> (String, String) {
        (self.host_value(), format!("{known}; the listener is region {}'s", self.region(self.case.region())))
    }

    fn compared(&self, elsewhere: &Elsewhere, known: &str) -> (String, String) {
        if elsewhere.by_sni {
            return (self.host_value(), "the name that TLS was asked for (SNI), which is another region's endpoint".to_owned());
        }
        self.host(known)
    }

    fn host_value(&self) -> String {
        let route = list::items(self.case.message, Name::Route).next().filter(|_| self.named.by_route);
        if let Some(route) = route {
            return format!("Route {}", shown(self.case.message.slice(&route.span)));
        }
        match self.case.request.uri.scheme {
            Scheme::Tel => "tel URI".to_owned(),
            Scheme::Sos => "emergency service".to_owned(),
            _ => format!("Request-URI host {}", shown(self.case.request.uri.hostport)),
        }
    }

    /// Refuses a bare hostname if the source does not say which project it means.
    fn nobodys(&self) -> Refusal {
        let source = format!("source {}", self.case.arrival.from.ip());
        let row = self
            .case
            .trace
            .fail(Test::Project, || (source, "a bare hostname: the source must name exactly one project".to_owned()));
        self.unknown(row, "needs a project in front: the source does not name exactly one")
    }

    fn unknown(&self, row: Failed, what: &str) -> Refusal {
        let detail = format!("{} {what}", self.host_value());
        Refusal::new(row, Reason::UnknownEndpoint, detail).of(None, self.source.trunks.iter().next())
    }

    fn stranger(&self, project: ProjectId) -> Refusal {
        let ip = self.case.arrival.from.ip();
        let detail = format!("source {ip} is no trunk of project {}", self.config.project(project).name);
        let row = self.case.trace.fail(Test::Project, || (format!("source {ip}"), detail.clone()));
        Refusal::new(row, Reason::UnknownSource, detail).of(Some(project), None)
    }
}
