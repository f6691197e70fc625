//! The transports of SIP messages: UDP, TCP, TLS. Only names and defaults; sends nothing.

/// The transport of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// One datagram, one message.
    Udp,
    /// A stream framed by Content-Length.
    Tcp,
    /// A stream framed by Content-Length, within TLS.
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

    /// Whether the transport delivers, or reports that it could not. Then no retransmission timers are needed (RFC 3261 17).
    pub const fn reliable(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }

    /// The port of a hop without one (RFC 3261 19.1.2).
    pub const fn port(self) -> u16 {
        if matches!(self, Self::Tls) { 5061 } else { 5060 }
    }

    /// The parameter that names it in a `sip:` URI. Empty for UDP, the default.
    pub const fn parameter(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
        }
    }
}
