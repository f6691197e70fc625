//! `ringfence resolve`: the steps from a name to its servers, which addresses are inside, and in which order calls would try
//! them.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::color::{Colors, Tint};
use super::exit::{OK, UNAVAILABLE};
use super::output::{complain, print};
use super::{mistakes, trace};
use crate::config::{self, Config, Transport, Use, Written};
use crate::dns::{Lookup, ResolverError, Server, Step};

/// The result for a hop and all its senders. The discriminant is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Outcome {
    /// Every address is inside for every sender.
    Inside = OK,
    /// Some address is outside for some sender.
    SomeOutside = 1,
    /// No address is inside for any sender.
    Outside = 3,
    /// There is no address.
    Nothing = 4,
    /// There is no address, and DNS did not say that there is none.
    Failed = 5,
}

impl Outcome {
    /// The word in JSON.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Inside => "inside",
            Self::SomeOutside => "some-outside",
            Self::Outside => "outside",
            Self::Nothing => "nothing",
            Self::Failed => "failed",
        }
    }
}

/// A resolved hop, with its senders.
pub(super) struct Resolved {
    pub(super) written: Written,
    pub(super) uses: Vec<Use>,
    pub(super) servers: Vec<Server>,
    pub(super) steps: Vec<Step>,
    /// How long the result holds. `None`: for ever.
    ttl: Option<Duration>,
    failed: bool,
}

/// An address, with the judgement of each sender's fence.
struct Judged {
    /// The regions that contain it, and the trunks that may send to it.
    inside: Vec<Use>,
    /// The senders to this hop that may not send to this address.
    outside: Vec<Use>,
}

/// A server that calls would try.
struct Choice<'r> {
    server: &'r Server,
    /// Its share of the calls for its rank, in percent.
    share: f64,
    /// Its addresses that would be tried, in order.
    addresses: Vec<SocketAddr>,
}

impl Resolved {
    /// Resolves a hop as the daemon does.
    pub(super) async fn of(config: &Config, lookup: &Lookup, written: Written) -> Self {
        let uses = config.uses(&written);
        match &written {
            Written::Address { addr, transport } => {
                let server = Server { rank: 0, weight: 0, transport: *transport, addresses: vec![*addr] };
                Self { written, uses, servers: vec![server], steps: Vec::new(), ttl: None, failed: false }
            }
            Written::Name(name) => {
                let found = lookup.resolve(name).await;
                let (ttl, failed) = (Some(found.ttl), found.failed);
                Self { uses, servers: found.servers, steps: found.trace.steps, ttl, failed, written }
            }
        }
    }

    fn judged(&self, config: &Config, addr: SocketAddr) -> Judged {
        let regions = config.regions_of(addr).into_iter().map(Use::Region);
        let trunks = self.uses.iter().copied().filter(|&of| matches!(of, Use::Trunk(_)) && config.inside(of, addr));
        let outside = self.uses.iter().copied().filter(|&of| !config.inside(of, addr));
        Judged { inside: regions.chain(trunks).collect(), outside: outside.collect() }
    }

    /// Whether this use may send to the address. Without a use: whether the address is inside any region.
    fn passes(config: &Config, of: Option<Use>, addr: SocketAddr) -> bool {
        of.map_or_else(|| !config.regions_of(addr).is_empty(), |of| config.inside(of, addr))
    }

    /// The senders to this hop. If there are none: one `None`.
    fn senders(&self) -> Vec<Option<Use>> {
        if self.uses.is_empty() { vec![None] } else { self.uses.iter().copied().map(Some).collect() }
    }

    fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.servers.iter().flat_map(|server| server.addresses.iter().copied())
    }

    /// The result for all senders.
    pub(super) fn outcome(&self, config: &Config) -> Outcome {
        if self.addresses().next().is_none() {
            return if self.failed { Outcome::Failed } else { Outcome::Nothing };
        }
        let senders = self.senders();
        let each = || self.addresses().flat_map(|addr| senders.iter().map(move |&of| Self::passes(config, of, addr)));
        match (each().all(|passes| passes), each().any(|passes| passes)) {
            (true, _) => Outcome::Inside,
            (false, true) => Outcome::SomeOutside,
            (false, false) => Outcome::Outside,
        }
    }

    /// The addresses that a use may not send to.
    pub(super) fn outside(&self, config: &Config, of: Use) -> Vec<SocketAddr> {
        self.addresses().filter(|&addr| !config.inside(of, addr)).collect()
    }

    /// The servers that calls of this use would try, rank by rank: those with an address that is inside and that a listener can
    /// reach.
    fn order(&self, config: &Config, of: Option<Use>) -> Vec<Choice<'_>> {
        let is_tried = |server: &Server, addr: SocketAddr| {
            Self::passes(config, of, addr) && of.is_none_or(|of| config.leaves(of, server.transport, addr))
        };
        let tried = self.servers.iter().filter_map(|server| {
            let addresses: Vec<_> = server.addresses.iter().copied().filter(|&addr| is_tried(server, addr)).collect();
            (!addresses.is_empty()).then_some((server, addresses))
        });
        let tried: Vec<_> = tried.collect();
        let share = |server: &Server| {
            let peers = || tried.iter().filter(|(peer, _)| peer.rank == server.rank);
            // Weights that are all 0 are all alike (RFC 2782).
            let alike = peers().all(|(peer, _)| peer.weight == 0);
            let part = |of: &Server| if alike { 1.0 } else { f64::from(of.weight) };
            100.0 * part(server) / peers().map(|(peer, _)| part(peer)).sum::<f64>()
        };
        let shares: Vec<f64> = tried.iter().map(|(server, _)| share(server)).collect();
        tried.into_iter().zip(shares).map(|((server, addresses), share)| Choice { server, share, addresses }).collect()
    }

    /// The addresses that are inside for this use but that none of its listeners can reach.
    fn without_listener(&self, config: &Config, of: Option<Use>) -> Vec<SocketAddr> {
        let Some(of) = of else { return Vec::new() };
        let addresses = self.servers.iter().flat_map(|server| server.addresses.iter().map(|&addr| (server.transport, addr)));
        let left_out = addresses.filter(|&(transport, addr)| config.inside(of, addr) && !config.leaves(of, transport, addr));
        left_out.map(|(_, addr)| addr).collect()
    }
}

/// Resolves a hop and prints the result.
pub(super) fn resolve(path: &Path, written: Written, json: bool) -> u8 {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(error) => return mistakes::refuse(&error, json),
    };
    let resolved = online(&config, async |lookup| Resolved::of(&config, &lookup, written).await);
    let resolved = match resolved {
        Ok(resolved) => resolved,
        Err(code) => return code,
    };
    if json {
        print(&format!("{}\n", as_json(&config, &resolved)));
    } else {
        print(&as_text(&config, &resolved, Colors::on(std::io::stdout().is_terminal())));
    }
    resolved.outcome(&config) as u8
}

/// Runs a task with the name servers of a configuration. `Err`: the exit code, because there are none.
pub(super) fn online<T>(config: &Config, task: impl AsyncFnOnce(Lookup) -> T) -> Result<T, u8> {
    asynchronously(async || {
        let lookup = Lookup::new(&config.dns).map_err(|error: ResolverError| unavailable(&error))?;
        Ok(task(lookup).await)
    })
}

/// Runs a task to its end.
pub(super) fn asynchronously<T>(task: impl AsyncFnOnce() -> Result<T, u8>) -> Result<T, u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
    runtime.map_err(|error| unavailable(&error))?.block_on(task())
}

/// Prints what is unavailable, and returns the exit code for that.
pub(super) fn unavailable(error: &dyn std::error::Error) -> u8 {
    complain(&error.to_string(), UNAVAILABLE)
}

fn labels(config: &Config, uses: &[Use]) -> Vec<String> {
    uses.iter().map(|&of| config.use_label(of)).collect()
}

