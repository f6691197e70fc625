//! Cuts a multipart body (RFC 2046 5.1) at its delimiters, and reads the rows of a part. It knows no content types.
//!
//! There is one reading or none: the hyphens and the boundary may stand only in delimiters, a delimiter is a whole line, and the
//! line ends of delimiters and rows are all of one kind.

use memchr::{memchr, memchr_iter, memchr2};

use super::body::{Objection, unreadable};
use super::header::{is_space, is_token, trimmed};

/// A piece of a multipart.
pub(super) enum Piece<'a> {
    /// The text before the first delimiter, or after the last.
    Around(&'a [u8]),
    /// One part (rows, an empty line, content), and the line ends that its rows must have.
    Part(&'a [u8], LineEnd),
}

/// Gives `each` the pieces in order, up to the first that is broken.
pub(super) fn split<'a>(
    content: &'a [u8],
    boundary: &[u8],
    mut each: impl FnMut(Piece<'a>) -> Result<(), Objection>,
) -> Result<(), Objection> {
    let mut line_end = None;
    // Where this piece begins, and whether a delimiter stands before it.
    let (mut start, mut within, mut closed) = (0, false, false);
    let mut parts = 0_usize;
    for at in memchr_iter(b'-', content) {
        if at < start {
            // Inside the last delimiter.
            continue;
        }
        let Some(behind) = behind_boundary(content, at, boundary) else { continue };
        let line = content.get(at..).unwrap_or_default();
        let Some(delimiter) = Delimiter::of(content, at, behind).filter(|found| !closed && found.fits(&mut line_end)) else {
            return unreadable("delimiter of a multipart", line);
        };
        // The line end before a delimiter is part of it. The last delimiter's own line end cannot serve as that too.
        let Some(piece) = content.get(start..delimiter.start) else { return unreadable("delimiter of a multipart", line) };
        match line_end {
            _ if delimiter.closes && !within => return unreadable("multipart without parts", b""),
            Some(line_end) if within => {
                parts = parts.saturating_add(1);
                each(Piece::Part(piece, line_end))?;
            }
            _ => each(Piece::Around(piece))?,
        }
        (start, within, closed) = (delimiter.end, true, delimiter.closes);
    }
    let rest = content.get(start..).unwrap_or_default();
    match line_end {
        _ if closed => each(Piece::Around(rest)),
        _ if !within => unreadable("multipart without parts", b""),
        // A delimiter that ends the body was meant to be the closing one. Otherwise the last part ends with the body.
        _ if rest.is_empty() && parts > 0 => Ok(()),
        Some(line_end) => each(Piece::Part(rest, line_end)),
        None => unreadable("multipart without parts", b""),
    }
}

/// The offset after two hyphens and the boundary, if they stand at `at`. Case is ignored, since some readers ignore it.
fn behind_boundary(content: &[u8], at: usize, boundary: &[u8]) -> Option<usize> {
    let text = content.get(at..)?.strip_prefix(b"--")?;
    let found = text.get(..boundary.len())?;
    if found == boundary {
        return at.checked_add(2)?.checked_add(boundary.len());
    }
    // A boundary in other letters is found, and then refused.
    found.eq_ignore_ascii_case(boundary).then_some(usize::MAX)
}

/// The kinds of line ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnd {
    CrLf,
    Lf,
}

impl LineEnd {
    /// The one that a text begins with.
    fn leads(text: &[u8]) -> Option<Self> {
        match text {
            [b'\r', b'\n', ..] => Some(Self::CrLf),
            [b'\n', ..] => Some(Self::Lf),
            _ => None,
        }
    }

    /// The one that a text ends with.
    fn ends(text: &[u8]) -> Option<Self> {
        match text {
            [.., b'\r', b'\n'] => Some(Self::CrLf),
            [.., b'\n'] => Some(Self::Lf),
            _ => None,
        }
    }

    const fn len(self) -> usize {
        match self {
            Self::CrLf => 2,
            Self::Lf => 1,
        }
    }
}

/// One delimiter with the line ends around it.
struct Delimiter {
    /// The offset of the line end before it.
    start: usize,
    /// The offset of the next piece.
    end: usize,
    closes: bool,
    before: Option<LineEnd>,
    after: Option<LineEnd>,
}

impl Delimiter {
    /// Reads the line of a delimiter, whose boundary ends at `behind`. `None`: the line holds more. (RFC 2046 allows white space
    /// there, but not every reader does.)
    fn of(content: &[u8], at: usize, behind: usize) -> Option<Self> {
        let before = LineEnd::ends(content.get(..at)?);
        if before.is_none() && at != 0 {
            return None;
        }
        let rest = content.get(behind..)?;
        let (rest, closes) = rest.strip_prefix(b"--").map_or((rest, false), |rest| (rest, true));
        let after = LineEnd::leads(rest);
        if after.is_none() && !rest.is_empty() {
            return None;
        }
        let start = at.checked_sub(before.map_or(0, LineEnd::len))?;
        let end = content.len().checked_sub(rest.len())?.checked_add(after.map_or(0, LineEnd::len))?;
        Some(Self { start, end, closes, before, after })
    }

    /// Whether its line ends are of the same kind as those before, if there were any.
    fn fits(&self, kind: &mut Option<LineEnd>) -> bool {
        [self.before, self.after].into_iter().flatten().all(|end| *kind.get_or_insert(end) == end)
    }
}

/// Gives `each` the name and value of every row of a part, and returns the part's content. A part without rows begins with its
/// empty line.
pub(super) fn rows<'a>(
    part: &'a [u8],
    line_end: LineEnd,
    mut each: impl FnMut(&'a [u8], &'a [u8]) -> Result<(), Objection>,
) -> Result<&'a [u8], Objection> {
    let mut rest = part;
    loop {
        let mut end = 0_usize;
        // A line that begins with white space continues the row before it.
        loop {
            let line = rest.get(end..).unwrap_or_default();
            let Some(length) = memchr(b'\n', line) else { return unreadable("head of a part", rest) };
            let (text, found) = match line.get(..length).unwrap_or_default() {
                [text @ .., b'\r'] => (text, LineEnd::CrLf),
                text => (text, LineEnd::Lf),
            };
            if found != line_end || memchr2(b'\r', 0, text).is_some() {
                return unreadable("head of a part", rest);
            }
            if text.is_empty() && end == 0 {
                return Ok(rest.get(found.len()..).unwrap_or_default());
            }
            // Some readers take a line of white space for an empty one.
            if text.iter().copied().all(is_space) {
                return unreadable("head of a part", rest);
            }
            end = end.saturating_add(length).saturating_add(1);
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (row, next) = rest.split_at_checked(end).unwrap_or_default();
        let (name, value) = row.split_at_checked(memchr(b':', row).unwrap_or(0)).unwrap_or_default();
        let name = name.trim_ascii_end();
        if name.is_empty() || !name.iter().all(|&octet| is_token(octet)) {
            return unreadable("head of a part", row);
        }
        each(name, trimmed(value.get(1..).unwrap_or_default()))?;
        rest = next;
    }
}
