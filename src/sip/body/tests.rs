//! The table of bodies: where a session description is found, what is none, what cannot be taken apart.

use super::*;

const INSIDE: &str = "v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 0\r\n";
const OUTSIDE: &str = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n";

/// Judges a message with these rows and this body; `^` in the body stands for CRLF.
fn verdict(rows: &str, body: &str) -> String {
    let rows = rows.replace('^', "\r\n");
    let text = format!("INVITE sip:a@b SIP/2.0\r\nCall-ID: x\r\n{rows}\r\n\r\n{}", body.replace('^', "\r\n"));
    let message = Message::datagram(text.as_bytes()).unwrap();
    assert_eq!(message.fault(), None, "{text}");
    shown(&message)
}

fn shown(message: &Message<'_>) -> String {
    match judge(message, |ip| ip == IpAddr::from([10, 0, 0, 1])) {
        Ok(checked) => checked.descriptions.to_string(),
        Err(Objection::Description(SdpObjection::Outside { field, address })) => format!("{field} {address}"),
        Err(Objection::Description(SdpObjection::Unreadable { field, .. })) => format!("? SDP {field}"),
        Err(Objection::Body { field, .. }) => {
            let headers = ["Content-Transfer-Encoding", "Content-Encoding", "Content-Length", "Content-Type", "boundary"];
            let about = headers.into_iter().chain(["multipart", "part"]).find(|about| field.contains(about));
            format!("? {}", about.unwrap_or(field))
        }
    }
}

/// Judges a mixed multipart with boundary `b`.
fn mixed(cases: &[(&str, &str)]) {
    for (body, expected) in cases {
        assert_eq!(verdict("Content-Type: multipart/mixed;boundary=b", body), *expected, "{body}");
    }
}

/// One part in a multipart with boundary `b`, with these rows.
fn part(rows: &str, content: &str) -> String {
    verdict("Content-Type: multipart/mixed;boundary=b", &format!("--b^{rows}^^{content}^--b--"))
}

#[test]
fn md_12_a_description_under_every_spelling_of_its_type() {
    for rows in [
        "Content-Type: application/sdp",
        "c: application/sdp",
        "C : APPLICATION/SDP;charset=x",
        "content-type:Application/Sdp ; a=\"b;c\"",
        "Content-Type: application / sdp",
        "Content-Type: application^ /^ sdp",
        "Content-Type: application/sdp;",
        "Content-Type: application/sdp^Content-Encoding: Identity^Content-Transfer-Encoding: 8BIT",
        "Content-Disposition: early-session^Content-Type: application/sdp",
        // Whatever begins like one.
        "Content-Type: text/plain",
        "Subject: of no type",
        "Content-Type: application/octet-stream;boundary=b",
        "Content-Type: message/sip",
    ] {
        assert_eq!(verdict(rows, INSIDE), "1", "{rows}");
        assert_eq!(verdict(rows, OUTSIDE), "c= 192.0.2.1", "{rows}");
    }
    for before in ["\u{feff}", " ", "^^", "\t\u{feff} ^", "\0\u{b}"] {
        assert_eq!(verdict("Content-Type: text/plain", &format!("{before}{OUTSIDE}")), "c= 192.0.2.1");
        assert!(verdict("Content-Type: application/sdp", &format!("{before}{INSIDE}")).starts_with("? SDP"));
    }
}

#[test]
fn another_body_is_not_judged() {
    for (rows, body) in [
        ("Content-Type: application/isup;version=itu-t92+", "\u{1}\0c=IN IP4 192.0.2.1"),
        ("Content-Type: message/sipfrag", "SIP/2.0 100 Trying"),
        ("Content-Type: application/pidf+xml", "<presence/>"),
        ("Content-Type: application/dtmf-relay", "Signal=5^Duration=160^"),
        ("Content-Type: Image/png", "\u{1}"),
        ("Content-Type: application/pkcs7-signature", "x"),
        ("Content-Type: text/plain", ""),
        ("Content-Type: multipart/mixed", ""),
        ("Content-Type: application/sdp^Content-Encoding: gzip", ""),
        ("Subject: nothing", ""),
    ] {
        assert_eq!(verdict(rows, body), "0", "{rows}");
    }
}

