//! `ringfence watch`: the decisions of a running daemon as it makes them. Prints what comes; filters nothing itself.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

use super::admin_client::{AdminClient, AdminError, escaped};
use super::arguments::WatchOptions;
use super::color::Colors;
use super::exit::{FAILED, OK};
use super::output::{complain, say};
use super::printable::{harmless_json, plain};
use super::resolve::asynchronously;
use super::told;

/// How long nothing may come. The daemon sends an empty line each 10 seconds.
const SILENCE: Duration = Duration::from_secs(30);
/// Longest line of the daemon's.
const LONGEST: usize = 1 << 20;

/// How watching ended.
enum End {
    /// The reader of our output has gone, or Ctrl-C was pressed.
    Enough,
    /// The daemon ended its stream.
    Daemon,
    /// Nothing comes, not even an empty line.
    Silence,
}

/// Watches until somebody has had enough.
pub(super) fn watch(options: &WatchOptions) -> u8 {
    let client = match AdminClient::of(&options.admin, options.json) {
        Ok(client) => client,
        Err(code) => return code,
    };
    let path = path(options);
    let watching = async || {
        let response = client.stream(&path).await?;
        for project in response.headers().get_all("ringfence-unknown-project") {
            say(&format!(
                "the daemon has no project `{}`: nothing comes of it unless a reload brings it",
                plain(project.as_bytes())
            ));
        }
        say(&format!("watching the daemon at {client}; Ctrl-C ends it"));
        let stream = response.into_body();
        tokio::select! {
            end = follow(stream, options.json) => end,
            _ = tokio::signal::ctrl_c() => Ok(End::Enough),
        }
    };
    let ended = asynchronously(async || Ok(watching().await));
    match ended {
        Ok(Ok(End::Enough)) => OK,
        Ok(Ok(End::Silence)) => complain("the daemon has been silent for half a minute: it, or its machine, has gone", FAILED),
        Ok(Ok(End::Daemon)) => complain("the daemon has ended, or closed the stream", FAILED),
        Ok(Err(error)) => error.complain(),
        Err(code) => code,
    }
}

/// Whether nobody can read our output any more. The daemon's empty lines are the time to look.
fn reader_gone() -> bool {
    let out = std::io::stdout();
    let mut fds = [PollFd::new(out.as_fd(), PollFlags::empty())];
    let polled = poll(&mut fds, PollTimeout::ZERO);
    polled.is_ok() && fds.iter().any(|fd| fd.revents().is_some_and(|events| events.contains(PollFlags::POLLERR)))
}

fn path(options: &WatchOptions) -> String {
    let lists = [
        ("project", &options.project),
        ("reason", &options.reason),
        ("call_id", &options.call_id),
        ("verdict", &options.verdict),
    ];
    let mut path = "/watch".to_owned();
    let pairs = lists.into_iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
    for (at, (key, value)) in pairs.enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(path, "{}{key}={}", if at == 0 { '?' } else { '&' }, escaped(value));
    }
    path
}

async fn follow(mut stream: Incoming, json: bool) -> Result<End, AdminError> {
    let colors = Colors::on(std::io::stdout().is_terminal());
    let mut text: Vec<u8> = Vec::new();
    loop {
        // A daemon that is killed says no last word.
        let Ok(frame) = tokio::time::timeout(SILENCE, stream.frame()).await else { return Ok(End::Silence) };
        let Some(Ok(frame)) = frame else { return Ok(End::Daemon) };
        let Ok(data) = frame.into_data() else { continue };
        text.extend_from_slice(&data);
        while let Some(end) = memchr::memchr(b'\n', &text) {
            let line: Vec<u8> = text.drain(..=end).collect();
            if line.trim_ascii().is_empty() {
                if reader_gone() {
                    return Ok(End::Enough);
                }
                continue;
            }
            let decided = serde_json::from_slice::<Value>(&line).ok().filter(|decided| decided["verdict"].is_string());
            let Some(decided) = decided else {
                return Err(AdminError::Foreign("what answers to /watch sends no decisions".to_owned()));
            };
            let shown = if json { harmless_json(&decided.to_string()) + "\n" } else { told::decision(&decided, colors) };
            let mut out = std::io::stdout().lock();
            if out.write_all(shown.as_bytes()).and_then(|()| out.flush()).is_err() {
                return Ok(End::Enough);
            }
        }
        if text.len() > LONGEST {
            return Err(AdminError::Foreign("what answers to /watch sends no lines".to_owned()));
        }
    }
}
