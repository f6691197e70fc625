//! What a change of the configuration means for calls, in words. Compares two snapshots; changes nothing and prints nothing.

use std::collections::{HashMap, HashSet};

use ipnet::IpNet;

use super::{Config, Media, Mode, Project, ProjectId, Region, RegionId, Trunk, TrunkId};
use crate::fence::Networks;
use crate::reason::Reason;

/// One thing that changes for calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Consequence {
    /// What it follows from: `project acme`, `region eu`, `secret`.
    pub(crate) of: String,
    /// What happens to which calls.
    pub(crate) text: String,
}

/// The consequences of the new configuration for calls of the old one, `most` at most.
pub(super) fn between(old: &Config, new: &Config, most: usize) -> Vec<Consequence> {
    let mut found = Found { all: Vec::new(), most };
    let changed = match (&old.secret, &new.secret) {
        (Some(old), Some(new)) => old.0 != new.0,
        (None, None) => false,
        _ => true,
    };
    if changed {
        let what = "requests inside calls that are up become";
        found.add("secret", format!("{what} {}, on this node and on others with the former key", named(Reason::ForgedRoute)));
    }
    found.regions(old, new);
    found.new_regions(old, new);
    found.projects(old, new);
    found.keys(old, new);
    found.all
}

struct Found {
    all: Vec<Consequence>,
    most: usize,
}

/// What becomes of calls that break a rule of a project: shadow mode lets them pass.
fn becoming(project: &Project, reason: Reason) -> String {
    match project.mode {
        Mode::Enforce => format!("become {}", named(reason)),
        Mode::Shadow => format!("still pass, and count as shadow {}", named(reason)),
    }
}

/// A reason as it is told: `130 pinned-elsewhere`.
fn named(reason: Reason) -> String {
    format!("{} {}", reason.id(), reason.token())
}

impl Found {
    fn add(&mut self, of: impl Into<String>, text: String) {
        if self.all.len() < self.most {
            self.all.push(Consequence { of: of.into(), text });
        }
    }

    fn regions(&mut self, old: &Config, new: &Config) {
        let of_new: HashMap<&str, &Region> = named_regions(new).collect();
        for (name, was) in named_regions(old) {
            let of = format!("region {name}");
            let Some(is) = of_new.get(name) else {
                self.add(of, format!("calls to {} become {}", was.hostname, named(Reason::UnknownEndpoint)));
                continue;
            };
            if was.hostname != is.hostname {
                self.add(&of, format!("calls to {} become {}", was.hostname, named(Reason::UnknownEndpoint)));
            }
            if was.served {
                self.listeners(old, new, was, is);
            }
            if let Some(new) = gone(&is.networks, &was.networks) {
                self.add(&of, format!("{new} is inside from now on: calls and their media may go there"));
            }
            if let Some(gone) = gone(&was.networks, &is.networks) {
                let (target, offer) = (named(Reason::ForeignTarget), named(Reason::ForeignMediaOffer));
                self.add(
                    &of,
                    format!("{gone} is outside from now on: nothing is sent there ({target}), and media there becomes {offer}"),
                );
            }
        }
    }

    fn new_regions(&mut self, old: &Config, new: &Config) {
        let before: HashSet<&str> = named_regions(old).filter(|(_, of)| of.served).map(|(name, _)| name).collect();
        for (name, is) in named_regions(new).filter(|(name, of)| of.served && !before.contains(name)) {
            self.add(format!("region {name}"), format!("calls to {} are taken from now on", is.hostname));
        }
    }

    fn listeners(&mut self, old: &Config, new: &Config, was: &Region, is: &Region) {
        let listen = |config: &Config, region: &Region| -> Vec<String> {
            let ids = region.listeners.iter().map(|&id| config.listener(id));
            ids.map(|of| format!("{}:{}", of.transport.token(), of.addr)).collect()
        };
        let kept = if is.served { listen(new, is) } else { Vec::new() };
        let of = format!("region {}", was.name);
        for listener in listen(old, was).iter().filter(|listener| !kept.contains(listener)) {
            let draining = named(Reason::Draining);
            self.add(
                &of,
                format!("{listener} takes no new calls: they become {draining} until its open ones have ended, and it closes"),
            );
        }
    }

