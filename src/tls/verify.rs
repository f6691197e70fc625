//! Verifies that a server is the one that we asked for (RFC 5922 7.3).
//!
//! The library judges DNS names and addresses. It does not know names in `sip:` URIs, so these are judged here. A `*` in a DNS
//! name is taken, against RFC 5922 7.2: carriers' certificates have it.

use std::sync::Arc;

use rustls::Error;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;

use super::certificate::Certificate;
use super::chain::{Chain, signatures_by};
use super::{PartyNames, Roots, Unfit, provider};

#[derive(Clone, Debug)]
pub(super) struct Asked {
    chain: Chain,
    library: Arc<WebPkiServerVerifier>,
    /// Other names that prove the server too.
    party: Option<PartyNames>,
}

impl Asked {
    pub(super) fn new(roots: &Roots) -> Result<Self, Unfit> {
        let library = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots.0), provider()).build();
        library
            .map(|library| Self { chain: Chain::to(roots), library, party: None })
            .map_err(|error| Unfit::new(error.to_string()))
    }

    /// The same, but each of these names proves the server too, also by a `*` for its first label.
    pub(super) fn or(&self, party: &PartyNames) -> Self {
        Self { chain: self.chain.clone(), library: Arc::clone(&self.library), party: Some(Arc::clone(party)) }
    }

    fn is_proven(&self, certificate: &Certificate, asked: &str) -> bool {
        certificate.is_of(asked) || self.party.iter().flat_map(|party| party.iter()).any(|name| certificate.covers(name))
    }
}

impl ServerCertVerifier for Asked {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.chain.judge(certificate, rest, now)?;
        match verify_server_name(&ParsedCertificate::try_from(certificate)?, name) {
            Err(error) if !Certificate::read(certificate).is_ok_and(|read| self.is_proven(&read, &name.to_str())) => Err(error),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    signatures_by!(library);
}
