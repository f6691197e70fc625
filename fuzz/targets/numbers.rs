//! The user part of a URI: whatever it is, it is a number, an emergency or neither, and a number reads as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence::numbering::{NumberReading, NumberRules, read_number};

fuzz_target!(|bytes: &[u8]| {
    let plain = NumberRules::default();
    for numbering in ["+E.164", "E.164", "DE", "US", "IT", "RU"] {
        let numbering = numbering.parse().expect("a way to read numbers");
        for strip in [None, Some("1234")] {
            let strip = strip.map(|strip| strip.parse().expect("a tech prefix"));
            let rules = NumberRules { numbering, strip, ..plain.clone() };
            let split = bytes.iter().position(|&octet| octet == 0);
            let (user, context) = split.map_or((bytes, None), |at| (&bytes[..at], Some(&bytes[at + 1..])));
            let NumberReading::Number { digits, country } = read_number(user, context, &rules) else { continue };
            let digits = digits.as_str();
            assert!((1..=15).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_digit()), "{digits}");
            match read_number(format!("+{digits}").as_bytes(), None, &plain) {
                NumberReading::Number { digits: same, country: its } => assert_eq!((same.as_str(), its), (digits, country)),
                // Behind an international prefix nobody dials one.
                NumberReading::Emergency => assert!(digits.len() <= 6, "{digits}"),
                NumberReading::NotANumber => panic!("+{digits} is no number"),
            }
        }
    }
});
