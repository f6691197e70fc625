//! Reads the files' tables into their shape, field by field. Unknown keys are refused.
//!
//! Reads each value by itself. `build` checks what values mean together.

use std::time::Duration;

use toml::de::DeTable;

use super::file::{Admin, Audit, Gate, Health, Limits, Log, Main, Metrics, Parts, Project, Region, Timers, Tls, Trunk};
use super::gate::GATE_CONNECTIONS_BOUNDS;
use super::report::{Placed, Read, Report, Wrong};
use super::table::{Table, Value, optional};
use super::text::Origin;
use super::{hep, hop, plain, value};
use crate::reason::Profile;

/// Keys of the main file that an included file may not have.
const MAIN_ONLY: [&str; 16] = [
    "serve",
    "global",
    "include",
    "reject",
    "emergency",
    "admin",
    "audit",
    "dns",
    "gate",
    "limits",
    "timers",
    "health",
    "hep",
    "metrics",
    "log",
    "secret",
];

/// Reads the main file.
pub(super) fn read_main(origin: Origin<'_>, table: &DeTable<'_>, parts: &mut Parts, report: &mut Report) -> Main {
    let mut top = Table::top(origin, table);
    let serve = top.take("serve");
    let serve_place = serve.as_ref().map_or_else(|| top.place.clone(), |serve| serve.place().clone());
    let emergency = top.take("emergency");
    let emergency_place = emergency.as_ref().map_or_else(|| top.place.clone(), |emergency| emergency.place().clone());
    let mut dns = section(&mut top, "dns", report);
    let mut secret = section(&mut top, "secret", report);
    let main = Main {
        serve: optional(serve.map(|serve| serve.strings(report, value::text))),
        serve_place,
        global: text(&mut top, "global", report, value::hostname),
        include: list(&mut top, "include", report, value::text),
        reject: read_reject(&mut top, report),
        emergency: optional(emergency.map(|emergency| emergency.strings(report, value::emergency_number))),
        emergency_place,
        admin: section(&mut top, "admin", report).map(|mut admin| {
            let listen = text(&mut admin, "listen", report, value::socket);
            let hosts = list(&mut admin, "hosts", report, value::admin_host);
            admin.close(report);
            Admin { listen, hosts }
        }),
        gate: section(&mut top, "gate", report).map(|mut gate| {
            let (place, listen) = (gate.place.clone(), text(&mut gate, "listen", report, value::socket));
            let connections = gate.take("connections").map(|value| value.number(report, GATE_CONNECTIONS_BOUNDS));
            gate.close(report);
            Gate { place, listen, connections: optional(connections) }
        }),
        dns_servers: dns.as_mut().map_or(Ok(None), |dns| list(dns, "servers", report, value::dns_server)),
        dns_stale: dns.as_mut().map_or(Ok(None), |dns| text(dns, "stale", report, value::duration)),
        dns_vanish: dns.as_mut().map_or(Ok(None), |dns| text(dns, "vanish", report, value::duration)),
        limits: read_limits(section(&mut top, "limits", report), report),
        timers: read_timers(section(&mut top, "timers", report), report),
        health: read_health(section(&mut top, "health", report), report),
        hep: hep::read(&mut top, report),
        metrics: section(&mut top, "metrics", report).map(|mut metrics| {
            let projects = metrics.take("projects").map(|value| value.number(report, 0..=1_000_000));
            metrics.close(report);
            Metrics { projects: optional(projects) }
        }),
        log: section(&mut top, "log", report).map(|mut log| {
            let numbers = text(&mut log, "numbers", report, value::numbers);
            let refused = log.take("refused").map(|value| value.number(report, 0..=10_000));
            log.close(report);
            Log { numbers, refused: optional(refused) }
        }),
        audit: section(&mut top, "audit", report).map(|audit| read_audit(audit, report)),
        secret: secret.as_mut().map_or(Ok(None), |secret| text(secret, "file", report, value::text)),
    };
    if let Some(secret) = &secret
        && matches!(main.secret, Ok(None))
    {
        report.mistake(&secret.place, "[secret] without `file`", "file = \"ringfence.key\"");
    }
    for section in [dns, secret].into_iter().flatten() {
        section.close(report);
    }
    read_parts(&mut top, parts, report);
    top.close(report);
    main
}

