//! One name and its addresses: how long they hold, what serves while nobody answers, what a change does.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ringfence::config::NameId;
use ringfence::dns::Resolver;
use ringfence::telemetry::Metrics;

use crate::server::NameServer;
use crate::{becomes, config_of, lookups, metric, resolved, resolver_of, stale, unchanged_until, zone_of};

/// With a port, so that addresses are all that is asked for.
const UPSTREAM: &str = "sip:a.example.net:5060";

fn resolver(server: &NameServer, more: &str) -> (Resolver, Arc<Metrics>) {
    resolver_of(config_of(&[server], UPSTREAM, more))
}

#[tokio::test]
async fn both_families_in_the_order_of_the_zone() {
    let server = NameServer::start(
        "a.example.net 60 A 10.0.0.2
         a.example.net 60 A 10.0.0.1
         a.example.net 60 AAAA 2001:db8::1",
    );
    let (mut resolver, metrics) = resolver(&server, "");
    assert!(!resolver.targets().is_known(NameId(0)));
    becomes(&mut resolver, &["10.0.0.2", "10.0.0.1", "2001:db8::1"]).await;
    assert_eq!((lookups(&metrics, "A", "ok"), lookups(&metrics, "AAAA", "ok")), (1, 1));
    assert_eq!(metric(&metrics, "ringfence_dns_outside_total{region=\"eu\"}"), 0);
    let mut asked = server.asked();
    asked.sort();
    assert_eq!(asked, ["A a.example.net", "AAAA a.example.net"], "a port means no NAPTR and no SRV");
}

#[tokio::test]
async fn trunks_that_nobody_calls_cost_no_question() {
    let server = NameServer::start("a.example.net 60 A 10.0.0.1");
    let trunks = zone_of(0..2000, |at| {
        format!(
            "[project.p{at}]\npin = [\"eu\"]\n[project.p{at}.trunk.out]\nnetworks = [\"192.0.2.0/24\"]\n\
             uri = \"sip:pstn{at}.example.net\""
        )
    });
    let config = config_of(&[&server], UPSTREAM, &trunks);
    assert_eq!(config.names.len(), 2001);
    let (mut resolver, _) = resolver_of(config);
    becomes(&mut resolver, &["10.0.0.1"]).await;
    // On a busy machine a question may be repeated.
    assert!(server.asked().iter().all(|question| question.ends_with(" a.example.net")), "{:?}", server.asked());
}

#[tokio::test]
async fn a_change_in_the_zone_arrives_when_the_ttl_says_so() {
    let server = NameServer::start("a.example.net 0 A 10.0.0.1");
    let (mut resolver, _) = resolver(&server, "");
    becomes(&mut resolver, &["10.0.0.1"]).await;
    let before = server.asked().len();
    server.now_says("a.example.net 60 A 10.0.0.9");
    becomes(&mut resolver, &["10.0.0.9"]).await;
    assert!(server.asked().len() - before <= 4, "a TTL of 0 is asked again after a second, not at once: {:?}", server.asked());
}

