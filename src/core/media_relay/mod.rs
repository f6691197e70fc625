//! Leading media through a relay: which message is an offer, which an answer, which relay takes it, and what then goes on instead.
//!
//! No dialog is remembered: the request's method, or what the open transaction knows of its request, tells. What has a session
//! description waits here for a relay's answer; what the relay gives back is judged in [`crate::core::media_relay::pool`]. Nothing is sent.

pub(crate) mod pool;

use std::net::SocketAddr;
use std::ops::Range;

use bytes::Bytes;

use crate::config::{Media, Mode, NextHop, ProjectId, RegionId, TrunkId};
use crate::core::forwarding::attempt::Env;
use crate::core::forwarding::branch::Branch;
use crate::core::io::{Anchor, Ask, Call, Command, Drop, Exchange, Note, Outcome, Output};
use crate::core::media_relay::pool::{Choice, Done};
use crate::core::memory::name_cache::Unknown;
use crate::core::request::Case;
use crate::core::response::blocked::is_reliable;
use crate::core::rules::media::{Part, Ruling, Speaker};
use crate::core::rules::trace::Account;
use crate::core::transaction::{Moored, Transaction};
use crate::fence::Fence;
use crate::reason::Reason;
use crate::sip::request::cseq;
use crate::sip::{Message, Method, Name, Response, body, list};

/// What is said of a message that waits.
#[derive(Debug)]
pub(crate) enum Pending {
    /// For a name.
    Name(NextHop),
    /// For a relay.
    Relay(Box<Anchor>),
    /// Behind an earlier message of its call.
    Behind(Call),
}

impl From<Unknown> for Pending {
    fn from(Unknown(next_hop): Unknown) -> Self {
        Self::Name(next_hop)
    }
}

/// What a session description is to the relay, with the tags of whoever made the offer and of the other side.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sense<'a> {
    Offer(&'a [u8], Option<&'a [u8]>),
    Answer(&'a [u8], &'a [u8]),
    /// Nothing that a relay could take.
    Neither,
}

/// Which relays may take it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Among {
    /// All that are up, this one first.
    First(Option<SocketAddr>),
    /// The one that has the offer.
    Only(SocketAddr),
}

/// Something that is said in a call whose media goes through a relay.
pub(crate) struct Speech<'a, 'm> {
    pub(crate) called: RegionId,
    pub(crate) project: Option<ProjectId>,
    pub(crate) trunk: Option<TrunkId>,
    pub(crate) call_id: &'a [u8],
    pub(crate) cseq: u32,
    pub(crate) sense: Sense<'a>,
    pub(crate) among: Among,
    pub(crate) message: &'a Message<'m>,
}

/// What goes on instead of what was said.
#[derive(Debug, Default)]
pub(crate) enum Anchored {
    /// It goes on as it is: it says nothing of media, or its media goes through no relay.
    #[default]
    Not,
    /// Through this relay, with this description in that place.
    At(SocketAddr, Range<usize>, Bytes),
    /// It would go nowhere, but its project only watches.
    Shadow(Reason),
    /// It goes nowhere. The failing field and its value, for a person.
    Denied(Reason, String),
}

impl Anchored {
    /// What would have refused it, did its project not only watch.
    pub(crate) fn shadow(&self) -> Option<Reason> {
        if let Self::Shadow(reason) = self { Some(*reason) } else { None }
    }

    /// The same as a ruling on the media.
    pub(crate) fn ruling(&self) -> Ruling {
        match self {
            Self::Not | Self::At(..) => Ruling::Pass,
            Self::Shadow(reason) => Ruling::Shadow(*reason),
            Self::Denied(reason, detail) => Ruling::Foreign(*reason, detail.clone()),
        }
    }
}

/// What a request means for the relay of its call.
#[derive(Debug)]
pub(crate) enum Mooring {
    /// The relay that its answer goes through, and what of the request changes.
    Fast(Option<Moored>, Anchored),
    /// It goes nowhere. The failing field and its value, for a person.
    Denied(Reason, String),
}

