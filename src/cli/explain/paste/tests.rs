//! Texts as they are pasted, and the message in each.

use super::*;

const WIRE: &str = "INVITE sip:b@acme.eu.sip.example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nSubject: one\r\n two\r\n\
     Content-Type: application/sdp\r\nContent-Length: 39\r\n\r\nv=0\r\nc=IN IP4 10.1.0.1\r\nm=audio 1 a 0\r\n";

fn recovered(text: &str) -> (String, Vec<String>) {
    let found = pasted(text.as_bytes()).unwrap_or_else(|| panic!("nothing in {text}"));
    (String::from_utf8(found.bytes).unwrap(), found.repairs)
}

#[test]
fn what_is_whole_stays_as_it_is() {
    assert_eq!(WIRE.split("\r\n\r\n").nth(1).unwrap().len(), 39);
    assert_eq!(recovered(WIRE), (WIRE.to_owned(), vec![]));
    // Mistakes too: the daemon judges those.
    for wrong in [WIRE.replace("39", "390"), WIRE.replace("Via: ", "Via "), WIRE.replace("39", "x")] {
        assert_eq!(recovered(&wrong), (wrong.clone(), vec![]));
    }
    let (bytes, repairs) = recovered(&format!("{WIRE}\r\n--\r\n"));
    assert_eq!((bytes.as_str(), repairs.len()), (WIRE, 1), "{repairs:?}");
}

#[test]
fn texts_are_forgiven() {
    let lf = WIRE.replace("\r\n", "\n");
    let each = |with: &str| lf.lines().flat_map(|line| [with, line, "\n"]).collect::<String>();
    for (text, says) in [
        (lf.clone(), "ended the lines with CRLF"),
        (lf.trim_end().to_owned(), "ended the lines with CRLF"),
        (format!("2026-11-22 U 192.0.2.1:5060 -> 192.0.2.2:5060\n\n{lf}"), "left out what precedes the start line: 47 octets"),
        (format!("E..5.@.@....{lf}"), "left out what stands in front of the start line"),
        (format!("Nov 22 21:00:00 sbc: {WIRE}"), "left out what stands in front of the start line"),
        (each("    "), "removed the indentation"),
        (each("2026-11-22 21:00:00.123 | "), "left out the first 26 octets of each line"),
        (format!("{lf}\n--\n[sbc] sent 100\n"), "left out what follows the message"),
        (lf.replace("39", "29"), "Content-Length was 29, and the body has 39 octets"),
        (lf.replace('\n', ".\n"), "removed the dots at the ends of the lines"),
    ] {
        let (bytes, repairs) = recovered(&text);
        assert_eq!(bytes, WIRE, "{text}");
        assert!(repairs.iter().any(|repair| repair == says), "{repairs:?} for {text}");
    }
}

#[test]
fn a_head_alone_gets_its_end() {
    for (text, says) in [
        ("BYE sip:b@h SIP/2.0\nCall-ID: 1", "added the empty line after the headers"),
        ("BYE sip:b@h SIP/2.0\r\nCall-ID: 1\r\n", "added the empty line after the headers"),
        ("BYE sip:b@h SIP/2.0\nCall-ID: 1\n<------->\n[10:00] next\n", "left out what follows the message"),
    ] {
        let (bytes, repairs) = recovered(text);
        assert_eq!(bytes, "BYE sip:b@h SIP/2.0\r\nCall-ID: 1\r\n\r\n");
        assert!(repairs.iter().any(|repair| repair == says), "{repairs:?}");
    }
    assert_eq!(recovered(">> SIP/2.0 200 OK\nl: 0\n\n").0, "SIP/2.0 200 OK\r\nl: 0\r\n\r\n");
}

#[test]
fn bodies_that_are_no_sdp_end_where_they_say() {
    let text = "INFO sip:b@h SIP/2.0\nContent-Type: text/plain\nContent-Length: 7\n\na\n\nbc\n\n--\n";
    let (bytes, repairs) = recovered(text);
    assert!(bytes.ends_with("\r\n\r\na\r\n\r\nbc"), "{bytes:?}");
    assert!(repairs.contains(&"left out what follows the message".to_owned()), "{repairs:?}");
    assert!(recovered(&text.replace('7', "70")).0.contains("Content-Length: 15\r\n"));
}

#[test]
fn nothing_is_made_of_nothing() {
    for text in ["", "\n\n", "GET / HTTP/1.1\r\n\r\n", "SIP/2.0", "INVITE sip:b@h SIP/2.0 was sent\n", "SIP/2.0/UDP 192.0.2.1"] {
        assert_eq!(pasted(text.as_bytes()), None, "{text}");
    }
    let octets: Vec<u8> = (0..=255).collect();
    assert_eq!(pasted(&octets), None);
}
