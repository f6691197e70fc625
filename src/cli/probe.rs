//! `ringfence probe`: calls an endpoint as a carrier would, and prints its answers.
//!
//! It is a command of its own, not the daemon. It sends to any address that its user names, with its own sockets.

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use super::arguments::ProbeOptions;
use super::color::Colors;
use super::exit::UNAVAILABLE;
use super::mistakes;
use super::output::{complain, print, print_fitting};
use super::resolve::{asynchronously, unavailable};
use crate::config::{self, Config, Dns, NextHop, Transport};
use crate::dns::{Lookup, Server};
use crate::sip::address::Address;
use crate::sip::uri::{Host, Scheme, Uri};
use crate::sip::{Message, Name, list};
use crate::tls::{self, Roots};

mod call;
mod exchange;
mod print;
mod probed;
mod wire;

use exchange::Story;
use probed::{Probed, Tried};

/// Exit code: a 2xx came, or the call rang.
const ANSWERED: u8 = 0;
/// Exit code: another final answer came.
const REFUSED: u8 = 1;
/// Exit code: no answer came.
const SILENT: u8 = 2;

/// Most addresses that are tried.
const MOST: usize = 8;

/// The endpoint to call.
struct Callee {
    /// The URI as it stands in the start line.
    uri: String,
    place: Place,
    transport: Option<Transport>,
}

/// The endpoint's address or name.
enum Place {
    Address(SocketAddr),
    /// The user says where it is, whatever its name resolves to.
    Told(SocketAddr, Option<String>),
    Name(NextHop),
}

/// Calls an endpoint and prints the result.
pub(super) fn probe(options: &ProbeOptions) -> u8 {
    let config = match options.config.as_deref().map(config::load) {
        None => None,
        Some(Ok(config)) => Some(config),
        Some(Err(error)) => return mistakes::refuse(&error, options.json),
    };
    let callee = match callee(options) {
        Ok(callee) => callee,
        Err(what) => return complain(&what, SILENT),
    };
    let probed = match asynchronously(async || called(options, config, callee).await) {
        Ok(probed) => probed,
        Err(code) => return code,
    };
    if options.json {
        print(&format!("{}\n", print::as_json(&probed)));
    } else {
        print_fitting(&print::as_text(&probed, Colors::on(std::io::stdout().is_terminal())));
    }
    match probed.takes() {
        Some(true) => ANSWERED,
        Some(false) => REFUSED,
        None if probed.failed && probed.tried.is_empty() => UNAVAILABLE,
        None => SILENT,
    }
}

/// Asks an endpoint by OPTIONS: the code of its answer, the region in its X-Ringfence, and the host of its Contact. `None`: no answer.
pub(super) async fn options(
    uri: String,
    transport: Transport,
    addr: SocketAddr,
) -> Option<(u16, Option<String>, Option<String>)> {
    const WITHIN: Duration = Duration::from_secs(5);
    let wire = tokio::time::timeout(WITHIN, wire::Wire::open(transport, addr, None, None)).await.ok()?.ok()?;
    let call = call::Call::new(uri, transport, wire.local().ok()?);
    let (code, bytes, _) = exchange::exchange(&call, wire, false, WITHIN).await.answer?;
    let message = Message::datagram(&bytes).ok()?;
    let contact = list::items(&message, Name::Contact).next();
    let contact = contact.and_then(|item| Uri::parse(Address::parse(message.slice(&item.span))?.uri).ok()?.host);
    let host = contact.map(|host| match host {
        Host::Name(name) => String::from_utf8_lossy(name).to_ascii_lowercase(),
        Host::Address(ip) => ip.to_string(),
    });
    Some((code, print::region_of(&message), host))
}

