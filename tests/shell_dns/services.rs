//! NAPTR and SRV: the whole way, what fails on it, what is served meanwhile.

use ringfence::config::NameId;

use crate::server::NameServer;
use crate::{becomes, config_of, lookups, resolver_of, servers, unchanged_until, zone_of};

const UPSTREAM: &str = "sip:example.net";

const ZONE: &str = "
    example.net 60 NAPTR 10 50 \"s\" \"SIPS+D2T\" \"\" _sips._tcp.example.net
    example.net 60 NAPTR 20 50 \"s\" \"SIP+D2T\" \"\" _sip._tcp.example.net
    example.net 60 NAPTR 20 70 \"S\" \"sip+d2u\" \"\" _sip._udp.example.net
    _sip._tcp.example.net 60 SRV 10 30 5060 a.example.net
    _sip._tcp.example.net 60 SRV 10 70 5061 b.example.net
    _sip._udp.example.net 60 SRV 0 0 5062 a.example.net
    a.example.net 60 A 10.0.0.1
    a.example.net 60 AAAA 2001:db8::1
    b.example.net 60 A 10.0.0.2
    example.net 60 A 10.0.0.9
";

const FOUND: [&str; 3] =
    ["0 30 tcp 10.0.0.1:5060,[2001:db8::1]:5060", "0 70 tcp 10.0.0.2:5061", "1 0 udp 10.0.0.1:5062,[2001:db8::1]:5062"];

#[tokio::test]
async fn the_whole_way() {
    let server = NameServer::start(ZONE);
    let (mut resolver, metrics) = resolver_of(config_of(&[&server], UPSTREAM, ""));
    while servers(&resolver) != FOUND {
        crate::changed(&mut resolver).await;
    }
    let asked = server.asked();
    assert_eq!(asked[0], "NAPTR example.net");
    assert_eq!(asked.len(), 7, "each question once: {asked:?}");
    assert!(!asked.contains(&"A example.net".to_owned()));
    assert_eq!((lookups(&metrics, "NAPTR", "ok"), lookups(&metrics, "SRV", "ok")), (1, 2));
}

#[tokio::test]
async fn without_naptr_and_without_srv() {
    for (zone, expected, last) in [
        (
            "_sip._tcp.example.net 60 SRV 0 5 5070 a.example.net\na.example.net 60 A 10.0.0.1",
            "0 5 tcp 10.0.0.1:5070",
            "AAAA a.example.net",
        ),
        ("example.net 60 A 10.0.0.9", "0 0 any 10.0.0.9:5060", "AAAA example.net"),
    ] {
        let server = NameServer::start(zone);
        let (mut resolver, metrics) = resolver_of(config_of(&[&server], UPSTREAM, ""));
        while servers(&resolver) != [expected] {
            crate::changed(&mut resolver).await;
        }
        unchanged_until(&mut resolver, || server.asked().contains(&last.to_owned())).await;
        assert_eq!(lookups(&metrics, "NAPTR", "none"), 1);
    }
}

#[tokio::test]
async fn a_service_that_is_decidedly_not_there_is_known_to_be_empty() {
    let server = NameServer::start("_sip._udp.example.net 60 SRV 0 0 0 .\nexample.net 60 A 10.0.0.9");
    let (mut resolver, _) = resolver_of(config_of(&[&server], "sip:example.net;transport=udp", ""));
    becomes(&mut resolver, &[]).await;
    assert_eq!(server.asked(), ["SRV _sip._udp.example.net"]);
}

#[tokio::test]
async fn services_may_be_aliases() {
    let zone = "_sip._udp.example.net 60 CNAME _sip._udp.other.example
                _sip._udp.other.example 60 SRV 0 1 5060 a.other.example
                a.other.example 60 CNAME b.other.example
                b.other.example 60 A 10.0.0.1";
    // As a resolver answers, and as a server that knows only its own zone.
    for more in ["", "\n* * lone"] {
        let server = NameServer::start(&format!("{zone}{more}"));
        let (mut resolver, _) = resolver_of(config_of(&[&server], "sip:example.net;transport=udp", ""));
        while servers(&resolver) != ["0 1 udp 10.0.0.1:5060"] {
            crate::changed(&mut resolver).await;
        }
    }
}

#[tokio::test]
async fn many_services_come_over_tcp_and_the_best_are_kept() {
    let zone = zone_of(0..200, |n| {
        format!("_sip._udp.example.net 60 SRV {} 0 5060 s{n}.example.net\ns{n}.example.net 60 A 10.0.1.{n}", 200 - n)
    });
    let server = NameServer::start(&zone);
    let (mut resolver, _) = resolver_of(config_of(&[&server], "sip:example.net;transport=udp", ""));
    while servers(&resolver).len() < 32 {
        crate::changed(&mut resolver).await;
    }
    assert_eq!(servers(&resolver)[0], "0 0 udp 10.0.1.199:5060");
    assert_eq!(servers(&resolver)[31], "31 0 udp 10.0.1.168:5060");
    assert!(server.asked().contains(&"SRV _sip._udp.example.net (tcp)".to_owned()));
}

