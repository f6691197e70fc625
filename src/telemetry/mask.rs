//! Replaces phone numbers in a message by as many other characters, so that it keeps its length, can still be read, and is judged as before.
//!
//! Masked are: the digits of the user parts of SIP, SIPS and tel URIs, wherever they stand; display names that are numbers; long numbers in
//! headers that have no meaning here and in texts; and the numbers inside `Identity` (RFC 8224), with everything else that it signs. As in the
//! log, the first three digits of an international number stay. Names of people stay too: they are no numbers.

use memchr::{memchr, memmem};

use super::log::country;

/// Digits in a row that make a number, where nothing says that it is one.
pub(super) const LONG: usize = 7;

/// Headers whose digits mean something: dialogs, paths, sizes and times. Their URIs and display names are masked, nothing else of them.
const MEANT: [&str; 33] = [
    "via",
    "v",
    "call-id",
    "i",
    "cseq",
    "content-length",
    "l",
    "content-type",
    "c",
    "max-forwards",
    "max-breadth",
    "route",
    "record-route",
    "from",
    "f",
    "to",
    "t",
    "contact",
    "m",
    "session-expires",
    "x",
    "min-se",
    "rack",
    "rseq",
    "timestamp",
    "date",
    "expires",
    "in-reply-to",
    "replaces",
    "join",
    "target-dialog",
    "authorization",
    "proxy-authorization",
];

/// Masks a whole message.
pub(super) fn mask(message: &mut [u8]) {
    let head = memmem::find(message, b"\r\n\r\n").or_else(|| memmem::find(message, b"\n\n")).unwrap_or(message.len());
    let (head, body) = message.split_at_mut(head);
    uris(head);
    let mut name = Vec::new();
    // The start line has a URI at most.
    for row in head.split_mut(|&octet| octet == b'\n').skip(1) {
        let folded = matches!(row.first(), Some(b' ' | b'\t'));
        let mut value = row;
        if !folded && let Some(colon) = memchr(b':', value) {
            let (before, after) = value.split_at_mut(colon);
            name = before.trim_ascii().to_ascii_lowercase();
            value = after;
        }
        header(&name, value);
    }
    uris(body);
    body.split_mut(|&octet| octet == b'\n').for_each(body_line);
}

/// Masks a line of a body. Whatever its type is, a line of a session description keeps what is judged, and so do the lines that cut a body into
/// parts.
fn body_line(line: &mut [u8]) {
    match line {
        [b'o', b'=', rest @ ..] => {
            let user = memchr(b' ', rest).unwrap_or(rest.len());
            long_numbers(rest.get_mut(..user).unwrap_or_default(), LONG);
        }
        [b's' | b'i' | b'p' | b'e', b'=', rest @ ..] => spread_numbers(rest),
        [b'a', b'=', b'x' | b'X', b'-', rest @ ..] => long_numbers(rest, LONG),
        [kind, b'=', ..] if kind.is_ascii_lowercase() => {}
        [b'-', b'-', ..] => {}
        _ if line.get(..8).is_some_and(|begin| begin.eq_ignore_ascii_case(b"content-")) => {}
        _ => long_numbers(line, LONG),
    }
}

fn header(name: &[u8], value: &mut [u8]) {
    let is = |other: &str| name == other.as_bytes();
    if is("identity") || is("y") {
        let signed = memchr(b';', value).unwrap_or(value.len());
        value.iter_mut().take(signed).filter(|octet| octet.is_ascii_alphanumeric()).for_each(|octet| *octet = b'x');
        return;
    }
    // The quoted values of these are no names.
    if ["call-id", "i", "via", "v", "content-type", "c"].into_iter().any(is) {
        return;
    }
    display_names(value);
    if !MEANT.iter().any(|meant| is(meant)) {
        long_numbers(value, LONG);
    }
}

