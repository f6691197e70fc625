//! The table of addresses: what is judged, what is skipped, what cannot be read. Names of tests are those of `docs/standards.md`.

use super::*;
use crate::fence::canonical;

/// Inside is 10.0.0.0/8 and `2001:db8::/32`.
fn inside(ip: IpAddr) -> bool {
    match canonical(ip) {
        IpAddr::V4(ip) => ip.octets()[0] == 10,
        IpAddr::V6(ip) => ip.segments()[..2] == [0x2001, 0xdb8],
    }
}

fn shown(verdict: &Result<(), SdpObjection>) -> String {
    match verdict {
        Ok(()) => "ok".to_owned(),
        Err(SdpObjection::Outside { field, address }) => format!("{field} {address}"),
        Err(SdpObjection::Unreadable { field, .. }) => format!("? {field}"),
    }
}

/// Judges descriptions of these lines after `v=0`.
fn table(cases: &[(&str, &str)]) {
    for (lines, expected) in cases {
        let body = format!("v=0\r\n{}", lines.replace('|', "\r\n"));
        assert_eq!(shown(&judge(body.as_bytes(), inside)), *expected, "{lines}");
        let body = body.replace("\r\n", "\n");
        assert_eq!(shown(&judge(body.as_bytes(), inside)), *expected, "{lines} with LF");
    }
}

/// Judges attributes of one active stream whose `c=` is inside.
fn attributes(cases: &[(&str, &str)]) {
    for (line, expected) in cases {
        table(&[(&format!("c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0|{line}"), expected)]);
        table(&[(&format!("{line}|c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0"), expected)]);
    }
}

/// Judges what stands in the `c=` of an active stream.
fn connections(cases: &[(&str, &str)]) {
    for (address, expected) in cases {
        table(&[(&format!("c={address}|m=audio 4000 RTP/AVP 0"), expected)]);
        table(&[(&format!("m=audio 4000 RTP/AVP 0|c={address}"), expected)]);
    }
}

#[test]
fn md_01_c_of_the_stream_before_that_of_the_session() {
    table(&[
        ("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0|", "c= 192.0.2.1"),
        // Some readers take the first.
        ("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0|c=IN IP4 10.0.0.1|", "session c= 192.0.2.1"),
        ("c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0|c=IN IP4 192.0.2.1|", "c= 192.0.2.1"),
        (
            "c=IN IP4 192.0.2.1|m=audio 4 RTP/AVP 0|c=IN IP4 10.0.0.1|m=video 6 RTP/AVP 96|c=IN IP4 0.0.0.0",
            "session c= 192.0.2.1",
        ),
        ("c=IN IP4 192.0.2.1|m=audio 0 RTP/AVP 0|c=IN IP4 10.0.0.1", "ok"),
        ("c=IN IP4 192.0.2.1|m=audio 4 RTP/AVP 0|c=IN IP4 10.0.0.1|m=video 6 RTP/AVP 96", "c= 192.0.2.1"),
        ("m=audio 4000 RTP/AVP 0|", "? c="),
        ("m=audio 4000 RTP/AVP 0|a=sendrecv|c=IN IP4 192.0.2.1", "c= 192.0.2.1"),
    ]);
}

#[test]
fn md_02_every_active_stream() {
    let mut lines = "c=IN IP4 10.0.0.1|".to_owned() + &"m=audio 4000 RTP/AVP 0|".repeat(19);
    table(&[(&lines, "ok")]);
    lines += "m=audio 4000 RTP/AVP 0|c=IN IP4 192.0.2.1|";
    table(&[(&lines, "c= 192.0.2.1")]);
    lines += &"m=audio 4000 RTP/AVP 0|".repeat(19);
    table(&[(&lines, "c= 192.0.2.1")]);
    // What flows is another matter: control packets go there all the same.
    table(&[("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0|a=inactive", "c= 192.0.2.1")]);
}

