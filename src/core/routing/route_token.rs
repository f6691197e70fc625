//! The route token: a signed parameter of our Record-Route that every later request in the dialog must bring back.
//!
//! No dialog is remembered. The token names the trunk (and with it the project), the region whose servers have the call, the side
//! that began the dialog, the relay of its media, where the trunk's messages come from, and when the call began. It is good for one dialog:
//! it is bound to the called region, the Call-ID and the asker's tag. The token that the asker holds is bound to the answerer's tag too. Only
//! nodes that share the secret can read or make one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use hashbrown::HashTable;
use memchr::memchr3;

use crate::config::{Config, RegionId, Transport, TrunkId};
use crate::core::keys::{Keys, read_hex, write_hex};
use crate::core::routing::call_time::{CallTime, TIME};
use crate::core::rules::side::Side;
use crate::fence::canonical;
use crate::sip::Request;

/// The URI parameter that holds the token.
pub(crate) const PARAM: &str = "rf";
/// How long after its start a daemon still reads tokens of the form before: they are of calls that began before an upgrade.
const UPGRADE: Duration = Duration::from_secs(24 * 60 * 60);

/// Stands in the request that makes the dialog, so the answerer holds it. Bound to Call-ID and asker's tag, since there is no
/// other tag yet.
const ASKED: [u8; 2] = *b"06";
/// Stands in the answers, so the asker holds it. Bound to the answerer's tag as well.
const ANSWERED: [u8; 2] = *b"07";
/// The forms before these, which do not say when.
const OLD_ASKED: [u8; 2] = *b"04";
const OLD_ANSWERED: [u8; 2] = *b"05";
/// What each token says behind its form, in characters: name, relay, side that asked. Where the trunk's messages come from stands behind
/// that, if it is known.
const FACTS: usize = 16 + 4 + 1;
/// The length of that place, in characters: transport, port, and an IPv4 or IPv6 address.
const ORIGIN_V4: usize = 1 + 4 + 8;
const ORIGIN_V6: usize = 1 + 4 + 32;
/// The most characters of a token: form, facts, time, signature.
const LONGEST: usize = 2 + FACTS + ORIGIN_V6 + TIME + 16;

type Facts = ArrayVec<u8, { FACTS + ORIGIN_V6 }>;

/// A signed Record-Route parameter.
pub(crate) type Token = ArrayVec<u8, LONGEST>;

/// Where the trunk's messages of a call come from: of a call in, its INVITE; of a call out, its answer. The trunk is reached there even
/// if its Contact is a private address behind NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    /// The source of the packet or of the connection.
    pub(crate) addr: SocketAddr,
    pub(crate) transport: Transport,
}

/// What a token proves about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Vouched {
    /// The trunk of the call.
    pub(crate) trunk: TrunkId,
    /// The region whose servers have the call: the called one, or one of its nearest.
    pub(crate) serving: RegionId,
    /// The called region's relay that has the call's media. `None`: no relay has it, or the configuration does not name that
    /// relay any more.
    pub(crate) relay: Option<SocketAddr>,
}

/// What a token proves in the hands of its bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) vouched: Vouched,
    /// The side of the dialog that the token was given to.
    pub(crate) speaks: Side,
    /// Whether that side began the dialog.
    pub(crate) began: bool,
    /// When the call began.
    pub(crate) time: CallTime,
    /// Where the trunk's messages come from. `None`: the token does not say it.
    pub(crate) origin: Option<Origin>,
}

/// All trunks, regions and relays that a token can name. A trunk is found by its name's hash; for a token of its own, the hash is made
/// anew, so that a hundred thousand trunks need only this one table.
#[derive(Debug)]
pub(crate) struct Tokens {
    served: Vec<NamesOfRegion>,
    relays: HashMap<(RegionId, u16), SocketAddr>,
    /// Until when tokens of the form before are read too. `None`: they are not.
    pub(crate) reads_old_until: Option<Instant>,
}

/// The trunks whose calls to a region this other region, or itself, may serve.
#[derive(Debug)]
struct NamesOfRegion {
    called: RegionId,
    serving: RegionId,
    trunks: HashTable<Named>,
}

/// A trunk's name in tokens, in two halves, and the trunk.
#[derive(Clone, Copy, Debug)]
struct Named {
    low: u32,
    high: u32,
    trunk: TrunkId,
}

