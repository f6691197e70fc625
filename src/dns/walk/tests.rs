//! The walk on zones written as text: every branch of RFC 3263 4.1 and 4.2, what RFC 2782 says of SRV, and records that nobody
//! should have published.

use super::zone::{Fact, NO_NAME, TTL, Zone, asked, servers, unused};
use super::*;
use crate::dns::record::{Alias, Naptr};

const WHOLE: &str = "
    e NAPTR 50 50 s SIPS+D2T \"\" _sips._tcp.e
    e NAPTR 90 50 s SIP+D2T \"\" _sip._tcp.e
    e NAPTR 100 50 s SIP+D2U \"\" _sip._udp.e
    _sip._tcp.e SRV 10 20 5060 a.e
    _sip._tcp.e SRV 20 0 5062 b.e
    _sip._tcp.e SRV 10 80 5061 b.e
    _sip._udp.e SRV 0 0 5070 c.e
    a.e A 10.0.0.1
    a.e AAAA 2001:db8::1
    b.e A 10.0.0.2
    c.e A 10.0.0.3
    e A 10.0.0.9
    e AAAA 2001:db8::9
";

#[test]
fn what_is_written_decides_what_is_asked() {
    let zone = Zone::of(WHOLE);
    for (from, expected, questions) in [
        // RFC 3263 4.2: an explicit port means no SRV; the transport as written.
        ("e:5080", vec!["0 0 any 10.0.0.9:5080,[2001:db8::9]:5080"], vec!["A e", "AAAA e"]),
        ("e:5080/tcp", vec!["0 0 tcp 10.0.0.9:5080,[2001:db8::9]:5080"], vec!["A e", "AAAA e"]),
        // 4.1: a written transport means no NAPTR.
        ("e/udp", vec!["0 0 udp 10.0.0.3:5070"], vec!["SRV _sip._udp.e", "A c.e", "AAAA c.e"]),
        // 4.1: NAPTR; of the usable records only the lowest order counts.
        (
            "e",
            vec!["0 20 tcp 10.0.0.1:5060,[2001:db8::1]:5060", "0 80 tcp 10.0.0.2:5061", "1 0 tcp 10.0.0.2:5062"],
            vec!["NAPTR e", "SRV _sip._tcp.e", "A a.e", "A b.e", "AAAA a.e", "AAAA b.e"],
        ),
    ] {
        let walk = zone.walk(from);
        assert_eq!(servers(&walk), expected, "{from}");
        let mut questions: Vec<_> = questions.into_iter().map(str::to_owned).collect();
        let mut found = asked(&walk);
        questions.sort();
        found.sort();
        assert_eq!(found, questions, "{from}");
    }
}

#[test]
fn tls_is_for_whoever_asks_for_it() {
    let published = format!("{WHOLE}_sips._tcp.e SRV 0 0 5061 a.e\n");
    let (all, node) = (Zone::of(&published), "0 0 tls 10.0.0.1:5061,[2001:db8::1]:5061");
    // A sips URI: SIPS+D2T alone counts, whatever its order; written out it needs no NAPTR.
    assert_eq!(servers(&all.walk("e/sips")), [node]);
    assert_eq!(unused(&all.walk("e/sips")), [Unused::Insecure, Unused::Insecure]);
    assert_eq!(servers(&all.walk("e/tls")), [node]);
    assert!(asked(&all.walk("e/tls")).iter().all(|question| !question.starts_with("NAPTR")));
    assert_eq!(unused(&all.walk("e"))[0], Unused::Unasked);
    // Where nothing is published: the SRV name, then the name itself, on TLS' own port.
    assert_eq!(servers(&Zone::of("_sips._tcp.e SRV 0 0 5071 a.e\na.e A 10.0.0.1").walk("e/sips")), ["0 0 tls 10.0.0.1:5071"]);
    let bare = Zone::of("_sip._tcp.e SRV 0 0 5060 b.e\nb.e A 10.0.0.2\ne A 10.0.0.9");
    for from in ["e/sips", "e/tls"] {
        assert_eq!(servers(&bare.walk(from)), ["0 0 tls 10.0.0.9:5061"], "{from}");
    }
    assert_eq!(servers(&bare.walk("e:5080/sips")), ["0 0 tls 10.0.0.9:5080"]);
    // Only plain ways are published: still nothing but TLS.
    let plain = Zone::of("e NAPTR 1 1 s SIP+D2U \"\" _sip._udp.e\n_sip._udp.e SRV 0 0 5060 a.e\na.e A 10.0.0.1\ne A 10.0.0.9");
    assert_eq!(servers(&plain.walk("e/sips")), ["0 0 tls 10.0.0.9:5061"]);
}