#[test]
fn md_03_every_form_of_an_address() {
    connections(&[
        ("IN IP6 2001:DB8::0:1", "ok"),
        ("IN IP6 2001:0db8:0000:0000:0000:0000:0000:0001", "ok"),
        ("IN IP6 2001:db8::10.0.0.1", "ok"),
        ("IN IP6 2001:db9::1", "c= 2001:db9::1"),
        ("IN IP6 ::ffff:10.0.0.1", "ok"),
        ("IN IP6 ::FFFF:a00:1", "ok"),
        ("IN IP6 ::ffff:192.0.2.1", "c= ::ffff:192.0.2.1"),
        ("IN IP6 64:ff9b::10.0.0.1", "ok"),
        ("IN IP6 64:ff9b::c000:201", "c= 64:ff9b::c000:201"),
        // An address of another network than the one inside says: 6to4, IPv4-compatible, ISATAP.
        ("IN IP6 2002:a00:1::1", "c= 2002:a00:1::1"),
        ("IN IP6 ::10.0.0.1", "c= ::a00:1"),
        ("IN IP6 fe80::5efe:10.0.0.1", "c= fe80::5efe:a00:1"),
        ("IN IP6 fe80::1%eth0", "? c="),
        ("IN IP6 2001:db8::1%1", "? c="),
        ("IN IP6 [2001:db8::1]", "? c="),
        ("IN IP6 2001:db8:::1", "? c="),
        ("IN IP6 2001:db8::00001", "? c="),
        ("IN IP4 2001:db8::1", "? c="),
        ("IN IP6 10.0.0.1", "? c="),
        ("IN IP4 010.0.0.1", "? c="),
        ("IN IP4 10.1", "? c="),
        ("IN IP4 1.2.3", "? c="),
        ("IN IP4 0x0a.0.0.1", "? c="),
        ("IN IP4 0x7f.1", "? c="),
        ("IN IP4 167772161", "? c="),
        ("IN IP4 10.0.0.1.", "? c="),
        ("IN IP4 10.0.0.256", "? c="),
        ("IN IP4 +10.0.0.1", "? c="),
        ("IN IP4  10.0.0.1", "ok"),
        ("IN  IP4 10.0.0.1", "ok"),
        (" IN IP4 10.0.0.1", "ok"),
        ("IN IP4 10.0.0.1 ", "ok"),
        (" IN  IP4  192.0.2.1 \t", "c= 192.0.2.1"),
        ("IN IP4\t10.0.0.1", "? c="),
        ("IN IP4 10.0.0.1 192.0.2.1", "? c="),
        ("in ip4 10.0.0.1", "? c="),
        ("ATM NSAP 47", "? c="),
        ("IN IP4", "? c="),
        ("", "? c="),
    ]);
}

#[test]
fn md_04_a_host_name_cannot_be_checked() {
    connections(&[("IN IP4 host.example.com", "? c="), ("IN IP6 host.example.com", "? c="), ("IN IP4 localhost", "? c=")]);
}

#[test]
fn md_05_hold_is_no_destination() {
    connections(&[
        ("IN IP4 0.0.0.0", "ok"),
        ("IN IP6 ::", "ok"),
        ("IN IP6 0:0:0:0:0:0:0:0", "ok"),
        ("IN IP6 hold.INVALID", "ok"),
        ("IN IP6 a.b-c.invalid", "ok"),
        ("IN IP4 hold.invalid", "ok"),
        // What a lenient reader could take for an address is no hold.
        ("IN IP6 192.0.2.1.invalid", "? c="),
        ("IN IP6 192.0.2.1/x.invalid", "? c="),
        ("IN IP6 .invalid", "? c="),
        ("IN IP6 invalid", "? c="),
        ("IN IP4 a.b.invalid.", "? c="),
        ("IN IP6 ::ffff:0.0.0.0", "c= ::ffff:0.0.0.0"),
    ]);
}

#[test]
fn md_05_a_hold_by_name_hides_nothing() {
    table(&[
        ("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0|c=IN IP4 x.invalid", "c= 192.0.2.1"),
        ("c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0|c=IN IP4 x.invalid", "ok"),
        ("m=audio 4000 RTP/AVP 0|c=IN IP4 x.invalid", "ok"),
        ("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0|c=IN IP4 0.0.0.0", "session c= 192.0.2.1"),
    ]);
}

