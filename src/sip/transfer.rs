//! Content-Transfer-Encoding (RFC 2045 6): decodes base64 and quoted-printable, strictly and into bounded memory.

use super::sdp::MAX_BODY;

/// How a part is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Not at all: 7bit, 8bit, binary.
    #[default]
    Identity,
    Base64,
    QuotedPrintable,
}

impl Encoding {
    /// The encoding that a header's value names; `None`: unknown.
    pub(super) fn of(value: &[u8]) -> Option<Self> {
        let is = |name: &str| value.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if is("7bit") || is("8bit") || is("binary") => Some(Self::Identity),
            () if is("base64") => Some(Self::Base64),
            () if is("quoted-printable") => Some(Self::QuotedPrintable),
            () => None,
        }
    }
}

/// The octets of an encoded text. If it is too long, a little more than [`MAX_BODY`] of them, which is too much for a session
/// description. `None`: malformed, so that readers would decode it differently.
pub(super) fn decoded(encoding: Encoding, text: &[u8]) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Identity => None,
        Encoding::Base64 => base64(text),
        Encoding::QuotedPrintable => quoted_printable(text),
    }
}

/// Line ends may stand anywhere. Any other octet outside the alphabet is an error, and so is text after the padding.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len().min(MAX_BODY));
    let (mut group, mut filled, mut padded) = (0_u32, 0_u8, 0_usize);
    for &octet in text {
        let sextet = match octet {
            b'\r' | b'\n' => continue,
            b'A'..=b'Z' => octet.wrapping_sub(b'A'),
            b'a'..=b'z' => octet.wrapping_sub(b'a').wrapping_add(26),
            b'0'..=b'9' => octet.wrapping_sub(b'0').wrapping_add(52),
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padded = padded.saturating_add(1);
                0
            }
            _ => return None,
        };
        if padded > 2 || (padded > 0 && octet != b'=') {
            return None;
        }
        group = (group << 6) | u32::from(sextet);
        filled = filled.saturating_add(1);
        if filled == 4 {
            let [_, octets @ ..] = group.to_be_bytes();
            let (kept, cut) = octets.split_at_checked(3_usize.saturating_sub(padded))?;
            if cut.iter().any(|&octet| octet != 0) {
                return None;
            }
            out.extend_from_slice(kept);
            if out.len() > MAX_BODY {
                return Some(out);
            }
            (group, filled) = (0, 0);
        }
    }
    (filled == 0).then_some(out)
}

/// White space at the end of a line is an error: a reader should remove it, and not every reader does.
fn quoted_printable(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len().min(MAX_BODY));
    let mut rest = text;
    while let [octet, next @ ..] = rest {
        let (kept, next) = match (*octet, next) {
            (b'=', [b'\r', b'\n', next @ ..] | [b'\n', next @ ..]) => (None, next),
            (b'=', [high, low, next @ ..]) => {
                let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                (Some((digit(*high)? << 4) | digit(*low)?), next)
            }
            (b'=', _) | (b' ' | b'\t', [] | [b'\n', ..] | [b'\r', b'\n', ..]) => return None,
            (octet, next) => (Some(octet), next),
        };
        out.extend(kept);
        if out.len() > MAX_BODY {
            break;
        }
        rest = next;
    }
    Some(out)
}
