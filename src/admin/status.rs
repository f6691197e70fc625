//! `/status`: what the daemon knows of itself, as one JSON object. Only renders; the caller has asked the other threads.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::ready::Ready;
use super::reload_door::ReloadOutcome;
use super::troubles::{self, ServersUp};
use super::worker_handle::Known;
use crate::audit::AuditStanding;
use crate::config::{Config, Endpoint, Region, RegionId, Transport, Written};
use crate::core::io::{Failure, TargetStatus};
use crate::dns::{NameStatus, Server};
use crate::fence::Networks;
use crate::reason::Reason;
use crate::telemetry::last_hour::{Minute, Summary};
use crate::telemetry::timestamp::{self, Now};
use crate::tls::Certificate;

/// Most rows of refused projects, and of trunks with repeats.
const ROWS: usize = 20;

/// What only the thread of the admin endpoint knows.
pub(super) struct Own<'a> {
    pub(super) ready: &'a Ready,
    pub(super) started: Instant,
    pub(super) hour: &'a Summary,
    /// The last decisions that refused or shadowed a message, the newest first.
    pub(super) decisions: Vec<Value>,
    /// What became of the last reload, if there was one.
    pub(super) last_reload: Option<&'a ReloadOutcome>,
    /// How the audit record stands, if one is kept.
    pub(super) audit: Option<&'a AuditStanding>,
}

/// The whole object. `targets`: `None` if the worker did not give their health.
pub(super) fn status(known: &Known, targets: Option<&[TargetStatus]>, own: Own<'_>, now: Now) -> Value {
    let Known { config, names, loaded } = known;
    let Own { ready, started, hour: last, decisions, last_reload, audit } = own;
    // What a reload took away may still end its calls, but is not there any more.
    let named = |&(id, region): &(RegionId, &Region)| {
        !region.leaving || config.endpoint(region.hostname.as_bytes()) == Endpoint::Region(id)
    };
    let regions = (0..).map(RegionId).zip(&config.regions).filter(named).map(|(id, of)| region(config, id, of, targets, now));
    let missing = ready.missing();
    let mut troubles = troubles::names(config, names);
    troubles.extend(audit.and_then(|audit| audit.told().trouble).map(|trouble| format!("audit record: {trouble}")));
    troubles.extend(targets.map_or_else(Vec::new, |targets| troubles::servers(config, targets)));
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "configuration": {
            "digest": config.digest,
            "files": config.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>(),
            "loaded": now.at(*loaded),
            "loaded_seconds": now.since(*loaded).as_secs(),
            "projects": config.projects.len(),
            "trunks": config.trunks.len(),
        },
        "last_reload": last_reload.map(ReloadOutcome::shown),
        "started": now.at(started),
        "uptime_seconds": now.since(started).as_secs(),
        "audit": audit.map(|audit| of_audit(audit, now)),
        "ready": missing.is_empty(),
        "draining": ready.is_draining(),
        "missing": missing,
        "troubles": troubles,
        "hour": hour(last),
        "decisions": decisions,
        "regions": regions.collect::<Vec<_>>(),
        "names": names.iter().map(|of| name(config, of)).collect::<Vec<_>>(),
    })
}

fn of_audit(audit: &AuditStanding, now: Now) -> Value {
    let told = audit.told();
    let written = told.checkpoint.map(|(_, at)| SystemTime::UNIX_EPOCH + Duration::from_micros(at));
    json!({
        "day": told.day,
        "lines": told.lines,
        "kept": audit.kept(),
        "dropped": audit.dropped(),
        "gaps": audit.gaps(),
        "behind": audit.behind(),
        "checkpoint": written.map(timestamp::on),
        "checkpoint_seconds": written.map(|at| now.wall.duration_since(at).unwrap_or_default().as_secs()),
        "trouble": told.trouble,
    })
}

