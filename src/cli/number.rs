//! `ringfence number`: whose a telephone number is, as the daemon reads it. Looks up nothing elsewhere.

use serde_json::json;

use super::arguments::NumberOptions;
use super::exit::{FAILED, OK};
use super::output::print;
use super::printable::plain;
use crate::numbering::{NumberReading, NumberRules, read_number};
use crate::sip::uri::Uri;

/// Reads a number and prints whose it is.
pub(super) fn number(options: &NumberOptions) -> u8 {
    let NumberOptions { number, numbering, strip, json } = options;
    let rules = NumberRules { numbering: *numbering, strip: strip.clone(), ..NumberRules::default() };
    // A whole URI is as good as its user part.
    let user = Uri::parse(number.as_bytes()).ok().and_then(|uri| uri.user).unwrap_or(number.as_bytes());
    let reading = read_number(user, None, &rules);
    let shown = plain(number.as_bytes());
    let (digits, country, kind, text) = match &reading {
        NumberReading::Number { digits, country: Some(country) } => {
            let (digits, country) = (format!("+{}", digits.as_str()), country.to_string());
            let text = format!("{digits}  {country}");
            (Some(digits), Some(country), "number", text)
        }
        NumberReading::Number { digits, country: None } => {
            let digits = format!("+{}", digits.as_str());
            let text = format!("{digits}  nobody's that is known: no list of countries lets it pass");
            (Some(digits), None, "number", text)
        }
        NumberReading::Emergency => {
            (None, None, "emergency", format!("{shown}  an emergency number: no list of countries stops it"))
        }
        NumberReading::NotANumber => {
            let text =
                format!("{shown}  no number as it stands: no list of countries lets it pass (--numbering says how it is read)");
            (None, None, "none", text)
        }
    };
    if *json {
        print(&format!("{}\n", json!({ "kind": kind, "digits": digits, "country": country })));
    } else {
        print(&format!("{text}\n"));
    }
    if country.is_some() || reading == NumberReading::Emergency { OK } else { FAILED }
}