/// Masks the user parts of all URIs in a text.
fn uris(text: &mut [u8]) {
    let mut at = 0;
    while let Some(colon) = text.get(at..).and_then(|rest| memchr(b':', rest)).map(|found| at + found) {
        at = colon + 1;
        let before = text.get(..colon).unwrap_or_default();
        let scheme = before.rsplit(|octet| !octet.is_ascii_alphanumeric()).next().unwrap_or_default();
        let ends = |octet: &u8| matches!(octet, b' ' | b'\t' | b'\r' | b'\n' | b'<' | b'>');
        let rest = text.get(at..).unwrap_or_default();
        let end = rest.iter().position(ends).unwrap_or(rest.len());
        let rest = rest.get(..end).unwrap_or_default();
        let whole = rest.len();
        let user = if scheme.eq_ignore_ascii_case(b"sip") || scheme.eq_ignore_ascii_case(b"sips") {
            // The last one, as in the log: what stands before it is a user part by any reading.
            memchr::memrchr(b'@', rest)
        } else if scheme.eq_ignore_ascii_case(b"tel") {
            // What follows may belong to the header.
            Some(memchr(b';', rest).unwrap_or(rest.len()))
        } else {
            None
        };
        if let Some(user) = user {
            if let Some(user) = text.get_mut(at..at + user) {
                digits(user);
            }
            if let Some(behind) = text.get_mut(at + user..at + whole) {
                parameters(behind);
            }
            at += user;
        }
    }
    let context = b"phone-context=";
    let found: Vec<usize> = memmem::find_iter(&text.to_ascii_lowercase(), context).map(|at| at + context.len()).collect();
    for at in found {
        let rest = text.get_mut(at..).unwrap_or_default();
        let number =
            rest.iter().position(|octet| !matches!(octet, b'+' | b'0'..=b'9' | b'-' | b'.' | b'x')).unwrap_or(rest.len());
        if let Some(number) = rest.get_mut(..number) {
            digits(number);
        }
    }
}

/// Parameters whose numbers name no telephone: what stands behind a bare URI belongs to the header.
const NO_TELEPHONE: [&[u8]; 8] = [b"tag", b"branch", b"rf", b"expires", b"received", b"rport", b"port", b"transport"];

/// Masks the long numbers in the parameters and headers behind a URI's host, or behind a telephone's number.
pub(super) fn parameters(text: &mut [u8]) {
    let begin = text.iter().position(|octet| matches!(octet, b';' | b'?')).unwrap_or(text.len());
    for part in text.get_mut(begin..).unwrap_or_default().split_mut(|octet| matches!(octet, b';' | b'?' | b'&')) {
        let name = part.split(|&octet| octet == b'=').next().unwrap_or_default().trim_ascii();
        if NO_TELEPHONE.iter().any(|of| name.eq_ignore_ascii_case(of)) {
            continue;
        }
        let whole = name.eq_ignore_ascii_case(b"phone-context");
        let from = memchr(b'=', part).map_or(0, |at| at + 1);
        let value = part.get_mut(from..).unwrap_or_default();
        if whole || spelled(value).is_some_and(|count| count >= LONG) {
            digits(value);
        } else {
            long_numbers(value, LONG);
        }
    }
}

/// How many digits a value has, escaped ones too. `None`: it has letters.
fn spelled(value: &[u8]) -> Option<usize> {
    let (mut rest, mut count) = (value, 0);
    while let Some((&octet, behind)) = rest.split_first() {
        rest = behind;
        match (octet, behind) {
            (b'%', [tens, ones, behind @ ..]) => {
                count += usize::from(*tens == b'3' && ones.is_ascii_digit());
                rest = behind;
            }
            _ if octet.is_ascii_alphabetic() => return None,
            _ => count += usize::from(octet.is_ascii_digit()),
        }
    }
    Some(count)
}

/// Masks display names that are numbers, and long numbers in others. Quoted values of parameters are treated alike.
fn display_names(value: &mut [u8]) {
    let mut begin = 0;
    let mut at = 0;
    while let Some(&octet) = value.get(at) {
        match octet {
            b'"' => {
                let mut end = at + 1;
                while let Some(&inner) = value.get(end).filter(|&&inner| inner != b'"') {
                    end += if inner == b'\\' { 2 } else { 1 };
                }
                if let Some(quoted) = value.get_mut(at + 1..end) {
                    named(quoted);
                }
                at = end;
                begin = end + 1;
            }
            b'<' => {
                if let Some(name) = value.get_mut(begin..at) {
                    named(name);
                }
                at = value.get(at..).and_then(|rest| memchr(b'>', rest)).map_or(value.len(), |end| at + end);
                begin = at + 1;
            }
            b',' | b':' => begin = at + 1,
            _ => {}
        }
        at += 1;
    }
}

