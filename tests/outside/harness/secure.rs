//! Certificates for a site, and both sides of TLS for its telephones.

use std::io::{Read, Result, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::Site;

/// Somebody who signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub(crate) struct Paper {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        // Another name than those that it signs have: OpenSSL would take them for its own.
        params.distinguished_name.push(DnType::CommonName, "Authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names: addresses, URIs, or DNS names.
    pub(crate) fn paper(&self, names: &[&str]) -> Paper {
        self.paper_until(names, 2090)
    }

    /// The same, as public authorities issue them: for servers alone.
    pub(crate) fn paper_of_server(&self, names: &[&str]) -> Paper {
        self.signed(names, 2090, vec![ExtendedKeyUsagePurpose::ServerAuth])
    }

    /// The same, until the start of this year.
    pub(crate) fn paper_until(&self, names: &[&str], year: i32) -> Paper {
        self.signed(names, year, vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth])
    }

    fn signed(&self, names: &[&str], year: i32, usages: Vec<ExtendedKeyUsagePurpose>) -> Paper {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        params.extended_key_usages = usages;
        params.subject_alt_names = names.iter().map(|name| alternative(name)).collect();
        let key = KeyPair::generate().unwrap();
        Paper { certificate: params.signed_by(&key, &self.0).unwrap().pem(), key: key.serialize_pem() }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Arc::new(roots)
    }

    /// A client that believes this authority, and shows a paper if it has one and is asked.
    pub(crate) fn client(&self, paper: Option<&Paper>) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(self.roots());
        Arc::new(match paper {
            Some(paper) => builder.with_client_auth_cert(paper.chain(), paper.private()).unwrap(),
            None => builder.with_no_client_auth(),
        })
    }

    /// A server with a paper; it asks clients for one of this authority's if `asks`, and takes those that have none.
    pub(crate) fn server(&self, paper: &Paper, asks: bool) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let builder = if asks {
            let verifier = WebPkiClientVerifier::builder_with_provider(self.roots(), provider());
            let verifier = verifier.allow_unauthenticated().build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        Arc::new(builder.with_single_cert(paper.chain(), paper.private()).unwrap())
    }

    /// The same, for clients that have one of this authority's alone.
    pub(crate) fn demanding(&self, paper: &Paper) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(self.roots(), provider()).build().unwrap();
        let builder = builder.with_client_cert_verifier(verifier);
        Arc::new(builder.with_single_cert(paper.chain(), paper.private()).unwrap())
    }
}

impl Paper {
    /// Writes it as `NAME.pem` and `NAME.key`; the first one's path.
    pub(crate) fn write(&self, site: &Site, name: &str) -> PathBuf {
        site.write(&format!("{name}.key"), &self.key);
        site.write(&format!("{name}.pem"), &self.certificate)
    }

    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()]
    }

    fn private(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

fn alternative(name: &str) -> SanType {
    match name.parse() {
        Ok(ip) => SanType::IpAddress(ip),
        Err(_) if name.contains(':') => SanType::URI(name.try_into().unwrap()),
        Err(_) => SanType::DnsName(name.try_into().unwrap()),
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A stream, secured or not.
pub(crate) enum Stream {
    Plain(TcpStream),
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Stream {
    /// Calls a server by this name (or address: then SNI names nobody), without waiting for the handshake.
    pub(crate) fn client(stream: TcpStream, config: &Arc<ClientConfig>, name: &str) -> Self {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let session = ClientConnection::new(Arc::clone(config), name).unwrap();
        Self::Client(Box::new(StreamOwned::new(session, stream)))
    }

    /// Is called.
    pub(crate) fn server(stream: TcpStream, config: &Arc<ServerConfig>) -> Self {
        Self::Server(Box::new(StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream)))
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Client(stream) => &stream.sock,
            Self::Server(stream) => &stream.sock,
        }
    }

    /// Goes through with the handshake.
    pub(crate) fn shake(&mut self) -> Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Client(stream) => shaken(stream.conn.complete_io(&mut stream.sock)),
            Self::Server(stream) => shaken(stream.conn.complete_io(&mut stream.sock)),
        }
    }

    /// The certificate that the other side showed, and the name that it asked for.
    pub(crate) fn peer(&self) -> (Option<Vec<u8>>, Option<String>) {
        let first = |all: Option<&[CertificateDer<'_>]>| all.and_then(<[_]>::first).map(|der| der.to_vec());
        match self {
            Self::Plain(_) => (None, None),
            Self::Client(stream) => (first(stream.conn.peer_certificates()), None),
            Self::Server(stream) => (first(stream.conn.peer_certificates()), stream.conn.server_name().map(str::to_owned)),
        }
    }
}

fn shaken(done: Result<(usize, usize)>) -> Result<()> {
    done.map(|_| ())
}

impl Read for Stream {
    fn read(&mut self, octets: &mut [u8]) -> Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(octets),
            Self::Client(stream) => stream.read(octets),
            Self::Server(stream) => stream.read(octets),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(octets),
            Self::Client(stream) => stream.write(octets),
            Self::Server(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Client(stream) => stream.flush(),
            Self::Server(stream) => stream.flush(),
        }
    }
}
