//! The status page as people see it: on a telephone and on a screen, light and dark, by eye and by ear.

use std::fmt::Write;

use serde_json::{Value, json};

use super::chromium::Chromium;
use crate::harness::{Ask, Daemon, Leg, Plan, Site};

/// A name as long as a label may be.
const LONG: &str = "a-customer-whose-label-is-as-long-as-any-label-of-a-name-may-be";

/// What stands beyond the right edge, and text that stands out too little from what is behind it (WCAG 2.1, 1.4.3).
const LOOK: &str = r"(() => {
  // Not innerWidth: a telephone zooms out until everything is on it.
  const width = document.documentElement.clientWidth;
  const wide = [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > width + 0.5);
  const channel = c => (c /= 255, c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  const rgb = text => text.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let faint = [], read = 0;
  for (let node; node = texts.nextNode();) {
    if (!node.data.trim()) continue;
    read++;
    const [a, b] = [light(rgb(getComputedStyle(node.parentElement).color)), light(behind(node.parentElement))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push([node.data, ratio]);
  }
  return {
    width,
    scroll: document.documentElement.scrollWidth - width,
    wide: wide.map(e => e.outerHTML.slice(0, 200)),
    faint, read,
    ground: light(behind(document.body)),
    columns: getComputedStyle(document.querySelector('tbody td')).display,
    text: document.body.innerText,
  };
})()";

fn plan(site: &Site) -> Plan {
    let mut plan = Plan::new(site);
    plan.upstream = format!("[\"sip:{};transport=udp\", \"sip:{}\"]", site.eu(10), site.eu(11));
    // Nobody is at either: both go down.
    plan.health = "interval = \"1s\"".into();
    plan.project(site, LONG, "pin = [\"us\"]", "");
    for at in 0..1000 {
        write!(plan.projects, "[project.p{at}]\npin = [\"us\"]\n").unwrap();
        write!(plan.projects, "[project.p{at}.trunk.t]\nnetworks = [\"{}\"]\n", Site::network(site.carrier(0))).unwrap();
    }
    plan
}

#[test]
fn the_page_is_legible_on_any_screen_and_asks_nobody_else() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &plan(&site));
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let mut refuse = |project: &str| {
        let uri = format!("sip:1@{project}.eu.sip.example.com");
        let ask = Ask::invite(&uri, caller.addr, "udp", site.carrier(20).ip());
        caller.ask(&ask);
        let refused = caller.expect(603);
        caller.ask(&ask.ack(&refused));
        caller.ask(&ask.again());
        caller.expect(603);
    };
    refuse(LONG);
    refuse(LONG);
    (0..30).for_each(|at| refuse(&format!("p{at}")));
    daemon.metrics_when("a server that is down", |metrics| {
        metrics.text().lines().any(|line| line.starts_with("ringfence_upstream_up") && line.ends_with(" 0"))
    });
    let (code, text) = daemon.get("/");
    assert!(code == 200 && text.len() < 50_000, "a thousand projects, {} octets", text.len());

    let mut chromium = Chromium::start(&site);
    let url = format!("http://{}/", Plan::admin(&site));
    for (width, scheme) in [(360, "light"), (390, "dark"), (1280, "light"), (1280, "dark")] {
        chromium.open(&url, width, scheme);
        let seen = chromium.value(LOOK);
        let whole = format!("{width} {scheme}: {seen:#}");
        assert_eq!((&seen["scroll"], &seen["wide"], &seen["faint"]), (&json!(0), &json!([]), &json!([])), "{whole}");
        assert_eq!(seen["width"], width, "{whole}");
        assert!(seen["read"].as_u64().unwrap() > 100, "{whole}");
        assert_eq!(seen["ground"].as_f64().unwrap() > 0.5, scheme == "light", "{whole}");
        assert_eq!(seen["columns"], if width < 600 { "flex" } else { "table-cell" }, "a row becomes a block: {whole}");
        let text = seen["text"].as_str().unwrap();
        for part in ["Ready", LONG, "pinned-elsewhere", "and 11 more", "■ down", "unreachable", "1002, 1002"] {
            assert!(text.contains(part), "{part}: {whole}");
        }
        let tables = chromium.named("table");
        assert_eq!(
            tables,
            [
                "Verdicts by reason",
                "Refused projects",
                "Calls that came again after a final refusal",
                "The newest first, without a call's numbers",
                "Targets",
                "Known, so that their calls can be told so"
            ]
        );
        assert!(chromium.named("columnheader").contains(&"Reason".to_owned()));
        assert_eq!(chromium.named("image").len(), 1, "the chart says what it shows");
        assert_eq!(chromium.complaints(), Vec::<String>::new());
        assert_eq!(chromium.requests().iter().filter(|of| !of.starts_with("data:")).collect::<Vec<_>>(), [&url]);
    }

    // What the policy forbids is neither loaded nor run, and the browser says so: it would have said so above.
    chromium.value("document.body.append(Object.assign(new Image(), { src: '/metrics' })); 0");
    let complaint = chromium.event("Log.entryAdded");
    assert!(complaint.to_string().contains("Content Security Policy"), "{complaint}");
    chromium.open(&format!("{url}?refresh"), 1280, "light");
    assert_eq!(chromium.value("document.querySelector('meta[http-equiv=refresh]').content"), Value::from("15"));
}
