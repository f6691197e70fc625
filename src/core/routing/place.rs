//! A place to send to, as health is kept for it, and a gateway by its place in the configuration. An address alone says nothing of how it is reached.

use std::net::SocketAddr;

use crate::config::{Transport, TrunkId};

/// An address with its transport, by which targets are told apart.
pub(crate) type Place = (SocketAddr, Transport);

/// Most attempts for one request, because a caller does not wait for more.
pub(crate) const MAX_ATTEMPTS: usize = 8;

/// A gateway that a call goes out to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gateway {
    pub(crate) trunk: TrunkId,
    /// Its place in the trunk's `uri`.
    pub(crate) at: u8,
}
