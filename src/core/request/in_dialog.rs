//! A request inside a dialog. The token that we signed says where it goes, and the fence judges every hop.
//!
//! No dialog is remembered: the token holds all that is needed.

use super::initial::{method_served, unfit};
use crate::config::{Endpoint, ProjectId, Transport, TrunkId};
use crate::core::forwarding::plan::{Decision, Plan};
use crate::core::forwarding::rewrite;
use crate::core::io::{DropCause, Note, Share};
use crate::core::memory::dialog_pace::Sender;
use crate::core::memory::rate_limit::Pace;
use crate::core::routing::behind::Beyond;
use crate::core::routing::route_set::{self, RouteSet};
use crate::core::routing::target::{self, Found, Order, Target, TargetSet};
use crate::core::rules::admit::Counted;
use crate::core::rules::case::Case;
use crate::core::rules::media::{Judgement, Part, Ruling};
use crate::core::rules::number;
use crate::core::rules::refusal::{Refusal, shown};
use crate::core::rules::side::Side;
use crate::core::rules::sides::{comes_from_us, dialog_fence, speaker_in_dialog};
use crate::core::rules::trace::{Failed, Test, around, servers_around, trunk_name};
use crate::core::state::Core;
use crate::core::stop::{Pending, Stop};
use crate::core::telling;
use crate::core::transaction::forwarded::{CallFacts, DialogFacts};
use crate::core::transaction::shares::Asking;
use crate::fence::Fence;
use crate::reason::Reason;
use crate::sip::Method;
use crate::sip::edit::Edit;
use crate::sip::uri::{Host, Scheme};

/// Why a next hop is none of those that this side may reach. A name stands for itself: what it resolves to inside is nobody's business.
fn no_side(route: &RouteSet<'_>, asks: Side) -> String {
    let next = shown(route.next.hostport);
    match asks {
        Side::Trunk => format!("next hop {next} is outside, or no server of the region"),
        Side::Servers => format!("next hop {next} is outside, or neither the trunk's nor a server of the region"),
    }
}

impl Core {
    /// Decides about a request inside a dialog. `edit` takes up the changes.
    pub(crate) fn decide_in_dialog(&self, case: &Case<'_, '_>, edit: &mut Edit) -> Decision {
        let mut counted = Counted::default();
        let result = self.plan_in_dialog(case, &mut counted.media, edit);
        Decision { counted, result }
    }

