//! Media through a relay: which message is an offer, which an answer, which relay takes it, and what then replaces its
//! description.
//!
//! No dialog is remembered: the request's method, or the open transaction, says what a message is. A message with a session
//! description waits for a relay's answer, which [`pool`] judges. Nothing is sent here.

use std::net::SocketAddr;

use crate::config::{Media, Mode, ProjectId, RegionId, TrunkId};
use crate::core::forwarding::media_swap::MediaSwap;
use crate::core::io::{CallKey, RelayBody, RelayRequest, RelayRequestId, RelayVerb, Share};
use crate::core::relay_request::{RelayAnswer, RelayList};
use crate::core::rules::broken_rule::BrokenRule;
use crate::core::rules::case::Case;
use crate::core::rules::refusal::Refusal;
use crate::core::rules::sides::Speaker;
use crate::core::rules::trace::{Test, Trace};
use crate::core::stop::{Pending, RelayWait, Stop};
use crate::core::transaction::forwarded::{CallFacts, CallRelay};
use crate::core::view::View;
use crate::fence::Fence;
use crate::reason::Reason;
use crate::sip::request::cseq;
use crate::sip::response::is_reliable;
use crate::sip::{Message, Method, Name, Response, body};

mod answers;
pub(crate) mod pool;
pub(crate) mod release;

/// What a session description is to the relay. Holds the tag of the party that made the offer, then the tag of the other party.
#[derive(Clone, Copy, Debug)]
enum OfferAnswer<'a> {
    Offer(&'a [u8], Option<&'a [u8]>),
    Answer(&'a [u8], &'a [u8]),
    /// Neither an offer nor an answer that a relay could take.
    Neither,
}

/// Which relays may take it.
#[derive(Clone, Copy, Debug)]
enum Candidates {
    /// All that are up, this one first.
    First(Option<SocketAddr>),
    /// The one that has the offer.
    Only(SocketAddr),
}

/// One message of a call whose media goes through a relay.
struct RelayLeg<'a, 'm> {
    called: RegionId,
    project: Option<ProjectId>,
    trunk: Option<TrunkId>,
    call_id: &'a [u8],
    cseq: u32,
    op: OfferAnswer<'a>,
    candidates: Candidates,
    message: &'a Message<'m>,
    /// The relay's answer, if the message has waited for one.
    answer: Option<&'a RelayAnswer>,
    trace: &'a Trace,
}

