//! A country as a configuration names it. Only names it; which numbers are its own stands in the table.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use super::table;

/// What letters begin at, so that they and the country codes of no country fit in one number.
const LETTERS: u16 = 1000;

/// A country by its ISO 3166 code (`IE`), or a country code that is no country's (`+800`).
///
/// Only those exist that have numbers of their own, so a country in a configuration is never one that no number can have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country(u16);

impl Country {
    /// The country with these two capital letters, or the country code of no country below 1000. For the table alone.
    pub(super) const fn listed(name: &str) -> Self {
        match name.as_bytes() {
            [first @ b'A'..=b'Z', second @ b'A'..=b'Z'] => Self(LETTERS + (*first - b'A') as u16 * 26 + (*second - b'A') as u16),
            [b'+', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                Self((*a - b'0') as u16 * 100 + (*b - b'0') as u16 * 10 + (*c - b'0') as u16)
            }
            _ => panic!("a country is two capital letters, or a plus and three digits"),
        }
    }

    /// Whether it is a country code that is no country's.
    pub const fn is_no_countrys(self) -> bool {
        self.0 < LETTERS
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(letters) = self.0.checked_sub(LETTERS) else { return write!(f, "+{:03}", self.0) };
        let letter = |place: u16| char::from(b'A'.saturating_add(u8::try_from(place).unwrap_or_default()));
        write!(f, "{}{}", letter(letters / 26), letter(letters % 26))
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Country {
    type Err = NotACountry;

    fn from_str(text: &str) -> Result<Self, NotACountry> {
        let shaped = match text.as_bytes() {
            [a, b] => a.is_ascii_uppercase() && b.is_ascii_uppercase(),
            [b'+', code @ ..] => code.len() == 3 && code.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        let listed = shaped.then(|| Self::listed(text)).filter(|&country| table::has_numbers(country));
        listed.ok_or_else(|| NotACountry(text.to_owned()))
    }
}

/// A text that names no country here. Its sentence says what was probably meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotACountry(String);

/// Codes that are written for a country and are not its code, each with what to write.
const MISTAKEN: &[(&str, &str)] =
    &[("UK", "GB"), ("EL", "GR"), ("AC", "SH"), ("TA", "SH"), ("KO", "XK"), ("PN", "NZ"), ("UM", "US"), ("EH", "MA")];

impl fmt::Display for NotACountry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.as_str();
        let upper = text.to_ascii_uppercase();
        let meant = MISTAKEN.iter().find_map(|&(wrong, right)| (wrong == upper).then_some(right));
        let meant = meant.or_else(|| (upper != text && upper.parse::<Country>().is_ok()).then_some(upper.as_str()));
        match (meant, text.strip_prefix('+')) {
            (Some(meant), _) => write!(f, "\"{text}\" is no country with numbers of its own: write \"{meant}\""),
            (None, Some(code)) if !code.is_empty() && code.bytes().all(|digit| digit.is_ascii_digit()) => {
                write!(
                    f,
                    "\"{text}\" is no country code of its own: +800, +808, +870, +878, +881, +882, +883, +888 and +979 are, "
                )?;
                f.write_str("and a country has two letters (\"IE\")")
            }
            (None, _) => {
                write!(f, "\"{text}\" is no country with numbers of its own: write two letters of ISO 3166 (\"IE\"), ")?;
                f.write_str("or a country code that is no country's (\"+800\")")
            }
        }
    }
}

impl Error for NotACountry {}