#[test]
fn a_type_that_cannot_be_read() {
    for (rows, expected) in [
        ("Subject: of no type", "? Content-Type"),
        ("Content-Type: ", "? Content-Type"),
        ("Content-Type: sdp", "? Content-Type"),
        ("Content-Type: application/", "? Content-Type"),
        ("Content-Type: application/sdp, text/plain", "? Content-Type"),
        ("Content-Type: application/sdp (comment)", "? Content-Type"),
        ("Content-Type: application/s dp", "? Content-Type"),
        ("Content-Type: application/x/sdp", "? Content-Type"),
        ("Content-Type: application/sdp^c: application/sdp", "? Content-Type"),
        ("Content-Type: text/plain^Content-Type: text/plain", "? Content-Type"),
        ("Content-Type: application/pkcs7-mime;smime-type=enveloped-data", "? Content-Type"),
        ("Content-Type: application/x-PKCS7-mime", "? Content-Type"),
        ("Content-Type: application/cms", "? Content-Type"),
        ("Content-Type: multipart/encrypted;boundary=b", "? Content-Type"),
        ("Content-Type: application/sdp^Content-Encoding: gzip", "? Content-Encoding"),
        ("Content-Type: text/plain^e: identity, gzip", "? Content-Encoding"),
        ("Content-Type: application/sdp^Content-Encoding: identity^Content-Encoding: deflate", "? Content-Encoding"),
        ("Content-Type: application/sdp^Content-Encoding:", "? Content-Encoding"),
        ("Content-Type: application/sdp^Content-Transfer-Encoding: base64", "? Content-Transfer-Encoding"),
        ("Content-Type: text/plain^content-transfer-encoding : quoted-printable", "? Content-Transfer-Encoding"),
        (
            "Content-Type: text/plain^Content-Transfer-Encoding: 8bit^Content-Transfer-Encoding: 8bit",
            "? Content-Transfer-Encoding",
        ),
    ] {
        assert_eq!(verdict(rows, "some text"), expected, "{rows}");
    }
}

#[test]
fn md_11_multiparts() {
    for kind in ["mixed", "alternative", "RELATED;type=\"application/sdp\"", "signed;micalg=x", "of-its-own"] {
        let rows = format!("Content-Type: multipart/{kind} ; Boundary=\"b\"");
        for (sdp, expected) in [(INSIDE, "1"), (OUTSIDE, "c= 192.0.2.1")] {
            let with = |body: &str| assert_eq!(verdict(&rows, &body.replace('$', sdp)), expected, "{kind}: {body}");
            with("--b^Content-Type: application/sdp^^$^--b--");
            with("--b^c: application/sdp^^$--b--^");
            with("--b^Content-Type: text/plain^^x^--b^content-type : Application/SDP;x=y^^$^--b--");
            with("a preamble^^--b^Content-Type:^ application/sdp^X: y^^$^--b^^text^--b--^an epilogue^");
            // Without a type, and in the wrong one.
            with("--b^^$^--b--");
            with("--b^Content-Type: text/plain^^$^--b--");
            // Where nobody should look.
            with("$^--b^^x^--b--");
            with("--b^^x^--b--^$");
        }
    }
    mixed(&[
        (&format!("--b^^{INSIDE}^--b^^{INSIDE}^--b--"), "2"),
        (&format!("--b^^{INSIDE}^--b^^{OUTSIDE}^--b--"), "c= 192.0.2.1"),
        ("--b^Content-Type: application/isup^^v=1^--b--", "0"),
        ("--b^^^--b--", "0"),
        (&format!("--b^^{OUTSIDE}^--b--").replace('^', "\n").replace('\r', ""), "c= 192.0.2.1"),
        // Lines of a part may end otherwise.
        (&format!("--b^^{}^--b--", OUTSIDE.replace('\r', "")), "c= 192.0.2.1"),
        ("--b^^v=0^c=IN IP4 host.example^m=audio 4 RTP/AVP 0^--b--", "? SDP c="),
    ]);
}

#[test]
fn md_11_the_last_part_may_end_with_the_body() {
    for end in ["", "^", "^--b", "^--b^"] {
        mixed(&[
            (&format!("--b^^x{end}"), "0"),
            (&format!("--b^^{INSIDE}{end}"), "1"),
            (&format!("--b^^x^--b^^{OUTSIDE}{end}"), "c= 192.0.2.1"),
            (&format!("--b^Content-Type: text/plain{end}"), "? part"),
        ]);
    }
}

