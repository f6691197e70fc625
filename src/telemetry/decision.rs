//! The decision log: one line for each verdict. An operator finds it by the Call-ID.
//!
//! Refusals and shadow verdicts are logged at info, accepted requests at debug, and at warn if their caller cannot be reached inside the
//! call. The lines of each reason are limited, so that strangers cannot crowd out a carrier's lines, and of those each trunk has a share. A
//! line says how many of its reason were left out before it.

use std::sync::Arc;
use std::time::Instant;

use tracing::{Level, enabled};

use super::decided::{Decided, Facts, Ruled, Sharer};
use super::log::{Escaped, Limit, SharedLimit};
use super::refused::RefusedQueue;
use super::seen::Seen;
use super::watch::Watchers;
use crate::config::Config;
use crate::core::io::{Output, Verdict};
use crate::reason::Reason;

/// The target of these lines in a filter: `RUST_LOG=info,ringfence::decision=debug`.
const TARGET: &str = "ringfence::decision";

/// Most lines of one reason in a second.
const LINES: u32 = 200;

/// The limits of the log, and the others who are told.
#[derive(Debug)]
pub(super) struct Decisions {
    limits: [SharedLimit<Sharer>; Reason::ALL.len()],
    watchers: Watchers,
    refused: RefusedQueue,
}

impl Decisions {
    pub(super) fn new(watchers: Watchers, refused: RefusedQueue) -> Self {
        // A stranger causes this one as often as it likes, and no other.
        let lines = |reason| if reason == Reason::UnknownSource { Limit::LINES } else { LINES };
        Self { limits: Reason::ALL.map(|reason| SharedLimit::of(lines(reason))), watchers, refused }
    }

    /// Tells the verdicts in the core's outputs of one input: to the log, to those who watch, and to whoever keeps what was refused.
    pub(super) fn write(&mut self, config: &Arc<Config>, out: &[Output], seen: Option<&Seen<'_>>, now: Instant) {
        for (at, output) in out.iter().enumerate() {
            if let Some(ruled) = Ruled::of(output) {
                self.tell(config, ruled, |ruled| Facts::of(config, out, at, ruled, seen), seen, now);
            }
        }
    }

    /// Tells one verdict. `facts` is asked only if somebody reads it.
    pub(super) fn tell<'a>(
        &mut self,
        config: &'a Arc<Config>,
        ruled: Ruled,
        facts: impl FnOnce(&Ruled) -> (Facts, &'a [u8]),
        seen: Option<&Seen<'_>>,
        now: Instant,
    ) {
        let accepted = ruled.verdict == Verdict::Accept;
        let logged = match (ruled.unreachable, accepted) {
            (Some(_), _) => enabled!(target: TARGET, Level::WARN),
            (None, true) => enabled!(target: TARGET, Level::DEBUG),
            (None, false) => enabled!(target: TARGET, Level::INFO),
        };
        let project = || ruled.project.map(|id| &*config.project(id).name);
        let watched = self.watchers.any() && self.watchers.want(&ruled, project());
        if !logged && accepted && !watched {
            return;
        }
        let limit = Reason::ALL.iter().position(|&of| of == ruled.reason).and_then(|at| self.limits.get_mut(at));
        let allowed = limit.filter(|_| logged || !accepted).and_then(|limit| limit.allow(now, ruled.sharer()));
        if allowed.is_none() && !accepted {
            self.refused.leave_out();
        }
        if allowed.is_none() && !watched {
            return;
        }
        let (facts, bytes) = facts(&ruled);
        if watched || logged && allowed.is_some() {
            let decided = Decided::of(config, &ruled, facts, bytes);
            if let Some(left_out) = allowed.filter(|_| logged) {
                log(&decided, left_out);
            }
            if watched {
                self.watchers.tell(&decided);
            }
        }
        if allowed.is_some() && !accepted {
            self.refused.keep(config, ruled, facts, bytes, seen, now);
        }
    }
}

