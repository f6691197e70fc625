//! From one text of a file to one value, or to the mistake and what would be right.
//!
//! Knows nothing of keys, places or other values.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;

use super::audit::AuditNumbers;
use super::limits::Numbers;
use super::mode::{Media, Mode};
use super::number_limits::AllowedCaller;
use super::report::Wrong;
use super::spelling::nearest;
use super::transport::Transport;
use crate::fence::{ServerNet, canonical};
use crate::numbering::{Country, EmergencyNumbers, NotACountry, NotANumbering, NotATechPrefix, Numbering, TechPrefix};
use crate::reason::Profile;

/// A DNS label (RFC 1035 2.3.1) in lower case: it stands in front of a region's hostname.
pub(super) fn label(text: &str) -> Result<String, Wrong> {
    let lower = text.to_ascii_lowercase();
    if !is_label(&lower) || lower.contains('_') {
        let right = "a DNS label: letters, digits and inner hyphens, at most 63, for example `acme`";
        return Err(Wrong::new(format!("`{text}` cannot stand in a host name"), right));
    }
    if lower != text {
        return Err(Wrong::new(format!("`{text}` has upper case"), format!("names are compared in lower case: `{lower}`")));
    }
    Ok(lower)
}

/// A region's name: a token (RFC 3261 25.1), because it stands in `X-Ringfence` as one.
pub(super) fn region_name(text: &str) -> Result<String, Wrong> {
    let token = |c: u8| c.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&c);
    if text.is_empty() || text.len() > 63 || !text.bytes().all(token) {
        let right = "a token of letters, digits, `-`, `_` and `.`, at most 63, for example `eu`";
        return Err(Wrong::new(format!("`{text}` is no region name"), right));
    }
    Ok(text.to_owned())
}

/// A host name in lower case.
pub(super) fn hostname(text: &str) -> Result<String, Wrong> {
    let right = "a host name, for example `eu.sip.example.com`";
    let lower = text.to_ascii_lowercase();
    if IpAddr::from_str(text).is_ok() {
        return Err(Wrong::new(format!("`{text}` is an address"), right));
    }
    if let Some(name) = lower.strip_suffix('.').filter(|name| is_hostname(name)) {
        return Err(Wrong::new(format!("`{text}` ends with a dot"), format!("`{name}`")));
    }
    if is_hostname(&lower) { Ok(lower) } else { Err(Wrong::new(format!("`{text}` is no host name"), right)) }
}

/// Whether the text, in lower case, is a host name and not an address in another form.
pub(super) fn is_hostname(text: &str) -> bool {
    let numeric = |label: &str| label.bytes().all(|c| c.is_ascii_digit());
    text.len() <= 253 && text.split('.').all(is_label) && !text.rsplit('.').next().is_some_and(numeric)
}

/// Whether the text, in lower case, is a name that DNS can be asked for, and not an address in another form. Hyphens may stand at the ends
/// of a label too: container networks make such names, and RFC 2181 11 allows them.
pub(super) fn is_name(text: &str) -> bool {
    let numeric = |label: &str| label.bytes().all(|c| c.is_ascii_digit());
    text.len() <= 253 && text.split('.').all(is_dns_label) && !text.rsplit('.').next().is_some_and(numeric)
}

fn is_label(text: &str) -> bool {
    is_dns_label(text) && !text.starts_with('-') && !text.ends_with('-')
}

/// Underscores are tolerated because resolvers and operators do; RFC 952 did not.
fn is_dns_label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'_';
    (1..=63).contains(&text.len()) && text.bytes().all(inner)
}