fn hour(hour: &Summary) -> Value {
    let minute = |&Minute { ago, accepted, refused, shadow }: &Minute| json!({ "ago": ago, "accepted": accepted, "refused": refused, "shadow": shadow });
    let verdict = |([region, verdict, reason], count): &([Box<str>; 3], u64)| {
        let id = Reason::ALL.into_iter().find(|of| of.token() == &**reason).map(Reason::id);
        json!({ "region": region, "verdict": verdict, "id": id, "reason": reason, "count": count })
    };
    let refused = |([region, project, verdict, reason], count): &([Box<str>; 4], u64)| json!({ "region": region, "project": project, "verdict": verdict, "reason": reason, "count": count });
    let of = |wanted: &'static str| hour.refused.iter().filter(move |([_, _, verdict, _], _)| &**verdict == wanted);
    let listed = |wanted, most| of(wanted).take(most).map(refused).collect::<Vec<_>>();
    let more = |wanted| of(wanted).count().saturating_sub(ROWS);
    let repeat = |([region, project, trunk], count): &([Box<str>; 3], u64)| json!({ "region": region, "project": project, "trunk": trunk, "count": count });
    json!({
        "minutes": hour.minutes.iter().map(minute).collect::<Vec<_>>(),
        "verdicts": hour.verdicts.iter().map(verdict).collect::<Vec<_>>(),
        "refused": listed("refuse", ROWS),
        "refused_more": more("refuse"),
        "shadowed": listed("shadow", ROWS),
        "shadowed_more": more("shadow"),
        "repeats": hour.repeats.iter().take(ROWS).map(repeat).collect::<Vec<_>>(),
        "repeats_more": hour.repeats.len().saturating_sub(ROWS),
    })
}

fn region(config: &Config, id: RegionId, region: &Region, targets: Option<&[TargetStatus]>, now: Now) -> Value {
    let listeners = region.listeners.iter().map(|&id| config.listener(id));
    let up = targets.map(|targets| ServersUp::of(id, targets));
    let of_region = |relay: bool| {
        let shown = |of: &&TargetStatus| of.region == id && of.relay == relay;
        targets.map(|targets| targets.iter().filter(shown).map(|of| target(of, now)).collect::<Vec<_>>())
    };
    json!({
        "name": region.name,
        "hostname": region.hostname,
        "served": region.served,
        "servers_up": up.map(|of| of.up),
        "servers_known": up.map(|of| of.known),
        "listeners": listeners.map(|of| format!("{}:{}", of.transport.token(), of.addr)).collect::<Vec<_>>(),
        "networks": networks(&region.networks),
        "servers": region.servers.as_ref().map(|servers| servers.nets().iter().map(ToString::to_string).collect::<Vec<_>>()),
        "nearest": region.nearest.iter().map(|&id| config.region(id).name.as_str()).collect::<Vec<_>>(),
        "tls": region.tls.as_ref().map(|tls| certificate(&tls.certificate, now)),
        "targets": of_region(false),
        "relays": of_region(true),
    })
}

fn certificate(certificate: &Certificate, now: Now) -> Value {
    let left = certificate.ends.duration_since(now.wall).unwrap_or_default();
    json!({
        "names": certificate.names,
        "ends": timestamp::on(certificate.ends),
        "ends_in_seconds": left.as_secs(),
    })
}

fn target(target: &TargetStatus, now: Now) -> Value {
    json!({
        "address": target.addr.to_string(),
        "transport": target.transport.token(),
        "state": target.state.label(),
        "why": target.failure.map(Failure::label),
        "since": now.at(target.since),
        "since_seconds": now.since(target.since).as_secs(),
        "heard": target.heard.map(|heard| now.at(heard)),
        "heard_seconds": target.heard.map(|heard| now.since(heard).as_secs()),
    })
}

