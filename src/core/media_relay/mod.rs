//! Leading media through a relay: which message is an offer, which an answer, which relay takes it, and what then goes on instead.
//!
//! No dialog is remembered: the request's method, or what the open transaction knows of its request, tells. What has a session
//! description waits here for a relay's answer; what the relay gives back is judged in [`crate::core::media_relay::pool`]. Nothing is sent.

pub(crate) mod pool;

use std::net::SocketAddr;

use crate::config::{Media, Mode, NextHop, ProjectId, RegionId, TrunkId};
use crate::core::context::Context;
use crate::core::forwarding::branch::Branch;
use crate::core::forwarding::media_swap::MediaSwap;
use crate::core::io::{CallKey, DropCause, Note, Outcome, Output, RelayBody, RelayRequest, RelayRequestId, RelayVerb};
use crate::core::media_relay::pool::{Choice, Done};
use crate::core::memory::name_cache::UnknownName;
use crate::core::rules::case::Case;
use crate::core::rules::media::{Part, Ruling};
use crate::core::rules::sides::Speaker;
use crate::core::rules::trace::Trace;
use crate::core::transaction::{CallRelay, Transaction};
use crate::fence::Fence;
use crate::reason::Reason;
use crate::sip::request::cseq;
use crate::sip::response::is_reliable;
use crate::sip::{Message, Method, Name, Response, body, list};

/// What is said of a message that waits.
#[derive(Debug)]
pub(crate) enum Pending {
    /// For a name.
    Name(NextHop),
    /// For a relay.
    Relay(Box<RelayRequest>),
    /// Behind an earlier message of its call.
    Behind(CallKey),
}

impl From<UnknownName> for Pending {
    fn from(UnknownName(next_hop): UnknownName) -> Self {
        Self::Name(next_hop)
    }
}

/// What a session description is to the relay, with the tags of whoever made the offer and of the other side.
#[derive(Clone, Copy, Debug)]
pub(crate) enum OfferAnswer<'a> {
    Offer(&'a [u8], Option<&'a [u8]>),
    Answer(&'a [u8], &'a [u8]),
    /// Nothing that a relay could take.
    Neither,
}

/// Which relays may take it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Candidates {
    /// All that are up, this one first.
    First(Option<SocketAddr>),
    /// The one that has the offer.
    Only(SocketAddr),
}

/// Something that is said in a call whose media goes through a relay.
pub(crate) struct RelayLeg<'a, 'm> {
    pub(crate) called: RegionId,
    pub(crate) project: Option<ProjectId>,
    pub(crate) trunk: Option<TrunkId>,
    pub(crate) call_id: &'a [u8],
    pub(crate) cseq: u32,
    pub(crate) sense: OfferAnswer<'a>,
    pub(crate) among: Candidates,
    pub(crate) message: &'a Message<'m>,
}

/// What a request means for the relay of its call.
#[derive(Debug)]
pub(crate) enum Relayed {
    /// The relay that its answer goes through, and what of the request changes.
    Fast(Option<CallRelay>, MediaSwap),
    /// It goes nowhere. The failing field and its value, for a person.
    Denied(Reason, String),
}

