//! Whose a spool is: the start of the machine on which it was used last, and the token by which a record knows its own spool.
//!
//! A spool of another start may lack what was written last. A spool without the record's token is not the one that was used last with it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::{checksum, number};
use crate::audit::tree::sha256;

/// Where it is.
const PLACE: u64 = 1536;
/// Octets of it.
const LENGTH: usize = 64;

/// What a record and its spool both hold. A new one is made at each start.
pub(crate) type SpoolToken = [u8; 16];

/// Whose a spool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Names the start of the machine. 0: not known.
    boot: [u8; 16],
    /// The record's token, and the one that it is about to get: a kill may come between the two files.
    tokens: [SpoolToken; 2],
    /// Whether something of the process before may be missing, and no line says so yet.
    pub(crate) doubt: bool,
}

impl Owner {
    /// Of this start of the machine.
    pub(super) fn new(tokens: [SpoolToken; 2], doubt: bool) -> Self {
        let name = std::fs::read("/proc/sys/kernel/random/boot_id").ok();
        let boot = name.and_then(|name| sha256(&name).first_chunk().copied()).unwrap_or_default();
        Self { boot, tokens, doubt }
    }

    /// Whether it is of this start of the machine, and of the record with that token.
    pub(crate) fn is_of(&self, token: &SpoolToken) -> bool {
        let now = Self::new(self.tokens, self.doubt);
        now.boot != [0; 16] && now.boot == self.boot && self.tokens.contains(token)
    }

    /// What stands in the file. What is not whole is of nobody.
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let mut octets = [0; LENGTH];
        file.read_exact_at(&mut octets, PLACE)?;
        let part = |at: usize| octets.get(at..at + 16).and_then(|part| part.first_chunk()).copied().unwrap_or_default();
        let owner = Self { boot: part(0), tokens: [part(16), part(32)], doubt: number(&octets, 6) != 0 };
        Ok(if octets == owner.octets() { owner } else { Self::default() })
    }

    pub(super) fn store(&self, file: &File) -> io::Result<()> {
        file.write_all_at(&self.octets(), PLACE)
    }

    fn octets(&self) -> [u8; LENGTH] {
        let [first, second] = self.tokens;
        let mut out = [0; LENGTH];
        let (head, sum) = out.split_at_mut(LENGTH - 8);
        let doubt = u64::from(self.doubt).to_le_bytes();
        let parts = self.boot.iter().chain(&first).chain(&second).chain(&doubt);
        head.iter_mut().zip(parts).for_each(|(place, octet)| *place = *octet);
        sum.copy_from_slice(&checksum(&[head]).to_le_bytes());
        out
    }
}
