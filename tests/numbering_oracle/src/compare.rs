//! Every prefix of the table, and random valid numbers of all regions. Only compares.

use std::collections::{BTreeMap, BTreeSet};

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberType, Region};

use crate::numbering::{NumberReading, NumberRules, country_of, prefixes, read_number};

/// How many random numbers are compared.
const NUMBERS: usize = 100_000;

/// What both say of prefixes, and whose they are by the table and by the oracle. The rows of docs/numbers.md.
fn documented() -> BTreeSet<(String, String, String)> {
    let text = include_str!("../../../docs/numbers.md");
    let table = text.split("<!-- disagreements -->").nth(1).expect("the table of disagreements");
    let rows = table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).skip(2);
    rows.flat_map(|row| {
        let cells: Vec<_> = row.split('|').map(|cell| cell.trim().replace('`', "")).collect();
        let (ours, theirs) = (cells[2].clone(), cells[3].clone());
        let prefixes: Vec<_> = cells[1].split(',').map(|prefix| prefix.replace(['+', ' '], "")).collect();
        prefixes.into_iter().map(move |prefix| (prefix, ours.clone(), theirs.clone()))
    })
    .collect()
}

/// Numbers that are the same each time (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    fn digit(&mut self) -> u8 {
        b'0' + u8::try_from(self.below(10)).unwrap()
    }
}

/// The digits of a number, country code first.
fn digits(number: &PhoneNumber) -> String {
    number.to_string().trim_start_matches('+').to_owned()
}

/// Whose a number is by the oracle, if it is valid. It must be a number of E.164 (at most fifteen digits), and written as it was asked:
/// the oracle takes national prefixes off.
fn theirs(number: &str) -> Option<String> {
    let parsed = PHONE_NUMBER_UTIL.parse(format!("+{number}"), None).ok()?;
    if number.len() > 15 || digits(&parsed) != number || !parsed.is_valid() {
        return None;
    }
    let region = parsed.get_region_code()?;
    let name = region.as_region_str().to_string();
    // Its name for what is no country's.
    Some(if name == "001" { format!("+{}", parsed.country_code) } else { name })
}

/// Whose it is by the daemon: `none` is no number, `nobody` is one of no known country.
fn ours(number: &str) -> String {
    match read_number(format!("+{number}").as_bytes(), None, &NumberRules::default()) {
        NumberReading::Number { digits, country } => {
            assert_eq!(digits.as_str(), number);
            assert_eq!(country, country_of(number.as_bytes()));
            country.map_or_else(|| "nobody".to_owned(), |country| country.to_string())
        }
        NumberReading::Emergency => "emergency".to_owned(),
        NumberReading::NotANumber => "none".to_owned(),
    }
}

/// Collects what differs, and which rows of the documentation explain it.
struct Judge {
    documented: BTreeSet<(String, String, String)>,
    used: BTreeSet<(String, String, String)>,
    unexplained: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Judge {
    fn new() -> Self {
        Self { documented: documented(), used: BTreeSet::new(), unexplained: BTreeMap::new() }
    }

    fn compare(&mut self, number: &str, theirs: String) {
        let ours = ours(number);
        if ours == theirs {
            return;
        }
        let row = self
            .documented
            .iter()
            .find(|(prefix, by_us, by_them)| number.starts_with(prefix.as_str()) && *by_us == ours && *by_them == theirs);
        match row {
            Some(row) => drop(self.used.insert(row.clone())),
            None => drop(self.unexplained.entry((ours, theirs)).or_default().insert(number.to_owned())),
        }
    }

    fn judge(&self) {
        for ((ours, theirs), numbers) in &self.unexplained {
            let some: Vec<_> = numbers.iter().take(8).collect();
            println!("{ours} here and {theirs} there: {} numbers, as {some:?}", numbers.len());
        }
        assert!(self.unexplained.is_empty(), "not in docs/numbers.md");
    }
}

/// An example of each type for each region: where the search for others begins.
fn examples() -> BTreeMap<String, Vec<String>> {
    let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let types = [
        PhoneNumberType::FixedLine,
        PhoneNumberType::Mobile,
        PhoneNumberType::TollFree,
        PhoneNumberType::PremiumRate,
        PhoneNumberType::SharedCost,
        PhoneNumberType::VoIP,
        PhoneNumberType::PersonalNumber,
        PhoneNumberType::Pager,
        PhoneNumberType::UAN,
        PhoneNumberType::VoiceMail,
    ];
    let regions: Vec<Region> = PHONE_NUMBER_UTIL.get_supported_regions().collect();
    for region in regions {
        for kind in types {
            if let Ok(number) = PHONE_NUMBER_UTIL.get_example_number_for_type_and_region(region, kind) {
                let number = digits(&number);
                // Of countries that share a number the oracle says the first.
                out.entry(theirs(&number).unwrap_or_else(|| region.as_region_str().to_string())).or_default().insert(number);
            }
        }
    }
    for code in PHONE_NUMBER_UTIL.get_supported_global_network_calling_codes() {
        let number = PHONE_NUMBER_UTIL.get_example_number_for_non_geo_entity(code).unwrap();
        out.entry(format!("+{code}")).or_default().insert(digits(&number));
    }
    out.into_iter().map(|(region, numbers)| (region, numbers.into_iter().collect())).collect()
}

/// Another number near this one: a digit or a few changed, or one more or less at the end.
fn near(number: &str, dice: &mut Dice) -> String {
    let mut octets = number.as_bytes().to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(octets.len());
        octets[at] = dice.digit();
    }
    match dice.below(16) {
        0 => octets.push(dice.digit()),
        1 => drop(octets.pop()),
        _ => {}
    }
    String::from_utf8(octets).unwrap()
}

