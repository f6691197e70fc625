//! Cuts a file into what stands in `[project.NAME]` tables, project by project, and the rest, while it is read. Of a long file the
//! projects' tables stay in the file, and are read once more when their turn comes. So a file of any length costs little memory.
//!
//! Knows tokens, and where a table begins; what is right and what it means is found out where the pieces are read. A file is cut by
//! its tokens, so what looks like a table within a text in quotes is none.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Read;
use std::os::unix::fs::FileExt as _;

use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;
use toml_parser::Source;
use toml_parser::lexer::{Token, TokenKind};

use super::text::Text;

/// Octets that are read at a time. Texts of projects are kept in pieces of about that length.
const BLOCK: usize = 256 << 10;
/// Octets of projects' tables that are kept in memory. What is beyond them stays in the file.
const HELD: usize = 16 << 20;

/// A file, cut.
#[derive(Debug, Default)]
pub(super) struct Cut {
    /// Everything that is not in a project's table.
    pub(super) rest: Text,
    /// The projects' tables, in the order of the file.
    pub(super) chunks: Vec<Chunk>,
    /// Projects whose tables stand in several places, by name: all their tables.
    pub(super) scattered: HashMap<Box<str>, Text>,
    pub(super) source: LongFile,
}

/// The tables of a number of projects.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    kept: Kept,
    /// Where each project begins in it.
    pub(super) starts: Vec<u32>,
}

/// Where the text of a chunk is. It is one piece of its file.
#[derive(Debug)]
enum Kept {
    Here(Text),
    /// In the file. `check` tells whether it is still the same text.
    InFile {
        at: usize,
        line: usize,
        length: usize,
        check: u64,
    },
}

impl Default for Kept {
    fn default() -> Self {
        Self::Here(Text::default())
    }
}

impl Chunk {
    /// Where it ends in the file. `None`: it is empty, or was left in the file.
    fn end(&self) -> Option<usize> {
        if let Kept::Here(text) = &self.kept { text.end() } else { None }
    }

    /// Its text. `Err`: what is wrong with the file, without its path.
    pub(super) fn text(&self, source: &LongFile) -> Result<Cow<'_, Text>, String> {
        match &self.kept {
            Kept::Here(text) => Ok(Cow::Borrowed(text)),
            Kept::InFile { at, line, length, check } => source.text(*at, *line, *length, *check).map(Cow::Owned),
        }
    }

    /// Each project's tables: where they begin, and their text. `text`: the chunk's.
    pub(super) fn projects<'t>(&self, text: &'t Text) -> impl Iterator<Item = (usize, &'t str)> {
        let ends = self.starts.iter().skip(1).map(|&at| at as usize).chain([text.text.len()]);
        self.starts.iter().zip(ends).filter_map(|(&at, end)| Some((at as usize, text.text.get(at as usize..end)?)))
    }
}

/// The file that a part of the text was left in, if it is a long one.
#[derive(Debug, Default)]
pub(super) struct LongFile {
    file: Option<File>,
    hasher: RandomState,
}

impl LongFile {
    fn text(&self, at: usize, line: usize, length: usize, check: u64) -> Result<Text, String> {
        let file = self.file.as_ref().ok_or("cannot be read again")?;
        let mut octets = vec![0; length];
        file.read_exact_at(&mut octets, at as u64).map_err(|error| format!("cannot be read: {error}"))?;
        let read = String::from_utf8(octets).ok().filter(|text| self.hasher.hash_one(text.as_str()) == check);
        let mut text = Text::default();
        text.add(at, line, &read.ok_or("was changed while it was read")?);
        Ok(text)
    }
}

