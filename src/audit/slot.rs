//! A record in a slot of the spool: written without memory of its own, and read again.
//!
//! Whatever stands in a slot can be read without a panic: the spool may be torn, or of another program.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use arrayvec::ArrayVec;
use sha2::{Digest, Sha256};

use super::record::{AnswerFact, AuditFact, AuditRecord, CallName, EndFact, EndedBy, RECORD_MEDIA, VerdictFact, WayFact};
use crate::config::Transport;
use crate::core::io::{Direction, Spoken, Verdict};
use crate::reason::Reason;

/// The octets that every record fits in.
pub const RECORD_ROOM: usize = 960;
/// Most octets of a number, or of the name that stands in its place.
const NUMBER: usize = 64;
/// Most octets of a cause.
const CAUSE: usize = 60;
/// Most octets of a method.
const METHOD: usize = 32;
/// Most octets of Call-ID and tag with what stands between. Longer ones are told by their SHA-256.
const CALL: usize = 254;

/// The form of a record in its slot.
const FORM: u8 = 1;
/// After 9999 no date has the form of RFC 3339.
const LAST_MOMENT: u64 = 253_402_300_799_999_999;

/// The names of the fields in a slot. They are never given another meaning.
mod field {
    pub(super) const REGION: u8 = 1;
    pub(super) const PROJECT: u8 = 2;
    pub(super) const TRUNK: u8 = 3;
    pub(super) const CALL: u8 = 4;
    pub(super) const CALL_DIGEST: u8 = 5;
    pub(super) const CONFIG: u8 = 6;
    pub(super) const VERDICT: u8 = 7;
    pub(super) const REASON: u8 = 8;
    pub(super) const DIRECTION: u8 = 9;
    pub(super) const SOURCE: u8 = 10;
    pub(super) const TRANSPORT: u8 = 11;
    pub(super) const FROM_COUNTRY: u8 = 12;
    pub(super) const TO_COUNTRY: u8 = 13;
    pub(super) const SERVING: u8 = 14;
    pub(super) const TARGET: u8 = 15;
    pub(super) const MEDIA: u8 = 16;
    pub(super) const MEDIA_VERDICT: u8 = 17;
    pub(super) const RELAY: u8 = 18;
    pub(super) const CODE: u8 = 19;
    pub(super) const SETUP_MS: u8 = 20;
    pub(super) const RETRIES: u8 = 21;
    pub(super) const BY: u8 = 22;
    pub(super) const SECONDS: u8 = 23;
    pub(super) const METHOD: u8 = 24;
    pub(super) const CAUSE: u8 = 25;
    pub(super) const FROM: u8 = 26;
    pub(super) const TO: u8 = 27;
    pub(super) const CUT: u8 = 28;
    pub(super) const SINCE_INVITE: u8 = 29;
    pub(super) const LATER: u8 = 30;
}

/// The octets before the fields: form, kind, time.
const HEAD: usize = 10;

impl AuditRecord<'_> {
    /// Writes it into a slot. Returns how many octets it takes, and whether something of it was cut or left out: in [`RECORD_ROOM`] octets
    /// only numbers, a method and a cause that are very long. A slot too short for its head gets nothing.
    pub fn encode(&self, slot: &mut [u8]) -> (usize, bool) {
        let mut pen = Pen { slot, at: 0, cut: self.cut };
        let kind = match self.fact {
            AuditFact::Verdict(_) => 1,
            AuditFact::Answer(_) => 2,
            AuditFact::End(_) => 3,
        };
        if !pen.push(&[FORM, kind]) || !pen.push(&self.at.to_le_bytes()) {
            return (0, true);
        }
        pen.put(field::REGION, self.region.as_bytes());
        pen.maybe(field::PROJECT, self.project.map(str::as_bytes));
        pen.maybe(field::TRUNK, self.trunk.map(str::as_bytes));
        pen.call(self.call);
        match &self.fact {
            AuditFact::Verdict(fact) => pen.verdict(fact),
            AuditFact::Answer(fact) => {
                pen.put(field::CONFIG, &fact.config);
                pen.direction(fact.direction);
                pen.put(field::CODE, &fact.code.to_le_bytes());
                pen.put(field::SETUP_MS, &fact.setup_ms.to_le_bytes());
                pen.put(field::RETRIES, &fact.retries.to_le_bytes());
                pen.way(&fact.way);
            }
            AuditFact::End(fact) => {
                pen.put(field::BY, &[fact.by as u8]);
                pen.maybe(field::SECONDS, fact.seconds.map(u32::to_le_bytes).as_ref().map(<[u8; 4]>::as_slice));
                let since = fact.since_invite.map(u32::to_le_bytes);
                pen.maybe(field::SINCE_INVITE, since.as_ref().map(<[u8; 4]>::as_slice));
                pen.code(fact.code);
                pen.text(field::CAUSE, fact.cause, CAUSE);
            }
        }
        if pen.cut {
            pen.put(field::CUT, &[]);
        }
        (pen.at, pen.cut)
    }
}