#[tokio::test]
async fn a_failed_service_serves_what_was_known_of_it() {
    let zone = ZONE.replace(" 60 ", " 0 ");
    let server = NameServer::start(&zone);
    let (mut resolver, metrics) = resolver_of(config_of(&[&server], UPSTREAM, ""));
    while servers(&resolver) != FOUND {
        crate::changed(&mut resolver).await;
    }
    server.now_says(&format!("* NAPTR refused\n* SRV servfail\n{zone}"));
    let failed = || lookups(&metrics, "NAPTR", "failed") >= 3 && lookups(&metrics, "SRV", "failed") >= 6;
    unchanged_until(&mut resolver, failed).await;
    assert_eq!(servers(&resolver), FOUND);
    // One that is asked for anew finds its way all the same: the others have their addresses.
    server.now_says(&zone.replace("10.0.0.1", "10.0.0.7"));
    while servers(&resolver)[0] != "0 30 tcp 10.0.0.7:5060,[2001:db8::1]:5060" {
        crate::changed(&mut resolver).await;
    }
}

#[tokio::test]
async fn a_server_that_fails_for_naptr_alone_is_known_in_the_field() {
    let server = NameServer::start(&format!("* NAPTR refused\n{ZONE}"));
    let (mut resolver, _) = resolver_of(config_of(&[&server], UPSTREAM, ""));
    while !resolver.targets().is_known(NameId(0)) {
        crate::changed(&mut resolver).await;
    }
    assert_eq!(servers(&resolver)[0], "0 0 udp 10.0.0.1:5062,[2001:db8::1]:5062", "as if there were none: UDP first");
    let failed = |asked: Vec<String>| asked.iter().filter(|asked| *asked == "NAPTR example.net").count();
    // Each look-up asks twice.
    assert!(failed(server.asked()) >= 2 * 4, "three times, and once more after the others were answered");
    server.now_says(ZONE);
    while servers(&resolver) != FOUND {
        crate::changed(&mut resolver).await;
    }
}

#[tokio::test]
async fn when_name_servers_come_back_the_domain_still_decides() {
    let server = NameServer::start("* * servfail");
    let (mut resolver, metrics) = resolver_of(config_of(&[&server], UPSTREAM, ""));
    // As long as it takes until the addresses of the name itself have been asked for.
    unchanged_until(&mut resolver, || lookups(&metrics, "A", "failed") >= 1).await;
    assert!(!resolver.targets().is_known(NameId(0)));
    server.now_says(ZONE);
    while !resolver.targets().is_known(NameId(0)) {
        crate::changed(&mut resolver).await;
    }
    assert!(!servers(&resolver).iter().any(|server| server.contains("10.0.0.9")), "not what answered first");
    while servers(&resolver) != FOUND {
        crate::changed(&mut resolver).await;
    }
}

#[tokio::test]
async fn new_services_serve_when_their_addresses_are_known() {
    // One record alone becomes another: of several each would take effect when it comes.
    let naptr = "example.net 0 NAPTR 1 1 s SIP+D2T \"\" _sip._tcp.example.net\n";
    let before = "_sip._tcp.example.net 0 SRV 0 0 5060 old.example.net\nold.example.net 0 A 10.0.0.4\n";
    let server = NameServer::start(&format!("{naptr}{before}"));
    let (mut resolver, metrics) = resolver_of(config_of(&[&server], UPSTREAM, ""));
    let found = ["0 0 tcp 10.0.0.4:5060"];
    while servers(&resolver) != found {
        crate::changed(&mut resolver).await;
    }
    let only = format!("{naptr}_sip._tcp.example.net 0 SRV 0 0 5060 new.example.net\n");
    server.now_says(&format!("* A servfail\n* AAAA servfail\n{only}"));
    let asked = || server.asked().iter().filter(|asked| *asked == "A new.example.net").count() >= 4;
    unchanged_until(&mut resolver, asked).await;
    assert!(lookups(&metrics, "A", "failed") >= 1);
    assert_eq!(servers(&resolver), found, "the ones before, until the new ones can be reached");
    server.now_says(&format!("{only}new.example.net 60 A 10.0.0.5"));
    while servers(&resolver) != ["0 0 tcp 10.0.0.5:5060"] {
        crate::changed(&mut resolver).await;
    }
}
