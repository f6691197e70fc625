//! A message that a running daemon refused or let pass in shadow mode, with what it decided. Asks the daemon; explains nothing.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::explained::{CANNOT_TELL, Decision, Explained};
use crate::cli::admin_client::{AdminClient, AdminError, escaped};
use crate::cli::arguments::{AdminOptions, ExplainOptions, Whence};
use crate::cli::color::{Colors, Tint};
use crate::cli::output::complain;
use crate::cli::resolve::asynchronously;
use crate::cli::told;
use crate::config::Transport;
use crate::core::rules::trace::Test;

/// What the daemon kept.
#[derive(Debug)]
pub(super) struct Recorded {
    /// The decision, as `/refused` has it.
    decided: Value,
    /// The message, if the daemon has kept it.
    pub(super) message: Option<RecordedMessage>,
}

/// A message as it came.
#[derive(Debug)]
pub(super) struct RecordedMessage {
    source: SocketAddr,
    /// As in the configuration: `udp:203.0.113.10:5060`.
    listener: String,
    /// Whether its numbers are masked: then nobody can tell whose they are.
    masked: bool,
    pub(super) bytes: Vec<u8>,
}

/// The newest kept message of a call. `Err`: the exit code, and it was said why.
pub(super) fn ask(options: &ExplainOptions, call_id: &str) -> Result<Recorded, u8> {
    let admin = AdminOptions { config: options.config.clone(), admin: options.admin };
    let client = AdminClient::of(&admin, options.json)?;
    let foreign = || AdminError::Foreign("what answers to /refused is no Ringfence".to_owned()).complain();
    let mut answer = Value::Null;
    // As it is, and as the log and `watch` show it.
    for id in [Some(call_id.to_owned()), unescaped(call_id)].into_iter().flatten() {
        let path = format!("/refused?call_id={}", escaped(&id));
        let body = asynchronously(async || Ok(client.get(&path).await))?.map_err(|error| error.complain())?;
        answer = serde_json::from_slice(&body).map_err(|_| foreign())?;
        if answer["refused"].as_array().is_none_or(|list| !list.is_empty()) {
            break;
        }
    }
    let list = answer["refused"].as_array().ok_or_else(foreign)?;
    let Some(kept) = list.first() else {
        let (Some(count), Some(limit)) = (answer["kept"].as_u64(), answer["limit"].as_u64()) else { return Err(foreign()) };
        let what = match limit {
            0 => "the daemon keeps no refused messages: `refused` of [log] is 0".to_owned(),
            _ => format!(
                "the daemon keeps nothing of call {call_id}: it has {count} refused messages of at most {limit} (`refused` of [log]), and of \
                 an accepted call none"
            ),
        };
        return Err(complain(&what, CANNOT_TELL));
    };
    Recorded::of(kept).ok_or_else(foreign)
}

/// A Call-ID without the escapes of the log. `None`: it has none.
fn unescaped(shown: &str) -> Option<String> {
    let (mut out, mut rest, mut any) = (String::with_capacity(shown.len()), shown, false);
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        let hex = behind.strip_prefix('x').and_then(|hex| u8::from_str_radix(hex.get(..2)?, 16).ok());
        let (octet, length) = match (hex, behind.chars().next()?) {
            (Some(octet), _) if octet.is_ascii() => (char::from(octet), 3),
            (None, c @ ('"' | '\\' | '\'')) => (c, 1),
            _ => return None,
        };
        out.push(octet);
        (rest, any) = (behind.get(length..)?, true);
    }
    out.push_str(rest);
    any.then_some(out)
}

impl Recorded {
    fn of(kept: &Value) -> Option<Self> {
        let mut decided = kept.clone();
        let message = match decided.as_object_mut()?.remove("message_base64") {
            None => None,
            Some(octets) => Some(RecordedMessage {
                source: kept["source"].as_str()?.parse().ok()?,
                // Whoever answers there writes to our terminal with it.
                listener: kept["listener"].as_str().filter(|of| of.bytes().all(|octet| octet.is_ascii_graphic()))?.to_owned(),
                masked: kept["masked"] != false,
                bytes: BASE64_STANDARD.decode(octets.as_str()?).ok()?,
            }),
        };
        Some(Self { decided, message })
    }

    /// Whether the file decides as the daemon did. `None`: it cannot be told.
    fn same(&self, explained: &Explained) -> Option<bool> {
        let (verdict, reason) = match &explained.decision {
            Decision::Accepted { reason, shadow: None } => ("accept", *reason),
            Decision::Accepted { reason, shadow: Some(_) } => ("shadow", *reason),
            Decision::Refused { reason, .. } => ("refuse", *reason),
            Decision::Unknown(_) => return None,
        };
        Some(self.decided["verdict"] == verdict && self.decided["id"].as_u64() == reason.map(|reason| reason.id().into()))
    }

    /// What was decided, if nothing more can be said.
    pub(super) fn alone(&self, json: bool, colors: Colors) -> String {
        if json {
            return format!("{}\n", serde_json::json!({ "decided": self.decided, "same_decision": null }));
        }
        format!("The running daemon decided:\n{}", told::decision(&self.decided, colors))
    }

    pub(super) fn as_json(&self, mut explained: Value, of: &Explained) -> Value {
        if let Some(object) = explained.as_object_mut() {
            object.insert("decided".to_owned(), self.decided.clone());
            object.insert("same_decision".to_owned(), self.same(of).into());
        }
        explained
    }

    pub(super) fn as_text(&self, explained: &Explained, colors: Colors) -> String {
        let now = match self.same(explained) {
            Some(true) => "The configuration file decides the same:".to_owned(),
            Some(false) => colors.text(Tint::Yellow, "The configuration file, as it is now, would decide otherwise:"),
            None => "What the configuration file would decide cannot be told for sure:".to_owned(),
        };
        format!("{}\n{now}\n", self.alone(false, colors))
    }
}

impl RecordedMessage {
    /// Takes back what was decided by a number that is masked.
    pub(super) fn without_numbers(&self, mut explained: Explained) -> Explained {
        if self.masked && explained.comparisons.iter().any(|row| row.test == Test::Number) {
            let what = "whose the numbers are: the daemon masks them (`numbers` of [log])";
            explained.decision = Decision::Unknown(what.to_owned());
            (explained.answer, explained.otherwise) = (None, None);
            explained.targets.clear();
        }
        explained
    }

    pub(super) fn is_response(&self) -> bool {
        self.bytes.trim_ascii_start().starts_with(b"SIP/")
    }

    /// The options that let the message come in as it did.
    pub(super) fn options(&self, options: &ExplainOptions) -> ExplainOptions {
        let transport = self.listener.split(':').next().unwrap_or_default();
        ExplainOptions {
            source: Some(Whence::of(self.source)),
            transport: Transport::ALL.into_iter().find(|of| of.token() == transport),
            listener: Some(self.listener.clone()),
            ..options.clone()
        }
    }
}