/// Writes the line of a decision.
fn log(decided: &Decided<'_>, left_out: u64) {
    let Decided { ruled, said, .. } = decided;
    macro_rules! line {
        ($level:expr) => {
            tracing::event!(
                target: TARGET,
                $level,
                verdict = ruled.verdict.label(),
                id = ruled.reason.id(),
                reason = ruled.reason.token(),
                region = decided.region,
                project = decided.project,
                trunk = decided.trunk,
                source = decided.source.map(display),
                transport = decided.transport,
                method = said.method.map(|method| display(Escaped(method))),
                call_id = said.call_id.map(|id| display(Escaped(id))),
                from = decided.shown(said.from).map(display),
                to = decided.shown(said.to).map(display),
                uri = decided.shown(said.uri).map(display),
                sent_to = decided.sent_to.as_ref().map(display),
                code = decided.code,
                why = decided.why.as_deref(),
                left_out,
                "decided"
            )
        };
    }
    match (ruled.unreachable, ruled.verdict) {
        (Some(_), _) => line!(Level::WARN),
        (None, Verdict::Accept) => line!(Level::DEBUG),
        (None, _) => line!(Level::INFO),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use serde_json::Value;

    use super::*;
    use crate::config::ListenerId;
    use crate::core::Core;
    use crate::core::io::{Arrival, Input};
    use crate::dns::Resolved;
    use crate::telemetry::metrics::Metrics;
    use crate::telemetry::refused::refused_queue;
    use crate::telemetry::watch::watchers;

    const CONFIGURATION: &str = include_str!("../../docs/configuration.md");
    const REFUSALS: &str = include_str!("../../docs/refusals.md");
    const OBSERVING: &str = include_str!("../../docs/observing.md");

    /// The text on a page after a mark.
    fn block(page: &'static str, mark: &str) -> &'static str {
        let (_, rest) = page.split_once(mark).unwrap();
        rest.split_once("```").unwrap().1.split_once('\n').unwrap().1.split_once("```").unwrap().0
    }

    /// What one trunk has of the lines of a reason.
    const SHARE: usize = LINES as usize / 4 * 3;

    const TRUNK: &str = "54.171.127.193:5060";

    /// What is logged, as JSON or text, if this request comes to the example's daemon this many times.
    fn logged(from: &str, request: &[u8], times: usize, json: bool) -> String {
        told(from, &[request], times, json).0
    }

    /// The same for requests in turns, and how many decisions were copied for an operator, and how many were not.
    fn told(from: &str, requests: &[&[u8]], times: usize, json: bool) -> (String, usize, u64) {
        let text = block(CONFIGURATION, "<!-- example -->").split_once("[secret]").unwrap().0;
        // Its rate would refuse most of a flood for another reason.
        let text = text.replace("\"200/s\"", "\"1000000/s\"");
        let config = Arc::new(crate::config::parse(Path::new("ringfence.toml"), &text).unwrap());
        let (now, targets) = (Instant::now(), Arc::new(Resolved::unknown(config.names.len())));
        let mut core = Core::new(Arc::clone(&config), targets, [7; 16], now);
        let local = config.listener(ListenerId(0)).addr;
        let arrival = Arrival { listener: ListenerId(0), from: from.parse().unwrap(), local, connection: None, shown: None };
        let metrics = Metrics::new();
        let ((_door, watchers), (refused, kept)) = (watchers(&metrics), refused_queue(&metrics));
        let mut decisions = Decisions::new(watchers, refused);
        let lines = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&lines);
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || Written(Arc::clone(&writer)));
        let write = || {
            for &request in (0..times).flat_map(|_| requests) {
                let mut out = Vec::new();
                core.handle(now, Input::Message { arrival, bytes: request }, &mut out);
                decisions.write(&config, &out, Some(&Seen { arrival, bytes: request }), now);
            }
        };
        if json {
            tracing::subscriber::with_default(subscriber.json().flatten_event(true).finish(), write);
        } else {
            tracing::subscriber::with_default(subscriber.finish(), write);
        }
        let text = String::from_utf8(std::mem::take(&mut *lines.lock().unwrap())).unwrap();
        let unseen = "ringfence_unseen_decisions_total{by=\"refused\"} ";
        let unseen = metrics.render().lines().find_map(|line| line.strip_prefix(unseen)?.parse().ok());
        (text, kept.waiting(), unseen.unwrap())
    }

    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn request() -> String {
        block(REFUSALS, "<!-- request -->").replace('\n', "\r\n") + "\r\n"
    }

    #[test]
    fn the_page_shows_what_is_logged() {
        let logged = logged(TRUNK, request().as_bytes(), 1, true);
        let mut logged: Value = serde_json::from_str(&logged).unwrap_or_else(|error| panic!("{error}: {logged}"));
        let mut shown: Value = serde_json::from_str(block(OBSERVING, "<!-- decision -->")).unwrap();
        for line in [&mut logged, &mut shown] {
            assert!(line.as_object_mut().unwrap().remove("timestamp").is_some());
        }
        assert_eq!(logged, shown);
    }

    #[test]
    fn as_text_a_value_cannot_look_like_a_field() {
        let evil = request().replace("Call-ID: a84b4c76e66710@", "Call-ID: a verdict=accept\tid=100 \"@");
        // A stranger's request is refused before it is read closely.
        let line = logged("192.0.2.66:5060", evil.as_bytes(), 1, false);
        assert!(line.ends_with('\n') && line.lines().count() == 1, "{line}");
        assert_eq!(line.matches(" verdict=").count(), 1, "{line}");
        assert!(!line.contains('\t'), "{line}");
    }

    #[test]
    fn a_flood_of_refusals_is_copied_no_faster_than_it_is_logged() {
        let foreign = request();
        let unknown = request().replace("acme.us.", "nobody.eu.").replace("a84b4c76", "b84b4c76");
        let (lines, copied, unseen) = told(TRUNK, &[foreign.as_bytes(), unknown.as_bytes()], 1000, false);
        assert_eq!(lines.lines().count(), 2 * SHARE, "by reason");
        assert_eq!((copied, unseen), (SHARE, 2000 - SHARE as u64), "of all together");
        // A stranger has few lines, and as few copies.
        let (lines, copied, unseen) = told("192.0.2.66:5060", &[foreign.as_bytes()], 20, false);
        assert_eq!((lines.lines().count(), copied, unseen), (5, 5, 15));
    }

    #[test]
    fn lines_of_one_reason_are_limited() {
        let lines = logged(TRUNK, request().as_bytes(), 1000, false).lines().count();
        assert_eq!(lines, SHARE, "others have room");
    }
}
