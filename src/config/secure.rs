//! Certificates and keys: they are read, checked against their regions, and made into TLS settings.
//!
//! A report says that a key is wrong, but never shows the key.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::disk;
use super::file;
use super::ids::RegionId;
use super::project::Project;
use super::references::ReadRegion;
use super::region::{Region, Tls};
use super::report::{Placed, Read, Report, good};
use super::transport::Transport;
use crate::tls::{self, Certificate, Clients, Identity, Roots};

/// Most octets of one file of certificates, or of a key.
const LONGEST: u64 = 4 << 20;
/// A certificate that ends within this time gets a warning.
const SOON: Duration = Duration::from_secs(30 * 24 * 3600);

/// The content of a region's files.
struct Held {
    identity: Identity,
    clients: Clients,
    roots: Option<Roots>,
    /// What is shown to servers that ask for a certificate. `None`: nothing.
    shows: Option<Identity>,
}

/// The TLS settings of all regions.
pub(super) struct Secured {
    /// The settings of each region, by its number.
    pub(super) tls: Vec<Option<Tls>>,
    /// The contents of the certificate files, in the order of the regions.
    pub(super) files: Vec<Vec<u8>>,
    pub(super) offers: Offers,
}

/// What the served regions offer to trunks over TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offers {
    /// Whether some client is asked for a certificate.
    asked: bool,
    /// Whether some region has a certificate.
    listening: bool,
    /// Whether some region believes a server's certificate.
    believes: bool,
}

