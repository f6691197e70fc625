//! `ringfence init`: writes a first configuration and its key, from options or from answers at a terminal, and checks it. Overwrites nothing
//! unless told to.

use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::str::FromStr as _;

use ipnet::IpNet;

use super::arguments::InitOptions;
use super::check;
use super::exit::{NO_INPUT, OK, WRONG};
use super::output::{complain, print};
use crate::config::{NextHop, Written};

/// Octets of a new key.
const KEY: usize = 32;
/// The names of both files.
const FILES: [&str; 2] = ["ringfence.toml", "ringfence.key"];

/// What the file is made of. Each value was checked.
struct Draft {
    region: String,
    hostname: String,
    address: IpAddr,
    networks: Vec<IpNet>,
    server: Written,
    project: String,
    carrier: String,
    carrier_networks: Vec<IpNet>,
}

/// Where answers come from.
enum Answers {
    /// A person, who is asked again.
    Terminal,
    /// Options alone. What is missing is collected.
    Options(Vec<&'static str>),
}

/// Writes both files, checks them, and says the next command.
pub(super) fn init(options: &InitOptions) -> u8 {
    let folder = options.directory.as_deref().unwrap_or_else(|| Path::new("."));
    let [file, key] = FILES.map(|name| folder.join(name));
    if file.exists() && !options.force {
        let there = file.display();
        return complain(&format!("{there} is there already: --force overwrites it, --directory DIR writes elsewhere"), WRONG);
    }
    let terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    let mut answers = if terminal { Answers::Terminal } else { Answers::Options(Vec::new()) };
    let draft = match Draft::of(options, &mut answers) {
        Ok(draft) => draft,
        Err(what) => return complain(&what, WRONG),
    };
    let new = match write(folder, &draft) {
        Ok(new) => new,
        Err(error) => {
            let what = format!("{}: {error}\n  = a folder that you may write to: --directory DIR", folder.display());
            return complain(&what, NO_INPUT);
        }
    };
    let how = if new { "a new key" } else { "which was there and is kept" };
    print(&format!("wrote {}; the key is {}, {how}\n\n", file.display(), key.display()));
    let code = check::check(&file, false, false, false);
    if code == OK {
        print(&format!("\nnext: ringfence check --here -c {0}; ringfence run -c {0}\n", file.display()));
    }
    code
}

impl Answers {
    /// The value of an option, or the answer to its question. `default`: what is meant by an empty answer, and without a terminal by none.
    fn one<T>(
        &mut self,
        option: &'static str,
        given: Option<&str>,
        question: &str,
        default: Option<String>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        if let Some(given) = given {
            return read(given).map(Some).map_err(|wrong| format!("{option} {given}: {wrong}"));
        }
        match self {
            Self::Options(missing) => {
                if let Some(default) = default {
                    return read(&default).map(Some).map_err(|wrong| format!("{option}: {wrong}"));
                }
                missing.push(option);
                Ok(None)
            }
            Self::Terminal => loop {
                let shown = default.as_ref().map_or_else(String::new, |default| format!(" [{default}]"));
                print(&format!("{question}{shown}: "));
                // A prompt has no line end to send it off.
                let _ = io::stdout().flush();
                let mut line = String::new();
                if io::stdin().lock().read_line(&mut line).unwrap_or(0) == 0 {
                    return Err("nothing was written: the answers ended early".to_owned());
                }
                let answer = match (line.trim(), &default) {
                    ("", Some(default)) => default.as_str(),
                    (answer, _) => answer,
                };
                match read(answer) {
                    Ok(value) => return Ok(Some(value)),
                    Err(wrong) => print(&format!("  {wrong}\n")),
                }
            },
        }
    }
}

impl Draft {
    fn of(options: &InitOptions, answers: &mut Answers) -> Result<Self, String> {
        let region = answers.one("--region", options.region.as_deref(), "Name of the region", None, label)?;
        let suggested =
            region.as_ref().map(|region| format!("{region}.sip.example.com")).filter(|_| matches!(answers, Answers::Terminal));
        let hostname =
            answers.one("--hostname", options.hostname.as_deref(), "Its hostname, which carriers call", suggested, hostname)?;
        let suggested = own_address().map(|ip| ip.to_string()).filter(|_| matches!(answers, Answers::Terminal));
        let address =
            answers.one("--address", options.address.as_deref(), "This machine's address to listen on", suggested, address)?;
        let around =
            address.and_then(|ip| IpNet::new(ip, if ip.is_ipv4() { 24 } else { 64 }).ok()).map(|net| net.trunc().to_string());
        let own = joined(&options.network);
        let holds = |text: &str| {
            let nets = networks(text)?;
            match address.filter(|ip| !nets.iter().any(|net| net.contains(ip))) {
                Some(ip) => Err(format!("{text} does not hold {ip}, where the daemon listens: add {}", single(ip))),
                None => Ok(nets),
            }
        };
        let networks_of =
            answers.one("--network", own.as_deref(), "Networks inside the region, with commas between", around, holds)?;
        let inside = |text: &str| server(text, networks_of.as_deref().unwrap_or_default());
        let server =
            answers.one("--server", options.server.as_deref(), "The region's SIP server (HOST, or IP:PORT)", None, inside)?;
        let project =
            answers.one("--project", options.project.as_deref(), "Name of the first customer (project)", None, label)?;
        let carrier = answers.one("--carrier", options.carrier.as_deref(), "Name of its carrier's trunk", None, label)?;
        let theirs = joined(&options.carrier_network);
        let theirs =
            answers.one("--carrier-network", theirs.as_deref(), "Networks that the carrier signals from", None, networks)?;
        if let Answers::Options(missing) = answers
            && !missing.is_empty()
        {
            return Err(format!("missing: {} (at a terminal it asks for them)", missing.join(", ")));
        }
        let all = (region, hostname, address, networks_of, server, project, carrier, theirs);
        let (
            Some(region),
            Some(hostname),
            Some(address),
            Some(networks),
            Some(server),
            Some(project),
            Some(carrier),
            Some(theirs),
        ) = all
        else {
            return Err("a value is missing".to_owned());
        };
        Ok(Self { region, hostname, address, networks, server, project, carrier, carrier_networks: theirs })
    }

