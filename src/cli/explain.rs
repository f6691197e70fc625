//! `ringfence explain`: what would happen to a message, and why. Sends nothing.
//!
//! The message is handed to the daemon's own core as if it had just arrived. The command prints the core's outputs. It judges
//! nothing itself.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::arrival::arrival;
use self::explained::{CANNOT_TELL, Decision, Explained, Target};
use self::paste::{Pasted, pasted};
use super::arguments::ExplainOptions;
use super::color::Colors;
use super::exit::NO_INPUT;
use super::mistakes;
use super::output::{complain, print, print_fitting};
use super::printable::harmless_json;
use super::resolve::{Outcome as Resolution, Resolved, online};
use crate::config::{self, Config, Endpoint, Hop, NameId, Region, TrunkId, Written};
use crate::core::Core;
use crate::core::io::{
    Arrival, Attempt, Destination, DropCause, Input, Note, Outcome, Output, RelayBody, RelayReply, RelayRequest, Verdict,
};
use crate::core::rules::trace::{Mark, Test, TraceRow};
use crate::dns::{self, Server};
use crate::reason::Reason;
use crate::sip::address::Address;
use crate::sip::uri::{Host, Uri};
use crate::sip::{Message, Name, Start, list};

mod arrival;
mod explained;
mod paste;
mod print;
mod realtime;
mod recorded;

/// Most octets of a message that are read.
const MOST: u64 = 1 << 20;

/// More targets than any call tries.
const TARGETS: usize = 32;