/// Reads an included file.
pub(super) fn read_included(origin: Origin<'_>, table: &DeTable<'_>, parts: &mut Parts, report: &mut Report) {
    let mut top = Table::top(origin, table);
    read_parts(&mut top, parts, report);
    for key in MAIN_ONLY {
        if let Some(value) = top.take(key) {
            let wrong = format!("`{key}` belongs into the main file");
            report.mistake(&value.key().place, wrong, "[region.*] and [project.*] alone in an included file");
        }
    }
    top.close(report);
}

fn read_parts(top: &mut Table<'_>, parts: &mut Parts, report: &mut Report) {
    for (value, table) in tables(top, "region", report) {
        let name = checked_name(&value, report, value::region_name);
        parts.regions.push(read_region(name, table, report));
    }
    parts.projects.extend(read_projects(top, report));
}

fn read_projects(top: &mut Table<'_>, report: &mut Report) -> Vec<Project> {
    let all = tables(top, "project", report);
    let read = |(value, table): (Value<'_>, Table<'_>)| {
        let name = checked_name(&value, report, value::label);
        read_project(name, table, report)
    };
    all.into_iter().map(read).collect()
}

/// Reads the tables of one project. `Err`: they are no TOML.
pub(super) fn read_one(origin: Origin<'_>, text: &str, report: &mut Report) -> Result<Option<Project>, Vec<toml::de::Error>> {
    if let Some(entry) = plain::read(text) {
        return Ok(read_projects(&mut Table::plain(origin, &entry), report).pop());
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() { Ok(read_projects(&mut Table::top(origin, table.get_ref()), report).pop()) } else { Err(errors) }
}

fn read_region(name: Placed<String>, mut table: Table<'_>, report: &mut Report) -> Region {
    let upstream = table.take("upstream").map(|upstream| upstream.one_or_more(report, hop::upstream));
    let tls = section(&mut table, "tls", report).map(|tls| read_tls(tls, report));
    let region = Region {
        name,
        hostname: text(&mut table, "hostname", report, value::hostname),
        listen: list(&mut table, "listen", report, value::listener),
        advertise: text(&mut table, "advertise", report, value::advertise),
        networks: list(&mut table, "networks", report, value::network),
        servers: list(&mut table, "servers", report, value::server),
        upstream: optional(upstream),
        nearest: list(&mut table, "nearest", report, value::text),
        relays: list(&mut table, "relay", report, value::relay),
        methods: list(&mut table, "methods", report, value::method),
        realtime: text(&mut table, "realtime", report, value::realtime),
        tls,
    };
    table.close(report);
    region
}

fn read_tls(mut table: Table<'_>, report: &mut Report) -> Tls {
    let tls = Tls {
        place: table.place.clone(),
        certificate: text(&mut table, "certificate", report, value::text),
        key: text(&mut table, "key", report, value::text),
        client_ca: text(&mut table, "client_ca", report, value::text),
        client_auth: text(&mut table, "client_auth", report, value::client_auth),
        upstream_ca: text(&mut table, "upstream_ca", report, value::text),
        client_certificate: text(&mut table, "client_certificate", report, value::text),
        client_key: text(&mut table, "client_key", report, value::text),
    };
    table.close(report);
    tls
}

fn read_project(name: Placed<String>, mut table: Table<'_>, report: &mut Report) -> Project {
    let (pin, out, api_keys) = (table.take("pin"), table.take("out"), table.take("api_keys"));
    let pin_place = pin.as_ref().map_or_else(|| name.place.clone(), |pin| pin.place().clone());
    let mut project = Project {
        out_place: out.as_ref().map_or_else(|| name.place.clone(), |out| out.key().place),
        out: optional(out.map(|out| out.strings(report, value::label))),
        api_keys_place: api_keys.as_ref().map_or_else(|| name.place.clone(), |keys| keys.key().place),
        api_keys: optional(api_keys.map(|keys| keys.strings(report, value::api_key))),
        name,
        pin: optional(pin.map(|pin| pin.strings(report, value::text))),
        pin_place,
        mode: text(&mut table, "mode", report, value::mode),
        media: text(&mut table, "media", report, value::media),
        source_in_region: text(&mut table, "source", report, value::source),
        reject: read_reject(&mut table, report),
        trunks: Vec::new(),
    };
    for (value, trunk) in tables(&mut table, "trunk", report) {
        let name = checked_name(&value, report, value::label);
        project.trunks.push(read_trunk(name, trunk, report));
    }
    table.later("audit", report);
    table.close(report);
    project
}

fn read_trunk(name: Placed<String>, mut table: Table<'_>, report: &mut Report) -> Trunk {
    let outbound = table.take("outbound_networks");
    let place_of_name = name.place.clone();
    let outbound_place = outbound.as_ref().map_or_else(|| place_of_name.clone(), |outbound| outbound.key().place);
    let (countries, callers) = (table.take("countries"), table.take("callers"));
    let (uri, advance) = (table.take("uri"), table.take("advance"));
    let trunk = Trunk {
        name,
        networks: list(&mut table, "networks", report, value::network),
        certificates: list(&mut table, "certificates", report, value::hostname),
        media: list(&mut table, "media", report, value::network),
        uri_place: uri.as_ref().map_or_else(|| place_of_name.clone(), |uri| uri.key().place),
        uri: optional(uri.map(|uri| uri.one_or_more(report, hop::uri))),
        ping: text(&mut table, "ping", report, value::duration),
        advance_place: advance.as_ref().map_or_else(|| place_of_name.clone(), |advance| advance.key().place),
        advance: optional(advance.map(|advance| advance.numbers(report, 400..=599))),
        outbound_networks: optional(outbound.map(|outbound| outbound.strings(report, value::network))),
        outbound_place,
        countries_place: countries.as_ref().map_or_else(|| place_of_name.clone(), |countries| countries.key().place),
        countries: optional(countries.map(|countries| countries.strings(report, value::country))),
        callers_place: callers.as_ref().map_or_else(|| place_of_name.clone(), |callers| callers.key().place),
        callers: optional(callers.map(|callers| callers.strings(report, value::caller))),
        numbering: text(&mut table, "numbering", report, value::numbering),
        strip: text(&mut table, "strip", report, value::tech_prefix),
        refuses_emergency: text(&mut table, "emergency", report, value::emergency),
        reject: read_reject(&mut table, report),
    };
    table.close(report);
    trunk
}

/// `reject`: a profile's name, or `{ policy = 603, capacity = 503 }`.
fn read_reject(table: &mut Table<'_>, report: &mut Report) -> Read<Placed<Profile>> {
    let Some(reject) = table.take("reject") else { return Ok(None) };
    if !reject.is_table() {
        return reject.string(report, value::profile).map(Some);
    }
    let mut codes = reject.table(report)?;
    let place = codes.place.clone();
    let policy = codes.take("policy").map(|policy| policy.number(report, 400..=699));
    let capacity = codes.take("capacity").map(|capacity| capacity.number(report, 400..=599));
    codes.close(report);
    let (Some(policy), Some(capacity)) = (optional(policy)?, optional(capacity)?) else {
        return Err(report.mistake(&place, "`reject` names one code alone", "{ policy = 603, capacity = 503 }"));
    };
    for code in [&policy, &capacity] {
        if matches!(code.value, 401 | 407) {
            let wrong = format!("{} challenges for credentials", code.value);
            return Err(report.mistake(&code.place, wrong, "a code that refuses, for example 603 or 403"));
        }
    }
    // Both are below 700.
    let code = |number: &Placed<u64>| u16::try_from(number.value).unwrap_or(u16::MAX);
    Ok(Some(Placed { value: Profile { policy: code(&policy), capacity: code(&capacity) }, place: policy.place.clone() }))
}

fn read_audit(mut table: Table<'_>, report: &mut Report) -> Audit {
    let audit = Audit {
        place: table.place.clone(),
        path: text(&mut table, "path", report, value::text),
        sign: text(&mut table, "sign", report, value::text),
        retain: text(&mut table, "retain", report, value::duration),
        numbers: text(&mut table, "numbers", report, value::audit_numbers),
        checkpoint: text(&mut table, "checkpoint", report, value::duration),
        spool: text(&mut table, "spool", report, value::text),
    };
    table.close(report);
    audit
}

fn read_limits(section: Option<Table<'_>>, report: &mut Report) -> Limits {
    let mut section = section;
    let section_ref = &mut section;
    let count = |key, most, section: &mut Option<Table<'_>>, report: &mut Report| {
        let value = section.as_mut().and_then(|limits| limits.take(key));
        optional(value.map(|value| value.number(report, 1..=most)))
    };
    let limits = Limits {
        memory: octets(section_ref, "memory", report),
        transactions: count("transactions", 10_000_000, section_ref, report),
        per_source: section_ref.as_mut().map_or(Ok(None), |limits| text(limits, "per_source", report, value::rate)),
        sources: count("sources", 10_000_000, section_ref, report),
        repeats: count("repeats", 10_000_000, section_ref, report),
        connections: count("connections", 1_000_000, section_ref, report),
        connections_per_source: count("connections_per_source", 1_000_000, section_ref, report),
        write_queue: octets(section_ref, "write_queue", report),
        message: octets(section_ref, "message", report),
        idle: timer(section_ref, "idle", report),
        partial: timer(section_ref, "partial", report),
        connect: timer(section_ref, "connect", report),
        handshakes: count("handshakes", 1_000_000, section_ref, report),
        handshake: timer(section_ref, "handshake", report),
    };
    if let Some(section) = section {
        section.close(report);
    }
    limits
}

