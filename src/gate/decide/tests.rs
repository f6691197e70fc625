//! What the gate decides, and who is answered.

use std::path::Path;

use super::*;

fn config(more: &str) -> Config {
    let text = format!(
        "serve = [\"eu\"]\n[gate]\nlisten = \"127.0.0.1:9100\"\n\
         [region.eu]\nhostname = \"eu.example.com\"\nlisten = [\"udp:127.0.0.1:5060\"]\nnetworks = [\"10.1.0.0/16\"]\n\
         upstream = \"10.1.0.1\"\nrealtime = \"wss://eu.rtc.example.com\"\nnearest = [\"in\"]\n\
         [region.us]\nhostname = \"us.example.com\"\nnetworks = [\"10.2.0.0/16\"]\nupstream = \"10.2.0.1\"\nrealtime = \"wss://us.rtc.example.com\"\n\
         [region.in]\nhostname = \"in.example.com\"\nnetworks = [\"10.3.0.0/16\"]\nupstream = \"10.3.0.1\"\nrealtime = \"wss://in.rtc.example.com\"\n\
         [project.acme]\npin = [\"eu\"]\napi_keys = [\"APIacme\"]\n\
         [project.us]\npin = [\"us\", \"in\"]\napi_keys = [\"APIus\", \"APIus2\"]\n\
         [project.watched]\npin = [\"us\"]\nmode = \"shadow\"\napi_keys = [\"APIwatched\"]\n\
         [project.free]\napi_keys = [\"APIfree\"]\n{more}"
    );
    crate::config::parse(Path::new("test.toml"), &text).unwrap()
}

const EU: RegionId = RegionId(0);

fn token(issuer: &str) -> ClientToken {
    ClientToken { text: "a.b.c".to_owned(), issuer: issuer.to_owned() }
}

/// Verdict, number, code for others and for Twirp, and the row.
fn said(config: &Config, issuer: &str, draining: bool) -> (Verdict, u16, [u16; 2], Option<String>) {
    let decision = decide(config, EU, Ok(&token(issuer)), draining);
    (decision.verdict, decision.reason.id(), [false, true].map(|twirp| decision.answer(twirp).code), decision.row(config))
}

#[test]
fn a_token_is_judged_by_the_pin_of_its_project() {
    let config = config("");
    for (issuer, project) in [("APIacme", "acme"), ("APIfree", "free")] {
        let accepted = format!("100; reason=in-region; region=eu; project={project}");
        assert_eq!(said(&config, issuer, false), (Verdict::Accept, 100, [200, 200], Some(accepted)));
    }
    for issuer in ["APIus", "APIus2"] {
        let refused = Some("130; reason=pinned-elsewhere; region=eu".to_owned());
        assert_eq!(said(&config, issuer, false), (Verdict::Refuse, 130, [403, 451], refused));
    }
    let watched = Some("130; reason=pinned-elsewhere; region=eu; project=watched; verdict=shadow; why=\"project watched is pinned to us, not eu\"".to_owned());
    assert_eq!(said(&config, "APIwatched", false), (Verdict::Shadow, 130, [200, 200], watched));
    for issuer in ["APIacm", "apiacme", "acme", ""] {
        assert_eq!(said(&config, issuer, false), (Verdict::Refuse, 120, [401, 401], None));
    }
}

#[test]
fn while_the_daemon_ends_nobody_is_let_in_and_what_is_final_stays_final() {
    let config = config("");
    let draining = Some("161; reason=draining; region=eu".to_owned());
    for issuer in ["APIacme", "APIfree", "APIwatched"] {
        assert_eq!(said(&config, issuer, true), (Verdict::Refuse, 161, [503, 503], draining.clone()));
    }
    assert_eq!(said(&config, "APIus", true).2, [403, 451]);
    assert_eq!(said(&config, "nobody", true).2, [401, 401]);
}