fn name(config: &Config, name: &NameStatus) -> Value {
    let NameStatus { next_hop, kept, known, vanished, age, stale, failure, servers } = name;
    let state = match (known, failure, stale) {
        // A trunk's name that no call has gone out to for a while.
        _ if !kept => "unasked",
        _ if vanished.is_some() => "vanished",
        (false, None, _) => "unknown",
        (false, Some(_), _) => "failed",
        // What was known has become too old to serve.
        (true, Some(_), _) if servers.is_empty() => "failed",
        (true, _, Some(_)) => "stale",
        (true, _, None) => "fresh",
    };
    let uses = config.uses(&Written::Name(next_hop.clone()));
    let address = |addr: &std::net::SocketAddr| {
        let (inside, outside): (Vec<_>, Vec<_>) = uses.iter().partition(|&&of| config.inside(of, *addr));
        let labels = |of: Vec<_>| of.into_iter().map(|&of| config.use_label(of)).collect::<Vec<_>>();
        json!({ "address": addr.to_string(), "inside": labels(inside), "outside": labels(outside) })
    };
    let server = |server: &Server| {
        json!({
            "rank": server.rank,
            "weight": server.weight,
            "transport": server.transport.map(Transport::token),
            "addresses": server.addresses.iter().map(address).collect::<Vec<_>>(),
        })
    };
    json!({
        "name": next_hop.to_string(),
        "uses": uses.iter().map(|&of| config.use_label(of)).collect::<Vec<_>>(),
        "state": state,
        "age_seconds": age.as_ref().map(Duration::as_secs),
        "stale_seconds": stale.as_ref().map(Duration::as_secs),
        "vanishes_in_seconds": vanished.as_ref().map(Duration::as_secs),
        "failure": failure.as_ref().map(|(question, failure)| format!("{question}: {failure}")),
        "servers": servers.iter().map(server).collect::<Vec<_>>(),
    })
}