fn read_timers(section: Option<Table<'_>>, report: &mut Report) -> Timers {
    let mut section = section;
    let timers = Timers {
        t1: timer(&mut section, "t1", report),
        t2: timer(&mut section, "t2", report),
        t4: timer(&mut section, "t4", report),
        c: timer(&mut section, "c", report),
        drain: timer(&mut section, "drain", report),
        try_for: timer(&mut section, "try_for", report),
    };
    if let Some(section) = section {
        section.close(report);
    }
    timers
}

fn read_health(section: Option<Table<'_>>, report: &mut Report) -> Health {
    let mut section = section;
    let fall = section.as_mut().and_then(|section| section.take("fall"));
    let health = Health {
        interval: timer(&mut section, "interval", report),
        fall: optional(fall.map(|fall| fall.number(report, 1..=100))),
        back_off: timer(&mut section, "back_off", report),
        rise: timer(&mut section, "rise", report),
    };
    if let Some(section) = section {
        section.close(report);
    }
    health
}

fn timer(section: &mut Option<Table<'_>>, key: &'static str, report: &mut Report) -> Read<Placed<Duration>> {
    section.as_mut().map_or(Ok(None), |section| text(section, key, report, value::duration))
}

fn octets(section: &mut Option<Table<'_>>, key: &'static str, report: &mut Report) -> Read<Placed<u64>> {
    optional(section.as_mut().and_then(|section| section.take(key)).map(|value| value.size(report)))
}

