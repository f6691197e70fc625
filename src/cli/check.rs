//! `ringfence check`: what a configuration means, or which mistakes it has. With `--online`, also what its names resolve to.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::color::Colors;
use super::exit::{FAILED, OK, UNAVAILABLE};
use super::here;
use super::mistakes::{self, mistake_json};
use super::online;
use super::output::{print, print_fitting, shown};
use crate::config::{self, Config, Hop, Media, Mode, ProjectId, Region, Written};

/// Most projects that are listed one by one.
const LISTED: usize = 50;

/// Loads the file and prints the result. Mistakes go to standard error, or all into one JSON object on standard output.
pub(super) fn check(path: &Path, online: bool, here: bool, json: bool) -> u8 {
    let result = config::load(path).map(Arc::new);
    let names = match &result {
        Ok(config) if online => match online::resolve_all(config) {
            Ok(names) => Some(names),
            Err(code) => return code,
        },
        _ => None,
    };
    let (text, code) = match (&result, json) {
        (Ok(config), false) => {
            for warning in &config.warnings {
                mistakes::print("warning", warning);
            }
            let colors = Colors::on(std::io::stdout().is_terminal());
            let names = names.map(|names| (online::text(config, &names, colors), online::all_fine(config, &names)));
            let (names, fine) = names.unwrap_or((String::new(), true));
            let sockets = if here { here::sockets(config) } else { Vec::new() };
            let free = sockets.iter().all(|socket| socket.wrong.is_none());
            let code = if !free {
                UNAVAILABLE
            } else if fine {
                OK
            } else {
                FAILED
            };
            let keys = if here { here::open_keys(config) } else { Vec::new() };
            let audit = if here { here::audit(config) } else { Vec::new() };
            (summary(path, config) + &names + &here::text(&sockets, &keys, &audit, colors), code)
        }
        (Err(error), _) => {
            let code = mistakes::refuse(error, json);
            let count = error.mistakes.len();
            if !json && !mistakes::no_usual(error) {
                let _ = writeln!(std::io::stderr(), "{}: {count} mistake{}", shown(path), plural(count));
            }
            return code;
        }
        (Ok(config), true) => {
            let mut valid = valid_json(config);
            let fine = names.as_ref().is_none_or(|names| online::all_fine(config, names));
            if let Some(names) = &names {
                valid["names"] = online::json(config, names);
            }
            let sockets = if here { here::sockets(config) } else { Vec::new() };
            if here {
                valid["here"] = here::json(&sockets);
                valid["open_keys"] = here::keys_json(&here::open_keys(config));
                valid["audit"] = here::audit_json(&here::audit(config));
            }
            let free = sockets.iter().all(|socket| socket.wrong.is_none());
            (
                format!("{valid}\n"),
                if !free {
                    UNAVAILABLE
                } else if fine {
                    OK
                } else {
                    FAILED
                },
            )
        }
    };
    if json {
        print(&text);
    } else {
        print_fitting(&text);
    }
    code
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn summary(path: &Path, config: &Config) -> String {
    let mut out = String::new();
    let warnings = config.warnings.len();
    let note = if warnings == 0 { String::new() } else { format!(", with {warnings} warning{}", plural(warnings)) };
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}: valid{note}", shown(path));
    let _ = writeln!(out, "digest   {}", config.digest);
    for file in config.files.iter().skip(1) {
        let _ = writeln!(out, "include  {}", shown(file));
    }
    for region in &config.regions {
        let how = if region.served { "served" } else { "known" };
        let _ = writeln!(out, "region   {}  {how}  {}  {}", region.name, region.hostname, listeners(config, region).join(" "));
    }
    for region in config.regions.iter().filter(|region| region.served) {
        let hops: Vec<String> = region.upstream.iter().map(|hop| hop_text(config, hop)).collect();
        let _ = writeln!(out, "upstream {}  {}", region.name, if hops.is_empty() { "none".to_owned() } else { hops.join(", ") });
        if let Some(tls) = &region.tls {
            let _ = writeln!(out, "tls      {}  certificate for {}", region.name, tls.certificate.shown());
        }
    }
    // Of those that are not served too: refused clients are sent there.
    for region in &config.regions {
        if let Some(realtime) = &region.realtime {
            let _ = writeln!(out, "realtime {}  {realtime}", region.name);
        }
    }
    let shows_none = |region: &&Region| region.tls.as_ref().is_some_and(|tls| tls.client.is_some() && tls.shows.is_none());
    for region in config.regions.iter().filter(shows_none) {
        let why = "its own is for serverAuth alone, and there is no client_certificate";
        let _ = writeln!(out, "tls      {}  shows no certificate to servers: {why}", region.name);
    }
    for (project, id) in config.projects.iter().zip((0..).map(ProjectId)).take(LISTED) {
        let pin = match &project.pin {
            Some(pin) => {
                let names: Vec<_> = pin.iter().map(|&id| config.region(id).name.as_str()).collect();
                format!("pinned to {}", names.join(", "))
            }
            None => "not pinned".to_owned(),
        };
        let mode = match project.mode {
            Mode::Enforce => "enforce",
            Mode::Shadow => "shadow",
        };
        let media = match project.media {
            Media::Off => "off",
            Media::Warn => "warn",
            Media::Enforce => "enforce",
            Media::Relay => "relay",
        };
        let ways: Vec<&str> = project.out.iter().map(|&id| &*config.trunk(id).name).collect();
        let ways = if ways.is_empty() { String::new() } else { format!("  out by {}", ways.join(", ")) };
        let _ = writeln!(out, "project  {}  {pin}  mode {mode}  media {media}{ways}", project.name);
        let keys: Vec<&str> = config.api_keys.of(id).collect();
        if !keys.is_empty() {
            let _ = writeln!(out, "         tokens of {}", keys.join(", "));
        }
        for id in project.trunks() {
            let trunk = config.trunk(id);
            let outbound = trunk.outbound().map_or_else(String::new, |to| format!("  out to {}", to.hostparts.join(", ")));
            let (policy, capacity) = (trunk.reject.policy, trunk.reject.capacity);
            let _ = writeln!(out, "trunk    {}  policy {policy}  capacity {capacity}{outbound}", trunk.name);
            let networks: Vec<String> = trunk.networks.nets().map(|net| net.to_string()).collect();
            if !networks.is_empty() {
                let _ = writeln!(out, "         signals from {}", networks.join(", "));
            }
            let media: Vec<String> = trunk.media().nets().map(|net| net.to_string()).collect();
            if !media.is_empty() {
                let _ = writeln!(out, "         media from {}", media.join(", "));
            }
            if !trunk.certificates().is_empty() {
                let _ = writeln!(out, "         proves by certificate {}", trunk.certificates().join(", "));
            }
        }
    }
    if let Some(more) = config.projects.len().checked_sub(LISTED).filter(|&more| more > 0) {
        let _ = writeln!(out, "project  … and {more} more, with {} trunks in all", config.trunks.len());
    }
    if let Some(gate) = &config.gate {
        let _ = writeln!(out, "gate     http://{}/decide", gate.listen);
    }
    if let Some(audit) = &config.audit {
        let _ = writeln!(out, "audit    {}", shown(&audit.path));
    }
    if let Some(admin) = config.admin {
        let _ = writeln!(out, "admin    http://{admin}/metrics");
    }
    out
}

/// A next hop as in the file.
fn hop_text(config: &Config, hop: &Hop) -> String {
    match *hop {
        Hop::Address { addr, transport } => Written::Address { addr, transport }.to_string(),
        Hop::Name(id) => config.names.get(id.0 as usize).map(ToString::to_string).unwrap_or_default(),
    }
}

/// A region's sockets as in the file.
fn listeners(config: &Config, region: &Region) -> Vec<String> {
    let listeners = region.listeners.iter().map(|&id| config.listener(id));
    listeners.map(|listener| format!("{}:{}", listener.transport.token(), listener.addr)).collect()
}

fn valid_json(config: &Config) -> Value {
    let region = |region: &Region| {
        json!({
            "name": region.name,
            "hostname": region.hostname,
            "served": region.served,
            "listeners": listeners(config, region),
        })
    };
    json!({
        "valid": true,
        "digest": config.digest,
        "files": config.files.iter().map(|file| shown(file)).collect::<Vec<_>>(),
        "regions": config.regions.iter().map(region).collect::<Vec<_>>(),
        "projects": config.projects.len(),
        "trunks": config.trunks.len(),
        "warnings": config.warnings.iter().map(mistake_json).collect::<Vec<_>>(),
    })
}
