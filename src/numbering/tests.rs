//! Whose numbers are, by every case in which a country code does not say it.

use super::*;

fn country(digits: &str) -> String {
    country_of(digits.as_bytes()).map_or_else(|| "nobody".to_owned(), |country| country.to_string())
}

fn rules(numbering: &str) -> NumberRules {
    NumberRules { numbering: numbering.parse().unwrap(), ..NumberRules::default() }
}

fn read(user_part: &str, rules: &NumberRules) -> String {
    shown(read_number(user_part.as_bytes(), None, rules))
}

fn shown(reading: NumberReading) -> String {
    match reading {
        NumberReading::Number { digits, country: Some(country) } => format!("{} {country}", digits.as_str()),
        NumberReading::Number { digits, country: None } => format!("{} nobody", digits.as_str()),
        NumberReading::Emergency => "emergency".to_owned(),
        NumberReading::NotANumber => "none".to_owned(),
    }
}

#[test]
fn whose_numbers_are() {
    for (digits, expected) in [
        ("4930123456", "DE"),
        ("353860000000", "IE"),
        ("38344123456", "XK"),
        // +1 by area code; a new one is nobody's.
        ("12125550100", "US"),
        ("14165550100", "CA"),
        ("18765551234", "JM"),
        ("16585551234", "JM"),
        ("18095551234", "DO"),
        ("17875551234", "PR"),
        ("17215551234", "SX"),
        ("18005551234", "US"),
        ("18001448213", "DO"),
        ("16005551234", "CA"),
        ("12325551234", "nobody"),
        ("19115551234", "nobody"),
        ("1212", "US"),
        ("121", "nobody"),
        ("1", "nobody"),
        // +7
        ("79161234567", "RU"),
        ("78121234567", "RU"),
        ("78001234567", "RU"),
        ("77011234567", "KZ"),
        ("76001234567", "KZ"),
        ("75001234567", "nobody"),
        ("7", "nobody"),
        // +39
        ("390612345678", "IT"),
        ("390669812345", "VA"),
        ("390549886377", "SM"),
        ("3780549886377", "SM"),
        ("379123456", "nobody"),
        // +44
        ("442071234567", "GB"),
        ("441534123456", "JE"),
        ("447797123456", "JE"),
        ("447700312345", "JE"),
        ("447700900123", "GB"),
        ("441481123456", "GG"),
        ("447911123456", "GG"),
        ("447911223456", "GB"),
        ("441624123456", "IM"),
        ("447457612345", "IM"),
        // +47, +358, +61
        ("4779123456", "SJ"),
        ("4722123456", "NO"),
        ("35818123456", "AX"),
        ("358401234567", "FI"),
        ("61891621234", "CC"),
        ("61891641234", "CX"),
        ("61891631234", "AU"),
        ("61412345678", "AU"),
        // +212, +262, +290, +247
        ("212612345678", "MA"),
        ("212528812345", "MA"),
        ("262262123456", "RE"),
        ("262269601234", "YT"),
        ("262639012345", "YT"),
        ("29022158", "SH"),
        ("2908999", "SH"),
        ("24762889", "SH"),
        // +590: eight digits.
        ("590590201234", "GP"),
        ("590590771234", "MF"),
        ("590590871234", "MF"),
        ("590590271234", "BL"),
        ("590690001234", "GP"),
        // +599, +672
        ("5997151234", "BQ"),
        ("5993181234", "BQ"),
        ("5994161234", "BQ"),
        ("59994351234", "CW"),
        ("5995451234", "nobody"),
        ("672322222", "NF"),
        ("672106000", "AQ"),
        // No country's.
        ("80012345678", "+800"),
        ("80812345678", "+808"),
        ("870773111632", "+870"),
        ("878101234567890", "+878"),
        ("881612345678", "+881"),
        ("882161234567", "+882"),
        ("883510012345", "+883"),
        ("888123456789", "+888"),
        ("979123456789", "+979"),
        // Nobody's code, and no digits.
        ("210123456", "nobody"),
        ("0441534123456", "nobody"),
        ("", "nobody"),
        ("49x", "nobody"),
    ] {
        assert_eq!(country(digits), expected, "+{digits}");
    }
}