impl Cut {
    /// The file in one piece again, for one that says of projects in another way too. Nothing is left beside it. `Err`: what is wrong with
    /// the file, without its path.
    pub(super) fn join(&mut self) -> Result<(), String> {
        let texts = self.chunks.iter().map(|chunk| chunk.text(&self.source)).collect::<Result<Vec<_>, _>>()?;
        let mut all: Vec<_> = self.rest.pieces().chain(texts.iter().flat_map(|text| text.pieces())).collect();
        all.sort_by_key(|(piece, _)| piece.at);
        let mut text = Text::default();
        for (piece, part) in all {
            text.add(piece.at, piece.line, part);
        }
        *self = Self { rest: text, ..Self::default() };
        Ok(())
    }
}

/// Reads a file of at most `longest` octets and cuts it. All that is read goes into `digest`. `Err`: what is wrong with the file,
/// without its path.
pub(super) fn of_file(file: File, longest: u64, digest: &mut Sha256) -> Result<Cut, String> {
    let again = file.try_clone().map_err(|error| format!("cannot be read: {error}"))?;
    cut(file, Some(again), longest, digest)
}

/// The same for a text.
pub(super) fn of_text(text: &str, digest: &mut Sha256) -> Result<Cut, String> {
    cut(text.as_bytes(), None, u64::MAX, digest)
}