/// Writes fields: each its name, its length and its octets.
struct Pen<'s> {
    slot: &'s mut [u8],
    at: usize,
    cut: bool,
}

impl Pen<'_> {
    fn verdict(&mut self, fact: &VerdictFact<'_>) {
        self.put(field::CONFIG, &fact.config);
        self.put(field::VERDICT, &[fact.verdict as u8]);
        self.put(field::REASON, &fact.reason.id().to_le_bytes());
        self.direction(fact.direction);
        if fact.later {
            self.put(field::LATER, &[]);
        }
        self.place(field::SOURCE, fact.source);
        self.maybe(field::TRANSPORT, fact.transport.map(|transport| [transport as u8]).as_ref().map(<[u8; 1]>::as_slice));
        self.code(fact.code);
        self.maybe(field::FROM_COUNTRY, fact.from_country.map(str::as_bytes));
        self.maybe(field::TO_COUNTRY, fact.to_country.map(str::as_bytes));
        self.way(&fact.way);
        self.text(field::METHOD, fact.method, METHOD);
        self.text(field::FROM, fact.from, NUMBER);
        self.text(field::TO, fact.to, NUMBER);
    }

    fn way(&mut self, way: &WayFact<'_>) {
        self.maybe(field::SERVING, way.serving.map(str::as_bytes));
        if let Some((transport, addr)) = way.target {
            let mut octets: ArrayVec<u8, 19> = ArrayVec::new();
            octets.push(transport as u8);
            // There is room for both.
            place_octets(addr, |part| {
                let _ = octets.try_extend_from_slice(part);
            });
            self.put(field::TARGET, &octets);
        }
        if !way.media.is_empty() {
            let mut octets: ArrayVec<u8, { RECORD_MEDIA * 17 }> = ArrayVec::new();
            for &ip in &way.media {
                match ip {
                    IpAddr::V4(ip) => {
                        octets.push(4);
                        let _ = octets.try_extend_from_slice(&ip.octets());
                    }
                    IpAddr::V6(ip) => {
                        octets.push(6);
                        let _ = octets.try_extend_from_slice(&ip.octets());
                    }
                }
            }
            self.put(field::MEDIA, &octets);
        }
        self.maybe(field::MEDIA_VERDICT, way.media_verdict.map(|spoken| [spoken as u8]).as_ref().map(<[u8; 1]>::as_slice));
        self.place(field::RELAY, way.relay);
    }

    fn call(&mut self, call: CallName<'_>) {
        match call {
            CallName::Joined(joined) if joined.len() <= CALL => self.put(field::CALL, joined),
            CallName::Joined(joined) => self.put(field::CALL_DIGEST, &Sha256::digest(joined)),
            CallName::Digest(digest) => self.put(field::CALL_DIGEST, &digest),
        }
    }

    fn direction(&mut self, direction: Option<Direction>) {
        self.maybe(field::DIRECTION, direction.map(|direction| [direction as u8]).as_ref().map(<[u8; 1]>::as_slice));
    }

    fn code(&mut self, code: Option<u16>) {
        self.maybe(field::CODE, code.map(u16::to_le_bytes).as_ref().map(<[u8; 2]>::as_slice));
    }

    fn place(&mut self, name: u8, place: Option<SocketAddr>) {
        if let Some(place) = place {
            let mut octets: ArrayVec<u8, 18> = ArrayVec::new();
            // There is room for both.
            place_octets(place, |part| {
                let _ = octets.try_extend_from_slice(part);
            });
            self.put(name, &octets);
        }
    }

    /// A text that may be cut.
    fn text(&mut self, name: u8, text: Option<&[u8]>, most: usize) {
        let Some(text) = text else { return };
        let room = self.slot.len().saturating_sub(self.at).saturating_sub(2);
        let shown = text.get(..most.min(room)).unwrap_or(text);
        self.cut |= shown.len() < text.len();
        self.put(name, shown);
    }

    fn maybe(&mut self, name: u8, octets: Option<&[u8]>) {
        if let Some(octets) = octets {
            self.put(name, octets);
        }
    }

    /// A field whole, or nothing of it.
    fn put(&mut self, name: u8, octets: &[u8]) {
        let room = self.slot.len().saturating_sub(self.at);
        match u8::try_from(octets.len()) {
            Ok(length) if octets.len().saturating_add(2) <= room => {
                self.push(&[name, length]);
                self.push(octets);
            }
            _ => self.cut = true,
        }
    }

    fn push(&mut self, octets: &[u8]) -> bool {
        let end = self.at.saturating_add(octets.len());
        let Some(place) = self.slot.get_mut(self.at..end) else { return false };
        place.copy_from_slice(octets);
        self.at = end;
        true
    }
}

