//! The file of one day: its lines, the tree over them, and its checkpoint. It is appended to, and cut back to what is on the disk for good.
//!
//! It knows no clock and no record. Lines that it has not written itself it does not touch.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memchr::memchr_iter;

use super::calendar::DayNumber;
use super::signed_note::{Checkpoint, LONGEST_NOTE, NoteVerifier};
use super::spool::Position;
use super::tree::{MerkleTree, NodeHash, sha256};
use super::trouble::AuditTrouble;

/// The records of a day.
pub(crate) const RECORDS: &str = "records.jsonl";
/// Its checkpoint.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// Most octets of a line: one that tells the networks of ten thousand trunks has a few million.
pub(crate) const LONGEST_LINE: u64 = 64 << 20;

/// A day's file, open for more lines.
#[derive(Debug)]
pub(crate) struct DayFile {
    day: DayNumber,
    folder: PathBuf,
    file: File,
    octets: u64,
    tree: MerkleTree,
    /// What is on the disk for good.
    synced: (u64, MerkleTree),
    /// How many lines its checkpoint covers, and whether that is the final one.
    covered: Option<(u64, bool)>,
    /// What its last record of a call says, when the file was opened.
    last: LastRecord,
}

impl DayFile {
    /// Opens the file of a day in the directory of the record, or begins it. A torn last line is cut off. `position`: what a former process
    /// knows to be on the disk. What it wrote behind that is cut off if it is written once more. That is so if there are at most as many
    /// records as wait in the spool (`most`; `None`: nobody can say).
    pub(crate) fn open(
        record: &Path,
        day: DayNumber,
        (position, most): (Option<&Position>, Option<u64>),
        verifier: &NoteVerifier,
    ) -> Result<(Self, Fit), AuditTrouble> {
        let folder = record.join(day.name());
        make_folder(record, &folder)?;
        let path = folder.join(RECORDS);
        let checkpoint = read_checkpoint(&folder, day, verifier)?;
        let new = !path.exists();
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).mode(0o600).open(&path).map_err(AuditTrouble::of(&path))?;
        if new {
            sync_folder(&folder)?;
        }
        let end = file.metadata().map_err(AuditTrouble::of(&path))?.len();
        let mut reading = Reading::new(position, checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.size));
        reading.lines(&file, &path)?;
        let foreign = |wrong: String| Err(AuditTrouble::Foreign { path: folder.clone(), wrong });
        if let Some(checkpoint) = &checkpoint {
            match reading.covered {
                None => {
                    return foreign(format!(
                        "{RECORDS} has {} lines, and its checkpoint says {}",
                        reading.tree.size(),
                        checkpoint.size
                    ));
                }
                Some(root) if root != checkpoint.root => {
                    return foreign(format!("{RECORDS} has other lines than its checkpoint covers"));
                }
                Some(_) => {}
            }
        }
        let covered = checkpoint.map(|checkpoint| (checkpoint.size, checkpoint.is_final));
        // A checkpoint covers only what a position was stored of; if it covers more, the position is of another time.
        let found = reading.position.take().filter(|(_, tree)| covered.is_none_or(|(size, _)| size <= tree.size()));
        let (whole, last) = ((reading.octets, reading.tree), reading.last);
        let (fit, (octets, tree)) = match found {
            None => (Fit::Other, whole),
            Some(place) if place.0 == whole.0 || most.is_some_and(|most| reading.behind <= most) => (Fit::There, place),
            Some(_) => (Fit::Before, whole),
        };
        if octets < end {
            file.set_len(octets).map_err(AuditTrouble::of(&path))?;
        }
        file.sync_all().map_err(AuditTrouble::of(&path))?;
        let synced = (octets, tree.clone());
        Ok((Self { day, folder, file, octets, tree, synced, covered, last }, fit))
    }

    pub(crate) fn day(&self) -> DayNumber {
        self.day
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many lines it has, how many octets these are, and the root over them.
    pub(crate) fn lines(&self) -> u64 {
        self.tree.size()
    }

    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    pub(crate) fn root(&self) -> NodeHash {
        self.tree.root()
    }

    /// How many lines its checkpoint covers, and whether that is the final one.
    pub(crate) fn covered(&self) -> Option<(u64, bool)> {
        self.covered
    }

    /// The last record of a call that stood there when the file was opened.
    pub(crate) fn last(&self) -> &LastRecord {
        &self.last
    }

    /// Appends whole lines.
    pub(crate) fn append(&mut self, lines: &[u8]) -> Result<(), AuditTrouble> {
        (&self.file).write_all(lines).map_err(AuditTrouble::of(&self.folder.join(RECORDS)))?;
        let mut begin = 0;
        for end in memchr_iter(b'\n', lines) {
            self.tree.push(lines.get(begin..=end).unwrap_or_default());
            begin = end + 1;
        }
        self.octets += lines.len() as u64;
        Ok(())
    }

    /// Whether it is still at its place. What is written to a file that somebody has taken away is not kept.
    pub(crate) fn is_there(&self) -> bool {
        is_same_file(&self.file, &self.folder.join(RECORDS))
    }

    /// Waits until all of it is on the disk.
    pub(crate) fn sync(&mut self) -> Result<(), AuditTrouble> {
        if !self.is_there() {
            return Err(AuditTrouble::Gone { path: self.folder.join(RECORDS) });
        }
        if self.synced.0 != self.octets {
            self.file.sync_data().map_err(AuditTrouble::of(&self.folder.join(RECORDS)))?;
            self.synced = (self.octets, self.tree.clone());
        }
        Ok(())
    }

    /// Cuts off what is not on the disk for good.
    pub(crate) fn back(&mut self) -> io::Result<()> {
        self.file.set_len(self.synced.0)?;
        (self.octets, self.tree) = self.synced.clone();
        Ok(())
    }

    /// Takes away a day without lines.
    pub(crate) fn remove(&self) -> io::Result<()> {
        std::fs::remove_file(self.folder.join(RECORDS))?;
        std::fs::remove_dir(&self.folder)
    }

    /// Replaces its checkpoint: whole, or not at all.
    pub(crate) fn write_checkpoint(&mut self, note: &str, is_final: bool) -> Result<(), AuditTrouble> {
        write_whole(&self.folder, CHECKPOINT, note.as_bytes())?;
        self.covered = Some((self.lines(), is_final));
        Ok(())
    }
}

