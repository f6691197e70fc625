//! The closed list of how TLS handshakes end.

/// How a TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Handshake {
    /// The connection is secured.
    Done,
    /// The other side did not speak TLS.
    Plain,
    /// The other side's certificate is missing, not trusted, or not for the name that was asked for.
    Certificate,
    /// The other side does not accept our certificate, or asks for one that we do not have. A server may say so when the handshake is done
    /// on our side: then it counts for both.
    Refused,
    /// It took longer than `limits.handshake`.
    Slow,
    /// The other side went away.
    Gone,
    /// We gave it up, for newer ones (`limits.handshakes`) or because the daemon ended.
    GivenUp,
    /// Anything else: no version or cipher in common, broken records.
    Failed,
}

impl Handshake {
    /// Every end, in the order of the discriminants.
    pub const ALL: [Self; 8] =
        [Self::Done, Self::Plain, Self::Certificate, Self::Refused, Self::Slow, Self::Gone, Self::GivenUp, Self::Failed];

    /// The value of the label `result`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Plain => "plain",
            Self::Certificate => "certificate",
            Self::Refused => "refused",
            Self::Slow => "slow",
            Self::Gone => "gone",
            Self::GivenUp => "given-up",
            Self::Failed => "failed",
        }
    }
}
