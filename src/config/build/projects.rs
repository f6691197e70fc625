//! Projects and their trunks, checked against the regions that they may use.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Builder;
use crate::config::file;
use crate::config::gate::MOST_API_KEYS;
use crate::config::hop::Written;
use crate::config::ids::{ListenerId, ProjectId, RegionId, TrunkId};
use crate::config::mode::{Media, Mode};
use crate::config::number_limits::{AllowedCallers, NumberLimits, in_order};
use crate::config::project::{MOST_WAYS_OUT, More, Outbound, Project, Trunk};
use crate::config::references::references;
use crate::config::region::Region;
use crate::config::report::{Placed, Read, Report, good, values};
use crate::config::transport::Transport;
use crate::config::{secure, value, warning};
use crate::fence::{Fence, Networks};
use crate::numbering::NumberRules;
use crate::reason::Profile;

/// Most gateways of a trunk.
const MOST_GATEWAYS: usize = 16;
/// How often a gateway may be asked whether it is there: with as many as are watched, a hundred a second are asked at most.
const PING: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(3600);
/// Most entries of `countries` and of `callers`.
const MOST_COUNTRIES: usize = 64;

/// Reports a project whose media needs a relay that is missing: every served region that its calls may use needs one.
fn needs_relays(project: &file::Project, pin: Option<&[RegionId]>, regions: &[Region], report: &mut Report) {
    let Some(media) = good(&project.media).filter(|media| media.value == Media::Relay) else { return };
    for (region, id) in regions.iter().zip(0..) {
        let used = region.served && pin.is_none_or(|pin| pin.contains(&RegionId(id)));
        if used && region.relays.is_empty() {
            let wrong = format!("region `{}`, which project `{}` may use, has no `relay`", region.name, project.name.value);
            report.mistake(&media.place, wrong, "relay = [\"udp:10.20.0.5:2223\"] in that region");
        }
    }
}