fn section<'a>(top: &mut Table<'a>, key: &'static str, report: &mut Report) -> Option<Table<'a>> {
    top.take(key).and_then(|value| value.table(report).ok())
}

/// The tables below a key: `[region.*]`.
fn tables<'a>(table: &mut Table<'a>, key: &'static str, report: &mut Report) -> Vec<(Value<'a>, Table<'a>)> {
    let Some(mut all) = section(table, key, report) else { return Vec::new() };
    all.take_all().into_iter().filter_map(|value| value.table(report).ok().map(|table| (value, table))).collect()
}

/// Reads a table's name. A wrong name is reported and kept, so that references to it are not reported too.
fn checked_name(value: &Value<'_>, report: &mut Report, read: fn(&str) -> Result<String, Wrong>) -> Placed<String> {
    let mut name = value.key();
    match read(&name.value) {
        Ok(read) => name.value = read,
        Err(wrong) => {
            report.mistake(&name.place, wrong.wrong, wrong.right);
        }
    }
    name
}

fn text<T>(table: &mut Table<'_>, key: &'static str, report: &mut Report, read: fn(&str) -> Result<T, Wrong>) -> Read<Placed<T>> {
    optional(table.take(key).map(|value| value.string(report, read)))
}

fn list<T>(
    table: &mut Table<'_>,
    key: &'static str,
    report: &mut Report,
    read: fn(&str) -> Result<T, Wrong>,
) -> Read<Vec<Placed<T>>> {
    optional(table.take(key).map(|value| value.strings(report, read)))
}
