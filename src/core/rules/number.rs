//! Whether the numbers of a new request may be called by its trunk, or may call in by it. Only reads.
//!
//! Of a call out the called number is judged: the user part of the Request-URI. Of a call in it is the calling one: P-Asserted-Identity
//! (RFC 3325), which a trunk is trusted with, else From. A number is told with its first three digits alone.

use crate::config::{AllowedCallers, Config, Endpoint, Mode, NumberLimits};
use crate::core::io::Note;
use crate::core::rules::case::Case;
use crate::core::rules::host::{Admitted, endpoint};
use crate::core::rules::refusal::Refusal;
use crate::core::rules::trace::{Test, trunk_name};
use crate::numbering::{Country, NumberReading, NumberRules, read_number};
use crate::reason::Reason;
use crate::sip::address::Address;
use crate::sip::uri::Uri;
use crate::sip::{Method, Name, list};

/// Identities of a caller that are read. One with more could hide one of them.
const IDENTITIES: usize = 2;

/// Judges the number of a request that has passed the tests of its project. `note`: receives what to count of it.
pub(crate) fn judge(
    config: &Config,
    case: &Case<'_, '_>,
    admitted: Admitted,
    note: &mut Option<Note>,
) -> Result<Admitted, Refusal> {
    // It asks whether somebody is there, and calls nobody.
    if case.request.method == Method::Options {
        return Ok(admitted);
    }
    let limits = config.numbers(admitted.trunk);
    if admitted.outbound { called(config, case, limits, admitted, note) } else { calling(config, case, limits, admitted, note) }
}

/// Whether a request is an emergency call out: neither rate nor overload stands in its way.
pub(crate) fn is_emergency_call(config: &Config, case: &Case<'_, '_>) -> bool {
    let Endpoint::Trunk(_, trunk) = endpoint(config, &case.listener, case.arrival, case.request) else { return false };
    let limits = config.numbers(trunk);
    case.request.method == Method::Invite
        && !limits.refuses_emergency
        && of_uri(&case.request.uri, &limits.rules) == NumberReading::Emergency
}

fn called(
    config: &Config,
    case: &Case<'_, '_>,
    limits: &NumberLimits,
    admitted: Admitted,
    note: &mut Option<Note>,
) -> Result<Admitted, Refusal> {
    let reading = of_uri(&case.request.uri, &limits.rules);
    let (region, project, trunk) = (case.region(), admitted.project, admitted.trunk);
    if reading == NumberReading::Emergency {
        *note = Some(Note::Emergency { region, project, trunk });
        case.trace.pass(Test::Number, || {
            ("called an emergency number".to_owned(), "no list of countries stands in its way".to_owned())
        });
        return Ok(Admitted { emergency: true, ..admitted });
    }
    *note = Some(Note::Number { region, outbound: true, country: country(&reading) });
    let Some(countries) = &limits.countries else { return Ok(admitted) };
    let allowed = country(&reading).is_some_and(|country| countries.contains(&country));
    let says =
        || (format!("called {}", said(&reading)), format!("{} allows {}", trunk_name(config, trunk), listed(countries, false)));
    decide(config, case, admitted, allowed, says)
}

fn calling(
    config: &Config,
    case: &Case<'_, '_>,
    limits: &NumberLimits,
    admitted: Admitted,
    note: &mut Option<Note>,
) -> Result<Admitted, Refusal> {
    let Some(callers) = &limits.callers else { return Ok(admitted) };
    let readings = identities(case, &limits.rules);
    let (region, trunk) = (case.region(), admitted.trunk);
    let first = readings.first().copied().flatten().unwrap_or(NumberReading::NotANumber);
    *note = Some(Note::Number { region, outbound: false, country: country(&first) });
    // Several identities of one caller (a tel URI and a SIP URI) may all be.
    let allowed = readings.iter().flatten().all(|reading| may_call(callers, reading)) && !readings.is_too_many;
    let worst = readings.iter().flatten().find(|reading| !may_call(callers, reading)).unwrap_or(&first);
    let says = || {
        let whom = if readings.is_too_many { "more identities than one caller has".to_owned() } else { said(worst) };
        let list = listed(&callers.countries, callers.anonymous);
        (format!("calling {whom}"), format!("{} lets in {list}", trunk_name(config, trunk)))
    };
    decide(config, case, admitted, allowed, says)
}

