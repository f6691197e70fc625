//! Things that are allowed but probably not meant.

use super::file;
use super::overlap::{huge, overlap};
use super::report::{Place, Placed, Read, Report, good};
use crate::reason::Profile;

/// Reports things that the operator should look at again. (`build` reports an unpinned project, and `bounds`
/// a short timer C.)
pub(super) fn check(main: &file::Main, parts: &file::Parts, report: &mut Report) {
    if matches!(main.secret, Ok(None)) {
        let wrong = "no [secret]: route tokens are signed with a key made at start";
        let right = "[secret] with `file`, or calls lose their route when the daemon restarts, and nodes cannot share them";
        report.warning(&Place { file: 0, span: None }, wrong, right);
    }
    retried(&main.reject, report);
    for project in &parts.projects {
        retried(&project.reject, report);
        for trunk in &project.trunks {
            retried(&trunk.reject, report);
            for (key, networks) in
                [("networks", &trunk.networks), ("media", &trunk.media), ("outbound_networks", &trunk.outbound_networks)]
            {
                for net in good(networks).into_iter().flatten() {
                    if huge(net.value) {
                        let wrong = format!("`{}` lets almost everyone be trunk `{}`'s {key}", net.value, trunk.name.value);
                        report.warning(&net.place, wrong, "the networks that the carrier publishes");
                    } else {
                        elsewhere(project, net, parts, report);
                    }
                }
            }
        }
    }
}

/// Warns of a pinned project's trunk that lists addresses of a region outside the pin: they open the fence to that region.
fn elsewhere(project: &file::Project, net: &Placed<ipnet::IpNet>, parts: &file::Parts, report: &mut Report) {
    let Some(pin) = good(&project.pin) else { return };
    for region in &parts.regions {
        let pinned = pin.iter().any(|name| name.value == region.name.value);
        let networks = good(&region.networks).map(Vec::as_slice).unwrap_or_default();
        if !pinned && overlap(net.value, networks) {
            let wrong = format!(
                "`{}` is in region `{}`, which the pin of project `{}` does not contain",
                net.value, region.name.value, project.name.value
            );
            report.warning(&net.place, wrong, "the carrier's networks without those of other regions");
        }
    }
}

fn retried(reject: &Read<Placed<Profile>>, report: &mut Report) {
    let Some(reject) = good(reject) else { return };
    let code = reject.value.policy;
    if matches!(code, 408 | 480) || (500..600).contains(&code) {
        let wrong = format!("carriers try again elsewhere after {code}");
        report.warning(&reject.place, wrong, "603, or 403 where the carrier stops on it");
    }
}