/// What no stream uses may be where the trunk signals from.
struct Lenient;

impl Inside for Lenient {
    fn holds(&self, address: IpAddr) -> bool {
        inside(address)
    }

    fn holds_unused(&self, address: IpAddr) -> bool {
        inside(address) || address == IpAddr::from([192, 0, 2, 1])
    }
}

#[test]
fn md_01_a_session_c_that_no_stream_uses() {
    for (lines, expected) in [
        ("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0|c=IN IP4 10.0.0.1", "ok"),
        ("c=IN IP4 192.0.2.2|m=audio 4000 RTP/AVP 0|c=IN IP4 10.0.0.1", "session c= 192.0.2.2"),
        ("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0|c=IN IP4 x.invalid", "c= 192.0.2.1"),
        ("c=IN IP4 192.0.2.1|m=audio 4 RTP/AVP 0|c=IN IP4 10.0.0.1|m=video 4 RTP/AVP 96", "c= 192.0.2.1"),
    ] {
        let body = format!("v=0\r\n{}", lines.replace('|', "\r\n"));
        assert_eq!(shown(&judge(body.as_bytes(), Lenient)), expected, "{lines}");
    }
}

#[test]
fn fragments() {
    let judged = |lines: &str| shown(&read(lines.replace('|', "\r\n").as_bytes(), &inside, Extent::Piece));
    for (lines, expected) in [
        ("a=ice-ufrag:x|m=audio 9 RTP/AVP 0|a=mid:0|a=candidate:1 1 UDP 1 10.0.0.1 9 typ host|a=end-of-candidates|", "ok"),
        ("m=audio 9 RTP/AVP 0|a=candidate:1 1 UDP 1 192.0.2.1 9 typ host", "a=candidate 192.0.2.1"),
        ("a=candidate:1 1 UDP 1 192.0.2.1 9 typ host", "a=candidate 192.0.2.1"),
        ("c=IN IP4 192.0.2.1", "c= 192.0.2.1"),
        ("c=IN IP4 192.0.2.1|m=audio 9 RTP/AVP 0", "c= 192.0.2.1"),
        ("v=0|m=audio 9 RTP/AVP 0", "ok"),
        ("v=1|m=audio 9 RTP/AVP 0", "ok"),
        ("a=x|and so on", "? line"),
    ] {
        assert_eq!(judged(lines), expected, "{lines}");
    }
}

#[test]
fn what_begins_like_a_description() {
    let sign = |text: &str| first_sign(text.as_bytes()).map(|found| String::from_utf8_lossy(found).into_owned());
    for text in [
        "v=0",
        "v=0 \r\no=x",
        "c=IN IP4 x",
        "C= in  ip4",
        "c=x 192.0.2.1",
        "c=\u{1}2001:db8::1",
        "m=audio 9 RTP/AVP 0",
        "a=candidate:x",
        "a=alt:1",
        "a=x IN IP4 192.0.2.1",
        "a=path:msrp://x",
    ] {
        for before in ["", "hello\r\n", "a\n\n \t", "x\r", "\u{feff}", "\0\n\0"] {
            assert_eq!(sign(&format!("{before}{text}")).as_deref(), Some(text), "{before:?}{text}");
        }
    }
    for text in [
        "",
        "hello",
        "v=hello, see you at nine\r\n",
        "v=01",
        "m=c2",
        "m=audio nine x",
        "a=sendrecv",
        "a=rtcp:9",
        "xc=IN IP4 x",
        "Signal=5\r\nDuration=160\r\n",
        "\u{1}\0c=IN IP4 x",
        "c=5",
        "c=3 x 4.5x",
        "o=- 1 1 IN IP4 192.0.2.1",
    ] {
        assert_eq!(sign(text), None, "{text}");
    }
}

