//! Judges whether a certificate leads to a trusted root, and is for a use that either side of a SIP connection may have.
//!
//! Public authorities issue no certificate for `clientAuth` from 2026 on, and SIP has a use of its own (RFC 5924). So each of
//! these uses is taken for either side: the chain and the name decide. The library's verifiers would ask for one use.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DistinguishedName, Error, OtherError, RootCertStore};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage};

use super::{Roots, provider};

/// The uses that are taken, in DER: `serverAuth`, `clientAuth`, `id-kp-sipDomain` (RFC 5924), and any. A certificate without a
/// use is taken too.
const USES: [KeyPurposeId<'static>; 4] = [
    KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 1]),
    KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 2]),
    KeyPurposeId::new(&[0x2b, 6, 1, 5, 5, 7, 3, 20]),
    KeyPurposeId::new(&[0x55, 0x1d, 0x25, 0]),
];

/// Judges the chain of a certificate.
#[derive(Clone, Debug)]
pub(super) struct Chain(Arc<RootCertStore>);

impl Chain {
    pub(super) fn to(roots: &Roots) -> Self {
        Self(Arc::clone(&roots.0))
    }

    /// Judges whether the certificate leads to one of the roots and is valid now.
    pub(super) fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let read = EndEntityCert::try_from(certificate).map_err(wrong)?;
        let algorithms = provider().signature_verification_algorithms.all;
        read.verify_for_usage(algorithms, &self.0.roots, rest, now, SipUse, None, None).map(drop).map_err(wrong)
    }
}

/// The library's error for a fault, so that the other side gets the right alert.
fn wrong(error: webpki::Error) -> Error {
    let wrong = match error {
        webpki::Error::BadDer | webpki::Error::BadDerTime | webpki::Error::TrailingData(_) => CertificateError::BadEncoding,
        webpki::Error::CertNotValidYet { .. } => CertificateError::NotValidYet,
        webpki::Error::CertExpired { .. } => CertificateError::Expired,
        webpki::Error::UnknownIssuer => CertificateError::UnknownIssuer,
        webpki::Error::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        webpki::Error::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    Error::InvalidCertificate(wrong)
}

struct SipUse;

impl ExtendedKeyUsageValidator for SipUse {
    fn validate(&self, uses: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut any = false;
        for one in uses {
            any = true;
            if USES.contains(&one?) {
                return Ok(());
            }
        }
        let (required, present) = (KeyUsage::client_auth(), Vec::new());
        let wrong = webpki::RequiredEkuNotFoundContext { required, present };
        if any { Err(webpki::Error::RequiredEkuNotFoundContext(wrong)) } else { Ok(()) }
    }
}

/// The three methods of a verifier that are about signatures, left to the library's verifier in a field.
macro_rules! signatures_by {
    ($library:ident) => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
            self.$library.verify_tls12_signature(message, certificate, signed)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
            self.$library.verify_tls13_signature(message, certificate, signed)
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            self.$library.supported_verify_schemes()
        }
    };
}
pub(super) use signatures_by;

/// Verifies a client's certificate: [`Chain`] judges the chain, the library does the rest.
#[derive(Debug)]
pub(super) struct ClientChain {
    pub(super) chain: Chain,
    pub(super) library: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for ClientChain {
    fn offer_client_auth(&self) -> bool {
        self.library.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.library.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.library.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.chain.judge(certificate, rest, now).map(|()| ClientCertVerified::assertion())
    }

    signatures_by!(library);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};

    use super::*;

    fn issuer() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn judged(
        believed: &CertifiedIssuer<'static, KeyPair>,
        by: &CertifiedIssuer<'static, KeyPair>,
        uses: &[ExtendedKeyUsagePurpose],
    ) -> Result<(), Error> {
        let mut params = CertificateParams::new(["sbc.carrier.example".to_owned()]).unwrap();
        params.extended_key_usages = uses.to_vec();
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        let made = params.signed_by(&KeyPair::generate().unwrap(), by).unwrap();
        let chain = Chain::to(&Roots::read(believed.pem().as_bytes()).unwrap());
        chain.judge(made.der(), &[], UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000)))
    }

    #[test]
    fn chain_decides_and_not_which_side_a_certificate_is_for() {
        use ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, Other, ServerAuth};
        let (ours, theirs) = (issuer(), issuer());
        let sip = Other(vec![1, 3, 6, 1, 5, 5, 7, 3, 20]);
        for uses in [vec![], vec![ServerAuth], vec![ClientAuth], vec![Any], vec![sip], vec![CodeSigning, ServerAuth]] {
            assert_eq!(judged(&ours, &ours, &uses), Ok(()), "{uses:?}");
            assert!(judged(&ours, &theirs, &uses).is_err(), "{uses:?}");
        }
        assert_eq!(judged(&ours, &ours, &[CodeSigning]), Err(Error::InvalidCertificate(CertificateError::InvalidPurpose)));
    }
}
