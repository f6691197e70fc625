//! The other end of the spool: hands out what was written, in order, and gives slots free whose records are on the disk.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::owner::{Owner, SpoolToken};
use super::{HEAD, HEADER, LONGEST, Level, Locked, Lost, Position, SLOT, SlotKind, checksum, number, slot_head};

/// Slots that are read at once.
const AT_ONCE: u64 = 64;

/// The writer's end of a spool.
#[derive(Debug)]
pub(crate) struct SpoolReader {
    file: Arc<Locked>,
    level: Arc<Level>,
    slots: u64,
    /// The slot that is handed out next.
    next: u64,
    stored: Position,
    /// The number behind the last slot that a former process left.
    left: u64,
    /// How many of them cannot be read.
    damaged: u64,
    owner: Owner,
    /// Slots that were read, and the number of the first.
    buffer: Vec<u8>,
    first: u64,
}

/// One slot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slot<'a> {
    /// When, in µs since 1970. 0: not known.
    pub(crate) at: u64,
    /// What was dropped before it.
    pub(crate) lost: Lost,
    pub(crate) within: Within<'a>,
}

/// What is in a slot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Within<'a> {
    /// A record.
    Record(&'a [u8]),
    /// From here on a process writes that has begun with the configuration of this number.
    Begin {
        number: u64,
        /// Whether it found what the one before had left, so that nothing of that is lost.
        goes_on: bool,
    },
    /// From here on the configuration of this number is in force.
    Mark(u64),
    /// A record had no room in a slot.
    TooLong,
    /// What was written here is not there.
    Damaged,
}

impl SpoolReader {
    pub(super) fn new(
        (file, owner): (Arc<Locked>, Owner),
        level: Arc<Level>,
        slots: u64,
        (stored, damaged): (Position, u64),
    ) -> Self {
        let left = level.written.load(Ordering::Acquire);
        Self { file, level, slots, next: stored.slot, stored, left, damaged, owner, buffer: Vec::new(), first: 0 }
    }

    /// How the other end stands.
    pub(crate) fn level(&self) -> &Level {
        &self.level
    }

    /// The number of the next slot.
    pub(crate) fn next_slot(&self) -> u64 {
        self.next
    }

    /// Whether nothing more was written.
    pub(crate) fn is_empty(&self) -> bool {
        self.next >= self.level.written.load(Ordering::Acquire)
    }

    /// How many slots were handed out and are not free yet.
    pub(crate) fn unstored(&self) -> u64 {
        self.next.saturating_sub(self.stored.slot)
    }

    /// The next slot. `None`: nothing more was written.
    pub(crate) fn next(&mut self) -> io::Result<Option<Slot<'_>>> {
        let written = self.level.written.load(Ordering::Acquire);
        if self.next >= written {
            return Ok(None);
        }
        let number = self.next;
        let buffered = (self.buffer.len() / SLOT) as u64;
        if !(self.first..self.first + buffered).contains(&number) {
            self.first = number;
            let from = number % self.slots;
            let count = AT_ONCE.min(written - number).min(self.slots - from);
            self.buffer.resize(usize::try_from(count).unwrap_or(1) * SLOT, 0);
            self.file.read_exact_at(&mut self.buffer, HEADER + from * SLOT as u64).inspect_err(|_| self.buffer.clear())?;
        }
        self.next += 1;
        let at = usize::try_from(number - self.first).unwrap_or_default() * SLOT;
        let octets = self.buffer.get(at..at + SLOT).unwrap_or_default();
        Ok(Some(slot(octets, number).unwrap_or_else(|| Slot { at: 0, lost: Lost::default(), within: Within::Damaged })))
    }

    /// The position that was stored last, by this process or the one before.
    pub(crate) fn stored(&self) -> Position {
        self.stored
    }

    /// The number behind the last slot that a former process left.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// How many slots that a former process left cannot be read.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Takes the damaged slots that follow. Returns how many these are.
    pub(crate) fn pass_damaged(&mut self) -> io::Result<u64> {
        let mut count = 0;
        while self.next < self.left {
            if self.next()?.is_none_or(|slot| slot.within != Within::Damaged) {
                self.unread();
                break;
            }
            count += 1;
        }
        Ok(count)
    }

    /// Whose the spool was when it was last used.
    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Says whose it is from now on.
    pub(crate) fn own(&mut self, tokens: [SpoolToken; 2], doubt: bool) -> io::Result<()> {
        let owner = Owner::new(tokens, doubt);
        owner.store(&self.file)?;
        self.owner = owner;
        Ok(())
    }

    /// Says whether something of the process before may be missing.
    pub(crate) fn doubt(&mut self, doubt: bool) -> io::Result<()> {
        if self.owner.doubt != doubt {
            let mut owner = self.owner;
            owner.doubt = doubt;
            owner.store(&self.file)?;
            self.owner = owner;
        }
        Ok(())
    }

    /// Whether so many slots are not free yet that the spool could become full for that.
    pub(crate) fn is_filling(&self) -> bool {
        self.unstored() > self.slots / 4
    }

    /// Takes the slot back that was handed out last.
    pub(crate) fn unread(&mut self) {
        self.next = self.next.saturating_sub(1).max(self.stored.slot);
    }

    /// Goes back to the slots that are not stored yet: their lines were taken back.
    pub(crate) fn back(&mut self) {
        self.next = self.stored.slot;
        self.buffer.clear();
    }

    /// Stores a position. The slots before it are free from now on.
    pub(crate) fn store(&mut self, position: Position) -> io::Result<()> {
        let mut position = position.after(&self.stored);
        position.store(&self.file)?;
        self.stored = position;
        self.level.freed.store(position.slot, Ordering::Release);
        Ok(())
    }
}

