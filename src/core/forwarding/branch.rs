//! Our branch parameter: magic cookie, slot in the table, an unguessable nonce, and a loop hash.
//!
//! The slot finds the transaction of a response. The nonce proves that the response belongs to a request of ours. No hash is
//! computed to match a response.

use crate::core::keys::{read_hex, write_hex};

/// The magic cookie (RFC 3261 8.1.1.7).
const COOKIE: &[u8] = b"z9hG4bK";
/// Length in bytes: cookie, slot, nonce, loop hash.
const LENGTH: usize = 7 + 8 + 16 + 8;
/// The slot of a branch without a transaction: a 2xx ACK, which is forwarded statelessly.
pub(crate) const NO_SLOT: u32 = u32::MAX;
/// The slot of a request of our own. No transaction has this slot or one above it.
pub(crate) const OWN_SLOT: u32 = u32::MAX - 1;

/// A branch that we made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Branch {
    /// The transaction's slot in the table.
    pub(crate) slot: u32,
    /// A random number that nobody else can know.
    pub(crate) nonce: u64,
    /// A hash of what routes the request. It is the same if the request comes back unchanged.
    pub(crate) loop_hash: u32,
}

impl Branch {
    /// The parameter's value.
    pub(crate) fn text(self) -> [u8; LENGTH] {
        let mut text = [0; LENGTH];
        let (cookie, rest) = text.split_at_mut(7);
        cookie.copy_from_slice(COOKIE);
        let (slot, rest) = rest.split_at_mut(8);
        let (nonce, loop_hash) = rest.split_at_mut(16);
        write_hex(u64::from(self.slot), slot);
        write_hex(self.nonce, nonce);
        write_hex(u64::from(self.loop_hash), loop_hash);
        text
    }

    /// Reads a branch; `None` if it is not one of ours.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let rest = text.strip_prefix(COOKIE).filter(|rest| rest.len() == LENGTH - 7)?;
        let (slot, rest) = rest.split_at_checked(8)?;
        let (nonce, loop_hash) = rest.split_at_checked(16)?;
        Some(Self {
            slot: u32::try_from(read_hex(slot)?).ok()?,
            nonce: read_hex(nonce)?,
            loop_hash: u32::try_from(read_hex(loop_hash)?).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let branch = Branch { slot: 77, nonce: 0x0123_4567_89ab_cdef, loop_hash: 0xffff_0001 };
        let text = branch.text();
        assert_eq!(Branch::read(&text), Some(branch));
        assert_eq!(Branch::read(b"z9hG4bK1234"), None);
        for at in 0..text.len() {
            let mut other = text;
            other[at] ^= 1;
            assert_ne!(Branch::read(&other), Some(branch), "octet {at}");
        }
    }
}