fn decide(
    config: &Config,
    case: &Case<'_, '_>,
    admitted: Admitted,
    allowed: bool,
    says: impl Fn() -> (String, String),
) -> Result<Admitted, Refusal> {
    if allowed {
        case.trace.pass(Test::Number, &says);
        return Ok(admitted);
    }
    let watches = config.project(admitted.project).mode == Mode::Shadow;
    let objection = case.trace.object(watches, Test::Number, &says);
    let (what, against) = says();
    admitted.object(objection, Reason::ForeignNumber, format!("{what}; {against}"))
}

/// The identities of a caller, as many as are read.
struct Identities {
    readings: [Option<NumberReading>; IDENTITIES],
    is_too_many: bool,
}

impl std::ops::Deref for Identities {
    type Target = [Option<NumberReading>];

    fn deref(&self) -> &Self::Target {
        &self.readings
    }
}

/// Who calls: what P-Asserted-Identity says, the tel URI first, else From.
fn identities(case: &Case<'_, '_>, rules: &NumberRules) -> Identities {
    let message = case.message;
    let read = |text: &[u8]| {
        let uri = Address::parse(text).and_then(|address| Uri::parse(address.uri).ok());
        uri.map_or(NumberReading::NotANumber, |uri| of_uri(&uri, rules))
    };
    let mut found = Identities { readings: [None; IDENTITIES], is_too_many: false };
    let mut places = found.readings.iter_mut();
    let mut too_many = false;
    for span in list::items_called(message, b"p-asserted-identity") {
        match places.next() {
            Some(place) => *place = Some(read(message.slice(&span))),
            None => too_many = true,
        }
    }
    if let ([first @ None, ..], Some(from)) = (&mut found.readings, message.first(Name::From)) {
        *first = Some(read(message.value(from)));
    }
    Identities { is_too_many: too_many, ..found }
}

/// The number that a URI names.
fn of_uri(uri: &Uri<'_>, rules: &NumberRules) -> NumberReading {
    uri.user.map_or(NumberReading::NotANumber, |user| read_number(user, None, rules))
}

fn may_call(callers: &AllowedCallers, reading: &NumberReading) -> bool {
    match reading {
        NumberReading::Number { country, .. } => country.is_some_and(|country| callers.countries.contains(&country)),
        // Nobody has such a number, so nobody is named.
        NumberReading::NotANumber | NumberReading::Emergency => callers.anonymous,
    }
}

fn country(reading: &NumberReading) -> Option<Country> {
    match reading {
        NumberReading::Number { country, .. } => *country,
        NumberReading::NotANumber | NumberReading::Emergency => None,
    }
}

/// A number in words, with its first three digits alone.
fn said(reading: &NumberReading) -> String {
    match reading {
        NumberReading::Number { digits, country } => {
            let begin = digits.as_str().get(..3).unwrap_or_default();
            let whose = country.map_or_else(|| "nobody's".to_owned(), |country| country.to_string());
            format!("+{begin}... is {whose}")
        }
        NumberReading::NotANumber | NumberReading::Emergency => "what is no number".to_owned(),
    }
}

fn listed(countries: &[Country], anonymous: bool) -> String {
    /// As many as a person reads.
    const MOST: usize = 8;
    let more = countries.len().saturating_sub(MOST);
    let mut all: Vec<String> = countries.iter().take(MOST).map(ToString::to_string).collect();
    all.extend((more > 0).then(|| format!("{more} more")));
    all.extend(anonymous.then(|| "anonymous".to_owned()));
    all.join(" ")
}