/// `again`: the same file, if parts of it can be read again.
fn cut(mut from: impl Read, again: Option<File>, longest: u64, digest: &mut Sha256) -> Result<Cut, String> {
    let mut from = from.by_ref().take(longest.saturating_add(1));
    let mut cutter = Cutter::default();
    cutter.cut.source.file = again;
    let (mut buffer, mut block, mut total) = (Vec::new(), BLOCK, 0);
    loop {
        let before = buffer.len();
        let read =
            from.by_ref().take(block as u64).read_to_end(&mut buffer).map_err(|error| format!("cannot be read: {error}"))?;
        digest.update(buffer.get(before..).unwrap_or_default());
        total += read as u64;
        if total > longest {
            return Err(format!("is longer than {longest} octets"));
        }
        let at_end = read < block;
        let text = match std::str::from_utf8(&buffer) {
            Ok(text) => text,
            // The last character may not be whole yet.
            Err(error) if error.error_len().is_none() && !at_end => {
                std::str::from_utf8(buffer.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
            }
            Err(error) => return Err(format!("not UTF-8 at octet {}", cutter.at + error.valid_up_to())),
        };
        let taken = cutter.take(text, at_end);
        if at_end {
            return cutter.finish();
        }
        // A table that is longer than what was read is looked at again, but not each time that a block of it comes.
        block = if taken == 0 { block.saturating_mul(2) } else { BLOCK };
        buffer.drain(..taken);
    }
}

#[derive(Default)]
struct Cutter {
    cut: Cut,
    /// The octets and lines of the file that are cut already.
    at: usize,
    line: usize,
    /// The project that the last table belongs to. Empty: none.
    last: String,
    /// Each project's name, hashed. The same name again is in another place.
    names: Vec<u64>,
    hasher: RandomState,
    /// Octets of projects' tables that are in memory.
    held: usize,
}

impl Cutter {
    /// Cuts off what is whole of a text that begins where the last one was cut. Returns how much that was.
    fn take(&mut self, text: &str, at_end: bool) -> usize {
        let mut taken = 0;
        let mut owner = None;
        tables(text, at_end, |start, next| {
            self.part(owner, text.get(taken..start).unwrap_or_default());
            (taken, owner) = (start, next);
        });
        if at_end {
            self.part(owner, text.get(taken..).unwrap_or_default());
            taken = text.len();
        }
        taken
    }

    /// Adds a table of a project, or a part of the rest.
    fn part(&mut self, project: Option<&str>, text: &str) {
        if text.is_empty() {
            return;
        }
        match project {
            None => self.cut.rest.add(self.at, self.line, text),
            Some(name) => self.table(name, text),
        }
        self.at += text.len();
        self.line += memchr::memchr_iter(b'\n', text.as_bytes()).count();
    }

    fn table(&mut self, name: &str, text: &str) {
        let follows = self.cut.chunks.last().is_some_and(|chunk| chunk.end() == Some(self.at));
        let same = follows && self.last == name;
        if !same {
            self.names.push(self.hasher.hash_one(name));
            name.clone_into(&mut self.last);
        }
        let long = |chunk: &Chunk| matches!(&chunk.kept, Kept::Here(text) if text.text.len() >= BLOCK);
        if !follows || !same && self.cut.chunks.last().is_some_and(long) {
            self.settle();
            self.cut.chunks.push(Chunk::default());
        }
        let Some(Chunk { kept: Kept::Here(text_of_chunk), starts }) = self.cut.chunks.last_mut() else { return };
        if !same {
            starts.push(u32::try_from(text_of_chunk.text.len()).unwrap_or(u32::MAX));
        }
        text_of_chunk.add(self.at, self.line, text);
    }

    /// Nothing more is added to the last chunk.
    fn settle(&mut self) {
        let Some(chunk) = self.cut.chunks.last_mut() else { return };
        chunk.starts.shrink_to_fit();
        let Kept::Here(text) = &mut chunk.kept else { return };
        let whole = text.pieces().next().map(|(piece, whole)| (piece.at, piece.line, whole.len(), whole));
        match whole {
            Some((at, line, length, whole)) if self.cut.source.file.is_some() && self.held + length > HELD => {
                let check = self.cut.source.hasher.hash_one(whole);
                chunk.kept = Kept::InFile { at, line, length, check };
            }
            Some((_, _, length, _)) => {
                self.held += length;
                text.text.shrink_to_fit();
            }
            None => {}
        }
    }

    fn finish(mut self) -> Result<Cut, String> {
        if self.at == 0 {
            self.cut.rest.add(0, 0, "");
        }
        self.settle();
        self.names.sort_unstable();
        let runs = self.names.chunk_by(|one, next| one == next).filter(|run| run.len() > 1);
        let repeated: Vec<u64> = runs.filter_map(|run| run.first().copied()).collect();
        if !repeated.is_empty() {
            for chunk in &self.cut.chunks {
                let text_of_chunk = chunk.text(&self.cut.source)?;
                for (from, text) in chunk.projects(&text_of_chunk) {
                    let Some(name) = project_of(text).filter(|name| repeated.binary_search(&self.hasher.hash_one(*name)).is_ok())
                    else {
                        continue;
                    };
                    // A chunk is one piece of its file.
                    let Some((piece, before)) = text_of_chunk.pieces().next() else { continue };
                    let line =
                        piece.line + before.get(..from).map_or(0, |before| memchr::memchr_iter(b'\n', before.as_bytes()).count());
                    self.cut.scattered.entry(name.into()).or_default().add(piece.at + from, line, text);
                }
            }
        }
        if !self.cut.chunks.iter().any(|chunk| matches!(chunk.kept, Kept::InFile { .. })) {
            self.cut.source.file = None;
        }
        Ok(self.cut)
    }
}

/// The project of the table that a text begins with.
pub(super) fn project_of(text: &str) -> Option<&str> {
    let mut first = None;
    tables(text.lines().next().unwrap_or_default(), true, |_, project| first = first.or(project));
    first
}

/// Finds where each table begins, and the project that it belongs to, if it is a project's. `whole`: the text is the file's to its
/// end; if not, a table whose header may go on behind it is not found yet.
fn tables<'t>(text: &'t str, whole: bool, mut found: impl FnMut(usize, Option<&'t str>)) {
    let mut tokens = Source::new(text).lex().peekable();
    let (mut line, mut begins, mut depth) = (0, true, 0_usize);
    while let Some(token) = tokens.next() {
        match token.kind() {
            TokenKind::Newline => (line, begins) = (token.span().end(), true),
            TokenKind::Whitespace => {}
            TokenKind::LeftSquareBracket if begins => {
                begins = false;
                let mut head: SmallVec<[Token; 12]> = SmallVec::new();
                while let Some(next) = tokens.next_if(|next| !matches!(next.kind(), TokenKind::Newline | TokenKind::Eof)) {
                    // Within an array, this is no table but a part of the array.
                    head.push(next);
                    if next.kind() == TokenKind::RightSquareBracket {
                        break;
                    }
                }
                match header(&head, text) {
                    // Nothing else in a file begins so, whatever was left open before it.
                    Some(project) => {
                        depth = 0;
                        found(line, Some(project));
                    }
                    None if depth == 0 => {
                        if whole || tokens.peek().is_some_and(|next| next.kind() != TokenKind::Eof) {
                            found(line, None);
                        }
                    }
                    None => {
                        let count = |kind| head.iter().filter(|token| token.kind() == kind).count();
                        depth += 1 + count(TokenKind::LeftSquareBracket) + count(TokenKind::LeftCurlyBracket);
                        depth = depth.saturating_sub(count(TokenKind::RightSquareBracket) + count(TokenKind::RightCurlyBracket));
                    }
                }
            }
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => (depth, begins) = (depth + 1, false),
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => (depth, begins) = (depth.saturating_sub(1), false),
            _ => begins = false,
        }
    }
}

/// The project of `project.NAME` or `project.NAME.…` between the brackets of a table's header. `None`: it is another table, or its
/// name is written so that it must be read first.
fn header<'t>(head: &[Token], text: &'t str) -> Option<&'t str> {
    let mut tokens = head.iter().filter(|token| token.kind() != TokenKind::Whitespace);
    let at = |token: &Token| text.get(token.span().start()..token.span().end());
    let first = tokens.next()?;
    if first.kind() != TokenKind::Atom || at(first)? != "project" || tokens.next()?.kind() != TokenKind::Dot {
        return None;
    }
    let name = tokens.next()?;
    if head.last()?.kind() != TokenKind::RightSquareBracket
        || !matches!(tokens.next()?.kind(), TokenKind::Dot | TokenKind::RightSquareBracket)
    {
        return None;
    }
    match name.kind() {
        TokenKind::Atom => at(name),
        TokenKind::BasicString | TokenKind::LiteralString => {
            let quoted = at(name)?.get(1..)?;
            quoted.get(..quoted.len().checked_sub(1)?).filter(|name| !name.contains(['\\', '"', '\'']))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Cut {
        of_text(text, &mut Sha256::new()).unwrap()
    }

    fn projects(cut: &Cut) -> Vec<String> {
        let mut all = Vec::new();
        for chunk in &cut.chunks {
            let text = chunk.text(&cut.source).unwrap();
            all.extend(chunk.projects(&text).map(|(_, text)| text.to_owned()));
        }
        all
    }

    #[test]
    fn a_table_begins_where_its_header_does() {
        let text = "serve = [\"eu\"]\nx = [\n[1],\n]\n[project.a] # [project.no]\ny = \"[project.no]\"\nz = \"\"\"\n[project.no]\n\"\"\"\n\
                    [project.a.trunk.t]\n  [ project . 'b' ]\nlist = [\n[\"x\"]\n]\n[region.eu]\n[[other]]\n[project.c.reject]\n";
        let cut = cut(text);
        let all = projects(&cut);
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(all[0].starts_with("[project.a] #") && all[0].ends_with("[project.a.trunk.t]\n"), "{all:?}");
        assert_eq!(all[1], "  [ project . 'b' ]\nlist = [\n[\"x\"]\n]\n");
        assert_eq!(all[2], "[project.c.reject]\n");
        assert_eq!(cut.rest.text, "serve = [\"eu\"]\nx = [\n[1],\n]\n[region.eu]\n[[other]]\n");
        assert_eq!(all.iter().map(|text| project_of(text)).collect::<Vec<_>>(), [Some("a"), Some("b"), Some("c")]);
        assert!(cut.scattered.is_empty());
    }

    #[test]
    fn what_is_left_open_ends_at_the_next_project() {
        let cut = cut("[project.a]\npin = [\"eu\"\n[project.b]\n[project.c\npin = []\n[project.d]\n");
        assert_eq!(projects(&cut), ["[project.a]\npin = [\"eu\"\n", "[project.b]\n", "[project.d]\n"]);
        assert_eq!(cut.rest.text, "[project.c\npin = []\n");
    }

    #[test]
    fn tables_of_a_project_in_several_places_come_together() {
        let text = "[project.a]\n[project.b]\n[project.a.trunk.t]\n[region.eu]\n[project.b.trunk.t]\n";
        let mut cut = cut(text);
        assert_eq!(cut.scattered["a"].text, "[project.a]\n[project.a.trunk.t]\n");
        assert_eq!(cut.scattered["b"].text, "[project.b]\n[project.b.trunk.t]\n");
        let piece = cut.scattered["a"].piece_of(24).unwrap();
        assert_eq!((piece.from, piece.at, piece.line), (12, 24, 2));
        cut.join().unwrap();
        assert_eq!((cut.rest.text.as_str(), cut.chunks.len()), (text, 0));
    }

    #[test]
    fn a_large_file_is_cut_like_a_small_one() {
        let one = |at: usize| format!("[project.p{at}]\nname = \"é{}\"\n", "x".repeat(at % 97));
        let text: String = (0..20_000).map(one).collect();
        let cut = cut(&text);
        assert!(cut.chunks.len() > 2 && cut.rest.text.is_empty());
        assert!(projects(&cut).into_iter().eq((0..20_000).map(one)));
        let last = cut.chunks.last().unwrap().text(&cut.source).unwrap().pieces().next().unwrap().0;
        assert_eq!(text[..last.at].matches('\n').count(), last.line);
        let long = format!("[project.a]\nname = \"{}\"\n[project.b]\n", "x".repeat(3 * BLOCK));
        assert_eq!(projects(&self::cut(&long)).len(), 2);
        let cut = |text: &[u8], longest| super::cut(text, None, longest, &mut Sha256::new());
        assert_eq!(cut(b"a = 1\n\xff", u64::MAX).unwrap_err(), "not UTF-8 at octet 6");
        assert_eq!(cut(b"12345", 4).unwrap_err(), "is longer than 4 octets");
    }

    #[test]
    fn the_projects_of_a_long_file_stay_in_it() {
        let one = |at: usize| format!("[project.p{at}]\nname = \"é{}\"\n", "x".repeat(900));
        let text: String = (0..30_000).map(one).chain(["[project.p7.trunk.t]\n".to_owned()]).collect();
        assert!(text.len() > HELD + 4 * BLOCK);
        let path = std::env::temp_dir().join(format!("ringfence-cut-{}.toml", std::process::id()));
        std::fs::write(&path, &text).unwrap();
        let mut cut = of_file(File::open(&path).unwrap(), u64::MAX, &mut Sha256::new()).unwrap();
        let held = |cut: &Cut| cut.chunks.iter().filter(|chunk| matches!(chunk.kept, Kept::Here(_))).count();
        assert!(held(&cut) * BLOCK <= HELD && cut.chunks.len() > held(&cut) + 2);
        assert_eq!(projects(&cut).concat(), text);
        assert_eq!(cut.scattered["p7"].text, one(7) + "[project.p7.trunk.t]\n");
        // Somebody writes into it meanwhile.
        std::fs::write(&path, text.replace('x', "y")).unwrap();
        let left = cut.chunks.iter().find(|chunk| matches!(chunk.kept, Kept::InFile { .. })).unwrap();
        assert_eq!(left.text(&cut.source).err().as_deref(), Some("was changed while it was read"));
        std::fs::write(&path, &text).unwrap();
        cut.join().unwrap();
        assert!(cut.rest.text == text && cut.chunks.is_empty());
        std::fs::remove_file(&path).unwrap();
    }
}
