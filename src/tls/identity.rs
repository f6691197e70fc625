//! Reads certificates with their keys, and root certificates, from PEM.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};

use super::certificate::Certificate;
use super::{Unfit, provider};

/// A certificate with its chain and its key. It never shows the key.
#[derive(Clone)]
pub struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    certificate: Certificate,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads two PEM texts: the certificate followed by those that lead to its root, and the key. An error never shows the key.
    pub fn read(chain: &[u8], key: &[u8]) -> Result<Self, Unfit> {
        let chain = certificates(chain)?;
        let first = chain.first().ok_or_else(|| Unfit::new("holds no certificate"))?;
        let certificate = Certificate::read(first)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| Unfit::new("the key's file holds no private key in PEM"))?;
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Unfit::new("the key is not this certificate's"),
            // `openssl x509 -req` makes version 1 unless it is given extensions.
            Error::InvalidCertificate(_) => Unfit::new("the certificate is not of X.509 version 3, which names need"),
            _ => Unfit::new("the key is of no kind that is known here (RSA, ECDSA P-256 or P-384, Ed25519)"),
        })?;
        Ok(Self { key: Arc::new(key), certificate })
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

/// The trusted root certificates. At least one.
#[derive(Clone, Debug)]
pub struct Roots(pub(super) Arc<RootCertStore>);

impl Roots {
    /// Reads a PEM text with certificates.
    pub fn read(text: &[u8]) -> Result<Self, Unfit> {
        let mut roots = RootCertStore::empty();
        let certificates = certificates(text)?;
        if certificates.is_empty() {
            return Err(Unfit::new("holds no certificate"));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|_| Unfit::new("holds a certificate that cannot vouch for others"))?;
        }
        Ok(Self(Arc::new(roots)))
    }
}

fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Unfit> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    read.map_err(|_| Unfit::new("is broken PEM"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `openssl x509 -req` makes without extensions.
    const VERSION_1: &str = "-----BEGIN CERTIFICATE-----
MIIBFjCBvQIUEvwJ0HiubNZ6mxiGk6K65rdzWzIwCgYIKoZIzj0EAwIwDTELMAkG
A1UEAwwCZXUwIBcNMjYxMTIyMjMyOTQyWhgPMjEyNjEwMjkyMzI5NDJaMA0xCzAJ
BgNVBAMMAmV1MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAETZB4L4coBVmsLBvJ
VH8fDNBCaYbwgjKaqVvSTa7KaGf69KlRQWkakFRKhUEG4LMg0U3llVJDTdAe2VdI
2WSxkzAKBggqhkjOPQQDAgNIADBFAiEAyvmEecFUS8Ywse+ccn6H2Ox6Y7jQ+9Ui
k0Pfv9HD6b0CID4jqy9Z+PkT8RFnZREckNPANP+ZIxKVpRtQJmTB4D0P
-----END CERTIFICATE-----
";

    #[test]
    fn a_certificate_without_extensions_is_named_as_what_is_wrong() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let wrong = Identity::read(VERSION_1.as_bytes(), key.as_bytes()).unwrap_err();
        assert_eq!(wrong.to_string(), "the certificate is not of X.509 version 3, which names need");
    }
}
