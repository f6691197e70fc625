//! When a relay is told that a call is over, and what a reload changes for calls that go through one.

use std::time::Duration;

use ringfence::core::io::{RelayReply, RelayVerb};

use super::{
    CARRIED, CONFIG, FIRST, HOME, HOST, OTHER, answer, answering_relay, established, in_dialog_from_trunk, is_relayed,
    is_relayed_invite, questions_asked, site, without_body,
};
use crate::site::{SECOND, SERVER, Site, TRUNK, invite, respond, with_sdp};

#[test]
fn a_call_that_comes_to_nothing_is_deleted() {
    let invited = |site: &mut Site| {
        let sent = site.from(TRUNK, &invite(HOST, CARRIED, "one"));
        questions_asked(site);
        sent[1].clone()
    };
    let mut site = site();
    let seen = invited(&mut site);
    site.from(SERVER, &without_body(&respond(&seen, 486, "u", "")));
    assert_eq!(questions_asked(&mut site), ["delete"]);
    // A 2xx that comes all the same goes nowhere: nothing is anchored any more.
    site.relay =
        Some(Box::new(
            |request| if request.id.verb == RelayVerb::Answer { Ok(RelayReply::Refused) } else { answering_relay(request) },
        ));
    let late = site.from(SERVER, &answer(&seen, 200, HOME));
    assert!(late.iter().all(|sent| sent.to == SERVER.parse().unwrap()), "{late:?}");

    // No server answers.
    let mut site = super::site();
    invited(&mut site);
    site.pass(Duration::from_secs(60));
    assert_eq!(questions_asked(&mut site), ["delete"]);
    assert!(
        site.log.iter().any(|sent| sent.to == SECOND.parse().unwrap() && is_relayed_invite(sent)),
        "the next server gets the same"
    );

    // Cancelled.
    let mut site = super::site();
    let seen = invited(&mut site);
    site.from(SERVER, &without_body(&respond(&seen, 180, "u", "")));
    site.from(
        TRUNK,
        &without_body(&invite(HOST, CARRIED, "one")).replace("INVITE sip", "CANCEL sip").replace(" INVITE\r", " CANCEL\r"),
    );
    assert_eq!(questions_asked(&mut site), [""; 0]);
    site.from(SERVER, &without_body(&respond(&seen, 487, "u", "")));
    assert_eq!(questions_asked(&mut site), ["delete"]);

    // A re-INVITE that is refused ends nothing; a BYE that nobody answers does.
    let mut site = super::site();
    let route = established(&mut site);
    let sent = site.from(TRUNK, &with_sdp(&in_dialog_from_trunk("INVITE", 2, &route), CARRIED));
    questions_asked(&mut site);
    site.from(SERVER, &without_body(&respond(sent.last().unwrap(), 488, "u", "")));
    assert_eq!(questions_asked(&mut site), [""; 0]);
    site.from(TRUNK, &in_dialog_from_trunk("BYE", 3, &route));
    site.pass(Duration::from_secs(40));
    assert_eq!(questions_asked(&mut site), ["delete"]);
}

#[test]
fn a_reload_leaves_calls_their_relay_or_goes_on_without() {
    let reload = |site: &mut Site, text: &str| assert!(site.reload(text).is_empty());
    // One relay is gone, and it is the call's: another takes the next offer.
    let mut site = site();
    let route = established(&mut site);
    let relay = site.questions[0].relay.addr();
    let keep = if relay == FIRST.parse().unwrap() { OTHER } else { FIRST };
    reload(&mut site, &CONFIG.replace("[\"udp:10.1.0.8:2223\", \"udp:10.1.0.9:2223\"]", &format!("[\"udp:{keep}\"]")));
    questions_asked(&mut site);
    let sent = site.from(TRUNK, &with_sdp(&in_dialog_from_trunk("UPDATE", 2, &route), CARRIED));
    assert!(is_relayed(&sent[0]), "{sent:?}");
    assert_eq!(site.questions[0].relay.addr(), keep.parse().unwrap());
    // The project goes by no relay any more: the call goes on, and what the relay has ends with it.
    let mut site = super::site();
    let route = established(&mut site);
    questions_asked(&mut site);
    reload(&mut site, &CONFIG.replacen("media = \"relay\"", "media = \"enforce\"", 1));
    let sent = site.from(TRUNK, &with_sdp(&in_dialog_from_trunk("UPDATE", 2, &route), CARRIED));
    assert!(sent[0].text().contains(CARRIED) && questions_asked(&mut site).is_empty());
    let bye = site.from(TRUNK, &in_dialog_from_trunk("BYE", 3, &route));
    site.from(SERVER, &respond(&bye[0], 200, "u", ""));
    assert_eq!(questions_asked(&mut site), ["delete"]);
    // While a message waits its relay may go: whatever that says comes from outside then.
    let mut site = super::site();
    site.relay = None;
    site.from(TRUNK, &invite(HOST, CARRIED, "one"));
    let request = site.questions[0].clone();
    let keep = if request.relay.addr() == FIRST.parse().unwrap() { OTHER } else { FIRST };
    reload(&mut site, &CONFIG.replace("[\"udp:10.1.0.8:2223\", \"udp:10.1.0.9:2223\"]", &format!("[\"udp:{keep}\"]")));
    assert!(site.relayed(request.id, answering_relay(&request)).is_empty());
    assert_eq!(site.questions[1].relay.addr(), keep.parse().unwrap(), "the other is asked");
    let request = site.questions[1].clone();
    let sent = site.relayed(request.id, answering_relay(&request));
    assert!(is_relayed_invite(&sent[1]));
}
