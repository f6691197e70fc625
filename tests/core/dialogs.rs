//! A call from end to end, requests inside the dialog from both sides, and routes that were never issued.

use std::time::Duration;

use ringfence::config::Transport;
use ringfence::core::io::{DropCause, Outcome};
use ringfence::reason::Reason;

use crate::site::{SECOND, SERVER, Sent, Site, TRUNK, invite, request, respond, sdp, tokens};

/// An established call: the INVITE as the server saw it, and the Record-Route that both sides hold.
fn call(site: &mut Site) -> (Sent, String) {
    let sent = site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", "one"));
    assert_eq!(
        sent.iter().map(Sent::line).collect::<Vec<_>>(),
        ["SIP/2.0 100 Trying", "INVITE sip:+4930123@acme.eu.sip.example.com SIP/2.0"]
    );
    let seen = sent[1].clone();
    let ringing = site.from(SERVER, &respond(&seen, 180, "u", ""));
    assert_eq!(ringing[0].to, TRUNK.parse().unwrap());
    assert_eq!(ringing[0].headers("Via").len(), 1, "our Via is off");
    let body = sdp("10.1.0.5");
    let answer = respond(&seen, 200, "u", &format!("Contact: <sip:lk@{SERVER}>\r\nContent-Type: application/sdp\r\n"));
    let answer = answer.replace("Content-Length: 0\r\n\r\n", &format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    let ok = site.from(SERVER, &answer);
    assert_eq!(ok[0].line(), "SIP/2.0 200 Phrase");
    assert!(ok[0].text().ends_with(&body));
    let route = seen.header("Record-Route").unwrap();
    let told = ok[0].header("Record-Route").unwrap();
    assert_ne!(told, route, "signed again");
    assert_eq!(told.replace(tokens(&told).next().unwrap(), tokens(&route).next().unwrap()), route);
    (seen, route)
}

/// A request inside the dialog of [`call`].
fn inside(method: &str, uri: &str, route: &str, cseq: u32, from_trunk: bool) -> String {
    let (from, to, via) = if from_trunk {
        ("<sip:+49891@trunk.example.net>;tag=fone", "<sip:+4930123@acme.eu.sip.example.com>;tag=u", "198.51.100.7:5060")
    } else {
        ("<sip:+4930123@acme.eu.sip.example.com>;tag=u", "<sip:+49891@trunk.example.net>;tag=fone", "10.1.0.5:5060")
    };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bKin{method}{cseq}{from_trunk}\r\n{route}From: {from}\r\nTo: {to}\r\n\
         Call-ID: one@trunk\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

fn routes(route: &str) -> String {
    format!("Route: {route}\r\n")
}

#[test]
fn the_forwarded_request_is_what_the_contract_says() {
    let mut site = Site::usual();
    let text = invite("acme.eu.sip.example.com", "10.1.0.20", "x")
        .replace("Contact:", "X-Ringfence: 100; fake\r\nx-ringfence : fake\r\nX-Other: kept\r\nContact:");
    let seen = site.from(TRUNK, &text).remove(1);
    assert_eq!(seen.to, SERVER.parse().unwrap());
    let vias = seen.headers("Via");
    assert!(vias[0].starts_with("SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK"), "{vias:?}");
    assert_eq!(vias[1], "SIP/2.0/UDP 198.51.100.7:5060;rport=5060;branch=z9hG4bKx;received=198.51.100.7");
    assert_eq!(seen.headers("X-Ringfence"), ["100; reason=in-region; region=eu; project=acme; trunk=carrier"]);
    assert!(!seen.text().contains("fake") && seen.text().contains("X-Other: kept"));
    assert_eq!(seen.headers("Max-Forwards"), ["69"]);
    assert_eq!(seen.headers("Max-Breadth"), ["60"]);
    let record = seen.headers("Record-Route");
    assert_eq!(record.len(), 1);
    assert!(record[0].starts_with("<sip:192.0.2.1:5060;lr;rf=06"), "{record:?}");
    assert!(seen.text().ends_with(&sdp("10.1.0.20")), "the body is untouched");
}

#[test]
fn requests_pass_from_both_sides_and_the_state_is_released() {
    let mut site = Site::usual();
    let (_, route) = call(&mut site);
    let uri = format!("sip:lk@{SERVER}");
    // ACK: end to end, without a transaction, the same branch for the same ACK.
    let ack = inside("ACK", &uri, &routes(&route), 1, true);
    let first = site.from(TRUNK, &ack);
    assert_eq!((first.len(), first[0].to), (1, SERVER.parse().unwrap()));
    assert!(first[0].header("Route").is_none());
    assert_eq!(site.from(TRUNK, &ack)[0].bytes, first[0].bytes);
    // INFO from the server, to the trunk's Contact.
    let info = site.from(SERVER, &inside("INFO", "sip:trunk@198.51.100.7:5060", &routes(&route), 7, false));
    assert_eq!((info.len(), info[0].to), (1, TRUNK.parse().unwrap()));
    let answer = site.from(TRUNK, &respond(&info[0], 200, "", ""));
    assert_eq!(answer[0].to, SERVER.parse().unwrap());
    // BYE from the trunk.
    let bye = site.from(TRUNK, &inside("BYE", &uri, &routes(&route), 2, true));
    assert_eq!(bye.len(), 1, "no 100 for a BYE");
    let answer = site.from(SERVER, &respond(&bye[0], 200, "", ""));
    assert_eq!(answer[0].line(), "SIP/2.0 200 Phrase");
    // Its repetition gets the same answer, and the server is not asked again.
    let again = site.from(TRUNK, &inside("BYE", &uri, &routes(&route), 2, true));
    assert_eq!((again.len(), &again[0].bytes), (1, &answer[0].bytes));
    assert!(site.pass(Duration::from_secs(70)).is_empty());
    assert_eq!(site.core.transactions(), 0);
}

#[test]
fn a_token_is_bound_and_every_bit_counts() {
    let mut site = Site::usual();
    let (_, route) = call(&mut site);
    let refused = |site: &mut Site, text: &str| {
        let sent = site.from(TRUNK, text);
        assert_eq!(site.outcome(), Outcome::Refused(Reason::ForgedRoute), "{text}");
        assert_eq!(sent[0].header("X-Ringfence").as_deref(), Some("170; reason=forged-route; region=eu"));
        assert_eq!(sent[0].line(), "SIP/2.0 403 Route Not Issued Here");
    };
    let bye = |route: &str, cseq| inside("BYE", &format!("sip:lk@{SERVER}"), route, cseq, true);
    refused(&mut site, &bye("", 10));
    refused(&mut site, &bye("Route: <sip:10.1.0.5;lr>\r\n", 11));
    refused(&mut site, &bye(&routes(&route), 12).replace("one@trunk", "two@trunk"));
    let told = site.log.iter().rev().find_map(|sent| sent.header("Record-Route")).unwrap();
    assert!(told.contains("rf=07"));
    let start = route.find("rf=").unwrap() + 3;
    for (route, octet) in [&route, &told].into_iter().flat_map(|route| (start..start + 48).map(move |octet| (route, octet))) {
        for bit in 0..8 {
            let mut forged = route.clone().into_bytes();
            forged[octet] ^= 1 << bit;
            let Ok(forged) = String::from_utf8(forged) else { continue };
            if forged.bytes().any(|octet| octet < 0x21 || b"<>;,?\"".contains(&octet)) {
                continue;
            }
            refused(&mut site, &bye(&routes(&forged), 13));
        }
    }
    // An ACK cannot be refused: nothing happens.
    assert!(site.from(TRUNK, &inside("ACK", "sip:lk@10.1.0.5:5060", "", 1, true)).is_empty());
    assert_eq!(site.outcome(), Outcome::Stray);
}

#[test]
fn a_token_of_another_trunk_or_region_does_not_help() {
    let mut site = Site::usual();
    let (_, route) = call(&mut site);
    let bye = inside("BYE", &format!("sip:lk@{SERVER}"), &routes(&route), 2, true);
    // Another project's trunk holds the token: it is not its dialog.
    let sent = site.from("198.51.105.7:5060", &bye);
    assert_eq!(sent[0].line(), "SIP/2.0 403 Forbidden");
    assert_eq!(site.outcome(), Outcome::Refused(Reason::UnknownSource));
    // Another region's listener does not know it.
    site.to("192.0.2.2:5060", TRUNK, bye.as_bytes());
    assert_eq!(site.outcome(), Outcome::Refused(Reason::ForgedRoute));
}

#[test]
fn the_next_hop_of_a_dialog_is_fenced_by_side() {
    let mut site = Site::usual();
    let (_, route) = call(&mut site);
    for (source, uri, from_trunk, reason) in [
        (TRUNK, "sip:x@192.0.2.99", true, Reason::ForeignDialogTarget),
        (TRUNK, "sip:x@127.0.0.1", true, Reason::ForeignDialogTarget),
        (TRUNK, "sip:x@[::1]", true, Reason::ForeignDialogTarget),
        (TRUNK, "sip:x@169.254.169.254", true, Reason::ForeignDialogTarget),
        (TRUNK, "sip:x@10.2.0.5", true, Reason::ForeignDialogTarget),
        // A trunk cannot make us call its own kind.
        (TRUNK, "sip:x@198.51.100.8", true, Reason::ForeignDialogTarget),
        (TRUNK, "sip:x@10.1.0.9;maddr=192.0.2.99", true, Reason::ForeignDialogTarget),
        (SERVER, "sip:x@203.0.113.5", false, Reason::ForeignDialogTarget),
        (SERVER, "sip:x@host.example.net", false, Reason::NoTarget),
        (SERVER, "sip:x@198.51.100.8;transport=ws", false, Reason::NoTarget),
        // The region has no listener for it.
        (SERVER, "sip:x@198.51.100.8;transport=tls", false, Reason::TargetsDown),
    ] {
        for method in ["BYE", "INVITE"] {
            let sent = site.from(source, &inside(method, uri, &routes(&route), 40, from_trunk));
            assert_eq!(site.outcome(), Outcome::Refused(reason), "{method} {uri}");
            assert_eq!((sent.len(), sent[0].to), (1, source.parse().unwrap()));
        }
        assert!(site.from(source, &inside("ACK", uri, &routes(&route), 40, from_trunk)).is_empty());
        assert_eq!(site.outcome(), Outcome::Dropped(DropCause::AckTarget), "{uri}");
    }
    // An UPDATE offers media too.
    let body = sdp("192.0.2.99");
    let update = inside("UPDATE", "sip:lk@10.1.0.5", &routes(&route), 50, true)
        .replace("Content-Length: 0", &format!("Content-Type: application/sdp\r\nContent-Length: {}", body.len()));
    assert_eq!(site.from(TRUNK, &(update + &body))[0].line(), "SIP/2.0 488 Media Outside Region");
    // A Route behind ours is the next hop, and judged as one.
    let behind = format!("Route: {route}, <sip:192.0.2.99;lr>\r\n");
    site.from(TRUNK, &inside("BYE", "sip:lk@10.1.0.5", &behind, 41, true));
    assert_eq!(site.outcome(), Outcome::Refused(Reason::ForeignDialogTarget));
}

#[test]
fn media_of_a_re_invite_is_judged_and_the_call_goes_on() {
    let mut site = Site::usual();
    let (_, route) = call(&mut site);
    let offer = |uri: &str, media: &str, cseq, from_trunk| {
        let body = sdp(media);
        inside("INVITE", uri, &routes(&route), cseq, from_trunk)
            .replace("Content-Length: 0", &format!("Content-Type: application/sdp\r\nContent-Length: {}", body.len()))
            + &body
    };
    for (source, uri, media, from_trunk, passes) in [
        (TRUNK, "sip:lk@10.1.0.5", "10.1.0.20", true, true),
        (TRUNK, "sip:lk@10.1.0.5", "203.0.113.9", true, true),
        (TRUNK, "sip:lk@10.1.0.5", "192.0.2.99", true, false),
        (SERVER, "sip:trunk@198.51.100.7", "10.1.0.20", false, true),
        // What the trunk's media may be is not what the region's servers' may.
        (SERVER, "sip:trunk@198.51.100.7", "203.0.113.9", false, false),
    ] {
        let cseq = 60 + u32::from(passes) * 10 + u32::from(from_trunk) * 100;
        let sent = site.from(source, &offer(uri, media, cseq, from_trunk));
        if passes {
            assert_eq!(sent[0].line(), "SIP/2.0 100 Trying", "{media} from {source}");
            site.pass(Duration::from_millis(1));
            let _answer = site.from(&sent[1].to.to_string(), &respond(&sent[1], 200, "", ""));
        } else {
            assert_eq!(sent.len(), 1);
            assert_eq!(sent[0].line(), "SIP/2.0 488 Media Outside Region");
            assert_eq!(sent[0].header("X-Ringfence").as_deref(), Some("140; reason=foreign-media-offer; region=eu"));
            // Its ACK is for us: the other side never saw the INVITE.
            let ack = inside("INVITE", uri, &routes(&route), cseq, from_trunk)
                .replace("INVITE sip", "ACK sip")
                .replace(" INVITE\r", " ACK\r");
            assert!(site.from(source, &ack).is_empty());
            assert_eq!(site.outcome(), Outcome::Absorbed);
        }
        site.pass(Duration::from_secs(100));
    }
}

#[test]
fn strict_routers_on_either_side() {
    let mut site = Site::usual();
    let (_, route) = call(&mut site);
    let ours = route.trim_start_matches('<').trim_end_matches('>').to_owned();
    // A strict router in front put our URI into the Request-URI and the target last.
    let text = inside("BYE", &ours, "Route: <sip:lk@10.1.0.5:5060>\r\n", 2, true);
    let sent = site.from(TRUNK, &text);
    assert_eq!((sent[0].line(), sent[0].to), ("BYE sip:lk@10.1.0.5:5060 SIP/2.0".to_owned(), SERVER.parse().unwrap()));
    assert!(sent[0].header("Route").is_none());
    // A strict router behind us gets the Request-URI; what stood there becomes the last Route.
    let text = inside("BYE", "sip:lk@10.1.0.9", &format!("Route: {route},<sip:10.1.0.5:5060>,<sip:10.1.0.7;lr>\r\n"), 3, true);
    let sent = site.from(TRUNK, &text);
    assert_eq!((sent[0].line(), sent[0].to), ("BYE sip:10.1.0.5:5060 SIP/2.0".to_owned(), SERVER.parse().unwrap()));
    assert_eq!(sent[0].headers("Route"), ["<sip:10.1.0.7;lr>", "<sip:lk@10.1.0.9>"]);
}

#[test]
fn sides_of_different_transport_get_two_record_routes() {
    let mut site = Site::usual();
    let sent = site.stream(TRUNK, 1, &invite("acme.eu.sip.example.com", "10.1.0.20", "one").replace("UDP", "TCP"));
    assert_eq!((sent[0].transport, sent[0].connection.is_some()), (Transport::Tcp, true));
    let record = sent[1].headers("Record-Route");
    assert_eq!((sent[1].transport, record.len()), (Transport::Udp, 2));
    assert!(record[0].starts_with("<sip:192.0.2.1:5060;lr;"), "the upper one faces the next hop: {record:?}");
    assert!(record[1].starts_with("<sip:192.0.2.1:5060;transport=tcp;lr;"));
    site.from(SERVER, &respond(&sent[1], 200, "u", ""));
    // Both come back, in either order of the sides, and both are taken off.
    let up = routes(&format!("{}, {}", record[1], record[0]));
    let sent = site.stream(TRUNK, 1, &inside("BYE", "sip:lk@10.1.0.5", &up, 2, true));
    assert_eq!((sent[0].transport, sent[0].header("Route")), (Transport::Udp, None));
    let down = format!("{}{}", routes(&record[0]), routes(&record[1]));
    let sent = site.from(SERVER, &inside("INFO", "sip:trunk@198.51.100.7:5060;transport=tcp", &down, 2, false));
    assert_eq!((sent[0].transport, sent[0].header("Route")), (Transport::Tcp, None));
    assert!(sent[0].header("Via").unwrap().starts_with("SIP/2.0/TCP 192.0.2.1:5060;"));
}

#[test]
fn an_advertised_address_speaks_for_its_family() {
    let text = crate::site::CONFIG
        .replace("hostname = \"eu.sip.example.com\"", "hostname = \"eu.sip.example.com\"\nadvertise = \"192.0.2.77\"")
        .replace("networks = [\"198.51.100.0/24\"]\nmedia", "networks = [\"198.51.100.0/24\", \"2001:db8:f::/48\"]\nmedia");
    let mut site = Site::new(&text);
    let call = invite("acme.eu.sip.example.com", "10.1.0.20", "one");
    let sent = site.to("[2001:db8:e::1]:5060", "[2001:db8:f::7]:5060", call.as_bytes());
    assert!(sent[1].header("Via").unwrap().starts_with("SIP/2.0/UDP 192.0.2.77:5060;"), "{}", sent[1].text());
    let record = sent[1].headers("Record-Route");
    assert!(
        record[0].starts_with("<sip:192.0.2.77:5060;lr;") && record[1].starts_with("<sip:[2001:db8:e::1]:5060;lr;"),
        "{record:?}"
    );
}

#[test]
fn outbound_calls_go_to_the_trunk_and_nowhere_else() {
    let mut site = Site::usual();
    let call = |id: &str, media: &str| {
        invite("carrier.acme.eu.sip.example.com", media, id).replace("198.51.100.7:5060;rport", "10.1.0.5:5060;rport")
    };
    let sent = site.from(SERVER, &call("a", "10.1.0.20"));
    assert_eq!(sent[1].line(), "INVITE sip:+4930123@acme.pstn.example.net:5080;transport=udp SIP/2.0");
    assert_eq!(sent[1].to, "198.51.100.9:5080".parse().unwrap());
    // The trunk's media networks are not the region's.
    let sent = site.from(SERVER, &call("b", "203.0.113.5"));
    assert_eq!(sent[0].header("X-Ringfence").as_deref(), Some("140; reason=foreign-media-offer; region=eu"));
    // Only a server of the region may call out.
    let sent = site.from(TRUNK, &invite("carrier.acme.eu.sip.example.com", "10.1.0.20", "c"));
    assert_eq!(sent[0].line(), "SIP/2.0 403 Forbidden");
    // A trunk without uri is no endpoint.
    let sent = site.from(SERVER, &invite("indian.acme.eu.sip.example.com", "10.1.0.20", "d"));
    assert_eq!(sent[0].header("X-Ringfence").as_deref(), Some("111; reason=unknown-endpoint; region=eu"));
}

#[test]
fn methods_that_form_dialogs_or_are_unknown_are_recorded() {
    let mut site = Site::usual();
    for (method, recorded) in [("SUBSCRIBE", true), ("REFER", true), ("NOTIFY", true), ("FOO", true), ("MESSAGE", false)] {
        let sent = site.from(TRUNK, &request(method, "sip:x@acme.eu.sip.example.com", method));
        assert_eq!(sent.len(), 1, "{method}: no 100");
        assert_eq!(sent[0].header("Record-Route").is_some(), recorded, "{method}");
        assert!(sent[0].line().starts_with(method));
    }
}

#[test]
fn what_belongs_to_a_dialog_goes_nowhere_without_a_to_tag() {
    let mut site = Site::usual();
    let (_, route) = call(&mut site);
    for method in ["BYE", "PRACK", "UPDATE", "INFO"] {
        // Even with a token: some readers find a tag where we find none.
        let within = inside(method, "sip:lk@10.1.0.5:5060", &routes(&route), 2, true).replace(";tag=u", "");
        for text in [request(method, "sip:x@acme.eu.sip.example.com", method), within] {
            assert!(!text.split("\r\n").any(|line| line.starts_with("To") && line.contains("tag")), "{text}");
            for source in [TRUNK, SERVER] {
                let sent = site.from(source, &text);
                let lines: Vec<_> = sent.iter().map(Sent::line).collect();
                assert_eq!(
                    (lines, site.outcome()),
                    (vec!["SIP/2.0 481 Call/Transaction Does Not Exist".to_owned()], Outcome::Answered(481))
                );
                assert_eq!(sent[0].to, source.parse().unwrap());
            }
        }
        assert!(
            site.from("192.0.2.66:5060", &request(method, "sip:x@acme.eu.sip.example.com", "s"))[0]
                .line()
                .ends_with("403 Forbidden")
        );
    }
}

#[test]
fn what_a_region_does_not_serve_it_does_not_serve_inside_a_dialog() {
    let listed = crate::site::CONFIG.replace("[region.uk]", "methods = [\"REGISTER\"]\n[region.uk]");
    for (config, method, passes) in [
        (crate::site::CONFIG, "REGISTER", false),
        (crate::site::CONFIG, "PUBLISH", false),
        (&listed, "REGISTER", true),
        (&listed, "PUBLISH", false),
    ] {
        let mut site = Site::new(config);
        let (_, route) = call(&mut site);
        for (source, uri, from_trunk) in [(TRUNK, "sip:lk@10.1.0.5", true), (SERVER, "sip:trunk@198.51.100.7", false)] {
            let sent = site.from(source, &inside(method, uri, &routes(&route), 2, from_trunk));
            if passes {
                assert!(sent.len() == 1 && sent[0].line().starts_with(method), "{method} from {source}");
                continue;
            }
            assert_eq!((sent.len(), sent[0].line().as_str()), (1, "SIP/2.0 405 Method Not Allowed"), "{method} from {source}");
            assert_eq!(sent[0].to, source.parse().unwrap());
            assert!(sent[0].header("Allow").unwrap().starts_with("INVITE, "));
            assert_eq!(site.outcome(), Outcome::Answered(405));
        }
        // Whoever brings no token is told nothing of it.
        let forged = inside(method, "sip:lk@10.1.0.5", "", 3, true);
        assert_eq!(site.from(TRUNK, &forged)[0].header("X-Ringfence").as_deref(), Some("170; reason=forged-route; region=eu"));
    }
}

#[test]
fn a_route_without_brackets_is_read() {
    let mut site = Site::usual();
    let (_, route) = call(&mut site);
    let bare = routes(&route).replace(['<', '>'], "");
    let text = inside("INFO", "sip:lk@10.1.0.5:5060", &bare, 2, true);
    let sent = site.from(TRUNK, &text);
    assert_eq!((sent[0].line(), sent[0].to), ("INFO sip:lk@10.1.0.5:5060 SIP/2.0".to_owned(), SERVER.parse().unwrap()));
    assert_eq!(sent[0].headers("Route"), Vec::<String>::new(), "{}", sent[0].text());
    let forged = text.replace("rf=0", "rf=1").replace("z9hG4bK", "z9hG4bKx");
    assert_eq!(site.from(TRUNK, &forged)[0].header("X-Ringfence").as_deref(), Some("170; reason=forged-route; region=eu"));
}

#[test]
fn a_route_leads_even_if_the_request_uri_is_the_endpoint_still() {
    let endpoint = "sip:+4930123@acme.eu.sip.example.com";
    for method in ["INFO", "BYE", "INVITE", "ACK"] {
        let mut site = Site::usual();
        let (_, route) = call(&mut site);
        // A server that stays on the way; without it the request would come back to ourselves.
        let led = routes(&format!("{route}, <sip:10.1.0.6;lr>"));
        let sent = site.from(TRUNK, &inside(method, endpoint, &led, 2, true));
        let on = sent.iter().find(|sent| sent.fenced).unwrap_or_else(|| panic!("{method}: {sent:?}"));
        assert_eq!((on.to, on.line()), (SECOND.parse().unwrap(), format!("{method} {endpoint} SIP/2.0")));
        // So it is towards the trunk, by its proxy.
        let led = routes(&format!("{route}, <sip:198.51.100.8;lr>"));
        let sent = site.from(SERVER, &inside(method, endpoint, &led, 3, false));
        let on = sent.iter().find(|sent| sent.fenced).unwrap_or_else(|| panic!("{method}: {sent:?}"));
        assert_eq!(on.to, "198.51.100.8:5060".parse().unwrap());
    }
    let mut site = Site::usual();
    let (_, route) = call(&mut site);
    let sent = site.from(TRUNK, &inside("BYE", endpoint, &routes(&route), 2, true));
    assert_eq!(sent[0].header("X-Ringfence").as_deref(), Some("171; reason=foreign-dialog-target; region=eu"));
}

#[test]
fn calls_can_end_while_new_ones_find_no_room() {
    let mut site =
        Site::new(&crate::site::CONFIG.replace("per_source = \"50/s\"", "per_source = \"1000000/s\"\ntransactions = 2"));
    // It is over as soon as it is answered, and takes no room in the table.
    let (_, route) = call(&mut site);
    for id in ["a", "b"] {
        assert_eq!(site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", id)).len(), 2);
    }
    let full = site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", "c"));
    assert_eq!(full[0].header("X-Ringfence").as_deref(), Some("160; reason=overloaded; region=eu"));
    let bye = |cseq| inside("BYE", "sip:lk@10.1.0.5:5060", &routes(&route), cseq, true);
    assert_eq!(site.from(TRUNK, &bye(2))[0].to, SERVER.parse().unwrap());
    // That too has its bound: what a trunk may have beside the others.
    let passed = (3..40).filter(|&cseq| site.from(TRUNK, &bye(cseq))[0].line().starts_with("BYE")).count();
    assert_eq!(passed, 13);
    assert_eq!(site.core.transactions(), 17);
}

#[test]
fn loops_end_and_spirals_pass() {
    let mut site = Site::usual();
    let sent = site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", "one"));
    // The server sends it back as it was.
    let back = site.from(TRUNK, &sent[1].text());
    assert_eq!((back.len(), back[0].line()), (1, "SIP/2.0 482 Loop Detected".to_owned()));
    // With another Request-URI it is a spiral.
    let spiral = sent[1].text().replace("INVITE sip:+4930123@", "INVITE sip:+4930999@");
    assert_eq!(site.from(TRUNK, &spiral).len(), 2);
}

#[test]
fn the_ack_of_a_2xx_has_another_way_along_if_it_needs_a_connection() {
    let branch = |sent: &Sent| sent.header("Via").unwrap().split("branch=").nth(1).unwrap().to_owned();
    let mut site = Site::usual();
    let (_, route) = call(&mut site);
    let ack = inside("ACK", &format!("sip:lk@{SERVER}"), &routes(&route), 1, true);
    let large = ack.replace("Max-Forwards", &format!("X-Fill: {}\r\nMax-Forwards", "x".repeat(1300)));
    let first = site.from(TRUNK, &large).remove(0);
    assert_eq!((first.to, first.transport, first.attempt), (SERVER.parse().unwrap(), Transport::Tcp, None));
    let instead = first.instead.as_deref().unwrap();
    assert_eq!((instead.to, instead.transport, instead.fenced), (SERVER.parse().unwrap(), Transport::Udp, true));
    let via = instead.header("Via").unwrap();
    assert!(via.starts_with("SIP/2.0/UDP 192.0.2.1:5060;") && branch(instead) == branch(&first), "{via}");
    assert_eq!(instead.text().replace(&via, ""), first.text().replace(&first.header("Via").unwrap(), ""));
    assert!(instead.instead.is_none());
    // A datagram needs none.
    let small = site.from(TRUNK, &ack).remove(0);
    assert_eq!((small.transport, small.instead.is_none()), (Transport::Udp, true));
}

#[test]
fn a_lack_of_targets_inside_a_dialog_ends_no_call() {
    let mut site = Site::new(&crate::site::CONFIG.replace("reject = \"twilio\"", "reject = { policy = 403, capacity = 480 }"));
    let (_, route) = call(&mut site);
    let again = inside("INVITE", &format!("sip:lk@{SERVER}"), &routes(&route), 2, true);
    let again = again.replace("Content-Length", "Contact: <sip:t@198.51.100.7>\r\nContent-Length");
    let seen = site.from(TRUNK, &again).pop().unwrap();
    let sent = site.from(SERVER, &respond(&seen, 503, "u", ""));
    let told = sent.iter().find(|sent| !sent.fenced).unwrap();
    assert!(told.line().starts_with("SIP/2.0 503 ") && told.text().contains("152"), "{}", told.text());
    // Another host, whose name nobody knows.
    let lost = inside("UPDATE", "sip:lk@none.example.net", &routes(&route), 3, true);
    let sent = site.from(TRUNK, &lost.replace("Content-Length", "Contact: <sip:t@198.51.100.7>\r\nContent-Length"));
    assert!(sent.iter().all(|sent| !sent.line().starts_with("SIP/2.0 480")), "{sent:#?}");
}
