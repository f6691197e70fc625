//! `ringfence zone`: the DNS records by which carriers find the listeners, as a zone file (RFC 1035, RFC 2782, RFC 3403).
//!
//! Writes what the configuration says; asks no name server.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::exit::{FAILED, OK};
use super::mistakes;
use super::output::{print, shown};
use crate::config::{self, Config, ListenerId, Region, Transport};

/// What a complete zone needs, beside the records.
pub(super) struct Apex<'a> {
    /// The zone's name.
    pub(super) zone: &'a str,
    /// Its name servers.
    pub(super) servers: &'a [String],
}

/// The host and port at which a transport is reached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    transport: Transport,
    port: u16,
    host: String,
}

/// The records of a name, all absolute and without the dot at the end.
#[derive(Debug, Default)]
struct Records {
    lines: Vec<(String, String)>,
    /// Records that could not be written, and why, for a person to read.
    missing: Vec<String>,
}

/// Prints the records of every region that is served, and of the global endpoint.
pub(super) fn zone(path: &Path, ttl: u32, apex: Option<&Apex<'_>>, json: bool) -> u8 {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(error) => return mistakes::refuse(&error, json),
    };
    let mut records = Records::default();
    let (mut places, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for region in config.regions.iter().filter(|region| region.served) {
        let (of, at) = records.region(&config, region);
        places.extend(of);
        addresses.extend(at);
    }
    if let Some(global) = config.global() {
        records.services(global, &places);
        records.wildcard(global, &places, &addresses);
    }
    if let Some(apex) = apex {
        records.keep(apex.zone);
    }
    let code = if records.missing.is_empty() { OK } else { FAILED };
    if json {
        print(&format!("{}\n", records.json(ttl)));
        return code;
    }
    print(&records.text(path, ttl, apex));
    for missing in &records.missing {
        // Nothing is left to be told if standard error is closed.
        let _ = writeln!(std::io::stderr(), "ringfence: {missing}");
    }
    code
}

/// The NAPTR services field, and the SRV name in front of the host (RFC 3263 4.1, 4.2). The number is the order among the
/// transports: the more secure one comes first. All transports have one NAPTR order, because a client that follows RFC 3403 4.1
/// tries no other.
const fn service(transport: Transport) -> (u16, &'static str, &'static str) {
    match transport {
        Transport::Tls => (10, "SIPS+D2T", "_sips._tcp"),
        Transport::Tcp => (20, "SIP+D2T", "_sip._tcp"),
        Transport::Udp => (30, "SIP+D2U", "_sip._udp"),
    }
}

impl Records {
    /// Each record with its owner, type and data, and what was left out.
    fn json(&self, ttl: u32) -> Value {
        let record = |(owner, data): &(String, String)| {
            let (kind, data) = data.split_once(' ').unwrap_or((data, ""));
            json!({ "name": format!("{owner}."), "type": kind, "data": data.trim_start() })
        };
        let records: Vec<Value> = self.lines.iter().map(record).collect();
        json!({ "valid": true, "ttl": ttl, "records": records, "left_out": self.missing })
    }

    fn add(&mut self, owner: &str, data: String) {
        self.lines.push((owner.to_owned(), data));
    }

    /// Writes a region's records. Returns the places of its transports, and its addresses.
    fn region(&mut self, config: &Config, region: &Region) -> (BTreeSet<Place>, BTreeSet<IpAddr>) {
        let listeners: Vec<(ListenerId, Option<IpAddr>)> =
            region.listeners.iter().map(|&id| (id, self.address(config, region, id))).collect();
        let addresses: BTreeSet<IpAddr> = listeners.iter().filter_map(|&(_, ip)| ip).collect();
        let name = region.advertise.as_deref().filter(|host| host.parse::<IpAddr>().is_err());
        let mut places = BTreeSet::new();
        let mut apart = BTreeSet::new();
        for &(id, ip) in &listeners {
            let listener = config.listener(id);
            let (transport, port) = (listener.transport, listener.addr.port());
            let host = match (name, ip) {
                (Some(name), _) => name.to_owned(),
                (None, None) => continue,
                (None, Some(ip)) => {
                    let same = |other: &(ListenerId, Option<IpAddr>)| {
                        let of = config.listener(other.0);
                        (of.transport, of.addr.port()) == (transport, port)
                    };
                    let at: BTreeSet<IpAddr> = listeners.iter().filter(|other| same(other)).filter_map(|&(_, ip)| ip).collect();
                    if at == addresses {
                        region.hostname.clone()
                    } else {
                        // Not every address takes this: those that do have a name each.
                        let host = format!("{}.{}", free_label(config, ip), region.hostname);
                        apart.insert((host.clone(), ip));
                        host
                    }
                }
            };
            places.insert(Place { transport, port, host });
        }
        if name.is_some() {
            self.missing.push(format!(
                "region {}: advertise is a name, so its hostname gets no addresses: who asks for no NAPTR and SRV does not find it",
                region.name
            ));
        }
        let addresses = if name.is_some() { BTreeSet::new() } else { addresses };
        self.naptr(&region.hostname, &region.hostname, &places);
        self.services(&region.hostname, &places);
        self.addresses(&region.hostname, &addresses);
        for (host, ip) in apart {
            self.addresses(&host, &BTreeSet::from([ip]));
        }
        self.wildcard(&region.hostname, &places, &addresses);
        (places, addresses)
    }

