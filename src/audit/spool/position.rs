//! How far the writer has come, as it stands in the spool: which slot is next, and what of the day's file is on the disk for good.
//!
//! It is kept twice, and written to the older place, so that a kill in the middle leaves the other one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::{checksum, number};

/// Where the two are.
const PLACES: [u64; 2] = [512, 1024];
/// Octets of one.
const LENGTH: usize = 120;

/// A position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Which of two positions is the later one.
    pub(crate) generation: u64,
    /// The first slot that is not on the disk.
    pub(crate) slot: u64,
    /// The day of the file, in days since 1970.
    pub(crate) day: u64,
    /// Octets of the day's file that are on the disk for good.
    pub(crate) octets: u64,
    /// How many lines these are.
    pub(crate) lines: u64,
    /// The root of the tree of these lines, so that no other directory's file is cut.
    pub(crate) root: [u8; 32],
    /// How many dropped records a `gap` tells of.
    pub(crate) told: u64,
    /// When the last of them was dropped.
    pub(crate) told_to: u64,
    /// The configuration in force. 0: none was told.
    pub(crate) mark: u64,
}

impl Position {
    /// The later one of the two that are whole.
    pub(super) fn read(file: &File) -> io::Result<Option<Self>> {
        let mut found: Option<Self> = None;
        for place in PLACES {
            let mut octets = [0; LENGTH];
            file.read_exact_at(&mut octets, place)?;
            let position = Self::of(&octets);
            if octets == position.octets() && found.is_none_or(|other| other.generation < position.generation) {
                found = Some(position);
            }
        }
        Ok(found)
    }

    /// The number of the slot in a position of whatever version.
    pub(super) fn any_slot(file: &File) -> io::Result<u64> {
        let mut latest = (0, 0);
        for place in PLACES {
            let mut octets = [0; 16];
            file.read_exact_at(&mut octets, place)?;
            latest = latest.max((number(&octets, 0), number(&octets, 1)));
        }
        Ok(latest.1)
    }

    /// Writes it over the older one.
    pub(super) fn store(&mut self, file: &File) -> io::Result<()> {
        let next = Self { generation: self.generation + 1, ..*self };
        let [even, odd] = PLACES;
        file.write_all_at(&next.octets(), if next.generation.is_multiple_of(2) { even } else { odd })?;
        *self = next;
        Ok(())
    }

    /// The same with the generation of another, to be stored after that one.
    pub(super) fn after(self, other: &Self) -> Self {
        Self { generation: other.generation, ..self }
    }

    fn octets(&self) -> [u8; LENGTH] {
        let Self { generation, slot, day, octets, lines, root, told, told_to, mark } = *self;
        let numbers = [generation, slot, day, octets, lines, told, told_to, mark].map(u64::to_le_bytes);
        let mut out = [0; LENGTH];
        let (head, sum) = out.split_at_mut(LENGTH - 8);
        head.iter_mut().zip(numbers.as_flattened().iter().chain(&root)).for_each(|(place, octet)| *place = *octet);
        sum.copy_from_slice(&checksum(&[head]).to_le_bytes());
        out
    }

    fn of(octets: &[u8; LENGTH]) -> Self {
        let at = |at| number(octets, at);
        let root = octets.get(64..96).and_then(|root| root.first_chunk()).copied().unwrap_or_default();
        let [generation, slot, day, octets, lines, told, told_to, mark] = [0, 1, 2, 3, 4, 5, 6, 7].map(at);
        Self { generation, slot, day, octets, lines, root, told, told_to, mark }
    }
}
