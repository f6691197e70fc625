//! Whether the host that a new request names is ours to serve: which endpoint it is, whose project and trunk, and whether the name that
//! TLS was asked for (SNI) is one of this region. Only reads.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::{Config, Endpoint, Listener, Mode, ProjectId, RegionId, TrunkId};
use crate::core::io::Arrival;
use crate::core::rules::broken_rule::BrokenRule;
use crate::core::rules::case::Case;
use crate::core::rules::refusal::{Refusal, shown};
use crate::core::rules::side::Side;
use crate::core::rules::sides::Source;
use crate::core::rules::trace::{Failed, Test, around, servers_around, trunk_name};
use crate::fence::canonical;
use crate::reason::Reason;
use crate::sip::uri::{Host, Scheme, Uri};
use crate::sip::{Method, Request};
use crate::tls::Name;

/// A request that has passed all tests so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// The project of the call.
    pub(crate) project: ProjectId,
    /// The trunk of the call: the one it came from, or the one it goes out by.
    pub(crate) trunk: TrunkId,
    /// Whether it goes out by the trunk.
    pub(crate) outbound: bool,
    /// Whether it calls an emergency number: neither rate nor overload stands in its way.
    pub(crate) emergency: bool,
    /// The first rule that it breaks, if its project is in shadow mode or only warns about media.
    pub(crate) shadow: Option<Box<BrokenRule>>,
}

impl Admitted {
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
        (Uri { scheme: Scheme::Tel, .. }, _) => Endpoint::Region(listener.region),
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
    pub(crate) fn place(&self, endpoint: Endpoint) -> Result<Admitted, Refusal> {
        let here = self.case.region();
        match endpoint {
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
                self.inbound(project, self.elsewhere(region), known)
            }
            Endpoint::Global(project) => {
                let known = || format!("project {} at any region", self.config.project(project).name);
                self.inbound(project, self.misnamed(), known)
            }
            Endpoint::Trunk(region, trunk) => {
                let project = self.config.trunk(trunk).project;
                let of = self.config.trunk(trunk);
                let known = || format!("{} at region {}", trunk_name(self.config, trunk), self.region(region));
                if let Some(elsewhere) = self.elsewhere(region) {
                    let row = self.case.trace.fail(Test::Host, || self.compared(&elsewhere, &known()));
                    return Err(Refusal::new(row, elsewhere.reason, elsewhere.detail).of(Some(project), Some(trunk)));
                }
                if self.source.server && of.outbound().is_none() {
                    let row = self.case.trace.fail(Test::Host, || self.host("a trunk without uri: nothing goes out by it"));
                    return Err(self.unknown(row, "names a trunk without uri"));
                }
                self.case.trace.pass(Test::Host, || self.host(&known()));
                if !self.source.server {
                    return Err(self.stranger(project));
                }
                let ip = self.case.arrival.from.ip();
                self.case.trace.pass(Test::Project, || {
                    let name = trunk_name(self.config, trunk);
                    let servers = servers_around(ip, self.source.servers);
                    (
                        format!("source {ip}"),
                        format!("a server of region {} that calls out by {name}: {servers}", self.region(here)),
                    )
                });
                Ok(Admitted { project, trunk, outbound: true, emergency: false, shadow: None })
            }
        }
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
        Ok(Admitted { project, trunk, outbound: false, emergency: false, shadow })
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
        let host = shown(self.case.request.uri.hostport);
        let detail = ["Request-URI host ", &host, " is an endpoint of region ", &there.name, ", not ", &here.name].concat();
        Some(Elsewhere { reason, detail, by_sni: false })
    }

    /// The name asked for over TLS (SNI) is another region's endpoint: why that is refused. Which of this region's endpoints it is
    /// does not count: carriers use one connection for all names behind an address.
    fn misnamed(&self) -> Option<Elsewhere> {
        let asked = self.case.arrival.shown.and_then(|shown| shown.asked)?;
        let here = self.config.region(self.case.region());
        if Name::of(here.hostname.as_bytes()) == asked {
            return None;
        }
        let named = self.config.regions.iter().find(|region| Name::of(region.hostname.as_bytes()) == asked);
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
        match self.case.request.uri.scheme {
            Scheme::Tel => "tel URI".to_owned(),
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
