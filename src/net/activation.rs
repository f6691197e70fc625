//! Sockets that systemd bound and passed to us (`LISTEN_FDS`). They outlive the process: packets that come while no process runs
//! wait in them.
//!
//! They are matched to listeners by transport and address. We keep them as long as the process lives. systemd keeps them too, so
//! nobody could bind such an address again.

use std::io;
use std::net::SocketAddr;

use listenfd::ListenFd;
use socket2::SockRef;
use tracing::{info, warn};

use super::sockets::Bound;
use super::udp;
use crate::config::{Config, Listener, Transport};

/// The passed sockets, each with its address.
#[derive(Debug, Default)]
pub(super) struct Activation(Vec<(SocketAddr, Bound)>);

impl Activation {
    /// Takes the sockets that the environment names. Call it once, before there are threads, because it changes the environment.
    pub(super) fn take() -> Self {
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for at in 0..passed.len() {
            match taken(&mut passed, at) {
                Ok(Some(socket)) => sockets.push(socket),
                Ok(None) => {}
                Err(error) => warn!(number = at, %error, "a passed socket is of no use"),
            }
        }
        Self(sockets)
    }

    /// Whether systemd passed any socket.
    pub(super) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// The socket for a listener, if it was passed.
    pub(super) fn find(&self, listener: &Listener) -> io::Result<Option<Bound>> {
        for (addr, socket) in self.0.iter().filter(|(addr, _)| *addr == listener.addr) {
            match (socket, listener.transport) {
                (Bound::Udp(socket), Transport::Udp) => {
                    return udp::prepare(socket.try_clone()?, *addr).map(|socket| Some(Bound::Udp(socket)));
                }
                (Bound::Tcp(socket), Transport::Tcp | Transport::Tls) => {
                    let socket = socket.try_clone()?;
                    socket.set_nonblocking(true)?;
                    return Ok(Some(Bound::Tcp(socket)));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Logs which passed sockets belong to no listener, and which listeners had to be bound although others were passed.
    pub(super) fn compare(&self, config: &Config) {
        if !self.any() {
            return;
        }
        let is = |(addr, socket): &(SocketAddr, Bound), listener: &Listener| {
            *addr == listener.addr && socket.transport().reliable() == listener.transport.reliable()
        };
        for passed in &self.0 {
            let (addr, transport) = (passed.0, passed.1.transport().token());
            if config.listeners.iter().any(|listener| is(passed, listener)) {
                info!(%addr, transport, "passed by systemd");
            } else {
                warn!(%addr, transport, "a passed socket belongs to no listener: what comes there is not read");
            }
        }
        for listener in config.listeners.iter().filter(|listener| !listener.leaving) {
            if !self.0.iter().any(|passed| is(passed, listener)) {
                let (addr, transport) = (listener.addr, listener.transport.token());
                warn!(%addr, transport, "no socket was passed for this listener: bound here, so it does not outlive the process");
            }
        }
    }
}

fn taken(passed: &mut ListenFd, at: usize) -> io::Result<Option<(SocketAddr, Bound)>> {
    let bound = match passed.take_udp_socket(at) {
        Ok(socket) => socket.map(Bound::Udp),
        Err(_) => passed.take_tcp_listener(at)?.map(Bound::Tcp),
    };
    let Some(bound) = bound else { return Ok(None) };
    let addr = bound.addr()?;
    let mapped = addr.is_ipv6() && addr.ip().is_unspecified() && !bound.socket().only_v6()?;
    if mapped {
        return Err(io::Error::other(format!("{addr} takes IPv4 too: set BindIPv6Only=ipv6-only")));
    }
    Ok(Some((addr, bound)))
}

impl Bound {
    fn transport(&self) -> Transport {
        match self {
            Self::Udp(_) => Transport::Udp,
            Self::Tcp(_) => Transport::Tcp,
        }
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Udp(socket) => SockRef::from(socket),
            Self::Tcp(socket) => SockRef::from(socket),
        }
    }
}