fn callee(options: &ProbeOptions) -> Result<Callee, String> {
    let text = options.uri.trim();
    let text =
        if text.contains(':') && text.to_ascii_lowercase().starts_with("sip") { text.to_owned() } else { format!("sip:{text}") };
    let wrong = |what: &str| format!("`{text}` {what}; right would be sip:acme.eu.sip.example.com");
    let uri = Uri::parse(text.as_bytes()).map_err(|_| wrong("is no SIP URI"))?;
    let sips = uri.scheme == Scheme::Sips;
    if uri.host.is_none() {
        return Err(wrong("has no host"));
    }
    if !uri.headers.is_empty() {
        return Err(wrong("has headers"));
    }
    let named = match uri.param("transport") {
        None => None,
        Some(token) => {
            let token = token.unwrap_or_default();
            let known = Transport::ALL.into_iter().find(|known| token.eq_ignore_ascii_case(known.token().as_bytes()));
            Some(known.ok_or_else(|| wrong("asks for a transport that is not spoken here yet"))?)
        }
    };
    let transport = if sips { Some(Transport::Tls) } else { options.transport.or(named) };
    let place = match uri.host {
        host if options.to.is_some() => {
            let usual = transport.unwrap_or(Transport::Udp);
            let to = options.to.map(|to| to.at(uri.port.unwrap_or_else(|| usual.port())));
            // The name is that of the certificate, whatever the address is.
            let name = if let Some(Host::Name(name)) = host { Some(String::from_utf8_lossy(name).into_owned()) } else { None };
            Place::Told(to.ok_or_else(|| wrong("has no address"))?, name)
        }
        Some(Host::Address(ip)) => {
            let port = uri.port.unwrap_or_else(|| transport.unwrap_or(Transport::Udp).port());
            Place::Address(SocketAddr::new(ip, port))
        }
        Some(Host::Name(name)) => {
            let carried = transport.filter(|_| !sips);
            Place::Name(NextHop::of_host(name, uri.port, carried, sips).ok_or_else(|| wrong("has no host name"))?)
        }
        None => return Err(wrong("has no host")),
    };
    Ok(Callee { uri: text.clone(), place, transport })
}

async fn called(options: &ProbeOptions, config: Option<Config>, callee: Callee) -> Result<Probed, u8> {
    let (mut steps, mut failed) = (Vec::new(), false);
    let settings = options.ca.as_deref().map(believed).transpose().map_err(|what| complain(&what, SILENT))?;
    let name = match &callee.place {
        Place::Address(_) => None,
        Place::Told(_, name) => name.clone(),
        Place::Name(name) => Some(name.host.clone()),
    };
    let verified = settings.as_ref().map(|settings| wire::Verified { settings, name: name.as_deref() });
    let servers = match callee.place {
        Place::Address(addr) | Place::Told(addr, _) => {
            vec![Server { rank: 0, weight: 0, transport: callee.transport, addresses: vec![addr] }]
        }
        Place::Name(name) => {
            let system = Dns { servers: Vec::new(), stale: Duration::ZERO, vanish: Duration::ZERO };
            let dns = config.as_ref().map_or(&system, |config| &config.dns);
            let found = Lookup::new(dns).map_err(|error| unavailable(&error))?.resolve(&name).await;
            (steps, failed) = (found.trace.steps, found.failed);
            found.servers
        }
    };
    let believes = settings.is_some();
    let mut probed = Probed { uri: callee.uri, invite: options.invite, believes, config, steps, failed, tried: Vec::new() };
    let places = servers.iter().flat_map(|server| server.addresses.iter().map(|&addr| (server.transport, addr)));
    for (transport, addr) in places.take(MOST) {
        let transport = transport.unwrap_or(Transport::Udp);
        let outside = probed.config.as_ref().is_some_and(|config| config.regions_of(addr).is_empty());
        let story = if outside { None } else { Some(story(options, &probed.uri, transport, addr, verified).await) };
        let answered = story.as_ref().is_some_and(|story| story.answer.is_some());
        probed.tried.push(Tried { addr, transport, story });
        if answered {
            break;
        }
    }
    Ok(probed)
}

/// The TLS settings that trust the certificates in a file.
fn believed(file: &std::path::Path) -> Result<Arc<ClientConfig>, String> {
    let text = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let settings = Roots::read(&text).and_then(|roots| tls::client(None, &roots)).map(|calling| Arc::clone(calling.settings()));
    settings.map_err(|unfit| format!("{}: {unfit}", file.display()))
}

async fn story(
    options: &ProbeOptions,
    uri: &str,
    transport: Transport,
    addr: SocketAddr,
    verified: Option<wire::Verified<'_>>,
) -> Story {
    let within = Duration::from_secs(options.timeout);
    let broken = |what: String| Story { broken: Some(what), ..Story::default() };
    let wire = match tokio::time::timeout(within, wire::Wire::open(transport, addr, options.bind, verified)).await {
        Err(_) => return broken("it takes no connection".to_owned()),
        Ok(Err(error)) => {
            let foreign = options.bind.filter(|_| error.kind() == std::io::ErrorKind::AddrNotAvailable);
            let own = |ip| format!("{ip} is no address of this machine: --bind takes one that `ip address` lists");
            return broken(foreign.map_or_else(|| error.to_string(), own));
        }
        Ok(Ok(wire)) => wire,
    };
    match wire.local() {
        Ok(local) => {
            let call = call::Call::new(uri.to_owned(), transport, local);
            let story = exchange::exchange(&call, wire, options.invite, within).await;
            Story { local: Some(local), ..story }
        }
        Err(error) => broken(error.to_string()),
    }
}
