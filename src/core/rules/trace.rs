//! What a message was held against, test by test, for whoever asks (`ringfence explain`). Decides nothing.
//!
//! The tests write it down themselves, where they compare. On the way of a call nobody asks: then nothing is kept, and no text is
//! made.

use std::cell::RefCell;
use std::net::IpAddr;
use std::time::Instant;

use crate::config::{Config, TrunkId};
use crate::core::io::{Arrival, Input, Output};
use crate::core::rules::media::Part;
use crate::core::rules::sides::{Side, Source, Speaker, region_of};
use crate::core::state::Core;
use crate::fence::Networks;
use crate::sip::request::cseq;
use crate::sip::{Message, Method, Start};

/// Comparisons kept of one message; what comes after them is not written down.
const MOST: usize = 512;

/// Networks or trunks that are named one by one.
const NAMED: usize = 8;

/// What is compared, in the order of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// Whether the source is anybody.
    Source,
    /// Inside a dialog: whether our token leads the request, and whether it comes from one of the dialog's sides.
    Dialog,
    /// What the host of the Request-URI names.
    Host,
    /// Whether the source is a trunk of the project, or a server where the call goes out.
    Project,
    /// Whether the project's calls may use the region.
    Pin,
    /// Each address that media could go to.
    Media,
    /// Each address of the next hop.
    Targets,
}

impl Test {
    /// As people and machines read it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Dialog => "dialog",
            Self::Host => "host",
            Self::Project => "project",
            Self::Pin => "pin",
            Self::Media => "media",
            Self::Targets => "targets",
        }
    }
}

/// What came of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is as it must be.
    Pass,
    /// It is not.
    Fail,
    /// It is not, and the project only watches, or only warns about media.
    Shadow,
    /// The configuration asks for no test.
    Skipped,
}

impl Mark {
    /// As people and machines read it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Shadow => "shadow",
            Self::Skipped => "not-tested",
        }
    }

    /// The mark of a comparison that nothing softens.
    pub(crate) const fn of(met: bool) -> Self {
        if met { Self::Pass } else { Self::Fail }
    }

    /// The mark of a rule of a project, which may only watch.
    pub(crate) const fn by(met: bool, watches: bool) -> Self {
        match (met, watches) {
            (true, _) => Self::Pass,
            (false, true) => Self::Shadow,
            (false, false) => Self::Fail,
        }
    }
}

/// One value of a message, and what it was held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Which test.
    pub test: Test,
    /// What the message says, or where it came from.
    pub value: String,
    /// What the configuration says.
    pub against: String,
    /// What came of it.
    pub mark: Mark,
}

/// The comparisons of one message, if anybody asked for them.
#[derive(Debug)]
pub(crate) struct Trace(Option<RefCell<Vec<Comparison>>>);

impl Trace {
    /// Nobody asked.
    pub(crate) const fn closed() -> Self {
        Self(None)
    }

    fn open() -> Self {
        Self(Some(RefCell::default()))
    }

    /// Whether anybody asked.
    pub(crate) const fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Writes a comparison down. `say`: value and what it is held against; only called if anybody asked.
    pub(crate) fn note(&self, test: Test, mark: Mark, say: impl FnOnce() -> (String, String)) {
        // Nothing that says what was compared compares anything itself.
        let Some(Ok(mut comparisons)) = self.0.as_ref().map(RefCell::try_borrow_mut) else { return };
        if comparisons.len() < MOST {
            let (value, against) = say();
            comparisons.push(Comparison { test, value, against, mark });
        }
    }
}

impl Core {
    /// The same as [`Core::handle`] with this message, and what it was held against.
    pub fn explain(&mut self, now: Instant, arrival: Arrival, bytes: &[u8], out: &mut Vec<Output>) -> Vec<Comparison> {
        let trace = Trace::open();
        self.take_in(now, Input::Message { arrival, bytes }, &trace, out);
        if let Ok(message) = Message::datagram(bytes)
            && matches!(message.start(), Start::Response { .. })
        {
            self.explain_answer(&arrival, &message, &trace);
        }
        trace.0.map(RefCell::into_inner).unwrap_or_default()
    }

    /// A response belongs to a transaction, which whoever asks has not got. Its media can be judged all the same, by what the source
    /// tells of its side.
    fn explain_answer(&self, arrival: &Arrival, message: &Message<'_>, trace: &Trace) {
        let (config, from) = (&self.config, arrival.from.ip());
        let called = config.listener(arrival.listener).region;
        let Some((_, method)) = cseq(message) else { return };
        let source = Source::of(config, called, arrival);
        trace.note(Test::Source, Mark::of(!source.is_unknown()), || (from.to_string(), somebody(config, source)));
        let mut trunks = source.trunks.iter();
        let trunk = trunks.next().filter(|_| trunks.next().is_none());
        let serving = region_of(config, called, from);
        let side = if config.region(serving).networks.contains(from) { Side::Servers } else { Side::Trunk };
        let project = trunk.map(|trunk| config.trunk(trunk).project);
        let speaker = Speaker { side, called, serving, project, trunk };
        // What it counts is of a transaction, and there is none.
        let _ = speaker.judge(config, message, Method::of(method), Part::Answer, trace, &mut Vec::new());
    }
}

/// Who a source is, for a person.
pub(crate) fn somebody(config: &Config, source: Source<'_>) -> String {
    let server = source.server.then(|| "a server of the region".to_owned());
    let trunks = source.trunks.iter().map(|trunk| trunk_name(config, trunk));
    let all: Vec<String> = server.into_iter().chain(trunks).collect();
    if all.is_empty() { "no trunk of any project, and no server of the region".to_owned() } else { some_of(&all) }
}

/// A trunk, for a person.
pub(crate) fn trunk_name(config: &Config, trunk: TrunkId) -> String {
    let trunk = config.trunk(trunk);
    format!("trunk {} of {}", trunk.name, config.project(trunk.project).name)
}

/// Sets of networks, for a person: the one around an address, or the first few of all.
pub(crate) fn around(ip: IpAddr, sets: &[&Networks]) -> String {
    let nets = || sets.iter().flat_map(|set| set.nets());
    let ip = crate::fence::canonical(ip);
    match nets().find(|net| net.contains(&ip)) {
        Some(net) => net.to_string(),
        None => some_of(&nets().take(NAMED.saturating_add(1)).map(|net| net.to_string()).collect::<Vec<_>>()),
    }
}

fn some_of(all: &[String]) -> String {
    let (named, more) = all.split_at_checked(NAMED).unwrap_or((all, &[]));
    let more = if more.is_empty() { "" } else { " and others" };
    format!("{}{more}", named.join(", "))
}
