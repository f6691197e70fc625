//! Whether the numbers of a new request may be called by its trunk, or may call in by it. Only reads.
//!
//! Of a call out the called number is judged: the user part of the Request-URI. Of a call in it is the calling one: P-Asserted-Identity
//! (RFC 3325), which a trunk is trusted with, else From. A number is told with its first three digits alone.

use smallvec::SmallVec;

use crate::config::{AllowedCallers, Config, Endpoint, Mode, NumberLimits, TrunkId};
use crate::core::io::Note;
use crate::core::rules::broken_rule::BrokenRule;
use crate::core::rules::case::Case;
use crate::core::rules::host::{self, Admitted};
use crate::core::rules::refusal::Refusal;
use crate::core::rules::side::Side;
use crate::core::rules::trace::{Test, trunk_name};
use crate::numbering::{Country, NumberReading, NumberRules, read_number};
use crate::reason::Reason;
use crate::sip::address::Address;
use crate::sip::uri::{Scheme, Uri};
use crate::sip::{Method, Name, list};

/// Identities of a caller that P-Asserted-Identity may have (RFC 3325 9.1). One with more could hide one of them.
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
    if admitted.outbound {
        return called(config, case, admitted, note);
    }
    calling(config, case, config.numbers(admitted.trunk), admitted, note)
}

/// Whether a request of a server is an emergency call out: neither rate nor overload stands in its way.
pub(crate) fn is_emergency_call(config: &Config, case: &Case<'_, '_>) -> bool {
    let helps = |trunk: TrunkId| {
        let limits = config.numbers(trunk);
        !limits.refuses_emergency && of_uri(&case.request.uri, &limits.rules) == NumberReading::Emergency
    };
    case.request.method == Method::Invite
        && match host::named(config, case, true).endpoint {
            Endpoint::Trunk(_, trunk) => helps(trunk),
            Endpoint::Project(_, project) => config.project(project).out.iter().any(|&trunk| helps(trunk)),
            Endpoint::Region(_) | Endpoint::Global(_) | Endpoint::Unknown => false,
        }
}

/// Judges the called number by each trunk that the call may go out by. Those that may not call it are left out.
fn called(config: &Config, case: &Case<'_, '_>, admitted: Admitted, note: &mut Option<Note>) -> Result<Admitted, Refusal> {
    let ways = admitted.ways(config);
    let read = |trunk| of_uri(&case.request.uri, &config.numbers(trunk).rules);
    let first = read(admitted.trunk);
    let reading = |trunk| if trunk == admitted.trunk { first } else { read(trunk) };
    let may = |trunk: &TrunkId| may_be_called(config, case, *trunk, &reading(*trunk));
    let may: SmallVec<[TrunkId; 2]> = ways.iter().copied().filter(may).collect();
    let shown = if may.is_empty() { &ways } else { &may };
    let reading = shown.first().map_or(first, |&trunk| reading(trunk));
    let admitted = admitted.by(config, shown);
    let limits = config.numbers(admitted.trunk);
    let (region, project, trunk) = (case.region(), admitted.project, admitted.trunk);
    if reading == NumberReading::Emergency {
        *note = Some(Note::Emergency { region, project, trunk });
        let says = |what: String| ("called an emergency number".to_owned(), what);
        if !may.is_empty() {
            case.trace.pass(Test::Number, || says("no list of countries stands in its way".to_owned()));
            return Ok(Admitted { emergency: true, ..admitted });
        }
        let watches = config.project(project).mode == Mode::Shadow;
        let takes_none = format!("{} takes none", trunks(config, &ways));
        let objection = case.trace.object(watches, Test::Number, || says(takes_none.clone()));
        let detail = format!("called an emergency number; {takes_none}");
        let admitted = admitted.object(objection, Reason::ForeignNumber, detail).map_err(|refusal| refusal.with_code(403))?;
        return Ok(Admitted { emergency: true, ..admitted });
    }
    let admitted = match referred(config, case, trunk) {
        Some(says) => decide(config, case, admitted, false, || says.clone())?,
        None => admitted,
    };
    *note = Some(Note::Number { region, outbound: true, country: country(&reading) });
    if limits.countries.is_none() {
        return Ok(admitted);
    }
    let against = || {
        /// As many trunks as a person reads.
        const MOST: usize = 3;
        let lists =
            shown.iter().take(MOST).filter_map(|&trunk| Some(allows(config, trunk, config.numbers(trunk).countries.as_deref()?)));
        lists.collect::<Vec<_>>().join("; ")
    };
    decide(config, case, admitted, !may.is_empty(), || (format!("called {}", said(&reading)), against()))
}

/// Whether a trunk takes a call to the number that a request names.
fn may_be_called(config: &Config, case: &Case<'_, '_>, trunk: TrunkId, reading: &NumberReading) -> bool {
    let limits = config.numbers(trunk);
    if *reading == NumberReading::Emergency {
        return !limits.refuses_emergency;
    }
    let allowed = |list: &[Country]| country(reading).is_some_and(|country| list.contains(&country));
    limits.countries.as_deref().is_none_or(allowed) && referred(config, case, trunk).is_none()
}

