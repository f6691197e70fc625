//! What the audit record keeps of the core's outputs: each verdict, answer and end of a call, once. Nothing is decided here, and no message
//! is read again.

use std::fmt::Write as _;
use std::net::IpAddr;

use arrayvec::ArrayString;

use super::decided::{Facts, Ruled};
use super::seen::Seen;
use crate::audit::record::{AnswerFact, AuditFact, AuditRecord, CallName, EndFact, REALTIME, RECORD_MEDIA, VerdictFact, WayFact};
use crate::config::{Config, ProjectId, RegionId, TrunkId};
use crate::core::io::{AnswerTold, Direction, EndTold, MediaNamed, Note, Output, PartyTold, RequestTold, Spoken};
use crate::numbering::Country;

/// Makes records by the names of one configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct AuditTeller<'c> {
    pub(super) config: &'c Config,
    /// The configuration's digest.
    pub(super) digest: [u8; 32],
    /// When, in microseconds since 1970.
    pub(super) at: u64,
}

/// The media of the message at hand.
type MediaFound<'o> = Option<(&'o [IpAddr], Spoken)>;

impl AuditTeller<'_> {
    /// Hands each record of one input's outputs to `keep`, in order.
    pub(super) fn tell(&self, out: &[Output], seen: Option<&Seen<'_>>, mut keep: impl FnMut(&AuditRecord<'_>)) {
        let mut media: MediaFound<'_> = None;
        for (at, output) in out.iter().enumerate() {
            let Output::Note(note) = output else { continue };
            match note {
                Note::Media { spoken, named, .. } => {
                    media = Some((named.as_deref().map(MediaNamed::as_slice).unwrap_or_default(), *spoken));
                }
                Note::Verdict { told, .. } => {
                    if let Some(ruled) = Ruled::of(output) {
                        let (facts, _) = Facts::of(self.config, out, at, &ruled, seen);
                        self.verdict(&ruled, facts, told.as_deref(), media, &mut keep);
                    }
                }
                Note::CallAnswered(told) => self.answer(told, media, &mut keep),
                Note::CallEnded(told) => self.end(told, &mut keep),
                _ => {}
            }
        }
    }

    fn verdict(
        &self,
        ruled: &Ruled,
        facts: Facts,
        told: Option<&RequestTold>,
        media: MediaFound<'_>,
        keep: &mut impl FnMut(&AuditRecord<'_>),
    ) {
        let (from, to) = (told.and_then(|told| told.from.as_ref()), told.and_then(|told| told.to.as_ref()));
        let (from_country, to_country) = (country(from), country(to));
        let serving = told.and_then(|told| told.serving);
        let (way, cut) = self.way(serving, media);
        let fact = VerdictFact {
            verdict: ruled.verdict,
            reason: ruled.reason,
            later: told.is_some_and(|told| told.later),
            direction: told.and_then(|told| told.outbound).map(direction),
            method: told.map(|told| told.method.as_slice()),
            source: facts.source,
            transport: facts.transport,
            from: from.map(|from| from.text.as_slice()),
            to: to.map(|to| to.text.as_slice()),
            from_country: from_country.as_deref(),
            to_country: to_country.as_deref(),
            way: WayFact { target: facts.sent_to, relay: told.and_then(|told| told.relay), ..way },
            code: facts.code,
            config: self.digest,
        };
        let call = CallName::Joined(told.map_or(b"", |told| &told.call));
        keep(&AuditRecord {
            at: self.at,
            region: &self.config.region(ruled.region).name,
            project: ruled.project.map(|id| &*self.config.project(id).name),
            trunk: ruled.trunk.map(|id| &*self.config.trunk(id).name),
            call,
            cut,
            fact: AuditFact::Verdict(fact),
        });
    }

    /// Hands the record of a verdict of the gate to `keep`.
    pub(super) fn realtime(&self, ruled: &Ruled, facts: Facts, keep: impl FnOnce(&AuditRecord<'_>)) {
        let fact = VerdictFact {
            verdict: ruled.verdict,
            reason: ruled.reason,
            later: false,
            direction: None,
            method: Some(REALTIME.as_bytes()),
            source: facts.source,
            transport: None,
            from: None,
            to: None,
            from_country: None,
            to_country: None,
            way: WayFact::default(),
            code: facts.code,
            config: self.digest,
        };
        let whose = (ruled.project, ruled.trunk);
        keep(&self.of_call(ruled.region, whose, (b"", false), AuditFact::Verdict(fact)));
    }

    /// A record of a call that is known by its name alone.
    fn of_call<'r>(
        &'r self,
        region: RegionId,
        (project, trunk): (Option<ProjectId>, Option<TrunkId>),
        (call, cut): (&'r [u8], bool),
        fact: AuditFact<'r>,
    ) -> AuditRecord<'r> {
        AuditRecord {
            at: self.at,
            region: &self.config.region(region).name,
            project: project.map(|id| &*self.config.project(id).name),
            trunk: trunk.map(|id| &*self.config.trunk(id).name),
            call: CallName::Joined(call),
            cut,
            fact,
        }
    }

    fn answer(&self, told: &AnswerTold, media: MediaFound<'_>, keep: &mut impl FnMut(&AuditRecord<'_>)) {
        let (way, cut) = self.way(told.serving, media);
        let fact = AnswerFact {
            direction: Some(direction(told.outbound)),
            code: told.code,
            setup_ms: u32::try_from(told.after.as_millis()).unwrap_or(u32::MAX),
            way: WayFact { target: told.target, relay: told.relay, ..way },
            retries: u16::try_from(told.retries).unwrap_or(u16::MAX),
            config: self.digest,
        };
        keep(&self.of_call(told.region, told.whose, (&told.call, cut), AuditFact::Answer(fact)));
    }

    fn end(&self, told: &EndTold, keep: &mut impl FnMut(&AuditRecord<'_>)) {
        let &EndTold { by, seconds, since_invite, code, .. } = told;
        keep(&self.of_call(
            told.region,
            told.whose,
            (&told.call, false),
            AuditFact::End(EndFact { by, cause: told.cause.as_deref(), seconds, since_invite, code }),
        ));
    }

    /// The region that serves a request and the media of the message at hand, and whether there are more addresses than a record tells.
    fn way(&self, serving: Option<RegionId>, media: MediaFound<'_>) -> (WayFact<'_>, bool) {
        let serving = serving.map(|id| &*self.config.region(id).name);
        let (named, media_verdict) = media.map_or((&[][..], None), |(named, spoken)| (named, Some(spoken)));
        let shown = named.iter().copied().take(RECORD_MEDIA).collect();
        (WayFact { serving, media: shown, media_verdict, ..WayFact::default() }, named.len() > RECORD_MEDIA)
    }
}

fn direction(outbound: bool) -> Direction {
    if outbound { Direction::Out } else { Direction::In }
}

/// The country of a party's number, as its letters.
fn country(party: Option<&PartyTold>) -> Option<ArrayString<4>> {
    let country: Country = party?.country?;
    let mut text = ArrayString::new();
    write!(text, "{country}").ok()?;
    Some(text)
}

/// The digest of a configuration as octets.
pub(super) fn digest(config: &Config) -> [u8; 32] {
    let mut octets = [0; 32];
    for (octet, digits) in octets.iter_mut().zip(config.digest.as_bytes().chunks(2)) {
        *octet = std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or_default();
    }
    octets
}

#[cfg(test)]
mod tests;