#[test]
fn md_06_a_stream_with_port_0_is_off() {
    table(&[
        ("", "ok"),
        ("s=-", "ok"),
        ("m=audio 0 RTP/AVP 0", "ok"),
        ("m=audio 00 RTP/AVP 0", "ok"),
        ("c=IN IP4 192.0.2.1|m=audio 0 RTP/AVP 0|", "ok"),
        ("m=audio 0 RTP/AVP 0|c=IN IP4 192.0.2.1", "ok"),
        ("m=audio 0 RTP/AVP 0|c=IN IP4 host.example.com|a=rtcp:x", "ok"),
        ("c=IN IP4 10.0.0.1|m=audio 0 RTP/AVP 0|c=IN IP4 192.0.2.1|m=audio 4 RTP/AVP 0", "ok"),
        ("c=IN IP4 10.0.0.1|m=audio RTP/AVP 0", "? m="),
        ("c=IN IP4 10.0.0.1|m=audio 65536 RTP/AVP 0", "? m="),
        ("c=IN IP4 10.0.0.1|m=audio -1 RTP/AVP 0", "? m="),
        ("c=IN IP4 10.0.0.1|m=audio 4000/x RTP/AVP 0", "? m="),
        ("c=IN IP4 10.0.0.1|m=audio  0  RTP/AVP 0 ", "ok"),
        ("c=IN IP4 10.0.0.1|m=a\t4000 0 RTP/AVP 0", "? m="),
        ("c=IN IP4 10.0.0.1|m=audio 4000/2 RTP/AVP 0", "ok"),
    ]);
}

#[test]
fn md_06_candidates_count_even_there() {
    table(&[
        ("m=audio 0 RTP/AVP 0|a=candidate:1 1 UDP 1 192.0.2.1 9 typ host", "a=candidate 192.0.2.1"),
        ("m=audio 00/1 RTP/AVP 0|a=candidate:1 1 UDP 1 192.0.2.1 9 typ host", "a=candidate 192.0.2.1"),
        ("m=audio 0 RTP/AVP 0|a=candidate:1 1", "? a=candidate"),
        ("m=audio 0 RTP/AVP 0|a=remote-candidates:1 192.0.2.1 9", "a=remote-candidates 192.0.2.1"),
        ("m=audio 0 RTP/AVP 0|a=x-candidate-ipv6:1 1 UDP 1 2001:db9::1 9 typ host", "a=candidate 2001:db9::1"),
        ("m=audio 0 RTP/AVP 0|a=rtcp:9 IN IP4 192.0.2.1|a=path:msrp://192.0.2.1/x;tcp|a=end-of-candidates", "ok"),
    ]);
}

#[test]
fn md_06_bundle_only_is_not_off() {
    table(&[
        ("c=IN IP4 10.0.0.1|m=audio 4 RTP/AVP 0|m=video 0 RTP/AVP 96|a=bundle-only", "ok"),
        ("m=audio 4 RTP/AVP 0|c=IN IP4 10.0.0.1|m=video 0 RTP/AVP 96|a=bundle-only", "ok"),
        ("c=IN IP4 192.0.2.1|m=video 0 RTP/AVP 96|a=bundle-only", "c= 192.0.2.1"),
        ("m=video 0 RTP/AVP 96|c=IN IP4 192.0.2.1|a=bundle-only", "c= 192.0.2.1"),
        ("m=video 0 RTP/AVP 96|a=bundle-only|c=IN IP4 192.0.2.1", "c= 192.0.2.1"),
        ("m=video 0 RTP/AVP 96|c=IN IP4 0.0.0.0|a=bundle-only", "ok"),
        ("m=video 0 RTP/AVP 96|c=IN IP4 x.example|a=Bundle-Only ", "? c="),
        ("m=video 0 RTP/AVP 96|a=candidate:1 1 UDP 1 192.0.2.1 8 typ host|a=bundle-only", "a=candidate 192.0.2.1"),
        ("m=video 0 RTP/AVP 96|a=candidate:1 1|a=bundle-only|m=video 0 RTP/AVP 96", "? a=candidate"),
    ]);
}

