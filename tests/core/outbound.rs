//! Calls out by a trunk: what becomes of their Request-URI, which gateway they go to, and what their caller is told if it fails.

use crate::site::{SERVER, Site, invite};

const OUT: &str = "carrier.acme.eu.sip.example.com";

/// A call of the server's to this Request-URI.
fn call_to(uri: &str, id: &str) -> String {
    let text = invite(OUT, "10.1.0.5", id).replace("198.51.100.7:5060", SERVER);
    text.replacen(&format!("sip:+4930123@{OUT}"), uri, 1)
}

/// The Request-URI of the call, as the gateway sees it. `hop`: the trunk's `uri`.
fn outward(hop: &str, uri: &str) -> String {
    let mut site = Site::new(&crate::site::CONFIG.replace("sip:acme.pstn.example.net:5080;transport=udp", hop));
    let sent = site.from(SERVER, &call_to(uri, "one"));
    sent.last().unwrap().line().split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn the_request_uri_keeps_user_and_parameters() {
    const HOP: &str = "sip:acme.pstn.example.net:5080;transport=udp";
    let gateway = "acme.pstn.example.net:5080;transport=udp";
    for (user, params, left) in [
        ("+353155501@", "", ""),
        ("+353155501@", ";user=phone", ";user=phone"),
        ("+353155501;npdi;rn=+353@", ";cause=302;user=phone", ";cause=302;user=phone"),
        ("+353155501:word@", ";user=phone", ";user=phone"),
        ("", ";user=phone", ";user=phone"),
        // How to reach the host that is replaced, or what no Request-URI has.
        ("1@", ";transport=tcp;user=phone", ";user=phone"),
        ("1@", ";user=phone;TRANSPORT=tls;lr;maddr=192.0.2.1;ttl=3", ";user=phone"),
        ("1@", ";%74ransport=tcp;comp=sigcomp;alias=192.0.2.9~5060~1;method=BYE;x=%20", ";x=%20"),
        ("1@", ";rf=04abc;a;b=2", ";a;b=2"),
        ("1@", ";x=\"VGhd=\"", ";x=\"VGhd=\""),
    ] {
        assert_eq!(outward(HOP, &format!("sip:{user}{OUT}{params}")), format!("sip:{user}{gateway}{left}"), "{user} {params}");
    }
    // The port is the gateway's.
    assert_eq!(outward(HOP, &format!("sip:1@{OUT}:5060;user=phone")), format!("sip:1@{gateway};user=phone"));
}

#[test]
fn a_parameter_of_the_trunk_wins() {
    let hop = "sip:acme.pstn.example.net;user=phone;tgrp=a";
    let uri = format!("sip:1@{OUT};User=ip;TGRP=b;tgrp;cause=302");
    assert_eq!(outward(hop, &uri), "sip:1@acme.pstn.example.net;user=phone;tgrp=a;cause=302");
}
