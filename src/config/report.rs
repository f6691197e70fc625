//! Collects mistakes and warnings with their places while a configuration is read.
//!
//! A place is an offset into a file. Lines and columns are counted only for a place that is reported, while its text is at hand: a
//! text is dropped as soon as it was read.

use std::ops::Range;
use std::path::PathBuf;

use super::error::Mistake;
use super::text::Text;

/// A place in the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index of the file, the main one being 0.
    pub(super) file: usize,
    /// The range of octets. `None`: the file as a whole.
    pub(super) span: Option<Range<usize>>,
}

impl Place {
    fn order(&self) -> (usize, Option<(usize, usize)>) {
        (self.file, self.span.as_ref().map(|span| (span.start, span.end)))
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// Why a text is no valid value, and what would be one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) wrong: String,
    pub(super) right: String,
}

impl Wrong {
    pub(super) fn new(wrong: impl Into<String>, right: impl Into<String>) -> Self {
        Self { wrong: wrong.into(), right: right.into() }
    }
}

/// The value, if it is valid. `None`: it was absent. `Err`: it is wrong, and reported already.
pub(super) type Read<T> = Result<Option<T>, Reported>;

/// A value was there but wrong, and the report says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported;

/// The value, if it was given and is valid.
pub(super) fn good<T>(read: &Read<T>) -> Option<&T> {
    read.as_ref().ok().and_then(Option::as_ref)
}

/// The values that were given and are valid, without their places.
pub(super) fn values<T: Copy, C: FromIterator<T>>(read: &Read<Vec<Placed<T>>>) -> C {
    good(read).into_iter().flatten().map(|placed| placed.value).collect()
}

/// The mistakes and warnings so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    mistakes: Vec<Found>,
    warnings: Vec<Found>,
}

/// Something found, and the line that it stands in, once that is known.
#[derive(Debug)]
struct Found {
    place: Place,
    wrong: Wrong,
    line: Option<Line>,
}

/// Where something stands in a text, for people.
#[derive(Debug)]
struct Line {
    number: usize,
    column: usize,
    text: String,
    excerpt: String,
}

/// Most mistakes that are reported. A file with more is probably the wrong file.
const MOST: usize = 100;

impl Report {
    pub(super) fn mistake(&mut self, place: &Place, wrong: impl Into<String>, right: impl Into<String>) -> Reported {
        found(&mut self.mistakes, place, wrong, right);
        Reported
    }

    pub(super) fn warning(&mut self, place: &Place, wrong: impl Into<String>, right: impl Into<String>) {
        found(&mut self.warnings, place, wrong, right);
    }

    /// Finds the lines of what stands in this text of a file. Due before the text is dropped.
    pub(super) fn settle(&mut self, file: usize, text: &Text) {
        for of in self.mistakes.iter_mut().chain(&mut self.warnings).filter(|of| of.line.is_none() && of.place.file == file) {
            of.line = of.place.span.as_ref().and_then(|span| line(span, text));
        }
    }

    /// Takes in what another report has found.
    pub(super) fn take(&mut self, other: Self) {
        self.mistakes.extend(other.mistakes);
        self.warnings.extend(other.warnings);
    }

    /// Keeps the mistakes of these files alone.
    pub(super) fn keep(&mut self, wanted: impl Fn(usize) -> bool) {
        self.mistakes.retain(|of| wanted(of.place.file));
    }

    /// Keeps the first mistake in each file alone.
    pub(super) fn keep_first(&mut self) {
        self.mistakes.sort_by_key(|of| of.place.order());
        self.mistakes.dedup_by_key(|of| of.place.file);
    }

    /// Whether a file has a mistake.
    pub(super) fn is_wrong(&self, file: usize) -> bool {
        self.mistakes.iter().any(|of| of.place.file == file)
    }

    /// The mistakes and the warnings, each in the order of the files, which have these paths.
    pub(super) fn finish(self, paths: &[PathBuf]) -> (Vec<Mistake>, Vec<Mistake>) {
        (sorted(self.mistakes, paths), sorted(self.warnings, paths))
    }
}

fn found(all: &mut Vec<Found>, place: &Place, wrong: impl Into<String>, right: impl Into<String>) {
    if all.len() < MOST {
        all.push(Found { place: place.clone(), wrong: Wrong::new(wrong, right), line: None });
    }
}

/// The last place at or before `at` where the text can be cut.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default()
}

fn sorted(mut all: Vec<Found>, paths: &[PathBuf]) -> Vec<Mistake> {
    all.sort_by_key(|of| of.place.order());
    all.truncate(MOST);
    let mistake = |Found { place, wrong: Wrong { wrong, right }, line }| {
        let file = paths.get(place.file).cloned().unwrap_or_default();
        let none = || Line { number: 0, column: 0, text: String::new(), excerpt: String::new() };
        let Line { number, column, text, excerpt } = line.unwrap_or_else(none);
        Mistake { file, line: number, column, text, wrong, right, excerpt }
    };
    all.into_iter().map(mistake).collect()
}

/// The line of a range of octets of the file. `None`: this text does not hold it.
fn line(span: &Range<usize>, text: &Text) -> Option<Line> {
    let piece = text.piece_of(span.start)?;
    let start = boundary(&text.text, piece.from + (span.start - piece.at));
    let end = boundary(&text.text, start + span.end.saturating_sub(span.start));
    let line_start = text.text.get(piece.from..start)?.rfind('\n').map_or(piece.from, |at| piece.from + at + 1);
    let before = text.text.get(piece.from..line_start)?;
    let after = text.text.get(start..end).unwrap_or_default();
    Some(Line {
        number: piece.line + before.matches('\n').count() + 1,
        column: text.text.get(line_start..start)?.chars().count() + 1,
        text: after.lines().next().unwrap_or_default().to_owned(),
        excerpt: text.text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default().to_owned(),
    })
}
