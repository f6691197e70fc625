//! The objections on a new request: which project and trunk it belongs to, and whether it may pass.
//!
//! A pure function of the request, where it came from and the configuration. The order of the tests is the contract's: the source,
//! the host, the project and its trunk, the pin, the media. (Targets come after, when there is something to forward.) Only the
//! Request-URI, the packet's source and the body decide; no other header is believed.

use crate::config::{Config, Endpoint, Listener, Mode, ProjectId, RegionId, TrunkId};
use crate::core::io::{Arrival, Output};
use crate::core::rules::case::Case;
use crate::core::rules::media::{Part, Ruling};
use crate::core::rules::refusal::{Refusal, shown};
use crate::core::rules::sides::{Side, Source, Speaker};
use crate::core::rules::trace::{Mark, Test, Trace, around, trunk_name};
use crate::reason::Reason;
use crate::sip::uri::{Host, Scheme, Uri};
use crate::sip::{Method, Request};
use crate::tls::Name;

/// A request that may pass, so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// Whose.
    pub(crate) project: ProjectId,
    /// By which trunk: the one it came from, or the one it goes out by.
    pub(crate) trunk: TrunkId,
    /// Whether it goes out by the trunk.
    pub(crate) outbound: bool,
    /// What would have refused it, if the project did not only watch (or only warn about media).
    pub(crate) shadow: Option<Reason>,
}

/// Judges a new request. The source is known to be somebody. What it says of media is noted in `out`.
pub(crate) fn admit(
    config: &Config,
    case: &Case<'_, '_>,
    source: Source<'_>,
    out: &mut Vec<Output>,
) -> Result<Admitted, Refusal> {
    let &Case { ref listener, arrival, message, request, trace, .. } = case;
    let endpoint = endpoint(config, listener, arrival, request);
    let judge = Judge { config, listener, source, arrival, trace };
    let placed = judge.place(endpoint, request);
    judge.tell(endpoint, request, &placed);
    let (project, trunk, outbound, foreign) = placed?;
    let mut objections = Objections { config, project, trunk, shadow: None };
    let watches = config.project(project).mode == Mode::Shadow;
    if let Some((reason, detail)) = foreign {
        objections.object(reason, detail)?;
    }
    let region = config.region(listener.region);
    let rules = config.project(project);
    let ip = arrival.from.ip();
    let near = !rules.source_in_region || region.networks.contains(ip);
    if rules.source_in_region {
        trace.note(Test::Project, Mark::by(near, watches), || {
            (format!("source {ip}"), format!("networks of region {}: {}", region.name, around(ip, &[&region.networks])))
        });
    }
    if !near {
        objections.object(Reason::ForeignSource, format!("source {ip} is outside region {}", region.name))?;
    }
    let pinned_here = rules.pin.as_ref().is_none_or(|pin| pin.contains(&listener.region));
    trace.note(Test::Pin, Mark::by(pinned_here, watches), || {
        let pin =
            rules.pin.as_ref().map(|pin| pin.iter().map(|&id| config.region(id).name.as_str()).collect::<Vec<_>>().join(", "));
        let pin = pin.map_or_else(|| "is not pinned".to_owned(), |pin| format!("is pinned to {pin}"));
        (format!("region {}", region.name), format!("project {} {pin}", rules.name))
    });
    if let Some(pin) = rules.pin.as_ref().filter(|_| !pinned_here) {
        let names: Vec<&str> = pin.iter().map(|&id| config.region(id).name.as_str()).collect();
        objections.object(
            Reason::PinnedElsewhere,
            format!("project {} is pinned to {}, not {}", rules.name, names.join(" "), region.name),
        )?;
    }
    let side = if outbound { Side::Servers } else { Side::Trunk };
    let (called, serving) = (listener.region, listener.region);
    let speaker = Speaker { side, called, serving, project: Some(project), trunk: Some(trunk) };
    match speaker.judge(config, message, request.method, Part::Offer, trace, out) {
        Ruling::Pass => {}
        Ruling::Shadow(reason) => {
            objections.shadow.get_or_insert(reason);
        }
        Ruling::Foreign(reason, detail) => objections.object(reason, detail)?,
    }
    Ok(Admitted { project, trunk, outbound, shadow: objections.shadow })
}

