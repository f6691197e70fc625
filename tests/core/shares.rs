//! Trunk against trunk: with one trunk at its bound, calls of others pass, and everybody's calls end.

use ringfence::core::io::{Note, Share};

use crate::site::{CONFIG, SERVER, Sent, Site, TRUNK, invite, request, respond};

/// An address of another project's trunk.
const OTHER: &str = "198.51.105.7:5060";
const ACME: &str = "acme.eu.sip.example.com";
const QUIET: &str = "quiet.eu.sip.example.com";

/// A site with these limits, and no pace.
fn site(limits: &str) -> Site {
    Site::new(&CONFIG.replace("per_source = \"50/s\"", &format!("per_source = \"1000000/s\"\n{limits}")))
}

/// An established call of a trunk.
struct Call {
    from: &'static str,
    host: &'static str,
    id: String,
    route: String,
}

impl Call {
    /// `None`: it was not forwarded.
    fn open(site: &mut Site, from: &'static str, host: &'static str, id: &str) -> Option<Self> {
        let mut sent = site.from(from, &invite(host, "10.1.0.20", id));
        if sent.len() < 2 {
            return None;
        }
        let first = sent.remove(1);
        assert_eq!(site.from(SERVER, &respond(&first, 200, "u", "Contact: <sip:lk@10.1.0.5>\r\n")).len(), 1);
        Some(Self { from, host, id: id.to_owned(), route: first.header("Record-Route").unwrap() })
    }

    /// A request of the caller inside it.
    fn text(&self, method: &str, cseq: u32) -> String {
        let text = request(method, "sip:lk@10.1.0.5", &self.id).replace("CSeq: 1", &format!("CSeq: {cseq}"));
        let text = text.replace("z9hG4bK", &format!("z9hG4bK{cseq}{method}"));
        let Self { route, host, .. } = self;
        text.replace("To: <sip:lk@10.1.0.5>", &format!("Route: {route}\r\nTo: <sip:+4930123@{host}>;tag=u"))
    }

    /// Whether a request of the caller goes on.
    fn passes(&self, site: &mut Site, method: &str, cseq: u32) -> bool {
        let sent = site.from(self.from, &self.text(method, cseq));
        sent.iter().any(|sent| sent.line().starts_with(method))
    }

    /// What becomes of a request of the caller: its method if it goes on, else the code of the answer, else `-`.
    fn code(&self, site: &mut Site, method: &str, cseq: u32) -> String {
        let sent = site.from(self.from, &self.text(method, cseq));
        let line = sent.last().map(Sent::line).unwrap_or_default();
        line.trim_start_matches("SIP/2.0 ").split(' ').next().filter(|word| !word.is_empty()).unwrap_or("-").to_owned()
    }

    /// Sends such requests until one is turned away. Returns how many went on.
    fn flood(&self, site: &mut Site, method: &str) -> u32 {
        (0..100_000).find(|&at| !self.passes(site, method, 10 + at)).expect("some bound")
    }
}

/// How many calls of a trunk ring until one is turned away.
fn rings(site: &mut Site, from: &str, host: &str) -> usize {
    (0..1_000_000).take_while(|id| site.from(from, &invite(host, "10.1.0.20", &format!("ring{id}"))).len() == 2).count()
}

fn used_up(site: &Site, share: Share) -> bool {
    site.notes.iter().any(|note| matches!(note, Note::ShareUsedUp { share: of, .. } if *of == share))
}

#[test]
fn a_flood_inside_one_dialog_leaves_the_table_to_others() {
    for method in ["INFO", "MESSAGE", "REFER", "UPDATE", "INVITE", "BYE"] {
        let mut site = site("transactions = 400");
        let own = Call::open(&mut site, TRUNK, ACME, "own").unwrap();
        let others = Call::open(&mut site, OTHER, QUIET, "others").unwrap();
        let passed = own.flood(&mut site, method);
        assert!((350..400).contains(&passed), "{method}: {passed}");
        assert!(used_up(&site, Share::Transactions));
        let last = site.log.last().unwrap();
        assert_eq!(last.header("X-Ringfence").as_deref(), Some("160; reason=overloaded; region=eu"), "{method}");
        assert!(others.passes(&mut site, "BYE", 3), "{method}: the other's BYE");
        let more = Call::open(&mut site, OTHER, QUIET, "more");
        assert!(more.is_some_and(|call| call.passes(&mut site, "INFO", 2)), "{method}: the other's new call");
        if method != "BYE" {
            assert!(own.passes(&mut site, "BYE", 900_000), "{method}: its own BYE");
        }
        assert!(Call::open(&mut site, TRUNK, ACME, "again").is_none(), "{method}: its own new call");
        site.core.transactions();
    }
}