#[test]
fn a_prefix_of_inland_calls_behind_the_country_code_is_no_number() {
    let rules = NumberRules::default();
    for doubled in [
        "+4401534123456",
        "+440",
        "+118765551234",
        "+1 1",
        "+788121234567",
        "+788765551234",
        "+781018765551234",
        "+78106834000",
        "+490301234567",
        "+610891621234",
        "+358018123456",
        "+2620269601234",
        "+5900590271234",
        "+2120528812345",
        "+36061234567",
        "+360612345",
        "+99381234567",
        "+69212345678",
        // No plan has a number that begins with the international prefix.
        "+390018765551234",
        "+22500123456",
        "+37500123456",
        "+0049301234",
        "+49(0)301234567",
    ] {
        assert_eq!(read(&doubled.replace(' ', ""), &rules), "none", "{doubled}");
        let digits: Vec<u8> = doubled.bytes().filter(u8::is_ascii_digit).collect();
        assert_eq!(country_of(&digits), None, "{doubled}");
    }
    for (fine, expected) in [
        ("+78121234567", "78121234567 RU"),
        ("+78001234567", "78001234567 RU"),
        ("+390612345678", "390612345678 IT"),
        ("+2250123456789", "2250123456789 CI"),
        ("+22901234567890", "22901234567890 BJ"),
        ("+24106031234", "24106031234 GA"),
        ("+242061234567", "242061234567 CG"),
        ("+3780549886377", "3780549886377 SM"),
        ("+4702345", "4702345 NO"),
        ("+3758001234567", "3758001234567 BY"),
        ("+992005218033", "992005218033 TJ"),
        ("+80000273023", "80000273023 +800"),
        ("+881011135839", "881011135839 +881"),
    ] {
        assert_eq!(read(fine, &rules), expected, "{fine}");
    }
}

#[test]
fn separators_escapes_and_parameters_fall_away() {
    let rules = NumberRules::default();
    for (user_part, expected) in [
        ("+49-30.123(456)", "4930123456 DE"),
        ("%2B4930123456", "4930123456 DE"),
        ("%2b49%3301234", "49301234 DE"),
        ("+4930123456;npdi", "4930123456 DE"),
        ("+4930123456;npdi;rn=+18765551234", "4930123456 DE"),
        ("+18765551234;rn=+4930123456", "18765551234 JM"),
        ("+4930123456;ext=1;isub=2;phone-context=+1", "4930123456 DE"),
        ("+491234567890123", "491234567890123 DE"),
        ("+4912345678901234", "none"),
        ("+4930abc", "none"),
        ("+1800FLOWERS", "none"),
        ("alice", "none"),
        ("anonymous", "none"),
        ("", "none"),
        ("+", "none"),
        ("-", "none"),
        (";rn=+49301234", "none"),
        ("++4930123456", "none"),
        ("49+30123456", "none"),
        ("+4930123456:secret", "none"),
        ("+4930%2", "none"),
        ("+4930%", "none"),
        ("+4930%zz", "none"),
        ("+4930%+1", "none"),
        // An escaped semicolon is no parameter's beginning (RFC 3261 19.1.4).
        ("+4930123456%3Brn=1", "none"),
        ("+4930%20123", "none"),
        ("+4930\u{663}", "none"),
        ("*4930123456", "none"),
        ("+*4930123456", "none"),
        ("4930123456", "none"),
        ("+12325551234", "12325551234 nobody"),
        ("+2101234567", "2101234567 nobody"),
    ] {
        assert_eq!(read(user_part, &rules), expected, "{user_part}");
    }
    let long = ["0".repeat(10_000), "+".to_owned(), "4930".to_owned()].concat();
    assert_eq!(read(&long, &rules), "none");
    assert_eq!(read(&format!("+{}4930123456", "-".repeat(10_000)), &rules), "4930123456 DE");
}