    fn projects(&mut self, old: &Config, new: &Config) {
        let mut of_new: HashMap<&str, &Project> = new.projects.iter().map(|of| (&*of.name, of)).collect();
        for was in &old.projects {
            if self.all.len() >= self.most {
                return;
            }
            let name = &*was.name;
            match of_new.remove(name) {
                None => self.add(format!("project {name}"), format!("calls of {name} become {}", named(Reason::UnknownEndpoint))),
                Some(is) => self.project(old, new, was, is),
            }
        }
        if of_new.is_empty() {
            return;
        }
        // In the order of the file.
        for is in new.projects.iter().filter(|of| of_new.contains_key(&*of.name)) {
            if self.all.len() >= self.most {
                return;
            }
            let name = &*is.name;
            let from = signalling(new, is).nets().map(|net| net.to_string()).collect::<Vec<_>>().join(", ");
            let whence = if from.is_empty() { String::new() } else { format!(" from {from}") };
            self.add(format!("project {name}"), format!("calls{whence} to {name} are accepted from now on"));
        }
    }

    /// Whose tokens are somebody else's from now on.
    fn keys(&mut self, old: &Config, new: &Config) {
        let name = |config: &'_ Config, id: ProjectId| config.project(id).name.to_string();
        for (id, key) in old.api_keys.all() {
            let was = name(old, id);
            match new.project_of_key(key).map(|id| name(new, id)) {
                None => self.add(
                    format!("project {was}"),
                    format!("realtime clients with a token of {key} are refused from now on (401)"),
                ),
                Some(is) if is != was => self.add(format!("project {was}"), format!("tokens of {key} are {is}'s from now on")),
                Some(_) => {}
            }
        }
        for (id, key) in new.api_keys.all().filter(|(_, key)| old.project_of_key(key).is_none()) {
            let is = name(new, id);
            self.add(format!("project {is}"), format!("tokens of {key} are {is}'s from now on"));
        }
    }

    fn project(&mut self, old: &Config, new: &Config, was: &Project, is: &Project) {
        let name = &*was.name;
        let of = format!("project {name}");
        for (region, there) in named_regions(new).filter(|(_, there)| there.served) {
            if may_use(old, was, region) && !may_use(new, is, region) && named_regions(old).any(|(old, _)| old == region) {
                let text = format!("calls of {name} to {} {}", there.hostname, becoming(is, Reason::PinnedElsewhere));
                self.add(&of, text);
            }
            if !may_use(old, was, region) && may_use(new, is, region) && named_regions(old).any(|(old, _)| old == region) {
                self.add(&of, format!("calls of {name} to {} pass from now on", there.hostname));
            }
        }
        match (was.mode, is.mode) {
            (Mode::Enforce, Mode::Shadow) => {
                self.add(&of, format!("calls of {name} that its rules refuse pass from now on, and count as shadow"));
            }
            (Mode::Shadow, Mode::Enforce) => {
                self.add(&of, format!("calls of {name} that only shadow mode let pass are refused from now on"));
            }
            _ => {}
        }
        let holds = |media| matches!(media, Media::Enforce | Media::Relay);
        let reasons = [Reason::ForeignMediaOffer, Reason::ForeignMediaAnswer, Reason::UnreadableMedia]
            .map(|of| of.id().to_string())
            .join(", ");
        match (holds(was.media), holds(is.media)) {
            (true, false) => self.add(&of, format!("calls of {name} with media outside pass from now on")),
            (false, true) if is.mode == Mode::Shadow => {
                self.add(&of, format!("calls of {name} with media outside still pass, and count as shadow ({reasons})"));
            }
            (false, true) => self.add(&of, format!("calls of {name} with media outside are refused from now on ({reasons})")),
            _ => {}
        }
        if !was.source_in_region && is.source_in_region {
            self.add(&of, format!("calls of {name} from outside the region {}", becoming(is, Reason::ForeignSource)));
        }
        let ways = |config: &Config, of: &Project| of.out.iter().map(|&id| config.trunk(id).name.to_string()).collect::<Vec<_>>();
        match (ways(old, was), ways(new, is)) {
            (before, after) if before == after => {}
            (_, after) if after.is_empty() => {
                let text = format!("servers' calls to {name} that name no trunk become {}", named(Reason::UnknownSource));
                self.add(&of, text);
            }
            (_, after) => self.add(&of, format!("servers' calls to {name} go out by {} from now on", after.join(", then "))),
        }
        // Nearly always nothing has changed.
        let each = |config: &Config, of: &Project| of.trunks().map(|id| config.trunk(id).networks.clone()).collect::<Vec<_>>();
        if each(old, was) != each(new, is) {
            let (before, after) = (signalling(old, was), signalling(new, is));
            if let Some(gone) = gone(&before, &after) {
                self.add(&of, format!("calls of {name} from {gone} become {}", named(Reason::UnknownSource)));
            }
            if let Some(new) = gone(&after, &before) {
                self.add(&of, format!("calls from {new} are {name}'s from now on"));
            }
        }
        let before: HashMap<&str, TrunkId> = was.trunks().map(|id| (&*old.trunk(id).name, id)).collect();
        for id in is.trunks() {
            if let Some(&before) = before.get(&*new.trunk(id).name) {
                self.trunk(old.trunk(before), new.trunk(id), is, holds(is.media));
            }
        }
    }

