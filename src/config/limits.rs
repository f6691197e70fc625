//! Limits, timers, health, DNS and the route key, as the snapshot holds them. `bounds` says which values they may have.

use std::net::SocketAddr;
use std::time::Duration;

/// How names are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Servers to ask over UDP and TCP; empty: the system's.
    pub servers: Vec<SocketAddr>,
    /// How long an expired answer may serve while DNS is down.
    pub stale: Duration,
    /// How long a name that had servers is used as it was although DNS says that it has none any more.
    pub vanish: Duration,
}

/// Every limit, and what happens when it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets that open and completed transactions hold. Above: refused (160), BYE last of all. Each trunk has a share.
    pub memory: usize,
    /// Open transactions, without those that only absorb repetitions. Above: refused (160). Requests inside dialogs get a quarter
    /// more, and BYE another one, so that calls can end while new ones are refused. Each trunk has a share
    /// (`core/transaction/shares`).
    pub transactions: usize,
    /// New requests of one source of a trunk a second. Above: refused (160); above twice as many: dropped. An IPv6 network of 64
    /// bits is one source.
    pub per_source: u32,
    /// Sources whose rate is remembered. Above: the one not seen for the longest time is forgotten.
    pub sources: usize,
    /// Refused calls remembered to recognise repeats. Above: the oldest is forgotten.
    pub repeats: usize,
    /// Open stream connections. Above: strangers make room, then the party that holds the most; else the new one is closed at
    /// once.
    pub connections: usize,
    /// Open stream connections of one source address. Above: closed at once.
    pub connections_per_source: usize,
    /// Octets that wait to be written to one connection. Above: the connection is closed.
    pub write_queue: usize,
    /// Octets of one message on a stream. Above: answered 513, and the connection is closed.
    pub message: usize,
    /// How long a stream connection may be silent, unless an answer is due on it.
    pub idle: Duration,
    /// How long a message may take to arrive whole on a stream.
    pub partial: Duration,
    /// How long connecting to an upstream may take.
    pub connect: Duration,
    /// TLS handshakes with clients under way. Above: the oldest is given up.
    pub handshakes: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
}

/// RFC 3261 timers (17.1.1.1, appendix A).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timers {
    /// T1, the estimated round-trip time: the first retransmission follows after it.
    pub t1: Duration,
    /// Longest interval between retransmissions of a non-INVITE request and of an INVITE response.
    pub t2: Duration,
    /// How long a message stays in the network.
    pub t4: Duration,
    /// How long a forwarded INVITE may ring without a response (timer C, more than 3 minutes by 16.6 step 11).
    pub c: Duration,
    /// How long a draining daemon waits for its transactions.
    pub drain: Duration,
    /// How long an attempt may stay without any response while there is another target.
    pub try_for: Duration,
}

/// How the health of targets is kept (`[health]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The time between two OPTIONS to a target that is up. `None`: none are sent, and only calls show the health.
    pub interval: Option<Duration>,
    /// How many failures in a row take a target out if it has answered something in between. Silence takes it out at once.
    pub fall: u32,
    /// The longest time between two trials of a target that is down. The first is a second, and each later one is twice as long.
    pub back_off: Duration,
    /// The time over which a target that is back gets its full share of calls.
    pub rise: Duration,
}

/// How much the metrics tell apart (`[metrics]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// The projects that may have series of their own. All others are counted together, as `other`.
    pub projects: usize,
}

/// What is written and kept of decisions for an operator (`[log]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// How phone numbers are shown.
    pub numbers: Numbers,
    /// How many refused messages are kept in memory. 0: none.
    pub refused: usize,
}

/// How phone numbers are shown to an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// The first three digits of an international number, which tell its country; nothing of any other.
    Mask,
    /// As they stand in the message.
    Plain,
}

/// The key that signs route tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 16]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}
