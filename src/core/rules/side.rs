//! The two sides of a call. Only names them; who is on which side is told elsewhere.

use crate::core::io::Direction;

/// A side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The carrier's.
    Trunk,
    /// The region's servers'.
    Servers,
}

impl Side {
    /// The side that answers this side's requests.
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Trunk => Self::Servers,
            Self::Servers => Self::Trunk,
        }
    }
}

impl From<Side> for Direction {
    fn from(speaker: Side) -> Self {
        match speaker {
            Side::Trunk => Self::In,
            Side::Servers => Self::Out,
        }
    }
}
