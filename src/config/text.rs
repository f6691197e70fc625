//! A text out of a file: all of it, or pieces of it one after the other. Knows where each piece stands in its file. Reads nothing.

use std::ops::Range;

use super::report::Place;

/// A text out of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    pub(super) text: String,
    /// Its pieces, in the order of the text and of the file.
    pieces: Vec<Piece>,
}

/// A piece of a text. It begins where a line of the file begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// Where it begins in the text.
    pub(super) from: usize,
    /// Where it begins in the file.
    pub(super) at: usize,
    /// The lines of the file before it.
    pub(super) line: usize,
}

impl Text {
    /// Adds what stands at `at` in the file, behind `line` lines.
    pub(super) fn add(&mut self, at: usize, line: usize, text: &str) {
        if self.end() != Some(at) {
            self.pieces.push(Piece { from: self.text.len(), at, line });
        }
        self.text.push_str(text);
    }

    /// Where in the file its last piece ends. `None`: it has none.
    pub(super) fn end(&self) -> Option<usize> {
        self.pieces.last().map(|piece| piece.at + (self.text.len() - piece.from))
    }

    /// Its pieces: the first line of each, and its text.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (Piece, &str)> {
        let ends = self.pieces.iter().skip(1).map(|piece| piece.from).chain([self.text.len()]);
        self.pieces.iter().zip(ends).filter_map(|(piece, end)| Some((*piece, self.text.get(piece.from..end)?)))
    }

    /// The piece that holds an octet of the file, or ends there.
    pub(super) fn piece_of(&self, at: usize) -> Option<Piece> {
        self.pieces().find(|(piece, text)| (piece.at..=piece.at + text.len()).contains(&at)).map(|(piece, _)| piece)
    }

    /// Where an octet of the text stands in the file.
    fn in_file(&self, from: usize) -> usize {
        let next = self.pieces.partition_point(|piece| piece.from <= from);
        next.checked_sub(1).and_then(|at| self.pieces.get(at)).map_or(from, |piece| piece.at + (from - piece.from))
    }
}

/// A part of a text, from `from` on, for whoever reads it and says where in the file something stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    pub(super) file: usize,
    pub(super) text: &'a Text,
    pub(super) from: usize,
}

impl Origin<'_> {
    /// The place of a range of octets of that part.
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        let start = self.text.in_file(self.from + span.start);
        Place { file: self.file, span: Some(start..start + span.len()) }
    }
}