impl View<'_> {
    /// Whether a project's media goes through relays.
    fn relays_media(&self, project: Option<ProjectId>) -> bool {
        project.is_some_and(|project| self.config.project(project).media == Media::Relay)
    }

    /// Decides about a request that may pass. If it has an offer, a relay takes it; if not, there must be a relay for the offer
    /// in the response. `relay`: the relay that its dialog has.
    pub(crate) fn relay_offer(
        &self,
        case: &Case<'_, '_>,
        (project, trunk): (ProjectId, TrunkId),
        relay: Option<SocketAddr>,
    ) -> Result<(Option<CallRelay>, MediaSwap), Stop> {
        let request = case.request;
        let of_dialog = relay.map(|relay| CallRelay { relay, offered: false, counted: true, released: false });
        if !self.relays_media(Some(project)) {
            // The project has changed since the call began: what the relay still has ends with the call.
            return Ok((of_dialog.filter(|_| request.method == Method::Bye), MediaSwap::Not));
        }
        let in_dialog = request.to_tag.is_some();
        let offers =
            matches!(request.method, Method::Invite) || in_dialog && matches!(request.method, Method::Prack | Method::Update);
        let op = if offers { OfferAnswer::Offer(request.from_tag, request.to_tag) } else { OfferAnswer::Neither };
        let leg = RelayLeg {
            called: case.region(),
            project: Some(project),
            trunk: Some(trunk),
            call_id: request.call_id,
            cseq: request.cseq,
            op,
            candidates: Candidates::First(relay),
            message: case.message,
            answer: case.relay_answer,
            trace: case.trace,
        };
        match self.swap(&leg)? {
            swap @ MediaSwap::At(relay, ..) => {
                Ok((Some(CallRelay { relay, offered: true, counted: true, released: false }), swap))
            }
            // Its answer goes through no relay either.
            swap @ MediaSwap::Shadow(_) => Ok((None, swap)),
            // The offer is still to come, with the answer to this.
            MediaSwap::Not if request.method == Method::Invite => match self.candidates(&leg).first() {
                Some(&relay) => {
                    let call_relay = CallRelay { relay, offered: false, counted: in_dialog, released: false };
                    Ok((Some(call_relay), MediaSwap::Not))
                }
                None => Err(self.no_relay(&leg).into()),
            },
            MediaSwap::Not => Ok((of_dialog, MediaSwap::Not)),
        }
    }

    /// Decides about an answer that may pass and goes on: the relay that has its offer takes it.
    pub(crate) fn relay_answer(
        &self,
        call: &CallFacts,
        message: &Message<'_>,
        response: &Response<'_>,
        answer: Option<&RelayAnswer>,
    ) -> Result<MediaSwap, Stop> {
        let Some(call_relay) = call.call_relay else { return Ok(MediaSwap::Not) };
        let Some((cseq, _)) = cseq(message) else { return Ok(MediaSwap::Not) };
        let (code, invite) = (response.code, call.method == Method::Invite);
        let call_id = message.first(Name::CallId).map(|header| message.value(header)).unwrap_or_default();
        let answers = invite || matches!(call.method, Method::Prack | Method::Update);
        let op = match response.to_tag {
            Some(to) if answers && call_relay.offered && code < 300 => OfferAnswer::Answer(response.from_tag, to),
            // RFC 3262 5: whether a PRACK brings the answer to this could not be known when it comes.
            Some(to) if invite && !call_relay.offered && code < 300 && !(code < 200 && is_reliable(message)) => {
                OfferAnswer::Offer(to, Some(response.from_tag))
            }
            _ => OfferAnswer::Neither,
        };
        let relay = call_relay.relay;
        let candidates = if call_relay.offered { Candidates::Only(relay) } else { Candidates::First(Some(relay)) };
        let &CallFacts { region: called, project, trunk, .. } = call;
        let trace = &Trace::closed();
        self.swap(&RelayLeg { called, project, trunk, call_id, cseq, op, candidates, message, answer, trace })
    }

    /// Decides about the ACK of a 2xx: its session description, if it has one, is the answer.
    pub(crate) fn relay_ack(&self, case: &Case<'_, '_>, speaker: Speaker, relay: Option<SocketAddr>) -> Result<MediaSwap, Stop> {
        let Speaker { called, project, trunk, .. } = speaker;
        if !self.relays_media(project) {
            return Ok(MediaSwap::Not);
        }
        let request = case.request;
        let op = request.to_tag.map_or(OfferAnswer::Neither, |to| OfferAnswer::Answer(to, request.from_tag));
        // Only the relay that has the offer takes it; if that is not the token's, the others are asked.
        let candidates = Candidates::First(relay);
        let (call_id, cseq, message) = (request.call_id, request.cseq, case.message);
        let (answer, trace) = (case.relay_answer, case.trace);
        self.swap(&RelayLeg { called, project, trunk, call_id, cseq, op, candidates, message, answer, trace })
    }

    /// The media swap for a message.
    fn swap(&self, leg: &RelayLeg<'_, '_>) -> Result<MediaSwap, Stop> {
        let place = match body::only_description(leg.message) {
            Ok(None) => return Ok(MediaSwap::Not),
            Ok(Some(place)) => place,
            Err(_) => return self.unfit(leg),
        };
        let (verb, from, to) = match leg.op {
            OfferAnswer::Offer(from, to) => (RelayVerb::Offer, from, to),
            OfferAnswer::Answer(from, to) => (RelayVerb::Answer, from, Some(to)),
            OfferAnswer::Neither => return self.unfit(leg),
        };
        let sdp = leg.message.slice(&place);
        let call_id = self.relay_name(leg.project, leg.trunk, leg.call_id);
        let label = verb.label().as_bytes();
        let parts = [label, &call_id, from, to.unwrap_or_default(), &leg.cseq.to_le_bytes(), sdp];
        let cookie = self.keys.relay_request(&parts);
        let tried = match leg.answer.filter(|answer| answer.cookie == cookie) {
            Some(RelayAnswer { sdp: Some(sdp), relay, .. }) => return Ok(MediaSwap::At(*relay, place, sdp.clone())),
            Some(answer) => answer.tried.clone(),
            None => RelayList::new(),
        };
        let networks = &self.config.region(leg.called).networks;
        let mut candidates = self.candidates(leg).into_iter().filter(|relay| !tried.contains(relay));
        let next = candidates.find_map(|relay| Fence::of_region(networks).admit(relay).ok());
        let Some(relay) = next else { return Err(self.no_relay(leg).into()) };
        if !self.waiting.has_room_for_relay(leg.trunk, leg.message.bytes().len()) {
            let detail = "too many calls wait for media relays";
            let row = leg.trace.fail(Test::Capacity, || (detail.to_owned(), "room to wait in the share of its trunk".to_owned()));
            let refusal = Refusal::new(row, Reason::TargetsDown, detail).of(leg.project, leg.trunk).of_media();
            return Err(refusal.beyond(Share::Relays).into());
        }
        let (from_tag, to_tag, sdp) = (from.to_vec(), to.map(<[u8]>::to_vec), sdp.to_vec());
        let body = RelayBody::Session { call_id, from_tag, to_tag, sdp };
        let call = Some(CallKey(self.keys.waiting(leg.call_id)));
        let id = RelayRequestId { call, relay: relay.addr(), verb, cookie };
        let request = RelayRequest { relay, id, body };
        Err(Stop::Waits(Pending::Relay(Box::new(RelayWait { request, trunk: leg.trunk, tried }))))
    }

    /// Decides about a description that no relay can replace.
    fn unfit(&self, leg: &RelayLeg<'_, '_>) -> Result<MediaSwap, Stop> {
        let watches = leg.project.is_some_and(|project| self.config.project(project).mode == Mode::Shadow);
        let detail = "SDP that cannot be led through a media relay here";
        let says =
            || (detail.to_owned(), "media = \"relay\": one description in plain text, in an offer or an answer".to_owned());
        match leg.trace.object(watches, Test::Media, says) {
            Ok(()) => Ok(MediaSwap::Shadow(BrokenRule::new(Reason::UnreadableMedia, detail).into())),
            Err(row) => Err(Refusal::new(row, Reason::UnreadableMedia, detail).of(leg.project, leg.trunk).of_media().into()),
        }
    }

    fn candidates(&self, leg: &RelayLeg<'_, '_>) -> RelayList {
        match leg.candidates {
            Candidates::First(first) => self.relays.up(leg.called, self.keys.choice(leg.call_id), first),
            Candidates::Only(relay) => RelayList::from_iter([relay]),
        }
    }

    /// The refusal if no relay takes the call.
    fn no_relay(&self, leg: &RelayLeg<'_, '_>) -> Refusal {
        let of = self.config.region(leg.called);
        let relays: Vec<String> = of.relays.iter().map(|addr| format!("udp:{addr}")).collect();
        let detail = format!("no media relay of region {} takes the call: {}", of.name, relays.join(" "));
        let row = leg.trace.fail(Test::Media, || (detail.clone(), "a media relay that is up and takes it".to_owned()));
        Refusal::new(row, Reason::TargetsDown, detail).of(leg.project, leg.trunk).of_media()
    }

    /// The relay's name for a call. It includes project and trunk, so that no trunk can name another's call. A call out may go on from one
    /// trunk of `out` to the next: these have one name, that of the first.
    pub(crate) fn relay_name(&self, project_id: Option<ProjectId>, trunk: Option<TrunkId>, call_id: &[u8]) -> Vec<u8> {
        let project = project_id.map(|id| &*self.config.project(id).name).unwrap_or_default();
        let of_out = project_id.map_or(&[][..], |id| &self.config.project(id).out);
        let trunk = trunk.map(|id| if of_out.contains(&id) { of_out.first().copied().unwrap_or(id) } else { id });
        let trunk = trunk.map(|id| &*self.config.trunk(id).name).unwrap_or_default();
        [project.as_bytes(), b"/", trunk.as_bytes(), b"/", call_id].concat()
    }
}
