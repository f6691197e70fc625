//! Cuts the usual start lines and rows out of a header section, many octets at a time.
//!
//! It takes only what the full reader in [`super::scan`] takes without a fault, and finds the same in it. It refuses nothing: a
//! line that it does not know is left to that reader. Property tests and a fuzz target compare both.
#![expect(clippy::inline_always, reason = "run once a row: a call would cost as much as what it does")]

use std::ops::Range;

use super::header::{self, LONGEST, is_token, spelled, trim};
use super::scan::{MAX_ROW, MAX_URI};
use super::{Method, Name, Start};

/// Octets that are compared at once.
const BLOCK: usize = 16;

/// A row on one line. Its places are counted from its first octet.
pub(super) struct Row {
    pub(super) name: Name,
    pub(super) value: Range<usize>,
    /// Where the next row begins.
    pub(super) end: usize,
}

/// Reads the row at the beginning of a text, if it is a usual one.
#[inline(always)]
pub(super) fn row(text: &[u8]) -> Option<Row> {
    let (name, colon) = name(text)?;
    // Nearly every row is written so: one space before the value, and none after it.
    let [b':', b' ', value @ ..] = text.get(colon..)? else { return spaced(text, name, colon) };
    let (line_end, end) = row_end(text, value)?;
    if *value.first()? <= b' ' || *text.get(line_end.wrapping_sub(1))? <= b' ' {
        return spaced(text, name, colon);
    }
    Some(Row { name, value: colon.wrapping_add(2)..line_end, end })
}

/// The same for a row with other spaces around its value, whose colon is here.
#[inline(never)]
fn spaced(text: &[u8], name: Name, colon: usize) -> Option<Row> {
    let [b':', value @ ..] = text.get(colon..)? else { return None };
    let (line_end, end) = row_end(text, value)?;
    Some(Row { name, value: trim(text, colon.wrapping_add(1)..line_end), end })
}

/// Where the first row of a text ends, before and after its CRLF. `rest`: the end of the text, from within this row on.
#[inline(always)]
fn row_end(text: &[u8], rest: &[u8]) -> Option<(usize, usize)> {
    let rest = line_end(rest)?;
    let line_end = text.len().wrapping_sub(rest.len());
    let end = line_end.wrapping_add(2);
    // A row may go on in the next line (7.3.1).
    let goes_on = matches!(rest.first_chunk::<3>()?[2], b' ' | b'\t');
    (!goes_on && end <= MAX_ROW).then_some((line_end, end))
}

/// Reads a start line with nothing unusual in it, and tells where the next line begins.
#[inline(always)]
pub(super) fn start(text: &[u8]) -> Option<(Start, usize)> {
    let line_end = text.len().wrapping_sub(line_end(text)?.len());
    let line = text.get(..line_end)?;
    let start = match line {
        [b'S', b'I', b'P', b'/', b'2', b'.', b'0', b' ', hundreds @ b'1'..=b'6', tens @ b'0'..=b'9', ones @ b'0'..=b'9', ..]
            if matches!(line.get(11), None | Some(b' ')) =>
        {
            let [hundreds, tens, ones] = [hundreds, tens, ones].map(|digit| u16::from(digit & 15));
            Start::Response { code: hundreds.wrapping_mul(100).wrapping_add(tens.wrapping_mul(10)).wrapping_add(ones) }
        }
        _ => {
            let before = line.strip_suffix(b" SIP/2.0")?;
            let token_end = before.iter().position(|&octet| octet == b' ')?;
            let (token, uri) = before.split_at_checked(token_end)?;
            let method = Method::of(token);
            let one_space = memchr::memrchr3(b' ', b'\t', b'\x0c', uri) == Some(0);
            if method == Method::Other || !one_space || !(2..=MAX_URI).contains(&uri.len()) {
                return None;
            }
            Start::Request { method, token: 0..token_end, uri: token_end.wrapping_add(1)..before.len() }
        }
    };
    Some((start, line_end.wrapping_add(2)))
}

/// A text from the end of its first line on, before the CRLF. `None` if it has none, or a NUL, CR or LF elsewhere.
#[inline(always)]
fn line_end(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = control(text)?;
        if text.starts_with(b"\r\n") {
            return Some(text);
        }
        match text.split_first()? {
            (0 | b'\r' | b'\n', _) => return None,
            // Another character, such as a tab. The readers of values judge it.
            (_, behind) => text = behind,
        }
    }
}

