//! The command line's options and their meaning. `--help`, the completions and the manual are made from it.
//!
//! It reads arguments and does nothing else.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand};

use super::audit::AuditCommand;
use super::help;
use crate::config::{Transport, Written};
use crate::numbering::{Numbering, TechPrefix};

/// A SIP proxy that keeps calls inside a region.
#[derive(Debug, Parser)]
#[command(name = "ringfence", version, arg_required_else_help = true, subcommand_required = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the daemon: SIGHUP reloads, SIGTERM drains
    #[command(after_help = help::RUN.codes(), after_long_help = help::RUN.long())]
    Run {
        /// The configuration. Without it: ./ringfence.toml, or else /etc/ringfence/ringfence.toml
        #[arg(short, long, value_name = "FILE", default_value_os_t = default_config(), hide_default_value = true)]
        config: PathBuf,
    },
    /// Write a first configuration and its key, and check it. Asks at a terminal for what no option says
    #[command(after_help = help::INIT.codes(), after_long_help = help::INIT.long())]
    Init(InitOptions),
    /// List every mistake in a configuration; if it has none, say what it means
    #[command(after_help = help::CHECK.codes(), after_long_help = help::CHECK.long())]
    Check {
        /// The configuration. Without it: ./ringfence.toml, or else /etc/ringfence/ringfence.toml
        #[arg(short, long, value_name = "FILE", default_value_os_t = default_config(), hide_default_value = true)]
        config: PathBuf,
        /// Compare two configurations: say what a reload from OLD to NEW would change
        #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], conflicts_with_all = ["config", "online"])]
        diff: Vec<PathBuf>,
        /// Also resolve every name in the configuration, and say which addresses are outside
        #[arg(long)]
        online: bool,
        /// Also say whether this machine has the addresses and ports to listen on
        #[arg(long, conflicts_with = "diff")]
        here: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Resolve a name step by step (RFC 3263): which addresses are inside, and in which order calls would try them
    #[command(after_help = help::RESOLVE.codes(), after_long_help = help::RESOLVE.long())]
    Resolve {
        /// The configuration, with its name servers, its networks, and the regions and trunks that send to NAME. Without it:
        /// ./ringfence.toml, or else /etc/ringfence/ringfence.toml
        #[arg(short, long, value_name = "FILE", default_value_os_t = default_config(), hide_default_value = true)]
        config: PathBuf,
        /// A name as in `upstream` or `uri`: sip:HOST[:PORT][;transport=udp|tcp], HOST or HOST:PORT
        name: Written,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the DNS records that carriers need to find the region endpoints (NAPTR, SRV, A, AAAA), as a zone file
    #[command(after_help = help::ZONE.codes(), after_long_help = help::ZONE.long())]
    Zone {
        /// The configuration. Without it: ./ringfence.toml, or else /etc/ringfence/ringfence.toml
        #[arg(short, long, value_name = "FILE", default_value_os_t = default_config(), hide_default_value = true)]
        config: PathBuf,
        /// The TTL of the records, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        ttl: u32,
        /// Print a complete zone with this name, with SOA and NS, instead of records to include in one
        #[arg(long, value_name = "NAME", value_parser = host, requires = "servers")]
        zone: Option<String>,
        /// A name server of that zone. You can give this option several times
        #[arg(long = "ns", value_name = "HOST", value_parser = host, requires = "zone")]
        servers: Vec<String>,
        /// Print one JSON object with the records, without a zone around them
        #[arg(long, conflicts_with = "zone")]
        json: bool,
    },
    /// Say what the daemon would do with a message, and why: each test, the answer, the targets. Sends nothing
    #[command(
        after_help = help::EXPLAIN.codes(),
        after_long_help = help::EXPLAIN.long(),
        override_usage = "ringfence explain [OPTIONS] --source <IP[:PORT]> <MESSAGE>\n       ringfence explain [OPTIONS] --call-id <ID>\n       ringfence explain [OPTIONS] --realtime <URL|TOKEN>"
    )]
    Explain(ExplainOptions),
    /// Call an endpoint and report its answer, how long it took, and why it refused. Sends OPTIONS, or an INVITE
    #[command(after_help = help::PROBE.codes(), after_long_help = help::PROBE.long())]
    Probe(ProbeOptions),
    /// Say how a running daemon stands: ready or why not, servers, names, the last hour, the last refusals
    #[command(after_help = help::STATUS.codes(), after_long_help = help::STATUS.long())]
    Status {
        #[command(flatten)]
        admin: AdminOptions,
        /// Print the daemon's JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show the decisions of a running daemon as it makes them
    #[command(after_help = help::WATCH.codes(), after_long_help = help::WATCH.long())]
    Watch(WatchOptions),
    /// Make a running daemon load its configuration again, and say what became of it
    #[command(after_help = help::RELOAD.codes(), after_long_help = help::RELOAD.long())]
    Reload {
        #[command(flatten)]
        admin: AdminOptions,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Make a running daemon take no more calls and end, and wait until it has ended
    #[command(after_help = help::DRAIN.codes(), after_long_help = help::DRAIN.long())]
    Drain {
        #[command(flatten)]
        admin: AdminOptions,
        /// Do not wait for the daemon's end
        #[arg(long)]
        no_wait: bool,
    },
    /// Say whether a list of URIs at a carrier keeps a customer's pin
    #[command(after_help = help::PREFLIGHT.codes(), after_long_help = help::PREFLIGHT.long())]
    Preflight(PreflightOptions),
    /// Say whose a telephone number is, as `countries` and `callers` of a trunk read it
    #[command(after_help = help::NUMBER.codes(), after_long_help = help::NUMBER.long())]
    Number(NumberOptions),
    /// Read the record of decisions: verify it, report from it, prove a record, find a number
    #[command(after_help = help::AUDIT.codes(), after_long_help = help::AUDIT.long(), arg_required_else_help = true)]
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Show the daemon at work on loopback: two regions, a trunk, and four calls with their messages and verdicts
    #[command(after_help = help::DEMO.codes(), after_long_help = help::DEMO.long())]
    Demo {
        /// Exit after the calls. Without this option /metrics stays up until Ctrl-C
        #[arg(long)]
        once: bool,
    },
    /// Print a shell's completions for the commands and their options
    #[command(after_help = help::COMPLETIONS.codes(), after_long_help = help::COMPLETIONS.long())]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print this program's manual page, or write the pages of all commands into a folder
    #[command(after_help = help::MAN.codes(), after_long_help = help::MAN.long())]
    Man {
        /// The folder for ringfence.1 and a page for each command. It is made if it does not exist
        dir: Option<PathBuf>,
    },
}

/// What a first configuration says.
#[derive(Debug, Args)]
pub(super) struct InitOptions {
    /// The region's name
    #[arg(long, value_name = "NAME")]
    pub(super) region: Option<String>,
    /// The region's hostname: carriers call PROJECT.HOST
    #[arg(long, value_name = "HOST")]
    pub(super) hostname: Option<String>,
    /// The address of this machine to listen on
    #[arg(long, value_name = "IP")]
    pub(super) address: Option<String>,
    /// A network inside the region. You can give this option several times. Without it: the /24 or /64 around the address
    #[arg(long, value_name = "CIDR")]
    pub(super) network: Vec<String>,
    /// The region's SIP server: IP:PORT, or a name
    #[arg(long, value_name = "SERVER")]
    pub(super) server: Option<String>,
    /// The first customer's name
    #[arg(long, value_name = "NAME")]
    pub(super) project: Option<String>,
    /// The name of that customer's carrier
    #[arg(long, value_name = "NAME")]
    pub(super) carrier: Option<String>,
    /// A network that the carrier signals from. You can give this option several times
    #[arg(long, value_name = "CIDR")]
    pub(super) carrier_network: Vec<String>,
    /// A network that the carrier's media (RTP) comes from. You can give this option several times. Without it: as --carrier-network
    #[arg(long, value_name = "CIDR")]
    pub(super) carrier_media: Vec<String>,
    /// The folder to write to. It is made if it does not exist. Without it: the current one
    #[arg(long, value_name = "DIR")]
    pub(super) directory: Option<PathBuf>,
    /// Overwrite a configuration that is there. A key that is there is kept
    #[arg(long)]
    pub(super) force: bool,
}

/// A list of URIs at a carrier, and whose it is.
#[derive(Debug, Args)]
pub(super) struct PreflightOptions {
    /// The configuration. Without it: ./ringfence.toml, or else /etc/ringfence/ringfence.toml
    #[arg(short, long, value_name = "FILE", default_value_os_t = default_config(), hide_default_value = true)]
    pub(super) config: PathBuf,
    /// The customer whose list it is
    #[arg(long, value_name = "PROJECT")]
    pub(super) project: String,
    /// The region that the list must stay in. Without it: the regions of the project's pin
    #[arg(long, value_name = "REGION")]
    pub(super) region: Option<String>,
    /// Ask each endpoint by OPTIONS which region answers
    #[arg(long)]
    pub(super) probe: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
    /// The URIs, in the carrier's order; `-` for the lines of standard input
    #[arg(required = true, value_name = "URI")]
    pub(super) uris: Vec<String>,
}

/// A telephone number, and how it is written.
#[derive(Debug, Args)]
pub(super) struct NumberOptions {
    /// The number, or a URI with it: +35312345678, sip:0049301234@host, tel:…
    pub(super) number: String,
    /// How a number without + is read, as `numbering` of a trunk: +E.164, E.164, or a country whose plan applies
    #[arg(long, value_name = "PLAN", default_value = "+E.164")]
    pub(super) numbering: Numbering,
    /// What stands in front of the number and is no part of it, as `strip` of a trunk
    #[arg(long, value_name = "DIGITS")]
    pub(super) strip: Option<TechPrefix>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// A running daemon.
#[derive(Clone, Debug, Args)]
pub(super) struct AdminOptions {
    /// The daemon's configuration, whose [admin] says where to ask. Without it: ./ringfence.toml, or else
    /// /etc/ringfence/ringfence.toml
    #[arg(short, long, value_name = "FILE", default_value_os_t = default_config(), hide_default_value = true)]
    pub(super) config: PathBuf,
    /// Where the daemon's admin endpoint is. FILE is not read then
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = endpoint)]
    pub(super) admin: Option<SocketAddr>,
}