#[test]
fn md_07_candidates() {
    attributes(&[
        ("a=candidate:1 1 UDP 2130706431 192.0.2.1 8998 typ host", "a=candidate 192.0.2.1"),
        ("a=candidate:1 1 UDP 2130706431 10.0.0.1 8998 typ host", "ok"),
        ("a=Candidate:1 1 udp 1 10.0.0.1 8 typ srflx raddr 192.0.2.1 rport 9", "ok"),
        ("a=candidate:1 1 UDP 1 10.0.0.1 8 typ prflx RADDR 192.0.2.1 rport 9", "ok"),
        ("a=candidate:1 1 UDP 1 10.0.0.1 8 typ relay generation 0 raddr 192.0.2.1 rport 9", "ok"),
        ("a=candidate:1 1 UDP 1 10.0.0.1 8 typ relay raddr 10.0.0.2 rport 9 generation 0 ufrag x", "ok"),
        // All zeros say nothing: the base of a relayed candidate, or one that is not told.
        ("a=candidate:1 1 UDP 1 10.0.0.1 8 typ relay raddr 0.0.0.0 rport 0", "ok"),
        ("a=candidate:1 1 UDP 1 2001:db8::1 8 typ srflx raddr :: rport 9", "ok"),
        ("a=candidate:1 2 TCP 2105458943 10.0.0.1 9 typ host tcptype active", "ok"),
        ("a=candidate:1 2 TCP 2105458943 192.0.2.1 9 typ host tcptype passive", "a=candidate 192.0.2.1"),
        ("a=candidate:1 1 UDP 1 2001:db9::1 8 typ host", "a=candidate 2001:db9::1"),
        ("a=candidate:1 1 UDP 1 10.0.0.1 8 typ host ", "ok"),
        ("a=candidate:1 1 UDP 1 10.0.0.1 8 TYP of-its-own", "ok"),
        ("a=ice-lite", "ok"),
        ("a=candidate:1 1 UDP 1 8c5e11c3-9d5a-4b3c-8b0e-1a2b3c4d5e6f.local 8 typ host", "? a=candidate"),
        ("a=candidate:1 1 UDP 1 host.example.com 8 typ host", "? a=candidate"),
        ("a=candidate:1 1 UDP 1 fe80::1%eth0 8 typ host", "? a=candidate"),
        ("a=candidate:1 1 UDP 1 224.0.0.1 8 typ host", "? a=candidate"),
        ("a=candidate:1 1 UDP 1 10.0.0.1 8 typ srflx raddr x.local rport 9", "ok"),
        ("a=candidate:1 1 UDP 1 10.0.0.1 8 typ srflx raddr", "ok"),
        ("a=candidate:1 1 UDP 1 10.0.0.1 8 host", "? a=candidate"),
        ("a=candidate:1 1 UDP 1 10.0.0.1 8 typ", "? a=candidate"),
        ("a=candidate:1 1 UDP 1 10.0.0.1 x typ host", "? a=candidate"),
        ("a=candidate:1 1 UDP 10.0.0.1 192.0.2.1 8 typ host", "? a=candidate"),
        ("a=candidate:1  1 UDP  1 10.0.0.1  8 typ host ", "ok"),
        ("a=candidate:1  1 UDP  1 192.0.2.1  8 typ host ", "a=candidate 192.0.2.1"),
        ("a=candidate 1 1 UDP 1 192.0.2.1 8 typ host", "a=candidate 192.0.2.1"),
        ("a=candidate: 1 1 UDP 1 10.0.0.1 8 typ host", "ok"),
        ("a=candidate:1 1 UDP 1\t192.0.2.1 10.0.0.1 8 typ host", "? a=candidate"),
        ("a= candidate :1 1 UDP 1 192.0.2.1 8 typ host", "a=candidate 192.0.2.1"),
        ("a=candidate:1 1", "? a=candidate"),
        ("a=candidate", "? a=candidate"),
        ("a=remote-candidates:1 10.0.0.1 9", "ok"),
        ("a=remote-candidates:1 10.0.0.1 9 2 192.0.2.1 9", "a=remote-candidates 192.0.2.1"),
        ("a=remote-candidates:1 10.0.0.1", "? a=remote-candidates"),
        ("a=remote-candidates:1 x.local 9", "? a=remote-candidates"),
        ("a=remote-candidates:", "? a=remote-candidates"),
    ]);
}