/// A text from its first control character on.
#[inline(always)]
fn control(mut text: &[u8]) -> Option<&[u8]> {
    while let Some((block, behind)) = text.split_first_chunk::<BLOCK>() {
        // The loop has no early exit, so that the compiler compares all octets at once.
        if block.iter().fold(0, |found, &octet| found | u8::from(octet < b' ')) != 0 {
            break;
        }
        text = behind;
    }
    while let Some((word, behind)) = text.split_first_chunk::<8>() {
        let found = controls(u64::from_le_bytes(*word));
        if found != 0 {
            return text.get(lowest(found)..);
        }
        text = behind;
    }
    text.get(text.iter().position(|&octet| octet < b' ')?..)
}

/// Reads the name before the first colon, and where this colon is, if no octet before it is beyond ASCII: else such an octet may be
/// found in its place. `None`: it is no name, or a very long one.
#[inline(always)]
fn name(text: &[u8]) -> Option<(Name, usize)> {
    let [first, second, third] = match text.first_chunk::<LONGEST>() {
        Some(octets) => header::words(octets),
        None => short(text)?,
    };
    let found = colons(first);
    let (known, length) = if found != 0 {
        (spelled([first & up_to(found), 0, 0]), lowest(found))
    } else {
        let found = colons(second);
        if found != 0 {
            (spelled([first, second & up_to(found), 0]), lowest(found).wrapping_add(8))
        } else {
            let found = colons(third);
            if found == 0 {
                return None;
            }
            (spelled([first, second, third & up_to(found)]), lowest(found).wrapping_add(16))
        }
    };
    match known {
        Some(name) => Some((name, length)),
        None => unknown(text, length),
    }
}

#[cold]
fn short(text: &[u8]) -> Option<[u64; 3]> {
    let mut octets = [0; LONGEST];
    octets.get_mut(..text.len())?.copy_from_slice(text);
    Some(header::words(&octets))
}

#[inline(never)]
fn unknown(text: &[u8], length: usize) -> Option<(Name, usize)> {
    let name = text.get(..length)?;
    (!name.is_empty() && name.iter().copied().all(is_token)).then_some((Name::Other, length))
}

/// Every octet of a word is this one.
const fn all(octet: u8) -> u64 {
    u64::from_le_bytes([octet; 8])
}

/// Marks the highest bit of the first octet that is below the space or no ASCII, and maybe of some after it.
const fn controls(word: u64) -> u64 {
    word.wrapping_sub(all(b' ')) & all(0x80)
}

/// The same for the first octet that is a colon or no ASCII.
const fn colons(word: u64) -> u64 {
    (word ^ all(b':')).wrapping_sub(all(1)) & all(0x80)
}

