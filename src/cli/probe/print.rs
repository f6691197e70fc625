//! Prints the result of `ringfence probe`, for people and for machines. Only draws.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};

use super::exchange::Story;
use super::probed::{Probed, Tried};
use crate::cli::color::{Colors, Tint};
use crate::cli::printable::{first_line, plain};
use crate::cli::trace;
use crate::config::Transport;
use crate::reason::{Class, Reason};
use crate::sip::{Message, Name};

/// The result as text, for people.
pub(super) fn as_text(probed: &Probed, colors: Colors) -> String {
    let mut out = String::new();
    let method = if probed.invite { "INVITE" } else { "OPTIONS" };
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}", colors.text(Tint::Bold, format!("{method} {}", probed.uri)));
    let mark = |ip: IpAddr| region(probed, SocketAddr::new(ip, 5060)).unwrap_or_default();
    out += &trace::tree(&probed.steps, colors, &mark);
    if probed.tried.is_empty() {
        let what = match trace::failure(&probed.steps).filter(|_| probed.failed) {
            Some(failure) => format!("nothing was sent, because DNS failed: {failure} (--to ADDRESS:PORT calls without DNS)"),
            None => "nothing was sent: it resolves to nothing (--to ADDRESS:PORT calls without DNS)".to_owned(),
        };
        let _ = writeln!(out, "{}", colors.text(Tint::Red, what));
    }
    for tried in &probed.tried {
        let to = format!("{} over {}", tried.addr, tried.transport.token());
        let region = region(probed, tried.addr).map_or_else(String::new, |region| format!(", {region}"));
        let _ = writeln!(out, "to {to}{region}");
        let Some(story) = &tried.story else {
            let _ = writeln!(out, "  {}", colors.text(Tint::Red, "nothing was sent: it is outside"));
            continue;
        };
        for (code, after) in &story.provisional {
            let _ = writeln!(out, "  {code} after {}", milliseconds(*after));
        }
        match (&story.answer, &story.broken) {
            (Some((code, bytes, after)), _) => {
                let tint = if probed.takes() == Some(true) { Tint::Green } else { Tint::Red };
                let line = first_line(bytes);
                let line = line.strip_prefix("SIP/2.0 ").unwrap_or(&line);
                let cancelled = if story.cancelled && *code == 487 { ", as we cancelled it" } else { "" };
                let _ = writeln!(out, "  {} after {}{cancelled}", colors.text(tint, line), milliseconds(*after));
                out.extend(words(bytes).into_iter().chain(stranger(probed, story)).map(|word| format!("  {word}\n")));
            }
            (None, Some(broken)) => {
                let _ = writeln!(out, "  {}", colors.text(Tint::Red, broken));
            }
            (None, None) => {
                let times = if story.sent == 1 { "once".to_owned() } else { format!("{} times", story.sent) };
                let _ = writeln!(out, "  {}", colors.text(Tint::Red, format!("no answer; it was sent {times}")));
            }
        }
        if let Some(advice) = advice(tried, story, probed.believes) {
            let _ = writeln!(out, "  {advice}");
        }
        match story.ended {
            Some(0) => out += "  somebody answered; our BYE was not confirmed\n",
            Some(code) => {
                let _ = writeln!(out, "  somebody answered; our BYE was answered {code}");
            }
            None => {}
        }
    }
    out
}

/// What a bare 403 means: a stranger is told nothing more. `None`: it is another answer.
fn stranger(probed: &Probed, story: &Story) -> Option<String> {
    let (403, bytes, _) = story.answer.as_ref()? else { return None };
    let message = Message::datagram(bytes).ok()?;
    if ringfence(&message).is_some() {
        return None;
    }
    let told = "403 without X-Ringfence is what a stranger is told";
    let Some((config, ip)) = probed.config.as_ref().zip(story.local.map(|local| local.ip())) else {
        return Some(format!(
            "{told}: if Ringfence is there, the address that you call from is in no trunk's networks (-c FILE tells, --bind ADDRESS calls \
             from another)"
        ));
    };
    let mut of: Vec<String> = config
        .caller_table
        .trunks(ip)
        .iter()
        .map(|id| {
            let trunk = config.trunk(id);
            format!("{} of {}", trunk.name, config.project(trunk.project).name)
        })
        .collect();
    of.dedup();
    Some(if of.is_empty() {
        format!("{told}; your address {ip} is in no trunk's networks (--bind ADDRESS calls from another)")
    } else {
        of.truncate(5);
        format!(
            "{told}; your address {ip} is in the networks of trunk {}: is it another project's, or another daemon's?",
            of.join(", ")
        )
    })
}