impl Context<'_> {
    /// Whether a message waits behind an earlier one of its call, or, where there is no room, goes nowhere.
    pub(crate) fn waits(&mut self, message: &Message<'_>) -> Option<Result<Outcome, Pending>> {
        let call_id = message.first(Name::CallId).map(|header| message.value(header)).unwrap_or_default();
        let call = self.relays.holds(self.keys, call_id)?;
        Some(if self.relays.queue(call) { Err(Pending::Behind(call)) } else { Ok(Outcome::Dropped(DropCause::Behind)) })
    }

    /// Whether a project's media goes through relays.
    pub(crate) fn anchors(&self, project: Option<ProjectId>) -> bool {
        project.is_some_and(|project| self.config.project(project).media == Media::Relay)
    }

    /// A request that may pass: swap if it says something of media, and with a relay for whatever will be answered. `relay`: the
    /// one that its dialog has.
    pub(crate) fn relay_offer(
        &mut self,
        case: &Case<'_, '_>,
        (project, trunk): (ProjectId, TrunkId),
        relay: Option<SocketAddr>,
    ) -> Result<Relayed, Pending> {
        let request = case.request;
        let of_dialog = relay.map(|relay| CallRelay { relay, offered: false, counted: true, released: false });
        if !self.anchors(Some(project)) {
            // The project has changed since the call began: what the relay still has ends with the call.
            return Ok(Relayed::Fast(of_dialog.filter(|_| request.method == Method::Bye), MediaSwap::Not));
        }
        let inside = request.to_tag.is_some();
        let offers =
            matches!(request.method, Method::Invite) || inside && matches!(request.method, Method::Prack | Method::Update);
        let sense = if offers { OfferAnswer::Offer(request.from_tag, request.to_tag) } else { OfferAnswer::Neither };
        let speech = RelayLeg {
            called: case.region(),
            project: Some(project),
            trunk: Some(trunk),
            call_id: request.call_id,
            cseq: request.cseq,
            sense,
            among: Candidates::First(relay),
            message: case.message,
        };
        match self.anchor(&speech)? {
            MediaSwap::Denied(reason, detail) => Ok(Relayed::Denied(reason, detail)),
            swap @ MediaSwap::At(relay, ..) => {
                Ok(Relayed::Fast(Some(CallRelay { relay, offered: true, counted: true, released: false }), swap))
            }
            // What answers this is as little to be swap.
            swap @ MediaSwap::Shadow(_) => Ok(Relayed::Fast(None, swap)),
            // The offer is still to come, with the answer to this.
            MediaSwap::Not if request.method == Method::Invite => match self.relays(&speech).first() {
                Some(&relay) => {
                    let call_relay = CallRelay { relay, offered: false, counted: inside, released: false };
                    Ok(Relayed::Fast(Some(call_relay), MediaSwap::Not))
                }
                None => Ok(Relayed::Denied(Reason::TargetsDown, self.nobody(case.region()))),
            },
            MediaSwap::Not => Ok(Relayed::Fast(of_dialog, MediaSwap::Not)),
        }
    }

    /// A response, before anything follows from it.
    pub(crate) fn relay_answer(
        &mut self,
        branch: Branch,
        transaction: &mut Transaction,
        message: &Message<'_>,
        response: &Response<'_>,
    ) -> Result<MediaSwap, Pending> {
        let Some(call_relay) = transaction.call_relay else { return Ok(MediaSwap::Not) };
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
            return Ok(MediaSwap::Not);
        }
        let Some(from) = transaction.by_nonce(branch.nonce).map(|client| client.target.addr().ip()) else {
            return Ok(MediaSwap::Not);
        };
        let speaker = self.answerer(transaction, from);
        let ruling = speaker.judge(self.config, message, transaction.method, Part::Answer, &Trace::closed(), &mut Vec::new());
        let (Some((cseq, _)), Ruling::Pass | Ruling::Shadow(_)) = (cseq(message), ruling) else { return Ok(MediaSwap::Not) };
        let call_id = message.first(Name::CallId).map(|header| message.value(header)).unwrap_or_default();
        let answers = invite || matches!(transaction.method, Method::Prack | Method::Update);
        let sense = match response.to_tag {
            Some(to) if answers && call_relay.offered && code < 300 => OfferAnswer::Answer(response.from_tag, to),
            // RFC 3262 5: whether a PRACK brings the answer to this could not be known when it comes.
            Some(to) if invite && !call_relay.offered && code < 300 && !(code < 200 && is_reliable(message)) => {
                OfferAnswer::Offer(to, Some(response.from_tag))
            }
            _ => OfferAnswer::Neither,
        };
        let among =
            if call_relay.offered { Candidates::Only(call_relay.relay) } else { Candidates::First(Some(call_relay.relay)) };
        let Transaction { region: called, project, trunk, .. } = *transaction;
        let swap = self.anchor(&RelayLeg { called, project, trunk, call_id, cseq, sense, among, message })?;
        if let MediaSwap::At(relay, ..) = swap {
            if !call_relay.counted {
                self.out.push(Output::Note(Note::MediaRelayed { region: called }));
            }
            transaction.call_relay = Some(CallRelay { relay, counted: true, ..call_relay });
        }
        Ok(swap)
    }

    /// The ACK of a 2xx: if it says something of media, that is the answer.
    pub(crate) fn relay_ack(
        &mut self,
        case: &Case<'_, '_>,
        speaker: Speaker,
        relay: Option<SocketAddr>,
    ) -> Result<MediaSwap, Pending> {
        let Speaker { called, project, trunk, .. } = speaker;
        if !self.anchors(project) {
            return Ok(MediaSwap::Not);
        }
        let request = case.request;
        let sense = request.to_tag.map_or(OfferAnswer::Neither, |to| OfferAnswer::Answer(to, request.from_tag));
        // Only the relay that has the offer takes it; should that not be the token's, the others are asked.
        let among = Candidates::First(relay);
        let (call_id, cseq, message) = (request.call_id, request.cseq, case.message);
        self.anchor(&RelayLeg { called, project, trunk, call_id, cseq, sense, among, message })
    }

    fn anchor(&mut self, speech: &RelayLeg<'_, '_>) -> Result<MediaSwap, Pending> {
        let place = match body::only_description(speech.message) {
            Ok(None) => return Ok(MediaSwap::Not),
            Ok(Some(place)) if !matches!(speech.sense, OfferAnswer::Neither) => place,
            _ => return Ok(self.unfit(speech)),
        };
        let sdp = speech.message.slice(&place);
        let (ask, from, to) = match speech.sense {
            OfferAnswer::Offer(from, to) => (RelayVerb::Offer, from, to),
            OfferAnswer::Answer(from, to) => (RelayVerb::Answer, from, Some(to)),
            OfferAnswer::Neither => return Ok(MediaSwap::Not),
        };
        let call_id = self.relay_name(speech.project, speech.trunk, speech.call_id);
        let label = ask.label().as_bytes();
        let parts = [label, &call_id, from, to.unwrap_or_default(), &speech.cseq.to_le_bytes(), sdp];
        let cookie = self.keys.exchange(&parts);
        let tried = match self.relays.take_done(cookie) {
            Some(Done { sdp: Some(sdp), relay, .. }) => return Ok(MediaSwap::At(relay, place, sdp)),
            Some(done) => done.tried,
            None => Choice::new(),
        };
        let networks = &self.config.region(speech.called).networks;
        let mut candidates = self.relays(speech).into_iter().filter(|relay| !tried.contains(relay));
        let next = candidates.find_map(|relay| Fence::of_region(networks).admit(relay).ok());
        let Some(relay) = next else { return Ok(MediaSwap::Denied(Reason::TargetsDown, self.nobody(speech.called))) };
        let call = CallKey(self.keys.waiting(speech.call_id));
        if !self.relays.wait(call, cookie, tried) {
            return Ok(MediaSwap::Denied(Reason::TargetsDown, "too many calls wait for media relays".to_owned()));
        }
        let (from_tag, to_tag, sdp) = (from.to_vec(), to.map(<[u8]>::to_vec), sdp.to_vec());
        let command = RelayBody::Session { call_id, from_tag, to_tag, sdp };
        let exchange = RelayRequestId { call: Some(call), relay: relay.addr(), ask, cookie };
        Err(Pending::Relay(Box::new(RelayRequest { relay, exchange, command })))
    }

    /// A description that no relay can take the place of.
    fn unfit(&self, speech: &RelayLeg<'_, '_>) -> MediaSwap {
        let watches = speech.project.is_some_and(|project| self.config.project(project).mode == Mode::Shadow);
        if watches {
            return MediaSwap::Shadow(Reason::UnreadableMedia);
        }
        MediaSwap::Denied(Reason::UnreadableMedia, "SDP that cannot be led through a media relay here".to_owned())
    }

    fn relays(&self, speech: &RelayLeg<'_, '_>) -> Choice {
        match speech.among {
            Candidates::First(first) => self.relays.up(speech.called, self.keys.choice(speech.call_id), first),
            Candidates::Only(relay) => Choice::from_iter([relay]),
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
            let cookie = self.keys.exchange(&[RelayVerb::Delete.label().as_bytes(), &call_id, &self.relays.next_number()]);
            let exchange = RelayRequestId { call: None, relay: relay.addr(), ask: RelayVerb::Delete, cookie };
            self.out.push(Output::Relay(RelayRequest { relay, exchange, command: RelayBody::Delete { call_id } }));
        }
    }

    /// The same for a transaction's call, if it has a relay.
    pub(crate) fn let_go(&mut self, transaction: &mut Transaction, message: &Message<'_>) {
        let Some(call_relay) = transaction.call_relay.as_mut().filter(|call_relay| !call_relay.released) else { return };
        call_relay.released = true;
        let call_relay = *call_relay;
        let call_id = message.first(Name::CallId).map(|header| message.value(header)).unwrap_or_default();
        self.release(transaction.region, (transaction.project, transaction.trunk), call_relay.relay, call_id);
    }
}