/// Explains a message and prints it.
pub(super) fn explain(options: &ExplainOptions) -> u8 {
    if let Some(given) = options.realtime.as_deref() {
        return realtime::explain(options, given);
    }
    let recorded = match options.call_id.as_deref().map(|id| recorded::ask(options, id)).transpose() {
        Ok(recorded) => recorded,
        Err(code) => return code,
    };
    let colors = Colors::on(std::io::stdout().is_terminal());
    let kept = recorded.as_ref().and_then(|recorded| recorded.message.as_ref());
    let explains = kept.filter(|message| !message.is_response());
    if let (Some(recorded), None) = (&recorded, explains) {
        print_fitting(&recorded.alone(options.json, colors));
        let why = if kept.is_some() {
            "it was decided on an answer, which this command cannot explain without its request"
        } else {
            "the daemon has not kept its message: it was too long, or no server took the call, which shows only later"
        };
        return complain(why, CANNOT_TELL);
    }
    let from_record = kept.map(|message| message.options(options));
    let options = from_record.as_ref().unwrap_or(options);
    let config = match (config::load(&options.config), &recorded) {
        (Ok(config), _) => Arc::new(config),
        (Err(error), None) => return mistakes::refuse(&error, options.json),
        (Err(error), Some(recorded)) => {
            print_fitting(&recorded.alone(options.json, colors));
            return mistakes::refuse(&error, false);
        }
    };
    let path = options.message.as_deref().unwrap_or_else(|| Path::new("-"));
    let input = match kept.map_or_else(|| read(path), |message| Ok(message.bytes.clone())) {
        Ok(input) => input,
        Err(error) => return complain(&format!("{}: {error}", path.display()), NO_INPUT),
    };
    let Some(message) = pasted(&input) else {
        return complain("there is no start line of a SIP message in it", CANNOT_TELL);
    };
    let arrival = match arrival(&config, options) {
        Ok(arrival) => arrival,
        Err(what) => return complain(&what, CANNOT_TELL),
    };
    let explained = match explained(config, arrival, message, options.offline) {
        Ok(explained) => match kept {
            Some(message) => message.without_numbers(explained),
            None => explained,
        },
        Err(code) => return code,
    };
    match &recorded {
        Some(recorded) if options.json => {
            print(&(harmless_json(&recorded.as_json(print::as_json(&explained), &explained).to_string()) + "\n"));
        }
        Some(recorded) => print_fitting(&(recorded.as_text(&explained, colors) + &print::as_text(&explained, colors))),
        None if options.json => print(&(harmless_json(&print::as_json(&explained).to_string()) + "\n")),
        None => print_fitting(&print::as_text(&explained, colors)),
    }
    explained.code()
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(MOST).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(PathBuf::from(path))?.take(MOST).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// One run of a new core over the message.
struct Run {
    core: Core,
    now: Instant,
    comparisons: Vec<TraceRow>,
    out: Vec<Output>,
}

impl Run {
    fn of(config: &Arc<Config>, targets: dns::Resolved, arrival: Arrival, bytes: &[u8]) -> Self {
        let now = Instant::now();
        let mut core = Core::new(Arc::clone(config), Arc::new(targets), [0; 16], now);
        let mut out = Vec::new();
        let comparisons = core.explain(now, Input::Message { arrival, bytes }, &mut out);
        let mut run = Self { core, now, comparisons, out };
        run.lead();
        if let (Some(Outcome::Malformed(fault)), Some(_)) = (run.outcome(), arrival.connection) {
            // A stream that cannot be cut into messages reaches the core as a broken one.
            run.out.clear();
            run.comparisons = run.core.explain(now, Input::Broken { arrival, bytes, fault }, &mut run.out);
        }
        run
    }

    /// If the media would go through a relay: goes on as if a relay had taken it. No relay is asked here.
    fn lead(&mut self) {
        let [Output::Relay(RelayRequest { id, body: RelayBody::Session { .. }, .. })] = &self.out[..] else { return };
        let (id, relay) = (*id, id.relay);
        let (family, ip) = (if relay.is_ipv4() { "IP4" } else { "IP6" }, relay.ip());
        let sdp = format!(
            "v=0\r\no=- 0 0 IN {family} {ip}\r\ns=in place of what the relay would say\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
        );
        self.out.clear();
        let input = Input::Relayed { id, reply: Ok(RelayReply::Done(Some(sdp.into()))) };
        self.comparisons = self.core.explain(self.now, input, &mut self.out);
        let (value, against) = ("the session description".to_owned(), format!("relay udp:{relay}, which is not asked here"));
        self.comparisons.push(TraceRow { test: Test::Media, value, against, mark: Mark::Skipped });
    }

    fn outcome(&self) -> Option<Outcome> {
        self.out.iter().rev().find_map(|output| match output {
            Output::Note(Note::Arrived { outcome, .. }) => Some(*outcome),
            _ => None,
        })
    }

    fn verdict(&self) -> Option<(Verdict, Reason)> {
        self.out.iter().find_map(|output| match output {
            Output::Note(Note::Verdict { verdict, reason, .. }) => Some((*verdict, *reason)),
            _ => None,
        })
    }

    /// The failing field and its value, in the words of `Warning`.
    fn why(&self) -> Option<String> {
        self.out.iter().find_map(|output| match output {
            Output::Note(Note::Verdict { why, .. }) => why.as_deref().map(str::to_owned),
            _ => None,
        })
    }
}

fn explained(config: Arc<Config>, arrival: Arrival, message: Pasted, offline: bool) -> Result<Explained, u8> {
    let mut names = Vec::new();
    // First as if no name had a server: a refusal before the targets needs no DNS.
    let mut run = Run::of(&config, known(&config, &[]), arrival, &message.bytes);
    let (mut missing, mut servers) = (None, Vec::new());
    // Names may also decide who is a server.
    let upstream = upstream_names(&config, arrival);
    if !upstream.is_empty() && hangs_on_servers(&config, arrival, &run) {
        if offline {
            missing = Some(format!("what {} resolves to", listed(&config, &upstream)));
            return Ok(told(config, arrival, message, run, names, missing));
        }
        names = resolve_all(&config, &upstream)?;
        servers = upstream.iter().copied().zip(names.iter().map(|of| of.servers.clone())).collect();
        run = Run::of(&config, known(&config, &servers), arrival, &message.bytes);
        if hangs_on_servers(&config, arrival, &run) {
            missing = names.iter().find_map(|of| failed(&config, of));
        }
    }
    if let [Output::LookUp(next_hop)] = &run.out[..] {
        let next_hop = next_hop.clone();
        if offline {
            missing = Some(format!("what {next_hop} resolves to"));
        } else {
            let written = Written::Name(next_hop.clone());
            let resolved = online(&config, async |lookup| Resolved::of(&config, &lookup, written).await)?;
            missing = failed(&config, &resolved);
            let (servers, hold) = (resolved.servers.clone(), Duration::from_secs(60));
            let failed = missing.is_some();
            let input = Input::LookedUp { next_hop, servers, hold, failed };
            run.out.clear();
            run.comparisons = run.core.explain(run.now, input, &mut run.out);
            run.lead();
            names.push(resolved);
        }
    } else if depends_on_names(run.outcome()) {
        let mut needed = needed(&config, arrival, &message.bytes);
        needed.retain(|id| servers.iter().all(|(known, _)| known != id));
        if offline && !needed.is_empty() {
            missing = Some(format!("what {} resolves to", listed(&config, &needed)));
        } else if !needed.is_empty() {
            let resolved = resolve_all(&config, &needed)?;
            servers.extend(needed.iter().copied().zip(resolved.iter().map(|of| of.servers.clone())));
            run = Run::of(&config, known(&config, &servers), arrival, &message.bytes);
            if depends_on_names(run.outcome()) && !matches!(run.outcome(), Some(Outcome::Forwarded)) {
                missing = resolved.iter().find_map(|of| failed(&config, of));
            }
            names.extend(resolved);
        }
    }
    Ok(told(config, arrival, message, run, names, missing))
}

/// The names that decide who is a server of the region, or of a region that may serve its calls.
fn upstream_names(config: &Config, arrival: Arrival) -> Vec<NameId> {
    let of = |hop: &Hop| match *hop {
        Hop::Name(id) => Some(id),
        Hop::Address { .. } => None,
    };
    let mut names: Vec<NameId> = by_upstream(config, arrival).flat_map(|region| &region.upstream).filter_map(of).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Those of the called region and its nearest ones that have no `servers`.
fn by_upstream(config: &Config, arrival: Arrival) -> impl Iterator<Item = &Region> {
    let called = config.listener(arrival.listener).region;
    let nearest = config.region(called).nearest.iter().copied();
    let regions = std::iter::once(called).chain(nearest).map(|id| config.region(id));
    regions.filter(|region| region.servers.is_none())
}

/// Whether the outcome could change if other addresses were servers.
fn hangs_on_servers(config: &Config, arrival: Arrival, run: &Run) -> bool {
    let inside = || by_upstream(config, arrival).any(|region| region.networks.contains(arrival.from.ip()));
    match run.outcome() {
        None => matches!(run.out[..], [Output::LookUp(_)]),
        Some(Outcome::Refused(Reason::ForeignDialogTarget) | Outcome::Dropped(DropCause::AckTarget)) => true,
        Some(Outcome::Refused(Reason::UnknownSource) | Outcome::Stray | Outcome::Absorbed) => inside(),
        Some(_) => false,
    }
}

fn listed(config: &Config, names: &[NameId]) -> String {
    let list: Vec<_> = names.iter().filter_map(|id| config.names.get(id.0 as usize)).map(ToString::to_string).collect();
    list.join(" and ")
}

/// Whether another answer of DNS could have changed the outcome.
fn depends_on_names(outcome: Option<Outcome>) -> bool {
    let by_target = [Reason::NoTarget, Reason::TargetsDown, Reason::ForeignTarget];
    matches!(outcome, Some(Outcome::Forwarded))
        || matches!(outcome, Some(Outcome::Refused(reason)) if by_target.contains(&reason))
}

fn failed(config: &Config, resolved: &Resolved) -> Option<String> {
    let failed = resolved.outcome(config) == Resolution::Failed;
    failed.then(|| format!("what {} resolves to: DNS failed", resolved.written))
}

/// All names as known: these with their servers, the others with none.
fn known(config: &Config, servers: &[(NameId, Vec<Server>)]) -> dns::Resolved {
    let mut targets = dns::Resolved::unknown(config.names.len());
    for id in (0..).map(NameId).take(config.names.len()) {
        targets.set(id, Vec::new());
    }
    for (id, servers) in servers {
        targets.set(*id, servers.clone());
    }
    targets
}

/// The names that the targets of a new request may depend on: those of the trunks that it may go out by, or else those of the region
/// and of the regions that may serve its calls. Too many do no harm, because the core chooses.
fn needed(config: &Config, arrival: Arrival, bytes: &[u8]) -> Vec<NameId> {
    let region = config.listener(arrival.listener).region;
    let (mut hops, mut inward): (Vec<&Hop>, bool) = (Vec::new(), false);
    for endpoint in endpoints(config, bytes) {
        let ways: &[TrunkId] = match &endpoint {
            Endpoint::Trunk(_, trunk) => std::slice::from_ref(trunk),
            Endpoint::Project(_, project) => &config.project(*project).out,
            Endpoint::Region(_) | Endpoint::Global(_) | Endpoint::Unknown => &[],
        };
        inward |= !matches!(endpoint, Endpoint::Trunk(..));
        hops.extend(ways.iter().filter_map(|&id| config.trunk(id).outbound()).flat_map(|outbound| &outbound.hops));
    }
    if inward || hops.is_empty() {
        let regions = std::iter::once(region).chain(config.region(region).nearest.iter().copied());
        hops.extend(regions.flat_map(|id| &config.region(id).upstream));
    }
    let mut names: Vec<NameId> = Vec::new();
    for hop in hops {
        match *hop {
            Hop::Name(id) if !names.contains(&id) => names.push(id),
            _ => {}
        }
    }
    names
}

/// The endpoints that a request names, in its Request-URI and in its Route.
fn endpoints(config: &Config, bytes: &[u8]) -> Vec<Endpoint> {
    let Ok(message) = Message::datagram(bytes) else { return Vec::new() };
    let Start::Request { uri, .. } = message.start() else { return Vec::new() };
    let endpoint = |uri: Uri<'_>| match uri.host {
        Some(Host::Name(name)) => config.endpoint(name),
        _ => Endpoint::Unknown,
    };
    let routes = list::items(&message, Name::Route).filter_map(|route| Some(Address::route_uri(message.slice(&route.span))?.1));
    Uri::parse(message.slice(uri)).ok().into_iter().chain(routes).map(endpoint).collect()
}

fn resolve_all(config: &Arc<Config>, names: &[NameId]) -> Result<Vec<Resolved>, u8> {
    let written: Vec<Written> =
        names.iter().filter_map(|id| config.names.get(id.0 as usize)).cloned().map(Written::Name).collect();
    online(config, async |lookup| {
        let mut all = Vec::with_capacity(written.len());
        for written in written {
            all.push(Resolved::of(config, &lookup, written).await);
        }
        all
    })
}

fn told(
    config: Arc<Config>,
    arrival: Arrival,
    message: Pasted,
    mut run: Run,
    names: Vec<Resolved>,
    missing: Option<String>,
) -> Explained {
    let mut decision = match missing {
        Some(missing) => Decision::Unknown(missing),
        None => decision(&config, &message.bytes, &run),
    };
    let (why, (mut answer, mut targets, mut otherwise)) = (run.why(), (None, Vec::new(), None));
    if !matches!(decision, Decision::Unknown(_)) {
        let mut attempt = sent(&run.out, &mut targets, &mut answer);
        // The core itself says which targets come after the first: here each one fails at once.
        while let Some(failed) = attempt.filter(|_| targets.len() < TARGETS) {
            run.out.clear();
            run.core.handle(run.now, Input::Failed(failed), &mut run.out);
            attempt = sent(&run.out, &mut targets, &mut otherwise);
        }
    }
    let words = why.or_else(|| answer.as_deref().and_then(phrase).map(str::to_owned));
    if let (Decision::Refused { reason: Some(_), why }, Some(words)) = (&mut decision, words) {
        *why = words;
    }
    Explained { config, arrival, message, comparisons: run.comparisons, decision, answer, targets, otherwise, names }
}

/// The phrase of an answer: whom it speaks of depends on the way that the request goes.
fn phrase(answer: &[u8]) -> Option<&str> {
    let line = answer.split(|&octet| octet == b'\r').next()?;
    std::str::from_utf8(line).ok()?.splitn(3, ' ').nth(2)
}

/// Reads what would be sent: the messages to targets, with the last attempt, and the last answer to the sender.
fn sent(out: &[Output], targets: &mut Vec<Target>, answer: &mut Option<Bytes>) -> Option<Attempt> {
    let mut attempt = None;
    for output in out {
        let Output::Send(send) = output else { continue };
        match send.to {
            Destination::Peer(_) => *answer = Some(send.bytes.clone()),
            Destination::Fenced(to) => {
                targets.push(Target { addr: to.addr(), transport: send.transport, bytes: send.bytes.clone() });
                attempt = send.attempt;
            }
        }
    }
    attempt
}

fn decision(config: &Config, bytes: &[u8], run: &Run) -> Decision {
    let verdict = run.verdict();
    let refused = |reason, why: &str| Decision::Refused { reason, why: why.to_owned() };
    let is_response = Message::datagram(bytes).is_ok_and(|message| matches!(message.start(), Start::Response { .. }));
    match run.outcome() {
        Some(Outcome::Forwarded) => Decision::Accepted {
            reason: verdict.map(|(_, reason)| reason),
            shadow: if matches!(verdict, Some((Verdict::Shadow, _))) { run.why().or_else(|| Some(String::new())) } else { None },
        },
        Some(Outcome::Answered(200..=299)) => Decision::Accepted { reason: None, shadow: None },
        Some(Outcome::Answered(481)) => Decision::Unknown("which transaction it would end".to_owned()),
        Some(Outcome::Answered(_)) => refused(None, "no proxy may forward it, or the region does not take it"),
        Some(Outcome::Refused(Reason::ForgedRoute))
            if config.secret.is_none() && memchr::memmem::find(bytes, b";rf=").is_some() =>
        {
            Decision::Unknown("the key that signed the route token: [secret] names no file".to_owned())
        }
        Some(Outcome::Refused(reason)) => Decision::Refused { reason: Some(reason), why: reason.phrase().to_owned() },
        Some(Outcome::Malformed(fault)) => {
            Decision::Refused { reason: None, why: format!("{}: {}", fault.label(), fault.sentence()) }
        }
        Some(Outcome::Dropped(drop)) => {
            Decision::Refused { reason: None, why: format!("dropped without a word: {}", drop.label()) }
        }
        Some(Outcome::Absorbed) => refused(None, "taken in without a word"),
        _ if is_response => Decision::Unknown("which request it answers: a response passes to whoever asked".to_owned()),
        _ => Decision::Unknown("which transaction it belongs to".to_owned()),
    }
}