impl Env<'_> {
    /// Whether a message waits behind an earlier one of its call, or, where there is no room, goes nowhere.
    pub(crate) fn waits(&mut self, message: &Message<'_>) -> Option<Result<Outcome, Pending>> {
        let call_id = message.first(Name::CallId).map(|header| message.value(header)).unwrap_or_default();
        let call = self.relays.holds(self.keys, call_id)?;
        Some(if self.relays.queue(call) { Err(Pending::Behind(call)) } else { Ok(Outcome::Dropped(Drop::Behind)) })
    }

    /// Whether a project's media goes through relays.
    pub(crate) fn anchors(&self, project: Option<ProjectId>) -> bool {
        project.is_some_and(|project| self.config.project(project).media == Media::Relay)
    }

    /// A request that may pass: anchored if it says something of media, and with a relay for whatever will be answered. `relay`: the
    /// one that its dialog has.
    pub(crate) fn moor(
        &mut self,
        case: &Case<'_, '_>,
        (project, trunk): (ProjectId, TrunkId),
        relay: Option<SocketAddr>,
    ) -> Result<Mooring, Pending> {
        let request = case.request;
        let of_dialog = relay.map(|relay| Moored { relay, offered: false, counted: true, released: false });
        if !self.anchors(Some(project)) {
            // The project has changed since the call began: what the relay still has ends with the call.
            return Ok(Mooring::Fast(of_dialog.filter(|_| request.method == Method::Bye), Anchored::Not));
        }
        let inside = request.to_tag.is_some();
        let offers =
            matches!(request.method, Method::Invite) || inside && matches!(request.method, Method::Prack | Method::Update);
        let sense = if offers { Sense::Offer(request.from_tag, request.to_tag) } else { Sense::Neither };
        let speech = Speech {
            called: case.region(),
            project: Some(project),
            trunk: Some(trunk),
            call_id: request.call_id,
            cseq: request.cseq,
            sense,
            among: Among::First(relay),
            message: case.message,
        };
        match self.anchor(&speech)? {
            Anchored::Denied(reason, detail) => Ok(Mooring::Denied(reason, detail)),
            anchored @ Anchored::At(relay, ..) => {
                Ok(Mooring::Fast(Some(Moored { relay, offered: true, counted: true, released: false }), anchored))
            }
            // What answers this is as little to be anchored.
            anchored @ Anchored::Shadow(_) => Ok(Mooring::Fast(None, anchored)),
            // The offer is still to come, with the answer to this.
            Anchored::Not if request.method == Method::Invite => match self.relays(&speech).first() {
                Some(&relay) => {
                    let moored = Moored { relay, offered: false, counted: inside, released: false };
                    Ok(Mooring::Fast(Some(moored), Anchored::Not))
                }
                None => Ok(Mooring::Denied(Reason::TargetsDown, self.nobody(case.region()))),
            },
            Anchored::Not => Ok(Mooring::Fast(of_dialog, Anchored::Not)),
        }
    }

    /// A response, before anything follows from it.
    pub(crate) fn moor_response(
        &mut self,
        branch: Branch,
        transaction: &mut Transaction,
        message: &Message<'_>,
        response: &Response<'_>,
    ) -> Result<Anchored, Pending> {
        let Some(moored) = transaction.moored else { return Ok(Anchored::Not) };
        let (code, invite) = (response.code, transaction.is_invite());
        let goes_on = transaction.server.is_open() || invite && (200..=299).contains(&code);
        let present = transaction.client.nonce == branch.nonce;
        // What is not relayed anyway.
        if response.method != transaction.method
            || code <= 100
            || code < 200 && !(invite && present)
            || !goes_on
            || transaction.refused
            || list::items(message, Name::Via).nth(1).is_none()
        {
            return Ok(Anchored::Not);
        }
        let Some(from) = transaction.by_nonce(branch.nonce).map(|client| client.target.addr().ip()) else {
            return Ok(Anchored::Not);
        };
        let speaker = self.answerer(transaction, from);
        let ruling = speaker.judge(self.config, message, transaction.method, Part::Answer, &Account::closed(), &mut Vec::new());
        let (Some((cseq, _)), Ruling::Pass | Ruling::Shadow(_)) = (cseq(message), ruling) else { return Ok(Anchored::Not) };
        let call_id = message.first(Name::CallId).map(|header| message.value(header)).unwrap_or_default();
        let answers = invite || matches!(transaction.method, Method::Prack | Method::Update);
        let sense = match response.to_tag {
            Some(to) if answers && moored.offered && code < 300 => Sense::Answer(response.from_tag, to),
            // RFC 3262 5: whether a PRACK brings the answer to this could not be known when it comes.
            Some(to) if invite && !moored.offered && code < 300 && !(code < 200 && is_reliable(message)) => {
                Sense::Offer(to, Some(response.from_tag))
            }
            _ => Sense::Neither,
        };
        let among = if moored.offered { Among::Only(moored.relay) } else { Among::First(Some(moored.relay)) };
        let Transaction { region: called, project, trunk, .. } = *transaction;
        let anchored = self.anchor(&Speech { called, project, trunk, call_id, cseq, sense, among, message })?;
        if let Anchored::At(relay, ..) = anchored {
            if !moored.counted {
                self.out.push(Output::Note(Note::Anchored { region: called }));
            }
            transaction.moored = Some(Moored { relay, counted: true, ..moored });
        }
        Ok(anchored)
    }

    /// The ACK of a 2xx: if it says something of media, that is the answer.
    pub(crate) fn moor_ack(
        &mut self,
        case: &Case<'_, '_>,
        speaker: Speaker,
        relay: Option<SocketAddr>,
    ) -> Result<Anchored, Pending> {
        let Speaker { called, project, trunk, .. } = speaker;
        if !self.anchors(project) {
            return Ok(Anchored::Not);
        }
        let request = case.request;
        let sense = request.to_tag.map_or(Sense::Neither, |to| Sense::Answer(to, request.from_tag));
        // Only the relay that has the offer takes it; should that not be the token's, the others are asked.
        let among = Among::First(relay);
        let (call_id, cseq, message) = (request.call_id, request.cseq, case.message);
        self.anchor(&Speech { called, project, trunk, call_id, cseq, sense, among, message })
    }

    fn anchor(&mut self, speech: &Speech<'_, '_>) -> Result<Anchored, Pending> {
        let place = match body::only_description(speech.message) {
            Ok(None) => return Ok(Anchored::Not),
            Ok(Some(place)) if !matches!(speech.sense, Sense::Neither) => place,
            _ => return Ok(self.unfit(speech)),
        };
        let sdp = speech.message.slice(&place);
        let (ask, from, to) = match speech.sense {
            Sense::Offer(from, to) => (Ask::Offer, from, to),
            Sense::Answer(from, to) => (Ask::Answer, from, Some(to)),
            Sense::Neither => return Ok(Anchored::Not),
        };
        let call_id = self.relay_name(speech.project, speech.trunk, speech.call_id);
        let label = ask.label().as_bytes();
        let parts = [label, &call_id, from, to.unwrap_or_default(), &speech.cseq.to_le_bytes(), sdp];
        let cookie = self.keys.exchange(&parts);
        let tried = match self.relays.take_done(cookie) {
            Some(Done { sdp: Some(sdp), relay, .. }) => return Ok(Anchored::At(relay, place, sdp)),
            Some(done) => done.tried,
            None => Choice::new(),
        };
        let networks = &self.config.region(speech.called).networks;
        let mut candidates = self.relays(speech).into_iter().filter(|relay| !tried.contains(relay));
        let next = candidates.find_map(|relay| Fence::of_region(networks).admit(relay).ok());
        let Some(relay) = next else { return Ok(Anchored::Denied(Reason::TargetsDown, self.nobody(speech.called))) };
        let call = Call(self.keys.waiting(speech.call_id));
        if !self.relays.wait(call, cookie, tried) {
            return Ok(Anchored::Denied(Reason::TargetsDown, "too many calls wait for media relays".to_owned()));
        }
        let (from_tag, to_tag, sdp) = (from.to_vec(), to.map(<[u8]>::to_vec), sdp.to_vec());
        let command = Command::Session { call_id, from_tag, to_tag, sdp };
        let exchange = Exchange { call: Some(call), relay: relay.addr(), ask, cookie };
        Err(Pending::Relay(Box::new(Anchor { relay, exchange, command })))
    }

    /// A description that no relay can take the place of.
    fn unfit(&self, speech: &Speech<'_, '_>) -> Anchored {
        let watches = speech.project.is_some_and(|project| self.config.project(project).mode == Mode::Shadow);
        if watches {
            return Anchored::Shadow(Reason::UnreadableMedia);
        }
        Anchored::Denied(Reason::UnreadableMedia, "SDP that cannot be led through a media relay here".to_owned())
    }

    fn relays(&self, speech: &Speech<'_, '_>) -> Choice {
        match speech.among {
            Among::First(first) => self.relays.up(speech.called, self.keys.choice(speech.call_id), first),
            Among::Only(relay) => Choice::from_iter([relay]),
        }
    }

    /// Why there is no relay, for a person.
    fn nobody(&self, region: RegionId) -> String {
        let of = self.config.region(region);
        let relays: Vec<String> = of.relays.iter().map(|addr| format!("udp:{addr}")).collect();
        format!("no media relay of region {} takes the call: {}", of.name, relays.join(" "))
    }

    /// What the relay knows a call by: no trunk can name another's.
    fn relay_name(&self, project: Option<ProjectId>, trunk: Option<TrunkId>, call_id: &[u8]) -> Vec<u8> {
        let project = project.map(|id| self.config.project(id).name.as_str()).unwrap_or_default();
        let trunk = trunk.map(|id| self.config.trunk(id).name.as_str()).unwrap_or_default();
        [project.as_bytes(), b"/", trunk.as_bytes(), b"/", call_id].concat()
    }

    /// A call is over: its relay is told, or, if that is down, whoever may have it now. Nothing depends on the answer: what a relay
    /// hears nothing of any more it forgets by itself.
    pub(crate) fn release(
        &mut self,
        called: RegionId,
        (project, trunk): (Option<ProjectId>, Option<TrunkId>),
        relay: SocketAddr,
        call_id: &[u8],
    ) {
        let all = if self.relays.is_up(relay) { Choice::from_iter([relay]) } else { self.relays.up(called, 0, None) };
        let networks = &self.config.region(called).networks;
        for relay in all.into_iter().filter_map(|relay| Fence::of_region(networks).admit(relay).ok()) {
            let call_id = self.relay_name(project, trunk, call_id);
            // Each is a question of its own: the call may have begun anew since the last.
            let cookie = self.keys.exchange(&[Ask::Delete.label().as_bytes(), &call_id, &self.relays.next_number()]);
            let exchange = Exchange { call: None, relay: relay.addr(), ask: Ask::Delete, cookie };
            self.out.push(Output::Anchor(Anchor { relay, exchange, command: Command::Delete { call_id } }));
        }
    }

    /// The same for a transaction's call, if it has a relay.
    pub(crate) fn let_go(&mut self, transaction: &mut Transaction, message: &Message<'_>) {
        let Some(moored) = transaction.moored.as_mut().filter(|moored| !moored.released) else { return };
        moored.released = true;
        let moored = *moored;
        let call_id = message.first(Name::CallId).map(|header| message.value(header)).unwrap_or_default();
        self.release(transaction.region, (transaction.project, transaction.trunk), moored.relay, call_id);
    }
}