impl Named {
    fn of(name: u64, trunk: TrunkId) -> Self {
        let half = |name: u64| u32::try_from(name & u64::from(u32::MAX)).unwrap_or_default();
        Self { low: half(name), high: half(name >> 32), trunk }
    }

    fn name(&self) -> u64 {
        u64::from(self.high) << 32 | u64::from(self.low)
    }
}

impl Tokens {
    /// Names every trunk in every region that is served, or was until the last reload, with each region that may serve it. A
    /// trunk gets no name for a region that may not serve it: so a token that was signed before its project was pinned is worth
    /// nothing afterwards. The relay has its own part in the token, because a call goes on if its relay is gone.
    pub(crate) fn of(config: &Config, keys: &Keys) -> Self {
        let (mut served, mut relays) = (Vec::new(), HashMap::new());
        for (called, region) in (0..).map(RegionId).zip(&config.regions).filter(|(_, region)| region.served || region.leaving) {
            for &serving in std::iter::once(&called).chain(&region.nearest) {
                let ids = (0..).map(TrunkId).zip(&config.trunks).map(|(id, _)| id);
                let may = |id: &TrunkId| called == serving || is_free(config, *id);
                let mut trunks = HashTable::with_capacity(if called == serving { config.trunks.len() } else { 0 });
                for id in ids.filter(may) {
                    let name = name(config, keys, (called, serving), id);
                    trunks.insert_unique(name, Named::of(name, id), Named::name);
                }
                served.push(NamesOfRegion { called, serving, trunks });
            }
            relays.extend(region.relays.iter().map(|&addr| ((called, keys.relay(addr)), addr)));
        }
        Self { served, relays, reads_old_until: None }
    }

    /// The same, in a daemon that starts now.
    pub(crate) fn starting(self, now: Instant) -> Self {
        Self { reads_old_until: Some(now + UPGRADE), ..self }
    }

    /// The token of a call to a region, for the request that makes the dialog and came at this time.
    pub(crate) fn sign(
        &self,
        (config, keys): (&Config, &Keys),
        called: RegionId,
        what: Vouched,
        (asks, origin, time): (Side, Option<Origin>, CallTime),
        call_id: &[u8],
        asker: &[u8],
    ) -> Option<Token> {
        let named = self.served.iter().any(|of| (of.called, of.serving) == (called, what.serving));
        if !named || called != what.serving && !is_free(config, what.trunk) {
            return None;
        }
        let name = name(config, keys, (called, what.serving), what.trunk);
        let mut facts = Facts::new();
        push_hex::<16, _>(&mut facts, name);
        push_hex::<4, _>(&mut facts, what.relay.map_or(0, |addr| keys.relay(addr)).into());
        push(&mut facts, &[letter(asks)]);
        if let Some(origin) = origin {
            push_origin(&mut facts, origin);
        }
        let time = time.text();
        Some(write(ASKED, &facts, time, sign_asked(keys, &facts, &time, call_id, asker)))
    }

    /// What a token proves, if we gave it for this region to the side of this dialog that brings it, in this request.
    pub(crate) fn verify(
        &self,
        keys: &Keys,
        called: RegionId,
        token: &[u8],
        request: &Request<'_>,
        now: Instant,
    ) -> Option<Proof> {
        let &Request { call_id, from_tag, to_tag, .. } = request;
        let to_tag = to_tag.unwrap_or_default();
        let (form, rest) = token.split_first_chunk()?;
        let old = || self.reads_old_until.is_some_and(|until| now < until);
        let (facts, time, began, signature, expected) = match *form {
            ASKED => {
                let (facts, time, signature) = parts(rest)?;
                (facts, CallTime::read(time)?, false, signature, sign_asked(keys, facts, time, call_id, to_tag))
            }
            ANSWERED => {
                let (facts, time, signature) = parts(rest)?;
                (facts, CallTime::read(time)?, true, signature, sign_answered(keys, facts, time, call_id, from_tag, to_tag))
            }
            OLD_ASKED if old() => {
                let (facts, signature) = signed(rest)?;
                (facts, CallTime::Unknown, false, signature, keys.route(&[facts, call_id, to_tag, form]))
            }
            OLD_ANSWERED if old() => {
                let (facts, signature) = signed(rest)?;
                (facts, CallTime::Unknown, true, signature, keys.route(&[facts, call_id, from_tag, form, to_tag]))
            }
            _ => return None,
        };
        if signature != expected {
            return None;
        }
        let (name, rest) = facts.split_at_checked(16)?;
        let (relay, rest) = rest.split_at_checked(4)?;
        let (side, origin) = rest.split_first()?;
        let asks = [Side::Trunk, Side::Servers].into_iter().find(|&asks| *side == letter(asks))?;
        let vouched = self.vouch(called, name, relay)?;
        Some(Proof { vouched, speaks: if began { asks } else { asks.other() }, began, time, origin: read_origin(origin) })
    }

