//! `ringfence drain`: makes a running daemon drain, and waits until it has ended.

use std::time::{Duration, Instant};

use super::admin_client::{AdminClient, AdminError};
use super::arguments::AdminOptions;
use super::exit::{FAILED, OK};
use super::output::{print, say};
use super::resolve::asynchronously;

/// How often the daemon is asked whether it is still there.
const AGAIN: Duration = Duration::from_millis(200);
/// How long it may take to answer that it drains.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was seen of a daemon that drains.
struct Drained {
    after: Duration,
    /// The open transactions at the last look.
    open: Option<u64>,
}

/// Asks for the drain, and waits for the daemon's end unless told otherwise.
pub(super) fn drain(options: &AdminOptions, wait: bool) -> u8 {
    let client = match AdminClient::of(options, false) {
        Ok(client) => client,
        Err(code) => return code,
    };
    let draining = async || {
        let began = Instant::now();
        let answer = client.post("/drain", PATIENCE).await?;
        if answer.trim_ascii() != b"draining" {
            return Err(AdminError::Foreign("what answers to /drain is no Ringfence".to_owned()));
        }
        if !wait {
            return Ok(None);
        }
        let mut open = None;
        let mut told = false;
        loop {
            match client.get("/metrics").await {
                Ok(text) => {
                    let count = transactions(&String::from_utf8_lossy(&text));
                    open = Some(count);
                    if !std::mem::replace(&mut told, true) {
                        say(&format!(
                            "draining; {count} transactions are open, and the daemon ends with the last of them. Ctrl-C stops waiting"
                        ));
                    }
                }
                Err(AdminError::Absent(_)) => return Ok(Some(Drained { after: began.elapsed(), open })),
                // It may be about to end, or be busy: the next look tells.
                Err(_) => {}
            }
            tokio::time::sleep(AGAIN).await;
        }
    };
    let until_told = async || {
        tokio::select! {
            ended = draining() => ended.map(Some),
            _ = tokio::signal::ctrl_c() => Ok(None),
        }
    };
    match asynchronously(async || Ok(until_told().await)) {
        Ok(Ok(None)) => {
            say("not waiting: the daemon goes on draining, and takes no more calls");
            return FAILED;
        }
        Ok(Ok(Some(None))) => {
            print("draining: no more calls are taken, and the daemon ends once the open ones have their answer\n");
        }
        Ok(Ok(Some(Some(Drained { after, open })))) => {
            let left = match open {
                Some(open) if open > 0 => format!("; {open} transactions were open at the last look"),
                _ => String::new(),
            };
            print(&format!("drained, ended after {:.1} s{left}\n", after.as_secs_f64()));
        }
        Ok(Err(error)) => return AdminError::complain(&error),
        Err(code) => return code,
    }
    OK
}

/// The sum of the open transactions in an exposition.
fn transactions(text: &str) -> u64 {
    let rows = text.lines().filter(|line| line.starts_with("ringfence_transactions{"));
    rows.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