#[test]
fn a_body_that_may_be_an_offer_or_an_answer_is_one() {
    let noted = |line: &str, rows: &str, body: &str| {
        let text = format!("{line}\r\n{rows}\r\n\r\n{}", body.replace('^', "\r\n"));
        shown(&Message::datagram(text.as_bytes()).unwrap())
    };
    let versions = ["v=0", "v=", "v= ", "v=18446744073709551616", "o=- 1 1 IN IP4 192.0.2.1"];
    for line in ["INVITE sip:a@b SIP/2.0", "ACK sip:a@b SIP/2.0", "PRACK sip:a@b SIP/2.0", "UPDATE sip:a@b SIP/2.0"] {
        for kind in ["application/sdp", "text/plain", "application/octet-stream", "application/json", "x/y"] {
            let rows = format!("Content-Type: {kind}");
            assert!(noted(line, &rows, "just a note").starts_with("? SDP"), "{line} {kind}");
            assert_eq!(noted(line, &rows, INSIDE), "1");
            for version in versions {
                let found = noted(line, &rows, &OUTSIDE.replace("v=0", version));
                assert!(found.starts_with("? SDP") || found == "c= 192.0.2.1", "{line} {kind} {version}: {found}");
            }
            let wide: Vec<u8> = OUTSIDE.bytes().flat_map(|octet| [octet, 0]).collect();
            assert!(noted(line, &rows, &String::from_utf8(wide).unwrap()).starts_with("? SDP"), "{line} {kind}");
        }
        assert_eq!(noted(line, "Content-Type: application/pidf+xml", "<presence/>"), "0");
        assert_eq!(noted(line, "Content-Type: application/pidf+xml", &format!("<x>^{OUTSIDE}")), "c= 192.0.2.1");
    }
    // The method of a response is in its CSeq; one of 300 or more negotiates nothing.
    for (code, method, expected) in
        [(183, "INVITE", "? SDP v="), (200, "UPDATE", "? SDP v="), (200, "OPTIONS", "0"), (486, "INVITE", "0")]
    {
        let text = format!("SIP/2.0 {code} x\r\nCSeq: 1 {method}\r\nContent-Type: text/plain\r\n\r\na note");
        assert_eq!(shown(&Message::datagram(text.as_bytes()).unwrap()), expected, "{code} {method}");
    }
}

#[test]
fn elsewhere_what_a_line_begins_like_a_description_in() {
    let noted = |rows: &str, body: &str| {
        let text = format!("MESSAGE sip:a@b SIP/2.0\r\nCSeq: 1 MESSAGE\r\n{rows}\r\n\r\n{}", body.replace('^', "\r\n"));
        shown(&Message::datagram(text.as_bytes()).unwrap())
    };
    let outside = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host^";
    for kind in ["text/plain", "application/x-any", "message/sipfrag", "application/dtmf-relay"] {
        let rows = format!("Content-Type: {kind}");
        for (body, expected) in [
            ("just a note", "0"),
            ("v=hello, see you at nine^", "0"),
            ("Signal=5^Duration=160^", "0"),
            ("hello^^c=IN IP4 192.0.2.1^", "c= 192.0.2.1"),
            ("hello^^c=IN IP4 10.0.0.1^", "1"),
            ("hello^c=IN IP4 host.example^", "? SDP c="),
            (outside, "a=candidate 192.0.2.1"),
            (&format!("INVITE sip:x SIP/2.0^Content-Type: application/sdp^^{OUTSIDE}"), "c= 192.0.2.1"),
            (&format!("INVITE sip:x SIP/2.0^Content-Type: application/sdp^^{INSIDE}"), "1"),
            ("h\0e\0l\0l\0o\0", "0"),
            ("\0h\0i\0^\0c\0=\0I\0N\0 \0I\0P\0\x34\0 \0\x31\0", "? text in an encoding of its own"),
        ] {
            assert_eq!(noted(&rows, body), expected, "{kind}: {body}");
        }
    }
    for kind in ["application/trickle-ice-sdpfrag", "APPLICATION/TRICKLE-ICE-SDPFRAG;x=y"] {
        let rows = format!("Content-Type: {kind}");
        let fragment = format!("a=ice-ufrag:x^m=audio 9 RTP/AVP 0^a=mid:0^{outside}a=end-of-candidates^");
        assert_eq!(noted(&rows, &fragment), "a=candidate 192.0.2.1");
        assert_eq!(noted(&rows, &fragment.replace("192.0.2.1", "10.0.0.1")), "1");
        let part = format!("--b^{rows}^^{fragment}^--b--");
        assert_eq!(noted("Content-Type: multipart/mixed;boundary=b", &part), "a=candidate 192.0.2.1");
    }
    for kind in ["message/external-body;access-type=URL", "message/partial;id=x"] {
        assert_eq!(noted(&format!("Content-Type: {kind}"), "x"), "? Content-Type");
    }
}

