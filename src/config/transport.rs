//! What carries SIP messages: UDP, TCP, TLS. Names and defaults alone; sends nothing.

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// One datagram, one message.
    Udp,
    /// A stream framed by Content-Length.
    Tcp,
    /// The same within TLS.
    Tls,
}

impl Transport {
    /// Every transport, in the order of the discriminants.
    pub const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    /// As in metric labels and in the `transport` URI parameter: `udp`, `tcp`, `tls`.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// As in Via: `UDP`, `TCP`, `TLS`.
    pub const fn via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// Whether the transport delivers or says that it did not: no retransmission timers (RFC 3261 17).
    pub const fn reliable(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }

    /// The port of a hop that names none (RFC 3261 19.1.2).
    pub const fn port(self) -> u16 {
        if matches!(self, Self::Tls) { 5061 } else { 5060 }
    }

    /// The parameter of a `sip:` URI that names it; UDP goes without saying.
    pub const fn parameter(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
        }
    }
}