fn place_octets(addr: SocketAddr, mut push: impl FnMut(&[u8])) {
    push(&addr.port().to_le_bytes());
    match addr.ip() {
        IpAddr::V4(ip) => push(&ip.octets()),
        IpAddr::V6(ip) => push(&ip.octets()),
    }
}

impl<'a> AuditRecord<'a> {
    /// Reads what stands in a slot. `None`: it is no record.
    pub fn decode(slot: &'a [u8]) -> Option<Self> {
        let (head, mut rest) = slot.split_at_checked(HEAD)?;
        let (&[FORM, kind], time) = head.split_first_chunk::<2>()? else { return None };
        let at = u64::from_le_bytes(time.try_into().ok()?);
        if at > LAST_MOMENT {
            return None;
        }
        let mut fields = Fields::default();
        while let Some((&[name, length], behind)) = rest.split_first_chunk() {
            let octets;
            (octets, rest) = behind.split_at_checked(length.into())?;
            fields.take(name, octets);
        }
        if !rest.is_empty() {
            return None;
        }
        let config = |fields: &Fields<'_>| fields.of(field::CONFIG).try_into().ok();
        let fact = match kind {
            1 => AuditFact::Verdict(VerdictFact {
                verdict: fields.one_of(field::VERDICT, &Verdict::ALL)?,
                reason: fields.number(field::REASON).and_then(|id| Reason::ALL.into_iter().find(|of| of.id() == id))?,
                later: fields.octets(field::LATER).is_some(),
                direction: fields.one_of(field::DIRECTION, &Direction::ALL),
                method: fields.octets(field::METHOD),
                source: fields.place(field::SOURCE),
                transport: fields.one_of(field::TRANSPORT, &Transport::ALL),
                from: fields.octets(field::FROM),
                to: fields.octets(field::TO),
                from_country: fields.text(field::FROM_COUNTRY),
                to_country: fields.text(field::TO_COUNTRY),
                way: fields.way()?,
                code: fields.number(field::CODE),
                config: config(&fields)?,
            }),
            2 => AuditFact::Answer(AnswerFact {
                direction: fields.one_of(field::DIRECTION, &Direction::ALL),
                code: fields.number(field::CODE)?,
                setup_ms: fields.long(field::SETUP_MS)?,
                way: fields.way()?,
                retries: fields.number(field::RETRIES)?,
                config: config(&fields)?,
            }),
            3 => AuditFact::End(EndFact {
                by: fields.one_of(field::BY, &EndedBy::ALL)?,
                cause: fields.octets(field::CAUSE),
                seconds: fields.long(field::SECONDS),
                since_invite: fields.long(field::SINCE_INVITE),
                code: fields.number(field::CODE),
            }),
            _ => return None,
        };
        let call = match fields.octets(field::CALL_DIGEST) {
            Some(digest) => CallName::Digest(digest.try_into().ok()?),
            None => CallName::Joined(fields.of(field::CALL)),
        };
        let (region, project, trunk) = (fields.text(field::REGION)?, fields.text(field::PROJECT), fields.text(field::TRUNK));
        Some(Self { at, region, project, trunk, call, cut: fields.octets(field::CUT).is_some(), fact })
    }
}