#[test]
fn a_description_around_the_parts() {
    for front in ["$", "x^$", "^$", "Content-Type: application/sdp^^$", "x^a=candidate:1 1 udp 1 192.0.2.1 9 typ host^"] {
        let front = front.replace('$', OUTSIDE);
        for body in [format!("{front}--b^^x^--b--"), format!("--b^^x^--b--^{front}")] {
            let found = verdict("Content-Type: multipart/mixed;boundary=b", &body);
            assert!(found.ends_with("192.0.2.1"), "{body}: {found}");
        }
    }
    let enclosed = format!("--b^^{INSIDE}^--b^Content-Type: message/sip^^INVITE sip:a@b SIP/2.0^^{OUTSIDE}^--b--");
    mixed(&[
        (&enclosed, "1"),
        (&enclosed.replace("INVITE sip:a@b SIP/2.0^^", ""), "c= 192.0.2.1"),
        (&enclosed.replace("/sip", "/sipfrag"), "c= 192.0.2.1"),
    ]);
    mixed(&[("This is a multipart message in MIME format.^--b^^x^--b--^the end", "0")]);
}

#[test]
fn md_11_nested() {
    let nest = |depth: usize, inner: &str| {
        (0..depth).fold(inner.to_owned(), |inner, level| {
            format!("Content-Type: multipart/mixed;boundary=\"{level} x\"^^--{level} x^{inner}^--{level} x--")
        })
    };
    for (depth, expected) in [(1, "c= 192.0.2.1"), (3, "c= 192.0.2.1"), (4, "? multipart")] {
        let body = nest(depth, &format!("Content-Type: application/sdp^^{OUTSIDE}"));
        mixed(&[(&format!("--b^{body}^--b--"), expected)]);
    }
    // The parts of all of them are counted.
    let parts = |count: usize| "--b^^x^".repeat(count) + "--b--";
    mixed(&[(&parts(MAX_PARTS), "0"), (&parts(MAX_PARTS + 1), "? multipart")]);
    let inner = format!("Content-Type: multipart/mixed;boundary=c^^{}", parts(10).replace('b', "c"));
    mixed(&[(&format!("--b^{inner}^--b^{inner}^--b--"), "? multipart")]);
    // Boundaries that one begins like the other, or the same twice.
    let inner = "Content-Type: multipart/mixed;boundary=bb^^--bb^^x^--bb--";
    mixed(&[(&format!("--b^{inner}^--b--"), "? multipart")]);
    mixed(&[(&format!("--b^{}^--b--", inner.replace("bb", "b")), "? part")]);
    let outer = format!("--bb^{}^--bb--", inner.replace("bb", "b"));
    assert_eq!(verdict("Content-Type: multipart/mixed;boundary=bb", &outer), "0");
}

#[test]
fn boundaries() {
    for (params, boundary) in [
        (";boundary=simple", "simple"),
        ("; x=y ; BOUNDARY = \"a b(c)'+_,-./:=?d\"", "a b(c)'+_,-./:=?d"),
        (";x=\";boundary=no\";boundary=--", "--"),
        (";boundary=\"----=_Part_1\";charset=x", "----=_Part_1"),
        (";boundary-x=y;boundary=b", "b"),
    ] {
        let body = format!("--{boundary}^^{INSIDE}^--{boundary}^^text^--{boundary}--^");
        assert_eq!(verdict(&format!("Content-Type: multipart/mixed{params}"), &body), "1", "{params}");
        let body = format!("--{boundary}^^text^--{boundary}^^{OUTSIDE}^--{boundary}--");
        assert_eq!(verdict(&format!("Content-Type: multipart/mixed{params}"), &body), "c= 192.0.2.1", "{params}");
    }
    let long = format!(";boundary={}", "b".repeat(71));
    for params in [
        "",
        ";",
        ";boundary",
        ";boundary=",
        ";boundary=\"\"",
        ";boundary=\"b",
        ";boundary=b b",
        ";boundary=\"b\"b",
        ";boundary=\"b \"",
        ";boundary=\" b\"",
        ";boundary=\"b\\\"\"",
        ";boundary=b=",
        ";boundary=b,c",
        ";boundary=b;boundary=b",
        ";boundary=b;Boundary=c",
        ";boundary;boundary=b",
        ";boundary=b;boundary*=x",
        ";boundary*0=b",
        &long,
    ] {
        assert_eq!(verdict(&format!("Content-Type: multipart/mixed{params}"), "--b^^x^--b--"), "? boundary", "{params}");
    }
}