/// Reads a slot. `None`: it is not the one of this number, or was not written whole.
fn slot(octets: &[u8], expected: u64) -> Option<Slot<'_>> {
    let (head, rest) = octets.split_at_checked(HEAD)?;
    let what = number(head, 5);
    let record = rest.get(..usize::try_from(what >> 8).ok().filter(|&length| length <= LONGEST)?)?;
    let (numbers, sum) = head.split_at_checked(HEAD - 8)?;
    if number(head, 0) != expected || sum != checksum(&[numbers, record]).to_le_bytes() {
        return None;
    }
    let kind = what & 0xff;
    let within = match kind {
        _ if kind == SlotKind::Record as u64 => Within::Record(record),
        _ if kind == SlotKind::Mark as u64 => Within::Mark(number(record, 0)),
        _ if kind == SlotKind::Begin as u64 => Within::Begin { number: number(record, 0), goes_on: false },
        _ if kind == SlotKind::GoOn as u64 => Within::Begin { number: number(record, 0), goes_on: true },
        _ if kind == SlotKind::Damaged as u64 => Within::Damaged,
        _ => Within::TooLong,
    };
    let lost = Lost { count: number(head, 2), from: number(head, 3), to: number(head, 4) };
    Some(Slot { at: number(head, 1), lost, within })
}

/// The number behind the last slot that was written. There may be damaged ones before it, also at the end: a place whose slot has not been written
/// holds the one of the round before, or zeros.
pub(super) fn end(file: &File, slots: u64, position: &Position) -> io::Result<u64> {
    let mut end = position.slot;
    let mut buffer = vec![0; usize::try_from(AT_ONCE).unwrap_or(1) * SLOT];
    let mut at = 0;
    while at < slots {
        let count = AT_ONCE.min(slots - at);
        let octets = buffer.get_mut(..usize::try_from(count).unwrap_or(1) * SLOT).unwrap_or_default();
        file.read_exact_at(octets, HEADER + at * SLOT as u64)?;
        for (octets, at) in octets.chunks_exact(SLOT).zip(at..) {
            let found = number(octets, 0);
            let belongs = found % slots == at && (position.slot..position.slot + slots).contains(&found);
            if belongs && found >= end && slot(octets, found).is_some() {
                end = found + 1;
            }
        }
        at += count;
    }
    while end < position.slot + slots {
        let octets = place(file, slots, end)?;
        let before = end.checked_sub(slots);
        let is_unwritten = before.map_or(octets == [0; SLOT], |before| slot(&octets, before).is_some());
        if is_unwritten {
            break;
        }
        end += 1;
    }
    Ok(end)
}

/// A position before all slots that are there. Nothing else of it is known.
pub(super) fn oldest(file: &File, slots: u64) -> io::Result<Position> {
    let mut end = 0;
    for at in 0..slots {
        let octets = place(file, slots, at)?;
        let found = number(&octets, 0);
        if found % slots == at && found >= end && found < u64::MAX - 2 * slots && slot(&octets, found).is_some() {
            end = found + 1;
        }
    }
    Ok(Position { slot: end.saturating_sub(slots), ..Position::default() })
}

/// Puts a slot that says so in the place of each one that cannot be read, so that the next round finds none of another round there. Returns how
/// many of these slots are damaged.
pub(super) fn mend(file: &File, slots: u64, which: Range<u64>) -> io::Result<u64> {
    let mut damaged = 0;
    for at in which {
        let octets = place(file, slots, at)?;
        let found = slot(&octets, at);
        damaged += u64::from(found.as_ref().is_none_or(|slot| slot.within == Within::Damaged));
        if found.is_none() {
            file.write_all_at(&slot_head([at, 0, 0, 0, 0, SlotKind::Damaged as u64], &[]), HEADER + at % slots * SLOT as u64)?;
        }
    }
    Ok(damaged)
}

/// The place in which the slot of a number stands or will stand.
fn place(file: &File, slots: u64, number: u64) -> io::Result<[u8; SLOT]> {
    let mut octets = [0; SLOT];
    file.read_exact_at(&mut octets, HEADER + number % slots * SLOT as u64)?;
    Ok(octets)
}

/// How many records of another version wait in a file: as many as bear a number that its reader had not come to.
pub(super) fn foreign(file: &File, size: u64, slots: u64) -> io::Result<u64> {
    let size = size.clamp(8, 1 << 16);
    let position = Position::any_slot(file)?;
    let mut count = 0;
    for at in 0..slots.min(1 << 20) {
        let mut octets = [0; 8];
        if file.read_exact_at(&mut octets, HEADER + at * size).is_err() {
            break;
        }
        let found = u64::from_le_bytes(octets);
        // An empty slot bears 0, as the very first one does.
        let written = found % slots == at && found >= position && (found > 0 || position == 0);
        count += u64::from(written && (found > 0 || at == 0));
    }
    Ok(count)
}
