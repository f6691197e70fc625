//! From the user part of a URI to a number with its country. Only reads; what may be called is decided elsewhere.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use super::country::Country;
use super::emergency::EmergencyNumbers;
use super::plan::{DialPlan, Dialled, is_doubled};
use super::table::{country_of, is_country_code};

/// The most digits that a number has (E.164 6.2.1).
const MOST_DIGITS: usize = 15;

/// The digits of every number of country code 1.
const NORTH_AMERICAN: usize = 11;

/// The most that is read of a user part without its separators: a tech prefix, an international prefix and a number.
const MOST_DIALLED: usize = 40;

/// How one trunk writes numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NumberRules {
    /// How a number without `+` is read.
    pub numbering: Numbering,
    /// What stands in front of a number and is no part of it.
    pub strip: Option<TechPrefix>,
    /// Which numbers are emergency numbers.
    pub emergency: EmergencyNumbers,
}

/// How a number without `+` is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Numbering {
    /// `+E.164`: it is no number.
    #[default]
    PlusE164,
    /// `E.164`: as if it had one.
    E164,
    /// As it is dialled in a country.
    Plan(DialPlan),
}

impl FromStr for Numbering {
    type Err = NotANumbering;

    fn from_str(text: &str) -> Result<Self, NotANumbering> {
        match text {
            "+E.164" => Ok(Self::PlusE164),
            "E.164" => Ok(Self::E164),
            _ => {
                let plan = text.parse().ok().and_then(DialPlan::of);
                plan.map(Self::Plan).ok_or_else(|| NotANumbering(text.to_owned()))
            }
        }
    }
}

impl fmt::Display for Numbering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlusE164 => f.write_str("+E.164"),
            Self::E164 => f.write_str("E.164"),
            Self::Plan(plan) => fmt::Display::fmt(&plan.country(), f),
        }
    }
}

/// A text that names no way to read numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotANumbering(String);

impl fmt::Display for NotANumbering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        write!(f, "\"{text}\" is no way to read numbers: \"+E.164\", \"E.164\", or a country whose plan applies (\"DE\")")
    }
}

impl Error for NotANumbering {}

/// Digits, `*` and `#` that a carrier wants in front of a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TechPrefix(Box<str>);

impl TechPrefix {
    /// As it stands in front of a number.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TechPrefix {
    type Err = NotATechPrefix;

    fn from_str(text: &str) -> Result<Self, NotATechPrefix> {
        let ok = (1..=MOST_DIGITS).contains(&text.len()) && text.bytes().all(is_dialled);
        ok.then(|| Self(text.into())).ok_or_else(|| NotATechPrefix(text.to_owned()))
    }
}

/// A text that cannot stand in front of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotATechPrefix(String);

impl fmt::Display for NotATechPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is no tech prefix: it has 1 to {MOST_DIGITS} of the digits, * and #", self.0)
    }
}

impl Error for NotATechPrefix {}

/// The digits of a number with its country code, without the `+`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NumberDigits {
    octets: [u8; MOST_DIGITS],
    len: u8,
}

impl NumberDigits {
    /// These digits one behind the other, if they fit and there are any.
    fn joined(front: &[u8], rest: &[u8]) -> Option<Self> {
        let len = front.len().checked_add(rest.len()).filter(|len| (1..=MOST_DIGITS).contains(len))?;
        let mut octets = [0; MOST_DIGITS];
        for (place, digit) in octets.iter_mut().zip(front.iter().chain(rest)) {
            if !digit.is_ascii_digit() {
                return None;
            }
            *place = *digit;
        }
        Some(Self { octets, len: u8::try_from(len).ok()? })
    }

    /// The digits.
    pub fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The digits as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Debug for NumberDigits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a user part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberReading {
    /// A telephone number.
    Number {
        /// With the country code.
        digits: NumberDigits,
        /// Whose it is; `None`: nobody's that we know.
        country: Option<Country>,
    },
    /// An emergency number, whole.
    Emergency,
    /// No number, or one that could be read in two ways.
    NotANumber,
}

impl NumberReading {
    /// Whether two readings lead to one country.
    fn is_of_one_country(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Number { country: one, .. }, Self::Number { country: other, .. }) if one == other)
    }

    /// A number that stands in two parts, the country code in front.
    fn of(front: &[u8], rest: &[u8]) -> Self {
        let Some(digits) = NumberDigits::joined(front, rest) else { return Self::NotANumber };
        let number = digits.as_bytes();
        // No country code begins with 0, so this is a prefix of somebody's dial plan. Of +1 all numbers have as many digits.
        let short = number.first() == Some(&b'1') && number.len() != NORTH_AMERICAN;
        if number.first() == Some(&b'0') || short || is_doubled(number) {
            return Self::NotANumber;
        }
        Self::Number { digits, country: country_of(number) }
    }
}