/// Which decisions to show. An option that is given several times means any of its values.
#[derive(Debug, Args)]
pub(super) struct WatchOptions {
    #[command(flatten)]
    pub(super) admin: AdminOptions,
    /// Only this project's decisions
    #[arg(long, value_name = "PROJECT")]
    pub(super) project: Vec<String>,
    /// Only decisions for this reason: its number or its name
    #[arg(long, value_name = "REASON")]
    pub(super) reason: Vec<String>,
    /// Only decisions about this call
    #[arg(long, value_name = "ID")]
    pub(super) call_id: Vec<String>,
    /// Only this verdict: accept, refuse or shadow
    #[arg(long, value_name = "VERDICT")]
    pub(super) verdict: Vec<String>,
    /// Print one JSON object a line, as the daemon sends it
    #[arg(long)]
    pub(super) json: bool,
}

/// A message, and how it would come in.
#[derive(Clone, Debug, Args)]
pub(super) struct ExplainOptions {
    /// The configuration. Without it: ./ringfence.toml, or else /etc/ringfence/ringfence.toml
    #[arg(short, long, value_name = "FILE", default_value_os_t = default_config(), hide_default_value = true)]
    pub(super) config: PathBuf,
    /// The address that the packet would come from. Without a port: 5060, over TLS 5061. Headers of the message do not change it
    #[arg(short, long, value_name = "IP[:PORT]", required_unless_present_any = ["call_id", "realtime"], value_parser = source)]
    pub(super) source: Option<Whence>,
    /// The transport that the message would come over. Without it --listener decides, or udp
    #[arg(short, long, value_parser = transports())]
    pub(super) transport: Option<Transport>,
    /// The listener that the message would come to: `udp:IP:PORT` as in FILE, IP:PORT, or a region's name. Needed if several
    /// regions have listeners
    #[arg(short, long)]
    pub(super) listener: Option<String>,
    /// For TLS: the name that the client would ask for (SNI)
    #[arg(long, value_name = "HOST", value_parser = host)]
    pub(super) sni: Option<String>,
    /// For TLS: a name in the client's certificate. You can give this option several times
    #[arg(long, value_name = "HOST", value_parser = host)]
    pub(super) certificate: Vec<String>,
    /// Look up no names. A result that depends on a name is then unknown
    #[arg(long)]
    pub(super) offline: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
    /// The message of this call that the running daemon refused or let pass in shadow mode last, instead of MESSAGE
    #[arg(long, value_name = "ID", conflicts_with_all = ["source", "transport", "listener", "message"])]
    pub(super) call_id: Option<String>,
    /// With --call-id: where the daemon's admin endpoint is, if it is not where FILE says
    #[arg(long, value_name = "ADDRESS:PORT", requires = "call_id", value_parser = endpoint)]
    pub(super) admin: Option<SocketAddr>,
    /// What the realtime gate would answer a client with this URL or token, or `-` for standard input; --listener may name a region
    #[arg(long, value_name = "URL|TOKEN", conflicts_with_all = ["source", "transport", "sni", "certificate", "offline", "call_id", "message"])]
    pub(super) realtime: Option<String>,
    /// The message, or `-` for standard input. It can be pasted from a log or from the text of a capture
    #[arg(required_unless_present_any = ["call_id", "realtime"])]
    pub(super) message: Option<PathBuf>,
}

