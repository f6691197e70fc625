//! How numbers are dialled inside a country: what stands in front of a national and of an international number.
//!
//! Only names the prefixes and takes them off. It does not judge lengths or formats, but for +1 and +7, where a number without its
//! prefix would be read as another country's.

use super::country::Country;
use super::table;

/// How a number is read that is written as in one country.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DialPlan {
    country: Country,
    code: u16,
}

/// What the digits of a plan lead to.
pub(super) enum Dialled<'a> {
    /// A number with its country code in front.
    International(&'a [u8]),
    /// A number of the plan's own country code.
    National(&'a [u8]),
    /// Neither.
    Nothing,
}

impl DialPlan {
    /// The plan of a country; a country code that is no country's has none.
    pub fn of(country: Country) -> Option<Self> {
        let code = table::code_of(country).filter(|_| !country.is_no_countrys())?;
        Some(Self { country, code })
    }

    /// The country.
    pub const fn country(self) -> Country {
        self.country
    }

    /// The country code. `digits` is where it is written.
    pub(super) fn code_in(self, digits: &mut [u8; 3]) -> &[u8] {
        *digits =
            [self.code / 100 % 10, self.code / 10 % 10, self.code % 10].map(|digit| b'0'.saturating_add(digit.to_le_bytes()[0]));
        let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
        digits.get(zeros..).unwrap_or_default()
    }

    /// Takes off the prefix of an international or of a national number.
    pub(super) fn read(self, dialled: &[u8]) -> Dialled<'_> {
        let behind = |prefix: &&str| behind(dialled, prefix.as_bytes());
        if let Some(international) = international(self.code).iter().find_map(behind) {
            return Dialled::International(international);
        }
        let national = match (self.code, dialled.len()) {
            // Numbers of these have ten digits, and a number of Russia may begin with the prefix.
            (7, 10) => dialled,
            _ => national(self.code).iter().find_map(behind).unwrap_or(dialled),
        };
        match (self.code, national.len()) {
            (1 | 7, 10) => Dialled::National(national),
            (1 | 7, _) | (_, 0) => Dialled::Nothing,
            _ => Dialled::National(national),
        }
    }
}

/// What follows a prefix, in which `x` is any digit.
fn behind<'a>(dialled: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (front, rest) = dialled.split_at_checked(prefix.len())?;
    front.iter().zip(prefix).all(|(digit, of)| *of == b'x' || digit == of).then_some(rest)
}

/// Whether a number with its country code has a prefix behind that code which is only dialled inside the country. Libraries and
/// carriers take it off again, so what follows could be another country's (`+1 1 876…`). Our own rule.
pub(super) fn is_doubled(digits: &[u8]) -> bool {
    let (code, rest) = table::split_code(digits);
    match (code, rest) {
        // The international prefix of most countries, and no number's beginning anywhere.
        (_, [b'0', b'0', ..]) => true,
        // St. Petersburg is +7 812, so only a length can tell; 810 is the international prefix.
        (7, [b'8', rest @ ..]) => rest.len() > 9 || rest.starts_with(b"10"),
        // Belarus has numbers that begin with its prefix, and no other country shares its code.
        (375, _) => false,
        // Where a prefix begins with 0, no number does.
        _ => national(code)
            .iter()
            .any(|prefix| rest.starts_with(prefix.as_bytes()) || (prefix.starts_with('0') && rest.starts_with(b"0"))),
    }
}

/// What is dialled in front of a national number, the longest first. Most countries have `0`.
const fn national(code: u16) -> &'static [&'static str] {
    match code {
        1 | 692 => &["1"],
        7 | 993 => &["8"],
        36 => &["06"],
        375 => &["80", "8"],
        // These have none.
        30
        | 34
        | 39
        | 45
        | 47
        | 48
        | 52
        | 56
        | 65
        | 216
        | 220..=230
        | 235..=242
        | 244..=248
        | 253
        | 257
        | 258
        | 266..=269
        | 290
        | 297..=299
        | 350..=352
        | 354
        | 356
        | 357
        | 371
        | 372
        | 376
        | 378
        | 420
        | 500..=507
        | 509
        | 592
        | 597
        | 599
        | 670
        | 672..=683
        | 685
        | 687..=691
        | 852
        | 853
        | 960
        | 965
        | 968
        | 973..=975
        | 992
        | 998 => &[],
        _ => &["0"],
    }
}

/// What is dialled in front of an international number, the longest first; `x` is any digit. Most countries have `00`. Where callers
/// choose a carrier by further digits, these are part of it.
const fn international(code: u16) -> &'static [&'static str] {
    match code {
        1 | 692 => &["011"],
        7 | 375 | 992 | 993 => &["810"],
        51 => &["19xx00", "00"],
        52 => &["00", "09"],
        53 => &["119"],
        55 => &["00xx"],
        56 => &["1xx0", "00"],
        57 => &["00414", "00444", "00456", "00468", "00x"],
        61 => &["14xx0011", "001x"],
        62 | 66 | 255 | 256 | 855 => &["00x"],
        64 => &["0161", "00"],
        65 => &["00x", "01x", "02x", "03x"],
        81 => &["010"],
        82 => &["003xx", "007xx", "00x"],
        86 => &["179xx00", "11xxx00", "12xxx00", "00"],
        230 => &["00", "020", "030", "033", "040", "050", "060", "070"],
        234 => &["009"],
        235 => &["00", "16"],
        238 | 685 => &["0"],
        248 => &["010", "00x"],
        254 => &["000"],
        354 => &["1001", "1010", "1020", "1100", "00"],
        358 => &["00", "995xx", "99x"],
        386 => &["1022", "1066", "1088", "1099", "00"],
        592 | 976 => &["001"],
        598 => &["00", "01xx"],
        675 => &["00", "140x"],
        677 => &["00", "01"],
        679 => &["00", "052"],
        680 => &["011", "012"],
        850 => &["00", "99"],
        852 => &["0030", "0050", "0059", "00x"],
        886 => &["00x", "019"],
        960 => &["00", "019"],
        972 => &["0105", "01x", "00"],
        _ => &["00"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_has_prefixes_of_digits() {
        for code in 1..1000 {
            let prefixes = national(code).iter().chain(international(code));
            for prefix in prefixes {
                assert!(prefix.bytes().all(|octet| octet.is_ascii_digit() || octet == b'x'), "{code} {prefix}");
            }
        }
    }

    #[test]
    fn a_longer_prefix_stands_before_its_beginning() {
        for code in 1..1000 {
            for list in [national(code), international(code)] {
                for (at, prefix) in list.iter().enumerate() {
                    let hidden = list[..at].iter().any(|earlier| behind(prefix.as_bytes(), earlier.as_bytes()).is_some());
                    assert!(!hidden, "{code}: {prefix} is never reached");
                }
            }
        }
    }
}