    /// The file.
    fn text(&self) -> String {
        let Self { region, hostname, address, networks, server, project, carrier, carrier_networks } = self;
        let list = |nets: &[IpNet]| nets.iter().map(|net| format!("\"{net}\"")).collect::<Vec<_>>().join(", ");
        let at = |port: u16| std::net::SocketAddr::new(*address, port);
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            r#"# Written by `ringfence init`. Every key: docs/configuration.md. After a change: `ringfence check`, then `ringfence reload`.

serve = ["{region}"]                 # the regions that this daemon listens for

[region.{region}]
hostname = "{hostname}"              # carriers call {project}.{hostname}
listen = ["udp:{udp}", "tcp:{udp}"]
# advertise = "203.0.113.10"         # behind NAT: the address that carriers and servers reach
networks = [{inside}]                # inside the region: calls and their media may go there, and nowhere else
upstream = "{server}"                # the region's SIP server

# [region.us]                        # another region: named, so that calls for it are refused with its name
# hostname = "us.sip.example.com"

[project.{project}]                  # a customer
pin = ["{region}"]                   # its calls may use this region alone
mode = "enforce"                     # "shadow" refuses nothing, and tells what it would refuse

[project.{project}.trunk.{carrier}]  # its carrier
networks = [{theirs}]                # where the carrier signals from
# media = ["198.51.100.0/24"]        # where its media comes from, if elsewhere
# uri = "sip:carrier.example.net"    # where calls out go

[admin]
listen = "127.0.0.1:9090"            # /metrics, /status, the page at /, `ringfence status`

[secret]
file = "{key}"              # signs the route of each call: the same on every node of the region
"#,
            udp = at(5060),
            inside = list(networks),
            theirs = list(carrier_networks),
            key = FILES[1],
        );
        out
    }
}

/// Writes the files into a folder, which is made if it does not exist. A key that is there is kept: other nodes may have it too. Returns
/// whether a new one was made.
fn write(folder: &Path, draft: &Draft) -> io::Result<bool> {
    DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
    let [file, key] = FILES.map(|name| folder.join(name));
    let new = !key.exists();
    if new {
        let mut octets = [0; KEY];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut octets)?;
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(key)?.write_all(&octets)?;
    }
    std::fs::write(file, draft.text())?;
    Ok(new)
}

fn joined(given: &[String]) -> Option<String> {
    (!given.is_empty()).then(|| given.join(","))
}

/// A name of the operator's, as tables and hostnames have it.
fn label(text: &str) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    let fits =
        !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-');
    if fits && !text.starts_with('-') && !text.ends_with('-') {
        Ok(text)
    } else {
        Err("a name of letters, digits and hyphens would be right, for example eu".to_owned())
    }
}

fn hostname(text: &str) -> Result<String, String> {
    let name =
        NextHop::of_host(text.trim_end_matches('.').as_bytes(), None, None, false).filter(|_| text.parse::<IpAddr>().is_err());
    name.map(|name| name.host).ok_or_else(|| "a host name would be right, for example eu.sip.example.com".to_owned())
}

fn address(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => {
            Err("an address of this machine would be right: carriers are told to come back to it".to_owned())
        }
        Ok(ip) => Ok(ip),
        Err(_) => Err("an address would be right, for example 203.0.113.10".to_owned()),
    }
}

fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
    let nets: Vec<IpNet> = parts.map(network).collect::<Result<_, _>>()?;
    if nets.is_empty() { Err("at least one network, for example 203.0.113.0/24".to_owned()) } else { Ok(nets) }
}

fn network(text: &str) -> Result<IpNet, String> {
    let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let net = net.ok_or_else(|| format!("`{text}` is no network: 203.0.113.0/24 would be right"))?;
    if net == net.trunc() { Ok(net) } else { Err(format!("`{text}` has bits behind its prefix: {} would be right", net.trunc())) }
}

/// A server inside the region, if it is an address.
fn server(text: &str, inside: &[IpNet]) -> Result<Written, String> {
    let written = Written::from_str(text)?;
    match &written {
        Written::Address { addr, .. } if !inside.iter().any(|net| net.contains(&addr.ip())) => {
            Err(format!("{} is outside the region's networks: add its network, or {}", addr.ip(), single(addr.ip())))
        }
        _ => Ok(written),
    }
}

/// The network of one address.
fn single(ip: IpAddr) -> IpNet {
    IpNet::from(ip)
}

/// An address of this machine that others may reach.
fn own_address() -> Option<IpAddr> {
    let addresses = nix::ifaddrs::getifaddrs().ok()?;
    let ip = |of: nix::ifaddrs::InterfaceAddress| {
        of.address.and_then(|addr| addr.as_sockaddr_in().map(|addr| IpAddr::from(addr.ip())))
    };
    addresses.filter_map(ip).find(|ip| !ip.is_loopback())
}
