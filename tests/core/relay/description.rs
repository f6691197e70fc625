//! How a session description is replaced in a message, and what cannot be replaced.

use ringfence::reason::Reason;

use super::{
    CARRIED, HOME, HOST, RELAYED, answer, established, in_dialog_from_trunk, is_relayed, lines, questions_asked, refused, site,
    without_body,
};
use crate::site::{SERVER, TRUNK, invite, respond, sdp, with_sdp};

#[test]
fn what_is_outside_is_refused_before_any_relay_is_asked() {
    let mut site = site();
    let sent = site.from(TRUNK, &invite(HOST, "192.0.2.99", "one"));
    assert_eq!(lines(&sent), ["SIP/2.0 603 Media Outside Region"]);
    let sent = site.from(TRUNK, &invite(HOST, CARRIED, "two"));
    site.questions.clear();
    let back = site.from(SERVER, &answer(&sent[1], 200, CARRIED));
    assert_eq!(lines(&back)[0], "SIP/2.0 603 Media Outside Region");
    assert_eq!(questions_asked(&mut site), ["delete"], "the call is over");
    assert_eq!(refused(&site), [Reason::ForeignMediaOffer, Reason::ForeignMediaAnswer]);
}

#[test]
fn the_length_follows_in_every_spelling() {
    for (from, to) in
        [("Content-Length: ", "Content-Length: "), ("Content-Length: ", "l: "), ("Content-Length: ", "CONTENT-LENGTH :  ")]
    {
        let mut site = site();
        let sent = site.from(TRUNK, &invite(HOST, CARRIED, "one").replace(from, to));
        let text = sent[1].text();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        // Where another attempt could go by a stream it is in its plain spelling.
        let rows =
            head.lines().filter(|line| line.to_lowercase().starts_with(['l', 'c']) && line.contains(&body.len().to_string()));
        assert_eq!(rows.collect::<Vec<_>>(), [format!("Content-Length: {}", body.len())], "{text}");
        assert!(body.contains(RELAYED));
    }
    // Without one the datagram's end tells; another attempt may go by a stream, so here it is added.
    let mut site = site();
    let text = invite(HOST, CARRIED, "one");
    let row = text.lines().find(|line| line.starts_with("Content-Length")).unwrap().to_owned();
    let sent = site.from(TRUNK, &text.replace(&format!("{row}\r\n"), ""));
    assert!(is_relayed(&sent[1]), "{}", sent[1].text());
    // In a part of a multipart the description alone is replaced.
    let mut site = super::site();
    let body = format!(
        "--b\r\nContent-Type: application/sdp\r\n\r\n{}\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n",
        sdp(CARRIED)
    );
    let text = without_body(&invite(HOST, CARRIED, "one")).replace(
        "Content-Length: 0\r\n\r\n",
        &format!("Content-Type: multipart/mixed;boundary=b\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
    );
    let sent = site.from(TRUNK, &text);
    let went = sent[1].text();
    let body = went.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(
        body,
        format!(
            "--b\r\nContent-Type: application/sdp\r\n\r\n{}\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n",
            sdp(RELAYED).replace("4000", "30000")
        )
    );
    assert_eq!(sent[1].headers("Content-Length"), [body.len().to_string()]);
}

#[test]
fn what_cannot_be_replaced_is_refused() {
    let two = format!(
        "--b\r\nContent-Type: application/sdp\r\n\r\n{0}\r\n--b\r\nContent-Type: application/sdp\r\n\r\n{0}\r\n--b--\r\n",
        sdp(CARRIED)
    );
    let coded = "--b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n".to_owned()
        + &sdp(CARRIED).replace('=', "=3D")
        + "\r\n--b--\r\n";
    let measured = format!(
        "--b\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{}\r\n--b--\r\n",
        sdp(CARRIED).len(),
        sdp(CARRIED)
    );
    for (kind, body) in [
        ("multipart/mixed;boundary=b", two),
        ("multipart/mixed;boundary=b", coded),
        ("multipart/mixed;boundary=b", measured),
        ("text/plain", sdp(CARRIED)),
    ] {
        let mut site = site();
        let text = without_body(&invite(HOST, CARRIED, "one")).replace(
            "Content-Length: 0\r\n\r\n",
            &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        );
        let sent = site.from(TRUNK, &text);
        assert_eq!(lines(&sent).iter().map(|line| &line[8..11]).collect::<Vec<_>>(), ["488"], "{kind} {body}");
        assert_eq!(refused(&site), [Reason::UnreadableMedia]);
        assert_eq!(questions_asked(&mut site), [""; 0]);
    }
    // Descriptions where nothing is negotiated.
    let mut site = site();
    let route = established(&mut site);
    questions_asked(&mut site);
    let sent = site.from(TRUNK, &with_sdp(&in_dialog_from_trunk("INFO", 2, &route), CARRIED));
    assert_eq!(&lines(&sent)[0][8..11], "488");
    let sent = site.from(TRUNK, &in_dialog_from_trunk("INFO", 3, &route));
    let sent = site.from(SERVER, &answer(&sent[0], 200, HOME));
    assert_eq!(&lines(&sent)[0][8..11], "488");
    assert_eq!(questions_asked(&mut site), [""; 0]);
    // Whether the PRACK of this would bring an answer or an offer nobody could tell.
    let mut site = super::site();
    let sent = site.from(TRUNK, &without_body(&invite(HOST, CARRIED, "one")));
    let ringing = with_sdp(&respond(&sent[1], 183, "u", "Require: 100rel\r\nRSeq: 1\r\n"), HOME);
    let sent = site.from(SERVER, &ringing);
    assert_eq!(lines(&sent), ["SIP/2.0 488 Media Cannot Be Checked", &format!("CANCEL sip:+4930123@{HOST} SIP/2.0")]);
    assert_eq!(questions_asked(&mut site), ["delete"]);
}
