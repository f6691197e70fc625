//! A configuration as a list of fields, so that two can be compared. Every field that a file sets is here.

use std::collections::BTreeSet;
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use super::{
    AllowedCallers, Audit, AuditNumbers, Config, Dns, Health, Hop, Limits, Log, Media, Mode, Numbers, Outbound, Project,
    ProjectId, Region, RegionId, Timers, Tls, Trunk, TrunkId,
};
use crate::fence::{Networks, ServerSet};
use crate::numbering::Country;
use crate::reason::Profile;
use crate::tls::Certificate;

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// One value, or several whose order matters.
    One(String),
    /// Values whose order does not matter.
    Set(BTreeSet<String>),
}

impl Said {
    /// All of it in one text.
    pub(crate) fn one(&self) -> String {
        match self {
            Self::One(value) => value.clone(),
            Self::Set(values) => values.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
        }
    }
}

/// The fields of one thing. Two things of one kind have the same fields in the same order.
pub(super) type Fields = Vec<(&'static str, Said)>;

#[expect(clippy::needless_pass_by_value, reason = "texts made for it, numbers and borrowed texts alike")]
fn one(value: impl ToString) -> Said {
    Said::One(value.to_string())
}

fn set(networks: &Networks) -> Said {
    Said::Set(networks.nets().map(|net| net.to_string()).collect())
}

fn named_servers(servers: &ServerSet) -> Said {
    Said::Set(servers.nets().iter().map(ToString::to_string).collect())
}

fn names(config: &Config, regions: &[RegionId]) -> String {
    if regions.is_empty() {
        return "none".to_owned();
    }
    regions.iter().map(|&id| config.region(id).name.as_str()).collect::<Vec<_>>().join(", ")
}

fn profile(profile: Profile) -> Said {
    one(format!("policy {}, capacity {}", profile.policy, profile.capacity))
}

fn hop(config: &Config, hop: &Hop) -> String {
    match *hop {
        Hop::Address { addr, transport } => {
            transport.map_or_else(|| addr.to_string(), |transport| format!("{addr};transport={}", transport.token()))
        }
        Hop::Name(id) => config.names.get(id.0 as usize).map(ToString::to_string).unwrap_or_default(),
    }
}

// The patterns below name every field, so that a new one cannot be forgotten here.

pub(super) fn region(config: &Config, region: &Region) -> Fields {
    // Only a running daemon has leaving regions and listeners; the files have none.
    let Region {
        name: _,
        hostname,
        served,
        leaving: _,
        networks,
        servers,
        upstream,
        nearest,
        relays,
        advertise,
        register,
        publish,
        realtime,
        listeners,
        tls,
        collector,
    } = region;
    let calling = tls.as_ref().filter(|tls| tls.client.is_some());
    let listeners = listeners.iter().map(|&id| config.listener(id));
    let upstream: Vec<_> = upstream.iter().map(|of| hop(config, of)).collect();
    vec![
        ("hostname", one(hostname)),
        ("served", one(served)),
        ("listen", Said::Set(listeners.map(|of| format!("{}:{}", of.transport.token(), of.addr)).collect())),
        ("advertise", one(advertise.as_deref().unwrap_or("the listener's address"))),
        ("networks", set(networks)),
        ("servers", servers.as_ref().map_or_else(|| one("what upstream resolves to"), named_servers)),
        ("upstream", one(if upstream.is_empty() { "none".to_owned() } else { upstream.join(", ") })),
        ("nearest", one(names(config, nearest))),
        ("certificate", one(tls.as_ref().map_or_else(|| "none".to_owned(), |tls| certificate(&tls.certificate)))),
        ("servers over TLS", one(if calling.is_some() { "believed by upstream_ca" } else { "none" })),
        ("shown to servers", one(calling.map_or_else(|| "no certificate".to_owned(), shown_to_servers))),
        ("relay", Said::Set(relays.iter().map(|addr| format!("udp:{addr}")).collect())),
        ("REGISTER forwarded", one(register)),
        ("PUBLISH forwarded", one(publish)),
        ("realtime", one(realtime.as_deref().unwrap_or("none"))),
        (
            "copies go to",
            one(collector.map_or_else(|| "nobody".to_owned(), |of| format!("{} as node {}", of.to.addr(), of.node))),
        ),
    ]
}

fn certificate(certificate: &Certificate) -> String {
    let ends = certificate.ends.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("for {}, until {} seconds of the Unix epoch", certificate.shown(), ends.as_secs())
}

fn shown_to_servers(tls: &Tls) -> String {
    let none = || "no certificate: the region's is for serverAuth alone (client_certificate names another)".to_owned();
    tls.shows.as_ref().map_or_else(none, certificate)
}

pub(super) fn project(config: &Config, id: ProjectId) -> Fields {
    let project = config.project(id);
    let Project { name: _, pin, mode, media, source_in_region, reject, out, .. } = project;
    let mode = match mode {
        Mode::Enforce => "enforce",
        Mode::Shadow => "shadow",
    };
    let media = match media {
        Media::Off => "off",
        Media::Warn => "warn",
        Media::Enforce => "enforce",
        Media::Relay => "relay",
    };
    vec![
        ("pin", one(pin.as_ref().map_or_else(|| "not pinned".to_owned(), |pin| names(config, pin)))),
        ("mode", one(mode)),
        ("media", one(media)),
        ("source", one(if *source_in_region { "in-region" } else { "any" })),
        ("out", one(ways_out(config, out))),
        ("api_keys", Said::Set(config.api_keys.of(id).map(str::to_owned).collect())),
        ("reject", profile(*reject)),
    ]
}

/// The trunks that calls out go by, in order.
fn ways_out(config: &Config, out: &[TrunkId]) -> String {
    let names: Vec<&str> = out.iter().map(|&id| &*config.trunk(id).name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

pub(super) fn trunk(config: &Config, trunk: &Trunk) -> Fields {
    let Trunk { name: _, project: _, networks, reject, .. } = trunk;
    let (outbound, limits) = (trunk.outbound(), trunk.numbers().unwrap_or(&config.plain_numbers));
    vec![
        ("networks", set(networks)),
        ("certificates", Said::Set(trunk.certificates().iter().map(ToString::to_string).collect())),
        ("media", set(trunk.media())),
        ("next hop", one(listed(outbound, |of| of.hops.iter().map(|of| hop(config, of)).collect()))),
        ("uri", one(listed(outbound, |of| of.hostparts.iter().map(|hostpart| format!("sip:{hostpart}")).collect()))),
        ("advance", one(listed(outbound, |of| of.advance.iter().map(ToString::to_string).collect()))),
        ("ping", one(outbound.and_then(|of| of.ping).map_or_else(|| "none".to_owned(), |ping| format!("{ping:?}")))),
        ("outbound_networks", outbound.map_or_else(|| set(trunk.reach()), |of| set(&of.networks))),
        ("countries", limits.countries.as_deref().map_or_else(|| one("any"), set_of)),
        ("callers", limits.callers.as_ref().map_or_else(|| one("any"), callers)),
        ("numbering", one(limits.rules.numbering)),
        ("strip", one(limits.rules.strip.as_ref().map_or("none", |strip| strip.as_str()))),
        ("emergency", one(if limits.refuses_emergency { "refuse" } else { "pass" })),
        ("reject", profile(*reject)),
    ]
}

/// What a trunk's gateways have, in order.
fn listed(outbound: Option<&Outbound>, of: impl FnOnce(&Outbound) -> Vec<String>) -> String {
    outbound.map(of).filter(|all| !all.is_empty()).map_or_else(|| "none".to_owned(), |all| all.join(", "))
}

fn set_of(countries: &[Country]) -> Said {
    Said::Set(countries.iter().map(ToString::to_string).collect())
}

fn callers(of: &AllowedCallers) -> Said {
    let anonymous = of.anonymous.then(|| "anonymous".to_owned());
    Said::Set(of.countries.iter().map(ToString::to_string).chain(anonymous).collect())
}

pub(super) fn settings(config: &Config) -> Vec<(&'static str, String)> {
    let Config {
        // The files themselves, and the fields that other functions list.
        digest: _,
        files: _,
        key_files: _,
        signalling: _,
        warnings: _,
        audit,
        regions: _,
        projects: _,
        trunks: _,
        listeners: _,
        names: _,
        name_index: _,
        caller_table: _,
        tls_parties: _,
        endpoints: _,
        sole_out: _,
        api_keys: _,
        gate,
        reject,
        plain_numbers,
        admin,
        admin_hosts,
        dns,
        limits,
        timers,
        health,
        metrics,
        log,
        secret,
    } = config;
    let mut all = vec![
        ("global", config.global().unwrap_or("none").to_owned()),
        ("admin.listen", admin.map_or_else(|| "none".to_owned(), |addr| addr.to_string())),
        ("admin.hosts", if admin_hosts.is_empty() { "none".to_owned() } else { admin_hosts.join(", ") }),
        ("gate.listen", gate.as_ref().map_or_else(|| "none".to_owned(), |gate| gate.listen.to_string())),
        ("gate.connections", gate.as_ref().map_or_else(|| "none".to_owned(), |gate| gate.connections.to_string())),
        // Shows that a key has changed, but never the key.
        ("secret", secret.as_ref().map_or_else(|| "made at start".to_owned(), |secret| key_name(&secret.0))),
        ("reject", format!("policy {}, capacity {}", reject.policy, reject.capacity)),
        ("emergency", plain_numbers.rules.emergency.list().collect::<Vec<_>>().join(", ")),
    ];
    let Limits {
        memory,
        transactions,
        per_source,
        sources,
        repeats,
        connections,
        connections_per_source,
        write_queue,
        message,
        idle,
        partial,
        connect,
        handshakes,
        handshake,
    } = limits;
    all.extend([
        ("limits.memory", memory.to_string()),
        ("limits.transactions", transactions.to_string()),
        ("limits.per_source", format!("{per_source}/s")),
        ("limits.sources", sources.to_string()),
        ("limits.repeats", repeats.to_string()),
        ("limits.connections", connections.to_string()),
        ("limits.connections_per_source", connections_per_source.to_string()),
        ("limits.write_queue", write_queue.to_string()),
        ("limits.message", message.to_string()),
        ("limits.idle", format!("{idle:?}")),
        ("limits.partial", format!("{partial:?}")),
        ("limits.connect", format!("{connect:?}")),
        ("limits.handshakes", handshakes.to_string()),
        ("limits.handshake", format!("{handshake:?}")),
    ]);
    let Timers { t1, t2, t4, c, drain, try_for } = timers;
    all.extend([
        ("timers.t1", format!("{t1:?}")),
        ("timers.t2", format!("{t2:?}")),
        ("timers.t4", format!("{t4:?}")),
        ("timers.c", format!("{c:?}")),
        ("timers.drain", format!("{drain:?}")),
        ("timers.try_for", format!("{try_for:?}")),
    ]);
    let Health { interval, fall, back_off, rise } = health;
    all.extend([
        ("health.interval", interval.map_or_else(|| "none".to_owned(), |interval| format!("{interval:?}"))),
        ("health.fall", fall.to_string()),
        ("health.back_off", format!("{back_off:?}")),
        ("health.rise", format!("{rise:?}")),
    ]);
    all.push(("metrics.projects", metrics.projects.to_string()));
    all.extend(log_fields(log));
    all.extend(audit_settings(audit.as_ref()));
    let Dns { servers, stale, vanish } = dns;
    let servers: Vec<_> = servers.iter().map(ToString::to_string).collect();
    all.extend([
        ("dns.servers", if servers.is_empty() { "the system's".to_owned() } else { servers.join(", ") }),
        ("dns.stale", format!("{stale:?}")),
        ("dns.vanish", format!("{vanish:?}")),
    ]);
    all
}

fn audit_settings(audit: Option<&Audit>) -> Vec<(&'static str, String)> {
    let Some(Audit { path, sign: _, key, retain, numbers, checkpoint, spool }) = audit else {
        return vec![("audit", "none".to_owned())];
    };
    let numbers = match numbers {
        AuditNumbers::Plain => "plain",
        AuditNumbers::Mask => "mask",
        AuditNumbers::Hmac => "hmac",
    };
    vec![
        ("audit", "kept".to_owned()),
        ("audit.path", path.display().to_string()),
        ("audit.sign", key_name(&key.0)),
        ("audit.retain", format!("{retain:?}")),
        ("audit.numbers", numbers.to_owned()),
        ("audit.checkpoint", format!("{checkpoint:?}")),
        ("audit.spool", spool.display().to_string()),
    ]
}

fn log_fields(log: &Log) -> [(&'static str, String); 2] {
    let Log { numbers, refused } = log;
    let numbers = match numbers {
        Numbers::Mask => "mask",
        Numbers::Plain => "plain",
    };
    [("log.numbers", numbers.to_owned()), ("log.refused", refused.to_string())]
}

/// A text that tells one key from another but reveals nothing of the key.
fn key_name(key: &[u8]) -> String {
    let digest = Sha256::new().chain_update(b"ringfence key name").chain_update(key).finalize();
    let name = digest.iter().take(4).fold(0_u32, |name, &octet| name << 8 | u32::from(octet));
    format!("a file's key, known as {name:08x}")
}