#[test]
fn broken_and_ambiguous_multiparts() {
    mixed(&[
        ("", "0"),
        ("x", "? multipart"),
        (INSIDE, "? multipart"),
        ("--b--", "? multipart"),
        ("--b", "? multipart"),
        ("--b^", "? part"),
        ("--b^--b--", "? multipart"),
        ("--b^^x^--b-", "? multipart"),
        // Something else on the line of a delimiter, or the boundary where none is.
        ("--b ^^x^--b--", "? multipart"),
        ("--b^^x^--b^^y^--b--x", "? multipart"),
        ("--b^^x^--b--\t^", "? multipart"),
        ("--b^^x^--bc^^y^--b--", "? multipart"),
        ("--b^^x^--B^^y^--b--", "? multipart"),
        ("--b^^x --b^^y^--b--", "? multipart"),
        ("--b^^x^---b^^y^--b--", "? multipart"),
        (" --b^^x^--b--", "? multipart"),
        ("--b^^x^--b--^--b--", "? multipart"),
        ("--b^^x^--b--^--b^^y^--b--", "? multipart"),
        // Line ends of two kinds around delimiters.
        ("--b\n^x^--b--", "? multipart"),
        ("--b^^x\n--b--", "? multipart"),
        ("--b^^x^--b\n\ny\n--b--", "? multipart"),
        ("--b^^x\r--b^^y^--b--", "? multipart"),
        // The rows of a part.
        ("--b^x^--b--", "? part"),
        ("--b^Content-Type: text/plain^--b--", "? part"),
        ("--b^Content-Type: text/plain^x^--b--", "? part"),
        ("--b^Content-Type text/plain^^x^--b--", "? part"),
        ("--b^: x^^x^--b--", "? part"),
        ("--b^ Content-Type: text/plain^^x^--b--", "? part"),
        ("--b^A: b^ ^^x^--b--", "? part"),
        ("--b^ ^^x^--b--", "? part"),
        ("--b^A: b\n\nx^--b--", "? part"),
        ("--b^A: b\rc^^x^--b--", "? part"),
        ("--b^A: \0^^x^--b--", "? part"),
    ]);
    for (rows, expected) in [
        ("Content-Type: text/plain^c: text/plain", "? Content-Type"),
        ("Content-Type: application/pkcs7-mime", "? Content-Type"),
        ("Content-Type: multipart/mixed", "? boundary"),
        ("e: gzip", "? Content-Encoding"),
        ("Content-Transfer-Encoding: x-uuencode", "? Content-Transfer-Encoding"),
        ("Content-Transfer-Encoding: binary^content-transfer-encoding: binary", "? Content-Transfer-Encoding"),
        ("Content-Type: multipart/mixed;boundary=c^Content-Transfer-Encoding: base64", "? Content-Transfer-Encoding"),
        ("Content-Length: 4", "0"),
        ("l: 6", "0"),
        ("Content-Length: 3", "? Content-Length"),
        ("Content-Length: 7", "? Content-Length"),
        ("Content-Length: x", "? Content-Length"),
        ("Content-Length: 4^l: 4", "? Content-Length"),
    ] {
        assert_eq!(part(rows, "text"), expected, "{rows}");
    }
}

