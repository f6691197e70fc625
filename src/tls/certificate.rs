//! Reads a certificate: whose it is, and until when it is valid.
//!
//! The names are those of RFC 5922 7.1: hosts of `sip:` URIs, and DNS names, both from the subject alternative names. The common
//! name does not count. Nothing here decides whether to believe a certificate.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Unfit;

/// Most names of one certificate that are read. The rest do not count.
const NAMES: usize = 256;

/// The parts of a certificate that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its names, in lower case: hosts of `sip:` URIs, then DNS names. A DNS name may start with `*.`.
    pub names: Vec<String>,
    /// Its IP addresses.
    pub addresses: Vec<IpAddr>,
    /// The end of its validity.
    pub ends: SystemTime,
    /// Whether it says that it is for servers and for nothing else (RFC 5280 4.2.1.12).
    pub for_servers_alone: bool,
}

impl Certificate {
    /// Reads a certificate in DER.
    pub fn read(der: &[u8]) -> Result<Self, Unfit> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| Unfit::new("cannot be read as a certificate"))?;
        let ends = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
        let ends = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(ends)).unwrap_or(SystemTime::UNIX_EPOCH);
        let alternative = certificate.subject_alternative_name().map_err(|_| Unfit::new("names itself twice"))?;
        let all = alternative.iter().flat_map(|names| &names.value.general_names).take(NAMES);
        let (mut uris, mut names, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
        for name in all {
            match name {
                GeneralName::URI(uri) => uris.extend(domain(uri)),
                GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(octets) => addresses.extend(address(octets)),
                _ => {}
            }
        }
        uris.extend(names);
        let usage = certificate.extended_key_usage().map_err(|_| Unfit::new("says twice what it is for"))?;
        let for_servers_alone = usage.is_some_and(|usage| {
            let of = usage.value;
            of.server_auth && !of.client_auth && !of.any && of.other.is_empty()
        });
        Ok(Self { names: uris, addresses, ends, for_servers_alone })
    }

    /// Whether it proves a host to a client: by the name, or by a `*` for the first label (RFC 6125 6.4.3).
    pub(crate) fn covers(&self, host: &str) -> bool {
        let rest = host.split_once('.').map(|(_, rest)| rest);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(below) => rest == Some(below),
            None => name == host,
        })
    }

    /// Whether it holds exactly this name or address. A `*` proves nobody (RFC 5922 7.2).
    pub(crate) fn is_of(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name) || name.parse().is_ok_and(|ip: IpAddr| self.addresses.contains(&ip))
    }

    /// All its names and addresses, for people to read.
    pub fn shown(&self) -> String {
        let all: Vec<String> = self.names.iter().cloned().chain(self.addresses.iter().map(IpAddr::to_string)).take(8).collect();
        if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
    }
}

/// The host of a `sip:` URI without a user (RFC 5922 7.1), lower case.
fn domain(uri: &str) -> Option<String> {
    let (scheme, rest) = uri.split_once(':')?;
    let whole = !rest.is_empty() && rest.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'.' || c == b'-');
    (scheme.eq_ignore_ascii_case("sip") && whole).then(|| rest.to_ascii_lowercase())
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// A host name that a peer proved or asked for, as a digest: the first 128 bits of the SHA-256 of the name in lower case. A name
/// has the same digest under every configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(u128);

impl Name {
    /// The digest of a host name; case and one trailing dot do not count.
    pub fn of(host: &[u8]) -> Self {
        use sha2::Digest as _;
        let lower = host.strip_suffix(b".").unwrap_or(host).to_ascii_lowercase();
        let digest = sha2::Sha256::digest(&lower);
        Self(digest.iter().take(16).fold(0, |all, &octet| all << 8 | u128::from(octet)))
    }

    /// The digest's 16 octets.
    pub(crate) fn octets(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

/// The names that a client asked for and proved in its TLS handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The hostname of the region whose endpoint the client asked for (SNI). `None`: it asked for no region.
    pub asked: Option<Name>,
    /// The names of its verified certificate, four at most. Names that a trunk is known by come first.
    pub names: [Option<Name>; 4],
}

impl Shown {
    /// Takes the names that are `known` first.
    pub fn new(asked: Option<Name>, names: impl IntoIterator<Item = Name>, known: impl Fn(Name) -> bool) -> Self {
        let (first, rest): (Vec<Name>, Vec<Name>) = names.into_iter().partition(|&name| known(name));
        let mut all = first.into_iter().chain(rest);
        Self { asked, names: std::array::from_fn(|_| all.next()) }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn certificate(names: &[SanType]) -> Certificate {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names.to_vec();
        params.not_after = rcgen::date_time_ymd(2040, 1, 2);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Certificate::read(made.der()).unwrap()
    }

    #[test]
    fn the_names_are_those_of_rfc_5922() {
        let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
        let uri = |name: &str| SanType::URI(name.try_into().unwrap());
        let read = certificate(&[
            dns("SBC.carrier.example"),
            uri("sip:carrier.example"),
            uri("sip:user@carrier.example"),
            uri("sips:other.example"),
            uri("https://web.example"),
            dns("*.eu.example.com"),
            SanType::IpAddress([192, 0, 2, 1].into()),
        ]);
        assert_eq!(read.names, ["carrier.example", "sbc.carrier.example", "*.eu.example.com"]);
        assert_eq!(read.ends, SystemTime::UNIX_EPOCH + Duration::from_secs(2_209_075_200));
        assert!(read.covers("acme.eu.example.com") && !read.covers("eu.example.com") && !read.covers("a.acme.eu.example.com"));
        assert!(read.is_of("sbc.carrier.example") && !read.is_of("acme.eu.example.com") && read.is_of("192.0.2.1"));
        assert_eq!(read.shown(), "carrier.example, sbc.carrier.example, *.eu.example.com, 192.0.2.1");
        assert_eq!(certificate(&[]).shown(), "nothing");
    }

    #[test]
    fn what_is_no_certificate_is_said_so() {
        assert!(Certificate::read(b"").is_err() && Certificate::read(&[0x30, 0x82, 0xff, 0xff]).is_err());
    }

    #[test]
    fn a_name_is_the_same_in_every_spelling() {
        assert_eq!(Name::of(b"EU.example.com."), Name::of(b"eu.example.com"));
        assert_ne!(Name::of(b"eu.example.com"), Name::of(b"us.example.com"));
    }
}