/// The endpoint to call, and how.
#[derive(Debug, Args)]
pub(super) struct ProbeOptions {
    /// sip:[USER@]HOST[:PORT][;transport=udp|tcp|tls], or sips:…
    pub(super) uri: String,
    /// Send an INVITE without a session description. It is cancelled when it rings, and ended by BYE if somebody answers
    #[arg(long)]
    pub(super) invite: bool,
    /// The transport. Without it the URI and DNS decide
    #[arg(short, long, value_parser = transports())]
    pub(super) transport: Option<Transport>,
    /// For TLS: the signers that are trusted for the endpoint's certificate, in PEM
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// Use this configuration's name servers, and send nothing to an address outside all of its regions
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Send to this address, wherever DNS says the endpoint is. Without a port: the URI's, or the transport's usual one
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = source)]
    pub(super) to: Option<Whence>,
    /// The address to call from, for example one that is in a trunk's networks
    #[arg(long, value_name = "ADDRESS")]
    pub(super) bind: Option<IpAddr>,
    /// How many seconds to wait for an answer from one address before the next one is tried
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=180))]
    pub(super) timeout: u64,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// An address as it is written: without a port if the usual one is meant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whence(IpAddr, Option<u16>);

impl Whence {
    /// An address with its port.
    pub(super) const fn of(addr: SocketAddr) -> Self {
        Self(addr.ip(), Some(addr.port()))
    }

