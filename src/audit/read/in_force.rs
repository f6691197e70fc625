//! The configurations that a day's records say were in force, and every target and media address judged again by them.
//!
//! Judges by what the records say alone, as any other program could. Knows no configuration of its own.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use foldhash::fast::RandomState;
use ipnet::IpNet;
use serde_json::Value;

use super::line::{LineKind, ReadLine};
use super::tokens::Wrong;
use crate::fence::{Fence, Networks};

/// Most configurations of one day that are kept: reloads that lie further back are not judged by again.
const KEPT: usize = 64;

/// What a configuration has, by name. Each record asks for some.
type ByName<T> = HashMap<String, T, RandomState>;

/// One configuration.
#[derive(Debug, Default)]
struct ToldConfig {
    digest: String,
    /// How many parts there are still to come.
    missing: u64,
    regions: ByName<ToldRegion>,
    trunks: ByName<ByName<ToldTrunk>>,
}

#[derive(Debug)]
struct ToldRegion {
    networks: Networks,
    media: Networks,
    nearest: Vec<String>,
}

#[derive(Debug, Default)]
struct ToldTrunk {
    networks: Networks,
    media: Networks,
}

/// Why a record does not pass.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotInside {
    /// It says that something was outside, or what it says is no address.
    Outside(Wrong),
    /// No record before it tells its configuration, so nobody can judge it.
    Unjudged,
}

impl From<Wrong> for NotInside {
    fn from(wrong: Wrong) -> Self {
        Self::Outside(wrong)
    }
}

/// The configurations of a day so far.
#[derive(Debug, Default)]
pub(crate) struct InForce(Vec<ToldConfig>);

impl InForce {
    /// Takes in a `config` record.
    pub(crate) fn take(&mut self, line: &ReadLine<'_>, octets: &[u8]) -> Result<(), Wrong> {
        let bad = || Wrong::Borrowed("is a config record that cannot be read");
        let value: Value = serde_json::from_slice(octets).map_err(|_| bad())?;
        let digest = line.said.digest.as_deref().ok_or("is a config record without a digest")?;
        let (part, parts) = (line.said.part.unwrap_or(1), line.said.parts.unwrap_or(1));
        if part == 1 {
            self.0.retain(|config| config.digest != digest);
            if self.0.len() >= KEPT {
                self.0.remove(0);
            }
            self.0.push(ToldConfig { digest: digest.to_owned(), missing: parts, ..ToldConfig::default() });
        }
        let config = self.0.last_mut().filter(|config| {
            config.digest == digest && config.missing > 0 && config.missing.checked_add(part) == parts.checked_add(1)
        });
        let config = config.ok_or("is a part of a config record whose other parts do not stand before it")?;
        config.missing = parts.saturating_sub(part);
        for region in list(&value, "regions").ok_or_else(bad)? {
            let name = region.get("region").and_then(Value::as_str).ok_or_else(bad)?;
            let nearest = list(region, "nearest").ok_or_else(bad)?;
            let told = ToldRegion {
                networks: networks(region, "networks").ok_or_else(bad)?,
                media: networks(region, "media").ok_or_else(bad)?,
                nearest: nearest.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            };
            config.regions.insert(name.to_owned(), told);
        }
        for trunk in list(&value, "trunks").ok_or_else(bad)? {
            let name = |key| trunk.get(key).and_then(Value::as_str).ok_or_else(bad);
            let told = ToldTrunk {
                networks: networks(trunk, "networks").ok_or_else(bad)?,
                media: networks(trunk, "media").ok_or_else(bad)?,
            };
            config.trunks.entry(name("project")?.to_owned()).or_default().insert(name("trunk")?.to_owned(), told);
        }
        Ok(())
    }