/// A network without host bits.
pub(super) fn network(text: &str) -> Result<IpNet, Wrong> {
    if let Ok(ip) = IpAddr::from_str(text) {
        let net = IpNet::from(canonical(ip));
        return Err(Wrong::new(format!("`{text}` is an address, not a network"), format!("`{net}` for this address alone")));
    }
    let Ok(net) = IpNet::from_str(text) else {
        let right = "address/length, for example `203.0.113.0/24` or `2001:db8::/48`";
        return Err(Wrong::new(format!("`{text}` is not a network"), right));
    };
    if net.trunc() != net {
        return Err(Wrong::new(format!("`{text}` has bits beyond its length"), format!("`{}`", net.trunc())));
    }
    // Mapped and NAT64 addresses are judged by the IPv4 address inside, so that such a network would never match.
    if let (IpNet::V6(v6), IpAddr::V4(v4)) = (net, canonical(net.addr()))
        && let Some(length) = v6.prefix_len().checked_sub(96)
    {
        return Err(Wrong::new(format!("`{text}` is IPv4 within IPv6"), format!("`{v4}/{length}`, which covers both spellings")));
    }
    Ok(net)
}

/// A network or an address, with or without a port or a range of ports: `10.20.0.0/24`, `10.20.1.5:5060-5090`,
/// `[2001:db8::/64]:5060`.
pub(super) fn server(text: &str) -> Result<ServerNet, Wrong> {
    let right = "a network or an address, and a port or a range of ports behind it: `10.20.0.0/24`, `10.20.1.5:5060-5090` or `[2001:db8::5]:5060`";
    let wrong = |what: &str| Wrong::new(format!("`{text}` {what}"), right);
    let bracketed = text.strip_prefix('[').map(|rest| rest.split_once(']').ok_or_else(|| wrong("has no `]`"))).transpose()?;
    let bare = bracketed.is_none() && (IpAddr::from_str(text).is_ok() || IpNet::from_str(text).is_ok());
    let (net, ports) = match (bracketed, text.split_once(':')) {
        (Some((net, "")), _) => (net, None),
        (Some((net, rest)), _) => {
            (net, Some(rest.strip_prefix(':').ok_or_else(|| wrong("has something else than a port behind `]`"))?))
        }
        (None, Some((net, ports))) if !bare => (net, Some(ports)),
        (None, _) => (text, None),
    };
    let net = match IpAddr::from_str(net) {
        Ok(ip) if canonical(ip) != ip => {
            return Err(Wrong::new(format!("`{net}` is IPv4 within IPv6"), format!("`{}`", canonical(ip))));
        }
        Ok(ip) => IpNet::from(ip),
        Err(_) if net.contains('/') => network(net)?,
        Err(_) => return Err(wrong("is no network and no address")),
    };
    if bracketed.is_some() && net.addr().is_ipv4() {
        return Err(wrong("has brackets around IPv4"));
    }
    let ports = match ports {
        None => None,
        Some(ports) => {
            let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
            let port = |text: &str| text.parse().ok().filter(|&port: &u16| port > 0 && text.bytes().all(|c| c.is_ascii_digit()));
            match (port(first), port(last)) {
                (Some(first), Some(last)) if first <= last => Some((first, last)),
                (Some(first), Some(last)) => {
                    return Err(Wrong::new(format!("`{first}-{last}` ends before it begins"), format!("`{last}-{first}`")));
                }
                _ => return Err(wrong("has no port from 1 to 65535 behind the colon")),
            }
        }
    };
    Ok(ServerNet { net, ports })
}

/// `udp:ADDRESS:PORT`, `tcp:ADDRESS:PORT` or `tls:ADDRESS:PORT`.
pub(super) fn listener(text: &str) -> Result<(Transport, SocketAddr), Wrong> {
    let right = "`udp:ADDRESS:PORT`, `tcp:…` or `tls:…`, for example `udp:203.0.113.10:5060`";
    let (transport, addr) = text.split_once(':').unwrap_or_default();
    let transport = match transport.to_ascii_lowercase().as_str() {
        "udp" => Transport::Udp,
        "tcp" => Transport::Tcp,
        "tls" => Transport::Tls,
        "ws" | "wss" | "sctp" => {
            return Err(Wrong::new(format!("listeners over {transport} are not supported"), "`udp:`, `tcp:` or `tls:`"));
        }
        _ => return Err(Wrong::new(format!("`{text}` is not a listener"), right)),
    };
    let Ok(addr) = SocketAddr::from_str(addr) else {
        return Err(Wrong::new(format!("`{addr}` is not ADDRESS:PORT"), right));
    };
    let addr = plain(addr, right)?;
    if addr.ip().is_multicast() || addr.ip() == IpAddr::from([255; 4]) {
        return Err(Wrong::new(format!("`{}` is no address of one host", addr.ip()), right));
    }
    Ok((transport, addr))
}