/// Reads the files that the regions name, and checks everything that needs them.
pub(super) fn read(regions: &[ReadRegion<'_>], folder: &Path, now: SystemTime, report: &mut Report) -> Secured {
    let mut reading = Reading { folder, now, read: Vec::new(), report };
    let held: Vec<Option<Held>> = regions.iter().map(|&region| reading.region(region)).collect();
    let identities: Vec<(String, Identity)> = regions.iter().zip(&held).filter_map(served).collect();
    let tls = regions.iter().zip(&held).map(|(region, held)| {
        let (held, section) = (held.as_ref()?, region.file.tls.as_ref()?);
        let server = tls::server(&held.identity, &identities, &held.clients);
        let client = held.roots.as_ref().map(|roots| tls::client(held.shows.as_ref(), roots)).transpose();
        match (server, client) {
            (Ok(server), Ok(client)) => {
                let shows = held.shows.as_ref().filter(|_| client.is_some()).map(|shows| shows.certificate().clone());
                Some(Tls { certificate: held.identity.certificate().clone(), server, client, shows })
            }
            (Err(unfit), _) | (_, Err(unfit)) => {
                reading.report.mistake(&section.place, format!("nothing can be secured by this: {unfit}"), "other certificates");
                None
            }
        }
    });
    let tls = tls.collect();
    let offers = offers(regions, &held, reading.report);
    Secured { tls, files: reading.read, offers }
}

fn served((region, held): (&ReadRegion<'_>, &Option<Held>)) -> Option<(String, Identity)> {
    let held = held.as_ref().filter(|_| region.served)?;
    Some((hostname(region.file).to_owned(), held.identity.clone()))
}

/// A region's hostname. Empty if it has none; that is reported where regions are built.
fn hostname(region: &file::Region) -> &str {
    good(&region.hostname).map(|hostname| hostname.value.as_str()).unwrap_or_default()
}

struct Reading<'a> {
    folder: &'a Path,
    now: SystemTime,
    read: Vec<Vec<u8>>,
    report: &'a mut Report,
}

impl Reading<'_> {
    fn region(&mut self, ReadRegion { file, served }: ReadRegion<'_>) -> Option<Held> {
        let name = &file.name.value;
        let listener = good(&file.listen).into_iter().flatten().find(|listener| listener.value.0 == Transport::Tls);
        let Some(section) = &file.tls else {
            if let Some(listener) = listener.filter(|_| served) {
                let right = format!("[region.{name}.tls] with `certificate` and `key`");
                self.report.mistake(&listener.place, "a listener over TLS, but no certificate", right);
            }
            return None;
        };
        for (key, read) in [("certificate", &section.certificate), ("key", &section.key)] {
            if matches!(read, Ok(None)) {
                let right = format!("tls = {{ certificate = \"{name}.pem\", key = \"{name}.key\" }}");
                self.report.mistake(&section.place, format!("`tls` without `{key}`"), right);
            }
        }
        // Another daemon serves this region and has its files.
        if !served {
            return None;
        }
        let identity = self.identity(section, file);
        let certified = self.roots(&section.client_ca);
        if let (Ok(None), Some(auth)) = (&section.client_ca, good(&section.client_auth)) {
            self.report.mistake(&auth.place, "`client_auth` without `client_ca`", "the certificates that clients' are signed by");
        }
        let clients = match (certified, good(&section.client_auth)) {
            (None, _) => Clients::Unasked,
            (Some(roots), Some(Placed { value: true, .. })) => Clients::Required(roots),
            (Some(roots), _) => Clients::Optional(roots),
        };
        let roots = self.roots(&section.upstream_ca);
        let own = self.shown_to_servers(section);
        let identity = identity?;
        let shows = match (&section.client_certificate, &section.client_key) {
            (Ok(None), Ok(None)) => Some(identity.clone()).filter(|own| !own.certificate().for_servers_alone),
            _ => own,
        };
        Some(Held { identity, clients, roots, shows })
    }

    /// The certificate that is shown to servers instead of the region's own.
    fn shown_to_servers(&mut self, section: &file::Tls) -> Option<Identity> {
        for (given, other, missing) in [
            (&section.client_certificate, &section.client_key, "client_key"),
            (&section.client_key, &section.client_certificate, "client_certificate"),
        ] {
            if let (Some(given), Ok(None)) = (good(given), other) {
                let right = "`client_certificate` and `client_key` together, or neither";
                self.report.mistake(&given.place, format!("without `{missing}`"), right);
            }
        }
        let identity = self.pair(&section.client_certificate, &section.client_key)?;
        let place = good(&section.client_certificate)?;
        self.ends(place, identity.certificate());
        Some(identity)
    }

    fn pair(&mut self, certificate: &Read<Placed<String>>, key: &Read<Placed<String>>) -> Option<Identity> {
        let (place, key) = (good(certificate)?, good(key)?);
        let chain = self.file(place, "the certificate in PEM")?;
        let secret = self.file(key, "the certificate's private key in PEM")?;
        self.read.push(chain.clone());
        let right = "a certificate in PEM with its chain, and its own private key";
        let identity = Identity::read(&chain, &secret);
        identity.map_err(|unfit| self.report.mistake(&place.place, format!("{}: {unfit}", place.value), right)).ok()
    }

    fn identity(&mut self, section: &file::Tls, region: &file::Region) -> Option<Identity> {
        let identity = self.pair(&section.certificate, &section.key)?;
        let place = good(&section.certificate)?;
        let (certificate, hostname) = (identity.certificate(), hostname(region));
        let below = |name: &String| name.strip_suffix(hostname).is_some_and(|front| front.is_empty() || front.ends_with('.'));
        if !hostname.is_empty() && !certificate.names.iter().any(below) {
            let wrong =
                format!("{} is for {}, and for no name of region `{}`", place.value, certificate.shown(), region.name.value);
            self.report.mistake(&place.place, wrong, format!("one for `{hostname}` and `*.{hostname}`"));
        } else if !certificate.covers(hostname) {
            let wrong = format!("{} is for {}, and not for `{hostname}`", place.value, certificate.shown());
            self.report.warning(&place.place, wrong, "one for that name too: Via and Record-Route carry it");
        }
        self.ends(place, certificate);
        Some(identity)
    }

    /// Warns of a certificate that ends soon.
    fn ends(&mut self, place: &Placed<String>, certificate: &Certificate) {
        let left = certificate.ends.duration_since(self.now);
        if !left.as_ref().is_ok_and(|left| *left >= SOON) {
            let wrong = match left {
                Ok(left) => format!("{} ends in {} days", place.value, left.as_secs() / 86_400),
                Err(_) => format!("{} has ended", place.value),
            };
            self.report.warning(&place.place, wrong, "a new one; SIGHUP puts it into effect");
        }
    }

    fn roots(&mut self, file: &Read<Placed<String>>) -> Option<Roots> {
        let file = good(file)?;
        let text = self.file(file, "certificates in PEM")?;
        let roots = Roots::read(&text);
        self.read.push(text);
        let right = "certificates in PEM that sign others'";
        roots.map_err(|unfit| self.report.mistake(&file.place, format!("{}: {unfit}", file.value), right)).ok()
    }

    fn file(&mut self, file: &Placed<String>, right: &str) -> Option<Vec<u8>> {
        let path = self.folder.join(&file.value);
        let read = disk::octets(&path, LONGEST);
        read.map_err(|wrong| self.report.mistake(&file.place, format!("{}: {wrong}", path.display()), right)).ok()
    }
}