#[test]
fn md_08_rtcp() {
    attributes(&[
        ("a=rtcp:4001", "ok"),
        ("a=rtcp:4001 ", "ok"),
        ("a=rtcp:4001 IN IP4 10.0.0.2", "ok"),
        ("a=rtcp:4001 IN IP4 0.0.0.0", "ok"),
        ("a=rtcp:4001 IN IP4 192.0.2.1", "a=rtcp 192.0.2.1"),
        ("a=rtcp:4001 IN IP6 2001:db9::1", "a=rtcp 2001:db9::1"),
        ("a=RTCP:4001 IN IP4 192.0.2.1", "a=rtcp 192.0.2.1"),
        ("a=rtcp:4001 IN IP4 x.example", "? a=rtcp"),
        ("a=rtcp:4001 IN IP4", "? a=rtcp"),
        ("a=rtcp: 4001  IN IP4 10.0.0.2 ", "ok"),
        ("a=rtcp: 4001  IN  IP4 192.0.2.1 ", "a=rtcp 192.0.2.1"),
        ("a=rtcp:x IN IP4 10.0.0.2", "? a=rtcp"),
        ("a=rtcp-mux", "ok"),
    ]);
}

#[test]
fn md_09_the_origin_is_no_destination() {
    table(&[
        ("o=- 1 1 IN IP4 192.0.2.1|s=-|c=IN IP4 10.0.0.1|t=0 0|m=audio 4000 RTP/AVP 0|", "ok"),
        (
            "o=- 1 1 IN IP4 host.example.com|s=-|c=IN IP4 10.0.0.1|b=AS:64|k=clear:x|m=audio 4000 RTP/AVP 0|b=TIAS:1|k=prompt",
            "ok",
        ),
    ]);
}

#[test]
fn md_10_multicast_lifetimes_and_several() {
    connections(&[
        ("IN IP4 224.0.0.1", "? c="),
        ("IN IP4 224.0.0.1/127", "? c="),
        ("IN IP4 224.0.0.1/127/3", "? c="),
        ("IN IP6 ff15::101/3", "? c="),
        ("IN IP6 ::ffff:224.0.0.1", "? c="),
        ("IN IP6 64:ff9b::224.0.0.1", "? c="),
        ("IN IP4 10.0.0.1/127", "? c="),
        ("IN IP4 10.0.0.1/1/2", "? c="),
    ]);
    table(&[
        ("c=IN IP4 10.0.0.1|c=IN IP4 10.0.0.1|m=audio 9 RTP/AVP 0", "? c="),
        ("m=audio 9 RTP/AVP 0|c=IN IP4 10.0.0.1|c=IN IP4 10.0.0.1", "? c="),
        ("m=audio 9 RTP/AVP 0|c=IN IP4 10.0.0.1|a=x|c=IN IP4 192.0.2.1", "? c="),
    ]);
}