/// What the Request-URI names. A tel URI has no host: it stands for the bare region, as its number does not say otherwise. An
/// address is no endpoint, since the hostname is the pin; only an OPTIONS may ask the very address that it was sent to.
fn endpoint(config: &Config, listener: &Listener, arrival: &Arrival, request: &Request<'_>) -> Endpoint {
    match (&request.uri, request.uri.host) {
        (Uri { scheme: Scheme::Tel, .. }, _) => Endpoint::Region(listener.region),
        (_, Some(Host::Name(name))) => config.endpoints.find(name),
        (_, Some(Host::Address(ip))) if request.method == Method::Options && ip == arrival.local.ip() => {
            Endpoint::Region(listener.region)
        }
        _ => Endpoint::Unknown,
    }
}

/// Whether an OPTIONS asks about nothing but this address: there is no project to judge then.
pub(crate) fn is_ping(config: &Config, arrival: &Arrival, request: &Request<'_>) -> bool {
    let listener = config.listener(arrival.listener);
    request.method == Method::Options
        && matches!(endpoint(config, listener, arrival, request), Endpoint::Region(region) if region == listener.region)
}

struct Judge<'a> {
    config: &'a Config,
    listener: &'a Listener,
    source: Source<'a>,
    arrival: &'a Arrival,
    trace: &'a Trace,
}

/// Project, trunk, whether outbound, and what is wrong with the host if it names an endpoint elsewhere.
type Placed = (ProjectId, TrunkId, bool, Option<(Reason, String)>);

