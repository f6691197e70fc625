//! Each test with both of its sides: what the message says, and what the configuration says. Decides nothing.
//!
//! A test writes its row where it decides. Only the row of a failed test gives a `Failed`, and both a refusal and an answer of
//! ours need one. So nothing is refused without the row that says why. Only `ringfence explain` keeps rows. For a live call no
//! row is kept and no text is made.

use std::cell::RefCell;
use std::net::IpAddr;

use crate::config::{Config, TrunkId};
use crate::fence::{Fence, Networks, ServerSet};

/// Most rows kept of one message. Any further row is left out.
const MOST: usize = 512;

/// Most networks or trunks that a row lists.
const NAMED: usize = 8;

/// A test, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// Whether the source is a trunk, a server of the region, or a side of the dialog.
    Source,
    /// Whether a proxy may forward the request at all: its form (RFC 3261 16.3), its method, its Max-Forwards, and what it
    /// requires of a proxy.
    Request,
    /// Inside a dialog: whether our token leads the request, and whether the request comes from one of the dialog's sides.
    /// Outside a dialog: that no Route leads the request.
    Dialog,
    /// Whether the call was refused for good in the last minute.
    Repeat,
    /// Which endpoint the host of the Request-URI names.
    Host,
    /// Whether the source is a trunk of the project. For a call out: whether it is a server of the region.
    Project,
    /// Whether the project's calls may use the region.
    Pin,
    /// Whether the called number (of a call out) or the calling one (of a call in) is of a country that the trunk allows.
    Number,
    /// Each address that media could go to.
    Media,
    /// Whether there is room: the rate of the source, the table, and no drain.
    Capacity,
    /// Each address of the next hop, and the hops behind it.
    Targets,
}

impl Test {
    /// The name of the test in the output of `ringfence explain`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Request => "request",
            Self::Dialog => "dialog",
            Self::Repeat => "repeat",
            Self::Host => "host",
            Self::Project => "project",
            Self::Pin => "pin",
            Self::Number => "number",
            Self::Media => "media",
            Self::Capacity => "capacity",
            Self::Targets => "targets",
        }
    }
}

/// The result of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The message meets the rule.
    Pass,
    /// The message breaks the rule.
    Fail,
    /// The message breaks the rule, but the project is in shadow mode or only warns about media.
    Shadow,
    /// The configuration asks for no test.
    Skipped,
}

impl Mark {
    /// The name of the result in the output of `ringfence explain`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Shadow => "shadow",
            Self::Skipped => "not-tested",
        }
    }

    /// The mark of a rule that a project in shadow mode (`watches`) does not enforce.
    pub(crate) const fn by(passes: bool, watches: bool) -> Self {
        match (passes, watches) {
            (true, _) => Self::Pass,
            (false, true) => Self::Shadow,
            (false, false) => Self::Fail,
        }
    }
}

/// One row: a value of the message, and what the configuration says to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRow {
    /// Which test.
    pub test: Test,
    /// The value in the message, or its source.
    pub value: String,
    /// What the configuration says.
    pub against: String,
    /// The result of the test.
    pub mark: Mark,
}

/// The rows of one message, if somebody asked for them.
#[derive(Debug)]
pub(crate) struct Trace(Option<RefCell<Vec<TraceRow>>>);

/// Proof that the row of a failed test was written. Only [`Trace::fail`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed(());

impl Trace {
    /// A trace that keeps no rows.
    pub(crate) const fn closed() -> Self {
        Self(None)
    }

    /// A trace that keeps rows.
    pub(crate) fn open() -> Self {
        Self(Some(RefCell::default()))
    }

    /// The rows, in the order in which they were written.
    pub(crate) fn into_rows(self) -> Vec<TraceRow> {
        self.0.map(RefCell::into_inner).unwrap_or_default()
    }

    /// Writes a row. `say` returns the value and what it is compared with; it is called only if rows are kept.
    pub(crate) fn note(&self, test: Test, mark: Mark, say: impl FnOnce() -> (String, String)) {
        // `say` only says what was compared. It compares nothing itself.
        let Some(Ok(mut rows)) = self.0.as_ref().map(RefCell::try_borrow_mut) else { return };
        if rows.len() < MOST {
            let (value, against) = say();
            rows.push(TraceRow { test, value, against, mark });
        }
    }

    /// Writes the row of a test that passed.
    pub(crate) fn pass(&self, test: Test, say: impl FnOnce() -> (String, String)) {
        self.note(test, Mark::Pass, say);
    }

    /// Writes the row of a test that failed. If the last row says so already, no second row is written.
    pub(crate) fn fail(&self, test: Test, say: impl FnOnce() -> (String, String)) -> Failed {
        let told = self.0.as_ref().is_some_and(|rows| {
            rows.try_borrow().is_ok_and(|rows| rows.last().is_some_and(|row| (row.test, row.mark) == (test, Mark::Fail)))
        });
        if !told {
            self.note(test, Mark::Fail, say);
        }
        Failed(())
    }

    /// Writes the row of a project's rule that the message breaks. `Err`, unless the project is in shadow mode.
    pub(crate) fn object(&self, watches: bool, test: Test, say: impl FnOnce() -> (String, String)) -> Result<(), Failed> {
        if watches {
            self.note(test, Mark::Shadow, say);
            return Ok(());
        }
        Err(self.fail(test, say))
    }
}

/// A trunk's name, for a person to read.
pub(crate) fn trunk_name(config: &Config, trunk: TrunkId) -> String {
    let trunk = config.trunk(trunk);
    format!("trunk {} of {}", trunk.name, config.project(trunk.project).name)
}

/// Sets of networks, for a person to read: the network around an address, or the first few of all.
pub(crate) fn around(ip: IpAddr, sets: &[&Networks]) -> String {
    let nets = || sets.iter().flat_map(|set| set.nets());
    let ip = crate::fence::canonical(ip);
    match nets().find(|net| net.contains(&ip)) {
        Some(net) => net.to_string(),
        None => some_of(&nets().take(NAMED.saturating_add(1)).map(|net| net.to_string()).collect::<Vec<_>>()),
    }
}

/// The servers of a region, for a person to read: those at an address, or the first few of all.
pub(crate) fn servers_around(ip: IpAddr, servers: &ServerSet) -> String {
    let ip = crate::fence::canonical(ip);
    let nets = servers.nets();
    let here: Vec<String> = nets.iter().filter(|of| of.net.contains(&ip)).map(ToString::to_string).collect();
    let all = || nets.iter().take(NAMED.saturating_add(1)).map(ToString::to_string).collect();
    let listed = some_of(&if here.is_empty() { all() } else { here });
    if listed.is_empty() { "none".to_owned() } else { listed }
}

/// What a fence compares an address with, for a person to read.
pub(crate) fn fenced_by(ip: IpAddr, fence: Fence<'_>) -> String {
    let servers = fence.servers().map(|servers| format!("servers {}", servers_around(ip, servers)));
    let sets: Vec<&Networks> = fence.networks().collect();
    let networks = (!sets.is_empty()).then(|| around(ip, &sets)).filter(|listed| !listed.is_empty());
    servers.into_iter().chain(networks).collect::<Vec<_>>().join(", or ")
}

/// The first few of a list, for a person to read.
pub(crate) fn some_of(all: &[String]) -> String {
    let (named, more) = all.split_at_checked(NAMED).unwrap_or((all, &[]));
    let more = if more.is_empty() { "" } else { " and others" };
    format!("{}{more}", named.join(", "))
}
