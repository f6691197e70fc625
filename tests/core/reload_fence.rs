//! A reload moves the fence under what is open: nothing goes any more to what the configuration in force calls outside.
//!
//! Each seed is a configuration before, calls in every state, a configuration after, and what happens then. A failing one is named.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use ringfence::config::{Config, RegionId};

use crate::dice::Dice;
use crate::site::{Sent, Site, TRUNK, invite, request, respond, with_sdp};

const SEEDS: u64 = 400;
const EU: &str = "acme.eu.sip.example.com";
const SERVERS: [&str; 4] = ["10.1.0.5", "10.1.0.6", "10.1.1.5", "10.1.1.6"];

/// A configuration. The first one of a world has the trunk, and lets it call.
fn text(dice: &mut Dice, first: bool) -> String {
    let halves: &[&str] = match dice.roll(3) {
        0 => &["10.1.0."],
        1 => &["10.1.1."],
        _ => &["10.1.0.", "10.1.1."],
    };
    let networks: Vec<String> = halves.iter().map(|half| format!("\"{half}0/24\"")).collect();
    let upstream: Vec<String> = SERVERS
        .iter()
        .filter(|server| halves.iter().any(|half| server.starts_with(half)))
        .map(|server| format!("\"{server}:5060\""))
        .collect();
    let servers = if dice.chance(30) { format!("servers = [{}]\n", networks.join(", ")) } else { String::new() };
    let nearest = if dice.chance(50) { "nearest = [\"uk\"]\n" } else { "" };
    let uk = dice.roll(2);
    let pin = if dice.chance(40) { "pin = [\"eu\"]\n" } else { "" };
    let name = if first || dice.chance(80) { "carrier" } else { "other" };
    let trunk = if first || dice.chance(60) { "198.51.100.0/24" } else { "198.51.103.0/24" };
    let outbound = match if first { dice.roll(2) } else { dice.roll(3) } {
        0 => "uri = \"sip:198.51.101.9:5080\"\noutbound_networks = [\"198.51.101.0/24\"]\n",
        1 => "uri = \"sip:198.51.102.9:5080\"\noutbound_networks = [\"198.51.102.0/24\"]\n",
        _ => "",
    };
    format!(
        "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.sip.example.com\"\nlisten = [\"udp:192.0.2.1:5060\", \"tcp:192.0.2.1:5060\"]\n\
         networks = [{}, \"192.0.2.1/32\"]\nupstream = [{}]\n{servers}{nearest}[region.uk]\nhostname = \"uk.sip.example.com\"\n\
         networks = [\"10.2.{uk}.0/24\"]\nupstream = \"10.2.{uk}.5\"\n[project.acme]\n{pin}[project.acme.trunk.{name}]\n\
         networks = [\"{trunk}\"]\nmedia = [\"203.0.113.0/24\"]\n{outbound}[limits]\nper_source = \"1000/s\"\n",
        networks.join(", "),
        upstream.join(", "),
    )
}

/// What the configuration calls inside for calls of the trunk, and for pings, read without the code that decides.
fn inside(config: &Config, ip: IpAddr, ping: bool) -> bool {
    let eu = config.region(RegionId(0));
    let pinned = !ping && config.projects[0].pin.is_some();
    let nearest = eu.nearest.iter().filter(|_| !pinned).any(|&id| config.region(id).networks.contains(ip));
    let mut trunks = config.trunks.iter().filter(|trunk| &*trunk.name == "carrier");
    eu.networks.contains(ip) || nearest || trunks.any(|trunk| trunk.networks.contains(ip) || trunk.reach().contains(ip))
}

/// Opens calls, each up to a state that chance chooses. Returns the requests that servers and gateways have.
fn open(site: &mut Site, dice: &mut Dice) -> Vec<Sent> {
    let mut asked = Vec::new();
    for call in 0..8 {
        let id = format!("c{call}");
        let out = dice.chance(30);
        let source = if out { format!("{}:5060", SERVERS[usize::try_from(dice.roll(4)).unwrap()]) } else { TRUNK.to_owned() };
        let media = if out { "10.1.0.20" } else { "203.0.113.5" };
        let text = invite(EU, media, &id).replace("198.51.100.7:5060", &source);
        let sent = site.from(&source, &text);
        let Some(first) = sent.into_iter().find(|sent| sent.fenced) else { continue };
        let at = first.to.to_string();
        asked.push(first.clone());
        let contact = format!("Contact: <sip:b@{at}>\r\n");
        match dice.roll(7) {
            0 => {}
            1 => drop(site.from(&at, &respond(&first, 180, "u", ""))),
            2 => {
                site.from(&at, &respond(&first, 180, "u", ""));
                site.from(&source, &text.replace("INVITE", "CANCEL"));
            }
            3 => drop(site.from(&source, &text.replace("INVITE", "CANCEL"))),
            4 => drop(site.from(&at, &respond(&first, 486, "u", ""))),
            5 => {
                // Answered outside: an ACK and a BYE of our own.
                asked.extend(site.from(&at, &with_sdp(&respond(&first, 200, "u", &contact), "192.0.2.200")));
            }
            _ => {
                let answer = site.from(&at, &respond(&first, 200, "u", &contact));
                let Some(route) = answer.first().and_then(|sent| sent.header("Record-Route")) else { continue };
                let bye = request("BYE", &format!("sip:b@{at}"), &id).replace("198.51.100.7:5060", &source);
                let to = format!("Route: {route}\r\nTo: <sip:+4930123@{EU}>;tag=u");
                let bye = bye.replace(&format!("To: <sip:b@{at}>"), &to).replace("CSeq: 1", "CSeq: 2");
                asked.extend(site.from(&source, &bye).into_iter().filter(|sent| sent.fenced));
            }
        }
        if dice.chance(30) {
            site.pass(Duration::from_millis(dice.roll(4500)));
        }
    }
    asked
}