impl Judge<'_> {
    fn place(&self, endpoint: Endpoint, request: &Request<'_>) -> Result<Placed, Refusal> {
        match endpoint {
            Endpoint::Unknown => Err(self.unknown(request, "is no endpoint here")),
            Endpoint::Region(region) => {
                let foreign = self.foreign(region, request);
                match self.only_project() {
                    Some(project) => self.inbound(project, foreign),
                    None => Err(match foreign {
                        Some((reason, detail)) => Refusal { reason, project: None, trunk: None, detail },
                        None => self.unknown(request, "needs a project in front: the source does not name exactly one"),
                    }),
                }
            }
            Endpoint::Project(region, project) => self.inbound(project, self.foreign(region, request)),
            Endpoint::Global(project) => self.inbound(project, self.misnamed(request)),
            Endpoint::Trunk(region, trunk) => {
                let project = self.config.trunk(trunk).project;
                if let Some((reason, detail)) = self.foreign(region, request) {
                    return Err(Refusal { reason, project: Some(project), trunk: Some(trunk), detail });
                }
                if !self.source.server {
                    return Err(self.stranger(project));
                }
                if self.config.trunk(trunk).outbound.is_none() {
                    return Err(self.unknown(request, "names a trunk without uri"));
                }
                Ok((project, trunk, true, None))
            }
        }
    }

    /// Writes down what host and source were held against.
    fn tell(&self, endpoint: Endpoint, request: &Request<'_>, placed: &Result<Placed, Refusal>) {
        if !self.trace.is_open() {
            return;
        }
        let (config, here) = (self.config, self.listener.region);
        let region = |id: RegionId| &config.region(id).name;
        let (home, known, bare) = match endpoint {
            Endpoint::Unknown => (None, "no endpoint of ours".to_owned(), false),
            Endpoint::Region(at) => (Some(at), format!("region {}, without a project", region(at)), true),
            Endpoint::Project(at, project) => {
                (Some(at), format!("project {} at region {}", config.project(project).name, region(at)), false)
            }
            Endpoint::Global(project) => (Some(here), format!("project {} at any region", config.project(project).name), false),
            Endpoint::Trunk(at, trunk) => (Some(at), format!("{} at region {}", trunk_name(config, trunk), region(at)), false),
        };
        let watches = placed.as_ref().is_ok_and(|&(project, ..)| config.project(project).mode == Mode::Shadow);
        self.trace.note(Test::Host, Mark::by(home == Some(here), watches), || {
            let host = match request.uri.scheme {
                Scheme::Tel => "tel URI".to_owned(),
                _ => format!("Request-URI host {}", shown(request.uri.hostport)),
            };
            (host, format!("{known}; the listener is region {}'s", region(here)))
        });
        let ip = self.arrival.from.ip();
        let source = format_args!("source {ip}");
        match placed {
            Ok((_, trunk, outbound, _)) => self.trace.note(Test::Project, Mark::Pass, || {
                let networks = if *outbound { &config.region(here).networks } else { &config.trunk(*trunk).networks };
                let of =
                    if *outbound { format!("a server of region {} that calls out by ", region(here)) } else { String::new() };
                let certificates = config.trunk(*trunk).certificates.join(" or ");
                let known = match (certificates.is_empty() || *outbound, networks.is_empty()) {
                    (true, _) => around(ip, &[networks]),
                    (false, true) => format!("a certificate for {certificates}"),
                    (false, false) => format!("{}, and a certificate for {certificates}", around(ip, &[networks])),
                };
                (source.to_string(), format!("{of}{}: {known}", trunk_name(config, *trunk)))
            }),
            Err(Refusal { reason: Reason::UnknownSource, detail, .. }) => {
                self.trace.note(Test::Project, Mark::Fail, || (source.to_string(), detail.clone()));
            }
            Err(_) if bare && home == Some(here) => {
                let mark = if request.method == Method::Options { Mark::Skipped } else { Mark::Fail };
                self.trace.note(Test::Project, mark, || {
                    (source.to_string(), "a bare hostname: the source must name exactly one project".to_owned())
                });
            }
            Err(_) => {}
        }
    }

    /// A call to a project's endpoint: one of its trunks must signal from the source.
    fn inbound(&self, project: ProjectId, foreign: Option<(Reason, String)>) -> Result<Placed, Refusal> {
        let trunk = self.source.trunks.iter().find(|&trunk| self.config.trunk(trunk).project == project);
        match (trunk, foreign) {
            (Some(trunk), foreign) => Ok((project, trunk, false, foreign)),
            (None, Some((reason, detail))) => Err(Refusal { reason, project: Some(project), trunk: None, detail }),
            (None, None) => Err(self.stranger(project)),
        }
    }

    /// The project of the source, if it names exactly one.
    fn only_project(&self) -> Option<ProjectId> {
        let mut projects = self.source.trunks.iter().map(|trunk| self.config.trunk(trunk).project);
        let first = projects.next()?;
        projects.all(|project| project == first).then_some(first)
    }

    fn foreign(&self, region: RegionId, request: &Request<'_>) -> Option<(Reason, String)> {
        if region == self.listener.region {
            return self.misnamed(request);
        }
        let (there, here) = (self.config.region(region), self.config.region(self.listener.region));
        let reason = if there.served { Reason::WrongListener } else { Reason::ForeignEndpoint };
        let host = shown(request.uri.hostport);
        let detail = ["Request-URI host ", &host, " is an endpoint of region ", &there.name, ", not ", &here.name].concat();
        Some((reason, detail))
    }

    /// The name that was asked for as the TLS connection began is another endpoint's: it must be the Request-URI's host, or one that
    /// this is below, or the region's own (many clients ask for the name of the server that they found).
    fn misnamed(&self, request: &Request<'_>) -> Option<(Reason, String)> {
        let asked = self.arrival.shown.and_then(|shown| shown.asked)?;
        let Some(Host::Name(host)) = request.uri.host else { return None };
        let here = self.config.region(self.listener.region);
        let above = std::iter::successors(Some(host), |host| host.splitn(2, |&octet| octet == b'.').nth(1));
        if above.take(3).chain([here.hostname.as_bytes()]).any(|name| Name::of(name) == asked) {
            return None;
        }
        let host = shown(request.uri.hostport);
        Some((Reason::WrongListener, format!("Request-URI host {host} is not the endpoint that TLS was asked for")))
    }

    fn unknown(&self, request: &Request<'_>, what: &str) -> Refusal {
        let detail = format!("Request-URI host {} {what}", shown(request.uri.hostport));
        Refusal { reason: Reason::UnknownEndpoint, project: None, trunk: self.source.trunks.iter().next(), detail }
    }

    fn stranger(&self, project: ProjectId) -> Refusal {
        let detail = format!("source {} is no trunk of project {}", self.arrival.from.ip(), self.config.project(project).name);
        Refusal { reason: Reason::UnknownSource, project: Some(project), trunk: None, detail }
    }
}

/// What has been found so far about a request whose project is known.
struct Objections<'a> {
    config: &'a Config,
    project: ProjectId,
    trunk: TrunkId,
    shadow: Option<Reason>,
}

impl Objections<'_> {
    /// An objection: refuses, unless the project only watches; then the first one is remembered.
    fn object(&mut self, reason: Reason, detail: String) -> Result<(), Refusal> {
        if self.config.project(self.project).mode == Mode::Shadow {
            self.shadow.get_or_insert(reason);
            return Ok(());
        }
        Err(Refusal { reason, project: Some(self.project), trunk: Some(self.trunk), detail })
    }
}
