//! Emergency numbers: which they are. Whether such a call passes is decided elsewhere.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Emergency numbers somewhere in the world, as they are dialled, in order. Our own choice: short numbers that nobody can have for a telephone.
const DEFAULT: [&str; 12] = ["000", "100", "101", "102", "108", "110", "112", "118", "119", "911", "933", "999"];

/// How many numbers a list may have: more than any region dials.
const MOST: usize = 32;

/// How long one may be. The shortest telephone number behind a `+` has seven digits, so no telephone passes as one.
const LENGTHS: std::ops::RangeInclusive<usize> = 2..=6;

/// The numbers that are emergency numbers, each a whole user part. A clone shares them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EmergencyNumbers(Arc<[Box<str>]>);

impl EmergencyNumbers {
    /// These numbers instead of the default ones.
    pub fn new<'a>(numbers: impl IntoIterator<Item = &'a str>) -> Result<Self, NotEmergencyNumbers> {
        let mut list: Vec<Box<str>> = Vec::new();
        for number in numbers {
            if !LENGTHS.contains(&number.len()) || !number.bytes().all(|octet| octet.is_ascii_digit()) {
                return Err(NotEmergencyNumbers::Number(number.to_owned()));
            }
            if list.len() == MOST {
                return Err(NotEmergencyNumbers::TooMany);
            }
            list.push(number.into());
        }
        list.sort();
        Ok(Self(list.into()))
    }

    /// The numbers, in order.
    pub fn list(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|number| &**number)
    }

    /// Whether these digits are one of the numbers, whole.
    pub(super) fn include(&self, digits: &[u8]) -> bool {
        LENGTHS.contains(&digits.len()) && self.0.binary_search_by(|number| number.as_bytes().cmp(digits)).is_ok()
    }
}

impl Default for EmergencyNumbers {
    fn default() -> Self {
        Self(DEFAULT.map(Box::from).into())
    }
}

/// What is wrong with a list of emergency numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotEmergencyNumbers {
    /// One of them is none.
    Number(String),
    /// There are too many.
    TooMany,
}

impl fmt::Display for NotEmergencyNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = LENGTHS.into_inner();
        match self {
            Self::Number(number) => {
                write!(f, "\"{number}\" is no emergency number: it has {from} to {to} digits, and nothing else")
            }
            Self::TooMany => write!(f, "a list of emergency numbers has at most {MOST}"),
        }
    }
}

impl Error for NotEmergencyNumbers {}
