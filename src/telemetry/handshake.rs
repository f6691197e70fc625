//! The closed list of how TLS handshakes end.

use crate::closed_list::closed_list;

closed_list! {
    /// How a TLS handshake ended.
    pub enum Handshake {
        /// The connection is secured.
        Done = "done",
        /// The other side did not speak TLS.
        Plain = "plain",
        /// The other side's certificate is missing, not trusted, or not for the name that was asked for.
        Certificate = "certificate",
        /// The other side does not accept our certificate, or asks for one that we do not have. A server may say so when the handshake is
        /// done on our side: then it counts for both.
        Refused = "refused",
        /// It took longer than `limits.handshake`.
        Slow = "slow",
        /// The other side went away.
        Gone = "gone",
        /// We gave it up, for newer ones (`limits.handshakes`) or because the daemon ended.
        GivenUp = "given-up",
        /// Anything else: no version or cipher in common, broken records.
        Failed = "failed",
    }
}
