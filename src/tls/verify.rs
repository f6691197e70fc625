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
use super::{Roots, Unfit, provider};

#[derive(Debug)]
pub(super) struct Asked(Arc<WebPkiServerVerifier>);

impl Asked {
    pub(super) fn new(roots: &Roots) -> Result<Self, Unfit> {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots.0), provider()).build();
        verifier.map(Self).map_err(|error| Unfit::new(error.to_string()))
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
        match self.0.verify_server_cert(certificate, chain, name, ocsp, now) {
            // The chain is judged before the name: nothing but the name is wrong.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if Certificate::read(certificate).is_ok_and(|read| read.is_of(&name.to_str())) => {
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
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