    /// What is wrong with where a record says that something was sent, or that its media was.
    pub(crate) fn judge(&self, line: &ReadLine<'_>) -> Result<(), NotInside> {
        let said = &line.said;
        if let Some(what) = unheard_of(line) {
            return Err(NotInside::Outside(what));
        }
        let sent = match line.kind {
            LineKind::Verdict => said.passed(),
            LineKind::Answer => true,
            _ => false,
        };
        let (target, media) = (said.target()?, said.media()?);
        // Nothing outside may hide behind "none".
        let inside = matches!(said.media_verdict.as_deref(), Some("inside" | "none"));
        if !sent || (target.is_none() && (media.is_empty() || !inside)) {
            return Ok(());
        }
        let digest = said.config.as_deref().unwrap_or_default();
        let config = self.0.iter().rev().find(|config| config.digest == digest && config.missing == 0);
        let config = config.ok_or(NotInside::Unjudged)?;
        let region = said.region.as_deref().unwrap_or_default();
        let serving = said.serving.as_deref().unwrap_or(region);
        let called = config.regions.get(region).ok_or_else(|| unknown("region", region))?;
        let serves = config.regions.get(serving).ok_or_else(|| unknown("region", serving))?;
        if serving != region && !called.nearest.iter().any(|nearest| nearest == serving) {
            let what = format!("is served by region {serving}, which is none of the nearest of region {region}");
            return Err(NotInside::Outside(what.into()));
        }
        let trunk = config.trunk(said.project.as_deref(), said.trunk.as_deref());
        let direction = said.direction.as_deref();
        if let Some(target) = target {
            let passes = match direction {
                Some("in") => to_servers(serves, target),
                Some("out") => to_trunk(trunk, target),
                // A record that does not say the direction is held to either.
                _ => to_servers(serves, target) || to_trunk(trunk, target),
            };
            if !passes {
                let whose = if direction == Some("out") { "the trunk".to_owned() } else { format!("region {serving}") };
                return Err(NotInside::Outside(format!("has a target outside the networks of {whose}: {target}").into()));
            }
        }
        // An offer is made by the side that asks, an answer by the other one.
        let speaks = match (direction, line.kind == LineKind::Verdict) {
            (Some("in"), true) | (Some("out"), false) => Some(true),
            (Some("in"), false) | (Some("out"), true) => Some(false),
            _ => None,
        };
        let of_trunk = |ip| called.holds(ip) || trunk.is_some_and(|trunk| trunk.media.contains(ip));
        let within = |ip| match speaks {
            Some(true) => of_trunk(ip),
            Some(false) => serves.holds(ip),
            None => of_trunk(ip) || serves.holds(ip),
        };
        // A hold names no destination.
        let outside = media.into_iter().find(|&ip| inside && !ip.is_unspecified() && !within(ip));
        let says = |ip| NotInside::Outside(format!("says that its media is inside, and has an address outside: {ip}").into());
        outside.map_or(Ok(()), |ip| Err(says(ip)))
    }
}

impl ToldConfig {
    fn trunk(&self, project: Option<&str>, trunk: Option<&str>) -> Option<&ToldTrunk> {
        self.trunks.get(project?)?.get(trunk?)
    }
}

impl ToldRegion {
    fn holds(&self, ip: IpAddr) -> bool {
        self.networks.contains(ip) || self.media.contains(ip)
    }
}

fn to_servers(region: &ToldRegion, target: SocketAddr) -> bool {
    Fence::of_region(&region.networks).admit(target).is_ok()
}

fn to_trunk(trunk: Option<&ToldTrunk>, target: SocketAddr) -> bool {
    trunk.is_some_and(|trunk| Fence::of_outbound(&trunk.networks).admit(target).is_ok())
}

/// A word on which it depends what is judged, and that no record has. Else it would hide what it stands beside.
fn unheard_of(line: &ReadLine<'_>) -> Option<Wrong> {
    let said = &line.said;
    let word = |key: &str, word: Option<&str>, words: &[&str]| {
        let word = word.filter(|word| !words.contains(word))?;
        Some(Wrong::Owned(format!("has a \"{key}\" that is not known: {word}")))
    };
    if line.kind == LineKind::Verdict && said.verdict.is_none() {
        return Some("is a verdict that says none".into());
    }
    word("verdict", said.verdict.as_deref(), &["accept", "refuse", "shadow"])
        .or_else(|| word("direction", said.direction.as_deref(), &["in", "out"]))
        .or_else(|| word("media_verdict", said.media_verdict.as_deref(), &["none", "inside", "outside", "unreadable"]))
}

