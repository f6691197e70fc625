//! The short ways read as the full readers do, whatever the text.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::sample::select;

use super::*;
use crate::sip::alike;

/// Usual and unusual pieces, in any order.
fn text() -> impl Strategy<Value = String> {
    let pieces = [
        "sip:",
        "SIPS:",
        "tel:",
        "a",
        "bob",
        "+49",
        "@",
        "example.com",
        "192.0.2.1",
        "h-1.x_y",
        "1.2",
        "01.2.3.4",
        "300.1.1.1",
        ".",
        "..",
        ":",
        ":5060",
        ":0",
        ":65536",
        ";",
        ";lr",
        ";transport=udp",
        ";maddr=x",
        ";tag=1",
        ";tag",
        ";x=\"a;b\"",
        ";=",
        "=",
        "?x=y",
        "<",
        ">",
        "\"",
        "\"a, b\" ",
        " ",
        ", ",
        "\\",
        "[::1]",
        "%41",
        "\t",
        "\u{8}",
        "\u{e9}",
        "SIP/2.0/UDP ",
        "SIP/2.0/ ",
        ";branch=z9hG4bK1",
        ";branch=z9hG4bK",
        ";rport",
        ";rport=1",
        ";received=192.0.2.9",
        "\r\n ",
        "9",
    ];
    let usual = select(vec![
        "<sip:a@b.example:5060;lr>;tag=1",
        "\"A B\" <sips:a@192.0.2.1>",
        "SIP/2.0/TCP h.example;rport;branch=z9hG4bKx",
        "sip:+1;npdi@h;user=phone",
    ]);
    (
        prop_oneof![usual.prop_map(str::to_owned), vec(select(pieces.to_vec()), 0..8).prop_map(|pieces| pieces.concat())],
        0..40_usize,
        select(pieces.to_vec()),
    )
        .prop_map(|(mut text, at, piece)| {
            if text.is_char_boundary(at) {
                text.insert_str(at, piece);
            }
            text
        })
}

/// Any octet, most often one that means something.
fn octet() -> impl Strategy<Value = u8> {
    prop_oneof![select(b"sip:a@b.c;=<>\"1 ,?[]\\\t\r\n\0\x7f\xff".to_vec()), any::<u8>()]
}

/// Lines of descriptions, usual and unusual, with usual and unusual ends. Most are long enough for several blocks.
fn description() -> impl Strategy<Value = Vec<u8>> {
    let lines: [&[u8]; 46] = [
        b"v=0",
        b"o=- 1 1 IN IP4 10.0.0.1",
        b"s=-",
        b"t=0 0",
        b"c=IN IP4 10.0.0.1",
        b"c=IN IP4 10.0.0.8",
        b"c=IN IP4 0.0.0.0",
        b"c=IN IP4 224.0.0.1",
        b"c=IN IP4  10.0.0.1",
        b"c=IN IP6 ::1",
        b"c=IN IP4 a.invalid",
        b"c=IN IP4 10.0.0.1 ",
        b"c=IN IP4 010.0.0.1",
        b"m=audio 4000 RTP/AVP 0",
        b"m=audio 0 RTP/AVP 0",
        b"m=audio 4000/2 RTP/AVP 0",
        b"m=audio 4000",
        b"m=audio 65536 RTP/AVP 0",
        b"m=audio 04000 RTP/AVP 0",
        b"m=audio 000004000 RTP/AVP",
        b"m= 4000 RTP/AVP 0",
        b"m=audio  4000 RTP/AVP 0",
        b"m=audio 4000 ",
        b"m=audio 4000  RTP",
        b"a=rtpmap:8 PCMA/8000",
        b"a=rtpmap:0 IP4 10.0.0.8",
        b"a=fmtp:18 x ip6 ::8",
        b"a=ptime:20",
        b"a=sendrecv",
        b"a= sendrecv",
        b"a=sendrecv ",
        b"a=inactive",
        b"a=rtcp:4001 IN IP4 10.0.0.8",
        b"a=rtcp-mux",
        b"a=bundle-only",
        b"a=candidate:1 1 UDP 1 10.0.0.8 4000 typ host",
        b"a=x-candidate:10.0.0.8",
        b"a=mid:candidate 10.0.0.8",
        b"a=alt:1",
        b"a=crypto:1 AES inline:ipip",
        b"a=fingerprint:sha-256 IP4 10.0.0.9 IP4 10.0.0.16",
        b"a=ice-ufrag:IP4",
        b"k=uri:sip://10.0.0.8/",
        b"b=AS:64",
        b"",
        b"x",
    ];
    let ends: [&[u8]; 14] = [
        b"\r\n",
        b"\r\n",
        b"\r\n",
        b"\r\n",
        b"\r\n",
        b"\n",
        b"\n",
        b"\r",
        b"\r\r\n",
        b"\t\r\n",
        b"\x7f\r\n",
        b"\xe2\x80\xa8",
        b" \r\n",
        b"\0\n",
    ];
    let line = (select(lines.to_vec()), select(ends.to_vec()));
    let usual = select(ends[..6].to_vec());
    (vec(line, 0..24), prop_oneof![4 => usual.prop_map(Some), 1 => proptest::strategy::Just(None)], 0..70_usize).prop_map(
        |(lines, end, filler)| {
            let mut text = Vec::new();
            for (at, (line, own)) in lines.iter().enumerate() {
                text.extend_from_slice(if at == 0 { b"v=0" } else { line });
                // Moves what follows across the edges of blocks.
                if at == 1 {
                    text.extend_from_slice(b"\r\ns=");
                    text.extend(std::iter::repeat_n(b'i', filler));
                }
                text.extend_from_slice(end.unwrap_or(own));
            }
            text
        },
    )
}

proptest! {
    #[test]
    fn what_it_knows_is_what_the_readers_find(text in text()) {
        alike::values(text.as_bytes());
    }

    #[test]
    fn any_octets_are_read_alike(octets in vec(octet(), 0..200)) {
        alike::values(&octets);
    }

    #[test]
    fn descriptions_are_judged_alike(text in description()) {
        alike::descriptions(&text);
    }
}

#[test]
fn it_knows_what_is_usual() {
    for text in [
        "sip:+4930123@acme.eu.sip.example.com",
        "sip:203.0.113.20:5060;transport=udp",
        "sip:192.0.2.1:5060;lr;rf=00",
        "sips:a@h;transport=TLS",
        "sip:h",
    ] {
        assert!(uri(text.as_bytes()).is_some(), "{text}");
        for (before, after) in [("<", ">"), ("\"A, B\" <", ">;x;tag=1-2"), ("A B.C <", ">")] {
            assert!(is_name_addr([before, text, after].concat().as_bytes()), "{before}{text}{after}");
        }
    }
    for text in [
        "SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK-4711-1-0",
        "SIP/2.0/TLS h.example;received=192.0.2.1;rport=9;branch=1;x",
    ] {
        assert!(via(text.as_bytes(), 0..text.len()).is_some(), "{text}");
    }
}