/// Masks a name: whole, if it is a number; else the long numbers in it.
fn named(name: &mut [u8]) {
    let number = |octet: &u8| matches!(octet, b'0'..=b'9' | b'+' | b'-' | b'.' | b'(' | b')' | b'/' | b' ' | b'\t');
    if name.iter().filter(|octet| octet.is_ascii_digit()).count() >= 3 && name.iter().all(number) {
        let begin = name.iter().position(|octet| !matches!(octet, b' ' | b'\t')).unwrap_or_default();
        digits(name.get_mut(begin..).unwrap_or_default());
    } else {
        spread_numbers(name);
    }
}

/// Masks the long numbers in a text, however their digits are spread.
pub(super) fn spread_numbers(text: &mut [u8]) {
    let part = |octet: &u8| matches!(octet, b'0'..=b'9' | b'+' | b'-' | b'.' | b'(' | b')' | b'/' | b' ' | b'\t');
    for run in text.chunk_by_mut(|one, next| part(one) == part(next)) {
        if run.iter().filter(|octet| octet.is_ascii_digit()).count() >= LONG {
            let begin = run.iter().position(|octet| !matches!(octet, b' ' | b'\t')).unwrap_or_default();
            digits(run.get_mut(begin..).unwrap_or_default());
        }
    }
}

/// Masks numbers of at least so many digits in a row.
pub(super) fn long_numbers(text: &mut [u8], least: usize) {
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)).map(|found| at + found) {
        let rest = text.get(found..).unwrap_or_default();
        let length = rest.iter().position(|octet| !octet.is_ascii_digit()).unwrap_or(rest.len());
        let plus = found.checked_sub(1).filter(|&before| text.get(before) == Some(&b'+'));
        if length >= least
            && let Some(number) = text.get_mut(plus.unwrap_or(found)..found + length)
        {
            digits(number);
        }
        at = found + length;
    }
}