#[test]
fn md_11_encoded_parts() {
    let base64 = "dj0wDQpjPUlOIElQNCAxOTIuMC4yLjENCm09YXVkaW8gNDAwMCBSVFAvQVZQIDANCg==";
    let quoted = "v=3D0=0D=0Ac=3DIN IP4 19=^2.0.2.1=0d=0am=3Daudio 4000=20RTP/AVP 0";
    for kind in ["Content-Type: application/sdp^", "Content-Type: text/plain^", ""] {
        for (encoding, content) in [
            ("base64", base64),
            ("BASE64", "dj0wDQpjPUlOIElQNCAxOTIuMC4yL^jENCm09YXVkaW8gNDAwMCBSVFAvQVZQIDANCg==^"),
            ("quoted-printable", quoted),
            ("Quoted-Printable", "v=3D0^c=3DIN IP4 192.0.2.1^m=3Daudio 4000 RTP/AVP 0^"),
            ("binary", OUTSIDE),
        ] {
            let rows = format!("{kind}Content-Transfer-Encoding: {encoding}");
            assert_eq!(part(&rows, content), "c= 192.0.2.1", "{rows}");
        }
    }
    for (encoding, content) in [
        ("base64", "dj0"),
        ("base64", "dj0w="),
        ("base64", "dj0wD==="),
        ("base64", "dj0wDR=="),
        ("base64", "dj0=dj0w"),
        ("base64", "dj 0w"),
        ("base64", "dj-_"),
        ("base64", "v=0"),
        ("quoted-printable", "v=0"),
        ("quoted-printable", "a=3"),
        ("quoted-printable", "a="),
        ("quoted-printable", "a= ^b"),
        ("quoted-printable", "a ^b"),
        ("quoted-printable", "a\t"),
    ] {
        let rows = format!("Content-Transfer-Encoding: {encoding}");
        assert_eq!(part(&rows, content), "? Content-Transfer-Encoding", "{encoding}: {content}");
    }
    // Too long for a description is none of another type's business.
    for (encoding, unit) in [("base64", "QUJD"), ("quoted-printable", "=41BC")] {
        let rows = format!("Content-Transfer-Encoding: {encoding}");
        assert_eq!(part(&rows, &unit.repeat(8000)), "0");
        assert_eq!(part(&format!("Content-Type: application/sdp^{rows}"), &unit.repeat(8000)), "? SDP size");
    }
    assert_eq!(part("Content-Transfer-Encoding: base64", &("dj0w".to_owned() + &"QUJD".repeat(8000))), "? SDP size");
}

#[test]
fn one_description_can_be_replaced_where_nothing_hangs_on_it() {
    let sdp = "v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 9 RTP/AVP 0\r\n";
    let part = |rows: &str, text: &str| format!("--b\r\n{rows}\r\n{text}\r\n");
    let (plain, typed) = (part("", "x"), part("Content-Type: application/sdp\r\n", sdp));
    let found = |kind: &str, body: &str| {
        let text = format!("INVITE sip:a@b SIP/2.0\r\nContent-Type: {kind}\r\n\r\n{body}");
        let message = Message::datagram(text.as_bytes()).unwrap();
        only_description(&message).map(|place| place.map(|place| message.slice(&place).to_vec()))
    };
    let multipart = |body: &str| found("multipart/mixed;boundary=b", &format!("{body}--b--\r\n"));
    let whole = Ok(Some(sdp.as_bytes().to_vec()));
    assert_eq!(found("application/sdp", sdp), whole);
    assert_eq!(found("Application / SDP ;charset=x", sdp), whole);
    for body in [plain.clone() + &typed, typed.clone() + &plain] {
        assert_eq!(multipart(&body), whole, "{body}");
    }
    assert_eq!(multipart(&part("Content-Type: application/sdp\r\nContent-Transfer-Encoding: 8bit\r\n", sdp)), whole);
    let inner = format!("--c\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--c--");
    assert_eq!(multipart(&part("Content-Type: multipart/mixed;boundary=c\r\n", &inner)), whole);
    for none in [multipart(&plain), found("application/isup", "x"), found("application/sdp", "")] {
        assert_eq!(none, Ok(None));
    }
    let encoded =
        part("Content-Type: application/sdp\r\nContent-Transfer-Encoding: quoted-printable\r\n", &sdp.replace('=', "=3D"));
    let measured = part(&format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n", sdp.len()), sdp);
    for body in
        [typed.clone() + &typed, encoded, measured, part("Content-Type: text/plain\r\n", sdp), typed.clone() + &part("", sdp)]
    {
        assert_eq!(multipart(&body), Err(Irreplaceable), "{body}");
    }
    // What nobody could put another description for goes nowhere: it would go around the relay.
    for (kind, body) in [
        ("text/plain", sdp),
        ("text/plain", "x"),
        ("application/trickle-ice-sdpfrag", "a=candidate:1 1 UDP 1 192.0.2.1 9 typ host\r\n"),
        ("application/isup", "x\r\na=candidate:1 1 UDP 1 192.0.2.1 9 typ host\r\n"),
    ] {
        assert_eq!(found(kind, body), Err(Irreplaceable), "{kind}");
    }
    assert_eq!(found("application/sdp", "v=0\r\nm=audio 9\r\n"), Err(Irreplaceable));
}