    fn plan_in_dialog(&self, case: &Case<'_, '_>, media: &mut Option<Note>, edit: &mut Edit) -> Result<Plan, Stop> {
        let Some(route) = self.route_set(case) else {
            let row = case.trace.fail(Test::Dialog, || {
                ("Route".to_owned(), "a route token signed for this dialog by this region's key".to_owned())
            });
            return Err(Refusal::new(row, Reason::ForgedRoute, "no valid route token of this dialog").into());
        };
        let config = &*self.config;
        let view = self.view(case.now);
        let trunk = config.trunk(route.vouched.trunk);
        let whose = (trunk.project, route.vouched.trunk);
        case.trace.pass(Test::Dialog, || {
            let serving = &config.region(route.vouched.serving).name;
            let what = format!("{}, served by region {serving}", trunk_name(config, route.vouched.trunk));
            ("route token, valid for this dialog".to_owned(), what)
        });
        let fence = self.side_of(case, &route)?;
        let asks = route.speaks;
        let refusal = |row: Failed, reason, detail: String| {
            Refusal::new(row, reason, detail).of(Some(whose.0), Some(whose.1)).asked_by(asks)
        };
        self.keeps_pace(case, whose, asks)?;
        method_served(config.region(case.region()), case)?;
        unfit(case)?;
        let found = self.dialog_targets(case, &route, fence)?;
        let speaker = speaker_in_dialog(view, case, &route);
        let Judgement { ruling, note } = speaker.judge(config, case.message, case.request.method, Part::Offer, case.trace);
        *media = note;
        let foreign = match ruling {
            Ruling::Pass => None,
            Ruling::Shadow(broken) => Some(broken),
            Ruling::Foreign(refusal) => return Err(refusal.into()),
        };
        let mut targets = match found {
            Found::Inside(targets) => targets,
            found @ (Found::Nothing(_) | Found::Plain) => {
                let why = if let Found::Nothing(why) = found { why.sentence() } else { "has no address over TLS" };
                let detail = format!("next hop {} {why}", shown(route.next.hostport));
                let row = case.trace.fail(Test::Targets, || (detail.clone(), "an address".to_owned()));
                return Err(refusal(row, Reason::NoTarget, detail).into());
            }
            Found::NoRoom => {
                let detail = format!("next hop {} was not looked up: too many names are", shown(route.next.hostport));
                let row = case.trace.fail(Test::Targets, || {
                    (detail.clone(), format!("room in the share of {}", trunk_name(config, route.vouched.trunk)))
                });
                return Err(refusal(row, Reason::NoTarget, detail).beyond(Share::Names).into());
            }
            Found::Outside(addr) => {
                let row =
                    case.trace.fail(Test::Targets, || (addr.to_string(), "a server of the region, or the trunk".to_owned()));
                return Err(refusal(row, Reason::ForeignDialogTarget, no_side(&route, asks)).into());
            }
            Found::Barred(detail) => {
                let row = case.trace.fail(Test::Targets, || (detail.clone(), "inside, and not our own listener".to_owned()));
                return Err(refusal(row, Reason::ForeignDialogTarget, detail).into());
            }
        };
        let foreign = match asks {
            Side::Servers => foreign.or(number::judge_referred(config, case, whose.1)?),
            Side::Trunk => foreign,
        };
        self.has_room(case, Asking::inside(case.request.method), whose)?;
        let (call_relay, swap) = view.relay_offer(case, whose, route.vouched.relay)?;
        let shadow = foreign.or_else(|| swap.shadow());
        edit.clear();
        rewrite::swap_media(case.message, &swap, edit);
        route.edit(case.message, case.uri_range(), edit);
        rewrite::common(case.message, case.request, case.peer.addr(), edit);
        let transport = targets.first().and_then(|target| target.transport).unwrap_or(Transport::Udp);
        let side = route.leave_by.and_then(|hostport| self.local_names.find(config, case.region(), hostport, transport));
        let mut call = CallFacts {
            region: case.region(),
            asks,
            project: Some(whose.0),
            trunk: Some(whose.1),
            serving: None,
            method: case.request.method,
            call_relay,
            origin: view.origin_over_tls(&route, &targets),
            token: route.records(&self.keys, case.request, case.origin()),
            loop_hash: self.loop_hash(case.message, case.request),
            spread: 0,
            since: case.now,
            dialog: DialogFacts {
                began: route.began,
                time: route.time,
                cause: (case.request.method == Method::Bye).then(|| telling::cause(config, case.message)).flatten(),
            },
        };
        let prefer = side.unwrap_or(case.arrival.listener);
        if let Some(first) = view.first_egress(case, &mut call, prefer, &mut targets, edit) {
            return Ok(Plan { call, first, targets, shadow, unreachable: None });
        }
        let detail = "no listener reaches the next hop".to_owned();
        let row = case.trace.fail(Test::Targets, || ("next hop".to_owned(), detail.clone()));
        Err(refusal(row, Reason::TargetsDown, detail).into())
    }

    /// Stops a request inside a dialog that comes too fast. It ends no call: the other side's requests, ACK and BYE have paces of
    /// their own.
    fn keeps_pace(&self, case: &Case<'_, '_>, (project, trunk): (ProjectId, TrunkId), asks: Side) -> Result<(), Stop> {
        let limits = &self.config.limits;
        let sender = Sender::of(trunk, asks, case.request.method);
        let pace = self.dialog_pace.judge(case.now, sender, limits);
        if pace == Pace::Within {
            return Ok(());
        }
        let row = case.trace.fail(Test::Capacity, || {
            let side = if asks == Side::Trunk { "" } else { "the servers, in dialogs of " };
            let from = format!("{side}{}", trunk_name(&self.config, trunk));
            (format!("requests inside dialogs from {from}"), format!("{} a second", sender.rate(limits)))
        });
        if pace == Pace::Flood {
            return Err(Stop::Dropped(DropCause::Flood));
        }
        let refusal = Refusal::new(row, Reason::Overloaded, "too many requests a second inside dialogs");
        Err(refusal.of(Some(project), Some(trunk)).beyond(Share::Pace).into())
    }

