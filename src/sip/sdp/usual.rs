//! Cuts a description of usual octets into lines in one pass, and reads its usual lines.
//!
//! It refuses nothing: what it does not know is left to the readers in [`super`], [`super::attribute`] and [`super::place`]. Property
//! tests compare both.

#![expect(clippy::inline_always, reason = "a call would cost more than what it does")]

use arrayvec::ArrayVec;

use super::MediaPlace;
use crate::sip::marks::{self, BLOCK};
use crate::sip::quick;

/// Most lines of a usual description.
const LINES: usize = 64;

/// One line.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    /// The text without its line end. No white space but spaces, and none of these at the end.
    pub(super) text: &'a [u8],
    /// Whether it could hold `IP4` or `IP6`, in any letters.
    pub(super) names_family: bool,
}

/// The lines of a description.
pub(super) type Lines<'a> = ArrayVec<Line<'a>, LINES>;

/// Cuts a description. `None`: it has octets that are seldom there, or many lines.
pub(super) fn cut<'a>(body: &'a [u8], lines: &mut Lines<'a>) -> Option<()> {
    let (mut start, mut at, mut named) = (0_usize, 0_usize, false);
    while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
        let [mut ends, controls, one, two] = marks::block(rest, |octets| {
            let folded = octets.folded();
            [octets.are(b'\n'), octets.below(b' ') | octets.are(0x7f), folded.are(b'i'), folded.are(b'p')]
        });
        // A CR stands before a LF. The last octet of a block is looked at below.
        if controls & !ends & !(ends >> 1) & !LAST != 0
            || controls & !ends & LAST != 0 && body.get(at.wrapping_add(BLOCK)) != Some(&b'\n')
        {
            return None;
        }
        let mut families = one & ((two >> 1) | LAST);
        while ends != 0 {
            let below = ends ^ ends.wrapping_sub(1);
            let end = at.wrapping_add(ends.trailing_zeros() as usize);
            let names_family = named || families & below != 0;
            lines.try_push(Line { text: line(body.get(start..end)?)?, names_family }).ok()?;
            named = false;
            families &= !below;
            ends &= !below;
            start = end.wrapping_add(1);
        }
        named |= families != 0;
        at = at.wrapping_add(BLOCK);
    }
    lines.try_push(Line { text: line(body.get(start..)?)?, names_family: named }).ok()
}

/// The last octet of a block.
const LAST: u64 = 1 << 63;

/// A line without its CR. `None`: it ends in something else that cannot be seen.
#[inline(always)]
fn line(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    matches!(text.last(), None | Some(b'!'..=b'~')).then_some(text)
}

/// Whether an attribute names no place, if it holds no `IP4` or `IP6`.
pub(super) fn is_harmless(attribute: &[u8]) -> bool {
    match attribute.first() {
        Some(b'r') => {
            begins(attribute, b"rtpmap:")
                || begins(attribute, b"rtcp-fb:")
                || attribute == b"recvonly"
                || attribute == b"rtcp-mux"
        }
        Some(b'f') => begins(attribute, b"fmtp:") || begins(attribute, b"fingerprint:"),
        Some(b's') => {
            attribute == b"sendrecv" || attribute == b"sendonly" || begins(attribute, b"setup:") || begins(attribute, b"ssrc:")
        }
        Some(b'p') => begins(attribute, b"ptime:"),
        Some(b'm') => begins(attribute, b"maxptime:") || begins(attribute, b"mid:") || begins(attribute, b"msid:"),
        Some(b'i') => begins(attribute, b"ice-ufrag:") || begins(attribute, b"ice-pwd:") || attribute == b"inactive",
        Some(b'c') => begins(attribute, b"crypto:"),
        Some(b'e') => begins(attribute, b"extmap:"),
        _ => false,
    }
}

/// Whether a text begins so. The length is known while compiling, so no function is called.
#[inline(always)]
fn begins<const N: usize>(text: &[u8], start: &[u8; N]) -> bool {
    text.first_chunk() == Some(start)
}

/// Reads a `c=` with an IPv4 address.
pub(super) fn connection(value: &[u8]) -> Option<MediaPlace> {
    MediaPlace::at(quick::quad(value.get(7..).filter(|_| begins(value, b"IN IP4 "))?)?.into())
}

/// Whether an `m=` has a port other than 0, if media, port and protocol have one space between.
pub(super) fn active(value: &[u8]) -> Option<bool> {
    let space = value.iter().position(|&octet| octet == b' ').filter(|&length| length > 0)?;
    let mut number = 0_u32;
    let mut digits = 0_usize;
    let mut rest = value.get(space.wrapping_add(1)..)?;
    while let [octet, behind @ ..] = rest {
        let digit = octet.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(digit.into());
        digits = digits.wrapping_add(1);
        rest = behind;
    }
    let [b' ', b'!'..=b'~', ..] = rest else { return None };
    ((1..=5).contains(&digits) && number <= 65_535).then_some(number != 0)
}