/// `ADDRESS:PORT`.
pub(super) fn socket(text: &str) -> Result<SocketAddr, Wrong> {
    let right = "ADDRESS:PORT, for example `127.0.0.1:9090`";
    SocketAddr::from_str(text)
        .map_err(|_| Wrong::new(format!("`{text}` is not ADDRESS:PORT"), right))
        .and_then(|addr| plain(addr, right))
}

/// A DNS server: `ADDRESS` or `ADDRESS:PORT`.
pub(super) fn dns_server(text: &str) -> Result<SocketAddr, Wrong> {
    let right = "ADDRESS or ADDRESS:PORT of a DNS server, for example `127.0.0.1:53`";
    match literal(text) {
        Some((ip, port)) => plain(SocketAddr::new(ip, port.unwrap_or(53)), right),
        None => Err(Wrong::new(format!("`{text}` is not an address"), right)),
    }
}

/// An address with or without a port; IPv6 with a port, or in brackets, or bare.
pub(super) fn literal(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(addr) = SocketAddr::from_str(text) {
        // A scope would be lost on the way to the fence.
        let scoped = matches!(addr, SocketAddr::V6(v6) if v6.scope_id() != 0);
        return (!scoped).then_some((addr.ip(), Some(addr.port())));
    }
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bracketed {
        Some(inner) => inner.parse().ok().map(|ip| (IpAddr::V6(ip), None)),
        None => text.parse().ok().map(|ip| (ip, None)),
    }
}

/// Refuses an address that is never allowed: port 0, a scope, or IPv4 written as IPv6.
pub(super) fn plain(addr: SocketAddr, right: &str) -> Result<SocketAddr, Wrong> {
    if addr.port() == 0 {
        return Err(Wrong::new("port 0 is no port", "a port from 1 to 65535"));
    }
    let meant = canonical(addr.ip());
    if meant != addr.ip() {
        let right = format!("`{}`", SocketAddr::new(meant, addr.port()));
        return Err(Wrong::new(format!("`{}` is IPv4 within IPv6", addr.ip()), right));
    }
    match addr {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => Err(Wrong::new("an address with a scope", right)),
        addr => Ok(addr),
    }
}

/// Whether clients must show a certificate.
pub(super) fn client_auth(text: &str) -> Result<bool, Wrong> {
    match text {
        "optional" => Ok(false),
        "required" => Ok(true),
        _ => Err(Wrong::new(format!("`{text}` says not whether clients need a certificate"), "`optional` or `required`")),
    }
}

/// A host of the admin endpoint: a name in lower case, or an address.
pub(super) fn admin_host(text: &str) -> Result<String, Wrong> {
    let right = "a host name or an address (IPv6 without brackets), without a port: it is `ringfence.internal` in `http://ringfence.internal:9090/`";
    match IpAddr::from_str(text) {
        Ok(ip) => Ok(canonical(ip).to_string()),
        Err(_) => hostname(text).map_err(|wrong| Wrong::new(wrong.wrong, right)),
    }
}

