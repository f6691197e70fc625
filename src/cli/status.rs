//! `ringfence status`: what a running daemon says of itself, in a terminal. Puts `/status` into words; judges nothing.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use bytes::Bytes;
use serde_json::Value;

use super::admin_client::{AdminClient, AdminError};
use super::arguments::AdminOptions;
use super::color::{Colors, Tint};
use super::exit::{FAILED, OK};
use super::output::print;
use super::printable::{harmless_json, plain};
use super::resolve::asynchronously;
use super::told;

/// Most names that are listed.
const NAMES: usize = 20;

/// Asks the daemon and prints what it says.
pub(super) fn status(options: &AdminOptions, json: bool) -> u8 {
    let client = match AdminClient::of(options, json) {
        Ok(client) => client,
        Err(code) => return code,
    };
    let (body, status) = match asynchronously(async || Ok(read(client).await)) {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return error.complain(),
        Err(code) => return code,
    };
    if json {
        // As the daemon wrote it.
        print(&harmless_json(&String::from_utf8_lossy(&body)));
    } else {
        print(&text(&status, Colors::on(std::io::stdout().is_terminal())));
    }
    if status["ready"] == true { OK } else { FAILED }
}

/// The daemon's `/status`, as it came and read.
async fn read(client: AdminClient) -> Result<(Bytes, Value), AdminError> {
    let body = client.get("/status").await?;
    let status: Option<Value> = serde_json::from_slice(&body).ok();
    let own = status.filter(|status| {
        status["regions"].is_array() && status["configuration"]["digest"].is_string() && status["version"].is_string()
    });
    own.map(|status| (body, status))
        .ok_or_else(|| AdminError::Foreign("what answers to /status is no status of Ringfence".to_owned()))
}

fn rows(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| plain(text.as_bytes()))
}

fn text(status: &Value, colors: Colors) -> String {
    let mut out = String::new();
    let configuration = &status["configuration"];
    let missing: Vec<String> = rows(&status["missing"]).map(word).collect();
    let ready = match (status["ready"] == true, status["draining"] == true) {
        (_, true) => colors.text(Tint::Yellow, "draining"),
        (true, _) => colors.text(Tint::Green, "ready"),
        (false, _) => format!("{}: {}", colors.text(Tint::Red, "not ready"), missing.join("; ")),
    };
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{ready}");
    for trouble in rows(&status["troubles"]) {
        let _ = writeln!(out, "{}", colors.text(Tint::Yellow, word(trouble)));
    }
    let _ = writeln!(out, "version    {}, up {}", word(&status["version"]), ago(&status["uptime_seconds"]));
    let digest = word(&configuration["digest"]);
    let _ = writeln!(
        out,
        "config     {}…, loaded {} ago",
        digest.get(..16).unwrap_or(&digest),
        ago(&configuration["loaded_seconds"])
    );
    if let Some(reload) = status["last_reload"].as_object() {
        let how = if reload["ok"] == true { "took effect".to_owned() } else { colors.text(Tint::Red, "failed, nothing changed") };
        let _ = writeln!(out, "reload     {} {how}", word(&reload["at"]));
        for mistake in rows(&reload["mistakes"]).filter_map(Value::as_str).filter_map(|text| text.lines().next()) {
            let _ = writeln!(out, "           {}", plain(mistake.as_bytes()));
        }
    }
    for region in rows(&status["regions"]).filter(|region| region["served"] == true) {
        of_region(region, colors, &mut out);
    }
    let wrong = |name: &&Value| !matches!(name["state"].as_str(), Some("fresh" | "unasked"));
    for name in rows(&status["names"]).filter(wrong).take(NAMES) {
        let failure = name["failure"].as_str().map_or_else(String::new, |why| format!(": {}", plain(why.as_bytes())));
        let _ = writeln!(out, "name       {} {}{failure}", word(&name["name"]), colors.text(Tint::Yellow, word(&name["state"])));
    }
    let verdicts: Vec<&Value> = rows(&status["hour"]["verdicts"]).collect();
    let _ = writeln!(out, "last hour{}", if verdicts.is_empty() { "  no decision" } else { "" });
    for row in verdicts {
        let verdict = word(&row["verdict"]);
        let of = [&row["region"], &row["id"], &row["reason"]].map(word).join(" ");
        let _ = writeln!(out, "{:>10} {} {of}", word(&row["count"]), told::verdict(&verdict, colors));
    }
    let decisions: Vec<&Value> = rows(&status["decisions"]).collect();
    if !decisions.is_empty() {
        let _ = writeln!(out, "last refused or let pass");
        for decision in decisions {
            out.push_str(&told::decision(decision, colors));
        }
    }
    out.lines().map(|line| told::fitting(line) + "\n").collect()
}

fn of_region(region: &Value, colors: Colors, out: &mut String) {
    let targets: Vec<&Value> = rows(&region["targets"]).collect();
    let up = targets.iter().filter(|target| target["state"] != "down").count();
    let tint = if up == 0 { Tint::Red } else { Tint::Green };
    let servers = if region["targets"].is_null() {
        "the message thread does not answer".to_owned()
    } else {
        colors.text(tint, format!("{up} of {} servers up", targets.len()))
    };
    let _ = writeln!(out, "region {}: {servers}", word(&region["name"]));
    for listener in rows(&region["listeners"]) {
        let _ = writeln!(out, "  listens  {}", word(listener));
    }
    for (kind, list) in [("server", &region["targets"]), ("relay", &region["relays"])] {
        for target in rows(list) {
            let state = word(&target["state"]);
            let tint = if state == "down" { Tint::Red } else { Tint::Green };
            let why = target["why"]
                .as_str()
                .filter(|_| state == "down")
                .map_or_else(String::new, |why| format!(", {}", plain(why.as_bytes())));
            let since = ago(&target["since_seconds"]);
            let (transport, addr) = (word(&target["transport"]), word(&target["address"]));
            let _ = writeln!(out, "  {kind:<7}  {transport}:{addr} {}{why} for {since}", colors.text(tint, state));
        }
    }
}

/// Seconds in the largest unit that fits.
fn ago(seconds: &Value) -> String {
    let seconds = seconds.as_u64().unwrap_or_default();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
