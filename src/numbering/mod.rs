//! Which country a telephone number belongs to. Reads the user part of a URI, and says what number it is, whose, or that it is none.
//!
//! It decides nothing about a call, and knows no message, no trunk and no configuration file. It depends on nothing else of the
//! crate, so that `tests/numbering_oracle` can compare it with another program.
//!
//! A number that a carrier could read as another country's is no number here: better refused than walked around.

mod country;
mod emergency;
mod plan;
mod read;
mod table;

pub use country::{Country, NotACountry};
pub use emergency::{EmergencyNumbers, NotEmergencyNumbers};
pub use plan::DialPlan;
pub use read::{NotANumbering, NotATechPrefix, NumberDigits, NumberReading, NumberRules, Numbering, TechPrefix, read_number};
pub use table::{TABLE_DATE, country_of, prefixes};

#[cfg(test)]
mod tests;
