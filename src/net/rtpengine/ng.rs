//! rtpengine's ng protocol. One question and one answer, each a datagram of a cookie and a dictionary in bencode. Pure: sends
//! nothing.
//!
//! An answer is as untrusted as everything from the wire. It is read without recursion, in the order in which the relay wrote it:
//! bencode wants sorted keys, but rtpengine does not sort them. Only the fields that we need are kept.

use bytes::Bytes;
use memchr::memmem;

use crate::core::io::{RelayBody, RelayReply, RelayRequest, RelayVerb};

/// Hexadecimal digits of a cookie.
const COOKIE: usize = 32;

/// The datagram that asks a question.
pub fn question(request: &RelayRequest) -> Vec<u8> {
    let mut out = format!("{:0COOKIE$x} d", request.id.cookie).into_bytes();
    pair(&mut out, "command", request.id.verb.label().as_bytes());
    match &request.body {
        RelayBody::Session { call_id, from_tag, to_tag, sdp } => {
            pair(&mut out, "call-id", call_id);
            pair(&mut out, "from-tag", from_tag);
            if let Some(to_tag) = to_tag {
                pair(&mut out, "to-tag", to_tag);
            }
            pair(&mut out, "sdp", sdp);
            // Candidates would lead media around the relay.
            pair(&mut out, "ICE", b"remove");
            list(&mut out, "replace", &["origin", "session-connection"]);
            // Media goes where the description says, which was judged: never where a packet came from.
            list(&mut out, "flags", &["asymmetric"]);
            pair(&mut out, "endpoint-learning", b"off");
            // Encrypted media stays as it was offered: without this DTLS would be offered beside SDES.
            if request.id.verb == RelayVerb::Offer && memmem::find(sdp, b"a=fingerprint:").is_none() {
                pair(&mut out, "DTLS", b"off");
            }
        }
        RelayBody::Delete { call_id } => {
            pair(&mut out, "call-id", call_id);
            text(&mut out, b"delete-delay");
            out.extend_from_slice(b"i0e");
        }
        RelayBody::Ping => {}
    }
    out.push(b'e');
    out
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text.len().to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(text);
}

fn pair(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    text(out, key.as_bytes());
    text(out, value);
}

fn list(out: &mut Vec<u8>, key: &str, values: &[&str]) {
    text(out, key.as_bytes());
    out.push(b'l');
    for value in values {
        text(out, value.as_bytes());
    }
    out.push(b'e');
}

/// The cookie and content of an answer; `None`: it cannot be read.
pub fn answer(datagram: &[u8]) -> Option<(u128, RelayReply)> {
    let (digits, rest) = datagram.split_at_checked(COOKIE)?;
    if !digits.iter().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let cookie = u128::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    let mut rest = rest.strip_prefix(b" d")?;
    let (mut result, mut sdp) = (None, None);
    loop {
        if let Some(end) = rest.strip_prefix(b"e") {
            if !end.is_empty() {
                return None;
            }
            break;
        }
        let (key, after) = string(rest)?;
        let behind = skip(after)?;
        if let Some((value, _)) = string(after) {
            match key {
                b"result" => result = Some(value),
                b"sdp" => sdp = Some(value),
                _ => {}
            }
        }
        rest = behind;
    }
    Some((
        cookie,
        match result? {
            b"ok" | b"pong" => RelayReply::Done(sdp.map(Bytes::copy_from_slice)),
            _ => RelayReply::Refused,
        },
    ))
}

/// A string, and the text after it.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = text.iter().take(8).position(|&octet| octet == b':')?;
    let (digits, rest) = text.split_at_checked(colon)?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    rest.get(1..)?.split_at_checked(length)
}

