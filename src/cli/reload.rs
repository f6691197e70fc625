//! `ringfence reload`: makes a running daemon reload, and prints what became of it.

use std::time::Duration;

use serde_json::Value;

use super::admin_client::{AdminClient, AdminError};
use super::arguments::AdminOptions;
use super::exit::{CONFIG, OK};
use super::output::{print, say};
use super::printable::{harmless_json, plain};
use super::resolve::asynchronously;

/// How long a reload may take: a file with a million projects, and names that nobody answers for.
const PATIENCE: Duration = Duration::from_secs(120);

/// Most lines that are printed of one list: more than a daemon sends.
const LINES: usize = 1000;

/// Asks for a reload and waits for its outcome.
pub(super) fn reload(options: &AdminOptions, json: bool) -> u8 {
    let client = match AdminClient::of(options, json) {
        Ok(client) => client,
        Err(code) => return code,
    };
    let asking = async || {
        let body = client.post("/reload", PATIENCE).await?;
        let outcome: Option<Value> = serde_json::from_slice(&body).ok();
        let foreign = || AdminError::Foreign("what answers to /reload is no Ringfence".to_owned());
        outcome.filter(|outcome| outcome["ok"].is_boolean()).ok_or_else(foreign)
    };
    let outcome = match asynchronously(async || Ok(asking().await)) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => return error.complain(),
        Err(code) => return code,
    };
    let ok = outcome["ok"] == true;
    if json {
        print(&(harmless_json(&outcome.to_string()) + "\n"));
    } else if ok {
        tell("warning", &outcome["warnings"]);
        print(&format!("reloaded: {}\n", plain(outcome["digest"].as_str().unwrap_or_default().as_bytes())));
        for line in lines(&outcome["changes"]) {
            print(&format!("{}\n", plain(line.as_bytes())));
        }
    } else {
        tell("error", &outcome["mistakes"]);
        say("not reloaded, nothing has changed");
    }
    if ok { OK } else { CONFIG }
}

/// Says the daemon's mistakes or warnings, as `check` would print them.
fn tell(kind: &str, mistakes: &Value) {
    for mistake in lines(mistakes) {
        let text: Vec<String> = mistake.lines().map(|line| plain(line.as_bytes())).collect();
        say(&format!("{kind}: {}\n", text.join("\n")));
    }
}

fn lines(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).take(LINES)
}
