//! One pass over a day's lines: splits them, and hashes them on a second thread while the first one reads them.
//!
//! Holds a few blocks of the file and no more. Does not know what a line means, but for the root that a seal says.

use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use memchr::memchr_iter;

use crate::audit::tree::{MerkleTree, NodeHash, leaf_hash, sha256};

/// Octets that are read at once.
const BLOCK: usize = 1 << 20;
/// Blocks that wait to be hashed.
const WAITING: usize = 4;
/// Most octets of a line. The longest that is written says the networks of 10 000 trunks.
const LONGEST_LINE: usize = 64 << 20;

/// Whole lines, and the seals among them.
struct Block {
    octets: Vec<u8>,
    seals: Vec<SealSaid>,
}

/// What a seal says, and in which line, counted from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SealSaid {
    pub(crate) line: u64,
    pub(crate) size: u64,
    pub(crate) root: NodeHash,
}

/// What a pass has found.
#[derive(Debug, Default)]
pub(crate) struct PassFound {
    /// How many whole lines there are.
    pub(crate) lines: u64,
    /// The root over all of them.
    pub(crate) root: NodeHash,
    /// The root over as many as the checkpoint covers, if there are so many.
    pub(crate) at_checkpoint: Option<NodeHash>,
    /// The last line that a right seal covers, counted from 0: how many lines before the first wrong one are certainly right.
    pub(crate) sealed: u64,
    /// The first seal that says another root.
    pub(crate) wrong_seal: Option<u64>,
    /// How many octets stand behind the last line end.
    pub(crate) torn: u64,
    /// Whether reading ended at a line that is too long.
    pub(crate) too_long: bool,
}

/// Reads all lines. `covered`: how many the checkpoint covers. `each`: gets the number of a line, counted from 0, and the line with
/// its line end; says what a seal among them says.
pub(crate) fn pass(
    source: &mut dyn Read,
    covered: Option<u64>,
    each: &mut dyn FnMut(u64, &[u8]) -> Option<SealSaid>,
) -> std::io::Result<PassFound> {
    let (to_hash, blocks) = sync_channel(WAITING);
    let (give_back, free) = sync_channel(WAITING + 2);
    std::thread::scope(|scope| {
        let hashing = scope.spawn(move || hash(&blocks, &give_back, covered));
        let read = split(source, &to_hash, &free, each);
        drop(to_hash);
        // The thread only hashes; it does not panic.
        let mut found = hashing.join().unwrap_or_default();
        (found.torn, found.too_long) = read?;
        Ok(found)
    })
}

/// Reads blocks of whole lines and sends them on. Returns how many octets are left over, and whether a line was too long.
fn split(
    source: &mut dyn Read,
    to_hash: &SyncSender<Block>,
    free: &Receiver<Vec<u8>>,
    each: &mut dyn FnMut(u64, &[u8]) -> Option<SealSaid>,
) -> std::io::Result<(u64, bool)> {
    let (mut line, mut octets) = (0, Vec::with_capacity(BLOCK * 2));
    loop {
        let before = octets.len();
        let more = read_some(source, &mut octets)?;
        let fresh = octets.get(before..).unwrap_or_default();
        let Some(last) = memchr::memrchr(b'\n', fresh).map(|at| before + at + 1) else {
            if !more {
                return Ok((octets.len() as u64, false));
            }
            if octets.len() > LONGEST_LINE {
                return Ok((octets.len() as u64, true));
            }
            continue;
        };
        let mut next = free.try_recv().unwrap_or_default();
        next.clear();
        next.extend_from_slice(octets.get(last..).unwrap_or_default());
        octets.truncate(last);
        let (mut seals, mut from) = (Vec::new(), 0);
        for end in memchr_iter(b'\n', &octets) {
            let whole = octets.get(from..=end).unwrap_or_default();
            if whole.len() > LONGEST_LINE {
                return Ok((whole.len() as u64, true));
            }
            seals.extend(each(line, whole));
            line += 1;
            from = end + 1;
        }
        if to_hash.send(Block { octets: std::mem::replace(&mut octets, next), seals }).is_err() {
            return Err(std::io::Error::other("the thread that hashes has ended"));
        }
    }
}

/// Appends up to a block. `false`: there is no more.
fn read_some(source: &mut dyn Read, octets: &mut Vec<u8>) -> std::io::Result<bool> {
    octets.reserve(BLOCK);
    Ok(Read::take(source, BLOCK as u64).read_to_end(octets)? > 0)
}

