//! Collects mistakes and warnings with their places while a configuration is read.
//!
//! A place is an offset into a file. Lines and columns are counted only for a place that is reported.

use std::ops::Range;
use std::path::PathBuf;

use super::error::Mistake;

/// One file as read.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// A place in the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Index of the file, the main one being 0.
    pub(super) file: usize,
    /// The range of octets. `None`: the file as a whole.
    pub(super) span: Option<Range<usize>>,
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
    mistakes: Vec<(Place, Wrong)>,
    warnings: Vec<(Place, Wrong)>,
}

/// Most mistakes that are reported. A file with more is probably the wrong file.
const MOST: usize = 100;

impl Report {
    pub(super) fn mistake(&mut self, place: &Place, wrong: impl Into<String>, right: impl Into<String>) -> Reported {
        if self.mistakes.len() < MOST {
            self.mistakes.push((place.clone(), Wrong::new(wrong, right)));
        }
        Reported
    }

    pub(super) fn warning(&mut self, place: &Place, wrong: impl Into<String>, right: impl Into<String>) {
        if self.warnings.len() < MOST {
            self.warnings.push((place.clone(), Wrong::new(wrong, right)));
        }
    }

    /// The mistakes and the warnings, each in the order of the files.
    pub(super) fn finish(self, files: &[File]) -> (Vec<Mistake>, Vec<Mistake>) {
        (located(self.mistakes, files), located(self.warnings, files))
    }
}

/// The last place at or before `at` where the text can be cut.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default()
}

fn located(mut found: Vec<(Place, Wrong)>, files: &[File]) -> Vec<Mistake> {
    found.sort_by_key(|(place, _)| (place.file, place.span.as_ref().map(|span| (span.start, span.end))));
    found.into_iter().map(|(place, wrong)| locate(&place, wrong, files)).collect()
}

fn locate(place: &Place, Wrong { wrong, right }: Wrong, files: &[File]) -> Mistake {
    let (path, text) = files.get(place.file).map_or((PathBuf::new(), ""), |file| (file.path.clone(), file.text.as_str()));
    let Some(span) = &place.span else {
        return Mistake { file: path, line: 0, column: 0, text: String::new(), wrong, right, excerpt: String::new() };
    };
    let start = boundary(text, span.start);
    let end = boundary(text, span.end.max(span.start));
    let (before, after) = text.split_at(start);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let excerpt: String = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default().to_owned();
    let offending = after.get(..end.saturating_sub(start)).and_then(|text| text.lines().next()).unwrap_or_default().to_owned();
    Mistake {
        file: path,
        line: before.matches('\n').count() + 1,
        column: text.get(line_start..start).map_or(0, |line| line.chars().count()) + 1,
        text: offending,
        wrong,
        right,
        excerpt,
    }
}
