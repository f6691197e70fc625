//! Things that may not overlap: the networks of two regions, and names that would mean two endpoints.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::file;
use super::report::{Place, Placed, Report, good};

/// Reports networks under two regions and names with two meanings.
pub(super) fn check(main: &file::Main, parts: &file::Parts, report: &mut Report) {
    networks(parts, report);
    hostnames(main, parts, report);
}

/// A network and the region that lists it.
struct Owned<'p> {
    net: &'p Placed<IpNet>,
    region: &'p str,
}

/// Reports overlaps. Networks nest or are disjoint, so in the order of their first addresses every network around one is on the
/// stack.
fn networks(parts: &file::Parts, report: &mut Report) {
    let mut all: Vec<Owned<'_>> = Vec::new();
    for region in &parts.regions {
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

fn hostnames(main: &file::Main, parts: &file::Parts, report: &mut Report) {
    // Whose each suffix is: a region's name, or none for the global one.
    let mut suffixes: HashMap<&str, String> = HashMap::new();
    let global = good(&main.global);
    for region in &parts.regions {
        let Some(hostname) = good(&region.hostname) else { continue };
        if let Some(whose) = suffixes.insert(&hostname.value, format!("region `{}`", region.name.value)) {
            report.mistake(
                &hostname.place,
                format!("`{}` is the hostname of {whose} too", hostname.value),
                "one hostname a region",
            );
        }
    }
    if let Some(global) = global
        && let Some(whose) = suffixes.insert(&global.value, "the global hostname".to_owned())
    {
        report.mistake(&global.place, format!("`{}` is the hostname of {whose} too", global.value), "a name of its own");
    }
    let mut projects: HashMap<&str, &file::Project> = HashMap::new();
    let longest = suffixes.keys().map(|suffix| suffix.len()).max().unwrap_or_default();
    for project in &parts.projects {
        projects.insert(&project.name.value, project);
        let trunk = project.trunks.iter().map(|trunk| trunk.name.value.len() + 1).max().unwrap_or_default();
        if longest + 1 + project.name.value.len() + trunk > LONGEST {
            let wrong = format!("the names of project `{}` would be longer than {LONGEST}", project.name.value);
            report.mistake(&project.name.place, wrong, "shorter names of the region, the project or the trunk");
        }
    }
    // A project's label (and a trunk's) in front of a suffix must not spell another suffix.
    for (name, whose) in &suffixes {
        let Some((first, rest)) = name.split_once('.') else { continue };
        if let (Some(project), Some(other)) = (projects.get(first), suffixes.get(rest)) {
            clash(&project.name, name, whose, other, report);
        }
        let Some((second, rest)) = rest.split_once('.') else { continue };
        // Trunks stand in front of region hostnames alone.
        if let (Some(project), Some(other)) = (projects.get(second), suffixes.get(rest))
            && global.is_none_or(|global| global.value != rest)
            && let Some(trunk) = project.trunks.iter().find(|trunk| trunk.name.value == first)
        {
            clash(&trunk.name, name, whose, other, report);
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
