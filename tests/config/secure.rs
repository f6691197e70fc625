//! Certificates: what they must be, and who needs them.
#![expect(clippy::unwrap_used, reason = "a test may stop where a file cannot be made")]

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use ringfence::config::{self, Config, ConfigError, Mistake, TrunkId};
use ringfence::tls::{Name, Shown};

/// A configuration with a TLS listener and an upstream over TLS; `TRUNK` and `TLS` are filled in.
const SECURED: &str = r#"serve = ["eu"]
[region.eu]
hostname = "eu.example.com"
listen = ["tls:127.0.0.1:5061"]
networks = ["127.0.1.0/24"]
upstream = "sips:pbx.example.net"
TLS
[project.acme]
pin = ["eu"]
[project.acme.trunk.carrier]
TRUNK
"#;
const TLS: &str = "tls = { certificate = \"eu.pem\", key = \"eu.key\", client_ca = \"ca.pem\", upstream_ca = \"ca.pem\" }";
const TRUNK: &str = "networks = [\"127.0.3.0/24\"]";

/// A folder of files that goes with its test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// One with a certificate for the region and whoever signed it.
    pub(crate) fn new(name: &str) -> Self {
        let folder = Self(std::env::temp_dir().join(format!("ringfence-secure-{name}-{}", std::process::id())));
        std::fs::create_dir_all(&folder.0).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        folder.write("ca.pem", &authority.pem());
        folder.certificate("eu", &["eu.example.com", "*.eu.example.com"], 2090);
        folder
    }

    /// Where a file of it is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// `NAME.pem` and `NAME.key`, until the start of this year.
    pub(crate) fn certificate(&self, name: &str, names: &[&str], year: i32) {
        self.used_for(name, names, year, Vec::new());
    }

    fn used_for(&self, name: &str, names: &[&str], year: i32, usages: Vec<ExtendedKeyUsagePurpose>) {
        let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
        params.extended_key_usages = usages;
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        self.write(&format!("{name}.pem"), &params.self_signed(&key).unwrap().pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    fn parse(&self, tls: &str, trunk: &str) -> Result<Config, ConfigError> {
        let text = SECURED.replace("TLS", tls).replace("TRUNK", trunk);
        config::parse(&self.0.join("ringfence.toml"), &text)
    }

    fn mistakes(&self, tls: &str, trunk: &str) -> Vec<Mistake> {
        self.parse(tls, trunk).err().map(|error| error.mistakes).unwrap_or_default()
    }

    /// Exactly one mistake at this place, with these words.
    #[track_caller]
    fn wrong(&self, tls: &str, trunk: &str, text: &str, wrong: &str, right: &str) {
        let found = self.mistakes(tls, trunk);
        let [mistake] = found.as_slice() else { panic!("{tls} {trunk}: not one mistake but {found:#?}") };
        assert_eq!(mistake.text, text, "{mistake}");
        assert!(mistake.wrong.contains(wrong), "`{wrong}` is not said: {mistake}");
        assert!(mistake.right.contains(right), "`{right}` is not said: {mistake}");
    }

    fn loads(&self, tls: &str, trunk: &str) -> Config {
        self.parse(tls, trunk).unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_right_loads_and_says_what_it_is() {
    let folder = Folder::new("right");
    let config = folder.loads(TLS, TRUNK);
    let tls = config.regions[0].tls.as_ref().unwrap();
    assert_eq!(tls.certificate.names, ["eu.example.com", "*.eu.example.com"]);
    assert!(tls.client.is_some());
    assert_eq!((config.limits.handshakes, config.limits.handshake.as_secs()), (1024, 5));
    let secured: Vec<_> = config.names.iter().map(|name| (name.host.as_str(), name.secure)).collect();
    assert_eq!(secured, [("pbx.example.net", true)]);
    assert!(!config.warnings.iter().any(|warning| warning.wrong.contains("eu.pem")), "{:?}", config.warnings);
    assert!(!format!("{config:?}").contains("PRIVATE"));
    // Another certificate is another configuration.
    folder.certificate("eu", &["eu.example.com", "*.eu.example.com"], 2090);
    assert_ne!(folder.loads(TLS, TRUNK).digest, config.digest);
}

#[test]
fn certificates_that_will_not_do() {
    let folder = Folder::new("wrong");
    let (pem, key) = ("\"eu.pem\"", "\"eu.key\"");
    folder.wrong("tls = { key = \"eu.key\", upstream_ca = \"ca.pem\" }", TRUNK, "tls", "`tls` without `certificate`", "eu.pem");
    folder.wrong("tls = { certificate = \"eu.pem\", upstream_ca = \"ca.pem\" }", TRUNK, "tls", "`tls` without `key`", "eu.key");
    folder.wrong("", TRUNK, "\"tls:127.0.0.1:5061\"", "no certificate", "[region.eu.tls]");
    folder.wrong(&TLS.replace("eu.key", "none.key"), TRUNK, "\"none.key\"", "cannot be read", "private key in PEM");
    folder.wrong(&TLS.replace("eu.key", "eu.pem"), TRUNK, pem, "no private key", "its own private key");
    folder.wrong(&TLS.replace("eu.pem", "eu.key"), TRUNK, key, "holds no certificate", "in PEM");
    folder.certificate("other", &["eu.example.com"], 2090);
    folder.wrong(&TLS.replace("eu.key", "other.key"), TRUNK, pem, "the key is not this certificate's", "its own");
    folder.certificate("us", &["us.example.com", "xeu.example.com"], 2090);
    let us = TLS.replace("eu.pem", "us.pem").replace("eu.key", "us.key");
    folder.wrong(
        &us,
        TRUNK,
        "\"us.pem\"",
        "for us.example.com, xeu.example.com, and for no name of region `eu`",
        "`*.eu.example.com`",
    );
    folder.write("broken.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    folder.wrong(&TLS.replace("eu.pem", "broken.pem"), TRUNK, "\"broken.pem\"", "cannot be read as a certificate", "");
    folder.write("half.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    folder.wrong(&TLS.replace("eu.pem", "half.pem"), TRUNK, "\"half.pem\"", "broken PEM", "");
    folder.write("empty.pem", "");
    for roots in ["client_ca", "upstream_ca"] {
        let tls = TLS.replace(&format!("{roots} = \"ca.pem\""), &format!("{roots} = \"empty.pem\""));
        folder.wrong(&tls, TRUNK, "\"empty.pem\"", "holds no certificate", "sign others'");
    }
    folder.wrong(&TLS.replace(" }", ", client_auth = \"maybe\" }"), TRUNK, "\"maybe\"", "says not whether", "`required`");
    let tls = TLS.replace("client_ca = \"ca.pem\"", "client_auth = \"required\"");
    folder.wrong(&tls, TRUNK, "\"required\"", "without `client_ca`", "signed by");
    folder.wrong(&TLS.replace(" }", ", ca = \"x\" }"), TRUNK, "ca", "unknown key `ca`", "");
    let half = TLS.replace(" }", ", client_certificate = \"eu.pem\" }");
    folder.wrong(&half, TRUNK, pem, "without `client_key`", "together");
    let half = TLS.replace(" }", ", client_key = \"eu.key\" }");
    folder.wrong(&half, TRUNK, key, "without `client_certificate`", "together");
    let other = TLS.replace(" }", ", client_certificate = \"eu.pem\", client_key = \"other.key\" }");
    folder.wrong(&other, TRUNK, pem, "the key is not this certificate's", "its own");
}

#[test]
fn what_is_shown_to_servers() {
    let folder = Folder::new("shown");
    let shows = |tls: &str| folder.loads(tls, TRUNK).regions[0].tls.as_ref().unwrap().shows.clone().map(|shows| shows.names);
    assert_eq!(shows(TLS), Some(vec!["eu.example.com".to_owned(), "*.eu.example.com".to_owned()]));
    folder.used_for("eu", &["eu.example.com", "*.eu.example.com"], 2090, vec![ExtendedKeyUsagePurpose::ServerAuth]);
    assert_eq!(shows(TLS), None, "for servers alone");
    folder.certificate("calling", &["client.example.com"], 2090);
    let calling = TLS.replace(" }", ", client_certificate = \"calling.pem\", client_key = \"calling.key\" }");
    assert_eq!(shows(&calling), Some(vec!["client.example.com".to_owned()]));
    let both = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    folder.used_for("eu", &["eu.example.com", "*.eu.example.com"], 2090, both);
    assert!(shows(TLS).is_some());
    folder.used_for("eu", &["eu.example.com", "*.eu.example.com"], 2090, vec![ExtendedKeyUsagePurpose::Any]);
    assert!(shows(TLS).is_some());
    // It ends too.
    folder.certificate("calling", &["client.example.com"], 2021);
    let config = folder.loads(&calling, TRUNK);
    assert!(config.warnings.iter().any(|warning| warning.wrong.contains("calling.pem has ended")), "{:#?}", config.warnings);
}

#[test]
fn who_needs_them_says_so() {
    let folder = Folder::new("needs");
    let without = TLS.replace(", upstream_ca = \"ca.pem\"", "");
    folder.wrong(&without, TRUNK, "\"sips:pbx.example.net\"", "believes no certificate", "`upstream_ca`");
    let out = format!("{TRUNK}\nuri = \"sip:pstn.example.net;transport=tls\"");
    let found = folder.mistakes(&without, &out);
    assert!(found.iter().any(|mistake| mistake.wrong.contains("a trunk over TLS, but no region")), "{found:#?}");
    assert!(folder.parse(TLS, &out).is_ok());
    let nobody = TLS.replace("client_ca = \"ca.pem\", ", "");
    folder.wrong(
        &nobody,
        "certificates = [\"sbc.example\"]",
        "\"sbc.example\"",
        "no client is asked for a certificate",
        "`client_ca`",
    );
    folder.wrong(TLS, "certificates = []", "carrier", "no certificate would do", "sbc.carrier.example");
    folder.wrong(TLS, "certificates = [\"*.example\"]", "\"*.example\"", "no host name", "");
    folder.wrong(TLS, "certificates = [\"sbc.example\"]\nuri = \"sip:pstn.example.net\"", "carrier", "no call could go out", "");
    let plain = SECURED.replace("tls:127.0.0.1:5061", "udp:127.0.0.1:5060").replace("TLS", "").replace("TRUNK", TRUNK);
    let found = config::parse(Path::new("ringfence.toml"), &plain).unwrap_err().mistakes;
    assert!(found[0].wrong.contains("an upstream over TLS, but region `eu` does not listen on TLS"), "{found:#?}");
}

#[test]
fn what_is_allowed_and_probably_not_meant() {
    let folder = Folder::new("warned");
    let warned = |trunk: &str, what: &str| {
        let config = folder.loads(TLS, trunk);
        assert!(config.warnings.iter().any(|warning| warning.wrong.contains(what)), "{what}: {:#?}", config.warnings);
    };
    folder.certificate("eu", &["eu.example.com"], 2090);
    warned(TRUNK, "eu.pem is for eu.example.com, and not for `acme.eu.example.com`");
    folder.certificate("eu", &["*.eu.example.com"], 2090);
    warned(TRUNK, "eu.pem is for *.eu.example.com, and not for `eu.example.com`");
    let two = format!("{TRUNK}\n[project.globex]\npin = [\"eu\"]");
    folder.certificate("eu", &["eu.example.com", "acme.eu.example.com"], 2090);
    warned(&two, "and not for `globex.eu.example.com`");
    for names in
        [&["eu.example.com", "acme.eu.example.com", "globex.eu.example.com"][..], &["eu.example.com", "*.eu.example.com"]]
    {
        folder.certificate("eu", names, 2090);
        let warnings = folder.loads(TLS, &two).warnings;
        assert!(!warnings.iter().any(|warning| warning.wrong.contains("eu.pem")), "{warnings:#?}");
    }
    folder.certificate("eu", &["eu.example.com", "*.eu.example.com"], 2021);
    warned(TRUNK, "eu.pem has ended");
    warned("certificates = [\"sbc.example\"]", "no request inside its calls may go back there");
}

#[test]
fn trunks_are_found_by_address_and_by_name() {
    let folder = Folder::new("found");
    let trunk = "networks = [\"127.0.3.0/24\"]\n[project.acme.trunk.both]\nnetworks = [\"127.0.3.0/25\"]\n\
         certificates = [\"Both.example\", \"one.example\"]\n[project.acme.trunk.named]\ncertificates = [\"one.example\"]\n\
         outbound_networks = [\"127.0.4.0/24\"]";
    let config = folder.loads(TLS, trunk);
    let of = |ip: &str, names: &[&str]| {
        let digests: Vec<Name> = names.iter().map(|name| Name::of(name.as_bytes())).collect();
        let shown = Shown::new(None, digests, |name| config.caller_table.knows(name));
        let callers = config.callers(ip.parse().unwrap(), Some(&shown));
        let all: Vec<u32> = callers.iter().map(|TrunkId(id)| id).collect();
        // To ask for one is the same as to look through all.
        for id in (0..).take(config.trunks.len()) {
            assert_eq!(callers.include(TrunkId(id)), all.contains(&id), "{ip} {names:?} {id}");
        }
        all
    };
    let (inside, half, far) = ("127.0.3.1", "127.0.3.200", "127.0.9.9");
    assert_eq!(of(inside, &[]), [0]);
    assert_eq!(of(inside, &["both.example"]), [0, 1]);
    assert_eq!(of(inside, &["ONE.example"]), [0, 1, 2]);
    assert_eq!(of(half, &["both.example"]), [0]);
    assert_eq!(of(far, &["both.example"]), [0; 0]);
    assert_eq!(of(far, &["a", "b", "c", "d", "e", "one.example"]), [2]);
    assert!(config.callers(far.parse().unwrap(), None).is_empty());
    assert!(config.trunks[2].reach().contains("127.0.4.1".parse().unwrap()));
}
