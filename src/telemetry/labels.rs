//! The labels of everything that is counted by index: outcomes, status codes, directions.

use metrics::SharedString;

use crate::closed_list::closed_list;
use crate::core::io::Outcome;

/// The labels of [`Outcome`], in the order of [`outcome_index`].
pub(super) const OUTCOMES: [&str; 8] =
    ["forwarded", "answered", "refused", "relayed", "absorbed", "stray", "malformed", "dropped"];

/// The index of an outcome's label.
pub(super) const fn outcome_index(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Forwarded => 0,
        Outcome::Answered(_) => 1,
        Outcome::Refused(_) => 2,
        Outcome::Relayed => 3,
        Outcome::Absorbed => 4,
        Outcome::Stray => 5,
        Outcome::Malformed(_) => 6,
        Outcome::Dropped(_) => 7,
    }
}

/// Codes with a series of their own, in order (RFC 3261 21 and its extensions); any other is counted with its class.
pub(super) const CODES: [u16; 73] = [
    100, 180, 181, 182, 183, 199, 200, 202, 204, 300, 301, 302, 305, 380, 400, 401, 402, 403, 404, 405, 406, 407, 408, 410, 412,
    413, 414, 415, 416, 417, 420, 421, 422, 423, 424, 425, 428, 429, 430, 433, 436, 437, 438, 439, 440, 469, 470, 480, 481, 482,
    483, 484, 485, 486, 487, 488, 489, 491, 493, 494, 500, 501, 502, 503, 504, 505, 513, 580, 600, 603, 604, 606, 607,
];
/// Codes that stand at 0 before they happen: those of our own answers, and those that every call meets.
pub(super) const COMMON: [u16; 23] =
    [100, 180, 183, 200, 202, 400, 403, 404, 405, 408, 416, 480, 481, 483, 486, 487, 488, 500, 503, 505, 513, 600, 603];
/// The labels of all other codes.
pub(super) const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"];

/// The index of a code's counter: in [`CODES`], or among the classes behind them.
pub(super) fn code_index(code: u16) -> usize {
    CODES.binary_search(&code).unwrap_or_else(|_| CODES.len() + usize::from((code / 100).clamp(1, 6) - 1))
}

/// The label of the counter at `index`.
pub(super) fn code_label(index: usize) -> SharedString {
    match CODES.get(index) {
        Some(code) => code.to_string().into(),
        None => CLASSES.get(index - CODES.len()).copied().unwrap_or("6xx").into(),
    }
}

closed_list! {
    /// The direction of a response.
    pub enum Direction {
        /// Received from a next hop.
        In = "in",
        /// Sent to the asker: forwarded, or made here.
        Out = "out",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::io::DropCause;
    use crate::reason::Reason;
    use crate::sip::{Fault, Method};
    use crate::telemetry::Loss;

    #[test]
    fn a_code_is_its_own_label_or_its_class() {
        assert!(CODES.is_sorted() && COMMON.iter().all(|code| CODES.contains(code)));
        for (code, label) in [(100, "100"), (607, "607"), (299, "2xx"), (699, "6xx"), (199, "199"), (0, "1xx"), (999, "6xx")] {
            assert_eq!(&*code_label(code_index(code)), label);
        }
    }

    #[test]
    fn indices_are_the_places_of_the_labels() {
        for (at, loss) in Loss::ALL.into_iter().enumerate() {
            assert_eq!(loss as usize, at);
        }
        for (at, method) in Method::ALL.into_iter().enumerate() {
            assert_eq!(method as usize, at);
        }
        let outcomes = [
            Outcome::Forwarded,
            Outcome::Answered(200),
            Outcome::Refused(Reason::ForeignEndpoint),
            Outcome::Relayed,
            Outcome::Absorbed,
            Outcome::Stray,
            Outcome::Malformed(Fault::NotSip),
            Outcome::Dropped(DropCause::Flood),
        ];
        for outcome in outcomes {
            assert_eq!(OUTCOMES[outcome_index(outcome)], outcome.label());
        }
        let mut causes: Vec<_> = Loss::ALL.map(Loss::label).into_iter().chain(DropCause::ALL.map(DropCause::label)).collect();
        causes.sort_unstable();
        causes.dedup();
        assert_eq!(causes.len(), Loss::ALL.len() + DropCause::ALL.len(), "shell and core share the label");
    }
}