/// Where realtime clients of a region connect to: `wss://eu.rtc.example.com`, as SDKs take it.
pub(super) fn realtime(text: &str) -> Result<String, Wrong> {
    let right = "`wss://HOST`, perhaps with a port and a path, for example `wss://eu.rtc.example.com`";
    let wrong = |what: &str| Wrong::new(format!("`{text}` {what}"), right);
    let rest = text.strip_prefix("wss://").or_else(|| text.strip_prefix("ws://")).ok_or_else(|| wrong("is no `wss://` URL"))?;
    if !rest.bytes().all(|octet| octet.is_ascii_graphic()) || rest.contains(['"', '<', '>', '\\', '^', '`', '{', '|', '}']) {
        return Err(wrong("holds characters that a URL may not hold"));
    }
    if rest.contains(['@', '?', '#']) {
        return Err(wrong("has a user, a query or a fragment"));
    }
    let host = rest.split('/').next().unwrap_or_default();
    let (named, port) = if let Some((ip, behind)) = host.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        (ip.parse::<Ipv6Addr>().is_ok(), behind)
    } else {
        let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
        (hostname(name).is_ok() || name.parse::<Ipv4Addr>().is_ok(), port)
    };
    if !named {
        return Err(wrong("names no host"));
    }
    if !port.is_empty() && port.strip_prefix(':').and_then(|port| port.parse().ok()).is_none_or(|port: u16| port == 0) {
        return Err(wrong("has a port that is none"));
    }
    Ok(text.to_owned())
}

/// A key of a realtime server, as tokens name it in `iss`.
pub(super) fn api_key(text: &str) -> Result<String, Wrong> {
    let plain = |octet: u8| octet.is_ascii_graphic() && !matches!(octet, b'"' | b'\\' | b'\'' | b',');
    if (1..=128).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new(
        format!("`{text}` is no key"),
        "1 to 128 visible ASCII characters without quotes, as in `keys:` of livekit-server",
    ))
}

/// The host for Via: an address, IPv6 without brackets, or a host name.
pub(super) fn advertise(text: &str) -> Result<String, Wrong> {
    let right = "an address (IPv6 without brackets) or a host name, without a port";
    match IpAddr::from_str(text) {
        Ok(ip) if ip.is_unspecified() || ip.is_multicast() => {
            Err(Wrong::new(format!("`{text}` is no address of one host"), right))
        }
        Ok(ip) => Ok(canonical(ip).to_string()),
        Err(_) if text.starts_with('[') => Err(Wrong::new(format!("`{text}` has brackets"), right)),
        Err(_) => hostname(text).map_err(|wrong| Wrong::new(wrong.wrong, right)),
    }
}

/// The longest duration accepted. A longer one is surely a slip, and sums could overflow.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A whole number and a unit: `500ms`, `4s`, `10m`, `1h`, `730d`.
pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    let wrong =
        || Wrong::new(format!("`{text}` is not a duration"), "a whole number and ms, s, m, h or d, for example `500ms` or `4s`");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let duration = number.checked_mul(millis).map(Duration::from_millis);
    duration
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| Wrong::new(format!("`{text}` is too long"), "at most `36500d`"))
}

/// Writes a duration in the largest unit that fits.
pub(super) fn written(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if millis >= size && millis.is_multiple_of(size) {
            return format!("{}{unit}", millis / size);
        }
    }
    format!("{millis}ms")
}

/// `200/s`.
pub(super) fn rate(text: &str) -> Result<u32, Wrong> {
    let number = text.strip_suffix("/s").and_then(|number| number.parse().ok()).filter(|&number| number > 0);
    number.ok_or_else(|| Wrong::new(format!("`{text}` is not a rate"), "a whole number above 0 a second, for example `200/s`"))
}

/// `64KiB`, `1MiB`, or octets.
pub(super) fn size(text: &str) -> Result<u64, Wrong> {
    let wrong =
        || Wrong::new(format!("`{text}` is not a size"), "octets, or a whole number and KiB, MiB or GiB, for example `256KiB`");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let octets = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(octets).ok_or_else(wrong)
}

/// A method of `methods`.
pub(super) fn method(text: &str) -> Result<Method, Wrong> {
    match text {
        "REGISTER" => Ok(Method::Register),
        "PUBLISH" => Ok(Method::Publish),
        _ => Err(Wrong::new(
            format!("`{text}` cannot be listed"),
            "`REGISTER` or `PUBLISH`: every other method is forwarded or answered anyway",
        )),
    }
}

/// The methods that `methods` may list. A method of these that is not listed is refused with 405.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Register,
    Publish,
}

/// `enforce` or `shadow`.
pub(super) fn mode(text: &str) -> Result<Mode, Wrong> {
    one_of(text, &[("enforce", Mode::Enforce), ("shadow", Mode::Shadow)])
}