#[tokio::test]
async fn an_old_answer_serves_while_dns_is_down() {
    let server = NameServer::start("a.example.net 0 A 10.0.0.1");
    let (mut resolver, metrics) = resolver(&server, "stale = \"1h\"\n");
    becomes(&mut resolver, &["10.0.0.1"]).await;
    assert!(stale(&metrics).abs() < f64::EPSILON);
    server.now_says("* * servfail");
    unchanged_until(&mut resolver, || lookups(&metrics, "A", "failed") >= 2 && stale(&metrics) > 1.0).await;
    assert_eq!(resolved(&resolver), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    assert!(resolver.targets().is_known(NameId(0)));
    let status = resolver.status();
    assert!(status[0].known && status[0].stale.is_some_and(|stale| stale > Duration::from_secs(1)), "{status:?}");
    assert!(status[0].failure.is_some() && status[0].servers.len() == 1);
    server.now_says("a.example.net 60 A 10.0.0.2");
    becomes(&mut resolver, &["10.0.0.2"]).await;
    // The gauge follows with the next look at what is due.
    unchanged_until(&mut resolver, || stale(&metrics).abs() < f64::EPSILON).await;
    assert_eq!(resolver.status()[0].stale, None);
}

#[tokio::test]
async fn a_stale_answer_ends_when_it_may_serve_no_longer() {
    let server = NameServer::start("a.example.net 0 A 10.0.0.1");
    let (mut resolver, metrics) = resolver(&server, "stale = \"0s\"\n");
    becomes(&mut resolver, &["10.0.0.1"]).await;
    unchanged_until(&mut resolver, || lookups(&metrics, "AAAA", "none") >= 1).await;
    server.now_says("* * servfail");
    becomes(&mut resolver, &[]).await;
    server.now_says("a.example.net 60 A 10.0.0.1");
    becomes(&mut resolver, &["10.0.0.1"]).await;
}

#[tokio::test]
async fn names_that_do_not_exist_are_known_to_be_empty() {
    for says in ["", "a.example.net 60 SRV 0 0 5060 b.example.net"] {
        let server = NameServer::start(says);
        let (mut resolver, metrics) = resolver(&server, "");
        becomes(&mut resolver, &[]).await;
        assert_eq!(lookups(&metrics, "A", "none"), 1);
    }
}

#[tokio::test]
async fn what_nobody_answers_stays_unknown_until_somebody_does() {
    for says in ["* * servfail", "* * refused", "* * silent"] {
        let server = NameServer::start(says);
        let (mut resolver, metrics) = resolver(&server, "");
        unchanged_until(&mut resolver, || lookups(&metrics, "A", "failed") >= 1).await;
        let targets = resolver.targets();
        assert!(!targets.is_known(NameId(0)));
        let (question, why) = targets.failure(NameId(0)).expect("calls are told why");
        let words = format!("{question}: {why}");
        let expected = match says {
            "* * servfail" => "A a.example.net: the name server failed (SERVFAIL)",
            "* * refused" => "A a.example.net: refused by the name server",
            _ => "A a.example.net: no answer in time",
        };
        assert_eq!(words, expected);
        // One family is enough to place calls.
        server.now_says("* AAAA servfail\na.example.net 60 A 10.0.0.1");
        becomes(&mut resolver, &["10.0.0.1"]).await;
        assert_eq!(resolver.targets().failure(NameId(0)), None);
    }
}

#[tokio::test]
async fn another_configuration_keeps_what_is_known_of_its_names() {
    let server = NameServer::start("a.example.net 60 A 10.0.0.1");
    let (mut resolver, _) = resolver(&server, "");
    becomes(&mut resolver, &["10.0.0.1"]).await;
    server.now_says("* * silent");
    let same = resolver.replaced(config_of(&[&server], UPSTREAM, "stale = \"2h\"\n")).unwrap();
    assert_eq!(same.targets(), resolver.targets());
    let other = resolver.replaced(config_of(&[&server], "sip:b.example.net", "")).unwrap();
    assert!(!other.targets().is_known(NameId(0)), "another name is another question");
    let port = resolver.replaced(config_of(&[&server], "sip:a.example.net:5070", "")).unwrap();
    assert!(!port.targets().is_known(NameId(0)), "and so is another port of the same name");
}

#[tokio::test]
async fn an_answer_that_does_not_fit_comes_over_tcp() {
    let zone = zone_of(0..200, |n| format!("a.example.net 60 A 10.0.0.{n}"));
    let server = NameServer::start(&format!("{zone}\na.example.net AAAA truncated\na.example.net 60 AAAA 2001:db8::1"));
    let (mut resolver, _) = resolver(&server, "");
    while resolved(&resolver).len() < 32 {
        crate::changed(&mut resolver).await;
    }
    let first: Vec<IpAddr> = (0..32).map(|n| IpAddr::from([10, 0, 0, n])).collect();
    assert_eq!(resolved(&resolver), first, "as many as are ever tried, in their order");
    assert!(server.asked().contains(&"A a.example.net (tcp)".to_owned()), "{:?}", server.asked());
}

#[tokio::test]
async fn an_answer_under_another_id_is_no_answer() {
    let server = NameServer::start("* * forged\na.example.net 60 A 10.0.0.1");
    let (mut resolver, _) = resolver(&server, "");
    becomes(&mut resolver, &["10.0.0.1"]).await;
}

#[tokio::test]
async fn a_server_that_cannot_answer_is_not_the_last_word() {
    for says in ["* * servfail", "* * refused", "* * silent"] {
        let (bad, good) = (NameServer::start(says), NameServer::start("a.example.net 60 A 10.0.0.1"));
        let (mut resolver, metrics) = resolver_of(config_of(&[&bad, &good], UPSTREAM, ""));
        becomes(&mut resolver, &["10.0.0.1"]).await;
        assert_eq!(lookups(&metrics, "A", "failed"), 0, "{says}");
    }
}
