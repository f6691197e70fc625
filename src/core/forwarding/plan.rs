//! What is to be forwarded, and how: decided by reading alone, then carried out as it stands. `explain` prints the same plan.

use crate::config::ListenerId;
use crate::core::io::Note;
use crate::core::routing::region_failover::{NextStep, Tries};
use crate::core::routing::target::TargetSet;
use crate::core::rules::case::Case;
use crate::core::stop::Stop;
use crate::core::transaction::forwarded::CallFacts;
use crate::core::view::View;
use crate::reason::Reason;
use crate::sip::edit::Edit;

/// What our Via and Record-Route add to a request, about.
pub(crate) const HEAD: usize = 200;

/// What our X-Ringfence adds to a new request, about.
const ROW: usize = 100;

/// A request that goes on. What changes in it, but for our own rows, stands in the [`Edit`] that was handed in.
pub(crate) struct Plan {
    pub(crate) call: CallFacts,
    /// The way out of the first attempt.
    pub(crate) first: NextStep,
    /// Where it may go if that fails.
    pub(crate) targets: TargetSet,
    /// What would have refused it, if its project were not in shadow mode.
    pub(crate) shadow: Option<Reason>,
}

/// What was decided about a request.
pub(crate) struct Decision {
    /// What is to be counted of what it says of media. Not while it waits: then it is judged once more.
    pub(crate) media: Option<Note>,
    pub(crate) result: Result<Plan, Stop>,
}

impl View<'_> {
    /// The way out of a request's first attempt. The edit holds what changes whatever the way.
    pub(crate) fn first_egress(
        &self,
        case: &Case<'_, '_>,
        call: &mut CallFacts,
        serial: u64,
        prefer: ListenerId,
        targets: &mut TargetSet,
        edit: &Edit,
    ) -> Option<NextStep> {
        let row = if call.serving.is_some() { ROW } else { 0 };
        let length = edit.length(case.message.bytes().len()) + HEAD + row;
        let tries = Tries { call_id: case.request.call_id, serial, made: 0 };
        self.next_egress(call, tries, prefer, length, targets)
    }
}