/// How a position fits to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// The file ends there now.
    There,
    /// Lines stand behind it of which nobody can say that they are written once more. They were not cut.
    Before,
    /// It is of another file, or there is no position.
    Other,
}

/// The last record of a call in a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastRecord {
    /// Its moment. Empty: there is none.
    pub(crate) moment: String,
    /// How many records in a row, with it, say that moment.
    pub(crate) count: u64,
}

impl LastRecord {
    fn take(&mut self, moment: &str) {
        if self.moment != moment {
            self.count = 0;
            self.moment.clear();
            self.moment.push_str(moment);
        }
        self.count += 1;
    }
}

/// What one pass over a file finds.
struct Reading<'p> {
    at: Option<&'p Position>,
    size: u64,
    octets: u64,
    tree: MerkleTree,
    /// The file up to the position, if it is that of this file.
    position: Option<(u64, MerkleTree)>,
    /// How many records stand behind the position.
    behind: u64,
    last: LastRecord,
    /// The root over the lines that the checkpoint covers.
    covered: Option<NodeHash>,
}

impl<'p> Reading<'p> {
    fn new(at: Option<&'p Position>, size: u64) -> Self {
        let tree = MerkleTree::default();
        let mut reading =
            Self { at, size, octets: 0, tree, position: None, behind: 0, last: LastRecord::default(), covered: None };
        reading.look();
        reading
    }

    /// Looks whether this is one of the places.
    fn look(&mut self) {
        let lines = self.tree.size();
        if lines == self.size {
            self.covered = Some(self.tree.root());
        }
        if let Some(at) = self.at
            && (at.lines, at.octets) == (lines, self.octets)
            && (lines == 0 || at.root == self.tree.root())
        {
            self.position = Some((self.octets, self.tree.clone()));
            self.behind = 0;
        }
    }

    fn lines(&mut self, file: &File, path: &Path) -> Result<(), AuditTrouble> {
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = io::Read::take(&mut reader, LONGEST_LINE).read_until(b'\n', &mut line).map_err(AuditTrouble::of(path))?;
            if line.last() != Some(&b'\n') && (read as u64) < LONGEST_LINE {
                return Ok(());
            }
            let n = self.tree.size();
            if !line.starts_with(format!("{{\"n\":{n},").as_bytes()) {
                let folder = path.parent().unwrap_or(path).to_owned();
                return Err(AuditTrouble::Foreign {
                    path: folder,
                    wrong: format!("line {} of {RECORDS} is none of a record", n + 1),
                });
            }
            self.tree.push(&line);
            self.octets += read as u64;
            if is_of_call(&line) {
                self.behind += 1;
                self.last.take(moment_of(&line));
            }
            self.look();
        }
    }
}

