//! A CANCEL. It is answered here, hop by hop. Each attempt is cancelled as soon as a provisional response has come from it (RFC
//! 3261 9.1, 16.10).

use bytes::Bytes;

use crate::core::io::{Outcome, Output};
use crate::core::rules::case::Case;
use crate::core::rules::refusal::Answer;
use crate::core::rules::trace::Test;
use crate::core::state::Core;
use crate::sip::Name;

impl Core {
    /// Handles a CANCEL.
    pub(crate) fn cancel(&mut self, case: &Case<'_, '_>, out: &mut Vec<Output>) -> Outcome {
        let slot = self.table.forwarded.find(case.key);
        let (mut context, table) = self.split(case.now, out);
        let transaction = slot.and_then(|slot| table.get_mut(slot)).filter(|transaction| {
            // A party that guesses a branch cannot cancel from elsewhere.
            transaction.is_invite() && transaction.server.peer.addr().ip() == case.arrival.from.ip()
        });
        let (Some(slot), Some(transaction)) = (slot, transaction) else {
            let row =
                case.trace.fail(Test::Request, || ("branch of its Via".to_owned(), "an INVITE that is open here".to_owned()));
            return self.say(case, &Answer::failed(row, 481, "Call/Transaction Does Not Exist"), out);
        };
        context.answer_request(case, 200, "OK", b"");
        if transaction.server.is_open() {
            transaction.cancelled = true;
            let mut reason = Vec::new();
            for header in case.message.all(Name::Reason) {
                reason.extend_from_slice(case.message.slice(&header.row()));
            }
            let reason = Bytes::from(reason);
            for client in std::iter::once(&mut transaction.client).chain(&mut transaction.earlier) {
                if let Some(reason) = client.want_cancel(reason.clone()) {
                    context.cancel(client, &reason);
                }
            }
        }
        self.settle(slot, out);
        Outcome::Answered(200)
    }
}
