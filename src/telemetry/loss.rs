//! The closed list of what the shell throws away without an answer.

use crate::closed_list::closed_list;

closed_list! {
    /// What the shell itself threw away or closed.
    pub enum Loss {
        /// The socket's send buffer was full.
        SendBuffer = "send-buffer",
        /// The system refused to send: no route, an address of another family, larger than a datagram.
        Unsendable = "unsendable",
        /// The connection that an answer belongs to is gone.
        ConnectionGone = "connection-gone",
        /// More than `limits.write_queue` waits to be written to a connection: it was closed.
        WriteQueue = "write-queue",
        /// A connection's peer does not read: it was closed.
        Stalled = "stalled",
        /// A message did not arrive whole within `limits.partial`: its connection was closed.
        Partial = "partial",
        /// As many connections as `limits.connections` are open, and none of them makes room: the new one was closed at once.
        Connections = "connections",
        /// As many connections of one source as `limits.connections_per_source` are open: closed at once.
        SourceConnections = "source-connections",
        /// A connection made room for another one: a stranger's, or that of a party that held the most.
        Evicted = "evicted",
        /// A stranger sent no message that is admitted: its connection was closed.
        Stranger = "stranger",
        /// A trunk's call would open a connection beyond the trunk's share: it was not opened.
        TrunkConnections = "trunk-connections",
        /// A reload put a connection's peer outside: it was closed, with what waited to be written.
        Outside = "outside",
        /// A connection to a next hop could not be opened.
        Connect = "connect",
    }
}
