//! The spool: a ring of slots in a file on a tmpfs, between the message thread and the thread that writes records to a disk.
//!
//! The message thread writes a slot by one `pwrite` and never waits: a full spool drops the newest record and counts it. What is in the file
//! outlives the process, so that the next one goes on where the killed one stood. It knows no record's form, and no disk.
//!
//! A header of 4 KiB: what the file is, the reader's position twice (one of them is whole whatever happens), whose it is, and how many records were
//! dropped.
//! Then slots of 1 KiB. Each bears its number, so that the file alone says which are valid.

use std::fs::{File, OpenOptions};
use std::hash::Hasher as _;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, Flock, FlockArg, fallocate};
use siphasher::sip::SipHasher13;

use super::calendar::micros;

pub(crate) use self::owner::SpoolToken;
pub(crate) use self::position::Position;
pub(crate) use self::reader::{SpoolReader, Within};

mod owner;
mod position;
mod reader;
#[cfg(test)]
mod tests;

/// The first octets of the file.
const MAGIC: [u8; 16] = *b"ringfence spool\n";
/// The version of everything behind them. The number of slots, their size and the places of all numbers stay the same in each version, so
/// that each can count what another left.
const VERSION: u32 = 2;
/// Octets of the header.
const HEADER: u64 = 4096;
/// Slots: at 500 calls a second with three records each, 40 s of a disk that hangs.
pub(crate) const SLOTS: u64 = 65_536;
/// Octets of a spool.
pub(crate) const SPOOL_OCTETS: u64 = size(SLOTS);
/// Octets of a slot.
const SLOT: usize = 1024;
/// Octets of a slot before its record.
const HEAD: usize = 56;
/// Most octets of a record.
pub(crate) const LONGEST: usize = SLOT - HEAD;
/// Where the count of dropped records is.
const LOST_AT: u64 = 2048;

/// How the two ends stand to each other. The file holds the same; this spares the system calls.
#[derive(Debug, Default)]
pub(crate) struct Level {
    /// The number of the next slot that is written.
    written: AtomicU64,
    /// The number of the first slot that is kept.
    freed: AtomicU64,
    lost: LostLevel,
}

#[derive(Debug, Default)]
struct LostLevel {
    count: AtomicU64,
    from: AtomicU64,
    to: AtomicU64,
}

impl Level {
    /// How many records wait to be written to the disk.
    pub(crate) fn behind(&self) -> u64 {
        self.written.load(Ordering::Acquire).saturating_sub(self.freed.load(Ordering::Acquire))
    }

    /// How many records were dropped so far.
    pub(crate) fn lost(&self) -> Lost {
        let LostLevel { count, from, to } = &self.lost;
        // Counted last, so its times are there.
        let count = count.load(Ordering::Acquire);
        Lost { count, from: from.load(Ordering::Relaxed), to: to.load(Ordering::Relaxed) }
    }
}

/// How many records were dropped since the spool was made, and when the last ones in a row began and ended, in µs since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) count: u64,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// The message thread's end.
#[derive(Debug)]
pub struct Spool {
    file: Arc<Locked>,
    level: Arc<Level>,
    slots: u64,
    next: u64,
    /// Whether a former process left it.
    found_left: bool,
    /// A configuration that is in force and has no slot yet.
    mark: Option<(SlotKind, u64)>,
    lost: Lost,
    /// Whether the last record was dropped, and its gap begins with an earlier one.
    losing: bool,
    slot: Box<[u8; SLOT]>,
}

/// A file that no other daemon uses.
type Locked = Flock<File>;

/// What was in the file at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing: the machine has started, or the daemon has never run.
    Nothing,
    /// What a former process left, with the position that its writer had stored.
    Left(Position),
    /// What a former process left, and no position is whole: nobody can say by the spool alone what of it is on the disk.
    Unplaced,
    /// As many records of another version of the program, which this one cannot read. They are gone.
    Foreign(u64),
}