impl Builder<'_> {
    /// Takes in a project with its trunks, and reports what is wrong with it.
    pub(in crate::config) fn project(&mut self, project: &file::Project, report: &mut Report) {
        self.suffixes.check(project, report);
        warning::project(project, self.files, report);
        for trunk in &project.trunks {
            secure::check(trunk, self.offers, report);
        }
        let built = self.build_project(project, report);
        self.api_keys(project, report);
        self.endpoints.add_trunks(&built, &self.trunks);
        self.projects.push(built);
        if self.endpoints.add_project(&self.projects).is_err() {
            let wrong = format!("project `{}` is defined twice", project.name.value);
            report.mistake(&project.name.place, wrong, "one [project.*] of that name over all files");
        }
    }

    /// Takes in the keys whose tokens are the project's. A key is one project's, or a token would have two pins.
    fn api_keys(&mut self, project: &file::Project, report: &mut Report) {
        let Some(keys) = good(&project.api_keys) else { return };
        if keys.is_empty() || keys.len() > MOST_API_KEYS {
            let wrong = format!("`api_keys` has {} keys", keys.len());
            report.mistake(&project.api_keys_place, wrong, format!("1 to {MOST_API_KEYS}; leave it out if no tokens are its"));
        }
        let id = ProjectId(u32::try_from(self.projects.len()).unwrap_or(u32::MAX));
        for key in keys {
            let Err(owner) = self.api_keys.add(id, &key.value) else {
                self.api_key_places.push(key.place.clone());
                continue;
            };
            if owner == id {
                report.mistake(&key.place, format!("`{}` stands twice in `api_keys`", key.value), "each key once");
                continue;
            }
            let name = |id: ProjectId| self.projects.get(id.0 as usize).map_or("", |of| &*of.name);
            let right = "each key under one project: a token would have two pins";
            let of = project.name.value.as_str();
            report.mistake(
                &key.place,
                format!("the key `{}` of project `{of}` is project `{}`'s too", key.value, name(owner)),
                right,
            );
            if let Some(first) = self.api_keys.place(&key.value).and_then(|at| self.api_key_places.get(at)) {
                report.mistake(
                    first,
                    format!("the key `{}` of project `{}` is project `{of}`'s too", key.value, name(owner)),
                    right,
                );
            }
        }
    }

    fn build_project(&mut self, project: &file::Project, report: &mut Report) -> Project {
        let pin = match &project.pin {
            Ok(Some(names)) if names.is_empty() => {
                let right = "the regions that its calls may use; leave `pin` out for a project that may use all";
                report.mistake(&project.pin_place, "an empty pin allows nothing", right);
                None
            }
            Ok(Some(names)) => Some(references(names, &self.ids, report)),
            Ok(None) => {
                let wrong = format!("project `{}` is not pinned: its calls may use every region", project.name.value);
                report.warning(&project.name.place, wrong, "pin = [\"eu\"] if they must not");
                None
            }
            Err(_) => None,
        };
        needs_relays(project, pin.as_deref(), &self.regions, report);
        let reject = good(&project.reject).map_or(self.reject, |reject| reject.value);
        let id = ProjectId(u32::try_from(self.projects.len()).unwrap_or(u32::MAX));
        let first_trunk = TrunkId(u32::try_from(self.trunks.len()).unwrap_or(u32::MAX));
        for trunk in &project.trunks {
            let trunk = self.build_trunk(trunk, id, reject, pin.as_deref(), report);
            self.trunks.push(trunk);
        }
        Project {
            name: project.name.value.as_str().into(),
            pin: pin.map(|pin| self.shared.pin(&pin)),
            mode: good(&project.mode).map_or(Mode::Enforce, |mode| mode.value),
            media: good(&project.media).map_or(Media::Enforce, |media| media.value),
            source_in_region: good(&project.source_in_region).is_some_and(|source| source.value),
            reject,
            out: ways_out(project, first_trunk, report),
            first_trunk,
            trunk_count: u32::try_from(project.trunks.len()).unwrap_or(u32::MAX),
        }
    }

    fn build_trunk(
        &mut self,
        trunk: &file::Trunk,
        project: ProjectId,
        reject: Profile,
        pin: Option<&[RegionId]>,
        report: &mut Report,
    ) -> Trunk {
        let name = &trunk.name;
        let empty = |networks: &Read<Vec<_>>| matches!(networks, Ok(None)) || good(networks).is_some_and(Vec::is_empty);
        let certified = !matches!(trunk.certificates, Ok(None));
        if good(&trunk.certificates).is_some_and(Vec::is_empty) {
            report.mistake(&name.place, "no certificate would do", "names as in certificates = [\"sbc.carrier.example\"]");
        }
        if empty(&trunk.networks) && !certified {
            let right = "where it signals from, for example networks = [\"192.0.2.0/28\"]";
            report.mistake(&name.place, format!("trunk `{}` has no `networks`", name.value), right);
        }
        let networks = self.shared.networks(values(&trunk.networks));
        let outbound = good(&trunk.uri).map(|uris| self.build_outbound(trunk, uris, &networks, pin, report));
        let anywhere = certified && empty(&trunk.networks);
        if anywhere && empty(&trunk.outbound_networks) {
            let wrong =
                format!("trunk `{}` may signal from everywhere, and no request inside its calls may go back there", name.value);
            report.warning(&name.place, wrong, "the carrier's networks, in `networks` or `outbound_networks`");
        }
        if matches!(trunk.uri, Ok(None)) && matches!(trunk.outbound_networks, Ok(Some(_))) && !anywhere {
            let right = "the carrier's `uri` beside it, or leave it out";
            report.mistake(&trunk.outbound_place, "`outbound_networks` without `uri` does nothing", right);
        }
        let more = More {
            certificates: good(&trunk.certificates).into_iter().flatten().map(|placed| placed.value.as_str().into()).collect(),
            media: self.shared.networks(values(&trunk.media)),
            outbound,
            reach: self.shared.networks(values(&trunk.outbound_networks)),
            numbers: self.numbers(trunk, report),
        };
        Trunk {
            name: self.shared.name(&name.value),
            project,
            reject: good(&trunk.reject).map_or(reject, |reject| reject.value),
            networks,
            more: self.shared.more(more),
        }
    }

    /// What the trunk says of numbers. `None`: nothing.
    fn numbers(&self, trunk: &file::Trunk, report: &mut Report) -> Option<NumberLimits> {
        let file::Trunk { countries, callers, numbering, strip, refuses_emergency, .. } = trunk;
        for (key, place, count) in [
            ("countries", &trunk.countries_place, good(countries).map(Vec::len)),
            ("callers", &trunk.callers_place, good(callers).map(Vec::len)),
        ] {
            match count {
                Some(0) => {
                    let right = format!("the countries that may be in it; leave `{key}` out for all");
                    report.mistake(place, format!("empty `{key}` allow nobody"), right);
                }
                Some(count) if count > MOST_COUNTRIES => {
                    report.mistake(place, format!("`{key}` has {count} entries"), format!("at most {MOST_COUNTRIES}"));
                }
                _ => {}
            }
        }
        if matches!(trunk.uri, Ok(None)) && matches!(trunk.advance, Ok(Some(_))) {
            let right = "the carrier's `uri` beside it, or leave it out";
            report.mistake(&trunk.advance_place, "`advance` without `uri` does nothing", right);
        }
        if let (Ok(None), Some(ping)) = (&trunk.uri, good(&trunk.ping)) {
            report.mistake(&ping.place, "`ping` without `uri` asks nobody", "the carrier's `uri` beside it, or leave it out");
        }
        if matches!(trunk.uri, Ok(None)) && matches!(countries, Ok(Some(_))) {
            let right = "the carrier's `uri` beside it; `callers` is for calls in";
            report.mistake(&trunk.countries_place, "`countries` without `uri` does nothing", right);
        }
        let limits = NumberLimits {
            countries: good(countries).map(|list| in_order(list.iter().map(|country| country.value).collect())),
            callers: good(callers).map(|list| AllowedCallers::of(list.iter().map(|caller| caller.value))),
            rules: NumberRules {
                numbering: good(numbering).map_or_else(Default::default, |numbering| numbering.value),
                strip: good(strip).map(|strip| strip.value.clone()),
                emergency: self.plain_numbers.rules.emergency.clone(),
            },
            refuses_emergency: good(refuses_emergency).is_some_and(|refuses| refuses.value),
        };
        (limits != self.plain_numbers).then_some(limits)
    }

    fn build_outbound(
        &mut self,
        trunk: &file::Trunk,
        uris: &[Placed<Written>],
        networks: &Networks,
        pin: Option<&[RegionId]>,
        report: &mut Report,
    ) -> Outbound {
        let outbound = match &trunk.outbound_networks {
            Ok(None) => networks.clone(),
            given => self.shared.networks(values(given)),
        };
        let known = trunk.networks.is_ok() && trunk.outbound_networks.is_ok();
        if uris.is_empty() || uris.len() > MOST_GATEWAYS {
            let wrong = format!("`uri` has {} gateways", uris.len());
            report.mistake(&trunk.uri_place, wrong, format!("1 to {MOST_GATEWAYS}; leave `uri` out if no calls go out"));
        }
        for uri in uris {
            if let Some(addr) = uri.value.address()
                && known
                && Fence::of_outbound(&outbound).admit(addr).is_err()
            {
                let wrong = format!("{} is outside the trunk's outbound networks", addr.ip());
                report.mistake(&uri.place, wrong, "its network in `outbound_networks` (the trunk's `networks` if absent)");
            }
            if let Some(over) = uri.value.over().filter(|over| over.reliable()) {
                self.listens_over(over, uri, pin, report);
            }
        }
        let unnamed =
            trunk.networks.is_ok() && matches!(trunk.outbound_networks, Ok(None)) && !matches!(trunk.certificates, Ok(None));
        if known && outbound.is_empty() && (good(&trunk.outbound_networks).is_some() || unnamed) {
            report.mistake(&trunk.outbound_place, "no network: no call could go out", "the networks that `uri` may resolve to");
        }
        let hops = uris.iter().map(|uri| self.names.hop(&uri.value)).collect();
        let hostparts = uris.iter().map(|uri| uri.value.hostpart.as_str().into()).collect();
        Outbound { hops, hostparts, networks: outbound, advance: advance(trunk, report), ping: ping(trunk, report) }
    }

    /// Reports a gateway over a transport on which a region that its calls may come from does not listen.
    fn listens_over(&self, over: Transport, uri: &Placed<Written>, pin: Option<&[RegionId]>, report: &mut Report) {
        for (region, id) in self.regions.iter().zip(0..) {
            let used = region.served && pin.is_none_or(|pin| pin.contains(&RegionId(id)));
            let listens = |id: &ListenerId| self.listeners.get(usize::from(id.0)).is_some_and(|at| at.transport == over);
            if used && !region.listeners.is_empty() && !region.listeners.iter().any(listens) {
                let wrong = format!("a trunk over {0}, but region `{1}` does not listen on {0}", over.via(), region.name);
                let right = format!("a `{}:` listener in that region: requests in dialogs come back to it", over.token());
                report.mistake(&uri.place, wrong, right);
            }
        }
    }
}

