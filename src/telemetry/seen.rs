//! The message at hand, for log lines that quote it.

use crate::core::io::Arrival;

/// The message that an input brought, at hand while its outputs are carried out.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The addresses, listener and connection that it came by.
    pub arrival: Arrival,
    /// The message as received.
    pub bytes: &'a [u8],
}