/// What to try if nothing comes back: most often one side speaks TLS and the other does not.
fn advice(tried: &Tried, story: &Story, believes: bool) -> Option<String> {
    if story.answer.is_some() {
        return None;
    }
    let port = tried.addr.port();
    let broken = story.broken.as_deref().unwrap_or_default().to_ascii_lowercase();
    match tried.transport {
        // What broke it says what to do.
        Transport::Tls if !believes => None,
        Transport::Tls if broken.contains("certificaterequired") || broken.contains("certificate required") => {
            Some("it wants a certificate of its caller (mutual TLS), and probe has none".to_owned())
        }
        Transport::Tls if broken.contains("certificate") => Some(
            "its certificate does not prove what was called: --ca FILE says whose certificates are believed, and the URI must have a name \
             that stands in it (a wildcard is none for SIP, RFC 5922 7.2)"
                .to_owned(),
        ),
        Transport::Tls if broken.contains("corrupt") || broken.contains("record") || broken.contains("end of file") => {
            Some(format!("port {port} may speak no TLS: sip:…:{port};transport=tcp tries it without"))
        }
        Transport::Tls if broken.contains("refused") => Some(format!("nobody listens on port {port} there; TLS is usually on 5061")),
        Transport::Tcp if port == 5061 || broken.contains("end of file") || broken.contains("reset") => {
            Some(format!("port {port} may want TLS: sips:…, or -t tls (--ca FILE checks its certificate)"))
        }
        Transport::Udp if port == 5061 => Some("5061 is the port of TLS: sips:…, or -t tls (--ca FILE checks its certificate)".to_owned()),
        Transport::Udp | Transport::Tcp if broken.contains("refused") => Some(format!("nobody listens on port {port} there")),
        _ => None,
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

/// The regions that contain an address. `None`: there is no configuration.
fn region(probed: &Probed, addr: SocketAddr) -> Option<String> {
    let config = probed.config.as_ref()?;
    let names: Vec<_> = config.regions_of(addr).into_iter().map(|id| config.region(id).name.as_str()).collect();
    Some(if names.is_empty() { "outside every region".to_owned() } else { format!("inside region {}", names.join(", ")) })
}

/// The header rows with this name in an answer.
fn rows(message: &Message<'_>, name: &str) -> Vec<String> {
    let rows = message.headers().iter().filter(|header| {
        let row = message.slice(&header.row());
        let written = row.split(|&octet| octet == b':').next().unwrap_or_default();
        written.trim_ascii().eq_ignore_ascii_case(name.as_bytes())
    });
    rows.map(|header| plain(message.value(header))).collect()
}

/// The reason in an X-Ringfence row of ours, and the region that gave it.
fn ringfence(message: &Message<'_>) -> Option<(Reason, Option<String>)> {
    let value = message.first(Name::Ringfence).map(|header| plain(message.value(header)))?;
    let mut parts = value.split(';').map(str::trim);
    let id: u16 = parts.next()?.parse().ok()?;
    let reason = Reason::ALL.into_iter().find(|reason| reason.id() == id)?;
    Some((reason, parts.find_map(|part| part.strip_prefix("region=")).map(str::to_owned)))
}

/// The region that X-Ringfence names.
pub(super) fn region_of(message: &Message<'_>) -> Option<String> {
    ringfence(message).and_then(|(_, region)| region)
}

/// The reasons in an answer, in words.
fn words(bytes: &[u8]) -> Vec<String> {
    let Ok(message) = Message::datagram(bytes) else { return Vec::new() };
    let mut words = Vec::new();
    if let Some((reason, region)) = ringfence(&message) {
        let meaning = match reason.class() {
            Class::Accepted => "accepted",
            Class::Policy | Class::Fixed(_) => "final: it may be tried nowhere else",
            Class::Capacity => "it may be tried at a sibling in the same region",
        };
        let region = region.map_or_else(String::new, |region| format!(" of region {region}"));
        words.push(format!("Ringfence{region} says {} {reason}, {}; {meaning}", reason.id(), reason.phrase()));
    }
    words.extend(rows(&message, "warning").iter().map(|row| {
        let mut parts = row.splitn(3, ' ').skip(1);
        let agent = parts.next().unwrap_or_default();
        format!("{agent} warns: {}", parts.next().unwrap_or_default().trim_matches('"'))
    }));
    words.extend(rows(&message, "reason").iter().map(|row| format!("Reason: {row}")));
    words.extend(rows(&message, "server").iter().map(|row| format!("Server: {row}")));
    words
}

/// The result as JSON, for machines. Later versions may add fields, but remove none.
pub(super) fn as_json(probed: &Probed) -> Value {
    let answer = |(code, bytes, after): &(u16, Vec<u8>, Duration)| {
        let message = Message::datagram(bytes).ok();
        let of = |name: &str| message.as_ref().map(|message| rows(message, name)).unwrap_or_default();
        let ours = message.as_ref().and_then(ringfence);
        json!({
            "code": code,
            "milliseconds": u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            "ringfence": ours.map(|(reason, region)| json!({ "id": reason.id(), "token": reason.token(), "region": region })),
            "warning": of("warning"),
            "reason": of("reason"),
            "text": String::from_utf8_lossy(bytes),
        })
    };
    let story = |story: &Story| {
        json!({
            "sent": story.sent,
            "provisional": story.provisional.iter().map(|(code, _)| *code).collect::<Vec<_>>(),
            "answer": story.answer.as_ref().map(answer),
            "cancelled": story.cancelled,
            "bye": story.ended,
            "error": story.broken,
        })
    };
    let tried = |of: &Tried| {
        let mut told =
            json!({ "address": of.addr.to_string(), "transport": of.transport.token(), "outside": of.story.is_none() });
        if let (Some(told), Some(Value::Object(story))) = (told.as_object_mut(), of.story.as_ref().map(story)) {
            told.extend(story);
            let of = of.story.as_ref().and_then(|story| stranger(probed, story).or_else(|| advice(of, story, probed.believes)));
            told.insert("hint".to_owned(), of.into());
        }
        told
    };
    let outcome = match probed.takes() {
        Some(true) => "answered",
        Some(false) => "refused",
        None => "silent",
    };
    json!({
        "uri": probed.uri,
        "method": if probed.invite { "INVITE" } else { "OPTIONS" },
        "outcome": outcome,
        "steps": trace::json(&probed.steps),
        "tried": probed.tried.iter().map(tried).collect::<Vec<_>>(),
    })
}
