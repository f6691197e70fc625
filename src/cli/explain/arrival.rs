//! How a message to be explained would arrive: its listener, its source, and the address that it called. Judges nothing else.

use std::net::{IpAddr, SocketAddr};

use crate::cli::arguments::ExplainOptions;
use crate::config::{Config, Listener, ListenerId, Transport};
use crate::core::io::{Arrival, ConnectionId};
use crate::tls::{Name, Shown};

/// The arrival at the listener that the operator asks for, or at the only one that fits.
pub(super) fn arrival(config: &Config, options: &ExplainOptions) -> Result<Arrival, String> {
    let from = options.source.ok_or("--source says where the message comes from")?.over(options.transport());
    let written = |listener: &Listener| format!("{}:{}", listener.transport.token(), listener.addr);
    let asked = options.listener.as_deref();
    let fits = |listener: &Listener| match asked {
        None => listener.transport == options.transport() && listener.addr.is_ipv4() == from.is_ipv4(),
        Some(text) if text == written(listener) => true,
        Some(text) => {
            listener.transport == options.transport()
                && (text == listener.addr.to_string() || text == config.region(listener.region).name)
        }
    };
    let found: Vec<(ListenerId, &Listener)> = (0..).map(ListenerId).zip(&config.listeners).filter(|(_, of)| fits(of)).collect();
    let list = |of: &mut dyn Iterator<Item = &Listener>| of.map(written).collect::<Vec<_>>().join(", ");
    let Some(&(id, listener)) = found.first() else {
        let there_are = list(&mut config.listeners.iter());
        let what = asked.map_or_else(
            || format!("no listener takes {} from {from}", options.transport().token()),
            |text| format!("no listener is `{text}`"),
        );
        return Err(format!("{what}; there are: {there_are}"));
    };
    // One region's listeners judge alike.
    if found.iter().any(|(_, other)| other.region != listener.region) {
        let which = list(&mut found.iter().map(|&(_, of)| of));
        return Err(format!("several listeners could have received it: say which by --listener: {which}"));
    }
    let local = SocketAddr::new(called(config, listener, from), listener.addr.port());
    let connection = listener.transport.reliable().then_some(ConnectionId(0));
    let known = |name| config.caller_table.knows(name);
    let named = options.sni.as_deref().and_then(|host| config.region_of(host.as_bytes()));
    let proven = options.certificate.iter().map(|name| Name::of(name.as_bytes()));
    let shown = Shown::new(named.map(|region| Name::of(config.region(region).hostname.as_bytes())), proven, known);
    let shown = (listener.transport == Transport::Tls).then_some(shown);
    Ok(Arrival { listener: id, from, local, connection, shown })
}

/// The address that was called. For a wildcard listener it is not known here, so the advertised address is used.
fn called(config: &Config, listener: &Listener, from: SocketAddr) -> IpAddr {
    let advertised = config.region(listener.region).advertise.as_deref().and_then(|host| host.parse::<IpAddr>().ok());
    if listener.addr.ip().is_unspecified() {
        advertised.filter(|ip| ip.is_ipv4() == from.is_ipv4()).unwrap_or_else(|| listener.addr.ip())
    } else {
        listener.addr.ip()
    }
}