#[test]
fn nothing_goes_to_what_the_configuration_in_force_calls_outside() {
    let (mut moved, mut refused) = (0, 0);
    for seed in 0..SEEDS {
        let mut dice = Dice((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut site = Site::new(&text(&mut dice, true));
        let mut asked = open(&mut site, &mut dice);
        for _ in 0..2 {
            let before = site.log.len();
            let next = text(&mut dice, false);
            site.reload(&next);
            for _ in 0..6 {
                let millis = dice.roll(6000);
                site.pass(Duration::from_millis(millis));
                // Whoever was asked, before or after, says something; who is outside now may do so too.
                if !asked.is_empty() {
                    let of = asked[usize::try_from(dice.roll(asked.len() as u64)).unwrap()].clone();
                    let code = [100, 180, 200, 200, 486, 503][usize::try_from(dice.roll(6)).unwrap()];
                    let contact = format!("Contact: <sip:b@{}>\r\n", of.to);
                    let answer = respond(&of, code, "u", &contact);
                    let answer = if dice.chance(30) && code == 200 { with_sdp(&answer, "192.0.2.200") } else { answer };
                    site.from(&of.to.to_string(), &answer);
                }
            }
            let after: Vec<Sent> = site.log[before..].to_vec();
            for sent in after.iter().filter(|sent| sent.fenced) {
                assert!(
                    inside(&site.config, sent.to.ip(), sent.line().starts_with("OPTIONS")),
                    "seed {seed}: {} to {}\n{next}",
                    sent.line(),
                    sent.to
                );
            }
            moved += after.iter().filter(|sent| sent.fenced && sent.line().starts_with("INVITE")).count();
            refused += after.iter().filter(|sent| sent.line().starts_with("SIP/2.0 503")).count();
            asked.extend(after.into_iter().filter(|sent| sent.fenced));
        }
        site.pass(Duration::from_secs(300));
        assert_eq!(site.core.transactions(), 0, "seed {seed}: everything ends");
    }
    assert!(moved > 100 && refused > 100, "calls went on ({moved}), and some had nowhere to go ({refused})");
}

/// Region eu has lost its second half, where a call is.
fn halved(state: impl Fn(&mut Site, &Sent)) -> (Site, Sent, Vec<Sent>) {
    let both = "networks = [\"10.1.0.0/24\", \"10.1.1.0/24\"]\nupstream = [\"10.1.1.5:5060\", \"10.1.0.5:5060\"]\n";
    let config = |networks: &str| {
        format!(
            "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.sip.example.com\"\nlisten = [\"udp:192.0.2.1:5060\"]\n{networks}\
             [project.acme]\npin = [\"eu\"]\n[project.acme.trunk.carrier]\nnetworks = [\"198.51.100.0/24\"]\n\
             media = [\"203.0.113.0/24\"]\n[health]\ninterval = \"0s\"\n"
        )
    };
    let mut site = Site::new(&config(both));
    let first = site.from(TRUNK, &invite(EU, "203.0.113.5", "one")).remove(1);
    assert_eq!(first.to.to_string(), "10.1.1.5:5060");
    state(&mut site, &first);
    let sent = site.reload(&config("networks = [\"10.1.0.0/24\"]\nupstream = \"10.1.0.5:5060\"\n"));
    (site, first, sent)
}

#[test]
fn an_attempt_outside_goes_on_inside_at_once() {
    for code in [None, Some(180)] {
        let (mut site, first, sent) = halved(|site, first| {
            if let Some(code) = code {
                site.from("10.1.1.5:5060", &respond(first, code, "u", ""));
            }
        });
        assert_eq!(sent.iter().map(|sent| sent.to.to_string()).collect::<Vec<_>>(), ["10.1.0.5:5060"]);
        assert_ne!(sent[0].headers("Via")[0], first.headers("Via")[0], "an attempt of its own");
        // What the one outside still says is nobody's, and gets no ACK.
        assert!(site.from("10.1.1.5:5060", &respond(&first, 486, "u", "")).is_empty());
        assert_eq!(site.from("10.1.0.5:5060", &respond(&sent[0], 486, "u", ""))[1].line(), "SIP/2.0 486 Phrase");
    }
}

#[test]
fn a_cancelled_call_outside_is_answered_and_its_cancel_not_repeated() {
    let (mut site, _, sent) = halved(|site, first| {
        site.from("10.1.1.5:5060", &respond(first, 180, "u", ""));
        site.from(TRUNK, &invite(EU, "203.0.113.5", "one").replace("INVITE", "CANCEL"));
    });
    assert_eq!(sent.iter().map(Sent::line).collect::<Vec<_>>(), ["SIP/2.0 487 Request Terminated"]);
    let later: BTreeSet<_> = site.pass(Duration::from_secs(60)).iter().map(|sent| sent.to.to_string()).collect();
    assert_eq!(later.into_iter().collect::<Vec<_>>(), [TRUNK], "only the answer is repeated");
}

#[test]
fn a_bye_of_ours_is_not_repeated_outside() {
    let (mut site, ..) = halved(|site, first| {
        let answer = with_sdp(&respond(first, 200, "u", "Contact: <sip:b@10.1.1.5>\r\n"), "192.0.2.200");
        let sent = site.from("10.1.1.5:5060", &answer);
        assert!(sent.iter().any(|sent| sent.line().starts_with("BYE")));
    });
    assert!(site.pass(Duration::from_secs(60)).iter().all(|sent| !sent.fenced));
    assert_eq!(site.core.transactions(), 0);
}