    /// What the signed facts of a token mean to this configuration.
    fn vouch(&self, called: RegionId, name: &[u8], relay: &[u8]) -> Option<Vouched> {
        let name = read_hex(name)?;
        let find = |of: &NamesOfRegion| Some((of.trunks.find(name, |named| named.name() == name)?.trunk, of.serving));
        let (trunk, serving) = self.served.iter().filter(|of| of.called == called).find_map(find)?;
        let relay = u16::try_from(read_hex(relay)?).ok()?;
        Some(Vouched { trunk, serving, relay: self.relays.get(&(called, relay)).copied() })
    }
}

/// Whether the trunk's project may use every region.
fn is_free(config: &Config, trunk: TrunkId) -> bool {
    config.project(config.trunk(trunk).project).pin.is_none()
}

/// A trunk's name in tokens of calls to the one region that the other one serves.
fn name(config: &Config, keys: &Keys, (called, serving): (RegionId, RegionId), trunk: TrunkId) -> u64 {
    let trunk = config.trunk(trunk);
    let project = &config.project(trunk.project).name;
    keys.trunk(&config.region(called).name, &config.region(serving).name, project, &trunk.name)
}

/// The asker's token, made of the token in an answer (RFC 3261 16.7 step 8). `None`: we did not put that one into a request of
/// this call from this asker. `answerer`: the tag of the answer; empty if it has none, so that the asker never gets a token that
/// is good for more than one dialog. `origin`: where the answer came from, if a trunk answers. `set_up`: when the call was set up, in seconds
/// since 1970, if this answer says that it is.
pub(crate) fn answered(
    keys: &Keys,
    token: &[u8],
    (asks, origin, set_up): (Side, Option<Origin>, Option<u32>),
    call_id: &[u8],
    asker: &[u8],
    answerer: &[u8],
) -> Option<Token> {
    let (facts, before, signature) = parts(token.strip_prefix(&ASKED)?)?;
    let known = facts.get(..FACTS).filter(|known| known.last() == Some(&letter(asks)))?;
    let time = set_up.map_or(*before, |at| CallTime::SetUp(at).text());
    if let Some(origin) = origin {
        let mut told = Facts::new();
        push(&mut told, known);
        push_origin(&mut told, origin);
        let ours = sign_asked(keys, facts, before, call_id, asker) == signature;
        return ours.then(|| write(ANSWERED, &told, time, sign_answered(keys, &told, &time, call_id, asker, answerer)));
    }
    let ends: [&[&[u8]]; 2] = [&[&ASKED, before], &[&ANSWERED, &time, answerer]];
    let [once, again] = keys.route_pair(&[facts, call_id, asker], ends);
    (once == signature).then(|| write(ANSWERED, facts, time, again))
}

/// Whether a token is ours, of a request of this call from this asker.
pub(crate) fn is_of_request(keys: &Keys, token: &[u8], call_id: &[u8], asker: &[u8]) -> bool {
    let told = token.strip_prefix(&ASKED).and_then(parts);
    told.is_some_and(|(facts, time, signature)| signature == sign_asked(keys, facts, time, call_id, asker))
}

/// Where the trunk's messages come from, as a token of ours says.
pub(crate) fn origin(token: &Token) -> Option<Origin> {
    read_origin(parts(token.get(2..)?)?.0.get(FACTS..)?)
}

/// The characters of a token that a text begins with, if it begins with one.
pub(crate) fn first_in(text: &[u8]) -> &[u8] {
    let text = text.get(..LONGEST).unwrap_or(text);
    // Nearly always it ends where its parameter ends. Then its characters are looked at all at once.
    let whole = memchr3(b'>', b';', b',', text).and_then(|end| text.get(..end)).unwrap_or(text);
    if whole.iter().fold(true, |all, octet| all & octet.is_ascii_alphanumeric()) {
        return whole;
    }
    let end = text.iter().take_while(|octet| octet.is_ascii_alphanumeric()).count();
    text.get(..end).unwrap_or_default()
}

