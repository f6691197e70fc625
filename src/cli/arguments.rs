//! What may stand on the command line, and what it means: the one source of `--help`, of the completions and of the manual.
//!
//! Reads arguments; does nothing.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand};

use super::help;
use crate::config::{Transport, Written};

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
        /// The configuration
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Say everything that is wrong with a configuration, or what it means
    #[command(after_help = help::CHECK.codes(), after_long_help = help::CHECK.long())]
    Check {
        /// The configuration
        #[arg(short, long, value_name = "FILE", required_unless_present = "diff")]
        config: Option<PathBuf>,
        /// Say what differs between two configurations: what a reload from one to the other would change
        #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], conflicts_with_all = ["config", "online"])]
        diff: Vec<PathBuf>,
        /// Resolve every name of the configuration too, and say what is outside
        #[arg(long)]
        online: bool,
        /// One JSON object on standard output
        #[arg(long)]
        json: bool,
    },
    /// Show the way from a name to its servers (RFC 3263), what of it is inside, and in which order calls would try it
    #[command(after_help = help::RESOLVE.codes(), after_long_help = help::RESOLVE.long())]
    Resolve {
        /// The configuration: name servers, networks, and who sends to NAME
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// What may stand in `upstream` or `uri`: sip:HOST[:PORT][;transport=udp|tcp], HOST or HOST:PORT
        name: Written,
        /// One JSON object on standard output
        #[arg(long)]
        json: bool,
    },
    /// Print the DNS records by which the region endpoints are found (NAPTR, SRV, A, AAAA), as a zone file
    #[command(after_help = help::ZONE.codes(), after_long_help = help::ZONE.long())]
    Zone {
        /// The configuration
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
        /// How long the records may be kept, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 300)]
        ttl: u32,
        /// Print a whole zone of this name, with SOA and NS, instead of records to be included in one
        #[arg(long, value_name = "NAME", value_parser = host, requires = "servers")]
        zone: Option<String>,
        /// A name server of that zone; may be given several times
        #[arg(long = "ns", value_name = "HOST", value_parser = host, requires = "zone")]
        servers: Vec<String>,
    },
    /// Say what would happen to a message, and why: each test, the answer, the targets. Sends nothing
    #[command(after_help = help::EXPLAIN.codes(), after_long_help = help::EXPLAIN.long())]
    Explain(ExplainOptions),
    /// Call an endpoint, and report what it answers, how fast, and in words why it refuses: OPTIONS, or an INVITE that is cancelled
    #[command(after_help = help::PROBE.codes(), after_long_help = help::PROBE.long())]
    Probe(ProbeOptions),
    /// Show the daemon at work on loopback: two regions, a trunk, four calls, their ladders and verdicts
    #[command(after_help = help::DEMO.codes(), after_long_help = help::DEMO.long())]
    Demo {
        /// Exit after the calls instead of keeping /metrics up until Ctrl-C
        #[arg(long)]
        once: bool,
    },
    /// Print what makes a shell complete the commands and their options
    #[command(after_help = help::COMPLETIONS.codes(), after_long_help = help::COMPLETIONS.long())]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print this program's manual page, or write the pages of all commands into a folder
    #[command(after_help = help::MAN.codes(), after_long_help = help::MAN.long())]
    Man {
        /// Where to write ringfence.1 and a page for each command; made if it is not there
        dir: Option<PathBuf>,
    },
}

/// A message, and how it would come in.
#[derive(Debug, Args)]
pub(super) struct ExplainOptions {
    /// The configuration
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Where the message would come from: the packet's source, whatever its headers say
    #[arg(short, long, value_name = "IP:PORT")]
    pub(super) source: SocketAddr,
    /// How it would come; udp if --listener does not say
    #[arg(short, long, value_parser = transports())]
    pub(super) transport: Option<Transport>,
    /// Which listener it would come to: `udp:IP:PORT` as in FILE, IP:PORT, or a region's name. Needed where several regions have one
    #[arg(short, long)]
    pub(super) listener: Option<String>,
    /// Over TLS: the name that the client would ask for
    #[arg(long, value_name = "HOST", value_parser = host)]
    pub(super) sni: Option<String>,
    /// Over TLS: a name that the client's certificate would prove; may be given several times
    #[arg(long, value_name = "HOST", value_parser = host)]
    pub(super) certificate: Vec<String>,
    /// Look up no name. What hangs on one cannot be told then
    #[arg(long)]
    pub(super) offline: bool,
    /// One JSON object on standard output
    #[arg(long)]
    pub(super) json: bool,
    /// The message, or `-` for standard input: as it was on the wire, or pasted from a log or the text of a capture
    pub(super) message: PathBuf,
}

/// Whom to call, and how.
#[derive(Debug, Args)]
pub(super) struct ProbeOptions {
    /// sip:[USER@]HOST[:PORT][;transport=udp|tcp|tls], or sips:…
    pub(super) uri: String,
    /// Send an INVITE without a session description; it is cancelled when it rings, and ended by BYE if somebody answers
    #[arg(long)]
    pub(super) invite: bool,
    /// The transport, if neither the URI nor DNS is to say it
    #[arg(short, long, value_parser = transports())]
    pub(super) transport: Option<Transport>,
    /// Over TLS: the certificates in PEM that the endpoint's must be signed by
    #[arg(long, value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// Send nothing to an address that is outside every region of this configuration, and use its name servers
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// How long to wait for an answer of one address, in seconds, before the next one
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=180))]
    pub(super) timeout: u64,
    /// One JSON object on standard output
    #[arg(long)]
    pub(super) json: bool,
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