/// The text after a value of any kind, at any depth.
fn skip(mut text: &[u8]) -> Option<&[u8]> {
    let mut depth = 0_usize;
    loop {
        text = match text {
            [b'l' | b'd', rest @ ..] => {
                depth = depth.checked_add(1)?;
                rest
            }
            [b'e', rest @ ..] => {
                depth = depth.checked_sub(1)?;
                rest
            }
            [b'i', rest @ ..] => rest.get(rest.iter().position(|&octet| octet == b'e')?.checked_add(1)?..)?,
            _ => string(text)?.1,
        };
        if depth == 0 {
            return Some(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;

    use bt_bencode::Value;
    use proptest::prelude::*;

    use super::*;
    use crate::core::io::RelayRequestId;
    use crate::fence::{Fence, Networks};

    const TAG: &str = "0123456789abcdef0123456789abcdef";

    fn asked(verb: RelayVerb, body: RelayBody) -> BTreeMap<String, Value> {
        let addr: SocketAddr = "10.1.0.8:2223".parse().unwrap();
        let networks: Networks = ["10.1.0.0/16".parse().unwrap()].into_iter().collect();
        let relay = Fence::of_region(&networks).admit(addr).unwrap();
        let id = RelayRequestId { call: None, relay: addr, verb, cookie: 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef };
        let question = question(&RelayRequest { relay, id, body });
        let dictionary = question.strip_prefix(format!("{TAG} ").as_bytes()).unwrap();
        bt_bencode::from_slice(dictionary).unwrap()
    }

    fn read(dictionary: &[u8]) -> Option<RelayReply> {
        answer(&[TAG.as_bytes(), b" ", dictionary].concat()).map(|(_, reply)| reply)
    }

    #[test]
    fn another_reader_finds_what_was_asked() {
        let (call_id, sdp) = (b"acme/carrier/a\xff@b".to_vec(), b"v=0\r\n".to_vec());
        let session = |to_tag| RelayBody::Session { call_id: call_id.clone(), from_tag: b"f".to_vec(), to_tag, sdp: sdp.clone() };
        for (ask, to_tag) in [(RelayVerb::Offer, None), (RelayVerb::Answer, Some(b"t".to_vec()))] {
            let found = asked(ask, session(to_tag.clone()));
            let texts = |key: &str| found.get(key).and_then(Value::as_byte_str).map(|text| text.to_vec());
            let lists = |key: &str| -> Vec<&str> { found[key].as_list().unwrap().iter().filter_map(Value::as_str).collect() };
            assert_eq!(texts("command").unwrap(), ask.label().as_bytes());
            assert_eq!((texts("call-id").unwrap(), texts("sdp").unwrap()), (call_id.clone(), sdp.clone()));
            assert_eq!((texts("from-tag").unwrap(), texts("to-tag")), (b"f".to_vec(), to_tag));
            assert_eq!((texts("ICE").unwrap(), texts("endpoint-learning").unwrap()), (b"remove".to_vec(), b"off".to_vec()));
            assert_eq!(texts("DTLS"), (ask == RelayVerb::Offer).then(|| b"off".to_vec()));
            assert_eq!((lists("flags"), lists("replace")), (vec!["asymmetric"], vec!["origin", "session-connection"]));
        }
        let delete = asked(RelayVerb::Delete, RelayBody::Delete { call_id: call_id.clone() });
        assert_eq!((delete.len(), delete["delete-delay"].as_u64()), (3, Some(0)));
        assert_eq!(delete["call-id"].as_byte_str().unwrap().to_vec(), call_id);
        assert_eq!(asked(RelayVerb::Ping, RelayBody::Ping).len(), 1);
    }

    #[test]
    fn answers_are_read_as_they_come() {
        let done = |sdp: &'static [u8]| Some(RelayReply::Done(Some(Bytes::from_static(sdp))));
        assert_eq!(read(b"d3:sdp3:v=06:result2:oke"), done(b"v=0"));
        assert_eq!(read(b"d6:result4:ponge"), Some(RelayReply::Done(None)));
        assert_eq!(read(b"d3:tagd1:xli1ei-2eee6:result2:ok3:sdp1:ve"), done(b"v"));
        assert_eq!(read(b"d12:error-reason3:why6:result5:errore"), Some(RelayReply::Refused));
        assert_eq!(read(b"d7:message4:full6:result10:load limite"), Some(RelayReply::Refused));
        for broken in [
            &b""[..],
            b"d",
            b"de",
            b"i1e",
            b"d6:result2:ok",
            b"d6:result2:okee",
            b"d6:result3:ok",
            b"d6:resulti1ee",
            b"d3:sdp1:ve",
            b"d99999999:a",
            b"d6:result2:ok-1:e",
            b"d:6:result2:oke",
        ] {
            assert_eq!(read(broken), None, "{}", broken.escape_ascii());
        }
        assert_eq!(answer(b"0123456789ABCDEF0123456789ABCDEF d6:result2:oke"), None);
        assert_eq!(answer(b"+123456789abcdef0123456789abcdef d6:result2:oke"), None);
        // Deeper than any stack.
        let deep = [b"d1:x".as_slice(), &vec![b'l'; 30_000], &vec![b'e'; 30_000], b"6:result2:oke"].concat();
        assert_eq!(read(&deep), Some(RelayReply::Done(None)));
        assert_eq!(read(&[b"d1:x".as_slice(), &vec![b'l'; 65_000]].concat()), None);
    }

    fn value() -> impl Strategy<Value = Value> {
        let bytes = || {
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Value::ByteStr(bt_bencode::ByteString::from(bytes)))
        };
        let leaf = prop_oneof![any::<i64>().prop_map(Value::from), bytes()];
        leaf.prop_recursive(4, 20, 4, move |inner| {
            let keys = proptest::collection::vec(any::<u8>(), 0..6).prop_map(bt_bencode::ByteString::from);
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                proptest::collection::btree_map(keys, inner, 0..4).prop_map(Value::Dict),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_another_writer_writes_is_read(
            others in proptest::collection::btree_map("[a-z]{1,6}[0-9]", value(), 0..5),
            sdp in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..50)),
            result in "ok|pong|error|load limit",
        ) {
            let mut all: BTreeMap<String, Value> = others;
            all.insert("result".to_owned(), Value::from(result.as_str()));
            if let Some(sdp) = &sdp {
                all.insert("sdp".to_owned(), Value::ByteStr(bt_bencode::ByteString::from(sdp.clone())));
            }
            let done = matches!(result.as_str(), "ok" | "pong");
            let expected = if done { RelayReply::Done(sdp.map(Bytes::from)) } else { RelayReply::Refused };
            prop_assert_eq!(read(&bt_bencode::to_vec(&all).unwrap()), Some(expected));
        }

        #[test]
        fn nothing_panics(tail in proptest::collection::vec(prop_oneof![Just(b'd'), Just(b'l'), Just(b'e'), Just(b'i'), Just(b':'), b'0'..=b'9', any::<u8>()], 0..60)) {
            let _ = read(&[b"d".as_slice(), &tail].concat());
            let _ = answer(&tail);
        }
    }
}
