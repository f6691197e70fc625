//! How strictly a project is held to its rules, and its media to theirs.

/// Whether refusals are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Calls that the rules refuse are refused.
    Enforce,
    /// Decide, count, log, refuse nothing.
    Shadow,
}

/// What is done about media addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// Session descriptions are not read.
    Off,
    /// Read, counted, logged, let through.
    Warn,
    /// A message whose media would go outside is refused.
    Enforce,
    /// The same, and what passes is led through a relay of the called region.
    Relay,
}
