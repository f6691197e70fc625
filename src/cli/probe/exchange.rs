//! One call over one wire: retransmitted by RFC 3261's timers, cancelled if it rings, acknowledged, and ended. Bounded in time.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::call::{Call, Dialog, to_of};
use super::wire::Wire;
use crate::config::Transport;
use crate::sip::Message;

/// The timer T1 (RFC 3261 17.1.1.1).
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
/// How long a cancelled or answered call may take to end.
const ENDING: Duration = Duration::from_secs(5);

/// The result of one call.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// How often the request was sent.
    pub(super) sent: u32,
    /// Provisional answers, each once, with the time since the first sending.
    pub(super) provisional: Vec<(u16, Duration)>,
    /// The final answer: status code, bytes, and the time since the first sending.
    pub(super) answer: Option<(u16, Vec<u8>, Duration)>,
    /// Whether we cancelled it.
    pub(super) cancelled: bool,
    /// The status code of the answer to our BYE, if there was a call. 0: no answer.
    pub(super) ended: Option<u16>,
    /// The error of the wire, if it broke.
    pub(super) broken: Option<String>,
    /// The address that it was sent from.
    pub(super) local: Option<SocketAddr>,
}

/// A request that is retransmitted until it is answered.
struct Again {
    bytes: Vec<u8>,
    interval: Duration,
    at: Instant,
}

struct Exchange<'c> {
    call: &'c Call,
    invite: bool,
    wire: Wire,
    start: Instant,
    until: Instant,
    again: Option<Again>,
    story: Story,
}

/// Sends a request and follows it to its end. `within`: how long to wait for its final answer or, for an INVITE, for ringing.
pub(super) async fn exchange(call: &Call, wire: Wire, invite: bool, within: Duration) -> Story {
    let start = Instant::now();
    let mut exchange = Exchange { call, invite, wire, start, until: start + within, again: None, story: Story::default() };
    let method = if invite { "INVITE" } else { "OPTIONS" };
    if let Err(error) = exchange.run(method).await {
        exchange.story.broken = Some(error.to_string());
    }
    exchange.story
}

impl Exchange<'_> {
    async fn run(&mut self, method: &str) -> io::Result<()> {
        self.start(self.call.request(method, 1, None)).await?;
        self.story.sent = 1;
        while let Some(bytes) = self.next().await? {
            let Ok(message) = Message::datagram(&bytes) else { continue };
            let Some((code, answered)) = self.call.answered(&message) else { continue };
            if answered == b"CANCEL" && code >= 200 {
                self.again = None;
            }
            if answered != method.as_bytes() {
                continue;
            }
            if code < 200 {
                self.provisional(method, code).await?;
                continue;
            }
            self.story.answer = Some((code, bytes.clone(), self.start.elapsed()));
            self.again = None;
            if self.invite {
                self.finish(code, &message).await?;
            }
            return Ok(());
        }
        Ok(())
    }

    async fn start(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        self.wire.send(&bytes).await?;
        let repeats = self.call.transport == Transport::Udp;
        self.again = repeats.then(|| Again { bytes, interval: T1, at: Instant::now() + T1 });
        Ok(())
    }

    /// The next message. `None`: the time is over. Meanwhile, retransmits what is due.
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let wake = self.again.as_ref().map_or(self.until, |again| again.at.min(self.until));
            if let Ok(received) = timeout_at(wake, self.wire.receive()).await {
                return received.map(Some);
            }
            if Instant::now() >= self.until {
                // The INVITE had an answer, so it must be cancelled or ended.
                if self.story.provisional.is_empty() || self.story.answer.is_some() || !self.cancel().await? {
                    return Ok(None);
                }
            } else if let Some(again) = &mut self.again {
                self.wire.send(&again.bytes).await?;
                again.interval = (again.interval * 2).min(T2);
                again.at = Instant::now() + again.interval;
                if self.story.provisional.is_empty() && self.story.answer.is_none() {
                    self.story.sent += 1;
                }
            }
        }
    }

    async fn provisional(&mut self, method: &str, code: u16) -> io::Result<()> {
        if self.story.provisional.iter().all(|(known, _)| *known != code) {
            self.story.provisional.push((code, self.start.elapsed()));
        }
        if method == "INVITE" {
            if !self.story.cancelled {
                self.again = None;
            }
            // It rings: that is all that a probe wants to know.
            if code > 100 {
                self.cancel().await?;
            }
        } else if let Some(again) = &mut self.again {
            again.interval = T2;
        }
        Ok(())
    }

    /// Cancels the call, once. Returns whether it did.
    async fn cancel(&mut self) -> io::Result<bool> {
        if !self.invite || self.story.cancelled || self.again.is_some() {
            return Ok(false);
        }
        self.story.cancelled = true;
        self.until = Instant::now() + ENDING;
        self.start(self.call.request("CANCEL", 1, None)).await?;
        Ok(true)
    }

    /// Acknowledges the final answer to an INVITE. If that is a 2xx, ends the call.
    async fn finish(&mut self, code: u16, answer: &Message<'_>) -> io::Result<()> {
        if code >= 300 {
            return self.wire.send(&self.call.request("ACK", 1, to_of(answer).as_deref())).await;
        }
        self.story.ended = Some(0);
        let Some(dialog) = Dialog::of(answer) else { return Ok(()) };
        let ack = self.call.inside(&dialog, "ACK", 1);
        self.wire.send(&ack).await?;
        self.until = Instant::now() + ENDING;
        self.start(self.call.inside(&dialog, "BYE", 2)).await?;
        while let Some(bytes) = self.next().await? {
            let Ok(message) = Message::datagram(&bytes) else { continue };
            match self.call.answered(&message) {
                Some((code @ 200.., b"BYE")) => {
                    self.story.ended = Some(code);
                    return Ok(());
                }
                // The ACK was lost.
                Some((200..=299, b"INVITE")) => self.wire.send(&ack).await?,
                _ => {}
            }
        }
        Ok(())
    }
}