#[test]
fn md_16_other_lines_that_name_addresses() {
    attributes(&[
        ("a=source-filter: incl IN IP4 * 10.0.0.1 10.0.0.2", "ok"),
        ("a=source-filter: incl IN IP4 10.0.0.9 10.0.0.1", "ok"),
        ("a=source-filter:incl IN IP4 192.0.2.1 10.0.0.1", "a=source-filter 192.0.2.1"),
        ("a=source-filter: INCL IN * * 10.0.0.1 192.0.2.1", "a=source-filter 192.0.2.1"),
        ("a=source-filter: excl IN IP4 * 192.0.2.1", "ok"),
        ("a=source-filter: excl IN IP4 192.0.2.1 192.0.2.1", "a=source-filter 192.0.2.1"),
        ("a=source-filter: incl IN IP4 232.3.4.5 10.0.0.1", "? a=source-filter"),
        ("a=source-filter: incl IN IP4 * x.example", "? a=source-filter"),
        ("a=source-filter: incl IN IP4 *", "? a=source-filter"),
        ("a=source-filter: else IN IP4 * 10.0.0.1", "? a=source-filter"),
        ("a=path:msrp://10.0.0.1:7394/2s93i9ek2a;tcp", "ok"),
        ("a=path:MSRPS://[2001:db8::1]:9/x;tcp msrp://10.0.0.1/y;tcp", "ok"),
        ("a=path:msrps://10.0.0.1:9/x;tcp msrp://192.0.2.1:8/y;tcp", "a=path 192.0.2.1"),
        ("a=path:msrp://[2001:db9::1]:9/x;tcp", "a=path 2001:db9::1"),
        ("a=path:msrp://192.0.2.1;tcp", "a=path 192.0.2.1"),
        ("a=path:msrp://host.example.com:7394/x;tcp", "? a=path"),
        ("a=path:msrp://a@192.0.2.1:7394/x;tcp", "? a=path"),
        ("a=path:msrp://10.0.0.1%00.example/x;tcp", "? a=path"),
        ("a=path:msrp:10.0.0.1", "? a=path"),
        ("a=path:http://10.0.0.1/", "? a=path"),
        ("a=path:", "? a=path"),
        ("a=altc:1 IP4 10.0.0.1 5678", "ok"),
        ("a=altc:2 IP6 2001:db9::1 5678", "a= 2001:db9::1"),
        ("a=ccap:1 IN IP4 192.0.2.1", "a= 192.0.2.1"),
        ("a=visited-realm:1 ims.example IN IP4 192.0.2.1 49170", "a= 192.0.2.1"),
        ("a=x:IN IP4 x.example", "? a="),
        ("a=x:SHIP4 192.0.2.1 IP4", "ok"),
        ("a=acap:1 rtcp:4001 IN IP4 192.0.2.1", "a=rtcp 192.0.2.1"),
        ("a=acap: 1 candidate:1 1 UDP 1 192.0.2.1 8 typ host", "a=candidate 192.0.2.1"),
        ("a=acap:1 sendrecv", "ok"),
        ("a=dcsa:0 path:msrp://10.0.0.1:2855/s;tcp", "ok"),
        ("a=dcsa:0 path:msrps://10.0.0.1:2855/r;tcp msrp://192.0.2.1:2855/s;tcp", "a=path 192.0.2.1"),
        ("a=dcsa:0 accept-types:text/plain", "ok"),
        ("a=alt:1 1 : u p 10.0.0.1 40000", "ok"),
        ("a=alt:1 1 : u p 192.0.2.1 40000", "a=alt 192.0.2.1"),
        ("a=alt:1 1 : u raddr 192.0.2.1 40000", "a=alt 192.0.2.1"),
        ("a=alt:1 1 : u p 010.0.0.1 40000", "? a=alt"),
        ("a=alt:1 1 : u p host.example 40000", "? a=alt"),
        ("a=x-candidate-ipv6:1 1 UDP 1 2001:db9::1 9 typ host", "a=candidate 2001:db9::1"),
        ("a=x-candidate-ipv6:1 1 UDP 1 2001:db8::1 9 typ srflx raddr 2001:db9::1 rport 9", "ok"),
        ("a=remote-candidate:x", "ok"),
        ("a=remote-candidate:192.0.2.1 9", "a=candidate 192.0.2.1"),
        ("a=end-of-candidates", "ok"),
        ("a=control:trackID=1", "ok"),
        ("a=control:*", "ok"),
        ("a=control:rtsp://10.0.0.1/x", "ok"),
        ("a=control:rtsp://192.0.2.1:554/x", "a=control 192.0.2.1"),
        ("a=control:rtsp://[2001:db9::1]?x", "a=control 2001:db9::1"),
        ("a=control:rtsp://host.example/x", "? a=control"),
        ("k=uri:https://192.0.2.1/key", "k= 192.0.2.1"),
        ("k=URI:https://10.0.0.1/key", "ok"),
        ("k=uri:https://host.example/key", "? k="),
        ("k=clear:https://192.0.2.1/key", "ok"),
        ("a=direction IN IP4 192.0.2.1", "a= 192.0.2.1"),
        ("a= direction in ip4 192.0.2.1", "a= 192.0.2.1"),
        ("a=IN IP4 192.0.2.1", "a= 192.0.2.1"),
        ("a=x-nearby:1 IN IP4 192.0.2.1 40000 y", "a= 192.0.2.1"),
        ("a=x-nearby:1 IN IP4 10.0.0.2 40000 y", "ok"),
        ("a=label:IN", "ok"),
        ("a=ssrc:127 cname:a.b.c.d", "ok"),
        ("a=tool:v 1.2.3.4", "ok"),
        ("a=rtpmap:101 telephone-event/8000", "ok"),
        ("a=fmtp:98 profile-level-id=42e01f; packetization-mode=1\tx", "ok"),
    ]);
    table(&[
        ("c=IN IP4 10.0.0.1|m=image 4000 udptl t38|a=T38FaxVersion:0|a=T38FaxUdpEC:t38UDPRedundancy", "ok"),
        ("c=IN IP4 192.0.2.1|m=image 4000 udptl t38", "c= 192.0.2.1"),
        ("m=audio 0 RTP/AVP 0|m=image 4000 udptl t38|c=IN IP4 192.0.2.1", "c= 192.0.2.1"),
        ("m=image 4000 UDPTL t38|c=IN IP4 host.example.com", "? c="),
    ]);
}

