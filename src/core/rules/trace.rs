//! Each test with both of its sides: what the message says, and what the configuration says. Decides nothing.
//!
//! A test writes its row where it decides. The row of a failed test is the only way to a [`Failed`], and without one neither a
//! refusal nor an answer of ours can be made: so nothing is refused without the row that says why. Only `ringfence explain` keeps
//! rows; on the path of a call no row is kept and no text is made.

use std::cell::RefCell;
use std::net::IpAddr;

use crate::config::{Config, TrunkId};
use crate::fence::Networks;

/// Rows kept of one message; what comes after them is not written down.
const MOST: usize = 512;

/// Networks or trunks that are named one by one.
const NAMED: usize = 8;

/// What is compared, in the order of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// Whether the source is a trunk, a server of the region, or a side of the dialog.
    Source,
    /// Whether a proxy may forward the request at all: its form (RFC 3261 16.3), its method, its hops, what it requires of us.
    Request,
    /// Inside a dialog: whether our token leads the request, and whether it comes from one of the dialog's sides. Outside: that no
    /// Route leads it.
    Dialog,
    /// Whether the call was refused for good a moment ago.
    Repeat,
    /// What the host of the Request-URI names.
    Host,
    /// Whether the source is a trunk of the project, or a server where the call goes out.
    Project,
    /// Whether the project's calls may use the region.
    Pin,
    /// Each address that media could go to.
    Media,
    /// Whether there is room: the source's rate, the table, a daemon that is not shutting down.
    Capacity,
    /// Each address of the next hop.
    Targets,
}

impl Test {
    /// As people and machines read it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Request => "request",
            Self::Dialog => "dialog",
            Self::Repeat => "repeat",
            Self::Host => "host",
            Self::Project => "project",
            Self::Pin => "pin",
            Self::Media => "media",
            Self::Capacity => "capacity",
            Self::Targets => "targets",
        }
    }
}

/// What came of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is as it must be.
    Pass,
    /// It is not.
    Fail,
    /// It is not, but the project is in shadow mode, or only warns about media.
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

    /// The mark of a rule that a project in shadow mode (`watches`) does not enforce.
    pub(crate) const fn by(passes: bool, watches: bool) -> Self {
        match (passes, watches) {
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

/// The rows of one message, if they are asked for.
#[derive(Debug)]
pub(crate) struct Trace(Option<RefCell<Vec<Comparison>>>);

/// The row of a failed test was written. Made by [`Trace::fail`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failed(());

impl Trace {
    /// No row is kept.
    pub(crate) const fn closed() -> Self {
        Self(None)
    }

    /// Rows are kept.
    pub(crate) fn open() -> Self {
        Self(Some(RefCell::default()))
    }

    /// The rows, in the order in which they were written.
    pub(crate) fn into_rows(self) -> Vec<Comparison> {
        self.0.map(RefCell::into_inner).unwrap_or_default()
    }

    /// Writes a row down. `say`: value and what it is held against; only called if rows are kept.
    pub(crate) fn note(&self, test: Test, mark: Mark, say: impl FnOnce() -> (String, String)) {
        // Nothing that says what was compared compares anything itself.
        let Some(Ok(mut rows)) = self.0.as_ref().map(RefCell::try_borrow_mut) else { return };
        if rows.len() < MOST {
            let (value, against) = say();
            rows.push(Comparison { test, value, against, mark });
        }
    }

    /// A test that passed.
    pub(crate) fn pass(&self, test: Test, say: impl FnOnce() -> (String, String)) {
        self.note(test, Mark::Pass, say);
    }

    /// A test that failed. If the row before says so already, it stands for this one too.
    pub(crate) fn fail(&self, test: Test, say: impl FnOnce() -> (String, String)) -> Failed {
        let told = self.0.as_ref().is_some_and(|rows| {
            rows.try_borrow().is_ok_and(|rows| rows.last().is_some_and(|row| (row.test, row.mark) == (test, Mark::Fail)))
        });
        if !told {
            self.note(test, Mark::Fail, say);
        }
        Failed(())
    }

    /// A rule of a project that the message breaks: `Err`, unless the project is in shadow mode.
    pub(crate) fn object(&self, watches: bool, test: Test, say: impl FnOnce() -> (String, String)) -> Result<(), Failed> {
        if watches {
            self.note(test, Mark::Shadow, say);
            return Ok(());
        }
        Err(self.fail(test, say))
    }
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

/// The first few of a list, for a person.
pub(crate) fn some_of(all: &[String]) -> String {
    let (named, more) = all.split_at_checked(NAMED).unwrap_or((all, &[]));
    let more = if more.is_empty() { "" } else { " and others" };
    format!("{}{more}", named.join(", "))
}
