//! Whether a server is the one that was asked for (RFC 5922 7.3).
//!
//! The chain, and DNS names and addresses, are judged by the library; what it does not know is a name in a `sip:` URI. A `*` in a
//! DNS name is taken, against RFC 5922 7.2: carriers' certificates have it.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::certificate::Certificate;
use super::{PartyNames, Roots, Unfit, provider};

#[derive(Clone, Debug)]
pub(super) struct Asked {
    verifier: Arc<WebPkiServerVerifier>,
    /// The names that will do instead of what was asked for.
    party: Option<PartyNames>,
}

impl Asked {
    pub(super) fn new(roots: &Roots) -> Result<Self, Unfit> {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots.0), provider()).build();
        verifier.map(|verifier| Self { verifier, party: None }).map_err(|error| Unfit::new(error.to_string()))
    }

    /// The same, and each of these names will do too: a `*` in place of its first label as well.
    pub(super) fn or(&self, party: &PartyNames) -> Self {
        Self { verifier: Arc::clone(&self.verifier), party: Some(Arc::clone(party)) }
    }

    fn is_proven(&self, certificate: &Certificate, asked: &str) -> bool {
        certificate.is_of(asked) || self.party.iter().flat_map(|party| party.iter()).any(|name| certificate.covers(name))
    }
}

impl ServerCertVerifier for Asked {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.verifier.verify_server_cert(certificate, chain, name, ocsp, now) {
            // The chain is judged before the name: nothing but the name is wrong.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if Certificate::read(certificate).is_ok_and(|read| self.is_proven(&read, &name.to_str())) => {
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
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
