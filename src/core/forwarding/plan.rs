//! What is forwarded, and how. A decision makes the plan by reading alone; another step carries it out unchanged. `explain`
//! prints the same plan.

use std::net::SocketAddr;

use crate::config::ListenerId;
use crate::core::routing::region_failover::{NextStep, Tries};
use crate::core::routing::serving::Serving;
use crate::core::routing::target::TargetSet;
use crate::core::rules::admit::Counted;
use crate::core::rules::broken_rule::BrokenRule;
use crate::core::rules::case::Case;
use crate::core::stop::Stop;
use crate::core::transaction::forwarded::CallFacts;
use crate::core::view::View;
use crate::sip::edit::Edit;

/// About how many bytes our Via and Record-Route add to a request.
pub(crate) const HEAD: usize = 200;

/// About how many bytes our X-Ringfence adds to a new request, without the words of shadow mode.
const ROW: usize = 100;

/// A request that goes on. All changes to it, except our own rows, stand in the [`Edit`] that was handed in.
pub(crate) struct Plan {
    pub(crate) call: CallFacts,
    /// The egress of the first attempt.
    pub(crate) first: NextStep,
    /// The targets to try if that fails.
    pub(crate) targets: TargetSet,
    /// The rule that it breaks, if its project is in shadow mode.
    pub(crate) shadow: Option<Box<BrokenRule>>,
    /// The address to which the servers of a new call would send their requests inside it, if that is outside.
    pub(crate) unreachable: Option<SocketAddr>,
}

/// What is decided about a request.
pub(crate) struct Decision {
    /// What to count of the request. Nothing while the request waits, because it is then judged again.
    pub(crate) counted: Counted,
    pub(crate) result: Result<Plan, Stop>,
}

impl View<'_> {
    /// The egress of a request's first attempt. The edit holds the changes that do not depend on the egress.
    pub(crate) fn first_egress(
        &self,
        case: &Case<'_, '_>,
        call: &mut CallFacts,
        prefer: ListenerId,
        targets: &mut TargetSet,
        edit: &Edit,
    ) -> Option<NextStep> {
        let why = |serving: &Serving| serving.shadow.as_ref().map_or(0, |broken| broken.why.len());
        let row = call.serving.as_ref().map_or(0, |serving| ROW + why(serving));
        let length = edit.length(case.message.bytes().len()) + HEAD + row;
        let tries = Tries { call_id: case.request.call_id, asker: case.request.from_tag, made: 0 };
        self.next_egress(call, tries, prefer, length, targets)
    }
}
