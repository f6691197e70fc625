//! `ringfence explain --realtime`: what the gate would answer for a token, and why. Asks nobody, and prints no token.

use std::fmt::Write as _;
use std::io::Read as _;

use serde_json::{Value, json};

use crate::cli::arguments::ExplainOptions;
use crate::cli::exit::{FAILED, NO_INPUT, OK};
use crate::cli::mistakes;
use crate::cli::output::{complain, print, print_fitting};
use crate::cli::printable::{harmless_json, plain};
use crate::config::{self, Config, Region, RegionId};
use crate::core::io::Verdict;
use crate::gate::{GateDecision, GateRequest, decide, regions};

/// Most octets that are read from standard input: a token is shorter.
const MOST: u64 = 256 << 10;

/// Explains a URL or a token, and prints what becomes of it in each served region, or in the one of `--listener`.
pub(super) fn explain(options: &ExplainOptions, given: &str) -> u8 {
    let config = match config::load(&options.config) {
        Ok(config) => config,
        Err(error) => return mistakes::refuse(&error, options.json),
    };
    let given = match read(given) {
        Ok(given) => given,
        Err(error) => return complain(&format!("standard input: {error}"), NO_INPUT),
    };
    let served = || (0..).map(RegionId).zip(&config.regions).filter(|(_, region)| region.served);
    let of_host = region_of(&config, &given);
    let chosen: Vec<RegionId> = match options.listener.as_deref() {
        None if of_host.is_some_and(|id| config.region(id).served) => of_host.into_iter().collect(),
        None => served().map(|(id, _)| id).collect(),
        Some(name) => {
            let Some((id, _)) = served().find(|(_, region)| region.name == name) else {
                let names: Vec<&str> = served().map(|(_, region)| region.name.as_str()).collect();
                return complain(&format!("`{name}` is no served region: {}", names.join(", ")), super::CANNOT_TELL);
            };
            vec![id]
        }
    };
    let asked = GateRequest::of_text(&given);
    let settings = place(&given).is_some_and(|(_, path)| path == "/settings/regions");
    let all: Vec<Answered> = chosen.into_iter().map(|region| Answered::of(&config, region, &asked, settings)).collect();
    let elsewhere = of_host.filter(|&id| !config.region(id).served);
    if options.json {
        let key = issuer(&asked);
        let all = all.iter().map(|answered| answered.as_json(&config)).collect::<Vec<_>>();
        print(&(harmless_json(&json!({ "key": key, "regions": all }).to_string()) + "\n"));
    } else {
        print_fitting(&as_text(&config, &asked, &all, elsewhere));
    }
    let refused = all.iter().any(Answered::is_refused);
    if refused { FAILED } else { OK }
}

fn read(given: &str) -> std::io::Result<String> {
    let mut text = String::new();
    if given == "-" {
        std::io::stdin().lock().take(MOST).read_to_string(&mut text)?;
    } else {
        text.push_str(given);
    }
    // As it stands in a file or in a header.
    let text = text.trim().trim_matches(['"', '\'']);
    Ok(text.strip_prefix("Bearer ").unwrap_or(text).trim().to_owned())
}

/// The host, port and path of a URL. `None`: it is none.
fn place(given: &str) -> Option<(&str, &str)> {
    let (_, rest) = given.split_once("://")?;
    let rest = rest.split(['?', '#']).next()?;
    Some(rest.split_at(rest.find('/').unwrap_or(rest.len())))
}

/// The region whose realtime clients connect to the host of a URL.
fn region_of(config: &Config, given: &str) -> Option<RegionId> {
    let (host, _) = place(given)?;
    let of = |region: &Region| region.realtime.as_deref().and_then(place).is_some_and(|(own, _)| own.eq_ignore_ascii_case(host));
    (0..).map(RegionId).zip(&config.regions).find(|(_, region)| of(region)).map(|(id, _)| id)
}

/// What the gate answers in one region.
struct Answered {
    region: RegionId,
    twirp: bool,
    /// `None`: it is passed on without a token.
    decision: Option<GateDecision>,
    /// Where the client may go, by name and URL, if its key is one of ours.
    listed: Vec<(String, String)>,
    /// Whether it asks just that, which needs no decision.
    settings: bool,
}

