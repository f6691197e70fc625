//! Checks the names in requests to the admin endpoint. Compares names; resolves none.
//!
//! A page in an operator's browser may have a name of its own that resolves to our address (DNS rebinding). The browser then lets
//! the page read our answers, but it says in `Host` which name was asked. An address in a URL cannot be rebound.

use std::net::IpAddr;

use hyper::header::HOST;
use hyper::{Request, Version};

use crate::config::Config;
use crate::fence::canonical;

/// The names and addresses that are this endpoint's own.
#[derive(Debug, Default)]
pub(crate) struct OwnHosts {
    listen: Option<IpAddr>,
    /// Of `[admin] hosts`: names in lower case, and addresses.
    also: Vec<String>,
}

impl OwnHosts {
    /// Those of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        Self { listen: config.admin.map(|addr| canonical(addr.ip())), also: config.admin_hosts.clone() }
    }

    /// Whether a request asks for this endpoint by a name that is its own. `Err`: what would be right.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), String> {
        let mut rows = request.headers().get_all(HOST).iter().map(|value| value.to_str().ok());
        let (row, more) = (rows.next(), rows.next().is_some());
        let header = match row {
            // A browser always says the name. Before HTTP/1.1 others need not (RFC 9112 3.2).
            None => request.version() < Version::HTTP_11,
            Some(host) => host.is_some_and(|host| self.has(host)),
        };
        let target = request.uri().authority().is_none_or(|authority| self.has(authority.as_str()));
        if header && target && !more { Ok(()) } else { Err(self.right()) }
    }

    /// Whether a host, with or without a port, is ours.
    fn has(&self, text: &str) -> bool {
        let Some(host) = host(text) else { return false };
        match host.parse::<IpAddr>().map(canonical) {
            Ok(ip) => {
                let own = self.listen.is_some_and(|listen| listen == ip || listen.is_unspecified());
                ip.is_loopback() || own || self.also.iter().any(|also| also.parse().is_ok_and(|also| canonical(also) == ip))
            }
            Err(_) => host == "localhost" || self.also.contains(&host),
        }
    }

    fn right(&self) -> String {
        let listen = match self.listen {
            Some(listen) if listen.is_unspecified() => "an address of this host".to_owned(),
            Some(listen) if !listen.is_loopback() => listen.to_string(),
            _ => "127.0.0.1".to_owned(),
        };
        let own: Vec<&str> = ["localhost", &listen].into_iter().chain(self.also.iter().map(String::as_str)).collect();
        let own = own.join(", ");
        format!("the Host of the request is not a name of this endpoint: ask for {own}, or add the name to `hosts` of [admin]\n")
    }
}

/// The host without its port, brackets and final dot, in lower case. `None`: it is none.
fn host(text: &str) -> Option<String> {
    let (host, rest) = match text.strip_prefix('[') {
        // It may name the interface behind a `%` (RFC 6874).
        Some(inner) => inner.split_once(']').map(|(host, rest)| (host.split('%').next().unwrap_or(host), rest))?,
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    let port = rest.is_empty() || rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|octet| octet.is_ascii_digit()));
    let host = host.strip_suffix('.').unwrap_or(host);
    (port && !host.is_empty()).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(listen: &str, also: &[&str]) -> OwnHosts {
        OwnHosts { listen: Some(listen.parse().unwrap()), also: also.iter().map(|&name| name.to_owned()).collect() }
    }

    fn has(own: &OwnHosts, hosts: &[Option<&str>], target: &str, version: Version) -> bool {
        let mut request = Request::builder().uri(target).version(version);
        for host in hosts.iter().flatten() {
            request = request.header(HOST, *host);
        }
        own.check(&request.body(()).unwrap()).is_ok()
    }

    #[test]
    fn a_name_of_somebody_else_is_none_of_ours() {
        let own = own("10.1.2.3", &["ringfence.internal", "192.0.2.7", "2001:db8::7"]);
        for host in [
            "localhost",
            "LocalHost.:9090",
            "127.0.0.1",
            "127.1.2.3:9090",
            "[::1]:9090",
            "[::ffff:127.0.0.1]",
            "10.1.2.3:9090",
            "[::ffff:10.1.2.3]",
            "Ringfence.Internal.:80",
            "192.0.2.7",
            "[2001:DB8:0::7]:9090",
        ] {
            assert!(has(&own, &[Some(host)], "/", Version::HTTP_11), "{host}");
        }
        for host in [
            "",
            ":9090",
            "evil.example",
            "evil.example:9090",
            "localhost.evil.example",
            "ringfence.internal.evil.example",
            "x@localhost",
            "localhost:x",
            "10.1.2.4",
            "0.0.0.0",
            "[::2]",
            "[::1",
            "[::1]x",
            "127.0.0.1.evil.example",
            "localhost%.evil.example",
            "127.0.0.1%25.evil.example",
        ] {
            assert!(!has(&own, &[Some(host)], "/", Version::HTTP_11), "{host}");
        }
        assert!(has(&own, &[None], "/", Version::HTTP_10) && !has(&own, &[None], "/", Version::HTTP_11));
        assert!(!has(&own, &[Some("localhost"), Some("evil.example")], "/", Version::HTTP_11));
        assert!(!has(&own, &[Some("localhost"), Some("localhost")], "/", Version::HTTP_11));
        assert!(!has(&own, &[Some("localhost")], "http://evil.example/status", Version::HTTP_11));
        assert!(has(&own, &[Some("localhost")], "http://localhost:9090/status", Version::HTTP_11));
    }

    #[test]
    fn where_every_address_is_listened_on_each_is_ours_and_no_name_is() {
        for listen in ["0.0.0.0", "::"] {
            let own = own(listen, &[]);
            assert!(has(&own, &[Some("10.9.8.7:9090")], "/", Version::HTTP_11));
            assert!(has(&own, &[Some("[2001:db8::1]:9090")], "/", Version::HTTP_11));
            assert!(!has(&own, &[Some("evil.example:9090")], "/", Version::HTTP_11));
        }
    }

    #[test]
    fn what_would_be_right_is_said() {
        let said = own("10.1.2.3", &["ringfence.internal"]).right();
        assert!(
            said.contains("ask for localhost, 10.1.2.3, ringfence.internal, or add the name to `hosts` of [admin]"),
            "{said}"
        );
        assert!(own("::", &[]).right().contains("localhost, an address of this host, or"));
        assert!(own("127.0.0.1", &[]).right().contains("localhost, 127.0.0.1, or"));
    }
}