#[test]
fn a_phone_context_stands_in_front() {
    let default = NumberRules::default();
    for (user_part, context, expected) in [
        ("30123456", Some("+49"), "4930123456 DE"),
        ("1534123456", Some("+44"), "441534123456 JE"),
        ("5551234", Some("+1-876"), "18765551234 JM"),
        ("030123456", Some("+49"), "none"),
        ("1234567", Some("example.com"), "none"),
        ("1234567", Some("+4x"), "none"),
        ("1234567", Some("%2B4x"), "none"),
        ("1234567", Some(""), "none"),
        ("123", Some("+"), "none"),
        ("+4930123456", Some("+1"), "4930123456 DE"),
        ("30123456;phone-context=+49", None, "4930123456 DE"),
        ("30123456;isub=1;Phone-Context=%2B49;npdi", None, "4930123456 DE"),
        ("30123456;phone-context=+49", Some("+44"), "none"),
        ("30123456;phone-context=+49;phone-context=+882", None, "none"),
        ("30123456;phone-context=example.com;phone-context=+882", None, "none"),
        ("30123456;phone%2Dcontext=+49", None, "none"),
        ("30123456;phone-context==+882", None, "none"),
        ("30123456;phone-context=", None, "none"),
        ("112;phone-context=+88216123456", None, "88216123456112 +882"),
        ("110;phone-context=+88216", None, "88216110 +882"),
        ("112", Some("+49"), "emergency"),
        ("911;phone-context=+1", None, "emergency"),
        ("4930123456;phone-contextual=+49", None, "none"),
    ] {
        let reading = read_number(user_part.as_bytes(), context.map(str::as_bytes), &default);
        assert_eq!(shown(reading), expected, "{user_part} {context:?}");
    }
    // What a domain says of numbers nobody knows but the domain; a broken beginning of numbers says that it is one.
    for (context, expected) in [("example.com", "4930123456 DE"), ("49", "none"), ("+4x", "none"), ("%2b4x", "none")] {
        assert_eq!(read(&format!("030123456;phone-context={context}"), &rules("DE")), expected, "{context}");
    }
}

#[test]
fn numbering_says_how_a_number_without_plus_is_read() {
    for (numbering, user_part, expected) in [
        ("+E.164", "4930123456", "none"),
        ("E.164", "4930123456", "4930123456 DE"),
        ("E.164", "004930123456", "none"),
        ("E.164", "+4930123456", "4930123456 DE"),
        ("DE", "030123456", "4930123456 DE"),
        ("DE", "30123456", "4930123456 DE"),
        ("DE", "00441534123456", "441534123456 JE"),
        ("DE", "004401534123456", "none"),
        ("DE", "0049030123456", "none"),
        ("DE", "000441534123456", "none"),
        ("DE", "+18765551234", "18765551234 JM"),
        ("DE", "0", "none"),
        ("DE", "00", "none"),
        ("GB", "01534123456", "441534123456 JE"),
        ("JE", "02071234567", "442071234567 GB"),
        ("US", "18765551234", "18765551234 JM"),
        ("US", "8765551234", "18765551234 JM"),
        ("US", "5551234", "none"),
        ("US", "118765551234", "none"),
        ("US", "1876555123", "none"),
        ("US", "011441534123456", "441534123456 JE"),
        ("JM", "12125550100", "12125550100 US"),
        ("RU", "89161234567", "79161234567 RU"),
        ("RU", "8121234567", "78121234567 RU"),
        ("RU", "88121234567", "78121234567 RU"),
        ("RU", "87011234567", "77011234567 KZ"),
        ("RU", "810441534123456", "441534123456 JE"),
        ("RU", "81018765551234", "18765551234 JM"),
        ("RU", "79161234567", "none"),
        ("IT", "0669812345", "390669812345 VA"),
        ("IT", "0612345678", "390612345678 IT"),
        ("IT", "3661234567", "393661234567 IT"),
        ("IT", "0018765551234", "18765551234 JM"),
        ("NO", "79123456", "4779123456 SJ"),
        ("AU", "0891621234", "61891621234 CC"),
        ("AU", "0011441534123456", "441534123456 JE"),
        ("JP", "010441534123456", "441534123456 JE"),
        ("JP", "0312345678", "81312345678 JP"),
        ("HU", "0612345678", "3612345678 HU"),
        ("HU", "0112345678", "none"),
        ("BY", "80291234567", "375291234567 BY"),
        // +44 by carrier 15, or +1 544 and what follows?
        ("BR", "0015441534123456", "none"),
        ("BR", "011912345678", "5511912345678 BR"),
        ("SG", "0044153412345", "none"),
        ("SG", "01844153412345", "none"),
        ("SG", "61234567", "6561234567 SG"),
        ("HK", "00118765551234", "none"),
        ("TW", "019441534123456", "none"),
        ("TW", "0212345678", "886212345678 TW"),
        ("CL", "1880441534123456", "441534123456 JE"),
        ("CN", "1795100441534123456", "441534123456 JE"),
        ("CN", "13912345678", "8613912345678 CN"),
        ("FI", "990441534123456", "441534123456 JE"),
        ("SH", "22158", "29022158 SH"),
        ("SM", "0549886377", "3780549886377 SM"),
        ("DE", "112", "emergency"),
        ("DE", "*21", "none"),
    ] {
        assert_eq!(read(user_part, &rules(numbering)), expected, "{numbering} {user_part}");
    }
    for text in ["+E.164", "E.164", "DE", "XK"] {
        assert_eq!(text.parse::<Numbering>().unwrap().to_string(), text);
    }
    for text in ["", "e.164", "de", "+800", "Germany", "XX"] {
        let sentence = text.parse::<Numbering>().unwrap_err().to_string();
        assert!(sentence.contains("\"+E.164\", \"E.164\", or a country"), "{sentence}");
    }
}