/// What makes a certificate believed, for people.
const MISSING: &str = "the certificates that servers' are signed by";

/// What the regions offer to trunks. Reports upstreams that need a root which their region does not have.
fn offers(regions: &[ReadRegion<'_>], held: &[Option<Held>], report: &mut Report) -> Offers {
    for (ReadRegion { file, .. }, held) in regions.iter().zip(held) {
        let Some(Held { roots: None, .. }) = held else { continue };
        let secured = good(&file.upstream).into_iter().flatten().find(|hop| hop.value.over() == Some(Transport::Tls));
        if let Some(hop) = secured.filter(|_| matches!(file.tls.as_ref().map(|tls| &tls.upstream_ca), Some(Ok(None)))) {
            let wrong = format!("an upstream over TLS, but region `{}` believes no certificate", file.name.value);
            report.mistake(&hop.place, wrong, format!("`upstream_ca` in its `tls`: a file of {MISSING}"));
        }
    }
    let asked =
        |region: &ReadRegion<'_>| region.served && region.file.tls.as_ref().is_some_and(|tls| !matches!(tls.client_ca, Ok(None)));
    let rooted = |(region, held): (&ReadRegion<'_>, &Option<Held>)| {
        region.served && held.as_ref().is_some_and(|held| held.roots.is_some())
    };
    Offers {
        asked: regions.iter().any(asked),
        listening: held.iter().any(Option::is_some),
        believes: regions.iter().zip(held).any(rooted),
    }
}

/// Warns of a certificate that does not prove the endpoint of a project that may use the region. The first such project is named.
pub(super) fn endpoints(read: &[ReadRegion<'_>], regions: &[Region], projects: &[Project], report: &mut Report) {
    for ((ReadRegion { file, .. }, region), id) in read.iter().zip(regions).zip((0..).map(RegionId)) {
        let Some((tls, section)) = region.tls.as_ref().zip(file.tls.as_ref()) else { continue };
        let Some(place) = good(&section.certificate) else { continue };
        // Only a `*` proves this one, and then every other.
        if tls.certificate.covers(&format!("_.{}", region.hostname)) {
            continue;
        }
        let mut used = projects.iter().filter(|project| project.pin.as_ref().is_none_or(|pin| pin.contains(&id)));
        let unproved = used.find_map(|project| {
            let endpoint = format!("{}.{}", project.name, region.hostname);
            (!tls.certificate.covers(&endpoint)).then_some(endpoint)
        });
        if let Some(endpoint) = unproved {
            let wrong = format!("{} is for {}, and not for `{endpoint}`", place.value, tls.certificate.shown());
            let right = format!(
                "the name of each project's endpoint. `*.{}` is taken by some clients, not by those that follow RFC 5922",
                region.hostname
            );
            report.warning(&place.place, wrong, right);
        }
    }
}

/// Reports what a trunk needs of the regions and does not get.
pub(super) fn check(trunk: &file::Trunk, Offers { asked, listening, believes }: Offers, report: &mut Report) {
    if let Some(first) = good(&trunk.certificates).and_then(|names| names.first()).filter(|_| !asked) {
        let right = "`client_ca` in the `tls` of a region that is served here";
        report.mistake(&first.place, "no client is asked for a certificate", right);
    }
    let secured = || good(&trunk.uri).into_iter().flatten().filter(|uri| uri.value.over() == Some(Transport::Tls));
    let named = good(&trunk.certificates).is_some_and(|names| !names.is_empty());
    if let Some(uri) = secured().find(|uri| !named && uri.value.address().is_some()) {
        let wrong = "a trunk over TLS that nothing names: its gateways must prove their addresses, which few certificates do";
        report.warning(&uri.place, wrong, "a host name in `uri`, or the names of its certificates in `certificates`");
    }
    if let Some(uri) = secured().find(|_| listening && !believes) {
        let wrong = "a trunk over TLS, but no region that is served here believes a certificate";
        report.mistake(&uri.place, wrong, format!("`upstream_ca` in a region's `tls`: a file of {MISSING}"));
    }
}
