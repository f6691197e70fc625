//! `ringfence preflight`: whether the list of URIs that a customer has configured at a carrier keeps the customer's pin. Reads the
//! configuration, asks name servers and, if told to, each endpoint. Decides no call.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Read as _};
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::arguments::PreflightOptions;
use super::color::{Colors, Tint};
use super::exit::{FAILED, OK, WRONG};
use super::output::{complain, print, print_fitting};
use super::printable::plain;
use super::probe;
use super::resolve::online;
use super::{mistakes, trace};
use crate::config::{self, Config, Endpoint, NextHop, ProjectId, RegionId, Transport};
use crate::dns::{Lookup, Server};
use crate::sip::uri::{Host, Scheme, Uri};

/// Exit code: it cannot be told for every entry.
const CANNOT_TELL: u8 = 2;
/// Most entries that a list may have: no carrier takes as many.
const MOST: usize = 64;
/// Most octets of a list.
const LONGEST: u64 = 64 << 10;

/// Whom the list is checked for.
struct Wanted<'c> {
    config: &'c Config,
    project: ProjectId,
    /// The regions where its calls may be.
    regions: Vec<RegionId>,
}

/// Whether an entry keeps the pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    Yes,
    /// A call that goes there may leave the regions, or reaches somebody else.
    No,
    /// It stays in the regions, and no call is taken there.
    Useless,
    Unknown,
}

/// One entry of the list.
struct Entry {
    uri: String,
    /// What it names, in words.
    endpoint: String,
    transport: Option<Transport>,
    addresses: Vec<(SocketAddr, Vec<RegionId>)>,
    keeps: Keeps,
    /// Why it does not keep the pin, or why that cannot be told.
    why: Vec<String>,
    /// Who answered, if it was asked.
    answered: Option<String>,
}

/// Checks a list and prints what it finds.
pub(super) fn preflight(options: &PreflightOptions) -> u8 {
    let config = match config::load(&options.config) {
        Ok(config) => config,
        Err(error) => return mistakes::refuse(&error, options.json),
    };
    let wanted = match wanted(&config, options) {
        Ok(wanted) => wanted,
        Err(what) => return complain(&what, WRONG),
    };
    let uris = match uris(&options.uris) {
        Ok(uris) => uris,
        Err(what) => return complain(&what, WRONG),
    };
    let checking = async |lookup: Lookup| {
        let mut entries = Vec::with_capacity(uris.len());
        for uri in &uris {
            entries.push(wanted.entry(uri, &lookup, options.probe).await);
        }
        entries
    };
    let entries = match online(&config, checking) {
        Ok(entries) => entries,
        Err(code) => return code,
    };
    if options.json {
        print(&format!("{}\n", wanted.as_json(&entries)));
    } else {
        print_fitting(&wanted.as_text(&entries, Colors::on(std::io::stdout().is_terminal())));
    }
    code(&entries)
}

fn code(entries: &[Entry]) -> u8 {
    let any = |keeps| entries.iter().any(|entry| entry.keeps == keeps);
    match (any(Keeps::No), any(Keeps::Unknown)) {
        (true, _) => FAILED,
        (false, true) => CANNOT_TELL,
        (false, false) => OK,
    }
}

fn wanted<'c>(config: &'c Config, options: &PreflightOptions) -> Result<Wanted<'c>, String> {
    let name = options.project.to_ascii_lowercase();
    let at = config.projects.iter().position(|project| *project.name == *name);
    let at = at.and_then(|at| u32::try_from(at).ok()).ok_or_else(|| format!("no project is `{name}` in the configuration"))?;
    let project = ProjectId(at);
    let all = || (0..).map(RegionId).take(config.regions.len());
    let regions = match (&options.region, &config.project(project).pin) {
        (Some(region), _) => {
            let named = all().find(|&id| config.region(id).name == *region);
            vec![named.ok_or_else(|| {
                let known: Vec<&str> = config.regions.iter().map(|region| region.name.as_str()).collect();
                format!("no region is `{region}` in the configuration; there are {}", known.join(", "))
            })?]
        }
        (None, Some(pin)) => pin.to_vec(),
        (None, None) => all().collect(),
    };
    Ok(Wanted { config, project, regions })
}

