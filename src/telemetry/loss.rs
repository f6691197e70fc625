//! The closed list of what the shell throws away without an answer.

/// What the shell itself threw away or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// The socket's send buffer was full.
    SendBuffer,
    /// The system refused to send: no route, an address of another family, larger than a datagram.
    Unsendable,
    /// The connection that an answer belongs to is gone.
    ConnectionGone,
    /// More than `limits.write_queue` waits to be written to a connection: it was closed.
    WriteQueue,
    /// A connection's peer does not read: it was closed.
    Stalled,
    /// A message did not arrive whole within `limits.partial`: its connection was closed.
    Partial,
    /// As many connections as `limits.connections` are open, and none of them makes room: the new one was closed at once.
    Connections,
    /// As many connections of one source as `limits.connections_per_source` are open: closed at once.
    SourceConnections,
    /// A connection made room for another one: a stranger's, or that of a party that held the most.
    Evicted,
    /// A stranger sent no message that is admitted: its connection was closed.
    Stranger,
    /// A trunk's call would open a connection beyond the trunk's share: it was not opened.
    TrunkConnections,
    /// A reload put a connection's peer outside: it was closed, with what waited to be written.
    Outside,
    /// A connection to a next hop could not be opened.
    Connect,
}

impl Loss {
    /// Every loss, in the order of the discriminants.
    pub const ALL: [Self; 13] = [
        Self::SendBuffer,
        Self::Unsendable,
        Self::ConnectionGone,
        Self::WriteQueue,
        Self::Stalled,
        Self::Partial,
        Self::Connections,
        Self::SourceConnections,
        Self::Evicted,
        Self::Stranger,
        Self::TrunkConnections,
        Self::Outside,
        Self::Connect,
    ];

    /// The metric label, beside those of [`DropCause`](crate::core::io::DropCause).
    pub const fn label(self) -> &'static str {
        match self {
            Self::SendBuffer => "send-buffer",
            Self::Unsendable => "unsendable",
            Self::ConnectionGone => "connection-gone",
            Self::WriteQueue => "write-queue",
            Self::Stalled => "stalled",
            Self::Partial => "partial",
            Self::Connections => "connections",
            Self::SourceConnections => "source-connections",
            Self::Evicted => "evicted",
            Self::Stranger => "stranger",
            Self::TrunkConnections => "trunk-connections",
            Self::Outside => "outside",
            Self::Connect => "connect",
        }
    }
}