fn unknown(what: &str, name: &str) -> Wrong {
    format!("names a {what} that its configuration does not have: {name}").into()
}

/// A list that may be absent.
fn list<'v>(value: &'v Value, key: &str) -> Option<&'v [Value]> {
    value.get(key).map_or(Some(&[]), |list| list.as_array().map(Vec::as_slice))
}

fn networks(value: &Value, key: &str) -> Option<Networks> {
    list(value, key)?.iter().map(|net| net.as_str()?.parse::<IpNet>().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "\"at\":\"2026-11-25T10:00:00.123456Z\"";

    fn told(in_force: &mut InForce, rest: &str) -> Result<(), Wrong> {
        let line = format!("{{\"n\":1,{AT},\"kind\":\"config\",{rest}}}");
        in_force.take(&ReadLine::of(line.as_bytes())?, line.as_bytes())
    }

    fn site() -> InForce {
        let mut in_force = InForce::default();
        let regions = "\"digest\":\"d\",\"regions\":[{\"region\":\"eu\",\"networks\":[\"10.1.0.0/16\"],\"nearest\":[\"uk\"]},\
                       {\"region\":\"uk\",\"networks\":[\"10.2.0.0/16\"]},{\"region\":\"us\",\"networks\":[\"10.3.0.0/16\"]}]";
        let trunks =
            "\"trunks\":[{\"project\":\"acme\",\"trunk\":\"t\",\"networks\":[\"192.0.2.0/24\"],\"media\":[\"198.51.100.0/24\"]}]";
        told(&mut in_force, &format!("{regions},{trunks}")).unwrap();
        in_force
    }

    fn judged(kind: &str, rest: &str) -> String {
        let line = format!(
            "{{\"n\":2,{AT},\"kind\":\"{kind}\",\"region\":\"eu\",\"project\":\"acme\",\"trunk\":\"t\",{rest},\"config\":\"d\"}}"
        );
        let judged = site().judge(&ReadLine::of(line.as_bytes()).unwrap());
        match judged {
            Ok(()) => String::new(),
            Err(NotInside::Outside(what)) => what.into_owned(),
            Err(NotInside::Unjudged) => "unjudged".to_owned(),
        }
    }

    #[test]
    fn every_target_is_inside_for_its_direction() {
        let outside = |whose, target: &str| format!("has a target outside the networks of {whose}: {target}");
        let verdict = |direction, serving, target| {
            judged(
                "verdict",
                &format!(
                    "\"verdict\":\"accept\",\"direction\":\"{direction}\",\"serving\":\"{serving}\",\"target\":\"udp:{target}\""
                ),
            )
        };
        assert_eq!(verdict("in", "eu", "10.1.0.5:5060"), "");
        assert_eq!(verdict("in", "uk", "10.2.0.5:5060"), "");
        assert_eq!(verdict("in", "eu", "10.2.0.5:5060"), outside("region eu", "10.2.0.5:5060"));
        assert_eq!(verdict("in", "eu", "192.0.2.5:5060"), outside("region eu", "192.0.2.5:5060"));
        assert_eq!(verdict("in", "eu", "10.1.0.5:0"), outside("region eu", "10.1.0.5:0"));
        assert_eq!(verdict("in", "us", "10.3.0.5:5060"), "is served by region us, which is none of the nearest of region eu");
        assert_eq!(verdict("in", "xx", "10.3.0.5:5060"), "names a region that its configuration does not have: xx");
        assert_eq!(verdict("out", "eu", "192.0.2.5:5060"), "");
        assert_eq!(verdict("out", "eu", "10.1.0.5:5060"), outside("the trunk", "10.1.0.5:5060"));
        assert_eq!(verdict("in", "eu", "there"), "has a target that is no address: udp:there");
        // Nothing was sent.
        assert_eq!(judged("verdict", "\"verdict\":\"refuse\",\"direction\":\"in\",\"target\":\"udp:203.0.113.1:5060\""), "");
        // An answer that does not say its direction.
        assert_eq!(judged("answer", "\"target\":\"udp:192.0.2.5:5060\""), "");
        assert_eq!(judged("answer", "\"target\":\"udp:203.0.113.1:5060\""), outside("region eu", "203.0.113.1:5060"));
    }

    #[test]
    fn media_is_inside_for_the_side_that_speaks() {
        let media = |kind, direction: &str, verdict, ip: &str| {
            let direction = if direction.is_empty() { String::new() } else { format!(",\"direction\":\"{direction}\"") };
            let rest = format!("\"verdict\":\"accept\"{direction},\"media\":[\"{ip}\"],\"media_verdict\":\"{verdict}\"");
            judged(kind, &rest).is_empty()
        };
        for (kind, direction, ip, inside) in [
            ("verdict", "in", "10.1.0.1", true),
            ("verdict", "in", "198.51.100.1", true),
            ("verdict", "in", "10.2.0.1", false),
            ("verdict", "in", "0.0.0.0", true),
            ("verdict", "out", "10.1.0.1", true),
            ("verdict", "out", "198.51.100.1", false),
            ("answer", "in", "198.51.100.1", false),
            ("answer", "out", "198.51.100.1", true),
            ("answer", "", "198.51.100.1", true),
            ("answer", "", "203.0.113.1", false),
        ] {
            assert_eq!(media(kind, direction, "inside", ip), inside, "{kind} {direction} {ip}");
            assert_eq!(media(kind, direction, "none", ip), inside, "{kind} {direction} {ip}");
            assert!(media(kind, direction, "outside", ip), "what the daemon itself says is outside is counted elsewhere");
        }
    }

    #[test]
    fn no_word_that_no_record_has_hides_anything() {
        for (rest, says) in [
            ("\"id\":100", "is a verdict that says none"),
            ("\"verdict\":\"Accept\"", "has a \"verdict\" that is not known: Accept"),
            ("\"verdict\":\"accept\",\"direction\":\"\"", "has a \"direction\" that is not known: "),
            ("\"verdict\":\"refuse\",\"media_verdict\":\"Inside\"", "has a \"media_verdict\" that is not known: Inside"),
            ("\"verdict\":\"accept\",\"direction\":\"in\",\"media_verdict\":\"unreadable\"", ""),
        ] {
            assert_eq!(judged("verdict", rest), says);
        }
    }

    #[test]
    fn only_a_configuration_that_was_told_wholly_judges() {
        let part = |at: &str, network: &str| {
            format!("\"digest\":\"p\",\"part\":{at},\"parts\":2,\"regions\":[{{\"region\":\"eu\",\"networks\":[\"{network}\"]}}]")
        };
        let line =
            format!("{{\"n\":2,{AT},\"kind\":\"answer\",\"region\":\"eu\",\"target\":\"udp:10.1.0.5:5060\",\"config\":\"p\"}}");
        let answer = ReadLine::of(line.as_bytes()).unwrap();
        let mut in_force = site();
        told(&mut in_force, &part("1", "10.1.0.0/16")).unwrap();
        assert_eq!(in_force.judge(&answer), Err(NotInside::Unjudged));
        told(&mut in_force, &part("2", "10.1.0.0/16")).unwrap();
        assert_eq!(in_force.judge(&answer), Ok(()));
        assert!(told(&mut in_force, &part("2", "10.1.0.0/16")).is_err());
        assert!(told(&mut in_force, &part("3", "10.1.0.0/16")).is_err());
        assert!(told(&mut in_force, &part("18446744073709551615", "10.1.0.0/16")).is_err());
        assert!(told(&mut in_force, &part("1", "10.1.0.0/99")).is_err());
        assert!(told(&mut in_force, "\"digest\":\"p\",\"regions\":1").is_err());
        assert!(told(&mut in_force, "\"regions\":[]").is_err());
        for at in 0..2 * KEPT {
            told(&mut in_force, &format!("\"digest\":\"{at}\"")).unwrap();
        }
        assert_eq!(in_force.0.len(), KEPT);
    }
}