/// The trunks of `out`: each is one of the project's, has a `uri`, and stands once.
fn ways_out(project: &file::Project, TrunkId(first): TrunkId, report: &mut Report) -> Box<[TrunkId]> {
    let Some(names) = good(&project.out) else { return Box::default() };
    if names.is_empty() || names.len() > MOST_WAYS_OUT {
        let wrong = format!("`out` has {} trunks", names.len());
        report.mistake(&project.out_place, wrong, format!("1 to {MOST_WAYS_OUT}; leave `out` out if each call names its trunk"));
    }
    let mut ways = Vec::new();
    for name in names {
        let trunk = (0..).zip(&project.trunks).find(|(_, trunk)| trunk.name.value == name.value);
        match trunk {
            None => {
                let wrong = format!("`{}` is no trunk of project `{}`", name.value, project.name.value);
                report.mistake(&name.place, wrong, format!("a trunk as in [project.{}.trunk.NAME]", project.name.value));
            }
            Some((_, trunk)) if matches!(trunk.uri, Ok(None)) => {
                let wrong = format!("no call goes out by trunk `{}`: it has no `uri`", name.value);
                report.mistake(&name.place, wrong, "the carrier's `uri` there, or leave the trunk out here");
            }
            Some((at, _)) => {
                let id = TrunkId(first.saturating_add(at));
                if ways.contains(&id) {
                    report.mistake(&name.place, format!("`{}` stands twice in `out`", name.value), "each trunk once");
                }
                ways.push(id);
            }
        }
    }
    ways.into()
}

/// How often each gateway is asked whether it is there.
fn ping(trunk: &file::Trunk, report: &mut Report) -> Option<Duration> {
    let ping = good(&trunk.ping)?;
    if !PING.contains(&ping.value) {
        let (least, most) = (value::written(*PING.start()), value::written(*PING.end()));
        report.mistake(&ping.place, format!("`ping` is {}", value::written(ping.value)), format!("{least} to {most}"));
    }
    Some(ping.value)
}

/// The codes after which the next gateway is tried, in order.
fn advance(trunk: &file::Trunk, report: &mut Report) -> Box<[u16]> {
    let mut codes = Vec::new();
    for code in good(&trunk.advance).into_iter().flatten() {
        match u16::try_from(code.value).unwrap_or_default() {
            code_of @ (401 | 407 | 487) => {
                let wrong =
                    format!("after {code_of} the next gateway is no help: it asks for credentials, or ends a cancelled call");
                report.mistake(
                    &code.place,
                    wrong,
                    "codes of gateways that cannot take the call, for example [408, 500, 502, 504]",
                );
            }
            code => codes.push(code),
        }
    }
    codes.sort_unstable();
    codes.dedup();
    codes.into()
}
