//! The rows of a decision, for `ringfence explain`: the daemon's own core decides, and writes down each test.

use std::time::Instant;

use crate::core::io::{Arrival, Input, Output};
use crate::core::rules::media::Part;
use crate::core::rules::side::Side;
use crate::core::rules::sides::{Source, Speaker, region_of, speaks_for_servers};
use crate::core::rules::trace::{Test, Trace, TraceRow};
use crate::core::state::Core;
use crate::sip::request::cseq;
use crate::sip::{Message, Method, Start};

impl Core {
    /// Like [`Core::handle`] with this input; also returns the rows of each test.
    pub fn explain(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output>) -> Vec<TraceRow> {
        let trace = Trace::open();
        if let Input::Message { arrival, bytes } = &input
            && let Ok(message) = Message::datagram(bytes)
            && matches!(message.start(), Start::Response { .. })
        {
            self.explain_answer(now, arrival, &message, &trace);
        }
        self.take_in(now, input, &trace, out);
        trace.into_rows()
    }

    /// Explains a response. Its transaction is not here, but its media can be judged: the source tells which side of the call it
    /// is.
    fn explain_answer(&self, now: Instant, arrival: &Arrival, message: &Message<'_>, trace: &Trace) {
        let (config, from) = (&self.config, arrival.from.ip());
        let called = config.listener(arrival.listener).region;
        let Some((_, method)) = cseq(message) else { return };
        let source = Source::of(self.view(now), called, arrival);
        let says = || (from.to_string(), source.named(config));
        if source.is_unknown() {
            trace.fail(Test::Source, says);
        } else {
            trace.pass(Test::Source, says);
        }
        let mut trunks = source.trunks.iter();
        let trunk = trunks.next().filter(|_| trunks.next().is_none());
        let serving = region_of(config, called, from);
        let side = if speaks_for_servers(self.view(now), serving, arrival) { Side::Servers } else { Side::Trunk };
        let project = trunk.map(|trunk| config.trunk(trunk).project);
        let speaker = Speaker { side, called, serving, project, trunk };
        // What it counts is of a transaction, and there is none.
        let _ = speaker.judge(config, message, Method::of(method), Part::Answer, trace);
    }
}
