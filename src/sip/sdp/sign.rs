//! Finds a session description inside a text of another type: the first line from which some reader could read one.

use super::attribute::{Attribute, looks_like_address};
use super::{SdpObjection, unreadable};

/// The text from the first line that looks like a line of a description and says where media goes.
pub(in crate::sip) fn first_sign(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    loop {
        let line = trimmed_start(rest);
        let end = line.iter().position(|&octet| matches!(octet, b'\r' | b'\n')).unwrap_or(line.len());
        if is_sign(line.get(..end).unwrap_or_default()) {
            return Some(line);
        }
        rest = line.get(end.saturating_add(1)..)?;
    }
}

/// The text after white space, NULs and byte order marks.
fn trimmed_start(text: &[u8]) -> &[u8] {
    let skipped = |octet: &u8| matches!(octet, 0 | b'\t'..=b'\r' | b' ' | 0xef | 0xbb | 0xbf | 0xfe | 0xff);
    let start = text.iter().position(|octet| !skipped(octet)).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

fn is_sign(line: &[u8]) -> bool {
    let [kind, b'=', value @ ..] = line else { return false };
    match kind.to_ascii_lowercase() {
        b'v' => value.trim_ascii() == b"0",
        b'c' => split(value).any(|word| is_network(word) || looks_like_address(word)),
        b'm' => {
            let mut words = split(value);
            let port = words.nth(1).and_then(|port| port.first().copied());
            port.is_some_and(|digit| digit.is_ascii_digit()) && words.next().is_some()
        }
        // An attribute that names a place, or one that should name a place and cannot be read.
        b'a' => {
            let named = |field, _| -> Result<(), SdpObjection> { unreadable(field, b"") };
            Attribute::of(value).places(&named).is_err()
        }
        _ => false,
    }
}

/// The words between invisible octets: a careless reader may separate at any of them.
fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|octet| !octet.is_ascii_graphic()).filter(|word| !word.is_empty())
}

fn is_network(word: &[u8]) -> bool {
    ["IN", "IP4", "IP6"].iter().any(|network| word.eq_ignore_ascii_case(network.as_bytes()))
}
