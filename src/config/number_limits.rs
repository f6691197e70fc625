//! What a trunk's calls may be by their numbers: which countries may be called by it, who may call in by it, and how it writes numbers.
//! Only holds it; `core` judges.

use crate::numbering::{Country, NumberRules};

/// The limits of one trunk, and how its numbers are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NumberLimits {
    /// The countries that may be called by it (`countries`), in order. `None`: any, and what is no number too.
    pub countries: Option<Box<[Country]>>,
    /// Who may call in by it (`callers`). `None`: everybody.
    pub callers: Option<AllowedCallers>,
    /// How its numbers are read (`numbering`, `strip`, and the file's `emergency`).
    pub rules: NumberRules,
    /// Whether emergency calls by it are refused (`emergency = "refuse"`).
    pub refuses_emergency: bool,
}

/// Who may call in by a trunk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AllowedCallers {
    /// The countries of their numbers, in order.
    pub countries: Box<[Country]>,
    /// Whether callers without a number may.
    pub anonymous: bool,
}

/// One entry of `callers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AllowedCaller {
    Country(Country),
    Anonymous,
}

impl AllowedCallers {
    /// Those of a list as it is written.
    pub(super) fn of(list: impl Iterator<Item = AllowedCaller>) -> Self {
        let (mut countries, mut anonymous) = (Vec::new(), false);
        for entry in list {
            match entry {
                AllowedCaller::Country(country) => countries.push(country),
                AllowedCaller::Anonymous => anonymous = true,
            }
        }
        Self { countries: in_order(countries), anonymous }
    }
}

/// Countries in order, each once.
pub(super) fn in_order(mut countries: Vec<Country>) -> Box<[Country]> {
    countries.sort_unstable();
    countries.dedup();
    countries.into()
}
