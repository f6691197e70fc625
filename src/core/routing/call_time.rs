//! When a call began, as its token says it. Only a form of a number; who says it when is decided elsewhere.

use crate::core::keys::{read_hex, write_hex};

/// The characters of it: a letter, and seconds since 1970.
pub(crate) const TIME: usize = 1 + 8;

/// When a call began, in seconds since 1970, as its token says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CallTime {
    /// Nobody has said it.
    Unknown,
    /// When its INVITE came: the answerer's token is made then.
    Invited(u32),
    /// When it was set up, which is when its 2xx passed.
    SetUp(u32),
}

impl CallTime {
    /// The time of an INVITE, if the core was told the time.
    pub(crate) fn invited(at: Option<u32>) -> Self {
        at.map_or(Self::Unknown, Self::Invited)
    }

    /// As it stands in a token.
    pub(crate) fn text(self) -> [u8; TIME] {
        let (letter, at) = match self {
            Self::Unknown => (b'n', 0),
            Self::Invited(at) => (b'i', at),
            Self::SetUp(at) => (b's', at),
        };
        let mut text = [letter; TIME];
        if let Some(digits) = text.last_chunk_mut::<8>() {
            write_hex(at.into(), digits);
        }
        text
    }

    /// Reads that.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let (letter, at) = text.split_first()?;
        let at = u32::try_from(read_hex(at)?).ok()?;
        match letter {
            b'n' => Some(Self::Unknown),
            b'i' => Some(Self::Invited(at)),
            b's' => Some(Self::SetUp(at)),
            _ => None,
        }
    }
}
