//! How strictly a project is held to its rules, and its media to theirs.

/// Whether refusals are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Refuse.
    Enforce,
    /// Decide, count, log, refuse nothing.
    Shadow,
}

/// What is done about media addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// Nothing is read.
    Off,
    /// Read, counted, logged, let through.
    Warn,
    /// Outside is refused.
    Enforce,
    /// The same, and what passes is led through a relay of the called region.
    Relay,
}
