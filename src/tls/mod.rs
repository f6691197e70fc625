//! TLS: our own certificates, the roots that we trust, and the names in a certificate. Opens no socket and reads no file.
//!
//! It uses rustls with ring's cryptography, TLS 1.2 and 1.3. Only [`Identity`] holds private keys, and it never shows them.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::version::{TLS12, TLS13};
use rustls::{SupportedProtocolVersion, crypto::ring};

mod certificate;
mod chain;
mod identity;
mod settings;
mod verify;

pub use certificate::{Certificate, Name, Shown};
pub use identity::{Identity, Roots};
pub use settings::{Calling, Clients, client, server};

/// The names of one party, in order. A certificate with one of them proves that party.
pub type PartyNames = Arc<[Arc<str>]>;

const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// Why a file, a certificate or a key cannot be used, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub(crate) String);

impl Unfit {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