/// Why there is no spool.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    #[error("another daemon has it")]
    Taken,
    #[error("it is another kind of file")]
    Strange,
    #[error("its file system has no room for its {} MiB: give it more, or `spool` another place", of.div_ceil(1 << 20))]
    Full { of: u64 },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Spool {
    /// Opens a spool, or makes one. What a former process left in it is kept for the reader.
    pub(crate) fn open(path: &Path, slots: u64) -> Result<(Self, SpoolReader, Found), SpoolError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((_, Errno::EWOULDBLOCK)) => return Err(SpoolError::Taken),
            Err((_, error)) => return Err(SpoolError::Io(error.into())),
        };
        let file = Arc::new(file);
        let found = found(&file, slots)?;
        let mut lost = Lost::default();
        let (mut next, mut position, mut owner) = (0, Position::default(), owner::Owner::new([[0; 16]; 2], false));
        let mut damaged = 0;
        let left = match found {
            Found::Left(left) => Some(left),
            Found::Unplaced => Some(reader::oldest(&file, slots)?),
            Found::Nothing | Found::Foreign(_) => None,
        };
        if let Some(left) = left {
            position = left;
            lost = read_lost(&file)?;
            owner = owner::Owner::read(&file)?;
            next = reader::end(&file, slots, &left)?;
            damaged = reader::mend(&file, slots, left.slot..next)?;
        } else {
            // Before anything of it is cleared.
            take_room(&file, size(slots))?;
            file.set_len(0)?;
            take_room(&file, size(slots))?;
            touch(&file, size(slots))?;
            position.store(&file)?;
            owner.store(&file)?;
            // Last: it makes the rest valid.
            file.write_all_at(&identity(slots), 0)?;
        }
        let level = Level::default();
        level.written.store(next, Ordering::Relaxed);
        level.freed.store(position.slot, Ordering::Relaxed);
        let level = Arc::new(level);
        let reader = SpoolReader::new((Arc::clone(&file), owner), Arc::clone(&level), slots, (position, damaged));
        let spool = Self {
            file,
            level,
            slots,
            next,
            found_left: left.is_some(),
            mark: None,
            lost,
            // What the process before has dropped and no slot tells of is one gap with what this one may drop.
            losing: lost.count > position.told,
            slot: Box::new([0; SLOT]),
        };
        spool.tell_lost();
        Ok((spool, reader, found))
    }

    /// How full it is, for whoever shows that.
    pub(crate) fn level(&self) -> Arc<Level> {
        Arc::clone(&self.level)
    }

    /// Keeps a record of this moment (µs since 1970). `encode` writes it and returns its length; 0: it has no room. A full spool drops it.
    /// `false`: it was dropped.
    pub fn write(&mut self, at: u64, encode: impl FnOnce(&mut [u8]) -> usize) -> bool {
        if self.is_full() || !self.write_mark(at) {
            self.lose(at);
            return false;
        }
        let room = self.slot.get_mut(HEAD..).unwrap_or_default();
        let length = encode(room);
        let (kind, length) = if length == 0 || length > LONGEST { (SlotKind::TooLong, 0) } else { (SlotKind::Record, length) };
        if self.put(at, kind, length).is_err() {
            // The tmpfs has no room.
            self.lose(at);
            return false;
        }
        kind == SlotKind::Record
    }

    /// Marks the place from which a configuration is in force. `number` names it. Without room, the next record that has room comes behind it.
    pub(crate) fn mark(&mut self, at: SystemTime, number: u64) {
        // A beginning that has no slot yet begins with this one.
        let kind = self.mark.map_or(SlotKind::Mark, |(kind, _)| kind);
        self.mark = Some((kind, number));
        self.write_mark(micros(at));
    }

    /// Marks the place from which this process writes, with its configuration.
    pub(crate) fn begin(&mut self, at: u64, number: u64) {
        self.mark = Some((if self.found_left { SlotKind::GoOn } else { SlotKind::Begin }, number));
        self.write_mark(at);
    }

    /// Writes the mark that is due. `false`: there is no room for a record behind it.
    fn write_mark(&mut self, at: u64) -> bool {
        let Some((kind, number)) = self.mark else { return true };
        if self.is_full() {
            return false;
        }
        if let Some(room) = self.slot.get_mut(HEAD..HEAD + 8) {
            room.copy_from_slice(&number.to_le_bytes());
        }
        if self.put(at, kind, 8).is_err() {
            return false;
        }
        self.mark = None;
        !self.is_full()
    }

    fn is_full(&self) -> bool {
        self.next.saturating_sub(self.level.freed.load(Ordering::Acquire)) >= self.slots
    }

    /// Writes the slot at hand.
    fn put(&mut self, at: u64, kind: SlotKind, length: usize) -> io::Result<()> {
        let numbers = [self.next, at, self.lost.count, self.lost.from, self.lost.to, (length as u64) << 8 | kind as u64];
        let end = HEAD + length;
        let (head, record) = self.slot.split_at_mut(HEAD);
        head.copy_from_slice(&slot_head(numbers, record.get(..length).unwrap_or_default()));
        let place = HEADER + self.next % self.slots * SLOT as u64;
        self.file.write_all_at(self.slot.get(..end).unwrap_or_default(), place)?;
        self.losing = false;
        self.next += 1;
        // Whoever reads this number sees the slot.
        self.level.written.store(self.next, Ordering::Release);
        Ok(())
    }

    /// Counts a record that has no room.
    fn lose(&mut self, at: u64) {
        if !std::mem::replace(&mut self.losing, true) {
            self.lost.from = at;
        }
        self.lost.count += 1;
        self.lost.to = at;
        self.tell_lost();
        // A kill must not take this along. If even this has no room, the count is in memory and in the next slot.
        let _ = self.file.write_all_at(&lost_octets(&self.lost), LOST_AT);
    }

    fn tell_lost(&self) {
        let LostLevel { count, from, to } = &self.level.lost;
        from.store(self.lost.from, Ordering::Relaxed);
        to.store(self.lost.to, Ordering::Relaxed);
        count.store(self.lost.count, Ordering::Release);
    }
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotKind {
    Record = 0,
    Mark = 1,
    TooLong = 2,
    Begin = 3,
    /// The same of a process that found what another one had left.
    GoOn = 4,
    /// Put by the next process in the place of a slot that cannot be read.
    Damaged = 5,
}

