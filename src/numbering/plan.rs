//! How numbers are dialled inside a country: what stands in front of a national and of an international number.
//!
//! Only names the prefixes and takes them off. It does not judge lengths or formats, but for +1 and +7, where a number without its
//! prefix would be read as another country's.

use super::country::Country;
use super::table;

/// How a number is read that is written as in one country.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
        if carriers(self.code).iter().chain(elsewhere(self.code)).find_map(behind).is_some() {
            return Dialled::Nothing;
        }
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
        // Nobody dials inside what is no country's. Tajikistan has numbers that begin with 00, and dials 810.
        (800 | 808 | 870 | 878 | 881..=883 | 888 | 979 | 992, _) => false,
        // The international prefix of most countries, and no number's beginning in any other.
        (_, [b'0', b'0', ..]) => true,
        // Belarus has numbers that begin with its prefix, and shares its code with nobody.
        (375, _) => false,
        // St. Petersburg is +7 812, so only a length can tell; 810 is the international prefix.
        (7, [b'8', rest @ ..]) => rest.len() > 9 || rest.starts_with(b"10"),
        // Nor does what leads abroad from there.
        _ if international(code).iter().any(|prefix| behind(rest, prefix.as_bytes()).is_some()) => true,
        // Where a prefix begins with 0, no number does.
        _ => national(code)
            .iter()
            .any(|prefix| rest.starts_with(prefix.as_bytes()) || (prefix.starts_with('0') && rest.starts_with(b"0"))),
    }
}

/// The country codes inside which nothing is dialled in front of a national number.
const WITHOUT: &[u16] = &[
    30, 34, 39, 45, 47, 48, 52, 56, 65, 216, 220, 221, 222, 223, 224, 225, 226, 227, 228, 229, 230, 235, 236, 237, 238, 239, 240,
    241, 242, 244, 245, 246, 247, 248, 253, 257, 258, 266, 267, 268, 269, 290, 297, 298, 299, 350, 351, 352, 354, 356, 357, 371,
    372, 376, 378, 420, 500, 501, 502, 503, 504, 505, 506, 507, 509, 592, 597, 599, 670, 672, 673, 674, 675, 676, 677, 678, 679,
    680, 681, 682, 683, 685, 687, 688, 689, 690, 691, 852, 853, 960, 965, 968, 973, 974, 975, 992, 998,
];

/// What is dialled in front of a national number, the longest first. Most countries have `0`.
fn national(code: u16) -> &'static [&'static str] {
    match code {
        1 | 692 => &["1"],
        7 | 993 => &["8"],
        36 => &["06"],
        375 => &["80", "8"],
        _ if WITHOUT.contains(&code) => &[],
        _ => &["0"],
    }
}

/// Where callers choose a carrier for an international number by further digits, what stands in front of those. A gateway may want these
/// digits or not, so that such a number could be read in two ways. Our own rule.
const fn carriers(code: u16) -> &'static [&'static str] {
    match code {
        55 | 57 | 62 | 66 | 82 | 255 | 256 | 591 | 852 | 855 => &["00"],
        65 | 248 => &["0"],
        886 => &["00", "01"],
        _ => &[],
    }
}

/// Beginnings of inland numbers that lead abroad, or over another carrier to anywhere: such a number is none. Our own rule.
const fn elsewhere(code: u16) -> &'static [&'static str] {
    match code {
        // Call by call.
        43 => &["10"],
        // Call by call, and carriers' international prefixes.
        49 | 62 => &["010"],
        // Singapore and Brunei, without a country code.
        60 => &["02", "080"],
        // Northern Ireland.
        353 => &["048"],
        _ => &[],
    }
}

/// What is dialled in front of an international number, the longest first; `x` is any digit. Most countries have `00`.
const fn international(code: u16) -> &'static [&'static str] {
    match code {
        1 | 692 => &["011"],
        7 | 375 | 992 | 993 => &["810"],
        51 => &["19xx00", "00"],
        52 => &["00", "09"],
        53 => &["119"],
        56 => &["1xx0", "00"],
        61 => &["14xx0011", "0011"],
        64 => &["0161", "00"],
        81 => &["010"],
        86 => &["179xx00", "11xxx00", "12xxx00", "00"],
        230 => &["00", "020", "030", "033", "040", "050", "060", "070"],
        234 => &["009"],
        235 => &["00", "16"],
        238 | 685 => &["0"],
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
            let prefixes = national(code).iter().chain(international(code)).chain(carriers(code));
            for prefix in prefixes {
                assert!(prefix.bytes().all(|octet| octet.is_ascii_digit() || octet == b'x'), "{code} {prefix}");
            }
        }
    }

    #[test]
    fn a_longer_prefix_stands_before_its_beginning() {
        for code in 1..1000 {
            for list in [national(code), international(code), carriers(code)] {
                for (at, prefix) in list.iter().enumerate() {
                    let hidden = list[..at].iter().any(|earlier| behind(prefix.as_bytes(), earlier.as_bytes()).is_some());
                    assert!(!hidden, "{code}: {prefix} is never reached");
                }
            }
        }
    }
}