/// The fewest networks that make up this set.
fn networks(networks: &Networks) -> Vec<String> {
    networks.nets().map(|net| net.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::admin::Latch;
    use crate::core::io::Health;
    use crate::dns::{LookupFailure, Question, RecordType};

    fn config() -> Arc<Config> {
        let text = "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.example.com\"\nlisten = [\"udp:127.0.0.1:5060\"]\n\
             networks = [\"10.0.0.0/16\", \"10.1.0.0/16\", \"10.2.0.1/32\", \"2001:db8::/32\"]\n\
             upstream = \"sip:a.example.net;transport=udp\"\nnearest = [\"us\"]\n[region.us]\nhostname = \"us.example.com\"\n\
             networks = [\"192.0.2.0/24\"]\nservers = [\"192.0.2.1\", \"192.0.2.8/29:5060-5090\"]\nupstream = \"192.0.2.1\"\n[project.acme]\n";
        Arc::new(crate::config::parse(Path::new("test.toml"), text).unwrap())
    }

    fn answered(config: &Config) -> NameStatus {
        let addresses = vec!["10.0.0.1:5060".parse().unwrap(), "192.0.2.9:5060".parse().unwrap()];
        NameStatus {
            next_hop: config.names[0].clone(),
            kept: true,
            known: true,
            vanished: None,
            age: Some(Duration::from_secs(5)),
            stale: None,
            failure: None,
            servers: vec![Server { rank: 0, weight: 7, transport: Some(Transport::Udp), addresses }],
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "the whole object, as it is")]
    fn every_part_is_there_in_its_place() {
        let config = config();
        let steady = Instant::now();
        let ago = |seconds| steady.checked_sub(Duration::from_secs(seconds)).unwrap();
        let now = Now { steady, wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1000) };
        let target = TargetStatus {
            region: RegionId(0),
            addr: "10.0.0.1:5060".parse().unwrap(),
            transport: Transport::Tcp,
            state: Health::Down,
            since: ago(30),
            heard: None,
            failure: Some(Failure::Unreachable),
            relay: false,
        };
        let known = Known { names: vec![answered(&config)], config: Arc::clone(&config), loaded: ago(90) };
        let ready = Ready::default();
        let last = Summary {
            minutes: vec![Minute { ago: 1, accepted: 0, refused: 3, shadow: 0 }],
            verdicts: vec![(["eu", "refuse", "foreign-number"].map(Box::from), 3)],
            refused: (0..ROWS + 5)
                .map(|at| (["eu", &format!("p{at}"), "refuse", "foreign-number"].map(Box::from), 1))
                .chain([(["eu", "watcher", "shadow", "foreign-number"].map(Box::from), 2)])
                .collect(),
            repeats: vec![(["eu", "acme", "t"].map(Box::from), 2)],
        };
        let mut status = status(
            &known,
            Some(&[target]),
            Own { ready: &ready, started: ago(100), hour: &last, decisions: Vec::new(), last_reload: None, audit: None },
            now,
        );
        let refused = std::mem::take(status["hour"]["refused"].as_array_mut().unwrap());
        assert_eq!(refused.len(), ROWS);
        let row = json!({ "region": "eu", "project": "p1", "verdict": "refuse", "reason": "foreign-number", "count": 1 });
        assert_eq!(refused[1], row);
        let expected = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "configuration": {
                "digest": config.digest,
                "files": ["test.toml"],
                "loaded": "1970-01-01T00:15:10Z",
                "loaded_seconds": 90,
                "projects": 1,
                "trunks": 0,
            },
            "last_reload": null,
            "started": "1970-01-01T00:15:00Z",
            "uptime_seconds": 100,
            "audit": null,
            "ready": false,
            "draining": false,
            "missing": ["listeners are not bound yet", "not every upstream name has been resolved yet"],
            "troubles": ["region eu: 0 of 1 servers up; calls to it are told 503 (152 targets-down)"],
            "hour": {
                "minutes": [{ "ago": 1, "accepted": 0, "refused": 3, "shadow": 0 }],
                "verdicts": [{ "region": "eu", "verdict": "refuse", "id": 131, "reason": "foreign-number", "count": 3 }],
                "refused": [],
                "refused_more": 5,
                "shadowed": [{ "region": "eu", "project": "watcher", "verdict": "shadow", "reason": "foreign-number", "count": 2 }],
                "shadowed_more": 0,
                "repeats": [{ "region": "eu", "project": "acme", "trunk": "t", "count": 2 }],
                "repeats_more": 0,
            },
            "decisions": [],
            "regions": [
                {
                    "name": "eu",
                    "hostname": "eu.example.com",
                    "served": true,
                    "servers_up": 0,
                    "servers_known": 1,
                    "listeners": ["udp:127.0.0.1:5060"],
                    "networks": ["10.0.0.0/15", "10.2.0.1/32", "2001:db8::/32"],
                    "servers": null,
                    "nearest": ["us"],
                    "tls": null,
                    "targets": [{
                        "address": "10.0.0.1:5060",
                        "transport": "tcp",
                        "state": "down",
                        "why": "unreachable",
                        "since": "1970-01-01T00:16:10Z",
                        "since_seconds": 30,
                        "heard": null,
                        "heard_seconds": null,
                    }],
                    "relays": [],
                },
                {
                    "name": "us",
                    "hostname": "us.example.com",
                    "served": false,
                    "servers_up": 0,
                    "servers_known": 0,
                    "listeners": [],
                    "networks": ["192.0.2.0/24"],
                    "servers": ["192.0.2.1", "192.0.2.8/29:5060-5090"],
                    "nearest": [],
                    "tls": null,
                    "targets": [],
                    "relays": [],
                },
            ],
            "names": [{
                "name": "sip:a.example.net;transport=udp",
                "uses": ["region eu"],
                "state": "fresh",
                "age_seconds": 5,
                "stale_seconds": null,
                "vanishes_in_seconds": null,
                "failure": null,
                "servers": [{
                    "rank": 0,
                    "weight": 7,
                    "transport": "udp",
                    "addresses": [
                        { "address": "10.0.0.1:5060", "inside": ["region eu"], "outside": [] },
                        { "address": "192.0.2.9:5060", "inside": [], "outside": ["region eu"] },
                    ],
                }],
            }],
        });
        assert_eq!(status, expected, "{status:#}");
    }

    #[test]
    fn the_page_shows_what_is_rendered() {
        let text = "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.sip.example.com\"\nlisten = [\"udp:203.0.113.10:5060\"]\n\
             networks = [\"203.0.113.0/24\", \"10.20.0.0/16\"]\nupstream = \"sip:livekit.eu.internal\"\n[project.acme]\n";
        let config = Arc::new(crate::config::parse(Path::new("ringfence.toml"), text).unwrap());
        let steady = Instant::now();
        let ago = |seconds| steady.checked_sub(Duration::from_secs(seconds)).unwrap();
        let now = Now { steady, wall: SystemTime::UNIX_EPOCH + Duration::from_secs(1_794_826_800) };
        let addr = "10.20.0.5:5060".parse().unwrap();
        let target = TargetStatus {
            region: RegionId(0),
            addr,
            transport: Transport::Udp,
            state: Health::Down,
            since: ago(42),
            heard: Some(ago(47)),
            failure: Some(Failure::Silent),
            relay: false,
        };
        let server = Server { rank: 0, weight: 70, transport: Some(Transport::Udp), addresses: vec![addr] };
        let age = Some(Duration::from_secs(17));
        let name = NameStatus { age, servers: vec![server], ..answered(&config) };
        let ready = Ready::default();
        ready.set(Latch::Listeners, true);
        ready.set(Latch::Names, true);
        let last = Summary {
            minutes: vec![Minute { ago: 2, accepted: 310, refused: 1, shadow: 0 }],
            verdicts: vec![
                (["eu", "accept", "in-region"].map(Box::from), 310),
                (["eu", "refuse", "foreign-endpoint"].map(Box::from), 1),
            ],
            refused: vec![(["eu", "acme", "refuse", "foreign-endpoint"].map(Box::from), 1)],
            repeats: Vec::new(),
        };
        let known = Known { config, names: vec![name], loaded: ago(3600) };
        let shown = status(
            &known,
            Some(&[target]),
            Own { ready: &ready, started: ago(86_400), hour: &last, decisions: Vec::new(), last_reload: None, audit: None },
            now,
        );
        let page = include_str!("../../docs/observing.md");
        let (_, example) = page.split_once("<!-- status -->\n```json\n").unwrap();
        let (example, _) = example.split_once("```").unwrap();
        // Line breaks are the page's own.
        assert_eq!(serde_json::from_str::<Value>(example).unwrap(), shown);
    }

    #[test]
    fn a_name_is_what_is_known_of_it() {
        let config = config();
        let question = Question { name: "a.example.net".to_owned(), kind: RecordType::A };
        // Whether it has been resolved, whether it has servers, whether a question failed, whether an answer is beyond its TTL.
        for (known, servers, failed, stale, expected) in [
            (true, true, false, false, "fresh"),
            (true, false, false, false, "fresh"),
            (false, false, false, false, "unknown"),
            (false, false, true, false, "failed"),
            (true, false, true, false, "failed"),
            (true, true, true, false, "fresh"),
            (true, true, true, true, "stale"),
        ] {
            let mut status = answered(&config);
            status.known = known;
            status.failure = failed.then(|| (question.clone(), LookupFailure::Silent));
            status.stale = stale.then_some(Duration::ZERO);
            if !servers {
                status.servers.clear();
            }
            let shown = name(&config, &status);
            assert_eq!(shown["state"], expected, "{shown}");
            let vanished = name(&config, &NameStatus { vanished: Some(Duration::from_secs(7)), ..status.clone() });
            assert_eq!((&vanished["state"], &vanished["vanishes_in_seconds"]), (&json!("vanished"), &json!(7)));
            let unasked = name(&config, &NameStatus { kept: false, ..status });
            assert_eq!(unasked["state"], "unasked");
            assert_eq!(shown["failure"].as_str(), failed.then_some("A a.example.net: no answer in time"));
        }
    }
}