/// `mask` or `plain`.
pub(super) fn numbers(text: &str) -> Result<Numbers, Wrong> {
    one_of(text, &[("mask", Numbers::Mask), ("plain", Numbers::Plain)])
}

/// `plain`, `mask` or `hmac`.
pub(super) fn audit_numbers(text: &str) -> Result<AuditNumbers, Wrong> {
    one_of(text, &[("hmac", AuditNumbers::Hmac), ("mask", AuditNumbers::Mask), ("plain", AuditNumbers::Plain)])
}

/// `off`, `warn`, `enforce` or `relay`.
pub(super) fn media(text: &str) -> Result<Media, Wrong> {
    one_of(text, &[("off", Media::Off), ("warn", Media::Warn), ("enforce", Media::Enforce), ("relay", Media::Relay)])
}

/// `udp:10.20.0.5:2223`: where a media relay listens for commands. A name is not allowed, because it decides where media goes.
pub(super) fn relay(text: &str) -> Result<SocketAddr, Wrong> {
    const RIGHT: &str = "`udp:address:port`, for example `udp:10.20.0.5:2223`";
    let wrong = || Wrong::new(format!("`{text}` is no media relay"), RIGHT);
    let addr: SocketAddr = text.strip_prefix("udp:").and_then(|addr| addr.parse().ok()).ok_or_else(wrong)?;
    plain(addr, RIGHT)
}

/// `any` or `in-region`: whether the source must be inside the region.
pub(super) fn source(text: &str) -> Result<bool, Wrong> {
    one_of(text, &[("any", false), ("in-region", true)])
}

/// The name of a published profile.
pub(super) fn profile(text: &str) -> Result<Profile, Wrong> {
    Profile::named(text).ok_or_else(|| {
        let known = Profile::NAMES.join("`, `");
        let right = match nearest(text, Profile::NAMES) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("`{known}`, or {{ policy = 603, capacity = 503 }}"),
        };
        Wrong::new(format!("`{text}` is no reject profile"), right)
    })
}

fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, Wrong> {
    choices.iter().find(|(name, _)| *name == text).map(|&(_, value)| value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
        Wrong::new(format!("`{text}` is not one of the choices"), names.join(" or "))
    })
}

/// A country whose numbers may be called.
pub(super) fn country(text: &str) -> Result<Country, Wrong> {
    text.parse().map_err(|error: NotACountry| sentence(&error.to_string()))
}

/// A country whose numbers may call, or `anonymous`.
pub(super) fn caller(text: &str) -> Result<AllowedCaller, Wrong> {
    if text == "anonymous" { Ok(AllowedCaller::Anonymous) } else { country(text).map(AllowedCaller::Country) }
}

/// How numbers without `+` are read.
pub(super) fn numbering(text: &str) -> Result<Numbering, Wrong> {
    text.parse().map_err(|error: NotANumbering| sentence(&error.to_string()))
}

/// What stands in front of a number and is no part of it.
pub(super) fn tech_prefix(text: &str) -> Result<TechPrefix, Wrong> {
    text.parse().map_err(|error: NotATechPrefix| sentence(&error.to_string()))
}

/// A number that is an emergency number.
pub(super) fn emergency_number(text: &str) -> Result<String, Wrong> {
    EmergencyNumbers::new([text]).map(|_| text.to_owned()).map_err(|error| sentence(&error.to_string()))
}

/// `pass` or `refuse`: whether emergency calls are refused.
pub(super) fn emergency(text: &str) -> Result<bool, Wrong> {
    one_of(text, &[("pass", false), ("refuse", true)])
}

/// A sentence of the kind "… is wrong: … is right".
fn sentence(text: &str) -> Wrong {
    let (wrong, right) = text.split_once(": ").unwrap_or((text, "see docs/configuration.md"));
    Wrong::new(wrong, right)
}

/// Any text, unchanged.
pub(super) fn text(text: &str) -> Result<String, Wrong> {
    if text.is_empty() { Err(Wrong::new("an empty text", "a text in quotes")) } else { Ok(text.to_owned()) }
}