#[test]
fn a_tech_prefix_falls_away() {
    let with = |strip: &str, numbering: &str| NumberRules { strip: Some(strip.parse().unwrap()), ..rules(numbering) };
    for (strip, numbering, user_part, expected) in [
        ("1234", "E.164", "12344930123456", "4930123456 DE"),
        ("1234", "E.164", "4930123456", "4930123456 DE"),
        ("1234", "E.164", "+12344930123", "none"),
        ("1234", "+E.164", "+12344930123", "12344930123 US"),
        ("1234", "E.164", "+123400882161234", "none"),
        ("1234", "+E.164", "1234+4930123456", "4930123456 DE"),
        ("1234", "+E.164", "12344930123456", "none"),
        ("99#", "DE", "99%23030123456", "4930123456 DE"),
        ("1234", "E.164", "1234112", "emergency"),
        ("1234", "E.164", "1234+112", "emergency"),
        ("1234", "E.164", "112", "emergency"),
        ("1234", "E.164", "1234", "none"),
        ("1234", "E.164", "123412344930123", "12344930123 US"),
    ] {
        assert_eq!(read(user_part, &with(strip, numbering)), expected, "{strip} {numbering} {user_part}");
    }
    for text in ["", "+1", "1 2", "a", "1234567890123456"] {
        assert!(text.parse::<TechPrefix>().is_err(), "{text}");
    }
}

#[test]
fn emergency_numbers_are_whole_user_parts() {
    let default = NumberRules::default();
    for number in "112 911 999 000 110 108 100 101 102 118 119 933".split(' ') {
        for text in [number.to_owned(), format!("+{number}"), format!("{number};phone-context=+49")] {
            assert_eq!(read(&text, &default), "emergency", "{text}");
        }
        for numbering in ["E.164", "DE", "US"] {
            assert_eq!(read(number, &rules(numbering)), "emergency");
        }
        assert_ne!(read(&format!("{number}0"), &rules("E.164")), "emergency");
        assert_ne!(read(&format!("0{number}"), &rules("E.164")), "emergency");
    }
    assert_eq!(read("1-1-2", &default), "emergency");
    assert_eq!(read("%31%31%32", &default), "emergency");
    assert_eq!(read("113", &default), "none");
    let own = EmergencyNumbers::new(["113", "17"]).unwrap();
    let own = NumberRules { emergency: own, ..NumberRules::default() };
    assert_eq!(
        (read("113", &own), read("+17", &own), read("112", &own)),
        ("emergency".into(), "emergency".into(), "none".into())
    );
    for wrong in ["", "1", "+112", "1234567", "11x"] {
        let sentence = EmergencyNumbers::new(["112", wrong]).unwrap_err().to_string();
        assert_eq!(sentence, format!("\"{wrong}\" is no emergency number: it has 2 to 6 digits, and nothing else"));
    }
    assert_eq!(EmergencyNumbers::new(["112"; 33]), Err(NotEmergencyNumbers::TooMany));
}

