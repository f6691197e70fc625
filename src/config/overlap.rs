//! Things that may not overlap: the networks of two regions, and names that would mean two endpoints.
//!
//! The projects are looked at one by one, as they are read.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::file;
use super::report::{Place, Placed, Report, good};

/// A network and the region that lists it.
struct Owned<'p> {
    net: &'p Placed<IpNet>,
    region: &'p str,
}

/// Reports overlaps. Networks nest or are disjoint, so in the order of their first addresses every network around one is on the
/// stack.
pub(super) fn networks(regions: &[file::Region], report: &mut Report) {
    let mut all: Vec<Owned<'_>> = Vec::new();
    for region in regions {
        for net in good(&region.networks).into_iter().flatten() {
            all.push(Owned { net, region: &region.name.value });
        }
    }
    all.sort_by_key(|owned| (owned.net.value.network(), owned.net.value.prefix_len()));
    let mut open: Vec<&Owned<'_>> = Vec::new();
    for owned in &all {
        open.retain(|outer| outer.net.value.contains(&owned.net.value));
        if let Some(outer) = open.iter().find(|outer| outer.region != owned.region) {
            // The one that stands later is the mistake.
            let (first, second) =
                if stands_before(&outer.net.place, &owned.net.place) { (*outer, owned) } else { (owned, *outer) };
            let wrong = format!("`{}` overlaps `{}` of region `{}`", second.net.value, first.net.value, first.region);
            report.mistake(&second.net.place, wrong, "a network belongs to one region; split it or remove it from one");
        }
        open.push(owned);
    }
}

fn stands_before(a: &Place, b: &Place) -> bool {
    let key = |place: &Place| (place.file, place.span.as_ref().map(|span| span.start));
    key(a) < key(b)
}

/// Whether any network of `nets` shares an address with one of `others`.
pub(super) fn overlap(net: IpNet, others: &[Placed<IpNet>]) -> bool {
    others.iter().any(|other| net.contains(&other.value) || other.value.contains(&net))
}

/// Longest name that DNS carries in text form (RFC 1035 3.1).
const LONGEST: usize = 253;

/// The hostnames that endpoints' names end with, and whose each is: a region's, or the global one.
#[derive(Debug)]
pub(super) struct Suffixes<'p> {
    whose: HashMap<&'p str, String>,
    longest: usize,
    /// The suffixes that a project's label would spell, or a trunk's in front of it, by the project's label.
    labels: HashMap<&'p str, Vec<Spelt<'p>>>,
}

/// A suffix that labels in front of another one would spell.
#[derive(Debug)]
struct Spelt<'p> {
    name: &'p str,
    behind: &'p str,
    /// The label of the trunk that would spell it, in front of the project's.
    trunk: Option<&'p str>,
}

impl<'p> Suffixes<'p> {
    /// Collects them, and reports those that stand twice.
    pub(super) fn of(main: &'p file::Main, regions: &'p [file::Region], report: &mut Report) -> Self {
        let mut suffixes: HashMap<&str, String> = HashMap::new();
        for region in regions {
            let Some(hostname) = good(&region.hostname) else { continue };
            if let Some(whose) = suffixes.insert(&hostname.value, format!("region `{}`", region.name.value)) {
                report.mistake(
                    &hostname.place,
                    format!("`{}` is the hostname of {whose} too", hostname.value),
                    "one hostname a region",
                );
            }
        }
        let global = good(&main.global);
        if let Some(global) = global
            && let Some(whose) = suffixes.insert(&global.value, "the global hostname".to_owned())
        {
            report.mistake(&global.place, format!("`{}` is the hostname of {whose} too", global.value), "a name of its own");
        }
        let global = global.map(|global| global.value.as_str());
        let mut labels: HashMap<&str, Vec<Spelt<'_>>> = HashMap::new();
        for &name in suffixes.keys() {
            let Some((first, behind)) = name.split_once('.') else { continue };
            if suffixes.contains_key(behind) {
                labels.entry(first).or_default().push(Spelt { name, behind, trunk: None });
            }
            let Some((second, behind)) = behind.split_once('.') else { continue };
            // Trunks stand in front of region hostnames alone.
            if suffixes.contains_key(behind) && global != Some(behind) {
                labels.entry(second).or_default().push(Spelt { name, behind, trunk: Some(first) });
            }
        }
        let longest = suffixes.keys().map(|suffix| suffix.len()).max().unwrap_or_default();
        Self { whose: suffixes, longest, labels }
    }

    /// Reports the names of a project's endpoints that are too long, or have two meanings.
    pub(super) fn check(&self, project: &file::Project, report: &mut Report) {
        let trunk = project.trunks.iter().map(|trunk| trunk.name.value.len() + 1).max().unwrap_or_default();
        if self.longest + 1 + project.name.value.len() + trunk > LONGEST {
            let wrong = format!("the names of project `{}` would be longer than {LONGEST}", project.name.value);
            report.mistake(&project.name.place, wrong, "shorter names of the region, the project or the trunk");
        }
        // A project's label (and a trunk's) in front of a suffix must not spell another suffix.
        for Spelt { name, behind, trunk } in self.labels.get(project.name.value.as_str()).into_iter().flatten() {
            let label = match trunk {
                None => Some(&project.name),
                Some(label) => project.trunks.iter().map(|trunk| &trunk.name).find(|name| name.value == *label),
            };
            if let (Some(label), Some(whose), Some(other)) = (label, self.whose.get(name), self.whose.get(behind)) {
                clash(label, name, whose, other, report);
            }
        }
    }
}

fn clash(label: &Placed<String>, name: &str, whose: &str, other: &str, report: &mut Report) {
    let wrong = format!("`{}` in front of {other}'s hostname is `{name}`, which is {whose}", label.value);
    report.mistake(&label.place, wrong, "another name, or another hostname");
}

/// Whether a network is so wide that it says almost nothing.
pub(super) fn huge(net: IpNet) -> bool {
    match net.network() {
        IpAddr::V4(_) => net.prefix_len() < 8,
        IpAddr::V6(_) => net.prefix_len() < 16,
    }
}
