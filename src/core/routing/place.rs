//! A place to send to, as health is kept for it. An address alone says nothing of how it is reached.

use std::net::SocketAddr;

use crate::config::Transport;

/// An address with its transport, by which targets are told apart.
pub(crate) type Place = (SocketAddr, Transport);

/// Most attempts for one request, because a caller does not wait for more.
pub(crate) const MAX_ATTEMPTS: usize = 8;