fn hash(blocks: &Receiver<Block>, give_back: &SyncSender<Vec<u8>>, covered: Option<u64>) -> PassFound {
    let (mut tree, mut found) = (MerkleTree::default(), PassFound::default());
    if covered == Some(0) {
        found.at_checkpoint = Some(tree.root());
    }
    for Block { mut octets, seals } in blocks {
        let (mut from, mut seals) = (0, seals.into_iter().peekable());
        while let Some(length) = memchr::memchr(b'\n', octets.get(from..).unwrap_or_default()) {
            let end = from + length;
            if let Some(seal) = seals.next_if(|seal| seal.line == tree.size())
                && found.wrong_seal.is_none()
            {
                if seal.size == tree.size() && seal.root == tree.root() {
                    found.sealed = seal.line;
                } else {
                    found.wrong_seal = Some(seal.line);
                }
            }
            tree.push_hash(leaf_at(&mut octets, from, end));
            from = end + 1;
            if covered == Some(tree.size()) {
                found.at_checkpoint = Some(tree.root());
            }
        }
        // If nobody wants it back, it is freed.
        let _ = give_back.try_send(octets);
    }
    (found.lines, found.root) = (tree.size(), tree.root());
    found
}

/// The hash of the line from one octet to another. Overwrites the line end before it, which nobody needs any more: what is hashed
/// begins with an octet 0, and one piece is hashed quicker than two.
fn leaf_at(octets: &mut [u8], from: usize, end: usize) -> NodeHash {
    let before = from.checked_sub(1);
    match before.and_then(|before| octets.get_mut(before..=end)) {
        Some(whole) => {
            if let Some(first) = whole.first_mut() {
                *first = 0;
            }
            sha256(whole)
        }
        None => leaf_hash(octets.get(from..=end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &[u8], covered: Option<u64>, seal: Option<SealSaid>) -> (PassFound, Vec<Vec<u8>>) {
        let mut lines = Vec::new();
        let found = pass(&mut &*text, covered, &mut |line, octets| {
            lines.push(octets.to_vec());
            seal.filter(|seal| seal.line == line)
        });
        (found.unwrap(), lines)
    }

    #[test]
    fn lines_of_every_length_are_hashed_as_they_stand() {
        let mut text = Vec::new();
        let mut tree = MerkleTree::default();
        let mut third = None;
        for length in [0, 1, 5, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 7, 0, 0] {
            let line = [vec![b'a'; length], b"\n".to_vec()].concat();
            text.extend_from_slice(&line);
            tree.push(&line);
            third = if tree.size() == 3 { Some(tree.root()) } else { third };
        }
        let (found, lines) = run(&text, Some(3), None);
        assert_eq!((found.lines, found.root, found.at_checkpoint, found.torn), (10, tree.root(), third, 0));
        assert_eq!(lines.concat(), text);
        let (found, lines) = run(&[&text, b"torn".as_slice()].concat(), Some(11), None);
        assert_eq!((found.lines, found.at_checkpoint, found.torn, lines.len()), (10, None, 4, 10));
        let (found, lines) = run(b"", Some(0), None);
        assert_eq!((found.lines, found.at_checkpoint, lines.len()), (0, Some(MerkleTree::default().root()), 0));
    }

    #[test]
    fn a_line_without_end_is_not_read_to_its_end() {
        let mut endless = std::io::repeat(b'a');
        let found = pass(&mut endless, None, &mut |_, _| None).unwrap();
        assert!(found.too_long && found.lines == 0 && found.torn < 2 * LONGEST_LINE as u64);
    }

    #[test]
    fn a_seal_is_compared_with_the_lines_before_it() {
        let mut tree = MerkleTree::default();
        tree.push(b"a\n");
        tree.push(b"b\n");
        let seal = SealSaid { line: 2, size: 2, root: tree.root() };
        let (found, _) = run(b"a\nb\nseal\nc\n", None, Some(seal));
        assert_eq!((found.sealed, found.wrong_seal), (2, None));
        for wrong in [SealSaid { root: [0; 32], ..seal }, SealSaid { size: 1, ..seal }, SealSaid { size: u64::MAX, ..seal }] {
            let (found, _) = run(b"a\nb\nseal\nc\n", None, Some(wrong));
            assert_eq!((found.sealed, found.wrong_seal), (0, Some(2)));
        }
    }
}