/// Reads the user part of a `sip:` URI, or what stands in a `tel:` URI, as one trunk writes numbers.
///
/// Parameters in it fall away: `npdi` and `rn` never decide whose a number is. `phone_context` is that parameter if the caller has
/// taken it off already; else it is looked for here. If it is a beginning of numbers (`+49`), it is put in front (RFC 3966 5.1.5). If
/// it is a domain, it says nothing of how the carrier reads the number, so `rules` decide.
pub fn read_number(user_part: &[u8], phone_context: Option<&[u8]>, rules: &NumberRules) -> NumberReading {
    let mut parts = user_part.split(|&octet| octet == b';');
    let Some(written) = parts.next().and_then(DialledText::read) else { return NumberReading::NotANumber };
    let Ok(context) = context(parts, phone_context) else { return NumberReading::NotANumber };
    let (global, mut dialled) = written.number();
    let emergency = |digits: &[u8]| rules.emergency.include(digits);
    if global {
        if emergency(dialled) {
            return NumberReading::Emergency;
        }
        let reading = NumberReading::of(dialled, &[]);
        // Whoever drops the `+` first finds the tech prefix behind it.
        let drops = rules.numbering != Numbering::PlusE164;
        let behind = rules.strip.as_ref().filter(|_| drops).and_then(|strip| dialled.strip_prefix(strip.as_str().as_bytes()));
        let agrees = behind.is_none_or(|rest| rules.read(rest).is_of_one_country(&reading));
        return if agrees { reading } else { NumberReading::NotANumber };
    }
    let whole = emergency(dialled);
    // Behind the `+` of a whole number no tech prefix stands; it has to stand in front of it.
    if let Some(rest) = rules.strip.as_ref().and_then(|strip| dialled.strip_prefix(strip.as_str().as_bytes())) {
        dialled = rest;
        if let Some(digits) = dialled.strip_prefix(b"+") {
            return if emergency(digits) { NumberReading::Emergency } else { NumberReading::of(digits, &[]) };
        }
    }
    let calls_for_help = whole || emergency(dialled);
    match context {
        // A number of that country; with more digits in front it is not dialled as an emergency number.
        Some(context) if calls_for_help && !is_country_code(context.number().1) => NumberReading::of(context.number().1, dialled),
        _ if calls_for_help => NumberReading::Emergency,
        Some(context) => NumberReading::of(context.number().1, dialled),
        None => rules.read(dialled),
    }
}

impl NumberRules {
    /// A number without `+`, as the trunk writes it.
    fn read(&self, dialled: &[u8]) -> NumberReading {
        match self.numbering {
            Numbering::PlusE164 => NumberReading::NotANumber,
            Numbering::E164 => NumberReading::of(dialled, &[]),
            Numbering::Plan(plan) => match plan.read(dialled) {
                Dialled::International(digits) => NumberReading::of(digits, &[]),
                Dialled::National(digits) => NumberReading::of(plan.code_in(&mut [0; 3]), digits),
                Dialled::Nothing => NumberReading::NotANumber,
            },
        }
    }
}

/// The beginning of numbers that `phone-context` says. `None`: it says none, or a domain. `Err`: it can be read in two ways.
fn context<'a>(parts: impl Iterator<Item = &'a [u8]>, taken: Option<&[u8]>) -> Result<Option<DialledText>, ()> {
    let mut found: Option<&[u8]> = taken;
    let mut count = usize::from(taken.is_some());
    for parameter in parts {
        let at = parameter.iter().position(|&octet| octet == b'=').unwrap_or(parameter.len());
        let (name, value) = parameter.split_at_checked(at).unwrap_or_default();
        // An escaped name is the same name to some readers (RFC 3261 19.1.4) and another to others.
        if name.contains(&b'%') {
            return Err(());
        }
        if name.eq_ignore_ascii_case(b"phone-context") {
            found = Some(value.get(1..).unwrap_or_default());
            count = count.saturating_add(1);
        }
    }
    match (count, found) {
        (0, _) | (_, None) => Ok(None),
        (1, Some(text)) => match DialledText::read(text) {
            Some(context) if context.number().0 => {
                if context.number().1.is_empty() {
                    Err(())
                } else {
                    Ok(Some(context))
                }
            }
            // A domain begins with a letter or a digit, and has a letter (RFC 3966 3).
            None if text.first().is_some_and(u8::is_ascii_alphanumeric) => Ok(None),
            _ => Err(()),
        },
        (_, Some(_)) => Err(()),
    }
}

/// Whether an octet is a digit, `*` or `#`: what keys of a telephone have.
fn is_dialled(octet: u8) -> bool {
    octet.is_ascii_digit() || matches!(octet, b'*' | b'#')
}

/// What was dialled: percent-escapes decoded, visual separators left out.
struct DialledText {
    octets: [u8; MOST_DIALLED],
    len: usize,
}

impl DialledText {
    /// `None`: it holds a letter, a broken escape, or too much.
    fn read(text: &[u8]) -> Option<Self> {
        let mut dialled = Self { octets: [0; MOST_DIALLED], len: 0 };
        let mut rest = text;
        while let Some((&first, behind)) = rest.split_first() {
            let octet;
            (octet, rest) = match (first, behind) {
                (b'%', [high, low, behind @ ..]) => (hex(*high)?.checked_mul(16)?.checked_add(hex(*low)?)?, behind),
                _ => (first, behind),
            };
            match octet {
                // Visual separators (RFC 3966 3).
                b'-' | b'.' | b'(' | b')' => {}
                _ if octet == b'+' || is_dialled(octet) => {
                    *dialled.octets.get_mut(dialled.len)? = octet;
                    dialled.len = dialled.len.saturating_add(1);
                }
                _ => return None,
            }
        }
        Some(dialled)
    }

    /// Whether a `+` stands in front, and what follows.
    fn number(&self) -> (bool, &[u8]) {
        let dialled = self.octets.get(..self.len).unwrap_or_default();
        dialled.strip_prefix(b"+").map_or((false, dialled), |digits| (true, digits))
    }
}

/// The value of a hexadecimal digit.
fn hex(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