impl Answered {
    fn of(config: &Config, region: RegionId, asked: &GateRequest, settings: bool) -> Self {
        let GateRequest::Token { twirp, token } = asked else {
            return Self { region, twirp: false, decision: None, listed: Vec::new(), settings };
        };
        let (twirp, decision) = (*twirp, decide(config, region, token.as_ref(), false));
        let listed = decision.project.map(|project| regions(config, Some(region), project));
        let entry = |of: &Value| Some((of["region"].as_str()?.to_owned(), of["url"].as_str()?.to_owned()));
        let listed = listed.iter().filter_map(|all| all["regions"].as_array()).flatten().filter_map(entry).collect();
        Self { region, twirp, decision: Some(decision), listed, settings }
    }

    fn is_refused(&self) -> bool {
        self.decision
            .as_ref()
            .is_some_and(|decision| if self.settings { decision.project.is_none() } else { decision.verdict == Verdict::Refuse })
    }

    /// Where the client may go, in words.
    fn ways(&self) -> String {
        let listed: Vec<String> = self.listed.iter().map(|(name, url)| format!("{name} {url}")).collect();
        if listed.is_empty() { "nowhere: no such region has `realtime`".to_owned() } else { listed.join(", ") }
    }

    fn as_json(&self, config: &Config) -> Value {
        let region = &config.region(self.region).name;
        let Some(decision) = &self.decision else { return json!({ "region": region, "verdict": "exempt", "code": 200 }) };
        if self.settings && decision.project.is_some() {
            let listed = self.listed.iter().map(|(name, url)| json!({ "region": name, "url": url })).collect::<Vec<_>>();
            return json!({ "region": region, "verdict": "exempt", "code": 200, "settings_regions": listed });
        }
        let answer = decision.answer(self.twirp);
        json!({
            "region": region,
            "verdict": decision.verdict.label(),
            "reason": { "id": decision.reason.id(), "token": decision.reason.token() },
            "project": decision.project.map(|id| &config.project(id).name),
            "why": decision.why.as_deref(),
            "code": answer.code,
            "x_ringfence": decision.row(config),
            "body": answer.body,
            "settings_regions": self.listed.iter().map(|(name, url)| json!({ "region": name, "url": url })).collect::<Vec<_>>(),
        })
    }

    fn as_text(&self, config: &Config) -> String {
        let region = &config.region(self.region).name;
        let Some(decision) = &self.decision else { return format!("region {region}: passed on without a token (200)\n") };
        if self.settings && decision.project.is_some() {
            return format!(
                "region {region}: /settings/regions needs no decision\n  the client gets 200 and reads  {}\n",
                self.ways()
            );
        }
        let (answer, reason) = (decision.answer(self.twirp), decision.reason);
        let why = decision.why.as_deref().map(|why| format!(", {why}")).unwrap_or_default();
        let verdict = match decision.verdict {
            Verdict::Accept => "accepted",
            Verdict::Shadow => "accepted, since its project is in shadow mode",
            Verdict::Refuse => "refused",
        };
        let mut text = format!("region {region}: {verdict}: {} {reason}{why}\n", reason.id());
        let _ = match answer.code {
            200 => writeln!(
                text,
                "  the gate says 200: the server behind answers, once it has checked signature and end of the token"
            ),
            code => writeln!(text, "  the client gets {code} and reads  {}", answer.body),
        };
        if let Some(row) = decision.row(config) {
            let _ = writeln!(text, "  X-Ringfence: {row}");
        }
        if decision.project.is_some() {
            let _ = writeln!(text, "  /settings/regions sends it to  {}", self.ways());
        }
        text
    }
}

fn issuer(asked: &GateRequest) -> Option<&str> {
    match asked {
        GateRequest::Token { token: Ok(token), .. } => Some(&token.issuer),
        _ => None,
    }
}

// Writing to a string cannot fail.
fn as_text(config: &Config, asked: &GateRequest, all: &[Answered], elsewhere: Option<RegionId>) -> String {
    let mut text = String::new();
    if let Some(key) = issuer(asked) {
        let _ = writeln!(text, "the token names the key {}", plain(key.as_bytes()));
    }
    if config.gate.is_none() {
        text.push_str("there is no [gate]: no reverse proxy can ask this daemon\n");
    }
    if let Some(region) = elsewhere {
        let name = &config.region(region).name;
        let _ = writeln!(text, "the host is region {name}'s `realtime`, which is not served here: the gate there decides");
    }
    text.extend(all.iter().map(|answered| answered.as_text(config)));
    text
}