    /// The address, with this port if none was written.
    pub(super) fn at(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.0, self.1.unwrap_or(port))
    }

    /// The address, with the usual port of the transport if none was written.
    pub(super) fn over(self, transport: Transport) -> SocketAddr {
        self.at(transport.port())
    }
}

fn source(text: &str) -> Result<Whence, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match (text.parse::<SocketAddr>(), bare.parse::<IpAddr>()) {
        (Ok(addr), _) => Ok(Whence::of(addr)),
        (_, Ok(ip)) => Ok(Whence(ip, None)),
        _ => Err("this is no address: 192.0.2.7:5060, 192.0.2.7 or [2001:db8::7]:5060 would be right".to_owned()),
    }
}

/// An admin endpoint: as `listen` of `[admin]`, or as a browser shows it.
fn endpoint(text: &str) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    match bare.parse::<SocketAddr>() {
        Ok(addr) => Ok(addr),
        Err(_) => Err("this is no address with a port: 127.0.0.1:9090 or [::1]:9090 would be right".to_owned()),
    }
}

/// Where a configuration is looked for, in this order, if none is named.
pub(super) const USUAL: [&str; 2] = ["ringfence.toml", "/etc/ringfence/ringfence.toml"];

/// The first of the usual files that is there. If none is, the first.
fn default_config() -> PathBuf {
    USUAL.into_iter().find(|path| Path::new(path).exists()).unwrap_or(USUAL[0]).into()
}

impl ExplainOptions {
    /// How the message comes.
    pub(super) fn transport(&self) -> Transport {
        self.transport.unwrap_or(Transport::Udp)
    }
}

/// A host name, lower case and without a dot at the end.
fn host(text: &str) -> Result<String, String> {
    let next_hop = crate::config::NextHop::of_host(text.as_bytes(), None, None, false);
    next_hop.map(|next_hop| next_hop.host).ok_or_else(|| "this is no host name".to_owned())
}

/// The transports that are spoken here, by name.
fn transports() -> impl clap::builder::TypedValueParser<Value = Transport> {
    PossibleValuesParser::new(Transport::ALL.map(Transport::token)).map(|text| {
        let found = Transport::ALL.into_iter().find(|transport| transport.token() == text);
        found.unwrap_or(Transport::Udp)
    })
}