/// The facts, the time and the signature of a token, after its form. A difference in time does not help to guess a signature: it is a
/// 64-bit value, and another one for each dialog.
fn parts(rest: &[u8]) -> Option<(&[u8], &[u8; TIME], u64)> {
    let (rest, signature) = rest.split_at_checked(rest.len().checked_sub(16)?)?;
    let (facts, time) = rest.split_last_chunk()?;
    are_facts(facts).then_some(())?;
    Some((facts, time, read_hex(signature)?))
}

/// The same for the forms that do not say when.
fn signed(rest: &[u8]) -> Option<(&[u8], u64)> {
    let (facts, signature) = rest.split_at_checked(rest.len().checked_sub(16)?)?;
    are_facts(facts).then_some(())?;
    Some((facts, read_hex(signature)?))
}

fn are_facts(facts: &[u8]) -> bool {
    matches!(facts.len().checked_sub(FACTS), Some(0 | ORIGIN_V4 | ORIGIN_V6))
}

fn write(form: [u8; 2], facts: &[u8], time: [u8; TIME], signature: u64) -> Token {
    let mut token = Token::new();
    push(&mut token, &form);
    push(&mut token, facts);
    push(&mut token, &time);
    push_hex::<16, _>(&mut token, signature);
    token
}

/// Appends octets. The room is made for all that a token can say.
fn push<const ROOM: usize>(to: &mut ArrayVec<u8, ROOM>, octets: &[u8]) {
    let fits = to.try_extend_from_slice(octets);
    debug_assert!(fits.is_ok(), "a token longer than the longest");
}

fn push_hex<const DIGITS: usize, const ROOM: usize>(to: &mut ArrayVec<u8, ROOM>, value: u64) {
    let mut text = [0; DIGITS];
    write_hex(value, &mut text);
    push(to, &text);
}

fn push_origin(facts: &mut Facts, origin: Origin) {
    let letter = match origin.transport {
        Transport::Udp => b'u',
        Transport::Tcp => b'c',
        Transport::Tls => b'l',
    };
    push(facts, &[letter]);
    push_hex::<4, _>(facts, origin.addr.port().into());
    match canonical(origin.addr.ip()) {
        IpAddr::V4(ip) => push_hex::<8, _>(facts, u32::from(ip).into()),
        IpAddr::V6(ip) => {
            let [high, low] = halves(ip);
            push_hex::<16, _>(facts, high);
            push_hex::<16, _>(facts, low);
        }
    }
}

fn halves(ip: Ipv6Addr) -> [u64; 2] {
    let ip = u128::from(ip);
    [ip >> 64, ip & u128::from(u64::MAX)].map(|half| u64::try_from(half).unwrap_or_default())
}

fn read_origin(text: &[u8]) -> Option<Origin> {
    let (letter, rest) = text.split_first()?;
    let transport = match letter {
        b'u' => Transport::Udp,
        b'c' => Transport::Tcp,
        b'l' => Transport::Tls,
        _ => return None,
    };
    let (port, ip) = rest.split_at_checked(4)?;
    let ip = match ip.split_at_checked(16).filter(|(_, low)| !low.is_empty()) {
        None => IpAddr::V4(Ipv4Addr::from(u32::try_from(read_hex(ip)?).ok()?)),
        Some((high, low)) => IpAddr::V6(Ipv6Addr::from(u128::from(read_hex(high)?) << 64 | u128::from(read_hex(low)?))),
    };
    Some(Origin { addr: SocketAddr::new(ip, u16::try_from(read_hex(port)?).ok()?), transport })
}

// The form stands behind what both signatures share, so that an answer's two are hashed in one go.

fn sign_asked(keys: &Keys, facts: &[u8], time: &[u8], call_id: &[u8], asker: &[u8]) -> u64 {
    keys.route(&[facts, call_id, asker, &ASKED, time])
}

fn sign_answered(keys: &Keys, facts: &[u8], time: &[u8], call_id: &[u8], asker: &[u8], answerer: &[u8]) -> u64 {
    keys.route(&[facts, call_id, asker, &ANSWERED, time, answerer])
}

const fn letter(side: Side) -> u8 {
    match side {
        Side::Trunk => b't',
        Side::Servers => b's',
    }
}
