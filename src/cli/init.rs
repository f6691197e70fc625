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
/// The longest line that a comment stands behind. A longer one has it above.
const COLUMN: usize = 60;
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
    carrier_media: Vec<IpNet>,
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
        print(&format!("\nnext:\n  ringfence check --here -c {0}\n  ringfence run -c {0}\n", file.display()));
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
                    // The prompt's line is still open.
                    print("\n");
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
        let named = |example: &'static str| move |text: &str| label(text, example);
        let region = answers.one("--region", options.region.as_deref(), "Name of the region", None, named("eu"))?;
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
        // They follow from the address, so nobody without an address has to be told that they are missing.
        let mut inside = match (&around, &own) {
            (None, None) => None,
            _ => answers.one("--network", own.as_deref(), "Networks inside the region, with commas between", around, holds)?,
        };
        let server = Self::server(options, answers, inside.as_mut())?;
        let question = "Name of the first customer (project)";
        let project = answers.one("--project", options.project.as_deref(), question, None, named("acme"))?;
        let question = "Name of its carrier's trunk";
        let carrier = answers.one("--carrier", options.carrier.as_deref(), question, None, named("twilio-ie"))?;
        let theirs = joined(&options.carrier_network);
        let signals =
            answers.one("--carrier-network", theirs.as_deref(), "Networks that the carrier signals from", None, networks)?;
        let same = signals.as_ref().map(|nets| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        let media = match (&same, joined(&options.carrier_media)) {
            (None, None) => None,
            (_, theirs) => {
                let question = "Networks that the carrier's media (RTP) comes from";
                answers.one("--carrier-media", theirs.as_deref(), question, same, networks)?
            }
        };
        if let Answers::Options(missing) = answers
            && !missing.is_empty()
        {
            return Err(format!("missing, and asked for at a terminal:\n  {}", missing.join("\n  ")));
        }
        let all = (region, hostname, address, inside, server, project, carrier, signals, media);
        let (
            Some(region),
            Some(hostname),
            Some(address),
            Some(networks),
            Some(server),
            Some(project),
            Some(carrier),
            Some(carrier_networks),
            Some(carrier_media),
        ) = all
        else {
            return Err("a value is missing".to_owned());
        };
        Ok(Self { region, hostname, address, networks, server, project, carrier, carrier_networks, carrier_media })
    }

    /// The region's server. It must be inside: a person may say that the networks lack it.
    fn server(options: &InitOptions, answers: &mut Answers, inside: Option<&mut Vec<IpNet>>) -> Result<Option<Written>, String> {
        let given = options.server.as_deref();
        let mut inside = inside;
        loop {
            let server = answers.one("--server", given, "The region's SIP server (HOST, or IP:PORT)", None, Written::from_str)?;
            let (Some(Written::Address { addr, .. }), Some(nets)) = (&server, inside.as_deref_mut()) else { return Ok(server) };
            let ip = addr.ip();
            if nets.iter().any(|net| net.contains(&ip)) {
                return Ok(server);
            }
            if given.is_some() || !matches!(answers, Answers::Terminal) {
                let all = nets.iter().copied().chain([single(ip)]).map(|net| format!("--network {net}")).collect::<Vec<_>>();
                let written = given.unwrap_or_default();
                return Err(format!(
                    "--server {written}: {ip} is outside the region's networks. If it is in the region: {}",
                    all.join(" ")
                ));
            }
            let question = format!("  {ip} is outside these networks. Is {} inside the region too? (yes, no)", single(ip));
            if answers.one("--network", None, &question, Some("no".to_owned()), yes)? == Some(true) {
                nets.push(single(ip));
                return Ok(server);
            }
        }
    }

    /// The file.
    fn text(&self) -> String {
        let Self { region, hostname, address, networks, server, project, carrier, carrier_networks, carrier_media } = self;
        let list = |nets: &[IpNet]| nets.iter().map(|net| format!("\"{net}\"")).collect::<Vec<_>>().join(", ");
        let at = |port: u16| std::net::SocketAddr::new(*address, port);
        let mut out = String::new();
        let mut table = |rows: &[(String, String)]| {
            let widest =
                rows.iter().map(|(row, _)| row.chars().count()).filter(|&width| width <= COLUMN).max().unwrap_or_default();
            for (row, comment) in rows {
                // Writing to a string cannot fail.
                let _ = match comment.as_str() {
                    "" => writeln!(out, "{row}"),
                    _ if row.chars().count() > COLUMN => writeln!(out, "# {comment}:\n{row}"),
                    comment => writeln!(out, "{row:<widest$}  # {comment}"),
                };
            }
        };
        let row = |row: String, comment: &str| (row, comment.to_owned());
        table(&[
            row(
                "# Written by `ringfence init`. Every key: docs/configuration.md (a package has it in /usr/share/doc/ringfence)."
                    .into(),
                "",
            ),
            row("# After a change: `ringfence check`, then `ringfence reload`.".into(), ""),
            row(String::new(), ""),
            row(format!("serve = [\"{region}\"]"), "the regions that this daemon listens for"),
            row(String::new(), ""),
        ]);
        table(&[
            row(format!("[region.{region}]"), ""),
            row(format!("hostname = \"{hostname}\""), &format!("carriers call {project}.{hostname}")),
            row(format!("listen = [\"udp:{0}\", \"tcp:{0}\"]", at(5060)), ""),
            row("# advertise = \"203.0.113.10\"".into(), "behind NAT: the address that carriers and servers reach"),
            row(
                format!("networks = [{}]", list(networks)),
                "inside the region: calls and their media may go there, and nowhere else",
            ),
            row(format!("upstream = \"{server}\""), "the region's SIP server"),
            row(String::new(), ""),
        ]);
        table(&[
            row("# [region.us]".into(), "another region: named, so that calls for it are refused with its name"),
            row("# hostname = \"us.sip.example.com\"".into(), ""),
            row(String::new(), ""),
        ]);
        table(&[
            row(format!("[project.{project}]"), "a customer"),
            row(format!("pin = [\"{region}\"]"), "its calls may use this region alone"),
            row("mode = \"enforce\"".into(), "\"shadow\" refuses nothing, and tells what it would refuse"),
            row(String::new(), ""),
        ]);
        table(&[
            row(format!("[project.{project}.trunk.{carrier}]"), "its carrier"),
            row(
                format!("networks = [{}]", list(carrier_networks)),
                "where the carrier signals from. They do not count for media",
            ),
            row(format!("media = [{}]", list(carrier_media)), "where its media (RTP) comes from, beside the region"),
            row("# uri = \"sip:carrier.example.net\"".into(), "where calls out go"),
            row(String::new(), ""),
        ]);
        table(&[
            row("[admin]".into(), ""),
            row("listen = \"127.0.0.1:9090\"".into(), "/metrics, /status, the page at /, `ringfence status`"),
            row(String::new(), ""),
        ]);
        table(&[
            row("[secret]".into(), ""),
            row(format!("file = \"{}\"", FILES[1]), "signs the route of each call: the same on every node of the region"),
        ]);
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
fn label(text: &str, example: &str) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    let fits =
        !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-');
    if fits && !text.starts_with('-') && !text.ends_with('-') {
        Ok(text)
    } else {
        Err(format!("a name of letters, digits and hyphens would be right, for example {example}"))
    }
}

fn hostname(text: &str) -> Result<String, String> {
    let bare = text.trim_end_matches('.');
    let whole = bare.contains('.') && !bare.contains('_') && text.parse::<IpAddr>().is_err();
    let name = NextHop::of_host(bare.as_bytes(), None, None, false).filter(|_| whole);
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

/// The answer to a question with two answers.
fn yes(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        "n" | "no" => Ok(false),
        _ => Err("yes or no".to_owned()),
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