/// The number of the first octet that is marked.
const fn lowest(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

/// All bits of the octets up to the first one that is marked.
const fn up_to(marks: u64) -> u64 {
    marks ^ marks.wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
    use proptest::sample::{Index, select};

    use super::*;
    use crate::sip::Message;

    fn start_line() -> impl Strategy<Value = String> {
        select(vec![
            "INVITE sip:a@b SIP/2.0\r\n",
            "SIP/2.0 200 OK\r\n",
            "SIP/2.0 407\r\n",
            "BYE sip:a@b;transport=udp SIP/2.0\r\n",
            "NEW sip:a@b SIP/2.0\r\n",
            "invite  sip:a@b sip/2.0\r\n",
            "SIP/2.0 2000 OK\r\n",
            "SIP/3.0 200 OK\r\n",
            "ACK  SIP/2.0\r\n",
            "ACK sip:a@b SIP/2.0 \r\n",
            "ACK \t SIP/2.0\r\n",
            "\r\nACK x SIP/2.0\r\n",
        ])
        .prop_map(str::to_owned)
    }

    fn row_text() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            4 => select(header::SPELLINGS.to_vec()).prop_map(|(name, _)| String::from_utf8_lossy(name).trim_end_matches(':').to_owned()),
            1 => select(vec!["", "X-Own", "Subject ", "P-Charging-Function-Addresses", "A\u{e9}", "v\t", "Call\rID", "To(", "Content-Lengt"])
                .prop_map(str::to_owned),
        ];
        let value = prop_oneof![
            4 => select(vec!["0", "3", "<sip:a@b>;tag=1", "1 INVITE", "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1", "application/sdp"])
                .prop_map(str::to_owned),
            1 => select(vec!["", " ", "a\tb", "\u{e9}\u{e9}", "a\r\n b", "a\r\n\t", "a\rb", "a\nb", "\0", "\"\\\0\"", "\u{1}", "a ", "\t"])
                .prop_map(str::to_owned),
            1 => (0..70_usize).prop_map(|length| "x".repeat(length)),
        ];
        let ends = prop_oneof![20 => select(vec!["\r\n"]), 1 => select(vec!["\n", "\r", "\r\n\r\n", " \r\n", ""])];
        let colon = prop_oneof![9 => select(vec![": "]), 1 => select(vec![":", " : ", ":  ", ":\t", ""])];
        (name, any::<u32>(), colon, value, ends).prop_map(|(name, capitals, colon, value, end)| {
            let letters = name
                .chars()
                .enumerate()
                .map(|(at, letter)| if capitals >> (at % 32) & 1 == 1 { letter.to_ascii_uppercase() } else { letter });
            letters.collect::<String>() + colon + &value + end
        })
    }

    /// What [`Message::datagram`] finds, and what the full reader finds.
    fn both(bytes: &[u8]) -> [String; 2] {
        [Message::datagram(bytes), Message::datagram_in_full(bytes)].map(|message| format!("{message:?}"))
    }

    proptest! {
        #[test]
        fn the_short_way_finds_what_the_full_reader_finds(
            start in start_line(),
            rows in vec(row_text(), 0..40),
            end in select(vec!["\r\n", "\r\nv=0\r\n", "", "\n", "\r", "\0\r\n"]),
            cut in any::<Index>(),
            change in any::<Option<(Index, u8)>>(),
        ) {
            let mut text = [start, rows.concat(), end.to_owned()].concat().into_bytes();
            let [found, expected] = both(&text);
            prop_assert_eq!(found, expected);
            if let Some((at, octet)) = change {
                let at = at.index(text.len());
                text[at] = octet;
                let [found, expected] = both(&text);
                prop_assert_eq!(found, expected);
            }
            let [found, expected] = both(&text[..cut.index(text.len())]);
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn a_name_is_found_with_its_colon_alone(name in "[A-Za-z-]{0,26}", at in 0..30_usize, octet in any::<u8>()) {
            let mut text = [name.as_bytes(), b": x\r\n\r\n"].concat();
            if let Some(place) = text.get_mut(at) {
                *place = octet;
            }
            if let Some((found, length)) = super::name(&text).filter(|&(_, length)| text[length] == b':') {
                prop_assert_eq!(Some(length), text.iter().position(|&octet| octet == b':'));
                prop_assert_eq!(found, Name::of(&text[..length]));
                prop_assert!(text[..length].iter().copied().all(is_token));
            }
        }
    }

    #[test]
    fn any_octet_in_any_place_is_read_alike() {
        let text = b"BYE sip:a@b SIP/2.0\r\nTo: <sip:b>;tag=1\r\nl:0\r\n\r\n";
        for at in 0..text.len() {
            for octet in 0..=u8::MAX {
                let mut text = *text;
                text[at] = octet;
                let [found, expected] = both(&text);
                assert_eq!(found, expected, "{octet} at {at}");
            }
        }
    }

    #[test]
    fn usual_rows_take_the_short_way() {
        for text in [
            "Via: SIP/2.0/UDP 192.0.2.1:5070;rport;branch=z9hG4bK-4711-1-0\r\nF",
            "l: 0\r\n\r\n",
            "Content-Length: 0\r\n\r\n",
            "P-Asserted-Identity: <sip:+4989123456@trunk.example.net>\r\nA",
            "X-Own: a\tb\r\nA",
            "Subject:\r\nA",
            "v:SIP/2.0/UDP a \r\nA",
            "Subject: \u{fc}ber\r\nA",
        ] {
            assert!(row(text.as_bytes()).is_some(), "{text}");
        }
        for text in ["INVITE sip:a@b SIP/2.0\r\n", "SIP/2.0 180 Ringing\r\n"] {
            assert!(start(text.as_bytes()).is_some(), "{text}");
        }
    }
}
