//! `ringfence check --here`: whether this machine has the addresses and ports of a configuration. Opens each socket and closes it at once;
//! sends nothing.

use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use serde_json::{Value, json};

use super::color::{Colors, Tint};
use crate::config::Config;
use crate::net::remedy;

/// One socket that the daemon would listen on.
pub(super) struct Socket {
    /// As in the file: `udp:203.0.113.10:5060 of region eu`.
    what: String,
    /// Why it cannot be had, and what to do, if it cannot.
    pub(super) wrong: Option<(String, Option<String>)>,
}

/// Tries each socket of the configuration.
pub(super) fn sockets(config: &Config) -> Vec<Socket> {
    let listeners = config.listeners.iter().map(|of| {
        let what = format!("{}:{} of region {}", of.transport.token(), of.addr, config.region(of.region).name);
        tried(what, of.addr, of.transport.reliable())
    });
    listeners.chain(config.admin.map(|addr| tried(format!("admin {addr}"), addr, true))).collect()
}

fn tried(what: String, addr: SocketAddr, stream: bool) -> Socket {
    let tried: io::Result<()> = if stream { TcpListener::bind(addr).map(drop) } else { UdpSocket::bind(addr).map(drop) };
    Socket { what, wrong: tried.err().map(|error| (error.to_string(), remedy(&error, addr, stream))) }
}

pub(super) fn text(sockets: &[Socket], colors: Colors) -> String {
    let mut out = String::new();
    for Socket { what, wrong } in sockets {
        // Writing to a string cannot fail.
        let _ = match wrong {
            None => writeln!(out, "here     {what}  {}", colors.text(Tint::Green, "free")),
            Some((wrong, None)) => writeln!(out, "here     {what}  {}", colors.text(Tint::Red, wrong)),
            Some((wrong, Some(right))) => writeln!(out, "here     {what}  {}\n         = {right}", colors.text(Tint::Red, wrong)),
        };
    }
    out
}

pub(super) fn json(sockets: &[Socket]) -> Value {
    let socket = |Socket { what, wrong }: &Socket| {
        let (wrong, right) = wrong.clone().map_or((None, None), |(wrong, right)| (Some(wrong), right));
        json!({ "socket": what, "free": wrong.is_none(), "wrong": wrong, "right": right })
    };
    sockets.iter().map(socket).collect()
}
