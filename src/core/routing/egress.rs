//! One way out of here: the fenced address, how it is reached, and what it must prove. Only names it; nothing is sent.

use std::sync::Arc;

use crate::config::{ListenerId, Transport};
use crate::core::transaction::Client;
use crate::fence::Fenced;

/// Where a leg's requests go when its own next hop is of no use.
#[derive(Clone, Debug)]
pub(crate) struct Egress {
    pub(crate) to: Fenced,
    pub(crate) transport: Transport,
    pub(crate) listener: ListenerId,
    /// The name that the server must prove, over TLS.
    pub(crate) server: Option<Arc<str>>,
}

impl Egress {
    /// Where an attempt went.
    pub(crate) fn of(client: &Client) -> Self {
        Self { to: client.target, transport: client.transport, listener: client.listener, server: client.server.clone() }
    }
}
