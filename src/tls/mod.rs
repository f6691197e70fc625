//! TLS as the rest sees it: who we are, whom we believe, and what a certificate says. Opens no socket and reads no file.
//!
//! One implementation: rustls with ring's cryptography, TLS 1.2 and 1.3. Private keys stand in [`Identity`] alone, which shows
//! nothing of them.

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

/// Names of one party, in order. Whoever proves one of them is that party.
pub type PartyNames = Arc<[Arc<str>]>;

const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// What a file, a certificate or a key is not fit for, in words.
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