#[test]
fn a_flood_of_calls_leaves_the_table_to_others() {
    let mut site = site("transactions = 400");
    // What is over does not count in the table.
    let calls: Vec<_> = (0..500).map(|id| Call::open(&mut site, TRUNK, ACME, &format!("c{id}")).unwrap()).collect();
    assert_eq!(rings(&mut site, TRUNK, ACME), 350, "alone it gets nearly all");
    assert!(Call::open(&mut site, TRUNK, ACME, "more").is_none());
    let other = Call::open(&mut site, OTHER, QUIET, "other").unwrap();
    assert!(other.passes(&mut site, "BYE", 2) && calls[0].passes(&mut site, "BYE", 2) && calls[1].passes(&mut site, "INFO", 2));
}

#[test]
fn octets_are_bounded_whatever_is_sent_and_a_short_request_passes() {
    for method in ["MESSAGE", "INFO", "OPTIONS"] {
        let mut site = site("memory = \"4MiB\"");
        let own = Call::open(&mut site, TRUNK, ACME, "own").unwrap();
        let others = Call::open(&mut site, OTHER, QUIET, "others").unwrap();
        let body = "x".repeat(40_000);
        let sent = |cseq| {
            let text = own.text(method, cseq).replace("Content-Length: 0", "Content-Type: text/plain\r\nContent-Length: 40000");
            format!("{text}{body}")
        };
        let passed =
            (0..200).take_while(|&at| site.from(TRUNK, &sent(10 + at)).iter().any(|sent| sent.line().starts_with(method)));
        let passed = passed.count();
        assert!((70..100).contains(&passed), "{method}: {passed}");
        assert!(used_up(&site, Share::Memory) && site.core.octets() < 4 << 20, "{method}: {}", site.core.octets());
        assert!(others.passes(&mut site, "BYE", 3), "{method}: the other's BYE");
        let more = Call::open(&mut site, OTHER, QUIET, "more");
        assert!(more.is_some_and(|call| call.passes(&mut site, "INFO", 2)), "{method}: the other's new call");
        assert!(own.passes(&mut site, "BYE", 900_000), "{method}: its own BYE");
        site.core.transactions();
        site.pass(std::time::Duration::from_secs(400));
        assert_eq!((site.core.transactions(), site.core.octets()), (0, 0), "{method}");
    }
}

#[test]
fn long_answers_are_not_kept_beyond_the_bound() {
    let mut site = site("memory = \"1MiB\"");
    let mut asked = Vec::new();
    while let Some(sent) = site.from(TRUNK, &invite(ACME, "10.1.0.20", &format!("c{}", asked.len()))).get(1).cloned() {
        asked.push(sent);
    }
    assert!(asked.len() > 100, "{}", asked.len());
    let reason = format!("X-Reason: {}\r\n", "x".repeat(6000)).repeat(5);
    for sent in &asked {
        assert_eq!(site.from(SERVER, &respond(sent, 180, "u", &reason)).len(), 1);
    }
    assert!(site.core.octets() < 1 << 20, "{}", site.core.octets());
    site.core.transactions();
}

#[test]
fn names_of_one_trunks_dialogs_keep_nobody_else_from_waiting() {
    let mut site = site("");
    let own = Call::open(&mut site, TRUNK, ACME, "own").unwrap();
    let others = Call::open(&mut site, OTHER, QUIET, "others").unwrap();
    site.mute = true;
    let named = |call: &Call, method: &str, cseq: u32, name: &str| {
        call.text(method, cseq).replace("sip:lk@10.1.0.5", &format!("sip:lk@{name}.example.net"))
    };
    // Each in a call of its own would wait: those of one call wait behind each other.
    let mut calls: Vec<_> = (0..80).map(|id| Call::open(&mut site, TRUNK, ACME, &format!("c{id}")).unwrap()).collect();
    calls.push(own);
    for (at, call) in calls.iter().enumerate() {
        site.from(TRUNK, &named(call, "INFO", 2, &format!("n{at}")));
    }
    assert!((40..64).contains(&site.asked.len()) && used_up(&site, Share::Names), "{}", site.asked.len());
    let asked = site.asked.len();
    assert!(site.from(OTHER, &named(&others, "INFO", 2, "pod")).is_empty(), "it waits");
    assert_eq!(site.asked.len(), asked + 1, "the name of another trunk's call is looked up");
    assert!(site.from(TRUNK, &named(&calls[80], "BYE", 3, "mine")).is_empty(), "and so is that of its own BYE");
    assert_eq!(site.asked.len(), asked + 2);
    site.input(ringfence::core::io::Input::EndWaiting);
    assert!(site.core.is_settled() || site.core.octets() > 0);
}

