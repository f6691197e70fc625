//! How strictly the rules of a project, and those of its media, are enforced.

/// Whether refusals are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Calls that the rules refuse are refused.
    Enforce,
    /// Calls are decided, counted and logged; no call is refused.
    Shadow,
}

/// How media addresses are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// Session descriptions are not read.
    Off,
    /// Session descriptions are read, counted and logged; no message is refused for them.
    Warn,
    /// A message whose media would go outside is refused.
    Enforce,
    /// The same, and the media of a call that passes goes through a relay of the called region.
    Relay,
}
