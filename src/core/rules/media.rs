//! Whether the media of a message may pass: what is inside for the side that speaks, and how strict its project is.
//!
//! Only judges. The code that handles the message decides what follows.

use std::cell::RefCell;
use std::net::IpAddr;

use crate::config::{Config, Media, Mode, Trunk};
use crate::core::io::{Direction, MediaNamed, Note, Spoken};
use crate::core::rules::broken_rule::BrokenRule;
use crate::core::rules::refusal::{Refusal, shown_without_numbers};
use crate::core::rules::side::Side;
use crate::core::rules::sides::Speaker;
use crate::core::rules::trace::{Mark, Test, Trace, around, trunk_name};
use crate::fence::Networks;
use crate::reason::Reason;
use crate::sip::body::{self, Objection};
use crate::sip::sdp::Inside;
use crate::sip::{Message, Method, sdp};

/// What a session description in a message is to its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It stands in a request, which can be refused.
    Offer,
    /// It stands in a response or an ACK, which cannot be refused.
    Answer,
}

/// What is decided about a message's media.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ruling {
    /// The message may pass.
    Pass,
    /// A rule refuses it, but its project is in shadow mode, or only warns about media.
    Shadow(Box<BrokenRule>),
    /// A rule refuses it.
    Foreign(Refusal),
}

/// The media that a message names, and the decision about it.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) ruling: Ruling,
    /// What to count. `None`: the message was not read for media.
    pub(crate) note: Option<Note>,
}

impl Speaker {
    /// Judges what a message says of media. `method`: the method of the request, or of the request that is answered.
    pub(crate) fn judge(&self, config: &Config, message: &Message<'_>, method: Method, part: Part, trace: &Trace) -> Judgement {
        let rules = self.project.map(|project| config.project(project));
        if rules.is_some_and(|rules| rules.media == Media::Off) {
            trace.note(Test::Media, Mark::Skipped, || ("not read".to_owned(), "media = \"off\"".to_owned()));
            return Judgement { ruling: Ruling::Pass, note: None };
        }
        let negotiates = matches!(method, Method::Invite | Method::Ack | Method::Prack | Method::Update);
        if message.body().is_empty() && !negotiates {
            return Judgement { ruling: Ruling::Pass, note: None };
        }
        let (region, trunk) = match self.side {
            Side::Trunk => (self.called, self.trunk.map(|trunk| config.trunk(trunk))),
            Side::Servers => (self.serving, None),
        };
        let watches = rules.is_some_and(|rules| rules.media == Media::Warn || rules.mode == Mode::Shadow);
        let networks = &config.region(region).networks;
        let compared = |ip: IpAddr| {
            let of = &config.region(region).name;
            let sets: Vec<&Networks> = std::iter::once(networks).chain(trunk.map(Trunk::media)).collect();
            let trunk = self.trunk.filter(|_| self.side == Side::Trunk).map(|trunk| trunk_name(config, trunk));
            let or = trunk.map_or_else(String::new, |trunk| format!(" or of {trunk}"));
            (format!("address {ip}"), format!("networks of region {of}{or}: {}", around(ip, &sets)))
        };
        let named: RefCell<Option<Box<MediaNamed>>> = RefCell::default();
        let found = read(networks, trunk, message, |ip, inside, is_media| {
            if is_media
                && config.audit.is_some()
                && let Ok(mut named) = named.try_borrow_mut()
            {
                let named = named.get_or_insert_default();
                if !named.contains(&ip) {
                    // What has no room is more than is told.
                    let _ = named.try_push(ip);
                }
            }
            trace.note(Test::Media, Mark::by(inside, watches), || compared(ip));
        });
        let named = named.into_inner();
        let note = |spoken| Some(Note::Media { region: self.called, direction: Direction::from(self.side), spoken, named });
        match found {
            Ok(spoken) => {
                if spoken == Spoken::None {
                    trace.pass(Test::Media, || ("no session description".to_owned(), "nothing to compare".to_owned()));
                }
                Judgement { ruling: Ruling::Pass, note: note(spoken) }
            }
            Err((reason, detail)) => {
                let spoken = if reason == Reason::UnreadableMedia { Spoken::Unreadable } else { Spoken::Outside };
                let reason = match (reason, part) {
                    (Reason::ForeignMediaOffer, Part::Answer) => Reason::ForeignMediaAnswer,
                    (reason, _) => reason,
                };
                let says = || match spoken {
                    Spoken::Outside => (detail.clone(), "inside".to_owned()),
                    _ => (detail.clone(), format!("{reason}: must be readable")),
                };
                // An address that was outside has its row already.
                let objection =
                    if watches && spoken == Spoken::Outside { Ok(()) } else { trace.object(watches, Test::Media, says) };
                let ruling = match objection {
                    Ok(()) => Ruling::Shadow(BrokenRule::new(reason, detail).into()),
                    Err(row) => Ruling::Foreign(Refusal::new(row, reason, detail).of(self.project, self.trunk).of_media()),
                };
                Judgement { ruling, note: note(spoken) }
            }
        }
    }
}

/// Where media may go, and who is told what was compared: the address, whether it is inside, and whether media goes there.
struct Allowed<'c, F> {
    region: &'c Networks,
    trunk: Option<&'c Trunk>,
    compared: F,
}

impl<F: Fn(IpAddr, bool, bool)> Inside for Allowed<'_, F> {
    fn holds(&self, ip: IpAddr) -> bool {
        let inside = self.region.contains(ip) || self.trunk.is_some_and(|trunk| trunk.media().contains(ip));
        (self.compared)(ip, inside, true);
        inside
    }

    /// Gateways write their own address there.
    fn holds_unused(&self, ip: IpAddr) -> bool {
        let signals = |trunk: &Trunk| trunk.networks.contains(ip) || trunk.reach().contains(ip);
        if self.trunk.is_some_and(signals) {
            // No media goes there.
            (self.compared)(ip, true, false);
            return true;
        }
        self.holds(ip)
    }
}

/// What a message says of media. Inside are the region's networks and, if the trunk says it, the trunk's media.
fn read(
    region: &Networks,
    trunk: Option<&Trunk>,
    message: &Message<'_>,
    compared: impl Fn(IpAddr, bool, bool),
) -> Result<Spoken, (Reason, String)> {
    let inside = Allowed { region, trunk, compared };
    let unreadable = |what: &str, field: &str, text: &[u8]| {
        let colon = if text.is_empty() { "" } else { ": " };
        Err((Reason::UnreadableMedia, format!("{what}{field} cannot be checked{colon}{}", shown_without_numbers(text))))
    };
    match body::judge(message, inside) {
        Ok(checked) => Ok(if checked.descriptions == 0 { Spoken::None } else { Spoken::Inside }),
        Err(Objection::Description(sdp::SdpObjection::Outside { field, address })) => {
            Err((Reason::ForeignMediaOffer, format!("SDP {field} address {address} is outside")))
        }
        Err(Objection::Description(sdp::SdpObjection::Unreadable { field, text })) => unreadable("SDP ", field, &text),
        Err(Objection::Body { field, text }) => unreadable("", field, &text),
    }
}