/// Trunks in words.
fn trunks(config: &Config, ways: &[TrunkId]) -> String {
    match *ways {
        [trunk] => trunk_name(config, trunk),
        _ => format!("each of {} trunks", ways.len()),
    }
}

/// If a REFER of a server's sends the carrier to a number that the trunk may not call (RFC 3515): what it says, and what is allowed. What is no
/// number is a name somewhere, and the carrier calls no telephone for it.
fn referred(config: &Config, case: &Case<'_, '_>, trunk: TrunkId) -> Option<(String, String)> {
    let limits = config.numbers(trunk);
    let countries = limits.countries.as_deref().filter(|_| case.request.method == Method::Refer)?;
    let value = case.message.value(case.message.first(Name::ReferTo)?);
    let uri = Address::parse(value).and_then(|address| Uri::parse(address.uri).ok())?;
    let reading = of_uri(&uri, &limits.rules);
    let allowed = match reading {
        NumberReading::Number { country, .. } => country.is_some_and(|country| countries.contains(&country)),
        NumberReading::NotANumber => uri.host.is_some(),
        NumberReading::Emergency => true,
    };
    (!allowed).then(|| (format!("refers to {}", said(&reading)), allows(config, trunk, countries)))
}

/// Judges a REFER of a server's inside a dialog by the same list. `Err`: the refusal. `Ok`: in shadow mode, the rule that it breaks.
pub(crate) fn judge_referred(config: &Config, case: &Case<'_, '_>, trunk: TrunkId) -> Result<Option<Box<BrokenRule>>, Refusal> {
    let Some((what, against)) = referred(config, case, trunk) else { return Ok(None) };
    let project = config.trunk(trunk).project;
    let detail = format!("{what}; {against}");
    let watches = config.project(project).mode == Mode::Shadow;
    match case.trace.object(watches, Test::Number, || (what, against)) {
        Ok(()) => Ok(Some(BrokenRule::new(Reason::ForeignNumber, detail).into())),
        Err(row) => Err(Refusal::new(row, Reason::ForeignNumber, detail).of(Some(project), Some(trunk)).asked_by(Side::Servers)),
    }
}

/// The countries that a trunk may call, in words.
fn allows(config: &Config, trunk: TrunkId, countries: &[Country]) -> String {
    format!("{} allows {}", trunk_name(config, trunk), listed(countries, false))
}

fn calling(
    config: &Config,
    case: &Case<'_, '_>,
    limits: &NumberLimits,
    admitted: Admitted,
    note: &mut Option<Note>,
) -> Result<Admitted, Refusal> {
    let Some(callers) = &limits.callers else { return Ok(admitted) };
    let identities = identities(case, &limits.rules);
    let (region, trunk) = (case.region(), admitted.trunk);
    let first = identities.readings().next().copied().unwrap_or(NumberReading::NotANumber);
    *note = Some(Note::Number { region, outbound: false, country: country(&first) });
    // Several identities of one caller (a tel URI and a SIP URI) may all be.
    let allowed = identities.readings().all(|reading| may_call(callers, reading)) && !identities.is_unfit;
    let worst = identities.readings().find(|reading| !may_call(callers, reading)).unwrap_or(&first);
    let says = || {
        let whom = if identities.is_unfit { "what names no caller for sure".to_owned() } else { said(worst) };
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
    readings: [Option<NumberReading>; IDENTITIES + 1],
    /// Whether there are too many, or one that cannot be read.
    is_unfit: bool,
}

impl Identities {
    fn readings(&self) -> impl Iterator<Item = &NumberReading> {
        self.readings.iter().flatten()
    }
}

/// Who calls: what P-Asserted-Identity says. If that names no number, From counts too: nobody becomes anonymous by a row that says nothing.
fn identities(case: &Case<'_, '_>, rules: &NumberRules) -> Identities {
    let message = case.message;
    let read = |text: &[u8]| {
        let uri = Address::parse(text).and_then(|address| Uri::parse(address.uri).ok());
        uri.map(|uri| of_uri(&uri, rules))
    };
    let mut found = Identities { readings: [None; IDENTITIES + 1], is_unfit: false };
    let mut count = 0;
    for span in list::items_called(message, b"p-asserted-identity") {
        let reading = read(message.slice(&span));
        match found.readings.get_mut(count).filter(|_| count < IDENTITIES) {
            Some(place) if reading.is_some() => *place = reading,
            _ => found.is_unfit = true,
        }
        count += 1;
    }
    let named = found.readings().any(|reading| matches!(reading, NumberReading::Number { .. }));
    if let (false, Some(from)) = (named, message.first(Name::From)) {
        let reading = read(message.value(from)).unwrap_or(NumberReading::NotANumber);
        if let Some(place) = found.readings.get_mut(count.min(IDENTITIES)) {
            *place = Some(reading);
        }
    }
    found
}

/// The number that a URI names.
pub(crate) fn of_uri(uri: &Uri<'_>, rules: &NumberRules) -> NumberReading {
    if uri.scheme == Scheme::Sos {
        return NumberReading::Emergency;
    }
    // Behind the host it is read by some, and not by others (RFC 3966 5.1.5, RFC 3261 19.1.6).
    if uri.param("phone-context").is_some() {
        return NumberReading::NotANumber;
    }
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
