//! The page without a browser: what is in it, what cannot be in it, how large it may become.

use serde_json::json;

use super::*;

fn status() -> Value {
    json!({
        "version": "0.1.0", "ready": false, "draining": false, "missing": ["listeners are not bound yet"], "uptime_seconds": 61,
        "configuration": {
            "digest": "d1", "files": ["a.toml"], "loaded": "2026-11-15T11:00:00Z", "loaded_seconds": 5, "projects": 1, "trunks": 2
        },
        "hour": {
            "minutes": [{ "ago": 0, "accepted": 10, "refused": 1, "shadow": 0 }],
            "verdicts": [{ "region": "eu", "verdict": "refuse", "id": 110, "reason": "foreign-endpoint", "count": 1 }],
            "refused": [{ "region": "eu", "project": "acme", "verdict": "refuse", "reason": "foreign-endpoint", "count": 1 }],
            "refused_more": 3, "shadowed": [], "shadowed_more": 0, "repeats": [], "repeats_more": 0,
        },
        "regions": [{
            "name": "eu", "hostname": "eu.example.com", "served": true, "listeners": ["udp:192.0.2.1:5060"],
            "networks": ["192.0.2.0/24"], "nearest": [],
            "targets": [
                { "address": "192.0.2.8:5060", "transport": "udp", "state": "up", "why": null, "since_seconds": 3,
                  "heard_seconds": 1 },
                { "address": "192.0.2.9:5060", "transport": "udp", "state": "down", "why": "silent", "since_seconds": 3,
                  "heard_seconds": null }
            ],
        }],
        "names": [],
        "decisions": [],
    })
}