#[test]
fn a_country_is_what_a_configuration_says() {
    for text in ["IE", "DE", "XK", "VA", "SJ", "+800", "+979", "AX"] {
        assert_eq!(text.parse::<Country>().unwrap().to_string(), text);
    }
    assert!("+800".parse::<Country>().unwrap().is_no_countrys() && !"IE".parse::<Country>().unwrap().is_no_countrys());
    for (text, expected) in [
        ("UK", "\"UK\" is no country with numbers of its own: write \"GB\""),
        ("ie", "\"ie\" is no country with numbers of its own: write \"IE\""),
        ("AC", "\"AC\" is no country with numbers of its own: write \"SH\""),
        (
            "XX",
            "\"XX\" is no country with numbers of its own: write two letters of ISO 3166 (\"IE\"), or a country code that is no \
             country's (\"+800\")",
        ),
        (
            "+49",
            "\"+49\" is no country code of its own: +800, +808, +870, +878, +881, +882, +883, +888 and +979 are, and a country has two \
             letters (\"IE\")",
        ),
    ] {
        assert_eq!(text.parse::<Country>().unwrap_err().to_string(), expected);
    }
    for text in ["", "+", "I", "DEU", "+8000", "+80x", "ß", "É", "0+"] {
        assert!(text.parse::<Country>().is_err(), "{text}");
    }
}

#[test]
fn every_prefix_is_read_as_it_stands() {
    let mut count = 0;
    for (prefix, country) in prefixes() {
        let digits = prefix.to_string();
        assert_eq!(country_of(digits.as_bytes()), Some(country), "+{digits}");
        assert_eq!(country.to_string().parse::<Country>(), Ok(country));
        assert_eq!(DialPlan::of(country).is_some(), !country.is_no_countrys());
        count += 1;
    }
    assert!(count > 700);
}

#[test]
fn no_octets_stop_the_reader() {
    let octets: Vec<u8> = (0..=255).collect();
    let all = [NumberRules::default(), rules("E.164"), rules("DE"), rules("US"), rules("RU")];
    for first in &octets {
        for second in &octets {
            for rules in &all {
                read_number(&[*first, *second], Some(&[*second, *first]), rules);
                read_number(&[b'%', *first, *second], Some(&[b'+', *first, *second]), rules);
            }
            country_of(&[*first, *second]);
        }
    }
}

/// What leads abroad from inside a country leads abroad behind its country code too, for whoever takes the code off.
#[test]
fn a_prefix_that_leads_abroad_is_no_beginning_of_a_number() {
    for number in [
        "+6850882161234",
        "+2380882161234",
        "+561710882161234",
        "+53119882161234",
        "+230020882161234",
        "+680011882161234",
        "+67701882161234",
        "+5209882161234",
        "+611411001188216",
        "+3541001882161",
        "+960019882161234",
        "+85099882161234",
    ] {
        assert_eq!(read(number, &NumberRules::default()), "none", "{number}");
    }
    for (country, number) in
        [("ID", "01017882161234"), ("IE", "04890123456"), ("MY", "0261234567"), ("MY", "0802123456"), ("DE", "01033006834123")]
    {
        assert_eq!(read(number, &rules(country)), "none", "{country} {number}");
    }
    for number in ["+1202555012", "+12025550123456", "+1310555"] {
        assert_eq!(read(number, &NumberRules::default()), "none", "{number}");
    }
}