#[test]
fn md_17_line_ends_and_bounds() {
    table(&[
        ("c=IN IP4 10.0.0.1||m=audio 4000 RTP/AVP 0", "? line"),
        ("c=IN IP4 10.0.0.1\rx|m=audio 4000 RTP/AVP 0", "? line"),
        ("s=- |t=0 0\t |c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0 101 ", "ok"),
        ("c=IN IP4 10.0.0.1|C=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0", "? line"),
        ("c=IN IP4 10.0.0.1| c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0", "? line"),
        ("c=IN IP4 10.0.0.1|c|m=audio 4000 RTP/AVP 0", "? line"),
        ("c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0|||", "ok"),
        ("c=IN IP4 10.0.0.1|s=f\u{fc}r \u{5ba2}\u{6237}|m=audio 4000 RTP/AVP 0", "ok"),
        // Where some readers begin a line.
        ("s=x\u{b}c=IN IP4 192.0.2.1", "? line"),
        ("s=x\0c=IN IP4 192.0.2.1", "? line"),
        ("s=x\u{85}c=IN IP4 192.0.2.1", "? line"),
        ("s=x\u{2028}c=IN IP4 192.0.2.1", "? line"),
    ]);
    let inside = |_: IpAddr| true;
    assert!(judge(b"v=0\nc=IN IP4 10.0.0.1\nm=audio 1 RTP/AVP 0", inside).is_ok());
    assert!(judge(b"v=0\r\nc=IN IP4 10.0.0.1\nm=audio 1 RTP/AVP 0\r\n", inside).is_ok());
    assert!(judge(b"", inside).is_ok());
    for text in ["x=0\n", "v=0\r\r\n", "v=1\n", "v=\n", "v=00\n", "v=18446744073709551616\n", " v=0\n", "\r\nv=0\r\n", "v=0\n1"] {
        assert!(judge(text.as_bytes(), inside).is_err(), "{text}");
    }
    for text in ["v=0 \n", "v= 0\t\r\n"] {
        assert!(judge(text.as_bytes(), inside).is_ok(), "{text}");
    }
    let streams = |count: usize| format!("v=0\nc=IN IP4 10.0.0.1\n{}", "m=audio 1 RTP/AVP 0\n".repeat(count));
    assert_eq!(shown(&judge(streams(MAX_STREAMS).as_bytes(), inside)), "ok");
    assert_eq!(shown(&judge(streams(MAX_STREAMS + 1).as_bytes(), inside)), "? streams");
    let lines = |count: usize| format!("v=0\n{}", "a=x\n".repeat(count));
    assert_eq!(shown(&judge(lines(MAX_LINES - 2).as_bytes(), inside)), "ok");
    assert_eq!(shown(&judge(lines(MAX_LINES).as_bytes(), inside)), "? lines");
    let size = |length: usize| format!("v=0\ns={}", "x".repeat(length - 6));
    assert_eq!(shown(&judge(size(MAX_BODY).as_bytes(), inside)), "ok");
    assert_eq!(shown(&judge(size(MAX_BODY + 1).as_bytes(), inside)), "? size");
}