/// The entries, in order: `-` stands for the lines of standard input.
fn uris(given: &[String]) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for text in given {
        if text != "-" {
            all.push(text.clone());
            continue;
        }
        let mut lines = String::new();
        std::io::stdin().lock().take(LONGEST).read_to_string(&mut lines).map_err(|error| format!("standard input: {error}"))?;
        let words = lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        all.extend(words.map(str::to_owned));
    }
    match all.len() {
        0 => Err("the list has no URI".to_owned()),
        1..=MOST => Ok(all),
        count => Err(format!("the list has {count} URIs: {MOST} at most")),
    }
}

impl Wanted<'_> {
    async fn entry(&self, text: &str, lookup: &Lookup, probes: bool) -> Entry {
        let shown = plain(text.trim().as_bytes());
        let mut entry = Entry {
            uri: shown,
            endpoint: "unknown".to_owned(),
            transport: None,
            addresses: Vec::new(),
            keeps: Keeps::Yes,
            why: Vec::new(),
            answered: None,
        };
        let text = text.trim();
        let sip = text.get(..3).is_some_and(|scheme| scheme.eq_ignore_ascii_case("sip")) && text.contains(':');
        let whole = if sip { text.to_owned() } else { format!("sip:{text}") };
        let uri = Uri::parse(whole.as_bytes());
        let Some((uri, host)) = uri.ok().and_then(|uri| uri.host.map(|host| (uri, host))) else {
            entry.keeps = Keeps::Unknown;
            entry.why.push("it is no SIP URI: sip:acme.eu.sip.example.com would be right".to_owned());
            return entry;
        };
        let secure = uri.scheme == Scheme::Sips;
        let token = uri.param("transport").flatten().unwrap_or_default();
        let named = Transport::ALL.into_iter().find(|of| token.eq_ignore_ascii_case(of.token().as_bytes()));
        entry.transport = if secure { Some(Transport::Tls) } else { named };
        self.names(host, &mut entry);
        if uri.param("maddr").is_some() {
            entry.say(Keeps::No, "`maddr` leads a carrier to an address, whatever the host is".to_owned());
        }
        let servers = match host {
            Host::Address(ip) => {
                let port = uri.port.unwrap_or_else(|| entry.transport.unwrap_or(Transport::Udp).port());
                vec![Server { rank: 0, weight: 0, transport: entry.transport, addresses: vec![SocketAddr::new(ip, port)] }]
            }
            Host::Name(name) => match NextHop::of_host(name, uri.port, named.filter(|_| !secure), secure) {
                None => Vec::new(),
                Some(hop) => {
                    let found = lookup.resolve(&hop).await;
                    if found.servers.is_empty() {
                        let failure = trace::failure(&found.trace.steps).filter(|_| found.failed);
                        let why = failure.map_or_else(
                            || "it resolves to nothing: calls there reach nobody".to_owned(),
                            |why| format!("DNS failed: {why}"),
                        );
                        entry.say(if found.failed { Keeps::Unknown } else { Keeps::Useless }, why);
                    }
                    found.servers
                }
            },
        };
        for addr in servers.iter().flat_map(|server| server.addresses.iter().copied()) {
            let regions = self.config.regions_of(addr);
            if !regions.iter().any(|region| self.regions.contains(region)) {
                let whose = if regions.is_empty() { "no region".to_owned() } else { self.named(&regions) };
                entry.say(Keeps::No, format!("{addr} is in the networks of {whose}"));
            }
            entry.addresses.push((addr, regions));
        }
        if probes && let Some(server) = servers.first() {
            self.ask(&whole, server, &mut entry).await;
        }
        entry
    }

    /// What the host names, and whether that fits.
    fn names(&self, host: Host<'_>, entry: &mut Entry) {
        let (config, project) = (self.config, self.project);
        let own = &config.project(project).name;
        let region = |id: RegionId| &config.region(id).name;
        let name = match host {
            Host::Name(name) => name,
            Host::Address(_) => {
                "an address".clone_into(&mut entry.endpoint);
                entry.say(Keeps::Useless, "an address names no endpoint: calls there are refused (111)".to_owned());
                return;
            }
        };
        match config.endpoint(name) {
            Endpoint::Region(id) => {
                entry.endpoint = format!("region {}, without a project", region(id));
                self.region(id, entry);
            }
            Endpoint::Project(id, of) => {
                entry.endpoint = format!("project {} at region {}", config.project(of).name, region(id));
                if of != project {
                    entry.say(Keeps::No, format!("it is project {}'s, not {own}'s", config.project(of).name));
                }
                self.region(id, entry);
            }
            Endpoint::Trunk(id, trunk) => {
                entry.endpoint = format!("trunk {} at region {}", config.trunk(trunk).name, region(id));
                entry.say(Keeps::Useless, "a trunk's name is for calls out: calls in are refused there (120)".to_owned());
                self.region(id, entry);
            }
            Endpoint::Global(of) => {
                entry.endpoint = format!("project {} at any region", config.project(of).name);
                if of != project {
                    entry.say(Keeps::No, format!("it is project {}'s, not {own}'s", config.project(of).name));
                }
                entry.say(Keeps::No, "any region may answer there: the nearest one does, also if that is another".to_owned());
            }
            Endpoint::Unknown => {
                "foreign".clone_into(&mut entry.endpoint);
                entry.say(Keeps::No, "no endpoint of this configuration: it is somebody else's".to_owned());
            }
        }
    }

    fn region(&self, id: RegionId, entry: &mut Entry) {
        if !self.regions.contains(&id) {
            entry.say(Keeps::No, format!("region {} is none of {}", self.config.region(id).name, self.named(&self.regions)));
        }
    }

    fn named(&self, regions: &[RegionId]) -> String {
        let names: Vec<&str> = regions.iter().map(|&id| self.config.region(id).name.as_str()).collect();
        format!("region {}", names.join(", "))
    }

    /// Asks the first address by OPTIONS, and says which region answers.
    async fn ask(&self, uri: &str, server: &Server, entry: &mut Entry) {
        let Some(&addr) = server.addresses.first() else { return };
        let transport = server.transport.or(entry.transport).unwrap_or(Transport::Udp);
        if transport == Transport::Tls {
            entry.answered = Some("not asked: over TLS `ringfence probe --ca FILE` does".to_owned());
            return;
        }
        let Some((code, region, contact)) = probe::options(uri.to_owned(), transport, addr).await else {
            entry.say(Keeps::Unknown, format!("{addr} does not answer OPTIONS over {}", transport.token()));
            return;
        };
        let at = contact.and_then(|host| self.region_at(&host));
        let answers = region.or_else(|| at.map(|id| self.config.region(id).name.clone()));
        entry.answered = Some(match &answers {
            Some(region) => format!("{code}, region {region}"),
            None => format!("{code}, of which region it does not say"),
        });
        if let Some(region) = answers
            && !self.regions.iter().any(|&id| self.config.region(id).name == region)
        {
            entry.say(Keeps::No, format!("region {region} answers there"));
        }
    }

    /// The region whose listener, or whose advertised name, this host is.
    fn region_at(&self, host: &str) -> Option<RegionId> {
        let config = self.config;
        let own = |id: &RegionId| {
            let region = config.region(*id);
            let listens = region.listeners.iter().any(|&id| config.listener(id).addr.ip().to_string() == host);
            listens || region.advertise.as_deref() == Some(host)
        };
        (0..).map(RegionId).take(config.regions.len()).find(own)
    }

    /// The codes after which a carrier goes on to the next entry: those of the project's trunks' profiles.
    fn codes(&self) -> Vec<u16> {
        let config = self.config;
        let mut codes: Vec<u16> = config.project(self.project).trunks().map(|id| config.trunk(id).reject.capacity).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    fn as_text(&self, entries: &[Entry], colors: Colors) -> String {
        let mut out = String::new();
        let project = &self.config.project(self.project).name;
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", colors.text(Tint::Bold, format!("project {project}, {}", self.named(&self.regions))));
        for (at, entry) in entries.iter().enumerate() {
            let (tint, word) = match entry.keeps {
                Keeps::Yes => (Tint::Green, "keeps"),
                Keeps::No => (Tint::Red, "leaks"),
                Keeps::Useless => (Tint::Yellow, "useless"),
                Keeps::Unknown => (Tint::Yellow, "cannot tell"),
            };
            let _ = writeln!(out, "{}  {}  {}", at + 1, entry.uri, colors.text(tint, word));
            let over = entry.transport.map_or("as DNS says", Transport::token);
            let _ = writeln!(out, "   {}, over {over}", entry.endpoint);
            for (addr, regions) in &entry.addresses {
                let where_ = if regions.is_empty() { "outside".to_owned() } else { format!("inside {}", self.named(regions)) };
                let _ = writeln!(out, "   {addr}  {where_}");
            }
            if let Some(answered) = &entry.answered {
                let _ = writeln!(out, "   answers {answered}");
            }
            for why in &entry.why {
                let _ = writeln!(out, "   {why}");
            }
        }
        out.push_str(&self.sum(entries));
        out
    }

    /// Whether the whole list keeps the pin, and when a carrier would use the entry that does not.
    fn sum(&self, entries: &[Entry]) -> String {
        let list = |keeps| -> Vec<String> {
            entries.iter().zip(1..).filter(|(entry, _)| entry.keeps == keeps).map(|(_, at)| at.to_string()).collect()
        };
        let leaks = list(Keeps::No);
        let codes = self.codes().iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        if let Some(first) = leaks.first() {
            let codes = if codes.is_empty() { "a refusal that may be tried elsewhere".to_owned() } else { codes };
            let when = if first == "1" {
                "the carrier uses it first".to_owned()
            } else {
                format!("the carrier uses it after {codes}, or if nobody answers")
            };
            return format!("the list does not keep the pin: entry {} leaks; {when}\n", leaks.join(", "));
        }
        let unknown = list(Keeps::Unknown);
        if unknown.is_empty() {
            "the list keeps the pin\n".to_owned()
        } else {
            format!("cannot tell whether the list keeps the pin: entry {}\n", unknown.join(", "))
        }
    }

    fn as_json(&self, entries: &[Entry]) -> Value {
        let names = |ids: &[RegionId]| ids.iter().map(|&id| self.config.region(id).name.clone()).collect::<Vec<_>>();
        let entry = |entry: &Entry| {
            let keeps = match entry.keeps {
                Keeps::Yes => "yes",
                Keeps::No => "no",
                Keeps::Useless => "useless",
                Keeps::Unknown => "unknown",
            };
            let address =
                |(addr, regions): &(SocketAddr, Vec<RegionId>)| json!({ "address": addr.to_string(), "regions": names(regions) });
            json!({
                "uri": entry.uri,
                "endpoint": entry.endpoint,
                "transport": entry.transport.map(Transport::token),
                "addresses": entry.addresses.iter().map(address).collect::<Vec<_>>(),
                "answered": entry.answered,
                "keeps": keeps,
                "why": entry.why,
            })
        };
        let keeps = match code(entries) {
            OK => json!(true),
            FAILED => json!(false),
            _ => Value::Null,
        };
        json!({
            "project": self.config.project(self.project).name,
            "regions": names(&self.regions),
            "entries": entries.iter().map(entry).collect::<Vec<_>>(),
            "advances_on": self.codes(),
            "keeps": keeps,
        })
    }
}

impl Entry {
    /// Takes in what was found. The worst finding decides.
    fn say(&mut self, keeps: Keeps, why: String) {
        let rank = |keeps| match keeps {
            Keeps::Yes => 0,
            Keeps::Useless => 1,
            Keeps::Unknown => 2,
            Keeps::No => 3,
        };
        if rank(keeps) > rank(self.keeps) {
            self.keeps = keeps;
        }
        self.why.push(why);
    }
}