    /// The address at which a listener is reached from outside.
    fn address(&mut self, config: &Config, region: &Region, id: ListenerId) -> Option<IpAddr> {
        let listener = config.listener(id);
        let advertised = region.advertise.as_deref();
        match advertised.map(str::parse::<IpAddr>) {
            Some(Ok(ip)) if ip.is_ipv4() == listener.addr.is_ipv4() => Some(ip),
            Some(Err(_)) => None,
            _ if listener.addr.ip().is_unspecified() => {
                self.missing.push(format!(
                    "region {}: left out {}:{}, a wildcard address: say by `advertise` where it is reached",
                    region.name,
                    listener.transport.token(),
                    listener.addr
                ));
                None
            }
            _ => Some(listener.addr.ip()),
        }
    }

    fn naptr(&mut self, owner: &str, under: &str, places: &BTreeSet<Place>) {
        let transports: BTreeSet<_> = places.iter().map(|place| service(place.transport)).collect();
        for (preference, services, prefix) in transports {
            self.add(owner, format!("NAPTR 10 {preference} \"s\" \"{services}\" \"\" {prefix}.{under}."));
        }
    }

    fn services(&mut self, under: &str, places: &BTreeSet<Place>) {
        let mut sorted: Vec<_> = places.iter().map(|place| (service(place.transport), place)).collect();
        sorted.sort();
        for ((_, _, prefix), Place { port, host, .. }) in sorted {
            self.add(&format!("{prefix}.{under}"), format!("SRV 10 10 {port} {host}."));
        }
    }

    fn addresses(&mut self, owner: &str, addresses: &BTreeSet<IpAddr>) {
        for ip in addresses {
            let kind = if ip.is_ipv4() { "A" } else { "AAAA" };
            self.add(owner, format!("{kind} {ip}"));
        }
    }

    /// Writes the records of all projects' endpoints. One wildcard stands for all names below. It can have no SRV records,
    /// because these could not tell transports apart.
    fn wildcard(&mut self, under: &str, places: &BTreeSet<Place>, addresses: &BTreeSet<IpAddr>) {
        let owner = format!("*.{under}");
        self.naptr(&owner, under, places);
        self.addresses(&owner, addresses);
    }

    /// Removes the records that are not in this zone.
    fn keep(&mut self, zone: &str) {
        let is_in = |owner: &str| owner == zone || owner.strip_suffix(zone).is_some_and(|front| front.ends_with('.'));
        let (kept, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.lines).into_iter().partition(|(owner, _)| is_in(owner));
        self.lines = kept;
        let others: BTreeSet<String> = others.into_iter().map(|(owner, _)| owner).collect();
        self.missing.extend(others.into_iter().map(|owner| format!("left out {owner}: it is not in {zone}")));
    }

    fn text(&self, path: &Path, ttl: u32, apex: Option<&Apex<'_>>) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "; The region endpoints of {}, by `ringfence zone`.\n$TTL {ttl}", shown(path));
        if let Some(Apex { zone, servers }) = apex {
            let first = servers.first().map_or(*zone, String::as_str);
            let serial = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |since| since.as_secs() % (1 << 32));
            let _ = writeln!(out, "{zone}. SOA {first}. hostmaster.{zone}. {serial} 3600 600 604800 60");
            for server in *servers {
                let _ = writeln!(out, "{zone}. NS {server}.");
            }
        }
        let width = self.lines.iter().map(|(owner, _)| owner.len() + 1).max().unwrap_or_default();
        for (owner, data) in &self.lines {
            let _ = writeln!(out, "{:<width$} {data}", format!("{owner}."));
        }
        out
    }
}

/// A label for an address, different from every project's label.
fn free_label(config: &Config, ip: IpAddr) -> String {
    let mut label = format!("at-{}", ip.to_string().replace(['.', ':'], "-")).trim_end_matches('-').to_owned();
    while config.project_of(&label).is_some() {
        label.push('x');
    }
    label
}