#[test]
fn the_words_are_those_that_clients_expect() {
    let config = config("");
    let decision = decide(&config, EU, Ok(&token("APIus")), false);
    assert_eq!(decision.answer(false).body, "project not allowed in this region.");
    assert_eq!(decision.answer(true).body, r#"{"code":"permission_denied","msg":"project not allowed in this region."}"#);
    assert_eq!(decision.why.as_deref(), Some("project us is pinned to us in, not eu"));
    for (issuer, draining) in [("APIus", false), ("APIacme", true), ("nobody", false)] {
        let body = decide(&config, EU, Ok(&token(issuer)), draining).answer(true).body;
        let told: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(told["code"].is_string() && told["msg"].is_string(), "{body}");
    }
}

#[test]
fn a_proxy_is_of_the_region_whose_networks_it_is_in() {
    let one = config("");
    let two = crate::config::parse(
        Path::new("test.toml"),
        "serve = [\"eu\", \"us\"]\n[region.eu]\nhostname = \"eu.example.com\"\nlisten = [\"udp:127.0.0.1:5060\"]\nnetworks = [\"10.1.0.0/16\"]\n\
         upstream = \"10.1.0.1\"\n[region.us]\nhostname = \"us.example.com\"\nlisten = [\"udp:127.0.0.1:5061\"]\nnetworks = [\"10.2.0.0/16\"]\n\
         upstream = \"10.2.0.1\"\n[region.in]\nhostname = \"in.example.com\"\nnetworks = [\"10.3.0.0/16\"]\nupstream = \"10.3.0.1\"\n",
    )
    .unwrap();
    let of = |config, source: &str, own: &str, named| region_of(config, source.parse().unwrap(), own.parse().unwrap(), named);
    // What is configured is asked by its networks, and by this machine.
    assert_eq!(of(&one, "10.1.0.9", "10.1.0.2", None), Ok(EU));
    assert_eq!(of(&one, "::ffff:10.1.0.9", "10.1.0.2", None), Ok(EU));
    assert_eq!(of(&one, "127.0.0.1", "127.0.0.1", None), Ok(EU));
    assert_eq!(of(&one, "127.0.0.2", "127.0.0.1", None), Err(NoRegion::Outside));
    // A region of the file that is not served here is none.
    assert_eq!(of(&one, "10.2.0.9", "10.1.0.2", None), Err(NoRegion::Outside));
    assert_eq!(of(&one, "10.2.0.9", "10.1.0.2", Some("us")), Err(NoRegion::Other));
    assert_eq!(of(&one, "192.0.2.9", "10.1.0.2", Some("eu")), Err(NoRegion::Other));
    assert_eq!(of(&two, "10.2.0.9", "10.1.0.2", None), Ok(RegionId(1)));
    assert_eq!(of(&two, "10.2.0.9", "10.1.0.2", Some("eu")), Err(NoRegion::Other), "it is not in that one");
    assert_eq!(of(&two, "127.0.0.1", "127.0.0.1", None), Err(NoRegion::Several));
    assert_eq!(of(&two, "127.0.0.1", "127.0.0.1", Some("us")), Ok(RegionId(1)));
    assert_eq!(of(&two, "127.0.0.1", "127.0.0.1", Some("in")), Err(NoRegion::Other));
}

#[test]
fn a_client_learns_where_it_may_go() {
    let config = config("");
    let listed = |issuer: &str| {
        let listed = super::super::regions::regions(&config, Some(EU), config.project_of_key(issuer).unwrap());
        let names = listed["regions"].as_array().unwrap().iter().map(|of| of["region"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(listed("APIacme"), "eu");
    assert_eq!(listed("APIus"), "in us", "the nearest first");
    assert_eq!(listed("APIfree"), "eu in us");
    let one = super::super::regions::regions(&config, Some(EU), config.project_of_key("APIacme").unwrap());
    assert_eq!(one.to_string(), r#"{"regions":[{"region":"eu","url":"wss://eu.rtc.example.com","distance":"0"}]}"#);
}