    /// The fence for the side of the dialog that a request comes from.
    fn side_of(&self, case: &Case<'_, '_>, route: &RouteSet<'_>) -> Result<Fence<'_>, Refusal> {
        let config = &*self.config;
        let trunk = config.trunk(route.vouched.trunk);
        let says = || {
            let ip = case.arrival.from.ip();
            let servers = servers_around(ip, self.servers.in_dialog(route.vouched.serving));
            let name = trunk_name(config, route.vouched.trunk);
            let sides = format!("servers {servers}, or {name}: {}", around(ip, &[&trunk.networks, trunk.reach()]));
            (format!("source {ip}"), format!("the two sides of the dialog: {sides}"))
        };
        let Some(fence) = dialog_fence(self.view(case.now), case, route) else {
            let row = case.trace.fail(Test::Dialog, says);
            let detail = format!("source {} is no side of the dialog", case.arrival.from.ip());
            return Err(Refusal::new(row, Reason::UnknownSource, detail).of(Some(trunk.project), Some(route.vouched.trunk)));
        };
        case.trace.pass(Test::Dialog, says);
        Ok(fence)
    }

    /// The addresses of the next hop. `Err`: they, or whether what stands behind them is inside, depend on a name that has to be looked
    /// up. What is known to be barred waits for nothing.
    pub(crate) fn dialog_targets(&self, case: &Case<'_, '_>, route: &RouteSet<'_>, fence: Fence<'_>) -> Result<Found, Stop> {
        // By the call: an ACK and its repetitions choose alike among the servers of a name. An address leaves no choice.
        let named = route.next.param("maddr").is_some() || matches!(route.next.host, Some(Host::Name(_)));
        let chance = if named { self.keys.choice(case.request.call_id) } else { 0 };
        let order = Order::new(&self.health, case.now, chance).traced(case.trace);
        let (config, view) = (&*self.config, self.view(case.now));
        let own = view.comes_back(case, &route.next);
        let fence =
            if own { Fence::of_own(&self.config.region(route.vouched.serving).networks, self.servers.own()) } else { fence };
        if let Some(Host::Name(name)) = route.next.host
            && !own
            && (view.names_us(case.region(), name) || view.config.endpoint(name) != Endpoint::Unknown)
        {
            return Ok(Found::Barred(format!("next hop {} is ourselves, and no token of ours leads there", shown(name))));
        }
        let found = match target::find_uri(&route.next, Some(route.vouched.trunk), case.waited, view, fence, order) {
            Ok(found @ Found::Inside(_)) => Ok(found),
            // A Contact behind NAT stands for where the trunk's messages come from (as other proxies do by an alias of the Contact).
            Ok(Found::Outside(addr))
                if view.is_behind_nat(addr.ip())
                    && let Some((transport, to)) = view.origin_inside(route)
                    && (route.next.scheme != Scheme::Sips || transport == Transport::Tls) =>
            {
                case.trace.pass(Test::Targets, || {
                    (to.addr().to_string(), "where the trunk's messages of this dialog come from, by the token".to_owned())
                });
                Ok(Found::Inside(TargetSet::from_iter([Target::of_origin(config, route.vouched.trunk, transport, to)])))
            }
            Ok(found) => return Ok(found),
            Err(unknown) => Err(unknown),
        };
        // A request from ourselves came from another party before. That pass did not judge what is behind, because the next hop
        // was our own.
        let judged = match route.speaks {
            Side::Trunk => !own,
            Side::Servers => comes_from_us(view, route.vouched.serving, case.arrival),
        };
        let behind = if judged { view.behind(case, route) } else { Ok(()) };
        let unknown = match (behind, found) {
            (Err(Beyond::Outside(detail)), _) => return Ok(Found::Barred(detail)),
            (Ok(()), Ok(found)) => return Ok(found),
            (Err(Beyond::Unknown(unknown)), _) | (Ok(()), Err(unknown)) => unknown,
        };
        let (trunk, at_end) = (route.vouched.trunk, matches!(case.request.method, Method::Ack | Method::Bye));
        if self.waiting.has_room_for_name(&unknown.0, trunk, at_end, case.message.bytes().len()) {
            return Err(Stop::Waits(Pending::Name(unknown.0, trunk)));
        }
        Ok(Found::NoRoom)
    }

    /// The route set of a request, if a valid token of ours leads it.
    pub(crate) fn route_set<'a>(&self, case: &Case<'_, 'a>) -> Option<RouteSet<'a>> {
        route_set::read(&self.keys, &self.tokens, case.region(), case.message, case.request, case.now)
    }
}