#[test]
fn random_valid_numbers_belong_to_the_same_country() {
    let mut dice = Dice(1);
    let mut judge = Judge::new();
    let examples = examples();
    assert!(examples.len() > 240, "{} regions", examples.len());
    let each = NUMBERS.div_ceil(examples.len());
    let mut compared = 0;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for starts in examples.values() {
        let mut found: Vec<String> = starts.iter().filter(|number| theirs(number).is_some()).cloned().collect();
        for number in &found {
            judge.compare(number, theirs(number).unwrap());
        }
        let (mut tries, mut count) = (0, 0);
        while count < each && tries < each * 400 && !found.is_empty() {
            tries += 1;
            let at = dice.below(found.len());
            let number = near(&found[at], &mut dice);
            if let Some(whose) = theirs(&number) {
                *seen.entry(whose.clone()).or_default() += 1;
                judge.compare(&number, whose);
                // Only what stays with this country code leads on; the places that are kept move through all that is valid.
                if number.as_bytes()[..1] == found[at].as_bytes()[..1] {
                    if found.len() < 64 { found.push(number) } else { found[at] = number }
                }
                count += 1;
            }
        }
        compared += count;
    }
    println!("{compared} numbers of {} regions", seen.len());
    judge.judge();
    assert!(compared >= NUMBERS, "only {compared} numbers were found");
}

#[test]
fn every_prefix_is_the_same_countrys() {
    let mut dice = Dice(2);
    let mut judge = Judge::new();
    let examples: Vec<String> = examples().into_values().flatten().collect();
    let mut without: Vec<String> = Vec::new();
    let mut compared = 0;
    // What a longer prefix takes does not count for a shorter one.
    let all: Vec<String> = prefixes().map(|(prefix, _)| prefix.to_string()).collect();
    for (prefix, _) in prefixes() {
        let prefix = prefix.to_string();
        let longest = |number: &str| {
            all.iter().filter(|other| number.starts_with(other.as_str())).max_by_key(|other| other.len()) == Some(&prefix)
        };
        let mut found: Vec<String> = examples.iter().filter(|number| longest(number)).cloned().collect();
        let mut tries = 0;
        while found.len() < 40 && tries < 40_000 {
            tries += 1;
            let mut number = prefix.clone().into_bytes();
            for _ in 0..=dice.below(11) {
                number.push(dice.digit());
            }
            let number = String::from_utf8(number).unwrap();
            if number.len() <= 15 && longest(&number) && theirs(&number).is_some() {
                found.push(number);
            }
        }
        let valid: Vec<_> = found.iter().filter_map(|number| Some((number, theirs(number)?))).collect();
        if valid.is_empty() {
            without.push(prefix.clone());
        }
        compared += valid.len();
        for (number, whose) in valid {
            judge.compare(number, whose);
        }
    }
    println!("{} prefixes, {compared} numbers; without a valid number: {without:?}", all.len());
    judge.judge();
    let unmet: Vec<_> = judge.documented.difference(&judge.used).collect();
    assert!(unmet.is_empty(), "docs/numbers.md names what does not differ: {unmet:?}");
}
