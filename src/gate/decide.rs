//! What the gate decides of a token, and the answer that this becomes. Reads the configuration; sends, counts and writes nothing.

use std::net::IpAddr;
use std::sync::Arc;

use super::asked::{ClientToken, GateFault};
use crate::config::{Config, Mode, ProjectId, RegionId};
use crate::core::io::Verdict;
use crate::fence::canonical;
use crate::reason::Reason;

/// What a client reads whose project is pinned elsewhere.
const NOT_HERE: &str = "project not allowed in this region.";
/// The same for clients of Twirp, which read no plain text.
const NOT_HERE_TWIRP: &str = r#"{"code":"permission_denied","msg":"project not allowed in this region."}"#;
/// What a client reads whose token names no project of ours. It learns nothing else.
const NO_TOKEN: &str = "token missing, unreadable or of no project here.";
const NO_TOKEN_TWIRP: &str = r#"{"code":"unauthenticated","msg":"token missing, unreadable or of no project here."}"#;
/// What a client reads while the daemon ends.
const DRAINING: &str = "shutting down, try again.";
const DRAINING_TWIRP: &str = r#"{"code":"unavailable","msg":"shutting down, try again."}"#;

/// What was decided of one request.
#[derive(Clone, Debug)]
pub(crate) struct GateDecision {
    /// The region of the reverse proxy that asked.
    pub(crate) region: RegionId,
    /// The project of the token. `None`: it is of none of ours.
    pub(crate) project: Option<ProjectId>,
    /// What was decided.
    pub(crate) verdict: Verdict,
    /// The reason.
    pub(crate) reason: Reason,
    /// What was wrong, in words that hold nothing of the client's. `None`: nothing.
    pub(crate) why: Option<Arc<str>>,
}

/// What the client is told: a status code, a body and its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GateAnswer {
    /// 200, 401, 403, 451 or 503. Never 404: clients take that for an old server and try again for minutes.
    pub(crate) code: u16,
    /// What a person reads, or a client of Twirp.
    pub(crate) body: &'static str,
    /// Of the body.
    pub(crate) content_type: &'static str,
}

impl GateAnswer {
    /// The answer to a client whose token names no project of ours.
    pub(crate) fn no_token(twirp: bool) -> Self {
        Self::of(401, [NO_TOKEN, NO_TOKEN_TWIRP], twirp)
    }

    /// The answer to a client that may come again, while the daemon ends or nobody tells verdicts.
    pub(crate) fn not_now(twirp: bool) -> Self {
        Self::of(503, [DRAINING, DRAINING_TWIRP], twirp)
    }

    fn of(code: u16, [plain, json]: [&'static str; 2], twirp: bool) -> Self {
        let (body, content_type) = if twirp { (json, "application/json") } else { (plain, "text/plain; charset=utf-8") };
        Self { code, body, content_type }
    }
}

/// Decides whether the sender of a token may use a region's realtime servers. `draining`: the daemon is about to end.
pub(crate) fn decide(config: &Config, region: RegionId, token: Result<&ClientToken, &GateFault>, draining: bool) -> GateDecision {
    let refused =
        |project, reason, why: String| GateDecision { region, project, verdict: Verdict::Refuse, reason, why: Some(why.into()) };
    let token = match token {
        Ok(token) => token,
        Err(fault) => return refused(None, Reason::UnknownSource, fault.to_string()),
    };
    let Some(id) = config.project_of_key(&token.issuer) else {
        return refused(None, Reason::UnknownSource, "the key of the token is in no project's `api_keys`".to_owned());
    };
    let (project, here) = (config.project(id), &config.region(region).name);
    let pin = project.pin.as_deref().filter(|pin| !pin.contains(&region));
    let shadow = match pin {
        None => None,
        Some(pin) => {
            let names: Vec<&str> = pin.iter().map(|&id| config.region(id).name.as_str()).collect();
            let why = format!("project {} is pinned to {}, not {here}", project.name, names.join(" "));
            if project.mode == Mode::Enforce {
                return refused(Some(id), Reason::PinnedElsewhere, why);
            }
            Some(why)
        }
    };
    if draining {
        return refused(Some(id), Reason::Draining, "the daemon is about to end".to_owned());
    }
    let (verdict, reason) =
        if shadow.is_some() { (Verdict::Shadow, Reason::PinnedElsewhere) } else { (Verdict::Accept, Reason::InRegion) };
    GateDecision { region, project: Some(id), verdict, reason, why: shadow.map(Into::into) }
}

impl GateDecision {
    /// The answer. `twirp`: the client speaks Twirp.
    pub(crate) fn answer(&self, twirp: bool) -> GateAnswer {
        match (self.verdict, self.reason) {
            (Verdict::Accept | Verdict::Shadow, _) => GateAnswer { code: 200, body: "", content_type: "text/plain" },
            (Verdict::Refuse, Reason::PinnedElsewhere) => {
                GateAnswer::of(if twirp { 451 } else { 403 }, [NOT_HERE, NOT_HERE_TWIRP], twirp)
            }
            (Verdict::Refuse, Reason::Draining) => GateAnswer::not_now(twirp),
            (Verdict::Refuse, _) => GateAnswer::no_token(twirp),
        }
    }

    /// The value of its X-Ringfence row. `None`: whoever asks is told nothing.
    pub(crate) fn row(&self, config: &Config) -> Option<String> {
        if self.reason == Reason::UnknownSource {
            return None;
        }
        let mut row = format!("{}; reason={}; region={}", self.reason.id(), self.reason, config.region(self.region).name);
        if self.verdict != Verdict::Refuse
            && let Some(project) = self.project
        {
            row.push_str("; project=");
            row.push_str(&config.project(project).name);
        }
        if self.verdict == Verdict::Shadow {
            // They are of names of the configuration, which hold no quotes.
            let why = self.why.as_deref().unwrap_or_default();
            row.push_str(&["; verdict=shadow; why=\"", why, "\""].concat());
        }
        Some(row)
    }
}

/// Why the gate answers a reverse proxy nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRegion {
    /// It stands in no served region, and is not this machine.
    #[error(
        "the gate answers the reverse proxies of its regions alone: this source is in the `networks` of none that is served here"
    )]
    Outside,
    /// It asks for a region that it is not in.
    #[error("`region` names a region that is not served here, or that this source is not in")]
    Other,
    /// It is this machine, and several regions are served here.
    #[error("several regions are served here: say which one, as in /decide?region=NAME")]
    Several,
}

/// The region of a reverse proxy: the one whose networks it is in. This machine may ask for any that is served. `named`: the region that the
/// proxy says it is of; `own`: the address that it has asked.
pub(crate) fn region_of(config: &Config, source: IpAddr, own: IpAddr, named: Option<&str>) -> Result<RegionId, NoRegion> {
    let (source, this_machine) = (canonical(source), canonical(source) == canonical(own));
    let served = || (0..).map(RegionId).zip(&config.regions).filter(|(_, region)| region.served);
    let of = |name: &&str| served().find(|(_, region)| region.name == **name);
    if let Some(name) = &named {
        let (id, region) = of(name).ok_or(NoRegion::Other)?;
        return if this_machine || region.networks.contains(source) { Ok(id) } else { Err(NoRegion::Other) };
    }
    if let Some((id, _)) = served().find(|(_, region)| region.networks.contains(source)) {
        return Ok(id);
    }
    let mut all = served();
    match (this_machine, all.next(), all.next()) {
        (true, Some((id, _)), None) => Ok(id),
        (true, _, Some(_)) => Err(NoRegion::Several),
        _ => Err(NoRegion::Outside),
    }
}

#[cfg(test)]
mod tests;
