//! Proofs that a record is in a signed day: made out of a directory, and checked without one.
//!
//! A proof shows its record and the hashes beside the way to the root. It shows nothing else of the day.

use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::blocks::pass;
use super::line::ReadLine;
use crate::audit::day::Day;
use crate::audit::signed_note::{Checkpoint, NoteError, NoteVerifier};
use crate::audit::tree::{NodeHash, PathMaker, leaf_hash, root_over};

/// Most proofs that are made at once: a call has three records, and some more if it is redirected or fails over.
pub(crate) const MOST_PROOFS: usize = 256;
/// Most octets of a proof.
pub(crate) const LONGEST_PROOF: usize = 64 << 20;
/// Most hashes of a path.
const LONGEST_PATH: usize = 64;

/// A record with what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordProof {
    pub(crate) day: Day,
    pub(crate) index: u64,
    /// How many records the tree has, as the proof says beside its checkpoint.
    pub(crate) size: u64,
    /// The line with its line end.
    pub(crate) record: String,
    pub(crate) path: Vec<NodeHash>,
    /// The signed note.
    pub(crate) checkpoint: String,
}

/// Why there is no proof, or why one proves nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoProof {
    /// The lines cannot be read.
    #[error("{0}")]
    Read(#[from] std::io::Error),
    /// There is another reason, in words.
    #[error("{0}")]
    Why(String),
}

/// The numbers of the lines that are wanted. More than can be proven at once are not looked for.
pub(crate) fn numbers(source: &mut dyn Read, wanted: &mut dyn FnMut(&ReadLine<'_>) -> bool) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    pass(source, None, &mut |at, octets| {
        let line = ReadLine::of(octets.strip_suffix(b"\n").unwrap_or(octets)).ok();
        if numbers.len() <= MOST_PROOFS && line.is_some_and(|line| wanted(&line)) {
            numbers.push(at);
        }
        None
    })?;
    Ok(numbers)
}

/// Makes the proofs of some lines of a day.
pub(crate) fn prove(
    source: &mut dyn Read,
    day: Day,
    note: &str,
    checkpoint: &Checkpoint,
    numbers: &[u64],
) -> Result<Vec<RecordProof>, NoProof> {
    let size = checkpoint.size;
    let makers: Option<Vec<_>> =
        numbers.iter().map(|&index| PathMaker::new(index, size).map(|maker| (index, maker, String::new()))).collect();
    let mut makers =
        makers.ok_or_else(|| NoProof::Why(format!("the checkpoint of {day} covers {size} records, and not that one yet")))?;
    let found = pass(source, Some(size), &mut |at, octets| {
        for (index, maker, record) in &mut makers {
            maker.push(octets);
            if at == *index {
                *record = String::from_utf8_lossy(octets).into_owned();
            }
        }
        None
    })?;
    if found.at_checkpoint != Some(checkpoint.root) {
        return Err(NoProof::Why(format!(
            "the records of {day} are not those that its checkpoint covers: `ringfence audit verify` says more"
        )));
    }
    let made = makers.into_iter().map(|(index, maker, record)| {
        let path = maker.finish().unwrap_or_default();
        RecordProof { day, index, size, record, path, checkpoint: note.to_owned() }
    });
    Ok(made.collect())
}

impl RecordProof {
    /// As it is written: one object.
    pub(crate) fn as_json(&self) -> Value {
        json!({
            "day": self.day.to_string(),
            "index": self.index,
            "size": self.size,
            "record": self.record,
            "path": self.path.iter().map(|hash| STANDARD.encode(hash)).collect::<Vec<_>>(),
            "checkpoint": self.checkpoint,
        })
    }

    /// Reads one object.
    pub(crate) fn of_json(text: &str) -> Result<Self, NoProof> {
        let bad = |what: &str| NoProof::Why(format!("this is no proof: {what}"));
        let value: Value = serde_json::from_str(text).map_err(|_| bad("it is no JSON"))?;
        let string = |key: &str| value.get(key).and_then(Value::as_str).ok_or_else(|| bad(&format!("it has no \"{key}\"")));
        let number = |key: &str| value.get(key).and_then(Value::as_u64).ok_or_else(|| bad(&format!("it has no \"{key}\"")));
        let path = value.get("path").and_then(Value::as_array).filter(|path| path.len() <= LONGEST_PATH);
        let hash = |hash: &Value| STANDARD.decode(hash.as_str()?).ok()?.try_into().ok();
        let path: Option<Vec<NodeHash>> = path.and_then(|path| path.iter().map(hash).collect());
        Ok(Self {
            day: string("day")?.parse().map_err(|_| bad("its \"day\" is none"))?,
            index: number("index")?,
            size: number("size")?,
            record: string("record")?.to_owned(),
            path: path.ok_or_else(|| bad("it has no \"path\""))?,
            checkpoint: string("checkpoint")?.to_owned(),
        })
    }

    /// The checkpoint, if it is signed by the key and the record is under its root.
    pub(crate) fn check(&self, verifier: &NoteVerifier) -> Result<Checkpoint, NoProof> {
        let text =
            verifier.verify(self.checkpoint.as_bytes()).map_err(|error| NoProof::Why(format!("the checkpoint: {error}")))?;
        let checkpoint: Checkpoint = text.parse().map_err(|error: NoteError| NoProof::Why(error.to_string()))?;
        if checkpoint.origin != verifier.name() || checkpoint.day != self.day {
            return Err(NoProof::Why(format!("the checkpoint is of {} at {}", checkpoint.day, checkpoint.origin)));
        }
        // Another reader may go by this size: it must not lead it elsewhere.
        if self.size != checkpoint.size {
            let (said, signed) = (self.size, checkpoint.size);
            return Err(NoProof::Why(format!("the proof says a tree of {said} records, and its checkpoint one of {signed}")));
        }
        if root_over(leaf_hash(self.record.as_bytes()), self.index, checkpoint.size, &self.path) != Some(checkpoint.root) {
            return Err(NoProof::Why("the record is not under the root that was signed".to_owned()));
        }
        let line = ReadLine::of(self.record.trim_end_matches('\n').as_bytes())
            .map_err(|what| NoProof::Why(format!("the record {what}")))?;
        if line.n != self.index {
            return Err(NoProof::Why(format!("the record says that it is number {}", line.n)));
        }
        Ok(checkpoint)
    }
}
