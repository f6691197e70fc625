//! The `;`-separated parameters of header values and URIs (RFC 3261 25.1 generic-param).

use std::ops::Range;

use memchr::{memchr, memchr2};

use super::header::{is_space, is_token, trim, trimmed};
use super::marks;

/// Whether all readers cut a parameter list alike: no parameter is empty, each name is a token, each value is a quoted string or
/// holds no separator, and blanks stand only around separators. `params` is the text after the first `;`.
pub(super) fn are_plain(params: &[u8]) -> bool {
    let mut all = each_param(params);
    let plain = all.all(|(_, name, value)| {
        !name.is_empty() && name.iter().all(|&octet| is_token(octet)) && value.is_none_or(is_plain_value)
    });
    plain && trimmed(params).last().is_some_and(|&last| last != b';')
}

/// Whether a value is one quoted string, or visible ASCII without separators. An empty value is neither.
fn is_plain_value(value: &[u8]) -> bool {
    match value.first() {
        None | Some(b'=') => false,
        Some(b'"') => quoted_end(value, 0) == Some(value.len()),
        Some(_) => value.iter().all(|&octet| is_visible(octet) && !matches!(octet, b'"' | b',' | b'<' | b'>' | b'\\')),
    }
}

const fn is_visible(octet: u8) -> bool {
    octet.is_ascii_graphic()
}

/// Whether a quoted string in a parameter list holds a `;`. Some readers begin a parameter there.
pub(super) fn hides_semicolon(params: &[u8]) -> bool {
    let quoted = |value: &[u8]| value.first() == Some(&b'"') && memchr(b';', value).is_some();
    memchr(b'"', params).is_some() && each_param(params).any(|(_, _, value)| value.is_some_and(quoted))
}

/// Whether every quoted string in a parameter list ends.
pub(super) fn closes(params: &[u8]) -> bool {
    let mut at = 0;
    while let Some(quote) = params.get(at..).and_then(|rest| memchr(b'"', rest)) {
        match quoted_end(params, quote.saturating_add(at)) {
            Some(end) => at = end,
            None => return false,
        }
    }
    true
}

/// The offset after the quoted string that starts at `start`; `None` if it never ends.
pub(super) fn quoted_end(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start.checked_add(1)?;
    loop {
        match text.get(at)? {
            b'"' => return at.checked_add(1),
            b'\\' => at = at.checked_add(2)?,
            _ => at = at.checked_add(1)?,
        }
    }
}

/// The value of a parameter in a `;`-separated list, by name in any case: `Some(Some(value))`, or `Some(None)` for a flag. Quoted
/// values may hold `;`.
pub fn param<'a>(params: &'a [u8], name: &str) -> Option<Option<&'a [u8]>> {
    if params.len() < marks::BLOCK {
        let [ends, odd] = marks::block(params, |octets| [octets.are(b';'), octets.below(b'#')]);
        // Without quotes and white space, a list is cut at each semicolon.
        if odd == 0 {
            return param_between(params, ends, name.as_bytes());
        }
    }
    any_param(params, name)
}

/// The same, if parameters end at these places.
#[expect(clippy::option_option, reason = "the outer one says whether it is there")]
fn param_between<'a>(params: &'a [u8], ends: u64, name: &[u8]) -> Option<Option<&'a [u8]>> {
    let (mut start, mut ends) = (0_usize, ends);
    loop {
        let end = if ends == 0 { params.len() } else { ends.trailing_zeros() as usize };
        let text = params.get(start..end)?;
        if text.first().map(|first| first | 0x20) == name.first().map(|first| first | 0x20)
            && let Some((key, rest)) = text.split_at_checked(name.len())
            && key.eq_ignore_ascii_case(name)
        {
            match rest {
                [] => return Some(None),
                [b'=', value @ ..] => return Some(Some(value)),
                _ => {}
            }
        }
        if ends == 0 {
            return None;
        }
        ends &= ends.wrapping_sub(1);
        start = end.wrapping_add(1);
    }
}

/// The same for all lists, the unusual ones too.
#[expect(clippy::option_option, reason = "the outer one says whether it is there")]
pub(super) fn any_param<'a>(params: &'a [u8], name: &str) -> Option<Option<&'a [u8]>> {
    if !may_hold(params, name) {
        return None;
    }
    each_param(params).find_map(|(_, key, value)| key.eq_ignore_ascii_case(name.as_bytes()).then_some(value))
}

/// Whether a parameter begins with the first letter of a name. Usually none does, and this test is cheaper than cutting the list.
fn may_hold(params: &[u8], name: &str) -> bool {
    let first = name.bytes().next().unwrap_or_default() | 0x20;
    let mut before = b';';
    params.iter().any(|&octet| {
        let begins = octet | 0x20 == first && (before == b';' || is_space(before));
        before = octet;
        begins
    })
}

/// The parameters of a `;`-separated list: place, name and value of each.
pub(super) fn each_param(params: &[u8]) -> impl Iterator<Item = (Range<usize>, &[u8], Option<&[u8]>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= params.len() {
            return None;
        }
        let start = at;
        let mut end = at;
        while let Some(next) = params.get(end..).and_then(|rest| memchr2(b';', b'"', rest)) {
            end = end.saturating_add(next);
            if params.get(end) == Some(&b';') {
                break;
            }
            // If a quote is not closed, no parameter can follow it.
            end = quoted_end(params, end).unwrap_or(params.len());
            if end == params.len() {
                break;
            }
        }
        if params.get(end) != Some(&b';') {
            end = params.len();
        }
        at = end.saturating_add(1);
        let span = trim(params, start..end);
        let text = params.get(span.clone()).unwrap_or_default();
        let (key, value) = match memchr(b'=', text) {
            Some(equals) => {
                let (key, value) = text.split_at_checked(equals).unwrap_or_default();
                (trimmed(key), Some(trimmed(value.get(1..).unwrap_or_default())))
            }
            None => (text, None),
        };
        Some((span, key, value))
    })
}
