//! The TLS settings of connections that we accept, and of connections that we open.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoClientAuth, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, ServerConfig};

use super::chain::{Chain, ClientChain};
use super::verify::Asked;
use super::{Identity, PartyNames, Roots, Unfit, VERSIONS, provider};

/// Which certificates clients must show.
#[derive(Clone, Debug)]
pub enum Clients {
    /// Clients are not asked for a certificate.
    Unasked,
    /// A client may show none. One that it shows must lead to these roots.
    Optional(Roots),
    /// A client must show one that leads to these roots.
    Required(Roots),
}

/// The settings of a listener. SNI selects the identity: that of the named host, or of a host that the name is below, at any
/// depth. Without a known SNI the region's own identity is used.
pub fn server(own: &Identity, others: &[(String, Identity)], clients: &Clients) -> Result<Arc<ServerConfig>, Unfit> {
    let unfit = |error: &dyn std::error::Error| Unfit::new(error.to_string());
    let verifier: Arc<dyn ClientCertVerifier> = match clients {
        Clients::Unasked => Arc::new(NoClientAuth),
        Clients::Optional(roots) | Clients::Required(roots) => {
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots.0), provider());
            let optional = matches!(clients, Clients::Optional(_));
            let builder = if optional { builder.allow_unauthenticated() } else { builder };
            let library = builder.build().map_err(|error| unfit(&error))?;
            Arc::new(ClientChain { chain: Chain::to(roots), library })
        }
    };
    let others = others.iter().map(|(host, identity)| (host.clone(), Arc::clone(&identity.key))).collect();
    let by_name = ByName { own: Arc::clone(&own.key), others };
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS);
    let builder = builder.map_err(|error| unfit(&error))?.with_client_cert_verifier(verifier);
    Ok(Arc::new(builder.with_cert_resolver(Arc::new(by_name))))
}

/// How we connect to servers, and which roots we trust.
#[derive(Debug)]
pub struct Calling {
    settings: Arc<ClientConfig>,
    asked: Asked,
}

impl Calling {
    /// The settings for a server that must prove the name that we ask for.
    pub fn settings(&self) -> &Arc<ClientConfig> {
        &self.settings
    }

    /// The settings for a server that must prove the name that we ask for, or one of these names.
    pub(crate) fn settings_for(&self, party: &PartyNames) -> Arc<ClientConfig> {
        let mut settings = ClientConfig::clone(&self.settings);
        settings.dangerous().set_certificate_verifier(Arc::new(self.asked.or(party)));
        // No session is resumed: another party may have begun it.
        settings.resumption = Resumption::disabled();
        Arc::new(settings)
    }
}

/// The settings of connections that we open. A server must prove the name that we ask for; we show our certificate if it asks.
pub fn client(own: Option<&Identity>, roots: &Roots) -> Result<Arc<Calling>, Unfit> {
    let asked = Asked::new(roots)?;
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(VERSIONS);
    let builder = builder.map_err(|error| Unfit::new(error.to_string()))?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(asked.clone()));
    let settings = Arc::new(match own {
        Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&own.key)))),
        None => builder.with_no_client_auth(),
    });
    Ok(Arc::new(Calling { settings, asked }))
}

struct ByName {
    own: Arc<CertifiedKey>,
    others: Vec<(String, Arc<CertifiedKey>)>,
}

impl std::fmt::Debug for ByName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hosts: Vec<&str> = self.others.iter().map(|(host, _)| host.as_str()).collect();
        f.debug_struct("ByName").field("hosts", &hosts).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().map(str::to_ascii_lowercase).unwrap_or_default();
        let below = |host: &str| asked.strip_suffix(host).is_some_and(|front| front.is_empty() || front.ends_with('.'));
        let fit = self.others.iter().filter(|(host, _)| below(host)).max_by_key(|(host, _)| host.len());
        Some(Arc::clone(fit.map_or(&self.own, |(_, key)| key)))
    }
}