/// Masks the digits of a number but for those of its country. An escaped digit stays an escape.
fn digits(number: &mut [u8]) {
    let mut at = country(number).len();
    while let Some(&octet) = number.get(at) {
        if octet == b'%' {
            if let Some([tens, ones]) = number.get_mut(at + 1..at + 3)
                && *tens == b'3'
                && ones.is_ascii_digit()
            {
                [*tens, *ones] = *b"78";
            }
            at += 3;
            continue;
        }
        if octet.is_ascii_digit()
            && let Some(octet) = number.get_mut(at)
        {
            *octet = b'x';
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::config::{Config, ListenerId};
    use crate::core::Core;
    use crate::core::io::{Arrival, Input, Output};
    use crate::dns::Resolved;
    use crate::sip::{Message, Request, body, sdp};

    fn masked(text: &str) -> String {
        let mut bytes = text.replace('\n', "\r\n").into_bytes();
        mask(&mut bytes);
        String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
    }

    #[test]
    fn no_number_is_left_and_nothing_else_is_changed() {
        let message = "INVITE sip:+4930123456;npdi;rn=+4930999999@acme.us.example.com:5060;user=phone SIP/2.0\n\
             Via: SIP/2.0/UDP 54.171.127.193:5060;branch=z9hG4bK7761234567890;rport\n\
             f: \"+1 (555) 123-4567\" <sip:015551234567@54.171.127.193>;tag=1928301774\n\
             t: 4930123456 <tel:+4930123456;phone-context=+4930123>\n\
             From: tel:+4930123456;tag=19283017741\n\
             P-Asserted-Identity: \"Alice 4930123456\" <sips:%2B4930%31%32@h.example>, <tel:4930123>\n\
             Remote-Party-ID: <SIP:1001@10.0.0.1>;party=calling;screen=yes\n\
             Diversion: <sip:+4930777777@10.0.0.1>;reason=unconditional;counter=1\n\
             m: sip:alice:4711@10.0.0.1:5060\n\
             Call-ID: 1234567890@54.171.127.193\n\
             CSeq: 1234567890 INVITE\n\
             X-Account: id=4930123456;+4930123456\n\
             Refer-To: <sip:+4930123456@h?Replaces=12345678901%3Bto-tag%3D7>\n\
             Identity: eyJhbGciOi.eyJkZXN0Ijp7.c2ln;info=<https://cert.example/4>;alg=ES256\n\
             Content-Type: application/sdp\n\
             Content-Length: 52\n\n\
             v=0\no=- 1234567890 1234567890 IN IP4 10.0.0.1\ns=-\n";
        let expected = "INVITE sip:+493xxxxxxx;npdi;rn=+xxxxxxxxxx@acme.us.example.com:5060;user=phone SIP/2.0\n\
             Via: SIP/2.0/UDP 54.171.127.193:5060;branch=z9hG4bK7761234567890;rport\n\
             f: \"+x (xxx) xxx-xxxx\" <sip:xxxxxxxxxxxx@54.171.127.193>;tag=1928301774\n\
             t: xxxxxxxxxx <tel:+493xxxxxxx;phone-context=+493xxxx>\n\
             From: tel:+493xxxxxxx;tag=19283017741\n\
             P-Asserted-Identity: \"Alice xxxxxxxxxx\" <sips:%2Bxxxx%78%78@h.example>, <tel:xxxxxxx>\n\
             Remote-Party-ID: <SIP:xxxx@10.0.0.1>;party=calling;screen=yes\n\
             Diversion: <sip:+493xxxxxxx@10.0.0.1>;reason=unconditional;counter=1\n\
             m: sip:alice:xxxx@10.0.0.1:5060\n\
             Call-ID: 1234567890@54.171.127.193\n\
             CSeq: 1234567890 INVITE\n\
             X-Account: id=xxxxxxxxxx;+493xxxxxxx\n\
             Refer-To: <sip:+493xxxxxxx@h?Replaces=xxxxxxxxxxx%3Bto-tag%3D7>\n\
             Identity: xxxxxxxxxx.xxxxxxxxxxxx.xxxx;info=<https://cert.example/4>;alg=ES256\n\
             Content-Type: application/sdp\n\
             Content-Length: 52\n\n\
             v=0\no=- 1234567890 1234567890 IN IP4 10.0.0.1\ns=-\n";
        let masked = masked(message);
        for (is, should) in masked.lines().zip(expected.lines()) {
            assert_eq!(is, should);
        }
        assert_eq!(masked.len(), message.len());
    }

    #[test]
    fn a_text_has_no_long_number_left() {
        let text =
            "MESSAGE sip:a@h SIP/2.0\nContent-Type: text/plain\n\ncall +4930123456 or 4930123 or 123456, sip:+4930123456@h\n";
        assert!(masked(text).ends_with("call +493xxxxxxx or xxxxxxx or 123456, sip:+493xxxxxxx@h\n"), "{}", masked(text));
    }

    /// Every message of the fixtures is read and judged after masking as it was before.
    #[test]
    fn a_masked_message_is_judged_as_before() {
        let page = include_str!("../../docs/configuration.md");
        let text = page.split_once("<!-- example -->\n```toml\n").unwrap().1.split_once("[secret]").unwrap().0;
        let config = Arc::new(crate::config::parse(std::path::Path::new("ringfence.toml"), text).unwrap());
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/sip-fixtures"))];
        let (mut count, mut judged) = (0, 0);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                let bytes = std::fs::read(entry.path()).unwrap();
                let mut other = bytes.clone();
                mask(&mut other);
                assert_eq!(bytes.len(), other.len());
                assert_eq!(reading(&bytes), reading(&other), "{}", entry.path().display());
                let verdict = |bytes| verdict(&config, bytes);
                assert_eq!(verdict(&bytes), verdict(&other), "{}", entry.path().display());
                judged += usize::from(verdict(&bytes).iter().any(|note| note.starts_with("Verdict")));
                count += 1;
            }
        }
        assert!(count > 100 && judged > 30, "{count} fixtures, {judged} judged");
    }

    #[test]
    fn what_is_judged_in_a_body_stays_and_what_names_a_telephone_does_not() {
        let page = include_str!("../../docs/configuration.md");
        let text = page.split_once("<!-- example -->\n```toml\n").unwrap().1.split_once("[secret]").unwrap().0;
        let config = Arc::new(crate::config::parse(std::path::Path::new("ringfence.toml"), text).unwrap());
        let described = "v=0\no=+4930123456 1 1 IN IP4 198.51.100.7\ns=Call from 49 30 123456\ni=4930123456\np=+49-30-123456\n\
             c=IN IP4 198.51.100.7\nt=0 0\nm=audio 40000 RTP/AVP 8\n\
             a=candidate:1 1 UDP 2130706431 198.51.100.7 40000 typ host\na=x-caller:4930123456\n";
        let parts = "------=_Part_1234567890\nContent-Type: application/sdp\nContent-ID: <4930123456>\n\nDESCRIBED\n\
             ------=_Part_1234567890\nContent-Type: text/plain\n\ncaller 4930123456\n------=_Part_1234567890--\n";
        let parts = parts.replace("DESCRIBED", described);
        let kinds = [
            ("application/sdp", described),
            ("text/plain", described),
            ("application/x-foo", described),
            ("multipart/mixed;boundary=\"----=_Part_1234567890\"", &*parts),
            ("text/plain", "caller +49 (30) 123456, 4930123456\n"),
        ];
        for (kind, body) in kinds {
            let length = body.replace('\n', "\r\n").len();
            let message = format!(
                "INVITE sip:+4930123456@acme.eu.sip.example.com;ext=4930123456 SIP/2.0\nVia: SIP/2.0/UDP 54.171.127.193:5060;branch=z9hG4bK1\n\
                 From: \"Alice +49-30-123456\" <sip:+4930123456@h;otg=+4930123456?Call-Info=4930123456>;tag=4930123456\n\
                 To: <tel:+4930123456;isub=4930123456>\nCall-ID: c\nCSeq: 1 INVITE\nMax-Forwards: 70\nContact: <sip:a@54.171.127.193>\n\
                 Content-Type: {kind}\nContent-Length: {length}\n\n{body}"
            );
            let bytes = message.replace('\n', "\r\n").into_bytes();
            let mut other = bytes.clone();
            mask(&mut other);
            assert_eq!(reading(&bytes), reading(&other), "{kind}");
            assert_eq!(verdict(&config, &bytes), verdict(&config, &other), "{kind}");
            let shown = String::from_utf8(other).unwrap().replace(";tag=4930123456", "").replace("<4930123456>", "");
            for number in ["30123456", "30 123456", "30-123456"] {
                assert!(!shown.contains(number), "{kind}: {number} in {shown}");
            }
        }
    }

    /// How a message of the example's trunk is judged: what is noted of it.
    fn verdict(config: &Arc<Config>, bytes: &[u8]) -> Vec<String> {
        let (now, targets) = (Instant::now(), Arc::new(Resolved::unknown(config.names.len())));
        let mut core = Core::new(Arc::clone(config), targets, [7; 16], now);
        let (listener, from) = (ListenerId(0), "54.171.127.193:5060".parse().unwrap());
        let local = config.listener(listener).addr;
        let mut out = Vec::new();
        let arrival = Arrival { listener, from, local, connection: None, shown: None };
        core.handle(now, Input::Message { arrival, bytes }, &mut out);
        let notes = out.iter().filter_map(|output| if let Output::Note(note) = output { Some(note) } else { None });
        notes.map(|note| format!("{note:?}")).collect()
    }

    /// How a message is read: its fault, its endpoint, what names its dialog, and its media.
    fn reading(bytes: &[u8]) -> String {
        struct Nowhere;
        impl sdp::Inside for Nowhere {
            fn holds(&self, _: std::net::IpAddr) -> bool {
                false
            }

            fn holds_unused(&self, _: std::net::IpAddr) -> bool {
                false
            }
        }
        let message = match Message::datagram(bytes) {
            Ok(message) => message,
            Err(fault) => return format!("{fault:?}"),
        };
        let request = Request::read(&message).map(|request| {
            let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
            let (tag, id) = (text(request.from_tag), text(request.call_id));
            format!("{} {tag} {id} {} {:?}", text(request.uri.hostport), request.cseq, request.to_tag.map(text))
        });
        format!("{:?} {request:?} {:?}", message.fault(), body::judge(&message, Nowhere).is_err())
    }
}