#[test]
fn everything_of_the_object_that_an_operator_looks_for_is_there() {
    let page = page(&status(), false);
    for part in [
        "<title>Not ready · Ringfence eu</title>",
        "listeners are not bound yet",
        "Accepted (1 h)</dt><dd class=\"big\">10</dd>",
        "1 of 2",
        "eu.example.com",
        "udp:192.0.2.1:5060",
        "foreign-endpoint",
        "and 3 more",
        "silent",
        "d1",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(page.find("192.0.2.9:5060").unwrap() < page.find("192.0.2.8:5060").unwrap(), "what is down comes first");
    assert!(!page.contains("http-equiv"));
    assert!(super::page(&status(), true).contains("<meta http-equiv=\"refresh\" content=\"15\">"));
}

#[test]
fn an_audit_record_that_is_not_written_is_seen_at_once() {
    let mut status = status();
    assert!(!page(&status, false).contains("Audit record"), "none is kept");
    status["audit"] = json!({
        "day": "2026-11-25", "lines": 1200, "kept": 1000, "dropped": 0, "gaps": 0, "behind": 3, "checkpoint": "2026-11-25T10:00:00Z",
        "checkpoint_seconds": 7, "trouble": null,
    });
    let shown = page(&status, false);
    for part in ["<h2 id=\"audit\">Audit record</h2>", "kept", "<dd>2026-11-25, 1", "href=\"/audit/checkpoint\""] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    status["audit"]["dropped"] = 7.into();
    assert!(page(&status, false).contains("kept, with gaps"));
    status["audit"]["trouble"] = "No <space>".into();
    let shown = page(&status, false);
    assert!(shown.contains("not written") && shown.contains("No &lt;space&gt;"), "{shown}");
}

#[test]
fn what_only_shadow_mode_let_pass_is_nowhere_shown_as_refused() {
    let mut status = status();
    status["hour"]["minutes"] = json!([{ "ago": 0, "accepted": 0, "refused": 0, "shadow": 7 }]);
    status["hour"]["verdicts"] =
        json!([{ "region": "eu", "verdict": "shadow", "id": 121, "reason": "foreign-source", "count": 7 }]);
    status["hour"]["refused"] = json!([]);
    status["hour"]["refused_more"] = 0.into();
    status["hour"]["shadowed"] =
        json!([{ "region": "eu", "project": "watcher", "verdict": "shadow", "reason": "foreign-source", "count": 7 }]);
    status["decisions"] = json!([{
        "timestamp": "2026-11-16T10:58:03.114209Z", "verdict": "shadow", "id": 121, "reason": "foreign-source", "region": "eu",
        "project": "watcher", "trunk": "carrier", "source": "198.51.100.7:5060", "from": "sip:+353…@h", "to": "sip:+493…@h",
        "why": "source 198.51.100.7 is outside region <eu>",
    }]);
    let shadow = page(&status, false);
    for part in [
        "Refused (1 h)</dt><dd class=\"big\">0</dd>",
        "Shadow (1 h)</dt><dd class=\"big\">7</dd>",
        "<rect class=\"shadow\"",
        "up to 7 that only shadow mode let pass, above the line; up to 0 refused, below",
        "<caption>Let pass in shadow mode</caption>",
        ">11-16 10:58:03<",
        "let pass (shadow)",
        "source 198.51.100.7 is outside region &lt;eu&gt;",
        "watcher, carrier",
        "198.51.100.7:5060",
        ">+353…</span> → <span class=\"code whole\">+493…</span>",
    ] {
        assert!(shadow.contains(part), "{part} in {shadow}");
    }
    assert!(
        !shadow.contains("class=\"refused\"") && !shadow.contains("Refused projects") && !shadow.contains(" refused</span>"),
        "{shadow}"
    );
    status["decisions"][0]["verdict"] = "refuse".into();
    assert!(page(&status, false).contains(" </span>refused</span>"));
}

#[test]
fn a_certificate_that_ends_soon_and_relays_are_shown_where_there_are_any() {
    let mut status = status();
    assert!(!page(&status, false).contains("Certificate") && !page(&status, false).contains("Relays"));
    status["regions"][0]["relays"] =
        json!([{ "address": "192.0.2.7:2223", "transport": "udp", "state": "down", "why": "silent" }]);
    for (left, class, word) in
        [(0, "bad", "has ended"), (500_000, "bad", "ends in 5"), (900_000, "warn", "10"), (9_000_000, "good", "104")]
    {
        status["regions"][0]["tls"] =
            json!({ "names": ["eu.example.com"], "ends": "2026-12-01T00:00:00Z", "ends_in_seconds": left });
        let page = page(&status, false);
        let (_, shown) = page.split_once("<dt>Certificate</dt><dd><span class=\"state ").unwrap();
        let shown = shown.split_once("</dd>").unwrap().0;
        assert!(shown.starts_with(class) && shown.contains(word) && shown.contains("eu.example.com"), "{shown}");
        assert!(page.contains("<caption>Relays</caption>") && page.contains("192.0.2.7:2223"));
    }
}

#[test]
fn a_value_is_never_markup() {
    let evil = "<script>alert(1)</script>\"'&";
    let mut status = status();
    status["regions"][0]["name"] = evil.into();
    status["regions"][0]["hostname"] = evil.into();
    status["hour"]["refused"][0]["project"] = evil.into();
    status["missing"][0] = evil.into();
    let page = page(&status, false);
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;"), "{page}");
}

#[test]
fn a_large_daemon_has_a_small_page() {
    let mut status = status();
    let region = status["regions"][0].clone();
    let many = |value: &Value| Value::Array(vec![value.clone(); 1000]);
    for (list, row) in [("targets", &region["targets"][0]), ("networks", &region["networks"][0]), ("listeners", &json!("udp:a"))]
    {
        status["regions"][0][list] = many(row);
    }
    status["hour"]["verdicts"] = many(&status["hour"]["verdicts"][0]);
    status["names"] = many(&json!({ "name": "sip:a.example.net", "uses": ["region eu"], "state": "fresh", "servers": [] }));
    let page = page(&status, false);
    assert!(page.len() < 100_000, "{} octets", page.len());
    assert_eq!(page.matches("and 960 more").count(), 5);
}

#[test]
fn a_trunks_name_that_nobody_has_called_is_told_apart_and_comes_last() {
    let mut status = status();
    let name = |name: &str, state: &str| json!({ "name": name, "uses": ["trunk one of acme"], "state": state, "servers": [] });
    status["names"] = json!([name("sip:unasked", "unasked"), name("sip:fresh", "fresh"), name("sip:vanished", "vanished")]);
    let page = page(&status, false);
    assert!(page.contains("not asked for") && !page.contains(">unasked<"));
    let at = |text: &str| page.find(text).unwrap();
    assert!(at("sip:vanished") < at("sip:fresh") && at("sip:fresh") < at("sip:unasked"));
}

#[test]
fn the_policy_allows_this_style_and_nothing_else() {
    let policy = POLICY.to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    let page = page(&status(), true);
    assert!(page.contains(&format!("<style>{STYLE}</style>")), "the hash is of what stands between the tags");
    assert!(!page.contains("style=") && !page.contains("<script") && !page.contains("src="));
}

/// A region's daemon on a working day, for the picture in the README.
fn working_day() -> Value {
    let minute = |ago: u64| {
        let accepted = 290 + (ago * ago * 37 + ago * 101) % 53 - ago * 2;
        let refused = if (11..19).contains(&ago) { 14 + (ago * 31) % 23 } else { (ago * 13) % 3 };
        json!({ "ago": ago, "accepted": accepted, "refused": refused, "shadow": (ago * 7) % 5 })
    };
    let minutes: Vec<Value> = (0..60).rev().map(minute).collect();
    let sum = |key: &str| minutes.iter().filter_map(|minute| minute[key].as_u64()).sum::<u64>();
    let (accepted, refused, shadow) = (sum("accepted"), sum("refused"), sum("shadow"));
    let verdict = |verdict: &str, id: u16, reason: &str, count: u64| json!({ "region": "eu", "verdict": verdict, "id": id, "reason": reason, "count": count });
    let of_project = |project: &str, reason: &str, count: u64| json!({ "region": "eu", "project": project, "verdict": "refuse", "reason": reason, "count": count });
    let target = |address: &str, state: &str, why: Option<&str>, since: u64, heard: u64| json!({ "address": address, "transport": "udp", "state": state, "why": why, "since_seconds": since, "heard_seconds": heard });
    let decision = |at: &str, verdict: &str, (id, reason): (u16, &str), whose: [&str; 2], (source, why): (&str, &str)| {
        json!({
            "timestamp": format!("2026-11-16T{at}.114209Z"), "verdict": verdict, "id": id, "reason": reason, "region": "eu",
            "project": whose[0], "trunk": whose[1], "source": source, "from": "sip:+353…@54.171.127.193",
            "to": format!("sip:+493…@{}.eu.sip.example.com", whose[0]), "why": why
        })
    };
    let media = (140, "foreign-media-offer");
    json!({
        "decisions": [
            decision("10:59:58", "refuse", media, ["acme", "twilio-ie"], ("54.171.127.193:5060", "SDP c= address 168.86.2.41 is outside")),
            decision("10:59:51", "shadow", (130, "pinned-elsewhere"), ["contoso", "telnyx"], ("192.76.120.10:5060", "project contoso is pinned to us, not eu")),
            decision("10:58:03", "refuse", (110, "foreign-endpoint"), ["northwind", "plivo"], ("15.207.90.192:5060", "Request-URI host northwind.us.sip.example.com is an endpoint of region us, not eu")),
        ],
        "version": env!("CARGO_PKG_VERSION"),
        "configuration": {
            "digest": "edbaac78861febc6221b8fca080a8515fc70adce05bbc6e43f1afb5656531df4",
            "files": ["/etc/ringfence/ringfence.toml", "/etc/ringfence/projects.d/acme.toml"],
            "loaded": "2026-11-16T10:00:00Z", "loaded_seconds": 3600, "projects": 214, "trunks": 391
        },
        "started": "2026-11-03T08:12:40Z", "uptime_seconds": 1_133_240, "ready": true, "draining": false, "missing": [],
        "troubles": ["region eu: sip:spare.eu.internal does not resolve: no such name (asked 10.20.0.53:53)"],
        "hour": {
            "minutes": minutes,
            "verdicts": [
                verdict("accept", 100, "in-region", accepted),
                verdict("refuse", 140, "foreign-media-offer", refused - 61),
                verdict("refuse", 120, "unknown-source", 38),
                verdict("shadow", 130, "pinned-elsewhere", shadow),
                verdict("refuse", 110, "foreign-endpoint", 23)
            ],
            "refused": [of_project("acme", "foreign-media-offer", refused - 70), of_project("northwind", "foreign-endpoint", 23)],
            "refused_more": 0,
            "shadowed": [of_project("contoso", "pinned-elsewhere", shadow)], "shadowed_more": 0,
            "repeats": [{ "region": "eu", "project": "acme", "trunk": "twilio-ie", "count": 17 }],
            "repeats_more": 0
        },
        "regions": [
            {
                "name": "eu", "hostname": "eu.sip.example.com", "served": true,
                "listeners": ["udp:203.0.113.10:5060", "tcp:203.0.113.10:5060"],
                "networks": ["10.20.0.0/16", "203.0.113.0/24", "2001:db8:e::/48"], "nearest": ["uk"],
                "targets": [
                    target("10.20.0.5:5060", "up", None, 1_133_240, 2),
                    target("10.20.0.6:5060", "rising", Some("unavailable"), 12, 1),
                    target("10.20.0.7:5060", "down", Some("silent"), 642, 647)
                ]
            },
            { "name": "uk", "hostname": "uk.sip.example.com", "served": false, "targets": [target("10.30.0.5:5060", "up", None, 9, 1)] },
            { "name": "us", "hostname": "us.sip.example.com", "served": false, "targets": [] }
        ],
        "names": [{
            "name": "sip:livekit.eu.internal", "uses": ["region eu"], "state": "fresh", "failure": null,
            "servers": [{ "addresses": [{ "outside": [] }, { "outside": [] }, { "outside": [] }] }]
        }]
    })
}

#[test]
fn a_working_day_is_drawn() {
    let page = page(&working_day(), false);
    assert_eq!(page.matches("class=\"accepted\"").count(), 60, "a bar for each minute");
    // `docs/images/make` asks for it.
    if let Ok(path) = std::env::var("RINGFENCE_PAGE") {
        std::fs::write(path, page).unwrap();
    }
}
