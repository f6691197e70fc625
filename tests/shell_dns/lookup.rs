//! One next hop at once, with its steps.

use std::time::Duration;

use ringfence::config::{Dns, NextHop, Transport};
use ringfence::dns::{Lookup, LookupFailure, Resolution, StepResult, Unused, Why};

use crate::server::NameServer;
use crate::{described, zone_of};

fn lookup(server: &NameServer) -> Lookup {
    Lookup::new(&Dns { servers: vec![server.addr], stale: Duration::ZERO, vanish: Duration::ZERO }).unwrap()
}

fn next_hop(host: &str, port: Option<u16>, transport: Option<Transport>) -> NextHop {
    NextHop { host: host.to_owned(), port, transport, secure: false }
}

async fn resolve(server: &NameServer, host: &str) -> Resolution {
    lookup(server).resolve(&next_hop(host, None, None)).await
}

#[tokio::test]
async fn the_steps_are_a_tree() {
    let server = NameServer::start(
        "example.net 50 NAPTR 10 1 s SIPS+D2T \"\" _sips._tcp.example.net
         example.net 50 NAPTR 10 2 s SIP+D2T \"\" _sip._tcp.example.net
         _sip._tcp.example.net 40 SRV 1 5 5070 a.example.net
         a.example.net 300 CNAME b.example.net
         b.example.net 30 A 10.0.0.1",
    );
    let found = resolve(&server, "example.net").await;
    assert_eq!(described(&found.servers), ["0 5 tcp 10.0.0.1:5070"]);
    assert!(!found.failed);
    // AAAA does not exist, and that holds 30 seconds at most.
    assert_eq!(found.ttl, Duration::from_secs(30));
    let [naptr] = &found.trace.steps[..] else { panic!("{:?}", found.trace) };
    assert_eq!((naptr.question.to_string(), naptr.why), ("NAPTR example.net".to_owned(), Why::Neither));
    let StepResult::Records(records) = &naptr.result else { panic!("{naptr:?}") };
    assert_eq!((records[0].unused, records[0].steps.len()), (Some(Unused::Unasked), 0));
    assert_eq!((records[1].unused, records[1].record.ttl), (None, Duration::from_secs(50)));
    let [srv] = &records[1].steps[..] else { panic!("{records:?}") };
    let StepResult::Records(records) = &srv.result else { panic!("{srv:?}") };
    let [a, aaaa] = &records[0].steps[..] else { panic!("{records:?}") };
    assert_eq!((a.aliases[0].name.as_str(), a.aliases[0].target.as_str()), ("a.example.net", "b.example.net"));
    assert!(matches!(&a.result, StepResult::Records(records) if records.len() == 1), "{a:?}");
    assert!(matches!(&aaaa.result, StepResult::NoRecord(Some(_))), "{aaaa:?}");
}

#[tokio::test]
async fn nothing_and_no_answer_are_told_apart() {
    for (zone, failed) in [
        ("", false),
        ("example.net 60 SRV 0 0 1 x", false),
        ("* * servfail", true),
        ("* * refused", true),
        ("* A servfail", true),
        ("* NAPTR refused", true),
    ] {
        let found = resolve(&NameServer::start(zone), "example.net").await;
        assert_eq!((found.servers.len(), found.failed), (0, failed), "{zone}");
    }
    let found = resolve(&NameServer::start("* NAPTR refused\nexample.net 60 A 10.0.0.1"), "example.net").await;
    assert_eq!((described(&found.servers), found.failed), (vec!["0 0 any 10.0.0.1:5060".to_owned()], false));
    assert_eq!(found.trace.steps[0].result, StepResult::Failed(LookupFailure::Refused));
}

#[tokio::test]
async fn a_name_that_is_no_name_is_not_asked_for() {
    let server = NameServer::start("");
    for host in ["nowhere.invalid", "a..b", "x.onion"] {
        assert!(resolve(&server, host).await.servers.is_empty());
    }
    let here = lookup(&server).resolve(&next_hop("localhost", Some(5070), None)).await;
    assert_eq!(described(&here.servers), ["0 0 any 127.0.0.1:5070,[::1]:5070"]);
    assert_eq!(server.asked(), [""; 0]);
}

#[tokio::test]
async fn the_number_of_questions_is_bounded() {
    let zone = zone_of(0..40, |n| format!("_sip._udp.example.net 60 SRV {n} 0 5060 s{n}.example.net"));
    let server = NameServer::start(&zone);
    let found = lookup(&server).resolve(&next_hop("example.net", None, Some(Transport::Udp))).await;
    assert!(found.servers.is_empty());
    let asked = server.asked().iter().filter(|asked| !asked.starts_with("SRV")).count();
    assert_eq!(asked, 63, "64 with the one for the service");
}

#[tokio::test]
async fn few_questions_of_one_name_are_under_way_at_a_time() {
    let services = zone_of(0..12, |n| format!("_sip._udp.example.net 60 SRV {n} 0 5060 s{n}.example.net"));
    let silent = NameServer::start(&format!("* A silent\n* AAAA silent\n{services}"));
    let hop = next_hop("example.net", None, Some(Transport::Udp));
    let found = lookup(&silent).within(Duration::from_millis(300)).resolve(&hop).await;
    assert!(found.failed && found.servers.is_empty());
    let mut asked = silent.asked();
    asked.retain(|asked| !asked.starts_with("SRV"));
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), 8, "none was answered, so no other was asked: {asked:?}");
}

#[tokio::test]
async fn silence_ends_when_the_time_is_up_and_holds_nobody_up() {
    let (silent, good) = (NameServer::start("* * silent"), NameServer::start("example.net 60 A 10.0.0.1"));
    let hop = next_hop("example.net", Some(5060), None);
    let (waits, answers) = (lookup(&silent).within(Duration::from_millis(300)), lookup(&good));
    let (first, second, third) = tokio::join!(waits.resolve(&hop), waits.resolve(&hop), answers.resolve(&hop));
    for found in [first, second] {
        assert!(found.failed && found.servers.is_empty());
        assert_eq!(found.trace.steps[0].result, StepResult::Failed(LookupFailure::Silent));
    }
    assert_eq!(described(&third.servers), ["0 0 any 10.0.0.1:5060"]);
    // What is known by then is the result.
    let half = NameServer::start("* AAAA silent\nexample.net 60 A 10.0.0.1");
    let found = lookup(&half).within(Duration::from_secs(1)).resolve(&hop).await;
    assert_eq!((described(&found.servers), found.failed), (vec!["0 0 any 10.0.0.1:5060".to_owned()], false));
}