#[test]
fn defaults_where_a_step_finds_nothing() {
    let addresses = "e A 10.0.0.9\ne AAAA 2001:db8::9";
    for (zone, from, expected) in [
        (addresses, "e", "0 0 any 10.0.0.9:5060,[2001:db8::9]:5060"),
        (addresses, "e/tcp", "0 0 tcp 10.0.0.9:5060,[2001:db8::9]:5060"),
        ("e A 10.0.0.9\ne AAAA none", "e/udp", "0 0 udp 10.0.0.9:5060"),
        ("e AAAA 2001:db8::9", "e", "0 0 any [2001:db8::9]:5060"),
        // A NAPTR record that leads to no SRV record: the transport that it chose, the name itself (4.2).
        ("e NAPTR 1 1 s SIP+D2T \"\" _sip._tcp.e\ne A 10.0.0.9", "e", "0 0 tcp 10.0.0.9:5060"),
        // A domain that offers TLS alone, which is not spoken: like a domain without NAPTR.
        ("e NAPTR 1 1 s SIPS+D2T \"\" _sips._tcp.e\n_sip._tcp.e SRV 0 7 5061 a.e\na.e A 10.0.0.1", "e", "0 7 tcp 10.0.0.1:5061"),
    ] {
        assert_eq!(servers(&Zone::of(zone).walk(from)), [expected], "{zone} {from}");
    }
    assert_eq!(servers(&Zone::of("").walk("e")), [""; 0], "nothing anywhere: known, and empty");
}

#[test]
fn without_naptr_each_transport_is_asked_for_udp_first() {
    let zone = Zone::of(
        "_sip._tcp.e SRV 0 1 5060 t.e
         _sip._udp.e SRV 9 2 5060 u.e
         t.e A 10.0.0.1
         u.e A 10.0.0.2",
    );
    let walk = zone.walk("e");
    assert_eq!(servers(&walk), ["0 2 udp 10.0.0.2:5060", "1 1 tcp 10.0.0.1:5060"], "a transport's servers before the next one's");
    let whys: Vec<Why> = walk.trace.steps.iter().map(|step| step.why).collect();
    assert_eq!(whys, [Why::Neither, Why::NoNaptr, Why::NoNaptr]);
}