fn as_text(config: &Config, resolved: &Resolved, colors: Colors) -> String {
    let mut out = String::new();
    let uses = labels(config, &resolved.uses);
    let used = if uses.is_empty() { "nobody in this configuration".to_owned() } else { uses.join(", ") };
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}, the next hop of {used}", colors.text(Tint::Bold, &resolved.written));
    let marked = |addr: SocketAddr| {
        let Judged { inside, outside } = resolved.judged(config, addr);
        let (inside, outside) = (labels(config, &inside).join(", "), labels(config, &outside).join(", "));
        match (inside.is_empty(), outside.is_empty()) {
            (false, true) => colors.text(Tint::Green, format!("inside {inside}")),
            (true, true) => colors.text(Tint::Red, "outside every region"),
            (true, false) => colors.text(Tint::Red, format!("outside {outside}")),
            (false, false) => colors.text(Tint::Red, format!("outside {outside}; inside {inside}")),
        }
    };
    if let Written::Address { addr, .. } = resolved.written {
        let _ = writeln!(out, "└─ {addr}  {}  {}", marked(addr), colors.text(Tint::Dim, "(an address: nothing is looked up)"));
    }
    // The port does not matter here, as long as it is one.
    out += &trace::tree(&resolved.steps, colors, &|ip: IpAddr| marked(SocketAddr::new(ip, 5060)));
    for of in resolved.senders() {
        let who = of.map_or_else(|| "any region".to_owned(), |of| config.use_label(of));
        let order = resolved.order(config, of);
        if order.is_empty() {
            let _ = writeln!(out, "{}", colors.text(Tint::Red, format!("{who}: nothing to send to")));
        } else {
            let _ = writeln!(out, "{who} would try\n  rank  share  transport  address");
        }
        for Choice { server, share, addresses } in order {
            let (rank, share) = (server.rank.to_string(), format!("{share:.0} %"));
            let transport = server.transport.map_or("any", Transport::token);
            for (at, addr) in addresses.into_iter().enumerate() {
                let (rank, share) = if at == 0 { (rank.as_str(), share.as_str()) } else { ("", "") };
                let _ = writeln!(out, "  {rank:>4}  {share:>5}  {transport:<9}  {addr}");
            }
        }
        for addr in resolved.without_listener(config, of) {
            let _ = writeln!(out, "  {}", colors.text(Tint::Yellow, format!("not {addr}: no listener leads there")));
        }
    }
    let holds = resolved.ttl.map_or_else(String::new, |ttl| format!("; holds for {}s", ttl.as_secs()));
    let (tint, outcome) = match resolved.outcome(config) {
        Outcome::Inside => (Tint::Green, "every address is inside".to_owned()),
        Outcome::SomeOutside => (Tint::Red, "some addresses are outside and would not be used".to_owned()),
        Outcome::Outside => (Tint::Red, "every address is outside: calls would be refused".to_owned()),
        Outcome::Nothing => (Tint::Red, "it resolves to nothing".to_owned()),
        Outcome::Failed => {
            let what = trace::failure(&resolved.steps).unwrap_or_else(|| "no answer".to_owned());
            (Tint::Red, format!("DNS failed: {what}"))
        }
    };
    let _ = writeln!(out, "{}{holds}", colors.text(tint, outcome));
    out
}

fn as_json(config: &Config, resolved: &Resolved) -> Value {
    let order = |of: Option<Use>| {
        let servers = resolved.order(config, of).into_iter().map(|Choice { server, share, addresses }| {
            json!({
                "rank": server.rank,
                "weight": server.weight,
                "share_percent": share,
                "transport": server.transport.map(Transport::token),
                "addresses": addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        });
        let without_listener = resolved.without_listener(config, of);
        json!({
            "of": of.map(|of| config.use_label(of)),
            "servers": servers.collect::<Vec<_>>(),
            "without_listener": without_listener.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    };
    let address = |addr: SocketAddr| {
        let Judged { inside, outside } = resolved.judged(config, addr);
        json!({ "address": addr.to_string(), "inside": labels(config, &inside), "outside": labels(config, &outside) })
    };
    json!({
        "name": resolved.written.to_string(),
        "uses": labels(config, &resolved.uses),
        "outcome": resolved.outcome(config).label(),
        "ttl": resolved.ttl.map(|ttl| ttl.as_secs()),
        "addresses": resolved.addresses().map(address).collect::<Vec<_>>(),
        "order": resolved.senders().into_iter().map(order).collect::<Vec<_>>(),
        "steps": trace::json(&resolved.steps),
    })
}
