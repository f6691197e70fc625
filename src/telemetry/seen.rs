//! The message at hand, for lines that tell something of it.

use crate::core::io::Arrival;

/// The message that an input brought, at hand while its outputs are carried out.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// How it came.
    pub arrival: Arrival,
    /// What came.
    pub bytes: &'a [u8],
}