#[test]
fn naptr_records_by_order_preference_service() {
    for (records, expected) in [
        // By preference, each a group of its own; what has the same shares one.
        ("e NAPTR 1 20 s SIP+D2T x t\ne NAPTR 1 10 s SIP+D2U x u", vec!["0 udp", "1 tcp"]),
        ("e NAPTR 1 10 s SIP+D2T x t\ne NAPTR 1 10 s SIP+D2U x u", vec!["0 tcp", "0 udp"]),
        // Only the lowest order with a usable record.
        ("e NAPTR 2 1 s SIP+D2T x t\ne NAPTR 1 9 s SIP+D2U x u", vec!["0 udp"]),
        ("e NAPTR 2 1 s SIP+D2T x t\ne NAPTR 1 9 s SIPS+D2T x u", vec!["0 tcp"]),
        ("e NAPTR 2 1 s SIP+D2T x t\ne NAPTR 1 9 s E2U+sip x u", vec!["0 tcp"]),
        ("e NAPTR 2 1 s SIP+D2T x t\ne NAPTR 1 9 u SIP+D2U x u", vec!["0 tcp"]),
        ("e NAPTR 2 1 s SIP+D2T x t\ne NAPTR 1 9 s SIP+D2U !.*!a! u", vec!["0 tcp"]),
        ("e NAPTR 2 1 s SIP+D2T x t\ne NAPTR 1 9 s SIP+D2U x .", vec!["0 tcp"]),
        // In any case of letters.
        ("e NAPTR 1 1 S sip+d2t x t", vec!["0 tcp"]),
        // The same again is nothing new.
        ("e NAPTR 1 1 s SIP+D2T x t\ne NAPTR 1 2 s SIP+D2T x t", vec!["0 tcp"]),
    ] {
        let records = records.replace(" x ", " \"\" ");
        let zone = Zone::of(&format!(
            "{records}\nt SRV 0 0 1 a.e\nu SRV 0 0 2 a.e\na.e A 10.0.0.1\n_sip._udp.e SRV 0 0 9 a.e\ne A 10.0.0.9"
        ));
        let found: Vec<String> = servers(&zone.walk("e"))
            .iter()
            .map(|line| {
                line.split(' ')
                    .enumerate()
                    .filter(|(at, _)| *at == 0 || *at == 2)
                    .map(|(_, word)| word)
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        assert_eq!(found, expected, "{records}");
    }
    let why = |record: &str| unused(&Zone::of(&record.replace(" x ", " \"\" ")).walk("e"));
    assert_eq!(why("e NAPTR 1 1 s SIPS+D2T x t"), [Unused::Unasked]);
    assert_eq!(why("e NAPTR 1 1 s SIP+D2S x t"), [Unused::NotSpoken]);
    assert_eq!(why("e NAPTR 1 1 s SIP+E2U x t"), [Unused::Service]);
    assert_eq!(why("e NAPTR 1 1 \"\" SIP+D2U x t"), [Unused::Flags]);
    assert_eq!(why("e NAPTR 1 1 s SIP+D2U !^.*$!sip:x! t"), [Unused::Regexp]);
    assert_eq!(why("e NAPTR 1 1 s SIP+D2U x 10.0.0.1"), [Unused::BadName]);
    assert_eq!(why("e NAPTR 1 1 s SIP+D2U x t\ne NAPTR 2 1 s SIP+D2T x u"), [Unused::LaterOrder]);
    assert_eq!(why("e NAPTR 1 1 s SIP+D2U x t\ne NAPTR 1 1 s SIP+D2U x t"), [Unused::Duplicate]);
}

#[test]
fn a_service_that_is_decidedly_not_there() {
    for (zone, from, expected) in [
        // RFC 2782: no fall back to the addresses.
        ("_sip._udp.e SRV 0 0 0 .\ne A 10.0.0.9", "e/udp", vec![]),
        (
            "_sip._udp.e SRV 0 0 0 .\n_sip._tcp.e SRV 0 0 5060 a.e\na.e A 10.0.0.1\ne A 10.0.0.9",
            "e",
            vec!["0 0 tcp 10.0.0.1:5060"],
        ),
        ("_sip._udp.e SRV 0 0 0 .\ne A 10.0.0.9", "e", vec![]),
        ("e NAPTR 1 1 s SIP+D2U \"\" u\nu SRV 0 0 0 .\ne A 10.0.0.9", "e", vec![]),
        // Beside other records it means nothing.
        ("_sip._udp.e SRV 0 0 0 .\n_sip._udp.e SRV 1 0 5060 a.e\na.e A 10.0.0.1", "e/udp", vec!["0 0 udp 10.0.0.1:5060"]),
    ] {
        assert_eq!(servers(&Zone::of(zone).walk(from)), expected, "{zone} {from}");
    }
}

#[test]
fn srv_records_that_cannot_be_used_are_left_out() {
    let zone = Zone::of(
        "_sip._udp.e SRV 0 0 5060 10.0.0.1
         _sip._udp.e SRV 0 1 5060 bad\\032name
         _sip._udp.e SRV 0 2 0 a.e
         _sip._udp.e SRV 0 3 5060 nowhere.e
         _sip._udp.e SRV 5 65535 65535 alias.e
         _sip._udp.e SRV 7 0 5060 a.e
         _sip._udp.e SRV 7 9 5060 a.e
         _sip._udp.e SRV 65535 0 5060 a.e
         alias.e CNAME a.e
         a.e A 10.0.0.1
         a.e A 10.0.0.1
         a.e A 10.0.0.2",
    );
    let walk = zone.walk("e/udp");
    let expected = [
        // Ranks without a gap; an alias is tolerated; the same address once in a rank, and again in another.
        "0 65535 udp 10.0.0.1:65535,10.0.0.2:65535",
        "1 0 udp 10.0.0.1:5060,10.0.0.2:5060",
        "2 0 udp 10.0.0.1:5060,10.0.0.2:5060",
    ];
    assert_eq!(servers(&walk), expected);
    let reasons = unused(&walk);
    assert_eq!(reasons[..3], [Unused::BadName, Unused::BadName, Unused::NoPort]);
    assert_eq!(reasons.iter().filter(|&&why| why == Unused::Duplicate).count(), 6);
}

#[test]
fn aliases_are_followed_and_end() {
    for (zone, from, expected) in [
        ("e CNAME f\nf CNAME g\ng A 10.0.0.1", "e:5060", vec!["0 0 any 10.0.0.1:5060"]),
        ("_sip._udp.e CNAME s.f\ns.f SRV 0 0 5060 a.e\na.e A 10.0.0.1", "e/udp", vec!["0 0 udp 10.0.0.1:5060"]),
        ("e CNAME f\nf CNAME e", "e:5060", vec![]),
        ("e CNAME e", "e:5060", vec![]),
        ("e CNAME 10.0.0.1", "e:5060", vec![]),
        // Broken aliases of services are no leave to use the addresses.
        ("_sip._udp.e CNAME _sip._udp.e\ne A 10.0.0.9", "e/udp", vec![]),
    ] {
        assert_eq!(servers(&Zone::of(zone).walk(from)), expected, "{zone} {from}");
    }
    let chain = |length: usize| {
        use std::fmt::Write;
        let mut zone = String::new();
        for at in 0..length {
            writeln!(zone, "n{at} CNAME n{}", at + 1).unwrap();
        }
        Zone::of(&format!("{zone}n{length} A 10.0.0.1"))
    };
    assert_eq!(servers(&chain(ALIASES - 1).walk("n0:5060")).len(), 1);
    assert_eq!(servers(&chain(200).walk("n0:5060")).len(), 0);
    assert!(chain(200).walk("n0:5060").questions.len() <= 2 * ALIASES);
}

#[test]
fn what_is_missing_is_asked_for_at_once() {
    let zone = Zone::of(
        "_sip._udp.e SRV 0 0 5060 a.e
         _sip._udp.e SRV 1 0 5060 b.e
         a.e A waiting
         a.e AAAA waiting
         b.e A waiting
         b.e AAAA waiting",
    );
    let walk = zone.walk("e/udp");
    assert_eq!(servers(&walk), ["unfinished"]);
    let mut found = asked(&walk);
    found.sort();
    assert_eq!(found, ["A a.e", "A b.e", "AAAA a.e", "AAAA b.e", "SRV _sip._udp.e"]);
}

#[test]
fn what_fails_is_not_taken_for_nothing() {
    for (zone, from, expected) in [
        // One family will do; that there are none needs both.
        ("e A 10.0.0.1\ne AAAA waiting", "e:5060", "0 0 any 10.0.0.1:5060"),
        ("e A 10.0.0.1\ne AAAA failed 9", "e:5060", "0 0 any 10.0.0.1:5060"),
        ("e A none\ne AAAA waiting", "e:5060", "unfinished"),
        ("e A none\ne AAAA failed 9", "e:5060", "unfinished"),
        // A look-up that failed a few times is no leave to use something else.
        ("e NAPTR waiting\ne A 10.0.0.1", "e", "unfinished"),
        ("e NAPTR failed 2\ne A 10.0.0.1", "e", "unfinished"),
        ("e NAPTR failed 3\ne A 10.0.0.1", "e", "0 0 any 10.0.0.1:5060"),
        ("_sip._udp.e SRV failed 2\ne A 10.0.0.1", "e/udp", "unfinished"),
        ("_sip._udp.e SRV failed 3\ne A 10.0.0.1", "e/udp", "0 0 udp 10.0.0.1:5060"),
        ("_sip._udp.e SRV failed 1\n_sip._tcp.e SRV 0 0 1 a.e\na.e A 10.0.0.1", "e", "unfinished"),
        // A server without an answer does not hold up the others once it has failed.
        ("_sip._udp.e SRV 0 0 1 a.e\n_sip._udp.e SRV 0 0 1 b.e\na.e A waiting\nb.e A 10.0.0.2", "e/udp", "unfinished"),
        ("_sip._udp.e SRV 0 0 1 a.e\n_sip._udp.e SRV 0 0 1 b.e\na.e A failed 1\nb.e A 10.0.0.2", "e/udp", "0 0 udp 10.0.0.2:1"),
    ] {
        assert_eq!(servers(&Zone::of(zone).walk(from)), [expected], "{zone} {from}");
    }
    let walk = Zone::of("e NAPTR failed 3\n_sip._tcp.e SRV failed 7\ne A 10.0.0.1").walk("e");
    let given_up: Vec<String> = walk.given_up.iter().map(ToString::to_string).collect();
    assert_eq!(given_up, ["NAPTR e", "SRV _sip._tcp.e"]);
}

#[test]
fn what_is_too_old_leads_nowhere() {
    for (zone, from) in [
        ("e NAPTR expired\n_sip._udp.e SRV 0 0 1 a.e\na.e A 10.0.0.1\ne A 10.0.0.9", "e"),
        ("_sip._udp.e SRV expired\ne A 10.0.0.9", "e/udp"),
        ("e A expired\ne AAAA none", "e:5060"),
        ("e A expired\ne AAAA expired", "e"),
    ] {
        assert_eq!(servers(&Zone::of(zone).walk(from)), [""; 0], "{zone} {from}");
    }
}

#[test]
fn endless_answers_are_cut_off() {
    use std::fmt::Write;
    let mut zone = String::new();
    for n in 0..200 {
        writeln!(zone, "e NAPTR 1 {n} s SIP+D2U \"\" s{n}.e\ns{n}.e SRV 0 0 5060 a{n}.e").unwrap();
        writeln!(zone, "_sip._udp.e SRV {n} {n} 5060 a{n}.e\na0.e A 10.0.0.{n}\na{n}.e AAAA 2001:db8::{n}").unwrap();
    }
    let zone = Zone::of(&zone);
    let walk = zone.walk("e/udp");
    let found = walk.servers.as_ref().unwrap();
    assert_eq!((found.len(), found[0].addresses.len()), (SERVERS, ADDRESSES));
    assert!(found.iter().map(|server| usize::from(server.rank)).eq(0..SERVERS), "the best are kept");
    assert!(walk.questions.len() <= QUESTIONS);
    let walk = zone.walk("e");
    assert_eq!(walk.servers.unwrap().len(), naptr::USED);
    assert!(walk.questions.len() <= QUESTIONS);
}

mod whatever_the_records_say {
    use proptest::prelude::*;

    use super::*;

    /// Few names, so that they meet.
    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            9 => (0_u8..6).prop_map(|n| format!("n{n}")),
            1 => Just("_sip._udp.n0".to_owned()),
            1 => Just("_sip._tcp.n0".to_owned()),
            1 => Just(".".to_owned()),
            1 => Just("10.0.0.1".to_owned()),
            1 => Just("a\\032b".to_owned()),
            1 => Just(String::new()),
        ]
    }

    fn records(kind: RecordType) -> BoxedStrategy<Vec<Record>> {
        let data = match kind {
            RecordType::Naptr => {
                (0_u16..3, 0_u16..3, name(), prop_oneof![Just("SIP+D2U"), Just("SIP+D2T"), Just("SIPS+D2T"), Just("")])
                    .prop_map(|(order, preference, replacement, services)| {
                        let (flags, services) = ("s".to_owned(), services.to_owned());
                        Data::Naptr(Naptr { order, preference, flags, services, regexp: String::new(), replacement })
                    })
                    .boxed()
            }
            RecordType::Srv => (any::<u16>(), any::<u16>(), 0_u16..3, name())
                .prop_map(|(priority, weight, port, target)| Data::Srv(Srv { priority, weight, port, target }))
                .boxed(),
            RecordType::A => (0_u8..50).prop_map(|n| Data::Address([10, 0, 0, n].into())).boxed(),
            RecordType::Aaaa => (0_u16..50).prop_map(|n| Data::Address([0x2001, 0xdb8, 0, 0, 0, 0, 0, n].into())).boxed(),
        };
        prop::collection::vec(data.prop_map(|data| Record { ttl: TTL, data }), 1..60).boxed()
    }

    fn fact(question: Question) -> BoxedStrategy<(Question, Fact)> {
        let alias = question.name.clone();
        prop_oneof![
            6 => records(question.kind).prop_map(|records| Fact::Answer(RecordSet { aliases: Vec::new(), end: End::Records(records) })),
            1 => Just(()).prop_map(|()| Fact::Answer(NO_NAME.clone())),
            1 => Just(()).prop_map(|()| Fact::Expired),
            1 => (0_u32..5).prop_map(Fact::Never),
            2 => name().prop_map(move |target| {
                let alias = Alias { name: alias.clone(), target, ttl: TTL };
                Fact::Answer(RecordSet { aliases: vec![alias], end: End::Alias })
            }),
        ]
        .prop_map(move |fact| (question.clone(), fact))
        .boxed()
    }

    fn zone() -> impl Strategy<Value = Zone> {
        let names = (0..6).map(|n| format!("n{n}")).chain(["_sip._udp.n0", "_sip._tcp.n0"].map(str::to_owned));
        let facts: Vec<_> =
            names.flat_map(|name| RecordType::ALL.map(|kind| fact(Question { name: name.clone(), kind }))).collect();
        facts.prop_map(|facts| Zone(facts.into_iter().collect()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn the_walk_ends_within_its_bounds(zone in zone(), from in prop_oneof![Just("n0"), Just("n0/udp"), Just("n0/tcp"), Just("n0:1")]) {
            let walk = zone.walk(from);
            prop_assert!(walk.questions.len() <= QUESTIONS);
            let Some(servers) = walk.servers else {
                let open = |question: &Question| matches!(zone.0.get(question), Some(Fact::Never(_)));
                prop_assert!(walk.questions.iter().any(open), "nothing is missing and it is not finished");
                return Ok(());
            };
            prop_assert!(servers.len() <= SERVERS);
            prop_assert!(servers.first().is_none_or(|server| server.rank == 0));
            prop_assert!(servers.windows(2).all(|pair| pair[1].rank == pair[0].rank || pair[1].rank == pair[0].rank + 1));
            let mut seen = HashSet::new();
            for server in &servers {
                prop_assert!((1..=ADDRESSES).contains(&server.addresses.len()));
                for addr in &server.addresses {
                    prop_assert!(addr.port() != 0);
                    prop_assert!(seen.insert((server.rank, *addr, server.transport)), "twice in a rank");
                }
            }
        }
    }
}
