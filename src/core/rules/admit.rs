//! Whether a new request may pass: which project and trunk it belongs to, and what its rules say.
//!
//! A pure function of the request, its source and the configuration. The order of the tests is part of the contract: the source,
//! the host, the project and its trunk, the pin, the number, the media. Targets are found later, if there is something to forward. Only the
//! Request-URI, the packet's source and the body decide; no other header is believed, but for the one Route by which a server calls out.

use crate::config::{Config, Mode, Region};
use crate::core::io::Note;
use crate::core::rules::case::Case;
use crate::core::rules::host::{self, Admitted, HostJudge};
use crate::core::rules::media::{Judgement, Part, Ruling};
use crate::core::rules::number;
use crate::core::rules::refusal::Refusal;
use crate::core::rules::side::Side;
use crate::core::rules::sides::{Source, Speaker};
use crate::core::rules::trace::{Test, around};
use crate::reason::Reason;
use crate::sip::Method;

/// Whether a region does not serve a method: REGISTER and PUBLISH are for registrars, unless its `methods` lists them. This holds
/// inside dialogs too.
pub(crate) fn unserved(region: &Region, method: Method) -> bool {
    method == Method::Register && !region.register || method == Method::Publish && !region.publish
}

/// What to count of a new request besides its verdict, as far as it was judged.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) media: Option<Note>,
    pub(crate) number: Option<Note>,
}

/// Judges a new request whose source is no stranger. `counted`: receives what to count of it.
pub(crate) fn admit(
    config: &Config,
    case: &Case<'_, '_>,
    source: Source<'_>,
    counted: &mut Counted,
) -> Result<Admitted, Refusal> {
    let &Case { ref listener, arrival, message, request, trace, .. } = case;
    let named = host::named(config, case, source.server);
    let mut admitted = HostJudge { config, case, source, named }.place()?;
    let rules = config.project(admitted.project);
    let watches = rules.mode == Mode::Shadow;
    let region = config.region(listener.region);
    let ip = arrival.from.ip();
    if rules.source_in_region {
        let says =
            || (format!("source {ip}"), format!("networks of region {}: {}", region.name, around(ip, &[&region.networks])));
        if region.networks.contains(ip) {
            trace.pass(Test::Project, says);
        } else {
            let objection = trace.object(watches, Test::Project, says);
            let detail = format!("source {ip} is outside region {}", region.name);
            admitted = admitted.object(objection, Reason::ForeignSource, detail)?;
        }
    }
    let pin = || {
        let pin =
            rules.pin.iter().flat_map(|pin| pin.iter()).map(|&id| config.region(id).name.as_str()).collect::<Vec<_>>().join(", ");
        let pin = if rules.pin.is_some() { format!("is pinned to {pin}") } else { "is not pinned".to_owned() };
        (format!("region {}", region.name), format!("project {} {pin}", rules.name))
    };
    match &rules.pin {
        Some(regions) if !regions.contains(&listener.region) => {
            let objection = trace.object(watches, Test::Pin, pin);
            let names: Vec<&str> = regions.iter().map(|&id| config.region(id).name.as_str()).collect();
            let detail = format!("project {} is pinned to {}, not {}", rules.name, names.join(" "), region.name);
            admitted = admitted.object(objection, Reason::PinnedElsewhere, detail)?;
        }
        _ => trace.pass(Test::Pin, pin),
    }
    // It is answered 405 and goes nowhere, and so does its media.
    if unserved(region, request.method) {
        return Ok(admitted);
    }
    let mut admitted = number::judge(config, case, admitted, &mut counted.number)?;
    let side = if admitted.outbound { Side::Servers } else { Side::Trunk };
    let (called, serving) = (listener.region, listener.region);
    let speaker = Speaker { side, called, serving, project: Some(admitted.project), trunk: Some(admitted.trunk) };
    let Judgement { ruling, note } = speaker.judge(config, message, request.method, Part::Offer, trace);
    counted.media = note;
    match ruling {
        Ruling::Pass => {}
        Ruling::Shadow(broken) => {
            admitted.shadow.get_or_insert(broken);
        }
        Ruling::Foreign(refusal) => return Err(refusal),
    }
    Ok(admitted)
}