/// The fields of a slot, by their names.
struct Fields<'a>([Option<&'a [u8]>; field::LATER as usize + 1]);

impl Default for Fields<'_> {
    fn default() -> Self {
        Self([None; field::LATER as usize + 1])
    }
}

impl<'a> Fields<'a> {
    /// Takes up a field. One that this program does not know is passed over.
    fn take(&mut self, name: u8, octets: &'a [u8]) {
        if let Some(place) = self.0.get_mut(usize::from(name)) {
            *place = Some(octets);
        }
    }

    fn octets(&self, name: u8) -> Option<&'a [u8]> {
        *self.0.get(usize::from(name))?
    }

    fn of(&self, name: u8) -> &'a [u8] {
        self.octets(name).unwrap_or_default()
    }

    fn text(&self, name: u8) -> Option<&'a str> {
        std::str::from_utf8(self.octets(name)?).ok()
    }

    fn number(&self, name: u8) -> Option<u16> {
        Some(u16::from_le_bytes(self.octets(name)?.try_into().ok()?))
    }

    fn long(&self, name: u8) -> Option<u32> {
        Some(u32::from_le_bytes(self.octets(name)?.try_into().ok()?))
    }

    fn one_of<T: Copy>(&self, name: u8, all: &[T]) -> Option<T> {
        let &[at] = self.octets(name)? else { return None };
        all.get(usize::from(at)).copied()
    }

    fn place(&self, name: u8) -> Option<SocketAddr> {
        place(self.octets(name)?)
    }

    /// `None`: a part of it is none.
    fn way(&self) -> Option<WayFact<'a>> {
        let target = match self.octets(field::TARGET) {
            None => None,
            Some([transport, addr @ ..]) => Some((*Transport::ALL.get(usize::from(*transport))?, place(addr)?)),
            Some([]) => return None,
        };
        let mut media = ArrayVec::new();
        let mut rest = self.of(field::MEDIA);
        while let Some((&family, behind)) = rest.split_first() {
            let ip: IpAddr;
            (ip, rest) = match family {
                4 => behind.split_first_chunk().map(|(octets, rest)| (Ipv4Addr::from(*octets).into(), rest))?,
                6 => behind.split_first_chunk().map(|(octets, rest)| (Ipv6Addr::from(*octets).into(), rest))?,
                _ => return None,
            };
            media.try_push(ip).ok()?;
        }
        let media_verdict = self.one_of(field::MEDIA_VERDICT, &Spoken::ALL);
        Some(WayFact { serving: self.text(field::SERVING), target, media, media_verdict, relay: self.place(field::RELAY) })
    }
}

fn place(octets: &[u8]) -> Option<SocketAddr> {
    let (port, ip) = octets.split_first_chunk()?;
    let ip: IpAddr = match <[u8; 4]>::try_from(ip) {
        Ok(ip) => Ipv4Addr::from(ip).into(),
        Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?).into(),
    };
    Some(SocketAddr::new(ip, u16::from_le_bytes(*port)))
}

#[cfg(test)]
mod tests;