    fn trunk(&mut self, was: &Trunk, is: &Trunk, project: &Project, holds: bool) {
        let of = format!("trunk {} of {}", is.name, project.name);
        if let Some(gone) = gone(was.media(), is.media()).filter(|_| holds) {
            let becoming = becoming(project, Reason::ForeignMediaOffer);
            self.add(&of, format!("calls of {of} with media at {gone} {becoming}, unless it is inside the region"));
        }
        self.numbers(was, is, project);
        let outbound = |trunk: &Trunk| trunk.outbound().map(|to| to.networks.clone());
        if let (Some(before), Some(after)) = (outbound(was), outbound(is))
            && let Some(gone) = gone(&before, &after)
        {
            self.add(&of, format!("calls out by {of} are sent to {gone} no longer ({})", named(Reason::ForeignTarget)));
        }
    }
}

impl Found {
    /// What changed lists of countries mean.
    fn numbers(&mut self, was: &Trunk, is: &Trunk, project: &Project) {
        let of = format!("trunk {} of {}", is.name, project.name);
        let called = |trunk: &Trunk| -> Option<Vec<String>> {
            let countries = trunk.numbers()?.countries.as_ref()?;
            Some(countries.iter().map(ToString::to_string).collect())
        };
        let calling = |trunk: &Trunk| -> Option<Vec<String>> {
            let callers = trunk.numbers()?.callers.as_ref()?;
            let anonymous = callers.anonymous.then(|| "anonymous".to_owned());
            Some(callers.countries.iter().map(ToString::to_string).chain(anonymous).collect())
        };
        let becoming = becoming(project, Reason::ForeignNumber);
        for (which, before, after) in [("calls out to", called(was), called(is)), ("calls in from", calling(was), calling(is))] {
            let without = |list: &[String], other: &[String]| {
                let left: Vec<&str> = list.iter().filter(|of| !other.contains(of)).map(String::as_str).collect();
                left.join(", ")
            };
            let (gone, come) = match (&before, &after) {
                (None, Some(after)) => (format!("any country but {}", after.join(", ")), String::new()),
                (Some(_), None) => (String::new(), "any country".to_owned()),
                (Some(before), Some(after)) => (without(before, after), without(after, before)),
                (None, None) => continue,
            };
            if !gone.is_empty() {
                self.add(&of, format!("{which} {gone} by {of} {becoming}"));
            }
            if !come.is_empty() {
                self.add(&of, format!("{which} {come} by {of} pass from now on"));
            }
        }
    }
}

/// The regions that are in the files, by name.
fn named_regions(config: &Config) -> impl Iterator<Item = (&str, &Region)> {
    config.regions.iter().filter(|region| !region.leaving).map(|region| (region.name.as_str(), region))
}

/// Whether a project's calls may use a region of this name.
fn may_use(config: &Config, project: &Project, region: &str) -> bool {
    let is = |id: &RegionId| config.region(*id).name == region;
    project.pin.as_ref().is_none_or(|pin| pin.iter().any(is))
}

/// Where a project's trunks signal from.
fn signalling(config: &Config, project: &Project) -> Networks {
    project.trunks().flat_map(|id| config.trunk(id).networks.nets()).collect()
}

/// The networks that were in a set and are not in the other, listed. `None`: there is none.
fn gone(was: &Networks, is: &Networks) -> Option<String> {
    let kept = |net: &IpNet| is.contains(net.network()) && is.contains(net.broadcast());
    let gone: Vec<String> = was.nets().filter(|net| !kept(net)).map(|net| net.to_string()).collect();
    (!gone.is_empty()).then(|| gone.join(", "))
}