/// Whether a line is a record of a call, for which there was a slot. What the record writes of itself has none.
fn is_of_call(line: &[u8]) -> bool {
    // The kind stands behind `n` and `at`, which are short.
    let head = line.get(..line.len().min(96)).unwrap_or_default();
    let has = |kind: &[u8]| head.windows(kind.len()).any(|part| part == kind);
    [&b"\"kind\":\"verdict\""[..], b"\"kind\":\"answer\"", b"\"kind\":\"end\""].into_iter().any(has)
}

/// The moment that a line says, which stands behind its number.
fn moment_of(line: &[u8]) -> &str {
    let behind = line.split(|&octet| octet == b'"').nth(5).unwrap_or_default();
    std::str::from_utf8(behind).unwrap_or_default()
}

/// The checkpoint of a day. `None`: it has none yet.
pub(crate) fn read_checkpoint(
    folder: &Path,
    day: DayNumber,
    verifier: &NoteVerifier,
) -> Result<Option<Checkpoint>, AuditTrouble> {
    let foreign = |wrong: String| AuditTrouble::Foreign { path: folder.to_owned(), wrong };
    let Some(note) = read_note(folder)? else { return Ok(None) };
    let checkpoint: Result<Checkpoint, _> = verifier.verify(&note).and_then(str::parse);
    let checkpoint = checkpoint.map_err(|error| foreign(format!("its checkpoint: {error}")))?;
    if checkpoint.day.to_string() != day.name() {
        return Err(foreign(format!("its checkpoint is that of {}", checkpoint.day)));
    }
    Ok(Some(checkpoint))
}

/// The SHA-256 of a day's checkpoint, by which the next day names it.
pub(crate) fn checkpoint_hash(folder: &Path) -> Result<Option<NodeHash>, AuditTrouble> {
    Ok(read_note(folder)?.map(|note| sha256(&note)))
}

/// A day's checkpoint as it stands there, and since when. `None`: it cannot be read, or there is none.
pub(crate) fn checkpoint_text(folder: &Path) -> Option<(String, SystemTime)> {
    let note = String::from_utf8(read_note(folder).ok()??).ok()?;
    let since = std::fs::metadata(folder.join(CHECKPOINT)).ok()?.modified().ok()?;
    Some((note, since))
}

/// A day's checkpoint as it is there. `None`: there is none.
pub(crate) fn read_note(folder: &Path) -> Result<Option<Vec<u8>>, AuditTrouble> {
    let path = folder.join(CHECKPOINT);
    let mut note = Vec::new();
    let read =
        File::open(&path).and_then(|file| io::Read::read_to_end(&mut io::Read::take(file, LONGEST_NOTE as u64), &mut note));
    match read {
        Ok(_) => Ok(Some(note)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(AuditTrouble::of(&path)(error)),
    }
}

/// Whether a file that is open is still the one at its place.
pub(crate) fn is_same_file(file: &File, path: &Path) -> bool {
    let place = |about: std::fs::Metadata| (about.dev(), about.ino());
    let there = std::fs::metadata(path).map(place).ok();
    there.is_some() && file.metadata().map(place).ok() == there
}

/// Makes a directory that its owner alone may enter.
pub(crate) fn make_folder(parent: &Path, folder: &Path) -> Result<(), AuditTrouble> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => sync_folder(parent),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(AuditTrouble::of(folder)(error)),
    }
}

/// Writes a file whole, or leaves what is there.
pub(crate) fn write_whole(folder: &Path, name: &str, content: &[u8]) -> Result<(), AuditTrouble> {
    let (path, new) = (folder.join(name), folder.join(format!("{name}.new")));
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        // One that was left by a kill may be of another mode.
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&new, &path)
    };
    write().map_err(AuditTrouble::of(&path))?;
    sync_folder(folder)
}

/// Waits until the names in a directory are on the disk.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), AuditTrouble> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(AuditTrouble::of(folder))
}