#[test]
fn whoever_is_inside_dialogs_keeps_a_pace_and_ends_calls_all_the_same() {
    let mut site = Site::new(&CONFIG.replace("per_source = \"50/s\"", "per_source = \"10/s\""));
    let own = Call::open(&mut site, TRUNK, ACME, "own").unwrap();
    let others = Call::open(&mut site, OTHER, QUIET, "others").unwrap();
    let codes: Vec<_> = (0..500).map(|at| own.code(&mut site, "INFO", 10 + at)).collect();
    let count = |of: &str| codes.iter().filter(|code| *code == of).count();
    // Twenty for each new one; as many again are told, the rest is dropped.
    assert_eq!((count("INFO"), count("503"), count("-")), (200, 200, 100));
    assert!(used_up(&site, Share::Pace));
    assert!(others.passes(&mut site, "INFO", 2), "another trunk's");
    assert!(own.passes(&mut site, "ACK", 1) && own.passes(&mut site, "BYE", 900), "its own call ends");
    assert_eq!(own.flood(&mut site, "BYE"), 398, "and that has a bound too");
    site.now += std::time::Duration::from_millis(500);
    let codes: Vec<_> = (0..150).map(|at| own.code(&mut site, "INFO", 1000 + at)).collect();
    assert_eq!(codes.iter().filter(|code| *code == "INFO").count(), 100, "half a second later");
}

#[test]
fn a_pace_beyond_its_bound_is_answered_so_that_no_call_ends() {
    // This trunk's own code for a lack of room would end the call.
    let text = CONFIG.replace("per_source = \"50/s\"", "per_source = \"10/s\"");
    let text =
        text.replace("[project.quiet.trunk.carrier]", "[project.quiet.trunk.carrier]\nreject = { policy = 603, capacity = 480 }");
    let mut site = Site::new(&text);
    let call = Call::open(&mut site, OTHER, QUIET, "up").unwrap();
    call.flood(&mut site, "UPDATE");
    let last = site.log.last().unwrap();
    assert!(last.line().starts_with("SIP/2.0 503 "), "{}", last.text());
    assert_eq!(last.header("X-Ringfence").as_deref(), Some("160; reason=overloaded; region=eu"));
    assert!(last.header("Retry-After").is_none() && call.passes(&mut site, "BYE", 900_001));
    // What is refused for another reason counts too.
    let mut site = Site::new(&text);
    let call = Call::open(&mut site, OTHER, QUIET, "up").unwrap();
    let forbidden = |cseq| call.text("INFO", cseq).replace("sip:lk@10.1.0.5", "sip:lk@203.0.113.9");
    let sent = (0..500).map(|at| site.from(OTHER, &forbidden(10 + at)).len()).sum::<usize>();
    assert_eq!(sent, 400, "and then nothing is said");
}

#[test]
fn what_trunks_hold_is_counted_over_reloads_and_given_back() {
    let mut site = site("transactions = 400");
    for id in 0..40 {
        for (from, host) in [(TRUNK, ACME), (OTHER, QUIET)] {
            Call::open(&mut site, from, host, &format!("{host}{id}")).unwrap();
            assert_eq!(site.from(from, &invite(host, "10.1.0.20", &format!("{host}{id}rings"))).len(), 2);
        }
    }
    assert_eq!(site.core.transactions(), 160, "of them 80 only absorb repetitions");
    let text = CONFIG.replace("per_source = \"50/s\"", "per_source = \"1000000/s\"\ntransactions = 400");
    // The numbers of all trunks move, and those of one project's are gone.
    let (head, rest) = text.split_once("[project.acme]").unwrap();
    let moved = format!("{head}[project.aaa.trunk.first]\nnetworks = [\"198.51.110.0/24\"]\n\n[project.acme]{rest}");
    let gone = moved.replace("project.quiet", "project.other");
    for text in [&moved, &gone, &text] {
        site.reload(text);
        assert_eq!(site.core.transactions(), 160, "counted anew, and the sum is checked");
    }
    let calls = rings(&mut site, TRUNK, ACME);
    assert!((240..320).contains(&calls), "{calls}");
    site.pass(std::time::Duration::from_secs(300));
    assert_eq!(site.core.transactions(), 0);
}
