//! Whether a server is the one that was asked for (RFC 5922 7.3).
//!
//! DNS names and addresses are judged by the library; what it does not know is a name in a `sip:` URI. A `*` in a
//! DNS name is taken, against RFC 5922 7.2: carriers' certificates have it.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use super::certificate::Certificate;
use super::chain::Chain;
use super::{PartyNames, Roots, Unfit, provider};

#[derive(Clone, Debug)]
pub(super) struct Asked {
    chain: Chain,
    /// For signatures.
    verifier: Arc<WebPkiServerVerifier>,
    /// The names that will do instead of what was asked for.
    party: Option<PartyNames>,
}

impl Asked {
    pub(super) fn new(roots: &Roots) -> Result<Self, Unfit> {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots.0), provider()).build();
        verifier
            .map(|verifier| Self { chain: Chain::to(roots), verifier, party: None })
            .map_err(|error| Unfit::new(error.to_string()))
    }

    /// The same, and each of these names will do too: a `*` in place of its first label as well.
    pub(super) fn or(&self, party: &PartyNames) -> Self {
        Self { chain: self.chain.clone(), verifier: Arc::clone(&self.verifier), party: Some(Arc::clone(party)) }
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

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