/// What stands in a slot before its record: its numbers and their checksum.
fn slot_head(numbers: [u64; 6], record: &[u8]) -> [u8; HEAD] {
    let mut octets = [0; HEAD];
    let (head, sum) = octets.split_at_mut(HEAD - 8);
    head.copy_from_slice(numbers.map(u64::to_le_bytes).as_flattened());
    sum.copy_from_slice(&checksum(&[head, record]).to_le_bytes());
    octets
}

/// What the file says that it is.
fn found(file: &File, slots: u64) -> Result<Found, SpoolError> {
    if file.metadata()?.len() == 0 {
        return Ok(Found::Nothing);
    }
    let mut head = [0; 32];
    let whole = file.read_exact_at(&mut head, 0).is_ok();
    if whole && head == identity(slots) && file.metadata()?.len() == size(slots) {
        return Ok(Position::read(file)?.map_or(Found::Unplaced, Found::Left));
    }
    if head == [0; 32] {
        // Killed while it was made, before any record.
        return Ok(Found::Nothing);
    }
    if !whole || head.first_chunk() != Some(&MAGIC) {
        return Err(SpoolError::Strange);
    }
    let number =
        |at: usize| head.get(at..at + 4).and_then(|octets| octets.first_chunk()).map_or(0, |octets| u32::from_le_bytes(*octets));
    Ok(Found::Foreign(reader::foreign(file, u64::from(number(20)), u64::from(number(24)))?))
}

/// Octets of one with that many.
const fn size(slots: u64) -> u64 {
    HEADER + slots * SLOT as u64
}

/// Takes the room of the whole file now: what others write to its file system later is not to stop the record.
fn take_room(file: &File, size: u64) -> Result<(), SpoolError> {
    let length = i64::try_from(size).unwrap_or(i64::MAX);
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        Ok(()) => Ok(()),
        Err(Errno::ENOSPC | Errno::EDQUOT) => Err(SpoolError::Full { of: size }),
        // It cannot do so.
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(file.set_len(size)?),
        Err(error) => Err(SpoolError::Io(error.into())),
    }
}

/// Writes each page once, so that the first record in it does not wait until the system has cleared it.
fn touch(file: &File, size: u64) -> io::Result<()> {
    let zeros = vec![0; 1 << 20];
    for at in (0..size).step_by(zeros.len()) {
        let length = usize::try_from(size - at).map_or(zeros.len(), |left| left.min(zeros.len()));
        file.write_all_at(zeros.get(..length).unwrap_or_default(), at)?;
    }
    Ok(())
}

/// The first octets of the file: what it is, its version, size and number of slots.
fn identity(slots: u64) -> [u8; 32] {
    let mut octets = [0; 32];
    let [size, slots] = [SLOT as u64, slots].map(|of| u32::try_from(of).unwrap_or(u32::MAX));
    let numbers = [VERSION, size, slots].map(u32::to_le_bytes);
    for (place, octet) in octets.iter_mut().zip(MAGIC.iter().chain(numbers.as_flattened())) {
        *place = *octet;
    }
    octets
}

fn lost_octets(lost: &Lost) -> [u8; 32] {
    let numbers = [lost.count, lost.from, lost.to].map(u64::to_le_bytes);
    let mut octets = [0; 32];
    let (head, sum) = octets.split_at_mut(24);
    head.copy_from_slice(numbers.as_flattened());
    sum.copy_from_slice(&checksum(&[head]).to_le_bytes());
    octets
}

fn read_lost(file: &File) -> io::Result<Lost> {
    let mut octets = [0; 32];
    file.read_exact_at(&mut octets, LOST_AT)?;
    let lost = Lost { count: number(&octets, 0), from: number(&octets, 1), to: number(&octets, 2) };
    Ok(if octets == lost_octets(&lost) { lost } else { Lost::default() })
}

/// The number at this place, counted in numbers.
fn number(octets: &[u8], at: usize) -> u64 {
    octets.chunks_exact(8).nth(at).and_then(|octets| octets.first_chunk()).map_or(0, |octets| u64::from_le_bytes(*octets))
}

/// Tells a slot that was written whole from any other octets. It is no secret: who may write the spool may write anything.
fn checksum(parts: &[&[u8]]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0x7269_6e67_6665_6e63, u64::from(VERSION));
    for part in parts {
        hasher.write(part);
    }
    hasher.finish()
}
